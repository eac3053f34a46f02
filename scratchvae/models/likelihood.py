"""What a decoder's output means: a distribution over images, as a module that holds x for its backward."""

import numpy as np

from .. import gate, nn
from ..nn import init

SMALLEST_SIGMA = 2.0**-23
CACHED = 100_000  # numbers in a work array, so that two of them and what they come from stay in a core's cache


class Bernoulli(nn.Module):
    """Each pixel is on with probability sigmoid(logit). With grayscale x in [0, 1]: the cross-entropy (E17)."""

    input_gradient = True, False  # x is data
    support = (0, 1)  # the numbers that it takes
    least_nll = 0.0  # of any image: a probability is at most 1

    def forward(self, logits, x):
        """logits, x (B, D) → nll (B,), nats per image summed over pixels"""
        self.logits, self.x = logits, x
        rows = min(len(x), max(1, CACHED // x.shape[1])), x.shape[1]
        work = self.work(rows, x.dtype), self.work(rows, x.dtype)
        self.nll = self.new("nll", (len(x),), x.dtype)
        return self.ops.bernoulli_nll(logits, x, self.nll, work)

    def backward(self, dnll):
        """dnll (B,) → dlogits (B, D), and None: x is data"""
        self.floats(dnll=dnll, like=self.nll)
        return self.ops.bernoulli_nll_backward(dnll, self.logits, self.x, self.new("dlogits", self.x.shape, self.x.dtype)), None

    def mean(self, logits, out):
        """E[x] = sigmoid(logits).   (B, D) → out (B, D)"""
        return self.ops.sigmoid(logits, out)


class Gaussian(nn.Module):
    """Each pixel is N(m, σ²) with one σ for all of them, learned unless it is given (E19; Rybkin et al., 2021)."""

    input_gradient = True, False  # x is data
    support = gate.REAL
    least_nll = gate.REAL[0]  # of any image: a density may exceed 1, so this may be negative

    def __init__(self, sigma=None):
        """sigma: a number that stays, or None to learn log σ² from 0 on. Raises ConfigError.

        A σ below the spacing of float32 at 1 would score how pixels were rounded, and 1/σ² would leave the finite numbers.
        """
        self.sigma = None if sigma is None else gate.number("sigma", sigma, least=SMALLEST_SIGMA, most=1 / SMALLEST_SIGMA)
        if sigma is None:
            self.logvar = nn.Parameter((1,), init.zeros)

    def forward(self, mean, x):
        """mean, x (B, D) → nll (B,), nats per image summed over pixels"""
        self.m, self.x = mean, x
        if self.sigma is None:
            self.lv = self.logvar.value
        else:
            self.lv = self._given(mean)
        self.nll = self.new("nll", (len(x),), x.dtype)
        return self.ops.gaussian_nll(mean, self.lv, x, self.nll, self.work(x.shape, x.dtype))

    def backward(self, dnll):
        """dnll (B,) → dmean (B, D), and None: x is data. Writes logvar.grad when σ is learned."""
        self.floats(dnll=dnll, like=self.nll)
        dmean, dlogvar = (self.new(name, self.x.shape, self.x.dtype) for name in ("dmean", "dlogvar"))
        self.ops.gaussian_nll_backward(dnll, self.m, self.lv, self.x, dmean, dlogvar)
        if self.sigma is None:
            self.ops.sum_all(dlogvar, self.logvar.grad)
        return dmean, None

    def _given(self, like):
        """log σ² (1,), made once: a step that a GPU repeats cannot be handed a number."""
        held = vars(self).get("lv")
        if type(held) is type(like) and held.dtype == like.dtype:
            return held
        return self.backend.put(np.full(1, 2 * np.log(self.sigma), like.dtype))

    def mean(self, mean, out):
        """E[x] is the decoder's output itself.   (B, D) → out (B, D)"""
        np.copyto(out, mean)
        return out


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian}
