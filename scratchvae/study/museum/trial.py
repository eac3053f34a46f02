"""Correct and wrong code trained side by side, for real; and the wrong model judged by the correct formulas."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from ... import rng
from ...data import load
from ...errors import ConfigError
from ...ops import numpy as ops
from .private_copy import PackageCopy

HIDDEN, LATENT, LR = 200, 20, 3e-3
EPOCHS = {"vae": 10, "iwae": 3, "unet": 5, "hourglass": 5}  # an importance-weighted step has five times the work
PICTURES, BATCH = (600, 100), 16  # of training and of test, and in a step, of the two networks whose output is an image
STRIDE = 4  # of the hourglass
LOG_EVERY = 10  # steps: four lines an epoch of the bundled digits
SHOWN, SAMPLES = 12, 48  # reconstructions and samples that a figure shows
JUDGED, DRAWS = 100, 100  # test images and importance samples by which an importance-weighted model is measured
HOW = {
    "vae": f"Each a 784-{HIDDEN}-{LATENT} model on the bundled digits (5,000 training, 1,000 test images), Adam with lr {LR:g}, "
    f"batch 128, seed 0, {EPOCHS['vae']} epochs. Nats per image: −ELBO with one sampled z on the test images.",
    "iwae": f"The importance-weighted ones: 784-{HIDDEN}-{LATENT} too, K = 5, {EPOCHS['iwae']} epochs; −log p(x) by {DRAWS} "
    f"importance samples on {JUDGED} test images.",
    "unet": f"The U-Nets: base 4, two levels, batch norm; {PICTURES[0]} training and {PICTURES[1]} test images of `clutter`, "
    f"lr {LR:g}, batch {BATCH}, {EPOCHS['unet']} epochs; squared error per image to the clean one.",
    "hourglass": "The hourglasses: two stages of two levels, 8 features, stride 4; as many images of `figures`, "
    f"lr {LR:g}, batch {BATCH}, {EPOCHS['hourglass']} epochs; squared error of both stages per image.",
}
JUDGE = "“Judged”: the network that was trained, by the correct formulas; where there is no z, each image by itself."
SEEN = "Test images, and their reconstructions", "Samples, the same z on both sides"


@dataclass
class Trial:
    """One training run and what came of it.

    epochs, losses: of the training log's lines · training, test: the losses of the last epoch in that log · own: the test figure by the
    code's own evaluation · judged: the same figure of the network it trained, by the correct formulas; all in nats per
    image, None where not finite · stopped: the error that ended it, or "" · inputs, outputs (SHOWN, D), samples (N, D): pictures
    of image_shape; what they are is `seen`
    """

    figure: str  # what `own` and `judged` are
    epochs: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    training: float | None = None
    test: float | None = None
    own: float | None = None
    judged: float | None = None
    stopped: str = ""
    inputs: np.ndarray = None
    outputs: np.ndarray = None
    samples: np.ndarray = None
    image_shape: tuple = (28, 28)
    seen: tuple = SEEN

    def to_dict(self):
        names = ("figure", "training", "test", "own", "judged", "stopped")
        return {name: getattr(self, name) for name in names}


def try_out(bug=None, data=None, epochs=None, kind=("vae", "bernoulli")):
    """Train a 784-200-20 model in a private copy with this bug (None: without) → Trial

    data: a Dataset, default the bundled digits · epochs: default EPOCHS · kind: (model, likelihood) of the correct code; a bug
    brings its own. Raises ConfigError for a bug of which there is nothing to train.
    """
    model_name, likelihood = (bug.model, bug.likelihood) if bug else kind
    if model_name == "clock":
        raise ConfigError(f"{bug.name} is a bug of a clock: there is nothing to train")
    copy = bug.plant() if bug else PackageCopy()
    if model_name in NETWORKS:
        return _try_network(copy, model_name)
    data = load("mnist-small") if data is None else data
    options = {"likelihood": likelihood, "seed": 0}
    if model_name == "iwae":
        model = copy["study.museum.iwae"].IWAE(data.train.images.shape[1], (HIDDEN,), LATENT, samples=5, **options)
        trial = Trial(f"−log p(x) by {DRAWS} importance samples, {JUDGED} test images, in nats per image")
    else:
        model = copy["models.vae"].VAE(data.train.images.shape[1], (HIDDEN,), LATENT, **options)
        trial = Trial("−ELBO, one sample of z per image, test images, in nats per image")
    trial.image_shape = data.image_shape
    with np.errstate(all="ignore"):
        _train(copy, model, data, epochs or EPOCHS[model_name], trial)
        trial.own, trial.judged = _finite(_own_figure(copy, model, data)), _finite(judge(model, data))
        _draw(copy, model, data, trial)
    return trial


@lru_cache(maxsize=4)
def correct(model="vae", likelihood="bernoulli"):
    """The trial of the correct code on the bundled digits, which several bugs are compared with."""
    return try_out(kind=(model, likelihood))


def pair(bug):
    """(Trial of the correct code, Trial with the bug) on the bundled digits."""
    wrong = try_out(bug)
    return correct(bug.model, bug.likelihood), wrong


def _train(copy, model, data, epochs, trial, **options):
    training = copy["training"]
    trainer = training.Trainer(model, data, training.Settings(epochs=epochs, lr=LR, seed=0, log_every=LOG_EVERY, **options))
    records, steps = [], trainer.steps_per_epoch
    try:
        for _ in range(epochs):  # epoch by epoch, so that what was logged before an error is kept
            records += trainer.run(progress=False, max_steps=steps, threads=1)
    except copy["errors"].NonFiniteError as error:
        trial.stopped = str(error).partition(". ")[0]
    train = [record for record in records if record["split"] == "train"]
    test = [record for record in records if record["split"] == "test"]
    trial.epochs, trial.losses = [r["epoch"] for r in train], [_finite(r["loss"]) for r in train]
    last = [r["loss"] for r in train if r["epoch"] > train[-1]["epoch"] - 1]
    trial.training = _finite(np.mean(last)) if last else None
    trial.test = _finite(test[-1]["loss"]) if test else None


def _try_network(copy, name):
    """A Trial of a network whose output is an image."""
    source, make, says, wanted, figure, seen = NETWORKS[name]
    data = load(source)
    splits = {place: part.take(np.arange(n)) for (place, part), n in zip(data.splits.items(), PICTURES, strict=True)}
    data, trial = replace(data, **splits), Trial(f"{figure}, test images", image_shape=data.image_shape, seen=seen)
    model, test = make(copy, data), data.test.fields
    x = (test["images"] / 255).astype(model.dtype)
    with np.errstate(all="ignore"):
        _train(copy, model, data, EPOCHS[name], trial, batch_size=BATCH)
        trial.own = _finite(sum(m.value for m in copy["evaluate"].measure(model, data, threads=1).values()))
        alone = [says(model, x[i : i + 1]) for i in range(len(x))]
        trial.judged = _finite(((np.stack(alone) - wanted(test)) ** 2).sum() / len(x))
    if name == "unet":
        outputs, samples = np.stack(alone[:SHOWN]), wanted(test)[:SHOWN]
    else:
        largest = np.stack(alone[:SHOWN]).max(axis=4).repeat(STRIDE, axis=2).repeat(STRIDE, axis=3)
        samples, outputs = largest[:, 0], largest[:, 1]
    trial.inputs, trial.outputs, trial.samples = (a.reshape(SHOWN, -1) for a in (x[:SHOWN], outputs, samples))
    return trial


def _unet(copy, data):
    return copy["models.unet"].UNet.of_data(data, "denoise", base=4, levels=2, norm="batch", seed=0)


def _hourglass(copy, data):
    return copy["models.hourglass"].Hourglass.of_data(data, features=8, stride=STRIDE, levels=2, seed=0)


def _maps(fields):
    """A Gaussian of one pixel around each joint that is seen, on maps STRIDE times smaller, for every stage.   → (N, 1, h, w, J)"""
    at = (fields["points"][:, None, None] + 0.5) / STRIDE - 0.5
    row, column = np.mgrid[tuple(slice(n // STRIDE) for n in fields["clean"].shape[1:])][..., None]
    maps = np.exp(-((column - at[..., 0]) ** 2 + (row - at[..., 1]) ** 2) / 2)
    return (maps * fields["visible"][:, None, None])[:, None]


# Of each network whose output is an image: its data, how it is made, what it says of images (1, D), what was wanted, its figure, and
# what the pictures of a trial are.
NETWORKS = {
    "unet": (
        "clutter", _unet, lambda model, x: model.net.forward(x)[0], lambda fields: fields["clean"][..., None] / 255,
        "squared error per image", ("Test images, and what it makes of them", "The clean images"),
    ),
    "hourglass": (
        "figures", _hourglass, lambda model, x: np.concatenate(model.heat(x)), _maps, "squared error of both stages per image",
        ("Test images, and the last stage's maps (the largest of all joints)", "The first stage's maps"),
    ),
}  # fmt: skip


def _own_figure(copy, model, data):
    """What the copy's own evaluation says."""
    if model.kind == "vae":
        try:
            return copy["evaluate"].measure(model, data, threads=1)["-ELBO"].value
        except (copy["errors"].DataError, copy["errors"].NonFiniteError):  # a figure that no likelihood can have: it says none
            return np.nan
    x = (data.test.images[:JUDGED] / 255).astype(model.dtype)
    return -float(copy["study.museum.iwae"].log_likelihood(model, x, DRAWS).mean())


def judge(model, data):
    """The test figure of a network by correct formulas: its encoder says N(μ, e^logvar), its decoder says the likelihood.

    Of the model only the two networks are used. uint8 images are divided by 255, z is sampled.
    """
    x = data.test.images if model.kind == "vae" else data.test.images[:JUDGED]
    x = (x / 255).astype(model.dtype)
    L, draws = model.latent, 1 if model.kind == "vae" else DRAWS
    code = model.encoder.forward(x).copy()
    mu, logvar = np.ascontiguousarray(code[:, :L]), np.ascontiguousarray(code[:, L:])
    total = np.full(len(x), -np.inf)
    for k in range(draws):
        eps = rng.normal(0, rng.EVALUATE, k, np.arange(len(x)), L, model.dtype.type)
        z = ops.reparameterise(mu, logvar, eps, np.empty_like(mu), np.empty_like(mu))
        nll = _nll(model, model.decoder.forward(z), x)
        if draws == 1:
            work = np.empty_like(mu), np.empty_like(mu)
            return float((nll + ops.gaussian_kl(mu, logvar, np.empty_like(nll), work)).mean(dtype=float))
        log_w = 0.5 * (eps**2 + logvar - z**2).sum(axis=1) - nll
        total = np.logaddexp(total, log_w)
    return -float((total - np.log(draws)).mean())


def _nll(model, output, x):
    if model.config["likelihood"] == "bernoulli":
        return ops.bernoulli_nll(output, x, np.empty(len(x), x.dtype), (np.empty_like(x), np.empty_like(x)))
    return ops.gaussian_nll(output, model.likelihood.logvar.value, x, np.empty(len(x), x.dtype), np.empty_like(x))


def _draw(copy, model, data, trial):
    """Reconstructions and samples, as the copy makes them; its input comes through the copy's own gather."""
    images = data.test.images[:SHOWN]
    x = copy["data"].gather(images, np.arange(len(images)), np.empty(images.shape, model.dtype))
    try:
        outputs = model.reconstruct(x)
    except copy["errors"].DataError:  # the door refuses these numbers, or the code is not finite
        outputs = np.full(x.shape, np.nan)
    trial.inputs, trial.outputs, trial.samples = images / 255, outputs, model.sample(SAMPLES)


def _finite(value):
    return float(value) if np.isfinite(value) else None
