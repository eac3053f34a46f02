"""A call of every operation: what it is given, what it writes, and how."""

from typing import NamedTuple

import numpy as np

from scratchvae.nn import ACTIVATIONS
from scratchvae.ops import numpy as twins

WINDOWS = {"size": (3, 2), "stride": (2, 1)}
STRIDES = {"stride": (2, 1), "pad": (1, 2)}
KERNEL = 3, 3, 6, 5
MOMENTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}


class Call(NamedTuple):
    """operation(*given, *written, work, *more, **options); an optimiser is given its gradient second, behind the parameters."""

    name: str
    given: tuple  # arrays, and numbers
    written: tuple  # shapes of what is written, which begins as zeros
    work: tuple = ()  # shapes of NumPy's scratch
    more: tuple = ()
    options: dict | None = None
    image: tuple = ()  # the shape by which a convolution says how much work it wants
    dtype: object = None  # of what is written, if it is not that of what is given

    def on(self, ops, put, dtype):
        """Call it with arrays of put(array), floats in this dtype.   → what it wrote"""
        there = lambda value: (
            put(value.astype(dtype) if value.dtype.kind == "f" else value) if hasattr(value, "dtype") else value
        )
        given, more = [there(value) for value in self.given], [there(value) for value in self.more]
        written = [put(np.zeros(shape, self.dtype or dtype)) for shape in self.written]
        work = [put(np.zeros(shape, dtype)) for shape in self.work]
        if self.image:
            work = [put(np.zeros(ops.conv2d_work(self.image, KERNEL, **STRIDES), dtype))]
        work = [work] if len(work) > 1 else work
        arrays = [written[0], *given, *written[1:]] if self.name in MOMENTS else [*given, *written]
        getattr(ops, self.name)(*arrays, *work, *more, **(self.options or {}))
        return written


def calls(B, D, L):
    """Every operation of ops.numpy, of B rows of D and of L numbers, or of images.   → [Call]"""
    draw = np.random.default_rng(0)
    normal = lambda *shape: draw.normal(0, 1, shape)
    return [
        *_dense(normal, B, D),
        *_gaussian(normal, B, D, L),
        *_importance(normal, B, L),
        *_images(normal, draw, max(2, B // 50)),
        *_updates(normal, B * D),
    ]


def _dense(normal, B, D):
    act, found = (B, D), []
    for name in ACTIVATIONS:
        x, y = normal(*act), np.empty(act)
        getattr(twins, name)(x, y, np.empty(act))
        found += [Call(name, (x,), (act,), (act,)), Call(f"{name}_backward", (normal(*act), x, y), (act,), (act,))]
    return [
        *found,
        Call("soft_floor", (normal(*act), -1.0), (act,), (act,)),
        Call("soft_floor_backward", (normal(*act), normal(*act), -1.0), (act,)),
        Call("affine", (normal(*act), normal(D, 40), normal(40)), ((B, 40),)),
        Call("affine_backward", (normal(B, 40), normal(*act), normal(D, 40)), (act, (D, 40), (40,))),
    ]


def _gaussian(normal, B, D, L):
    latent, act, row = (B, L), (B, D), (B,)
    code, a = (lambda: normal(*latent)), (lambda: normal(*act))
    x = 1 / (1 + np.exp(-a()))
    return [
        Call("reparameterise", (code(), code(), code()), (latent, latent)),
        Call("reparameterise_backward", (code(), code(), code()), (latent, latent)),
        Call("gaussian_kl", (code(), code()), (row,), (latent, latent)),
        Call("gaussian_kl_backward", (normal(B), code(), code()), (latent, latent)),
        Call("sample_posterior", (code(), code(), code()), (latent, latent, row), (latent, latent)),
        Call("posterior_backward", (code(), normal(B), code(), code(), code(), code()), (latent, latent), (latent, latent)),
        Call("bernoulli_nll", (a(), a()), (row,), (act, act)),
        Call("bernoulli_nll_backward", (normal(B), a(), a()), (act,)),
        Call("squared_error", (a(), a()), (row,), (act,)),
        Call("squared_error_backward", (normal(B), a(), a()), (act,)),
        Call("gaussian_nll", (a(), normal(1), a()), (row,), (act,)),
        Call("gaussian_nll_backward", (normal(B), a(), normal(1), a()), (act, act)),
        Call("sum_all", (a(),), ((1,),)),
        Call("continuous_bernoulli_nll", (a(), a()), (row,), (act,) * 3),
        Call("continuous_bernoulli_nll_backward", (normal(B), a(), a()), (act,), (act,) * 3),
        Call("continuous_bernoulli_mean", (a(),), (act,), (act,) * 3),
        Call("logistic_nll", (a(), a(), x), (row,), (act,) * 5),
        Call("logistic_nll_backward", (normal(B), a(), a(), x), (act, act), (act,) * 5),
    ]


def _importance(normal, B, L, K=3):
    many, each = (B * K, L), (B * K,)
    return [
        Call("repeat_rows", (normal(B, L),), (many,)),
        Call("repeat_rows_backward", (normal(*many),), ((B, L),)),
        Call("sampled_kl", (normal(*many), normal(*many), normal(*many)), (each,), (many,)),
        Call("importance_loss", (normal(*each), normal(*each)), ((B,), (B, K))),
        Call("importance_loss_backward", (normal(B), normal(B, K)), (each,)),
        Call(
            "importance_backward",
            (normal(*many), normal(*each), normal(*each), normal(*many), normal(*many), np.exp(normal(*many))),
            (many, many),
        ),
    ]


def _images(normal, draw, B):
    image, small, large, group, channels = (B, 9, 8, 6), (B, 4, 7, 6), (B, 18, 24, 6), (B, 72, 2, 3), (2, 3)
    x, dY, view, pixels = normal(*image), normal(*small), normal(*group), (B, 72, 6)
    y, tall, logits = twins.max_pool(x, np.empty(small), **WINDOWS), (B, 18, 8, 6), normal(*pixels)
    rows, p = draw.integers(0, 6, (B, 72)), np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    out, joints = (B, 5, 10, 5), (B, 7, 8, 4)
    padded, positive = (B, 11, 12, 6), lambda *shape: np.abs(normal(*shape)) + 0.5
    conv = {"options": STRIDES, "image": image}
    return [
        Call("max_pool", (x,), (small,), options=WINDOWS),
        Call("max_pool_backward", (dY, x, y), (image,), (small, small), (), WINDOWS),
        Call("average_pool", (x,), (small,), options=WINDOWS),
        Call("average_pool_backward", (dY,), (image,), (small,), (), WINDOWS),
        Call("upsample_nearest", (x,), (large,)),
        Call("upsample_nearest_backward", (normal(*large),), (image,)),
        Call("upsample_bilinear", (x,), (large,), (tall, tall)),
        Call("upsample_bilinear_backward", (normal(*large),), (image,), (tall, tall)),
        Call("normalise", (view, normal(*channels), normal(*channels)), (group, group, (B, 2), (B, 2))),
        Call(
            "normalise_backward",
            (view, normal(*group), positive(B, 2), normal(*channels)),
            (group, channels, channels),
            (group,),
        ),
        Call(
            "standardise",
            (view, normal(*channels), positive(*channels), normal(*channels), normal(*channels)),
            (group, group),
        ),
        Call(
            "standardise_backward",
            (view, normal(*group), positive(*channels), normal(*channels)),
            (group, channels, channels),
        ),
        Call("follow", (normal(6), positive(6), normal(6), positive(6), 0.1), ((6,), (6,))),
        Call("dropout", (x, draw.random(image)), (image,), more=(0.3,)),
        Call("dropout_backward", (x, draw.random(image)), (image,), more=(0.3,)),
        Call("embedding", (rows, normal(6, 5)), ((B, 72, 5),)),
        Call("embedding_backward", (normal(B, 72, 5), rows), ((6, 5),)),
        Call("one_hot", (rows,), (pixels,)),
        Call("categorical_nll", (logits, rows), ((B,), pixels), (pixels[:2], pixels[:2])),
        Call("categorical_nll_backward", (normal(B), p, rows), (pixels,)),
        Call("concat", (x, normal(*image[:3], 5)), ((*image[:3], 11),)),
        Call("concat_backward", (normal(*image[:3], 11),), (image, (*image[:3], 5))),
        Call("plus", (x, normal(*image)), (image,)),
        Call("heat_maps", (draw.uniform(0, 16, (B, 4, 2)), 1.5), (joints,), more=(draw.random((B, 4)) < 0.8, 2)),
        Call("peaks", (normal(*joints),), ((B, 4, 2),), dtype=np.float64),
        Call("patches", (x,), ((B, 5, 10, 3, 3, 6),), (padded,), (), STRIDES),
        Call("patches_backward", (normal(B, 5, 10, 3, 3, 6),), (image,), (padded,), (), STRIDES),
        Call("conv2d", (x, normal(*KERNEL), normal(5)), (out,), **conv),
        Call("conv2d_backward", (normal(*out), x, normal(*KERNEL)), (image, KERNEL, (5,)), **conv),
        Call("conv_transpose2d", (normal(*out), normal(*KERNEL), normal(6)), (image,), **conv),
        Call("conv_transpose2d_backward", (x, normal(*out), normal(*KERNEL)), (out, KERNEL, (6,)), **conv),
    ]


def _updates(normal, n):
    found = [Call(name, (normal(n),), ((n,),) * (1 + moments), ((n,),), (1e-3, 2)) for name, moments in MOMENTS.items()]
    return [*found, Call("weight_decay", (normal(n),), ((n,),), ((n,),), (0.1,))]
