"""What a trained model is worth, in numbers that say what they are."""

from .elbo import evaluate, image_terms
from .measurement import Measurement, difference

__all__ = ["Measurement", "difference", "evaluate", "image_terms"]
