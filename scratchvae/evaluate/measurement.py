"""A number never travels alone: a figure with its unit, how it was estimated, on what, and with which seed."""

from dataclasses import asdict, dataclass
from math import sqrt

from .. import gate
from ..errors import ConfigError, counted

# Two figures may be compared when all of these agree.
KIND = ("quantity", "unit", "likelihood", "binarisation", "estimator", "data", "split")


@dataclass(frozen=True)
class Measurement:
    """value ± standard_error of a quantity, and everything one must know to compare it with another."""

    quantity: str  # "-ELBO", "reconstruction", "KL"
    value: float
    standard_error: float | None  # over the images of the split
    unit: str  # "nats per image, summed over pixels, mean over images"
    likelihood: str
    binarisation: str
    estimator: str  # how z was had, and how many samples of it
    data: str
    split: str
    images: int
    seed: int | None

    def to_dict(self):
        return asdict(self)

    def __str__(self):
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        return (
            f"{self.quantity} {self.value:.2f}{error} {self.unit}; {self.likelihood} likelihood, binarisation: "
            f"{self.binarisation}; {self.estimator}; {self.data} {self.split} split, {counted(self.images, 'image')}, "
            f"seed {self.seed}"
        )


def table(measured):
    """{name: Measurement} of one evaluation as text: the figures, then once what they are. Raises ConfigError for
    anything else."""
    if not isinstance(measured, dict) or not measured or not all(isinstance(m, Measurement) for m in measured.values()):
        raise ConfigError(f"table takes what measure returns, not {gate.shown(measured)}")
    lines = []
    for m in measured.values():
        error = "" if m.standard_error is None else f" ± {m.standard_error:.2f}"
        lines.append(f"{m.quantity.replace('-', '−'):15}{m.value:8.2f}{error:8}  {m.estimator}")
    first = next(iter(measured.values()))
    seed = "" if first.seed is None else f", seed {first.seed}"
    lines.append(f"{first.unit}; ± is the standard error over the images")
    likelihood = (
        "" if first.likelihood == "own" else f"; {first.likelihood} likelihood, binarisation: {first.binarisation}"
    )
    lines.append(f"{first.data}, {first.split} split, {counted(first.images, 'image')}{seed}{likelihood}")
    if any(m.value < 0 for m in measured.values() if m.quantity != "KL") and first.likelihood != "bernoulli":
        lines.append("Negative is no fault here: these numbers have a density, which exceeds 1 where σ is small")
    return "\n".join(lines)


def difference(a, b):
    """a − b and its standard error, for two Measurements of the same kind. Raises ConfigError naming what differs."""
    for m in (a, b):
        if not isinstance(m, Measurement):
            raise ConfigError(
                f"difference compares two Measurements, such as measure(model, data)['-ELBO'], not {gate.shown(m)}"
            )
    unlike = [name for name in KIND if getattr(a, name) != getattr(b, name)]
    if unlike:
        pairs = "; ".join(f"{name}: {getattr(a, name)!r} and {getattr(b, name)!r}" for name in unlike)
        raise ConfigError(f"these figures are of different kinds and cannot be compared ({pairs})")
    return a.value - b.value, sqrt((a.standard_error or 0) ** 2 + (b.standard_error or 0) ** 2)
