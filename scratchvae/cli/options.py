"""What the descriptions of several commands share."""

import argparse
from dataclasses import fields
from difflib import get_close_matches
from math import inf, isfinite

from ..backend import NAMES
from ..data.options import FITS, SCALES
from ..training import Settings
from .output import one_line


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line, and name what was perhaps meant."""

    def error(self, message):
        end = "" if message.endswith("?") else "."
        self.exit(2, one_line(f"{self.prog}: error: {message}{end} `{self.prog} --help` says more") + "\n")

    def parse_args(self, arguments=None, namespace=None):
        options, rest = self.parse_known_args(arguments, namespace)
        if rest:
            options.parser.error(f"there is no option or place for {rest[0]!r}{_meant(rest[0], options.parser._option_string_actions)}")
        return options

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            wrong = f"must be one of {', '.join(map(str, action.choices))}, not {value!r}{_meant(value, action.choices)}"
            raise argparse.ArgumentError(action, wrong)


def _meant(text, names):
    near = get_close_matches(str(text), list(map(str, names)), 1)
    return f". Did you mean {near[0]}?" if near else ""


def command(commands, function, help, example):
    """Add a command that runs `function`, with its help, an example and --json → its parser"""
    sub = commands.add_parser(
        function.__name__,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=_Help,
    )
    sub.set_defaults(command=function, parser=sub)
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
            parse = {int: whole(low, f.metadata["high"]), float: number}.get(kind, kind)
            sub.add_argument(name, type=parse, default=f.default, choices=f.metadata["choices"], help=f.metadata["help"])


def add_data_options(sub):
    """What is done to data on the way in."""
    add = sub.add_argument
    add("--size", metavar="HxW", help="bring every image of a folder to this size: 48x64, or one number for a square")
    add("--fit", choices=FITS, default="crop", help="with --size: cut at the centre what exceeds the shape, or add black")
    add("--grey", action="store_true", help="make the colour images of a folder grey")
    add("--labels", metavar="FILE|COLUMN", help="a .csv of file,label for a folder, one label per image for a .npy, a column of a table")
    add("--scale", choices=SCALES, help="columns of a table: to [0, 1] (default for .csv), to mean 0 and deviation 1, or as they are")
    add("--split-seed", type=seed, default=0, help="of the tenth held out as test where the data are not split")


def given_data_options(o):
    """They as `load` takes them."""
    return {"size": o.size, "fit": o.fit, "grey": o.grey, "labels": o.labels, "scale": o.scale, "seed": o.split_seed}


def given_settings(o):
    """The Settings that a command line has named. Raises ConfigError."""
    return Settings(**{f.name: getattr(o, f.name) for f in fields(Settings) if hasattr(o, f.name)})


def whole(least, most=inf):
    """The type of an option that is a whole number in a range."""

    def read(text):
        value = _read(int, text, "a whole number")
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most:,}"
            raise argparse.ArgumentTypeError(f"must be {bound}, not {text}")
        return value

    return read


at_least_1 = whole(1)
seed = whole(0, 2**64 - 1)


def number(text):
    """A finite number."""
    value = _read(float, text, "a number")
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, not {text!r}")
    return value


def sizes(text):
    """Whole numbers of at least 1, with commas between them."""
    return [at_least_1(part) for part in text.split(",")] if text.strip() else []


def _read(kind, text, name):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {name}, not {text!r}") from None


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one."""

    def _get_help_string(self, action):
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)
