"""A numeric check for each equation of the book: a function named after its number, such as E17_bernoulli_nll() → Check."""

from . import derivatives, family, gaussian, images, key_points, layers, likelihoods, networks, noise, probability, updates
from .check import Check

CHECKS = {
    int(name[1:].split("_")[0]): function
    for module in (noise, layers, gaussian, likelihoods, updates, derivatives, probability, images, networks, key_points, family)
    for name, function in vars(module).items()
    if name[0] == "E" and name[1:2].isdigit()
}

__all__ = ["CHECKS", "Check"]
