"""What training minimises, made of a model's terms."""

import numpy as np

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


class Annealed(Weighted):
    """The same, but while it trains the last term counts `share(step)` of its weight, so that images are told apart before their codes
    are drawn towards the prior. It is an ELBO only where the share is 1; what is told of a model is always the whole.

    "linear": from 1 / steps to 1 over so many steps (Bowman et al., 2016). "cyclical": again and again, in each so many steps from 0 to 1
    over the first half and 1 over the second (Fu et al., 2019).
    """

    KINDS = ("linear", "cyclical")
    wants_part = True  # the step
    capturable = False  # a graph would repeat the weight of its first step

    def __init__(self, kind, steps, **weights):
        """Raises ConfigError."""
        super().__init__(**weights)
        self.kind, self.steps = gate.choice("kl_schedule", kind, self.KINDS), gate.whole("kl_steps", steps)

    def share(self, step):
        """step counts from 0 → the share of the weight in that step's update"""
        return annealed_share(self.kind, self.steps, step)

    def backward(self, dL):
        *others, last = super().backward(dL)
        if not self.training:
            return *others, last
        return *others, last * self.share(self.part.step).astype(dL.dtype)


def annealed_share(kind, steps, step):
    """min(1, (t + 1) / T), or in cycles min(1, 2 (t mod T + 1) / T) (E95).   step t counts from 0, steps T → from 0 to 1"""
    done = step + 1 if kind == "linear" else 2 * (step % steps + 1)
    return np.minimum(done / steps, 1)
