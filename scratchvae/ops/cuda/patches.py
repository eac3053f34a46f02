"""Patches of images and the way back. `work` is not needed: what lies outside an image is known without padding it."""

from ...errors import ShapeError
from .check import check
from .launch import C_NAMES, int32, per_element, width


def patches(x, out, work=None, stride=(1, 1), pad=(0, 0)):
    """P[b, y, x, i, j, c] = X[b, s y + i − p, t x + j − q, c], 0 outside (E60).   x (B, H, W, C) → out (B, h, w, kh, kw, C)"""
    return _launch("patches", x, out, out, stride, pad)


def patches_backward(dP, dX, work=None, stride=(1, 1), pad=(0, 0)):
    """dX[b, s y + i − p, t x + j − q, c] = Σ dP[b, y, x, i, j, c] (E61).   dP (B, h, w, kh, kw, C) → dX (B, H, W, C)"""
    return _launch("patches_backward", dX, dP, dX, stride, pad)


def _launch(operation, image, patches, out, stride, pad):
    if image.ndim != 4 or patches.ndim != 6:
        shapes = f"{image.shape} and {patches.shape}"
        raise ShapeError(f"{operation}: images (B, H, W, C) and patches (B, h, w, kh, kw, C), not {shapes}")
    B, H, W, C = image.shape
    kh, kw = patches.shape[3:5]
    h, w = windows((H, W), (kh, kw), stride, pad)
    dtype = check(operation, image=(image, image.shape), patches=(patches, (B, h, w, kh, kw, C)))
    V = width(C, image, patches)
    arrays = (image, patches) if out is patches else (patches, image)
    *sizes, _, _ = map(int32, (B, H, W, C, h, w, kh, kw, *stride, *pad, B * h * w, kh * kw * C))
    per_element("patches.cu", f"{operation}<{C_NAMES[dtype]}, {V}>", out.size // V, (*arrays, *sizes))
    return out


def windows(image, kernel, stride, pad):
    """(h, w): how many windows of a kernel an image has, by their heights and widths."""
    every = zip(image, kernel, stride, pad, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in every)
