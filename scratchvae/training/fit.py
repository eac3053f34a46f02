"""Training from Python: begin a run, and go on with one."""

import warnings

from ..errors import ConfigError, RunFolderError, RunWarning
from ..evaluate import accepted
from .checkpoint import describe, read_run
from .records import header
from .run import RunFolder
from .settings import Settings
from .trainer import Trainer


def fit(model, data, *, out=None, progress=True, max_steps=None, threads=None, graph=True, **options):
    """Train `model` in place on `data.train`, validating on `data.test` after each epoch. Returns a list of records.

    data: a Dataset (`scratchvae.load_data`), or an array of images, of which a tenth is held out as of a file · out: a run folder to
    make, or None to write nothing · progress: a bar, when the terminal is one · max_steps: stop early, resumable · threads: default,
    one per core · graph: on a GPU, launch many steps as one CUDA graph, with the same bits · options: the fields of `Settings`, such
    as epochs=10, lr=1e-3, optimiser="adam".
    Each record is a line of metrics.jsonl, whose header says what its numbers mean.

    Raises ConfigError, RunFolderError, NonFiniteError (a NaN or infinity: epoch, step, tensor, last good checkpoint),
    BackendError (out of memory, a lost GPU) and KeyboardInterrupt (after Ctrl-C, with the checkpoint written).
    """
    trainer = Trainer(model, data, Settings.of(**options))
    if out is None:
        return trainer.run(None, progress, max_steps, threads, graph)
    trainer.config["model"] = describe(model)
    with RunFolder(out).creating(trainer.config) as folder:
        folder.start_metrics(header(model, trainer.data, trainer.settings.seed))
        trainer.save(folder.checkpoint_path)
        return trainer.run(folder, progress, max_steps, threads, graph)


def resume(model, data, out, *, progress=True, max_steps=None, threads=None, graph=True, epochs=None):
    """Go on with the run in folder `out` as if it had never stopped; `epochs` extends it. Returns the new records.

    The model may live on another backend than the one that began; where there are no tensor cores, it goes on without them.
    """
    data = accepted(model, data)
    with RunFolder(out).writing() as folder:
        config, state, arrays = read_run(folder)
        training = dict(config["training"])
        if epochs is not None:
            if training["schedule"] == "cosine":
                raise ConfigError("a cosine schedule ends with its last epoch: this run cannot be extended")
            training["epochs"] = epochs
        if model.backend.no_tf32:
            training["tf32"] = False
        if data.fingerprint != config["data"]["fingerprint"]:
            raise RunFolderError(f"{folder.path} was trained on other data: on {config['data']['name']}, as it was then")
        trainer = Trainer(model, data, Settings.from_dict(training))
        if state is not None:
            trainer.restore(folder.checkpoint_path, state, arrays)
        elif describe(model)["values"] != config["model"].get("values"):
            raise RunFolderError(f"{folder.path} was stopped before its first checkpoint, and this is not the model that it began with")
        trainer.config = {**config, "training": training, "backend": model.backend.name}
        # First the checkpoint, which says what config.json was, then config.json: whatever is killed, both can be told apart.
        if state is None or trainer.config != config:
            trainer.save(folder.checkpoint_path, was=config)
        folder.write_config(trainer.config)
        if told := folder.mend_metrics(header(model, data, trainer.settings.seed), trainer.step):
            warnings.warn(told, RunWarning, stacklevel=2)
        return trainer.run(folder, progress, max_steps, threads, graph)
