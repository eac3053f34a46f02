"""scratchvae: a Variational AutoEncoder with nothing hidden. See README.md, and docs/ for the mathematics."""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "VAE": "models", "Autoencoder": "models", "Dataset": "data", "ScratchVAEError": "errors", "Split": "data", "measure": "evaluate",
    "fit": "training", "gradcheck": "checks", "load_data": "data", "load_model": "training", "resume": "training", "use": "backend",
}  # fmt: skip
__all__ = [*_HOMES]


def __getattr__(name):
    """A public name or a room, loaded when it is first asked for: `scratchvae --help` need not wait for NumPy."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), "load" if name == "load_data" else name)
    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error


def __dir__():
    return sorted([*globals(), *__all__])
