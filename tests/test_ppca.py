"""Claims about the closed-form oracle: the closed form is right, the linear VAE reaches it, and wrong objectives do not."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from scratchvae import rng
from scratchvae.checks import gradcheck, linear_vae, ppca_optimum
from scratchvae.checks.complex_step import complex_step
from scratchvae.checks.linear_vae import SIGMA, SPECTRUM, check_linear_vae, check_oracle, images_with
from scratchvae.errors import ConfigError, DataError
from scratchvae.models import VAE
from scratchvae.models.likelihood import Gaussian
from scratchvae.models.posterior import Posterior
from scratchvae.ops import numpy as ops
from scratchvae.study.linear_gaussian import probabilistic_pca


def with_ops(**wrong):
    """A class's `ops`: those of NumPy, with some of them replaced."""
    replaced = SimpleNamespace(**{**vars(ops), **wrong})
    return property(lambda self: replaced)


# The closed form, by brute force ---------------------------------------------------------------------------------------


def test_images_have_the_eigenvalues_asked_for():
    for seed in range(3):
        x = images_with(SPECTRUM, seed=seed)
        assert np.allclose(np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1], SPECTRUM, rtol=1e-12)
    with pytest.raises(ConfigError, match="7 images"):
        images_with(SPECTRUM, images=6)


@pytest.mark.parametrize("sigma", [None, 0.9])
def test_log_marginal_and_posterior_are_the_integrals_over_z(sigma):
    """One latent, so p(x) = ∫ p(x|z) p(z) dz can be added up on a grid, which for a smooth integrand is right to rounding."""
    x = images_with(SPECTRUM)
    best = ppca_optimum(x, 1, sigma)
    z = np.linspace(-12, 12, 4001)
    rest = x[:, None, :] - best.b - z[:, None] * best.W[:, 0]  # (N, Z, D)
    log_p = -0.5 * (np.sum(rest**2, axis=2) / best.sigma2 + 6 * np.log(2 * np.pi * best.sigma2) + z**2 + np.log(2 * np.pi))
    joint = np.exp(log_p) * (z[1] - z[0])
    assert np.allclose(best.log_likelihood, np.log(joint.sum(axis=1)), rtol=0, atol=1e-11)
    mean, covariance = best.posterior(x)
    weights = joint / joint.sum(axis=1, keepdims=True)
    by_grid = weights @ z
    assert np.allclose(mean[:, 0], by_grid, atol=1e-11)
    assert np.allclose(covariance[0, 0], np.sum(weights * (z - by_grid[:, None]) ** 2, axis=1), rtol=1e-10)


@pytest.mark.parametrize(("latent", "sigma"), [(3, None), (5, None), (5, SIGMA), (2, SIGMA)])
def test_the_likelihood_is_stationary_and_no_neighbour_is_better(latent, sigma):
    x = images_with(SPECTRUM, seed=2)
    best = ppca_optimum(x, latent, sigma)
    rest = x - best.b
    theta = np.concatenate([best.W.ravel(), [np.log(best.sigma2)]]).astype(complex)

    def mean_log_p():
        W = theta[:-1].reshape(best.W.shape)
        C = W @ W.T + np.exp(theta[-1]) * np.eye(6)
        return -0.5 * (np.sum(rest * np.linalg.solve(C, rest.T).T) / len(x) + np.log(np.linalg.det(C)) + 6 * np.log(2 * np.pi))

    top = mean_log_p().real
    assert np.isclose(top, best.log_likelihood.mean(), rtol=0, atol=1e-12)
    slopes = complex_step(mean_log_p, theta, np.arange(theta.size - (sigma is not None)))
    assert np.abs(slopes).max() < 1e-12
    kept = theta.copy()
    for step in rng.normal(0, rng.CHECK, 900, np.arange(30), theta.size, np.float64):
        theta[:] = kept + 0.05 * step
        theta[-1] = kept[-1] + (0.05 * step[-1] if sigma is None else 0)
        assert mean_log_p().real < top


def test_kl_is_half_the_log_of_eigenvalue_over_noise():
    """… and is what the formula of the KL says of the closed-form posterior, averaged over the images."""
    x = images_with(SPECTRUM)
    best = ppca_optimum(x, 5, SIGMA)
    mean, covariance = best.posterior(x)
    variance = np.diag(covariance)
    assert np.allclose(covariance, np.diag(variance), atol=1e-14)
    assert np.allclose(0.5 * (mean**2 + variance - 1 - np.log(variance)).mean(axis=0), best.kl, atol=1e-13)
    assert np.allclose(best.kl[:3], 0.5 * np.log(np.array(SPECTRUM[:3]) / SIGMA**2))
    assert best.active.tolist() == [True] * 3 + [False] * 2
    assert best.collapsed == 2


def test_learned_sigma_is_the_mean_of_what_is_left_out_and_the_book_agrees():
    x = images_with(SPECTRUM)
    best, book = ppca_optimum(x, 3), probabilistic_pca(x, 3)
    assert np.isclose(best.sigma2, np.mean(SPECTRUM[3:]))
    assert np.allclose(best.log_likelihood, book.log_marginal(x), rtol=1e-12)
    assert np.allclose(best.W @ best.W.T, book.W @ book.W.T)


def test_what_cannot_be_is_refused():
    x = images_with(SPECTRUM)
    for latent, sigma in ((0, None), (6, None), (7, 1.0)):
        with pytest.raises(ConfigError, match="latent must be between 1 and"):
            ppca_optimum(x, latent, sigma)
    with pytest.raises(ConfigError, match="sigma must be a finite number above 0"):
        ppca_optimum(x, 2, -1.0)
    with pytest.raises(DataError, match="without noise"):
        ppca_optimum(x[:, :2] @ np.ones((2, 6)), 3)
    with pytest.raises(DataError, match="finite numbers"):
        ppca_optimum(np.full((3, 2), np.nan), 1)
    with pytest.raises(ConfigError, match="steps"):
        check_linear_vae(steps=0)
    with pytest.raises(ConfigError, match="latent"):
        check_linear_vae(latent=0)


# The linear VAE reaches it ---------------------------------------------------------------------------------------------


def test_training_ends_at_the_closed_form_with_and_without_collapse():
    fixed, learned = check_oracle().values()
    assert fixed.ok, fixed
    assert learned.ok, learned
    numbers = {q.name: q for q in fixed.quantities}
    assert numbers["collapsed latents"].seen == numbers["collapsed latents"].expected == 2
    assert {"σ², learned"} == {q.name for q in learned.quantities} - set(numbers)
    # Not the tolerances are what makes it pass: measured 2e-9 and less at eight seeds.
    assert max(abs(q.seen - q.expected) for q in [*fixed.quantities, *learned.quantities]) < 1e-8


@pytest.mark.parametrize("seed", [1, 2])
def test_it_does_so_at_other_seeds(seed):
    assert check_linear_vae(seed).ok
    assert check_linear_vae(seed, sigma=None).ok


def test_every_latent_collapses_where_the_noise_exceeds_the_data():
    report = check_linear_vae(sigma=2.6, latent=2)
    assert report.ok, report
    assert next(q.seen for q in report.quantities if q.name == "collapsed latents") == 2


def test_a_report_is_the_same_twice_and_can_be_read():
    x = images_with((4.0, 2.0, 0.5, 0.2), images=8)
    first, second = (check_linear_vae(x=x, latent=2, sigma=0.8) for _ in range(2))
    assert first.to_dict() == second.to_dict()
    assert json.loads(json.dumps(first.to_dict()))["ok"] is True
    text = str(first)
    assert "linear VAE, 2 latents, fixed σ against probabilistic PCA: ok (eigenvalues 4, 2, 0.5, 0.2; σ² 0.64" in text
    assert "principal angle" in text


def test_training_that_stops_early_is_not_ok():
    report = check_linear_vae(steps=200)
    assert not report.ok
    assert "posterior mean" in report.failed


# Known wrong versions: each with the right derivative of the wrong objective --------------------------------------------


def sampled_with_variance(mu, logvar, eps, z, std):
    np.exp(logvar, out=std)
    np.multiply(std, eps, out=z)
    z += mu
    return z


def sampled_with_variance_backward(dz, eps, std, dmu, dlogvar):
    np.copyto(dmu, dz)
    dlogvar[...] = dz * eps * std


def vae_whose_posterior(**wrong):
    """A VAE's class with a posterior that computes with some other operations."""

    class Wrong(VAE):
        def weigh(self, *how):
            told = super().weigh(*how)
            self.posterior = type("Wrong", (Posterior,), {"ops": with_ops(**wrong)})()
            return told

    return Wrong


def sampled_so(mu, logvar, eps, z, std, kl, work):
    ops.gaussian_kl(mu, logvar, kl, work)
    return sampled_with_variance(mu, logvar, eps, z, std)


def sampled_so_backward(dz, dkl, mu, logvar, eps, std, dmu, dlogvar, work):
    sampled_with_variance_backward(dz, eps, std, dmu, dlogvar)
    ops.gaussian_kl_backward(dkl, mu, logvar, *work)
    dmu += work[0]
    dlogvar += work[1]


def kl_times(factor):
    """The KL and its derivative, multiplied by a number."""

    def sample(mu, logvar, eps, z, std, kl, work):
        ops.sample_posterior(mu, logvar, eps, z, std, kl, work)
        kl *= factor
        return z

    backward = lambda dz, dkl, *rest: ops.posterior_backward(dz, factor * dkl, *rest)
    return vae_whose_posterior(sample_posterior=sample, posterior_backward=backward)


SampledWithVariance = vae_whose_posterior(sample_posterior=sampled_so, posterior_backward=sampled_so_backward)
KLWithTheWrongSign, KLWithoutItsHalf, KLAveragedOverLatents = kl_times(-1), kl_times(2), kl_times(1 / 5)


def mean_nll(*arguments):
    out = ops.gaussian_nll(*arguments)
    out /= arguments[2].shape[1]
    return out


class LikelihoodAveragedOverPixels(Gaussian):
    ops = with_ops(
        gaussian_nll=mean_nll,
        gaussian_nll_backward=lambda dnll, mean, *rest: ops.gaussian_nll_backward(dnll / mean.shape[1], mean, *rest),
    )


def nll_without_its_constant(mean, logvar, x, out, work):
    ops.gaussian_nll(mean, logvar, x, out, work)
    out -= 0.5 * x.shape[1] * np.log(2 * np.pi)
    return out


class LikelihoodWithoutItsConstant(Gaussian):
    ops = with_ops(gaussian_nll=nll_without_its_constant)


def vae_with(likelihood):
    class Wrong(VAE):
        def __init__(self, *arguments, sigma=None, seed=0, dtype=np.float32, **options):
            super().__init__(*arguments, sigma=sigma, seed=seed, dtype=dtype, **options)
            self.likelihood = likelihood(sigma)
            self.initialise(seed, dtype)

    return Wrong


WRONG = {
    # what it is: (class, quantities that must be off, β of the objective that it is, or None)
    "σ is exp(logvar)": (SampledWithVariance, {"ELBO, mean (nats)", "posterior covariance", "KL of a latent (nats)"}, None),
    "KL of the wrong sign": (KLWithTheWrongSign, {"ELBO, mean (nats)"}, None),
    "KL without its ½": (KLWithoutItsHalf, {"ELBO, mean (nats)", "posterior covariance", "collapsed latents"}, 2),
    "KL averaged over latents": (KLAveragedOverLatents, {"ELBO, mean (nats)", "collapsed latents"}, 1 / 5),
    "pixels averaged": (vae_with(LikelihoodAveragedOverPixels), {"ELBO, mean (nats)", "collapsed latents"}, 6),
    "no log 2π": (vae_with(LikelihoodWithoutItsConstant), {"ELBO, mean (nats)"}, 1),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_objective_passes_the_gradient_check_and_is_caught_here(what):
    make, off, _ = WRONG[what]
    assert gradcheck(make(6, (), 5, likelihood="gaussian", sigma=SIGMA)).ok
    report = check_linear_vae(make=make)
    assert not report.ok, what
    assert off <= set(report.failed), report
    assert json.loads(json.dumps(report.to_dict()))["ok"] is False
    assert "FAIL" in str(report)
    assert ("No ELBO can exceed" in str(report)) == (what != "KL without its ½")


def test_an_objective_that_leaves_the_numbers_is_reported():
    report = check_linear_vae(make=kl_times(np.nan))
    assert report.failed == ["ELBO, mean (nats)"]
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["quantities"][0]["seen"] is None
    assert "nan" in str(report)


@pytest.mark.parametrize("what", [what for what, (*_, beta) in WRONG.items() if beta])
def test_each_is_wrong_by_as_much_as_its_accidental_beta_predicts(what):
    """With the KL counted β times, a direction is worth a latent only above β σ², and its column has the square λ − β σ²."""
    make, _, beta = WRONG[what]
    x, best = images_with(SPECTRUM), ppca_optimum(images_with(SPECTRUM), 5, SIGMA)
    model = make(6, (), 5, likelihood="gaussian", sigma=SIGMA, dtype=np.float64)
    _, _, elbo = linear_vae.train(model, x)
    numbers = {q.name: q for q in linear_vae.compare(model, x, best, elbo)}
    predicted = np.maximum(np.array(SPECTRUM[:5]) - beta * SIGMA**2, 0)
    squares = np.sort(np.sum(model.buffer.view("decoder.0.W") ** 2, axis=1))[::-1]
    assert np.allclose(squares, predicted, atol=1e-6)
    assert numbers["collapsed latents"].seen == np.sum(predicted == 0)


def test_beta_is_not_an_elbo():
    class Half(VAE):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, beta=0.5, **options)

    assert {"ELBO, mean (nats)", "posterior covariance"} <= set(check_linear_vae(make=Half).failed)
