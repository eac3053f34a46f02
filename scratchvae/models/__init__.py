"""The models. They know no file and no clock."""

from .autoencoder import Autoencoder
from .conv_vae import ConvVAE
from .hourglass import Hourglass
from .iwae import IWAE
from .model import Model
from .objective import Weighted
from .unet import UNet
from .vae import VAE

MODELS = {model.kind: model for model in (VAE, Autoencoder, ConvVAE, IWAE, Hourglass, UNet)}

__all__ = ["IWAE", "MODELS", "VAE", "Autoencoder", "ConvVAE", "Hourglass", "Model", "UNet", "Weighted"]
