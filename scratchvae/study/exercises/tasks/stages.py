"""stages: where the gradients of several losses meet, judged from the last stage to the first."""

import numpy as np

from ..exam import Spec
from ..solutions.stages import stages_backward, stages_forward
from .draws import draw

TITLE = "a stack of stages, each with a loss"
EQUATIONS = ("E5", "E8", "E22", "E82", "E85")
WRITE = ("stages_backward",)
HINTS = (
    "Begin with the last stage: it hands nothing on, so it is two layers and a loss. Then ask, for each array of "
    "stage 2, in how many places forward uses it. As many gradients meet there.",
    "y_s is compared with the target and put back into what the next stage is given; h_s makes y_s and is handed on "
    "as well; x_s goes into the stage and around it. So two gradients meet at each of the three.",
    "Carry one array from stage to stage: the gradient of what a stage hands on. It has the shape of x, and the last "
    "stage has none. From it and the stage's own loss come, in this order, the gradients of C and A, of y, V, h, W and x.",
)
KEYS = ("V3", "W3", "C2", "A2", "V2", "W2", "C1", "A1", "V1", "W1", "x1")  # as backward meets them
SIZES = [(1, 1, 1, 1), (1, 2, 4, 1), (2, 4, 5, 2), (5, 4, 7, 2)]


def case(B, D, H, J):
    p, number = {}, 40
    for s in (1, 2, 3):
        for name, shape in {"W": (D, H), "V": (H, J), "A": (H, D), "C": (J, D)}.items():
            if s < 3 or name in "WV":
                p[f"{name}{s}"], number = 0.5 * draw(number, *shape), number + 1
    return p, stages_forward(p, draw(1, B, D), draw(2, B, J))[1]


def gradients(p, cache, own=True, maps=True, features=True, around=True, squashed=True, into_last=False):
    """All gradients, with some of the parts that meet left out."""
    grads, dnext, B = {}, None, len(cache["t"])
    of = lambda s: 2 * (cache[f"y{s}"] - cache["t"]) / B
    for s in (3, 2, 1):
        x, h, y = (cache[f"{name}{s}"] for name in "xhy")
        dy = of(s) if s == 3 or own else np.zeros_like(y)
        if into_last:
            dy = of(1) + of(2) + of(3) if s == 3 else np.zeros_like(y)
        if s < 3:
            grads[f"C{s}"], grads[f"A{s}"] = y.T @ dnext, h.T @ dnext
            dy = dy + dnext @ p[f"C{s}"].T * maps
        dh = dy @ p[f"V{s}"].T
        if s < 3:
            dh = dh + dnext @ p[f"A{s}"].T * features
        da = dh * (1 - h**2) if squashed else dh
        grads[f"V{s}"], grads[f"W{s}"] = h.T @ dy, x.T @ da
        dx = da @ p[f"W{s}"].T
        dnext = dx if s == 3 else dx + dnext * around
    return {**grads, "x1": dnext}


def known(p, cache):
    """What each gradient is when one of those that meet is forgotten, or all losses enter at one place."""
    right = gradients(p, cache)
    heads = right["V1"] + right["V2"] + right["V3"]
    mistakes = [
        ({key: g / 3 for key, g in right.items()},
         "is a third of what it should be: the loss is a sum over the stages, no mean"),
        (gradients(p, cache, into_last=True),
         "has the losses of all stages sent through the last y: each enters at its own stage"),
        (gradients(p, cache, own=False), "holds only what later stages send: each stage has a loss of its own, too"),
        (gradients(p, cache, maps=False),
         "holds only what the stage's own loss sends: y goes to the next stage, too, through C"),
        (gradients(p, cache, features=False), "lacks what comes back through A: h goes to the next stage, too"),
        (gradients(p, cache, around=False),
         "lacks what comes back around the stage: x itself goes to the next one, too"),
        (gradients(p, cache, squashed=False), "lets everything through the tanh"),
        (dict.fromkeys(("V1", "V2", "V3"), heads), "is the sum over all three stages: each has a V of its own"),
    ]  # fmt: skip
    return {key: [(wrong[key], words) for wrong, words in mistakes if key in wrong] for key in KEYS}


def examine(exam):
    cases = [(dict(zip("BDHJ", sizes, strict=True)), case(*sizes)) for sizes in SIZES]

    def slope(call, p, cache):
        x1, t = cache["x1"], cache["t"]
        of = {key: (lambda v, key=key: call("stages_forward", {**p, key: v}, x1, t)[0], p[key]) for key in KEYS[:-1]}
        return {**of, "x1": (lambda v: call("stages_forward", p, v, t)[0], x1)}

    outputs = ("p", "cache"), KEYS, stages_backward
    exam.examine(Spec("stages_backward", *outputs, cases, known, slope, "stages_forward", chain=True))
