"""One training step: S logical shards → a fixed tree of sums → one update (DESIGN: who computes a shard never shows).

    batch rows ─┬─ shard 0: gather → forward → backward ─┐
                ├─ shard 1:  …                           ├─ g = (g₀ + g₁) + (g₂ + g₃) → clip → update
                └─ …                                    ─┘
"""

from math import isfinite, sqrt

import numpy as np

from .. import gate, rng
from ..backend import aligned_empty
from ..errors import ConfigError
from ..evaluate.batch import fields_of, gathered
from ..nn import Part
from ..nn.arena import Kept, Plan
from ..workers import Processes, Threads, processes_are_safe
from .optimisers import Optimiser

CHUNK = 65536  # parameters updated at a time: value, gradients and moments of one chunk stay in a core's L2 cache
NOISE_STEPS = 32  # steps whose noise is drawn in one call, which costs a quarter of drawing it step by step


def shard_bounds(rows, shards):
    """[(start, stop)] of at most `shards` parts of nearly equal size, none empty: a function of these two numbers
    alone."""
    shards = min(shards, rows)
    edges = [rows * i // shards for i in range(shards + 1)]
    return list(zip(edges, edges[1:], strict=False))


class TrainingStep:
    """Trains a model on batches, in place. A context manager, which keeps the workers while it is open.

        with TrainingStep(model, optimiser, fields, batch_size=128, threads=2) as do:
            sums = do(rows, step, lr)

    While it is open the model's values and the optimiser's moments live in memory that all workers share.
    """

    # steps that `run` takes before the caller may look; of those, the ones before one that was not finite
    at_once, good = 1, 0

    def __init__(self, model, optimiser, fields, batch_size, *, threads=1, seed=0, shards=2, clip=None, forked=None):
        """fields: {name: (N, …)} with all that the model reads, or images alone (N, D), uint8 or float · batch_size:
        the largest that will come · optimiser: started

        threads: workers, of which no more than `shards` are used · clip: largest global norm of the gradient, or None
        (E38; Pascanu et al., 2013) · forked: workers are processes, not threads; None where that is safe
        """
        if isinstance(model, type) or getattr(model, "buffer", None) is None or not hasattr(model, "terms"):
            raise ConfigError(f"model must be an initialised model, such as VAE(784), not {gate.shown(model)}")
        gate.instance("optimiser", optimiser, Optimiser, "an Optimiser that was started")
        self.fields = fields_of(model, fields)
        threads = gate.whole("threads", threads)
        forked = None if forked is None else gate.flag("forked", forked)
        shards, batch_size = gate.whole("shards", shards), gate.whole("batch_size", batch_size)
        clip = None if clip is None else gate.number("clip", clip, above=0)
        self.images = len(self.fields[0])
        batch_size = min(batch_size, self.images)
        shards = min(shards, batch_size)  # no shard is empty, so more have no work
        self.model, self.optimiser, self.seed, self.clip = model, optimiser, seed, clip
        count = min(threads, shards)
        phases = (self._forward_backward, self._square_norms, self._update)
        forked = processes_are_safe() if forked is None else forked
        self.workers = Processes(count, phases) if forked and count > 1 else Threads(count)

        share = self.workers.share
        self.values = share(model.buffer.values)
        optimiser.moments = {name: share(moment) for name, moment in optimiser.moments.items()}
        self.replicas = [model] + [model.replica() for _ in range(shards - 1)]
        for replica in self.replicas:
            replica.rebind(self.values, share(replica.buffer.grads))
        self._told = [[m for _, m in replica.modules() if m.wants_part] for replica in self.replicas]
        self.grads = [replica.buffer.grads for replica in self.replicas]
        size = model.buffer.trained
        self.chunks = [slice(i, min(i + CHUNK, size)) for i in range(0, size, CHUNK)]
        self.state = slice(size, self.values.size)  # what is not trained

        # What the workers must know of this step, and what they find out.
        self._rows = share(np.zeros(batch_size, np.int64))
        self._now = share(np.zeros(1, [("rows", "i8"), ("step", "i8"), ("lr", "f8"), ("factor", "f8")]))
        self._sums = share(np.zeros((shards, len(model.terms))))
        self._squares = share(np.zeros(len(self.chunks)))
        # What each worker keeps to itself.
        self._work = [aligned_empty((min(CHUNK, size),), self.values.dtype) for _ in range(count)]
        self._noise = [(None, None)] * shards

    def __enter__(self):
        for replica in self.replicas:
            replica.use(Plan(replica.backend.empty)).train()
        self.workers.__enter__()
        return self

    def __exit__(self, *exception):
        self.workers.__exit__(*exception)
        self.model.use(None).train(False)

    def __call__(self, rows, step, lr):
        """One update from the images of these rows (B,).   step counts from 0 → {term: sum over the batch}, nats

        The loss that is differentiated is the mean over the batch as it is, a short last one too. When a sum is not
        finite, nothing has been updated.
        """
        self._rows[: len(rows)] = rows
        self._now[0] = len(rows), step, lr, 1.0
        self.workers.run(self._forward_backward)
        sums = _tree_sum(list(self._sums[: len(rows)].copy()))  # no shard is empty: there are no more of them than rows
        total = dict(zip(self.model.terms, sums.tolist(), strict=True))
        if all(map(isfinite, total.values())):
            if self.clip is not None:
                self.workers.run(self._square_norms)
                norm = sqrt(sum(self._squares.tolist()))
                self._now["factor"] = min(1.0, self.clip / norm) if norm else 1.0
            self.workers.run(self._update)
        return total

    def order(self, epoch):
        """The order in which this epoch visits the images (N,)."""
        return rng.permutation(self.seed, epoch, self.images)

    def run(self, order, place, count, step, schedule):
        """The update from batch `place` of the epoch that visits images in this order (N,). As DeviceStep.run, which
        takes more."""
        size = len(self._rows)
        return self(order[place * size : (place + 1) * size], step, schedule(step))

    def repeat(self):
        """Forward and backward of the last batch once more, all in the caller and with every array kept.
        → [(replica, its Kept)]"""
        for replica in self.replicas:
            replica.use(Kept(replica.backend.empty))
        for worker in range(self.workers.count):
            self._forward_backward(worker)
        return [(replica, replica.arena) for replica in self.replicas]

    # The phases, each for one worker ----------------------------------------------------------------------------------

    def _forward_backward(self, worker):
        batch, step, _, _ = self._now[0].item()
        bounds = shard_bounds(batch, len(self.replicas))
        for i in range(worker, len(bounds), self.workers.count):
            start, stop = bounds[i]
            replica, rows = self.replicas[i], stop - start
            for place, module in enumerate(self._told[i]):
                module.part = Part(self.seed, step, start, rows / batch, place)
            # what is not finite shows in the sums, and is reported by its name
            with np.errstate(all="ignore"), replica.arena.step(rows):
                inputs = gathered(replica, self.fields, self._rows[start:stop])
                terms = replica.forward(*inputs, *self.noise(i, step, start, stop))
                self._sums[i] = [term.sum() for term in terms]
                dL = replica.new("dL", (rows,), self.values.dtype)
                dL[...] = 1 / batch
                replica.descend(dL)

    def _square_norms(self, worker):
        grads = self.grads[: self._now[0]["rows"]]
        with np.errstate(all="ignore"):
            for i in range(worker, len(self.chunks), self.workers.count):
                g = _tree_sum([g[self.chunks[i]] for g in grads])
                self._squares[i] = np.vdot(g, g)

    def _update(self, worker):
        rows, step, lr, factor = self._now[0].item()
        grads = self.grads[:rows]
        with np.errstate(all="ignore"):
            for part in self.chunks[worker :: self.workers.count]:
                g = _tree_sum([g[part] for g in grads]) if self.clip is None else grads[0][part]
                if factor != 1:
                    g *= factor
                self.optimiser.update(part, self.values, grads[0], self._work[worker][: g.size], lr, step + 1)
            if worker == 0 and self.state.start < self.state.stop:
                self.values[self.state] -= _tree_sum([g[self.state] for g in grads])

    def noise(self, i, step, start, stop):
        """[ε (stop − start, L)] of shard i's rows, from a block of several steps that this worker drew at once, or
        []."""
        if not self.model.noise_columns:
            return []
        first = step - step % NOISE_STEPS
        drawn, block = self._noise[i]
        if drawn != (first, start, stop):
            steps, rows = np.arange(first, min(first + NOISE_STEPS, 2**32)), np.arange(start, stop)
            block = rng.normal(self.seed, rng.LATENT, steps, rows, self.model.noise_columns, self.values.dtype.type)
            self._noise[i] = (first, start, stop), block
        return [block[step - first]]


def _tree_sum(parts):
    """(p₀ + p₁) + (p₂ + p₃) …, added in place into the first: in the same order, whichever worker adds."""
    gap = 1
    while gap < len(parts):
        for i in range(0, len(parts) - gap, 2 * gap):
            parts[i] += parts[i + gap]
        gap *= 2
    return parts[0]
