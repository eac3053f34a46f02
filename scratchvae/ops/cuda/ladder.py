"""The ladder of matrix products (kernels/ladder.cu), for study and for the benchmark: C = A B on each rung."""

from math import ceil
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError, ShapeError
from .check import check
from .launch import C_NAMES, int32, launch, width
from .tiling import TILES, shared_bytes


class Rung(NamedTuple):
    """idea: what it gains · side: of the square of C that a block computes · threads: of a block

    tile: the (rows, columns) of C for which a number is fetched from memory · own: those for which it is fetched from shared
    memory, by one thread, or on the tensor cores by one warp; None where shared memory is not used.
    """

    idea: str
    side: int
    threads: tuple[int, ...]
    tile: tuple[int, int]
    own: tuple[int, int] | None


RUNGS = {
    "naive": Rung("one thread per number, straight from the formula", 16, (16, 16), (1, 1), None),
    "shared_tiles": Rung("each number fetched serves 16 threads", 16, (16, 16), (16, 16), (1, 1)),
    "register_tiles": Rung("8 numbers out of shared memory serve 16 products", 64, (256,), (64, 64), (4, 4)),
    "double_buffered": Rung("16 bytes per access, and the next loads overlap the products", 64, (256,), (64, 64), (4, 4)),
    "tensor_cores": Rung("a warp multiplies 16 x 8 by 8 at once, in TF32", 128, (256,), (128, 128), (64, 32)),
}


def numbers_asked(rung):
    """(of memory, of shared memory) per multiplication: 1 / rows + 1 / columns of the rectangle of C that they serve."""
    return tuple(0 if part is None else 1 / part[0] + 1 / part[1] for part in (RUNGS[rung].tile, RUNGS[rung].own))


def matmul(A, B, C, rung):
    """C = A B.   A (M, K) · B (K, N) → C (M, N), float32 or float64; tensor_cores takes float32 alone"""
    if rung not in RUNGS:
        raise ConfigError(f"rung must be one of {', '.join(RUNGS)}, not {rung!r}")
    (M, K), N = A.shape, B.shape[-1]
    dtype = check("matmul", A=(A, (M, K)), B=(B, (K, N)), C=(C, (M, N)))
    side, threads = RUNGS[rung].side, RUNGS[rung].threads
    V = width(1 if K % (16 // dtype.itemsize) else N, A, B, C)
    file, options, shared = "ladder.cu", C_NAMES[dtype], 0
    if rung == "double_buffered":
        options = f"{options}, {V}"
    if rung == "tensor_cores":
        if dtype != np.float32:
            raise ShapeError(f"matmul: tensor_cores takes float32, not {dtype}")
        tile = TILES["tf32", 4][0]
        file, options, shared = "ladder_tf32.cu", V, shared_bytes(tile, True, False)
    grid = ceil(N / side), ceil(M / side)
    if rung in ("double_buffered", "tensor_cores"):
        grid = (grid[0] * grid[1],)  # their tiles are numbered row by row
    launch(file, f"{rung}<{options}>", grid, threads, (A, B, C, *map(int32, (M, N, K))), shared)
    return C
