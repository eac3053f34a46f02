"""Around the kernels: what is refused by name, what is not imported, and that NVRTC takes every one of them."""

import inspect
import re
import subprocess
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cuda_kernels_on_cpu import GROUPS, OnCpu

from scratchvae.errors import BackendError, ConfigError, ScratchVAEError, ShapeError
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda import ladder, launch
from scratchvae.ops.cuda.launch import run_on
from scratchvae.ops.cuda.tiling import Scratch, plan, tiles

F4 = lambda *shape: np.zeros(shape, np.float32)
F8 = lambda *shape: np.zeros(shape, np.float64)


def test_every_numpy_operation_has_a_cuda_twin_with_the_same_arguments():
    names = [name for name, value in vars(twins).items() if inspect.isfunction(value)]
    assert len(names) > 30
    for name in names:
        ours, numpys = (list(inspect.signature(getattr(room, name)).parameters.values()) for room in (cuda, twins))
        assert [(p.name, p.default) for p in ours[: len(numpys)] if p.name != "work"] == [
            (p.name, p.default) for p in numpys if p.name != "work"
        ], name


def test_the_script_for_a_gpu_calls_every_operation(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent)
    from benchmarks.device.operations import calls

    operations = {name for name, value in vars(twins).items() if inspect.isfunction(value)} - {"conv2d_work"}
    assert {call.name for call in calls(33, 12, 3)} == operations


def test_importing_it_imports_no_cupy():
    code = "import scratchvae.ops.cuda, sys; assert 'cupy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_cupy_the_first_launch_says_what_to_install():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "import numpy as np; from scratchvae.ops import cuda\n"
        "cuda.relu(np.zeros(3), np.zeros(3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1].startswith("scratchvae.errors.BackendError: CUDA needs CuPy: pip install")
    assert issubclass(BackendError, ScratchVAEError)


class Elsewhere:
    """Stands for an array of another library."""

    shape, dtype = (2, 2), np.dtype(np.float32)


REFUSED = {
    "another library's array": (lambda: cuda.relu(Elsewhere(), F4(2, 2)), "relu: x is a .*Elsewhere, but CUDA kernels take numpy.ndarray"),
    "another dtype beside": (lambda: cuda.affine(F4(2, 3), F8(3, 4), F4(4), F4(2, 4)), "dense: W is float64, but the others are float32"),
    "a dtype without kernels": (lambda: cuda.tanh(np.zeros(3, complex), np.zeros(3, complex)), "float32 or float64, not complex128"),
    "a wrong shape": (lambda: cuda.dense(F4(2, 3), F4(3, 4), F4(4), F4(2, 5)), r"dense: out must be \(2, 4\), not \(2, 5\)"),
    "a gap between numbers": (lambda: cuda.relu(F4(4, 4)[:, ::2], F4(4, 2)), "relu: x must be contiguous"),
    "a gap between a row's numbers": (
        lambda: cuda.gaussian_kl(F4(4, 4)[:, ::2], F4(4, 4)[:, 1::2], F4(4)),
        "gaussian_kl: the rows of mu must be contiguous",
    ),
    "halves of different arrays": (
        lambda: cuda.gaussian_kl(F4(4, 6)[:, :2], F4(4, 2), F4(4)),
        "mu and logvar must have the same distance between rows",
    ),
    "a slope without what it needs": (
        lambda: cuda.dense_backward(F4(2, 4), F4(2, 3), F4(3, 4), F4(2, 3), F4(3, 4), F4(4), "gelu"),
        "the slope of gelu is computed from kept=",
    ),
    "a scratch too small": (
        lambda: cuda.affine(F4(2, 900), F4(900, 4), F4(4), F4(2, 4), scratch=Scratch(F4(3), np.zeros(1, np.uint32))),
        "scratch holds 3 partials and 1 tickets, but this product needs .* see scratch_size",
    ),
    "tickets that are no integers": (
        lambda: cuda.affine(F4(2, 900), F4(900, 4), F4(4), F4(2, 4), scratch=Scratch(F4(3), F4(1))),
        "scratch: tickets must be uint32, not float32",
    ),
    "counters that are no integers": (
        lambda: cuda.end_of_step(F4(2, 3), F8(3), F4(3), F4(2), F4(1)),
        "end_of_step: counters must be uint32, not float32",
    ),
    "too few counters": (
        lambda: cuda.end_of_step(F4(2, 3), F8(3), np.zeros(2, np.uint32), F4(2), F4(1)),
        r"counters must be \(3,\), not \(2,\)",
    ),
    "words in numbers": (lambda: cuda.words(F4(2, 4), 0, 0, 0), "words: out must be uint32, not float32"),
    "a learning rate of another dtype": (
        lambda: cuda.sgd(F4(3), F4(3), None, F8(1), 1),
        "a number on the device must be one float32, not float64",
    ),
    "logvar that does not broadcast": (
        lambda: cuda.gaussian_nll(F4(2, 3), F4(2), F4(2, 3), F4(2)),
        r"logvar of shape \(2,\) does not broadcast to \(2, 3\)",
    ),
    "one number for all rows": (
        lambda: cuda.bernoulli_nll_backward(0.25, F4(2, 3), F4(2, 3), F4(2, 3)),
        "bernoulli_nll_backward: dnll is a builtins.float, but CUDA kernels take numpy.ndarray",
    ),
    "too few numbers for the rows": (
        lambda: cuda.posterior_backward(F4(2, 3), F4(1), *(F4(2, 3) for _ in range(6))),
        r"posterior_backward: dkl must be \(2,\), not \(1,\)",
    ),
    "images of another kind": (
        lambda: cuda.gather(np.zeros((3, 2), np.int16), np.zeros(1, int), F4(1, 2)),
        "gather: int16 goes into its own dtype, uint8 and float32 into floats too, not into float32",
    ),
    "rows of a table that are no whole numbers": (
        lambda: cuda.embedding(F4(3), F4(2, 2), F4(3, 2)),
        "embedding: rows must be whole numbers, not float32",
    ),
    "images larger by no whole factor": (
        lambda: cuda.upsample_nearest(F4(1, 2, 2, 1), F4(1, 5, 4, 1)),
        r"images of \(1, 5, 4, 1\) are not those of \(1, 2, 2, 1\), made larger by whole factors",
    ),
    "windows of another size": (lambda: cuda.max_pool(F4(1, 5, 5, 1), F4(1, 3, 2, 1)), r"small must be \(1, 2, 2, 1\), not \(1, 3, 2, 1\)"),
    "rows of another kind": (lambda: cuda.gather(F4(3, 2), np.zeros(1, np.int32), F4(1, 2)), "gather: order must be"),
    "a batch behind the end": (lambda: cuda.gather_batch(F4(3, 2), np.zeros(4, int), F4(2, 2), 2), "gather: batch 2 of 2 has no 2 rows"),
    "a matrix of another dtype on the ladder": (
        lambda: ladder.matmul(F8(2, 2), F4(2, 2), F4(2, 2), "naive"),
        "matmul: B is float32, but the others are float64|matmul: A is float64, but the others are float32",
    ),
    "tensor cores in float64": (lambda: ladder.matmul(F8(2, 2), F8(2, 2), F8(2, 2), "tensor_cores"), "tensor_cores takes float32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_kernel_would_misread_is_refused_by_name(case):
    call, message = REFUSED[case]
    with run_on(place := OnCpu()), pytest.raises(ShapeError, match=message):
        call()
    assert not place.launches


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan([(2, 2, 2)], 8, "tf32"), "precision must be fp32 or, for float32 arrays, tf32"),
        (lambda: cuda.dense(F4(2, 3), F4(3, 4), F4(4), F4(2, 4), "swish"), "activation must be one of none, relu"),
        (lambda: ladder.matmul(F4(2, 2), F4(2, 2), F4(2, 2), "fastest"), "rung must be one of naive"),
    ],
)
def test_options_that_do_not_exist_are_refused(call, message):
    with run_on(OnCpu()), pytest.raises(ConfigError, match=message):
        call()


def test_nothing_is_launched_for_nothing():
    with run_on(place := OnCpu()):
        cuda.relu(F4(0), F4(0))
        cuda.dense(F4(0, 3), F4(3, 4), F4(4), F4(0, 4))
        cuda.gaussian_kl(F4(0, 3), F4(0, 3), F4(0))
        cuda.bernoulli_nll(F4(0, 3), F4(0, 3), F4(0))
        cuda.gather(F4(3, 2), np.zeros(0, int), F4(0, 2))
    assert not place.launches


def test_every_kernel_states_its_plan_its_cost_and_its_twin():
    for path in sorted(launch.KERNELS.glob("*.cu*")):
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^(template <[^\n]*>\n?\s*)?__global__", text, re.MULTILINE):
            before = text[: found.start()].rstrip().split("\n\n")[-1]
            above = "\n".join(text.split("// Plan of these kernels")[1:]) and "Plan Reads Moves" if "Plan of these kernels" in text else ""
            ladder_rung = before.lstrip().startswith("// Rung")
            assert ladder_rung or re.search(r"// .*twin", text), f"{path.name}: {before[:80]}"
            assert ladder_rung or "Plan" in before + above, f"{path.name}: {before[:80]}"


def test_our_includes_stand_in_the_source_that_is_compiled():
    """CuPy keeps compiled kernels by their source: a header that it does not see could change unnoticed."""
    for file, _ in GROUPS:
        assert '#include "' not in launch.source(file)


# Sizes -------------------------------------------------------------------------------------------------------------------


class Huge:
    """An array of any shape that takes no memory: what Python asks of one before a launch."""

    def __init__(self, dtype, *shape):
        self.shape, self.dtype, self.ndim, self.size = shape, np.dtype(dtype), len(shape), prod(shape)
        self.strides = tuple(self.dtype.itemsize * prod(shape[i + 1 :]) for i in range(len(shape)))
        self.flags, self.itemsize = SimpleNamespace(c_contiguous=True), self.dtype.itemsize

    def __len__(self):
        return self.shape[0]


class Recorder:
    """A place where nothing runs: the launches that were asked for."""

    array = Huge

    def __init__(self):
        self.launches = []

    def address(self, array):
        return 0

    def build(self, file, expression):
        return lambda grid, block, arguments, shared_mem: self.launches.append((expression, grid, block, arguments, shared_mem))


H4 = lambda *shape: Huge(np.float32, *shape)
ROWS, COLUMNS = 3 * 2**20, 4096  # 12.9 · 10⁹ numbers, more than 32 bits count
WIDE = ROWS, COLUMNS
LATENTS = (2**28, 3)  # more rows than 32 bits count threads of, at a warp each
# operation → how many threads it needs: each of one access of four numbers where sizes allow, or of 256 per row, or of a warp per row
NEEDED = {
    "relu": (lambda: cuda.relu(H4(*WIDE), H4(*WIDE)), ROWS * COLUMNS // 4),
    "relu of an odd number": (lambda: cuda.relu(H4(2**32 + 1), H4(2**32 + 1)), 2**32 + 1),
    "relu_backward": (lambda: cuda.relu_backward(*(H4(*WIDE) for _ in range(4))), ROWS * COLUMNS // 4),
    "add": (lambda: cuda.add(H4(2**34), H4(2**34)), 2**32),
    "adam": (lambda: cuda.adam(*(H4(2**34) for _ in range(4)), None, 1e-3, 1), 2**32),
    "weight_decay": (lambda: cuda.weight_decay(H4(2**34), H4(2**34), None, 0.1), 2**32),
    "bernoulli": (lambda: cuda.bernoulli_nll_and_gradient(H4(ROWS), H4(*WIDE), H4(*WIDE), H4(ROWS), H4(*WIDE)), ROWS * 256),
    "gaussian": (lambda: cuda.gaussian_nll(H4(*WIDE), H4(1), H4(*WIDE), H4(ROWS)), ROWS * 256),
    "squared": (lambda: cuda.squared_error(H4(*WIDE), H4(*WIDE), H4(ROWS)), ROWS * 256),
    "gather": (lambda: cuda.gather(Huge(np.uint8, *WIDE), Huge(np.int64, ROWS), H4(*WIDE)), ROWS * COLUMNS // 4),
    "normal": (lambda: cuda.normal(H4(*WIDE), 0, 0, 0), ROWS * COLUMNS // 4),
    "reparameterise": (lambda: cuda.reparameterise(*(H4(*LATENTS) for _ in range(5))), prod(LATENTS)),
    "gaussian_kl": (lambda: cuda.gaussian_kl(H4(*LATENTS), H4(*LATENTS), H4(LATENTS[0])), LATENTS[0] * 32),
    "posterior": (lambda: cuda.sample_posterior(*(H4(*LATENTS) for _ in range(5)), H4(LATENTS[0])), LATENTS[0] * 32),
}


@pytest.mark.parametrize("operation", NEEDED)
def test_sizes_beyond_32_bits_get_all_their_threads(operation):
    call, needed = NEEDED[operation]
    with run_on(place := Recorder()):
        call()
    ((_, grid, block, _, _),) = place.launches
    assert needed <= grid[0] * block[0] < needed + 256
    assert len(grid) == len(block) == 1


def covered(products, planned, grid):
    """Whether the tiles of all products times their splits are the blocks launched."""
    return grid == (sum(s * tiles(planned.tile, product) for s, product in zip(planned.splits, products, strict=True)),)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(8192, 4096, 4096), (3_000_001, 784, 400), (128, 784, 400), (2**30, 20, 3)])
def test_layers_of_any_size_get_all_their_blocks(rows, inputs, outputs, precision):
    x, W, b, y = H4(rows, inputs), H4(inputs, outputs), H4(outputs), H4(rows, outputs)
    with run_on(place := Recorder()):
        cuda.dense(x, W, b, y, precision=precision)
        cuda.dense_backward(y, x, W, H4(rows, inputs), H4(inputs, outputs), H4(outputs), precision=precision)
    forward, backward = [(rows, outputs, inputs)], [(inputs, outputs, rows), (rows, inputs, outputs)]
    for products, (_, grid, block, arguments, shared) in zip((forward, backward), place.launches, strict=True):
        planned = plan(products, 4, precision, split=False)
        assert covered(products, planned, grid)
        assert block == (planned.tile.threads,)
        assert grid[0] < 2**31
        assert shared <= 99 * 1024  # what every GPU from 8.0 on grants when asked
        sizes = [argument for argument in arguments if isinstance(argument, np.generic)]
        assert all(size.dtype == np.int32 for size in sizes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cuda.bernoulli_nll(H4(2, 2**31), H4(2, 2**31), H4(2)), "rows and columns up to 2,147,482,623, not 2,147,483,648"),
        (lambda: cuda.dense(H4(2**31, 2), H4(2, 2), H4(2), H4(2**31, 2)), "count rows and columns up to"),
        (lambda: cuda.words(Huge(np.uint32, 2**31, 4), 0, 0, 0), "count rows and columns up to"),
        (lambda: cuda.relu(H4(2**42), H4(2**42)), r"4,294,967,296 blocks, of which a GPU takes 2,147,483,647 x 65,535"),
        (lambda: ladder.matmul(H4(2**21, 2), H4(2, 2), H4(2**21, 2), "naive"), r"naive<float>: 1 x 131,072 blocks"),
    ],
)
def test_sizes_that_kernels_cannot_count_are_refused(call, message):
    with run_on(place := Recorder()), pytest.raises(ShapeError, match=message):
        call()
    assert not place.launches


def test_block_numbers_are_multiplied_in_64_bits_or_by_what_cannot_overflow():
    """Launches of more than 2³¹ threads take too long to run here, so this reads the sources."""
    by_warps_of_a_block, by_a_long_long = "(blockDim.x / 32)", "n"
    of_a_row_or_column = {"blockDim.y", "blockDim.x", "SIDE"}  # which is at most MAX_INDEX
    for path in sorted(launch.KERNELS.glob("*.cu*")):
        allowed = {by_warps_of_a_block, by_a_long_long, *(of_a_row_or_column if path.name == "ladder.cu" else ())}
        products = r"(\(long long\))?\b(?:blockIdx|gridDim)\.\w \* (\(long long\)|\(blockDim.x / 32\)|[\w.]+)"
        found = re.findall(products, path.read_text(encoding="utf-8"))
        assert {factor for cast, factor in found if not cast} - {"(long long)"} <= allowed, path.name


# What CuPy is handed -----------------------------------------------------------------------------------------------------


class Raw:
    """A RawKernel that keeps what it is called with."""

    max_dynamic_shared_size_bytes = 48 * 1024

    def __init__(self):
        self.calls = []

    def __call__(self, grid, block, arguments, **options):
        self.calls.append((grid, block, arguments, options))


def test_cupy_is_handed_null_pointers_and_numbers_whose_size_is_known():
    raw, array = Raw(), F4(3)
    given = array, None, np.float32(0.5), np.int32(3), np.int64(4), np.uint64(5)
    launch._Kernel(raw)((2,), (32,), given, shared_mem=7)
    ((grid, block, arguments, options),) = raw.calls
    assert (grid, block, options) == ((2,), (32,), {"shared_mem": 7})
    assert arguments[0] is array
    assert (type(arguments[1]), arguments[1]) == (np.uint64, 0)
    assert [a.dtype for a in arguments[2:]] == [np.float32, np.int32, np.int64, np.uint64]
    for number in (1, 0.5, True):
        with pytest.raises(ShapeError, match=f"numbers of NumPy's, whose size is known, not {number!r}"):
            launch._Kernel(raw)((1,), (1,), (number,))
    assert len(raw.calls) == 1


def test_shared_memory_beyond_48_kilobytes_is_asked_for_once_and_only_where_it_is_needed():
    class Raws(Recorder):
        def __init__(self):
            self.raws = {}

        def build(self, file, expression):
            self.raws[expression] = Raw()
            return launch._Kernel(self.raws[expression])

    with run_on(place := Raws()):
        for rows in (64, 8192, 8192):
            cuda.dense(H4(rows, 4096), H4(4096, 4096), H4(4096), H4(rows, 4096), precision="tf32")
            cuda.dense(H4(rows, 4096), H4(4096, 4096), H4(4096), H4(rows, 4096))
    asked = {}
    for name, raw in place.raws.items():
        most = max(options["shared_mem"] for *_, options in raw.calls)
        assert most <= raw.max_dynamic_shared_size_bytes
        asked[name.split(", ")[1]] = raw.max_dynamic_shared_size_bytes
        assert raw.max_dynamic_shared_size_bytes == max(most, Raw.max_dynamic_shared_size_bytes)
    assert asked["LargeTF32"] > 48 * 1024 == asked["Large"]
