"""make_trace: a model and an image for the microscope, from a few words."""

import numpy as np

from ... import gate, rng
from ...data import load
from ...errors import ConfigError, DataError
from ...evaluate.accepted import accepted
from ...evaluate.batch import fields_of
from ...models import VAE, Model
from ...training import fit
from .steps import trace

EPOCHS = 10  # of the bundled set: a few seconds, and a 7 comes out as a 7
TINY = {"data_size": 4, "hidden": (3,), "latent": 2}


def make_trace(model=None, data=None, *, digit=None, index=0, seed=0, epochs=EPOCHS, threads=None, progress=True):
    """One training step of a model on one image → Trace

    model: None trains a VAE 784-400-20 on `data` for a few epochs · "tiny" takes a 4-3-2 network with the weights it
    starts with, and two made-up images · or any model · data: a Dataset, default the bundled digits · digit, index:
    the image is test image number `index` of those with this label (default: 7, where there is one); without labels,
    number `index` of all · seed: of weights and ε · threads: of that training; they change speed alone.

    Raises ConfigError or DataError when there is no such image, or the model does not take it.
    """
    if model == "tiny":
        return _tiny(seed)
    data = load("mnist-small") if data is None else data
    trained = None if model is None else gate.instance("model", model, Model, 'a Model, "tiny" or None')
    model = trained or VAE(data.train.images.shape[1], seed=seed)
    data = accepted(model, data)
    row, what = _choose(data, digit, index)
    notes = []
    if trained is None:
        fit(model, data, epochs=epochs, seed=seed, threads=threads, progress=progress)
        images = f"{len(data.train.images):,} training images of {data.name}"
        notes.append(
            f"The model has been trained for {epochs} epoch{'s' * (epochs > 1)} on the {images} before this step."
        )
    notes.append(f"The image is {what} of {data.name}. No training has seen it.")
    fields = dict(zip(model.reads, (array[row : row + 1] for array in fields_of(model, data.test.fields)), strict=True))
    return trace(model, fields, seed=seed, image_shape=tuple(data.image_shape), notes=notes)


def _tiny(seed):
    """A 4-3-2 VAE whose every number fits on the screen. Two images, so that the sums over images are seen."""
    x = np.round(rng.uniform(seed, rng.CHECK, 0, np.arange(2), 4, np.float64), 2)
    notes = [
        "This network is not trained: it has the weights it starts with, and its images are made up, so that every "
        "number fits on the page and can be followed by hand."
    ]
    return trace(VAE(**TINY, seed=seed, dtype=np.float64), x, seed=seed, notes=notes, lr=0.1)


def _choose(data, digit, index):
    """The row of the wanted test image, and what to call it."""
    labels = data.test.labels
    if digit is None and labels is not None and (labels == 7).any():
        digit = 7
    told = labels is not None and digit is not None
    rows = np.flatnonzero(labels == digit) if told else np.arange(len(data.test.images))
    kind = f" with label {digit}" if told else ""
    if not len(rows):
        raise DataError(f"{data.name} has no test image{kind}: choose another digit")
    if not 0 <= index < len(rows):
        raise ConfigError(
            f"index must be between 0 and {len(rows) - 1} for the test images{kind} of {data.name}, not {index}"
        )
    return int(rows[index]), f"test image {int(rows[index])}{kind}"
