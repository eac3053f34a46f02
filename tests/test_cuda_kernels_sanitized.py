"""The kernels in which threads or blocks work together, under AddressSanitizer and ThreadSanitizer: no byte beyond an array,
no two threads at one place without a barrier between them, no two blocks without a ticket."""

from functools import partial

import numpy as np
import pytest
from cuda_kernels_on_cpu import Alone
from cuda_on_cpu.sanitize import run_sanitized

from scratchvae.ops import cuda
from scratchvae.ops.cuda.launch import run_on
from scratchvae.ops.cuda.tiling import TILES, Plan, Scratch

DTYPE = np.float32
ones = partial(np.ones, dtype=DTYPE)


def products(precision, sizes, splits, unordered):
    """A layer forward and backward, on the smallest tiles, its k split."""
    tile = TILES[precision, 4][-1]
    B, I, O = sizes  # noqa: E741
    how = {
        "precision": precision, "scratch": Scratch(np.empty(2**16, DTYPE), np.zeros(16, np.uint32)),
        "planner": lambda products, *_: Plan(tile, (splits,) * len(products)),
    }  # fmt: skip
    with run_on(Alone(unordered)):
        y, dX, dW, db = ones((B, O)), ones((B, I)), ones((I, O)), ones(O)
        cuda.dense(ones((B, I)), ones((I, O)), ones(O), y, "relu", **how)
        cuda.dense_backward(ones((B, O)), ones((B, I)), ones((I, O)), dX, dW, db, "relu", **how)
    assert np.all(y == I + 1)
    assert np.all(dX == O)
    assert np.all(dW == B)
    assert np.all(db == B)


def reductions(unordered):
    with run_on(Alone(unordered)):
        nll, d, out, factor = ones(2), ones((2, 300)), np.ones(1), ones(1)
        cuda.bernoulli_nll_and_gradient(ones(2), ones((2, 300)), ones((2, 300)), nll, d)
        cuda.total(ones((1, 300)), out)
        if not unordered:  # its 256 blocks would take ThreadSanitizer a minute
            cuda.clip_factor(ones(300), 1.0, np.empty(cuda.PARTS), factor)
    assert np.allclose(nll, 300 * np.log1p(np.exp(-1)))
    assert out == 300


LAYERS = {
    "normalisation.cu": tuple(f"{name}<float>" for name in ("channel_moments", "group_moments", "channel_sums", "group_sums"))
    + ("standardise<float, 1>", "standardise_backward<float, 1>"),
    "pooling.cu": tuple(f"{name}<float, 1>" for name in ("max_pool", "max_pool_backward", "window_sums", "window_spread",
                                                       "upsample_bilinear", "upsample_bilinear_backward")),
    "categorical.cu": ("categorical_nll<float>", "embedding_backward<float>"),
}  # fmt: skip


def layers(unordered):
    """Norms over many pixels and few, in both steps; a loss, a table's gradient; and windows, whose threads have nothing in common."""
    views = (2, 40, 2, 3), (1, 70, 4, 1), (5, 1, 1, 3)
    with run_on(Alone(unordered, LAYERS)):
        for view in views[: 1 if unordered else 3]:  # ThreadSanitizer takes new fibers for each block
            x, y, xhat, dX, work = (ones(view) for _ in range(5))
            x[...] = np.arange(x.size).reshape(view) % 7
            mean, rstd, scale, shift, dscale, dshift = *(ones(view[::2]) for _ in "ab"), *(ones(view[2:]) for _ in "abcd")
            cuda.normalise(x, scale, shift, y, xhat, mean, rstd)
            cuda.normalise_backward(ones(view), xhat, rstd, scale, dX, dscale, dshift, work)
            assert np.allclose(mean, x.mean(axis=(1, 3)))
            assert np.allclose(dX, 0, atol=1e-5)
            assert np.all(dshift == view[0] * view[1])
        nll, p, labels, dW = ones(2), ones((2, 9, 3)), np.ones((2, 9), np.uint8), ones((4, 5))
        cuda.categorical_nll(ones((2, 9, 3)), labels, nll, p)
        cuda.embedding_backward(ones((2, 9, 5)), labels, dW)
        assert np.allclose(nll, 9 * np.log(3))
        assert np.all(dW == np.array([0, 18, 0, 0])[:, None])
        if unordered:
            return
        x, y, dX, large = ones((1, 5, 4, 3)), ones((1, 2, 2, 3)), ones((1, 5, 4, 3)), ones((1, 10, 12, 3))
        cuda.max_pool(x, y, (3, 3), (2, 1)), cuda.max_pool_backward(y, x, y, dX, None, (3, 3), (2, 1))
        assert dX.sum() == y.size
        cuda.average_pool(x, y, (3, 3), (2, 1)), cuda.average_pool_backward(y, dX, None, (3, 3), (2, 1))
        assert np.isclose(dX.sum(), y.size)
        cuda.upsample_bilinear(x, large), cuda.upsample_bilinear_backward(large, dX)
        assert np.allclose(dX, 6)


NARROW, WIDE = (3, 70, 5), (4, 72, 8)


@pytest.mark.parametrize(
    ("sanitizer", "precision", "sizes"),
    [("asan", "fp32", NARROW), ("asan", "tf32", WIDE), ("tsan", "fp32", WIDE), ("tsan", "tf32", NARROW)],
)
def test_products_are_clean(sanitizer, precision, sizes):
    outcome = run_sanitized(sanitizer, (products, precision, sizes, 2, sanitizer == "tsan"), timeout=300)
    assert outcome.clean, outcome.output


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_reductions_are_clean(sanitizer):
    outcome = run_sanitized(sanitizer, (reductions, sanitizer == "tsan"), timeout=300)
    assert outcome.clean, outcome.output


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_other_layers_are_clean(sanitizer):
    outcome = run_sanitized(sanitizer, (layers, sanitizer == "tsan"), timeout=300)
    assert outcome.clean, outcome.output
