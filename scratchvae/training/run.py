"""A run folder: config.json, metrics.jsonl, checkpoint.npz and figures."""

import json
import platform
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import RunFolderError
from ..files import write_text

VERSION = 1


class RunFolder:
    """The files of one run, by name."""

    def __init__(self, path):
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoint_path = self.path / "checkpoint.npz"

    def create(self, config):
        """Make the folder and write config.json. Raises RunFolderError when the folder holds anything already."""
        if self.config_path.exists():
            raise RunFolderError(f"{self.path} already holds a run: go on with `scratchvae resume {self.path}`, or choose another")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise RunFolderError(f"{self.path} is not empty: choose another folder")
            environment = {
                "scratchvae": __version__, "python": platform.python_version(), "numpy": np.__version__, "system": platform.platform(),
            }
            config = {"format": "scratchvae-run", "version": VERSION, **config, "environment": environment}
            with open(self.config_path, "x", encoding="utf-8") as file:  # "x": of two processes at once, one wins
                json.dump(config, file, indent=2)
        except FileExistsError as error:
            raise RunFolderError(f"{self.path} is in use by another process: choose another folder") from error
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be written ({error.strerror})") from error

    def write_config(self, config):
        """Write config.json anew, after a change such as more epochs."""
        write_text(self.config_path, json.dumps(config, indent=2))

    def config(self):
        """The content of config.json. Raises RunFolderError when it is missing or not ours."""
        try:
            config = json.loads(self.config_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunFolderError(f"{self.path} is not a run folder: it has no config.json") from error
        except ValueError as error:
            raise RunFolderError(f"{self.config_path} is damaged: {error}") from error
        if not isinstance(config, dict) or config.get("format") != "scratchvae-run" or config.get("version") != VERSION:
            raise RunFolderError(f"{self.config_path} is not a run of version {VERSION}, which this program reads")
        return config

    def start_metrics(self, header):
        """Begin metrics.jsonl with its header line, which carries the units."""
        write_text(self.metrics_path, json.dumps({"format": "scratchvae-metrics", "version": VERSION, **header}) + "\n")

    def append(self, record):
        """Add one line to metrics.jsonl."""
        with open(self.metrics_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self):
        """The lines of metrics.jsonl after the header, as dicts. Raises RunFolderError for a damaged file."""
        try:
            lines = self.metrics_path.read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines[1:]]
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.metrics_path} cannot be read: {error}") from error

    def forget_after(self, step):
        """Drop the lines written after `step`, which training is about to write again."""
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines()
        kept = [lines[0]] + [line for line in lines[1:] if json.loads(line)["step"] <= step]
        write_text(self.metrics_path, "\n".join(kept) + "\n")
