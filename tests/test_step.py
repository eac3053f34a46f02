"""One training step: shards, the tree, clipping, and that nothing but speed depends on threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import rng
from scratchvae.errors import ConfigError
from scratchvae.models import Autoencoder
from scratchvae.training import Optimiser, TrainingStep, fit
from scratchvae.training import step as step_module
from scratchvae.training.step import shard_bounds


def train(model, images, rows, *, batch_size=None, threads=1, steps=1, lr=1e-2, optimiser="adam", **options):
    """`steps` updates on the same rows, a full batch unless batch_size is larger → the TrainingStep and the last sums."""
    opt = Optimiser(optimiser)
    opt.start(model.buffer.values)
    with TrainingStep(model, opt, images, batch_size or len(rows), threads=threads, **options) as do:
        for i in range(steps):
            sums = do(np.asarray(rows), i, lr)
    return do, sums


def batch_gradient(model, images, rows, eps):
    """The gradient of the mean loss over these rows, in one piece and with no shards."""
    x = (images[rows] / model.dtype.type(255)).astype(model.dtype)
    model.forward(x, eps)
    model.descend(np.full(len(rows), 1 / len(rows)))
    return model.buffer.grads.copy()


@given(st.integers(1, 300), st.integers(1, 20))
def test_shards_cover_the_batch_in_order_and_none_is_empty(rows, shards):
    bounds = shard_bounds(rows, shards)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == rows
    assert all(a[1] == b[0] for a, b in zip(bounds, bounds[1:], strict=False))
    sizes = [stop - start for start, stop in bounds]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_threads_change_no_bit_of_a_checkpoint(tmp_path, tiny_data, tiny_vae, shards, threads):
    one, many = tmp_path / "one", tmp_path / "many"
    options = {"epochs": 2, "batch_size": 7, "shards": shards, "clip": 5.0}
    fit(tiny_vae(), tiny_data, out=one, threads=1, **options)
    fit(tiny_vae(), tiny_data, out=many, threads=threads, **options)
    assert (one / "checkpoint.npz").read_bytes() == (many / "checkpoint.npz").read_bytes()


def test_two_threads_give_the_bytes_of_one_at_full_size(tmp_path):
    from scratchvae import VAE, load_data

    data = load_data("mnist-small")
    for threads in (1, 2):
        fit(VAE(), data, out=tmp_path / str(threads), threads=threads, epochs=1, max_steps=12)
    assert (tmp_path / "1" / "checkpoint.npz").read_bytes() == (tmp_path / "2" / "checkpoint.npz").read_bytes()


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 11])
def test_the_sum_over_shards_is_the_gradient_of_the_batch(tiny_data, tiny_vae, shards):
    images, rows = tiny_data.train.images, np.arange(11)
    model = tiny_vae(dtype=np.float64)
    do, _ = train(model, images, rows, shards=shards, lr=0.0)
    eps = np.concatenate([do.noise(i, 0, *bounds)[0] for i, bounds in enumerate(shard_bounds(11, shards))])
    expected = batch_gradient(tiny_vae(dtype=np.float64), images, rows, eps)
    # The same sum in another order: rounding of 11 terms of size ~1 in float64.
    np.testing.assert_allclose(do.grads[0], expected, rtol=1e-12, atol=1e-13)


def test_a_short_batch_is_averaged_over_the_images_it_has(tiny_data, tiny_vae):
    images = tiny_data.train.images
    model = tiny_vae(dtype=np.float64)
    once, sums = train(model, images, [4, 9, 2], batch_size=8, lr=0.0)
    mean_of_three = once.grads[0].copy()
    assert sums["reconstruction"] > 0
    eps = np.concatenate([once.noise(i, 0, *bounds)[0] for i, bounds in enumerate(shard_bounds(3, 2))])
    singles = [batch_gradient(tiny_vae(dtype=np.float64), images, [r], eps[i : i + 1]) for i, r in enumerate((4, 9, 2))]
    np.testing.assert_allclose(mean_of_three, sum(singles) / 3, rtol=1e-12, atol=1e-13)


def test_the_sums_of_a_batch_of_fewer_shards_hold_nothing_of_the_batch_before(tiny_data, tiny_vae):
    images, model = tiny_data.train.images, tiny_vae(dtype=np.float64)
    opt = Optimiser("sgd")
    opt.start(model.buffer.values)
    with TrainingStep(model, opt, images, 8, shards=4) as do:
        do(np.arange(8), 0, 0.0)
        sums = do(np.array([5]), 1, 0.0)
        eps = do.noise(0, 1, 0, 1)[0]
    terms = tiny_vae(dtype=np.float64).forward(images[[5]] / 255, eps)
    assert list(sums.values()) == pytest.approx([float(term.sum()) for term in terms], rel=1e-12)


def test_the_tree_adds_neighbours_first():
    # In float32 (1e8 + 1) - 1e8 loses the 1; only the stated order (g0 + g1) + (g2 + g3) gives 1 + 0.
    model = Autoencoder(2, (), 1)
    opt = Optimiser("sgd")
    opt.start(model.buffer.values)
    with TrainingStep(model, opt, np.zeros((4, 2), np.uint8), 4, shards=4) as do:
        do._now[0] = 4, 0, 1.0, 1.0
        do.values[...] = 0
        for g, value in zip(do.grads, (1e8, -1e8, 1.0, 0.0), strict=True):
            g[...] = value
        do._update(0)
    assert set(do.values.tolist()) == {-1.0}


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_the_noise_of_an_image_is_that_of_its_row_in_the_batch_whatever_the_shards(tiny_data, tiny_vae, shards):
    do, _ = train(tiny_vae(), tiny_data.train.images, np.arange(11), shards=shards, seed=9)
    for step in (0, 5, 40):
        drawn = np.concatenate([do.noise(i, step, *bounds)[0] for i, bounds in enumerate(shard_bounds(11, shards))])
        assert np.array_equal(drawn, rng.normal(9, rng.LATENT, step, np.arange(11), 2))


def test_the_same_noise_whatever_block_it_was_drawn_in(tiny_data, tiny_vae, monkeypatch):
    values = []
    for block in (1, 3, 32):
        monkeypatch.setattr(step_module, "NOISE_STEPS", block)
        model = tiny_vae()
        train(model, tiny_data.train.images, np.arange(10), steps=7)
        values.append(model.buffer.values.tobytes())
    assert values[0] == values[1] == values[2]


def test_chunks_of_the_update_change_no_bit(tiny_data, tiny_vae, monkeypatch):
    values = []
    for chunk in (5, 64, 65536):
        monkeypatch.setattr(step_module, "CHUNK", chunk)
        model = tiny_vae()
        train(model, tiny_data.train.images, np.arange(10), steps=3, threads=2)
        values.append(model.buffer.values.tobytes())
    assert values[0] == values[1] == values[2]


def test_clipping_bounds_the_global_norm_and_keeps_the_direction(tiny_data, tiny_vae):
    images, rows = tiny_data.train.images, np.arange(8)
    free, _ = train(tiny_vae(), images, rows, lr=0.0)
    norm = np.linalg.norm(free.grads[0])
    clipped, _ = train(tiny_vae(), images, rows, lr=0.0, clip=norm / 4)
    np.testing.assert_allclose(clipped.grads[0], free.grads[0] / 4, rtol=1e-5)  # float32: the norm's own rounding
    loose, _ = train(tiny_vae(), images, rows, lr=0.0, clip=norm * 4)
    assert np.array_equal(loose.grads[0], free.grads[0])


def test_a_batch_that_is_not_finite_updates_nothing(tiny_vae):
    model = tiny_vae()
    images = np.ones((4, 12), np.float32)
    images[2, 5] = np.nan  # a Split would refuse this; the step itself must not spread it
    before = model.buffer.values.copy()
    _, sums = train(model, images, np.arange(4))
    assert np.isnan(sums["reconstruction"])
    assert np.array_equal(model.buffer.values, before)


def test_options_that_cannot_work_are_refused(tiny_data, tiny_vae):
    for options, words in (({"shards": 0}, "shards"), ({"clip": 0.0}, "clip"), ({"clip": -1.0}, "clip")):
        with pytest.raises(ConfigError, match=words):
            train(tiny_vae(), tiny_data.train.images, [0], **options)
