"""The loop over steps: batches in the order of their epoch, log lines, validation, checkpoints, and stopping well."""

import time
from dataclasses import asdict
from math import ceil, inf, isfinite
from shutil import copyfile

import numpy as np

from .. import gate
from ..cores import worker_count
from ..errors import BackendError, CheckpointError, ConfigError, NonFiniteError, ScratchVAEError
from ..evaluate import accepted, image_terms
from ..files import replacing
from ..models.objective import Annealed
from ..workers import Threads
from .chapters import START
from .checkpoint import load_arrays, read_best, save_checkpoint
from .device_step import DeviceStep
from .records import Log
from .run import without_places
from .settings import Settings
from .state import refuse_state
from .step import TrainingStep
from .stopping import advice, first_not_finite, first_parameter_not_finite, interrupts


class Trainer:
    """What training remembers between steps, all of it in a checkpoint: the step, the sums of the current log line, and
    which epoch was best on the validation images."""

    def __init__(self, model, data, settings, origin=START):
        """origin: where steps, epochs and the schedule are counted from (see `chapters`)"""
        gate.instance("settings", settings, Settings, "made by Settings(epochs=10, …)")
        data = accepted(model, data)
        self.images = data.train.images
        self.fields = dict(data.train.fields)
        refuse_state(model, self.fields)
        settings = settings.on(model, data)
        self.model, self.data, self.settings, self.origin = model, data, settings, origin
        self.steps_per_epoch = settings.steps_per_epoch(len(self.images))
        self.last = origin.step + (settings.epochs - origin.epoch) * self.steps_per_epoch
        self._schedule = settings.new_schedule(self.last - origin.schedule)
        if isinstance(model.objective, Annealed) and model.objective.steps > self.last:
            asked, has = f"{model.objective.steps:,}", f"{self.last:,} steps"
            raise ConfigError(f"kl_steps are {asked}, and the run has {has}: the KL would never count in full")
        self.optimiser = settings.new_optimiser(backend=model.backend)
        with model.backend.failures():
            self.optimiser.start(model.buffer.values)
        self.step, self.window, self._kept, self._dear_until = origin.step, self._empty_window(), None, 0.0
        self.best = self._best_values = None
        self.config = {
            "data": data.note(model.reads), "backend": model.backend.name,
            "model": {"kind": model.kind, "config": model.config},
            "training": settings.to_dict(), "origin": asdict(origin), "history": [],
        }

    def schedule(self, step):
        """The learning rate of that step's update."""
        return self._schedule(max(0, step - self.origin.schedule))

    @property
    def place(self):
        """(number of the epoch, from 0; steps done in it)"""
        epoch, place = divmod(self.step - self.origin.step, self.steps_per_epoch)
        return self.origin.epoch + epoch, place

    @property
    def epoch(self):
        """Passes over the training images so far, a fraction within an epoch."""
        return self.origin.epoch + (self.step - self.origin.step) / self.steps_per_epoch

    @property
    def ended(self):
        """Is there nothing left to do: was the last epoch the last, or is the patience over?"""
        patience = self.settings.patience
        waited = self.place[0] - self.best["epoch"] if self.best else 0
        return self.step >= self.last or (patience is not None and waited >= patience)

    def save(self, path, was=None):
        """Write a checkpoint of this moment.   was: the configuration that config.json still has, if it is another"""
        config = without_places(self.config)
        if was is not None:
            config["was"] = without_places(was)
        state = {"step": self.step, "window": self.window, "best": self.best}
        save_checkpoint(path, self.model, self.optimiser, state, config)

    def restore(self, folder, state, arrays):
        """Go back to the moment of a run folder's checkpoint. Raises CheckpointError."""
        path = folder.checkpoint_path
        if set(state.get("window", ())) != set(self.window) or state["step"] > self.last:
            raise CheckpointError(f"{path}: its step or the sums of its log line are not of this run")
        self.best = state.get("best")
        if self.best and self.best["step"] != state["step"] and folder.best_path.exists():
            load_arrays(folder.best_path, read_best(folder, self.best), self.model)
            self._best_values = np.array(self.model.backend.get(self.model.buffer.values))
        load_arrays(path, arrays, self.model, self.optimiser)
        self.step = state["step"]
        if self.step != self.origin.step:  # else an epoch begins, and the line with it
            self.window = state["window"]
        if self.best and self.best["step"] == self.step:
            self._keep_best(folder)  # the run may have been ended between writing its two files

    def take_best(self):
        """Give the model the parameters of the epoch that was best on the validation images, if there is one."""
        if self._best_values is not None:
            self.model.buffer.values[...] = self.model.backend.put(self._best_values)

    def run(self, folder=None, progress=True, max_steps=None, max_seconds=None, threads=None, graph=True):
        """Train to the last epoch, for max_steps more updates or max_seconds. Returns the records written."""
        log = Log(self.model, folder)
        stop = self.last if max_steps is None else min(self.last, self.step + gate.whole("max_steps", max_steps, 0))
        until = log.began + (inf if max_seconds is None else gate.number("max_seconds", max_seconds, above=0))
        try:
            with self.model.backend.failures():
                interrupted = self._run(log, progress, stop, until, threads, graph)
        except ScratchVAEError as error:
            told = f"{error}. {advice(self)}" if isinstance(error, NonFiniteError) else str(error)
            kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
            raise type(error)(told + kept) from error
        except OSError as error:  # of the workers, or the memory that they share
            kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
            raise BackendError(
                f"the system gives no more memory or processes ({error}): --threads 1 needs fewer{kept}"
            ) from error
        if interrupted:
            where = f"; go on with: scratchvae resume {folder.path}" if folder else ""
            raise KeyboardInterrupt(f"stopped after step {self.step} of {self.last}{where}")
        return log.records

    def _run(self, log, progress, stop, until, threads, graph):
        s, folder, order = self.settings, log.folder, None
        split, held_out = (
            ("test", self.data.test.fields)
            if self.data.validation is None
            else ("validation", self.data.validation.fields)
        )
        threads = worker_count(threads) if self.model.backend.name == "numpy" else 1
        do = self._step_taker(threads, graph)
        replicas = [self.model.replica() for _ in range(threads)]
        total = s.epochs * len(self.images)
        bar = log.bar(progress, min(total, round(self.epoch * len(self.images))), total)
        with do, Threads(threads) as validators, interrupts() as interrupted, bar:
            while self.step < stop and not self.ended and not interrupted and time.perf_counter() < until:
                epoch, place = self.place
                if place == 0 or order is None:
                    order = do.order(epoch)
                count = min(
                    do.at_once, s.log_every - self.step % s.log_every, self.steps_per_epoch - place, stop - self.step
                )
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
                    terms = image_terms(self.model, held_out, validators, s.seed, replicas=replicas)
                    record = log.held_out(split, self.step, self.epoch, terms)
                    better = split == "validation" and (self.best is None or record["loss"] < self.best["loss"])
                    if better:
                        self.best = {"step": self.step, "epoch": epoch + 1, "loss": record["loss"]}
                    self._keep(folder, unless_dear=not better)
                    if better:
                        self._keep_best(folder)
            if self._kept != self.step:
                self._check_parameters()
                self._keep(folder)
        return interrupted

    def _step_taker(self, threads, graph):
        s = self.settings
        if self.model.backend.name == "numpy":
            own = {"threads": threads, "shards": s.shards}
            return TrainingStep(self.model, self.optimiser, self.fields, s.batch_size, seed=s.seed, clip=s.clip, **own)
        own = {"precision": "tf32" if s.tf32 else "fp32", "graph": graph}
        return DeviceStep(self.model, self.optimiser, self.fields, s.batch_size, seed=s.seed, clip=s.clip, **own)

    def _keep(self, folder, unless_dear=False):
        """Write the checkpoint of this step; unless_dear: not before ten times as long has passed as
        the last one took to write."""
        began = time.perf_counter()
        if folder is not None and unless_dear and began < self._dear_until:
            return
        if folder is not None:
            self.save(folder.checkpoint_path)
        now = time.perf_counter()
        self._kept, self._dear_until = self.step, now + 10 * (now - began)

    def _keep_best(self, folder):
        """These parameters are the best: a copy of them, and of the checkpoint of this step."""
        self._best_values = np.array(self.model.backend.get(self.model.buffer.values))
        if folder is not None:
            with replacing(folder.best_path) as temporary:
                copyfile(folder.checkpoint_path, temporary)

    def _empty_window(self):
        return {"images": 0, **dict.fromkeys(self.model.terms, 0.0)}

    def _not_finite(self, do):
        tensor = first_not_finite(self.model, do.repeat())
        return NonFiniteError(f"{tensor} is not finite at step {self.step + 1} (epoch {self.place[0] + 1})")

    def _check_parameters(self):
        """Raises NonFiniteError unless every parameter is finite: a loss may be when what was learned from it is
        not."""
        if name := first_parameter_not_finite(self.model):
            raise NonFiniteError(f"{name} is not finite after step {self.step} (epoch {ceil(self.epoch)})")
