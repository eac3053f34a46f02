"""What a decoder's output means: a distribution over images, as a module that holds x for its backward."""

import numpy as np

from .. import gate, nn, rng
from ..nn import init

SMALLEST_SIGMA = 2.0**-23
CACHED = 100_000  # numbers in a work array, so that two of them and what they come from stay in a core's cache


class Bernoulli(nn.Module):
    """Each pixel is on with probability sigmoid(logit). With grayscale x in [0, 1]: the cross-entropy (E17)."""

    input_gradient = True, False  # x is data
    outputs = 1  # that a decoder has for each pixel
    support = (0, 1)  # the numbers that it takes
    least_nll = 0.0  # of any image: a probability is at most 1

    def forward(self, logits, x):
        """logits, x (B, D) → nll (B,), nats per image summed over pixels"""
        self.logits, self.x = logits, x
        work = scratch(self, x, 2)
        self.nll = self.new("nll", (len(x),), x.dtype)
        return self.ops.bernoulli_nll(logits, x, self.nll, work)

    def backward(self, dnll):
        """dnll (B,) → dlogits (B, D), and None: x is data"""
        self.floats(dnll=dnll, like=self.nll)
        return self.ops.bernoulli_nll_backward(dnll, self.logits, self.x, self.new("dlogits", self.x.shape, self.x.dtype)), None

    def mean(self, logits, out):
        """E[x] = sigmoid(logits).   (B, D) → out (B, D)"""
        return self.ops.sigmoid(logits, out)

    def draw(self, logits, *place):
        """Pixels that are 0 or 1.   logits, of NumPy (N, D) · place: seed, stream, step and rows of the noise → (N, D)"""
        return (rng.uniform(*place, logits.shape[1]) < 0.5 * (1 + np.tanh(0.5 * logits))).astype(logits.dtype)


class ContinuousBernoulli(nn.Module):
    """Each pixel has the density a eᵃˣ / (eᵃ − 1) on [0, 1]: what the Bernoulli's formula lacks to be one of grayscale pixels
    (Loaiza-Ganem & Cunningham, 2019)."""

    input_gradient = True, False  # x is data
    outputs = 1
    support = (0, 1)
    least_nll = gate.REAL[0]  # a density

    def forward(self, logits, x):
        """logits, x (B, D) → nll (B,), nats per image summed over pixels"""
        self.logits, self.x = logits, x
        self.nll = self.new("nll", (len(x),), x.dtype)
        return self.ops.continuous_bernoulli_nll(logits, x, self.nll, scratch(self, x, 3))

    def backward(self, dnll):
        """dnll (B,) → dlogits (B, D), and None: x is data"""
        self.floats(dnll=dnll, like=self.nll)
        dlogits = self.new("dlogits", self.x.shape, self.x.dtype)
        work = scratch(self, self.x, 3)
        return self.ops.continuous_bernoulli_nll_backward(dnll, self.logits, self.x, dlogits, work), None

    def mean(self, logits, out):
        """E[x], which is not sigmoid(logits).   (B, D) → out (B, D)"""
        return self.ops.continuous_bernoulli_mean(logits, out, scratch(self, logits, 3))

    def draw(self, logits, *place):
        """The x below which a random share u of the density lies.   As that of Bernoulli → (N, D)"""
        a, u = logits.astype(np.float64), rng.uniform(*place, logits.shape[1], np.float64)
        t = np.maximum(np.abs(a), 1e-12)
        x = -np.log1p(np.where(a > 0, 1 - u, u) * np.expm1(-t)) / t  # of −|a|, from the end where it is high
        return np.where(a > 0, 1 - x, x).astype(logits.dtype)


class Gaussian(nn.Module):
    """Each pixel is N(m, σ²) with one σ for all of them, learned unless it is given (E19; Rybkin et al., 2021)."""

    input_gradient = True, False  # x is data
    outputs = 1
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

    def draw(self, mean, *place):
        """m + σ ε.   As that of Bernoulli → (N, D)"""
        sigma = self.sigma if self.sigma is not None else float(np.exp(0.5 * self.backend.get(self.logvar.value)[0]))
        return (mean + sigma * rng.normal(*place, mean.shape[1])).astype(mean.dtype)


class Spread(nn.Module):
    """A place and a spread for each pixel, the second bounded from below: spread = least + softplus(raw − least).

    A density grows without end where x is known exactly and the spread may fall for ever; `least` is where it stops. The decoder's
    output holds `channels` places, then as many raw spreads, for each pixel of an image, or for all of a row at once.
    """

    input_gradient = True, False  # x is data
    outputs = 2
    channels = None  # of an image whose decoder is convolutional

    def forward(self, y, x):
        """y (B, 2 D), x (B, D) → nll (B,), nats per image summed over pixels"""
        self.y, self.x = y, x
        self.m, self.raw, self.spread = (self.new(name, x.shape, x.dtype) for name in ("place", "raw", "spread"))
        self._read(y)
        self.nll = self.new("nll", (len(x),), x.dtype)
        return self._nll()

    def backward(self, dnll):
        """dnll (B,) → dy (B, 2 D), and None: x is data"""
        self.floats(dnll=dnll, like=self.nll)
        dy, (dm, dspread, draw) = self.new("dy", self.y.shape, self.y.dtype), (self.work(self.x.shape, self.x.dtype) for _ in range(3))
        self._nll_backward(dnll, dm, dspread)
        self.ops.soft_floor_backward(dspread, self.raw, self.least, draw)
        self.ops.concat(*map(self._per_pixel, (dm, draw)), self._per_pixel(dy, 2))
        return dy, None

    def mean(self, y, out):
        """E[x].   y (N, 2 D) → out (N, D)"""
        self.m, self.raw, self.spread = (self.work(out.shape, out.dtype) for _ in range(3))
        self._read(y)
        return self._mean(out)

    def _read(self, y):
        self.ops.concat_backward(self._per_pixel(y, 2), self._per_pixel(self.m), self._per_pixel(self.raw))
        self.ops.soft_floor(self.raw, self.least, self.spread, self.work(self.raw.shape, self.raw.dtype))

    def _per_pixel(self, rows, times=1):
        """(B, times · D) → (B, pixels, times · channels), the same numbers"""
        return rows.reshape(len(rows), -1, rows.shape[1] if self.channels is None else times * self.channels)

    def _parts(self, y):
        """Places and spreads of a decoder's output, of NumPy (N, 2 D), in float64 (N, D)"""
        m, raw = (part.reshape(len(y), -1) for part in np.split(self._per_pixel(y.astype(np.float64), 2), 2, axis=2))
        return m, self.least + np.logaddexp(0, raw - self.least)


class PixelGaussian(Spread):
    """Each pixel is N(m, σ²) with a σ of its own (E19)."""

    support = gate.REAL
    least_nll = gate.REAL[0]
    least = float(2 * np.log(1 / (255 * np.sqrt(12))))  # log σ² of what rounding to 256 levels does to a pixel

    def _nll(self):
        return self.ops.gaussian_nll(self.m, self.spread, self.x, self.nll, self.work(self.x.shape, self.x.dtype))

    def _nll_backward(self, dnll, dm, dspread):
        self.ops.gaussian_nll_backward(dnll, self.m, self.spread, self.x, dm, dspread)

    def _mean(self, out):
        np.copyto(out, self.m)
        return out

    def draw(self, y, *place):
        """m + σ ε.   y, of NumPy (N, 2 D); else as that of Bernoulli → (N, D)"""
        m, logvar = self._parts(y)
        return (m + np.exp(0.5 * logvar) * rng.normal(*place, m.shape[1])).astype(y.dtype)


class Logistic(Spread):
    """Each pixel is one of 256 levels from 0 to 1, with the probability that a logistic distribution has of being rounded to it
    (Salimans et al., 2017)."""

    support = (0, 1)
    least_nll = 0.0  # a probability
    levels = 256
    least = -7.0  # log s, as there: less than a quarter of a level

    def _nll(self):
        return self.ops.logistic_nll(self.m, self.spread, self.x, self.nll, scratch(self, self.x, 5), self.levels)

    def _nll_backward(self, dnll, dm, dspread):
        self.ops.logistic_nll_backward(dnll, self.m, self.spread, self.x, dm, dspread, scratch(self, self.x, 5), self.levels)

    def _mean(self, out):
        """That of the distribution with its ends laid on 0 and 1, before rounding: s (softplus(m / s) − softplus((m − 1) / s))"""
        s, term, work = self.raw, self.work(out.shape, out.dtype), self.work(out.shape, out.dtype)
        np.exp(self.spread, out=s)
        np.divide(self.m, s, out=term)
        self.ops.softplus(term, out, work)
        self.m -= 1
        np.divide(self.m, s, out=self.m)
        out -= self.ops.softplus(self.m, term, work)
        out *= s
        return out

    def draw(self, y, *place):
        """Levels.   y, of NumPy (N, 2 D); else as that of Bernoulli → (N, D)"""
        m, logscale = self._parts(y)
        u = rng.uniform(*place, m.shape[1], np.float64) + 2.0**-25  # multiples of 2⁻²⁴, each in the middle of its stretch
        x = m + np.exp(logscale) * (np.log(u) - np.log1p(-u))
        return (np.rint(np.clip(x, 0, 1) * (self.levels - 1)) / (self.levels - 1)).astype(y.dtype)


def scratch(module, x, count):
    """So many work arrays for some rows of x (B, D), as many as stay in a core's cache."""
    rows = min(len(x), max(1, CACHED // x.shape[1])), x.shape[1]
    return tuple(module.work(rows, x.dtype) for _ in range(count))


LIKELIHOODS = {
    "bernoulli": Bernoulli, "continuous-bernoulli": ContinuousBernoulli, "gaussian": Gaussian, "pixel-gaussian": PixelGaussian,
    "logistic": Logistic,
}
