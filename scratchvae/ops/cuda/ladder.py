"""The ladder of matrix products (kernels/ladder.cu), for study and for the benchmark: C = A B on each rung."""

from math import ceil

import numpy as np

from ...errors import ConfigError, ShapeError
from .affine import TILES, shared_bytes
from .check import check
from .launch import C_NAMES, int32, launch, width

# rung → (what it gains, side of a block's tile, threads of a block)
RUNGS = {
    "naive": ("one thread per number, straight from the formula", 16, (16, 16)),
    "shared_tiles": ("each number fetched serves 16 threads", 16, (16, 16)),
    "register_tiles": ("8 numbers out of shared memory serve 16 products", 64, (256,)),
    "double_buffered": ("16 bytes per access, and the next loads overlap the products", 64, (256,)),
    "tensor_cores": ("a warp multiplies 16 x 8 by 8 at once, in TF32", 128, (256,)),
}


def matmul(A, B, C, rung):
    """C = A B.   A (M, K) · B (K, N) → C (M, N), float32 or float64; tensor_cores takes float32 alone"""
    if rung not in RUNGS:
        raise ConfigError(f"rung must be one of {', '.join(RUNGS)}, not {rung!r}")
    (M, K), N = A.shape, B.shape[-1]
    dtype = check("matmul", A=(A, (M, K)), B=(B, (K, N)), C=(C, (M, N)))
    _, side, threads = RUNGS[rung]
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
