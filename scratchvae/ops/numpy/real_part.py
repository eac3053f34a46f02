"""Functions with a kink, which decide on the real part.

A complex-step check moves along the imaginary axis, so an operation must not compare complex values themselves: it takes
the branch of the real part and lets the imaginary part ride along. For real arrays these are np.maximum and np.abs.
At the kink itself both take the slope from the left, as relu_backward and leaky_relu_backward do.
"""

import numpy as np


def positive_part(x, out):
    """max(x, 0).   any shape → out"""
    if np.iscomplexobj(x):
        return np.multiply(x, x.real > 0, out=out)
    return np.maximum(x, 0, out=out)


def magnitude(x, out):
    """|x|: x where the real part is positive, else −x.   any shape → out"""
    if np.iscomplexobj(x):
        return np.multiply(x, np.where(x.real > 0, 1.0, -1.0), out=out)
    return np.abs(x, out=out)
