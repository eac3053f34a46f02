"""skip: where a path divides, and what meets there on the way back."""

from itertools import product

import numpy as np

from ..exam import Spec, Wrong
from ..solutions.skip import level_backward, skip, skip_backward
from .draws import draw, sized

TITLE = "a U-Net's skip, and what meets in it"
EQUATIONS = ("E77", "E78")
WRITE = ("skip", "skip_backward", "level_backward")
HINTS = (
    "Draw a row of H = 6 pixels and under it the h = 3 that stay. How many are cut on each side? A slice that starts there and is h "
    "long is right for every H; one that ends at a negative number is not: think of h = H.",
    "To lay side by side moves numbers and changes none. So backward moves them back: which channels of Y were x, and where did "
    "they stand in x? A pixel that was cut off changes nothing in Y.",
    "x is used twice: it stands in Y, and z was made of it. Each use sends a gradient of the shape of x. What does the chain rule "
    "do with the gradients of two uses?",
)
# B, H, W, C, then h, w, D of what comes from below
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1), (1, 3, 3, 1, 1, 1, 1), (2, 4, 5, 2, 4, 5, 2), (2, 6, 5, 2, 3, 4, 2), (3, 7, 8, 3, 5, 5, 4),
]  # fmt: skip
NAMES = ("B", "H", "W", "C", "h", "w", "D")


def corners(x, z):
    """(words, top, left) of each place from which z's size can be cut out of x, but the right one."""
    spare = x.shape[1] - z.shape[1], x.shape[2] - z.shape[2]
    middle = spare[0] // 2, spare[1] // 2
    sides = {-1: ("up", "left"), 0: ("", ""), 1: ("down", "right")}
    for down, right in product((-1, 0, 1), repeat=2):
        top, left = middle[0] + down, middle[1] + right
        if (down or right) and 0 <= top <= spare[0] and 0 <= left <= spare[1]:
            yield f"one pixel too far {' and '.join(filter(None, (sides[down][0], sides[right][1])))}", top, left
    if min(middle) > 1:
        yield "at the upper left corner, not in the middle", 0, 0


def cut(x, z, top, left):
    return x[:, top : top + z.shape[1], left : left + z.shape[2]]


def put(dY, x, z, top, left):
    """dY's first channels at that place of zeros as x."""
    dx = np.zeros_like(x)
    cut(dx, z, top, left)[...] = dY[..., : x.shape[3]]
    return dx


def known_forward(x, z):
    beside = lambda a, b: np.concatenate([a, b], axis=3)
    wrong = [(beside(cut(x, z, top, left), z), f"is cropped {words}") for words, top, left in corners(x, z)]
    return {"Y": [*wrong, (beside(z, skip(x, z)[..., : x.shape[3]]), "has z first: x comes before it")]}


def known(dY, x, z):
    right, D = skip_backward(dY, x, z)[0], z.shape[3]
    lost = "is lost: x stands in Y itself, so what reaches those channels reaches x"
    order = "is that of the other channels: Y holds x first, then z"
    aside = [(put(dY, x, z, top, left), f"is put back {words}") for words, top, left in corners(x, z)]
    middle = (x.shape[1] - z.shape[1]) // 2, (x.shape[2] - z.shape[2]) // 2
    dx = [(0 * right, lost), *aside, (put(dY[..., D:], x, z, *middle), order), (2 * right, "is counted twice")]
    return {"dx": dx, "dz": [(dY[..., :D], order), (0 * z, "is lost: z stands in Y itself")]}


def known_level(dY, x, z, below_backward):
    beside, dz = skip_backward(dY, x, z)
    below = below_backward(dz)
    return {"dX": [
        (beside, "lacks what comes back through the levels below: z was made of x too"),
        (below, "lacks the gradient of the skip: x stands in Y itself, beside what was made of it"),
        (2 * beside + below, "counts the gradient of the skip twice"),
        (beside + 2 * below, "counts what comes from below twice"),
        (0.5 * (beside + below), "is the mean of the two gradients: each use of x moves the loss, and so they add up"),
        (beside - below, "subtracts what comes from below: the two add up"),
        (beside * below, "multiplies the two gradients: along one way they multiply, of two ways they add up"),
    ]}  # fmt: skip


def below(x, M, h, w):
    """What stands for the levels below: a corner of x, its channels mixed.   M (C, D) → (B, h, w, D)"""
    return x[:, :h, :w] @ M


def way_back(x, M, h, w):
    """Its below_backward."""

    def below_backward(dz):
        if np.shape(dz) != (len(x), h, w, M.shape[1]):
            wanted = len(x), h, w, M.shape[1]
            raise Wrong(f"below_backward was given {np.shape(dz)}, and takes the gradient of z, {wanted}")
        dx = np.zeros(x.shape, dz.dtype)
        dx[:, :h, :w] = dz @ M.T.astype(dz.dtype)
        return dx

    return below_backward


def slope(call, dY, x, z):
    return {"dx": (lambda v: dY * call("skip", v, z), x), "dz": (lambda v: dY * call("skip", x, v), z)}


def examine(exam):
    arrays = lambda B, H, W, C, h, w, D: (draw(1, B, H, W, C), draw(2, B, h, w, D))
    gradient = lambda B, H, W, C, h, w, D: (draw(3, B, h, w, C + D), *arrays(B, H, W, C, h, w, D))

    def level(B, H, W, C, h, w, D):
        x, M = draw(1, B, H, W, C), draw(4, C, D)
        return draw(3, B, h, w, C + D), x, below(x, M, h, w), way_back(x, M, h, w)

    def slope_of_level(call, dY, x, z, below_backward):
        M = draw(4, x.shape[3], z.shape[3])
        return {"dX": (lambda v: dY * call("skip", v, below(v, M, *z.shape[1:3])), x)}

    exam.examine(Spec("skip", ("x", "z"), ("Y",), skip, sized(NAMES, SHAPES, arrays), known_forward))
    outputs, cases = ("dx", "dz"), sized(NAMES, SHAPES, gradient)
    exam.examine(Spec("skip_backward", ("dY", "x", "z"), outputs, skip_backward, cases, known, slope, "skip"))
    names = "dY", "x", "z", "below_backward"
    cases = sized(NAMES, SHAPES, level)
    exam.examine(Spec("level_backward", names, ("dX",), level_backward, cases, known_level, slope_of_level, "skip"))
