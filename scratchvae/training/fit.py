"""Training from Python: begin a run, and go on with one."""

from ..errors import ConfigError, RunFolderError
from .records import header
from .run import RunFolder
from .settings import Settings
from .trainer import Trainer


def fit(model, data, *, out=None, progress=True, max_steps=None, threads=None, graph=True, **options):
    """Train `model` in place on `data.train`, validating on `data.test` after each epoch. Returns a list of records.

    data: a Dataset (`scratchvae.load_data`) · out: a run folder to make, or None to write nothing · progress: a bar, when
    the terminal is one · max_steps: stop early, resumable · threads: default, one per core · graph: on a GPU, launch many steps
    as one CUDA graph, with the same bits · options: the fields of `Settings`, such as epochs=10, lr=1e-3, optimiser="adam".
    Each record is a line of metrics.jsonl, whose header says what its numbers mean.

    Raises ConfigError, RunFolderError, NonFiniteError (a NaN or infinity: epoch, step, tensor, last good checkpoint),
    BackendError (out of memory, a lost GPU) and KeyboardInterrupt (after Ctrl-C, with the checkpoint written).
    """
    trainer = Trainer(model, data, Settings.of(**options))
    folder = None
    if out is not None:
        folder = RunFolder(out)
        folder.create(trainer.config)
        folder.start_metrics(header(model, data, trainer.settings.seed))
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
