"""Which tiles compute a product, into how many stretches its k is split, and the memory that this takes."""

from math import ceil, inf
from typing import NamedTuple

from ...errors import ConfigError

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
        counted = [(splits, tiles(self.tile, product)) for splits, product in zip(self.splits, products, strict=True)]
        split = [(splits, count) for splits, count in counted if splits > 1]
        return sum(splits * count * each for splits, count in split), sum(count for _, count in split)


def tiles(tile, product):
    """How many tiles cover the result of a product (rows, columns, k)."""
    rows, columns, _ = product
    return ceil(rows / tile.rows) * ceil(columns / tile.columns)


def computed(tile, product):
    """How many products of two numbers such tiles compute, those beyond the result's edges among them."""
    return tiles(tile, product) * tile.rows * tile.columns * product[2]


def plan(products, itemsize, precision="fp32", split=True, choices=TILES, waste=inf):
    """The largest tile of which the products together have enough; and each product's k split so that blocks work alike.

    products: [(rows of the result, columns, k)] · itemsize: 4 or 8 · choices: as TILES · waste: how many times what others compute
    it may compute, some of it beyond the results' edges. From these numbers alone, so a call repeats bit for bit.
    """
    choices = choices.get((precision, itemsize))
    if choices is None:
        raise ConfigError(f"precision must be fp32 or, for float32 arrays, tf32, not {precision!r}")
    done = {tile: sum(computed(tile, product) for product in products) for tile in choices}
    fitting = (tile for tile in choices if done[tile] <= waste * min(done.values()))
    tile = next((tile for tile in fitting if sum(tiles(tile, product) for product in products) >= FILL), choices[-1])
    # Stretches of equal work, so that no block is waited for: as long as two blocks for each multiprocessor allow, which hide
    # each other's waits. A product whose k is long is split even where there are tiles enough.
    steps = [ceil(k / tile.k) for _, _, k in products]
    work = sum(tiles(tile, product) * s for product, s in zip(products, steps, strict=True))
    length = max(2, ceil(work / (2 * FILL)))
    return Plan(tile, tuple(max(1, ceil(s / length)) if split else 1 for s in steps))


def forward_products(rows, inputs, outputs):
    """The product that a dense layer's forward computes: x W."""
    return [(rows, outputs, inputs)]


def backward_products(rows, inputs, outputs):
    """Those of its backward: dW = Xᵀ dY, and dX = dY Wᵀ."""
    return [(inputs, outputs, rows), (rows, inputs, outputs)]


def scratch_size(rows, inputs, outputs, itemsize, precision="fp32"):
    """(partials, tickets) that the forward and backward of one dense layer need: allocate the largest of all layers."""
    both = backward_products(rows, inputs, outputs)
    calls = forward_products(rows, inputs, outputs), both, both[:1]
    needs = [plan(products, itemsize, precision).scratch(products) for products in calls]
    return tuple(map(max, zip(*needs, strict=True)))


def shared_bytes(tile, a_by_k, b_by_k):
    """Of dynamic shared memory (Part::SIZE in tile_tf32.cuh): each operand is stored with k running fastest, or not."""
    operands = (tile.rows, a_by_k), (tile.columns, b_by_k)
    return 4 * tile.stages * sum(n * (tile.k + 4) if by_k else tile.k * (n + 8) for n, by_k in operands)
