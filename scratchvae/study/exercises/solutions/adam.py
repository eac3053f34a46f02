"""One step of Adam (equation E29).

Shapes: all N parameters lie in one flat array, and so do their gradients and both moments.
"""

import numpy as np


def adam(p, g, m, v, lr, step, beta1=0.9, beta2=0.999, eps=1e-8):
    """The next p, m and v (E29); step counts updates from 1.   p, g, m, v (N,) → p, m, v (N,), new arrays"""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    return p - lr * m_hat / (np.sqrt(v_hat) + eps), m, v
