"""Training steps on a GPU: many at a time as one CUDA graph, and one look by the host per log line.

    counters (step, update, batch) ─┐      ┌──────────────── the next step ────────────────┐
    order, learning rates ──────────┼→ gather → forward → loss → backward → update → end_of_step
    images ─────────────────────────┘                                                └→ window: sums of the terms
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from .. import gate, nn, rng
from ..errors import ConfigError
from ..evaluate.batch import fields_of, gathered_there, resident, terms_of
from ..models.objective import Weighted
from ..nn.arena import Kept, Plan
from .state import HOUSE

GRAPH_STEPS = (25, 5, 1)  # steps in one graph; a stretch of steps is made of the largest that fit


def capturable(model):
    """Whether a step is nothing but launches of our kernels, which is what a graph can hold: every module and the
    objective is of a class of ours, or of one that says of itself `capturable = True`, since all it computes it
    computes by `self.ops`."""
    kinds = {type(module) for part in (model, model.objective) for _, module in part.modules()}
    return all(vars(kind).get("capturable", kind.__module__.startswith(HOUSE)) for kind in kinds)


class DeviceStep:
    """The twin of TrainingStep for a model on a GPU, in place; a context manager too.

        with DeviceStep(model, optimiser, fields, batch_size=128) as do:
            sums = do.run(order, place, count, step, schedule)

    A batch is one shard here, and the step is the model's own forward and backward. Its memory is planned in the first
    step of each number of rows, launch by launch, and the later ones use the same; so they can be captured
    (`capturable`). What the model reads, order, counters and learning rates stay on the device; graph=False launches
    every kernel by itself, and gives the same bits.
    """

    at_once = 10**6  # the host may ask for as many steps as it can wait for

    def __init__(self, model, optimiser, fields, batch_size, *, seed=0, clip=None, precision="fp32", graph=True):
        """fields: {name: (N, …)} with all that the model reads, or images alone (N, D), uint8 or float32, in host
        memory · optimiser: started · precision: "fp32", or "tf32" for tensor cores, which dense layers and convolutions
        then use"""
        fields = fields_of(model, fields)
        batch_size = gate.whole("batch_size", batch_size)
        clip = None if clip is None else gate.number("clip", clip, above=0)
        self.model, self.optimiser, self.clip, self.backend, self.seed = model, optimiser, clip, model.backend, seed
        self.products = [
            module for _, module in model.modules() if isinstance(module, (nn.Dense, nn.Conv2D, nn.ConvTranspose2D))
        ]
        self.precision = precision
        if precision != "fp32" and not self.products:
            raise ConfigError(f"{precision} needs a model with dense layers or convolutions: yours would not use it")
        N, dtype = len(fields[0]), model.dtype
        self.rows = min(batch_size, N)
        self.short = N % self.rows  # images of the last batch, if it is not full
        self.batches = -(-N // self.rows)
        with self.backend.failures():
            self.counters = self._zeros(3, np.uint32)  # step, update, batch
            self.window = self._zeros(len(model.terms) + 1, np.float64)
            self.rates, self.rate, self.factor = (self._zeros(n, dtype) for n in (self.batches + 1, 1, 1))
            self.parts = self._zeros(self.backend.ops.PARTS, np.float64)
            self.fields = resident(model, fields)
            self.rows_of = self._zeros(N, np.int64)  # the epoch's order
            self.dL = {B: self.backend.put(np.full(B, 1 / B, dtype)) for B in {self.rows, self.short} - {0}}
            # The gradient of a weighted sum is the same in every step: it costs none of them a launch.
            known = type(model.objective) is Weighted
            self.dterms = {B: model.objective.backward(dL) for B, dL in self.dL.items()} if known else None
            self._live = [model.buffer.values, *optimiser.moments.values()]
            self._kept = [self.backend.empty(array.shape, array.dtype) for array in self._live]
        self.plan = Plan(self.backend.empty, share=False)
        self.graph = graph and self.backend.capture is not None and capturable(model)
        self._beside, self._orders = ThreadPoolExecutor(1), {}
        self._graphs, self._warm, self._order, self._next = {}, set(), None, None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._beside.shutdown(cancel_futures=True)

    def order(self, epoch):
        """The order in which this epoch visits the images (N,). The next one is computed meanwhile: it takes as long as
        many steps."""
        compute = lambda epoch: self._beside.submit(rng.permutation, self.seed, epoch, self.rows_of.size)
        now = self._orders.pop(epoch, None) or compute(epoch)
        self._orders = {epoch + 1: compute(epoch + 1)}
        return now.result()

    def run(self, order, place, count, step, schedule):
        """`count` updates, from batch `place` of the epoch that visits images in this order (N,), and from this step on

        schedule(step) → learning rate → {term: sum over all images of these batches}, nats. When a sum is not finite,
        `good` says how many steps came before the one that made it so, and `repeat` goes back to it.
        """
        with self.backend.failures(), self._using(self.plan):
            if order is not self._order or self._next != (place, step):
                self._begin(order, place, step, schedule)
            for kept, live in zip(self._kept, self._live, strict=True):
                kept[...] = live
            self.window[...] = 0
            self._advance(place, count)
            window = self.backend.get(self.window).tolist()  # the one look that the host takes
        self._last = order, place, step, schedule
        self._next, self.good = (place + count, step + count), int(window[-1])
        return dict(zip(self.model.terms, window, strict=False))

    def repeat(self):
        """Go back to the first step of the last run whose loss was not finite: nothing is updated by it, and every
        array of it is kept.   → [(model, its Kept)]"""
        with self.backend.failures():
            for kept, live in zip(self._kept, self._live, strict=True):
                live[...] = kept
            self._begin(*self._last)
            place = self._last[1]
            with self._using(self.plan):
                self._advance(place, self.good)
            last = self.short and place + self.good == self.batches - 1
            with self._using(Kept(self.backend.empty)) as kept:
                self._forward_backward(self.short if last else self.rows)
        return [(self.model, kept)]

    @contextmanager
    def _using(self, arena):
        """Inside this block the model learns, with arrays from this arena and products of this precision."""
        self.model.use(arena).train()
        for place, module in enumerate(module for _, module in self.model.modules() if module.wants_part):
            module.part = nn.Part(self.seed, self.counters[:1], place=place)
        for module in self.products:
            module.precision = self.precision
        try:
            yield arena
        finally:
            self.model.use(None).train(False)
            for module in self.products:
                module.precision = "fp32"

    def _begin(self, order, place, step, schedule):
        """Bring to the device what this epoch needs."""
        put, first = self.backend.put, step - place
        rates = [schedule(first + i) for i in range(self.batches)]
        self.rows_of[...] = put(np.ascontiguousarray(order, np.int64))
        self.rates[...] = put(np.array([*rates, 0], self.model.dtype))
        self.rate[...] = self.rates[place : place + 1]
        self.counters[...] = put(np.array([step, step + 1, place], np.uint32))
        self._order = order

    def _advance(self, place, count):
        full = min(count, self.batches - 1 - place) if self.short else count
        self._steps(self.rows, full)
        self._steps(self.short, count - full)

    def _steps(self, rows, count):
        """`count` steps of `rows` rows: the first ever launch by launch, which compiles every kernel, the others as
        graphs."""
        while count:
            replay = self.graph and rows in self._warm
            n = next(n for n in GRAPH_STEPS if n <= count) if replay else 1
            if not replay:
                self._one(rows)
                self._warm.add(rows)
            else:
                if (rows, n) not in self._graphs:
                    self._graphs[rows, n] = self.backend.capture(lambda n=n: [self._one(rows) for _ in range(n)])
                self._graphs[rows, n]()
            count -= n

    def _one(self, rows):
        """The launches of one step. All that changes from one to the next is read from the device."""
        ops, optimiser, buffer = self.backend.ops, self.optimiser, self.model.buffer
        terms = self._forward_backward(rows)
        learned, state = slice(buffer.trained), slice(buffer.trained, None)
        values, grads = buffer.values[learned], buffer.grads[learned]
        factor = None if self.clip is None else ops.clip_factor(grads, self.clip, self.parts, self.factor)
        getattr(ops, optimiser.name)(
            values, grads, *(moment[learned] for moment in optimiser.moments.values()), None, self.rate,
            self.counters[1:2], weight_decay=optimiser.weight_decay, factor=factor, **optimiser.settings,
        )  # fmt: skip
        if buffer.trained < buffer.values.size:  # a running mean falls by its "gradient"
            ops.sgd(buffer.values[state], buffer.grads[state], None, 1, 1)
        ops.end_of_step(terms, self.window, self.counters, self.rates, self.rate)

    def _forward_backward(self, B):
        """Of the batch that the counters name, of B rows → the terms of its loss, (B,) each"""
        model, ops = self.model, self.backend.ops
        with model.arena.step(B):
            inputs = gathered_there(model, self.fields, self.rows_of, self.counters[2:], self.rows, B)
            if model.noise_columns:
                eps = model.new("eps", (B, model.noise_columns), model.dtype)
                inputs.append(ops.normal(eps, self.seed, rng.LATENT, self.counters[:1]))
            terms = terms_of(model, model.forward(*inputs))
            if self.dterms:
                model.backward(*self.dterms[B])
            else:
                model.descend(self.dL[B])
        return terms

    def _zeros(self, size, dtype):
        array = self.backend.empty((size,), dtype)
        array[...] = 0
        return array
