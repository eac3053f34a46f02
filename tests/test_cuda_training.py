"""Training on the cupy backend, its own code and kernels run by the CPU: against NumPy, graph against eager, and what goes wrong."""

import json
import sys
from unittest.mock import Mock

import numpy as np
import pytest
from cuda_backend_on_cpu import CompileError, CudaError, FailingDevice, OutOfMemory, cupy_on_cpu
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchvae import VAE, Autoencoder, fit, load_model, nn, resume, rng
from scratchvae.data import Dataset, Split
from scratchvae.errors import BackendError, ConfigError, NonFiniteError
from scratchvae.models.autoencoder import mlp
from scratchvae.models.conv_vae import ConvVAE
from scratchvae.nn import init
from scratchvae.ops import cuda
from scratchvae.training import DeviceStep, Optimiser, RunFolder, device_step
from scratchvae.training.checkpoint import read_checkpoint
from scratchvae.training.device_step import capturable
from scratchvae.training.optimisers import OPTIMISERS

trainer_module = sys.modules["scratchvae.training.trainer"]
# 60 images in batches of 13: four full ones and one of 8, so a graph of four steps, and one by itself.
OPTIONS = {"batch_size": 13, "epochs": 2, "log_every": 7, "lr": 0.01, "seed": 5, "progress": False}
MODELS = {
    "vae": (VAE, {"beta": 0.7}),
    "autoencoder": (Autoencoder, {}),
    "two hidden layers, gelu": (VAE, {"hidden": (8, 6), "activation": "gelu"}),
    "no hidden layer": (VAE, {"hidden": ()}),
    "gaussian, learned sigma": (VAE, {"likelihood": "gaussian", "activation": "tanh"}),
    "a sigma for each pixel": (VAE, {"likelihood": "pixel-gaussian", "activation": "tanh"}),
    "levels": (VAE, {"likelihood": "logistic"}),
    "continuous bernoulli": (Autoencoder, {"likelihood": "continuous-bernoulli"}),
    "gaussian, given sigma": (Autoencoder, {"likelihood": "gaussian", "sigma": 0.5, "activation": "silu"}),
}


def model_of(name, place="numpy", dtype=np.float64):
    kind, options = MODELS[name]
    return kind(**{"data_size": 12, "hidden": (8,), "latent": 3, "seed": 3, **options}, dtype=dtype, backend=place)


def values_and_records(model, data, **options):
    records = fit(model, data, **{**OPTIONS, **options})
    return model.backend.get(model.buffer.values), records


def losses(records):
    return [[r["loss"], r["reconstruction"], r["step"], r["epoch"]] for r in records]


@pytest.fixture
def place():
    with cupy_on_cpu() as (place, device):
        place.capture.__self__.launches.clear()
        assert device is place.capture.__self__
        yield place


# The same training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_two_epochs_are_numpys_in_float64(name, tiny_data, place):
    mine, records = values_and_records(model_of(name), tiny_data)
    theirs, device_records = values_and_records(model_of(name, place), tiny_data)
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-10)


@pytest.mark.parametrize(
    "options",
    [{"clip": 0.3}, {"weight_decay": 0.05}, {"optimiser": "adamw"}, {"optimiser": "nesterov", "schedule": "cosine", "warmup": 3},
     {"optimiser": "sgd", "schedule": "step", "every": 3}, {"batch_size": 20}, {"batch_size": 100}, {"batch_size": 1, "epochs": 1},
     {"max_steps": 6}],
    ids=str,
)  # fmt: skip
def test_every_option_of_training_reaches_the_gpu(options, tiny_data, place):
    mine, records = values_and_records(model_of("vae"), tiny_data, **options)
    theirs, device_records = values_and_records(model_of("vae", place), tiny_data, **options)
    np.testing.assert_allclose(theirs, mine, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-9)
    assert [r.get("lr") for r in device_records] == [r.get("lr") for r in records]


def test_float32_follows_numpy(tiny_data, place):
    """Adam divides a gradient by its own size, so where a gradient is all rounding its step may differ by as much as lr."""
    mine, records = values_and_records(model_of("vae", dtype=np.float32), tiny_data)
    theirs, device_records = values_and_records(model_of("vae", place, np.float32), tiny_data)
    assert np.mean(np.abs(theirs - mine)) < 1e-5
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-4)


def test_a_step_is_sixteen_launches(tiny_data, place):
    device = place.capture.__self__
    model = model_of("vae", place, np.float32)
    fit(model, tiny_data, **{**OPTIONS, "max_steps": 1}, graph=False)
    names = [launch.split("<")[0] for launch in device.launches]
    dense, back = ["affine"] * 2, ["affine_backward"] * 2
    forward = ["gather", "normal", *dense, "sample_posterior", *dense, "bernoulli"]
    assert names == [*forward, "bernoulli", *back, "posterior_backward", *back, "update", "end_of_step"]


@pytest.mark.parametrize("flushes", [False, True], ids=["denormals kept", "denormals are zero"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name, (moments, _) in OPTIMISERS.items() if moments])
def test_moments_too_small_to_matter_which_numpy_makes_zero_change_no_weight(name, dtype, flushes, place):
    """NumPy does so at step 128. The harness keeps denormals, where a GPU in float32 (-ftz=true) takes them for 0."""
    rng, n, tiny = np.random.default_rng(0), 600, np.finfo(dtype).tiny
    grads = rng.normal(0, 1, n).astype(dtype) * np.repeat([1, 0], n // 2).astype(dtype)  # half of the weights are used
    values = [rng.normal(0, 1, n).astype(dtype)] * 2
    optimiser = Optimiser(name)
    optimiser.start(values[0])
    for moment in optimiser.moments.values():
        moment[n // 2 :] = 10 ** rng.uniform(np.log10(tiny) - 5, -29, n // 2)  # denormals, negligible, and not quite
    mine, theirs = values[0].copy(), place.put(values[1])
    moments = {key: place.put(moment) for key, moment in optimiser.moments.items()}
    for step in range(120, 140):
        for moment in moments.values():
            if flushes:
                np.asarray(moment)[np.abs(np.asarray(moment)) < tiny] = 0
        optimiser.update(slice(0, n), mine, grads.copy(), np.empty(n, dtype), 0.01, step)
        getattr(cuda, name)(theirs, place.put(grads), *moments.values(), None, 0.01, step, **optimiser.settings)
        if step == 128:
            assert all((moment[n // 2 :] == 0).mean() > 0.5 for moment in optimiser.moments.values())
    rounding = 50 * np.finfo(dtype).eps  # of 20 updates, each rounded several times, of weights around 1
    np.testing.assert_allclose(place.get(theirs), mine, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(mine[n // 2 :], values[0][n // 2 :] * _kept(name, 20), rtol=rounding)


def _kept(name, steps):
    """What AdamW's own decay leaves of a weight that nothing moves."""
    return (1 - 0.01 * 0.01) ** steps if name == "adamw" else 1


def test_a_run_crosses_backends_beyond_the_step_at_which_numpy_makes_moments_zero(tiny_data, place, tmp_path):
    options = {**OPTIONS, "epochs": 28}  # 140 steps
    expected, _ = values_and_records(model_of("vae"), tiny_data, **options)
    there, _ = values_and_records(model_of("vae", place), tiny_data, **options)
    np.testing.assert_allclose(there, expected, rtol=1e-8, atol=1e-10)
    fit(model_of("vae", place), tiny_data, **options, max_steps=126, out=tmp_path / "run")
    model = load_model(tmp_path / "run", "numpy")
    resume(model, tiny_data, tmp_path / "run", progress=False)
    np.testing.assert_allclose(model.buffer.values, expected, rtol=1e-8, atol=1e-10)


# Graphs ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"clip": 0.3}, {"batch_size": 4, "log_every": 60}], ids=str)
def test_graphs_give_the_bits_of_single_launches(options, tiny_data):
    results = []
    for graph, schedule in ((True, "forward"), (False, "forward"), (True, "random")):
        with cupy_on_cpu(schedule) as (place, device):
            values, records = values_and_records(model_of("vae", place, np.float32), tiny_data, graph=graph, **options)
            results.append((values.tobytes(), json.dumps(losses(records))))
            assert bool(device.replays) == graph
    assert len(set(results)) == 1


def test_one_graph_holds_many_steps_and_the_host_looks_once_per_line(tiny_data, place, monkeypatch):
    looks = []
    device = place.capture.__self__
    counted = place._replace(get=lambda array: looks.append(array.shape) or place.get(array))
    monkeypatch.setattr(device_step, "GRAPH_STEPS", (4, 1))
    model = model_of("vae", counted, np.float32)
    records = fit(model, tiny_data, **{**OPTIONS, "batch_size": 5, "log_every": 6, "epochs": 1})
    per_step = 16
    # 12 steps: the first launch by launch, then 5 as 4 + 1; in the second line 4 + 1 + 1.
    assert device.replays == [4 * per_step, per_step, 4 * per_step, per_step, per_step]
    # two log lines; are the parameters finite; and reconstruction and kl of the test images
    assert looks == [(3,)] * 2 + [(298,)] + [(20,)] * 2
    assert [r["step"] for r in records] == [6, 12, 12]


@settings(max_examples=10)
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 30), st.integers(0, 12))
def test_any_division_into_batches_lines_and_stops_gives_the_same_bits(batch_size, log_every, other, stop):
    images = np.random.default_rng(0).integers(0, 256, (60, 12)).astype(np.uint8)
    data = Dataset("noise", (4, 3), Split(images[:50], None), Split(images[50:], None), "made by a test")
    with cupy_on_cpu() as (place, _):
        runs = []
        for lines, graph in ((log_every, True), (other, False)):
            model = model_of("vae", place, np.float32)
            fit(model, data, **{**OPTIONS, "batch_size": batch_size, "log_every": lines, "epochs": 1, "max_steps": stop}, graph=graph)
            runs.append(place.get(model.buffer.values).tobytes())
    assert runs[0] == runs[1]


# Modules of one's own ----------------------------------------------------------------------------------------------------


class Scale(nn.Module):
    """y = s · x, one scale per column, in operations that any array library has."""

    def __init__(self, columns):
        self.s = nn.Parameter((columns,), init.constant(1.0))

    def forward(self, x):
        self.x = x
        return x * self.s.value

    def backward(self, dY):
        self.s.grad[...] = (dY * self.x).sum(axis=0)
        return dY * self.s.value


def with_own_module(place):
    model = VAE(12, (8,), 3, seed=3, dtype=np.float64)
    model.encoder = nn.Sequential(*mlp([12, 8, 6], nn.Tanh, init.glorot, input_gradient=False).layers, Scale(6))
    return model.initialise(3, np.float64, place)


class Halved(nn.Module):
    """y = relu(x), in operations of ours alone, and says so."""

    capturable = True

    def forward(self, x):
        self.x, self.y = x, self.new("y", x.shape, x.dtype)
        return self.ops.relu(x, self.y)

    def backward(self, dY):
        return self.ops.relu_backward(dY, self.x, self.y, self.new("dX", dY.shape, dY.dtype))


def with_a_capturable_module(place):
    model = VAE(12, (8,), 3, seed=3, dtype=np.float64)
    model.decoder = nn.Sequential(*mlp([3, 8], nn.Tanh, init.glorot).layers, Halved(), *mlp([8, 12], nn.Tanh, init.glorot).layers)
    return model.initialise(3, np.float64, place)


def test_a_module_of_ones_own_that_computes_with_our_operations_is_captured(tiny_data, place):
    mine, _ = values_and_records(with_a_capturable_module("numpy"), tiny_data)
    theirs, _ = values_and_records(with_a_capturable_module(place), tiny_data)
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    assert place.capture.__self__.replays


class Jitter(nn.Module):
    """While it trains, y = x + ε, of noise that is a function of the part; and what came back is summed up in a state."""

    capturable = wants_part = True

    def __init__(self):
        self.r = nn.Parameter((1,), init.zeros, trained=False)

    def forward(self, x):
        if not self.training:
            return x
        y, (seed, step, start, _, place) = self.new("y", x.shape, x.dtype), self.part
        if self.backend.name == "numpy":
            y[...] = rng.normal(seed, rng.CHECK + place, step, start + np.arange(len(x)), x.shape[1], x.dtype.type) + x
            return y
        return self.ops.add(self.ops.normal(y, seed, rng.CHECK + place, step, start), x)

    def backward(self, dY):
        self.ops.sum_all(dY, self.r.grad)
        return dY


def test_state_the_part_and_the_mode_are_the_same_on_the_gpu(tiny_data, place):
    found = []
    for where in ("numpy", place):
        model = VAE(12, (8,), 3, seed=3, dtype=np.float64)
        model.encoder.layers += [Jitter(), Jitter()]
        found.append(values_and_records(model.initialise(3, np.float64, where), tiny_data))
    (mine, records), (theirs, device_records) = found
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-10)
    assert theirs[-1] != 0
    assert place.capture.__self__.replays


def test_what_a_captured_step_writes_into_is_kept_and_used_again(place):
    dense = nn.Dense(784, 4).initialise(0, np.float32, place)
    few, many, again = (dense.how(rows, np.dtype(np.float32))["scratch"] for rows in (8, 900, 8))
    assert many.partials.size > few.partials.size
    assert dense.held[0] is few
    assert again is few


def test_a_module_of_ones_own_trains_without_a_graph(tiny_data, place):
    mine, records = values_and_records(with_own_module("numpy"), tiny_data)
    model = with_own_module(place)
    assert not capturable(model)
    theirs, device_records = values_and_records(model, tiny_data)
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-10)
    assert not place.capture.__self__.replays


def test_a_dense_layer_by_itself_is_split_and_on_tensor_cores_as_in_a_chain(place):
    found = []
    for kind in (nn.Chain, nn.Sequential):
        model = kind(nn.Dense(900, 4)).initialise(0, np.float32, place)
        model.layers[0].precision = "tf32"
        found.append(model.forward(place.put(np.random.default_rng(0).normal(size=(3, 900)).astype(np.float32))))
        dX = model.backward(place.put(np.ones((3, 4), np.float32)))
        found.append(place.get(dX))
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert all("TF32" in launch for launch in place.capture.__self__.launches)


def test_tensor_cores_are_refused_where_nothing_would_use_them(tiny_data, place):
    model = VAE(12, (8,), 3, dtype=np.float32, backend=place)
    model.encoder = model.decoder = Halved()
    with pytest.raises(ConfigError, match="tf32 needs a model with dense layers or convolutions"):
        DeviceStep(model, Optimiser("adam", backend=place), tiny_data.train.images, 13, precision="tf32")


def test_what_is_not_ours_is_captured_only_if_it_says_so_itself():
    class Mine(VAE):
        capturable = True

    class MoreOfIt(Mine):
        """What it changes nobody knows."""

    assert capturable(model_of("vae"))
    assert capturable(Mine(4, (), 2))
    assert not capturable(MoreOfIt(4, (), 2))


@pytest.mark.parametrize("name", MODELS)
def test_a_chain_computes_what_its_layers_do_one_by_one(name, tiny_data, place, monkeypatch):
    fused, _ = values_and_records(model_of(name, place), tiny_data)
    launches = len(place.capture.__self__.launches)
    monkeypatch.setattr(nn.Chain, "pairs", lambda self: None)
    unfused, _ = values_and_records(model_of(name, place), tiny_data)
    np.testing.assert_allclose(unfused, fused, rtol=1e-10, atol=1e-12)
    activations = "hidden" not in MODELS[name][1] or MODELS[name][1]["hidden"]
    assert (len(place.capture.__self__.launches) - launches > launches) == bool(activations)


def test_a_chain_that_holds_something_else_goes_layer_by_layer():
    assert [act and act.name for _, act in VAE(4, (3,), 2).decoder.pairs()] == ["relu", None]
    for layers in ([nn.Dense(4, 3), nn.Tanh()], [nn.Tanh(), nn.Dense(4, 3)], [nn.Dense(4, 3), Halved(), nn.Dense(3, 2)], []):
        assert nn.Chain(*layers).pairs() is None


# Precision ---------------------------------------------------------------------------------------------------------------


def test_tensor_cores_are_asked_for_by_name_and_remembered(tiny_data, place, tmp_path):
    full, _ = values_and_records(model_of("vae", place, np.float32), tiny_data)
    model = model_of("vae", place, np.float32)
    fast, _ = values_and_records(model, tiny_data, tf32=True, out=tmp_path / "run")
    assert {layer.precision for layer in model.encoder.layers[::2]} == {"fp32"}  # of whoever uses it afterwards
    assert any("TF32" in launch for launch in place.capture.__self__.launches)
    assert 0 < np.mean(np.abs(fast - full)) < 1e-3
    config = RunFolder(tmp_path / "run").config()
    assert config["training"]["tf32"] is True
    assert config["backend"] == "cupy"
    with pytest.raises(ConfigError, match="no tensor cores"):
        fit(model_of("vae"), tiny_data, **OPTIONS, tf32=True)
    with pytest.raises(ConfigError, match="float32 arrays, tf32"):
        fit(model_of("vae", place), tiny_data, **OPTIONS, tf32=True)


def conv_vae(place, dtype):
    return ConvVAE((4, 3), (2, 4), size=(4, 3), stride=(2, 1), latent=3, seed=3, dtype=dtype, backend=place)


def test_a_convolutional_vae_trains_as_on_numpy_in_single_launches_or_captured(tiny_data, place):
    mine, records = values_and_records(conv_vae("numpy", np.float64), tiny_data)
    theirs, device_records = values_and_records(conv_vae(place, np.float64), tiny_data)
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(losses(device_records), losses(records), rtol=1e-10)
    assert place.capture.__self__.replays
    eager, _ = values_and_records(conv_vae(place, np.float64), tiny_data, graph=False)
    np.testing.assert_array_equal(eager, theirs)


def test_convolutions_use_tensor_cores_where_they_are_asked_for(tiny_data, place):
    full, _ = values_and_records(conv_vae(place, np.float32), tiny_data)
    fast, _ = values_and_records(model := conv_vae(place, np.float32), tiny_data, tf32=True)
    assert any(launch.startswith("convolution_backward") and "TF32" in launch for launch in place.capture.__self__.launches)
    assert {module.precision for _, module in model.modules() if hasattr(module, "precision")} == {"fp32"}
    assert 0 < np.mean(np.abs(fast - full)) < 1e-3


# Files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), [("numpy", "cupy"), ("cupy", "numpy"), ("cupy", "cupy")])
def test_a_run_begun_on_one_backend_goes_on_on_the_other(first, then, tiny_data, place, tmp_path):
    where = {"numpy": "numpy", "cupy": place}
    expected, _ = values_and_records(model_of("vae"), tiny_data)
    fit(model_of("vae", where[first]), tiny_data, **{**OPTIONS, "max_steps": 3}, out=tmp_path / "run")  # in the first epoch
    model = load_model(tmp_path / "run", where[then])
    resume(model, tiny_data, tmp_path / "run", progress=False)
    np.testing.assert_allclose(model.backend.get(model.buffer.values), expected, rtol=1e-9, atol=1e-11)
    folder = RunFolder(tmp_path / "run")
    assert [r["step"] for r in folder.records() if r["split"] == "test"] == [5, 10]
    assert folder.config()["backend"] == then


def test_stopped_and_resumed_a_checkpoint_has_the_same_bytes(tiny_data, place, tmp_path):
    options = {**OPTIONS, "log_every": 4}
    fit(model_of("vae", place, np.float32), tiny_data, **options, out=tmp_path / "whole")
    fit(model_of("vae", place, np.float32), tiny_data, **{**options, "max_steps": 4}, out=tmp_path / "cut")
    resume(load_model(tmp_path / "cut", place), tiny_data, tmp_path / "cut", progress=False)
    assert (tmp_path / "whole" / "checkpoint.npz").read_bytes() == (tmp_path / "cut" / "checkpoint.npz").read_bytes()


def test_chapters_and_the_best_epoch_are_the_same_on_both_backends(tiny_data, place, tmp_path):
    """A new rate within an epoch, with a warm-up; then another batch size, which cuts the epoch; and the best epoch at the end."""
    data, found = tiny_data.with_validation(0.2), {}
    chapters = ({"lr": 0.05, "warmup": 3, "max_steps": 3}, {"batch_size": 9, "epochs": 8, "patience": 2, "schedule": "step", "every": 4})
    for name, where in (("numpy", "numpy"), ("cupy", place)):
        fit(model_of("vae", where), data, **{**OPTIONS, "max_steps": 2}, out=tmp_path / name)
        for changes in chapters:
            model = load_model(tmp_path / name, where, best=False)
            resume(model, data, tmp_path / name, progress=False, **changes)
        records = RunFolder(tmp_path / name).records()
        at = [(r["split"], r["step"], r["epoch"], r.get("lr")) for r in records]
        found[name] = at, [r["loss"] for r in records], model.backend.get(model.buffer.values)
    assert found["cupy"][0] == found["numpy"][0]
    for on_gpu, on_cpu in zip(found["cupy"][1:], found["numpy"][1:], strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-9, atol=1e-11)
    assert len(RunFolder(tmp_path / "cupy").config()["history"]) == 2


# What goes wrong ---------------------------------------------------------------------------------------------------------


def test_a_nan_is_found_at_its_step_and_tensor_and_nothing_of_it_is_kept(tiny_data, place, tmp_path):
    """The rate is so large that the loss overflows; the GPU only hears of it at the end of the line."""
    options = {**OPTIONS, "lr": 1e30, "log_every": 100, "optimiser": "sgd"}
    found = {}
    for where in ("numpy", place):
        model = model_of("vae", where, np.float32)
        with pytest.raises(NonFiniteError) as caught:
            fit(model, tiny_data, **options, out=tmp_path / str(where)[:5])
        found[where] = str(caught.value).split("; the last")[0], model.backend.get(model.buffer.values)
    assert found[place][0] == found["numpy"][0]
    assert "is not finite at step 2 (epoch 1)" in found[place][0]
    np.testing.assert_allclose(found[place][1], found["numpy"][1], rtol=1e-3)
    load_model(tmp_path / "numpy")


LOST, FULL = CudaError("cudaErrorIllegalAddress:\nan access", 700), OutOfMemory("Out of memory allocating 512 bytes")
# what fails, after how many, with which error → words of the message, and the step of the checkpoint that is left
FAILURES = {
    "memory for the images": (("put", 1, FULL), "memory is full", 0),
    "memory for a graph": (("replay", 0, CudaError("cudaErrorMemoryAllocation", 2)), "memory is full", 0),
    "a kernel that does not compile": (("build", 3, CompileError("kern.cu(7): error:\nno")), "a kernel does not compile", 0),
    "a launch in the first epoch": (("launch", 20, LOST), "start it anew", 0),
    "a launch while a graph is captured": (("capture", 5, LOST), "start it anew", 0),
    "the middle of the first graph": (("replay", 0, LOST), "start it anew", 0),
    "the middle of a graph in the second epoch": (("replay", 4, LOST), "start it anew", 5),
    "the look at the window": (("get", 4, LOST), "start it anew", 0),
    "whether the parameters are finite": (("get", 5, LOST), "start it anew", 0),
    "the sums of the validation": (("get", 6, LOST), "start it anew", 0),
    "what the second checkpoint holds": (("get", 8, LOST), "start it anew", 0),
    "the look at the window in the second epoch": (("get", 11, LOST), "start it anew", 5),
}


@pytest.mark.parametrize("case", FAILURES)
def test_when_the_gpu_fails_the_last_checkpoint_is_intact_and_goes_on_to_the_same_bits(case, tiny_data, place, tmp_path):
    fails, words, step = FAILURES[case]
    expected, records = values_and_records(model_of("vae", place, np.float32), tiny_data)
    run = tmp_path / "run"
    with cupy_on_cpu(device=FailingDevice(*fails)) as (broken, _):
        model = model_of("vae", broken, np.float32)
        with pytest.raises(BackendError, match=f"{words}.*; the last good checkpoint is .*checkpoint.npz") as caught:
            fit(model, tiny_data, **OPTIONS, out=run)
    assert "\n" not in str(caught.value)
    assert read_checkpoint(run / "checkpoint.npz")[0]["step"] == step
    assert sorted(path.name for path in run.iterdir()) == [".lock", "checkpoint.npz", "config.json", "metrics.jsonl"]
    model = load_model(run, place)
    resume(model, tiny_data, run, progress=False)
    assert place.get(model.buffer.values).tobytes() == expected.tobytes()
    assert losses(RunFolder(run).records()) == losses(records)


def test_what_does_not_fit_leaves_no_run_behind(tiny_data, place, tmp_path, monkeypatch):
    fit(model_of("vae", place), tiny_data, **OPTIONS, max_steps=1, out=tmp_path / "run")
    with cupy_on_cpu(device=FailingDevice("put", 0, FULL)) as (broken, _), pytest.raises(BackendError, match="memory is full"):
        load_model(tmp_path / "run", broken)
    monkeypatch.setattr(Optimiser, "start", Mock(side_effect=FULL))  # its moments
    with pytest.raises(BackendError, match="memory is full"):
        fit(model_of("vae", place), tiny_data, **OPTIONS, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_gpu_lost_while_a_nan_is_looked_for_is_told(tiny_data, place, monkeypatch):
    monkeypatch.setattr(trainer_module, "first_not_finite", Mock(side_effect=LOST))
    with pytest.raises(BackendError, match="start it anew"):
        fit(model_of("vae", place, np.float32), tiny_data, **{**OPTIONS, "lr": 1e30, "optimiser": "sgd"})
