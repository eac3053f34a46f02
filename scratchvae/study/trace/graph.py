"""The model as a graph: a letter U, encoder on top, decoder below, so that the image and its reconstruction meet at the left."""

import re
from typing import NamedTuple

from ... import nn
from ...nn.convolution import Conv2D, Kernel

WIDE, HIGH = 106, 80  # distance of two columns and two rows, in units of the drawing
SIDE = 41  # half the width of a node
LONGEST = 8  # letters of a label that fit into it
NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "silu": "SiLU"}


class Node(NamedTuple):
    """place: column and row on the grid · title: for the step's heading and for a screen reader"""

    label: str
    below: str
    column: float
    row: float
    title: str

    @property
    def at(self):
        """Its middle, in units of the drawing."""
        return round((self.column + 0.5) * WIDE), round((self.row + 0.5) * HIGH) + 3


class Graph:
    """nodes: {id: Node} · edges: [(from, to)]"""

    def __init__(self, model, paths):
        """paths: of the modules that called an operation, in the order of forward: each layer among them is a node"""
        vae = model.noise_columns > 0
        likelihood = type(model.likelihood).__name__
        modules = dict(model.modules())
        encoder, decoder = (
            {path: modules[path] for path in dict.fromkeys(paths) if path.startswith(f"{room}.")} for room in ("encoder", "decoder")
        )
        self.last = max(len(encoder), len(decoder)) + 1  # the column of the latents
        self.width, self.height = (self.last + 2) * WIDE, 3 * HIGH + 6
        self.nodes = {"x": Node("x", "image", 0, 0, "the image")}
        for room, layers, row in (("encoder", encoder, 0), ("decoder", decoder, 2)):
            for i, (path, layer) in enumerate(layers.items()):
                column = i + 1 if row == 0 else self.last - 1 - i
                self.nodes[path] = Node(*_labels(layer), column, row, f"{room}: {_title(layer)}")
        last = self.last
        z = Node("z", "latent", last, 2, "the latent z")
        mu = Node("μ", "", last, -0.3, "the posterior mean μ"), Node("log σ²", "", last, 0.3, "the posterior log variance")
        kl, eps = Node("KL", "to N(0, I)", last - 1, 1, "the KL divergence"), Node("ε", "noise", last + 1, 2, "the noise")
        if vae:
            self.nodes.update(mu=mu[0], logvar=mu[1], eps=eps, z=z, kl=kl)
        else:
            self.nodes["z"] = z
        self.nodes["nll"] = Node("−log p", likelihood, 0, 1, f"the likelihood ({likelihood})")
        self.nodes["xhat"] = Node("x̂", "painted", 0, 2, "the reconstruction")
        self.nodes["loss"] = Node("ℒ", "loss", (last - 1) / 2, 1, "the loss")
        self.nodes["adam"] = Node("Adam", "update", last + 1, 0, "the optimiser")
        self.edges = self._edges(["x", *encoder], ["z", *decoder], vae)

    def _edges(self, chain, back, vae):
        """chain: from the image to the code · back: from z to what the likelihood is given"""
        edges = list(zip(chain, chain[1:], strict=False))
        if vae:
            edges += [(chain[-1], "mu"), (chain[-1], "logvar"), ("mu", "z"), ("logvar", "z"), ("eps", "z"), ("mu", "kl"), ("logvar", "kl")]
        else:
            edges.append((chain[-1], "z"))
        edges += zip(back, back[1:], strict=False)
        edges += [(back[-1], "nll"), (back[-1], "xhat"), ("x", "nll"), ("nll", "loss")]
        return edges + ([("kl", "loss")] if vae else [])

    def title(self, place, phase):
        """A step's heading."""
        title = self.nodes[place].title
        if phase == "backward":
            title = "back through " + title.replace("encoder: ", "the encoder's ").replace("decoder: ", "the decoder's ")
        return title[0].upper() + title[1:]

    def path(self, a, b):
        """The line from one node to another, as SVG writes a path."""
        (x1, y1), (x2, y2) = self.nodes[a].at, self.nodes[b].at
        if (a, b) == ("mu", "z"):  # around log σ², which stands between them
            return f"M{x1 + SIDE} {y1}C{x1 + 68} {y1 + 30} {x1 + 64} {y2 - 62} {x2 + 20} {y2 - 26}"
        if b == "z" and a.startswith("encoder"):
            return f"M{x1 + SIDE} {y1}C{x2} {y1} {x2} {y1} {x2} {y2 - 26}"
        if b == "kl":
            end = (x2 + 18, y2 - 26) if a == "mu" else (x2 + SIDE + 1, y2 - 8)
            return f"M{x1 - SIDE} {y1 + 9}L{end[0]} {end[1]}"
        if x1 == x2:
            side = 1 if y2 > y1 else -1
            return f"M{x1} {y1 + side * self.half(a)}L{x2} {y2 - side * (self.half(b) + 1)}"
        if b == "nll":  # from the decoder, which stands one column to the right and one row below
            return f"M{x1 - SIDE + 6} {y1 - 25}L{x2 + 22} {y2 + 26}"
        side = 1 if x2 > x1 else -1
        return f"M{x1 + side * SIDE} {y1}L{x2 - side * (SIDE + 1)} {y2}"

    def half(self, key):
        """Half the height of a node."""
        return 17 if key in ("mu", "logvar") else 25


def _labels(layer):
    if isinstance(layer, nn.Dense):
        return "Dense", f"{layer.inputs}→{layer.outputs}"
    if isinstance(layer, Kernel):
        name = "Conv" if isinstance(layer, Conv2D) else "Convᵀ"
        return name, f"{layer.inputs}→{layer.outputs}, {layer.size[0]}×{layer.size[1]}"
    name = _name(layer)
    if len(name) <= LONGEST or " " in name:
        return name, ""
    words = re.findall("[A-Z]?[^A-Z_]+", name) or [name]  # GroupNorm stands on two lines
    return words[0][:LONGEST], "".join(words[1:])


def _title(layer):
    if isinstance(layer, nn.Dense):
        return f"dense layer {layer.inputs} → {layer.outputs}"
    if isinstance(layer, Kernel):
        kind = "convolution" if isinstance(layer, Conv2D) else "transposed convolution"
        return f"{kind} {layer.inputs} → {layer.outputs} channels"
    return _name(layer)


def _name(layer):
    name = getattr(layer, "name", None) or type(layer).__name__
    return NAMES.get(name, name)
