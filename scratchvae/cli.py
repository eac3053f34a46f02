"""The command line: one small function per command, and no logic of its own."""

import argparse
import json
import sys
from pathlib import Path

from . import __version__
from .errors import ConfigError, ScratchVAEError


def main(arguments=None):
    """Run one command; returns the exit status: 0 well, 1 our own error or a failed check, 2 wrong usage, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except ScratchVAEError as error:
        print(f"scratchvae: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"scratchvae: {stop or 'stopped'}", file=sys.stderr)
        return 130


# The commands -----------------------------------------------------------------------------------------------------------


def train(o):
    from .data import load
    from .models import MODELS
    from .training import default_epochs, fit

    data = load(o.data)
    options = {"beta": o.beta} if o.model == "vae" else {}
    if o.model == "ae" and o.beta is not None:
        raise ConfigError("--beta belongs to --model vae")
    if o.beta is None:
        options.pop("beta", None)
    model = MODELS[o.model](
        data.train.images.shape[1], o.hidden, o.latent, o.activation, o.likelihood, o.sigma, o.init, seed=o.seed, **options
    )
    out = o.out or _free_folder(f"runs/{o.model}-{Path(data.name).stem}")
    epochs = o.epochs or default_epochs(len(data.train.images))
    if not o.json:
        print(f"{describe(model)} on {data.name}: {len(data.train.images):,} images, {epochs} epochs → {out}")
    fit(
        model, data, out=out, threads=o.threads, epochs=epochs, batch_size=o.batch_size, lr=o.lr, schedule=o.schedule,
        warmup=o.warmup, every=o.every, factor=o.factor, optimiser=o.optimiser, weight_decay=o.weight_decay, clip=o.clip,
        seed=o.seed, shards=o.shards, log_every=o.log_every,
    )
    return _finish(model, data, out, o)


def resume(o):
    from .training import resume

    model, data = _open(o.run)
    resume(model, data, o.run, threads=o.threads, epochs=o.epochs)
    return _finish(model, data, o.run, o)


def evaluate(o):
    from .evaluate import measure, table

    measured = measure(*_open(o.run), o.split, o.seed, o.samples, o.threads)
    if o.json:
        print(json.dumps({name: m.to_dict() for name, m in measured.items()}, indent=2))
    else:
        print(table(measured))


def sample(o):
    import numpy as np

    from . import plots
    from .files import replacing
    from .training import RunFolder, load_model

    shape, model = tuple(RunFolder(o.run).config()["data"]["image_shape"]), load_model(o.run)
    out = Path(o.out or Path(o.run) / "samples.png")
    if out.suffix == ".png":
        plots.draw_samples(model, shape, out, f"Samples of {describe(model)}", n=o.n, seed=o.seed)
    elif out.suffix == ".npz":
        with replacing(out) as temporary:
            np.savez_compressed(temporary, images=model.sample(o.n, o.seed).reshape(-1, *shape))
    else:
        raise ConfigError(f"--out must end in .png or .npz, not {out.name!r}")
    print(json.dumps({"samples": o.n, "seed": o.seed, "file": str(out)}) if o.json else out)


def plot(o):
    figures = _draw(*_open(o.run), o.run)
    print(json.dumps({"figures": figures}, indent=2) if o.json else "\n".join(figures))


def gradcheck(o):
    from .checks import check_all

    reports = check_all(o.seed)
    if o.json:
        print(json.dumps({name: report.to_dict() for name, report in reports.items()}, indent=2))
    else:
        print("\n\n".join(f"{name}\n{report}" for name, report in reports.items()))
    return 0 if all(report.ok for report in reports.values()) else 1


def bench(o):
    from . import bench

    result = bench.measure(o.batch_size, o.threads, o.rounds)
    print(json.dumps(result, indent=2) if o.json else bench.table(result))


def data(o):
    from .data import load

    dataset = load(o.name)
    splits = {name: _describe_split(getattr(dataset, name)) for name in ("train", "test")}
    height, width = dataset.image_shape
    if o.json:
        note = {"name": dataset.name, "source": dataset.source, "image_shape": [height, width]}
        print(json.dumps({**note, "fingerprint": dataset.fingerprint, **splits}, indent=2))
        return
    print(f"{dataset.name}: {height} × {width} pixels. {dataset.source}")
    for name, split in splits.items():
        labels = "no labels" if split["labels"] is None else "labels " + ", ".join(f"{k}: {n:,}" for k, n in split["labels"].items())
        print(f"{name:5}  {split['images']:>6,} images, {split['dtype']}, mean pixel {split['mean_pixel']:.4f}; {labels}")


def info(o):
    from . import timing
    from .training import RunFolder, load_model

    if o.run is None:
        note = {"scratchvae": __version__, **timing.machine()}
        print(json.dumps(note, indent=2) if o.json else "\n".join(f"{key:12} {value}" for key, value in note.items()))
        return
    config, model = RunFolder(o.run).config(), load_model(o.run)
    if o.json:
        print(json.dumps(config, indent=2))
    else:
        print(f"{describe(model)} on {config['data']['name']}\n{json.dumps(config['training'])}\n\n{model.summary()}")


# What the commands share ------------------------------------------------------------------------------------------------


def describe(model):
    """ "VAE 784-400-20", for titles and messages."""
    sizes = "-".join(map(str, [model.data_size, *model.config["hidden"], model.latent]))
    beta = f", β = {model.beta:g}" if getattr(model, "beta", 1) != 1 else ""
    return f"{ {'vae': 'VAE', 'ae': 'Autoencoder'}[model.kind]} {sizes}{beta}"


def _finish(model, data, out, o):
    """After training: what the model is worth, and the figures to open."""
    from .evaluate import measure, table

    measured = measure(model, data, threads=o.threads)
    figures = _draw(model, data, out)
    if o.json:
        print(json.dumps({"run": str(out), "test": {k: m.to_dict() for k, m in measured.items()}, "figures": figures}, indent=2))
    else:
        print("\n".join(["", table(measured), "", "Figures to open:", *(f"  {path}" for path in figures)]))


def _draw(model, data, out):
    from . import plots
    from .training import RunFolder

    records = RunFolder(out).records()
    epoch = max((record["epoch"] for record in records), default=0)
    title = f"{describe(model)}, {data.name} ({len(data.train.images):,} images), epoch {epoch:g}"
    return [str(path) for path in plots.draw_all(model, data, records, out, title)]


def _open(run):
    """The model of a run folder and the data it was trained on. Raises DataError when the data has changed since."""
    from .data import load
    from .errors import DataError
    from .training import RunFolder, load_model

    config = RunFolder(run).config()["data"]
    if not config["location"]:
        raise DataError(f"{run} was trained on data made in Python ({config['name']}): use it from Python, or train from a file")
    data = load(config["location"])
    if data.fingerprint != config["fingerprint"]:
        raise DataError(f"{config['location']} has changed since this run was trained on it")
    return load_model(run), data


def _describe_split(split):
    import numpy as np

    mean = float(np.mean(split.images, dtype=np.float64)) / (255 if split.images.dtype == np.uint8 else 1)
    labels = None
    if split.labels is not None:
        names, counts = np.unique(split.labels, return_counts=True)
        labels = {int(name): int(count) for name, count in zip(names, counts, strict=True)}
    return {"images": len(split.images), "dtype": str(split.images.dtype), "mean_pixel": mean, "labels": labels}


def _free_folder(stem):
    """stem-1, stem-2, … : the first that does not exist."""
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


# The parser -------------------------------------------------------------------------------------------------------------


def _parser():
    parser = argparse.ArgumentParser(
        prog="scratchvae", description="A Variational AutoEncoder with nothing hidden: train it, look at it, check it, time it."
    )
    parser.add_argument("--version", action="version", version=f"scratchvae {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, help, example):
        sub = commands.add_parser(
            function.__name__, help=help, description=help[0].upper() + help[1:] + ".", epilog=f"example: {example}",
            formatter_class=_Help,
        )
        sub.set_defaults(command=function)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    def threads(sub):
        sub.add_argument("--threads", type=_at_least_1, help="changes speed, never a bit of the result (default: one per core)")

    add = command(train, "train a model and draw its figures", "scratchvae train --data mnist --latent 2 --epochs 10").add_argument
    add("--data", default="mnist-small", help="mnist-small (bundled), mnist, fashion-mnist, or a folder, .npz or .npy of images")
    add("--model", choices=("vae", "ae"), default="vae", help="variational or plain autoencoder")
    add("--hidden", type=_sizes, default=[400], help="sizes of the encoder's hidden layers, such as 400,200; '' for none")
    add("--latent", type=_at_least_1, default=20, help="size of z")
    add("--activation", default="relu", help="relu, leaky_relu, tanh, sigmoid, softplus, gelu or silu")
    add("--likelihood", choices=("bernoulli", "gaussian"), default="bernoulli", help="what the decoder's output means")
    add("--sigma", type=float, help="fixed pixel σ of the gaussian likelihood (default: learned)")
    add("--beta", type=float, help="weight of the KL in a VAE (default: 1)")
    add("--init", choices=("glorot", "he", "lecun"), default="glorot", help="initial weights")
    add("--epochs", type=_at_least_1, help="passes over the images (default: 10 for 60,000 images, up to 60 for fewer)")
    add("--batch-size", type=_at_least_1, default=128, help="images per update")
    add("--lr", type=float, default=1e-3, help="learning rate")
    add("--schedule", choices=("constant", "step", "cosine"), default="constant", help="how the learning rate changes")
    add("--warmup", type=int, default=0, help="steps over which the learning rate first rises from 0")
    add("--every", type=_at_least_1, default=1000, help="steps between two drops of --schedule step")
    add("--factor", type=float, default=0.1, help="factor of each drop of --schedule step")
    add("--optimiser", default="adam", help="sgd, momentum, nesterov, rmsprop, adagrad, adam or adamw")
    add("--weight-decay", type=float, default=0.0, help="λ of the penalty λ/2 ‖parameters‖²")
    add("--clip", type=float, help="largest global norm of the gradient (default: none)")
    add("--seed", type=int, default=0, help="of the initial weights, the shuffling and the noise")
    add("--shards", type=_at_least_1, default=2, help="parts of a batch that threads may share; changes rounding")
    add("--log-every", type=_at_least_1, default=50, help="steps between two lines of metrics.jsonl")
    add("--backend", choices=("numpy",), default="numpy", help="array library")
    add("--out", help="run folder to make (default: runs/MODEL-DATA-NUMBER)")
    threads(add.__self__)

    sub = command(resume, "go on with a stopped run, as if it had never stopped", "scratchvae resume runs/vae-mnist-small-1")
    sub.add_argument("run", metavar="RUN", help="run folder")
    sub.add_argument("--epochs", type=_at_least_1, help="extend the run to this many epochs")
    threads(sub)

    sub = command(evaluate, "measure a run's −ELBO, reconstruction and KL", "scratchvae evaluate runs/vae-mnist-small-1 --json")
    sub.add_argument("run", metavar="RUN", help="run folder")
    sub.add_argument("--split", choices=("train", "test"), default="test", help="which images")
    sub.add_argument("--samples", type=_at_least_1, default=1, help="draws of z per image")
    sub.add_argument("--seed", type=int, default=0, help="of the draws of z")
    threads(sub)

    sub = command(sample, "draw images from a trained model", "scratchvae sample runs/vae-mnist-small-1 --n 64 --out s.png")
    sub.add_argument("run", metavar="RUN", help="run folder")
    sub.add_argument("--n", type=_at_least_1, default=100, help="how many")
    sub.add_argument("--seed", type=int, default=0, help="of z")
    sub.add_argument("--out", help="a .png grid or an .npz array (default: samples.png in the run folder)")

    sub = command(plot, "draw a run's figures again", "scratchvae plot runs/vae-mnist-small-1")
    sub.add_argument("run", metavar="RUN", help="run folder")

    sub = command(gradcheck, "check every derivative against complex steps", "scratchvae gradcheck")
    sub.add_argument("--seed", type=int, default=0, help="of the inputs that are checked")

    sub = command(bench, "time training steps, evaluation and sampling on this machine", "scratchvae bench --threads 2")
    sub.add_argument("--batch-size", type=_at_least_1, default=128, help="images per step")
    sub.add_argument("--rounds", type=_at_least_1, default=10, help="interleaved rounds; medians are printed")
    threads(sub)

    sub = command(data, "describe a data set, fetching it if need be", "scratchvae data fashion-mnist")
    sub.add_argument("name", metavar="NAME|PATH", nargs="?", default="mnist-small", help="as for train --data")

    sub = command(info, "describe this installation, or a run", "scratchvae info runs/vae-mnist-small-1")
    sub.add_argument("run", metavar="RUN", nargs="?", help="run folder")
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one."""

    def _get_help_string(self, action):
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


def _at_least_1(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _sizes(text):
    return [_at_least_1(part) for part in text.split(",") if part.strip()]
