"""What each axis of an array counts, so that the page can say "pixel 210, unit 17", and shows the same units in every
step.

An operation's docstring gives the shapes of what it takes, "x (B, I) · W (I, O)": axes of one letter are the same
axis. Where it gives none, arrays of one shape have the same axes, as an activation's. A gradient has those of what it
is the gradient of.
"""

import re
from functools import cache
from itertools import combinations

PLACES = ("row", "column", "channel")
SHAPES = re.compile(r"([A-Za-z_][\w ,]*?) \(([\w…][\w ]*(?:, \w[\w +]*)*),?\)")


class Axes:
    """Finds out, call by call, which axes are the same, and what is known of them."""

    def __init__(self, rows, sides=()):
        """rows: images in the batch, which the first axis of what is no Parameter counts · sides: of an image"""
        self.rows, self.parents, self.names, self.shapes, self.fixed, self.given = rows, {}, {}, {}, set(), set()
        self.sides = tuple(sides)

    def seed(self, array, axis, name):
        """An axis of an array whose meaning is known: "pixel" or "latent"."""
        self.names[self.root((*self.key(array, array.shape), axis))] = name

    def came(self, array):
        """This array came in, and is seen in the shape in which it did; so is what is compared with it."""
        self.given.add(address(array))
        self.shape(array)

    def fix(self, array):
        """This array is seen in its own shape, always: a Parameter's."""
        self.fixed.add(address(array))
        self.shape(array)

    def shape(self, array):
        """The shape in which a place in memory was first seen: that of an image where an operation takes its rows of
        pixels."""
        return self.shapes.setdefault((address(array), array.size), array.shape)

    def shapes_of(self, call):
        """{argument: shape} as the page shows it: where as many numbers stand in another shape, as `xhat` of an image,
        that one."""
        found = {name: self.shape(array) for name, array in call.arrays.items()}
        like = {call.arrays[n].shape: s for n, s in found.items() if call.arrays[n].shape != s}
        like |= {call.arrays[n].shape: s for n, s in found.items() if address(call.arrays[n]) in self.given}
        for name, array in call.arrays.items():
            if address(array) not in self.fixed | self.given:
                found[name] = like.get(array.shape, found[name])
                self.shapes[address(array), array.size] = found[name]
        return found

    def meet(self, call):
        """Learn from one call.   → {argument: (shape, a key for each axis)}"""
        shapes, doc = self.shapes_of(call), letters(call.function) if call.name else {}
        keys = {
            name: [(*self.key(array, shapes[name]), i) for i in range(len(shapes[name]))]
            for name, array in call.arrays.items()
        }
        lettered = {name: doc[name] for name in keys if len(doc.get(name, ())) == len(keys[name])}
        told = any(len(shapes[name]) > 1 for name in lettered)
        by_name = {name.lower(): name for name in keys}
        for a, b in combinations(keys, 2):
            if a in lettered and b in lettered:
                for i, one in enumerate(lettered[a]):
                    self.join(keys[a][i], keys[b][lettered[b].index(one)] if one in lettered[b] else keys[a][i])
            elif shapes[a] == shapes[b] and (not told or "work" in a + b):
                for one, other in zip(keys[a], keys[b], strict=True):
                    self.join(one, other)
        for name in keys:
            of = by_name.get(name.lower().removeprefix("d"), name)
            if shapes[of] == shapes[name]:
                for one, other in zip(keys[name], keys[of], strict=True):
                    self.join(one, other)
            if len(shapes[name]) == 4 and shapes[name][0] == self.rows and name not in call.gradients:
                self.names.setdefault(self.root(keys[name][3]), "channel")
        return {name: (shapes[name], keys[name]) for name in keys}

    def root(self, key):
        while key in self.parents:
            key = self.parents[key]
        return key

    def join(self, a, b):
        a, b = self.root(a), self.root(b)
        if a != b:
            self.parents[a] = b
            if a in self.names:
                self.names[b] = self.names.pop(a)

    def words(self, shape, keys, parameter=False):
        """What each axis counts."""
        found = [self.names.get(self.root(key)) for key in keys]
        if not parameter and shape and shape[0] == self.rows:
            found[0] = "image"
        if len(shape) == 4:
            found = ["row", "column", "input channel", "output channel"] if parameter else ["image", *PLACES]
        elif not parameter and len(shape) == 3 and tuple(shape[1:]) == self.sides and not any(found[1:]):
            found = ["image", "row", "column"]
        return tuple(word or "unit" for word in found)

    def key(self, array, shape):
        return address(array), shape


def address(array):
    return array.__array_interface__["data"][0]


@cache
def letters(function):
    """{argument: the letter of each axis} as a docstring gives them."""
    found = {}
    for names, shape in SHAPES.findall(function.__doc__ or ""):
        found |= {name: tuple(part.strip() for part in shape.split(",")) for name in re.findall(r"\w+", names)}
    return found
