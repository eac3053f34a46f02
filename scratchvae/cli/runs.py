"""Commands about runs: train, resume, evaluate, sample, plot."""

import json
from contextlib import nullcontext
from pathlib import Path

from ..backend import NAMES
from ..errors import BackendError, ConfigError, DataError, counted, printable
from ..training import KEPT, Settings
from .options import (
    add_backend,
    add_best,
    add_data,
    add_data_options,
    add_graph,
    add_run,
    add_settings,
    add_threads,
    add_time,
    at_least_1,
    command,
    given,
    given_data_options,
    number,
    refuse_input,
    seed,
    sizes,
    whole,
)

MODEL_OPTIONS = (
    "hidden", "filters", "latent", "activation", "likelihood", "sigma", "beta", "init_W", "features", "levels", "stages", "stride",
    "task", "base", "skips", "norm",
)  # fmt: skip
MOST_TILES = 10_000  # each is up to 112 pixels high and wide


def add(commands):
    """Describe the commands of this file to argparse."""
    sub = command(commands, train, "train a model and draw its figures", "scratchvae train --data mnist --latent 2 --epochs 10")
    add = sub.add_argument
    add("--data", default="mnist-small", help="mnist-small (bundled), mnist, fashion-mnist; clutter, overlap or figures, which are made; "
        "a folder of images, or a .npz, .npy or .csv")  # fmt: skip
    add_data_options(sub)
    add("--model", choices=("vae", "ae", "conv-vae", "unet", "hourglass"), default="vae",
        help="variational, plain or convolutional variational autoencoder; U-Net, which segments or cleans; Stacked Hourglass, which "
        "finds joints")  # fmt: skip
    add("--hidden", type=sizes, help="sizes of the encoder's hidden layers, such as 400,200; '' for none (default: 400)")
    add("--filters", type=sizes, help="channels after each convolution of a conv-vae (default: 32,64)")
    add("--latent", type=at_least_1, help="size of z (default: 20)")
    add("--activation", help="relu, leaky_relu, tanh, sigmoid, softplus, gelu or silu (default: relu)")
    add("--likelihood", choices=("bernoulli", "gaussian"), help="what the decoder's output means (default: bernoulli)")
    add("--sigma", type=number, help="σ of the gaussian likelihood's pixels (default: learned), or of an hourglass's targets (default: 1)")
    add("--beta", type=number, help="weight of the KL in a VAE (default: 1)")
    add("--init", dest="init_W", choices=("glorot", "he", "lecun"), help="initial weights (default: glorot)")
    add("--task", choices=("segment", "denoise"), help="of a U-Net (default: that for which the data have targets, segments first)")
    add("--base", type=at_least_1, help="channels of a U-Net's first level (default: 16)")
    add("--norm", choices=("none", "group", "batch"), help="after each of a U-Net's convolutions (default: none)")
    add("--no-skips", dest="skips", action="store_const", const=False, help="a U-Net without its skips, to see what they carry")
    add("--features", type=at_least_1, help="channels of an hourglass (default: 16)")
    add("--levels", type=at_least_1, help="how often a U-Net or an hourglass halves its maps (default: 3)")
    add("--stages", type=at_least_1, help="hourglasses, one after the other (default: 2)")
    add("--stride", type=at_least_1, help="pixels of the image to a side of one of an hourglass's maps (default: 2)")
    add_settings(sub)
    add("--validation", type=number, metavar="FRACTION",
        help="of the training images, set apart to find the best epoch by (default: none; 0.1 with --patience)")  # fmt: skip
    add_time(sub)
    add("--backend", choices=NAMES, default="numpy", help="numpy, or cupy for an NVIDIA GPU")
    add_graph(sub)
    add("--out", help="run folder to make (default: runs/MODEL-DATA-NUMBER)")
    add_threads(sub)

    sub = command(
        commands, resume, "go on with a stopped run, as if it had never stopped", "scratchvae resume runs/vae-mnist-small-1"
    )
    add_run(sub)
    add_settings(sub, KEPT)
    add_data(sub)
    sub.add_argument("--other-data", action="store_true", help="the data may be others than before: a new chapter of the run")
    add_time(sub)
    sub.add_argument("--backend", choices=NAMES, help="go on on this one (default: that of the run)")
    add_graph(sub)
    add_threads(sub)

    sub = command(
        commands, evaluate, "measure a run's −ELBO, reconstruction and KL", "scratchvae evaluate runs/vae-mnist-small-1 --json"
    )
    add_run(sub)
    add_data(sub)
    add_best(sub)
    sub.add_argument("--split", choices=("train", "validation", "test"), default="test", help="which images")
    sub.add_argument("--samples", type=at_least_1, default=1, help="draws of z per image")
    sub.add_argument("--seed", type=seed, default=0, help="of the draws of z")
    add_backend(sub)
    add_threads(sub)

    sub = command(
        commands, sample, "draw images from a trained model", "scratchvae sample runs/vae-mnist-small-1 --n 64 --out s.png"
    )
    add_run(sub)
    sub.add_argument("--n", type=whole(1, 1_000_000), default=100, help="how many")
    sub.add_argument("--seed", type=seed, default=0, help="of z")
    sub.add_argument("--out", help="a .png grid, an .npz array, or a .csv of a table in its units (default: samples.png in the run)")
    add_best(sub)
    add_backend(sub)

    sub = command(commands, plot, "draw a run's figures again", "scratchvae plot runs/vae-mnist-small-1")
    add_run(sub)
    add_data(sub)
    add_best(sub)


def train(o):
    from ..data import load
    from ..models import MODELS
    from ..training import fit

    settings = Settings.for_model(MODELS[o.model], **given(o))
    data = load(o.data, **given_data_options(o))
    if o.validation is not None or (settings.patience is not None and data.validation is None):
        data = data.with_validation(0.1 if o.validation is None else o.validation)
    model = MODELS[o.model].of_data(data, seed=settings.seed, backend=o.backend, **_options(o))
    _refuse_ignored(o, o.backend)
    settings = settings.on(model, data)
    out = o.out or _free_folder(f"runs/{o.model}-{Path(data.name).stem}")
    if not o.json:
        said = [data.source] * ("held_out" in data.preparation) + data.told
        print("".join(f"{printable(line)}\n" for line in said), end="")
        epochs = counted(settings.epochs, "epoch")
        images = counted(len(data.train.images), "image")
        print(f"{model.described} on {printable(data.name)}: {images}, {epochs} → {printable(out)}", flush=True)
    fit(model, data, out=out, threads=o.threads, graph=not o.no_graph, max_seconds=o.time, **settings.to_dict())
    return _finish(model, data, out, o)


def resume(o):
    from .. import backend
    from ..training import RunFolder, first_model, load_model, resume

    began_on = RunFolder(o.run).config()["backend"]
    try:
        place = backend.get(o.backend or began_on)
    except BackendError as error:
        if o.backend is not None:
            raise
        raise BackendError(f"{o.run} was trained on {began_on}; `--backend numpy` goes on on the CPU. Here {error}") from None
    _refuse_ignored(o, place.name)
    folder = RunFolder(o.run)
    model = load_model(o.run, place, best=False) if folder.checkpoint_path.exists() else first_model(o.run, place)
    how = {"threads": o.threads, "graph": not o.no_graph, "max_seconds": o.time, "other_data": o.other_data}
    data = find_data(o.run, o.data, o.other_data)
    resume(model, data, o.run, **how, **given(o))
    return _finish(model, data, o.run, o)


def evaluate(o):
    from ..evaluate import judge, measure, table

    model, data = open_run(o.run, o.backend, o.data, o.best)
    measured, scores = measure(model, data, o.split, o.seed, o.samples, o.threads, progress=True), judge(model, data, o.split)
    if o.json:
        print(json.dumps(_told(measured, scores), indent=2))
    else:
        print("\n".join([table(measured), *_lines(scores), *which(o.run, o.best)]))


def sample(o):
    import numpy as np

    from .. import plots
    from ..data import undo, write_csv
    from ..files import replacing
    from ..training import RunFolder, load_model

    note, model = RunFolder(o.run).config()["data"], load_model(o.run, o.backend, o.best)
    if not hasattr(model, "sample"):
        raise ConfigError(f"nothing can be drawn from {o.run}, a {model.described}: sample takes a run of a VAE or an autoencoder")
    shape = tuple(note["image_shape"])
    out = Path(o.out or Path(o.run) / "samples.png")
    if out.suffix not in (".png", ".npz", ".csv"):
        raise ConfigError(f"--out must end in .png or .npz, or in .csv for a table, not {out.name!r}")
    if out.suffix == ".png" and o.n > MOST_TILES:
        raise ConfigError(f"a picture holds at most {MOST_TILES:,} images, not {o.n:,}: give --out a name that ends in .npz")
    run = RunFolder(out.parent)
    refuse_input(out, run.checkpoint_path, run.best_path, note["location"])
    with run.writing() if run.config_path.exists() else nullcontext():
        if out.suffix == ".png":
            plots.draw_samples(model, shape, out, f"Samples of {model.described}", n=o.n, seed=o.seed)
        elif out.suffix == ".csv":
            write_csv(out, model.sample(o.n, o.seed), note)
        else:
            with replacing(out) as temporary:
                np.savez_compressed(temporary, images=undo(note.get("preparation", {}), model.sample(o.n, o.seed)).reshape(-1, *shape))
    if o.json:
        print(json.dumps({"samples": o.n, "seed": o.seed, "file": str(out)}))
    else:
        print("\n".join([printable(out), *which(o.run, o.best)]))


def plot(o):
    figures = _draw(*open_run(o.run, location=o.data, best=o.best), o.run, o.best)
    print(json.dumps({"figures": figures}, indent=2) if o.json else "\n".join(map(printable, [*figures, *which(o.run, o.best)])))


# What the commands share ------------------------------------------------------------


def _options(o):
    """What was asked for of the model. Raises ConfigError for an option that it does not have."""
    from ..models import MODELS

    asked = {name: value for name, value in vars(o).items() if name in MODEL_OPTIONS and value is not None}
    for name in asked:
        if name not in MODELS[o.model].options():
            having = [kind for kind, model in MODELS.items() if name in model.options()]
            option = {"init_W": "init", "skips": "no-skips"}.get(name, name)
            raise ConfigError(f"--{option} belongs to --model {' or '.join(having)}")
    return asked


def _finish(model, data, out, o):
    """After training: what the model is worth, and the figures to open."""
    from ..evaluate import judge, measure, table

    measured, scores = measure(model, data, threads=o.threads), judge(model, data)
    figures = _draw(model, data, out)
    if o.json:
        print(
            json.dumps({"run": str(out), "test": _told(measured, scores), "figures": figures}, indent=2)
        )
    else:
        told = ["", table(measured), *_lines(scores), *which(out), *_unfinished(out), "", "Figures to open:"]
        print("\n".join([*told, *(f"  {printable(path)}" for path in figures)]))


def _told(measured, scores):
    """What `measure` and `judge` found, as JSON."""
    told = {name: m.to_dict() for name, m in measured.items()}
    return {**told, "scores": [one.to_dict() for one in scores]} if scores else told


def _lines(scores):
    """What `judge` found, as text."""
    return [line for one in scores for line in ("", str(one))]


def _draw(model, data, out, best=None):
    from .. import plots
    from ..training import RunFolder, two_epochs

    with RunFolder(out).writing() as folder:
        config, records, two = folder.config(), folder.records(), two_epochs(out)
        last = max((record["epoch"] for record in records), default=0)
        epoch = f"{two[0]:g}, the best of {two[1]:g}" if two and best is not False else f"{last:g}"
        title = f"{model.described}, {data.name} ({counted(len(data.train.images), 'image')}), epoch {epoch}"
        chapters = [chapter["ended"]["epoch"] for chapter in config["history"]]
        return [str(path) for path in plots.draw_all(model, data, records, out, title, chapters)]


def which(run, best=None):
    """In words which of a run's two models is meant, where they are two → [line] or []"""
    from ..training import two_epochs

    two = two_epochs(run)
    if two is None or two[0] == two[1]:
        return []
    two = f"epoch {two[0]:g}, the best on the validation images", f"epoch {two[1]:g}, the last"
    (this, other), option = (two[::-1], "--best") if best is False else (two, "--no-best")
    return [f"The model is that of {this}; {option} takes that of {other}"]


def _unfinished(run):
    """Why a run ended before its last epoch, and how it goes on → [line] or []"""
    from ..training import RunFolder, two_epochs

    records, settings, two = RunFolder(run).records(), RunFolder(run).config()["training"], two_epochs(run)
    last = records[-1]["epoch"] if records else 0
    if last >= settings["epochs"]:
        return []
    patience = settings.get("patience")
    if two and patience and two[1] - two[0] >= patience:
        return [f"Stopped early, {patience} epochs after the best one; with a larger --patience, `scratchvae resume {run}` goes on"]
    return [f"Stopped after {last:.4g} of {settings['epochs']} epochs; go on with: scratchvae resume {run}"]


def _refuse_ignored(o, backend):
    """Raise ConfigError for an option that would change nothing on this backend."""
    if backend == "numpy" and o.no_graph:
        raise ConfigError("--no-graph belongs to the cupy backend: on a CPU there is no graph")
    if backend != "numpy" and o.threads is not None:
        raise ConfigError("--threads belongs to the numpy backend: a GPU has its own")


def open_run(run, backend="numpy", location=None, best=None):
    """The model of a run folder, on a backend, and the data it was trained on.

    location: where the data lie now, if not where they were · best: see `load_model`. Raises DataError when the data are not the same.
    """
    from ..training import load_model

    data = find_data(run, location)
    return load_model(run, backend, best), data


def find_data(run, location=None, other=False):
    """The data of a run, from where they were or from `location`; others too, if they may be. Raises DataError."""
    from ..data import load_again
    from ..training import RunFolder, difference

    note = RunFolder(run).config()["data"]
    place = location or note["location"]
    if not place:
        raise DataError(f"{run} was trained on data made in Python ({note['name']}): use it from Python, or name a file with --data")
    try:
        data = load_again(note, place)
    except DataError as error:
        if location is None and Path(place).is_absolute() and not Path(place).exists():
            raise DataError(f"the data of {run} are no longer at {place}: say with --data where they are now") from error
        raise
    if not data.is_of(note) and not other:
        changed = "is not what" if location else "has changed since"
        raise DataError(f"{place} {changed} {run} was trained on{' it' * (not location)}: {difference(note, data)}")
    return data


def _free_folder(stem):
    """stem-1, stem-2, … : the first that does not exist."""
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
