"""E4 to E12 and E57: the affine map, the activations, and the chain rule."""

import math

import numpy as np

from ... import rng
from ...ops import numpy as ops
from .. import gradients
from .check import all_hold, equal


def _normal(rows, columns, place):
    return rng.normal(4, rng.CHECK, place, np.arange(rows), columns, np.float64)


def E4_affine():
    x, W, b = _normal(3, 5, 0), _normal(5, 2, 1), _normal(1, 2, 2)[0]
    by_hand = [[sum(x[r, i] * W[i, o] for i in range(5)) + b[o] for o in range(2)] for r in range(3)]
    return equal(
        "the product of matrices is the sum written out, entry by entry", ops.affine(x, W, b, np.empty((3, 2))), by_hand
    )


def E5_affine_backward():
    x, W, b, dY = _normal(3, 5, 0), _normal(5, 2, 1), _normal(1, 2, 2)[0], _normal(3, 2, 3)
    dX, dW, db = np.empty_like(x), np.empty_like(W), np.empty_like(b)
    ops.affine_backward(dY, x, W, dX, dW, db)

    def f(x, W, b):
        return lambda theta: (x(theta) @ W(theta) + b(theta)).ravel()

    def still(a):
        return lambda theta: a

    parts = [
        (dX, x, f(lambda t: t.reshape(x.shape), still(W), still(b))),
        (dW, W, f(still(x), lambda t: t.reshape(W.shape), still(b))),
        (db, b, f(still(x), still(W), lambda t: t)),
    ]
    claim = "dX, dW and db are dY times the whole matrix of derivatives, taken by complex steps"
    return all_hold(claim, *(equal("", d.ravel(), gradients.vector_jacobian(g, a.ravel(), dY.ravel())) for d, a, g in parts))


def _activation(name, formula, claim):
    """formula: a plain float → float. The derivative is compared with a complex step through the code's own forward."""
    x, dY = 2 * _normal(1, 40, 4), _normal(1, 40, 5)
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    y = forward(x, np.empty_like(x), np.empty_like(x))
    dX = backward(dY, x, y, np.empty_like(x), np.empty_like(x))
    h = 1e-40
    shifted = forward(x + 1j * h, np.empty_like(x, complex), np.empty_like(x, complex))
    value = equal("", y, [[formula(float(a)) for a in x[0]]])
    slope = equal("", dX, dY * shifted.imag / h)
    return all_hold(f"{claim}; the derivative is that of the formula, by complex steps", value, slope)


def E6_relu():
    return _activation("relu", lambda x: x if x > 0 else 0.0, "y is x above 0, else 0")


def E7_leaky_relu():
    return _activation("leaky_relu", lambda x: x if x > 0 else 0.01 * x, "y is x above 0, else x/100")


def E8_tanh():
    return _activation("tanh", lambda x: (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1), "y is (e²ˣ − 1)/(e²ˣ + 1)")


def E9_sigmoid():
    return _activation("sigmoid", lambda x: 1 / (1 + math.exp(-x)), "y is 1/(1 + e⁻ˣ)")


def E10_softplus():
    return _activation("softplus", lambda x: math.log(1 + math.exp(x)), "y is log(1 + eˣ)")


def E11_gelu():
    def formula(x):
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    return _activation("gelu", formula, "y is x/2 · (1 + tanh u)")


def E12_silu():
    return _activation("silu", lambda x: x / (1 + math.exp(-x)), "y is x/(1 + e⁻ˣ)")


def E57_chain_rule():
    W1, W2, x, dy = _normal(4, 3, 6), _normal(3, 2, 7), _normal(1, 4, 8)[0], _normal(1, 2, 9)[0]
    at_once = gradients.vector_jacobian(lambda t: np.tanh(t @ W1) @ W2, x, dy)
    dh = gradients.vector_jacobian(lambda t: np.tanh(t) @ W2, x @ W1, dy)
    by_stages = gradients.vector_jacobian(lambda t: t @ W1, x, dh)
    by_formula = ((dy @ W2.T) * (1 - np.tanh(x @ W1) ** 2)) @ W1.T
    claim = "through two layers, one Jacobian of the whole, a Jacobian for each, and the formulas by hand agree"
    return all_hold(claim, equal("", at_once, by_formula), equal("", by_stages, by_formula))
