"""Activations on their own. Twins of ops.numpy.activations, with the same arguments; `work` is not used.

Arrays of any shape, contiguous. `out` may be an input.
"""

import numpy as np

from .check import check
from .launch import C_NAMES, per_element, width

KEEPS_X = ("gelu", "silu")  # whose slope is computed from x; that of all others, from y


def relu(x, out, work=None):
    """y = max(x, 0) (E6)"""
    return _forward("relu", x, out)


def relu_backward(dY, x, y, out, work=None):
    """dX = dY · [y > 0] (E6)"""
    return _backward("relu", dY, x, y, out)


def leaky_relu(x, out, work=None):
    """y = max(x, 0) + 0.01 min(x, 0) (E7)"""
    return _forward("leaky_relu", x, out)


def leaky_relu_backward(dY, x, y, out, work=None):
    """dX = dY · (0.01 + 0.99 [x > 0]) (E7)"""
    return _backward("leaky_relu", dY, x, y, out)


def tanh(x, out, work=None):
    """y = tanh x (E8)"""
    return _forward("tanh", x, out)


def tanh_backward(dY, x, y, out, work=None):
    """dX = dY · (1 − y²) (E8)"""
    return _backward("tanh", dY, x, y, out)


def sigmoid(x, out, work=None):
    """y = 1 / (1 + e⁻ˣ) (E9)"""
    return _forward("sigmoid", x, out)


def sigmoid_backward(dY, x, y, out, work=None):
    """dX = dY · y (1 − y) (E9)"""
    return _backward("sigmoid", dY, x, y, out)


def softplus(x, out, work=None):
    """y = log(1 + eˣ) (E10)"""
    return _forward("softplus", x, out)


def softplus_backward(dY, x, y, out, work=None):
    """dX = dY · sigmoid(x), computed as dY · (1 − e⁻ʸ) (E10)"""
    return _backward("softplus", dY, x, y, out)


def gelu(x, out, work=None):
    """y = x/2 · (1 + tanh u) (E11)"""
    return _forward("gelu", x, out)


def gelu_backward(dY, x, y, out, work=None):
    """dX = dY · ½ (1 + t)(1 + (1 − t) x u′) (E11)"""
    return _backward("gelu", dY, x, y, out)


def silu(x, out, work=None):
    """y = x · sigmoid(x) (E12)"""
    return _forward("silu", x, out)


def silu_backward(dY, x, y, out, work=None):
    """dX = dY · s (1 + x − y) (E12)"""
    return _backward("silu", dY, x, y, out)


def soft_floor(x, least, out, work=None):
    """y = least + softplus(x − least)"""
    dtype = check("soft_floor", x=(x, x.shape), out=(out, x.shape))
    per_element("activations.cu", f"soft_floor<{C_NAMES[dtype]}>", x.size, (x, out, dtype.type(least), np.int64(x.size)))
    return out


def soft_floor_backward(dY, x, least, out):
    """dX = dY · sigmoid(x − least)"""
    dtype = check("soft_floor_backward", dY=(dY, dY.shape), x=(x, dY.shape), out=(out, dY.shape))
    per_element("activations.cu", f"soft_floor_backward<{C_NAMES[dtype]}>", dY.size, (dY, x, out, dtype.type(least), np.int64(dY.size)))
    return out


def _forward(name, x, out):
    dtype = check(name, x=(x, x.shape), out=(out, x.shape))
    V = width(x.size, x, out)
    per_element("activations.cu", f"activation<{C_NAMES[dtype]}, {name.upper()}, {V}>", x.size // V, (x, out, np.int64(x.size)))
    return out


def _backward(name, dY, x, y, out):
    kept = x if name in KEEPS_X else y
    dtype = check(f"{name}_backward", dY=(dY, dY.shape), x=(x, dY.shape), y=(y, dY.shape), out=(out, dY.shape))
    V = width(dY.size, dY, kept, out)
    expression = f"activation_backward<{C_NAMES[dtype]}, {name.upper()}, {V}>"
    per_element("activations.cu", expression, dY.size // V, (dY, kept, out, np.int64(dY.size)))
    return out
