"""NVIDIA's compiler accepts every kernel for every architecture it knows, and the machine code is what the source says it is."""

import functools
import os
import re
from pathlib import Path

import pytest
from cuda_kernels_on_cpu import GROUPS
from cuda_on_cpu import nvrtc
from cuda_on_cpu.broken import cases

from scratchvae.cuda_on_cpu.sources import flatten, plain_kernels
from scratchvae.ops.cuda.ladder import numbers_asked
from scratchvae.ops.cuda.launch import KERNELS, OPTIONS, source

HERE = Path(nvrtc.__file__).parent
EVERY = nvrtc.architectures()
ARCHITECTURES = EVERY if os.environ.get("CI") else [a for a in EVERY if a in (min(EVERY), 80, 90, max(EVERY))]  # in CI all of them
FILES = sorted({file for file, _ in GROUPS})
PAIRS = [(file, architecture) for file in FILES for architecture in ARCHITECTURES]

# What CuPy adds to our options (14.2: compile_using_nvrtc and _compile_with_cache_cuda in cupy/cuda/compiler.py). The first makes a
# function without a word before it one of the device's.
CUPYS_OPTIONS = ("--device-as-default-execution-space", "-ftz=true")
STATIC_SHARED_LIMIT = 48 * 1024  # bytes a block may take without asking; every GPU has them
REGISTER_LIMITS = {  # per thread
    "affine_fma.cu": 240, "affine_tf32.cu": 128, "convolution_fma.cu": 240, "convolution_tf32.cu": 128, "ladder.cu": 168,
    "ladder_tf32.cu": 255,
}  # fmt: skip
REGISTER_LIMIT = 96  # of all others
# What a compiler keeps in memory for want of registers: bytes per thread, written and read. Only NVRTC 13.0 does: in some variants of
# the products on tensor cores. The numbers that come out are the same.
BY_13_0 = {
    ("affine_tf32.cu", 80): 64, ("convolution_tf32.cu", 86): 8, ("convolution_tf32.cu", 89): 8, ("convolution_tf32.cu", 90): 16,
}  # fmt: skip
SPILLED = BY_13_0 if nvrtc.version() == (13, 0) else {}
TENSOR_CORES = {"affine_tf32.cu", "convolution_tf32.cu", "ladder_tf32.cu"}  # from sm_80 on

# Its template's parameters, its name.
KERNEL = re.compile(
    r"(?:template <(.*)>\s*)?__global__\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*|void\s+)+(\w+)\s*\("
)
# A product takes the compiler a fifth of a second. Its activation is in the epilogue alone, and activations.cu has them all:
# one is enough here. Elsewhere than on this architecture, so are float and 16 bytes at a time.
FULLY_PROVEN = (90,) if os.environ.get("CI") else ()
DISASSEMBLED = (75, 90, 120)  # the oldest, the newest, and the one in full


def kernels_in(text):
    """The kernels in a source: {name: [template parameter, …]}"""
    found = KERNEL.findall(re.sub(r"//.*", "", text))
    return {name: [part.split()[-1] for part in parameters.split(",")] if parameters else [] for parameters, name in found}


PARAMETERS = {
    name: parameters
    for path in sorted(KERNELS.glob("*.cu*"))
    for name, parameters in kernels_in(path.read_text(encoding="utf-8")).items()
}


def arguments_of(name):
    return [part.strip() for part in name.partition("<")[2].rstrip(">").split(",")]


def is_wide(name):
    """Whether this variant moves several numbers at once, which by the house's rule (common.cuh) are 16 bytes."""
    return dict(zip(PARAMETERS[name.split("<")[0]], arguments_of(name), strict=False)).get("V", "1") != "1"


@functools.cache
def names_for(file, architecture):
    """The name expressions of a file that are proven for an architecture."""
    names = [name for group, names in GROUPS if group == file for name in names]
    if file.startswith(("affine", "convolution")):
        names = [name for name in names if "ACT" not in PARAMETERS[name.split("<")[0]] or "RELU" in arguments_of(name)]
        if architecture not in FULLY_PROVEN:
            names = [name for name in names if arguments_of(name)[0] == "float" and is_wide(name)]
        if file.startswith("convolution"):  # convolution_backward computes both directions, in double too
            names = [n for n in names if not n.startswith("convolution<") or (architecture in FULLY_PROVEN and "float" in n)]
    return names if architecture >= 80 or file not in TENSOR_CORES else []


@functools.cache
def program(file, architecture):
    """The text and the options that CuPy hands to NVRTC."""
    return nvrtc.compile(source(file), architecture, names_for(file, architecture), CUPYS_OPTIONS)


# ---- the list is complete, the compiler is the one we think


def test_every_kernel_in_the_sources_is_listed():
    assert sorted(path.name for path in KERNELS.glob("*.cu")) == FILES
    for file in FILES:
        listed = {name.split("<")[0] for group, names in GROUPS if group == file for name in names}
        own, included = (
            set(kernels_in(text)) for text in ((KERNELS / file).read_text(encoding="utf-8"), flatten(KERNELS / file))
        )
        assert own <= listed <= included, file
    assert {name.split("<")[0] for _, names in GROUPS for name in names} == set(PARAMETERS)


def test_the_standard_is_the_one_that_we_ask_cupy_for():
    assert (f"-std={nvrtc.STANDARD}",) == OPTIONS


def test_the_compiler_knows_the_architectures_in_use():
    assert nvrtc.version() >= (13, 0)
    assert {75, 80, 86, 89, 90, 100, 120} <= set(EVERY)


# ---- every kernel, every architecture


@pytest.mark.parametrize(("file", "architecture"), PAIRS)
def test_kernels_compile_within_their_registers_and_memory(file, architecture):
    names = names_for(file, architecture)
    if not names:
        with pytest.raises(nvrtc.CompileError, match=r"8\.0 or higher"):
            nvrtc.compile(source(file), architecture, [], CUPYS_OPTIONS)
        return
    for name, used in program(file, architecture).resources.items():
        assert used.spilled <= SPILLED.get((file, architecture), 0), f"{name}: {used}"
        assert used.stack <= used.spilled, f"{name}: {used}"
        assert 0 < used.registers <= REGISTER_LIMITS.get(file, REGISTER_LIMIT), f"{name}: {used}"
        assert used.shared <= STATIC_SHARED_LIMIT, f"{name}: {used}"


@pytest.mark.parametrize("architecture", DISASSEMBLED)
@pytest.mark.parametrize("file", FILES)
def test_machine_code_has_the_instructions_that_the_source_asks_for(file, architecture):
    for name in names_for(file, architecture):
        code = program(file, architecture)
        assert code.count(name, "EXIT"), f"{name}: no code"
        assert code.count(name, r"(LD|ST)\S*\.128") or not is_wide(name), f"{name}: no 128-bit access"
        assert bool(code.count(name, r"HMMA\S*\.TF32")) == (file in TENSOR_CORES), f"{name}: tensor-core instructions"
        assert not code.count(name, r"(RED|ATOM)\S*\.F\d\d"), f"{name}: a float atomic, whose order is not fixed"


def test_the_ladders_machine_code_fetches_what_the_ladder_and_chapter_9_say():
    chapter = (Path(__file__).parent.parent / "docs" / "09-on-a-gpu.md").read_text(encoding="utf-8")
    code = program("ladder.cu", 90)
    for name in ("naive<float>", "shared_tiles<float>", "register_tiles<float>", "double_buffered<float, 4>"):
        rung, load = name.split("<")[0], "LDG" if name.startswith("naive") else "LDS"  # the others' LDG stand outside the loop
        loads, products, used = code.count(name, load), code.count(name, "FFMA"), code.resources[name]
        numbers = loads + 3 * code.count(name, rf"{load}\S*\.128")
        assert numbers / products == numbers_asked(rung)[rung != "naive"]
        if "NVRTC {}.{}".format(*nvrtc.version()) in chapter:  # another compiler may unroll otherwise
            row = f"| `{rung}` | {used.registers} | {used.shared:,} bytes | {numbers} numbers, in {loads} loads, for {products} |"
            assert row in chapter


# ---- the tools themselves


def test_the_harness_accepts_only_what_nvidia_accepts():
    """The kernels that test the harness are CUDA: NVRTC compiles them as they stand."""
    harness = HERE / "harness_kernels.cu"
    templates = ["leftovers<float, 32>", "shuffles<double>", "warp_product<__half, __half, 16, true, false>"]
    names = [*plain_kernels(harness.read_text(encoding="utf-8")), *templates]
    made = nvrtc.compile(harness, 90, names)
    assert made.count("ptx_product", "HMMA")
    assert made.count(templates[-1], "HMMA")
    assert made.count("two_groups", "LDGSTS")


def test_right_and_broken_kernels_are_both_accepted_by_the_compiler():
    """A compiler sees none of those faults: that is what the harness is for."""
    code = "\n".join((cases.FOLDER / f"{name}.cu").read_text(encoding="utf-8") for name in cases.NAMES)
    headers = "#include <cuda_pipeline.h>\n#include <mma.h>\n"
    for options in ([], ["-DBROKEN"]):
        made = nvrtc.compile(headers + code, 80, plain_kernels(code), options)
        assert len(made.symbols) == len(cases.NAMES)


def test_resources_and_instructions_are_read_for_each_kernel():
    code = """
    template <int N> __global__ void spills(float* x, int i) {
      float a[N];
      for (int j = 0; j < N; ++j) a[(7 * j + i) % N] = x[j];
      x[0] = a[i];
    }
    extern "C" __global__ void shares(float* x) {
      __shared__ float s[256];
      s[threadIdx.x] = x[threadIdx.x];
      __syncthreads();
      x[threadIdx.x] = s[255 - threadIdx.x];
    }
    extern "C" __global__ void adds(float* x) { atomicAdd(x, 1.0f); }
    extern "C" __global__ void fours(float4* x) {
      const float4 four = x[threadIdx.x];
      x[threadIdx.x].x = four.x + four.y + four.z + four.w;
    }
    """
    made = nvrtc.compile(code, 90, ["spills<64>", "shares", "adds", "fours"])
    assert made.resources["spills<64>"].stack == 256
    assert made.resources["shares"].shared >= 1024
    assert made.resources["shares"].stack == 0
    assert made.count("shares", "BAR") == 1
    assert made.count("adds", r"(RED|ATOM)\S*\.F\d\d") == 1
    assert made.count("fours", r"LDG\S*\.128") == 1
    assert made.count("shares", r"LD\S*\.128") == 0


def test_a_refused_source_raises_with_the_compilers_log():
    with pytest.raises(nvrtc.CompileError, match=r'kernels.cu\(1\): error: identifier "y" is undefined'):
        nvrtc.compile('extern "C" __global__ void k(int* x) { x = y; }', 90, ["k"])


def test_a_missing_package_is_named():
    with pytest.raises(RuntimeError, match="nothing.so not found: pip install nvidia-no-such-package"):
        nvrtc._installed("nvidia-no-such-package", "nothing.so")
