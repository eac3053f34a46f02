"""convolution: one affine map at every place of an image, and what its overlapping windows do to the way back."""

import numpy as np

from ....ops import numpy as ops
from ..exam import Spec
from .draws import draw, sized

TITLE = "a convolution and its gradients"
EQUATIONS = ("E62", "E63")
WRITE = ("conv", "conv_backward")
HINTS = (
    "Do not walk over the image: walk over the kernel. For its place (i, j), the numbers that all windows see there are one slice of x, "
    "with steps of stride: (B, h, w, I). Times K[i, j], (I, O), it is that place's part of Y.",
    "How long is the slice? Its first row is i, and there are h rows, stride apart: the last one is i + stride * (h - 1), and a slice "
    "ends one after its last.",
    "Backward has the same two loops. At (i, j) what was multiplied is that slice and K[i, j], so it is exercise 1 for each of them. One "
    "pixel is in several slices: what it gets from each adds up.",
)
# B, H, W, I, then k, l, O and the stride
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, 1), (1, 3, 1, 1, 2, 1, 1, 1), (1, 1, 4, 1, 1, 2, 1, 2), (2, 5, 4, 2, 2, 2, 2, 1), (3, 8, 7, 2, 3, 2, 4, 2),
]  # fmt: skip
NAMES = ("B", "H", "W", "I", "k", "l", "O", "stride")


def size(x, K, stride):
    return (x.shape[1] - K.shape[0]) // stride + 1, (x.shape[2] - K.shape[1]) // stride + 1


def work(x, K, stride):
    return np.empty(ops.conv2d_work(x.shape, K.shape, (stride, stride)), x.dtype)


def conv(x, K, b, stride):
    return ops.conv2d(x, K, b, np.empty((len(x), *size(x, K, stride), len(b)), x.dtype), work(x, K, stride), (stride, stride))


def conv_backward(dY, x, K, stride):
    dX, dK, db = np.empty_like(x), np.empty_like(K), np.empty(K.shape[3], x.dtype)
    ops.conv2d_backward(dY, x, K, dX, dK, db, work(x, K, stride), (stride, stride))
    return dX, dK, db


def known_forward(x, K, b, stride):
    turned = "is made with the kernel turned round: place (i, j) of the kernel meets row i and column j of the window"
    many = "adds b at each place of the kernel: it is added once"
    return {"Y": [
        (conv(x, K[::-1, ::-1], b, stride), turned), (conv(x, K, b * K.shape[0] * K.shape[1], stride), many),
        (conv(x, K, 0 * b, stride), "lacks b"),
    ]}  # fmt: skip


def places(dY, x, K, stride):
    """[(what is seen there, as a slice of x, and what reaches it)] for each place of the kernel, in the order of the loops."""
    h, w = dY.shape[1:3]
    for i in range(K.shape[0]):
        for j in range(K.shape[1]):
            seen = slice(i, i + stride * (h - 1) + 1, stride), slice(j, j + stride * (w - 1) + 1, stride)
            yield (slice(None), *seen), dY @ K[i, j].T


def known(dY, x, K, stride):
    last = np.zeros_like(x)
    for seen, reaches in places(dY, x, K, stride):
        last[seen] = reaches
    right = conv_backward(dY, x, K, stride)
    turned = "is made with the kernel turned round: what pixel and place were multiplied forward belong together backward too"
    alone = "holds, for a pixel, what reaches it from the last window alone: windows overlap, and what comes from each adds up (+=)"
    return {
        "dX": [(last, alone), (conv_backward(dY, x, K[::-1, ::-1], stride)[0], turned)],
        "dK": [(right[1][::-1, ::-1], turned)],
        "db": [(dY.sum(axis=0), "sums over the images, and should sum over rows and columns too: b is added at each place")],
    }


def slope(call, dY, x, K, stride):
    b = np.zeros(K.shape[3])
    return {
        "dX": (lambda v: dY * call("conv", v, K, b, stride), x),
        "dK": (lambda v: dY * call("conv", x, v, b, stride), K),
        "db": (lambda v: dY * call("conv", x, K, v, stride), b),
    }


def examine(exam):
    arrays = lambda B, H, W, C, k, m, F, stride: (draw(1, B, H, W, C), draw(2, k, m, C, F), draw(3, F), stride)

    def gradient(*sizes):
        x, K, b, stride = arrays(*sizes)
        return draw(4, len(x), *size(x, K, stride), len(b)), x, K, stride

    exam.examine(Spec("conv", ("x", "K", "b", "stride"), ("Y",), conv, sized(NAMES, SHAPES, arrays), known_forward))
    outputs, cases = ("dX", "dK", "db"), sized(NAMES, SHAPES, gradient)
    exam.examine(Spec("conv_backward", ("dY", "x", "K", "stride"), outputs, conv_backward, cases, known, slope, "conv"))
