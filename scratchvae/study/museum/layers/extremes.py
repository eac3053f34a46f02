"""Inputs that no ordinary run shows and every long one meets: large logits, tiny and huge variances."""

import numpy as np

from .verdict import near

LOGITS = np.array([[-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4]], np.float32)


def extremes(copy):
    """Finite, and right, at logits of ±10,000 in float32 and at variances from e⁻²⁰ to e²⁰."""
    ops = copy["ops.numpy"]
    for pixel in (0.0, 1.0):
        x = np.full_like(LOGITS, pixel)
        exact = np.logaddexp(0, LOGITS.astype(float) * (1 - 2 * pixel)).sum()
        got = float(ops.bernoulli_nll(LOGITS, x, np.empty(1, np.float32), (np.empty_like(x), np.empty_like(x)))[0])
        what = f"−log p of x = {pixel:g} over logits from −10⁴ to 10⁴"
        yield near(got, exact, 1e-5)[0], got, f"{what} is {exact:,.1f} nats, and {got:,.1f} came out"
        slope = ops.bernoulli_nll_backward(np.ones(1, np.float32), LOGITS, x, np.empty_like(x))
        worst = float(np.abs(slope - (0.5 + 0.5 * np.tanh(LOGITS / 2) - pixel)).max())
        yield worst < 1e-6, worst, f"its gradient there is off by {worst:.1e}"

    logvar = np.array([[-20.0, -8.0, 8.0, 20.0]])
    mu, eps, z, std = np.zeros_like(logvar), np.ones_like(logvar), np.empty_like(logvar), np.empty_like(logvar)
    ops.reparameterise(mu, logvar, eps, z, std)
    worst = float(np.abs(np.log(z) - logvar / 2).max())
    yield worst < 1e-9, worst, f"z is drawn with a log σ that is {worst:.2g} off logvar / 2, which the KL charges for"
    kl = float(ops.gaussian_kl(mu, logvar, np.empty(1), (np.empty_like(mu), np.empty_like(mu)))[0])
    exact = float(0.5 * (np.exp(logvar) - 1 - logvar).sum())
    yield near(kl, exact, 1e-12)[0], kl, f"the KL there is {exact:.6g} nats, and {kl:.6g} came out"
