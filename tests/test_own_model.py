"""A model of the reader's own, written in a notebook: it trains, resumes, is measured and loaded with no line elsewhere."""

import numpy as np
import pytest

from scratchvae import nn, rng
from scratchvae.data import Dataset, Split
from scratchvae.errors import CheckpointError, ConfigError, DataError
from scratchvae.evaluate import measure
from scratchvae.models import Model, Weighted
from scratchvae.models.likelihood import Bernoulli
from scratchvae.models.posterior import Posterior
from scratchvae.training import fit, load_model, resume
from scratchvae.training.checkpoint import read_checkpoint

PIXELS, LATENT, LABELS = 12, 2, 3


class Conditional(Model):
    """A VAE whose encoder and decoder are told the label: two inputs, two terms, state, and noise in a layer."""

    terms, reads, noise_columns = ("reconstruction", "kl"), ("images", "labels"), LATENT

    def __init__(self, data_size=PIXELS, beta=0.5, seed=0, dtype=np.float32):
        self.config = {"data_size": data_size, "beta": beta}
        self.told, self.at_x, self.at_z = nn.Embedding(LABELS, 4), nn.Concat(), nn.Concat()
        hidden = nn.Dense(data_size + 4, 8), nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.25)
        self.encoder = nn.Sequential(*hidden, nn.Residual(nn.Dense(8, 8), nn.SiLU()), nn.Dense(8, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Dense(LATENT + 4, data_size))
        self.posterior, self.likelihood = Posterior(), Bernoulli()
        self.objective = Weighted(reconstruction=1.0, kl=beta)
        self.start(seed, dtype, None)

    def forward(self, x, labels, eps):
        told = self.told.forward(labels)
        z, kl = self.posterior.forward(self.encoder.forward(self.at_x.forward(x, told)), eps)
        return self.likelihood.forward(self.decoder.forward(self.at_z.forward(z, told)), x), kl

    def backward(self, dreconstruction, dkl):
        dz, dtold = self.at_z.backward(self.decoder.backward(self.likelihood.backward(dreconstruction)[0]))
        _, dtold_too = self.at_x.backward(self.encoder.backward(self.posterior.backward(dz, dkl)[0]))
        self.told.backward(dtold + dtold_too)


def data(rows=60):
    labels = np.arange(rows) % LABELS
    images = (rng.uniform(0, rng.CHECK, 0, np.arange(rows), PIXELS) * 100).astype(np.uint8)
    images[np.arange(rows), labels] += 150  # what the label says
    return Dataset("labelled", (3, 4), Split(images[:48], labels[:48]), Split(images[48:], labels[48:]), "made here")


OPTIONS = {"batch_size": 16, "seed": 3, "progress": False}


def test_it_learns_and_its_parts_are_measured():
    model = Conditional()
    records = fit(model, data(), epochs=40, lr=0.02, **OPTIONS)
    losses = [r["loss"] for r in records if r["split"] == "test"]
    assert losses[-1] < losses[0] - 1
    last = records[-1]
    assert last["loss"] == pytest.approx(last["reconstruction"] + 0.5 * last["kl"], rel=1e-12)
    assert set(measure(model, data())) == {"-ELBO", "reconstruction", "KL"}


@pytest.mark.parametrize("shards", [2, 3, 4])
def test_threads_and_a_stop_at_any_step_change_no_bit_of_parameters_or_running_statistics(tmp_path, shards):
    whole = tmp_path / "whole"
    fit(Conditional(), data(), out=whole, epochs=3, shards=shards, threads=1, **OPTIONS)
    expected = (whole / "checkpoint.npz").read_bytes()
    for threads, stop in ((2, None), (4, None), (1, 2), (2, 4)):
        out = tmp_path / f"{threads}-{stop}"
        model = Conditional()
        fit(model, data(), out=out, epochs=3, shards=shards, threads=threads, max_steps=stop, **OPTIONS)
        if stop:
            resume(load_model(out, model=Conditional), data(), out, threads=threads, progress=False)
        assert (out / "checkpoint.npz").read_bytes() == expected, (threads, stop)
    _, _, arrays = read_checkpoint(whole / "checkpoint.npz")
    moved = arrays["parameters/encoder.1.running_mean"], arrays["parameters/encoder.1.running_variance"]
    assert np.abs(moved[0]).max() > 0.01
    assert np.abs(moved[1] - 1).max() > 0.01


def test_running_statistics_are_those_of_the_shards_by_their_rows_and_no_optimiser_touches_them():
    """r ← r + rate · Σ_shards share · (that of the shard − r), and with one shard that of the batch."""
    model = Conditional(dtype=np.float64)
    set_ = data()
    start = model.buffer.values.copy()
    fit(model, set_, epochs=1, max_steps=1, shards=3, threads=1, weight_decay=0.5, clip=1e-9, **{**OPTIONS, "batch_size": 11})
    rows = rng.permutation(3, 0, 48)[:11]
    model.buffer.values, after = start, model.buffer.values
    first = Conditional(dtype=np.float64)
    mean, variance = np.zeros(8), np.ones(8)
    for part in (rows[:3], rows[3:7], rows[7:]):
        told = first.told.forward(set_.train.labels[part])
        h = first.encoder.layers[0].forward(first.at_x.forward(set_.train.images[part] / 255, told))
        mean += 0.1 * len(part) / 11 * (h.mean(0) - 0)
        variance += 0.1 * len(part) / 11 * (h.var(0) - 1)
    np.testing.assert_allclose(after[model.buffer.slices["encoder.1.running_mean"]], mean, rtol=1e-10)
    np.testing.assert_allclose(after[model.buffer.slices["encoder.1.running_variance"]], variance, rtol=1e-8)


def test_what_drops_while_it_trains_drops_nothing_in_use_and_what_is_validated_is_in_use():
    model = Conditional()
    assert all(not module.training for _, module in model.modules())
    fit(model, data(), epochs=1, **OPTIONS)
    assert all(not module.training for _, module in model.modules())
    x = data().test
    one, two = (model.forward(x.images.astype(np.float32) / 255, x.labels, np.zeros((12, LATENT), np.float32)) for _ in range(2))
    assert np.array_equal(one[0], two[0])


def test_a_field_that_is_not_there_is_named():
    bare = Dataset("bare", (3, 4), Split(data().train.images, None), Split(data().test.images, None), "made here")
    with pytest.raises(DataError, match="Conditional reads labels, and the data have images"):
        fit(Conditional(), bare, epochs=1, **OPTIONS)


def test_a_checkpoint_of_a_class_that_is_not_ours_says_how_to_load_it(tmp_path):
    fit(Conditional(), data(), out=tmp_path / "run", epochs=1, **OPTIONS)
    with pytest.raises(CheckpointError, match=r"'Conditional' is no model of ours.*load_model\(path, model=Conditional\)"):
        load_model(tmp_path / "run")

    class Other(Conditional):
        pass

    with pytest.raises(CheckpointError, match="it is of a 'Conditional', not of a Other"):
        load_model(tmp_path / "run", model=Other)
    assert isinstance(load_model(tmp_path / "run", model=Conditional), Conditional)


class Old(Conditional):
    def forward(self, x, labels, eps):
        return dict(zip(self.terms, super().forward(x, labels, eps), strict=True))


def test_terms_in_a_dict_are_refused_with_what_is_wanted():
    with pytest.raises(ConfigError, match=r"Old.forward returns a tuple with \(B,\) for each of its terms, reconstruction, kl, not"):
        fit(Old(), data(), epochs=1, **OPTIONS)


def test_each_layer_that_drops_drops_places_of_its_own():
    class Twice(Conditional):
        def __init__(self, **options):
            super().__init__(**options)
            self.encoder.layers[4:4] = [nn.Dropout(0.25)]
            self.initialise(0)

    model = Twice()
    fit(model, data(), epochs=1, max_steps=1, shards=1, threads=1, **OPTIONS)
    first, second = (layer.u for layer in model.encoder.layers[3:5])
    assert first.shape == second.shape == (16, 8)
    assert not np.isclose(first, second).any()
