"""JAX: the whole step, gather to Adam, as one XLA program with donated buffers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from . import common


def dense(layer, x):
    """Y = X W + b.   x (B, I) → (B, O)"""
    W, b = layer
    return x @ W + b


def decode(layers, z):
    """z (B, latent) → logits (B, 784)"""
    return dense(layers[3], jax.nn.relu(dense(layers[2], z)))


def loss(layers, images, rows, key):
    """-ELBO in nats per image of images[rows]: uint8 (N, 784), int32 (B,) → scalar"""
    x = images[rows].astype(jnp.float32) * (1 / 255)
    mu, logvar = jnp.split(dense(layers[1], jax.nn.relu(dense(layers[0], x))), 2, axis=1)
    z = mu + jnp.exp(0.5 * logvar) * jax.random.normal(key, mu.shape)
    logits = decode(layers, z)
    nll = jnp.sum(jax.nn.softplus(logits) - x * logits)
    kl = -0.5 * jnp.sum(1 + logvar - mu * mu - jnp.exp(logvar))
    return (nll + kl) / len(rows)


def adam(value, gradient, m, v, t):
    """One Adam update → (value, m, v)"""
    m = common.BETA1 * m + (1 - common.BETA1) * gradient
    v = common.BETA2 * v + (1 - common.BETA2) * gradient * gradient
    rate = common.LEARNING_RATE / (1 - common.BETA1**t)
    return value - rate * m / (jnp.sqrt(v / (1 - common.BETA2**t)) + common.ADAM_EPSILON), m, v


def step(state, images, rows, loss=loss):
    """One training step: state = (layers, m, v, t, key) → (state, loss)"""
    layers, m, v, t, key = state
    key, here = jax.random.split(key)
    value, gradient = jax.value_and_grad(loss)(layers, images, rows, here)
    updated = jax.tree.map(lambda *a: adam(*a, t + 1), layers, gradient, m, v)
    layers, m, v = jax.tree.transpose(jax.tree.structure(layers), jax.tree.structure((0, 0, 0)), updated)
    return (layers, m, v, t + 1, key), value


def steps(state, images, rows):
    """rows (n, B): n steps in one program → (state, losses (n,))"""
    return jax.lax.scan(lambda carry, r: step(carry, images, r), state, rows)


def means(layers, key, n, latent):
    """n prior samples → sigmoid means (n, 784)"""
    return jax.nn.sigmoid(decode(layers, jax.random.normal(key, (n, latent))))


class Jax:
    """chunk: how many steps one call does (lax.scan when more than 1) · generator: JAX's name of a random generator"""

    def __init__(self, chunk=1, generator="threefry2x32"):
        self.chunk, self.generator = chunk, generator
        self.versions = {"jax": jax.__version__, "jaxlib": jax.lib.__version__}

    def setup(self, images, batch_size, hidden, latent, threads):
        # The thread count was fixed by the environment before the import.
        self.images, self.batch_size, self.latent = jax.device_put(images), batch_size, latent
        order = common.batches(len(images), batch_size)
        pool = [jax.device_put(np.int32(next(order))) for _ in range(common.BATCHES)]
        self.rows = itertools.cycle(pool)
        self.chunks = itertools.cycle([jnp.stack(pool[i : i + self.chunk]) for i in range(0, len(pool), self.chunk)])
        layers = jax.tree.map(jnp.asarray, common.initial_weights(hidden, latent))
        zeros = functools.partial(jax.tree.map, jnp.zeros_like)
        self.state = (layers, zeros(layers), zeros(layers), jnp.float32(0), jax.random.key(0, impl=self.generator))
        self.step = jax.jit(step, donate_argnums=0)
        self.steps = jax.jit(steps, donate_argnums=0)
        self.loss = jax.jit(loss)
        self.means = jax.jit(means, static_argnums=(2, 3))

    def run_steps(self, n):
        """Chunks first, the rest in single steps; the loss is read after each READ_EVERY steps and at the end."""
        done = 0
        while done < n:
            if 1 < self.chunk <= n - done:
                self.state, values = self.steps(self.state, self.images, next(self.chunks))
                value, now = values[-1], self.chunk
            else:
                self.state, value = self.step(self.state, self.images, next(self.rows))
                now = 1
            done += now
            if done % common.READ_EVERY == 0:
                float(value)
        return float(value)

    def epoch(self):
        key, here = jax.random.split(self.state[4])
        self.state = (*self.state[:4], key)
        order, total = jax.random.permutation(here, len(self.images)), 0.0
        parts = common.pieces(len(order), self.batch_size)
        for i, (start, stop) in enumerate(parts):
            self.state, value = self.step(self.state, self.images, order[start:stop])
            total = total + value * (stop - start)
            if (i + 1) % common.READ_EVERY == 0:
                float(total)
        return float(total) / len(order)

    def evaluate(self, batch_size):
        rows, total = np.int32(common.evaluation_rows(len(self.images))), 0.0
        for start, stop in common.pieces(len(rows), batch_size):
            key = jax.random.fold_in(self.state[4], start)
            total = total + self.loss(self.state[0], self.images, rows[start:stop], key) * (stop - start)
        return float(total) / len(rows)

    def sample(self, n, batch_size):
        keys = jax.random.split(self.state[4], -(-n // batch_size))
        parts = common.pieces(n, batch_size)
        out = [
            self.means(self.state[0], key, stop - start, self.latent) for key, (start, stop) in zip(keys, parts, strict=True)
        ]
        return jnp.concatenate(out).block_until_ready()
