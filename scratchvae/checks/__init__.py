"""Proof in layers: derivatives, the distributions that derivatives cannot see, and a model whose optimum is known on
paper."""

from .cases import check_all
from .check_file import check_file
from .complex_step import complex_step
from .error_anatomy import error_anatomy
from .finite_difference import central_differences
from .gradcheck import gradcheck
from .linear_vae import check_linear_vae, check_oracle
from .moments import (
    Moment,
    bernoulli_pixels_have_their_mean,
    check_moments,
    gaussian_nll_averages_to_the_entropy,
    kl_equals_monte_carlo,
    sampled_variance_is_declared,
)
from .ppca import PPCA, ppca_optimum
from .report import Entry, Report

__all__ = [
    "PPCA", "Entry", "Moment", "Report", "bernoulli_pixels_have_their_mean", "central_differences", "check_all",
    "check_file",
    "check_linear_vae", "check_moments", "check_oracle", "complex_step", "error_anatomy",
    "gaussian_nll_averages_to_the_entropy",
    "gradcheck", "kl_equals_monte_carlo", "ppca_optimum", "sampled_variance_is_declared",
]  # fmt: skip
