"""Training steps on a GPU: many at a time as one CUDA graph, and one look by the host per log line.

    counters (step, update, batch) ─┐      ┌──────────────── the next step ────────────────┐
    order, learning rates ──────────┼→ gather → forward → loss → backward → update → end_of_step
    images ─────────────────────────┘                                                └→ window: sums of the terms
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .. import gate, rng
from ..errors import ConfigError
from .launches import Feed, FusedStep, ModuleStep, fusable

GRAPH_STEPS = (25, 5, 1)  # steps in one graph; a stretch of steps is made of the largest that fit


class DeviceStep:
    """The twin of TrainingStep for a model on a GPU, in place; a context manager too.

        with DeviceStep(model, optimiser, images, batch_size=128) as do:
            sums = do.run(order, place, count, step, schedule)

    A batch is one shard here. Images, order, counters and learning rates stay on the device; graph=False launches every
    kernel by itself, and gives the same bits. A model with modules of your own is always run that way.
    """

    at_once = 10**6  # the host may ask for as many steps as it can wait for

    def __init__(self, model, optimiser, images, batch_size, *, seed=0, clip=None, precision="fp32", graph=True):
        """images (N, D) uint8 or float32, in host memory · optimiser: started · precision: "fp32", or "tf32" for tensor cores"""
        batch_size = gate.whole("batch_size", batch_size)
        clip = None if clip is None else gate.number("clip", clip, above=0)
        self.model, self.optimiser, self.clip, self.backend = model, optimiser, clip, model.backend
        N, dtype = len(images), model.dtype
        self.rows = min(batch_size, N)
        self.short = N % self.rows  # images of the last batch, if it is not full
        self.batches = -(-N // self.rows)
        with self.backend.failures():
            self.counters = self._zeros(3, np.uint32)  # step, update, batch
            self.window = self._zeros(len(model.terms) + 1, np.float64)
            self.rates, self.rate, self.factor = (self._zeros(n, dtype) for n in (self.batches + 1, 1, 1))
            self.parts = self._zeros(self.backend.ops.PARTS, np.float64)
            images = self.backend.put(np.ascontiguousarray(images))
            self.feed = Feed(images, self._zeros(N, np.int64), self.rows, self.counters[:1], self.counters[2:], seed)
            if fusable(model):
                sizes = [self.rows, self.short] if self.short else [self.rows]
                self.loss = FusedStep(model, self.feed, sizes, precision)
            elif precision != "fp32":
                raise ConfigError(f"{precision} needs a model of our own layers: yours would not use it")
            else:
                self.loss = ModuleStep(model, self.feed)
            self._live = [model.buffer.values, *optimiser.moments.values()]
            self._kept = [self.backend.empty(array.shape, array.dtype) for array in self._live]
        self.graph = graph and self.loss.capturable and self.backend.capture is not None
        self.replicas = [model]
        self._beside, self._orders = ThreadPoolExecutor(1), {}
        self._graphs, self._warm, self._order, self._next = {}, set(), None, None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._beside.shutdown(cancel_futures=True)

    def order(self, epoch):
        """The order in which this epoch visits the images (N,). The next one is computed meanwhile: it takes as long as many steps."""
        compute = lambda epoch: self._beside.submit(rng.permutation, self.feed.seed, epoch, len(self.feed.images))
        now = self._orders.pop(epoch, None) or compute(epoch)
        self._orders = {epoch + 1: compute(epoch + 1)}
        return now.result()

    def run(self, order, place, count, step, schedule):
        """`count` updates, from batch `place` of the epoch that visits images in this order (N,), and from this step on

        schedule(step) → learning rate → {term: sum over all images of these batches}, nats. When a sum is not finite, `good`
        says how many steps came before the one that made it so, and `repeat` goes back to it.
        """
        with self.backend.failures():
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
        """Go back to the first step of the last run whose loss was not finite: nothing is updated by it, and the modules hold
        what it computed."""
        with self.backend.failures():
            for kept, live in zip(self._kept, self._live, strict=True):
                live[...] = kept
            self._begin(*self._last)
            place = self._last[1]
            self._advance(place, self.good)
            last = self.short and place + self.good == self.batches - 1
            ModuleStep(self.model, self.feed)(self.short if last else self.rows)

    def _begin(self, order, place, step, schedule):
        """Bring to the device what this epoch needs."""
        put, first = self.backend.put, step - place
        rates = [schedule(first + i) for i in range(self.batches)]
        self.feed.order[...] = put(np.ascontiguousarray(order, np.int64))
        self.rates[...] = put(np.array([*rates, 0], self.model.dtype))
        self.rate[...] = self.rates[place : place + 1]
        self.counters[...] = put(np.array([step, step + 1, place], np.uint32))
        self._order = order

    def _advance(self, place, count):
        full = min(count, self.batches - 1 - place) if self.short else count
        self._steps(self.rows, full)
        self._steps(self.short, count - full)

    def _steps(self, rows, count):
        """`count` steps of `rows` rows: the first ever launch by launch, which compiles every kernel, the others as graphs."""
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
        terms = self.loss(rows)
        factor = None if self.clip is None else ops.clip_factor(buffer.grads, self.clip, self.parts, self.factor)
        getattr(ops, optimiser.name)(
            buffer.values, buffer.grads, *optimiser.moments.values(), None, self.rate, self.counters[1:2],
            weight_decay=optimiser.weight_decay, factor=factor, **optimiser.settings,
        )  # fmt: skip
        ops.end_of_step(terms, self.window, self.counters, self.rates, self.rate)

    def _zeros(self, size, dtype):
        array = self.backend.empty((size,), dtype)
        array[...] = 0
        return array
