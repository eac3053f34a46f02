"""A whole training step out of CUDA launches against the same step in NumPy: what training on a GPU will be made of."""

import numpy as np
import pytest
from cuda_kernels_on_cpu import OnCpu

from scratchvae import rng
from scratchvae.cuda_on_cpu import poison
from scratchvae.data import gather
from scratchvae.models import VAE
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda.launch import run_on
from scratchvae.ops.cuda.tiling import Scratch

BATCH, SEED, STEPS = 11, 7, 3


class CudaStep:
    """One step of a VAE with one hidden layer on each side: every array that it needs is made before the first launch."""

    def __init__(self, model, images, dtype, precision):
        self.values, self.grads = model.buffer.values.copy(), np.zeros_like(model.buffer.values)
        self.m, self.v = np.zeros_like(self.values), np.zeros_like(self.values)
        self.W = {name: model.buffer.view(name, self.values) for name in model.buffer.names}
        self.dW = {name: model.buffer.view(name, self.grads) for name in model.buffer.names}
        D, H, L = model.data_size, model.config["hidden"][0], model.latent
        blank = lambda *shape: poison(np.empty(shape, dtype))
        self.x, self.logits, self.h1, self.h2, self.dh = blank(BATCH, D), blank(BATCH, D), *(blank(BATCH, H) for _ in range(3))
        self.code, self.dcode, self.terms, self.sums = blank(BATCH, 2 * L), blank(BATCH, 2 * L), blank(2, BATCH), np.zeros(2)
        self.eps, self.z, self.std, self.dz = (blank(BATCH, L) for _ in range(4))
        self.images, self.L = images, L
        self.dnll, self.dkl = np.full(BATCH, 1 / BATCH, dtype), np.full(BATCH, model.beta / BATCH, dtype)
        self.how = {"precision": precision, "scratch": Scratch(blank(200_000), np.zeros(64, np.uint32))}

    def __call__(self, order, batch, step, lr):
        """order (M,) int64 · batch, step (1,) uint32 · lr (1,), all where the device reads them → sums of the terms (2,)"""
        W, dW, how, L = self.W, self.dW, self.how, self.L
        mu, logvar, nll, kl = self.code[:, :L], self.code[:, L:], *self.terms
        cuda.gather_batch(self.images, order, self.x, batch)
        cuda.dense(self.x, W["encoder.0.W"], W["encoder.0.b"], self.h1, "relu", **how)
        cuda.dense(self.h1, W["encoder.2.W"], W["encoder.2.b"], self.code, "none", **how)
        cuda.normal(self.eps, SEED, rng.LATENT, step)
        cuda.sample_posterior(mu, logvar, self.eps, self.z, self.std, kl)
        cuda.dense(self.z, W["decoder.0.W"], W["decoder.0.b"], self.h2, "relu", **how)
        cuda.dense(self.h2, W["decoder.2.W"], W["decoder.2.b"], self.logits, "none", **how)
        cuda.bernoulli_nll_and_gradient(self.dnll, self.logits, self.x, nll, self.logits)
        back = lambda dY, x, layer, dX, below: cuda.dense_backward(
            dY, x, W[f"{layer}.W"], dX, dW[f"{layer}.W"], dW[f"{layer}.b"], below, **how
        )
        back(self.logits, self.h2, "decoder.2", self.dh, "relu")
        back(self.dh, self.z, "decoder.0", self.dz, "none")
        dmu, dlogvar = self.dcode[:, :L], self.dcode[:, L:]
        cuda.posterior_backward(self.dz, self.dkl, mu, logvar, self.eps, self.std, dmu, dlogvar)
        back(self.dcode, self.h1, "encoder.2", self.dh, "relu")
        back(self.dh, self.x, "encoder.0", None, "none")
        cuda.total(self.terms, self.sums)
        cuda.adam(self.values, self.grads, self.m, self.v, None, lr, step + np.uint32(1))
        return self.sums.copy()


def models_and_images(D, H, L, dtype):
    images = np.random.default_rng(3).integers(0, 256, (STEPS * BATCH, D)).astype(np.uint8)
    return VAE(data_size=D, hidden=(H,), latent=L, beta=0.7, seed=SEED, dtype=dtype), images


def train_numpy(D, H, L, dtype):
    model, images = models_and_images(D, H, L, dtype)
    values, grads = model.buffer.values, model.buffer.grads
    m, v, work = np.zeros_like(values), np.zeros_like(values), np.empty_like(values)
    order, sums = np.random.default_rng(4).permutation(len(images)), []
    for step in range(STEPS):
        x = gather(images, order[step * BATCH : (step + 1) * BATCH], np.empty((BATCH, D), dtype))
        terms = model.forward(x, rng.normal(SEED, rng.LATENT, step, np.arange(BATCH), L, dtype))
        sums.append([term.sum() for term in terms])
        model.descend(np.full(BATCH, 1 / BATCH, dtype))
        twins.adam(values, grads, m, v, work, 0.01, step + 1)
    return np.array(sums), values, grads


def train_cuda(D, H, L, dtype, precision="fp32", place=None):
    model, images = models_and_images(D, H, L, dtype)
    step, order = CudaStep(model, images, dtype, precision), np.random.default_rng(4).permutation(len(images))
    lr = np.array([0.01], dtype)
    with run_on(place or OnCpu()):
        sums = [step(order, np.array([i], np.uint32), np.array([i], np.uint32), lr) for i in range(STEPS)]
    return np.array(sums), step.values, step.grads


SIZES = pytest.mark.parametrize("sizes", [(49, 13, 3), (52, 16, 4)], ids=["narrow accesses", "wide accesses"])


@SIZES
def test_three_steps_equal_numpys_in_float64(sizes):
    for ours, numpys in zip(train_cuda(*sizes, np.float64), train_numpy(*sizes, np.float64), strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-10, atol=1e-10)


@SIZES
def test_three_steps_follow_numpys_in_float32(sizes):
    """Adam divides a gradient by its own size, so where a gradient is all rounding its step may differ by as much as lr."""
    (sums, values, _), (sums0, values0, _) = train_cuda(*sizes, np.float32), train_numpy(*sizes, np.float32)
    np.testing.assert_allclose(sums, sums0, rtol=2e-5)
    assert np.mean(np.abs(values - values0)) < 1e-5


def test_tensor_cores_change_the_loss_by_a_thousandth_at_most():
    (sums, *_), (sums0, *_) = train_cuda(52, 16, 4, np.float32, "tf32"), train_numpy(52, 16, 4, np.float32)
    np.testing.assert_allclose(sums.sum(axis=1), sums0.sum(axis=1), rtol=1e-3)
    assert np.any(sums != sums0)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_training_repeats_bit_for_bit_in_any_order_of_threads_and_blocks(precision):
    places = [OnCpu("forward"), OnCpu("forward"), OnCpu("reverse"), OnCpu("random", 1), OnCpu("random", 2)]
    runs = [b"".join(a.tobytes() for a in train_cuda(49, 13, 3, np.float32, precision, place)) for place in places]
    assert len(set(runs)) == 1
    assert len(places[0].launches) == STEPS * 15
