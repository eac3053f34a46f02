"""Proof in layers: derivatives by complex step and by differences, and the distributions that derivatives cannot see."""

from .cases import check_all
from .complex_step import complex_step
from .finite_difference import central_differences
from .gradcheck import gradcheck
from .moments import (
    Moment,
    bernoulli_pixels_have_their_mean,
    check_moments,
    gaussian_nll_averages_to_the_entropy,
    kl_equals_monte_carlo,
    sampled_variance_is_declared,
)
from .report import Entry, Report

__all__ = [
    "Entry", "Moment", "Report", "bernoulli_pixels_have_their_mean", "central_differences", "check_all", "check_moments",
    "complex_step", "gaussian_nll_averages_to_the_entropy", "gradcheck", "kl_equals_monte_carlo",
    "sampled_variance_is_declared",
]
