"""Pooling and upsampling: twins of ops.numpy.pooling. Images are (B, H, W, C), contiguous; `work` is not used."""

from ...errors import ShapeError
from .check import check
from .launch import C_NAMES, int32, launch, width

_FILE, _THREADS = "pooling.cu", 128


def max_pool(x, out, size=(2, 2), stride=(2, 2)):
    """y = the largest number of each window, channel by channel (E67).   x (B, H, W, C) → out (B, h, w, C)"""
    _launch("max_pool", (x, out), out, x, out, size, stride)
    return out


def max_pool_backward(dY, x, y, dX, work=None, size=(2, 2), stride=(2, 2)):
    """dY goes to the first place that the largest number came from (E67).   dY, y (B, h, w, C) · x → dX (B, H, W, C)"""
    check("max_pool_backward", dY=(dY, y.shape), y=(y, y.shape), x=(x, dX.shape))
    _launch("max_pool_backward", (dY, x, y, dX), dX, dX, y, size, stride)
    return dX


def average_pool(x, out, size=(2, 2), stride=(2, 2)):
    """y = the mean of each window, channel by channel (E68).   x (B, H, W, C) → out (B, h, w, C)"""
    _launch("window_sums", (x, out), out, x, out, size, stride, 1 / (size[0] * size[1]), operation="average_pool")
    return out


def average_pool_backward(dY, dX, work=None, size=(2, 2), stride=(2, 2)):
    """Each pixel of a window gets dY / (kh kw) (E68).   dY (B, h, w, C) → dX (B, H, W, C)"""
    _launch(
        "window_spread", (dY, dX), dX, dX, dY, size, stride, 1 / (size[0] * size[1]), operation="average_pool_backward"
    )
    return dX


def upsample_nearest(x, out):
    """y[b, f m + i, g n + j] = x[b, m, n] (E69): each pixel becomes f × g.   x (B, H, W, C) → out (B, f H, g W, C)"""
    factors = _factors("upsample_nearest", x, out)
    _launch("window_spread", (x, out), out, out, x, factors, factors, 1, operation="upsample_nearest")
    return out


def upsample_nearest_backward(dY, dX):
    """dX = the sum of dY over each pixel's block (E69).   dY (B, f H, g W, C) → dX (B, H, W, C)"""
    factors = _factors("upsample_nearest_backward", dX, dY)
    _launch("window_sums", (dY, dX), dX, dY, dX, factors, factors, 1, operation="upsample_nearest_backward")
    return dX


def upsample_bilinear(x, out, work=None):
    """Straight lines between the centres of pixels, down the columns, then along the rows (E70).

    x (B, H, W, C) → out (B, f H, g W, C)
    """
    _bilinear("upsample_bilinear", (x, out), x, out)
    return out


def upsample_bilinear_backward(dY, dX, work=None):
    """The adjoint: gradients go back to the pixels with the shares they had (E70).   dY (B, f H, g W, C) → dX (B, H, W, C)"""
    _bilinear("upsample_bilinear_backward", (dY, dX), dX, dY)
    return dX


def _launch(kernel, arrays, written, large, small, size, stride, factor=None, operation=None):
    """Windows of `large` (B, H, W, C) are pixels of `small` (B, h, w, C); one block for each row of pixels that is written."""
    B, H, W, C = large.shape
    h, w = ((n - k) // s + 1 for n, k, s in zip((H, W), size, stride, strict=True))
    dtype = check(operation or kernel, small=(small, (B, h, w, C)), large=(large, large.shape))
    int32(W * C), int32(H * W)  # counted in 32 bits
    more = () if factor is None else (dtype.type(factor),)
    numbers = map(int32, (H, W, C, h, w, *size, *stride))
    _rows(kernel, dtype, arrays, written, (*arrays, *numbers, *more))


def _bilinear(kernel, arrays, small, large):
    (f, g), (_, H, W, C) = _factors(kernel, small, large), small.shape
    dtype = check(kernel, small=(small, small.shape), large=(large, large.shape))
    int32(g * W * C), int32(f * H)
    _rows(kernel, dtype, arrays, arrays[1], (*arrays, *map(int32, (H, W, C, f, g))))


def _rows(kernel, dtype, arrays, written, arguments):
    V = width(written.shape[3], *arrays)
    launch(_FILE, f"{kernel}<{C_NAMES[dtype]}, {V}>", (written.shape[0] * written.shape[1],), (_THREADS,), arguments)


def _factors(operation, small, large):
    """(f, g), or ShapeError where they are no whole numbers."""
    (B, H, W, C), (b, tall, wide, c) = small.shape, large.shape
    if (b, c) != (B, C) or not H * W or tall % H or wide % W:
        raise ShapeError(
            f"{operation}: images of {large.shape} are not those of {small.shape}, made larger by whole factors"
        )
    return tall // H, wide // W
