"""Every operation on CuPy arrays: the names and arguments of ops.numpy, computed by the kernels in `kernels/`.

Beside the twins stand the fused ones, each saying which NumPy operations it is: dense, dense_backward, bernoulli_nll_and_gradient
(and gaussian_…, squared_error_…), gather_batch, clip_factor, end_of_step.
A launch allocates nothing. Importing this neither imports CuPy nor compiles anything: that happens at the first launch.
"""

# ruff: noqa: F401 (it exists to gather the names)
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
    soft_floor,
    soft_floor_backward,
    softplus,
    softplus_backward,
    tanh,
    tanh_backward,
)
from .affine import affine, affine_backward, dense, dense_backward
from .categorical import categorical_nll, categorical_nll_backward, embedding, embedding_backward, one_hot
from .convolution import conv2d, conv2d_backward, conv2d_work, conv_transpose2d, conv_transpose2d_backward
from .data import gather, gather_batch
from .dropout import dropout, dropout_backward
from .gaussian import (
    gaussian_kl,
    gaussian_kl_backward,
    posterior_backward,
    reparameterise,
    reparameterise_backward,
    sample_posterior,
)
from .heat_maps import heat_maps, peaks
from .importance import (
    importance_backward,
    importance_loss,
    importance_loss_backward,
    repeat_rows,
    repeat_rows_backward,
    sampled_kl,
)
from .joining import concat, concat_backward
from .likelihoods import (
    bernoulli_nll,
    bernoulli_nll_and_gradient,
    bernoulli_nll_backward,
    continuous_bernoulli_mean,
    continuous_bernoulli_nll,
    continuous_bernoulli_nll_backward,
    gaussian_nll,
    gaussian_nll_and_gradient,
    gaussian_nll_backward,
    logistic_nll,
    logistic_nll_backward,
    squared_error,
    squared_error_and_gradient,
    squared_error_backward,
)
from .noise import normal, uniform, words
from .normalisation import follow, normalise, normalise_backward, standardise, standardise_backward
from .optimisers import adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd, weight_decay
from .patches import patches, patches_backward
from .pooling import (
    average_pool,
    average_pool_backward,
    max_pool,
    max_pool_backward,
    upsample_bilinear,
    upsample_bilinear_backward,
    upsample_nearest,
    upsample_nearest_backward,
)
from .reductions import PARTS, add, clip_factor, plus, total
from .step import end_of_step, sum_all
from .tiling import Scratch, scratch_size
