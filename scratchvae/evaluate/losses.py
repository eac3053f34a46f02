"""The loss on a split, with z sampled: for a VAE its −ELBO (E36)."""

import numpy as np

from .. import gate, rng
from ..cores import worker_count
from ..errors import ConfigError, DataError, NonFiniteError, counted
from ..models import Model
from ..nn.arena import planned
from ..workers import Threads
from .accepted import accepted, check_model, values_of
from .batch import fields_of, gathered, gathered_there, resident
from .measurement import Measurement
from .progress import bar

BATCH = 500  # images at a time, and no more than the model's chunk: fixed, so that threads change speed and never bits
SAMPLES = 100_000  # of z per image, at most: what differs from image to image outweighs their noise long before
NOISE_BATCHES = 10  # batches whose noise is drawn in one call
ROUNDING = 1e-4  # nats per pixel: a float32 term of a logit up to 1,000 is off by less
UNIT = Model.unit
BAR = {"desc": "measuring", "delay": 2, "leave": False}


def image_terms(model, fields, workers, seed=0, samples=1, replicas=None, tell=lambda images: None):
    """The terms of the loss of every image, averaged over draws of z.   → {term: float64 (N,)}, nats

    fields: {name: (N, …)} with all that the model reads, or images alone (N, D).

    ε of image i and draw k is normal(seed, EVALUATE, k, i): the same whatever the batches and threads. replicas: of the
    model, one per worker, to be used again by the next evaluation · tell(images): called as they are done, each once
    for each draw.
    """
    seed, samples = gate.whole("seed", seed, 0, 2**64 - 1), gate.whole("samples", samples, 1, SAMPLES)
    check_model(model)
    fields = fields_of(model, fields)
    images = fields[0]
    if model.backend.name == "numpy" and not hasattr(workers, "run"):
        raise ConfigError(f"workers must be Threads(count), opened by a with, not {gate.shown(workers)}")
    if model.backend.name != "numpy":
        with model.backend.failures():
            return _device_terms(replicas[0] if replicas else model.replica(), fields, seed, samples, tell)
    terms = {term: np.zeros(len(images)) for term in model.terms}
    replicas = replicas or [model, *(model.replica() for _ in range(workers.count - 1))]
    size = _batch(model)
    batches = [slice(start, min(start + size, len(images))) for start in range(0, len(images), size)]

    def share(worker):
        replica, mine = replicas[worker], batches[worker :: workers.count]
        for first in range(0, len(mine), NOISE_BATCHES):
            group = mine[first : first + NOISE_BATCHES]
            for k in range(samples):
                for rows, eps in zip(group, _noise(model, group, seed, k), strict=True):
                    kind = "evaluate", rows.stop - rows.start
                    with np.errstate(all="ignore"), replica.arena.step(kind):  # what is not finite shows in the terms
                        inputs = gathered(replica, fields, np.arange(rows.start, rows.stop))
                        for term, values in zip(model.terms, replica.forward(*inputs, *eps), strict=True):
                            terms[term][rows] += values / samples
                    tell(rows.stop - rows.start)

    with planned(replicas):
        workers.run(share)
    return terms


def _batch(model):
    return min(BATCH, getattr(model, "chunk", BATCH))


def _noise(model, batches, seed, k):
    """[ε] of draw k for each of these batches (slices of rows), or []s: drawn at once, which costs half as much
    → [[(rows, L)]]"""
    if not model.noise_columns:
        return [[]] * len(batches)
    rows = np.concatenate([np.arange(batch.start, batch.stop) for batch in batches])
    eps = rng.normal(seed, rng.EVALUATE, k, rows, model.noise_columns, model.dtype.type)
    return [[part] for part in np.split(eps, np.cumsum([batch.stop - batch.start for batch in batches])[:-1])]


def _device_terms(replica, fields, seed, samples, tell):
    """The same on a GPU: fields are brought there once, ε is drawn there, and the sums come back once."""
    backend, ops, N, size = replica.backend, replica.ops, len(fields[0]), _batch(replica)
    on_device, order = resident(replica, fields), backend.put(np.arange(N))
    terms = {term: backend.empty((N,), np.float64) for term in replica.terms}
    with planned([replica]):
        for start in range(0, N, size):
            rows = slice(start, min(start + size, N))
            with replica.arena.step(("evaluate", rows.stop - start)):
                count = rows.stop - start
                inputs = gathered_there(replica, on_device, order, start // size, size, count)
                eps = (
                    [replica.new("eps", (count, replica.noise_columns), replica.dtype)] if replica.noise_columns else []
                )
                for values in terms.values():
                    values[rows] = 0
                for k in range(samples):
                    for array in eps:
                        ops.normal(array, seed, rng.EVALUATE, k, start)
                    for term, values in zip(replica.terms, replica.forward(*inputs, *eps), strict=True):
                        terms[term][rows] += values / samples
                    tell(count)
    return {term: backend.get(values) for term, values in terms.items()}


def measure(model, dataset, split="test", seed=0, samples=1, threads=None, progress=False):
    """The objective's parts on a split → {"-ELBO": Measurement, "reconstruction": …, "KL": …} for a VAE.

    dataset: what `fit` takes, a Dataset or an array of images · split: "train", "test" or "validation" · samples: of z
    per image · threads: default, one per core · progress: a bar, where it takes long and standard error is a terminal.
    An autoencoder has a reconstruction alone: its loss bounds no likelihood; a model of your own has its terms. With β
    ≠ 1 the −ELBO is still reconstruction + KL, which is then not what was trained.

    Raises ConfigError, NonFiniteError, and DataError for data that the model cannot take or whose likelihood comes out
    above 1.
    """
    dataset = accepted(model, dataset)
    part = dataset.splits[gate.choice("split", split, dataset.splits)]
    seed = gate.whole("seed", seed, 0, 2**64 - 1)
    samples = gate.whole("samples", samples, 1, SAMPLES)
    draws = samples if model.noise_columns else 1
    with (
        Threads(worker_count(threads)) as workers,
        bar(gate.flag("progress", progress), draws * len(part.images), **BAR) as shown,
    ):
        terms = image_terms(model, part.fields, workers, seed, draws, tell=shown.update)
    _check(model, part.images.shape[1], terms)
    of_z = f"z sampled from q(z|x), {samples} sample{'s' if samples > 1 else ''} per image"
    if of_a_bound := getattr(model, "draws", 0):
        of_z = f"on −log p(x), by {counted(of_a_bound, 'draw')} of z" + f", {samples} times" * (samples > 1)
    unit = getattr(model, "unit", UNIT)
    drawn = of_z if model.noise_columns else "deterministic code" if hasattr(model, "codes") else "deterministic"

    def measurement(quantity, values, estimator):
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        return Measurement(
            quantity, float(values.mean()), error, unit, model.config.get("likelihood", "own"),
            values_of(dataset, split), estimator, dataset.name, split, len(values),
            seed if model.noise_columns else None,
        )

    result = {}
    if {"reconstruction", "kl"} <= set(terms):
        result["-ELBO"] = measurement("-ELBO", terms["reconstruction"] + terms["kl"], drawn)
    for term, values in terms.items():
        name = "KL" if term == "kl" else term
        result[name] = measurement(name, values, "closed form" if term == "kl" else drawn)
    return result


def _check(model, columns, terms):
    """Raise NonFiniteError for a term that left the numbers, DataError for an image more probable than its likelihood
    allows."""
    for term, values in terms.items():
        if not np.isfinite(values).all():
            image = int(np.argmax(~np.isfinite(values)))
            raise NonFiniteError(
                f"the {term} of image {image} is {values[image]}: the model’s numbers left what {model.dtype} can "
                "hold. Scale the "
                "numbers of the data, or train with a smaller lr or with a clip"
            )
    least = getattr(getattr(model, "likelihood", None), "least_nll", gate.REAL[0])
    nll = terms.get("reconstruction", np.zeros(1))
    image = int(np.argmin(nll))
    if nll[image] < least - ROUNDING * columns:
        raise DataError(
            f"image {image} has a reconstruction term of {nll[image]:.4g} nats, and no "
            f"{model.config.get('likelihood')} likelihood is below {least:g}: the images were changed after they were "
            "checked, or forward is wrong (gradcheck, check_moments)"
        )
