"""Training from Python: begin a run, and go on with one."""

import warnings

from ..errors import RunFolderError, RunWarning
from ..evaluate import accepted
from .chapters import go_on
from .checkpoint import describe, read_run
from .records import header
from .run import RunFolder
from .settings import Settings
from .trainer import Trainer


def fit(model, data, *, out=None, progress=True, max_steps=None, max_seconds=None, threads=None, graph=True, **options):
    """Train `model` in place on `data.train`. After each epoch it is looked at on `data.validation`, or on `data.test`
    where there is no validation split. Returns a list of records.

    data: a Dataset (`scratchvae.load_data`), or an array of images, of which a tenth is held out as of a file · out: a
    run folder to make, or None to write nothing · progress: a bar, when the terminal is one · max_steps, max_seconds:
    stop early, resumable · threads: default, one per core · graph: on a GPU, launch many steps as one CUDA graph, with
    the same bits · options: the fields of `Settings`, such as epochs=10, lr=1e-3, optimiser="adam"; those not given are
    as the model's `training_defaults` say, if they do. Each record is a line of metrics.jsonl, whose header says what
    its numbers mean.

    With a validation split (`data.with_validation(0.1)`) the model is left with the parameters of the epoch that was
    best there, and patience=5 stops after five epochs without a better one. The test split is never chosen by.

    Raises ConfigError, RunFolderError, NonFiniteError (a NaN or infinity: epoch, step, tensor, last good checkpoint),
    BackendError (out of memory, a lost GPU) and KeyboardInterrupt (after Ctrl-C, with the checkpoint written).
    """
    trainer = Trainer(model, data, Settings.for_model(model, **options))
    how = progress, max_steps, max_seconds, threads, graph
    if out is None:
        return _train(trainer, None, how)
    trainer.config["model"] = describe(model)
    with RunFolder(out).creating(trainer.config) as folder, model.backend.failures():
        folder.start_metrics(header(model, trainer.data, trainer.settings.seed))
        trainer.save(folder.checkpoint_path)
        return _train(trainer, folder, how)


def resume(
    model, data, out, *, progress=True, max_steps=None, max_seconds=None, threads=None, graph=True, other_data=False,
    **options
):
    """Go on with the run in folder `out` as if it had never stopped. Returns the new records.

    options: settings to change, such as epochs=20 or lr=1e-4. Any but the number of epochs begins a new chapter of the
    run, which its configuration records (`chapters.go_on`) · other_data: the data may be others than before, which
    begins one too. The model may live on another backend than the one that began; where there are no tensor cores, it
    goes on without them.
    """
    data = accepted(model, data)
    with RunFolder(out).writing() as folder, model.backend.failures():
        config, state, arrays = read_run(folder)
        settings, origin, going = go_on(config, model, data, state["step"] if state else 0, options, other_data)
        trainer = Trainer(model, data, settings, origin)
        trainer.config, same = going, data.is_of(config["data"])
        if state is not None:
            trainer.restore(folder, state if same else {**state, "best": None}, arrays)
        elif describe(model)["values"] != config["model"].get("values"):
            raise RunFolderError(
                f"{folder.path} was stopped before its first checkpoint, and this is not the model that it began with"
            )
        # First the checkpoint, which says what config.json was, then config.json: whatever is killed, both can be told
        # apart.
        if state is None or trainer.config != config:
            trainer.save(folder.checkpoint_path, was=config)
        folder.write_config(trainer.config)
        if told := folder.mend_metrics(header(model, data, trainer.settings.seed), trainer.step):
            warnings.warn(told, RunWarning, stacklevel=2)
        # the best on other images: the figures cannot be compared
        if trainer.best is None and folder.best_path.exists():
            folder.best_path.rename(folder.path / f"best-{trainer.step}.npz")
        return _train(trainer, folder, (progress, max_steps, max_seconds, threads, graph))


def _train(trainer, folder, how):
    records = trainer.run(folder, *how)
    trainer.take_best()
    return records
