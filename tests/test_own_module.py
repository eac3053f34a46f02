"""A squeeze-and-excite block as a stranger writes it from docs/own-modules.md alone, its kernels included; and what that page promises."""

import re
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad
from cuda_backend_on_cpu import cupy_on_cpu

from scratchvae import fit, gradcheck, load_model, nn, resume
from scratchvae.checks import check_file
from scratchvae.cuda_on_cpu import SCHEDULES
from scratchvae.errors import BackendError, KernelError
from scratchvae.models import Model
from scratchvae.models.likelihood import Bernoulli
from scratchvae.ops.cuda.launch import C_NAMES, launch, per_element

KERNELS = r"""
#include "common.cuh"

// m = scale · Σ over the P pixels of x, or of x · y.   x, y (B, P, C), m (B, C); a block for each b and c
template <class T> __global__ void squeeze(const T* x, const T* y, T* m, int P, int C, T scale) {
  const int b = blockIdx.y, c = blockIdx.x;
  T sum = 0;
  for (int p = threadIdx.x; p < P; p += 256) {
    const long long i = (b * (long long)P + p) * C + c;
    sum += y ? x[i] * y[i] : x[i];
  }
  sum = block_sum<256>(sum);
  if (threadIdx.x == 0) m[b * C + c] = scale * sum;
}

// y = x · s + scale · d.   x, y (B, P, C), s, d (B, C)
template <class T> __global__ void excite(const T* x, const T* s, const T* d, T* y, long long n, int P, int C, T scale) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i >= n) return;
  const long long at = i / (P * (long long)C) * C + i % C;
  y[i] = x[i] * s[at] + (d ? scale * d[at] : T(0));
}
"""


class SqueezeExcite(nn.Module):
    """y = x · s, s = σ(W₂ relu(W₁ m)) of the means m over each image's pixels (Hu et al., 2018).   x (B, H, W, C) → y (B, H, W, C)"""

    capturable = True

    def __init__(self, channels, reduced):
        self.channels = channels
        self.gate = nn.Sequential(nn.Dense(channels, reduced), nn.ReLU(), nn.Dense(reduced, channels), nn.Sigmoid())

    def example(self, rows, seed):
        return np.random.default_rng(seed).normal(size=(rows, 3, 2, self.channels))

    def forward(self, x):
        self.x, self.pixels = x, x.shape[1] * x.shape[2]
        self.s = self.gate.forward(self.squeeze(x, None, 1 / self.pixels))
        return self.excite(x, None)

    def backward(self, dY):
        return self.excite(dY, self.gate.backward(self.squeeze(dY, self.x, 1)))

    def squeeze(self, x, y, scale):
        if self.backend.name == "numpy":
            return scale * np.sum(x if y is None else x * y, axis=(1, 2))
        B, C, m = len(x), self.channels, self.new("m", (len(x), self.channels), x.dtype)
        arguments = x, y, m, np.int32(self.pixels), np.int32(C), x.dtype.type(scale)
        launch(KERNELS, f"squeeze<{C_NAMES[x.dtype]}>", (C, B), (256,), arguments)
        return m

    def excite(self, x, dm):
        if self.backend.name == "numpy":
            return x * self.s[:, None, None] + (0 if dm is None else dm[:, None, None] / self.pixels)
        y, sizes = self.new("y", x.shape, x.dtype), (np.int64(x.size), np.int32(self.pixels), np.int32(self.channels))
        per_element(KERNELS, f"excite<{C_NAMES[x.dtype]}>", x.size, (x, self.s, dm, y, *sizes, x.dtype.type(1 / self.pixels)))
        return y


class Mine(Model):
    terms, capturable = ("reconstruction",), True

    def __init__(self, image_shape, channels=4, seed=0, dtype=np.float32, backend=None):
        self.config = {"image_shape": list(image_shape), "channels": channels}
        H, W = image_shape
        block = nn.Reshape(H, W, channels), SqueezeExcite(channels, 2), nn.Flatten()
        self.net = nn.Sequential(nn.Dense(H * W, H * W * channels), *block, nn.Dense(H * W * channels, H * W))
        self.likelihood = Bernoulli()
        self.start(seed, dtype, backend)

    def forward(self, x):
        return (self.likelihood.forward(self.net.forward(x), x),)

    def backward(self, dreconstruction):
        self.net.backward(self.likelihood.backward(dreconstruction)[0])


X = np.random.default_rng(0).random((40, 12)).astype(np.float32)
OPTIONS = {"epochs": 3, "batch_size": 8, "progress": False}


def test_its_derivatives_are_right_at_any_shape_and_in_a_model():
    assert gradcheck(SqueezeExcite(4, 2), np.random.default_rng(0).normal(size=(3, 2, 3, 4)), method="both").ok
    assert gradcheck(Mine((3, 4))).ok
    report = check_file(f"{__file__}:SqueezeExcite", examples=5)
    assert report.ok
    assert set(report.tensors) == {"dX", "gate.0.dW", "gate.0.db", "gate.2.dW", "gate.2.db"}


def test_loss_and_every_gradient_agree_with_automatic_differentiation():
    def oracle(p, x):
        h = (anp.dot(x, p["net.0.W"]) + p["net.0.b"]).reshape(len(x), 12, 4)
        gate = anp.maximum(anp.dot(anp.mean(h, axis=1), p["net.2.gate.0.W"]) + p["net.2.gate.0.b"], 0)
        h = h / (1 + anp.exp(-(anp.dot(gate, p["net.2.gate.2.W"]) + p["net.2.gate.2.b"])))[:, None]
        a = anp.dot(h.reshape(len(x), -1), p["net.4.W"]) + p["net.4.b"]
        return -anp.sum(x * anp.log(1 / (1 + anp.exp(-a))) + (1 - x) * anp.log(1 / (1 + anp.exp(a))))

    model, x = Mine((3, 4), dtype=np.float64), X[:5].astype(np.float64)
    model.buffer.values[...] += 0.1 * np.random.default_rng(3).normal(size=model.buffer.values.size)  # biases away from 0
    loss, gradient = value_and_grad(oracle)({name: p.value.copy() for name, p in model.parameters()}, x)
    np.testing.assert_allclose(model.forward(x)[0].sum(), loss, rtol=1e-10)
    model.descend(np.ones(5))
    for name, p in model.parameters():
        np.testing.assert_allclose(p.grad, gradient[name], rtol=0, atol=1e-10 * np.abs(gradient[name]).max(), err_msg=name)


def test_its_kernels_compute_what_numpy_does_whatever_the_order_of_the_threads():
    def computed(backend):
        layer = SqueezeExcite(4, 2).initialise(1, np.float64, backend)
        put, get = layer.backend.put, layer.backend.get
        y, dX = layer.forward(put(x)), layer.backward(put(dY))
        return [get(array) for array in (y, dX, layer.buffer.grads)]

    x, dY = np.random.default_rng(2).normal(size=(2, 3, 20, 15, 4))  # more pixels than a block has threads
    expected, first = computed("numpy"), None
    for schedule in SCHEDULES:
        with cupy_on_cpu(schedule) as (backend, device):
            found = computed(backend)
        assert {"squeeze<double>", "excite<double>"} <= set(device.launches)
        for ours, theirs, again in zip(expected, found, first or found, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)  # rounding of sums of 300 numbers of about 1
            assert np.array_equal(theirs, again)
        first = found


def test_a_model_with_it_resumes_bit_for_bit_loads_and_trains_with_its_kernels_in_one_graph(tmp_path):
    fit(Mine((3, 4)), X.reshape(40, 3, 4), out=tmp_path / "whole", **OPTIONS)
    fit(Mine((3, 4)), X.reshape(40, 3, 4), out=tmp_path / "stopped", max_steps=4, **OPTIONS)
    resume(load_model(tmp_path / "stopped", model=Mine), X.reshape(40, 3, 4), tmp_path / "stopped", progress=False)
    whole, stopped = ((tmp_path / run / "checkpoint.npz").read_bytes() for run in ("whole", "stopped"))
    assert whole == stopped
    trained = load_model(tmp_path / "whole", model=Mine).buffer.values
    start = Mine((3, 4)).buffer.values
    found = {}
    for graph in (True, False):
        with cupy_on_cpu() as (backend, device):
            model = Mine((3, 4), backend=backend)
            fit(model, X.reshape(40, 3, 4), graph=graph, **OPTIONS)
            found[graph] = backend.get(model.buffer.values)
            assert bool(device.replays) is graph
    assert np.array_equal(found[True], found[False])
    assert np.abs(found[True] - trained).max() < 1e-3 * np.abs(trained - start).max()  # float32, by two shards here and one there


def test_a_kernel_comes_as_text_or_from_a_file_with_what_it_includes(tmp_path):
    (tmp_path / "twice.cuh").write_text("template <class T> __device__ T twice(T x) { return x + x; }\n", encoding="utf-8")
    text = ('#include "twice.cuh"\n#include "common.cuh"\n'
            "template <class T> __global__ void copy(const T* x, T* y) { y[threadIdx.x] = twice(number(x + threadIdx.x, T(0))); }\n")
    file = tmp_path / "copy.cu"
    file.write_text(text, encoding="utf-8")
    with cupy_on_cpu() as (backend, _):
        x, y = backend.put(np.arange(3.0)), backend.empty((3,), np.float64)
        launch(file, "copy<double>", (1,), (3,), (x, y))
        assert backend.get(y).tolist() == [0, 2, 4]
        with pytest.raises(KernelError, match=r"argument 0: .* takes a pointer to f8, got an array of f4"):
            launch(file, "copy<double>", (1,), (3,), (x.astype(np.float32).view(type(x)), y))
        with pytest.raises(KernelError, match="the kernels of missing.cu cannot be read"):
            launch(tmp_path / "missing.cu", "copy<double>", (1,), (3,), (x, y))
        with pytest.raises(KernelError, match="the kernels of twice.cuh cannot be read"):
            launch(text, "copy<double>", (1,), (3,), (x, y))  # a text has nothing beside it


def test_without_a_gpu_and_not_on_the_harness_a_launch_says_what_is_missing():
    with pytest.raises(BackendError, match="CUDA needs CuPy"):
        launch(KERNELS, "squeeze<double>", (1,), (1,), ())


def test_layer_and_twin_are_some_forty_five_lines_and_a_model_a_dozen():
    page = (Path(__file__).parent.parent / "docs" / "own-modules.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = {re.search(r"^class (\w+)", block, re.MULTILINE)[1]: sum(map(bool, map(str.strip, block.split("\n"))))
             for block in blocks if "\nclass " in block}  # fmt: skip
    assert lines["Swish"] + lines["SwishTwin"] <= 47
    assert lines["Mine"] <= 14
