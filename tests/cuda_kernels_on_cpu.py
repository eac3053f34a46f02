"""A place for ops.cuda to run without a GPU: the same launches, on NumPy arrays, by the harness in cuda_on_cpu."""

from functools import cache
from itertools import product

from scratchvae import cuda_on_cpu as on_cpu
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


def _convolutions(T, tile, V):
    return [f"{name}<{T}, {tile}, {way}, {V}>" for name in ("convolution", "convolution_backward") for way in ("false", "true")]


# What is compiled together: (file, [expressions]). Every kernel of the package stands here once.
GROUPS = [
    ("activations.cu", _each_width("activation<{T}, {0}, {V}>", ACTIVATIONS[1:])
     + _each_width("activation_backward<{T}, {0}, {V}>", ACTIVATIONS[1:]) + _each("{}<{}>", ("soft_floor", "soft_floor_backward"), TYPES)),
    ("noise.cu", ["words", *_each("{}<{}>", ("normal", "uniforms"), TYPES), *_each_width("dropout<{T}, {V}>")]),
    ("gaussian.cu", _each("{}<{}>", ("reparameterise", "reparameterise_backward", "gaussian_kl", "gaussian_kl_backward",
                                      "posterior_backward", "sample_posterior"), TYPES)),
    ("likelihoods.cu", _each_width("{0}<{T}, {V}, {1}>", ("bernoulli", "squared"), (1, 2, 3))
     + _each("gaussian<{}, {}>", TYPES, (1, 2, 3)) + _each("{}<{}, {}>", ("continuous_bernoulli", "logistic"), TYPES, (1, 2))
     + _each("continuous_bernoulli_mean<{}>", TYPES)),
    ("importance.cu", _each("{}<{}>", ("repeat_rows", "repeat_rows_backward", "sampled_kl", "importance_loss",
                                       "importance_loss_backward", "importance_backward"), TYPES)),
    ("gather.cu", _each("gather<{}, {}, {}, {}>", TYPES, ("unsigned char", "float"), (1, 4), ("true", "false"))
     + _each("gather_words<{}>", ("unsigned char", "unsigned short", "unsigned", "unsigned long long"))),
    ("pooling.cu", _each_width("{0}<{T}, {V}>", ("max_pool", "max_pool_backward", "window_sums", "window_spread",
                                                  "upsample_bilinear", "upsample_bilinear_backward"))),
    ("normalisation.cu", _each("{}<{}>", ("channel_moments", "group_moments", "channel_sums", "group_sums", "follow"), TYPES)
     + _each_width("{0}<{T}, {V}>", ("standardise", "standardise_backward"))),
    ("categorical.cu", _each("{}<{}>", ("embedding_backward", "one_hot", "categorical_nll", "categorical_nll_backward"), TYPES)
     + _each_width("embedding<{T}, {V}>")),
    ("joining.cu", _each_width("join<{T}, {V}, {0}>", ("true", "false"))),
    ("heat_maps.cu", _each("{}<{}>", ("heat_maps", "peaks"), TYPES)),
    ("reductions.cu", _each("{}<{}>", ("total", "squares", "clip_factor", "sum_parts"), TYPES) + _each_width("add<{T}, {V}>")),
    ("step.cu", _each("{}<{}>", ("end_of_step", "sum_all"), TYPES)),
    ("optimisers.cu", _each_width("update<{T}, {0}, {V}>", RULES) + _each_width("weight_decay<{T}, {V}>")),
    *(("affine_fma.cu", _products(T, tile, V)) for T, V in WIDTHS for tile in ("Small", "Medium")),
    *(("affine_fma.cu", _products("float", "Large", V)) for V in (1, 4)),
    *(("affine_tf32.cu", _products("float", tile, V)) for tile in ("SmallTF32", "MediumTF32", "LargeTF32") for V in (1, 4)),
    *(("convolution_fma.cu", _convolutions(T, tile, V)) for T, V in WIDTHS for tile in ("Narrow", "Small", "Medium")),
    *(("convolution_tf32.cu", _convolutions("float", f"{tile}TF32", V)) for tile in ("Narrow", "Small", "Medium") for V in (1, 4)),
    ("patches.cu", _each_width("{0}<{T}, {V}>", ("patches", "patches_backward"))),
    ("ladder.cu", _each("{}<{}>", ("naive", "shared_tiles", "register_tiles"), TYPES) + _each_width("double_buffered<{T}, {V}>")),
    ("ladder_tf32.cu", ["tensor_cores<1>", "tensor_cores<4>"]),
]  # fmt: skip


class Grouped:
    """A place that builds together what stands together in GROUPS, and what is none of ours alone."""

    def module(self, file, expression):
        if not isinstance(file, str) or "__global__" in file:
            return super().module(file, expression)
        names = next((names for name, names in GROUPS if name == file and expression in names), None)
        if names is None:
            raise LookupError(f"{file} {expression} is not in GROUPS: list it there, so that it is built and checked")
        return grouped(file, tuple(names))


class OnCpu(Grouped, on_cpu.OnCpu):
    """Our kernels on NumPy arrays."""


class Alone(on_cpu.OnCpu):
    """The same, but no more is built than is asked for, and ThreadSanitizer takes no order of blocks for granted, if `unordered`.

    together: {file: expressions} that are built at once, which is faster
    """

    def __init__(self, unordered, together=None):
        super().__init__()
        self.unordered, self.together = unordered, together or {}

    def module(self, file, expression):
        names = self.together.get(file, ())
        module = grouped(file, names) if expression in names else super().module(file, expression)
        module.set_unordered_blocks(self.unordered)
        return module


@cache
def grouped(file, names):
    return on_cpu.CpuModule(launch.source(file), name_expressions=names)
