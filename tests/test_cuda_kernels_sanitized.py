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
