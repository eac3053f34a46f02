"""The module system: Module, Parameter, layers and their initial values. Knows no model and no file."""

from .chain import Chain
from .composition import Concat, Flatten, Reshape, Residual, Sequential, Skip
from .convolution import Conv2D, ConvTranspose2D
from .dropout import Dropout
from .embedding import Embedding
from .layers import ACTIVATIONS, GELU, Dense, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .module import Module, Part
from .normalisation import BatchNorm, GroupNorm, LayerNorm
from .parameter import Parameter, ParameterBuffer
from .pooling import AveragePool, MaxPool, Upsample

__all__ = [
    "ACTIVATIONS", "GELU", "AveragePool", "BatchNorm", "Chain", "Concat", "Conv2D", "ConvTranspose2D", "Dense",
    "Dropout", "Embedding", "Flatten", "GroupNorm", "LayerNorm", "LeakyReLU", "MaxPool", "Module", "Parameter",
    "ParameterBuffer", "Part", "ReLU", "Reshape", "Residual", "Sequential", "SiLU", "Sigmoid",
    "Skip", "Softplus", "Tanh", "Upsample",
]
