"""Convolution and its adjoint, on images (B, H, W, channels)."""

from functools import partial
from math import prod

from .. import gate
from ..errors import ConfigError, ShapeError
from . import init
from .module import Module
from .parameter import Parameter


def pair(name, value, least=1):
    """One whole number for both directions, or one for each: (height, width). Raises ConfigError."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ConfigError(f"{name} is a whole number, or (height, width), not {gate.shown(value)}")
    return tuple(gate.whole(name, one, least) for one in values)


def images(module, x, channels=None):
    """Refuse what is no batch of images (B, H, W, channels) of floats. Raises ShapeError."""
    module.floats(x=x)
    if x.ndim != 4 or (channels is not None and x.shape[3] != channels):
        wanted = f"(rows, height, width, {channels if channels is not None else 'channels'})"
        last = ": channels come last" if x.ndim == 4 and x.shape[1] == channels else ""
        raise ShapeError(f"{type(module).__name__} takes images {wanted}, not {x.shape}{last}")


class Kernel(Module):
    """What both convolutions hold: W (kh, kw, I, O), from I channels of the larger image to O of the smaller, and b."""

    precision = "fp32"  # of the products on a GPU: or "tf32", for its tensor cores

    def __init__(
        self, inputs, outputs, size, stride=1, pad=0, init_W=init.glorot, init_b=init.zeros, input_gradient=True
    ):
        """size, stride, pad: one whole number, or (height, width) · input_gradient=False skips dX, which a network's
        first layer need not compute; backward then returns None. Raises ConfigError."""
        self.inputs, self.outputs = gate.whole("inputs", inputs), gate.whole("outputs", outputs)
        self.size, self.stride, self.pad = pair("size", size), pair("stride", stride), pair("pad", pad, 0)
        self.input_gradient = input_gradient
        shape, fans = self.kernel()
        if any(init_W is one for one in init.INITS.values()):
            init_W = partial(init_W, fans=fans)
        self.W = Parameter(shape, init_W)
        self.b = Parameter((self.outputs,), init_b)

    def given(self, x):
        """Refuse an x that this kernel cannot take. Raises ShapeError."""
        images(self, x, self.inputs)
        self.suits(x, self.W)
        self.x = x

    def how(self, image):
        """The last arguments of the operations, by name: work among them.   image: the shape of the larger images"""
        size = self.ops.conv2d_work(image, self.W.shape, self.stride, self.pad)
        how = {"work": self.work((size,), self.x.dtype), "stride": self.stride, "pad": self.pad}
        return how if self.precision == "fp32" else {**how, "precision": self.precision}

    def operations(self, rows):
        """None until forward has seen an image: 2 · B · h · w · kh · kw · I · O for each of Y, dW and (if asked) dX."""
        if "outputs_seen" not in vars(self):
            return None
        return (3 if self.input_gradient else 2) * 2 * rows * self.outputs_seen * prod(self.W.shape)


class Conv2D(Kernel):
    """Y = W applied to every patch of X, + b (E62).   x (B, H, W, inputs) → y (B, h, w, outputs),

    h = ⌊(H + 2 pad − kh) / stride⌋ + 1
    """

    def kernel(self):
        shape = (*self.size, self.inputs, self.outputs)
        return shape, init.fans_of(shape)

    def image_after(self, height, width):
        """(h, w) of the output for an image of this height and width. Raises ShapeError where the kernel does not fit
        in it."""
        sides = []
        for n, k, s, p in zip((height, width), self.size, self.stride, self.pad, strict=True):
            if n + 2 * p < k:
                every = zip((height, width), self.size, self.pad, strict=True)
                least = tuple(max(1, n, k - 2 * p) for n, k, p in every)
                raise ShapeError(
                    f"a kernel of {self.size} does not fit in an image of {(height, width)} padded by {self.pad}: the "
                    f"nearest that it fits in is {least}"
                )
            sides.append((n + 2 * p - k) // s + 1)
        return tuple(sides)

    def forward(self, x):
        """Raises ShapeError for other channels, dtypes or libraries, and where the kernel is larger than the padded
        image."""
        self.given(x)
        h, w = self.image_after(*x.shape[1:3])
        y = self.new("y", (len(x), h, w, self.outputs), x.dtype)
        self.made = y.shape, y.dtype
        self.outputs_seen = h * w
        return self.ops.conv2d(x, self.W.value, self.b.value, y, **self.how(x.shape))

    def backward(self, dY):
        """dY as y → dX as x, or None. Writes W.grad and b.grad."""
        self.floats(dY=dY, like=self.made)
        dX = self.new("dX", self.x.shape, dY.dtype) if self.input_gradient else None
        gradients, how = (dX, self.W.grad, self.b.grad), self.how(self.x.shape)
        return self.ops.conv2d_backward(dY, self.x, self.W.value, *gradients, **how)


class ConvTranspose2D(Kernel):
    """Each pixel of X spreads a patch, + b: the adjoint of Conv2D (E65).   x (B, h, w, inputs) → y (B, H, W, outputs),

    H = (h − 1) · stride + kh − 2 pad + more. W (kh, kw, outputs, inputs), as of the convolution that it turns round.
    """

    def __init__(self, inputs, outputs, size, stride=1, pad=0, more=0, **options):
        """more: rows and columns beyond the smallest image that the convolution turns into this one, fewer than
        stride."""
        super().__init__(inputs, outputs, size, stride, pad, **options)
        self.more = pair("more", more, 0)
        if any(m >= s for m, s in zip(self.more, self.stride, strict=True)):
            raise ConfigError(f"more = {self.more} rows and columns must be fewer than the stride {self.stride}")

    def kernel(self):
        shape = (*self.size, self.outputs, self.inputs)
        window = prod(self.size)  # of it, a pixel of y is in every stride-th
        return shape, (max(1, window // prod(self.stride)) * self.inputs, window * self.outputs)

    def image_after(self, height, width):
        """(H, W) of the output for an image of this height and width. Raises ShapeError where nothing would be left."""
        every = zip((height, width), self.size, self.stride, self.pad, self.more, strict=True)
        sides = tuple((n - 1) * s + k - 2 * p + m for n, k, s, p, m in every)
        if min(sides) < 1:
            raise ShapeError(f"padding of {self.pad} leaves nothing of what an image of {(height, width)} spreads to")
        return sides

    def forward(self, x):
        """Raises ShapeError for other channels, dtypes or libraries."""
        self.given(x)
        y = self.new("y", (len(x), *self.image_after(*x.shape[1:3]), self.outputs), x.dtype)
        self.made = y.shape, y.dtype
        self.outputs_seen = x.shape[1] * x.shape[2]
        return self.ops.conv_transpose2d(x, self.W.value, self.b.value, y, **self.how(y.shape))

    def backward(self, dY):
        """dY as y → dX as x, or None. Writes W.grad and b.grad."""
        self.floats(dY=dY, like=self.made)
        dX = self.new("dX", self.x.shape, dY.dtype) if self.input_gradient else None
        gradients, how = (dX, self.W.grad, self.b.grad), self.how(dY.shape)
        return self.ops.conv_transpose2d_backward(dY, self.x, self.W.value, *gradients, **how)
