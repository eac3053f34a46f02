"""Backends: the names, what a missing GPU says, what is refused, and what stays NumPy whatever the backend."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_backend_on_cpu import CudaError, DeviceArray, cupy_on_cpu, pretended_cupy

from scratchvae import VAE, Autoencoder, backend, fit, measure
from scratchvae.errors import BackendError, ConfigError, ShapeError
from scratchvae.nn import Dense
from scratchvae.ops.cuda import device, launch

KINDS = [(VAE, {}), (Autoencoder, {}), (VAE, {"likelihood": "gaussian"}), (VAE, {"likelihood": "gaussian", "sigma": 0.5})]
WITHOUT_CUPY = "import sys; sys.modules['cupy'] = None; from scratchvae.cli import main; sys.exit(main(sys.argv[1:]))"


def pair(kind, place, **options):
    """The same model on NumPy and on a backend."""
    options = {"data_size": 12, "hidden": (8,), "latent": 3, "seed": 3, **options}
    return kind(**options), kind(**options, backend=place)


# Choosing ----------------------------------------------------------------------------------------------------------------


def test_numpy_is_the_default_and_unknown_names_are_refused():
    assert backend.get() is backend.get("numpy") is backend.NUMPY
    assert VAE(4, (), 2).backend is backend.NUMPY
    with pytest.raises(BackendError, match="unknown backend 'torch': there are numpy, cupy"):
        backend.get("torch")


def test_use_chooses_for_the_models_made_from_then_on():
    with cupy_on_cpu() as (place, _):
        try:
            backend.use(place)
            assert VAE(4, (), 2).backend is place
            assert VAE(4, (), 2, backend="numpy").backend is backend.NUMPY
        finally:
            assert backend.use("numpy") is backend.NUMPY


def test_without_cupy_the_error_is_one_line_with_the_command_that_installs_it():
    command = [sys.executable, "-c", WITHOUT_CUPY, "train", "--backend", "cupy", "--out", "no-such-folder"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs CuPy, which is not installed: pip install 'scratchvae[cuda13]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("status", "words"), [(35, "sudo apt install nvidia-driver"), (100, "no NVIDIA GPU is visible"), (999, "nvidia-smi")]
)
def test_a_missing_driver_or_gpu_is_told_apart(monkeypatch, status, words):
    monkeypatch.setitem(sys.modules, "cupy", pretended_cupy(CudaError("cudaErrorOfSomeKind: in\nmany lines", status)))
    with pytest.raises(BackendError, match=words) as caught:
        device.probe()
    assert "\n" not in str(caught.value)


def test_a_folder_that_cupy_cannot_write_to_is_named(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise PermissionError(13, 'Permission denied', '/home/me/.cupy')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with pytest.raises(BackendError, match=r"CuPy cannot write its cache .*/home/me/.cupy.*set CUPY_CACHE_DIR"):
        device.probe()


@pytest.mark.parametrize(
    ("error", "words"),
    [(RuntimeError("Failed to find CUDA headers.\nPlease install"), "libraries are missing or broken .*pip install"),
     (AssertionError("*** The requested function could not be found in the library."), "libraries are missing or broken"),
     (OSError(28, "No space left on device"), "set CUPY_CACHE_DIR"), (CudaError("cudaErrorMemoryAllocation", 2), "smaller --batch-size")],
)  # fmt: skip
def test_what_goes_wrong_in_the_probe_is_one_line_with_what_to_do(monkeypatch, error, words):
    cupy = pretended_cupy()

    def empty(shape, dtype):
        raise error

    cupy.empty = empty
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(BackendError, match=words) as caught:
        device.probe()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("memory.OutOfMemoryError", "smaller --batch-size"), ("compiler.CompileException", "does not compile"),
     ("runtime.CUDARuntimeError", "start it anew"), ("driver.CUDADriverError", "start it anew"), ("nvrtc.NVRTCError", "libraries")],
)  # fmt: skip
def test_cudas_failures_become_ours_with_what_to_do(kind, words):
    cupy = pretended_cupy()
    module, name = kind.split(".")
    error = getattr(getattr(cupy.cuda, module), name)
    with pytest.raises(BackendError, match=words), device.failures(cupy):
        raise error("out of\nluck")


def test_what_goes_wrong_while_a_graph_is_captured_is_told_and_not_that_the_capture_is_invalid():
    ended = []

    class Stream:
        def __init__(self, non_blocking):
            assert non_blocking  # the other kind waits for the default stream, which may not happen in a capture

        __enter__ = __exit__ = begin_capture = lambda *arguments: None

        def end_capture(self):
            ended.append(self)
            raise CudaError("cudaErrorStreamCaptureInvalidated", 901)

    cupy = pretended_cupy()
    cupy.cuda.Stream = Stream
    capture = device.capture(cupy)
    with pytest.raises(ShapeError, match="mine"):
        capture(raising(ShapeError("mine")))
    with pytest.raises(BackendError, match="CUDA failed: cudaErrorIllegalAddress"), device.failures(cupy):
        capture(raising(CudaError("cudaErrorIllegalAddress", 700)))
    with pytest.raises(CudaError, match="Invalidated"):
        capture(lambda: None)
    assert len(ended) == 3  # or the stream would go on capturing


def raising(error):
    def function():
        raise error

    return function


def test_tensor_cores_are_refused_where_there_are_none(monkeypatch, tiny_data):
    cupy = pretended_cupy(capability="75")
    why = "tf32 needs a GPU of compute capability 8.0 (Ampere) or higher, and this one has 7.5: go without it, in FP32"
    assert launch.no_tf32(cupy) == why
    assert launch.no_tf32(pretended_cupy(capability="80")) == launch.no_tf32(pretended_cupy(capability="120")) == ""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for file in launch.TENSOR_CORES:
        with pytest.raises(BackendError, match=re.escape(why)):
            launch.CuPy().build(file, "affine<float, SmallTF32, RELU, 4>")
    with cupy_on_cpu() as (place, _):
        model = VAE(12, (8,), 3, backend=place._replace(no_tf32=why))
        with pytest.raises(ConfigError, match=re.escape(why)):
            fit(model, tiny_data, tf32=True, epochs=1, progress=False)
        fit(model, tiny_data, epochs=1, progress=False)


def test_the_files_that_need_tensor_cores_are_those_that_say_so():
    refusing = [path.name for path in launch.KERNELS.glob("*.cu") if "#error" in launch.source(path.name)]
    assert sorted(refusing) == sorted(launch.TENSOR_CORES)


def test_wheels_contain_the_kernels():
    root = Path(launch.KERNELS).parents[3]
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    assert setup["options.package_data"]["scratchvae.ops.cuda"] == "kernels/*"
    assert {path.suffix for path in launch.KERNELS.iterdir()} == {".cu", ".cuh"}


def test_other_errors_pass_through_unchanged():
    for error in (RuntimeError("mine"), KeyboardInterrupt(), ShapeError("mine")):
        with pytest.raises(type(error)), device.failures(pretended_cupy()):
            raise error


# The same model on both --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_what_a_model_is_asked_for_is_numpy_on_both_backends_and_the_same(kind, options):
    x = np.random.default_rng(0).random((7, 12)).astype(np.float32)
    with cupy_on_cpu() as (place, _):
        here, there = pair(kind, place, **options)
        assert type(there.buffer.values) is DeviceArray
        for ask in (
            lambda m: m.codes(x), lambda m: m.reconstruct(x), lambda m: m.sample(5, 1), lambda m: m.decode(np.zeros((2, 3))),
            lambda m: m.interpolate(x[0], x[1], 3), lambda m: m.traverse(x[0], [-1.0, 1.0]),
        ):  # fmt: skip
            assert type(ask(there)) is np.ndarray
            np.testing.assert_allclose(ask(there), ask(here), rtol=1e-5, atol=1e-6)
        assert there.summary() == here.summary()


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_measurement_is_the_same_on_both_backends(kind, options, tiny_data, monkeypatch):
    monkeypatch.setattr("scratchvae.evaluate.losses.BATCH", 7)  # 20 images: each of three batches has noise of its own
    with cupy_on_cpu() as (place, _):
        here, there = pair(kind, place, **options, dtype=np.float64)
        for samples in (1, 3):
            mine, theirs = (measure(model, tiny_data, samples=samples, seed=5) for model in (here, there))
            for name in mine:
                np.testing.assert_allclose(theirs[name].value, mine[name].value, rtol=1e-10)
                assert str(theirs[name]) == str(mine[name])


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_module_by_module_the_gradients_are_numpys(kind, options):
    draw = np.random.default_rng(1)
    x, eps = draw.random((5, 12)), draw.normal(size=(5, 3))
    with cupy_on_cpu() as (place, _):
        here, there = pair(kind, place, **options, dtype=np.float64)
        inputs = (x, eps) if here.noise_columns else (x,)
        here.forward(*inputs)
        there.forward(*map(place.put, inputs))
        here.descend(np.full(5, 0.2))
        there.descend(place.put(np.full(5, 0.2)))
        np.testing.assert_allclose(place.get(there.buffer.grads), here.buffer.grads, rtol=1e-10, atol=1e-12)


def test_a_model_moves_there_and_back_with_its_values():
    with cupy_on_cpu() as (place, _):
        model, _ = pair(VAE, place)
        values = model.buffer.values.copy()
        assert type(model.to(place).encoder.layers[0].W.value) is DeviceArray
        np.testing.assert_array_equal(place.get(model.buffer.values), values)
        np.testing.assert_array_equal(model.to("numpy").buffer.values, values)
        assert type(model.sample(2)) is np.ndarray
        with pytest.raises(ShapeError, match="not initialised"):
            Dense(2, 3).to(place)


# Refusals ----------------------------------------------------------------------------------------------------------------


def test_arrays_of_the_other_backend_are_refused_by_name():
    with cupy_on_cpu() as (place, _):
        here, there = pair(VAE, place)
        x = np.zeros((2, 12), np.float32)
        with pytest.raises(ShapeError, match="Dense holds scratchvae.DeviceArray and was given numpy.ndarray"):
            there.forward(x)
        with pytest.raises(ShapeError, match="Dense holds numpy.ndarray and was given builtins.list"):
            here.encoder.forward([[0.0]])
        with pytest.raises(ShapeError, match="float64"):
            there.forward(place.put(x.astype(np.float64)))
        with pytest.raises(ShapeError, match="contiguous"):
            there.forward(place.put(np.zeros((12, 2), np.float32)).T)


def test_only_float32_and_float64_go_to_the_gpu():
    with cupy_on_cpu() as (place, _):
        model = VAE(12, (8,), 3, dtype=np.complex128, backend=place)
        with pytest.raises(ShapeError, match="float32 or float64, not complex128"):
            model.forward(place.put(np.zeros((2, 12), np.complex128)))


def test_bench_times_both_backends(monkeypatch):
    from scratchvae import bench

    monkeypatch.setattr(bench, "IMAGES", 8)
    with cupy_on_cpu() as (place, _):
        result = bench.measure(8, 1, rounds=1, steps=2, backend=place)
    assert {"training step", "training step, cupy", "evaluation, cupy", "sampling, cupy"} <= set(result["times"])
    assert "training step, cupy" in bench.table(result)
