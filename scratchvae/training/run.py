"""A run folder: config.json, metrics.jsonl, checkpoint.npz and figures. One process at a time writes into it."""

import os
import platform
import stat
from contextlib import contextmanager

import numpy as np

from .. import __version__, gate
from ..errors import ConfigError, NonFiniteError, OutputError, RunFolderError
from ..files import append_line, make_folder, only_writer, sweep, write_text
from .schema import METRICS, RECORD, RUN, check, differences, dumps, loads
from .settings import Settings

VERSION = 2  # of config.json; what version 1 wrote is read too
METRICS_VERSION = 1
LARGEST_CONFIG = 1 << 24  # bytes
LOCK = ".lock"


class RunFolder:
    """The files of one run, by name."""

    def __init__(self, path):
        self.path = gate.file_path("the run folder", path)
        self.config_path = self.path / "config.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoint_path = self.path / "checkpoint.npz"
        self.best_path = self.path / "best.npz"

    @contextmanager
    def writing(self):
        """Nobody else writes into the folder while the block runs; what killed processes left half-written is removed.

        Raises RunFolderError, naming the process that is writing, or OutputError.
        """
        if not self.config_path.exists():
            raise RunFolderError(f"{self.path} is not a run folder: it has no config.json")
        with only_writer(self.path / LOCK):
            sweep(self.path)
            yield self

    @contextmanager
    def creating(self, config):
        """Make the folder, write config.json, and keep others from writing while the block runs.

        Raises RunFolderError when the folder holds anything already, but for what a process left that was killed before
        it had written the configuration.
        """
        if self.config_path.exists():
            raise RunFolderError(
                f"{self.path} already holds a run: go on with `scratchvae resume {self.path}`, or choose another"
            )
        if self.path.is_dir() and not self._is_free():
            raise RunFolderError(f"{self.path} is not empty: choose another folder")
        try:
            make_folder(self.path)
        except OutputError as error:
            raise RunFolderError(f"{error}") from error
        with only_writer(self.path / LOCK):
            sweep(self.path)
            if not self._is_free():  # of two processes at once, one wins
                raise RunFolderError(f"{self.path} is in use by another process: choose another folder")
            environment = {
                "scratchvae": __version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "system": platform.platform(),
            }
            self.write_config({**config, "environment": environment})
            yield self

    def _is_free(self):
        sweepable = lambda name: name == LOCK or (name.startswith(".") and ".part" in name)
        return all(sweepable(path.name) for path in self.path.iterdir())

    # The configuration ------------------------------------------------------------------------------------------------

    def config(self):
        """The content of config.json, in the form of this version. Raises RunFolderError: missing, damaged, or not
        ours.

        data.location is where the data lie now: beside the folder, where both have moved together, or else where they
        lay.
        """
        try:
            content = read_file(self.config_path, LARGEST_CONFIG)
        except FileNotFoundError as error:
            raise RunFolderError(f"{self.path} is not a run folder: it has no config.json") from error
        except OSError as error:
            raise RunFolderError(f"{self.config_path} cannot be read ({error.strerror or error})") from error
        try:
            config = loads(content)
            if (
                not isinstance(config, dict)
                or config.get("format") != "scratchvae-run"
                or config.get("version") not in (1, VERSION)
            ):
                raise RunFolderError(
                    f"{self.config_path} is not a run of version 1 or {VERSION}, which this program reads"
                )
            config = from_version_1(config) if config["version"] == 1 else config
            check(config, RUN, "config")
        except (ValueError, ConfigError) as error:
            raise RunFolderError(f"{self.config_path} is damaged: {str(error)[:300]}") from error
        beside = config["data"].pop("relative", None)
        if beside is not None and (self.path / beside).exists():
            config["data"]["location"] = os.path.abspath(self.path / beside)
        return config

    def write_config(self, config):
        """Write config.json: `config` as `config()` returns it, format and version added. Raises ConfigError,
        OutputError."""
        data = dict(config["data"])
        if beside := _beside(self.path, data["location"]):
            data["relative"] = beside
        config = {"format": "scratchvae-run", "version": VERSION, "history": [], **config, "data": data}
        config["version"] = VERSION
        check(config, RUN, "config")
        write_text(self.config_path, dumps(config, indent=2))

    def agree(self, config, held, was=None):
        """The configuration to go on with, from config.json's and what the checkpoint holds of one.

        Both are the same; or config.json still has what `was` before a change that was killed between the two files:
        then the checkpoint's is the newer. Raises RunFolderError, naming the first difference.
        """
        ours = without_places(config)
        different = next(differences(ours, held), None)
        if different and next(differences(ours, was), None):
            place, a, b = different
            raise RunFolderError(
                f"{self.path}: config.json and checkpoint.npz differ: {place} is {_short(a)} in one and {_short(b)} in "
                "the other. "
                "Bring back the file that was changed"
            )
        return {**config, **held, "data": {**held["data"], "location": config["data"]["location"]}}

    # The metrics ------------------------------------------------------------------------------------------------------

    def start_metrics(self, header):
        """Begin metrics.jsonl with its header line, which carries the units."""
        self._write_metrics(header, [])

    def append(self, record):
        """Add one line to metrics.jsonl, or nothing of it. Raises NonFiniteError, OutputError."""
        if bad := next(
            (name for name, value in record.items() if isinstance(value, float) and not np.isfinite(value)), None
        ):
            raise NonFiniteError(f"{bad} of the {record['split']} split is {record[bad]} after step {record['step']}")
        append_line(self.metrics_path, dumps(record))

    def records(self):
        """The lines of metrics.jsonl after the header, as dicts. Raises RunFolderError for a damaged file.

        A last line that is not whole is left out: it may be being written.
        """
        try:
            lines = read_file(self.metrics_path).split(b"\n")
        except OSError as error:
            raise RunFolderError(f"{self.metrics_path} cannot be read ({error.strerror or error}): {MENDED}") from error
        records = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                records.append(_line(line, METRICS if number == 1 else RECORD))
            except ValueError as error:
                raise RunFolderError(
                    f"{self.metrics_path}, line {number}: cannot be read ({str(error)[:200]}): {MENDED}"
                ) from error
        if not records:
            raise RunFolderError(f"{self.metrics_path} cannot be read: it has no whole line: {MENDED}")
        return records[1:]

    def mend_metrics(self, header, step):
        """Make metrics.jsonl what it was at `step`, so that training can go on: the lines written after it are dropped,
        and so are damaged ones; a header that is lost is written anew. Returns in a sentence what was lost, or None."""
        try:
            lines = read_file(self.metrics_path).split(b"\n")
        except FileNotFoundError:
            self.start_metrics(header)
            return f"{self.metrics_path} was missing: it begins anew after step {step}" if step else None
        except OSError as error:
            raise RunFolderError(f"{self.metrics_path} cannot be read ({error.strerror or error})") from error
        kept, lost = [], 0
        for line in lines[1:]:
            try:
                record = _line(line, RECORD)
            except ValueError:
                lost += line != b""
            else:
                if record["step"] <= step:
                    kept.append(record)
        try:
            header = _line(lines[0], METRICS)
        except ValueError:
            lost += 1
        self._write_metrics(header, kept)
        lines, were = ("1 line", "was") if lost == 1 else (f"{lost} lines", "were")
        return f"{self.metrics_path} was damaged: {lines} could not be read and {were} dropped" if lost else None

    def _write_metrics(self, header, records):
        header = {"format": "scratchvae-metrics", "version": METRICS_VERSION, **header}
        write_text(self.metrics_path, "".join(f"{dumps(each)}\n" for each in (header, *records)))


MENDED = "`scratchvae resume` mends it"


def without_places(config):
    """What a checkpoint holds of a configuration: nothing of the machine, so that the same training gives the same
    bytes."""
    data = {key: value for key, value in config["data"].items() if key != "location"}
    return {
        **{key: value for key, value in config.items() if key not in ("format", "version", "environment")},
        "data": data,
    }


def read_file(path, most=None):
    """The bytes of a file; at most `most`. Raises OSError, also for what is no file, such as a pipe that would never
    end."""
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is not a file")
        if most is not None and found.st_size > most:
            raise OSError(f"{path} has {found.st_size:,} bytes, where {most:,} are the most")
        return file.read()


def _line(text, kind):
    """The value of one line of metrics.jsonl. Raises ValueError, ConfigError among them."""
    value = loads(text)
    check(value, kind, "it")
    return value


def _beside(folder, location):
    """The path from the run folder to data that lie near it, at most three folders up; None for others and for
    names."""
    if not os.path.isabs(location):
        return None
    try:
        path = os.path.relpath(location, os.path.abspath(folder))
    except ValueError:  # another drive
        return None
    return None if path.split(os.sep).count(os.pardir) > 3 else path.replace(os.sep, "/")


def from_version_1(config):
    """A configuration of version 1 as version 2 writes it: later settings have their defaults. Raises ConfigError."""
    training = config.get("training")
    settings = Settings.of(**training).to_dict() if isinstance(training, dict) else training
    return {"history": [], "backend": "numpy", **config, "version": VERSION, "training": settings}


def _short(value):
    text = dumps(value)
    return text if len(text) < 60 else f"{text[:60]}…"
