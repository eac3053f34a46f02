"""Commands about runs: train, resume, evaluate, sample, plot."""

import json
from contextlib import nullcontext
from pathlib import Path

from ..backend import NAMES
from ..errors import BackendError, ConfigError, DataError
from .options import (
    add_backend,
    add_data_options,
    add_graph,
    add_run,
    add_settings,
    add_threads,
    at_least_1,
    command,
    given_data_options,
    given_settings,
    number,
    seed,
    sizes,
)  # fmt: skip


def add(commands):
    """Describe the commands of this file to argparse."""
    sub = command(commands, train, "train a model and draw its figures", "scratchvae train --data mnist --latent 2 --epochs 10")
    add = sub.add_argument
    add("--data", default="mnist-small", help="mnist-small (bundled), mnist, fashion-mnist, a folder of images, or a .npz, .npy or .csv")
    add_data_options(sub)
    add("--model", choices=("vae", "ae"), default="vae", help="variational or plain autoencoder")
    add("--hidden", type=sizes, default=[400], help="sizes of the encoder's hidden layers, such as 400,200; '' for none")
    add("--latent", type=at_least_1, default=20, help="size of z")
    add("--activation", default="relu", help="relu, leaky_relu, tanh, sigmoid, softplus, gelu or silu")
    add("--likelihood", choices=("bernoulli", "gaussian"), default="bernoulli", help="what the decoder's output means")
    add("--sigma", type=number, help="fixed pixel σ of the gaussian likelihood (default: learned)")
    add("--beta", type=number, help="weight of the KL in a VAE (default: 1)")
    add("--init", choices=("glorot", "he", "lecun"), default="glorot", help="initial weights")
    add_settings(sub)
    add("--backend", choices=NAMES, default="numpy", help="numpy, or cupy for an NVIDIA GPU")
    add_graph(sub)
    add("--out", help="run folder to make (default: runs/MODEL-DATA-NUMBER)")
    add_threads(sub)

    sub = command(
        commands, resume, "go on with a stopped run, as if it had never stopped", "scratchvae resume runs/vae-mnist-small-1"
    )
    add_run(sub)
    sub.add_argument("--epochs", type=at_least_1, help="extend the run to this many epochs")
    sub.add_argument("--backend", choices=NAMES, help="go on on this one (default: that of the run)")
    add_graph(sub)
    add_threads(sub)

    sub = command(
        commands, evaluate, "measure a run's −ELBO, reconstruction and KL", "scratchvae evaluate runs/vae-mnist-small-1 --json"
    )
    add_run(sub)
    sub.add_argument("--split", choices=("train", "test"), default="test", help="which images")
    sub.add_argument("--samples", type=at_least_1, default=1, help="draws of z per image")
    sub.add_argument("--seed", type=seed, default=0, help="of the draws of z")
    add_backend(sub)
    add_threads(sub)

    sub = command(
        commands, sample, "draw images from a trained model", "scratchvae sample runs/vae-mnist-small-1 --n 64 --out s.png"
    )
    add_run(sub)
    sub.add_argument("--n", type=at_least_1, default=100, help="how many")
    sub.add_argument("--seed", type=seed, default=0, help="of z")
    sub.add_argument("--out", help="a .png grid, an .npz array, or a .csv of a table in its units (default: samples.png in the run)")
    add_backend(sub)

    sub = command(commands, plot, "draw a run's figures again", "scratchvae plot runs/vae-mnist-small-1")
    add_run(sub)


def train(o):
    from ..data import load
    from ..models import MODELS
    from ..training import fit

    data = load(o.data, **given_data_options(o))
    options = {"beta": o.beta} if o.model == "vae" else {}
    if o.model == "ae" and o.beta is not None:
        raise ConfigError("--beta belongs to --model vae")
    if o.beta is None:
        options.pop("beta", None)
    model = MODELS[o.model](
        data.train.images.shape[1], o.hidden, o.latent, o.activation, o.likelihood, o.sigma, o.init, seed=o.seed,
        backend=o.backend, **options
    )
    settings = given_settings(o).on(model, len(data.train.images))
    out = o.out or _free_folder(f"runs/{o.model}-{Path(data.name).stem}")
    if not o.json:
        for line in data.told:
            print(line)
        epochs = f"{settings.epochs} epoch{'s' * (settings.epochs > 1)}"
        print(f"{describe(model)} on {data.name}: {len(data.train.images):,} images, {epochs} → {out}")
    fit(model, data, out=out, threads=o.threads, graph=not o.no_graph, **settings.to_dict())
    return _finish(model, data, out, o)


def resume(o):
    from .. import backend
    from ..training import RunFolder, resume

    began_on = RunFolder(o.run).config().get("backend", "numpy")
    try:
        place = backend.get(o.backend or began_on)
    except BackendError as error:
        if o.backend is not None:
            raise
        raise BackendError(f"{o.run} was trained on {began_on}; `--backend numpy` goes on on the CPU. Here {error}") from None
    model, data = open_run(o.run, place, to_train=True)
    resume(model, data, o.run, threads=o.threads, epochs=o.epochs, graph=not o.no_graph)
    return _finish(model, data, o.run, o)


def evaluate(o):
    from ..evaluate import measure, table

    measured = measure(*open_run(o.run, o.backend), o.split, o.seed, o.samples, o.threads)
    if o.json:
        print(json.dumps({name: m.to_dict() for name, m in measured.items()}, indent=2))
    else:
        print(table(measured))


def sample(o):
    import numpy as np

    from .. import plots
    from ..data import undo, write_csv
    from ..files import replacing
    from ..training import RunFolder, load_model

    note, model = RunFolder(o.run).config()["data"], load_model(o.run, o.backend)
    shape = tuple(note["image_shape"])
    out = Path(o.out or Path(o.run) / "samples.png")
    if out.suffix not in (".png", ".npz", ".csv"):
        raise ConfigError(f"--out must end in .png or .npz, or in .csv for a table, not {out.name!r}")
    run = RunFolder(out.parent)
    with run.writing() if run.config_path.exists() else nullcontext():
        if out.suffix == ".png":
            plots.draw_samples(model, shape, out, f"Samples of {describe(model)}", n=o.n, seed=o.seed)
        elif out.suffix == ".csv":
            write_csv(out, model.sample(o.n, o.seed), note)
        else:
            with replacing(out) as temporary:
                np.savez_compressed(temporary, images=undo(note.get("preparation", {}), model.sample(o.n, o.seed)).reshape(-1, *shape))
    print(json.dumps({"samples": o.n, "seed": o.seed, "file": str(out)}) if o.json else out)


def plot(o):
    figures = _draw(*open_run(o.run), o.run)
    print(json.dumps({"figures": figures}, indent=2) if o.json else "\n".join(figures))


# What the commands share ------------------------------------------------------------


def describe(model):
    """ "VAE 784-400-20", for titles and messages."""
    sizes = "-".join(map(str, [model.data_size, *model.config["hidden"], model.latent]))
    beta = f", β = {model.beta:g}" if getattr(model, "beta", 1) != 1 else ""
    return f"{ {'vae': 'VAE', 'ae': 'Autoencoder'}[model.kind] } {sizes}{beta}"


def _finish(model, data, out, o):
    """After training: what the model is worth, and the figures to open."""
    from ..evaluate import measure, table

    measured = measure(model, data, threads=o.threads)
    figures = _draw(model, data, out)
    if o.json:
        print(
            json.dumps({"run": str(out), "test": {k: m.to_dict() for k, m in measured.items()}, "figures": figures}, indent=2)
        )
    else:
        print("\n".join(["", table(measured), "", "Figures to open:", *(f"  {path}" for path in figures)]))


def _draw(model, data, out):
    from .. import plots
    from ..training import RunFolder

    with RunFolder(out).writing() as folder:
        records = folder.records()
        epoch = max((record["epoch"] for record in records), default=0)
        title = f"{describe(model)}, {data.name} ({len(data.train.images):,} images), epoch {epoch:g}"
        chapters = [chapter["ended"]["epoch"] for chapter in folder.config()["history"]]
        return [str(path) for path in plots.draw_all(model, data, records, out, title, chapters)]


def open_run(run, backend="numpy", to_train=False):
    """The model of a run folder, on a backend, and the data it was trained on. Raises DataError when the data has changed since.

    to_train: where there is no checkpoint yet, the model that the run began with.
    """
    from ..data import load_again
    from ..training import RunFolder, first_model, load_model

    folder = RunFolder(run)
    config = folder.config()["data"]
    if not config["location"]:
        raise DataError(
            f"{run} was trained on data made in Python ({config['name']}): use it from Python, or train from a file"
        )
    data = load_again(config)
    if data.fingerprint != config["fingerprint"]:
        raise DataError(f"{config['location']} has changed since this run was trained on it")
    begins = to_train and not folder.checkpoint_path.exists()
    return (first_model if begins else load_model)(run, backend), data


def _free_folder(stem):
    """stem-1, stem-2, … : the first that does not exist."""
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
