"""Commands about this installation and its parts: gradcheck, bench, data, info."""

import json

from .. import __version__
from ..errors import ConfigError, counted, printable
from .options import (
    add_backend,
    add_data_options,
    add_threads,
    at_least_1,
    command,
    given_data_options,
    refuse_input,
    seed,
)


def add(commands):
    """Describe the commands of this file to argparse."""
    sub = command(
        commands,
        gradcheck,
        "check every derivative, of ours or of a class of your own",
        "scratchvae gradcheck layer.py:MyLayer",
    )
    sub.add_argument(
        "target", metavar="FILE.py:CLASS", nargs="?", help="a class of your own (default: everything of ours)"
    )
    sub.add_argument("--seed", type=seed, default=0, help="of the inputs that are checked")

    sub = command(
        commands, bench, "time training steps, evaluation and sampling on this machine", "scratchvae bench --threads 2"
    )
    sub.add_argument("--batch-size", type=at_least_1, default=128, help="images per step")
    sub.add_argument("--rounds", type=at_least_1, default=10, help="interleaved rounds; medians are printed")
    add_backend(sub)
    add_threads(sub)

    help = "describe a data set, fetching it if need be, or convert it to one .npz"
    sub = command(commands, data, help, "scratchvae data photos --size 32 --out photos.npz")
    sub.add_argument("name", metavar="NAME|PATH", nargs="?", default="mnist-small", help="as for train --data")
    add_data_options(sub)
    sub.add_argument(
        "--out", metavar="OUT.npz", help="write images, labels and the split into this file, which train --data reads"
    )

    sub = command(commands, info, "describe this installation, or a run", "scratchvae info runs/vae-mnist-small-1")
    sub.add_argument("run", metavar="RUN", nargs="?", help="run folder")


def gradcheck(o):
    from ..checks import check_all, check_file, check_oracle

    if o.target:
        report = check_file(o.target, o.seed)
        print(json.dumps(report.to_dict(), indent=2) if o.json else report)
        return 0 if report.ok else 1
    reports = {**check_all(o.seed), **check_oracle(o.seed)}
    if o.json:
        print(json.dumps({name: report.to_dict() for name, report in reports.items()}, indent=2))
    else:
        print("\n\n".join(map(str, reports.values())))
    return 0 if all(report.ok for report in reports.values()) else 1


def bench(o):
    from .. import bench

    result = bench.measure(o.batch_size, o.threads, o.rounds, backend=o.backend)
    print(json.dumps(result, indent=2) if o.json else bench.table(result))


def data(o):
    from ..data import load, save_npz

    if o.out is not None and not o.out.endswith(".npz"):
        raise ConfigError(f"--out must end in .npz, not {o.out!r}")
    refuse_input(o.out or "", o.name)
    dataset = load(o.name, **given_data_options(o))
    if o.out is not None:
        save_npz(dataset, o.out)
    splits = {name: _describe_split(split) for name, split in dataset.splits.items()}
    if o.json:
        note = {**dataset.note(), "source": dataset.source, "out": o.out}
        print(json.dumps({**note, **splits}, indent=2))
        return
    height, width, *colour = dataset.image_shape
    table = "scaling" in dataset.preparation
    kind = f"{width} columns" if table else f"{height} × {width} pixels{', colour' if colour else ''}"
    what, of = ("row", "mean") if table else ("image", "mean pixel")
    print("\n".join(map(printable, [f"{dataset.name}: {kind}. {dataset.source}", *dataset.told])))
    wide = max(map(len, splits))
    for name, split in splits.items():
        labels = (
            "no labels"
            if split["labels"] is None
            else "labels " + ", ".join(f"{printable(k)}: {n:,}" for k, n in split["labels"].items())
        )
        count = f"{counted(split['images'], what):>{8 + len(what)}}"
        fields = "".join(f"; {field} {kind}" for field, kind in split["fields"].items())
        print(
            f"{name:{wide}}  {count}, {split['dtype']}, {of} {round(split['mean_pixel'], 4) + 0.0:.4f}; "
            f"{labels}{fields}"
        )
    if o.out is not None:
        print(f"written to {printable(o.out)}")


def info(o):
    from .. import timing
    from ..training import RunFolder, load_model, story

    if o.run is None:
        note = {"scratchvae": __version__, **timing.machine()}
        print(json.dumps(note, indent=2) if o.json else "\n".join(f"{key:12} {value}" for key, value in note.items()))
        return
    config, model = RunFolder(o.run).config(), load_model(o.run)
    if o.json:
        print(json.dumps(config, indent=2))
    else:
        chapters = "\n".join(story(config))
        print(f"{model.described} on {printable(config['data']['name'])}\n{chapters}\n\n{model.summary()}")


def _describe_split(split):
    import numpy as np

    mean = float(np.mean(np.asarray(split.images), dtype=np.float64)) / (255 if split.images.dtype == np.uint8 else 1)
    labels = None
    if split.labels is not None:
        names, counts = np.unique(split.labels, return_counts=True)
        labels = {
            split.classes[name] if split.classes else int(name): int(n) for name, n in zip(names, counts, strict=True)
        }
    fields = {
        name: f"{array.dtype} {' × '.join(map(str, array.shape[1:]))}".rstrip() for name, array in split.others.items()
    }
    told = {"images": len(split.images), "dtype": str(split.images.dtype), "mean_pixel": mean}
    return {**told, "labels": labels, "fields": fields}
