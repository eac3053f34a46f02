"""The U-Net with and without its skips, and the batch size and learning rate that it trains best with.

    python benchmarks/unet.py skips --task denoise --images 1500 --out benchmarks/results/unet_denoise.json
    python benchmarks/unet.py skips --task segment --images 2000 --epochs 3 --out benchmarks/results/unet_segment.json
    python benchmarks/unet.py skips --task segment --images 4000 --epochs 6 --seeds 0 --out benchmarks/results/unet_segment_longer.json
    python benchmarks/unet.py settings --task denoise --images 1000 --epochs 1 --out benchmarks/results/unet_settings.json

`skips`: for each seed a U-Net, and the same without skips. The seed decides the first weights and the order of the images; the
data, the first images of the set and the first of its test split, are always the same. What each is worth on the test images,
where its errors lie, and what is left of it when one of its skips is silenced. `settings`: batch sizes and rates, the same epochs
for each.
"""

import argparse
import base64
import json
import time
from dataclasses import replace
from itertools import product
from statistics import mean, stdev

import numpy as np

import scratchvae
from scratchvae import timing
from scratchvae.errors import NonFiniteError
from scratchvae.evaluate import confusion, dice, measure, psnr
from scratchvae.files import json_rows, write_text
from scratchvae.models import UNet
from scratchvae.nn import Skip

DATA = {"denoise": "clutter", "segment": "overlap"}
TEST = 300  # images to measure on
SQUARES = 8, 4, 2, 1  # pixels to a side, from the places of the deepest level to those of the image
SHOWN = 8  # test images whose predictions are kept, for a picture
BATCHES, RATES = (4, 16, 128), (1e-3, 3e-3, 1e-2)


def load(task, images):
    data = scratchvae.load_data(DATA[task])
    return replace(data, train=data.train.take(np.arange(images)), test=data.test.take(np.arange(TEST)))


def trained(data, task, seed, base, norm, skips=True, **options):
    """→ (U-Net, seconds)   options: of `fit`"""
    model = UNet.of_data(data, task, base=base, norm=norm, skips=skips, seed=seed)
    began = time.perf_counter()
    scratchvae.fit(model, data, seed=seed, progress=False, threads=1, **options)
    return model, round(time.perf_counter() - began, 1)


def worth(task, predicted, split):
    """The mean Dice of the digits, or the mean PSNR, of what a model predicts of a split."""
    if task == "segment":
        return float(np.nanmean(dice(confusion(predicted, split.fields["segments"], 11))[1:]))
    return float(psnr(predicted, split.fields["clean"] / 255).mean())


def pixels(split):
    return split.images / np.float32(255)


# Where the errors lie -------------------------------------------------------------------------------------------------


def by_scale(predicted, clean):
    """{side: squared error per image in the means of squares of this side, beyond what lies in those of larger ones}"""
    rest, found = predicted.astype(np.float64) - clean, {}
    n, h, w = rest.shape
    for side in SQUARES:
        means = rest.reshape(n, h // side, side, w // side, side).mean(axis=(2, 4), keepdims=True)
        found[str(side)] = float(side**2 * (means**2).sum() / n)
        rest = (rest.reshape(n, h // side, side, w // side, side) - means).reshape(n, h, w)
    return found


def ink(predicted, truth):
    """Dice of all digits as one class."""
    return float(dice(confusion(predicted > 0, truth > 0, 2))[1])


def by_place(predicted, truth):
    """{place: share of the pixels that are wrong}: beside a border between two classes, and elsewhere"""
    border = np.zeros(truth.shape, bool)
    for near, far in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        differ = truth[near] != truth[far]
        border[near] |= differ
        border[far] |= differ
    wrong = predicted != truth
    return {"at a border": float(wrong[border].mean()), "elsewhere": float(wrong[~border].mean())}


# What is left without one skip ----------------------------------------------------------------------------------------


def silenced(model, images):
    """Predictions when the skip of one level hands on only each channel's mean over images and places, for each level."""
    found = []
    for skip in [module for _, module in model.modules() if isinstance(module, Skip)]:
        own = skip.forward
        skip.forward = lambda x, skip=skip: skip.join.forward(
            np.broadcast_to(x.mean(axis=(0, 1, 2), dtype=np.float64), x.shape).astype(x.dtype), skip.around.forward(x)
        )
        parts = [model.net.forward(images[i : i + model.chunk]) for i in range(0, len(images), model.chunk)]
        skip.forward = own
        y = np.concatenate(parts)
        found.append(y.argmax(axis=3) if model.task == "segment" else y[..., 0])
    return found


# The two questions ----------------------------------------------------------------------------------------------------


def one(data, task, seed, **options):
    """→ (what is known of one model, its predictions for the first test images)"""
    model, seconds = trained(data, task, seed, **options)
    test = data.test
    predicted = model.predict(pixels(test))
    found = {"parameters": int(model.buffer.values.size), "seconds": seconds, "worth": worth(task, predicted, test)}
    if task == "segment":
        found |= {"ink": ink(predicted, test.fields["segments"]), "errors": by_place(predicted, test.fields["segments"])}
    else:
        found["errors"] = by_scale(predicted, test.fields["clean"] / 255)
    if model.config["skips"]:
        found["silenced"] = [worth(task, y, test) for y in silenced(model, pixels(test))]
    kept = predicted[:SHOWN] if task == "segment" else np.clip(predicted[:SHOWN] * 255 + 0.5, 0, 255)
    return found, base64.b64encode(kept.astype(np.uint8).tobytes()).decode()


def skips(task, seeds, images, **options):
    """Yields a line for each model."""
    data = load(task, images)
    images = pixels(data.test).reshape(-1, *data.image_shape)
    given = {"given": worth(task, images, data.test)} if task == "denoise" else {}
    for seed in seeds:
        for skips in (True, False):
            found, shown = one(data, task, seed, skips=skips, **options)
            yield {"seed": seed, "skips": skips, **given, **found, **({"shown": shown} if seed == seeds[0] else {})}


def settings(task, seeds, images, batch_size, lr, **options):
    """Yields a line for each batch size and rate; those that were asked for count as two more."""
    data = load(task, images)
    for seed in seeds:
        for size, rate in product(sorted({*BATCHES, batch_size}), sorted({*RATES, lr})):
            line = {"seed": seed, "batch_size": size, "lr": rate}
            try:
                model, seconds = trained(data, task, seed, batch_size=size, lr=rate, **options)
                loss = next(iter(measure(model, data).values())).value
                predicted = model.predict(pixels(data.test))
                found = {"seconds": seconds, "loss": loss, "worth": worth(task, predicted, data.test)}
            except NonFiniteError as error:
                found = {"seconds": None, "loss": None, "worth": None, "failed": str(error)[:200]}
            yield line | found


def told(lines):
    """The mean over seeds, and the standard deviation, of all that has the same task and settings → [text]"""
    groups = {}
    for line in lines:
        groups.setdefault(tuple(line[k] for k in ("skips", "batch_size", "lr") if k in line), []).append(line["worth"])
    for key, values in groups.items():
        known = [v for v in values if v is not None]
        spread = f" ± {stdev(known):.3f}" if len(known) > 1 else ""
        yield f"{' '.join(map(str, key)):30} {mean(known):8.3f}{spread}" if known else f"{key}: not finite"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("skips", "settings"))
    parser.add_argument("--task", choices=DATA, default="denoise")
    parser.add_argument("--seeds", help="default: 0,1,2 of skips, 0 of settings")
    parser.add_argument("--images", type=int, default=5_000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--base", type=int, default=8)
    parser.add_argument("--norm", default="none")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--out")
    o = parser.parse_args()
    seeds = [int(s) for s in (o.seeds or ("0,1,2" if o.what == "skips" else "0")).split(",")]
    names = "images", "epochs", "base", "norm", "batch_size", "lr"
    options, lines = {name: getattr(o, name) for name in names}, []
    for line in {"skips": skips, "settings": settings}[o.what](o.task, seeds, **options):
        lines.append(line)
        print(json.dumps({k: v for k, v in line.items() if k != "shown"}), flush=True)
    unit = "Mean Dice of the digits" if o.task == "segment" else "PSNR in dB"
    print(f"\n{unit}, {TEST} test images of {DATA[o.task]}; ± standard deviation over seeds {seeds}")
    print("\n".join(told(lines)))
    if o.out:
        about = {"what": o.what, "task": o.task, "data": DATA[o.task], "test_images": TEST, "unit": unit}
        write_text(o.out, json_rows({**about, **options, "machine": timing.machine(), "lines": lines}))


if __name__ == "__main__":
    main()
