"""Checkpoints: one npz file of named arrays and a JSON note, no pickle, written whole or not at all."""

import hashlib
from pathlib import Path

import numpy as np

from .. import backend as backends
from .. import gate
from ..data.npy import read_npz
from ..errors import BackendError, CheckpointError, ConfigError, DataError, NonFiniteError, RunFolderError
from ..files import replacing
from ..models import MODELS
from .chapters import epoch_at
from .run import RunFolder, from_version_1, without_places
from .schema import HELD, STATE, check, differences, dumps, loads

FORMAT, VERSION = "scratchvae-checkpoint", 2  # what version 1 wrote is read too


def save_checkpoint(path, model, optimiser, state, config):
    """Write parameters, moments, `state` (step, sums of the current log line) and `config` (both JSON-able) to `path`.

    The same training gives the same bytes: no time, host name or path is written. Raises NonFiniteError when a value is
    not finite, so that the file on disk stays the last good one.
    """
    buffer = model.buffer
    with model.backend.failures():
        flats = {
            kind: model.backend.get(flat) for kind, flat in {"parameters": buffer.values, **optimiser.moments}.items()
        }
    for kind, flat in flats.items():
        if not np.isfinite(flat).all():
            raise NonFiniteError(
                f"{_first_bad(buffer, kind, flat)} is not finite after step {state['step']}: {path} was left as it was"
            )
    arrays = {f"{kind}/{name}": buffer.view(name, flat) for kind, flat in flats.items() for name in buffer.names}
    note = {"format": FORMAT, "version": VERSION, "state": state, "config": config}
    note["checksum"] = _checksum(note, arrays)
    arrays["note"] = np.frombuffer(dumps(note, sort_keys=True).encode(), np.uint8)
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def read_checkpoint(path):
    """→ (state, config, arrays) of a checkpoint. Raises CheckpointError: missing, damaged, foreign, or another
    version."""
    refuse = lambda why: CheckpointError(f"{path}: {why}")
    if not Path(path).exists():
        raise refuse("no such checkpoint")
    try:
        arrays = read_npz(path)
        note = loads(arrays.pop("note").tobytes())
        check(note, dict, "note")
    except (DataError, ValueError, KeyError) as error:
        raise refuse(
            f"damaged, or not a scratchvae checkpoint ({str(error).removeprefix(f'{path}: ')[:300]})"
        ) from error
    if note.get("format") != FORMAT:
        raise refuse("not a scratchvae checkpoint")
    if note.get("version") not in (1, VERSION):
        raise refuse(f"version {dumps(note.get('version'))[:80]}, and this program reads versions 1 and {VERSION}")
    if note.pop("checksum", None) != _checksum(note, arrays):
        raise refuse("damaged, its checksum does not match its content")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise refuse(f"{name[:100]} holds numbers that are not finite")
    try:
        check(note, {"format": str, "version": int, "state": STATE, "config": dict}, "note")
    except ConfigError as error:
        raise refuse(f"damaged, or not a scratchvae checkpoint ({error})") from error
    return note["state"], note["config"], arrays


def read_run(folder):
    """→ (config, state, arrays) to go on with, from a RunFolder's config.json and its checkpoint, which must agree.

    Without a checkpoint, state and arrays are None: the run was stopped before its first one. Raises CheckpointError,
    RunFolderError.
    """
    config = folder.config()
    if not folder.checkpoint_path.exists():
        return config, None, None
    state, held, arrays = read_checkpoint(folder.checkpoint_path)
    try:
        was = held.pop("was", None)
        held = held if "history" in held else without_places(from_version_1(held))
        check(held, HELD, "config")
    except (ConfigError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder.checkpoint_path}: not a checkpoint of a run ({error})") from error
    try:
        return folder.agree(config, held, was), state, arrays
    except RunFolderError:
        if folder.config() != config:  # another process has written both between our two reads: read again
            return read_run(folder)
        raise


def load_model(path, backend=None, best=None, model=None):
    """The trained model in a run folder or a checkpoint file, on a backend, whichever it was trained on.

    model: the class, where it is one of your own; it is made again as model(**config, seed=None).
    best: of a run folder, the epoch that was best on the validation images (best.npz), or with False the last one; by
    default the best where there is one. Raises CheckpointError, RunFolderError (also where the folder's files do not
    belong together) or BackendError.
    """
    path, folder = gate.file_path("path", path), RunFolder(path)
    if not path.is_dir():
        _, config, arrays = read_checkpoint(path)
        return model_of(path, config, arrays, backend, model)
    if not folder.config_path.exists():
        return load_model(folder.checkpoint_path, backend, model=model)
    config, state, arrays = read_run(folder)
    if arrays is None:
        raise CheckpointError(
            f"{folder.checkpoint_path}: no such checkpoint: `scratchvae resume {path}` begins the run again"
        )
    kept = state.get("best")
    if best and not kept:
        raise CheckpointError(
            f"{path} has no best.npz: it has no validation split, or has not come to the end of an epoch"
        )
    if best is False or not kept or kept["step"] == state["step"]:
        return model_of(folder.checkpoint_path, config, arrays, backend, model)
    return model_of(folder.best_path, config, read_best(folder, kept), backend, model)


def read_best(folder, kept):
    """The arrays of a run folder's best.npz, which `kept` says the step of. Raises CheckpointError when it holds
    another, or is gone."""
    state, _, arrays = read_checkpoint(folder.best_path) if folder.best_path.exists() else ({"step": None}, None, None)
    if state["step"] == kept["step"]:
        return arrays
    raise CheckpointError(
        f"{folder.best_path} does not hold the model of step {kept['step']}, which was the best: bring it back, or "
        "take the last one "
        "with --no-best, in Python best=False"
    )


def two_epochs(path):
    """(that of the best model, that of the last) of a run folder with a validation split, by its checkpoint; None for
    one without.

    Raises CheckpointError or RunFolderError.
    """
    folder = RunFolder(path)
    config, state, _ = read_run(folder) if folder.best_path.exists() else (None, None, None)
    return (state["best"]["epoch"], epoch_at(config, state["step"])) if state and state.get("best") else None


def model_of(path, config, arrays, backend=None, kind=None):
    """The model that a configuration describes, with a checkpoint's arrays as its parameters, on a backend.

    Nothing is allocated unless the arrays in the file are those of that model. Raises CheckpointError, naming `path`,
    or BackendError.
    """
    model = _undrawn(path, config, kind)
    held = {name: array for name, array in arrays.items() if name.startswith("parameters/")}
    dtype = next(
        (array.dtype for array in held.values() if array.dtype in (np.float32, np.float64)), np.dtype(np.float32)
    )
    parameters = {f"parameters/{name}": parameter.shape for name, parameter in model.parameters()}
    _compare(path, held, {name: (shape, dtype) for name, shape in parameters.items()})
    return model.initialise(
        values=np.concatenate([held[name].reshape(-1) for name in parameters]), backend=backends.get(backend)
    )


def first_model(path, backend=None):
    """The model with which the run in the folder `path` began, for one that was stopped before its first checkpoint.

    Raises CheckpointError where config.json cannot tell: it began with values of its own.
    """
    folder = RunFolder(path)
    config = folder.config()
    told = config["model"]
    if None in (told.get("seed"), told.get("dtype"), told.get("values")):
        raise CheckpointError(
            f"{folder.path}: was stopped before its first checkpoint, and its first values are not known: train again"
        )
    model = _undrawn(folder.config_path, config).initialise(told["seed"], np.dtype(told["dtype"]), backend)
    if describe(model)["values"] != told["values"]:
        raise CheckpointError(
            f"{folder.path}: was stopped before its first checkpoint, and it began from other values than its seed's: "
            "train again"
        )
    return model


def describe(model):
    """What config.json keeps of a model: its kind and configuration, and from which seed its first values can be made
    again."""
    values = hashlib.sha256(np.ascontiguousarray(model.backend.get(model.buffer.values)).data).hexdigest()
    found = {"kind": model.kind, "config": model.config, "dtype": str(model.dtype), "values": values}
    return found if getattr(model, "seed", None) is None else {**found, "seed": int(model.seed)}


def load_arrays(path, arrays, model, optimiser=None):
    """Copy a checkpoint's arrays into a model and, if given, its started optimiser.

    Raises CheckpointError naming the first array that is missing, too many, or of another shape or dtype.
    """
    buffer = model.buffer
    flats = {"parameters": buffer.values, **(optimiser.moments if optimiser else {})}
    wanted = {f"{kind}/{name}": buffer.view(name, flat) for kind, flat in flats.items() for name in buffer.names}
    held = {name: array for name, array in arrays.items() if optimiser or name.startswith("parameters/")}
    _compare(path, held, {name: (target.shape, target.dtype) for name, target in wanted.items()})
    with model.backend.failures():
        for name, target in wanted.items():
            target[...] = model.backend.put(held[name])


def _undrawn(path, config, made_by=None):
    """The model that a configuration describes, its parameters without values: nothing is allocated. Raises
    CheckpointError.

    made_by: its class, where it is none of ours.
    """
    try:
        kind, told = config["model"]["kind"], config["model"]["config"]
        if made_by is None and kind not in MODELS:
            named = kind if isinstance(kind, str) and kind.isidentifier() else "its class"
            raise ConfigError(
                f"{gate.shown(kind)} is no model of ours; for one of yours, load_model(path, model={named[:100]})"
            )
        model = (made_by or MODELS[kind])(**told, seed=None)
        if model.kind != kind:
            raise ConfigError(f"it is of a {gate.shown(kind)}, not of a {model.kind}")
        if model.config != told:
            raise ConfigError(f"{next(differences(told, model.config))[0]} is not as a model has it")
        return model
    except BackendError:
        raise
    except (KeyError, TypeError, ValueError) as error:  # ConfigError and ShapeError among them
        raise CheckpointError(
            f"{path}: its configuration describes no model of this version ({str(error)[:200]})"
        ) from error


def _compare(path, held, wanted):
    """Raise CheckpointError unless the arrays are those that are wanted.   wanted: {name: (shape, dtype)}"""
    if missing := sorted(set(wanted) - set(held)):
        raise CheckpointError(f"{path}: {missing[0]} is missing: it belongs to another model or optimiser")
    if extra := sorted(set(held) - set(wanted)):
        raise CheckpointError(f"{path}: {extra[0][:100]} has no place in this model or optimiser")
    for name, (shape, dtype) in wanted.items():
        if held[name].shape != shape or held[name].dtype != dtype:
            a = held[name]
            raise CheckpointError(f"{path}: {name} is {a.dtype} {a.shape}, and this model's is {dtype} {shape}")


def _first_bad(buffer, kind, flat):
    return next(f"{kind}/{name}" for name in buffer.names if not np.isfinite(buffer.view(name, flat)).all())


def _checksum(note, arrays):
    """sha256 over the note and every array with its name, shape and dtype."""
    digest = hashlib.sha256(dumps(note, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
