"""What training tells: the lines of metrics.jsonl, what their numbers mean, and the bar on the terminal."""

import time
from math import isfinite

from .. import gate
from ..errors import NonFiniteError
from ..evaluate import values_of
from ..evaluate.progress import bar
from ..models import Model
from ..models.objective import Annealed

UNITS = {
    "loss": "nats per image, summed over pixels, mean over images: the objective, reconstruction + beta * kl",
    "reconstruction": "nats per image, summed over pixels, mean over images: negative log-likelihood, one sample of z",
    "kl": "nats per image, closed form, mean over images",
    "step": "updates done",
    "epoch": "passes over the training images",
    "lr": "learning rate of the last update",
    "images_per_s": "training images per second since the last line",
    "seconds": "since training began or was resumed",
}


def header(model, data, seed):
    """The first line of metrics.jsonl."""
    units, unit = UNITS, getattr(model, "unit", Model.unit)
    if not set(model.terms) <= set(UNITS):
        rest = {name: said for name, said in UNITS.items() if name not in ("loss", "reconstruction", "kl")}
        units = {
            "loss": f"{unit}: the objective, a weighted sum of the terms",
            **dict.fromkeys(model.terms, unit),
            **rest,
        }
    return {
        "units": units, "likelihood": model.config.get("likelihood", "own"), "binarisation": values_of(data),
        "z": "sampled, one per image" if model.noise_columns else "deterministic", "data": data.name, "seed": seed,
    }


class Log:
    """The records of one call of training, each a line of metrics.jsonl too where there is a run folder. A context
    manager, with the bar while it is open."""

    def __init__(self, model, folder=None):
        self.model, self.folder, self.records = model, folder, []
        self.began = self.line_began = time.perf_counter()

    def bar(self, progress, done, total):
        """The bar of `total` images, of which `done` are done → a context manager"""
        return bar(gate.flag("progress", progress), total, initial=done)

    @property
    def seconds(self):
        return time.perf_counter() - self.began

    def train(self, step, epoch, window, lr):
        """window: {"images": n, term: sum over those images} since the last line"""
        now, images = time.perf_counter(), window["images"]
        rate = {"lr": lr, "images_per_s": images / (now - self.line_began)}
        if isinstance(self.model.objective, Annealed):
            rate["kl_share"] = float(self.model.objective.share(step - 1))
        self.line_began = now
        return self._write("train", step, epoch, window, images, rate)

    def held_out(self, split, step, epoch, terms):
        """terms: {term: (N,) nats of every image of the split}"""
        sums = {term: float(values.sum()) for term, values in terms.items()}
        self.line_began = time.perf_counter()
        return self._write(split, step, epoch, sums, len(next(iter(terms.values()))), {})

    def _write(self, split, step, epoch, sums, images, rate):
        means = {term: sums[term] / images for term in self.model.terms}
        loss = sum(self.model.weights[term] * means[term] for term in means)
        for name, value in {**means, "loss": loss}.items():
            if not isfinite(value):
                raise NonFiniteError(f"the {name} on the {split} images is not finite after step {step}")
        record = {"split": split, "step": step, "epoch": epoch, "loss": loss, **means, **rate, "seconds": self.seconds}
        self.records.append(record)
        if self.folder is not None:
            self.folder.append(record)
        return record
