"""Commands that train: train and resume."""

import json
from pathlib import Path

from ..backend import NAMES
from ..errors import BackendError, ConfigError, counted, printable
from ..training import KEPT, Settings
from .options import (
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
    sizes,
)
from .runs import draw_figures, find_data, told_as_json, told_in_lines, which


def add(commands):
    """Describe the commands of this file to argparse."""
    sub = command(
        commands, train, "train a model and draw its figures", "scratchvae train --data mnist --latent 2 --epochs 10"
    )
    add = sub.add_argument
    add("--data", default="mnist-small",
        help="mnist-small (bundled), mnist, fashion-mnist; clutter, overlap or figures, which are made; "
        "a folder of images, or a .npz, .npy or .csv")  # fmt: skip
    add_data_options(sub)
    add("--model", choices=("vae", "ae", "conv-vae", "iwae", "unet", "hourglass"), default="vae",
        help="variational, plain, convolutional variational or importance-weighted autoencoder; U-Net, which segments "
        "or cleans; Stacked Hourglass, which finds joints")  # fmt: skip
    flags = {}  # of the model's options, by their names

    def of_model(flag, **how):
        flags[add(flag, **how).dest] = flag

    of_model(
        "--hidden", type=sizes, help="sizes of the encoder's hidden layers, such as 400,200; '' for none (default: 400)"
    )
    of_model("--filters", type=sizes, help="channels after each convolution of a conv-vae (default: 32,64)")
    of_model("--latent", type=at_least_1, help="size of z (default: 20)")
    of_model("--activation", help="relu, leaky_relu, tanh, sigmoid, softplus, gelu or silu (default: relu)")
    of_model("--likelihood", choices=("bernoulli", "continuous-bernoulli", "gaussian", "pixel-gaussian", "logistic"),
             help="what the decoder's output means: on or off; a density on [0, 1]; any number, with one σ, or one for "
             "each pixel; one of 256 levels (default: bernoulli)")  # fmt: skip
    of_model("--sigma", type=number,
             help="σ of the gaussian likelihood's pixels (default: learned), or of an hourglass's targets "
             "(default: 1)")  # fmt: skip
    of_model("--beta", type=number, help="weight of the KL in a VAE (default: 1)")
    of_model("--kl-schedule", choices=("constant", "linear", "cyclical"),
             help="how that weight is reached (default: constant)")  # fmt: skip
    of_model("--kl-steps", type=at_least_1, help="over which it rises, or of one cycle")
    of_model("--draws", type=at_least_1, help="of z for each image, of an iwae (default: 5)")
    of_model("--gradient", choices=("iwae", "stl", "dreg"), help="of an iwae's encoder (default: iwae)")
    of_model("--init", dest="init_W", choices=("glorot", "he", "lecun"), help="initial weights (default: glorot)")
    of_model(
        "--task",
        choices=("segment", "denoise"),
        help="of a U-Net (default: that for which the data have targets, segments first)",
    )
    of_model("--base", type=at_least_1, help="channels of a U-Net's first level (default: 16)")
    of_model("--norm", choices=("none", "group", "batch"), help="after each of a U-Net's convolutions (default: none)")
    of_model("--no-skips", dest="skips", action="store_const", const=False,
             help="a U-Net without its skips, to see what they carry")  # fmt: skip
    of_model("--features", type=at_least_1, help="channels of an hourglass (default: 16)")
    of_model("--levels", type=at_least_1, help="how often a U-Net or an hourglass halves its maps (default: 3)")
    of_model("--stages", type=at_least_1, help="hourglasses, one after the other (default: 2)")
    of_model(
        "--stride", type=at_least_1, help="pixels of the image to a side of one of an hourglass's maps (default: 2)"
    )
    sub.set_defaults(of_model=flags)
    add_settings(sub)
    add("--validation", type=number, metavar="FRACTION",
        help="of the training images, set apart to find the best epoch by (default: none; 0.1 with "
        "--patience)")  # fmt: skip
    add_time(sub)
    add("--backend", choices=NAMES, default="numpy", help="numpy, or cupy for an NVIDIA GPU")
    add_graph(sub)
    add("--out", help="run folder to make (default: runs/MODEL-DATA-NUMBER)")
    add_threads(sub)

    told = "go on with a stopped run, as if it had never stopped"
    sub = command(commands, resume, told, "scratchvae resume runs/vae-mnist-small-1")
    add_run(sub)
    add_settings(sub, KEPT)
    add_data(sub)
    sub.add_argument(
        "--other-data", action="store_true", help="the data may be others than before: a new chapter of the run"
    )
    add_time(sub)
    sub.add_argument("--backend", choices=NAMES, help="go on on this one (default: that of the run)")
    add_graph(sub)
    add_threads(sub)


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
        raise BackendError(
            f"{o.run} was trained on {began_on}; `--backend numpy` goes on on the CPU. Here {error}"
        ) from None
    _refuse_ignored(o, place.name)
    folder = RunFolder(o.run)
    model = load_model(o.run, place, best=False) if folder.checkpoint_path.exists() else first_model(o.run, place)
    how = {"threads": o.threads, "graph": not o.no_graph, "max_seconds": o.time, "other_data": o.other_data}
    data = find_data(o.run, o.data, o.other_data)
    resume(model, data, o.run, **how, **given(o))
    return _finish(model, data, o.run, o)


def _options(o):
    """What was asked for of the model. Raises ConfigError for an option that it does not have."""
    from ..models import MODELS

    asked = {name: getattr(o, name) for name in o.of_model if getattr(o, name) is not None}
    for name in asked:
        if name not in MODELS[o.model].options():
            having = [kind for kind, model in MODELS.items() if name in model.options()]
            raise ConfigError(f"{o.of_model[name]} belongs to --model {' or '.join(having)}")
    return asked


def _finish(model, data, out, o):
    """After training: what the model is worth, and the figures to open."""
    from ..evaluate import judge, measure, table

    measured, scores = measure(model, data, threads=o.threads), judge(model, data)
    figures = draw_figures(model, data, out)
    if o.json:
        print(json.dumps({"run": str(out), "test": told_as_json(measured, scores), "figures": figures}, indent=2))
    else:
        told = ["", table(measured), *told_in_lines(scores), *which(out), *_unfinished(out), "", "Figures to open:"]
        print("\n".join([*told, *(f"  {printable(path)}" for path in figures)]))


def _unfinished(run):
    """Why a run ended before its last epoch, and how it goes on → [line] or []"""
    from ..training import RunFolder, two_epochs

    records, settings, two = RunFolder(run).records(), RunFolder(run).config()["training"], two_epochs(run)
    last = records[-1]["epoch"] if records else 0
    if last >= settings["epochs"]:
        return []
    patience = settings.get("patience")
    if two and patience and two[1] - two[0] >= patience:
        return [
            f"Stopped early, {patience} epochs after the best one; with a larger --patience, `scratchvae resume {run}` "
            "goes on"
        ]
    return [f"Stopped after {last:.4g} of {settings['epochs']} epochs; go on with: scratchvae resume {run}"]


def _refuse_ignored(o, backend):
    """Raise ConfigError for an option that would change nothing on this backend."""
    if backend == "numpy" and o.no_graph:
        raise ConfigError("--no-graph belongs to the cupy backend: on a CPU there is no graph")
    if backend != "numpy" and o.threads is not None:
        raise ConfigError("--threads belongs to the numpy backend: a GPU has its own")


def _free_folder(stem):
    """stem-1, stem-2, … : the first that does not exist."""
    number = 1
    while Path(f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
