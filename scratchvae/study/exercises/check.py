"""check: the layers of one exercise on one file, in a process of its own with a limit of time."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ...errors import BackendError, ConfigError
from .folder import next_after, read_progress, record
from .ladder import NAMES
from .result import WRONG, Finding, Result
from .stub import MARK
from .student import TOKEN

SECONDS = 20.0  # a right answer needs less than one
_GRACE = 20.0  # to start Python and import NumPy on a busy machine
_ROOT = Path(__file__).resolve().parents[3]


def check(path, seconds=SECONDS, keep=True):
    """Run every layer of the exercise that a file answers → Result

    seconds: how long the file may run · keep: note the outcome in progress.json beside the file. Which exercise it is stands in
    its first line; without that line, its name tells. Raises ConfigError when neither does or there is no such file, DataError
    when progress.json cannot be read, BackendError when the machine lacks what the exercise needs, such as g++.
    """
    path = Path(path)
    name = exercise_of(path)
    if keep:
        read_progress(path.parent)  # unreadable progress is said before the work, not after
    result = _run(path.resolve(), name, seconds)
    if keep:
        try:
            record(result, path.parent)
        except OSError as error:
            result.note = f"(Progress could not be kept in {path.parent}: {error.strerror})"
    result.note = "\n".join(filter(None, [_what_next(result, path.parent), result.note]))
    return result


def exercise_of(path):
    """The exercise that a file answers. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; `scratchvae exercise start NAME DIR` makes one")
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline(200)
    said = first.removeprefix(MARK).split()[:1] if first.startswith(MARK) else []
    name = said[0] if said else path.stem
    if name not in NAMES:
        raise ConfigError(f"{path} does not say which exercise it is: name it after one ({', '.join(NAMES)})")
    return name


def _run(path, name, seconds):
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="scratchvae-") as folder:
        command = [sys.executable, "-P", "-B", "-m", f"{__package__}.child", str(path), name, folder, str(seconds)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            status = subprocess.run(command, env=environment, timeout=seconds + _GRACE, check=False, **quiet).returncode
        except subprocess.TimeoutExpired:
            status = None
        kept, stopped, printed = (_read(Path(folder) / file) for file in ("result.json", "stopped.txt", "printed.txt"))
    if not kept:
        raise RuntimeError(f"the process that runs the checks ended before it began, with status {status}")
    outcome = json.loads(kept)
    if outcome["lacking"]:
        raise BackendError(outcome["lacking"])
    if outcome["fault"]:
        raise RuntimeError(f"the check of {name} itself failed:\n{outcome['fault']}")
    findings = [Finding(**f) for f in outcome["findings"]]
    if not outcome["finished"]:
        findings.append(Finding(*outcome["now"], WRONG, list(_how_it_ended(path, stopped, status, seconds))))
    return Result(name, str(path), findings, printed.rstrip())


def _how_it_ended(path, stopped, status, seconds):
    """Lines on a process that did not come to its end: out of time, or gone."""
    line = re.search(rf'File "{TOKEN}", line (\d+)', stopped)
    if not stopped.strip() and status is not None:
        yield f"the file ended Python itself, with status {status}: by os._exit, or by a crash in compiled code,"
        yield "such as an address far outside of an array"
        return
    yield f"is still running after {seconds:g} seconds, and was stopped: does a loop never end?"
    if line:
        number = int(line[1])
        text = _read(path).splitlines()[number - 1].strip()
        yield f"when it was stopped, it stood at line {number} of {path.name}: `{text}`"


def _read(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _what_next(result, folder):
    if not result.ok:
        return f"For a hint: scratchvae exercise hint {result.exercise}"
    following = next_after(result.exercise, folder)
    if following is None or following.name == result.exercise:
        return "That was the last one: every exercise is done." if following is None else ""
    return f"Next: {following.title}. scratchvae exercise start {following.name} {folder}"
