"""Commands that look at a run: evaluate, sample and plot."""

import json
from contextlib import nullcontext
from pathlib import Path

from ..errors import ConfigError, DataError, counted, printable
from .options import (
    add_backend,
    add_best,
    add_data,
    add_run,
    add_threads,
    at_least_1,
    command,
    refuse_input,
    seed,
    whole,
)

MOST_TILES = 10_000  # each is up to 112 pixels high and wide


def add(commands):
    """Describe the commands of this file to argparse."""
    told = "measure a run's −ELBO, reconstruction and KL"
    sub = command(commands, evaluate, told, "scratchvae evaluate runs/vae-mnist-small-1 --json")
    add_run(sub)
    add_data(sub)
    add_best(sub)
    sub.add_argument("--split", choices=("train", "validation", "test"), default="test", help="which images")
    sub.add_argument("--samples", type=at_least_1, default=1, help="draws of z per image")
    sub.add_argument("--seed", type=seed, default=0, help="of the draws of z")
    add_backend(sub)
    add_threads(sub)

    told = "draw images from a trained model"
    sub = command(commands, sample, told, "scratchvae sample runs/vae-mnist-small-1 --n 64 --out s.png")
    add_run(sub)
    sub.add_argument("--n", type=whole(1, 1_000_000), default=100, help="how many")
    sub.add_argument("--seed", type=seed, default=0, help="of z, and of what is drawn")
    sub.add_argument("--draw", action="store_true", help="draw each pixel from what the decoder says, in place of its mean")
    sub.add_argument("--out", help="a .png grid, an .npz array, or a .csv of a table in its units (default: samples.png in the run)")
    add_best(sub)
    add_backend(sub)

    sub = command(commands, plot, "draw a run's figures again", "scratchvae plot runs/vae-mnist-small-1")
    add_run(sub)
    add_data(sub)
    add_best(sub)


def evaluate(o):
    from ..evaluate import judge, measure, table

    model, data = open_run(o.run, o.backend, o.data, o.best)
    measured, scores = measure(model, data, o.split, o.seed, o.samples, o.threads, progress=True), judge(model, data, o.split)
    if o.json:
        print(json.dumps(told_as_json(measured, scores), indent=2))
    else:
        print("\n".join([table(measured), *told_in_lines(scores), *which(o.run, o.best)]))


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
            title = f"{'Drawn samples' if o.draw else 'Samples'} of {model.described}"
            plots.draw_samples(model, shape, out, title, n=o.n, seed=o.seed, draw=o.draw)
        elif out.suffix == ".csv":
            write_csv(out, model.sample(o.n, o.seed, o.draw), note)
        else:
            with replacing(out) as temporary:
                images = undo(note.get("preparation", {}), model.sample(o.n, o.seed, o.draw))
                np.savez_compressed(temporary, images=images.reshape(-1, *shape))
    if o.json:
        print(json.dumps({"samples": o.n, "seed": o.seed, "file": str(out)}))
    else:
        print("\n".join([printable(out), *which(o.run, o.best)]))


def plot(o):
    figures = draw_figures(*open_run(o.run, location=o.data, best=o.best), o.run, o.best)
    print(json.dumps({"figures": figures}, indent=2) if o.json else "\n".join(map(printable, [*figures, *which(o.run, o.best)])))


# What commands share --------------------------------------------------------------------------------------------------


def told_as_json(measured, scores):
    """What `measure` and `judge` found, as JSON."""
    told = {name: m.to_dict() for name, m in measured.items()}
    return {**told, "scores": [one.to_dict() for one in scores]} if scores else told


def told_in_lines(scores):
    """What `judge` found, as text."""
    return [line for one in scores for line in ("", str(one))]


def draw_figures(model, data, out, best=None):
    """Draw the figures of a run folder → [path]"""
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


def open_run(run, backend="numpy", location=None, best=None, model=None):
    """The model of a run folder, on a backend, and the data it was trained on.

    location: where the data lie now, if not where they were · best, model: see `load_model`. Raises DataError when they are not the same.
    """
    from ..training import load_model

    data = find_data(run, location)
    return load_model(run, backend, best, model), data


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
