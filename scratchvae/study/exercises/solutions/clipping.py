"""Clipping a gradient by its global norm (equation E38).

Shapes: the gradients of all N parameters lie in one flat array.
"""

import numpy as np


def clip_by_global_norm(g, largest):
    """g, scaled down to Euclidean norm `largest` if it is longer (E38); largest is a positive number.   g (N,) → (N,), a new array"""
    norm = np.sqrt(np.sum(g**2))
    return g * (largest / norm) if norm > largest else g.copy()
