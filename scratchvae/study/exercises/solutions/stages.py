"""Three stages, each with a loss of its own: forward is given, backward is yours (equations E82, E85).

It is a Stacked Hourglass with dense layers for convolutions. Stage s is given x_s and draws y_s, which is to be like
the target t:

    h_s = tanh(x_s W_s)      y_s = h_s V_s      x_{s+1} = x_s + h_s A_s + y_s C_s

Shapes: B rows, D features, H units of a stage, J numbers of a target. x1 (B, D), t (B, J); the parameters p are a dict
of arrays:

    stages 1, 2, 3   W1, W2, W3 (D, H)   V1, V2, V3 (H, J)
    stages 1, 2      A1, A2 (H, D)       C1, C2 (J, D)          the last stage hands nothing on

The loss is the squared error of all three stages, summed over stages and over the J numbers, averaged over the B rows.
"""

import numpy as np


def stages_forward(p, x1, t):
    """Given, leave it as it is.   x1 (B, D), t (B, J) → loss (a number), and a dict of what backward needs"""
    cache, loss = {"t": t, "x1": x1}, 0.0
    for s in (1, 2, 3):
        x = cache[f"x{s}"]
        h = np.tanh(x @ p[f"W{s}"])  # (B, H)
        y = h @ p[f"V{s}"]  # (B, J)
        cache[f"h{s}"], cache[f"y{s}"] = h, y
        loss = loss + np.sum((y - t) ** 2) / len(t)
        if s < 3:
            cache[f"x{s + 1}"] = x + h @ p[f"A{s}"] + y @ p[f"C{s}"]  # (B, D)
    return loss, cache


def stages_backward(p, cache):
    """The gradient of the loss with respect to every parameter and to x1.   → a dict with the keys of p, and "x1" """
    grads, dnext = {}, None  # dnext: of the x that a stage hands on
    for s in (3, 2, 1):
        x, h, y = cache[f"x{s}"], cache[f"h{s}"], cache[f"y{s}"]
        dy = 2 * (y - cache["t"]) / len(y)  # (B, J), of the stage's own loss
        if s < 3:
            grads[f"C{s}"], grads[f"A{s}"] = y.T @ dnext, h.T @ dnext
            dy = dy + dnext @ p[f"C{s}"].T
        grads[f"V{s}"] = h.T @ dy
        dh = dy @ p[f"V{s}"].T  # (B, H)
        if s < 3:
            dh = dh + dnext @ p[f"A{s}"].T
        da = dh * (1 - h**2)
        grads[f"W{s}"] = x.T @ da
        dx = da @ p[f"W{s}"].T  # (B, D)
        dnext = dx if s == 3 else dx + dnext
    grads["x1"] = dnext
    return grads
