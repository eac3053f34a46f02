"""What a module keeps from step to step beside its Parameters is refused before training, and what it only remembers is not."""

from functools import partial

import numpy as np
import pytest

from scratchvae.errors import ConfigError
from scratchvae.models import VAE, Autoencoder, ConvVAE
from scratchvae.nn import ACTIVATIONS, Module
from scratchvae.training import fit
from scratchvae.training import state as state_module
from scratchvae.training.state import refuse_state


class Layer(Module):
    """y = x, and whatever a subclass does besides."""

    def forward(self, x):
        self.x = x
        return x

    def backward(self, dY):
        return dY


class RunningMean(Layer):
    def __init__(self):
        self.mean = np.zeros(8)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
        return (x - self.mean).astype(x.dtype)


class RunningMeanInPlace(Layer):
    """Not used by forward itself: a mean for later."""

    def __init__(self):
        self.mean = np.zeros(8)

    def forward(self, x):
        self.mean *= 0.999
        self.mean += 0.001 * x.mean(axis=0)
        return x


class Counter(Layer):
    calls = 0

    def __init__(self):
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x


class LateCounter(Layer):
    """Counts on from a large number: one step changes a millionth of it."""

    def __init__(self):
        self.calls = 1e6

    def forward(self, x):
        self.calls += 1
        return x


class RunningMeans(Layer):
    def __init__(self):
        self.kept = {"means": [np.zeros(8), np.zeros(8)]}

    def forward(self, x):
        means = self.kept["means"]
        means[1] = np.maximum(means[1], x.max(axis=0))
        return x


class FirstBatch(Layer):
    """Scales by what the first batch was like."""

    def __init__(self):
        self.started, self.scale = False, 1.0

    def forward(self, x):
        if not self.started:
            self.scale, self.started = 1 / (1 + float(x.max())), True
        return (x * self.scale).astype(x.dtype)

    def backward(self, dY):
        return (dY * self.scale).astype(dY.dtype)


class LazyMean(Layer):
    """A running mean that the first step makes."""

    def forward(self, x):
        self.mean = 0.9 * getattr(self, "mean", np.zeros(8)) + 0.1 * x.mean(axis=0)
        return (x - self.mean).astype(x.dtype)


class LazyFirstBatch(Layer):
    """Scales by what the first batch was like, and knows nothing before."""

    def forward(self, x):
        if not hasattr(self, "scale"):
            self.scale = 1 / (1 + float(np.abs(x).sum()))
        return x * x.dtype.type(self.scale)


class Dropout(Layer):
    def __init__(self):
        self.noise = np.random.default_rng(0)

    def forward(self, x):
        self.mask = (self.noise.random(x.shape) > 0.5).astype(x.dtype)
        return x * self.mask


class FromBackward(Layer):
    def __init__(self):
        self.size = 0.0

    def backward(self, dY):
        self.size = 0.5 * self.size + float(np.abs(dY).mean())
        return dY


class GlobalDropout(Layer):
    def forward(self, x):
        return x * (np.random.random(x.shape) > 0.5).astype(x.dtype)  # noqa: NPY002 - what people write


# Of which forward only remembers something ------------------------------------------------------------------------------


class Caches(Layer):
    def __init__(self):
        self.mask, self.offset, self.buffer_of_mine, self.last = np.arange(8) % 2, 3, np.zeros((100, 8)), 0.0
        self.seen, self.names = [np.zeros((1, 8))], ["a", "b"]

    def forward(self, x):
        self.buffer_of_mine[: len(x)] = x  # some rows of it
        self.last, self.shape, self.seen = float(x.sum()), x.shape, [x, x + 1]
        if not hasattr(self, "eye"):  # a constant that the first step makes
            self.eye = np.eye(8)
        return (x * self.mask @ self.eye).astype(x.dtype)


def _model(layer):
    model = VAE(12, (8,), 2, seed=3)
    model.encoder.layers.insert(1, layer)
    return model.initialise(3)


STATE = [
    (RunningMean, "mean"), (RunningMeanInPlace, "mean"), (Counter, "calls"), (LateCounter, "calls"), (RunningMeans, "kept"),
    (FirstBatch, "started"), (Dropout, "noise"), (FromBackward, "size"), (LazyMean, "mean"), (LazyFirstBatch, "scale"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "attribute"), STATE)
def test_state_is_refused_by_module_and_attribute_before_anything_is_written(tmp_path, tiny_data, layer, attribute):
    model = _model(layer())
    said = rf"{layer.__name__} \(encoder\.1\) changes self\.{attribute} in a step.*no Parameter"
    with pytest.raises(ConfigError, match=said) as caught:
        fit(model, tiny_data, out=tmp_path / "run", epochs=1, progress=False)
    assert len(str(caught.value)) <= 500
    assert not (tmp_path / "run").exists()
    assert model.encoder.layers[1].__dict__.keys() == layer().__dict__.keys()  # a replica was tried, not the model


def test_noise_that_no_seed_repeats_is_refused_too(tiny_data):
    with pytest.raises(ConfigError, match="two different losses for one input.*eps"):
        refuse_state(_model(GlobalDropout()), tiny_data.train.images)


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used before"])
@pytest.mark.parametrize("layer", [Layer, Caches])
def test_what_forward_only_remembers_is_no_state(tiny_data, layer, used):
    model = _model(layer())
    if used:
        for rows in (7, 3):
            model.forward(np.random.default_rng(rows).random((rows, 12), np.float32))
            model.descend(np.ones(rows, np.float32))
    refuse_state(model, tiny_data.train.images)


@pytest.mark.parametrize(
    "make",
    [partial(VAE, 12, (8,), 2), partial(Autoencoder, 12, (8,), 2), partial(ConvVAE, (4, 3), (2,), 3, 2, 2)],
    ids=["vae", "ae", "conv-vae"],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_none_of_our_modules_keeps_any(tiny_data, monkeypatch, make, activation, likelihood):
    model = make(activation=activation, likelihood=likelihood)
    for rows in (7, 3):
        model.forward(np.random.default_rng(rows).random((rows, 12), np.float32))
        model.descend(np.ones(rows, np.float32))
    tried = []
    monkeypatch.setattr(state_module, "HOUSE", "nobody")
    monkeypatch.setattr(state_module._Trial, "step", lambda *a, step=state_module._Trial.step, **b: tried.append(a) or step(*a, **b))
    refuse_state(model, tiny_data.train.images)
    assert len(tried) >= 2


def test_a_model_with_a_layer_of_ones_own_trains_to_the_same_bits_on_any_number_of_threads(tiny_data):
    values = []
    for threads in (1, 2):
        model = _model(Caches())
        fit(model, tiny_data, epochs=2, batch_size=20, threads=threads, progress=False)
        values.append(model.buffer.values.copy())
    np.testing.assert_array_equal(*values)
