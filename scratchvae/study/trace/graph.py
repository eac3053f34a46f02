"""The model as a graph: a letter U, encoder on top, decoder below, so that the image and its reconstruction meet at the left."""

from html import escape
from typing import NamedTuple

from ... import nn

WIDE, HIGH = 100, 78  # distance of two columns and two rows, in units of the drawing
NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "silu": "SiLU"}


class Node(NamedTuple):
    """place: column and row on the grid · title: for the step's heading and for a screen reader"""

    label: str
    below: str
    column: float
    row: float
    title: str


class Graph:
    """nodes: {id: Node} · edges: [(from, to)]"""

    def __init__(self, model):
        vae = model.noise_columns > 0
        likelihood = model.config["likelihood"]
        encoder, decoder = model.encoder.layers, model.decoder.layers
        self.last = len(encoder) + 1  # the column of the latents
        self.nodes = {"x": Node("x", "image", 0, 0, "the image")}
        for room, layers, row in (("encoder", encoder, 0), ("decoder", decoder, 2)):
            for i, layer in enumerate(layers):
                column = i + 1 if row == 0 else self.last - 1 - i
                self.nodes[f"{room}.{i}"] = Node(*_labels(layer), column, row, f"{room}: {_title(layer)}")
        last = self.last
        z = Node("z", "latent", last, 2, "the latent z")
        mu = Node("μ", "", last, -0.3, "the posterior mean μ"), Node("log σ²", "", last, 0.3, "the posterior log variance")
        kl, eps = Node("KL", "to N(0, I)", last - 1, 1, "the KL divergence"), Node("ε", "noise", last + 1, 2, "the noise")
        if vae:
            self.nodes.update(mu=mu[0], logvar=mu[1], eps=eps, z=z, kl=kl)
        else:
            self.nodes["z"] = z
        self.nodes["nll"] = Node("−log p(x|z)", likelihood.capitalize(), 0, 1, f"the likelihood ({likelihood.capitalize()})")
        self.nodes["xhat"] = Node("x̂", "painted", 0, 2, "the reconstruction")
        self.nodes["loss"] = Node("ℒ", "loss", (last - 1) / 2, 1, "the loss")
        self.nodes["adam"] = Node("Adam", "update", last + 1, 0, "the optimiser")
        self.edges = self._edges(len(encoder), len(decoder), vae)

    def _edges(self, encoder, decoder, vae):
        chain = ["x", *(f"encoder.{i}" for i in range(encoder))]
        edges = list(zip(chain, chain[1:], strict=False))
        if vae:
            edges += [(chain[-1], "mu"), (chain[-1], "logvar"), ("mu", "z"), ("logvar", "z"), ("eps", "z"), ("mu", "kl"), ("logvar", "kl")]
        else:
            edges.append((chain[-1], "z"))
        chain = ["z", *(f"decoder.{i}" for i in range(decoder))]
        edges += zip(chain, chain[1:], strict=False)
        edges += [(chain[-1], "nll"), (chain[-1], "xhat"), ("x", "nll"), ("nll", "loss")]
        return edges + ([("kl", "loss")] if vae else [])

    def title(self, place, phase):
        """A step's heading."""
        title = self.nodes[place].title
        title = f"back through {title}" if phase == "backward" else title
        return title[0].upper() + title[1:]

    def svg(self):
        """The drawing, each node a link-like group with its id in data-node, each edge with data-from and data-to."""
        width, height = (self.last + 2) * WIDE, 3 * HIGH + 6
        edges = "".join(self._edge(a, b) for a, b in self.edges)
        nodes = "".join(self._node(key, node) for key, node in self.nodes.items())
        return (
            f'<svg id="graph" viewBox="0 0 {width} {height}" role="group" aria-label="The model as a graph; each node leads to its step">'
            f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>{edges}{nodes}</svg>'
        )

    def _node(self, key, node):
        x, y = self._at(node)
        high = 34 if key in ("mu", "logvar") else 50
        below = f'<text class="below" x="{x:g}" y="{y + 17:g}">{escape(node.below)}</text>' if node.below else ""
        lift = -2 if node.below else 6
        size = ' class="long"' if len(node.label) > 8 else ""
        return (
            f'<g data-node="{key}" role="button" tabindex="0" aria-label="{escape(node.title)}">'
            f'<rect x="{x - 40:g}" y="{y - high / 2:g}" width="80" height="{high}" rx="9"/>'
            f'<text{size} x="{x:g}" y="{y + lift:g}">{escape(node.label)}</text>{below}</g>'
        )

    def _edge(self, a, b):
        (x1, y1), (x2, y2) = self._at(self.nodes[a]), self._at(self.nodes[b])
        if a == "mu" and b == "z":  # around log σ², which stands between them
            path = f"M{x1 + 40:g} {y1:g}C{x1 + 66:g} {y1 + 30:g} {x1 + 62:g} {y2 - 60:g} {x2 + 16:g} {y2 - 26:g}"
        elif y1 == y2 or abs(x2 - x1) > abs(y2 - y1) and abs(y2 - y1) < 0.5 * HIGH:
            side = 40 if x2 > x1 else -40
            path = f"M{x1 + side:g} {y1:g}L{x2 - side:g} {y2:g}"
        elif x1 == x2:
            half = 25 if a != "logvar" else 17
            path = f"M{x1:g} {y1 + (half if y2 > y1 else -half):g}L{x2:g} {y2 - (25 if y2 > y1 else -25):g}"
        else:
            turn = 25 if y2 > y1 else -25
            path = f"M{x1 - 40:g} {y1 + turn * 0.4:g}L{x2 + (24 if x2 < x1 else -24):g} {y2 - turn:g}"
        return f'<path class="edge" data-from="{a}" data-to="{b}" d="{path}"/>'

    def _at(self, node):
        return (node.column + 0.5) * WIDE, (node.row + 0.5) * HIGH + 3


def axes_of(model):
    """{path: (what enters, what leaves)} of each layer: "pixel", "latent", "code", or the path of the Dense that made the units."""
    found = {}
    ends = {"encoder": ("pixel", "code" if model.noise_columns else "latent"), "decoder": ("latent", "pixel")}
    for room, (axis, end) in ends.items():
        layers = getattr(model, room).layers
        for i, layer in enumerate(layers):
            leaves = axis
            if isinstance(layer, nn.Dense):
                leaves = end if i == len(layers) - 1 else f"{room}.{i}"
            found[f"{room}.{i}"] = axis, leaves
            axis = leaves
    return found


def _labels(layer):
    if isinstance(layer, nn.Dense):
        return "Dense", f"{layer.inputs} → {layer.outputs}"
    return NAMES.get(layer.name, layer.name), "f(x)"


def _title(layer):
    return "dense layer " + _labels(layer)[1] if isinstance(layer, nn.Dense) else _labels(layer)[0]
