"""What training minimises, made of a model's terms."""

from .. import gate, nn


class Weighted(nn.Module):
    """L = Σ_k w_k · term_k for each row: with weights of 1 the −ELBO (E36), with β on the KL that of a β-VAE (Higgins et al., 2017)."""

    def __init__(self, **weights):
        """weights: one for each term, in the order in which forward returns them. Raises ConfigError."""
        self.weights = {name: float(gate.number(name, weight, least=0)) for name, weight in weights.items()}

    def forward(self, *terms):
        """terms (B,) each → L (B,)"""
        L = self.new("loss", terms[0].shape, terms[0].dtype)
        L[...] = 0
        for weight, term in zip(self.weights.values(), terms, strict=True):
            L += weight * term
        return L

    def backward(self, dL):
        """dL (B,) → the gradient of each term (B,)"""
        return tuple(dL if weight == 1 else dL * weight for weight in self.weights.values())
