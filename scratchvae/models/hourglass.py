"""The Stacked Hourglass (Newell et al., 2016): where the joints of a figure are, a heat map for each, mended from stage to stage."""

from math import prod

import numpy as np

from .. import gate, nn
from ..errors import ConfigError, ShapeError
from ..ops.numpy import peaks
from .autoencoder import whole_list
from .model import Model, Takes, check_multiple, shape_of


class Level(nn.Module):
    """y = b(x) + u(x): b keeps the resolution and so the places, u halves it, goes a level deeper and comes up again, and so sees more.

    x, y (B, H, W, C). The last level's u holds a block instead of a deeper one. At x two gradients meet: dX = that of b + that of u.
    """

    def __init__(self, features, levels):
        deeper = Level(features, levels - 1) if levels > 1 else block(features)
        self.beside = block(features)
        self.under = nn.Sequential(nn.MaxPool(2), block(features), deeper, block(features), nn.Upsample(2))

    def forward(self, x):
        return self.ops.plus(self.beside.forward(x), self.under.forward(x), self.new("sum", x.shape, x.dtype))

    def backward(self, dY):
        return self.ops.plus(self.beside.backward(dY), self.under.backward(dY), self.new("dX", dY.shape, dY.dtype))


class Stage(nn.Module):
    """x (B, h, w, C) → h, by an hourglass, and the maps y (B, h, w, J) that it reads from h

    Unless it is the last, it returns x + A h + B y too: what the next stage is given, in which the maps are put back.
    """

    def __init__(self, features, joints, levels, last):
        self.body = nn.Sequential(Level(features, levels), block(features), nn.Conv2D(features, features, 1), norm(features), nn.ReLU())
        self.head = nn.Conv2D(features, joints, 1)
        self.last = last
        if not last:
            self.again, self.back = nn.Conv2D(features, features, 1), nn.Conv2D(joints, features, 1)

    def forward(self, x):
        h = self.body.forward(x)
        y = self.head.forward(h)
        if self.last:
            return y, None
        told = self.ops.plus(self.again.forward(h), self.back.forward(y), self.new("told", x.shape, x.dtype))
        return y, self.ops.plus(x, told, self.new("next", x.shape, x.dtype))

    def backward(self, dY, dnext):
        """dY (B, h, w, J) of this stage's own loss, dnext as x of all stages after it, None for the last → dX

        Two gradients meet at y, two at h and two at x (E85).
        """
        if self.last:
            return self.body.backward(self.head.backward(dY))
        both = self.ops.plus(dY, self.back.backward(dnext), self.new("dboth", dY.shape, dY.dtype))
        from_y, from_next = self.head.backward(both), self.again.backward(dnext)
        dX = self.body.backward(self.ops.plus(from_y, from_next, self.new("dh", from_y.shape, dY.dtype)))
        return self.ops.plus(dnext, dX, self.new("dX", dnext.shape, dY.dtype))


class Hourglass(Model):
    """x (B, H · W · C) → images → a convolution that makes them `stride` times smaller → stages, each with maps (B, h, w, J) and a loss

    A stage's loss is Σ (map − target)² over pixels and joints (E21), the target a Gaussian of width σ around each joint that is seen,
    and 0 for one that is not. Each stage has its loss (intermediate supervision), so gradients enter at every one.
    """

    kind = "hourglass"
    reads = ("images", "points", "visible")
    unit = "squared error per image, summed over pixels and joints, mean over images"
    chunk = 50
    training_defaults = {"batch_size": 16, "lr": 3e-3}

    def __init__(
        self, image_shape=(48, 48), joints=11, features=16, levels=3, stages=2, stride=2, sigma=1.0, seed=0, dtype=np.float32, backend=None
    ):
        """image_shape: (height, width), or in colour (height, width, 3) · joints: to find · features: channels ·
        levels: how often an hourglass halves the maps · stages: hourglasses · stride: of the maps' pixels, in pixels of the image ·
        sigma: σ of a target, in pixels of the maps. Raises ConfigError, also for an image that cannot be halved so often.
        """
        shape = whole_list("image_shape", image_shape)
        if len(shape) not in (2, 3):
            raise ConfigError(f"image_shape is (height, width) or (height, width, channels), not {shape}")
        sizes = {"joints": joints, "features": features, "levels": levels, "stages": stages}
        joints, features, levels, stages = (gate.whole(name, size) for name, size in sizes.items())
        self.stride, self.sigma = gate.whole("stride", stride), gate.number("sigma", sigma, above=0)
        check_multiple(shape, self.stride * 2**levels, f"made {self.stride} times smaller and then halved {levels} times")
        self.terms = tuple(f"stage {k + 1}" for k in range(stages))
        self.size = shape[0] // self.stride, shape[1] // self.stride
        self.config = {
            "image_shape": shape, "joints": joints, "features": features, "levels": levels, "stages": stages, "stride": self.stride,
            "sigma": self.sigma,
        }
        # A kernel of stride + 4 pixels has its centre where the pixel of the map has its own.
        first = nn.Conv2D(prod(shape[2:]), features, self.stride + 4, self.stride, 2, input_gradient=False)
        self.stem = nn.Sequential(nn.Reshape(*shape[:2], prod(shape[2:])), first, block(features))
        self.stages = [Stage(features, joints, levels, last=k == stages - 1) for k in range(stages)]
        self.start(seed, dtype, backend)

    @classmethod
    def of_data(cls, data, **options):
        shape, fields = shape_of(data), data.train.fields
        points, visible = fields.get("points"), fields.get("visible")
        if points is None or visible is None or points.shape[1:] != (*visible.shape[1:], 2):
            raise ConfigError(
                f"an hourglass needs the fields points (N, joints, 2) and visible (N, joints), as `figures` has them: {data.name} has "
                f"{', '.join(f'{name} {array.shape}' for name, array in fields.items())}"
            )
        return cls(shape, points.shape[1], **options)

    @property
    def takes(self):
        J = self.config["joints"]
        return {"points": Takes(((J, 2),), "f"), "visible": Takes(((J,),), "biu", 0, 1)}

    @property
    def described(self):
        c = self.config
        shape, stages = "×".join(map(str, c["image_shape"])), f"{c['stages']} stage{'s' * (c['stages'] > 1)}"
        return f"Stacked Hourglass {shape}, {stages} of {c['levels']} level{'s' * (c['levels'] > 1)}, {c['features']} features"

    def blank(self, columns=None):
        shape = 1, self.config["joints"]
        return [*super().blank(columns), np.zeros((*shape, 2), self.dtype), np.zeros(shape, bool)]

    def forward(self, x, points, visible):
        """x (B, D) · points (B, J, 2), x and y in pixels of the image · visible (B, J) → the squared error of each stage (B,)"""
        self.rows(x)
        self.targets = self.target(points, visible, len(x), x.dtype)
        self.outputs = self.heat(x)
        errors = []
        for y in self.outputs:
            error, pixels = self.new("error", (len(x),), x.dtype), (len(x), y.size // len(x))
            flat = y.reshape(pixels), self.targets.reshape(pixels)
            errors.append(self.ops.squared_error(*flat, error, self.work(pixels, x.dtype)))
        return tuple(errors)

    def backward(self, *derrors):
        """One number for each image and stage (B,). Writes the gradient of every Parameter."""
        dX = None
        for stage, y, derror in reversed(list(zip(self.stages, self.outputs, derrors, strict=True))):
            self.floats(derror=derror, like=((len(y),), y.dtype))
            dY, pixels = self.new("dmaps", y.shape, y.dtype), (len(y), y.size // len(y))
            self.ops.squared_error_backward(derror, y.reshape(pixels), self.targets.reshape(pixels), dY.reshape(pixels))
            dX = stage.backward(dY, dX)
        self.stem.backward(dX)

    def heat(self, x):
        """x (B, D) → [maps (B, h, w, J) of each stage]"""
        x, outputs = self.stem.forward(x), []
        for stage in self.stages:
            y, x = stage.forward(x)
            outputs.append(y)
        return outputs

    def target(self, points, visible, rows, dtype):
        """→ the maps (B, h, w, J) that a stage is to draw. Raises ShapeError."""
        self.floats(points=points)
        J = self.config["joints"]
        if not isinstance(visible, self.backend.xp.ndarray) or points.shape != (rows, J, 2) or visible.shape != (rows, J):
            raise ShapeError(f"points must be ({rows}, {J}, 2) and visible ({rows}, {J}), not {points.shape} and {gate.shown(visible)}")
        return self.ops.heat_maps(points, self.sigma, self.new("targets", (rows, *self.size, J), dtype), visible, self.stride)

    # Use: NumPy arrays in and out, whatever the backend ---------------------------------------------------------------

    def maps(self, x):
        """Where each stage sees each joint.   x (N, D) or (D,) → (N, stages, h, w, J)"""

        def write(model, part, out):
            for k, y in enumerate(model.heat(part)):
                out[:, k] = y

        return self._chunked("x", x, self.data_size, (len(self.stages), *self.size, self.config["joints"]), write, self.support)

    def points(self, x):
        """Where each stage's maps are highest, in pixels of the image.   x (N, D) or (D,) → (N, stages, J, 2)"""
        maps = self.maps(x)
        at = peaks(maps.reshape(-1, *maps.shape[2:]), np.empty((maps.shape[0] * maps.shape[1], maps.shape[4], 2)))
        return ((at + 0.5) * self.stride - 0.5).reshape(*maps.shape[:2], self.config["joints"], 2)


def block(features):
    """Once 3 × 3 around which the input goes, where the paper's has it between two 1 × 1: that saves work in 256 channels, not in 16.

    Normalised before, as in the paper, but over groups of an image's own channels: so its maps depend on no other image.
    """
    return nn.Residual(norm(features), nn.ReLU(), nn.Conv2D(features, features, 3, pad=1))


def norm(channels):
    return nn.GroupNorm(1 if channels % 4 else channels // 4, channels)
