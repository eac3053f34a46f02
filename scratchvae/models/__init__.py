"""The models. They know no file and no clock."""

from .autoencoder import Autoencoder
from .vae import VAE

MODELS = {model.kind: model for model in (VAE, Autoencoder)}

__all__ = ["MODELS", "VAE", "Autoencoder"]
