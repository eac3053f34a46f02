"""E17 to E22 and E53 to E55: what a decoder's output says about pixels."""

import numpy as np

from ... import rng
from ...checks import gaussian_nll_averages_to_the_entropy
from ...ops import numpy as ops
from .. import pixels
from .check import all_hold, at_most, equal

H = 1e-40
DNLL = np.array([0.7, -1.3, 2.0])  # of each row's loss


def _images(place=0):
    return rng.uniform(7, rng.CHECK, place, np.arange(3), 5, np.float64)


def _outputs(place=1):
    return 2 * rng.normal(7, rng.CHECK, place, np.arange(3), 5, np.float64)


def _slopes(f, a):
    """∂ Σf / ∂a by complex steps, entry by entry.   a (B, D) → (B, D)"""
    out = np.empty_like(a)
    for i in np.ndindex(a.shape):
        step = np.zeros_like(a, complex)
        step[i] = 1j * H
        out[i] = np.sum(f(a + step)).imag / H
    return out


def _bernoulli(a, x):
    return ops.bernoulli_nll(a, x, np.empty(len(a), a.dtype), (np.empty_like(a), np.empty_like(a)))


def E17_bernoulli_nll():
    a, x = _outputs(), _images()
    p = 1 / (1 + np.exp(-a))
    usual = equal("", _bernoulli(a, x), -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1))
    far = equal("", _bernoulli(np.array([[1000.0, -1000.0]]), np.array([[0.0, 0.0]])), [1000.0])
    on = np.exp(-_bernoulli(np.array([[0.7]]), np.array([[1.0]])))
    off = np.exp(-_bernoulli(np.array([[0.7]]), np.array([[0.0]])))
    claim = "it is −x log p − (1−x) log(1−p) with p = sigmoid(a); on and off add up to 1; logits of ±1000 stay finite"
    return all_hold(claim, usual, far, equal("", on + off, [1.0]))


def E18_bernoulli_nll_backward():
    a, x = _outputs(), _images()
    da = ops.bernoulli_nll_backward(DNLL, a, x, np.empty_like(a))
    slopes = _slopes(lambda b: DNLL * _bernoulli(b, x + 0j), a)
    return equal("sigmoid(a) − x is the derivative of E17, by complex steps", da, slopes)


def _gaussian(m, logvar, x):
    return ops.gaussian_nll(m, logvar, x, np.empty(len(x), m.dtype), np.empty_like(m))


def E19_gaussian_nll():
    m, x = _outputs(), _images()
    sigma = 0.6
    density = np.exp(-0.5 * ((x - m) / sigma) ** 2) / np.sqrt(2 * np.pi * sigma**2)
    by_hand = equal("", _gaussian(m, np.full(1, 2 * np.log(sigma)), x), -np.log(density).sum(axis=1))
    moment = gaussian_nll_averages_to_the_entropy(nll=ops.gaussian_nll)
    mean = at_most("", abs(moment.z_score), 4.0, "standard errors")
    return all_hold(
        "it is −log of the bell curve, and its mean over 20,000 draws is the entropy ½(1 + log 2πσ²)", by_hand, mean
    )


def E20_gaussian_nll_backward():
    m, x, v = _outputs(), _images(), 0.3 * _outputs(2)
    dm, dv = np.empty_like(m), np.empty_like(m)
    ops.gaussian_nll_backward(DNLL, m, v, x, dm, dv)
    parts = [_slopes(lambda n: DNLL * _gaussian(n, v + 0j, x + 0j), m), _slopes(lambda w: DNLL * _gaussian(m + 0j, w, x + 0j), v)]
    return equal("dm and dlogvar are the derivatives of E19, by complex steps", [dm, dv], parts)


def _squares(y, x):
    return ops.squared_error(y, x, np.empty(len(y), y.dtype), np.empty_like(y))


def E21_squared_error():
    y, x = _outputs(), _images()
    one = np.zeros(1)
    likelihood = 2 * (_gaussian(y, one, x) - _gaussian(x, one, x))
    claim = "it is the sum of (y − x)², and twice what a Gaussian of σ = 1 loses by missing"
    return all_hold(claim, equal("", _squares(y, x), [sum((p - q) ** 2 for p, q in zip(*r, strict=True)) for r in zip(y, x, strict=True)]),
                    equal("", _squares(y, x), likelihood))  # fmt: skip


def E22_squared_error_backward():
    y, x = _outputs(), _images()
    dy = ops.squared_error_backward(DNLL, y, x, np.empty_like(y))
    return equal("2(y − x) is the derivative of E21, by complex steps", dy, _slopes(lambda b: DNLL * _squares(b, x + 0j), y))


def E53_bits_per_dimension():
    m, x = _outputs(), _images()
    small = _gaussian(m, np.zeros(1), x)  # pixels in [0, 1]
    large = _gaussian(255 * m, np.full(1, 2 * np.log(255)), 255 * x)  # the same model of the same pixels, in 0 … 255
    bits = pixels.bits_per_dimension(small, 5, scale=255)
    fair = equal("", pixels.bits_per_dimension(5 * np.log(2), 5), 1.0)
    return all_hold("a fair coin per pixel is 1 bit; pixels in [0, 1] and in 0 … 255 give the same bits once scaled",
                    equal("", bits, large / (5 * np.log(2))), fair)  # fmt: skip


def E54_best_variance():
    m, x = _outputs(), _images()
    best = pixels.best_variance(x, m)
    dm, dv = np.empty_like(m), np.empty_like(m)
    ops.gaussian_nll_backward(np.ones(len(x)), m, np.full(1, np.log(best)), x, dm, dv)
    at_best, lower, higher = (_gaussian(m, np.full(1, np.log(v)), x).sum() for v in (best, 0.9 * best, 1.1 * best))
    floor = at_most("", at_best - min(lower, higher), unit="nats above a neighbour")
    slope = at_most("", abs(dv.sum()), 1e-12, "of slope")
    claim = "at σ² = mean squared error the slope of −log p is 0 (E20), and 10% more or less is worse"
    return all_hold(claim, slope, floor)


def E55_best_mean():
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    w = np.array([0.5, 0.3, 0.2])
    m = pixels.best_mean(x, w)
    slope = at_most("", np.abs((w[:, None] * 2 * (m - x)).sum(axis=0)).max(), 1e-12, "of slope")
    # Bernoulli pixels ask for the same mean: da = σ(a) − x averages to zero at σ(a) = m.
    a = np.log(m / (1 - m))[None].repeat(3, axis=0)
    da = ops.bernoulli_nll_backward(np.ones(len(x)), a, x, np.empty_like(x))
    claim = "at the weighted mean the slope of the squared error is 0, and so is that of Bernoulli pixels (E18)"
    return all_hold(claim, slope, at_most("", np.abs(w @ da).max(), 1e-12, "of slope"))
