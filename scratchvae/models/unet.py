"""The U-Net (Ronneberger et al., 2015): an autoencoder whose way down is laid beside its way up, so that places need not pass the code."""

from functools import partial
from math import prod

import numpy as np

from .. import gate, nn
from ..errors import ConfigError
from .autoencoder import whole_list
from .hourglass import norm as group_norm
from .model import Model, Takes, check_multiple, shape_of
from .targets import Categorical, SquaredError

NORMS = {"none": None, "group": group_norm, "batch": nn.BatchNorm}
# Of each task: the field of its targets, the term, its unit, and the module that compares.
TASKS = {
    "segment": ("segments", "cross entropy", Model.unit, Categorical),
    "denoise": ("clean", "squared error", "squared error per image, summed over pixels, mean over images", SquaredError),
}


class UNet(Model):
    """x (B, H · W · C) → images → levels, one in another → a convolution 1 × 1 → for each pixel a number for each class, or its colour

        level(f):  x ── block ──┬────────────────────────────────────────────────┬── block ── y
                                └── halve ── level(2 f) ── twice as large, f ────┘

    The deepest level is one block. Without skips the upper way is cut: the same network as a convolutional autoencoder.
    """

    kind = "unet"
    chunk = 50
    training_defaults = {"batch_size": 4, "lr": 3e-3}

    def __init__(
        self, image_shape=(40, 40), base=16, levels=3, task="segment", classes=None, skips=True, norm="none", seed=0, dtype=np.float32,
        backend=None,
    ):
        """image_shape: (height, width), or in colour (height, width, 3) · base: channels of the first level, twice as many in each
        deeper one · levels: how often images are halved · task: "segment", to which `classes` belong (default 11), or "denoise" ·
        norm: after each convolution, "none", as in the paper, "group" or "batch". Raises ConfigError, also for images that cannot
        be halved so often.
        """
        shape, base, levels = whole_list("image_shape", image_shape), gate.whole("base", base), gate.whole("levels", levels)
        if len(shape) not in (2, 3):
            raise ConfigError(f"image_shape is (height, width) or (height, width, channels), not {shape}")
        check_multiple(shape, 2**levels, f"halved {levels} times")
        self.task, skips = gate.choice("task", task, TASKS), gate.flag("skips", skips)
        if classes is not None and task != "segment":
            raise ConfigError(f"classes belong to the task segment, not to {task}")
        if task == "segment":
            classes = gate.whole("classes", 11 if classes is None else classes, 2)
        self.field, term, self.unit, compare = TASKS[task]
        self.reads, self.terms = ("images", self.field), (term,)
        self.in_floats = self.reads if task == "denoise" else Model.in_floats
        self.config = {
            "image_shape": shape, "base": base, "levels": levels, "task": task, "classes": classes, "skips": skips,
            "norm": gate.choice("norm", norm, NORMS),
        }
        channels = prod(shape[2:])
        around = partial(level, levels=levels, join=nn.Skip if skips else nn.Sequential, norm=NORMS[norm])
        self.net = nn.Sequential(
            nn.Reshape(*shape[:2], channels), around(channels, base, input_gradient=False), nn.Conv2D(base, classes or channels, 1)
        )
        self.compare = compare()
        self.start(seed, dtype, backend)

    @classmethod
    def of_data(cls, data, task=None, classes=None, **options):
        """The task is the one whose targets there are, segments first, and the classes those that they name."""
        shape, fields = shape_of(data), data.train.fields
        wanted = [task] if task in TASKS else TASKS
        task = next((one for one in wanted if TASKS[one][0] in fields), None) if task is None or task in TASKS else task
        if task is None:
            fields = ", ".join(f"{name} {array.shape}" for name, array in fields.items())
            needed = " or ".join(f"{TASKS[one][0]} to {one}" for one in wanted)
            raise ConfigError(f"a U-Net needs a field {needed}, (N, height, width), as `overlap` has them: {data.name} has {fields}")
        if task == "segment" and classes is None:
            classes = max(2, 1 + max(int(split.fields["segments"].max(initial=0)) for split in data.splits.values()))
        return cls(shape, task=task, classes=classes, **options)

    @property
    def takes(self):
        shape = tuple(self.config["image_shape"])
        if self.task == "segment":
            return {"segments": Takes((shape[:2],), "iu", 0, self.config["classes"] - 1)}
        return {"clean": Takes((shape, (*shape[:2], 1)) if len(shape) == 2 else (shape,), "fu")}

    @property
    def described(self):
        c = self.config
        kind = ("U-Net" if c["skips"] else "U-Net without skips") + " " + "×".join(map(str, c["image_shape"]))
        to = f"{c['classes']} classes" if self.task == "segment" else "clean images"
        return f"{kind}, base {c['base']}, {c['levels']} level{'s' * (c['levels'] > 1)}, to {to}"

    def blank(self, columns=None):
        shape, segment = self.config["image_shape"], self.task == "segment"
        return [*super().blank(columns), np.zeros((1, *(shape[:2] if segment else shape)), np.uint8 if segment else self.dtype)]

    def forward(self, x, targets):
        """x (B, D) · targets: segments, whole numbers (B, H, W), or clean images (B, H, W) or (B, H, W, C) → (the term (B,),)"""
        self.rows(x)
        return (self.compare.forward(self.net.forward(x), targets),)

    def backward(self, dterm):
        """A number for each image (B,). Writes the gradient of every Parameter."""
        self.net.backward(self.compare.backward(dterm)[0])

    # Use: NumPy arrays in and out, whatever the backend ---------------------------------------------------------------

    def predict(self, x):
        """The class of each pixel, or the clean image.   x (N, D) or (D,) → whole numbers (N, H, W), or (N, *image_shape)"""
        shape = self.config["image_shape"]
        if self.task == "segment":
            write = lambda model, part, out: np.copyto(out, model.net.forward(part).argmax(axis=3), casting="unsafe")
            kind = np.min_scalar_type(self.config["classes"] - 1)
            return self._chunked("x", x, self.data_size, shape[:2], write, self.support).astype(kind)
        write = lambda model, part, out: np.copyto(out, model.net.forward(part).reshape(out.shape))
        return self._chunked("x", x, self.data_size, shape, write, self.support)


def level(inputs, features, levels, join, norm, input_gradient=True):
    """(B, H, W, inputs) → (B, H, W, features), around the levels below it; `join` lays what it had beside what comes from there."""
    first = block(inputs, features, norm, input_gradient)
    if levels == 0:
        return nn.Sequential(*first)
    deeper = level(features, 2 * features, levels - 1, join, norm)
    below = join(nn.MaxPool(2), deeper, nn.ConvTranspose2D(2 * features, features, 2, 2))
    return nn.Sequential(*first, below, *block(2 * features if join is nn.Skip else features, features, norm))


def block(inputs, features, norm, input_gradient=True):
    """[Two convolutions 3 × 3, each normalised and with a ReLU], padded, where the paper's are not: so the output has the image's size"""
    layers = []
    for channels in (inputs, features):
        layers.append(nn.Conv2D(channels, features, 3, pad=1, init_W=nn.init.he, input_gradient=input_gradient or bool(layers)))
        layers += [nn.ReLU()] if norm is None else [norm(features), nn.ReLU()]
    return layers
