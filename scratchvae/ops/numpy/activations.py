"""Activations: each f(x) with its derivative, element by element, on arrays of any shape.

Every forward is f(x, out, work) and every derivative f_backward(dY, x, y, out, work), where y = f(x): whichever of x and
y gives the cheaper formula is used. `out` may not overlap an input. `work` is scratch of x's shape, needed only by the
functions that say so.
"""

import numpy as np

from .real_part import magnitude, positive_part

_GELU_SCALE, _GELU_CUBE = float(np.sqrt(2 / np.pi)), 0.044715
LEAK = 0.01


def relu(x, out, work=None):
    """y = max(x, 0) (E6)"""
    return positive_part(x, out)


def relu_backward(dY, x, y, out, work=None):
    """dX = dY · [y > 0] (E6); at the kink x = 0 the derivative is taken as 0."""
    np.greater(y.real, 0, out=out)
    return np.multiply(dY, out, out=out)


def leaky_relu(x, out, work):
    """y = max(x, 0) + 0.01 min(x, 0) = 0.99 max(x, 0) + 0.01 x (E7; Maas et al., 2013). Needs work."""
    positive_part(x, out)
    out *= 1 - LEAK
    np.multiply(x, LEAK, out=work)
    out += work
    return out


def leaky_relu_backward(dY, x, y, out, work=None):
    """dX = dY · (0.01 + 0.99 [x > 0]) (E7)"""
    np.greater(x.real, 0, out=out)
    out *= 1 - LEAK
    out += LEAK
    return np.multiply(dY, out, out=out)


def tanh(x, out, work=None):
    """y = tanh x (E8)"""
    return np.tanh(x, out=out)


def tanh_backward(dY, x, y, out, work=None):
    """dX = dY · (1 − y²) (E8)"""
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    return np.multiply(dY, out, out=out)


def sigmoid(x, out, work=None):
    """y = 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2 (E9): the second form overflows nowhere."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5
    return out


def sigmoid_backward(dY, x, y, out, work=None):
    """dX = dY · y (1 − y) (E9)"""
    np.subtract(1, y, out=out)
    out *= y
    return np.multiply(dY, out, out=out)


def softplus(x, out, work):
    """y = log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|) (E10): the second form overflows nowhere. Needs work."""
    magnitude(x, work)
    np.negative(work, out=work)
    np.exp(work, out=work)
    np.log1p(work, out=work)
    positive_part(x, out)
    out += work
    return out


def softplus_backward(dY, x, y, out, work=None):
    """dX = dY · sigmoid(x) (E10)"""
    sigmoid(x, out)
    return np.multiply(dY, out, out=out)


def soft_floor(x, least, out, work):
    """y = least + softplus(x − least) (E91): x where it is well above `least`, and never below it. Needs work."""
    np.subtract(x, least, out=out)
    softplus(out, out, work)  # which reads x no more once it has written out
    out += least
    return out


def soft_floor_backward(dY, x, least, out):
    """dX = dY · sigmoid(x − least) (E91)"""
    np.subtract(x, least, out=out)
    sigmoid(out, out)
    return np.multiply(dY, out, out=out)


def gelu(x, out, work=None):
    """y = x/2 · (1 + tanh u),  u = √(2/π) (x + 0.044715 x³) (E11; Hendrycks & Gimpel, 2016, the tanh form)"""
    np.multiply(x, x, out=out)
    out *= _GELU_SCALE * _GELU_CUBE
    out += _GELU_SCALE
    out *= x
    np.tanh(out, out=out)
    out += 1
    out *= x
    out *= 0.5
    return out


def gelu_backward(dY, x, y, out, work):
    """dX = dY · ½ (1 + t)(1 + (1 − t) x u′),  t = tanh u,  u′ = √(2/π)(1 + 3 · 0.044715 x²) (E11). Needs work."""
    np.multiply(x, x, out=work)
    np.multiply(work, 3 * _GELU_SCALE * _GELU_CUBE, out=out)
    out += _GELU_SCALE
    out *= x  # x u′
    work *= _GELU_SCALE * _GELU_CUBE
    work += _GELU_SCALE
    work *= x
    np.tanh(work, out=work)
    np.subtract(1, work, out=work)  # 1 − t
    out *= work
    out += 1
    np.subtract(2, work, out=work)  # 1 + t
    out *= work
    out *= 0.5
    return np.multiply(dY, out, out=out)


def silu(x, out, work=None):
    """y = x · sigmoid(x) (E12; Elfwing et al., 2018)"""
    sigmoid(x, out)
    return np.multiply(out, x, out=out)


def silu_backward(dY, x, y, out, work):
    """dX = dY · s (1 + x − y),  s = sigmoid(x) (E12). Needs work."""
    sigmoid(x, out)
    np.subtract(x, y, out=work)
    work += 1
    out *= work
    return np.multiply(dY, out, out=out)
