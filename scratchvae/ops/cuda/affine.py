"""Dense layers: the twins of ops.numpy.affine, the fused layer, and which tiles compute them."""

from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from ...errors import ConfigError, ShapeError
from .activations import KEEPS_X
from .check import check, integers
from .launch import C_NAMES, int32, launch, width

# Blocks wanted at least: the multiprocessors of an H100 or H200. A constant, so that results do not depend on the GPU.
FILL = 132


class Tile(NamedTuple):
    """A way to compute a product, by its name in kernels/tile_*.cuh; the numbers must be those found there."""

    name: str
    rows: int
    columns: int
    k: int  # per step
    threads: int
    stages: int = 0  # of dynamic shared memory; tiles without any hold theirs statically


# By precision and itemsize, from the largest on: a larger tile reads less, a smaller one gives work to more multiprocessors.
TILES = {
    ("fp32", 4): (Tile("Large", 128, 128, 8, 256), Tile("Medium", 64, 64, 16, 256), Tile("Small", 32, 32, 32, 64)),
    ("fp32", 8): (Tile("Medium", 64, 64, 16, 256), Tile("Small", 32, 32, 16, 64)),
    ("tf32", 4): (
        Tile("LargeTF32", 128, 128, 16, 256, 4),
        Tile("MediumTF32", 64, 64, 32, 128, 3),
        Tile("SmallTF32", 32, 32, 32, 128, 4),
    ),
}


class Scratch(NamedTuple):
    """Where split-K puts its parts: partials (n,) of the layer's dtype, tickets (m,) uint32, zero before the first use.

    One scratch serves any number of layers, one after the other on one stream. `scratch_size` says how much a layer needs.
    """

    partials: object
    tickets: object


class Plan(NamedTuple):
    """How a launch computes one product, or two: the tile, and into how many stretches each product's k is split."""

    tile: Tile
    splits: tuple[int, ...]

    def blocks(self, products):
        return sum(splits * tiles(self.tile, product) for splits, product in zip(self.splits, products, strict=True))

    def scratch(self, products):
        """(partials, tickets) that it needs."""
        each = self.tile.rows * self.tile.columns + self.tile.threads  # its numbers, and a column's sum per thread
        split = [(splits, tiles(self.tile, product)) for splits, product in zip(self.splits, products, strict=True) if splits > 1]
        return sum(splits * count * each for splits, count in split), sum(count for _, count in split)


def tiles(tile, product):
    """How many tiles cover the result of a product (rows, columns, k)."""
    rows, columns, _ = product
    return ceil(rows / tile.rows) * ceil(columns / tile.columns)


def plan(products, itemsize, precision="fp32", split=True):
    """The largest tile of which the products together have enough; and each product's k split so that blocks work alike.

    products: [(rows of the result, columns, k)] · itemsize: 4 or 8. From these numbers alone, so a call repeats bit for bit.
    """
    choices = TILES.get((precision, itemsize))
    if choices is None:
        raise ConfigError(f"precision must be fp32 or, for float32 arrays, tf32, not {precision!r}")
    tile = next((tile for tile in choices if sum(tiles(tile, product) for product in products) >= FILL), choices[-1])
    # Stretches of equal work, so that no block is waited for: as long as two blocks for each multiprocessor allow, which hide
    # each other's waits. A product whose k is long is split even where there are tiles enough.
    steps = [ceil(k / tile.k) for _, _, k in products]
    work = sum(tiles(tile, product) * s for product, s in zip(products, steps, strict=True))
    length = max(2, ceil(work / (2 * FILL)))
    return Plan(tile, tuple(max(1, ceil(s / length)) if split else 1 for s in steps))


def scratch_size(rows, inputs, outputs, itemsize, precision="fp32"):
    """(partials, tickets) that the forward and backward of one dense layer need: allocate the largest of all layers."""
    calls = _forward(rows, inputs, outputs), _backward(rows, inputs, outputs), _backward(rows, inputs, outputs)[:1]
    needs = [plan(products, itemsize, precision).scratch(products) for products in calls]
    return tuple(map(max, zip(*needs, strict=True)))


def _forward(rows, inputs, outputs):
    return [(rows, outputs, inputs)]


def _backward(rows, inputs, outputs):
    return [(inputs, outputs, rows), (rows, inputs, outputs)]  # dW, dX


def affine(x, W, b, out, *, precision="fp32", scratch=None, planner=plan):
    """Y = X W + b (E4).   x (B, I) · W (I, O) · b (O,) → out (B, O)

    precision "tf32" uses the tensor cores. With a Scratch, k is split where that fills the multiprocessors more evenly. planner
    chooses the tiles: a function of plan's arguments, for whoever tunes them.
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
    options = f"{_enum(activation)}, {width(gcd(inputs, outputs), x, W, b, pre, out)}"
    products = _forward(*sizes)
    planned = planner(products, dtype.itemsize, precision, scratch is not None)
    shared = shared_bytes(planned.tile, True, False)
    _launch("affine", options, products, planned, (x, W, b, pre, out, *sizes), dtype, scratch, shared)
    return out


def dense_backward(dY, x, W, dX, dW, db, activation="none", kept=None, *, precision="fp32", scratch=None, planner=plan):
    """dW = Xᵀ dY,  db = Σ_rows dY,  dX = (dY Wᵀ) ⊙ act′ in one launch (E5, E6–E12); dX (B, I) may be None.

    `activation` is the one that made x, in the layer below, so dX is the gradient before it. In NumPy: affine_backward(dY, x,
    W, dX, dW, db), then relu_backward(dX, …) or whichever. `kept` (B, I) is what act′ is computed from: x itself by default,
    and for GELU and SiLU the `pre` of that layer. dX may not be x or dY.
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
    options = f"{_enum(activation)}, {width(gcd(inputs, outputs), dY, x, W, kept, dX, dW)}"
    products = _backward(*sizes)[: 1 if dX is None else 2]
    planned = planner(products, dtype.itemsize, precision, scratch is not None)
    shared = max(shared_bytes(planned.tile, by_k, by_k) for by_k in (False, True))
    _launch("affine_backward", options, products, planned, (dY, x, W, kept, dX, dW, db, *sizes), dtype, scratch, shared)
    return dX


def shared_bytes(tile, a_by_k, b_by_k):
    """Of dynamic shared memory (Part::SIZE in tile_tf32.cuh): each operand is stored with k running fastest, or not."""
    sizes = [outer * (tile.k + 4) if by_k else tile.k * (outer + 8) for outer, by_k in ((tile.rows, a_by_k), (tile.columns, b_by_k))]
    return tile.stages * sum(sizes) * 4


def _launch(name, options, products, planned, arguments, dtype, scratch, shared):
    tile, splits = planned
    partials, tickets = _enough(planned.scratch(products), dtype, scratch)
    both = splits if name == "affine" else (*splits, 1)[:2]
    numbers = tuple(int32(a) if isinstance(a, int) else a for a in (*arguments, *both))
    expression = f"{name}<{C_NAMES[dtype]}, {tile.name}, {options}>"
    file = "affine_tf32.cu" if tile.stages else "affine_fma.cu"
    launch(file, expression, (planned.blocks(products),), (tile.threads,), (*numbers, partials, tickets), shared)


def _enough(need, dtype, scratch):
    if scratch is None:
        return None, None
    check("scratch", dtype, partials=(scratch.partials, scratch.partials.shape))
    integers("scratch", np.dtype(np.uint32), tickets=(scratch.tickets, scratch.tickets.shape))
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
