"""Claims about the importance-weighted bound and its gradients."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad
from cuda_backend_on_cpu import cupy_on_cpu
from cuda_kernels_on_cpu import OnCpu
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import gradcheck, measure, rng
from scratchvae.checks.ppca import ppca_optimum
from scratchvae.errors import ConfigError
from scratchvae.models import IWAE, VAE
from scratchvae.ops import cuda
from scratchvae.ops import numpy as ops
from scratchvae.ops.cuda.launch import run_on
from scratchvae.training import fit, load_model, resume

RANDOM = np.random.default_rng(0)
SIZES = {"data_size": 6, "hidden": (5,), "latent": 2, "activation": "tanh", "dtype": np.float64}


def given_to(K, rows=3, columns=6):
    return RANDOM.uniform(size=(rows, columns)), RANDOM.normal(size=(rows, K * 2))


def loss_of(model, x, eps):
    return model.forward(x, eps)[0].copy()


def test_one_draw_is_the_elbo_with_its_kl_sampled_image_by_image():
    x, eps = given_to(1)
    iwae, vae = IWAE(**SIZES, draws=1), VAE(**SIZES)
    vae.buffer.values[...] = iwae.buffer.values
    reconstruction, _ = vae.forward(x, eps)
    mu, logvar = vae.encode(x)
    z = mu + np.exp(logvar / 2) * eps
    log_ratio = 0.5 * (z**2 - eps**2 - logvar).sum(axis=1)
    np.testing.assert_allclose(loss_of(iwae, x, eps), reconstruction + log_ratio, rtol=1e-13)


def oracle(values, x, eps, K):
    code = anp.dot(anp.tanh(anp.dot(x, values["encoder.0.W"]) + values["encoder.0.b"]), values["encoder.2.W"]) + values["encoder.2.b"]
    mu, logvar = code[:, None, :2], code[:, None, 2:]
    z = mu + anp.exp(logvar / 2) * eps.reshape(len(x), K, 2)
    a = anp.dot(anp.tanh(anp.dot(z, values["decoder.0.W"]) + values["decoder.0.b"]), values["decoder.2.W"]) + values["decoder.2.b"]
    p = 1 / (1 + anp.exp(-a))
    log_p = anp.sum(x[:, None] * anp.log(p) + (1 - x[:, None]) * anp.log(1 - p), axis=2) - anp.sum(z**2, axis=2) / 2
    log_q = -anp.sum((z - mu) ** 2 / anp.exp(logvar) + logvar, axis=2) / 2
    return -anp.sum(anp.log(anp.mean(anp.exp(log_p - log_q), axis=1)))


@pytest.mark.parametrize("K", [1, 2, 7])
def test_loss_and_every_gradient_agree_with_automatic_differentiation(K):
    model, (x, eps) = IWAE(**SIZES, draws=K), given_to(K)
    values = {name: p.value.copy() for name, p in model.parameters()}
    loss, gradient = value_and_grad(oracle)(values, x, eps, K)
    assert loss_of(model, x, eps).sum() == pytest.approx(loss, rel=1e-12)
    model.descend(np.ones(3))
    for name, p in model.parameters():
        np.testing.assert_allclose(p.grad, gradient[name], rtol=0, atol=1e-10 * np.abs(gradient[name]).max(), err_msg=name)
    assert gradcheck(model, x, eps).ok


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("K", [1, 10, 100])
def test_the_bound_is_finite_where_no_weight_is(K, dtype):
    nll, kl = np.full(2 * K, 1e4, dtype), np.linspace(-3, 3, 2 * K).astype(dtype)
    out, w = np.empty(2, dtype), np.empty((2, K), dtype)
    ops.importance_loss(nll, kl, out, w)
    exact = [10_000 - np.log(np.mean(np.exp(-part.astype(float)))) for part in kl.reshape(2, K)]
    np.testing.assert_allclose(out, exact, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(w.sum(axis=1), 1, rtol=K * np.finfo(dtype).eps)


def test_more_draws_bound_log_p_more_tightly_and_never_from_the_other_side():
    """Of a linear decoder log p(x) is known. The mean over 200 sets of noise, within 5 standard errors."""
    x = RANDOM.normal(size=(40, 6)) @ RANDOM.normal(size=(6, 6))
    ppca = ppca_optimum(x, 2)
    truth, bounds, errors = ppca.log_marginal(x).mean(), [], []
    for K in (1, 5, 50):
        model = IWAE(6, (), 2, likelihood="gaussian", sigma=float(np.sqrt(ppca.sigma2)), draws=K, dtype=np.float64)
        model.decoder.layers[0].W.value[...], model.decoder.layers[0].b.value[...] = ppca.W.T, ppca.b
        model.encoder.layers[0].W.value[...] = 0
        model.encoder.layers[0].b.value[...] = 0  # the prior for a posterior
        found = [-loss_of(model, x, rng.normal(s, rng.CHECK, 0, np.arange(40), 2 * K, np.float64)).mean() for s in range(200)]
        bounds.append(np.mean(found))
        errors.append(np.std(found) / np.sqrt(200))
    assert bounds[0] + 5 * errors[0] < bounds[1] < bounds[1] + 5 * errors[1] < bounds[2] <= truth + 5 * errors[2]


def gradients(gradient, K, seeds):
    """The gradient (N,) for each of many draws of noise.   → (seeds, N), the model"""
    model, (x, _) = IWAE(**SIZES, draws=K, gradient=gradient), given_to(K)
    x = np.linspace(0.1, 0.9, 18).reshape(3, 6)
    found = []
    for s in range(seeds):
        model.forward(x, rng.normal(s, rng.CHECK, 0, np.arange(3), 2 * K, np.float64))
        model.descend(np.ones(3))
        found.append(model.buffer.grads.copy())
    return np.array(found), model


@pytest.mark.parametrize(("gradient", "K", "unbiased"), [("stl", 1, True), ("dreg", 1, True), ("dreg", 4, True), ("stl", 4, False)])
def test_the_other_gradients_have_the_mean_of_the_first_and_for_several_draws_stl_has_not(gradient, K, unbiased):
    """Over 3,000 draws of noise, each parameter within 5.5 standard errors: of 100 parameters that is missed once in 10⁵ such tests."""
    first, model = gradients("iwae", K, 3000)
    other, _ = gradients(gradient, K, 3000)
    split = model.buffer.slices["decoder.0.W"].start
    np.testing.assert_allclose(other[:, split:], first[:, split:], rtol=1e-12, atol=1e-14)  # the decoder's is the same
    difference = (other - first)[:, :split]
    off = np.abs(difference.mean(axis=0)) / (difference.std(axis=0) / np.sqrt(len(difference)) + 1e-300)
    assert (off.max() < 5.5) == unbiased, off.max()


def test_at_the_true_posterior_the_path_gradient_is_nothing_whatever_the_draws_and_the_plain_one_is_not():
    """What sticking the landing is named for (Roeder et al., 2017): log w does not depend on z there."""
    x = RANDOM.normal(size=(30, 6)) @ RANDOM.normal(size=(6, 6))
    ppca = ppca_optimum(x, 2)
    sizes = {}
    for gradient in ("iwae", "stl", "dreg"):
        model = IWAE(6, (), 2, likelihood="gaussian", sigma=float(np.sqrt(ppca.sigma2)), draws=3, gradient=gradient, dtype=np.float64)
        decoder, encoder = model.decoder.layers[0], model.encoder.layers[0]
        decoder.W.value[...], decoder.b.value[...] = ppca.W.T, ppca.b
        M = ppca.W.T @ ppca.W + ppca.sigma2 * np.eye(2)  # diagonal: the columns of W are orthogonal
        mean, logvar = ppca.W @ np.linalg.inv(M), np.log(ppca.sigma2 * np.diag(np.linalg.inv(M)))
        encoder.W.value[...] = np.concatenate([mean, np.zeros((6, 2))], axis=1)
        encoder.b.value[...] = np.concatenate([-ppca.b @ mean, logvar])
        model.forward(x, rng.normal(0, rng.CHECK, 0, np.arange(30), 6, np.float64))
        model.descend(np.ones(30))
        sizes[gradient] = np.abs(encoder.W.grad).max()
    assert sizes["stl"] < 1e-9 * sizes["iwae"]
    assert sizes["dreg"] < 1e-9 * sizes["iwae"]


@given(B=st.integers(1, 5), K=st.integers(1, 40), L=st.integers(1, 40), path=st.booleans(), weighed=st.booleans(), seed=st.integers(0, 9))
def test_kernels_equal_their_twins(B, K, L, path, weighed, seed):
    make = lambda *shape: np.random.default_rng(seed).normal(size=shape)
    N = B * K
    x, many, halves = make(B, L), make(N, L), make(N, 2 * L)
    std, dkl, w = np.exp(make(N, L)), make(N), make(B, K)
    place, found = OnCpu(), []
    for room in (ops, cuda):
        blank = lambda *shape: np.full(shape, np.nan)
        out = [blank(N, L), blank(B, L), blank(N), blank(B), blank(B, K), blank(N), blank(N, 2 * L)]
        with run_on(place):
            room.repeat_rows(x, out[0])
            room.repeat_rows_backward(many, out[1])
            room.sampled_kl(many, std, halves[:, L:], out[2], blank(N, L))
            room.importance_loss(10 * dkl, dkl, out[3], out[4])
            room.importance_loss_backward(x[:, 0].copy(), w, out[5])
            room.importance_backward(
                many, dkl, w.reshape(-1) if weighed else None, many, std, std, out[6][:, :L], out[6][:, L:], path=path
            )
        found.append(out)
    for numpys, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-13, atol=1e-13 * np.abs(numpys).max())


@pytest.mark.parametrize("gradient", ["iwae", "stl", "dreg"])
def test_threads_a_stop_and_the_kernels_train_to_the_same(tmp_path, tiny_data, gradient):
    options = {"epochs": 2, "batch_size": 8, "progress": False, "shards": 2}
    make = lambda **o: IWAE(12, (6,), 2, draws=4, gradient=gradient, seed=3, **o)
    fit(make(), tiny_data, out=tmp_path / "whole", threads=2, **options)
    fit(make(), tiny_data, out=tmp_path / "cut", threads=1, max_steps=5, **options)
    resume(load_model(tmp_path / "cut"), tiny_data, tmp_path / "cut", progress=False)
    assert (tmp_path / "whole" / "checkpoint.npz").read_bytes() == (tmp_path / "cut" / "checkpoint.npz").read_bytes()
    values = []
    with cupy_on_cpu() as (place, _):
        for backend in ("numpy", place):
            model = make(dtype=np.float64, backend=backend)
            fit(model, tiny_data, **{**options, "shards": 1})
            values.append(model.backend.get(model.buffer.values))
    np.testing.assert_allclose(*values, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"draws": 0}, "draws must be a whole number of at least 1"),
        ({"gradient": "best"}, "gradient must be one of iwae, stl, dreg"),
        ({"beta": 2}, "beta weighs a KL, and the importance-weighted bound has none"),
        ({"kl_schedule": "linear", "kl_steps": 5}, "kl_schedule weighs a KL"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        IWAE(**options)


def test_a_measured_bound_says_of_what_and_by_how_many_draws(tiny_data):
    told = measure(IWAE(12, (6,), 2, draws=4), tiny_data, threads=1)["bound"]
    assert told.estimator == "on −log p(x), by 4 draws of z"
    assert measure(IWAE(12, (6,), 2, draws=1), tiny_data, samples=3, threads=1)["bound"].estimator.endswith("1 draw of z, 3 times")
