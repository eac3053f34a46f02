"""What the launches of one training step on a GPU move and compute, counted without a GPU: nothing runs, all is written down."""

import re
from math import prod
from typing import NamedTuple

import numpy as np

from ..backend import Backend
from ..models import VAE
from ..ops import cuda
from ..ops.cuda import launch
from ..training import DeviceStep, Optimiser

# What a kernel reads of the array that it then overwrites; and operations per number of the result, as the kernels state them.
IN_PLACE = {"update": "pmv", "end_of_step": ("window", "counters")}
PER_NUMBER = {"gather": ("out", 1), "normal": ("out", 40), "sample_posterior": ("z", 40), "bernoulli": ("x", 30),
              "posterior_backward": ("dz", 25), "update": ("p", 12), "end_of_step": ("term0", 2), "sum_parts": ("parts", 1),
              "activation": ("y", 1), "activation_backward": ("dX", 2)}  # fmt: skip
SCRATCH = ("partials", "tickets")  # of split-K: small, and used only where a product has few tiles
_SIGNATURE = r"__global__[^;{{]*?\b{}\s*\(([^)]*)\)\s*{{"
_PARAMETER = re.compile(r"(const )?[\w ]+?(\*?) ?(\w+)$")


class Launch(NamedTuple):
    """layer: "784 → 400", of a matrix product, or "32 → 64" channels, of a convolution; "loss" or "gradient", of a likelihood
    bytes: of every array that it must read or write, once each
    operations: floating-point; of a matrix product, those of the product alone
    """

    kernel: str
    layer: str
    blocks: int
    threads: int
    bytes: int
    operations: int


class Notebook:
    """A place for `ops.cuda.launch.run_on` where kernels are not run: a launch writes down its Launch."""

    array, null = np.ndarray, None

    def __init__(self):
        self.launches = []

    def address(self, array):
        return array.ctypes.data

    def build(self, file, expression):
        kernel = expression.partition("<")[0]
        signature = re.search(_SIGNATURE.format(kernel), launch.source(file))[1]
        parameters = [_PARAMETER.match(" ".join(part.split())).groups() for part in signature.split(",")]

        def write_down(grid, block, arguments, shared_mem=0):
            named = {name: argument for (_, _, name), argument in zip(parameters, arguments, strict=True)}
            layer = " → ".join(str(named[name]) for name in "IO" if kernel.startswith(("affine", "convolution")))
            if ", true, " in expression:  # of a convolution: transposed
                layer = " → ".join(reversed(layer.split(" → ")))
            if kernel == "bernoulli":
                layer = "gradient" if named["nll"] is None else "loss"
            self.launches.append(Launch(kernel, layer, int(np.prod(grid)), int(np.prod(block)), *_cost(kernel, parameters, named)))

        return write_down


def _cost(kernel, parameters, named):
    """(bytes, operations) of a launch. An array that two parameters read counts once, one that is read and written, twice."""
    arrays = {
        (constant is not None, id(named[name])): named[name]
        for constant, pointer, name in parameters
        if pointer and named[name] is not None and name not in (*SCRATCH, *_unread(kernel, named))
    }
    size = sum(array.nbytes for array in arrays.values()) + sum(named[name].nbytes for name in IN_PLACE.get(kernel, ()))
    if kernel == "gather":  # of all images and their order, only the rows of this batch
        images, order, rows = named["images"], named["order"], named["rows"]
        size -= images.nbytes - rows * images.itemsize * images.shape[1] + order.nbytes - rows * order.itemsize
    if kernel in PER_NUMBER:
        name, each = PER_NUMBER[kernel]
        return size, each * named[name].size
    products = 1 if not kernel.endswith("backward") or named["dX"] is None else 2
    return size, products * 2 * prod(int(named[name]) for name in ("B", "I", "O", "h", "w", "kh", "kw") if name in named)


def _unread(kernel, named):
    """Arrays that a launch is given and does not touch: without dX, nobody needs W."""
    return ("W", "kernel") if kernel.endswith("_backward") and named.get("dX", 0) is None else ()


def launches_of_a_step(batch=128, hidden=400, latent=20, pixels=784):
    """One step of a VAE pixels-hidden-latent-hidden-pixels with Adam, in float32, as training launches it → [Launch]"""
    return launches_of(lambda place: VAE(pixels, (hidden,), latent, backend=place), batch, pixels)


def launches_of(make, batch, pixels):
    """One step, with Adam, of the model that make(backend) returns, on so many images at a time → [Launch]"""
    notebook = Notebook()
    with launch.run_on(notebook):
        model = make(Backend("cupy", np, cuda, np.empty))
        optimiser = Optimiser("adam", backend=model.backend)
        optimiser.start(model.buffer.values)
        with DeviceStep(model, optimiser, np.zeros((batch, pixels), np.uint8), batch) as step:
            step.run(np.arange(batch), 0, 1, 0, lambda step: 1e-3)
    return notebook.launches
