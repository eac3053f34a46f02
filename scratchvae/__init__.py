"""scratchvae: a Variational AutoEncoder with nothing hidden. See README.md, and docs/ for the mathematics."""

__version__ = "0.1.0"
