"""Claims about patches and convolutions: against loops over every pixel, complex steps, and each other."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ops import Frozen, assert_close, like, slope

from scratchvae.ops import numpy as ops

FEW = st.integers(1, 3)


@st.composite
def settings(draw, channels=FEW):
    """Any batch, image, kernel, stride and padding for which at least one window fits → shapes (image, kernel), stride, pad"""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    kernel, stride, pad, more = pair(1, 4), pair(1, 3), pair(0, 2), pair(0, 4)
    image = tuple(max(1, k - 2 * p + m) for k, p, m in zip(kernel, pad, more, strict=True))
    batch, inputs, outputs = draw(FEW), draw(channels), draw(channels)
    return (batch, *image, inputs), (*kernel, inputs, outputs), stride, pad


def outputs(image, kernel, stride, pad):
    """(B, h, w, O)"""
    h, w = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(image[1:3], kernel[:2], stride, pad, strict=True))
    return image[0], h, w, kernel[3]


def by_loops(x, kernel, stride, pad):
    """The patches of x, one number at a time."""
    b, h, w, _ = outputs(x.shape, kernel, stride, pad)
    P = np.zeros((b, h, w, *kernel[:3]), x.dtype)
    for n, y, z, i, j in product(range(b), range(h), range(w), range(kernel[0]), range(kernel[1])):
        row, column = stride[0] * y + i - pad[0], stride[1] * z + j - pad[1]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            P[n, y, z, i, j] = x[n, row, column]
    return P


def padded(image, pad, dtype=float):
    return np.full((image[0], image[1] + 2 * pad[0], image[2] + 2 * pad[1], image[3]), np.nan, dtype)


def work(image, kernel, stride, pad, images=None, dtype=float):
    """Work for `images` at a time: 1 makes a chunk of each image, None leaves it to the operation."""
    image = (min(image[0], images or image[0]), *image[1:])
    return np.full(ops.conv2d_work(image, kernel, stride, pad), np.nan, dtype)


def odd(a, layout):
    """The same values, in another arrangement in memory, not to be written."""
    if layout == "strided":
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        a = wide[..., ::2]
    elif layout == "reversed":
        a = a[:, ::-1].copy()[:, ::-1]
    elif layout == "channels first":
        a = np.ascontiguousarray(a.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    a.flags.writeable = False
    return a


LAYOUTS = st.sampled_from(["contiguous", "strided", "reversed", "channels first"])
SEEDS = st.integers(0, 10**6)


@given(setting=settings(), layout=LAYOUTS, seed=SEEDS)
def test_patches_are_what_loops_over_every_pixel_find(setting, layout, seed):
    image, kernel, stride, pad = setting
    x = odd(np.random.default_rng(seed).normal(size=image), layout)
    expected = by_loops(x, kernel, stride, pad)
    got = ops.patches(x, np.full(expected.shape, np.nan), padded(image, pad), stride, pad)
    assert np.array_equal(got, expected)


@given(setting=settings(), layout=LAYOUTS, seed=SEEDS)
def test_patches_and_their_backward_are_adjoint(setting, layout, seed):
    """⟨patches x, P⟩ = ⟨x, patches_backward P⟩ for every x and P."""
    image, kernel, stride, pad = setting
    x, P = np.random.default_rng(seed).normal(size=image), by_loops(np.zeros(image), kernel, stride, pad)
    P = odd(np.random.default_rng(seed + 1).normal(size=P.shape), layout if layout == "strided" else "contiguous")
    there = ops.patches(x, like(P), padded(image, pad), stride, pad)
    back = ops.patches_backward(P, like(x), padded(image, pad), stride, pad)
    assert np.vdot(there, P) == pytest.approx(np.vdot(x, back), rel=1e-12, abs=1e-12)


@given(setting=settings(), layout=LAYOUTS, images=st.sampled_from([1, 2, None]), seed=SEEDS)
def test_a_convolution_is_affine_on_patches_and_its_derivatives_are_those_of_its_parts(setting, layout, images, seed):
    """Linear in x, W and b, so it is enough to hold it against sums over the patches that loops find."""
    image, kernel, stride, pad = setting
    make = Frozen(seed)
    shape = outputs(*setting)
    x, W, b, dY = odd(make(*image), layout), make(*kernel), make(kernel[3]), odd(make(*shape), layout)
    P = by_loops(x, kernel, stride, pad)
    y = ops.conv2d(x, W, b, np.full(shape, np.nan), work(*setting, images), stride, pad)
    np.testing.assert_allclose(y, np.einsum("bhwijc,ijco->bhwo", P, W) + b, rtol=0, atol=1e-12)
    dX, dW, db = np.full(image, np.nan), like(W), like(b)
    assert ops.conv2d_backward(dY, x, W, dX, dW, db, work(*setting, images), stride, pad) is dX
    dP = np.einsum("bhwo,ijco->bhwijc", dY, W)
    np.testing.assert_allclose(dX, ops.patches_backward(dP, np.empty(image), padded(image, pad), stride, pad), rtol=0, atol=1e-12)
    np.testing.assert_allclose(dW, np.einsum("bhwijc,bhwo->ijco", P, dY), rtol=0, atol=1e-12)
    np.testing.assert_allclose(db, dY.sum((0, 1, 2)), rtol=0, atol=1e-12)
    again = like(W), like(b)
    assert ops.conv2d_backward(dY, x, W, None, *again, work(*setting, images), stride, pad) is None
    np.testing.assert_allclose(again[0], dW, rtol=0, atol=1e-12)
    np.testing.assert_allclose(again[1], db, rtol=0, atol=1e-12)


@given(setting=settings(), layout=LAYOUTS, images=st.sampled_from([1, 2, None]), seed=SEEDS)
def test_a_transposed_convolution_is_the_adjoint_of_the_convolution(setting, layout, images, seed):
    """⟨conv x, y⟩ = ⟨x, convᵀ y⟩ without bias: forward of one is dX of the other, both ways, and both have the same dW."""
    image, kernel, stride, pad = setting
    make = Frozen(seed)
    x, W, b, y = odd(make(*image), layout), make(*kernel), make(kernel[2]), odd(make(*outputs(*setting)), layout)
    spread = ops.conv_transpose2d(y, W, b, np.full(image, np.nan), work(*setting, images), stride, pad)
    seen = ops.conv2d(x, W, np.zeros(kernel[3]), np.full(y.shape, np.nan), work(*setting, images), stride, pad)
    assert np.vdot(seen, y) == pytest.approx(np.vdot(x, spread - b), rel=1e-11, abs=1e-11)
    dy, dW, db = np.full(y.shape, np.nan), like(W), like(b)
    assert ops.conv_transpose2d_backward(x, y, W, dy, dW, db, work(*setting, images), stride, pad) is dy
    np.testing.assert_allclose(dy, seen, rtol=0, atol=1e-12)
    np.testing.assert_allclose(db, x.sum((0, 1, 2)), rtol=0, atol=1e-12)
    expected = like(W)
    ops.conv2d_backward(y, x, W, None, expected, np.empty(kernel[3]), work(*setting, images), stride, pad)
    np.testing.assert_allclose(dW, expected, rtol=0, atol=1e-12)
    again = like(W), like(b)
    assert ops.conv_transpose2d_backward(x, y, W, None, *again, work(*setting, images), stride, pad) is None
    np.testing.assert_allclose(again[0], dW, rtol=0, atol=1e-12)


@given(setting=settings(), seed=SEEDS)
def test_derivatives_of_both_convolutions_are_complex_steps(setting, seed):
    image, kernel, stride, pad = setting
    make = Frozen(seed)
    x, W, y = make(*image), make(*kernel), make(*outputs(*setting))
    room = work(*setting)
    for there, back, a, b, dY in [
        (ops.conv2d, ops.conv2d_backward, x, make(kernel[3]), y),
        (ops.conv_transpose2d, ops.conv_transpose2d_backward, y, make(kernel[2]), x),
    ]:
        dA, dW, db = like(a), like(W), like(b)
        back(dY, a, W, dA, dW, db, room, stride, pad)
        forward = partial(there, out=np.empty(dY.shape, complex), work=work(*setting, dtype=complex), stride=stride, pad=pad)
        for moving, gradient in (("x", dA), ("W", dW), ("b", db)):
            others = {"x": a, "W": W, "b": b}
            moved = others.pop(moving)
            assert_close(gradient, slope(partial(_weighted, forward, dY, others, moving), moved))


def _weighted(forward, dY, others, moving, value):
    return dY * forward(**others, **{moving: value})


def test_the_number_of_images_at_a_time_changes_only_the_rounding():
    setting = (7, 6, 5, 2), (3, 3, 2, 4), (1, 1), (1, 1)
    make = Frozen(0)
    x, W, b, dY = make(*setting[0]), make(*setting[1]), make(4), make(*outputs(*setting))
    results = []
    for images in (1, 2, 3, None):
        y, dX, dW, db = np.empty(dY.shape), like(x), like(W), like(b)
        ops.conv2d(x, W, b, y, work(*setting, images), *setting[2:])
        ops.conv2d_backward(dY, x, W, dX, dW, db, work(*setting, images), *setting[2:])
        results.append((y, dX, dW, db))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def test_a_kernel_may_be_as_large_as_the_padded_image_and_an_image_one_pixel():
    one = np.full((1, 1, 1, 1), 3.0)
    W, b = np.arange(1.0, 10).reshape(3, 3, 1, 1), np.array([0.5])
    setting = one.shape, W.shape, (1, 1), (1, 1)
    y = ops.conv2d(one, W, b, np.empty((1, 1, 1, 1)), work(*setting), (1, 1), (1, 1))
    assert y.item() == 3 * 5 + 0.5  # the kernel's middle


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_every_dtype_is_kept(dtype):
    setting = (2, 5, 4, 2), (3, 2, 2, 3), (2, 1), (1, 1)
    x, W, b, dY = (np.ones(shape, dtype) for shape in (setting[0], setting[1], (3,), outputs(*setting)))
    room = work(*setting, dtype=dtype)
    y, dX, dW, db = like(dY), like(x), like(W), like(b)
    ops.conv2d(x, W, b, y, room, *setting[2:])
    ops.conv2d_backward(dY, x, W, dX, dW, db, room, *setting[2:])
    assert np.isfinite(y).all()
    assert all(np.isfinite(a).all() and a.dtype == dtype for a in (dX, dW, db))
