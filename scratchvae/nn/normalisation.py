"""Layers that normalise: each takes a view (R, P, G, D) of its input and lets one pair of operations do it (E71, E72).

Their input has its channels last, (B, …, C).
"""

import numpy as np

from .. import gate
from ..errors import ConfigError, ShapeError
from . import init
from .module import Module
from .parameter import Parameter

EPSILON = 1e-5


class Normalisation(Module):
    """y = scale · x̂ + shift, with x̂ of mean 0 and variance 1 over what the subclass's `view` puts into one row and
    group."""

    def __init__(self, channels, groups):
        """Raises ConfigError unless the channels can be divided into that many groups."""
        self.channels, groups = gate.whole("channels", channels), gate.whole("groups", groups)
        if channels % groups:
            divisors = ", ".join(str(k) for k in range(1, channels + 1) if channels % k == 0)
            raise ConfigError(f"{channels} channels cannot be divided into {groups} groups, but into {divisors}")
        self.groups = groups, channels // groups
        self.scale, self.shift = Parameter((channels,), init.constant(1.0)), Parameter((channels,), init.zeros)

    def forward(self, x):
        """x (B, …, C) → y as x. Raises ShapeError for other channels, dtypes or libraries."""
        self.suits(x, self.scale)
        if x.ndim < 2 or x.shape[-1] != self.channels:
            raise ShapeError(f"{type(self).__name__} takes (rows, …, {self.channels}), not {x.shape}")
        self.x, y = x, self.new("y", x.shape, x.dtype)
        self.xhat = self.new("xhat", self.view(x.shape), x.dtype)
        self.standardise(x.reshape(self.xhat.shape), y.reshape(self.xhat.shape))
        return y

    def standardise(self, x, y):
        """By the mean and the variance of each row and group."""
        rows = len(x), self.groups[0]
        self.mean, self.rstd = self.new("mean", rows, x.dtype), self.new("rstd", rows, x.dtype)
        self.ops.normalise(x, *self._learned(), y, self.xhat, self.mean, self.rstd, EPSILON)

    def backward(self, dY):
        """dY as y → dX as x. Writes scale.grad and shift.grad."""
        self.floats(dY=dY, like=self.x)
        dX = self.new("dX", dY.shape, dY.dtype)
        self.standardise_backward(dY.reshape(self.xhat.shape), dX.reshape(self.xhat.shape))
        return dX

    def standardise_backward(self, dY, dX):
        scale, dscale, dshift = (p.reshape(self.groups) for p in (self.scale.value, self.scale.grad, self.shift.grad))
        self.ops.normalise_backward(dY, self.xhat, self.rstd, scale, dX, dscale, dshift, self.work(dY.shape, dY.dtype))

    def _learned(self):
        return self.scale.value.reshape(self.groups), self.shift.value.reshape(self.groups)


class LayerNorm(Normalisation):
    """Over all channels of a row, or of each pixel of an image (Ba et al., 2016)."""

    def __init__(self, channels):
        super().__init__(channels, 1)

    def view(self, shape):
        return int(np.prod(shape[:-1])), 1, 1, shape[-1]


class GroupNorm(Normalisation):
    """Over all pixels of an image and the channels of a group (Wu & He, 2018)."""

    def __init__(self, groups, channels):
        super().__init__(channels, groups)

    def view(self, shape):
        return shape[0], int(np.prod(shape[1:-1])), *self.groups


class BatchNorm(Normalisation):
    """Over all images of a batch and their pixels, channel by channel (Ioffe & Szegedy, 2015).

    While it trains, by the mean and the variance of the rows that it is given: those of its shard, not of the whole
    batch. In use, by running ones. They are Parameters that are not trained: r ← r + rate · (that of the batch − r),
    where each shard's counts by its share of the batch's rows, so that any number of workers leaves the same.
    """

    wants_part = True

    def __init__(self, channels, rate=0.1):
        super().__init__(channels, channels)
        self.rate = gate.number("rate", rate, above=0, most=1)
        self.running_mean = Parameter((channels,), init.zeros, trained=False)
        self.running_variance = Parameter((channels,), init.constant(1.0), trained=False)

    def view(self, shape):
        return 1, int(np.prod(shape[:-1])), *self.groups

    def standardise(self, x, y):
        self.by_batch = self.training  # as forward was, so is backward
        if self.by_batch:
            if not x.size:
                raise ShapeError("BatchNorm takes the mean of a batch while it trains, and was given no rows")
            return super().standardise(x, y)
        self.rstd = 1 / np.sqrt(self.running_variance.value + EPSILON).reshape(self.groups)
        mean = self.running_mean.value.reshape(self.groups)
        return self.ops.standardise(x, mean, self.rstd, *self._learned(), y, self.xhat)

    def standardise_backward(self, dY, dX):
        if self.by_batch:
            super().standardise_backward(dY, dX)
            mean, variance = self.running_mean, self.running_variance
            pull = self.rate * self.part.share
            self.ops.follow(
                self.mean[0], self.rstd[0], mean.value, variance.value, pull, mean.grad, variance.grad, EPSILON
            )
            return
        scale, dscale, dshift = (p.reshape(self.groups) for p in (self.scale.value, self.scale.grad, self.shift.grad))
        self.ops.standardise_backward(dY, self.xhat, self.rstd, scale, dX, dscale, dshift)
        self.running_mean.grad[...] = self.running_variance.grad[...] = 0
