"""scratchvae: a Variational AutoEncoder with nothing hidden. See README.md, and docs/ for the mathematics."""

__version__ = "0.1.0"

from .backend import use
from .checks import gradcheck
from .data import Dataset, Split
from .data import load as load_data
from .errors import ScratchVAEError
from .evaluate import measure
from .models import VAE, Autoencoder
from .training import fit, load_model, resume

__all__ = [
    "VAE",
    "Autoencoder",
    "Dataset",
    "ScratchVAEError",
    "Split",
    "measure",
    "fit",
    "gradcheck",
    "load_data",
    "load_model",
    "resume",
    "use",
]
