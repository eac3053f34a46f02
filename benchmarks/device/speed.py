"""Timings on the device, by events: the roofline, each operation, the ladder, our training steps, and where the GPU overtakes the CPU."""

import numpy as np

from scratchvae import timing
from scratchvae.cores import usable_cores
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda.ladder import RUNGS, matmul
from scratchvae.ops.cuda.tiling import Scratch, scratch_size
from scratchvae.training import Optimiser, TrainingStep

from .setting import Steps

REPEATS = 20  # launches in the graph that times one operation: by itself a launch takes longer than many a kernel


def roofline(setting):
    """Measured ceilings: a copy on the device (bytes read and written), and the library's largest matrix product."""
    timed, xp, size = setting.stopwatch(), setting.place.xp, 1 << (10 if setting.dry else 28)
    a, b = (setting.place.put(np.zeros(size, np.float32)) for _ in range(2))

    def copy():
        b[...] = a

    result = {"copy_GB_per_s": 2 * a.nbytes / _best(timed, copy, setting.rounds) / 1e6}
    n = 16 if setting.dry else 8192
    for dtype in (np.float32,) if setting.dry else (np.float32, np.float64):
        A, B, C = (setting.place.put(np.random.default_rng(i).random((n, n)).astype(dtype)) for i in range(3))
        if setting.dry:
            work = lambda A=A, B=B, C=C: matmul(A, B, C, "shared_tiles")
        else:
            work = lambda A=A, B=B, C=C: xp.matmul(A, B, out=C)
        name = f"{np.dtype(dtype).name}_GFLOP_per_s"
        result[name] = 2 * n**3 / _best(timed, work, setting.rounds) / 1e6
    return result


def operations(setting):
    """Each kernel of a step inside a graph of its own, with bytes and operations counted, beside NumPy's on this machine's CPU."""
    timed, lines, ops = setting.stopwatch(), [], setting.place.ops
    wall = type(setting)(setting.place, True).stopwatch()
    D, H, L = (setting.pixels, 8, 3) if setting.dry else (784, 400, 20)
    for B in (9,) if setting.dry else (128, 1024):
        for name, device, host, size, count in _operations(setting, ops, B, D, H, L):
            device()
            replay = setting.place.capture(lambda device=device: [device() for _ in range(REPEATS)])
            ms = _best(timed, replay, setting.rounds) / REPEATS
            line = {"operation": name, "batch": B, "device_us": 1e3 * ms, "bytes": size, "operations": count}
            line |= {"GB_per_s": size / ms / 1e6, "GFLOP_per_s": count / ms / 1e6, "numpy_us": 1e3 * _best(wall, host, setting.rounds)}
            lines.append(line)
    return {"lines": lines}


def ladder(setting):
    """C = A B on every rung, beside the library's product; operations per second."""
    timed, place, lines = setting.stopwatch(), setting.place, []
    rungs = [rung for rung in RUNGS if rung != "tensor_cores" or "tf32" in setting.precisions]
    for M, N, K in ((33, 20, 17),) if setting.dry else ((128, 400, 784), (4096, 4096, 4096)):
        A, B, C = (place.put(np.random.default_rng(0).random(shape).astype(np.float32)) for shape in ((M, K), (K, N), (M, N)))
        works = {rung: (lambda rung=rung, A=A, B=B, C=C: matmul(A, B, C, rung)) for rung in rungs}
        if not setting.dry:
            works["cuBLAS"] = lambda A=A, B=B, C=C: place.xp.matmul(A, B, out=C)
        for rung, work in works.items():
            ms = _best(timed, lambda work=work: [work() for _ in range(REPEATS)], setting.rounds) / REPEATS
            lines.append({"rung": rung, "size": [M, N, K], "us": 1e3 * ms, "GFLOP_per_s": 2 * M * N * K / ms / 1e6})
    return {"lines": lines}


def steps(setting):
    """µs per training step of ours: as `scratchvae train` runs it, one look by the host per 50 steps included."""
    timed, lines = setting.stopwatch(), []
    for name, (_, _, batch) in setting.models.items():
        model = setting.model(name, setting.place)
        operations = sum(module.operations(batch) or 0 for _, module in model.modules())
        for precision, graph in (*((precision, True) for precision in setting.precisions), ("fp32", False)):
            run = Steps(setting.model(name, setting.place), setting.images(), batch, precision, graph)
            count = 7 if setting.dry else min(50, run.full)
            run(3 * count)  # compiles, captures, warms up
            samples = [timed(lambda run=run, count=count: run(count)) / count for _ in range(setting.rounds)]
            loss = sum(run(1)[0].values()) / batch
            us = timing.Summary.of([1e3 * ms for ms in samples]).as_dict("us")
            lines.append({"model": name, "precision": precision, "graph": graph, **us, "last_loss_nats": loss,
                          "GFLOP_per_s": operations / us["median_us"] / 1e3})  # fmt: skip
    return {"lines": lines}


def crossover(setting):
    """µs per training step against the batch size, CUDA and NumPy: where the GPU overtakes the CPU."""
    lines, (hidden, latent) = [], ((8,), 3) if setting.dry else ((400,), 20)
    wall, timed, images = type(setting)(setting.place, True).stopwatch(), setting.stopwatch(), setting.images()
    setting.models["crossover"] = hidden, latent, 0
    for batch in (1, 8) if setting.dry else (1, 4, 16, 64, 256, 1024, 4096):
        run = Steps(setting.model("crossover", setting.place), images, batch)
        count = min(4 if setting.dry else 50, run.full)
        run(3 * count)
        device = _best(timed, lambda run=run, count=count: run(count), 5) / count
        model, optimiser = setting.model("crossover", "numpy"), Optimiser("adam")
        optimiser.start(model.buffer.values)
        threads = usable_cores()
        with TrainingStep(model, optimiser, images, batch, threads=threads, shards=max(2, threads)) as do:
            work = lambda do=do, batch=batch: [do(np.arange(batch), i, 1e-3) for i in range(3)]
            work()
            host = _best(wall, work, 5) / 3
        lines.append({"batch": batch, "device_us": 1e3 * device, "numpy_us": 1e3 * host})
    del setting.models["crossover"]
    overtaken = [line["batch"] for line in lines if line["device_us"] < line["numpy_us"] and not setting.dry]
    return {"lines": lines, "gpu_is_faster_from_batch": min(overtaken, default=None), "threads": usable_cores()}


def _operations(setting, ops, B, D, H, L):
    """(name, launch, the same in NumPy, bytes it must move, operations) of each kind of launch in a step."""
    draw, put = np.random.default_rng(0), setting.place.put
    new = lambda *shape: draw.normal(0, 1, shape).astype(np.float32)
    x, W, b, h, g, dW, db, dx = new(B, D), new(D, H), new(H), new(B, H), new(B, H), new(D, H), new(H), new(B, D)
    N = D * H
    p, grad, m, v, work = new(N), new(N), abs(new(N)), abs(new(N)), new(N)
    code, eps, z, std, kl, nll, logits = new(B, 2 * L), new(B, L), new(B, L), new(B, L), new(B), new(B), new(B, D)
    dnll = np.full(B, 1 / B, np.float32)
    X, W_, b_, h_, g_, dW_, db_, dx_ = map(put, (x, W, b, h, g, dW, db, dx))
    P, GRAD, M, V = map(put, (p, grad, m, v))
    CODE, EPS, Z, STD, KL, NLL, DNLL, LOGITS = map(put, (code, eps, z, std, kl, nll, dnll, logits))
    sizes = scratch_size(B, D, H, 4)
    scratch = Scratch(put(np.empty(max(1, sizes[0]), np.float32)), put(np.zeros(max(1, sizes[1]), np.uint32)))
    temporary = np.empty_like(x), np.empty_like(x)
    pair = np.empty_like(eps), np.empty_like(eps)
    products = 2 * B * D * H
    yield ("dense + relu", lambda: ops.dense(X, W_, b_, h_, "relu", scratch=scratch),
           lambda: twins.relu(twins.affine(x, W, b, h), h), 4 * (B * D + N + B * H), products)  # fmt: skip
    yield ("dense_backward", lambda: ops.dense_backward(g_, X, W_, dx_, dW_, db_, scratch=scratch),
           lambda: twins.affine_backward(g, x, W, dx, dW, db), 4 * (2 * B * H + 2 * B * D + 2 * N), 2 * products)  # fmt: skip
    yield ("loss and gradient", lambda: ops.bernoulli_nll_and_gradient(DNLL, LOGITS, X, NLL, dx_),
           lambda: (twins.bernoulli_nll(logits, x, nll, temporary), twins.bernoulli_nll_backward(dnll, logits, x, dx)),
           12 * B * D, 40 * B * D)  # fmt: skip
    yield ("posterior", lambda: ops.sample_posterior(CODE[:, :L], CODE[:, L:], EPS, Z, STD, KL),
           lambda: twins.sample_posterior(code[:, :L], code[:, L:], eps, z, std, kl, pair),
           20 * B * L, 45 * B * L)  # fmt: skip
    yield ("adam", lambda: ops.adam(P, GRAD, M, V, None, 1e-3, 5), lambda: twins.adam(p, grad, m, v, work, 1e-3, 5), 28 * N, 12 * N)


def _best(timed, work, rounds):
    """The median of some rounds after one that warms up, ms."""
    work()
    return max(timing.Summary.of([timed(work) for _ in range(rounds)]).median, 1e-9)
