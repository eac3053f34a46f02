"""How well joints are found."""

import numpy as np

from .. import gate
from ..errors import DataError
from ..ops import numpy as ops


def peaks(maps):
    """Where each heat map is highest, moved a quarter of a pixel towards the higher neighbour on each axis (E84).

    maps (N, H, W, J) → x and y in pixels of the maps, (N, J, 2)
    """
    maps = gate.floats("maps", maps)
    if maps.ndim != 4 or not maps.size:
        raise DataError(f"maps: must be heat maps of shape (N, height, width, joints), not {gate.shown(maps)}")
    return ops.peaks(maps, np.empty((len(maps), maps.shape[3], 2)))


def pck(predicted, points, reference, alpha=0.2, counted=None):
    """Percentage of correct key points (E86) as a share from 0 to 1, of each joint: found within alpha · reference of where it is.

    predicted, points (N, J, 2) · reference (N,): what is taken for the size of each figure, in the same pixels
    counted (N, J): which joints count, such as those that are seen; all where it is None
    → (J,), NaN for a joint that is never counted

    What `reference` is must be said with every figure: the torso, with α = 0.2 (FLIC of Sapp and Taskar, 2013, as in Newell et al.,
    2016); the head's segment, with α = 0.5, called PCKh (MPII, Andriluka et al., 2014); the longer side of the figure's box (Yang and
    Ramanan, 2013).
    """
    alpha = gate.number("alpha", alpha, above=0)
    predicted, points = gate.floats("predicted", predicted), gate.floats("points", points)
    reference = gate.floats("reference", reference)
    if points.ndim != 3 or points.shape[2] != 2 or predicted.shape != points.shape or reference.shape != points.shape[:1]:
        raise DataError(
            f"points of shape {points.shape}, predicted {predicted.shape}, a reference {reference.shape}: "
            "give (N, joints, 2) twice, and (N,)"
        )
    if reference.size and reference.min() <= 0:
        raise DataError(f"reference: row {reference.argmin()} is {reference.min():g}: a figure's size is more than nothing")
    right = np.linalg.norm(predicted - points, axis=2) <= alpha * reference[:, None]
    counted = np.ones(right.shape, bool) if counted is None else gate.array(counted, "counted")
    if counted.shape != right.shape or counted.dtype != bool:
        raise DataError(f"counted: must be True or False for each joint, {right.shape}, not {gate.shown(counted)}")
    there = counted.sum(axis=0)
    return np.divide((right & counted).sum(axis=0), there, out=np.full(len(there), np.nan), where=there > 0)
