"""A place for ops.cuda to run without a GPU: the same launches, on NumPy arrays, by the harness in cuda_on_cpu."""

from itertools import product

import numpy as np

from scratchvae.checks.cuda_on_cpu import CpuModule
from scratchvae.ops.cuda import launch

ACTIVATIONS = ("NONE", "RELU", "LEAKY_RELU", "TANH", "SIGMOID", "SOFTPLUS", "GELU", "SILU")
WIDTHS = (("float", 1), ("float", 4), ("double", 1), ("double", 2))
TYPES = ("float", "double")
RULES = ("Sgd", "Momentum", "Nesterov", "RMSProp", "Adagrad", "Adam", "AdamW")


def _each(pattern, *choices):
    return [pattern.format(*choice) for choice in product(*choices)]


def _each_width(pattern, *choices):
    return [pattern.format(*rest, T=T, V=V) for T, V in WIDTHS for rest in product(*choices)]


def _products(T, tile, V):
    """The products of one kind of tile: all activations on small tiles, some on the others, which compile for longer."""
    acts = ACTIVATIONS if tile.startswith("Small") else ("NONE", "RELU", "GELU")
    return [f"{name}<{T}, {tile}, {act}, {V}>" for name in ("affine", "affine_backward") for act in acts]


# What is compiled together: (file, [expressions]). Every kernel of the package stands here once.
GROUPS = [
    ("activations.cu", _each_width("activation<{T}, {0}, {V}>", ACTIVATIONS[1:])
     + _each_width("activation_backward<{T}, {0}, {V}>", ACTIVATIONS[1:])),
    ("noise.cu", ["words", "normal<float>", "normal<double>"]),
    ("gaussian.cu", _each("{}<{}>", ("reparameterise", "reparameterise_backward", "gaussian_kl", "gaussian_kl_backward",
                                      "posterior_backward", "sample_posterior"), TYPES)),
    ("likelihoods.cu", _each_width("{0}<{T}, {V}, {1}>", ("bernoulli", "squared"), (1, 2, 3))
     + _each("gaussian<{}, {}>", TYPES, (1, 2, 3))),
    ("gather.cu", _each("gather<{}, {}, {}, {}>", TYPES, ("unsigned char", "float"), (1, 4), ("true", "false"))),
    ("reductions.cu", _each("{}<{}>", ("total", "squares", "clip_factor"), TYPES) + _each_width("add<{T}, {V}>")),
    ("step.cu", _each("{}<{}>", ("end_of_step", "sum_all"), TYPES)),
    ("optimisers.cu", _each_width("update<{T}, {0}, {V}>", RULES) + _each_width("weight_decay<{T}, {V}>")),
    *(("affine_fma.cu", _products(T, tile, V)) for T, V in WIDTHS for tile in ("Small", "Medium")),
    *(("affine_fma.cu", _products("float", "Large", V)) for V in (1, 4)),
    *(("affine_tf32.cu", _products("float", tile, V)) for tile in ("SmallTF32", "MediumTF32", "LargeTF32") for V in (1, 4)),
    ("ladder.cu", _each("{}<{}>", ("naive", "shared_tiles", "register_tiles"), TYPES) + _each_width("double_buffered<{T}, {V}>")),
    ("ladder_tf32.cu", ["tensor_cores<1>", "tensor_cores<4>"]),
]  # fmt: skip


class OnCpu:
    """Kernels built by g++, on NumPy arrays. `launches` lists the expressions that ran."""

    array = np.ndarray

    def __init__(self, schedule="forward", seed=0, unordered=False, alone=False):
        """unordered: ThreadSanitizer takes no order of blocks for granted · alone: build no more than is asked for"""
        self.schedule, self.seed, self.launches = schedule, seed, []
        self.unordered, self.alone = unordered, alone

    def build(self, file, expression):
        names = next((names for name, names in GROUPS if name == file and expression in names), None)
        if names is None:
            raise LookupError(f"{file} {expression} is not in GROUPS: list it there, so that it is built and checked")
        module = _module(file, (expression,) if self.alone else tuple(names))
        function = module.get_function(expression)

        def run(grid, block, arguments, shared_mem=0):
            self.launches.append(expression)
            module.set_schedule(self.schedule, self.seed)
            module.set_unordered_blocks(self.unordered)
            function(grid, block, tuple(map(_memory, arguments)), shared_mem=shared_mem)

        return run

    def address(self, array):
        return array.ctypes.data


_modules = {}


def _module(file, names):
    key = file, names
    if key not in _modules:
        _modules[key] = CpuModule(launch.source(file), name_expressions=names)
    return _modules[key]


def _memory(argument):
    """An array with gaps between its rows as the contiguous stretch of memory that it spans, as a kernel would see it."""
    if not isinstance(argument, np.ndarray) or argument.flags.c_contiguous or not argument.size:
        return argument
    span = sum((n - 1) * stride for n, stride in zip(argument.shape, argument.strides, strict=True)) // argument.itemsize + 1
    return np.lib.stride_tricks.as_strided(argument, (span,), (argument.itemsize,))
