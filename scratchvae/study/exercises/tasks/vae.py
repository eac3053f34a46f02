"""vae: everything so far, in one function, judged from the output backwards."""

import numpy as np

from ..exam import Spec
from ..solutions.vae import vae_backward, vae_forward
from .draws import draw, draw_uniform

TITLE = "a whole VAE step"
EQUATIONS = ("E4", "E5", "E6", "E13", "E14", "E15", "E16", "E17", "E18", "E36")
WRITE = ("vae_backward",)
HINTS = (
    "Go through forward from its last line to its first. For each array on the way write down its gradient, of the same "
    "shape, and which exercise had that step. The loss is an average over the images: one factor stands at the very start.",
    "mu and logvar are used twice: in z and in the KL. Where an array is used twice, its gradient has two parts, which are "
    "added. Only one of the two comes through the decoder; the other also knows of the average.",
    "The order is: logits, W4 and b4, decoder ReLU, W3 and b3, z, then mu and logvar (two parts each), put side by side as "
    "they came, W2 and b2, encoder ReLU, W1 and b1. In the cache, h1 and h2 tell which units the ReLU let through.",
)
KEYS = ("W4", "b4", "W3", "b3", "W2", "b2", "W1", "b1")  # as backward meets them
SIZES = [(1, 1, 1, 1), (1, 3, 2, 1), (3, 2, 5, 2), (5, 7, 11, 3)]


def case(B, D, H, L):
    shapes = {"W1": (D, H), "b1": (H,), "W2": (H, 2 * L), "b2": (2 * L,), "W3": (L, H), "b3": (H,), "W4": (H, D), "b4": (D,)}
    p = {name: 0.7 * draw(i + 20, *shape) for i, (name, shape) in enumerate(shapes.items())}
    p["b1"], p["b3"] = np.abs(p["b1"]) + 0.5, np.abs(p["b3"]) + 0.5  # the smallest networks have to have a unit that is on
    return p, vae_forward(p, draw_uniform(1, B, D), draw(2, B, L))[1]


def known(p, cache):
    """Mistakes at mu and logvar, told by what they do to W2, b2 and, through the encoder, to W1 and b1."""
    x, eps, mu, std, h1 = (cache[k] for k in ("x", "eps", "mu", "std", "h1"))
    B, L = eps.shape
    dlogits = (1 / (1 + np.exp(-cache["logits"])) - x) / B
    da2 = np.where(cache["h2"] > 0, dlogits @ p["W4"].T, 0)
    dz = da2 @ p["W3"].T
    kl = np.concatenate([mu, 0.5 * (std**2 - 1)], axis=1) / B
    through_z = np.concatenate([dz, 0.5 * dz * eps * std], axis=1)
    swapped = np.concatenate([(through_z + kl)[:, L:], (through_z + kl)[:, :L]], axis=1)
    no_half = np.concatenate([dz, dz * eps * std], axis=1) + kl

    def onward(dcode, mask=True):
        da1 = dcode @ p["W2"].T
        da1 = np.where(h1 > 0, da1, 0) if mask else da1
        return {"W2": h1.T @ dcode, "b2": dcode.sum(axis=0), "W1": x.T @ da1, "b1": da1.sum(axis=0)}

    da2_open = dlogits @ p["W4"].T
    mistakes = [
        (onward(through_z), "holds only what comes back through z: mu and logvar stand in the KL as well"),
        (onward(kl), "holds only the part of the KL: z is made of mu and logvar as well"),
        (onward(through_z + B * kl), "has the part of the KL too large: the loss averages the KL over the images, too"),
        (onward(swapped), "has mu and logvar in each other's place"),
        (onward(no_half), "has the part of logvar that comes through z twice too large"),
        (vae_backward(p, {**cache, "mu": 0 * mu}), "lacks the part of the KL at mu"),
        (onward(through_z + kl, mask=False), "lets everything through the encoder's ReLU"),
        ({"W3": cache["z"].T @ da2_open, "b3": da2_open.sum(axis=0)}, "lets everything through the decoder's ReLU"),
        ({"W3": mu.T @ da2}, "is made with mu, and the decoder was given z"),
    ]
    return {key: [(m[key], words) for m, words in mistakes if key in m] for key in KEYS}


def examine(exam):
    cases = [(dict(zip("BDHL", sizes, strict=True)), case(*sizes)) for sizes in SIZES]

    def slope(call, p, cache):
        x, eps = cache["x"], cache["eps"]
        return {key: (lambda v, key=key: call("vae_forward", {**p, key: v}, x, eps)[0], p[key]) for key in KEYS}

    exam.examine(Spec("vae_backward", ("p", "cache"), KEYS, vae_backward, cases, known, slope, "vae_forward", chain=True))
