"""What a trained model is worth, in numbers that say what they are."""

from .accepted import accepted, values_of
from .denoising import psnr
from .key_points import pck, peaks
from .losses import image_terms, measure
from .measurement import Measurement, difference, table
from .scores import Scores, judge
from .segmentation import confusion, dice, iou

__all__ = [
    "Measurement", "Scores", "accepted", "confusion", "dice", "difference", "image_terms", "iou", "judge", "measure",
    "pck", "peaks", "psnr", "table", "values_of",
]  # fmt: skip
