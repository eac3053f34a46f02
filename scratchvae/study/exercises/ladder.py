"""The exercises in the order that is suggested; none is locked."""

from importlib import import_module
from pathlib import Path

from ...errors import ConfigError, meant

NAMES = (
    "affine", "relu", "sigmoid", "bernoulli", "reparameterise", "kl", "dense", "vae", "adam", "clipping", "philox", "complex_step",
    "gradcheck", "cuda_kl", "convolution", "skip", "stages", "importance",
)  # fmt: skip


def task(name):
    """The module that judges the exercise `name`. Raises ConfigError when there is none of that name."""
    if name not in NAMES:
        raise ConfigError(f"there is no exercise {name[:100]!r}; there are {', '.join(NAMES)}{meant(name, NAMES)}")
    return import_module(f"{__package__}.tasks.{name}")


def solution(name):
    """The answer, as the text of a Python file. Raises ConfigError."""
    task(name)
    return (Path(__file__).parent / "solutions" / f"{name}.py").read_text(encoding="utf-8")


def hint(name, number=1):
    """The number-th hint of an exercise, from 1. Raises ConfigError."""
    hints = task(name).HINTS
    if not 1 <= number <= len(hints):
        raise ConfigError(f"{name} has hints 1 to {len(hints)}, not {number}")
    return f"Hint {number} of {len(hints)}. {hints[number - 1]}"
