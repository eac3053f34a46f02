"""Every CUDA kernel of the project, in the template variants that are proven, and what their machine code must show.

A new kernel must be entered here: test_cuda_nvrtc.py compares this list with the sources.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import scratchvae

FOLDER = Path(scratchvae.__file__).parent / "ops" / "cuda" / "kernels"
ACTIVATIONS = ("NONE", "RELU", "LEAKY_RELU", "TANH", "SIGMOID", "SOFTPLUS", "GELU", "SILU")
RULES = ("Sgd", "Momentum", "Nesterov", "RMSProp", "Adagrad", "Adam", "AdamW")
WIDTHS = {"float": (1, 4), "double": (1, 2)}  # how many numbers at once: one, or as many as make 16 bytes


@dataclass(frozen=True)
class Variant:
    """One name expression. Registers are counted per thread; `oldest` is the first architecture that has the instructions."""

    name: str
    registers: int = 64
    wide: bool = False
    tensor_cores: bool = False
    oldest: int = 75


def typed(template, *choices, **claims):
    """The template in float and double, with each of `choices` for {choice}."""
    return [Variant(template.format(T=T, choice=choice), **claims) for T in WIDTHS for choice in choices or ("",)]


def packed(template, *choices, types=WIDTHS, **claims):
    """The same, one number and 16 bytes at a time ({V})."""
    return [
        Variant(template.format(T=T, V=V, choice=choice), wide=V > 1, **claims)
        for T in types
        for V, choice in product(WIDTHS[T], choices or ("",))
    ]


def tiled(tiles, types, **claims):
    """The three products of a dense layer. The activation is in the epilogue only, and activations.cu has them all."""
    return [
        variant
        for template in ("affine<{T}, {choice}, RELU, {V}>", "affine_dX<{T}, {choice}, RELU, {V}>", "affine_dW<{T}, {choice}, {V}>")
        for variant in packed(template, *tiles, types=types, **claims)
    ]


VARIANTS = {
    "activations.cu": packed("activation<{T}, {choice}, {V}>", *ACTIVATIONS)
    + packed("activation_backward<{T}, {choice}, {V}>", *ACTIVATIONS),
    "affine_fma.cu": tiled(["Small", "Medium", "Large"], ["float"], registers=232)
    + tiled(["Small", "Medium"], ["double"], registers=232),
    "affine_tf32.cu": tiled(["SmallTF32", "LargeTF32"], ["float"], registers=128, tensor_cores=True, oldest=80),
    "gather.cu": [
        Variant(f"gather<{T}, {pixel}, {V}, {binarise}>", wide=V == 4)
        for T, pixel, V, binarise in product(WIDTHS, ("unsigned char", "float"), (1, 4), ("false", "true"))
    ],
    "gaussian.cu": typed("{choice}<{T}>", "reparameterise", "reparameterise_backward")
    + typed("{choice}<{T}>", "gaussian_kl", "gaussian_kl_backward", "posterior_backward")
    + typed("sample_posterior<{T}, {choice}>", "true", "false"),
    "likelihoods.cu": packed("bernoulli<{T}, {V}, {choice}>", "LOSS", "GRADIENT", "LOSS | GRADIENT")
    + typed("gaussian<{T}, {choice}>", "LOSS", "GRADIENT", "LOSS | GRADIENT")
    + packed("squared<{T}, {V}, {choice}>", "LOSS", "GRADIENT", "LOSS | GRADIENT"),
    "noise.cu": [Variant("words"), *typed("normal<{T}>")],
    "optimisers.cu": packed("update<{T}, {choice}, {V}>", *RULES),
    "reductions.cu": typed("{choice}<{T}>", "total", "squares", "clip_factor") + packed("add<{T}, {V}>"),
}
