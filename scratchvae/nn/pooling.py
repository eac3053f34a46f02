"""Smaller and larger images: pooling and upsampling, channel by channel, on images (B, H, W, C)."""

from .. import gate
from ..errors import ShapeError
from .convolution import images, pair
from .module import Module


class Pool(Module):
    """One number for each window.   x (B, H, W, C) → y (B, h, w, C),  h = ⌊(H − size) / stride⌋ + 1"""

    def __init__(self, size=2, stride=None):
        """size, stride: one whole number, or (height, width); stride is size unless given. Raises ConfigError."""
        self.size = pair("size", size)
        self.stride = self.size if stride is None else pair("stride", stride)

    def forward(self, x):
        """Raises ShapeError for what is no image, or where the window does not fit in it."""
        images(self, x)
        if any(n < k for n, k in zip(x.shape[1:3], self.size, strict=True)):
            raise ShapeError(f"a window of {self.size} does not fit in an image of {x.shape[1:3]}")
        h, w = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], self.size, self.stride, strict=True))
        self.x = x
        self.y = self.new("y", (len(x), h, w, x.shape[3]), x.dtype)
        return self.pool(x, self.y)


class MaxPool(Pool):
    """The largest (E67)."""

    def pool(self, x, y):
        return self.ops.max_pool(x, y, self.size, self.stride)

    def backward(self, dY):
        """dY as y → dX as x"""
        self.floats(dY=dY, like=self.y)
        dX, work = (
            self.new("dX", self.x.shape, dY.dtype),
            (self.work(dY.shape, dY.dtype), self.work(dY.shape, dY.dtype)),
        )
        return self.ops.max_pool_backward(dY, self.x, self.y, dX, work, self.size, self.stride)


class AveragePool(Pool):
    """The mean (E68)."""

    def pool(self, x, y):
        return self.ops.average_pool(x, y, self.size, self.stride)

    def backward(self, dY):
        """dY as y → dX as x"""
        self.floats(dY=dY, like=self.y)
        dX = self.new("dX", self.x.shape, dY.dtype)
        return self.ops.average_pool_backward(dY, dX, self.work(dY.shape, dY.dtype), self.size, self.stride)


class Upsample(Module):
    """An image `factor` times as high and as wide.   x (B, H, W, C) → y (B, f H, f W, C)"""

    def __init__(self, factor=2, how="nearest"):
        """factor: one whole number, or (height, width) · how: "nearest" (E69) or "bilinear" (E70). Raises
        ConfigError."""
        self.factor, self.how = pair("factor", factor), gate.choice("how", how, ("nearest", "bilinear"))

    def forward(self, x):
        images(self, x)
        rows, height, width, channels = x.shape
        self.x = x
        self.y = self.new("y", (rows, height * self.factor[0], width * self.factor[1], channels), x.dtype)
        if self.how == "nearest":
            return self.ops.upsample_nearest(x, self.y)
        return self.ops.upsample_bilinear(x, self.y, self._tall())

    def backward(self, dY):
        """dY as y → dX as x"""
        self.floats(dY=dY, like=self.y)
        dX = self.new("dX", self.x.shape, dY.dtype)
        if self.how == "nearest":
            return self.ops.upsample_nearest_backward(dY, dX)
        return self.ops.upsample_bilinear_backward(dY, dX, self._tall())

    def _tall(self):
        """Two arrays as high as y and as wide as x."""
        rows, height, width, channels = self.x.shape
        shape = rows, height * self.factor[0], width, channels
        return self.work(shape, self.x.dtype), self.work(shape, self.x.dtype)
