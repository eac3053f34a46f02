"""Claims about what a decoder's output may mean: densities that are densities, right in their tails, derivatives, and draws."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.checks import gradcheck
from scratchvae.errors import DataError
from scratchvae.models import VAE, ConvVAE
from scratchvae.models.likelihood import LIKELIHOODS, ContinuousBernoulli, Logistic, PixelGaussian
from scratchvae.ops import numpy as ops

RANDOM = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
PLACES = [0.0, *(sign * 10.0**power for power in range(-8, 5) for sign in (1, -1)), 0.4999, 0.5, -0.5]


def work(shape, dtype, count=5):
    return [np.full(shape, np.nan, dtype) for _ in range(count)]


def exact_nll(a, x):
    a, x = mpmath.mpf(float(a)), mpmath.mpf(float(x))
    return (mpmath.log(mpmath.expm1(a) / a) if a else mpmath.mpf(0)) - x * a


def exact_mean(a):
    a = mpmath.mpf(float(a))
    return 1 / -mpmath.expm1(-a) - 1 / a if a else mpmath.mpf("0.5")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_continuous_bernoulli_is_right_from_its_middle_to_its_tails(dtype):
    """Within 8 units in the last place: of the mean itself, and of the largest term of the loss, which may cancel."""
    a = np.array(PLACES, dtype)[:, None]
    x = np.full_like(a, 0.3)
    nll = ops.continuous_bernoulli_nll(a, x, np.empty(len(a), dtype), work((7, 1), dtype, 3))
    mean = ops.continuous_bernoulli_mean(a, np.empty_like(a), work((7, 1), dtype, 3))
    with mpmath.workdps(50):
        for i in range(len(a)):
            truth, center = exact_nll(a[i, 0], x[i, 0]), exact_mean(a[i, 0])
            scale = max(abs(float(a[i, 0])) * 0.3, abs(float(truth)), 1e-30)
            assert abs(mpmath.mpf(float(nll[i])) - truth) <= 8 * np.finfo(dtype).eps * scale, a[i]
            assert abs(mpmath.mpf(float(mean[i, 0])) - center) <= 8 * np.finfo(dtype).eps * center, a[i]


def exact_level(mean, logscale, k, levels):
    h = mpmath.mpf(1) / (levels - 1)
    below = lambda x: 1 / (1 + mpmath.exp(-(x - mpmath.mpf(float(mean))) / mpmath.exp(mpmath.mpf(float(logscale)))))
    low, high = below((k - 0.5) * h), below((k + 0.5) * h)
    return -mpmath.log(1 - low if k == levels - 1 else high if k == 0 else high - low)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mean", "logscale"), [(0.5, -7), (0.5, 0), (0.2, 7), (-3, -2), (1e4, 0), (-1e4, 2), (0.5, 100), (0.5, 1e4)])
def test_levels_of_a_logistic_are_right_however_far_they_are(dtype, mean, logscale):
    with mpmath.workdps(60 if abs(mean) < 100 and logscale < 1e3 else 9000):
        for k in (0, 1, 128, 254, 255):
            m, s, x = (np.full((1, 1), value, dtype) for value in (mean, logscale, k / 255))
            nll = ops.logistic_nll(m, s, x, np.empty(1, dtype), work((1, 1), dtype))[0]
            truth = exact_level(m[0, 0], s[0, 0], k, 256)
            # x, rounded, is off by ε / 2 of itself, which (x − m) / s feels 1 / s times
            error = np.finfo(dtype).eps * (8 * max(1, abs(float(truth))) + np.exp(-min(logscale, 0)))
            assert abs(mpmath.mpf(float(nll)) - truth) <= error, k


@given(st.floats(-30, 30), st.floats(-6, 6), st.integers(2, 40))
def test_the_probabilities_of_all_levels_sum_to_one(mean, logscale, levels):
    x = np.linspace(0, 1, levels)[:, None]
    m, s = np.full_like(x, mean), np.full_like(x, logscale)
    nll = ops.logistic_nll(m, s, x, np.empty(levels), work((3, 1), float), levels)
    assert np.exp(-nll).sum() == pytest.approx(1, abs=1e-12)


@given(st.floats(-300, 300))
def test_the_density_of_the_continuous_bernoulli_integrates_to_one(a):
    nodes, weights = np.polynomial.legendre.leggauss(64)
    edges = np.linspace(0, 1, 33)  # pieces over which e^(a x) grows by no more than e^10
    x = (edges[:-1, None] + (nodes + 1) / 64).reshape(-1, 1)
    nll = ops.continuous_bernoulli_nll(np.full_like(x, a), x, np.empty(len(x)), work((50, 1), float, 3))
    assert np.exp(-nll) @ np.tile(weights / 64, 32) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("likelihood", [ContinuousBernoulli, PixelGaussian, Logistic])
def test_the_derivative_is_the_complex_step_through_the_whole_likelihood(likelihood):
    x = RANDOM.integers(0, 256, (3, 5)) / 255
    x[0, :2] = 0, 1
    y = 2 * RANDOM.normal(size=(3, 5 * likelihood.outputs))
    y[1, :2] = 0, 0.3
    assert gradcheck(likelihood().initialise(0, np.float64), y, x).ok


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_is_drawn_has_the_mean_that_is_told(name):
    """Of 40,000 draws of each of four pixels: within 5 standard errors, and half a rounding for levels."""
    likelihood = LIKELIHOODS[name]().initialise(0, np.float64)
    y = np.array([[0.3, -2.0, 0.0, 4.0, -3.0, 1.0, -1.0, 0.0][: 4 * likelihood.outputs]])
    many = np.repeat(y, 40_000, axis=0)
    drawn = likelihood.draw(many, 7, 99, 0, np.arange(len(many)))
    told = likelihood.mean(y, np.empty((1, 4)))[0]
    low, high = likelihood.support
    assert low <= drawn.min() <= drawn.max() <= high
    error = 5 * drawn.std(axis=0) / 200 + (0.5 / 255 if name == "logistic" else 0)
    assert (np.abs(drawn.mean(axis=0) - told) <= error).all()
    again = likelihood.draw(many[10:12], 7, 99, 0, np.arange(10, 12))
    np.testing.assert_array_equal(again, drawn[10:12])


@pytest.mark.parametrize("name", ["continuous-bernoulli", "pixel-gaussian", "logistic"])
def test_a_draw_is_as_likely_as_the_likelihood_says(name):
    """The mean of −log p over draws is the entropy, which the density itself gives by a sum over a fine grid."""
    likelihood = LIKELIHOODS[name]().initialise(0, np.float64)
    y = np.array([[0.4, -3.0][: likelihood.outputs]]) if name != "continuous-bernoulli" else np.array([[2.5]])
    nll = lambda x: likelihood.forward(np.repeat(y, len(x), axis=0), x[:, None]).copy()
    drawn = likelihood.draw(np.repeat(y, 40_000, axis=0), 1, 99, 0, np.arange(40_000))[:, 0]
    grid, cell = {
        "logistic": (np.arange(256) / 255, 1.0), "continuous-bernoulli": ((np.arange(20_000) + 0.5) / 20_000, 1 / 20_000),
        "pixel-gaussian": (np.linspace(-4, 5, 20_001), 9 / 20_000),
    }[name]  # fmt: skip
    scores = nll(grid)
    scores, entropy = nll(drawn), float((np.exp(-scores) * scores).sum() * cell)
    assert scores.mean() == pytest.approx(entropy, abs=5 * scores.std() / 200)


@pytest.mark.parametrize("name", ["pixel-gaussian", "logistic"])
def test_a_spread_does_not_collapse_below_its_bound(name):
    """Where the decoder knows a pixel exactly, the loss of a σ that falls for ever would fall for ever."""
    likelihood = LIKELIHOODS[name]().initialise(0, np.float64)
    x = np.full((1, 1), 0.5) * 255 // 1 / 255
    scores = [likelihood.forward(np.array([[x[0, 0], raw]]), x)[0] for raw in (-60.0, -200.0, -1e4)]
    assert scores[2] == scores[1] == pytest.approx(scores[0], abs=1e-12)
    assert likelihood.spread[0, 0] == likelihood.least


def test_of_a_convolutional_decoder_each_pixel_has_its_places_beside_its_spreads():
    y, x = RANDOM.normal(size=(2, 4 * 6)), RANDOM.uniform(size=(2, 4 * 3))
    flat, image = Logistic(), Logistic()
    image.channels = 3
    pixels = y.reshape(2, 4, 6)
    blocks = np.concatenate([pixels[..., :3].reshape(2, 12), pixels[..., 3:].reshape(2, 12)], axis=1)
    np.testing.assert_array_equal(image.forward(y, x), flat.forward(blocks, x))
    np.testing.assert_array_equal(image.draw(y, 0, 1, 2, np.arange(2)), flat.draw(blocks, 0, 1, 2, np.arange(2)))
    assert gradcheck(image, y, x).ok


@given(st.floats(-50, 50), st.floats(-10, 10))
def test_a_soft_floor_is_above_both_and_its_derivative_is_the_complex_step(x, least):
    x = np.array([x])
    y = ops.soft_floor(x, least, np.empty(1), np.empty(1))
    assert max(x[0], least) <= y[0] + 1e-12 <= max(x[0], least) + np.log(2) + 1e-9
    moved = ops.soft_floor(x + 1e-40j, least, np.empty(1, complex), np.empty(1, complex)).imag[0] / 1e-40
    assert ops.soft_floor_backward(np.ones(1), x, least, np.empty(1))[0] == pytest.approx(moved, abs=1e-15)  # sigmoid is exact beside 1


@pytest.mark.parametrize("name", ["continuous-bernoulli", "pixel-gaussian", "logistic"])
@pytest.mark.parametrize("kind", [VAE, ConvVAE])
def test_models_with_each_likelihood_agree_with_complex_steps_and_make_images(kind, name):
    sizes = {"data_size": 12, "hidden": (6,)} if kind is VAE else {"image_shape": (4, 3), "filters": (3,)}
    model = kind(**sizes, latent=2, likelihood=name, dtype=np.float64)
    x = RANDOM.integers(0, 256, (3, 12)) / 255
    assert gradcheck(model, x, RANDOM.normal(size=(3, 2))).ok
    assert model.reconstruct(x).shape == x.shape
    means, drawn = model.sample(5), model.sample(5, draw=True)
    assert means.shape == drawn.shape == (5, 12)
    assert not np.array_equal(means, drawn)
    np.testing.assert_array_equal(drawn, model.sample(5, draw=True))
    if name != "pixel-gaussian":
        with pytest.raises(DataError, match=f"outside .0, 1., which the {name} likelihood takes"):
            model.reconstruct(np.full((1, 12), 2.0))
