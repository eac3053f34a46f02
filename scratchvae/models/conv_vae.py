"""A VAE for images: strided convolutions make them smaller, their adjoints larger again. All else is the VAE's."""

from math import prod

import numpy as np

from .. import gate, nn
from ..errors import ConfigError
from ..nn.convolution import pair
from .autoencoder import parts_of, whole_list
from .vae import VAE


class ConvVAE(VAE):
    """x (B, H · W · C) → images (B, H, W, C) → convolutions → code (B, 2L) → z (B, L) → transposed convolutions → (B, H · W · C)

    The decoder mirrors the encoder, layer by layer, so its output is of the image's size whatever that is.
    """

    kind, name = "conv-vae", "Convolutional VAE"

    def __init__(
        self, image_shape=(28, 28), filters=(32, 64), size=4, stride=2, latent=20, activation="relu", likelihood="bernoulli", sigma=None,
        init_W="glorot", beta=1.0, kl_schedule="constant", kl_steps=None, seed=0, dtype=np.float32, backend=None,
    ):
        """image_shape: (height, width), or in colour (height, width, 3) · filters: channels after each convolution · size, stride: of
        the kernels, whole numbers or (height, width). All else as in VAE. Raises ConfigError, also for an image that is too small.
        """
        shape, filters, latent = whole_list("image_shape", image_shape), whole_list("filters", filters), gate.whole("latent", latent)
        if len(shape) not in (2, 3) or not filters:
            raise ConfigError(f"image_shape is (height, width) or (height, width, channels), and filters are some: not {shape}, {filters}")
        act, start, like = parts_of(activation, init_W, likelihood, sigma)
        size, stride = pair("size", size), pair("stride", stride)
        pad = tuple(max(0, (k - s) // 2) for k, s in zip(size, stride, strict=True))
        weighed = self.weigh(beta, kl_schedule, kl_steps)
        self.latent, down, up = latent, [], []
        height, width, channels = *shape[:2], prod(shape[2:])
        at = height, width
        for before, after in zip([channels, *filters], filters, strict=False):
            _fits(shape, at, size, stride, pad, len(filters))
            more = tuple((n + 2 * p - k) % s for n, p, k, s in zip(at, pad, size, stride, strict=True))
            down += [nn.Conv2D(before, after, size, stride, pad, start, input_gradient=bool(down)), act()]
            outputs = before if up else like.outputs * before
            up[:0] = [act(), nn.ConvTranspose2D(after, outputs, size, stride, pad, more, init_W=start)]
            at = down[-2].image_after(*at)
        code = prod(at) * filters[-1]
        self.encoder = nn.Sequential(nn.Reshape(height, width, channels), *down, nn.Flatten(), nn.Dense(code, self.code_size, start))
        self.decoder = nn.Sequential(nn.Dense(latent, code, start), nn.Reshape(*at, filters[-1]), *up, nn.Flatten())
        like.channels = channels
        self.likelihood = like
        self.config = {
            "image_shape": shape, "filters": filters, "size": list(size), "stride": list(stride), "latent": latent,
            "activation": activation, "likelihood": likelihood, "sigma": getattr(like, "sigma", None), "init_W": init_W, **weighed,
        }
        self.start(seed, dtype, backend)

    def forward(self, x, eps=None):
        self.rows(x)
        return super().forward(x, eps)

    @property
    def described(self):
        sizes = "×".join(map(str, self.config["image_shape"])), *map(str, self.config["filters"]), str(self.latent)
        return f"{self.name} {'-'.join(sizes)}" + (f", β = {self.beta:g}" if self.beta != 1 else "")


def _fits(shape, at, size, stride, pad, layers):
    """Raise ConfigError, naming the smallest image that fits, where a convolution in the chain is given less than its kernel."""
    if all(n + 2 * p >= k for n, k, p in zip(at, size, pad, strict=True)):
        return
    least = [1, 1]
    for _ in range(layers):
        least = [max(1, (n - 1) * s + k - 2 * p) for n, k, s, p in zip(least, size, stride, pad, strict=True)]
    kernels = f"{layers} convolutions with kernels of {size[0]} × {size[1]} and strides of {stride[0]} × {stride[1]}"
    raise ConfigError(f"images of {shape[0]} × {shape[1]} are too small for {kernels}: the smallest are {least[0]} × {least[1]}")
