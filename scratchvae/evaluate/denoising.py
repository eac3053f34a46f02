"""How near a cleaned picture comes to the clean one."""

import numpy as np

from .. import gate
from ..errors import DataError


def psnr(predicted, truth, peak=1.0):
    """Peak signal-to-noise ratio of each image, 10 log₁₀(peak² / mean squared error) (E81), in decibels.   (N, …) of one shape → (N,)

    peak  what white is, the same for both: 1, or 255 of bytes
    Infinite where nothing differs.
    """
    peak = gate.number("peak", peak, above=0)
    predicted, truth = gate.floats("predicted", predicted), gate.floats("truth", truth)
    if predicted.shape != truth.shape or truth.ndim < 2 or not truth.size:
        raise DataError(f"predicted images of shape {predicted.shape} for a truth of {truth.shape}: give (N, …) of one shape")
    with np.errstate(divide="ignore", over="ignore"):
        return 10 * np.log10(peak**2 / np.mean((predicted - truth) ** 2, axis=tuple(range(1, truth.ndim))))
