"""Around the kernels: what is refused by name, what is not imported, and that NVRTC takes every one of them."""

import re
import subprocess
import sys

import numpy as np
import pytest
from cuda_kernels_on_cpu import GROUPS, OnCpu

from scratchvae.errors import BackendError, ConfigError, ScratchVAEError, ShapeError
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda import ladder, launch
from scratchvae.ops.cuda.affine import Scratch, plan
from scratchvae.ops.cuda.launch import run_on

F4 = lambda *shape: np.zeros(shape, np.float32)
F8 = lambda *shape: np.zeros(shape, np.float64)


def test_every_numpy_operation_has_a_cuda_twin_with_the_same_arguments():
    import inspect

    names = [name for name, value in vars(twins).items() if inspect.isfunction(value)]
    assert len(names) > 30
    for name in names:
        ours, numpys = (list(inspect.signature(getattr(room, name)).parameters.values()) for room in (cuda, twins))
        assert [(p.name, p.default) for p in ours[: len(numpys)] if p.name != "work"] == [
            (p.name, p.default) for p in numpys if p.name != "work"
        ], name


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
        "tickets must be uint32",
    ),
    "a learning rate of another dtype": (
        lambda: cuda.sgd(F4(3), F4(3), None, F8(1), 1),
        "a number on the device must be one float32, not float64",
    ),
    "logvar that does not broadcast": (
        lambda: cuda.gaussian_nll(F4(2, 3), F4(2), F4(2, 3), F4(2)),
        r"logvar of shape \(2,\) does not broadcast to \(2, 3\)",
    ),
    "images of another kind": (lambda: cuda.gather(np.zeros((3, 2), np.int16), np.zeros(1, int), F4(1, 2)), "gather: images must be"),
    "rows of another kind": (lambda: cuda.gather(F4(3, 2), np.zeros(1, np.int32), F4(1, 2)), "gather: order must be"),
    "a batch behind the end": (lambda: cuda.gather_batch(F4(3, 2), np.zeros(4, int), F4(2, 2), 2), "gather: batch 2 of 2 has no 2 rows"),
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
            above = "\n".join(text.split("// Plan of all three kernels")[1:]) and "Plan Reads Moves" if "Plan of all three" in text else ""
            ladder_rung = before.lstrip().startswith("// Rung")
            assert ladder_rung or re.search(r"// .*twin", text), f"{path.name}: {before[:80]}"
            assert ladder_rung or "Plan" in before + above, f"{path.name}: {before[:80]}"


def test_our_includes_stand_in_the_source_that_is_compiled():
    """CuPy keeps compiled kernels by their source: a header that it does not see could change unnoticed."""
    for file, _ in GROUPS:
        assert '#include "' not in launch.source(file)
