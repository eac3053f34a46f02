"""Claims about pooling, upsampling, normalisation, dropout, embeddings, classes and joints: derivatives, loops, extremes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_convolution import LAYOUTS, SEEDS, odd
from test_ops import TOLERANCE, Frozen, assert_close, like, slope

from scratchvae import rng
from scratchvae.ops import numpy as ops


@st.composite
def poolings(draw):
    """(B, H, W, C), size, stride: windows with gaps, side by side, or overlapping; pixels may be left over."""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    size, stride, more = pair(1, 3), pair(1, 3), pair(0, 4)
    return (draw(st.integers(1, 3)), size[0] + more[0], size[1] + more[1], draw(st.integers(1, 3))), size, stride


def pooled(image, size, stride):
    return image[0], (image[1] - size[0]) // stride[0] + 1, (image[2] - size[1]) // stride[1] + 1, image[3]


@pytest.mark.parametrize("kind", ["max", "average"])
@given(pooling=poolings(), layout=LAYOUTS, seed=SEEDS)
def test_pooling_is_what_loops_find_and_its_derivative_the_complex_step(kind, pooling, layout, seed):
    image, size, stride = pooling
    make = Frozen(seed)
    x, dY = odd(make(*image), layout), odd(make(*pooled(*pooling)), layout)
    y, dX = np.full(dY.shape, np.nan), np.full(image, np.nan)
    expected = like(y)
    for n, i, j, c in product(*map(range, y.shape)):
        window = x[n, stride[0] * i : stride[0] * i + size[0], stride[1] * j : stride[1] * j + size[1], c]
        expected[n, i, j, c] = window.max() if kind == "max" else window.mean()
    if kind == "max":
        assert ops.max_pool(x, y, size, stride) is y
        assert ops.max_pool_backward(dY, x, y, dX, like(y, 2), size, stride) is dX
        run = lambda v: dY * ops.max_pool(v, np.empty(dY.shape, complex), size, stride)
    else:
        assert ops.average_pool(x, y, size, stride) is y
        assert ops.average_pool_backward(dY, dX, like(y), size, stride) is dX
        run = lambda v: dY * ops.average_pool(v, np.empty(dY.shape, complex), size, stride)
    np.testing.assert_allclose(y, expected, rtol=1e-14, atol=1e-14)
    assert_close(dX, slope(run, x))


def test_where_several_are_the_largest_the_first_takes_the_blame_as_a_complex_step_does():
    """A blank corner has four equal pixels: shared blame, or blame for all four, would be no derivative."""
    x, dY = np.zeros((1, 2, 2, 1)), np.full((1, 1, 1, 1), 3.0)
    y = ops.max_pool(x, like(dY))
    dX = ops.max_pool_backward(dY, x, y, like(x), like(y, 2))
    assert dX.ravel().tolist() == [3, 0, 0, 0]
    assert_close(dX, slope(lambda v: dY * ops.max_pool(v, np.empty(dY.shape, complex)), x))


@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
@given(
    image=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 2)),
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)), layout=LAYOUTS, seed=SEEDS,
)  # fmt: skip
def test_upsampling_is_what_loops_find_and_its_derivative_the_complex_step(kind, image, factors, layout, seed):
    make = Frozen(seed)
    (b, height, width, c), (f, g) = image, factors
    x, dY = odd(make(*image), layout), odd(make(b, f * height, g * width, c), layout)
    y, dX, rows = np.full(dY.shape, np.nan), np.full(image, np.nan), np.full((b, f * height, width, c), np.nan)

    def at(position, n):
        """The two pixels around a position, and the share of the second, kept within the image."""
        low = int(np.floor(position))
        return np.clip(low, 0, n - 1), np.clip(low + 1, 0, n - 1), position - low

    expected = like(y)
    for i, j in product(range(f * height), range(g * width)):
        if kind == "nearest":
            expected[:, i, j] = x[:, i // f, j // g]
        else:
            (top, bottom, p), (left, right, q) = at((i + 0.5) / f - 0.5, height), at((j + 0.5) / g - 0.5, width)
            upper = (1 - q) * x[:, top, left] + q * x[:, top, right]
            expected[:, i, j] = (1 - p) * upper + p * ((1 - q) * x[:, bottom, left] + q * x[:, bottom, right])
    if kind == "nearest":
        ops.upsample_nearest(x, y)
        ops.upsample_nearest_backward(dY, dX)
        run = lambda v: dY * ops.upsample_nearest(v, np.empty(dY.shape, complex))
    else:
        ops.upsample_bilinear(x, y, like(rows, 2))
        ops.upsample_bilinear_backward(dY, dX, like(rows, 2))
        run = lambda v: dY * ops.upsample_bilinear(v, np.empty(dY.shape, complex), like(rows.astype(complex), 2))
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
    assert_close(dX, slope(run, x))


# Normalisation --------------------------------------------------------------------------------------------------------


@given(shape=st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 3), st.integers(1, 3)), seed=SEEDS)
def test_normalised_groups_have_mean_0_and_variance_1_and_derivatives_are_complex_steps(shape, seed):
    make = Frozen(seed)
    x, dY, scale, shift = make(*shape), make(*shape), make(*shape[2:]), make(*shape[2:])
    y, xhat, dX, work = like(x, 4)
    mean, rstd, (dscale, dshift) = np.empty((shape[0], shape[2])), np.empty((shape[0], shape[2])), like(scale, 2)
    assert ops.normalise(x, scale, shift, y, xhat, mean, rstd) is y
    np.testing.assert_allclose(mean, x.mean((1, 3)), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(x.var((1, 3)) + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(xhat.mean((1, 3)), 0, atol=1e-13)
    np.testing.assert_allclose(xhat.var((1, 3)), 1 - 1e-5 * rstd**2, rtol=1e-12)
    np.testing.assert_allclose(y, xhat * scale + shift, rtol=1e-14, atol=1e-14)
    assert ops.normalise_backward(dY, xhat, rstd, scale, dX, dscale, dshift, work) is dX

    def run(x, scale, shift):
        made = like(x.astype(complex), 2)
        return dY * ops.normalise(x, scale, shift, *made, *like(mean.astype(complex), 2))

    # The terms of dX cancel (it is at right angles to 1 and to x̂): what rounds is the largest of them.
    room = TOLERANCE * max(1, np.abs(dY * scale * rstd[:, None, :, None]).max())
    assert np.abs(dX - slope(lambda v: run(v, scale, shift), x)).max() <= room
    assert_close(dscale, slope(lambda v: run(x, v, shift), scale))
    assert_close(dshift, slope(lambda v: run(x, scale, v), shift))


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)), seed=SEEDS)
def test_standardising_with_known_moments_has_complex_steps_for_derivatives(shape, seed):
    make = Frozen(seed)
    x, dY, (mean, scale, shift) = make(*shape), make(*shape), (make(*shape[2:]) for _ in range(3))
    rstd = np.exp(make(*shape[2:]))
    y, xhat, dX = like(x, 3)
    dscale, dshift = like(scale, 2)
    ops.standardise(x, mean, rstd, scale, shift, y, xhat)
    np.testing.assert_allclose(y, (x - mean) * rstd * scale + shift, rtol=1e-12, atol=1e-12)
    ops.standardise_backward(dY, xhat, rstd, scale, dX, dscale, dshift)
    run = lambda x, scale, shift: dY * ops.standardise(x, mean, rstd, scale, shift, *like(x.astype(complex) + scale, 2))
    assert_close(dX, slope(lambda v: run(v, scale, shift), x))
    assert_close(dscale, slope(lambda v: run(x, v, shift), scale))
    assert_close(dshift, slope(lambda v: run(x, scale, v), shift))


def test_normalising_keeps_its_digits_far_from_zero():
    """E x² − mean² would be all rounding here: 1e8 against a variance of 1."""
    x = (1e4 + np.random.default_rng(0).normal(size=(1, 4096, 1, 1))).astype(np.float32)
    y, xhat = like(x, 2)
    one = np.ones((1, 1), np.float32)
    ops.normalise(x, one, 0 * one, y, xhat, *like(one, 2))
    assert xhat.std() == pytest.approx(1, abs=1e-4)  # float32 holds these x to 1e-3 of a deviation


# Dropout --------------------------------------------------------------------------------------------------------------


@given(shape=st.tuples(st.integers(1, 4), st.integers(1, 5)), rate=st.floats(0, 0.9), seed=SEEDS)
def test_dropout_leaves_out_or_enlarges_and_its_derivative_is_the_complex_step(shape, rate, seed):
    make = Frozen(seed)
    x, dY, u = make(*shape), make(*shape), rng.uniform(seed, rng.CHECK, 0, np.arange(shape[0]), shape[1], np.float64)
    y, dX = like(x, 2)
    assert ops.dropout(x, u, y, rate) is y
    np.testing.assert_allclose(y, np.where(u >= rate, x / (1 - rate), 0), rtol=1e-14)
    assert ops.dropout_backward(dY, u, dX, rate) is dX
    assert_close(dX, slope(lambda v: dY * ops.dropout(v, u, like(v), rate), x))


def test_dropout_keeps_the_mean():
    n, rate = 100_000, 0.3
    u = rng.uniform(1, rng.CHECK, 0, np.arange(n), 1)
    y = ops.dropout(np.ones((n, 1), np.float32), u, np.empty((n, 1), np.float32), rate)
    kept = (y > 0).mean()
    assert abs(kept - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)  # four standard errors
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) * np.float32(1 / (1 - rate))}


# Whole numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
@given(rows=st.lists(st.integers(0, 4), min_size=1, max_size=12), width=st.integers(1, 3), seed=SEEDS)
def test_an_embedding_is_a_product_with_one_hot_rows_and_its_derivative_too(dtype, rows, width, seed):
    make = Frozen(seed)
    rows, W, dY = np.array(rows, dtype), make(5, width), make(len(rows), width)
    hot = ops.one_hot(rows, np.full((len(rows), 5), np.nan))
    assert hot.sum(1).tolist() == [1] * len(rows)
    y, dW = np.full(dY.shape, np.nan), like(W)
    assert ops.embedding(rows, W, y) is y
    assert np.array_equal(y, hot @ W)
    assert ops.embedding_backward(dY, rows, dW) is dW
    np.testing.assert_allclose(dW, hot.T @ dY, rtol=1e-13, atol=1e-13)
    assert_close(dW, slope(lambda v: dY * ops.embedding(rows, v, np.empty(y.shape, complex)), W))


def test_an_embedding_takes_rows_of_any_shape_and_sums_in_the_order_of_the_rows():
    rows = np.array([[0, 1, 0], [1, 1, 2]])
    dY = np.array([1e8, 1, 1, 2, 3, 4], np.float32).reshape(2, 3, 1)
    dW = ops.embedding_backward(dY, rows, np.full((4, 1), np.nan, np.float32))
    assert dW.ravel().tolist() == [1e8, 6, 4, 0]  # in float32, 1e8 + 1 is 1e8
    assert ops.embedding(rows, dW, np.empty((2, 3, 1), np.float32))[..., 0].tolist() == [[1e8, 6, 1e8], [6, 6, 4]]


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), seed=SEEDS)
def test_categorical_nll_is_the_logarithm_of_the_share_and_its_derivative_the_complex_step(shape, seed):
    make = Frozen(seed)
    logits, dnll = make(*shape), make(shape[0])
    labels = np.random.default_rng(seed).integers(0, shape[2], shape[:2])
    out, p, da = np.empty(shape[0]), like(logits), like(logits)
    assert ops.categorical_nll(logits, labels, out, p, np.empty((2, *shape[:2]))) is out
    share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    np.testing.assert_allclose(p, share, rtol=1e-13)
    np.testing.assert_allclose(out, -np.log(np.take_along_axis(share, labels[..., None], 2)).sum((1, 2)), rtol=1e-12, atol=1e-14)
    assert ops.categorical_nll_backward(dnll, p, labels, da) is da

    def run(v):
        return dnll * ops.categorical_nll(v, labels, np.empty(shape[0], complex), like(v), np.empty((2, *shape[:2]), complex))

    numeric = slope(run, logits)
    assert np.abs(da - numeric).max() <= TOLERANCE * np.abs(dnll).max()  # p − 1 of a single class is 0, and rounds as 1 does


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_categorical_nll_is_right_at_extreme_logits(dtype):
    """Sure and right costs 0, sure and wrong the difference of the logits; a class ruled out by −∞ costs nothing."""
    logits = np.array([[[1e4, 0, -np.inf]], [[0, 1e4, -1e4]], [[-1e4, -1e4, -np.inf]]], dtype)
    labels = np.zeros((3, 1), int)
    p, da = like(logits, 2)
    out = ops.categorical_nll(logits, labels, np.empty(3, dtype), p, np.empty((2, 3, 1), dtype))
    np.testing.assert_allclose(out, [0, 1e4, np.log(2)], rtol=1e-6)
    ops.categorical_nll_backward(np.ones(3, dtype), p, labels, da)
    assert da[:, 0].tolist() == [[0, 0, 0], [-1, 1, 0], [-0.5, 0.5, 0]]


# Joints ---------------------------------------------------------------------------------------------------------------


@given(channels=st.tuples(st.integers(1, 3), st.integers(1, 3)), layout=LAYOUTS, seed=SEEDS)
def test_what_is_put_side_by_side_is_taken_apart(channels, layout, seed):
    make = Frozen(seed)
    a, b = (odd(make(2, 3, 2, c), layout) for c in channels)
    y = np.full((2, 3, 2, sum(channels)), np.nan)
    assert ops.concat(a, b, y) is y
    assert np.array_equal(y, np.concatenate([a, b], axis=-1))
    da, db = ops.concat_backward(odd(y, layout), np.full(a.shape, np.nan), np.full(b.shape, np.nan))
    assert np.array_equal(da, a)
    assert np.array_equal(db, b)
    assert np.array_equal(ops.plus(a, a, np.full(a.shape, np.nan)), 2 * a)
