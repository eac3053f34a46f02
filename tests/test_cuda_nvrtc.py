"""NVIDIA's compiler accepts every kernel for every architecture it knows, and the machine code is what the source says it is."""

import functools
import re
from pathlib import Path

import pytest
from cuda_on_cpu import nvrtc
from cuda_on_cpu.broken import cases
from cuda_on_cpu.sources import flatten, plain_kernels
from cuda_on_cpu.variants import FOLDER, VARIANTS

HERE = Path(nvrtc.__file__).parent
STATIC_SHARED_LIMIT = 48 * 1024  # bytes a block may take without asking; every GPU has them
ARCHITECTURES = nvrtc.architectures()
PAIRS = [(file, architecture) for file in sorted(VARIANTS) for architecture in ARCHITECTURES]


def variants_for(file, architecture):
    return [variant for variant in VARIANTS[file] if variant.oldest <= architecture]


@functools.cache
def program(file, architecture):
    return nvrtc.compile(FOLDER / file, architecture, [variant.name for variant in variants_for(file, architecture)])


def kernels_in(text):
    """The names of the __global__ functions in a source."""
    text = re.sub(r"//.*", "", text)
    return set(re.findall(r"__global__\s+(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*|void\s+)+(\w+)\s*\(", text))


# ---- the list is complete, the compiler is the one we think


def test_every_kernel_in_the_sources_is_listed():
    assert sorted(VARIANTS) == sorted(path.name for path in FOLDER.glob("*.cu"))
    for file, variants in VARIANTS.items():
        assert {variant.name.split("<")[0] for variant in variants} == kernels_in(flatten(FOLDER / file)), file


def test_the_compiler_knows_the_architectures_in_use():
    assert nvrtc.version() >= (13, 0)
    assert {75, 80, 86, 89, 90, 100, 120} <= set(ARCHITECTURES)


# ---- every kernel, every architecture


@pytest.mark.parametrize(("file", "architecture"), PAIRS)
def test_kernels_compile_without_spills_within_their_limits(file, architecture):
    if not variants_for(file, architecture):
        with pytest.raises(nvrtc.CompileError, match="8.0 or higher"):
            nvrtc.compile(FOLDER / file, architecture, [VARIANTS[file][0].name])
        return
    used = program(file, architecture).resources
    for variant in variants_for(file, architecture):
        resources = used[variant.name]
        assert resources.spilled == 0, variant.name
        assert resources.stack == 0, variant.name
        assert 0 < resources.registers <= variant.registers, f"{variant.name}: {resources}"
        assert resources.shared <= STATIC_SHARED_LIMIT, f"{variant.name}: {resources}"


@pytest.mark.parametrize(("file", "architecture"), PAIRS)
def test_machine_code_has_the_instructions_that_the_source_asks_for(file, architecture):
    for variant in variants_for(file, architecture):
        made = program(file, architecture)
        wide = made.count(variant.name, r"(LD|ST)\S*\.128")
        tensor = made.count(variant.name, r"HMMA\S*\.TF32")
        assert made.count(variant.name, "EXIT"), f"{variant.name}: no code"
        assert not variant.wide or wide, f"{variant.name}: no 128-bit access"
        assert bool(tensor) == variant.tensor_cores, f"{variant.name}: {tensor} tensor-core instructions"
        atomics = [code for code in made.instructions[variant.name] if re.match(r"(@!?\w+ +)?(RED|ATOM)", code) and re.search(r"\.F\d\d", code)]
        assert not atomics, f"{variant.name}: a float atomic has no fixed order: {atomics}"


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


@pytest.mark.parametrize("name", cases.NAMES)
def test_right_and_broken_kernels_are_both_accepted_by_the_compiler(name):
    """A compiler sees none of these faults: that is what the harness is for."""
    path = cases.FOLDER / f"{name}.cu"
    headers = "#include <cuda_pipeline.h>\n#include <mma.h>\n"
    for options in ([], ["-DBROKEN"]):
        made = nvrtc.compile(headers + path.read_text(encoding="utf-8"), 80, plain_kernels(path.read_text(encoding="utf-8")), options)
        assert len(made.symbols) == 1


def test_resources_and_instructions_are_read_for_each_kernel():
    code = """
    template <int N> __global__ void spills(float* x, int i) { float a[N]; for (int j = 0; j < N; ++j) a[j] = x[j]; x[0] = a[i]; }
    extern "C" __global__ void shares(float* x) { __shared__ float s[256]; s[threadIdx.x] = x[threadIdx.x]; __syncthreads();
      x[threadIdx.x] = s[255 - threadIdx.x]; }
    extern "C" __global__ void adds(float* x) { atomicAdd(x, 1.0f); }
    extern "C" __global__ void fours(float4* x) { x[threadIdx.x].x += x[threadIdx.x].y + x[threadIdx.x].z + x[threadIdx.x].w; }
    """
    made = nvrtc.compile(code, 90, ["spills<64>", "shares", "adds", "fours"])
    assert made.resources["spills<64>"].stack == 256
    assert made.resources["shares"].shared >= 1024
    assert made.resources["shares"].stack == 0
    assert made.count("shares", "BAR") == 1
    assert made.count("adds", "RED") == 1
    assert made.count("fours", r"LDG\S*\.128") == 1
    assert made.count("shares", r"LD\S*\.128") == 0


def test_a_refused_source_raises_with_the_compilers_log():
    with pytest.raises(nvrtc.CompileError, match=r'kernels.cu\(1\): error: identifier "y" is undefined'):
        nvrtc.compile('extern "C" __global__ void k(int* x) { x = y; }', 90, ["k"])


def test_a_missing_package_is_named():
    with pytest.raises(RuntimeError, match="nothing.so not found: pip install nvidia-no-such-package"):
        nvrtc._installed("nvidia-no-such-package", "nothing.so")


