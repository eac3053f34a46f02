"""Proofs on the device: parity with NumPy, gradients by differences, the same training on both, graph against eager."""

import numpy as np

from scratchvae import rng
from scratchvae.models import VAE, Autoencoder
from scratchvae.nn import ACTIVATIONS
from scratchvae.ops import numpy as twins
from scratchvae.training import Optimiser, Schedule, TrainingStep

from . import convolution
from .operations import calls
from .setting import Steps


def parity(setting):
    """Every operation on both backends, in both dtypes: the largest difference, in units of the largest result."""
    rows, table, put = (33 if setting.dry else 1000), [], setting.place.put
    for call in calls(rows, setting.pixels, 20 if not setting.dry else 3):
        for dtype in (np.float32, np.float64):
            mine, theirs = call.on(twins, np.asarray, dtype), call.on(setting.place.ops, put, dtype)
            worst = max(_distance(setting.place.get(b), a) for a, b in zip(mine, theirs, strict=True))
            line = {"operation": call.name, "dtype": np.dtype(dtype).name, "difference_of_largest": worst, "limit": _limit(dtype)}
            table.append(line)
    noise = setting.place.ops.normal(setting.place.empty((rows, 20), np.float64), 5, rng.LATENT, 7)
    worst = _distance(setting.place.get(noise), rng.normal(5, rng.LATENT, 7, np.arange(rows), 20, np.float64))
    table.append({"operation": "normal", "dtype": "float64", "difference_of_largest": worst, "limit": 1e-12})
    return {"ok": all(line["difference_of_largest"] <= line["limit"] for line in table), "table": table}


def gradients(setting):
    """Central differences of the loss along random directions, on the device in float64, against backward's gradient."""
    table = []
    x = np.random.default_rng(0).random((6, setting.pixels))
    eps = np.random.default_rng(1).normal(size=(6, 3))
    cases = [(VAE, {"activation": act}) for act in ACTIVATIONS]
    cases += [(Autoencoder, {}), (VAE, {"likelihood": "gaussian"}), (VAE, {"beta": 3.0})]
    put, get = setting.place.put, setting.place.get
    for kind, options in cases:
        model = kind(setting.pixels, (7,), 3, seed=2, dtype=np.float64, backend=setting.place, **options)
        values = model.buffer.values
        on_device = [put(x), put(eps)][: 2 if model.noise_columns else 1]

        def loss(model=model, on_device=on_device):
            terms = model.forward(*on_device)
            return sum(weight * get(term).sum() for weight, term in zip(model.weights.values(), terms, strict=True))

        loss()
        model.descend(put(np.ones(len(x))))
        gradient, start = get(model.buffer.grads), get(values)
        for seed in range(3):
            v = np.random.default_rng(seed).normal(size=start.size)
            v, h = v / np.linalg.norm(v), 1e-5
            ends = []
            for sign in (1, -1):
                values[...] = put(start + sign * h * v)
                ends.append(loss())
            values[...] = put(start)
            slope, expected = (ends[0] - ends[1]) / (2 * h), float(gradient @ v)
            # Rounding leaves about |loss| · 1e-16 / h; kinks that lie within the step, a little more.
            limit = 1e-6 * max(1.0, abs(expected), np.linalg.norm(gradient))
            table.append({"model": f"{kind.__name__} {options}", "slope": slope, "gradient": expected, "limit": limit,
                          "difference": abs(slope - expected)})  # fmt: skip
    return {"ok": all(line["difference"] <= line["limit"] for line in table), "table": table}


def training(setting):
    """The same steps on both backends, in float32 and float64: the loss of each, to lay the curves over one another."""
    images, curves = setting.images(), {}
    name = list(setting.models)[min(1, len(setting.models) - 1)]
    batch = setting.models[name][2]
    for dtype in (np.float32, np.float64):
        steps = Steps(setting.model(name, setting.place, dtype), images, batch)
        curves[f"CUDA {np.dtype(dtype).name}"] = [_loss(steps(1)[0], batch) for _ in range(setting.steps)]
        curves[f"NumPy {np.dtype(dtype).name}"] = _numpy_losses(setting.model(name, "numpy", dtype), images, batch, setting.steps)
    gaps = {
        kind: max(abs(a / b - 1) for a, b in zip(curves[f"CUDA {kind}"], curves[f"NumPy {kind}"], strict=True))
        for kind in ("float32", "float64")
    }
    # float64 differs by rounding alone; in float32 rounding grows along the trajectory of Adam.
    return {"ok": gaps["float64"] < 1e-8 and gaps["float32"] < 1e-2, "model": name, "largest_relative_gap": gaps, "curves": curves}


def graph(setting):
    """Graph against single launches, and a second run against the first: equal bit for bit or not."""
    table = []
    for name, (_, _, batch) in setting.models.items():
        for precision in setting.precisions:
            count = min(setting.steps, 60) if batch < 5000 else 6
            bits = []
            for with_graph in (True, False, True):
                model = setting.model(name, setting.place)
                Steps(model, setting.images(), batch, precision, with_graph)(count)
                bits.append(setting.place.get(model.buffer.values).tobytes())
            same = {"graph_is_eager": bits[0] == bits[1], "repeats": bits[0] == bits[2]}
            table.append({"model": name, "precision": precision, "steps": count, **same})
    return {"ok": all(line["graph_is_eager"] and line["repeats"] for line in table), "table": table}


def sanitized(setting):
    """A few steps launch by launch, for compute-sanitizer to watch; its own exit status is the proof."""
    if not setting.dry:
        setting.place.xp.cuda.set_allocator(None)  # no pool: so an access past an array's end is past its allocation too
    for name, (_, _, batch) in list(setting.models.items())[:2]:
        for precision in setting.precisions:
            Steps(setting.model(name, setting.place), setting.images(), batch, precision, graph=False)(2)
    convolution.once(setting)
    return {"ok": True}


def _distance(a, b):
    return float(np.abs(a.astype(np.float64) - b).max() / max(np.abs(b).max(), 1e-300))


def _limit(dtype):
    return 1e-12 if dtype == np.float64 else 2e-5  # sums of up to a thousand terms, each rounded


def _loss(sums, batch):
    return sum(sums.values()) / batch


def _numpy_losses(model, images, batch, count):
    optimiser = Optimiser("adam")
    optimiser.start(model.buffer.values)
    full, losses, schedule, order = len(images) // batch, [], Schedule(1e-3), None
    with TrainingStep(model, optimiser, images, batch) as do:
        for step in range(count):
            epoch, place = divmod(step, full)
            order = rng.permutation(0, epoch, len(images)) if place == 0 else order
            losses.append(_loss(do.run(order, place, 1, step, schedule), batch))
    return losses


