"""What only a GPU can show: the real compiler, the real launches, the real graphs. benchmarks/gpu.py proves more, in figures."""

import warnings

import numpy as np
import pytest
import test_cuda_layers_training as layered

from scratchvae import VAE, Autoencoder, ConvVAE, backend, fit, load_model, measure, resume
from scratchvae.errors import BackendError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CuPy says on import what it misses; the probe says it better
    try:
        PLACE, WHY = backend.get("cupy"), ""
    except BackendError as error:
        PLACE, WHY = None, str(error)
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(PLACE is None, reason=f"needs a GPU: {WHY}")]

OPTIONS = {"batch_size": 13, "epochs": 3, "log_every": 40, "lr": 0.01, "progress": False}
MODELS = [
    (VAE, {"beta": 0.7}), (VAE, {"hidden": (8, 6), "activation": "gelu"}), (Autoencoder, {"activation": "silu"}),
    (VAE, {"likelihood": "gaussian", "activation": "tanh"}),
    (ConvVAE, {"image_shape": (4, 3), "filters": (2, 4), "size": (4, 3), "stride": (2, 1)}),
]  # fmt: skip


def model_of(kind, options, where, dtype):
    sizes = {} if kind is ConvVAE else {"data_size": 12, "hidden": (8,)}
    return kind(**{**sizes, "latent": 3, "seed": 3, **options}, dtype=dtype, backend=where)


def trained(kind, options, where, data, dtype=np.float64, **more):
    model = model_of(kind, options, where, dtype)
    records = fit(model, data, **{**OPTIONS, **more})
    return model, model.backend.get(model.buffer.values), [r["loss"] for r in records]


@pytest.mark.parametrize(("kind", "options"), MODELS)
def test_training_is_numpys_in_float64(kind, options, tiny_data):
    _, mine, losses = trained(kind, options, "numpy", tiny_data)
    _, theirs, device_losses = trained(kind, options, "cupy", tiny_data)
    np.testing.assert_allclose(theirs, mine, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(device_losses, losses, rtol=1e-9)


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize(("kind", "options"), MODELS)
def test_graphs_give_the_bits_of_single_launches_and_repeat_them(kind, options, tf32, tiny_data):
    runs = [trained(kind, options, "cupy", tiny_data, np.float32, graph=graph, tf32=tf32)[1] for graph in (True, False, True)]
    assert len({values.tobytes() for values in runs}) == 1


@pytest.mark.parametrize("name", [*layered.MODELS, "every layer"])
def test_other_layers_train_as_numpys_in_float64_and_graphs_give_the_bits_of_single_launches(name):
    make, data = layered.MODELS.get(name, layered.Mixture), layered.data_of() if name == "every layer" else layered.pictures()
    options = {"batch_size": 4, "optimiser": "sgd", "lr": 0.001}
    found = [layered.trained(make(dtype=np.float64, backend=where), data, **options) for where in ("numpy", "cupy")]
    for theirs, mine in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-8, atol=1e-10)
    bits = [layered.trained(make(dtype=np.float32, backend="cupy"), data, **options, graph=graph)[0].tobytes() for graph in (True, False)]
    assert bits[0] == bits[1]


def test_a_run_changes_backends_and_measures_the_same_on_both(tiny_data, tmp_path):
    fit(model_of(VAE, {}, "cupy", np.float64), tiny_data, **OPTIONS, max_steps=3, out=tmp_path / "run")
    model = load_model(tmp_path / "run")
    resume(model, tiny_data, tmp_path / "run", progress=False)
    mine = measure(model, tiny_data, samples=3)
    theirs = measure(load_model(tmp_path / "run", "cupy"), tiny_data, samples=3)
    for name in mine:
        np.testing.assert_allclose(theirs[name].value, mine[name].value, rtol=1e-9)


def test_what_does_not_fit_into_its_memory_is_our_error():
    with pytest.raises(BackendError, match="memory is full"):
        _allocate_too_much()


def _allocate_too_much():
    with PLACE.failures():
        PLACE.empty((1 << 50,), np.float32)
