"""Convolution on CUDA: every tile, width, precision and split against NumPy, on any image, kernel, stride and padding."""

import re
from functools import partial

import numpy as np
import pytest
from cuda_kernels_on_cpu import Alone, OnCpu
from cuda_on_cpu.sanitize import run_sanitized
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from test_convolution import outputs, settings

from scratchvae.cuda_on_cpu import SCHEDULES, CpuModule, KernelFault, MemoryFault, poison
from scratchvae.errors import ShapeError
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda import launch
from scratchvae.ops.cuda.convolution import CHOICES, NARROW, fitting
from scratchvae.ops.cuda.launch import run_on
from scratchvae.ops.cuda.tiling import TILES, Plan

TILES_IN_USE = [(precision, size, tile) for (precision, size), all_of in CHOICES.items() for tile in all_of]
channels = st.sampled_from([1, 2, 3, 4, 5, 8])  # of which V divides some
schedules = st.sampled_from(SCHEDULES)
ODD = (3, 9, 8, 3), (3, 4, 3, 5), (2, 3), (1, 2)  # every number of another size: image, kernel, stride, pad
NAMES = ("conv2d", "dX", "dW", "db", "conv_transpose2d", "dX transposed", "dW transposed", "db transposed")


def shapes(setting):
    """Of x, the larger image; y, the smaller; W; and the bias of either way."""
    image, kernel, *_ = setting
    return image, outputs(*setting), kernel, kernel[3:], kernel[2:3]


def given_arrays(setting, seed=0):
    """In float64, of numbers that float32 holds."""
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype(np.float32).astype(float) for shape in shapes(setting)]


def run(ops, setting, arrays, dtype, work=None, **how):
    """Both operations, forward and backward: [array, …] as in NAMES."""
    x, y, W, b, c = (array.astype(dtype) for array in arrays)
    blank = lambda like: poison(np.empty_like(like))
    work = poison(np.empty(work or ops.conv2d_work(*setting), dtype))
    found = []
    for name, a, bias, dY in (("conv2d", x, b, y), ("conv_transpose2d", y, c, x)):
        made, dA, dW, db = blank(dY), blank(a), blank(W), blank(bias)
        assert getattr(ops, name)(a, W, bias, made, work, *setting[2:], **how) is made
        assert getattr(ops, f"{name}_backward")(dY, a, W, dA, dW, db, work, *setting[2:], **how) is dA
        found += [made, dA, dW, db]
    return found


def check(setting, dtype, seed=0, **how):
    """As NumPy in float64, up to the roundings of a sum: of the size of the sum of |products|, as many as it may have.

    TF32 keeps 11 significant bits of each factor, and of no factor of db, which is no product.
    """
    arrays = given_arrays(setting, seed)
    expected, size = run(twins, setting, arrays, float), run(twins, setting, [np.abs(array) for array in arrays], float)
    rounding = np.finfo(dtype).eps * (2 + np.sqrt(max(array.size for array in arrays)))
    for name, got, right, of in zip(NAMES, run(cuda, setting, arrays, dtype, **how), expected, size, strict=True):
        eps = 2.0**-10 if how.get("precision") == "tf32" and not name.startswith("db") else rounding
        assert got.dtype == dtype
        assert np.all(np.abs(got - right) <= eps * of + 1e-300), name


def tiled(tile, splits):
    """A planner that takes this tile, and cuts k of dW into so many stretches."""
    return lambda products, *_: Plan(tile, (splits,) * len(products))


@hypothesis(max_examples=60)
@given(setting=settings(channels), dtype=st.sampled_from([np.float32, np.float64]), schedule=schedules, seed=st.integers(0, 99))
def test_convolutions_are_numpys_for_any_image_kernel_stride_and_padding(setting, dtype, schedule, seed):
    with run_on(OnCpu(schedule)):
        check(setting, dtype, seed)


@pytest.mark.parametrize(("precision", "itemsize", "tile"), TILES_IN_USE, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize(
    "setting", [ODD, ((2, 12, 11, 8), (3, 3, 8, 12), (1, 1), (1, 1)), ((1, 14, 10, 4), (4, 4, 4, 20), (2, 2), (1, 1))]
)
@pytest.mark.parametrize("splits", [1, 3, 40])  # 40: more than there are steps of k
def test_every_tile_and_split_computes_the_same(precision, itemsize, tile, setting, splits):
    with run_on(OnCpu("random")):
        check(setting, np.dtype(f"f{itemsize}"), work=10**5, precision=precision, planner=tiled(tile, splits))


@pytest.mark.parametrize("batch", [0, 1, 33])
def test_batches_of_no_image_and_of_many(batch):
    setting = (batch, 7, 6, 4), (3, 3, 4, 8), (1, 1), (1, 1)
    with run_on(OnCpu()):
        if batch:
            check(setting, np.float32)
        else:
            assert not any(found.any() for found in run(cuda, setting, given_arrays(setting), np.float32))


def test_nobody_needs_the_first_layers_gradient():
    x, y, W, b, c = (array.astype(np.float32) for array in given_arrays(ODD))
    with run_on(OnCpu()):
        _, _, dW, db, _, _, dW_transposed, db_transposed = run(cuda, ODD, (x, y, W, b, c), np.float32)
        for backward, dY, a, expected in (
            (cuda.conv2d_backward, y, x, (dW, db)), (cuda.conv_transpose2d_backward, x, y, (dW_transposed, db_transposed)),
        ):  # fmt: skip
            alone = poison(np.empty_like(dW)), poison(np.empty_like(expected[1]))
            assert backward(dY, a, W, None, *alone, np.empty(cuda.conv2d_work(*ODD), np.float32), *ODD[2:]) is None
            np.testing.assert_allclose(alone[0], expected[0], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(alone[1], expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_results_repeat_bit_for_bit_in_any_order_of_threads_and_blocks(precision):
    setting, bits = ((3, 11, 10, 3), (3, 3, 3, 4), (2, 1), (1, 1)), set()
    planner = tiled(TILES[precision, 4][-1], 4)
    for schedule, seed in [("forward", 0), ("forward", 0), ("reverse", 0), ("random", 1), ("random", 2)]:
        with run_on(OnCpu(schedule, seed)):
            found = run(cuda, setting, given_arrays(setting), np.float32, work=10**4, precision=precision, planner=planner)
        bits.add(b"".join(array.tobytes() for array in found))
    assert len(bits) == 1


def test_an_image_does_not_depend_on_the_images_beside_it():
    setting = (5, 7, 6, 4), (3, 3, 4, 8), (2, 2), (1, 1)
    x, y, W, b, c = given_arrays(setting)
    with run_on(OnCpu()):
        whole = run(cuda, setting, (x, y, W, b, c), np.float32, planner=tiled(TILES["fp32", 4][-1], 1))
        one = (1, *setting[0][1:]), *setting[1:]
        alone = run(cuda, one, (x[3:4], y[3:4], W, b, c), np.float32, planner=tiled(TILES["fp32", 4][-1], 1))
    for name, all_of, its in zip(NAMES, whole, alone, strict=True):
        if not name.startswith("d") or name.startswith("dX"):
            np.testing.assert_array_equal(all_of[3:4], its, err_msg=name)


@hypothesis(max_examples=40)
@given(setting=settings(channels), dtype=st.sampled_from([np.float32, np.float64]), schedule=schedules)
def test_patches_and_the_way_back_have_numpys_bits(setting, dtype, schedule):
    image, kernel, stride, pad = setting
    x = given_arrays(setting)[0].astype(dtype)
    shape = (*outputs(*setting)[:3], *kernel[:3])
    P = np.random.default_rng(1).normal(size=shape).astype(dtype)
    padded = np.empty((image[0], image[1] + 2 * pad[0], image[2] + 2 * pad[1], image[3]), dtype)
    with run_on(OnCpu(schedule)):
        there = cuda.patches(x, poison(np.empty(shape, dtype)), None, stride, pad)
        back = cuda.patches_backward(P, poison(np.empty_like(x)), None, stride, pad)
    np.testing.assert_array_equal(there, twins.patches(x, np.empty(shape, dtype), padded, stride, pad))
    np.testing.assert_array_equal(back, twins.patches_backward(P, np.empty_like(x), padded, stride, pad))


def test_quotients_by_a_divisor_are_exact_up_to_31_bits():
    """The product that stands for a division: at the multiples of every kind of divisor, and beside them."""
    code = launch.source("convolution_fma.cu") + """
    extern "C" __global__ void divide(const int* n, const int* by, int* quotient, int* rest, int count) {
      for (int i = threadIdx.x; i < count; i += blockDim.x) quotient[i] = n[i], rest[i] = Divisor(by[i]).cut(quotient[i]);
    }
    """
    draw, most = np.random.default_rng(0), 2**31 - 1
    divisors = [*range(1, 70), *(2**k + d for k in range(3, 31) for d in (-1, 0, 1)), most, *draw.integers(1, most, 200)]
    beside = [(m * by + d, by) for by in divisors for m in (0, 1, 2, most // by // 2, most // by) for d in (-1, 0, 1)]
    n, by = np.array([(min(max(n, 0), most), by) for n, by in beside], np.int32).T.copy()
    quotient, rest = np.empty_like(n), np.empty_like(n)
    CpuModule(code).get_function("divide")((1,), (64,), (n, by, quotient, rest, np.int32(len(n))))
    np.testing.assert_array_equal((quotient, rest), np.divmod(n, by))


def both(T, tile, V):
    """Both operations, forward and backward, of one kind."""
    ways = [(name, way) for name in ("convolution", "convolution_backward") for way in ("false", "true")]
    return tuple(f"{name}<{T}, {tile}, {way}, {V}>" for name, way in ways)


def convolutions(precision, setting, unordered):
    """Both operations on small tiles, the sum over outputs in two stretches: for a sanitised process."""
    tile = TILES[precision, 4][-1]
    file = "convolution_tf32.cu" if tile.stages else "convolution_fma.cu"
    with run_on(Alone(unordered, {file: both("float", tile.name, 1 if setting[0][3] % 4 else 4)})):
        check(setting, np.float32, precision=precision, work=10**4, planner=tiled(tile, 2))


ODD_SMALL, EVEN = ((1, 5, 4, 3), (2, 3, 3, 5), (1, 2), (1, 1)), ((1, 4, 4, 4), (3, 3, 4, 8), (2, 1), (1, 1))


@pytest.mark.parametrize(
    ("sanitizer", "precision", "setting"),
    [("asan", "fp32", ODD_SMALL), ("asan", "tf32", EVEN), ("tsan", "fp32", ODD_SMALL)],
)
def test_convolutions_touch_no_byte_beyond_an_array_and_no_number_before_it_is_there(sanitizer, precision, setting):
    outcome = run_sanitized(sanitizer, (convolutions, precision, setting, sanitizer == "tsan"), timeout=300)
    assert outcome.clean, outcome.output


# Plans ----------------------------------------------------------------------------------------------------------------


@given(settings(channels), st.integers(1, 3000))
def test_work_suffices_for_every_plan(setting, batch):
    (_, *image), kernel, stride, pad = setting
    for dX in (True, False):
        with run_on(Sized()):
            x, y, W = Sized.of(batch, *image), Sized.of(batch, *outputs(*setting)[1:]), Sized.of(*kernel)
            work = Sized.of(cuda.conv2d_work((batch, *image), kernel, stride, pad))
            for precision in ("fp32", "tf32"):
                b, c, how = Sized.of(kernel[3]), Sized.of(kernel[2]), {"precision": precision}
                cuda.conv2d_backward(y, x, W, x if dX else None, W, b, work, stride, pad, **how)
                cuda.conv_transpose2d_backward(x, y, W, y if dX else None, W, c, work, stride, pad, **how)


class Sized:
    """A place where nothing runs, on arrays that take no memory."""

    array = np.ndarray
    of = staticmethod(lambda *shape: np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, _contiguous(shape)))

    def address(self, array):
        return 0

    def build(self, file, expression):
        return lambda *_, **__: None


def _contiguous(shape):
    return tuple(4 * int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def test_tiles_are_no_wider_than_channels_make_use_of():
    columns = [fitting([(25088, channels, 512)], 4).tile.columns for channels in (1, 16, 17, 32, 64, 256)]
    assert columns == [16, 16, 32, 32, 64, 64]


@pytest.mark.parametrize("tile", NARROW.values(), ids=lambda tile: tile.name)
def test_python_and_cuda_agree_on_the_narrow_tile(tile):
    text = launch.source("convolution_tf32.cu" if tile.stages else "convolution_fma.cu")
    numbers = re.search(rf"using {tile.name} = \w+<([^;]*)>;", text)[1]
    BM, BN, BK, a, b, *stages = map(int, numbers.removeprefix("T, ").split(","))
    assert tile == (tile.name, BM, BN, BK, BM // a * (BN // b) * (32 if stages else 1), *(stages or [0]))


def test_a_forward_pass_is_one_launch_and_a_backward_pass_two():
    setting = (128, 28, 28, 32), (4, 4, 32, 64), (2, 2), (1, 1)
    x, y, W, b, c = (Sized.of(*shape) for shape in (setting[0], outputs(*setting), setting[1], (64,), (32,)))
    work, names = Sized.of(cuda.conv2d_work(*setting)), []

    class Noted(Sized):
        def build(self, file, expression):
            return lambda *_, **__: names.append(expression.split("<")[0])

    with run_on(Noted()):
        cuda.conv2d(x, W, b, y, work, *setting[2:])
        cuda.conv2d_backward(y, x, W, x, W, b, work, *setting[2:])
        cuda.conv_transpose2d(y, W, c, x, work, *setting[2:])
        cuda.conv_transpose2d_backward(x, y, W, y, W, c, work, *setting[2:])
    assert names == ["convolution", "convolution_backward", "sum_parts"] * 2


# What is refused ------------------------------------------------------------------------------------------------------

F4 = lambda *shape: np.zeros(shape, np.float32)


def conv(x, W, b, out, operation=cuda.conv2d):
    return operation(F4(*x), F4(*W), F4(b), F4(*out), F4(9))



@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv((2, 5, 5, 3), (3, 3, 3, 4), 4, (2, 3, 4, 4)), r"makes \(2, 3, 3, 4\) of images \(2, 5, 5, 3\)"),
        (lambda: conv((2, 3, 5, 5), (3, 3, 3, 4), 4, (2, 3, 3, 4)), r"W must be \(3, 3, 5, 4\), not \(3, 3, 3, 4\)"),
        (lambda: conv((5, 5, 3), (3, 3, 3, 4), 4, (2, 3, 3, 4)), "have four dimensions"),
        (lambda: conv((2, 3, 3, 4), (3, 3, 3, 4), 4, (2, 5, 5, 3), cuda.conv_transpose2d), r"b must be \(3,\), not \(4,\)"),
        (lambda: cuda.patches(F4(1, 4, 4, 2), F4(1, 3, 3, 3, 3, 2)), r"must be \(1, 2, 2, 3, 3, 2\), not \(1, 3, 3, 3, 3, 2\)"),
        (lambda: cuda.patches(F4(4, 4, 2), F4(1, 2, 2, 3, 3, 2)), "images .* and patches"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, message):
    with run_on(place := OnCpu()), pytest.raises(ShapeError, match=message):
        call()
    assert not place.launches


MANY = (128, 28, 28, 1), (4, 4, 1, 8), (2, 2), (1, 1)


def test_too_little_work_and_too_many_pixels_are_refused():
    with run_on(Sized()):
        with pytest.raises(ShapeError, match=r"work holds 7 numbers and must hold [\d,]+: see conv2d_work"):
            run(cuda, MANY, [F4(*shape) for shape in shapes(MANY)], np.float32, work=7)
        big, W, b = Sized.of(2**20, 64, 64, 1), Sized.of(1, 1, 1, 1), Sized.of(1)
        with pytest.raises(ShapeError, match="count rows and columns up to"):
            cuda.conv2d(big, W, b, big, Sized.of(9))


# Kernels with a mistake in them ---------------------------------------------------------------------------------------

MISTAKES = {
    "the row after the last is no padding": ("unsigned(row) < unsigned(H) &&", "unsigned(row) <= unsigned(H) &&"),
    "columns before the first are no padding": ("unsigned(column) < unsigned(W)", "column < W"),
    "the stride is taken for a dilation": ("s * y + i - p", "y + s * i - p"),
    "padding on the wrong side": ("t * x + j - q", "t * x + j + q"),
    "the last step of k goes on behind the last tap": ("if (k < k_end && outer < outer_end)", "if (outer < outer_end)"),
    "the kernel is not mirrored": ("s * (last_i - i) + a", "s * i + a"),
    "a kernel of no whole strides does not end": ("row < kh && column < kw", "true"),
    "padding of no whole strides is not left out": ("top(z.p % z.s)", "top(0)"),
    "the tree over lines forgets the middle one": ("(lines + 1) / 2 * across", "lines / 2 * across"),
    "the last stretch of outputs begins at the first": ("long long)place.split * taps * O", "long long)0 * taps * O"),
    "a quotient may be one too small": ("if (rest >= by) ++quotient, rest -= by;", ""),
}  # fmt: skip


class Spoiled(OnCpu):
    """These words stand in place of those in the kernels of convolution."""

    def __init__(self, words, instead):
        super().__init__()
        text, self.names = launch.source("convolution_fma.cu"), both("double", "Small", 1)
        assert text.count(words) == 1, words
        self.spoiled = CpuModule(text.replace(words, instead), name_expressions=self.names, options=("-O0",))

    def module(self, file, expression):
        return self.spoiled if expression in self.names else super().module(file, expression)


@pytest.mark.parametrize("mistake", [*MISTAKES, None])
def test_kernels_with_a_mistake_are_refused(mistake):
    """On sizes that leave each something to spoil: padding of no whole strides, three channels, 21 lines of threads …"""
    words, instead = MISTAKES.get(mistake, ("last_i - i", "last_i - i"))
    claim = partial(check, ODD, float, work=10**4, planner=tiled(TILES["fp32", 8][-1], 3))
    with run_on(Spoiled(words, instead)):
        if mistake is None:
            claim()
        else:
            with pytest.raises((AssertionError, MemoryFault, KernelFault)):
                claim()
