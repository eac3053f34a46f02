"""The same convolutional networks in JAX: the whole step as one XLA program. Its images are (B, H, W, C), as ours."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import common, conv_common
from .jax_jit import Jax, step

LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(layer, x, stride, pad):
    W, b = layer
    return lax.conv_general_dilated(x, W, (stride, stride), [(pad, pad)] * 2, dimension_numbers=LAYOUT) + b


def conv_transpose(layer, x, stride, pad):
    """W (kh, kw, O, I): a convolution of x with zeros between its pixels and the kernel turned round."""
    W, b = layer
    W, around = W[::-1, ::-1].swapaxes(2, 3), [(W.shape[0] - 1 - pad,) * 2] * 2
    return lax.conv_general_dilated(x, W, (1, 1), around, lhs_dilation=(stride, stride), dimension_numbers=LAYOUT) + b


def seen(images, rows):
    return (images[rows].astype(jnp.float32) * (1 / 255)).reshape(-1, 28, 28, 1)


def vae(w, images, rows, key):
    """→ −ELBO in nats per image"""
    x = seen(images, rows)
    h = jax.nn.relu(conv(w[1], jax.nn.relu(conv(w[0], x, 2, 1)), 2, 1)).reshape(len(rows), -1)
    mu, logvar = jnp.split(h @ w[2][0] + w[2][1], 2, axis=1)
    z = mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)
    h = jax.nn.relu(z @ w[3][0] + w[3][1]).reshape(-1, 7, 7, 64)
    a = conv_transpose(w[5], jax.nn.relu(conv_transpose(w[4], h, 2, 1)), 2, 1)
    return (jnp.sum(jax.nn.softplus(a) - x * a) - 0.5 * jnp.sum(1 + logvar - mu * mu - jnp.exp(logvar))) / len(rows)


def unet(w, images, rows, key):
    """→ squared error per image"""
    x = seen(images, rows)
    two = lambda i, h: jax.nn.relu(conv(w[i + 1], jax.nn.relu(conv(w[i], h, 1, 1)), 1, 1))
    pool = lambda h: h.reshape(len(h), h.shape[1] // 2, 2, h.shape[2] // 2, 2, -1).max((2, 4))
    a = two(0, x)
    b = two(2, pool(a))
    e = two(7, jnp.concatenate([b, conv_transpose(w[6], two(4, pool(b)), 2, 0)], -1))
    y = conv(w[12], two(10, jnp.concatenate([a, conv_transpose(w[9], e, 2, 0)], -1)), 1, 0)
    return jnp.sum((y - x) ** 2) / len(rows)


class ConvJax(Jax):
    def setup(self, images, batch_size, net, threads):
        self.images = jax.device_put(images)
        order = common.batches(len(images), batch_size)
        self.rows = itertools.cycle([jax.device_put(np.int32(next(order))) for _ in range(common.BATCHES)])
        made = zip(conv_common.weights(net), conv_common.outputs(net), strict=True)
        layers = [(jnp.asarray(W), jnp.zeros(size)) for W, size in made]
        zeros = functools.partial(jax.tree.map, jnp.zeros_like)
        self.state = (layers, zeros(layers), zeros(layers), jnp.float32(0), jax.random.key(0))
        self.step = jax.jit(functools.partial(step, loss=vae if net == "conv-vae" else unet), donate_argnums=0)
