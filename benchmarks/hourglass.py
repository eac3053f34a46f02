"""Stacked Hourglasses of 1, 2 and 4 stages on stick figures: PCK of each stage, over seeds, after equal epochs.

    nice python benchmarks/hourglass.py --out benchmarks/results/hourglass.json

Each model sees the same images in the order of its seed, in batches of 8, with a learning rate of 0.006. Beside 1, 2
and 4 stages there are the four with a loss at the last stage only, and one stage with so many features that it takes
about as many parameters and multiplications as the four. What --out holds already is not trained again: the runs that
are kept took 77 to 431 seconds each, on two cores that did other work too.
"""

import argparse
import json
import platform
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import numpy as np

import scratchvae
from scratchvae.data.stick_figures import JOINTS, torso
from scratchvae.evaluate import judge, pck, peaks
from scratchvae.evaluate.scores import PARTS
from scratchvae.files import write_json
from scratchvae.models import Hourglass
from scratchvae.models.objective import Weighted
from scratchvae.training import fit

HOW = {"batch_size": 8, "lr": 6e-3}
SMALL = {"stride": 4, "levels": 2}  # maps of 12 × 12: a sixteenth of the image's pixels, and a quarter of the default's
VARIANTS = {  # name → stages, features
    "1 stage": (1, 16), "2 stages": (2, 16), "4 stages": (4, 16), "4 stages, loss at the last only": (4, 16),
    "1 stage of 32 features": (1, 32),
}  # fmt: skip
ROWS = 64  # images by which gradients are measured


class LastOnly(Hourglass):
    """No intermediate supervision: the other stages' losses are told, and weigh nothing."""

    @property
    def objective(self):
        return Weighted(**{term: float(term == self.terms[-1]) for term in self.terms})


def reach(model, data):
    """How large a gradient each stage's loss alone sends to the parameters of each: (S, S), row: whose loss"""
    split = data.train.take(np.arange(ROWS))
    inputs = split.images / np.float32(255), split.fields["points"], split.fields["visible"]
    one, none, norms = np.full(ROWS, 1 / ROWS, np.float32), np.zeros(ROWS, np.float32), []
    for k in range(len(model.stages)):
        model.forward(*inputs)
        model.backward(*(one if i == k else none for i in range(len(model.stages))))
        norms.append([float(np.sqrt(sum((p.grad**2).sum() for _, p in stage.parameters()))) for stage in model.stages])
    return norms


def trained(name, data, seed, epochs):
    """→ what is known of one model after training"""
    stages, features = VARIANTS[name]
    kind = LastOnly if "last only" in name else Hourglass
    model = kind.of_data(data, stages=stages, features=features, seed=seed, **SMALL)
    before, began = reach(model, data), time.perf_counter()
    fit(model, data, epochs=epochs, seed=seed, progress=False, **HOW)
    seconds = time.perf_counter() - began
    scores = {one.quantity: [[round(float(v), 4) for v in row] for row in one.values] for one in judge(model, data)}
    about = {"variant": name, "seed": seed, "parameters": int(model.buffer.values.size), "seconds": round(seconds, 1)}
    return {**about, "epochs": epochs, "reach": before, "reach, trained": reach(model, data), **scores}


def limits(data):
    """PCK of what needs no network: the mean pose, and the peaks of the targets, which are all that maps can tell."""
    train, test = data.train.fields, data.test.fields
    points, visible = test["points"], test["visible"]
    found = {"mean pose": np.broadcast_to(train["points"].mean(axis=0), points.shape)}
    for stride in (2, 4):
        model = Hourglass.of_data(data, stages=1, stride=stride, levels=1)
        maps = model.target(points, visible, len(points), np.float32)
        found[f"peaks of the targets, stride {stride}"] = (peaks(maps) + 0.5) * stride - 0.5
    size = torso(points)
    return {
        name: {f"PCK@{alpha:g}": round(float(pck(at, points, size, alpha, visible).mean()), 4) for alpha in PARTS}
        for name, at in found.items()
    }


def table(runs):
    """The means over seeds as lines: PCK@0.2 of each stage, and what it took."""
    lines = []
    for name in dict.fromkeys(run["variant"] for run in runs):
        those = [run for run in runs if run["variant"] == name]
        scores = np.array([run["PCK@0.2"][-1] for run in those]) * 100
        last = f"{mean(scores[:, -1]):.1f}" + (f" ± {stdev(scores[:, -1]):.1f}" if len(those) > 1 else "")
        stages = " ".join(f"{v:.1f}" for v in scores.mean(axis=0))
        took = f"{those[0]['parameters']:,} parameters, {mean(run['seconds'] for run in those):.0f} s"
        lines.append(f"{name:34} {last:12} stages {stages}   {took}, {len(those)} seeds")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000, help="of the 10,000 to train on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    whole = scratchvae.load_data("figures")
    data, runs = replace(whole, train=whole.train.take(np.arange(o.images))), []
    asked = {"data": "figures", "images": o.images, "model": SMALL, "training": HOW}
    if o.out and o.out.exists():
        kept = json.loads(o.out.read_text(encoding="utf-8"))
        if {name: kept[name] for name in asked} != asked:
            parser.error(f"{o.out} holds other runs: {kept['images']} images, {kept['model']}, {kept['training']}")
        runs = kept["runs"]
    done = {(run["variant"], run["seed"]) for run in runs}
    processor = platform.processor() or platform.machine()
    about = {"date": time.strftime("%Y-%m-%d"), "processor": processor, "numpy": np.__version__}
    told = {**asked, "about": about, "joints": JOINTS, "limits": limits(data)}
    for name, seed in product(VARIANTS, map(int, o.seeds.split(","))):
        if (name, seed) not in done:
            runs.append(trained(name, data, seed, o.epochs))
            print(f"{name}, seed {seed}: {runs[-1]['PCK@0.2'][-1]}, {runs[-1]['seconds']} s", flush=True)
            if o.out:
                write_json(o.out, {**told, "runs": runs})
    print(table(runs))


if __name__ == "__main__":
    main()
