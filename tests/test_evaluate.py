"""What a model is worth: the numbers are right, say what they are, and refuse false comparisons."""

from dataclasses import replace

import numpy as np
import pytest

from scratchvae import rng
from scratchvae.errors import ConfigError
from scratchvae.evaluate import difference, image_terms, measure
from scratchvae.evaluate import losses as losses_module
from scratchvae.models import Autoencoder
from scratchvae.training import fit
from scratchvae.workers import Threads


def test_the_elbo_is_the_one_written_out_by_hand(tiny_data, tiny_vae):
    model = tiny_vae(dtype=np.float64)
    fit(model, tiny_data, epochs=3, batch_size=10)
    x = tiny_data.test.images / 255
    mu, logvar = model.encode(x)
    z = mu + np.exp(logvar / 2) * rng.normal(5, rng.EVALUATE, 0, np.arange(20), 2, np.float64)
    p = model.decode(z)
    nll = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    measured = measure(model, tiny_data, seed=5)
    assert measured["reconstruction"].value == pytest.approx(nll.mean(), rel=1e-12)
    assert measured["KL"].value == pytest.approx(kl.mean(), rel=1e-12)
    assert measured["-ELBO"].value == pytest.approx((nll + kl).mean(), rel=1e-12)
    assert measured["-ELBO"].standard_error == pytest.approx((nll + kl).std(ddof=1) / np.sqrt(20), rel=1e-9)


def test_minus_elbo_is_reconstruction_plus_kl_whatever_beta_was_trained_with(tiny_data, tiny_vae):
    for beta in (0.0, 0.3, 4.0):
        measured = measure(tiny_vae(beta=beta, dtype=np.float64), tiny_data)
        assert measured["KL"].value > 0.01
        parts = measured["reconstruction"].value + measured["KL"].value
        assert measured["-ELBO"].value == pytest.approx(parts, rel=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_batches_change_no_number(tiny_data, tiny_vae, threads, monkeypatch):
    model = tiny_vae(dtype=np.float64)
    expected = measure(model, tiny_data, split="train", samples=2, threads=1)
    assert measure(model, tiny_data, split="train", samples=2, threads=threads) == expected
    monkeypatch.setattr(losses_module, "BATCH", 7)
    other = measure(model, tiny_data, split="train", samples=2, threads=threads)
    for name in expected:  # another batch size is another matrix product: equal to rounding
        assert other[name].value == pytest.approx(expected[name].value, rel=1e-13)


def test_drawing_the_noise_of_several_batches_at_once_changes_no_bit(tiny_data, tiny_vae, monkeypatch):
    model, images = tiny_vae(), tiny_data.train.images
    monkeypatch.setattr(losses_module, "BATCH", 7)
    results = []
    for at_once in (1, 2, 10):
        monkeypatch.setattr(losses_module, "NOISE_BATCHES", at_once)
        with Threads(2) as workers:
            results.append(image_terms(model, images, workers, samples=2))
    for other in results[1:]:
        assert all(np.array_equal(results[0][term], other[term]) for term in model.terms)


def test_decoding_the_mean_is_not_what_is_measured(tiny_data, tiny_vae):
    """Decoding μ flatters: it is not an ELBO. The measured reconstruction must be the worse, sampled one."""
    model = tiny_vae(dtype=np.float64)
    fit(model, tiny_data, epochs=30, batch_size=10, lr=1e-2)
    x = tiny_data.test.images / 255
    at_the_mean = model.forward(x, np.zeros((20, 2)))[0].mean()
    assert measure(model, tiny_data, samples=50)["reconstruction"].value > at_the_mean


def test_more_samples_shrink_the_noise_and_keep_the_mean(tiny_data, tiny_vae):
    model = tiny_vae(dtype=np.float64)
    one = [measure(model, tiny_data, seed=s)["-ELBO"].value for s in range(40)]
    many = [measure(model, tiny_data, seed=s, samples=25)["-ELBO"].value for s in range(100, 110)]
    assert np.std(many) < np.std(one) / 2.5  # 1/5 expected
    assert abs(np.mean(one) - np.mean(many)) < 4 * np.std(one) / np.sqrt(40)


def test_every_number_says_what_it_is(tiny_data, tiny_vae):
    text = str(measure(tiny_vae(), tiny_data, seed=9, samples=3)["-ELBO"])
    for word in ("nats per image", "summed over pixels", "bernoulli", "binarisation", "z sampled", "3 samples", "tiny", "test split",
                 "20 images", "seed 9"):  # fmt: skip
        assert word in text


def test_an_autoencoder_has_no_elbo(tiny_data):
    measured = measure(Autoencoder(12, (8,), 2), tiny_data)
    assert list(measured) == ["reconstruction"]
    assert measured["reconstruction"].estimator == "deterministic code"
    assert measured["reconstruction"].seed is None


def test_figures_of_different_kinds_are_not_subtracted(tiny_data, tiny_vae):
    a = measure(tiny_vae(), tiny_data)["-ELBO"]
    b = replace(a, value=a.value + 2)
    value, error = difference(b, a)
    assert value == pytest.approx(2)
    assert error == pytest.approx(np.sqrt(2) * a.standard_error)
    for other in (replace(a, binarisation="static"), replace(a, split="train"), replace(a, estimator="z = μ")):
        with pytest.raises(ConfigError, match="different kinds"):
            difference(a, other)


def test_a_single_image_has_no_standard_error(tiny_data, tiny_vae):
    from scratchvae.data import Split

    one = replace(tiny_data, test=Split(tiny_data.test.images[:1], None))
    assert measure(tiny_vae(), one)["-ELBO"].standard_error is None
    assert "±" not in str(measure(tiny_vae(), one)["-ELBO"])
    assert "test split, 1 image, seed 0" in str(measure(tiny_vae(), one)["-ELBO"])


def test_no_samples_are_refused(tiny_data, tiny_vae):
    with Threads(1) as workers, pytest.raises(ConfigError, match="samples"):
        image_terms(tiny_vae(), tiny_data.test.images, workers, samples=0)
