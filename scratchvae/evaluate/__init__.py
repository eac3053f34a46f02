"""What a trained model is worth, in numbers that say what they are."""

from .accepted import accepted, values_of
from .losses import image_terms, measure
from .measurement import Measurement, difference, table

__all__ = ["Measurement", "accepted", "difference", "image_terms", "measure", "table", "values_of"]
