"""The same network in PyTorch, from the same weights, on the same batches, by the same optimiser: does it come to the same?

    python benchmarks/twins.py unet --out benchmarks/results/twins_unet.json
    python benchmarks/twins.py hourglass --images 2000 --epochs 3 --out benchmarks/results/twins_hourglass.json

needs PyTorch, which nothing else here does. Two questions:

first step  in float64, on the same images: how far are the loss and the gradient of each parameter apart?
training    in float32, in the same order: what is each worth on held-out images? Rounding differs, and each step enlarges the
            difference; what becomes of it is compared with what another seed changes.

A model is a function below, which gives its `Twin`; all else is shared.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, stdev

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import scratchvae
from scratchvae import rng, timing
from scratchvae.data.stick_figures import JOINTS, torso
from scratchvae.evaluate import pck, peaks, psnr
from scratchvae.files import json_rows, write_text
from scratchvae.models import Hourglass, UNet
from scratchvae.training import Settings

TEST = 300  # held-out images


@dataclass
class Twin:
    """What is needed to compare: both models, of one configuration, and what they are for."""

    make: Callable  # (dtype, seed) → ours
    module: Callable  # () → PyTorch's, whose parameters come in the order of ours
    loss: Callable  # (module, *tensors of the fields that ours reads) → (B,)
    worth: Callable  # (outputs of `predict` for the test images, the test Split) → a number
    predict: Callable  # (module or ours, images (N, D) NumPy) → NumPy
    data: object  # Dataset
    unit: str


# The models -----------------------------------------------------------------------------------------------------------


class Level(nn.Module):
    """One level of a U-Net as PyTorch has it, channels first."""

    def __init__(self, inputs, features, levels, norm):
        super().__init__()
        self.first, self.deeper = double(inputs, features, norm), None
        if levels:
            self.deeper = Level(features, 2 * features, levels - 1, norm)
            self.up = nn.ConvTranspose2d(2 * features, features, 2, 2)
            self.last = double(2 * features, features, norm)

    def forward(self, x):
        x = self.first(x)
        if self.deeper is None:
            return x
        return self.last(torch.cat([x, self.up(self.deeper(F.max_pool2d(x, 2)))], dim=1))


def double(inputs, features, norm):
    norms = {"none": (), "batch": (nn.BatchNorm2d,), "group": (grouped,)}[norm]
    layers = []
    for channels in (inputs, features):
        layers += [nn.Conv2d(channels, features, 3, padding=1), *(make(features) for make in norms), nn.ReLU()]
    return nn.Sequential(*layers)


def grouped(channels):
    return nn.GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels)


def unet(images, norm="none", task="denoise", base=8, levels=3):
    data = scratchvae.load_data({"denoise": "clutter", "segment": "overlap"}[task])
    data = replace(data, train=data.train.take(np.arange(images)), test=data.test.take(np.arange(TEST)))
    outputs = 1 if task == "denoise" else 11
    square = lambda x: x.reshape(len(x), 1, *data.image_shape)

    def loss(module, x, target):
        y = module(square(x))
        if task == "segment":
            return F.cross_entropy(y, target.long(), reduction="none").sum(dim=(1, 2))
        return ((y[:, 0] - target) ** 2).sum(dim=(1, 2))

    def predict(model, x):
        if isinstance(model, UNet):
            return model.predict(x)
        with torch.no_grad():
            return model(square(torch.from_numpy(x)))[:, 0].numpy()

    return Twin(
        make=lambda dtype, seed: UNet.of_data(data, task, base=base, levels=levels, norm=norm, dtype=dtype, seed=seed),
        module=lambda: nn.Sequential(Level(1, base, levels, norm), nn.Conv2d(base, outputs, 1)),
        loss=loss, worth=lambda y, test: float(psnr(y, test.fields["clean"] / 255).mean()), predict=predict, data=data,
        unit="PSNR in dB",
    )  # fmt: skip


class Around(nn.Module):
    """An hourglass's block: a convolution and the way around it."""

    def __init__(self, features):
        super().__init__()
        self.around = nn.Sequential(grouped(features), nn.ReLU(), nn.Conv2d(features, features, 3, padding=1))

    def forward(self, x):
        return x + self.around(x)


class Both(nn.Module):
    """A level of an hourglass: a block beside all that is deeper, added."""

    def __init__(self, features, levels):
        super().__init__()
        deeper = Both(features, levels - 1) if levels > 1 else Around(features)
        self.beside = Around(features)
        down, up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.under = nn.Sequential(down, Around(features), deeper, Around(features), up)

    def forward(self, x):
        return self.beside(x) + self.under(x)


class Stage(nn.Module):
    def __init__(self, features, joints, levels, last):
        super().__init__()
        point = lambda a, b: nn.Conv2d(a, b, 1)
        top = Around(features), point(features, features), grouped(features), nn.ReLU()
        self.body, self.head, self.last = nn.Sequential(Both(features, levels), *top), point(features, joints), last
        if not last:
            self.again, self.back = point(features, features), point(joints, features)

    def forward(self, x):
        h = self.body(x)
        y = self.head(h)
        return y, None if self.last else x + self.again(h) + self.back(y)


class Stacked(nn.Module):
    def __init__(self, joints, features, levels, stages, stride):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, features, stride + 4, stride, 2), Around(features))
        self.stages = nn.ModuleList(Stage(features, joints, levels, k == stages - 1) for k in range(stages))

    def forward(self, x):
        x, maps = self.stem(x), []
        for stage in self.stages:
            y, x = stage(x)
            maps.append(y)
        return maps


def hourglass(images, stages=2, stride=4, levels=2, features=16):
    data = scratchvae.load_data("figures")
    data = replace(data, train=data.train.take(np.arange(images)), test=data.test.take(np.arange(TEST)))
    joints, square = len(JOINTS), lambda x: x.reshape(len(x), 1, *data.image_shape)
    sizes = {"stages": stages, "stride": stride, "levels": levels, "features": features}

    def loss(module, x, points, visible):
        maps = module(square(x))
        # Where the maps' pixels lie in the image.
        down, across = (stride * (torch.arange(n) + 0.5) - 0.5 for n in maps[0].shape[2:])
        far = (across - points[..., 0, None, None]) ** 2 + (down[:, None] - points[..., 1, None, None]) ** 2
        target = visible[..., None, None] * torch.exp(-far / (2 * stride**2))  # σ is one pixel of the maps
        return sum(((y - target) ** 2).sum(dim=(1, 2, 3)) for y in maps)

    def predict(model, x):
        if isinstance(model, Hourglass):
            return model.points(x)[:, -1]
        with torch.no_grad():
            maps = model(square(torch.from_numpy(x)))[-1]
        return (peaks(maps.permute(0, 2, 3, 1).numpy()) + 0.5) * stride - 0.5

    def found(at, test):
        points = test.fields["points"]
        return 100 * float(pck(at, points, torso(points), 0.2, test.fields["visible"]).mean())

    return Twin(
        make=lambda dtype, seed: Hourglass.of_data(data, dtype=dtype, seed=seed, **sizes),
        module=lambda: Stacked(joints, features, levels, stages, stride),
        loss=loss, worth=found, predict=predict, data=data, unit="PCK@0.2 of the torso in %, mean over joints",
    )  # fmt: skip


MODELS = {"unet": unet, "hourglass": hourglass}
TASKS = "denoise", "segment"
VARIANTS = {
    "unet": [{"task": task, "norm": norm} for task in TASKS for norm in ("none", "group", "batch")],
    "hourglass": [{"stages": stages, "stride": stride} for stages in (1, 2, 4) for stride in (2, 4)],
}


# What is shared -------------------------------------------------------------------------------------------------------


def as_theirs(array):
    """A weight of ours in PyTorch's order: kernels (rows, columns, a, b) → (b, a, rows, columns), dense ones transposed."""
    return {4: lambda: array.transpose(3, 2, 0, 1), 2: lambda: array.T}.get(array.ndim, lambda: array)()


def theirs(twin, ours):
    """PyTorch's module with the weights of ours."""
    module = twin.module().to(torch.float64 if ours.dtype == np.float64 else torch.float32).train()
    named = [(name, parameter.value) for name, parameter in ours.parameters() if parameter.trained]
    with torch.no_grad():
        for (name, value), parameter in zip(named, module.parameters(), strict=True):
            if as_theirs(value).shape != parameter.shape:
                raise SystemExit(f"{name} is {as_theirs(value).shape} here and {tuple(parameter.shape)} there")
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(as_theirs(value))))
    return module


def batch(ours, split, rows):
    """[array] of what the model reads of these rows: bytes as shares of white where it takes numbers."""
    fields = []
    for name in ours.reads:
        array = split.fields[name][rows]
        if name in ours.in_floats and array.dtype == np.uint8:
            array = array / np.asarray(255, ours.dtype)
        fields.append(array.astype(ours.dtype) if array.dtype.kind == "f" else array)
    return fields


def first_step(twin, seed=0, rows=16):
    """How far apart are the mean loss and the gradients of one batch?

    Of each parameter's gradient the largest difference, in parts of its largest entry, or of 1 % of the largest of all.
    """
    ours = twin.make(np.float64, seed).train()
    module, fields = theirs(twin, ours), batch(ours, twin.data.train, np.arange(rows))
    terms = ours.forward(*fields)
    ours.descend(np.full(rows, 1 / rows))
    loss = twin.loss(module, *map(torch.from_numpy, fields)).mean()
    loss.backward()
    named = [(name, parameter.grad) for name, parameter in ours.parameters() if parameter.trained]
    least = 1e-2 * max(np.abs(grad).max() for _, grad in named)  # before a norm a bias has no gradient but for rounding
    apart = {}
    for (name, grad), parameter in zip(named, module.parameters(), strict=True):
        wanted = parameter.grad.numpy()
        apart[name] = float(np.abs(as_theirs(grad) - wanted).max() / max(np.abs(wanted).max(), least))
    worst = max(apart, key=apart.get)
    mine = float(sum(term.sum() for term in terms)) / rows
    off = abs(mine / loss.item() - 1)
    return {"loss": mine, "loss apart": off, "gradients": len(apart), "furthest": apart[worst], "which": worst}


def train(twin, module, ours, settings):
    """Adam as PyTorch has it, on the batches that our training would take."""
    optimiser = torch.optim.Adam(module.parameters(), lr=settings.lr)
    images = len(twin.data.train.images)
    for epoch in range(settings.epochs):
        order = rng.permutation(settings.seed, epoch, images)
        for start in range(0, images, settings.batch_size):
            optimiser.zero_grad()
            fields = batch(ours, twin.data.train, order[start : start + settings.batch_size])
            twin.loss(module, *map(torch.from_numpy, fields)).mean().backward()
            optimiser.step()
    return module.eval()


def raced(twin, seed, epochs):
    """What both are worth after the same training. Ours has one shard: a batch norm's rows are those of its shard."""
    ours = twin.make(np.float32, seed)
    settings = Settings.for_model(ours, epochs=epochs, seed=seed, shards=1)
    module, x = theirs(twin, ours), twin.data.test.images / np.float32(255)
    train(twin, module, ours, settings)
    scratchvae.fit(ours, twin.data, progress=False, threads=1, **settings.to_dict())
    models = {"scratchvae": ours, "pytorch": module}
    worth = {who: twin.worth(twin.predict(model, x), twin.data.test) for who, model in models.items()}
    return {"seed": seed, "batch_size": settings.batch_size, "lr": settings.lr, **worth}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--images", type=int, default=1_000, help="to train on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out")
    o = parser.parse_args()
    torch.set_num_threads(1)
    steps = []
    for options in VARIANTS[o.model]:
        steps.append({**options, **first_step(MODELS[o.model](o.images, **options))})
        print(json.dumps(steps[-1]), flush=True)
    twin, runs = MODELS[o.model](o.images), []
    for seed in map(int, o.seeds.split(",")):
        runs.append(raced(twin, seed, o.epochs))
        print(json.dumps(runs[-1]), flush=True)
    print(f"\n{twin.unit}, {TEST} held-out images")
    for who in ("scratchvae", "pytorch"):
        values = [run[who] for run in runs]
        print(f"{who:12} {mean(values):.3f}" + (f" ± {stdev(values):.3f} over seeds" if len(values) > 1 else ""))
    print("difference   " + ", ".join(f"{run['scratchvae'] - run['pytorch']:+.3f}" for run in runs))
    if o.out:
        about = {"numpy": np.__version__, "torch": torch.__version__, "machine": timing.machine()}
        told = {"model": o.model, "images": o.images, "epochs": o.epochs, "test_images": TEST, "unit": twin.unit, **about}
        write_text(o.out, json_rows({**told, "first_step": steps, "runs": runs}))


if __name__ == "__main__":
    main()
