"""What kernels fetch and what launches cost, as the ladder and chapter 9 state it: counted while the kernels run."""

import re
from pathlib import Path

import numpy as np
import pytest
from cuda_kernels_on_cpu import OnCpu

from scratchvae import ConvVAE
from scratchvae.cuda_on_cpu import CpuModule
from scratchvae.ops.cuda import launch
from scratchvae.ops.cuda.ladder import RUNGS, numbers_asked
from scratchvae.ops.cuda.tiling import TILES, shared_bytes
from scratchvae.study.launch_costs import IN_PLACE, PER_NUMBER, launches_of, launches_of_a_step

M, N, K = 128, 256, 64  # every tile divides them: none asks for less at an edge

COUNTERS = """
long long from_memory = 0, from_shared = 0;
extern "C" __global__ void counts(long long* out) { out[0] = from_memory, out[1] = from_shared; }
"""
# A number that knows whether it lies in memory, as a kernel's arguments do, and counts when it is fetched from there.
COUNTED = """
struct Counted {
  float value;
  int in_memory;
  Counted() = default;
  Counted(double number) : value(float(number)), in_memory(0) {}
  Counted(const Counted& a) : value(a.value), in_memory(0) { from_memory += a.in_memory; }
  Counted& operator=(const Counted& a) { from_memory += a.in_memory; value = a.value; in_memory = 0; return *this; }
  Counted& operator+=(const Counted& a) { from_memory += a.in_memory; value += a.value; return *this; }
  Counted operator*(const Counted& a) const { from_memory += in_memory + a.in_memory; return Counted(double(value) * a.value); }
};
"""
NUMBER = np.dtype([("value", np.float32), ("in_memory", np.int32)])


def counted(text, kernel, dtype, shared=0):
    """Numbers that C = A B fetches per multiplication (from memory, from shared memory), when it comes out right."""
    module, rung = CpuModule(COUNTERS + text, name_expressions=[kernel]), RUNGS[kernel.split("<")[0]]
    A, B, C = np.zeros((M, K), dtype), np.zeros((K, N), dtype), np.zeros((M, N), dtype)
    value = lambda array: array["value"] if dtype is NUMBER else array
    for array in (A, B):
        value(array)[...] = np.random.default_rng(len(array)).integers(-4, 5, array.shape)  # exact in any order, and in TF32
        if dtype is NUMBER:
            array["in_memory"] = 1
    grid = N // rung.side, M // rung.side
    if kernel.startswith(("double_buffered", "tensor_cores")):
        grid = (grid[0] * grid[1],)
    bare = (array.view(np.float64) if dtype is NUMBER else array for array in (A, B, C))
    module.get_function(kernel)(grid, rung.threads, (*bare, *map(np.int32, (M, N, K))), shared_mem=shared)
    np.testing.assert_array_equal(value(C), value(A) @ value(B))
    out = np.empty(2, np.int64)
    module.get_function("counts")((1,), (1,), (out,))
    return tuple(out / (M * N * K))


@pytest.mark.parametrize("kernel", ["naive<Counted>", "shared_tiles<Counted>", "register_tiles<Counted>", "double_buffered<Counted, 4>"])
def test_a_rung_asks_memory_for_as_many_numbers_as_it_states(kernel):
    assert counted(COUNTED + launch.source("ladder.cu"), kernel, NUMBER)[0] == numbers_asked(kernel.split("<")[0])[0]


def test_the_tensor_cores_ask_for_as_many_numbers_as_they_state():
    text = launch.source("ladder_tf32.cu")
    for line, counting in (
        ("const int bytes = exists ? BYTES : 0;", "from_memory += exists ? BYTES / 4 : 0;"),
        ('asm("cvt.rna', "++from_shared;"),  # each number of a fragment is rounded as it is taken
    ):
        assert text.count(line) == 1
        text = text.replace(line, counting + line)
    shared = shared_bytes(TILES["tf32", 4][0], True, False)
    assert counted(text, "tensor_cores<4>", np.dtype(np.float32), shared) == numbers_asked("tensor_cores")


# The launches of a step --------------------------------------------------------------------------------------------------


def test_a_step_costs_what_can_be_worked_out_on_paper():
    B, D, H, L = 128, 784, 400, 20
    N = (D * H + H) + (H * 2 * L + 2 * L) + (L * H + H) + (H * D + D)
    step = {(a.kernel, a.layer): a for a in launches_of_a_step(B, H, L, D)}
    assert len(step) == 16
    paper = {
        ("gather", ""): (B * D + 8 * B + 4 * B * D + 4, B * D),  # uint8 pixels, int64 rows, float32; and which batch it is
        ("affine", "784 → 400"): (4 * (B * D + D * H + H + B * H), 2 * B * D * H),
        ("normal", ""): (4 * B * L + 4, 40 * B * L),  # and which step it is
        # mu, logvar, eps → z, std and the KL of each row
        ("sample_posterior", ""): (4 * (5 * B * L + B), 40 * B * L),
        ("bernoulli", "loss"): (4 * (2 * B * D + B), 30 * B * D),
        ("bernoulli", "gradient"): (4 * (3 * B * D + B), 30 * B * D),
        # dY, x (whose slope is taken from the same x), W → dX, dW, db; the first layer has no dX
        ("affine_backward", "400 → 784"): (4 * (B * D + 2 * B * H + 2 * D * H + D), 4 * B * D * H),
        ("affine_backward", "784 → 400"): (4 * (B * H + B * D + D * H + H), 2 * B * D * H),
        ("posterior_backward", ""): (4 * (7 * B * L + B), 25 * B * L),
        ("update", ""): (4 * 7 * N + 8, 12 * N),  # and the learning rate and the update's number
    }
    for key, cost in paper.items():
        assert (step[key].bytes, step[key].operations) == cost, key


def test_a_convolutions_step_costs_what_can_be_worked_out_on_paper():
    B = 128
    made = launches_of(lambda place: ConvVAE((28, 28), (32, 64), 4, 2, 20, backend=place), B, 784)
    step = {(a.kernel, a.layer): a for a in made}
    small, large = 14 * 14 * 32, 7 * 7 * 64  # numbers of an image after the first convolution, and after the second
    assert step["convolution", "32 → 64"].bytes == 4 * (B * small + 16 * 32 * 64 + 64 + B * large)
    assert step["convolution", "32 → 64"].operations == 2 * B * 7 * 7 * 16 * 32 * 64
    assert step["convolution", "64 → 32"].operations == step["convolution", "32 → 64"].operations
    assert step["convolution_backward", "32 → 64"].operations == 2 * step["convolution", "32 → 64"].operations
    assert step["convolution_backward", "1 → 32"].operations == step["convolution", "1 → 32"].operations  # nobody asks for dX
    kernels = [a.kernel for a in made]
    assert [kernels.count(name) for name in ("convolution", "convolution_backward", "sum_parts")] == [4, 4, 4]


def test_operations_per_number_are_those_that_the_kernels_state():
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(launch.KERNELS.glob("*.cu")))
    for kernel, (_, each) in PER_NUMBER.items():
        if kernel in ("gather", "end_of_step", "sum_parts", "activation", "activation_backward"):
            continue  # a division; an addition; a comparison, and one more product: those of ReLU
        stated = re.findall(r"(\d+) operations each", text[: re.search(rf"\b{kernel}\(", text).start()])[-1]
        assert int(stated) == each, kernel


def test_no_other_kernel_of_a_step_reads_what_it_overwrites():
    """A pointer that is not const and stands on the right of an assignment, or is loaded, is in IN_PLACE."""
    for kernel in {a.kernel for a in launches_of_a_step(8, 4, 2, 12)} - {"affine", "affine_backward"}:
        text = next(t for p in launch.KERNELS.glob("*.cu") if f" {kernel}(" in (t := p.read_text(encoding="utf-8")))
        signature, body = re.search(rf"\b{kernel}\(([^)]*)\) {{(.*?)^}}", text, re.DOTALL | re.MULTILINE).groups()
        written = re.findall(r"(?<!const )\b(?:T|double|unsigned)\* (\w+)", signature)
        read = {
            name for name in written if re.search(rf"load<V>\({name}\b|\b{name}\[[^\]]*\] \+=|\+\+{name}\[|[=(] ?{name}\[", body)
        }
        assert read == set(IN_PLACE.get(kernel, ())), kernel


# Chapter 9 ---------------------------------------------------------------------------------------------------------------


def test_the_kernel_that_the_book_walks_through_computes_what_the_real_one_does():
    chapter = (Path(__file__).parent.parent / "docs" / "09-on-a-gpu.md").read_text(encoding="utf-8")
    (listing,) = re.findall(r"^```c\+\+\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    module = CpuModule(launch.source("likelihoods.cu") + listing.replace("bernoulli", "walked"), name_expressions=["walked<float>"])
    draw, B, D = np.random.default_rng(0), 3, 300
    logits, x = draw.normal(0, 10, (B, D)).astype(np.float32), draw.random((B, D), np.float32)
    dnll, results = draw.random(B, np.float32), []
    for run in (module.get_function("walked<float>"), OnCpu().build("likelihoods.cu", "bernoulli<float, 1, 3>")):
        nll, da = np.empty(B, np.float32), np.empty((B, D), np.float32)
        run((B,), (256,), (dnll, logits, x, nll, da, np.int32(D)))
        results.append((nll, da))
    np.testing.assert_array_equal(*(np.concatenate([nll, da.ravel()]) for nll, da in results))
