"""scratchvae: a Variational AutoEncoder with nothing hidden. See README.md, and docs/ for the mathematics."""

__version__ = "0.1.0"

_HOMES = {
    "VAE": "models", "Autoencoder": "models", "ConvVAE": "models", "Dataset": "data", "ScratchVAEError": "errors",
    "Split": "data", "measure": "evaluate",
    "fit": "training", "gradcheck": "checks", "load_data": "data", "load_model": "training", "resume": "training",
    "use": "backend",
}  # fmt: skip
__all__ = [*_HOMES]


def __getattr__(name):
    """A public name or a room, loaded when it is first asked for: `scratchvae --help` need not wait for NumPy."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # As an import statement does it, so that the museum's private copy of the package loads its own.
        room = __import__(_HOMES.get(name, name), globals(), None, ("__name__",), 1)
    except ModuleNotFoundError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error
    return getattr(room, "load" if name == "load_data" else name) if name in _HOMES else room


def __dir__():
    return sorted([*globals(), *__all__])
