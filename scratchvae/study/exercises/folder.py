"""A student's folder: one file per exercise, and progress.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import DataError, RunFolderError
from ...files import write_json, write_text
from .ladder import NAMES, task
from .stub import stub

PROGRESS, FORMAT, VERSION = "progress.json", "scratchvae exercises", 1
DONE, OPEN, UNTOUCHED = "done", "started", ""


@dataclass
class Step:
    """One rung of the ladder, as `list` shows it."""

    number: int
    name: str
    title: str
    equations: tuple
    state: str  # "done", "started" or ""
    tries: int  # checks so far
    passed: int  # layers, at the latest check
    layers: int

    def to_dict(self):
        return asdict(self)


def start(name, folder):
    """Write the stub of an exercise into a folder, which is made if need be → its Path

    Raises ConfigError for a name that is none, RunFolderError when the file is there already or the folder cannot be written to.
    """
    text, path = stub(name), Path(folder) / f"{name}.py"
    if path.exists():
        raise RunFolderError(f"{path} exists already, and may hold your work: go on with it, or move it away first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def list_exercises(folder=None):
    """The whole ladder → [Step]; with a folder, how far it is there. Raises DataError where it cannot be read."""
    if folder is not None and not Path(folder).is_dir():
        raise DataError(f"there is no folder {folder}; `scratchvae exercise start NAME DIR` makes one")
    kept = read_progress(folder) if folder is not None else {}
    steps = []
    for number, name in enumerate(NAMES, 1):
        entry, exercise = kept.get(name, {}), task(name)
        state = UNTOUCHED
        if folder is not None and (entry or (Path(folder) / f"{name}.py").exists()):
            state = DONE if entry.get("done") else OPEN
        numbers = (int(entry.get(key, 0)) for key in ("tries", "passed", "layers"))
        steps.append(Step(number, name, exercise.TITLE, exercise.EQUATIONS, state, *numbers))
    return steps


def table(steps):
    """`list_exercises` for people."""
    lines = []
    for s in steps:
        how = f"{s.state}, {s.passed} of {s.layers} layers" if s.tries and s.state == OPEN else s.state
        lines.append(f"{s.number:2}  {s.name:15} {s.title:50} {how}".rstrip())
    done = sum(s.state == DONE for s in steps)
    return "\n".join([*lines, *([f"\n{done} of {len(steps)} done"] if any(s.state for s in steps) else [])])


def next_after(name, folder):
    """The next exercise up the ladder that is not done, or the first that is not; None when all are."""
    open_ones = [s for s in list_exercises(folder) if s.state != DONE]
    number = NAMES.index(name) + 1
    return next((s for s in open_ones if s.number > number), open_ones[0] if open_ones else None)


def read_progress(folder):
    """{exercise: {"done", "tries", "passed", "layers"}}, empty if there is no file. Raises DataError."""
    path = Path(folder) / PROGRESS
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        form, version = content["format"], content["version"]
        if (form, version) != (FORMAT, VERSION):
            raise DataError(f"{path} is {form!r} version {version}; this program reads {FORMAT!r} version {VERSION}")
        return {name: dict(entry) for name, entry in content["exercises"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read ({error}): move it away, and progress starts anew") from error


def record(result, folder):
    """Note the outcome of a check. Raises DataError, or OSError when the folder cannot be written to."""
    kept = read_progress(folder)
    tries = int(kept.get(result.exercise, {}).get("tries", 0)) + 1
    kept[result.exercise] = {"done": result.ok, "tries": tries, "passed": result.passed, "layers": len(result.findings)}
    content = {"format": FORMAT, "version": VERSION, "exercises": {name: kept[name] for name in (*NAMES, *kept) if name in kept}}
    write_json(Path(folder) / PROGRESS, content)
