"""Checkpoints: one npz file of named arrays and a JSON note, no pickle, written whole or not at all."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np

from ..errors import CheckpointError, NonFiniteError
from ..files import replacing
from ..models import MODELS

FORMAT, VERSION = "scratchvae-checkpoint", 1


def save_checkpoint(path, model, optimiser, state, config):
    """Write parameters, moments, `state` (step, sums of the current log line) and `config` (both JSON-able) to `path`.

    The same training gives the same bytes: no time, host name or path is written. Raises NonFiniteError when a value is
    not finite, so that the file on disk stays the last good one.
    """
    buffer = model.buffer
    with model.backend.failures():
        flats = {kind: model.backend.get(flat) for kind, flat in {"parameters": buffer.values, **optimiser.moments}.items()}
    for kind, flat in flats.items():
        if not np.isfinite(flat).all():
            raise NonFiniteError(f"{_first_bad(buffer, kind, flat)} is not finite after step {state['step']}: {path} was left as it was")
    arrays = {f"{kind}/{name}": buffer.view(name, flat) for kind, flat in flats.items() for name in buffer.names}
    note = {"format": FORMAT, "version": VERSION, "state": state, "config": config}
    note["checksum"] = _checksum(note, arrays)
    arrays["note"] = np.frombuffer(json.dumps(note).encode(), np.uint8)
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def read_checkpoint(path):
    """→ (state, config, arrays) of a checkpoint. Raises CheckpointError: missing, damaged, foreign, or another version."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        note = json.loads(arrays.pop("note").tobytes())
        checksum = note.pop("checksum")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: damaged, or not a scratchvae checkpoint ({error})") from error
    if note.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a scratchvae checkpoint")
    if note.get("version") != VERSION:
        raise CheckpointError(f"{path}: version {note.get('version')!r}, and this program reads version {VERSION}")
    if checksum != _checksum(note, arrays):
        raise CheckpointError(f"{path}: damaged, its checksum does not match its content")
    return note["state"], note["config"], arrays


def load_model(path, backend=None):
    """The trained model in a run folder or a checkpoint file, on a backend, whichever it was trained on.

    Raises CheckpointError, RunFolderError or BackendError.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "checkpoint.npz"
    _, config, arrays = read_checkpoint(path)
    try:
        dtype = next(array.dtype for name, array in arrays.items() if name.startswith("parameters/"))
        model = MODELS[config["model"]["kind"]](**config["model"]["config"], dtype=dtype, backend=backend)
    except (KeyError, TypeError, StopIteration) as error:
        raise CheckpointError(f"{path}: its configuration describes no model of this version ({error!r})") from error
    load_arrays(path, arrays, model)
    return model


def load_arrays(path, arrays, model, optimiser=None):
    """Copy a checkpoint's arrays into a model and, if given, its started optimiser.

    Raises CheckpointError naming the first array that is missing, too many, or of another shape or dtype.
    """
    buffer = model.buffer
    flats = {"parameters": buffer.values, **(optimiser.moments if optimiser else {})}
    wanted = {f"{kind}/{name}": buffer.view(name, flat) for kind, flat in flats.items() for name in buffer.names}
    held = {name for name in arrays if optimiser or name.startswith("parameters/")}
    if missing := sorted(set(wanted) - held):
        raise CheckpointError(f"{path}: {missing[0]} is missing: it belongs to another model or optimiser")
    if extra := sorted(held - set(wanted)):
        raise CheckpointError(f"{path}: {extra[0]} has no place in this model or optimiser")
    for name, target in wanted.items():
        if arrays[name].shape != target.shape or arrays[name].dtype != target.dtype:
            a, b = arrays[name], target
            raise CheckpointError(f"{path}: {name} is {a.dtype} {a.shape}, and this model's is {b.dtype} {b.shape}")
    with model.backend.failures():
        for name, target in wanted.items():
            target[...] = model.backend.put(arrays[name])


def _first_bad(buffer, kind, flat):
    return next(f"{kind}/{name}" for name in buffer.names if not np.isfinite(buffer.view(name, flat)).all())


def _checksum(note, arrays):
    """sha256 over the note and every array with its name, shape and dtype."""
    digest = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()
