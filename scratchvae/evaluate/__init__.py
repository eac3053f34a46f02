"""What a trained model is worth, in numbers that say what they are."""

from .losses import image_terms, measure
from .measurement import Measurement, difference, table

__all__ = ["Measurement", "difference", "image_terms", "measure", "table"]
