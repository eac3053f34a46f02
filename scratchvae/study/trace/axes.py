"""What each axis of an array counts, so that the page can say "pixel 210, unit 17"."""

from ... import nn
from ...nn.convolution import Kernel
from .lessons import LESSONS

# Of each argument: "row" for the images, i and o for what enters and leaves the layer that called.
_AFFINE = {"x": "row i", "W": "i o", "b": "o", "out": "row o"}
_AFFINE_BACKWARD = {"dY": "row o", "x": "row i", "W": "i o", "dX": "row i", "dW": "i o", "db": "o"}
_LIKELIHOOD = {"logvar": "shared", "dnll": "row"}  # all others: row pixel
IMAGES, BIAS = ("image", "row", "column", "channel"), ("output channel",)
KERNEL = {True: ("row", "column", "input channel", "output channel"), False: ("row", "column", "output channel", "input channel")}


def axes_of(model):
    """{path: (what enters, what leaves)} of each layer: "pixel", "latent", "code", or the path of the layer that made the units."""
    found = {}
    ends = {"encoder": ("pixel", "code" if model.noise_columns else "latent"), "decoder": ("latent", "pixel")}
    for room, (axis, end) in ends.items():
        layers = getattr(model, room).layers
        last = max(i for i, layer in enumerate(layers) if isinstance(layer, (nn.Dense, Kernel)))
        for i, layer in enumerate(layers):
            leaves = axis
            if isinstance(layer, (nn.Dense, Kernel)):
                leaves = end if i == last else f"{room}.{i}"
            found[f"{room}.{i}"] = axis, leaves
            axis = leaves
    return found


def axes_for(table, call, argument, data):
    """What each axis of one argument of a recorded call counts.   table: of axes_of → a name for each axis"""
    if call.name not in LESSONS:
        return ("",) * data.ndim
    convolution = call.name.startswith("conv")
    if data.ndim == 4:
        return KERNEL[call.name.startswith("conv2d")] if convolution and argument in ("W", "dW") else IMAGES
    if convolution:
        return BIAS
    if argument in call.gradients and call.path == "likelihood":
        return ("shared",)
    if call.path == "likelihood":
        names = _LIKELIHOOD.get(argument, "row pixel")
    elif call.name == "affine":
        names = _AFFINE[argument]
    elif call.name == "affine_backward":
        names = _AFFINE_BACKWARD[argument]
    else:  # an activation, or what the posterior does with μ and log σ²
        names = "row o" if call.path in table else "row latent"
    enters, leaves = table.get(call.path, ("", ""))
    meaning = {"row": "image", "i": enters, "o": leaves}
    return tuple(meaning.get(name, name) for name in names.split())[: data.ndim]
