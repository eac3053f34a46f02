"""One training step on a GPU as a list of launches: forward, loss and backward, fused where the model is made of known parts.

A VAE with one hidden layer on each side takes twelve: gather, four layers, posterior, loss with its gradient, and back
through four layers with the posterior between them. Every array is made beforehand, so that a CUDA graph can hold the step.
"""

from typing import NamedTuple

import numpy as np

from .. import nn, rng
from ..models import VAE, Autoencoder
from ..models.likelihood import Bernoulli, Gaussian


class Feed(NamedTuple):
    """What a step reads, all on the device: images (N, D), the epoch's order of them (N,), and which batch and step it is."""

    images: object
    order: object
    batch_size: int
    step: object  # (1,) uint32, from 0
    batch: object  # (1,) uint32, within the epoch
    seed: int


def chain(network):
    """[(Dense, name of the activation after it or "none")], if that is all there is and a Dense comes last; else None."""
    found = []
    for layer in network.layers if type(network) is nn.Sequential else ():
        if type(layer) is nn.Dense:
            found.append((layer, "none"))
        elif type(layer) in nn.ACTIVATIONS.values() and found and found[-1][1] == "none":
            found[-1] = found[-1][0], layer.name
        else:
            return None
    return found if found and found[-1][1] == "none" else None


def fusable(model):
    """Whether FusedStep computes what the model's own forward and backward do: nothing in it is somebody's own."""
    known = (Autoencoder, VAE)
    return (
        type(model).forward in [kind.forward for kind in known]
        and type(model).backward in [kind.backward for kind in known]
        and type(model.likelihood) in (Bernoulli, Gaussian)
        and all(chain(network) for network in (model.encoder, model.decoder))
    )


class FusedLayers:
    """A chain of dense layers and activations, one launch per layer each way."""

    def __init__(self, network, rows, dtype, backend, how):
        """rows: the most that will come · how: precision and scratch of `ops.cuda.dense`"""
        self.layers, self.ops, self.how = chain(network), backend.ops, how
        new = lambda columns: backend.empty((rows, columns), dtype)
        self.y = [new(dense.outputs) for dense, _ in self.layers]
        # GELU and SiLU have slopes that y does not determine.
        self.pre = [new(dense.outputs) if act in ("gelu", "silu") else None for dense, act in self.layers]
        self.dX = [new(dense.inputs) if dense.input_gradient else None for dense, _ in self.layers]

    def forward(self, x):
        """x (B, inputs) → (B, outputs)"""
        self.inputs, B = [], len(x)
        for (dense, act), y, pre in zip(self.layers, self.y, self.pre, strict=True):
            self.inputs.append(x)
            x = self.ops.dense(x, dense.W.value, dense.b.value, y[:B], act, _top(pre, B), **self.how)
        return x

    def backward(self, dY):
        """dY (B, outputs) → dX (B, inputs) or None. Writes every W.grad and b.grad."""
        B = len(dY)
        for i in reversed(range(len(self.layers))):
            W, b = self.layers[i][0].W, self.layers[i][0].b
            below, pre = (self.layers[i - 1][1], self.pre[i - 1]) if i else ("none", None)
            dY = self.ops.dense_backward(
                dY, self.inputs[i], W.value, _top(self.dX[i], B), W.grad, b.grad, below, _top(pre, B), **self.how
            )
        return dY


class FusedStep:
    """The loss of one batch and its gradient, in as few launches as the kernels allow."""

    capturable = True

    def __init__(self, model, feed, sizes, precision):
        """sizes: the numbers of rows that will come, the largest first"""
        backend, dtype = model.backend, model.dtype
        self.model, self.feed, self.ops = model, feed, backend.ops
        rows, D, L = sizes[0], model.data_size, model.latent
        how = {"precision": precision, "scratch": _scratch(model, sizes, precision)}
        self.encoder, self.decoder = (FusedLayers(part, rows, dtype, backend, how) for part in (model.encoder, model.decoder))
        new = lambda *shape: backend.empty(shape, dtype)
        self.terms, self.x = new(len(model.terms) * rows), new(rows, D)
        self.dterms = {B: new(2, B) for B in sizes}
        for B, (dnll, dkl) in self.dterms.items():
            dnll[...], dkl[...] = 1 / B, getattr(model, "beta", 0) / B
        self.sampled = isinstance(model, VAE)
        if self.sampled:
            self.eps, self.z, self.std, self.dcode = new(rows, L), new(rows, L), new(rows, L), new(rows, 2 * L)
        if type(model.likelihood) is Gaussian:
            self.dmean, self.dlogvar = new(rows, D), new(rows, D)
            self.logvar = new(1)
            if model.likelihood.sigma is not None:
                self.logvar[...] = 2 * np.log(model.likelihood.sigma)

    def __call__(self, B):
        """Forward and backward of the feed's batch, of B rows → the terms (K, B) of its loss"""
        ops, feed, model = self.ops, self.feed, self.model
        terms = self.terms[: len(model.terms) * B].reshape(-1, B)
        x = ops.gather_batch(feed.images, feed.order, self.x[:B], feed.batch, feed.batch_size)
        code = self.encoder.forward(x)
        if not self.sampled:
            self.encoder.backward(self.decoder.backward(self._loss(self.decoder.forward(code), x, terms[0])))
            return terms
        L = model.latent
        eps, z, std, dcode = self.eps[:B], self.z[:B], self.std[:B], self.dcode[:B]
        mu, logvar = code[:, :L], code[:, L:]
        ops.sample_posterior(mu, logvar, eps, z, std, terms[1], seed=feed.seed, step=feed.step)
        dz = self.decoder.backward(self._loss(self.decoder.forward(z), x, terms[0]))
        ops.posterior_backward(dz, self.dterms[B][1], mu, logvar, eps, std, dcode[:, :L], dcode[:, L:])
        self.encoder.backward(dcode)
        return terms

    def _loss(self, output, x, nll):
        """−log p(x) of each row → nll (B,), and the gradient of its mean at the decoder's output, which is returned"""
        ops, like, B = self.ops, self.model.likelihood, len(x)
        if type(like) is Bernoulli:
            ops.bernoulli_nll_and_gradient(self.dterms[B][0], output, x, nll, output)
            return output
        lv = self.logvar if like.sigma is not None else like.logvar.value
        ops.gaussian_nll_and_gradient(self.dterms[B][0], output, lv, x, nll, self.dmean[:B], self.dlogvar[:B])
        if like.sigma is None:
            ops.sum_all(self.dlogvar[:B], like.logvar.grad)
        return self.dmean[:B]


class ModuleStep:
    """The same by the model's own forward and backward: for models with modules that nobody foresaw, and for finding a NaN."""

    capturable = False  # what a module of your own does, it may not do while a graph is captured

    def __init__(self, model, feed):
        self.model, self.feed = model, feed

    def __call__(self, B):
        """Forward and backward of the feed's batch, of B rows → the terms (K, B) of its loss"""
        model, feed, ops = self.model, self.feed, self.model.ops
        x = model.scratch("batch", B, feed.images.shape[1], model.dtype)
        ops.gather_batch(feed.images, feed.order, x, feed.batch, feed.batch_size)
        eps = None
        if model.noise_columns:
            eps = model.scratch("noise", B, model.noise_columns, model.dtype)
            ops.normal(eps, feed.seed, rng.LATENT, feed.step)
        losses = model.forward(x, eps)
        terms = model.scratch("terms", len(model.terms) * B, None, model.dtype).reshape(-1, B)
        for row, term in zip(terms, model.terms, strict=True):
            row[...] = losses[term]
        model.backward(1 / B)
        return terms


def _scratch(model, sizes, precision):
    """What split-K needs for every layer and number of rows."""
    backend, dtype = model.backend, model.dtype
    layers = [dense for part in (model.encoder, model.decoder) for dense, _ in chain(part)]
    needs = [
        backend.ops.scratch_size(rows, dense.inputs, dense.outputs, dtype.itemsize, precision) for rows in sizes for dense in layers
    ]
    partials, tickets = (max(1, *column) for column in zip(*needs, strict=True))
    scratch = backend.ops.Scratch(backend.empty((partials,), dtype), backend.empty((tickets,), np.uint32))
    scratch.tickets[...] = 0
    return scratch


def _top(array, rows):
    return None if array is None else array[:rows]
