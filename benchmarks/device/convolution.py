"""Convolutions on the device, of the sizes that the models have: against NumPy, and their times."""

from math import prod

import numpy as np

from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda.patches import windows

SIZES = {  # image (B, H, W, I), kernel (kh, kw, I, O), stride, pad
    "conv VAE, 1 to 32": ((128, 28, 28, 1), (4, 4, 1, 32), (2, 2), (1, 1)),
    "conv VAE, 32 to 64": ((128, 14, 14, 32), (4, 4, 32, 64), (2, 2), (1, 1)),
    "U-Net, 16 to 16": ((64, 28, 28, 16), (3, 3, 16, 16), (1, 1), (1, 1)),
    "U-Net, 32 to 32": ((64, 14, 14, 32), (3, 3, 32, 32), (1, 1), (1, 1)),
    "U-Net, 64 to 128": ((64, 7, 7, 64), (3, 3, 64, 128), (1, 1), (1, 1)),
    "odd sizes": ((9, 23, 18, 3), (3, 4, 3, 5), (2, 3), (1, 2)),
}
DRY = {
    "odd sizes": ((2, 7, 8, 3), (3, 4, 3, 5), (2, 3), (1, 2)),
    "even sizes": ((2, 6, 6, 4), (4, 4, 4, 8), (2, 2), (1, 1)),
}
# In units of the sum of |products|: up to a hundred thousand terms, each rounded; in TF32 each factor to 11 significant bits.
LIMITS = {("fp32", np.float32): 2e-5, ("fp32", np.float64): 1e-12, ("tf32", np.float32): 2e-3}


def parity(setting):
    """Both operations, forward and backward, against NumPy in float64: the largest difference, in units of the sum of |products|."""
    table = []
    for name, size in (DRY if setting.dry else SIZES).items():
        exact = _results(twins, size, np.empty, np.asarray, np.float64)
        terms = _results(twins, size, np.empty, np.abs, np.float64)
        for (precision, dtype), limit in LIMITS.items():
            if precision not in setting.precisions:
                continue
            how = {} if precision == "fp32" else {"precision": precision}
            got = _results(setting.place.ops, size, setting.place.empty, setting.place.put, dtype, **how)
            for operation, expected in exact.items():
                off = np.abs(setting.place.get(got[operation]).astype(np.float64) - expected) / np.maximum(terms[operation], 1e-300)
                table.append({"size": name, "operation": operation, "dtype": np.dtype(dtype).name, "precision": precision,
                              "difference": float(off.max()), "limit": limit})  # fmt: skip
    return {"ok": all(line["difference"] <= line["limit"] for line in table), "table": table}


def speed(setting):
    """µs of each call inside a graph, and the operations of its products; beside it NumPy's on this machine's CPU."""
    timed, wall, lines, repeats = setting.stopwatch(), type(setting)(setting.place, True).stopwatch(), [], 20
    for name, size in (DRY if setting.dry else SIZES).items():
        host = dict(_calls(twins, size, np.empty, np.asarray, np.float32))
        for precision in setting.precisions:
            how = {} if precision == "fp32" else {"precision": precision}
            calls = dict(_calls(setting.place.ops, size, setting.place.empty, setting.place.put, np.float32, **how))
            for operation, (call, _, products) in calls.items():
                call()
                replay = setting.place.capture(lambda call=call: [call() for _ in range(repeats)])
                us = 1e3 * _median(timed, replay, setting.rounds) / repeats
                count = products * 2 * prod(_outputs(size)[:3]) * prod(size[1])
                lines.append({"size": name, "operation": operation, "precision": precision, "device_us": us,
                              "operations": count, "GFLOP_per_s": count / us / 1e3})  # fmt: skip
                if precision == "fp32":
                    lines[-1]["numpy_us"] = 1e3 * _median(wall, host[operation][0], setting.rounds)
    return {"lines": lines}


def once(setting):
    """Every kernel once, on small arrays, for compute-sanitizer to watch."""
    for size in DRY.values():
        for precision in setting.precisions:
            how = {} if precision == "fp32" else {"precision": precision}
            _results(setting.place.ops, size, setting.place.empty, setting.place.put, np.float32, **how)


def _results(ops, size, empty, put, dtype, **how):
    """{operation: what it wrote}, in one flat name for each array."""
    found = {}
    for operation, (call, written, _) in _calls(ops, size, empty, put, dtype, **how):
        call()
        found |= {f"{operation}, {name}": array for name, array in written.items()}
    return found


def _calls(ops, size, empty, put, dtype, **how):
    """(operation, (call, {name: what it writes}, how many products it computes)) of both operations."""
    image, kernel, *where = size
    draw = np.random.default_rng(0)
    new = lambda *shape: put(draw.normal(0, 1, shape).astype(np.float32).astype(dtype))  # the same numbers in every dtype
    x, y, W, b, c = new(*image), new(*_outputs(size)), new(*kernel), new(kernel[3]), new(kernel[2])
    work = empty((ops.conv2d_work(image, kernel, *where),), dtype)
    for name, a, bias, made in (("conv2d", x, b, y), ("conv_transpose2d", y, c, x)):
        forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
        out, dA, dW, db = (empty(array.shape, dtype) for array in (made, a, W, bias))
        arguments = (a, W, bias, out, work, *where), (made, a, W, dA, dW, db, work, *where)
        yield name, (lambda f=forward, a=arguments[0]: f(*a, **how), {"y": out}, 1)
        yield f"{name}_backward", (lambda f=backward, a=arguments[1]: f(*a, **how), {"dX": dA, "dW": dW, "db": db}, 2)


def _outputs(size):
    (B, H, W, _), (kh, kw, _, filters), stride, pad = size
    return B, *windows((H, W), (kh, kw), stride, pad), filters


def _median(timed, work, rounds):
    work()
    return max(float(np.median([timed(work) for _ in range(rounds)])), 1e-9)
