"""Convolution and its adjoint: the twins of ops.numpy.convolution, as products whose patches are computed, not stored.

`work` is where the stretches of dW and db are put before they are added up; forward leaves it alone.
"""

from functools import cache, partial
from math import ceil, gcd, prod

import numpy as np

from ...errors import ShapeError
from .check import check
from .launch import C_NAMES, int32, launch, per_element, width
from .patches import windows
from .tiling import TILES, Tile, plan, shared_bytes, tiles

# A result has a column for each channel, and these may be few: no tiles of 128 columns, and one of 16.
NARROW = {"fp32": Tile("Narrow", 64, 16, 16, 64), "tf32": Tile("NarrowTF32", 64, 16, 32, 128, 4)}
CHOICES = {kind: (*(tile for tile in tiles if tile.columns < 128), NARROW[kind[0]]) for kind, tiles in TILES.items()}
fitting = partial(plan, choices=CHOICES, waste=1.5)


@cache
def conv2d_work(image, kernel, stride=(1, 1), pad=(0, 0)):
    """How many numbers of work the four functions below want.   image (B, H, W, I), the larger one, kernel (kh, kw, I, O): shapes

    Python works it out once for each: a step asks for it at every convolution.
    """
    sizes = _Sizes(image, kernel, stride, pad)
    one = prod(kernel) + max(kernel[2:])
    calls = [sizes.backward(transposed, dX) for transposed in (False, True) for dX in (False, True)]
    most = max(fitting(products, itemsize, precision).splits[0] for precision, itemsize in TILES for products in calls)
    return most * one


def conv2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0), *, precision="fp32", planner=fitting):
    """Y = patches(X) W + b (E62).   x (B, H, W, I) · W (kh, kw, I, O) · b (O,) → out (B, h, w, O)"""
    return _forward("conv2d", False, x, out, x, W, b, out, stride, pad, precision, planner)


def conv2d_backward(dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0), *, precision="fp32", planner=fitting):
    """dX = patches_backward(dY Wᵀ),  dW = patches(X)ᵀ dY,  db = Σ_pixels dY (E63, E64).   dX as x or None, dW as W, db (O,)

    One launch, and another where the sum over outputs is split.
    """
    return _backward("conv2d_backward", False, x, dY, dY, x, W, dX, dW, db, work, stride, pad, precision, planner)


def conv_transpose2d(x, W, b, out, work, stride=(1, 1), pad=(0, 0), *, precision="fp32", planner=fitting):
    """Y = patches_backward(X Wᵀ) + b (E65).   x (B, h, w, O) · W (kh, kw, I, O) · b (I,) → out (B, H, W, I)"""
    return _forward("conv_transpose2d", True, out, x, x, W, b, out, stride, pad, precision, planner)


def conv_transpose2d_backward(
    dY, x, W, dX, dW, db, work, stride=(1, 1), pad=(0, 0), *, precision="fp32", planner=fitting
):
    """dX = patches(dY) W,  dW = patches(dY)ᵀ X,  db = Σ_pixels dY (E66).   dX as x or None, dW as W, db (I,)"""
    name = "conv_transpose2d_backward"
    return _backward(name, True, dY, x, dY, x, W, dX, dW, db, work, stride, pad, precision, planner)


class _Sizes:
    """What a convolution of these shapes is as matrix products: (rows of the result, columns, k) each."""

    def __init__(self, image, kernel, stride, pad):
        (B, H, W, I), (kh, kw, _, O), (s, t), (p, q) = image, kernel, stride, pad  # noqa: E741  as shapes are written
        h, w = windows((H, W), (kh, kw), stride, pad)
        self.outputs, self.numbers = (B, h, w, O), (B, H, W, I, h, w, O, kh, kw, s, t, p, q)
        blocks = B * ((p + H - 1) // s - p // s + 1) * ((q + W - 1) // t - q // t + 1)
        self.look = B * h * w, O, kh * kw * I
        self.spread = blocks, s * t * I, ceil(kh / s) * ceil(kw / t) * O
        self.dW = kh * kw * I, O, B * h * w

    def backward(self, transposed, dX):
        return [self.dW, self.look if transposed else self.spread][: 1 + dX]

    def arguments(self):
        """As kernels take them. Raises ShapeError for what they cannot count to."""
        for number in (*self.look, *self.spread):
            int32(number)
        return [int32(number) for number in self.numbers]


def _forward(operation, transposed, image, outputs, x, W, b, out, stride, pad, precision, planner):
    named = {"x": (x, x.shape), "b": (b, out.shape[3:]), "out": (out, out.shape)}
    sizes, dtype = _checked(operation, image, outputs, W, stride, pad, **named)
    products = [sizes.spread if transposed else sizes.look]
    tile = planner(products, dtype.itemsize, precision, False).tile
    arguments = x, W, b, out, *sizes.arguments()
    _launch("convolution", transposed, tile, tiles(tile, products[0]), W, (x, b, out), arguments, dtype)
    return out


def _backward(operation, transposed, image, outputs, dY, x, W, dX, dW, db, work, stride, pad, precision, planner):
    named = {"dY": (dY, dY.shape), "x": (x, x.shape), "work": (work, work.shape)}
    named |= {"dX": (dX, x.shape), "dW": (dW, W.shape), "db": (db, dY.shape[3:])}
    sizes, dtype = _checked(operation, image, outputs, W, stride, pad, **named)
    products = sizes.backward(transposed, dX is not None)
    tile, (splits, *_) = planner(products, dtype.itemsize, precision, True)
    n, m = dW.size, db.size
    if splits > 1 and work.size < splits * (n + m):
        need = f"{splits * (n + m):,}: see conv2d_work"
        raise ShapeError(f"{operation}: work holds {work.size:,} numbers and must hold {need}")
    parts, more = (dW, db) if splits == 1 else (work[: splits * n], work[splits * n : splits * (n + m)])
    blocks = splits + sum(tiles(tile, product) * each for product, each in zip(products, (splits, 1), strict=False))
    arguments = dY, x, W, dX, parts, more, *sizes.arguments(), int32(splits)
    _launch("convolution_backward", transposed, tile, blocks, W, (dY, x, dX, parts), arguments, dtype)
    if splits > 1:
        totals = parts, more, dW, db, np.int64(n), int32(m), int32(splits)
        per_element("reductions.cu", f"sum_parts<{C_NAMES[dtype]}>", n + m, totals)
    return dX


def _checked(operation, image, outputs, W, stride, pad, **arrays):
    """Refuse shapes that are no convolution's.   → (_Sizes, dtype)"""
    if not image.ndim == outputs.ndim == W.ndim == 4:
        shapes = f"{image.shape}, {outputs.shape} and {W.shape}"
        raise ShapeError(f"{operation}: images and kernel have four dimensions, not {shapes}")
    sizes = _Sizes(image.shape, W.shape, stride, pad)
    dtype = check(operation, W=(W, (*W.shape[:2], image.shape[3], W.shape[3])), **arrays)
    if outputs.shape != sizes.outputs:
        raise ShapeError(
            f"{operation}: a kernel of {W.shape} with stride {stride} and pad {pad} makes {sizes.outputs} of images "
            f"{image.shape}, not {outputs.shape}"
        )
    return sizes, dtype


def _launch(name, transposed, tile, blocks, W, others, arguments, dtype):
    V = width(gcd(*W.shape[2:]), W, *others)
    options = f"{C_NAMES[dtype]}, {tile.name}, {str(transposed).lower()}, {V}"
    # As operands are stored: patches with k fastest and the kernel by k or by columns; for dW both by the other index.
    stored = [(True, transposed)] if name == "convolution" else [(False, False), (True, not transposed)]
    shared = max(shared_bytes(tile, *by_k) for by_k in stored)
    file = "convolution_tf32.cu" if tile.stages else "convolution_fma.cu"
    launch(file, f"{name}<{options}>", (blocks,), (tile.threads,), arguments, shared)
