"""Stick figures whose joints are to be found: drawn as strokes, in front of other strokes and partly behind a box."""

import math

import numpy as np

from scratchvae.data.dataset import Split
from scratchvae.data.noise import drawn, noisy, whole

SIZE = 48  # pixels to a side
JOINTS = ("head", "neck", "pelvis", "near elbow", "near hand", "near knee", "near foot",
          "far elbow", "far hand", "far knee", "far foot")  # fmt: skip
# In the order in which they are drawn: joint, the joint it hangs on, its length, and by how many degrees its direction
# is turned against that of the limb before, from … to. A figure looks to the right: 0 is down, 90 forwards.
LIMBS = (
    ("neck", "pelvis", 1.0, (155, 195)),
    ("far elbow", "neck", 0.58, (120, 330)), ("far hand", "far elbow", 0.55, (0, 110)),
    ("far knee", "pelvis", 0.7, (-40, 85)), ("far foot", "far knee", 0.68, (-100, 0)),
    ("head", "neck", 0.42, (-25, 20)),
    ("near elbow", "neck", 0.58, (120, 330)), ("near hand", "near elbow", 0.55, (0, 110)),
    ("near knee", "pelvis", 0.7, (-40, 85)), ("near foot", "near knee", 0.68, (-100, 0)),
)  # fmt: skip
SHADES = {"far": 0.5, "near": 1.0, "neck": 0.75, "head": 0.75}
HEAD, WIDTH = 0.25, 1.2  # radius of the head, in lengths of the torso; half the width of a limb, in pixels
TORSO = (9.0, 14.0)  # pixels, from … to
EDGE = 2  # pixels that stay free around the figure
LINES, REACH = 3, 8  # strokes behind the figure, and pixels they go at most to each side
BOX = (8, 16)  # the sides of the box, in pixels, from … to
SPAN, AROUND = 22, 4  # pixels to a side that hold any stroke, and those of them before its end
PAD = REACH + AROUND  # pixels to the left of the picture and above it, that strokes may begin outside
BLOCK = 100  # figures drawn at a time, so that their pixels stay in a core's cache
# Directions by parts of a turn, as whole multiples of 2⁻²⁰: a sine may differ in its last bit from one machine to
# another.
TURN = 1024
DIRECTIONS = (
    np.array([[round(f(2 * math.pi * k / TURN) * 2**20) for f in (math.sin, math.cos)] for k in range(TURN)]) / 2**20
)


def figures(count, seed, part):
    """A Split of images (count, 48²) and the fields

    points   float32 (count, 11, 2): x and y of each of JOINTS in pixels, (0, 0) being the centre of the one at the
             upper left
    visible  bool (count, 11): False where the box covers the joint
    clean    uint8 (count, 48, 48): the figure alone, on black

    part: 0 for training, 1 for test
    """
    blocks = [_block(np.arange(start, min(start + BLOCK, count)), seed, part) for start in range(0, count, BLOCK)]
    images, points, visible, clean = map(np.concatenate, zip(*blocks, strict=True))
    return Split(images, points=points, visible=visible, clean=clean)


def _block(rows, seed, part):
    points = _poses(rows, seed, part)
    clean, images = both = np.zeros((2, len(rows), PAD + SIZE + SPAN, PAD + SIZE + SPAN))
    ends = drawn(seed, part, 2, rows, 5 * LINES).reshape(-1, LINES, 5)
    for k in range(LINES):
        start, reach, shade = SIZE * ends[:, k, :2], REACH * (2 * ends[:, k, 2:4] - 1), 0.2 + 0.3 * ends[:, k, 4]
        _stroke([images], start, start + reach, 0.8, shade)
    at, radius = dict(zip(JOINTS, np.moveaxis(points, 1, 0), strict=True)), HEAD * torso(points)
    for joint, other, *_ in LIMBS:
        _stroke(both, at[other], at[joint], WIDTH, SHADES[joint.split()[0]])
        if joint == "head":
            _stroke(both, at[joint], at[joint], radius[:, None, None], SHADES[joint])
    seen = np.s_[:, PAD : PAD + SIZE, PAD : PAD + SIZE]
    clean, images = ((255 * canvas[seen] + 0.5).astype(np.uint8) for canvas in (clean, images))
    visible = _behind_a_box(images, points, seed, part, rows)
    return noisy(images, seed, part, rows), points.astype(np.float32), visible, clean


def _poses(rows, seed, part):
    """A pose, its size and its place, so that all of it lies in the picture.   → (R, 11, 2)"""
    place, angle = {"pelvis": np.zeros((len(rows), 2))}, {"pelvis": 0}
    for (joint, other, length, degrees), u in zip(LIMBS, drawn(seed, part, 0, rows, len(LIMBS)).T, strict=True):
        low, high = (round(TURN * d / 360) for d in degrees)
        angle[joint] = angle[other] + low + ((high - low + 1) * u).astype(np.int64)
        place[joint] = place[other] + length * DIRECTIONS[angle[joint] % TURN]
    points = np.stack([place[joint] for joint in JOINTS], axis=1)
    looks, size, *corner = drawn(seed, part, 1, rows, 4).T
    points[..., 0] *= np.where(looks < 0.5, -1, 1)[:, None]
    low, high, room = points.min(axis=1) - HEAD, points.max(axis=1) + HEAD, SIZE - 1 - 2 * EDGE
    scale = np.minimum(TORSO[0] + (TORSO[1] - TORSO[0]) * size, room / (high - low).max(axis=1))[:, None]
    corner = EDGE + np.stack(corner, axis=1) * (room - scale * (high - low))
    return (corner - scale * low)[:, None] + scale[:, None] * points


def _stroke(canvases, a, b, radius, shade):
    """Draw a line with round ends from a (R, 2) to b (R, 2) over what is there: a pixel takes as much of `shade` as the
    stroke covers of it, told from how far its centre lies from the line. a = b gives a disc."""
    corner = np.floor(np.minimum(a, b)).astype(np.int64) - AROUND
    x, y = corner[:, 0, None, None] + np.arange(SPAN), corner[:, 1, None, None] + np.arange(SPAN)[:, None]
    (dx, dy), u, v = (b - a).T[..., None, None], x - a[:, 0, None, None], y - a[:, 1, None, None]
    along = np.clip((u * dx + v * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
    u, v = u - along * dx, v - along * dy
    cover = np.clip(radius + 0.5 - np.sqrt(u * u + v * v), 0, 1)
    index = np.arange(len(a))[:, None, None], y + PAD, x + PAD
    for canvas in canvases:
        canvas[index] += cover * (np.reshape(shade, (-1, 1, 1)) - canvas[index])


def _behind_a_box(images, points, seed, part, rows):
    """Draw a box near a joint of three figures in four, over all else → whether each joint is seen, (R, 11)"""
    there, shade, *centre = drawn(seed, part, 3, rows, 4).T
    sides, joint = (
        BOX[0] + whole(BOX[1] - BOX[0] + 1, seed, part, 4, rows, 2),
        whole(len(JOINTS), seed, part, 5, rows, 1)[:, 0],
    )
    near = np.rint(points[np.arange(len(rows)), joint] + 8 * np.stack(centre, axis=1) - 4)
    low = near - sides // 2
    inside = [(np.arange(SIZE) >= low[:, k, None]) & (np.arange(SIZE) < (low + sides)[:, k, None]) for k in (0, 1)]
    box = inside[1][:, :, None] & inside[0][:, None, :] & (there < 0.75)[:, None, None]
    np.copyto(images, (60 + 80 * shade).astype(np.uint8)[:, None, None], where=box)
    x, y = np.moveaxis(np.rint(points).astype(np.int64), 2, 0)
    return ~box[np.arange(len(rows))[:, None], y, x]


def torso(points):
    """How long each figure is from neck to pelvis, in pixels: what PCK is measured by.   points (N, 11, 2) → (N,)"""
    dx, dy = np.moveaxis(points[:, JOINTS.index("neck")] - points[:, JOINTS.index("pelvis")], -1, 0)
    return np.sqrt(dx * dx + dy * dy)


def joint_names(dataset, points):
    """What the joints of a data set with a field `points` (N, J, 2) are called → J names"""
    return JOINTS if dataset.location == "figures" else tuple(f"joint {j + 1}" for j in range(points.shape[1]))


def size_of(dataset, points):
    """What is taken for the size of each figure, in pixels (N,), and its name: PCK has no meaning without."""
    if dataset.location == "figures":
        return torso(points), "the torso, neck to pelvis"
    return np.maximum(
        np.ptp(points, axis=1).max(axis=1), 1
    ), "the longer side of the box around all joints, at least 1 pixel"
