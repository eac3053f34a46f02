"""Claims about the convolutional VAE. Its loss is written anew here, with other convolutions, for an automatic differentiation."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad

from scratchvae import cli, load_model
from scratchvae.data import Dataset, Split
from scratchvae.errors import ConfigError
from scratchvae.evaluate import measure
from scratchvae.models import ConvVAE
from scratchvae.training import fit, resume

RANDOM = np.random.default_rng(0)


def oracle_conv(x, W, b, stride, pad):
    """A sum over the places of the kernel, each a product of channels."""
    (kh, kw, *_), (s, t), (p, q) = W.shape, stride, pad
    x = anp.pad(x, ((0, 0), (p, p), (q, q), (0, 0)), "constant")
    h, w = (x.shape[1] - kh) // s + 1, (x.shape[2] - kw) // t + 1
    return b + sum(
        anp.einsum("bhwc,co->bhwo", x[:, i : i + s * (h - 1) + 1 : s, j : j + t * (w - 1) + 1 : t], W[i, j])
        for i in range(kh)
        for j in range(kw)
    )


def oracle_transposed(x, W, b, stride, pad, height, width):
    """Zeros between the pixels, then a convolution with the kernel turned round and its channels swapped."""
    (kh, kw, *_), (s, t), (p, q) = W.shape, stride, pad
    spread = [np.zeros((n + k - 1, m)) for n, k, m in ((height, kh, x.shape[1]), (width, kw, x.shape[2]))]
    for matrix, step, k, before in zip(spread, (s, t), (kh, kw), (p, q), strict=True):
        for i in range(matrix.shape[1]):
            matrix[k - 1 - before + step * i, i] = 1
    x = anp.einsum("hm,bmnc,wn->bhwc", spread[0], x, spread[1])
    return oracle_conv(x, anp.swapaxes(W[::-1, ::-1], 2, 3), b, (1, 1), (0, 0))


def oracle_loss(p, x, eps, model, beta):
    c = model.config
    shape, n, stride = tuple(c["image_shape"]), len(c["filters"]), c["stride"]
    pad = [(k - s) // 2 for k, s in zip(c["size"], stride, strict=True)]
    h, sizes = x.reshape(len(x), *shape[:2], -1), []
    for i in range(n):
        sizes.append(h.shape[1:3])
        h = anp.tanh(oracle_conv(h, p[f"encoder.{1 + 2 * i}.W"], p[f"encoder.{1 + 2 * i}.b"], stride, pad))
    code = anp.dot(h.reshape(len(x), -1), p[f"encoder.{2 + 2 * n}.W"]) + p[f"encoder.{2 + 2 * n}.b"]
    mu, sigma = code[:, : c["latent"]], anp.exp(code[:, c["latent"] :] / 2)
    kl = anp.sum((mu**2 + sigma**2 - 1) / 2 - anp.log(sigma))
    h = (anp.dot(mu + sigma * eps, p["decoder.0.W"]) + p["decoder.0.b"]).reshape(h.shape)
    for i, size in enumerate(reversed(sizes)):
        h = oracle_transposed(anp.tanh(h), p[f"decoder.{3 + 2 * i}.W"], p[f"decoder.{3 + 2 * i}.b"], stride, pad, *size)
    probability = 1 / (1 + anp.exp(-h.reshape(len(x), -1)))
    return -anp.sum(x * anp.log(probability) + (1 - x) * anp.log(1 - probability)) + beta * kl


@pytest.mark.parametrize(
    ("shape", "options"),
    [((8, 8), {}), ((9, 7), {}), ((6, 8, 3), {}), ((10, 9), {"size": 3, "stride": 2}), ((7, 7), {"size": (3, 4), "stride": (1, 2)})],
    ids=str,
)
def test_loss_and_every_gradient_agree_with_automatic_differentiation(shape, options):
    model = ConvVAE(shape, (3, 4), latent=2, activation="tanh", beta=0.7, dtype=np.float64, **options)
    for _, p in model.parameters():
        p.value[...] += 0.1 * RANDOM.normal(size=p.shape)
    x, eps = RANDOM.uniform(size=(3, model.data_size)), RANDOM.normal(size=(3, 2))
    values = {name: p.value.copy() for name, p in model.parameters()}
    loss, gradient = value_and_grad(oracle_loss)(values, x, eps, model, 0.7)
    model.buffer.grads.fill(np.nan)
    np.testing.assert_allclose(model.objective.forward(*model.forward(x, eps)).sum(), loss, rtol=1e-10)
    model.descend(np.ones(3))
    for name, p in model.parameters():
        np.testing.assert_allclose(p.grad, gradient[name], rtol=0, atol=1e-10 * np.abs(gradient[name]).max(), err_msg=name)


@pytest.mark.parametrize("shape", [(28, 28), (29, 30), (19, 23), (30, 31, 3), (20, 28)])
@pytest.mark.parametrize(("size", "stride"), [(4, 2), (4, 3), (5, 3), (6, (1, 4))])
def test_what_is_decoded_has_the_size_of_what_was_encoded(shape, size, stride):
    model = ConvVAE(shape, (2, 3), size=size, stride=stride, latent=2)
    x = RANDOM.uniform(size=(4, model.data_size))
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(3).shape == (3, model.data_size)


def test_images_that_are_too_small_are_refused_with_the_smallest_that_fits():
    told = "images of 1 × 8 are too small for 3 convolutions with kernels of 4 × 4 and strides of 2 × 2: the smallest are 8 × 8"
    with pytest.raises(ConfigError, match=told):
        ConvVAE((1, 8), (2, 2, 2))
    ConvVAE((8, 8), (2, 2, 2))
    with pytest.raises(ConfigError, match="the smallest are 8 × 8"):
        ConvVAE((8, 7), (2, 2, 2))


def coloured(count=48):
    """Squares of one colour on black."""
    images = np.zeros((count, 8, 8, 3), np.uint8)
    for i, image in enumerate(images):
        image[i % 4 : i % 4 + 4, i % 3 : i % 3 + 4, i % 3] = 255
    rows = images.reshape(count, -1)
    return Dataset("squares", (8, 8, 3), Split(rows, np.arange(count) % 3), Split(rows[:12], np.arange(12) % 3), "made here")


def test_it_learns_colour_and_threads_and_a_stop_change_no_bit(tmp_path):
    make = lambda: ConvVAE((8, 8, 3), (4, 8), latent=2, seed=1)
    options = {"batch_size": 16, "lr": 0.01, "progress": False, "epochs": 25}
    model = make()
    records = fit(model, coloured(), out=tmp_path / "one", threads=1, **options)
    losses = [r["loss"] for r in records if r["split"] == "test"]
    assert losses[-1] < 0.5 * losses[0]
    expected = (tmp_path / "one" / "checkpoint.npz").read_bytes()
    fit(make(), coloured(), out=tmp_path / "two", threads=2, **options)
    fit(make(), coloured(), out=tmp_path / "cut", threads=1, max_steps=20, **options)
    resume(load_model(tmp_path / "cut"), coloured(), tmp_path / "cut", threads=2, progress=False)
    for name in ("two", "cut"):
        assert (tmp_path / name / "checkpoint.npz").read_bytes() == expected, name
    assert measure(load_model(tmp_path / "one"), coloured())["-ELBO"].value == pytest.approx(losses[-1], rel=1e-6)


def test_the_command_line_trains_one_and_refuses_options_of_other_models(tmp_path, capsys):
    command = ["train", "--model", "conv-vae", "--filters", "4,4", "--latent", "2", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    assert "Convolutional VAE 28×28-4-4-2 on mnist-small" in capsys.readouterr().out
    assert cli.main(["info", str(tmp_path / "run")]) == 0
    assert "ConvTranspose2D" in capsys.readouterr().out
    assert cli.main(["train", "--model", "conv-vae", "--hidden", "3"]) == 1
    assert "--hidden belongs to --model vae or ae" in capsys.readouterr().err
    assert cli.main(["train", "--model", "ae", "--filters", "3"]) == 1
    assert "--filters belongs to --model conv-vae" in capsys.readouterr().err
