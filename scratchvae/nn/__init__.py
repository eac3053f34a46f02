"""The module system: Module, Parameter, layers and their initial values. Knows no model and no file."""

from .layers import ACTIVATIONS, GELU, Dense, LeakyReLU, ReLU, Sequential, Sigmoid, SiLU, Softplus, Tanh
from .module import Module, Part
from .parameter import Parameter, ParameterBuffer

__all__ = [
    "ACTIVATIONS", "GELU", "Dense", "LeakyReLU", "Module", "Parameter", "ParameterBuffer", "Part", "ReLU", "Sequential",
    "SiLU", "Sigmoid", "Softplus", "Tanh",
]
