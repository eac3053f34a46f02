"""The models. They know no file and no clock."""

from .autoencoder import Autoencoder
from .conv_vae import ConvVAE
from .hourglass import Hourglass
from .model import Model
from .objective import Weighted
from .unet import UNet
from .vae import VAE

MODELS = {model.kind: model for model in (VAE, Autoencoder, ConvVAE, Hourglass, UNet)}

__all__ = ["MODELS", "VAE", "Autoencoder", "ConvVAE", "Hourglass", "Model", "UNet", "Weighted"]
