"""Every operation on NumPy arrays, by name. float32, float64 and complex128 pass through all of them."""

from .activations import (
    gelu,
    gelu_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
    tanh,
    tanh_backward,
)
from .affine import affine, affine_backward
from .gaussian import gaussian_kl, gaussian_kl_backward, reparameterise, reparameterise_backward
from .likelihoods import (
    bernoulli_nll,
    bernoulli_nll_backward,
    gaussian_nll,
    gaussian_nll_backward,
    squared_error,
    squared_error_backward,
)
from .optimisers import adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd, weight_decay
