"""Dense layers: the twins of ops.numpy.affine, the fused layer, and which tiles compute them."""

from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError, ShapeError
from .activations import KEEPS_X
from .check import check
from .launch import C_NAMES, launch, place, width

# Blocks wanted at least: the multiprocessors of an H100 or H200. A constant, so that results do not depend on the GPU.
FILL = 132


class Tile(NamedTuple):
    """A way to compute a product, by its name in kernels/tile_*.cuh; the numbers must be those found there."""

    name: str
    rows: int
    columns: int
    k: int
    threads: int
    stages: int = 0  # of dynamic shared memory; tiles without any hold theirs statically


# By precision, from the largest on: a larger tile reads less, a smaller one gives work to more multiprocessors.
TILES = {
    ("fp32", 4): (Tile("Large", 128, 128, 8, 256), Tile("Medium", 64, 64, 16, 256), Tile("Small", 32, 32, 32, 64)),
    ("fp32", 8): (Tile("Medium", 64, 64, 16, 256), Tile("Small", 32, 32, 16, 64)),
    ("tf32", 4): (Tile("LargeTF32", 128, 128, 16, 256, 4), Tile("SmallTF32", 32, 32, 32, 128, 4)),
}


class Scratch(NamedTuple):
    """Where split-K puts its parts: partials (n,) of the layer's dtype, tickets (m,) uint32, zero before the first use.

    One scratch serves any number of layers, one after the other on one stream. `scratch_size` says how much a layer needs.
    """

    partials: object
    tickets: object


class Plan(NamedTuple):
    """How one product is launched."""

    tile: Tile
    grid: tuple[int, int, int]  # tiles across, tiles down, splits of k

    def scratch(self):
        """(partials, tickets) that it needs."""
        across, down, splits = self.grid
        if splits == 1:
            return 0, 0
        each = self.tile.rows * self.tile.columns + self.tile.threads  # its numbers, and a column's sum per thread
        return across * down * splits * each, across * down


def plan(rows, columns, k, itemsize, precision="fp32", split=True):
    """The largest tile of which the result has enough; with too few of the smallest, k is split too. From sizes alone.

    rows, columns: of the result · itemsize: 4 or 8
    """
    tiles = TILES.get((precision, itemsize))
    if tiles is None:
        raise ConfigError(f"precision must be fp32 or, for float32 arrays, tf32, not {precision!r}")
    for tile in tiles:
        across, down = ceil(columns / tile.columns), ceil(rows / tile.rows)
        if across * down >= FILL:
            return Plan(tile, (across, down, 1))
    steps = ceil(k / tile.k)
    wanted = ceil(2 * FILL / max(1, across * down))  # two blocks per multiprocessor hide each other's waits
    return Plan(tile, (across, down, max(1, min(wanted, steps // 2)) if split else 1))


def scratch_size(rows, inputs, outputs, itemsize, precision="fp32"):
    """(partials, tickets) that the forward and backward of one dense layer need: allocate the largest of all layers."""
    products = (rows, outputs, inputs), (rows, inputs, outputs), (inputs, outputs, rows)
    needs = [plan(*product, itemsize, precision).scratch() for product in products]
    return tuple(map(max, zip(*needs, strict=True)))


def affine(x, W, b, out, *, precision="fp32", scratch=None, planner=plan):
    """Y = X W + b (E4).   x (B, I) · W (I, O) · b (O,) → out (B, O)

    precision "tf32" uses the tensor cores. With a Scratch, k is split when the result has few tiles. planner chooses the tiles:
    a function of plan's arguments, for whoever tunes them.
    """
    return dense(x, W, b, out, "none", precision=precision, scratch=scratch, planner=planner)


def affine_backward(dY, x, W, dX, dW, db, *, precision="fp32", scratch=None, planner=plan):
    """dX = dY Wᵀ,  dW = Xᵀ dY,  db = Σ_rows dY (E5).   Writes dX (B, I) unless it is None, dW (I, O), db (O,)."""
    return dense_backward(dY, x, W, dX, dW, db, precision=precision, scratch=scratch, planner=planner)


def dense(x, W, b, out, activation="relu", pre=None, *, precision="fp32", scratch=None, planner=plan):
    """out = act(X W + b) in one launch (E4, E6–E12).   x (B, I) · W (I, O) · b (O,) → out (B, O)

    In NumPy: affine(x, W, b, pre), then relu(pre, out) or whichever. pre (B, O), when given, receives x W + b, which the
    backward of GELU and SiLU needs.
    """
    sizes = rows, inputs, outputs = _sizes("dense", x, W)
    y_shape = rows, outputs
    dtype = check("dense", x=(x, (rows, inputs)), W=(W, W.shape), b=(b, (outputs,)), pre=(pre, y_shape), out=(out, y_shape))
    V = width(gcd(inputs, outputs), x, W, b, pre, out)
    product = _Product("affine", f"{_enum(activation)}, {V}", (rows, outputs, inputs), (True, False))
    _launch(product, dtype, (x, W, b, pre, out, *sizes), precision, scratch, planner)
    return out


def dense_backward(dY, x, W, dX, dW, db, activation="none", kept=None, *, precision="fp32", scratch=None, planner=plan):
    """dW = Xᵀ dY,  db = Σ_rows dY,  dX = (dY Wᵀ) ⊙ act′ in two launches (E5, E6–E12); dX (B, I) may be None.

    `activation` is the one that made x, in the layer below, so dX is the gradient before it. In NumPy: affine_backward(dY, x,
    W, dX, dW, db), then relu_backward(dX, …) or whichever. `kept` (B, I) is what act′ is computed from: x itself by default,
    and for GELU and SiLU the `pre` of that layer.
    """
    sizes = rows, inputs, outputs = _sizes("dense_backward", x, W)
    if kept is None and activation in KEEPS_X:
        raise ShapeError(f"dense_backward: the slope of {activation} is computed from kept=, the layer's input before it")
    kept = x if kept is None else kept
    x_shape, y_shape = (rows, inputs), (rows, outputs)
    dtype = check(
        "dense_backward", dY=(dY, y_shape), x=(x, x_shape), W=(W, W.shape), kept=(kept, x_shape), dX=(dX, x_shape), dW=(dW, W.shape),
        db=(db, (outputs,)),
    )  # fmt: skip
    V = width(gcd(inputs, outputs), x, dY, dW)
    product = _Product("affine_dW", f"{V}", (inputs, outputs, rows), (False, False))
    _launch(product, dtype, (x, dY, dW, db, *sizes), precision, scratch, planner)
    if dX is not None:
        V = width(gcd(inputs, outputs), dY, W, kept, dX)
        product = _Product("affine_dX", f"{_enum(activation)}, {V}", (rows, inputs, outputs), (True, True))
        _launch(product, dtype, (dY, W, kept, dX, *sizes), precision, scratch, planner)
    return dX


def shared_bytes(tile, a_by_k, b_by_k):
    """Of dynamic shared memory (Part::SIZE in tile_tf32.cuh): each operand stored with k fastest or not."""
    sizes = [outer * (tile.k + 4) if by_k else tile.k * (outer + 8) for outer, by_k in ((tile.rows, a_by_k), (tile.columns, b_by_k))]
    return tile.stages * sum(sizes) * 4


class _Product(NamedTuple):
    kernel: str
    options: str  # of the template, after dtype and tile
    sizes: tuple[int, int, int]  # rows and columns of the result, k
    by_k: tuple[bool, bool]  # whether k runs fastest in each operand


def _launch(product, dtype, arguments, precision, scratch, planner):
    planned = planner(*product.sizes, dtype.itemsize, precision, split=scratch is not None)
    partials, tickets = _enough(planned, dtype, scratch)
    tile = planned.tile
    file = "affine_tf32.cu" if precision == "tf32" else "affine_fma.cu"
    expression = f"{product.kernel}<{C_NAMES[dtype]}, {tile.name}, {product.options}>"
    arguments = *(np.int32(a) if isinstance(a, int) else a for a in arguments), partials, tickets
    launch(file, expression, planned.grid, (tile.threads,), arguments, shared_bytes(tile, *product.by_k))


def _enough(plan, dtype, scratch):
    if scratch is None:
        return None, None
    need = plan.scratch()
    check("scratch", dtype, partials=(scratch.partials, scratch.partials.shape))
    if not isinstance(scratch.tickets, place().array) or scratch.tickets.dtype != np.uint32:
        raise ShapeError("scratch: tickets must be uint32 on the device, zero before the first use")
    if scratch.partials.size < need[0] or scratch.tickets.size < need[1]:
        raise ShapeError(
            f"scratch holds {scratch.partials.size:,} partials and {scratch.tickets.size:,} tickets, but this product needs "
            f"{need[0]:,} and {need[1]:,}: see scratch_size"
        )
    return scratch


def _sizes(operation, x, W):
    if x.ndim != 2 or W.ndim != 2:
        raise ShapeError(f"{operation}: x and W must have two dimensions, not {x.shape} and {W.shape}")
    return len(x), *W.shape


def _enum(activation):
    names = ("none", "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu")
    if activation not in names:
        raise ConfigError(f"activation must be one of {', '.join(names)}, not {activation!r}")
    return activation.upper()
