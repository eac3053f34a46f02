"""Dense layers: the twins of ops.numpy.affine, and the fused layer."""

from math import gcd

import numpy as np

from ...errors import ConfigError, ShapeError
from .activations import KEEPS_X
from .check import check, integers
from .launch import C_NAMES, int32, launch, width
from .tiling import backward_products, forward_products, plan, shared_bytes


def affine(x, W, b, out, *, precision="fp32", scratch=None, planner=plan):
    """Y = X W + b (E4).   x (B, I) · W (I, O) · b (O,) → out (B, O)

    precision "tf32" uses the tensor cores. With a Scratch, k is split where that fills the multiprocessors more evenly.
    `planner` chooses the tiles; to try others, give a function that takes what `plan` takes.
    """
    return dense(x, W, b, out, "none", precision=precision, scratch=scratch, planner=planner)


def affine_backward(dY, x, W, dX, dW, db, *, precision="fp32", scratch=None, planner=plan):
    """dX = dY Wᵀ,  dW = Xᵀ dY,  db = Σ_rows dY (E5).   Writes dX (B, I) unless it is None, dW (I, O), db (O,)."""
    return dense_backward(dY, x, W, dX, dW, db, precision=precision, scratch=scratch, planner=planner)


def dense(x, W, b, out, activation="relu", pre=None, *, precision="fp32", scratch=None, planner=plan):
    """out = act(X W + b) in one launch (E4, E6–E12).   x (B, I) · W (I, O) · b (O,) → out (B, O)

    In NumPy: affine(x, W, b, pre), then relu(pre, out) or whichever. pre (B, O), when given, receives x W + b, which the
    backward of GELU and SiLU needs.
    """
    sizes = rows, inputs, outputs = _sizes("dense", x, W)
    y_shape = rows, outputs
    dtype = check("dense", x=(x, (rows, inputs)), W=(W, W.shape), b=(b, (outputs,)), pre=(pre, y_shape), out=(out, y_shape))
    options = f"{_enum(activation)}, {width(gcd(inputs, outputs), x, W, b, pre, out)}"
    products = forward_products(*sizes)
    planned = planner(products, dtype.itemsize, precision, scratch is not None)
    shared = shared_bytes(planned.tile, True, False)
    _launch("affine", options, products, planned, (x, W, b, pre, out, *sizes), dtype, scratch, shared)
    return out


def dense_backward(dY, x, W, dX, dW, db, activation="none", kept=None, *, precision="fp32", scratch=None, planner=plan):
    """dW = Xᵀ dY,  db = Σ_rows dY,  dX = (dY Wᵀ) ⊙ act′ in one launch (E5, E6–E12); dX (B, I) may be None.

    `activation` is the one that made x, in the layer below, so dX is the gradient before it. In NumPy: affine_backward(dY, x,
    W, dX, dW, db), then relu_backward(dX, …) or whichever. `kept` (B, I) is what act′ is computed from: x itself by default,
    and for GELU and SiLU the `pre` of that layer. dX may not be x or dY.
    """
    sizes = rows, inputs, outputs = _sizes("dense_backward", x, W)
    if kept is None and activation in KEEPS_X:
        raise ShapeError(f"dense_backward: the slope of {activation} is computed from kept=, the layer's input before it")
    kept = x if kept is None else kept
    x_shape, y_shape = (rows, inputs), (rows, outputs)
    dtype = check(
        "dense_backward", dY=(dY, y_shape), x=(x, x_shape), W=(W, W.shape), kept=(kept, x_shape),
        dX=(dX, x_shape), dW=(dW, W.shape), db=(db, (outputs,)),
    )  # fmt: skip
    options = f"{_enum(activation)}, {width(gcd(inputs, outputs), dY, x, W, kept, dX, dW)}"
    products = backward_products(*sizes)[: 1 if dX is None else 2]
    planned = planner(products, dtype.itemsize, precision, scratch is not None)
    shared = max(shared_bytes(planned.tile, by_k, by_k) for by_k in (False, True))
    _launch("affine_backward", options, products, planned, (dY, x, W, kept, dX, dW, db, *sizes), dtype, scratch, shared)
    return dX


def _launch(name, options, products, planned, arguments, dtype, scratch, shared):
    tile, splits = planned
    partials, tickets = _enough(planned.scratch(products), dtype, scratch)
    both = splits if name == "affine" else (*splits, 1)[:2]
    numbers = tuple(int32(a) if isinstance(a, int) else a for a in (*arguments, *both))
    expression = f"{name}<{C_NAMES[dtype]}, {tile.name}, {options}>"
    file = "affine_tf32.cu" if tile.stages else "affine_fma.cu"
    launch(file, expression, (planned.blocks(products),), (tile.threads,), (*numbers, partials, tickets), shared)


def _enough(need, dtype, scratch):
    if scratch is None:
        return None, None
    check("scratch", dtype, partials=(scratch.partials, scratch.partials.shape))
    integers("scratch", np.dtype(np.uint32), tickets=(scratch.tickets, scratch.tickets.shape))
    if scratch.partials.size < need[0] or scratch.tickets.size < need[1]:
        raise ShapeError(
            f"scratch holds {scratch.partials.size:,} partials and {scratch.tickets.size:,} tickets, but this product needs "
            f"{need[0]:,} and {need[1]:,}: see scratch_size"
        )
    return scratch


def _sizes(operation, x, W):
    if x.ndim != 2 or W.ndim != 2:
        raise ShapeError(f"{operation}: x and W must have two dimensions, not {x.shape} and {W.shape}")
    return len(x), *W.shape


def _enum(activation):
    names = ("none", "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu")
    if activation not in names:
        raise ConfigError(f"activation must be one of {', '.join(names)}, not {activation!r}")
    return activation.upper()
