"""Training from the first step to the last: epochs, log lines, validation, checkpoints, and stopping well."""

import time
from math import isfinite

import numpy as np
from tqdm import tqdm

from ..errors import BackendError, ConfigError, NonFiniteError, RunFolderError
from ..evaluate import image_terms
from ..workers import Threads, usable_cores
from .checkpoint import load_arrays, read_checkpoint, save_checkpoint
from .device_step import DeviceStep
from .run import RunFolder
from .settings import Settings
from .step import TrainingStep
from .stopping import first_not_finite, interrupts

UNITS = {
    "loss": "nats per image, summed over pixels, mean over images: the objective, reconstruction + beta * kl",
    "reconstruction": "nats per image, summed over pixels, mean over images: negative log-likelihood, one sample of z",
    "kl": "nats per image, closed form, mean over images",
    "step": "updates done",
    "epoch": "passes over the training images",
    "lr": "learning rate of the last update",
    "images_per_s": "training images per second since the last line",
    "seconds": "since training began or was resumed",
}


def fit(model, data, *, out=None, progress=True, max_steps=None, threads=None, graph=True, **options):
    """Train `model` in place on `data.train`, validating on `data.test` after each epoch. Returns a list of records.

    data: a Dataset (`scratchvae.load_data`) · out: a run folder to make, or None to write nothing · progress: a bar, when
    the terminal is one · max_steps: stop early, resumable · threads: default, one per core · graph: on a GPU, launch many steps
    as one CUDA graph, with the same bits · options: the fields of `Settings`, such as epochs=10, lr=1e-3, optimiser="adam".
    Each record is a line of metrics.jsonl; UNITS says what its numbers mean.

    Raises ConfigError, RunFolderError, NonFiniteError (a NaN or infinity: epoch, step, tensor, last good checkpoint),
    BackendError (out of memory, a lost GPU) and KeyboardInterrupt (after Ctrl-C, with the checkpoint written).
    """
    trainer = Trainer(model, data, Settings.of(**options))
    folder = None
    if out is not None:
        folder = RunFolder(out)
        folder.create(trainer.config)
        folder.start_metrics(trainer.header)
        trainer.save(folder.checkpoint_path)
    return trainer.run(folder, progress, max_steps, threads, graph)


def resume(model, data, out, *, progress=True, max_steps=None, threads=None, graph=True, epochs=None):
    """Go on with the run in folder `out` as if it had never stopped; `epochs` extends it. Returns the new records.

    The model may live on another backend than the one that began; where there are no tensor cores, it goes on without them.
    """
    folder = RunFolder(out)
    config = folder.config()
    if epochs is not None:
        if config["training"]["schedule"] == "cosine":
            raise ConfigError("a cosine schedule ends with its last epoch: this run cannot be extended")
        config["training"]["epochs"] = epochs
    config["backend"] = model.backend.name
    if model.backend.no_tf32:
        config["training"]["tf32"] = False
    trainer = Trainer(model, data, Settings.from_dict(config["training"]))
    if data.fingerprint != config["data"]["fingerprint"]:
        raise RunFolderError(f"{folder.path} was trained on other data: on {config['data']['name']}, as it was then")
    trainer.restore(folder.checkpoint_path)
    folder.write_config(config)
    folder.forget_after(trainer.step)
    return trainer.run(folder, progress, max_steps, threads, graph)


class Trainer:
    """What training remembers between steps, all of it in a checkpoint: the step, and the sums of the current log line."""

    def __init__(self, model, data, settings):
        self.images = data.train.images
        if self.images.shape[1] != model.data_size:
            raise ConfigError(f"the model takes {model.data_size} pixels, and the images have {self.images.shape[1]}")
        settings = settings.on(model, len(self.images))
        self.model, self.data, self.settings = model, data, settings
        self.steps_per_epoch = settings.steps_per_epoch(len(self.images))
        self.last = settings.epochs * self.steps_per_epoch
        self.schedule = settings.new_schedule(self.last)
        self.optimiser = settings.new_optimiser(backend=model.backend)
        with model.backend.failures():
            self.optimiser.start(model.buffer.values)
        self.step = 0
        self.window = {"images": 0, **dict.fromkeys(model.terms, 0.0)}
        self.config = {
            "data": data.note(),
            "backend": model.backend.name, "model": {"kind": model.kind, "config": model.config},
            "training": settings.to_dict(),
        }
        self.header = {
            "units": UNITS, "likelihood": model.config["likelihood"], "binarisation": "none (grayscale pixels in [0, 1])",
            "z": "sampled, one per image" if model.noise_columns else "deterministic", "data": data.name, "seed": settings.seed,
        }

    @property
    def epoch(self):
        """Passes over the training images so far, a fraction within an epoch."""
        return self.step / self.steps_per_epoch

    def save(self, path):
        """Write a checkpoint of this moment."""
        state = {"step": self.step, "window": self.window}
        save_checkpoint(path, self.model, self.optimiser, state, self.config)

    def restore(self, path):
        """Go back to the moment of a checkpoint. Raises CheckpointError."""
        state, _, arrays = read_checkpoint(path)
        load_arrays(path, arrays, self.model, self.optimiser)
        self.step, self.window = state["step"], state["window"]

    def run(self, folder=None, progress=True, max_steps=None, threads=None, graph=True):
        """Train to the last epoch, or for max_steps more updates. Returns the records written."""
        try:
            with self.model.backend.failures():
                return self._run(folder, progress, max_steps, threads, graph)
        except BackendError as error:
            kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
            raise BackendError(f"{error}{kept}") from error

    def _run(self, folder, progress, max_steps, threads, graph):
        s, records, order = self.settings, [], None
        stop = self.last if max_steps is None else min(self.last, self.step + max_steps)
        self.began = self.line_began = time.perf_counter()
        threads = (threads or usable_cores()) if self.model.backend.name == "numpy" else 1

        def log(record):
            records.append(record)
            if folder is not None:
                folder.append(record)

        do = self._step_taker(threads, graph)
        replicas = [self.model.replica() for _ in range(threads)]
        with do, Threads(threads) as validators, interrupts() as interrupted, self._bar(progress) as bar:
            while self.step < stop and not interrupted:
                epoch, place = divmod(self.step, self.steps_per_epoch)
                if place == 0 or order is None:
                    order = do.order(epoch)
                count = min(do.at_once, s.log_every - self.step % s.log_every, self.steps_per_epoch - place, stop - self.step)
                sums = do.run(order, place, count, self.step, self.schedule)
                if not all(map(isfinite, sums.values())):
                    self.step += do.good
                    raise self._not_finite(do, folder)
                self.step += count
                images = min((place + count) * s.batch_size, len(order)) - place * s.batch_size
                self.window["images"] += images
                for term, value in sums.items():
                    self.window[term] += value
                bar.update(images)
                epoch_ends = place + count == self.steps_per_epoch
                if self.step % s.log_every == 0 or epoch_ends:
                    record = self._train_record(self.schedule(self.step - 1))
                    log(record)
                    bar.set_description(f"epoch {epoch + 1}/{s.epochs}", refresh=False)
                    bar.set_postfix({name: f"{record[name]:.1f}" for name in ("loss", *self.model.terms)})
                if epoch_ends:
                    log(self._test_record(validators, replicas))
                    if folder is not None:
                        self.save(folder.checkpoint_path)
            if folder is not None:
                self.save(folder.checkpoint_path)
        if interrupted:
            where = f"; go on with: scratchvae resume {folder.path}" if folder else ""
            raise KeyboardInterrupt(f"stopped after step {self.step} of {self.last}{where}")
        return records

    def _step_taker(self, threads, graph):
        s = self.settings
        shared = {"seed": s.seed, "clip": s.clip}
        if self.model.backend.name == "numpy":
            return TrainingStep(
                self.model, self.optimiser, self.images, s.batch_size, threads=threads, shards=s.shards, **shared
            )
        precision = "tf32" if s.tf32 else "fp32"
        return DeviceStep(self.model, self.optimiser, self.images, s.batch_size, precision=precision, graph=graph, **shared)

    def _bar(self, progress):
        disable = None if progress else True  # None: tqdm is quiet when standard error is not a terminal
        epoch, place = divmod(self.step, self.steps_per_epoch)
        done = epoch * len(self.images) + place * self.settings.batch_size
        total = self.settings.epochs * len(self.images)
        return tqdm(total=total, initial=done, disable=disable, unit="images", unit_scale=True, dynamic_ncols=True)

    def _losses(self, sums, images):
        means = {term: sums[term] / images for term in self.model.terms}
        return {"loss": sum(self.model.weights[term] * means[term] for term in means), **means}

    def _train_record(self, lr):
        now = time.perf_counter()
        images = self.window["images"]
        record = {
            "split": "train", "step": self.step, "epoch": self.epoch, **self._losses(self.window, images), "lr": lr,
            "images_per_s": images / (now - self.line_began), "seconds": now - self.began,
        }
        self.line_began = now
        self.window = {"images": 0, **dict.fromkeys(self.model.terms, 0.0)}
        return record

    def _test_record(self, validators, replicas):
        images = self.data.test.images
        terms = image_terms(self.model, images, validators, self.settings.seed, replicas=replicas)
        sums = {term: float(np.sum(values)) for term, values in terms.items()}
        self.line_began = time.perf_counter()
        losses = self._losses(sums, len(images))
        return {"split": "test", "step": self.step, "epoch": self.epoch, **losses, "seconds": self.line_began - self.began}

    def _not_finite(self, do, folder):
        do.repeat()
        tensor = first_not_finite(do.replicas)
        kept = f"; the last good checkpoint is {folder.checkpoint_path}" if folder else ""
        return NonFiniteError(
            f"{tensor} is not finite at step {self.step + 1} (epoch {int(self.epoch) + 1}){kept}. "
            "A smaller --lr or a --clip usually helps"
        )
