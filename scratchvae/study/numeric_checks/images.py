"""E60 to E76: patches, convolutions, pooling, upsampling, normalisation, dropout, embeddings and classes."""

from itertools import product

import numpy as np

from ... import rng
from ...ops import numpy as ops
from .. import gradients
from .check import all_hold, equal

IMAGE, KERNEL, STRIDE, PAD = (2, 5, 4, 2), (3, 2, 2, 3), (2, 1), (1, 1)
SEEN = (2, 3, 5)  # images, and windows down and across


def _normal(*shape, place):
    size = int(np.prod(shape))
    return rng.normal(10, rng.CHECK, place, 0, size, np.float64).reshape(shape)


def _blank(shape, dtype=float):
    """To be written: what is left as it is, is no number."""
    return np.full(shape, np.nan, dtype)


def _padded(dtype=float):
    return _blank((IMAGE[0], IMAGE[1] + 2 * PAD[0], IMAGE[2] + 2 * PAD[1], IMAGE[3]), dtype)


def _work(dtype=float):
    return _blank(ops.conv2d_work(IMAGE, KERNEL, STRIDE, PAD), dtype)


def _windows(x):
    """The patches of x, one window at a time."""
    wide = np.pad(x, [(0, 0), (PAD[0],) * 2, (PAD[1],) * 2, (0, 0)])
    P = _blank((*SEEN, *KERNEL[:3]), x.dtype)
    for y, z in product(range(SEEN[1]), range(SEEN[2])):
        P[:, y, z] = wide[:, STRIDE[0] * y : STRIDE[0] * y + KERNEL[0], STRIDE[1] * z : STRIDE[1] * z + KERNEL[1]]
    return P


def _blame(forward, x, dY):
    """dY times the whole matrix of derivatives of `forward` at x, taken by complex steps."""
    return gradients.vector_jacobian(lambda theta: forward(theta.reshape(x.shape)).ravel(), x.ravel(), dY.ravel()).reshape(x.shape)


def _x():
    return _normal(*IMAGE, place=0)


def _kernel():
    return _normal(*KERNEL, place=1)


def _y():
    return _normal(*SEEN, KERNEL[3], place=2)


def E60_patches():
    x = _x()
    P = ops.patches(x, _blank((*SEEN, *KERNEL[:3])), _padded(), STRIDE, PAD)
    return equal("patches are the windows of the padded image, one by one", P, _windows(x))


def E61_patches_backward():
    x, P = _x(), _normal(*SEEN, *KERNEL[:3], place=3)
    back = ops.patches_backward(P, _blank(IMAGE), _padded(), STRIDE, PAD)
    one = equal("", np.vdot(x, back), np.vdot(_windows(x), P))
    blame = equal("", back, _blame(_windows, x, P))
    return all_hold("⟨patches x, P⟩ = ⟨x, back P⟩, and each pixel's blame is that of complex steps", one, blame)


def E62_conv2d():
    x, W, b = _x(), _kernel(), _normal(KERNEL[3], place=4)
    y = ops.conv2d(x, W, b, _blank((*SEEN, KERNEL[3])), _work(), STRIDE, PAD)
    return equal("each output is the weighted sum of what its window sees", y, np.einsum("byxijc,ijco->byxo", _windows(x), W) + b)


def E63_conv2d_backward():
    x, W, dY = _x(), _kernel(), _y()
    dX, dW, db = _blank(IMAGE), _blank(KERNEL), _blank(KERNEL[3])
    ops.conv2d_backward(dY, x, W, dX, dW, db, _work(), STRIDE, PAD)
    see = lambda x, W: np.einsum("byxijc,ijco->byxo", _windows(x), W)
    parts = equal("", dX, _blame(lambda v: see(v, W), x, dY)), equal("", dW, _blame(lambda v: see(x, v), W, dY))
    claim = "dX, dW and db are dY times the whole matrix of derivatives, taken by complex steps"
    return all_hold(claim, *parts, equal("", db, dY.sum((0, 1, 2))))


def E64_conv2d_by_blocks():
    W, dY = _kernel(), _y()
    dX = ops.conv2d_backward(dY, _x(), W, _blank(IMAGE), _blank(KERNEL), _blank(KERNEL[3]), _work(), STRIDE, PAD)
    by_blocks = np.zeros(IMAGE)
    for r, z, i, j in product(range(IMAGE[1]), range(IMAGE[2]), range(KERNEL[0]), range(KERNEL[1])):
        (m, a), (n, b) = divmod(r + PAD[0], STRIDE[0]), divmod(z + PAD[1], STRIDE[1])
        if i % STRIDE[0] == a and j % STRIDE[1] == b and 0 <= m - i // STRIDE[0] < SEEN[1] and 0 <= n - j // STRIDE[1] < SEEN[2]:
            by_blocks[:, r, z] += dY[:, m - i // STRIDE[0], n - j // STRIDE[1]] @ W[i, j].T
    return equal("dX is what each pixel's block has gone to, term by term", dX, by_blocks)


def E65_conv_transpose2d():
    x, W, b = _y(), _kernel(), _normal(KERNEL[2], place=5)
    y = ops.conv_transpose2d(x, W, b, _blank(IMAGE), _work(), STRIDE, PAD)
    spread = ops.patches_backward(np.einsum("byxo,ijco->byxijc", x, W), _blank(IMAGE), _padded(), STRIDE, PAD)
    return equal("every pixel spreads a patch, and patches that overlap add up", y, spread + b)


def E66_conv_transpose2d_backward():
    x, W, dY = _y(), _kernel(), _x()
    dX, dW, db = _blank(x.shape), _blank(KERNEL), _blank(KERNEL[2])
    ops.conv_transpose2d_backward(dY, x, W, dX, dW, db, _work(), STRIDE, PAD)

    def spread(x, W):
        return ops.conv_transpose2d(x, W, np.zeros(KERNEL[2]), _blank(IMAGE, complex), _work(complex), STRIDE, PAD)

    parts = equal("", dX, _blame(lambda v: spread(v, W), x, dY)), equal("", dW, _blame(lambda v: spread(x, v), W, dY))
    return all_hold("dX, dW and db are dY times the whole matrix of derivatives", *parts, equal("", db, dY.sum((0, 1, 2))))


def _pool(place, largest):
    """Pooling of windows 3 × 2 that overlap by a row → value and blame as the code has them, and as they should be."""
    x, dY, size, stride = _normal(2, 7, 4, 2, place=place), _normal(2, 3, 2, 2, place=place + 1), (3, 2), (2, 2)
    blocks = [(y, z, x[:, 2 * y : 2 * y + 3, 2 * z : 2 * z + 2]) for y, z in product(range(3), range(2))]
    y, dX, expected = _blank(dY.shape), _blank(x.shape), _blank(dY.shape)
    for row, column, window in blocks:
        expected[:, row, column] = window.max((1, 2)) if largest else window.mean((1, 2))
    if largest:
        ops.max_pool(x, y, size, stride)
        ops.max_pool_backward(dY, x, y, dX, _blank((2, *y.shape)), size, stride)
        forward = lambda v: ops.max_pool(v, _blank(dY.shape, complex), size, stride)
    else:
        ops.average_pool(x, y, size, stride)
        ops.average_pool_backward(dY, dX, _blank(y.shape), size, stride)
        forward = lambda v: ops.average_pool(v, _blank(dY.shape, complex), size, stride)
    return equal("", y, expected), equal("", dX, _blame(forward, x, dY))


def E67_max_pool():
    return all_hold("y is the largest of each window; dX is by complex steps, where windows overlap too", *_pool(6, True))


def E68_average_pool():
    return all_hold("y is the mean of each window; dX is by complex steps, where windows overlap too", *_pool(8, False))


def E69_upsample_nearest():
    x, dY = _normal(2, 3, 2, 2, place=10), _normal(2, 6, 6, 2, place=11)
    y, dX = ops.upsample_nearest(x, _blank(dY.shape)), ops.upsample_nearest_backward(dY, _blank(x.shape))
    value = equal("", y, x.repeat(2, axis=1).repeat(3, axis=2))
    blame = equal("", dX, _blame(lambda v: ops.upsample_nearest(v, _blank(dY.shape, complex)), x, dY))
    return all_hold("each pixel is repeated; the blames of its copies add up", value, blame)


def E70_upsample_bilinear():
    x, dY = _normal(2, 3, 2, 2, place=12), _normal(2, 6, 6, 2, place=13)
    rows = lambda dtype: _blank((2, 2, 6, 2, 2), dtype)
    y, dX = ops.upsample_bilinear(x, _blank(dY.shape), rows(float)), ops.upsample_bilinear_backward(dY, _blank(x.shape), rows(float))

    def line(a, factor, axis):
        """NumPy's own interpolation between the centres of pixels, which ends flat."""
        n = a.shape[axis]
        at = (np.arange(n * factor) + 0.5) / factor - 0.5
        return np.apply_along_axis(lambda numbers: np.interp(at, np.arange(n), numbers), axis, a)

    value = equal("", y, line(line(x, 2, 1), 3, 2))
    blame = equal("", dX, _blame(lambda v: ops.upsample_bilinear(v, _blank(dY.shape, complex), rows(complex)), x, dY))
    return all_hold("y lies on straight lines between the centres of pixels; dX is by complex steps", value, blame)


GROUPS = (2, 3, 2, 2)  # rows, pixels, groups, channels of each


def _normalised():
    x, scale, shift = _normal(*GROUPS, place=14), _normal(2, 2, place=15), _normal(2, 2, place=16)
    y, xhat, mean, rstd = _blank(GROUPS), _blank(GROUPS), _blank((2, 2)), _blank((2, 2))
    ops.normalise(x, scale, shift, y, xhat, mean, rstd)
    return x, scale, shift, y, xhat, rstd


def E71_normalise():
    x, scale, shift, y, _, _ = _normalised()
    by_hand = _blank(GROUPS)
    for r, g in product(range(2), range(2)):
        group = x[r, :, g]
        by_hand[r, :, g] = (group - group.mean()) / np.sqrt(group.var() + 1e-5) * scale[g] + shift[g]
    known = ops.standardise(x, shift, 2 * scale, scale, shift, _blank(GROUPS), _blank(GROUPS))
    given = equal("", known, (x - shift) * 2 * scale * scale + shift)
    return all_hold("each group has mean 0 and variance 1 before it is scaled, or the moments that are given", equal("", y, by_hand), given)


def E72_normalise_backward():
    (x, scale, shift, _, xhat, rstd), dY = _normalised(), _normal(*GROUPS, place=17)
    dX, dscale, dshift = _blank(GROUPS), _blank((2, 2)), _blank((2, 2))

    def group(v):
        centred = v - v.mean((1, 3), keepdims=True)
        return centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + 1e-5) * scale + shift

    ops.normalise_backward(dY, xhat, rstd, scale, dX, dscale, dshift, _blank(GROUPS))
    slopes = lambda: (equal("", dscale, (dY * xhat).sum((0, 1))), equal("", dshift, dY.sum((0, 1))))
    found = equal("", dX, _blame(group, x, dY)), *slopes()
    ops.standardise_backward(dY, xhat, scale, shift, dX, dscale, dshift)
    given = equal("", dX, _blame(lambda v: v * scale * shift, x, dY)), *slopes()
    return all_hold("dX is by complex steps, through the mean and the deviation where these are computed", *found, *given)


def E73_dropout():
    x, dY, rate = _normal(50, place=18), _normal(50, place=19), 0.3
    u = rng.uniform(10, rng.CHECK, 20, 0, 50, np.float64)[0]
    kept = np.array([1 / 0.7 if v >= 0.3 else 0.0 for v in u])
    value, blame = ops.dropout(x, u, _blank(50), rate), ops.dropout_backward(dY, u, _blank(50), rate)
    return all_hold("what stays is divided by 0.7, and so is its blame", equal("", value, x * kept), equal("", blame, dY * kept))


def E74_embedding():
    rows, W, dY = np.array([2, 0, 2, 3]), _normal(5, 3, place=21), _normal(4, 3, place=22)
    hot = np.array([[float(v == r) for v in range(5)] for r in rows])
    value = equal("", ops.embedding(rows, W, _blank((4, 3))), hot @ W)
    blame = equal("", ops.embedding_backward(dY, rows, _blank((5, 3))), hot.T @ dY)
    return all_hold("both are products with one-hot rows", value, blame, equal("", ops.one_hot(rows, _blank((4, 5))), hot))


def _classes():
    logits, labels = _normal(2, 3, 4, place=23), np.array([[0, 3, 1], [2, 2, 0]])
    out, p = _blank(2), _blank(logits.shape)
    ops.categorical_nll(logits, labels, out, p, _blank((2, 2, 3)))
    return logits, labels, out, p


def E75_categorical_nll():
    logits, labels, out, _ = _classes()
    share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    by_hand = [-sum(np.log(share[b, i, labels[b, i]]) for i in range(3)) for b in range(2)]
    return equal("it is −log of the class's share, summed over pixels", out, by_hand)


def E76_categorical_nll_backward():
    (logits, labels, _, p), dnll = _classes(), _normal(2, place=24)
    da = ops.categorical_nll_backward(dnll, p, labels, _blank(logits.shape))
    nll = lambda a: np.array([sum(np.log(np.exp(a[b, i]).sum()) - a[b, i, labels[b, i]] for i in range(3)) for b in range(2)])
    return equal("da is the loss's slope by complex steps", da, _blame(nll, logits, dnll))
