"""The loop over steps: batches in the order of their epoch, log lines, validation, checkpoints, and stopping well."""

import time
from math import ceil, isfinite

from .. import gate
from ..cores import worker_count
from ..errors import BackendError, CheckpointError, NonFiniteError, ScratchVAEError
from ..evaluate import accepted, image_terms
from ..workers import Threads
from .checkpoint import load_arrays, save_checkpoint
from .device_step import DeviceStep
from .records import Log
from .run import without_places
from .settings import Settings
from .state import refuse_state
from .step import TrainingStep
from .stopping import advice, first_not_finite, first_parameter_not_finite, interrupts


class Trainer:
    """What training remembers between steps, all of it in a checkpoint: the step, and the sums of the current log line."""

    def __init__(self, model, data, settings):
        gate.instance("settings", settings, Settings, "made by Settings(epochs=10, …)")
        data = accepted(model, data)
        self.images = data.train.images
        refuse_state(model, self.images)
        settings = settings.on(model, len(self.images))
        self.model, self.data, self.settings = model, data, settings
        self.steps_per_epoch = settings.steps_per_epoch(len(self.images))
        self.last = settings.epochs * self.steps_per_epoch
        self.schedule = settings.new_schedule(self.last)
        self.optimiser = settings.new_optimiser(backend=model.backend)
        with model.backend.failures():
            self.optimiser.start(model.buffer.values)
        self.step, self._kept, self._dear_until = 0, None, 0.0
        self.window = self._empty_window()
        self.config = {
            "data": data.note(), "backend": model.backend.name, "model": {"kind": model.kind, "config": model.config},
            "training": settings.to_dict(), "history": [],
        }

    @property
    def epoch(self):
        """Passes over the training images so far, a fraction within an epoch."""
        return self.step / self.steps_per_epoch

    def save(self, path, was=None):
        """Write a checkpoint of this moment.   was: the configuration that config.json still has, if it is another"""
        config = without_places(self.config)
        if was is not None:
            config["was"] = without_places(was)
        save_checkpoint(path, self.model, self.optimiser, {"step": self.step, "window": self.window}, config)

    def restore(self, path, state, arrays):
        """Go back to the moment of a checkpoint, which was read from `path`. Raises CheckpointError."""
        if set(state.get("window", ())) != set(self.window) or state["step"] > self.last:
            raise CheckpointError(f"{path}: its step or the sums of its log line are not of this run")
        load_arrays(path, arrays, self.model, self.optimiser)
        self.step, self.window = state["step"], state["window"]

    def run(self, folder=None, progress=True, max_steps=None, threads=None, graph=True):
        """Train to the last epoch, or for max_steps more updates. Returns the records written."""
        try:
            with self.model.backend.failures():
                return self._run(folder, progress, max_steps, threads, graph)
        except ScratchVAEError as error:
            told = f"{error}. {advice(self)}" if isinstance(error, NonFiniteError) else str(error)
            kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
            raise type(error)(told + kept) from error
        except (MemoryError, OSError) as error:  # of the arrays, or of the workers and what they share
            kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
            raise BackendError(f"the system gives no more memory or processes ({error}): --threads 1 needs fewer{kept}") from error

    def _run(self, folder, progress, max_steps, threads, graph):
        s, order, log = self.settings, None, Log(self.model, folder)
        stop = self.last if max_steps is None else min(self.last, self.step + gate.whole("max_steps", max_steps, 0))
        threads = worker_count(threads) if self.model.backend.name == "numpy" else 1
        do = self._step_taker(threads, graph)
        replicas = [self.model.replica() for _ in range(threads)]
        total = s.epochs * len(self.images)
        bar = log.bar(progress, min(total, self.step * s.batch_size), total)
        with do, Threads(threads) as validators, interrupts() as interrupted, bar:
            while self.step < stop and not interrupted:
                epoch, place = divmod(self.step, self.steps_per_epoch)
                if place == 0 or order is None:
                    order = do.order(epoch)
                count = min(do.at_once, s.log_every - self.step % s.log_every, self.steps_per_epoch - place, stop - self.step)
                sums = do.run(order, place, count, self.step, self.schedule)
                if not all(map(isfinite, sums.values())):
                    self.step += do.good
                    raise self._not_finite(do)
                self.step += count
                images = min((place + count) * s.batch_size, len(order)) - place * s.batch_size
                self.window["images"] += images
                for term, value in sums.items():
                    self.window[term] += value
                bar.update(images)
                epoch_ends = place + count == self.steps_per_epoch
                if self.step % s.log_every == 0 or epoch_ends:
                    record = log.train(self.step, self.epoch, self.window, self.schedule(self.step - 1))
                    self.window = self._empty_window()
                    bar.set_description(f"epoch {epoch + 1}/{s.epochs}", refresh=False)
                    bar.set_postfix({name: f"{record[name]:.1f}" for name in ("loss", *self.model.terms)})
                if epoch_ends:
                    self._check_parameters()
                    self._held_out(log, validators, replicas)
                    self._keep(folder, unless_dear=True)
            if self._kept != self.step:
                self._check_parameters()
                self._keep(folder)
        if interrupted:
            where = f"; go on with: scratchvae resume {folder.path}" if folder else ""
            raise KeyboardInterrupt(f"stopped after step {self.step} of {self.last}{where}")
        return log.records

    def _step_taker(self, threads, graph):
        s = self.settings
        if self.model.backend.name == "numpy":
            own = {"threads": threads, "shards": s.shards}
            return TrainingStep(self.model, self.optimiser, self.images, s.batch_size, seed=s.seed, clip=s.clip, **own)
        own = {"precision": "tf32" if s.tf32 else "fp32", "graph": graph}
        return DeviceStep(self.model, self.optimiser, self.images, s.batch_size, seed=s.seed, clip=s.clip, **own)

    def _keep(self, folder, unless_dear=False):
        """Write the checkpoint of this step; unless_dear: not when the last was written less than ten times ago of what that took."""
        began = time.perf_counter()
        if folder is None or (unless_dear and began < self._dear_until):
            return
        self.save(folder.checkpoint_path)
        now = time.perf_counter()
        self._kept, self._dear_until = self.step, now + 10 * (now - began)

    def _empty_window(self):
        return {"images": 0, **dict.fromkeys(self.model.terms, 0.0)}

    def _held_out(self, log, validators, replicas):
        images = self.data.test.images
        terms = image_terms(self.model, images, validators, self.settings.seed, replicas=replicas)
        return log.held_out("test", self.step, self.epoch, terms)

    def _not_finite(self, do):
        do.repeat()
        tensor = first_not_finite(do.replicas)
        return NonFiniteError(f"{tensor} is not finite at step {self.step + 1} (epoch {int(self.epoch) + 1})")

    def _check_parameters(self):
        """Raises NonFiniteError unless every parameter is finite: a loss may be when what was learned from it is not."""
        if name := first_parameter_not_finite(self.model):
            raise NonFiniteError(f"{name} is not finite after step {self.step} (epoch {ceil(self.epoch)})")
