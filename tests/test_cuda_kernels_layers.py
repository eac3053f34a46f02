"""The kernels of layers other than dense ones and convolutions against their NumPy twins: both dtypes, odd shapes, all schedules.

Where a kernel takes the numbers in NumPy's order its results are compared bit for bit, else up to some roundings.
"""

import numpy as np
import pytest
from cuda_kernels_on_cpu import OnCpu
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import rng
from scratchvae.cuda_on_cpu import SCHEDULES, CpuModule, poison
from scratchvae.data import gather
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda import normalisation
from scratchvae.ops.cuda.launch import run_on, source

DTYPES = np.float32, np.float64
dtypes, schedules, seeds = st.sampled_from(DTYPES), st.sampled_from(SCHEDULES), st.integers(0, 9)
channels = st.sampled_from([1, 2, 3, 4, 7, 8, 33])
sides = st.integers(1, 7)
WHOLE = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]


def numbers(seed, *shape, dtype=np.float32):
    """Normal numbers, of which some are equal, and some large."""
    draw = np.random.default_rng(seed)
    values = draw.normal(0, 2, shape)
    values[draw.random(shape) < 0.3] = 1
    values[draw.random(shape) < 0.05] *= 20
    return values.astype(dtype)


def blank(*shape, dtype=np.float32):
    return poison(np.empty(shape, dtype))


def both(name, given, outs, dtype, schedule, *more, work=(), **options):
    """The operation in NumPy and in CUDA.   given: arrays · outs: shapes of the results · work: shapes of NumPy's scratch → two lists"""
    found = []
    for room in (twins, cuda):
        written = [blank(*shape, dtype=dtype) for shape in outs]
        scratch = [blank(*shape, dtype=dtype) for shape in work]
        with run_on(OnCpu(schedule)):
            getattr(room, name)(*given, *written, *([scratch] if len(scratch) > 1 else scratch), *more, **options)
        found.append(written)
    return found


def close(actual, expected, roundings, floor=1.0):
    """Equal up to so many roundings of the expected number, or of `floor` where terms of that size were added up."""
    eps = roundings * np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=eps, atol=eps * floor)


# Pooling and upsampling ----------------------------------------------------------------------------------------------


@given(
    st.integers(1, 3), sides, sides, channels, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), dtypes,
    schedules, seeds,
)  # fmt: skip
def test_pooling_has_numpys_bits_where_windows_overlap_leave_gaps_and_end_before_the_edge(
    B, H, W, C, kh, kw, s, t, dtype, schedule, seed
):
    H, W = H + kh - 1, W + kw - 1
    x, small = numbers(seed, B, H, W, C, dtype=dtype), (B, (H - kh) // s + 1, (W - kw) // t + 1, C)
    dY, how = numbers(seed + 1, *small, dtype=dtype), {"size": (kh, kw), "stride": (s, t)}
    (y,), (theirs,) = both("max_pool", [x], [small], dtype, schedule, **how)
    np.testing.assert_array_equal(theirs, y)
    for name, given_, out, work in (
        ("max_pool_backward", [dY, x, y], x.shape, [small, small]), ("average_pool", [x], small, []),
        ("average_pool_backward", [dY], x.shape, [small]),
    ):  # fmt: skip
        (mine,), (theirs,) = both(name, given_, [out], dtype, schedule, work=work, **how)
        np.testing.assert_array_equal(theirs, mine, err_msg=name)


def test_a_nan_is_the_largest_number_of_its_window():
    x = np.array([1, np.nan, 3, 4, 5, 6, 7, 8], np.float32).reshape(1, 2, 4, 1)
    (y,), (theirs,) = both("max_pool", [x], [(1, 1, 2, 1)], np.float32, "forward")
    np.testing.assert_array_equal(theirs, y)
    assert np.isnan(theirs[0, 0, 0, 0])


@given(st.integers(1, 3), sides, sides, channels, st.integers(1, 4), st.integers(1, 4), dtypes, schedules, seeds)
def test_upsampling_equals_its_twins_for_every_factor(B, H, W, C, f, g, dtype, schedule, seed):
    x, large, tall = numbers(seed, B, H, W, C, dtype=dtype), (B, f * H, g * W, C), [(B, f * H, W, C)] * 2
    dY = numbers(seed + 1, *large, dtype=dtype)
    for given_, name, out in (([x], "upsample_nearest", large), ([dY], "upsample_nearest_backward", x.shape)):
        (mine,), (theirs,) = both(name, given_, [out], dtype, schedule)
        np.testing.assert_array_equal(theirs, mine, err_msg=name)
    (mine,), (theirs,) = both("upsample_bilinear", [x], [large], dtype, schedule, work=tall)
    close(theirs, mine, 8, np.abs(x).max())
    (mine,), (theirs,) = both("upsample_bilinear_backward", [dY], [x.shape], dtype, schedule, work=tall)
    close(theirs, mine, 8, 4 * f * g * np.abs(dY).max())


# Normalisation -------------------------------------------------------------------------------------------------------

VIEWS = {  # kind: (R, P, G, D), with few and with many pixels, with narrow and with wide accesses
    "layer": [(5, 1, 1, 7), (1200, 1, 1, 4), (3, 1, 1, 300), (4, 1, 1, 1)],
    "group": [(3, 9, 2, 3), (2, 70, 4, 2), (5, 33, 1, 16), (1, 400, 3, 1), (2, 2, 2, 1)],
    "batch": [(1, 40, 5, 1), (1, 500, 8, 1), (1, 333, 40, 1), (1, 6, 3, 1), (1, 1, 2, 1)],
}
CASES = [(kind, view) for kind, views in VIEWS.items() for view in views]


def normalised(view, seed, dtype):
    """x around 300, where E x² − mean² would lose five digits, dY, scale, shift."""
    x = (np.random.default_rng(seed).normal(300, 2, view)).astype(dtype)
    return x, numbers(seed + 1, *view, dtype=dtype), *(numbers(seed + k, *view[2:], dtype=dtype) for k in (2, 3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "view"), CASES)
def test_normalisation_equals_its_twin_whatever_the_view(kind, view, dtype):
    (R, P, G, D), n = view, view[1] * view[3]
    x, dY, scale, shift = normalised(view, 1, dtype)
    wide = [array.astype(np.float64) for array in (x, dY, scale, shift)]
    exact = [blank(*shape, dtype=np.float64) for shape in (view, view, (R, G), (R, G))]
    twins.normalise(wide[0], *wide[2:], *exact)
    results = []
    for schedule in SCHEDULES:
        with run_on(OnCpu(schedule, 3)):
            y, xhat, dX, work = (blank(*view, dtype=dtype) for _ in range(4))
            mean, rstd, dscale, dshift = (blank(*shape, dtype=dtype) for shape in ((R, G), (R, G), (G, D), (G, D)))
            assert cuda.normalise(x, scale, shift, y, xhat, mean, rstd) is y
            assert cuda.normalise_backward(dY, xhat, rstd, scale, dX, dscale, dshift, work) is dX
        results.append([y, xhat, mean, rstd, dX, dscale, dshift])
    for other in results[1:]:
        for array, first in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(array, first)
    close(mean, exact[2], 8)
    if n > 1:  # x̂ has the rounding of a mean of 300 over σ; of one number there is no σ
        off = 300 * exact[3].max() * np.abs(exact[1]).max()
        (
            close(xhat, exact[1], 8, off),
            close(y, exact[0], 8, off * np.abs(scale).max()),
            close(rstd, exact[3], 16, off * exact[3].max()),
        )
    expected = [blank(*shape, dtype=np.float64) for shape in (view, (G, D), (G, D), view)]
    twins.normalise_backward(wide[1], xhat.astype(np.float64), rstd.astype(np.float64), wide[2], *expected)
    blame = np.abs(dY).max() * (1 + np.abs(xhat).max())
    terms = 8 + R * P / 32  # roundings of a sum of many terms, each lane's in a row
    close(dX, expected[0], 16, blame * np.abs(scale).max() * (1 + np.abs(xhat).max()) * rstd.max())
    close(dscale, expected[1], terms, blame), close(dshift, expected[2], terms, blame)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("view", [*VIEWS["batch"], (3, 20, 2, 4)], ids=str)
def test_normalisation_in_use_equals_its_twin(view, dtype):
    x, dY, scale, shift = normalised(view, 5, dtype)
    mean, rstd = (shift + 300).astype(dtype), np.abs(scale) + dtype(0.5)
    given_, channels_ = [x, mean, rstd, scale, shift], view[2:]
    for schedule in SCHEDULES:
        mine, theirs = both("standardise", given_, [view, view], dtype, schedule)
        for a, b in zip(theirs, mine, strict=True):
            np.testing.assert_array_equal(a, b)
        mine, theirs = both(
            "standardise_backward", [dY, mine[1], rstd, scale], [view, channels_, channels_], dtype, schedule
        )
        close(theirs[0], mine[0], 4)
        floor = np.abs(dY).max() * np.abs(x - mean).max() * rstd.max()
        close(theirs[1], mine[1], 16, floor), close(theirs[2], mine[2], 16, floor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_follow_as_numpys_do(dtype):
    given_ = [np.abs(numbers(k, 37, dtype=dtype)) + dtype(0.5) for k in range(4)]
    for mine, theirs in zip(*both("follow", [*given_, 0.07], [(37,), (37,)], dtype, "random"), strict=True):
        np.testing.assert_array_equal(theirs, mine)


def test_norms_take_few_launches_and_stretches_give_blocks_enough():
    first, then, back = "channel_moments", ["group_moments", "standardise"], ["group_sums", "group_sums", "standardise_backward"]
    expected = {
        (300, 1, 1, 8): [*then, *back],
        (2000, 1, 1, 8): [*then, "channel_sums", *back],  # each channel's sum has 2,000 terms
        (2, 500, 2, 4): [first, *then, "channel_sums", *back],
    }
    for view, launches in expected.items():
        with run_on(place := OnCpu()):
            x, y, xhat, dX, work = (np.ones(view, np.float32) for _ in range(5))
            mean, rstd, scale, shift = *(np.ones(view[::2], np.float32) for _ in "ab"), *(np.ones(view[2:], np.float32) for _ in "ab")
            cuda.normalise(x, scale, shift, y, xhat, mean, rstd)
            cuda.normalise_backward(x, xhat, rstd, scale, dX, *(np.ones(view[2:], np.float32) for _ in "ab"), work)
        assert [name.split("<")[0] for name in place.launches] == launches
    grids = []
    with pytest.MonkeyPatch.context() as patch, run_on(OnCpu()):
        patch.setattr(normalisation, "launch", lambda file, name, grid, *rest: grids.append(grid[0]))
        for R, P, C in ((1, 100_352, 64), (128, 784, 32), (1, 48, 8)):
            _, _, S = normalisation._stretches(
                "channel_sums", np.dtype(np.float32), (), R, P, C, np.empty(R * P * C // 8, np.float32)
            )
            assert S <= P // 16
    assert grids == [2 * 132, 3 * 128, 3]


# Whole numbers -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 70), st.integers(1, 9), channels, st.sampled_from(WHOLE), dtypes, schedules, seeds)
def test_embedding_and_one_hot_have_numpys_bits_for_every_kind_of_whole_number(N, V, D, kind, dtype, schedule, seed):
    rows = np.random.default_rng(seed).integers(0, V, (N, 2)).astype(kind)
    W, dY = numbers(seed, V, D, dtype=dtype), numbers(seed + 1, N, 2, D, dtype=dtype)
    for name, given_, out in (("embedding", [rows, W], dY.shape), ("one_hot", [rows], (N, 2, V))):
        (mine,), (theirs,) = both(name, given_, [out], dtype, schedule)
        np.testing.assert_array_equal(theirs, mine)
    (mine,), (theirs,) = both("embedding_backward", [dY, rows], [W.shape], dtype, schedule)
    close(theirs, mine, 8, np.abs(dY).sum(axis=(0, 1)).max())


@given(
    st.integers(1, 4),
    st.sampled_from([1, 5, 300]),
    st.integers(1, 12),
    st.sampled_from(WHOLE),
    dtypes,
    schedules,
    seeds,
)
def test_the_categorical_likelihood_equals_its_twin(B, P, K, kind, dtype, schedule, seed):
    logits, labels = (
        numbers(seed, B, P, K, dtype=dtype),
        np.random.default_rng(seed).integers(0, K, (B, P)).astype(kind),
    )
    mine, theirs = both(
        "categorical_nll", [logits, labels], [(B,), logits.shape], dtype, schedule, work=[(B, P), (B, P)]
    )
    close(theirs[0], mine[0], 16, P * np.abs(logits).max()), close(theirs[1], mine[1], 16)
    (da,), (dtheirs,) = both(
        "categorical_nll_backward", [numbers(seed, B, dtype=dtype), mine[1], labels], [logits.shape], dtype, schedule
    )
    np.testing.assert_array_equal(dtheirs, da)


def watched(file, expression):
    """The kernel in a build that reports an access outside of every array."""
    return CpuModule(source(file), name_expressions=[expression], sanitizer="races").get_function(expression)


def test_a_row_or_a_class_that_does_not_exist_makes_nan_and_reads_nothing():
    rows, W, out = np.array([0, -1, 2, 1]), np.ones((2, 3), np.float32), blank(4, 3)
    with run_on(OnCpu()):
        cuda.embedding(rows, W, out)
        np.testing.assert_array_equal(np.isnan(out), np.array([0, 1, 1, 0], bool)[:, None] | np.zeros((4, 3), bool))
        nll, p = blank(3), blank(3, 1, 2)
        cuda.categorical_nll(np.zeros((3, 1, 2), np.float32), np.array([[1], [2], [255]], np.uint8), nll, p)
    np.testing.assert_array_equal(np.isnan(nll), [False, True, True])
    assert not np.isnan(p).any()
    table, one = watched("categorical.cu", "embedding<float, 1>"), np.uint32(1)
    for kind in (np.int8, np.int16, np.int32, np.int64):  # −2 without its sign is a row of this table, in two of them
        rows, W, out = np.array([-2, 3], kind), np.ones((70_000, 1), np.float32), blank(2, 1)
        table((1,), (32,), (rows, np.int32(-rows.itemsize), W, np.int64(len(W)), out, np.int64(2), np.int32(1)))
        np.testing.assert_array_equal(np.isnan(out[:, 0]), [True, False])
    out, order = np.zeros((3, 1), np.uint32), np.array([-2, 1, 2])
    words = np.arange(2, dtype=np.uint32)[:, None], np.int64(2), np.int32(1), order, None, 0 * one, np.int32(3), out, np.int32(3)
    watched("gather.cu", "gather_words<unsigned>")((1,), (32,), words)
    np.testing.assert_array_equal(out[:, 0], [2**32 - 1, 1, 2**32 - 1])


@given(
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([*WHOLE, bool, np.float32, np.float64]),
    schedules,
    seeds,
)
def test_fields_are_gathered_as_they_are(N, B, D, kind, schedule, seed):
    draw = np.random.default_rng(seed)
    array, rows = draw.integers(0, 2, (N, D)).astype(kind), draw.integers(0, N, B)
    out = np.zeros((B, D), kind)
    with run_on(OnCpu(schedule)):
        cuda.gather(array, rows, out)
        np.testing.assert_array_equal(out, gather(array, rows, np.empty((B, D), kind)))
        cuda.gather(
            array, np.array([N, -1]), blank(2, D, dtype=kind) if kind is not bool else (out := np.zeros((2, D), bool))
        )
    assert kind is not bool or out.all()


# Joining, dropout, heat maps -----------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 3), channels, channels, dtypes, schedules, seeds)
def test_joining_has_numpys_bits(N, M, C, D, dtype, schedule, seed):
    a, b = numbers(seed, N, M, C, dtype=dtype), numbers(seed, N, M, D, dtype=dtype)
    (mine,), (theirs,) = both("concat", [a, b], [(N, M, C + D)], dtype, schedule)
    np.testing.assert_array_equal(theirs, mine)
    for part, expected in zip(
        both("concat_backward", [mine], [a.shape, b.shape], dtype, schedule)[1], (a, b), strict=True
    ):
        np.testing.assert_array_equal(part, expected)
    (mine,), (theirs,) = both("plus", [a, -a * dtype(3)], [a.shape], dtype, schedule)
    np.testing.assert_array_equal(theirs, mine)


@given(
    st.integers(1, 9),
    st.integers(1, 21),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 10),
    st.booleans(),
    dtypes,
    schedules,
)
def test_masks_are_numpys_bit_for_bit(rows, columns, seed, first, on_device, dtype, schedule):
    u, stream, step = blank(rows, columns, dtype=dtype), rng.DROPOUT + 3, 2**32 - 1
    with run_on(OnCpu(schedule)):
        cuda.uniform(u, seed, stream, np.array([step], np.uint32) if on_device else step, first)
    np.testing.assert_array_equal(u, rng.uniform(seed, stream, step, first + np.arange(rows), columns, dtype))
    x = numbers(1, rows, columns, dtype=dtype)
    u[0, 0] = 0.3  # which is kept
    for rate in (0, 0.3, 0.99):
        for name in ("dropout", "dropout_backward"):
            (mine,), (theirs,) = both(name, [x, u], [x.shape], dtype, schedule, rate)
            np.testing.assert_array_equal(theirs, mine)


@given(
    st.integers(1, 4),
    sides,
    sides,
    st.integers(1, 5),
    st.sampled_from([1, 2, 3]),
    st.booleans(),
    dtypes,
    schedules,
    seeds,
)
def test_heat_maps_and_their_peaks_equal_their_twins(B, H, W, J, stride, seen, dtype, schedule, seed):
    draw = np.random.default_rng(seed)
    points = (draw.uniform(-1, 8, (B, J, 2)) * stride).astype(dtype)
    visible = draw.random((B, J)) < 0.7 if seen else None
    (mine,), (theirs,) = both("heat_maps", [points, 1.3], [(B, H, W, J)], dtype, schedule, visible, stride)
    close(theirs, mine, 32)  # (x − x_w)²/2σ² up to 40 is off by some roundings of itself, e^−40 of which are nothing
    maps = numbers(seed, B, H, W, J, dtype=dtype)  # with places that are equally high
    out, expected = blank(B, J, 2, dtype=np.float64), np.empty((B, J, 2))
    with run_on(OnCpu(schedule)):
        cuda.peaks(maps, out)
    np.testing.assert_array_equal(out, twins.peaks(maps, expected))


# A mistake -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True], ids=["as it is", "without its barrier"])
def test_a_missing_barrier_in_the_sums_of_a_norm_is_seen_in_some_order_of_threads(missing):
    text, line = source("normalisation.cu"), "    __syncthreads(); // the level before is written\n"
    assert text.count(line) == 1
    module = CpuModule(text.replace(line, "") if missing else text, name_expressions=["channel_moments<float>"])
    x, right = numbers(0, 1, 300, 5), []
    for schedule in SCHEDULES:
        module.set_schedule(schedule, seed=1)
        means, squares = blank(1, 2, 5), blank(1, 2, 5)
        arguments = x, means, squares, *map(np.int32, (300, 5, 2, 5))
        module.get_function("channel_moments<float>")((2,), (256,), arguments)
        right.append(np.allclose(means, x.reshape(1, 2, 150, 5).mean(axis=2), rtol=1e-4, atol=1e-5))
    assert all(right) != missing
