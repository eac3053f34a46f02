"""What the descriptions of several commands share."""

import argparse
from dataclasses import fields

from ..backend import NAMES
from ..training import Settings


def command(commands, function, help, example):
    """Add a command that runs `function`, with its help, an example and --json → its parser"""
    sub = commands.add_parser(
        function.__name__,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=_Help,
    )
    sub.set_defaults(command=function)
    sub.add_argument("--json", action="store_true", help="print the result as JSON")
    return sub


def add_run(sub):
    """The run folder that a command works on."""
    sub.add_argument("run", metavar="RUN", help="run folder")


def add_threads(sub):
    """The number of workers."""
    sub.add_argument("--threads", type=at_least_1, help="changes speed, never a bit of the result (default: one per core)")


def add_backend(sub):
    """Where a trained model is put to use, wherever it was trained."""
    sub.add_argument("--backend", choices=NAMES, default="numpy", help="numpy, or cupy for an NVIDIA GPU")


def add_graph(sub):
    """How a GPU is given its work."""
    sub.add_argument("--no-graph", action="store_true", help="on a GPU: launch kernel by kernel, slower and with the same bits")


def add_settings(sub):
    """Every training setting that a command line can name, with its default and its help."""
    for f in fields(Settings):
        kind, low, name = f.metadata["kind"], f.metadata["low"], f"--{f.name.replace('_', '-')}"
        if kind is bool:
            sub.add_argument(name, action="store_true", help=f.metadata["help"])
        elif kind is not dict:
            parse = at_least_1 if kind is int and low == 1 else kind
            sub.add_argument(name, type=parse, default=f.default, choices=f.metadata["choices"], help=f.metadata["help"])


def given_settings(o):
    """The Settings that a command line has named. Raises ConfigError."""
    return Settings(**{f.name: getattr(o, f.name) for f in fields(Settings) if hasattr(o, f.name)})


def at_least_1(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def sizes(text):
    return [at_least_1(part) for part in text.split(",") if part.strip()]


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one."""

    def _get_help_string(self, action):
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)
