"""JAX on a GPU: the whole step, gather to Adam, as one XLA program with donated buffers; alone, or many in one scan."""

import time

import jax
import jax.numpy as jnp

from . import gpu

VARIANTS = {"jit": "JAX, whole step jitted, one call per step", "scan": "JAX, 50 steps in one call (lax.scan)"}
CHUNK = 50


class Peer:
    def __init__(self, images, hidden, latent, batch, tf32, variant):
        self.versions, self.on_gpu = {"jax": jax.__version__}, jax.default_backend() == "gpu"
        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "float32")
        self.images, self.orders = jnp.asarray(images), jnp.asarray(gpu.orders(len(images), batch))
        self.split = gpu.sizes(images.shape[1], hidden, latent)[1]
        layers = [(jnp.asarray(W), jnp.asarray(b)) for W, b in gpu.weights(images.shape[1], hidden, latent)]
        zeros = lambda: jax.tree.map(jnp.zeros_like, layers)
        self.state = layers, zeros(), zeros(), jnp.zeros((), jnp.int32), jax.random.key(0)
        self.chunk = CHUNK if variant == "scan" else 1
        many = lambda state, images, orders: jax.lax.scan(lambda s, _: self._step(s, images, orders), state, length=self.chunk)
        self.step = jax.jit(many if variant == "scan" else self._step, donate_argnums=0)

    def _network(self, layers, x):
        for i, (W, b) in enumerate(layers):
            x = x @ W + b
            x = jax.nn.relu(x) if i < len(layers) - 1 else x
        return x

    def _loss(self, layers, x, key):
        mu, logvar = jnp.split(self._network(layers[: self.split], x), 2, axis=1)
        logits = self._network(layers[self.split :], mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape))
        nll = jnp.sum(jax.nn.softplus(logits) - x * logits)
        return (nll - 0.5 * jnp.sum(1 + logvar - mu * mu - jnp.exp(logvar))) / len(x)

    def _step(self, state, images, orders):
        layers, m, v, t, key = state
        key, here = jax.random.split(key)
        x = images[orders[t % len(orders)]].astype(jnp.float32) / 255
        loss, gradient = jax.value_and_grad(self._loss)(layers, x, here)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        rate, scale = 1e-3 / (1 - 0.9 ** (t + 1.0)), 1 - 0.999 ** (t + 1.0)
        layers = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v / scale) + 1e-8), layers, m, v)
        return (layers, m, v, t + 1, key), loss

    def run(self, n):
        for _ in range(-(-n // self.chunk)):
            self.state, self.last = self.step(self.state, self.images, self.orders)

    def wait(self):
        return float(jnp.ravel(self.last)[-1])

    def timed(self, n):
        self.wait()
        began = time.perf_counter()
        self.run(n)
        jax.block_until_ready(self.state)
        return (time.perf_counter() - began) * 1000 * n / (-(-n // self.chunk) * self.chunk)
