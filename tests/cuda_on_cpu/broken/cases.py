"""One launch for each kernel in this folder, compared with its NumPy twin. -DBROKEN makes the broken ones."""

from pathlib import Path

import numpy as np

from scratchvae.cuda_on_cpu import SCHEDULES, CpuModule, poison

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.cu"))

rng = np.random.default_rng(0)
i32, f32 = np.int32, np.float32


def module(broken, sanitizer="inherit"):
    """All kernels of this folder in one library: right, or broken."""
    code = "\n".join(f'#include "{name}.cu"' for name in NAMES)
    return CpuModule(code, include_dirs=[FOLDER], options=["-DBROKEN"] if broken else [], sanitizer=sanitizer)


def check(kernels, name):
    """Launches the kernel of `name`.cu and raises if its result is not its twin's."""
    got, expected = globals()[name](kernels)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, equal_nan=False, err_msg=name)


def run_all(broken):
    """For a sanitised process: every kernel in turn, each announced; what it raises is printed and the next one follows."""
    kernels = module(broken)
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        for schedule in SCHEDULES:
            kernels.set_schedule(schedule)
            try:
                check(kernels, name)
            except Exception as error:
                if not broken:
                    raise
                print(f"{schedule}: {type(error).__name__}", flush=True)


def values(*shape):
    return rng.normal(size=shape).astype(f32)


def result(*shape):
    return poison(np.empty(shape, f32))


def missing_sync(kernels):
    x, out = values(16, 16), result(16, 16)
    kernels.get_function("transpose")((2, 2), (8, 8), (x, out, i32(16)))
    return out, x.T


def reused_buffer(kernels):
    x, out = values(32, 8), result(8, 8)
    kernels.get_function("column_sums")((1,), (8, 8), (x, out, i32(32)))
    return out, x.reshape(4, 8, 8).sum(0)


def off_by_one(kernels):
    x = values(50)
    expected = 2 * x
    kernels.get_function("twice")((2,), (32,), (x, i32(50)))
    return x, expected


def wrong_stride(kernels):
    X, W, Y = values(5, 7), values(7, 6), result(5, 6)
    kernels.get_function("product")((1, 1), (8, 8), (X, W, Y, i32(5), i32(7), i32(6)))
    return Y, X @ W


def misaligned_load(kernels):
    x, out = values(6, 9), result(6)
    kernels.get_function("row_sums")((1,), (32,), (x, out, i32(6), i32(9)))
    return out, x.sum(1)


def atomics_race(kernels):
    drawn = rng.integers(0, 8, size=100, dtype=np.int32)
    counts = np.zeros(8, np.int32)
    kernels.get_function("histogram")((4,), (32,), (drawn, counts, i32(100)))
    return counts, np.bincount(drawn, minlength=8)


def divergent_barrier(kernels):
    x, out = values(40), result(40)
    kernels.get_function("reverse_blocks")((2,), (32,), (x, out, i32(40)))
    return out, np.concatenate([x[31::-1], x[:31:-1]])


def unwritten_output(kernels):
    x, out = values(30), result(30)
    kernels.get_function("copy_by_four")((1,), (32,), (x, out, i32(30)))
    return out, x


def uninitialised_sum(kernels):
    x, out = values(5, 20), result(20)
    kernels.get_function("columns_summed")((1,), (32,), (x, out, i32(5), i32(20)))
    return out, x.sum(0)


def missing_syncwarp(kernels):
    x, out = values(64), result(64)
    kernels.get_function("shift_lanes")((2,), (32,), (x, out))
    expected = x.reshape(2, 32).copy()
    expected[:, 1:], expected[:, 0] = x.reshape(2, 32)[:, :-1], 0
    return out, expected.reshape(64)


def shuffle_after_exit(kernels):
    x, out = values(20), result(1)
    kernels.get_function("warp_sum")((1,), (32,), (x, out, i32(20)))
    return out, x.sum(keepdims=True)


def missing_fence(kernels):
    x, parts, arrived, out = values(40), result(4), np.zeros(1, np.uint32), result(1)
    kernels.get_function("grid_sum")((4,), (32,), (x, parts, arrived, out, i32(40)))
    return out, x.sum(keepdims=True)


def missing_fence_before_barrier(kernels):
    x, parts, arrived, out = values(100), result(64), np.zeros(1, np.uint32), result(1)
    kernels.get_function("grid_sum_of_threads")((2,), (32,), (x, parts, arrived, out, i32(100)))
    return out, x.sum(keepdims=True)


def missing_wait(kernels):
    x, out = values(128), result(128)
    kernels.get_function("through_shared")((1,), (32,), (x, out))
    return out, x


def fragment_layout(kernels):
    A, B, b, Y = (rng.integers(-4, 5, shape).astype(f32) for shape in ((16, 8), (8, 16), (16,), (16, 16)))
    kernels.get_function("biased_product")((1,), (32,), (A, B, b, poison(Y)))
    return Y, A @ B + b  # small integers: exact in TF32


def shared_overrun(kernels):
    x, out = values(32), result(32)
    kernels.get_function("differences")((1,), (32,), (x, out, i32(32)), shared_mem=4 * 33)
    return out, np.diff(x, prepend=f32(0))


def shared_row_overrun(kernels):
    x, out = values(8, 8), result(8, 8)
    kernels.get_function("rotate_rows")((1,), (8, 8), (x, out))
    return out, np.roll(x, -1, axis=1)


def missing_sync_in_tree(kernels):
    x, out = values(100, 8), result(8)
    kernels.get_function("column_means")((1,), (8, 16), (x, out, i32(100)))
    return out, x.mean(0)


def window_edge(kernels):
    x, out = values(5, 5), result(3, 3)
    x[:, 0] += 9  # what stands behind the edge is larger
    kernels.get_function("largest")((1,), (3, 3), (x, out, i32(5)))
    padded = np.pad(x, (0, 1), constant_values=-np.inf)
    return out, padded.reshape(3, 2, 3, 2).max(axis=(1, 3))


def mask_by_thread(kernels):
    x, out = values(90), result(90)
    kernels.get_function("leave_out")((3,), (32,), (x, out, i32(90)))
    return out, np.where(np.arange(90, dtype=np.uint32) * np.uint32(0x9E3779B9) >> 31, 0, x)
