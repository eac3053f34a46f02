"""The harness that runs CUDA kernels on the CPU keeps its promises, and sees each kind of broken kernel."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from cuda_on_cpu.broken import cases
from cuda_on_cpu.sanitize import run_sanitized

from scratchvae.cuda_on_cpu import SCHEDULES, CpuModule, KernelFault, build, poison
from scratchvae.cuda_on_cpu.build import BuildError
from scratchvae.cuda_on_cpu.memory import MemoryFault
from scratchvae.cuda_on_cpu.sources import flatten, plain_kernels
from scratchvae.errors import BackendError
from scratchvae.ops.cuda import launch

HARNESS_KERNELS = Path(__file__).parent / "cuda_on_cpu" / "harness_kernels.cu"
TF32 = "warp_product<nvcuda::wmma::precision::tf32, float, 8, {}, {}>"
HALF = "warp_product<__half, __half, 16, {}, {}>"
LAYOUTS = [(a, b) for a in ("true", "false") for b in ("true", "false")]
SHUFFLES = ["shuffles<float>", "shuffles<double>", "shuffles<int>"]
LEFTOVERS = ["leftovers<float, 32>", "leftovers<int, 32>"]
ALIGNMENTS = ["alignments<float, 4>", "alignments<double, 1>"]
i32, f32 = np.int32, np.float32


@pytest.fixture(scope="module")
def kernels():
    variants = [name.format(*layout) for name in (TF32, HALF) for layout in LAYOUTS]
    return CpuModule(HARNESS_KERNELS, name_expressions=[*variants, *SHUFFLES, *LEFTOVERS, *ALIGNMENTS])


@pytest.fixture(params=SCHEDULES)
def scheduled(request, kernels):
    """The module in each of the three schedules."""
    kernels.set_schedule(request.param, seed=3)
    yield kernels
    kernels.set_schedule("forward")


@pytest.fixture
def random():
    return np.random.default_rng(0)


# ---- schedules


def turns(kernels, schedule, seed=0):
    kernels.set_schedule(schedule, seed)
    order = np.full((2, 48), -1, i32)
    kernels.get_function("turns")((1,), (48,), (order, np.zeros(1, i32)))
    kernels.set_schedule("forward")
    return order


def test_forward_and_reverse_schedules_take_the_threads_in_that_order(kernels):
    np.testing.assert_array_equal(turns(kernels, "forward"), [np.arange(48)] * 2)
    np.testing.assert_array_equal(turns(kernels, "reverse"), [np.arange(48)[::-1]] * 2)


def test_random_schedule_is_a_permutation_drawn_from_the_seed_and_anew_after_a_barrier(kernels):
    first = turns(kernels, "random", 1)
    np.testing.assert_array_equal(np.sort(first), [np.arange(48)] * 2)
    np.testing.assert_array_equal(turns(kernels, "random", 1), first)
    assert (turns(kernels, "random", 2) != first).any()
    assert (first[0] != first[1]).any()
    assert (first[0] != np.arange(48)).any()


def test_indices_count_x_first_in_blocks_and_threads(scheduled):
    grid, block = (3, 2, 2), (4, 3, 2)
    out = poison(np.empty((12 * 24, 12), i32))
    scheduled.get_function("indices")(grid, block, (out,))
    thread, position = np.indices((2, 3, 4)).reshape(3, -1)[::-1].T, np.indices((2, 2, 3)).reshape(3, -1)[::-1].T
    expected = [[*t, *b, *block, *grid] for b in position for t in thread]
    np.testing.assert_array_equal(out, expected)


# ---- shared memory


def test_shared_memory_is_poisoned_before_every_block(scheduled):
    for name, dtype in zip(LEFTOVERS, (f32, i32), strict=True):
        fixed, dynamic = np.zeros((3, 32), dtype), np.zeros((3, 32), dtype)
        scheduled.get_function(name)((3,), (32,), (fixed, dynamic), shared_mem=32 * 4)
        assert (fixed.view(np.uint32) == 0xFFFFFFFF).all()
        assert (dynamic.view(np.uint32) == 0xFFFFFFFF).all()


# ---- warps


@pytest.mark.parametrize("width", [32, 16, 8])
@pytest.mark.parametrize("name", SHUFFLES)
def test_shuffles_read_the_lane_they_name_within_their_segment(scheduled, random, name, width):
    dtype = {"float": f32, "double": np.float64, "int": i32}[name[9:-1]]
    x = random.integers(-1000, 1000, 64).astype(dtype)
    for argument in (0, 1, 3, 7):
        out = poison(np.empty((4, 64), dtype))
        scheduled.get_function(name)((1,), (64,), (x, out, i32(argument), i32(width)))
        thread = np.arange(64)
        start = thread // width * width
        sources = [start + argument, thread - argument, thread + argument, thread ^ argument]
        for row, source in zip(out, sources, strict=True):
            inside = (start <= source) & (source < start + width)
            np.testing.assert_array_equal(row, x[np.where(inside, source, thread)])


@pytest.mark.parametrize("threads", [32, 64, 40])
def test_votes_gather_one_bit_of_every_lane_also_in_a_short_last_warp(scheduled, random, threads):
    x = random.integers(0, 2, threads).astype(i32)
    out = poison(np.empty((3, threads), np.uint32))
    scheduled.get_function("votes")((1,), (threads,), (x, out))
    for first in range(0, threads, 32):
        warp = x[first : first + 32]
        votes = sum(int(bit) << lane for lane, bit in enumerate(warp))
        np.testing.assert_array_equal(out[:, first : first + 32].T, [[votes, warp.any(), warp.all()]] * len(warp))


def test_two_halves_of_a_warp_may_shuffle_apart(scheduled, random):
    x, out = random.integers(-9, 9, 32).astype(f32), poison(np.empty(32, f32))
    scheduled.get_function("half_a_warp")((1,), (32,), (x, out))
    np.testing.assert_array_equal(out, x.reshape(2, 16).sum(1).repeat(16))


# ---- mistakes are reported with their place


def line_of(text):
    lines = HARNESS_KERNELS.read_text(encoding="utf-8").splitlines()
    return next(f"harness_kernels.cu:{number}" for number, line in enumerate(lines, 1) if text in line)


def fault(kernels, name, block, arguments=()):
    with pytest.raises(KernelFault) as caught:
        kernels.get_function(name)((1,), (block,), arguments)
    return str(caught.value)


def test_threads_at_two_different_barriers_are_reported_with_both_lines(scheduled):
    report = fault(scheduled, "two_barriers", 32)
    first = line_of("if (threadIdx.x < 16) __syncthreads();")
    assert "divergent __syncthreads" in report
    assert first in report
    assert first.replace(first.split(":")[1], str(int(first.split(":")[1]) + 2)) in report


def test_a_deadlock_is_reported_with_what_is_waited_for(scheduled):
    report = fault(scheduled, "waits_for_ever", 32)
    assert "deadlock" in report
    assert line_of("__syncwarp();") in report
    assert "31 threads wait at a barrier" in report


def test_lanes_in_different_warp_operations_are_reported(scheduled):
    report = fault(scheduled, "shuffle_meets_vote", 32, (np.zeros(32, f32),))
    assert "warp divergence" in report
    assert line_of("__shfl_sync(0xffffffff, x[threadIdx.x], 0)") in report


def test_a_lane_outside_its_own_mask_is_reported(scheduled):
    assert "not in its own mask 0000ffff" in fault(scheduled, "outside_its_mask", 32, (np.zeros(32, f32),))


def test_a_shuffle_from_a_lane_outside_the_mask_is_reported(scheduled):
    assert "reads lane 20, which is not in the mask" in fault(scheduled, "reads_outside_the_mask", 32, (np.zeros(32, f32),))


def test_a_null_pointer_is_reported(kernels):
    report = fault(kernels, "writes_at", 1, (None, i32(0)))
    assert "null pointer" in report
    assert line_of("writes_at") in report


def test_a_float4_that_16_does_not_divide_is_reported(kernels):
    buffer, out = np.arange(9, dtype=f32), np.zeros(1, f32)
    kernels.get_function("loads_four")((1,), (1,), (buffer[4:8], out))
    assert out == 7
    report = fault(kernels, "loads_four", 1, (buffer[1:5], out))
    assert "misaligned access" in report
    assert line_of("loads_four") in report


@pytest.mark.parametrize(("offset", "stride", "problem"), [(4, 16, "address that 32 divides"), (0, 18, "multiple of 16 bytes")])
def test_a_misaligned_matrix_is_reported(kernels, offset, stride, problem):
    assert problem in fault(kernels, "misaligned_matrix", 32, (np.zeros(400, f32), i32(offset), i32(stride)))


def test_a_module_works_on_after_a_fault(kernels):
    fault(kernels, "two_barriers", 32)
    np.testing.assert_array_equal(turns(kernels, "forward"), [np.arange(48)] * 2)


# ---- memory


@pytest.mark.parametrize(
    ("index", "place"), [(8, "0 bytes past"), (11, "12 bytes past"), (-1, "4 bytes before"), (-5, "20 bytes before")]
)
def test_writing_outside_an_argument_is_reported_and_nothing_comes_back(kernels, index, place):
    x = np.zeros(8, f32)
    with pytest.raises(MemoryFault, match=rf"argument 0 float32\[8\]: {place}"):
        kernels.get_function("writes_at")((1,), (1,), (x, i32(index)))
    assert (x == 0).all()


@pytest.mark.parametrize("index", [8, -1])
def test_reading_outside_an_argument_gives_nan(kernels, index):
    out = np.zeros(1, f32)
    kernels.get_function("reads_at")((1,), (1,), (np.zeros(8, f32), out, i32(index)))
    assert np.isnan(out).all()


def test_arguments_that_overlap_share_their_memory(kernels):
    buffer, out = np.arange(8, dtype=f32), np.zeros(1, f32)
    kernels.get_function("reads_at")((1,), (1,), (buffer[2:6], buffer[5:], i32(0)))
    assert buffer[5] == 3
    kernels.get_function("reads_at")((1,), (1,), (buffer, out, i32(7)))
    assert out == 8


def test_a_read_only_argument_may_be_read_but_not_written(kernels):
    x = np.arange(4, dtype=f32)
    x.flags.writeable = False
    kernels.get_function("reads_at")((1,), (1,), (x, np.zeros(1, f32), i32(0)))
    with pytest.raises(MemoryFault, match="argument 0 is read-only"):
        kernels.get_function("writes_at")((1,), (1,), (x, i32(0)))


def test_poison_is_nan_in_floats_and_all_ones_in_integers():
    assert np.isnan(poison(np.zeros(3, f32))).all()
    assert np.isnan(poison(np.zeros((2, 3)))).all()
    assert (poison(np.zeros(3, i32)) == -1).all()


# ---- what Python passes


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((np.zeros(4), i32(0)), "argument 0: the kernel takes a pointer to f4, got an array of f8"),
        ((np.zeros((4, 4), f32)[:, 1], i32(0)), "argument 0: array of shape .* is not C-contiguous"),
        ((f32(1), i32(0)), "argument 0: the kernel takes a pointer, got float32"),
        ((np.zeros(4, f32), np.int64(0)), "argument 1: the kernel takes i4, got i8"),
        ((np.zeros(4, f32), 0), "argument 1: the kernel takes i4, got i8"),
        ((np.zeros(4, f32), f32(0)), "argument 1: the kernel takes i4, got f4"),
        ((np.zeros(4, f32), "0"), "argument 1: the kernel takes a number"),
        ((np.zeros(4, f32),), "takes 2 arguments, got 1"),
    ],
)
def test_arguments_that_a_gpu_would_misread_are_refused(kernels, arguments, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        kernels.get_function("writes_at")((1,), (1,), arguments)


@pytest.mark.parametrize(
    ("grid", "block", "shared", "problem"),
    [
        ((1,), (1025,), 0, "1025 threads"),
        ((1,), (0,), 0, "0 threads"),
        ((1,), (1, 1, 65), 0, "z at most 64"),
        ((0,), (1,), 0, "grid"),
        ((1, 65536), (1,), 0, "grid"),
        ((1,), (1,), 300_000, "dynamic shared memory"),
    ],
)
def test_launches_that_no_gpu_takes_are_refused(kernels, grid, block, shared, problem):
    with pytest.raises(ValueError, match=problem):
        kernels.get_function("two_barriers")(grid, block, (), shared_mem=shared)


def test_an_unknown_kernel_is_refused_with_those_there_are(kernels):
    with pytest.raises(ValueError, match=r"no kernel 'shuffles<char>'.*shuffles<float>"):
        kernels.get_function("shuffles<char>")


# ---- atomics, arithmetic


def test_atomics_update_and_return_the_old_value(scheduled):
    a, total, ring, old = np.array([5, 5, 5, 5, 0, 255, 0], i32), np.zeros(1, f32), np.zeros(1, np.uint32), np.empty(64, i32)
    scheduled.get_function("atomics")((2,), (32,), (a, total, ring, old))
    np.testing.assert_array_equal(a, [5 + 2016, 5 - 2016, 63, 0, 63, 255 & ~63, 78])
    assert total == 32
    assert ring == 64 % 10
    # One thread's old value plus what it added is the next thread's old value.
    np.testing.assert_array_equal(np.sort(old + np.arange(64)), [*np.sort(old)[1:], a[0]])


def test_integer_intrinsics_agree_with_python(kernels, random):
    a, b = random.integers(0, 2**32, (2, 60), dtype=np.uint64).astype(np.uint32)
    a[:3], b[:3] = [0, 1, 2**32 - 1], 2**32 - 1
    out = poison(np.empty((6, 60), np.uint32))
    kernels.get_function("integers")((1,), (60,), (a, b, out, i32(60)))
    for column, (p, q) in zip(out.T.tolist(), zip(a.tolist(), b.tolist(), strict=True), strict=True):
        expected = [
            p * q >> 32,
            p.bit_count(),
            32 - p.bit_length(),
            (p & -p).bit_length(),
            (q << 32 | p) << 13 >> 32 & 0xFFFFFFFF,
            p >> 9,
        ]
        assert column == expected


def test_rn_intrinsics_round_once_per_operation_and_fma_once_in_all(kernels, random):
    a, b, c = random.normal(size=(3, 500)).astype(f32)
    out = poison(np.empty((2, 500), f32))
    kernels.get_function("roundings")((1,), (500,), (a, b, c, out, i32(500)))
    np.testing.assert_array_equal(out[0], a * b + c)
    exact = (a.astype(np.float64) * b + c).astype(f32)  # the product of two float32 is exact in float64; the sum nearly
    assert np.mean(out[1] == exact) > 0.99
    assert (out[0] != out[1]).any()


def test_sincospi_takes_multiples_of_pi(kernels):
    x = np.linspace(0, 2, 81, dtype=f32)
    out = poison(np.empty((2, 81), f32))
    kernels.get_function("angles")((1,), (81,), (x, out, i32(81)))
    np.testing.assert_allclose(out, [np.sin(np.pi * x.astype(np.float64)), np.cos(np.pi * x.astype(np.float64))], atol=1e-7)


def test_a_struct_keeps_the_alignment_it_asks_for(kernels):
    for name, expected in zip(ALIGNMENTS, ([16, 16, 16, 8, 0], [8, 8, 16, 8, 0]), strict=True):
        out = poison(np.empty(5, i32))
        kernels.get_function(name)((1,), (1,), (out,))
        np.testing.assert_array_equal(out, expected)


# ---- tensor cores


def tf32(x):
    """Ten fraction bits, to nearest, ties away from zero."""
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(f32)


def test_float_to_tf32_rounds_to_nearest_ties_away(kernels, random):
    x = random.normal(size=256).astype(f32)
    x[:6] = [1 + 2**-11, -1 - 2**-11, 1 + 2**-12, np.inf, -np.inf, np.nan]
    out = poison(np.empty(256, f32))
    kernels.get_function("to_tf32")((1,), (256,), (x, out))
    np.testing.assert_array_equal(out[:6], [1 + 2**-10, -1 - 2**-10, 1, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(out[6:], tf32(x[6:]))


@pytest.mark.parametrize(("a_by_rows", "b_by_rows"), LAYOUTS)
def test_wmma_in_tf32_is_the_product_of_truncated_operands(scheduled, random, a_by_rows, b_by_rows):
    A, B, C = (
        random.normal(size=(16, 8)).astype(f32),
        random.normal(size=(8, 16)).astype(f32),
        random.normal(size=(16, 16)).astype(f32),
    )
    D = poison(np.empty((16, 16), f32))
    given_A, given_B = (A if a_by_rows == "true" else A.T.copy()), (B if b_by_rows == "true" else B.T.copy())
    scheduled.get_function(TF32.format(a_by_rows, b_by_rows))((1,), (32,), (given_A, given_B, C, D))
    truncated = [(M.view(np.uint32) & np.uint32(0xFFFFE000)).view(f32).astype(np.float64) for M in (A, B)]
    np.testing.assert_allclose(D, truncated[0] @ truncated[1] + C, atol=1e-5)  # eight float32 sums
    assert np.abs(D - (A @ B + C)).max() > 1e-4  # TF32 is not float32


@pytest.mark.parametrize(("a_by_rows", "b_by_rows"), LAYOUTS)
def test_wmma_in_half_precision(kernels, random, a_by_rows, b_by_rows):
    A, B, C = (
        random.normal(size=(16, 16)).astype("f2"),
        random.normal(size=(16, 16)).astype("f2"),
        random.normal(size=(16, 16)).astype(f32),
    )
    D = poison(np.empty((16, 16), f32))
    given_A, given_B = (A if a_by_rows == "true" else A.T.copy()), (B if b_by_rows == "true" else B.T.copy())
    kernels.get_function(HALF.format(a_by_rows, b_by_rows))((1,), (32,), (given_A, given_B, C, D))
    np.testing.assert_allclose(D, A.astype(np.float64) @ B.astype(np.float64) + C, atol=2e-5)  # sixteen float32 sums


def test_the_twin_of_inline_ptx_mma_is_the_same_product(scheduled, random):
    A, B, C = (
        tf32(random.normal(size=(16, 8)).astype(f32)),
        tf32(random.normal(size=(8, 8)).astype(f32)),
        random.normal(size=(16, 8)).astype(f32),
    )
    D = poison(np.empty((16, 8), f32))
    scheduled.get_function("ptx_product")((1,), (32,), (A, np.ascontiguousarray(B.T), C, D))
    np.testing.assert_allclose(D, A @ B + C, atol=1e-5)


# ---- asynchronous copies


def test_an_asynchronous_copy_arrives_when_its_group_is_waited_for(scheduled):
    x, out = np.arange(1, 9, dtype=f32), np.zeros((4, 4), f32)
    scheduled.get_function("two_groups")((1,), (1,), (x, out))
    np.testing.assert_array_equal(out[:3], [[1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 0, 0]])
    assert np.isnan(out[3]).all()


# ---- sources and builds


def test_flatten_includes_each_file_once_and_keeps_its_lines(tmp_path):
    (tmp_path / "twice.cuh").write_text("#pragma once\nint two() { return 2; }\n")
    (tmp_path / "other.cuh").write_text('#include "twice.cuh"\n')
    source = tmp_path / "kernel.cu"
    source.write_text('#include "twice.cuh"\n#include "other.cuh"\nextern "C" __global__ void k(int* x) { x[0] = two(); }\n')
    text = flatten(source)
    assert text.count("int two()") == 1
    assert plain_kernels(text) == ["k"]
    assert text.index("#line 3") < text.index("__global__")
    x = np.zeros(1, i32)
    CpuModule(source).get_function("k")((1,), (1,), (x,))
    assert x == 2


def test_a_missing_include_is_named_with_its_place(tmp_path):
    source = tmp_path / "kernel.cu"
    source.write_text('\n#include "nowhere.cuh"\n')
    with pytest.raises(FileNotFoundError, match=r'kernel.cu:2: #include "nowhere.cuh" not found'):
        flatten(source)


def test_dynamic_shared_memory_is_found_in_every_spelling():
    for declaration in ("float s[]", "__align__(16) unsigned char s[ ]", "alignas(16) float4 s[]"):
        assert "CUDA_ON_CPU_DYNAMIC_SHARED(" in flatten(f"extern __shared__ {declaration};")
    assert "DYNAMIC" not in flatten("__shared__ float s[4];")


@pytest.mark.parametrize("declaration", ["void", "void __launch_bounds__(256)", "__launch_bounds__(256, 2) void"])
def test_plain_kernels_are_found_with_their_launch_bounds(declaration):
    assert plain_kernels(f'extern "C" __global__ {declaration}\n  name(float* x) {{}}') == ["name"]


def test_a_source_error_is_reported_at_the_kernels_own_line(tmp_path):
    source = tmp_path / "wrong.cu"
    source.write_text('\nextern "C" __global__ void k(int* x) { x = y; }\n')
    with pytest.raises(BuildError, match=r"wrong\.cu:2:.*'y' was not declared|wrong\.cu:2:.*‘y’ was not declared"):
        CpuModule(source)


def test_the_same_source_is_built_once_and_a_changed_include_again(tmp_path):
    (tmp_path / "part.cuh").write_text("constexpr int number = 1;\n")
    source = tmp_path / "kernel.cu"
    source.write_text('#include "part.cuh"\nextern "C" __global__ void k(int* x) { x[0] = number; }\n')
    first = CpuModule(source)
    assert CpuModule(source).built_path == first.built_path
    (tmp_path / "part.cuh").write_text("constexpr int number = 2;\n")
    second = CpuModule(source)
    assert second.built_path != first.built_path
    x = np.zeros(1, i32)
    second.get_function("k")((1,), (1,), (x,))
    assert x == 2


def test_another_platform_is_refused_clearly(monkeypatch):
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    with pytest.raises(BackendError, match="needs Linux on x86-64, not Linux on aarch64"):
        build.compiler.__wrapped__()


# ---- inline PTX: the text that a GPU gets is the text that runs here

TILE = """#include "affine.cuh"
#include "tile_tf32.cuh"
extern "C" __global__ void product(const float* A, const float* B, float* C, int M, int N, int K) {
  const Place place = Place::of<SmallTF32<float>>(blockIdx.x, M, N, 1);
  SmallTF32<float>::run<WIDTH>(Matrix<float, true>{A, K}, Matrix<float, false>{B, N}, M, N, K, place, Scratch<float>{},
                               TimesSlope<float, NONE>{nullptr, C, N});
}"""


def product(change=lambda text: text, width=4):
    """C = A B by the package's own TF32 tile, whose source `change` may edit first; and what it should be."""
    kernel = CpuModule(change(TILE), include_dirs=[launch.KERNELS], options=[f"-DWIDTH={width}"]).get_function("product")
    M, N, K = 28, 36, 68  # more than one tile across, and less than a whole step of k at the end
    random = np.random.default_rng(0)
    A, B = (random.integers(-4, 5, shape).astype(f32) for shape in ((M, K), (K, N)))  # small integers: exact in TF32
    C = poison(np.empty((M, N), f32))
    shared = 4 * 4 * (32 * (32 + 4) + 32 * (32 + 8))  # four stages of both parts
    kernel((2,), (128,), (A, B, C, i32(M), i32(N), i32(K)), shared_mem=shared)
    return C, A @ B


@pytest.mark.parametrize("width", [1, 4])
def test_a_product_in_inline_ptx_is_the_product(width):
    np.testing.assert_array_equal(*product(width=width))


@pytest.mark.parametrize(
    ("right", "wrong", "width"),
    [
        ("{%4,%5,%6,%7}", "{%4,%6,%5,%7}", 4),  # two of a fragment's numbers swapped
        ("{%8,%9}", "{%9,%8}", 4),
        ("{%8,%9}, {%0,%1,%2,%3}", "{%8,%9}, {%2,%3,%0,%1}", 4),
        ('"n"(N)', '"n"(N + 1)', 4),  # one group more is left under way: a part is multiplied before it is there
        ('16, %2;" ::"r"(shared), "l"(from), "r"(bytes)', '16, %2;" ::"r"(shared), "l"(from), "r"(16)', 4),  # no zeros beyond the end
        ('4, %2;" ::"r"(shared), "l"(from), "r"(bytes)', '4, %2;" ::"r"(shared), "l"(from), "r"(4)', 1),
    ],
)
def test_a_wrong_word_of_inline_ptx_is_noticed(right, wrong, width):
    def change(text):
        text = text.replace('#include "tile_tf32.cuh"', (launch.KERNELS / "tile_tf32.cuh").read_text("utf-8"))
        assert text.count(right) == 1
        return text.replace(right, wrong)

    try:
        got, expected = product(change, width)
    except (KernelFault, MemoryFault):
        return
    assert not np.array_equal(got, expected)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('asm("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0}, {%1}, {%2}, {%3};" : "+f"(f) : "r"(r));', "does not know"),
        ('asm volatile("cp.async.cg.shared.global [%0], [%1], 8;" ::"r"(r), "l"(x));', "copies 16 bytes"),
        ('asm volatile("cp.async.ca.shared.global [%0], [%1] 4;" ::"r"(r), "l"(x));', "a comma is missing"),
        ('asm volatile("cp.async.ca.shared.global [%0, [%1], 4;" ::"r"(r), "l"(x));', "a bracket is not closed"),
    ],
)
def test_inline_ptx_that_is_no_instruction_does_not_compile(statement, words):
    with pytest.raises(BuildError, match=words):
        ptx(statement)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(r), "l"(x));', "writes outside of shared memory"),
        ('asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(there), "l"(x), "r"(8));', "reads more bytes than it copies"),
        ('asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(there), "r"(r));', "another type"),
        ('asm("cvt.rna.tf32.f32 %0, %1;" : "=f"(f) : "f"(f));', "another type"),
        ('asm("cvt.rna.tf32.f32 %0, %2;" : "=r"(r) : "f"(f));', "does not list"),
        ('asm("cvt.rna.tf32.f32 %1, %0;" : "+f"(f) : "r"(r));', "only reads"),
    ],
)
def test_inline_ptx_is_held_to_the_manual_while_it_runs(statement, words):
    with pytest.raises(KernelFault, match=rf"kernels.cu:4: .*{words}"):
        ptx(statement)


def ptx(statement):
    """One thread carries out one statement, which stands in line 4."""
    code = f"""extern "C" __global__ void k(float* x) {{
      __shared__ float place[4]; float f = 1; unsigned r = 0xf0000000u, there = __cvta_generic_to_shared(place);
      // asm("in a comment is no statement")
      {statement}
    }}"""
    CpuModule(code).get_function("k")((1,), (1,), (np.zeros(4, f32),))


# ---- broken kernels: each kind is seen, and by what
#
# In every schedule: "value" (the result is not its twin's), or the words of a report. ASan and TSan: words of theirs.
# None: not seen. An empty cell is as much a claim as a full one.

VALUE = "value"
SEEN = {  #                  forward                 reverse  random   AddressSanitizer, UBSan    ThreadSanitizer
    "atomics_race":         (None,                   ...,     ...,     None,                      "data race"),
    "divergent_barrier":    ("divergent __syncthr",  ...,     ...,     "KernelFault",             "KernelFault"),
    "fragment_layout":      (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
    "mask_by_thread":       (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
    "misaligned_load":      ("misaligned access",    ...,     ...,     "misaligned address",      None),
    "missing_fence":        (None,                   ...,     ...,     None,                      "data race"),
    "missing_fence_before_barrier": (None,           ...,     ...,     None,                      "data race"),
    "missing_sync":         (VALUE,                  ...,     ...,     "AssertionError",          "data race"),
    "missing_sync_in_tree": (VALUE,                  None,    VALUE,   "AssertionError",          "data race"),
    "missing_syncwarp":     (None,                   VALUE,   VALUE,   "AssertionError",          "data race"),
    "missing_wait":         (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
    "off_by_one":           ("wrote outside",        ...,     ...,     "heap-buffer-overflow",    "MemoryFault"),
    "reused_buffer":        (VALUE,                  ...,     ...,     "AssertionError",          "data race"),
    "shared_overrun":       ("wrote past the 132",   ...,     ...,     "use-after-poison",        "KernelFault"),
    "shared_row_overrun":   ("index 8 is out of",    ...,     ...,     "index 8 out of bounds",   "AssertionError"),
    "shuffle_after_exit":   ("deadlock",             ...,     ...,     "KernelFault",             "KernelFault"),
    "uninitialised_sum":    (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
    "unwritten_output":     (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
    "window_edge":          (VALUE,                  ...,     ...,     "heap-buffer-overflow",    "AssertionError"),
    "wrong_stride":         (VALUE,                  ...,     ...,     "AssertionError",          "AssertionError"),
}  # fmt: skip


# The same, in whatever order, where g++'s hooks are answered by include/races.hpp.
RACES = {
    **dict.fromkeys(("atomics_race", "missing_fence", "missing_fence_before_barrier", "reused_buffer"), "race: thread"),
    **dict.fromkeys(("missing_sync", "missing_sync_in_tree", "missing_syncwarp"), ("race: thread", "that nothing has been written to")),
    "missing_wait": "that nothing has been written to",
    **dict.fromkeys(("off_by_one", "window_edge"), "outside of every array"),
}


def what_is_seen(kernels, name, schedule):
    kernels.set_schedule(schedule, seed=1)
    try:
        cases.check(kernels, name)
    except AssertionError:
        return VALUE
    except (KernelFault, MemoryFault) as report:
        return str(report)
    return None


@pytest.fixture(scope="module")
def right_kernels():
    return cases.module(broken=False)


@pytest.fixture(scope="module")
def broken_kernels():
    return cases.module(broken=True)


@pytest.fixture(scope="module")
def watched_kernels():
    return [cases.module(broken, sanitizer="races") for broken in (False, True)]


def test_every_broken_kernel_has_its_claims():
    assert sorted(SEEN) == cases.NAMES


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", cases.NAMES)
def test_the_right_kernel_passes_and_the_broken_one_is_seen(right_kernels, broken_kernels, name, schedule):
    assert what_is_seen(right_kernels, name, schedule) is None
    expected = SEEN[name][SCHEDULES.index(schedule)]
    if expected is ...:
        expected = SEEN[name][0]
    seen = what_is_seen(broken_kernels, name, schedule)
    assert seen == expected if expected in (None, VALUE) else expected in seen


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", cases.NAMES)
def test_races_are_seen_in_every_schedule_with_their_lines(watched_kernels, name, schedule):
    right, broken = watched_kernels
    ordered_by_a_fence = name.startswith("missing_fence")  # between blocks, which races.hpp takes for unordered whatever fences say
    assert (what_is_seen(right, name, schedule) is None) != ordered_by_a_fence
    seen = what_is_seen(broken, name, schedule)
    expected = RACES.get(name, SEEN[name][0])
    assert seen == VALUE if expected == VALUE else any(words in seen for words in np.atleast_1d(expected))
    if name in RACES:
        assert f"at {name}.cu:" in seen


def test_the_watched_build_forgets_what_an_earlier_launch_or_block_did():
    code = """extern "C" __global__ void k(float* x) {
      __shared__ float mine;
      if (threadIdx.x == blockIdx.x) mine = 1;
      if (threadIdx.x == blockIdx.x) x[blockIdx.x] = mine + blockDim.x;
    }"""
    kernel, x = CpuModule(code, sanitizer="races").get_function("k"), np.zeros(3, f32)
    for threads in (8, 64, 3):  # other threads, and other blocks' shared memory, at the same addresses
        kernel((3,), (threads,), (x,))
        np.testing.assert_array_equal(x, 1 + threads)


def test_the_watched_build_sees_atomics_meet_plain_accesses_a_write_after_a_read_and_vectors_meet_numbers():
    code = """extern "C" __global__ void atomics(float* x) { atomicAdd(x, 1.0f); }
    extern "C" __global__ void mixed(float* x) { if (threadIdx.x) atomicAdd(x, 1.0f); else x[0] = 1; }
    extern "C" __global__ void overtakes(float* x) { if (threadIdx.x) x[1] = 2; else x[0] = x[1]; }
    extern "C" __global__ void vectors(float4* x) { if (threadIdx.x) x[0] = make_float4(1, 2, 3, 4); else ((float*)x)[3] = 5; }
    extern "C" __global__ void characters(unsigned char* x) { x[threadIdx.x] = threadIdx.x; }"""
    module, x = CpuModule(code, sanitizer="races"), np.zeros(4, f32)
    module.get_function("atomics")((2,), (32,), (x,))
    assert x[0] == 64
    for name in ("mixed", "overtakes", "vectors"):  # overtakes: thread 0, which reads, comes first
        with pytest.raises(KernelFault, match=r"race: thread .* at kernels.cu:\d"):
            module.get_function(name)((1,), (2,), (x,))
    module.get_function("characters")((1,), (16,), (x.view(np.uint8),))
    np.testing.assert_array_equal(x.view(np.uint8), np.arange(16))


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_right_kernels_are_clean_under_the_sanitizers(sanitizer):
    outcome = run_sanitized(sanitizer, (cases.run_all, False))
    assert outcome.clean, outcome.output
    assert outcome.output.count("== ") == len(cases.NAMES) + 1  # it did run them


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
def test_broken_kernels_are_seen_by_the_sanitizers(sanitizer):
    outcome = run_sanitized(sanitizer, (cases.run_all, True))
    assert not outcome.clean
    parts = dict(zip(cases.NAMES, outcome.output.split("\n== ")[1:], strict=True))
    for name, claims in SEEN.items():
        expected = claims[3 if sanitizer == "asan" else 4]
        heading, _, report = parts[name].partition("\n")
        assert heading == name
        if expected is None:
            assert report.strip() == "", f"{name}: nothing was expected, got {report}"
        else:
            assert expected in report, f"{name}: {expected!r} was expected, got {report}"


def fails_on_purpose():
    raise ValueError("on purpose")


def test_a_case_that_raises_is_not_clean():
    outcome = run_sanitized("asan", fails_on_purpose)
    assert not outcome.clean
    assert "ValueError: on purpose" in outcome.output


def never_ends():
    while True:
        pass


def test_a_case_that_never_ends_is_stopped():
    with pytest.raises(subprocess.TimeoutExpired):
        run_sanitized("asan", never_ends, timeout=3)


def test_a_sanitised_module_is_refused_outside_its_process():
    with pytest.raises(RuntimeError, match="run_sanitized"):
        CpuModule('extern "C" __global__ void k() {}', sanitizer="tsan")
