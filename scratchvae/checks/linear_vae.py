"""The closed-form oracle: a linear VAE, trained with the real model, operations and optimiser, must end at
probabilistic PCA.

A derivative check compares backward with forward and passes when both are wrong together. Here the end of training is
known in advance, number by number, from the eigenvalues of the data, so a wrong objective with a right derivative is
seen.

Noise-free, so that the end can be told to nine digits: with a linear decoder the reconstruction is quadratic in ε, and
the mean of a quadratic over the 2L points ±√L eₖ, whose mean is 0 and whose covariance is I, *is* its mean over ε ~
N(0, I). What this cannot see: a wrong noise generator, and everything that a linear model with Gaussian pixels does not
use.
"""

from dataclasses import asdict, dataclass

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from ..models import VAE
from ..ops import numpy as ops
from .ppca import ppca_optimum

SPECTRUM = (6.0, 3.0, 1.5, 0.5, 0.3, 0.2)  # eigenvalues of the default images
SIGMA = 0.8**0.5  # σ² lies between the third and the fourth; at an eigenvalue training would take for ever
_IMAGES = 12
_STEPS, _LR = 3000, 0.03
_FLAT = 1e-9  # largest slope at which training stops
_COLLAPSED = 1e-3  # nats of KL
# Steps of the CHECK stream, apart from those of `objective`, `cases` and `moments`.
_SCORES, _ROTATION, _MEAN = range(200, 203)

# Training stops at slopes of 1e-9, where parameters are off by that over the curvature, 0.01 and more at these
# eigenvalues.
_PARAMETER = 1e-6
_FLAT_TOP = "at its maximum the ELBO is flat: parameters off by 1e-6 cost 1e-12"
_FIRST = "changes in proportion to the parameters, which are right to 1e-7"


@dataclass
class Quantity:
    """One number of the trained model beside its closed form. Of several, such as one per image, the worst."""

    name: str
    seen: float
    expected: float
    tolerance: float
    why: str  # the reason for the tolerance

    @property
    def ok(self):
        return bool(abs(self.seen - self.expected) <= self.tolerance)  # NaN is not ok

    def to_dict(self):
        finite = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}
        return {**finite, "ok": self.ok}


@dataclass
class OracleReport:
    """What a trained linear VAE is, held against probabilistic PCA. str() is a table for people, to_dict() one for
    JSON."""

    name: str
    seed: int
    steps: int  # taken
    slope: float  # largest entry of the gradient at the end
    eigenvalues: list
    sigma2: float  # fixed, or the best
    quantities: list

    @property
    def ok(self):
        return bool(self.quantities) and all(q.ok for q in self.quantities)

    @property
    def failed(self):
        """Names of the quantities that are off."""
        return [q.name for q in self.quantities if not q.ok]

    def to_dict(self):
        head = {"name": self.name, "ok": self.ok, "seed": self.seed, "steps": self.steps}
        slope, found = self.slope if np.isfinite(self.slope) else None, [q.to_dict() for q in self.quantities]
        values = {"eigenvalues": self.eigenvalues, "sigma2": self.sigma2, "slope": slope}
        return {**head, **values, "quantities": found}

    def __str__(self):
        rows = [("quantity", "seen", "closed form", "off by", "allowed", "verdict")]
        for q in self.quantities:
            off, verdict = abs(q.seen - q.expected), "ok" if q.ok else "FAIL"
            rows.append((q.name, f"{q.seen:.7g}", f"{q.expected:.7g}", f"{off:.1e}", f"{q.tolerance:g}", verdict))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        values = ", ".join(f"{v:.4g}" for v in self.eigenvalues[:8]) + (" …" if len(self.eigenvalues) > 8 else "")
        title = f"{self.name} against probabilistic PCA: {'ok' if self.ok else 'FAIL'} (eigenvalues {values}; "
        if self.quantities[0].seen > self.quantities[0].expected + self.quantities[0].tolerance:
            lines.append("No ELBO can exceed the largest mean of log p(x), so what was trained here is not one.")
        title += f"σ² {self.sigma2:.4g}; {self.steps:,} steps, last slope {self.slope:.0e}, seed {self.seed})"
        return "\n".join([title, *lines])


def check_linear_vae(seed=0, sigma=SIGMA, latent=None, x=None, steps=_STEPS, lr=_LR, make=VAE):
    """Train a linear VAE and compare it with ppca_optimum → OracleReport

    sigma: fixed, or None to learn it · latent: default 5 for a fixed σ, of which 2 must collapse, and 3 for a learned
    one · x (N, D): default 12 images of 6 pixels with eigenvalues SPECTRUM · steps, lr: of Adam, the rate falling to 0
    as a cosine · make: the model's class, so that a wrong one can be tried. Raises ConfigError and DataError, as
    ppca_optimum does.
    """
    steps, lr, seed = (
        gate.whole("steps", steps, most=10**6),
        gate.number("lr", lr, above=0),
        gate.whole("seed", seed, 0, 2**64 - 1),
    )
    x = images_with(SPECTRUM, seed=seed) if x is None else gate.array(x, "x").astype(np.float64)
    latent = (3 if sigma is None else 5) if latent is None else latent
    best = ppca_optimum(x, latent, sigma)
    model = make(x.shape[1], (), latent, likelihood="gaussian", sigma=sigma, seed=seed, dtype=np.float64).to("numpy")
    taken, slope, elbo = train(model, x, steps, lr)
    if np.isfinite(elbo).all():
        quantities = compare(model, x, best, elbo)
    else:
        quantities = [
            Quantity(
                "ELBO, mean (nats)", float("nan"), float(best.log_likelihood.mean()), 0.0, "training left the numbers"
            )
        ]
    name = f"linear VAE, {latent} latents, {'learned' if sigma is None else 'fixed'} σ"
    return OracleReport(name, seed, taken, slope, best.eigenvalues.tolist(), best.sigma2, quantities)


def check_oracle(seed=0):
    """check_linear_vae with a fixed σ, where latents collapse, and with a learned one → {name: OracleReport}"""
    reports = check_linear_vae(seed), check_linear_vae(seed, sigma=None)
    return {report.name: report for report in reports}


def images_with(eigenvalues, images=_IMAGES, seed=0):
    """Images whose covariance has exactly these eigenvalues, in random directions around a random mean.   → (images, D)

    Raises ConfigError unless there are more images than eigenvalues.
    """
    D = len(eigenvalues)
    if images <= D:
        raise ConfigError(f"{D} eigenvalues need at least {D + 1} images, not {images}")
    scores, square = (
        rng.normal(seed, rng.CHECK, step, np.arange(n), D, np.float64)
        for step, n in ((_SCORES, images), (_ROTATION, D))
    )
    white = np.linalg.qr(scores - scores.mean(axis=0))[0] * np.sqrt(images)
    return white * np.sqrt(eigenvalues) @ np.linalg.qr(square)[0].T + 0.5 * rng.normal(
        seed, rng.CHECK, _MEAN, 0, D, np.float64
    )


def train(model, x, steps=_STEPS, lr=_LR):
    """Adam (E29) on the exact −ELBO of all images at once, until it is flat.
    x (N, D) → steps taken, largest slope, ELBO (N,)"""
    L = model.latent
    points = np.sqrt(L) * np.concatenate([np.eye(L), -np.eye(L)])  # (2L, L)
    x, eps = np.repeat(x, 2 * L, axis=0), np.tile(points, (len(x), 1))  # (N · 2L, D), (N · 2L, L)
    values, grads, dL = model.buffer.values, model.buffer.grads, np.full(len(x), 1 / len(x))
    m, v, work = (np.zeros_like(values) for _ in range(3))
    slope = np.inf
    with np.errstate(all="ignore"):  # a wrong objective may have no lowest point
        for step in range(1, steps + 1):
            model.forward(x, eps)
            model.descend(dL)
            slope = float(np.abs(grads).max())
            if slope < _FLAT or not np.isfinite(slope):
                break
            ops.adam(values, grads, m, v, work, lr * 0.5 * (1 + np.cos(np.pi * step / steps)), step, beta2=0.99)
        terms = model.forward(x, eps)
    return step, slope, -sum(terms).reshape(-1, 2 * L).mean(axis=1)


def compare(model, x, best, elbo):
    """Each number of the trained model that probabilistic PCA predicts.   x (N, D), elbo (N,) → [Quantity]

    Latents come in any order and with either sign: they are put in order of the length of their columns, and turned.
    """
    L, q = model.latent, int(best.active.sum())
    W = model.buffer.view("decoder.0.W").T  # (D, L)
    order = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")
    sign = np.where(np.sum(W[:, order] * best.directions, axis=0) < 0, -1.0, 1.0)
    W = W[:, order] * sign
    code = model.encoder.forward(x)
    mu, logvar = code[:, :L][:, order] * sign, code[:, L:][:, order]
    mean, covariance = best.posterior(x)
    with np.errstate(all="ignore"):
        variance = np.exp(logvar)
        kl = (0.5 * (mu**2 + variance - 1 - logvar)).mean(axis=0)
        Q = W[:, :q] / np.linalg.norm(W[:, :q], axis=0)
    outside = Q - best.directions[:, :q] @ (best.directions[:, :q].T @ Q)
    overlap = np.abs(Q.T @ Q - np.eye(q))
    limit = min([_COLLAPSED, *best.kl[best.active] / 2])
    zero = lambda array: float(np.max(array, initial=0.0))
    found = [
        Quantity("ELBO, mean (nats)", float(elbo.mean()), float(best.log_likelihood.mean()), 1e-9, _FLAT_TOP),
        _worst("ELBO of an image (nats)", elbo, best.log_likelihood, _FIRST),
        _worst("posterior mean", mu, mean, _FIRST),
        _worst("posterior covariance", variance[:, :, None] * np.eye(L), covariance, _FIRST),
        Quantity("spread of logvar over images", zero(np.ptp(logvar, axis=0)), 0.0, _PARAMETER, _FIRST),
        Quantity("principal angle (sine)", zero(np.linalg.svd(outside, compute_uv=False)), 0.0, _PARAMETER, _FIRST),
        Quantity("overlap of decoder columns (cosine)", zero(overlap), 0.0, _PARAMETER, _FIRST),
        _worst("squared length of a column", np.sum(W**2, axis=0), np.sum(best.W**2, axis=0), _FIRST),
        _worst("KL of a latent (nats)", kl, best.kl, _FIRST),
        Quantity(
            "collapsed latents", int(np.sum(kl < limit)), best.collapsed, 0,
            f"a count; collapsed is a KL below {limit:g} nats"
        ),
        _worst("decoder bias", model.buffer.view("decoder.0.b"), best.b, _FIRST),
    ]
    if model.likelihood.sigma is None:
        sigma2 = float(np.exp(model.buffer.view("likelihood.logvar")[0]))
        found.append(Quantity("σ², learned", sigma2, best.sigma2, _PARAMETER, _FIRST))
    return found


def _worst(name, seen, expected, why):
    seen, expected = np.broadcast_arrays(seen, expected)
    at = np.unravel_index(np.argmax(np.abs(seen - expected)), seen.shape)  # argmax finds a NaN, if there is one
    return Quantity(name, float(seen[at]), float(expected[at]), _PARAMETER, why)
