"""E77 to E81: networks whose output is an image, and how good it is."""

import numpy as np

from ... import nn, rng
from ...evaluate import confusion, dice, iou, psnr
from .check import all_hold, equal


def _normal(*shape, place):
    return rng.normal(11, rng.CHECK, place, 0, int(np.prod(shape)), np.float64).reshape(shape)


def _skip():
    """A skip around a convolution and a tanh, and the same written anew."""
    skip = nn.Skip(nn.Conv2D(2, 3, 1), nn.Tanh()).initialise(seed=1, dtype=np.float64)
    W, b = skip.around.layers[0].W.value[0, 0], skip.around.layers[0].b.value
    return skip, lambda x: np.concatenate([x, np.tanh(x @ W + b)], axis=-1)


def E77_skip():
    (skip, by_hand), x = _skip(), _normal(2, 3, 4, 2, place=0)
    return equal("the first channels are x, the others what the layers make of it", skip.forward(x), by_hand(x))


def E78_skip_backward():
    (skip, by_hand), x, dY = _skip(), _normal(2, 3, 4, 2, place=0), _normal(2, 3, 4, 5, place=1)
    skip.forward(x)
    steps = 1e-40j * np.eye(x.size).reshape(x.size, *x.shape)
    by_step = np.array([(dY * by_hand(x + step).imag).sum() / 1e-40 for step in steps]).reshape(x.shape)
    return equal("dX is by complex steps through both ways", skip.backward(dY), by_step)


def _called():
    """Classes of 200 pixels, and those that are called them: 0 to 3, of which 3 is never there and never called."""
    draw = lambda place: np.floor(3 * rng.uniform(11, rng.CHECK, place, 0, 200, np.float64)).astype(int)
    truth, random = draw(2), draw(3)
    return np.where(random == 0, 0, truth), truth


def E79_dice():
    called, truth = _called()
    sets = [({*np.flatnonzero(called == k)}, {*np.flatnonzero(truth == k)}) for k in range(3)]
    by_hand = [2 * len(p & t) / (len(p) + len(t)) for p, t in sets]
    return equal("it is that of the sets of pixels", dice(confusion(called, truth, 4))[:3], by_hand)


def E80_iou():
    called, truth = _called()
    sets = [({*np.flatnonzero(called == k)}, {*np.flatnonzero(truth == k)}) for k in range(3)]
    found, d = (of(confusion(called, truth, 4))[:3] for of in (iou, dice))
    of_sets = equal("", found, [len(p & t) / len(p | t) for p, t in sets])
    claim = "it is that of the sets of pixels, and d / (2 − d) of a Dice of d"
    return all_hold(claim, of_sets, equal("", found, d / (2 - d)))


def E81_psnr():
    clean, noise = np.abs(_normal(3, 5, 5, place=4)), _normal(3, 5, 5, place=5)
    by_hand = [20 * np.log10(255) - 10 * np.log10(sum(n**2 for n in image.ravel()) / 25) for image in noise]
    tenth = psnr(clean + noise / np.sqrt(10), clean, 255) - 10
    value = psnr(clean + noise, clean, 255)
    claim = "it is that of the sum written out, and a tenth of the error is 10 more"
    return all_hold(claim, equal("", value, by_hand), equal("", value, tenth))
