"""Dense layers on CUDA: every tile, width, precision, activation and split against NumPy; and the ladder's rungs."""

import re
from math import ceil

import numpy as np
import pytest
from cuda_kernels_on_cpu import ACTIVATIONS, OnCpu
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchvae.cuda_on_cpu import SCHEDULES, poison
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda import ladder, launch
from scratchvae.ops.cuda.launch import run_on
from scratchvae.ops.cuda.tiling import TILES, Plan, Scratch, plan, scratch_size

EVERY_TILE = [(precision, itemsize, tile) for (precision, itemsize), tiles in TILES.items() for tile in tiles]
FP32_SMALL, TF32_SMALL = TILES["fp32", 4][-1], TILES["tf32", 4][-1]
widths = st.one_of(st.integers(1, 40), st.sampled_from([64, 68, 132]))
schedules = st.sampled_from(SCHEDULES)


def with_tile(tile, splits=1):
    """A planner that takes this tile, and splits k so often."""
    return lambda products, itemsize, precision, split: Plan(tile, (splits,) * len(products))


def scratch(dtype, tiles=64, splits=16):
    return Scratch(poison(np.empty(tiles * splits * (32 * 32 + 128), dtype)), np.zeros(tiles, np.uint32))


def layer(seed, B, I, O, dtype):  # noqa: E741
    generator = np.random.default_rng(seed)
    return [generator.normal(0, 1, shape).astype(dtype) for shape in ((B, I), (I, O), (O,), (B, O))]


def blank(shape, dtype):
    return poison(np.empty(shape, dtype))


def close(actual, terms, expected, precision="fp32"):
    """Equal up to the roundings of a sum: as many as its terms, each of the size of the largest partial sum of |products|.

    TF32 keeps 11 significant bits, so each product is off by at most 2 · 2⁻¹¹ of itself; the sums are FP32.
    """
    eps = 2.0**-10 if precision == "tf32" else np.finfo(actual.dtype).eps * (2 + np.sqrt(terms.k))
    assert np.all(np.abs(actual - expected) <= eps * terms.size + 1e-300)


class Terms:
    """How large the sum of |products| is for each number of the result, and how many there are."""

    def __init__(self, a, b, extra=0):
        self.size, self.k = np.abs(a).astype(np.float64) @ np.abs(b) + np.abs(extra), a.shape[1]


def run_layer(x, W, b, dY, how):
    """Forward and backward, with no activation: pre, y, dX, dW, db."""
    dtype, (B, I), O = x.dtype, x.shape, W.shape[1]  # noqa: E741
    pre, y, dX, dW, db = (blank(shape, dtype) for shape in ((B, O), (B, O), (B, I), (I, O), (O,)))
    cuda.dense(x, W, b, y, "none", pre, **how)
    cuda.dense_backward(dY, x, W, dX, dW, db, **how)
    return pre, y, dX, dW, db


def check_layer(x, W, b, dY, how):
    precision = how.get("precision", "fp32")
    pre, y, dX, dW, db = run_layer(x, W, b, dY, how)
    wide = [a.astype(np.float64) for a in (x, W, b, dY)]
    x0, W0, b0, dY0 = wide
    np.testing.assert_array_equal(pre, y)
    close(y, Terms(x0, W0, b0), x0 @ W0 + b0, precision)
    close(dX, Terms(dY0, W0.T), dY0 @ W0.T, precision)
    close(dW, Terms(x0.T, dY0), x0.T @ dY0, precision)
    close(db, Terms(np.ones((1, len(dY))), dY0), dY0.sum(axis=0))  # in full precision, also beside tensor cores


@pytest.mark.parametrize(("precision", "itemsize", "tile"), EVERY_TILE, ids=lambda value: getattr(value, "name", value))
@settings(max_examples=8)
@given(B=widths, I=widths, O=widths, schedule=schedules, seed=st.integers(0, 9))
def test_every_tile_computes_the_three_products(precision, itemsize, tile, B, I, O, schedule, seed):  # noqa: E741
    with run_on(OnCpu(schedule)):
        check_layer(*layer(seed, B, I, O, f"f{itemsize}"), {"precision": precision, "planner": with_tile(tile)})


@pytest.mark.parametrize(("precision", "itemsize", "tile"), EVERY_TILE, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("sizes", [(132, 8, 136), (3, 132, 7), (1, 1, 1), (0, 4, 4), (130, 20, 4)])
def test_tiles_with_full_and_ragged_edges(precision, itemsize, tile, sizes):
    with run_on(OnCpu()):
        check_layer(*layer(1, *sizes, f"f{itemsize}"), {"precision": precision, "planner": with_tile(tile)})


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
@settings(max_examples=12)
@given(B=widths, I=widths, O=widths, splits=st.integers(2, 5), double=st.booleans(), schedule=schedules)
def test_split_k_adds_all_parts_and_returns_its_tickets(precision, B, I, O, splits, double, schedule):  # noqa: E741
    dtype = np.float64 if double and precision == "fp32" else np.float32
    space = scratch(dtype)
    how = {"precision": precision, "scratch": space, "planner": with_tile(TILES[precision, np.dtype(dtype).itemsize][-1], splits)}
    with run_on(OnCpu(schedule)):
        check_layer(*layer(2, B, I, O, dtype), how)
    assert not space.tickets.any()


@pytest.mark.parametrize("activation", [act.lower() for act in ACTIVATIONS[1:]])
@settings(max_examples=8)
@given(B=st.integers(1, 9), I=widths, O=widths, dtype=st.sampled_from([np.float32, np.float64]), tf32=st.booleans())
def test_a_fused_layer_is_affine_and_activation_one_after_the_other(activation, B, I, O, dtype, tf32):  # noqa: E741
    how = {"precision": "tf32" if tf32 and dtype == np.float32 else "fp32"}
    before, W, b, dY = layer(3, B, I, O, dtype)
    act, act_backward = getattr(twins, activation), getattr(twins, f"{activation}_backward")
    x = act(before, np.empty_like(before), np.empty_like(before))  # what the layer below made
    pre, y, dX, dX_alone, dW, dW_alone, db = (blank(a.shape, dtype) for a in (dY, dY, x, x, W, W, b))
    with run_on(OnCpu()):
        cuda.dense(x, W, b, y, activation, pre, **how)
        cuda.dense_backward(dY, x, W, dX, dW, db, activation, before if activation in ("gelu", "silu") else None, **how)
        cuda.affine_backward(dY, x, W, dX_alone, dW_alone, db, **how)
    expected_y, expected_dX = np.empty_like(y), np.empty_like(x)
    act(pre, expected_y, np.empty_like(y))
    act_backward(dX_alone, before, x, expected_dX, np.empty_like(x))
    eps = 32 * np.finfo(dtype).eps  # a few roundings of exp or tanh, and the formula's own
    np.testing.assert_allclose(y, expected_y, rtol=eps, atol=eps * np.abs(pre).max())
    np.testing.assert_allclose(dX, expected_dX, rtol=eps, atol=eps * np.abs(dX_alone).max())
    np.testing.assert_array_equal(dW, dW_alone)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_a_layer_repeats_bit_for_bit_in_any_order_of_threads_and_blocks(precision):
    results = []
    for schedule, seed in [("forward", 0), ("forward", 0), ("reverse", 0), ("random", 1), ("random", 2)]:
        how = {"precision": precision, "scratch": scratch(np.float32)}
        with run_on(OnCpu(schedule, seed)):
            results.append(b"".join(a.tobytes() for a in run_layer(*layer(4, 33, 300, 37, np.float32), how)))
    assert len(set(results)) == 1


@pytest.mark.parametrize("way", ["affine", "affine_backward"])
def test_with_a_scratch_each_way_splits_what_it_adds_over(way):
    asked = []

    def planner(products, itemsize, precision, split):
        asked.append(split)
        return plan(products, itemsize, precision, split)

    x, W, b, dY = layer(6, 8, 9, 7, np.float32)
    arrays = (x, W, b, blank((8, 7), x.dtype)) if way == "affine" else (dY, x, W, *(blank(a.shape, a.dtype) for a in (x, W, b)))
    with run_on(OnCpu()):
        for space in (None, scratch(np.float32)):
            getattr(cuda, way)(*arrays, scratch=space, planner=planner)
    assert asked == [False, True]


def test_a_row_does_not_depend_on_the_rows_beside_it():
    x, W, b, dY = layer(5, 40, 50, 20, np.float32)
    with run_on(OnCpu()):
        _, whole, dX, *_ = run_layer(x, W, b, dY, {})
        _, part, dX_part, *_ = run_layer(x[35:], W, b, dY[35:], {})
    np.testing.assert_array_equal(whole[35:], part)
    np.testing.assert_array_equal(dX[35:], dX_part)


def test_infinities_and_nans_stay_in_their_row():
    x, W, b, _ = layer(6, 5, 40, 8, np.float32)
    x[1, 3], x[2, 39] = np.inf, np.nan
    for precision in ("fp32", "tf32"):
        y = blank((5, 8), np.float32)
        with run_on(OnCpu()):
            cuda.affine(x, W, b, y, precision=precision)
        assert np.isfinite(y[[0, 3, 4]]).all()
        assert not np.isfinite(y[[1, 2]]).any()


# What Python knows of the tiles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "itemsize", "tile"), EVERY_TILE, ids=lambda value: getattr(value, "name", value))
def test_python_and_cuda_agree_on_the_tiles(precision, itemsize, tile):
    text = launch.source("affine_tf32.cu" if tile.stages else "affine_fma.cu")
    numbers = re.search(rf"using {tile.name} = \w+<([^;]*)>;", text)[1].replace("128 / sizeof(T)", str(128 // itemsize))
    BM, BN, BK, a, b, *stages = map(int, numbers.removeprefix("T, ").split(","))
    threads = BM // a * (BN // b) * (32 if stages else 1)
    assert tile == (tile.name, BM, BN, BK, threads, *(stages or [0]))


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([("fp32", 4), ("fp32", 8), ("tf32", 4)]))
def test_plans_split_no_more_than_there_is_and_their_scratch_suffices(rows, inputs, outputs, kind):
    precision, itemsize = kind
    partials, tickets = scratch_size(rows, inputs, outputs, itemsize, precision)
    forward, dW, dX = (rows, outputs, inputs), (inputs, outputs, rows), (rows, inputs, outputs)
    for products in ([forward], [dW, dX], [dW]):
        p = plan(products, itemsize, precision)
        for splits, (_, _, k) in zip(p.splits, products, strict=True):
            assert 1 <= splits <= ceil(k / p.tile.k)
        assert p.scratch(products)[0] <= partials
        assert p.scratch(products)[1] <= tickets
        assert plan(products, itemsize, precision, split=False).scratch(products) == (0, 0)


def test_the_tutorial_model_fills_the_multiprocessors():
    dW, dX = (400, 784, 128), (128, 400, 784)
    for products in ([(128, 400, 784)], [(128, 784, 400)], [(784, 400, 128)], [dW, dX]):
        assert plan(products, 4).blocks(products) >= 132


# The ladder --------------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(M=widths, K=widths, N=widths, dtype=st.sampled_from([np.float32, np.float64]), schedule=schedules)
def test_every_rung_of_the_ladder_gives_the_same_product(M, K, N, dtype, schedule):
    A, B, *_ = layer(7, M, K, N, dtype)
    expected, terms = A.astype(np.float64) @ B, Terms(A, B)
    with run_on(OnCpu(schedule)):
        for rung in ladder.RUNGS:
            if rung == "tensor_cores" and dtype == np.float64:
                continue
            C = blank((M, N), dtype)
            ladder.matmul(A, B, C, rung)
            close(C, terms, expected, "tf32" if rung == "tensor_cores" else "fp32")


def test_the_rungs_below_the_tensor_cores_add_in_the_same_order():
    """So what one of them gains in speed it gains without changing a bit.

    Products of float32 numbers are exact in float64: a sum then has the same bits whether or not the compiler fuses it with them,
    and only the order tells.
    """
    A, B = (array.astype(np.float64) for array in layer(8, 70, 90, 65, np.float32)[:2])
    results = []
    with run_on(OnCpu()):
        for rung in ("naive", "shared_tiles", "register_tiles", "double_buffered"):
            C = blank((70, 65), np.float64)
            results.append(ladder.matmul(A, B, C, rung).tobytes())
    assert len(set(results)) == 1
