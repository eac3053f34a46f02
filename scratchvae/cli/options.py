"""What the descriptions of several commands share."""

import argparse
import os
from dataclasses import fields
from math import inf, isfinite

from ..backend import NAMES
from ..data.options import FITS, SCALES
from ..errors import ConfigError, meant
from ..training.settings import LARGEST, Settings
from .output import one_line


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line, and name what was perhaps meant."""

    def __init__(self, **options):
        super().__init__(formatter_class=_Help, **options)
        self.register("type", None, text)  # of whatever names no type: names, files and folders

    def add_subparsers(self, **options):
        actions = super().add_subparsers(**options)
        actions.type = str  # which argparse asks of all that follows, too: there an empty one may be right
        return actions

    def error(self, message):
        end = "" if message.endswith("?") else "."
        self.exit(2, one_line(f"{self.prog}: error: {message}{end} `{self.prog} --help` says more") + "\n")

    def parse_args(self, arguments=None, namespace=None):
        options, rest = self.parse_known_args(arguments, namespace)
        if rest:
            options.parser.error(
                f"there is no option or place for {rest[0]!r}{meant(rest[0], options.parser._option_string_actions)}"
            )
        return options

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            wrong = f"must be one of {', '.join(map(str, action.choices))}, not {value!r}{meant(value, action.choices)}"
            raise argparse.ArgumentError(action, wrong)



def command(commands, function, help, example):
    """Add a command that runs `function`, with its help, an example and --json → its parser"""
    description = help[0].upper() + help[1:] + "."
    sub = commands.add_parser(function.__name__, help=help, description=description, epilog=f"example: {example}")
    sub.set_defaults(command=function, parser=sub)
    sub.add_argument("--json", action="store_true", help="print the result as JSON")
    return sub


def add_run(sub):
    """The run folder that a command works on."""
    sub.add_argument("run", metavar="RUN", help="run folder")


def add_threads(sub):
    """The number of workers."""
    sub.add_argument(
        "--threads", type=whole(1, 1024), help="changes speed, never a bit of the result (default: one per core)"
    )


def add_backend(sub):
    """Where a trained model is put to use, wherever it was trained."""
    sub.add_argument("--backend", choices=NAMES, default="numpy", help="numpy, or cupy for an NVIDIA GPU")


def add_graph(sub):
    """How a GPU is given its work."""
    sub.add_argument(
        "--no-graph", action="store_true", help="on a GPU: launch kernel by kernel, slower and with the same bits"
    )


def add_settings(sub, kept=None):
    """The training settings that a command line can name, with their help, none of them set unless it is given; for a
    run that goes on, only those that may change. kept: the names of the others"""
    for f in fields(Settings):
        kind, name, help = f.metadata["kind"], f"--{f.name.replace('_', '-')}", f.metadata["help"]
        if kind is dict or (kept and f.name in kept):
            continue
        if kind is bool:
            sub.add_argument(name, action="store_true", default=argparse.SUPPRESS, help=help)
            continue
        parse = {int: whole(f.metadata["low"], f.metadata["high"]), float: number}.get(kind, kind)
        if kept:
            help = help.partition(" (default")[0]
            if f.default is None and f.name != "epochs":
                parse, help = or_none(parse), f"{help}; none for none"
        elif "(default" not in help:
            help += f" (default: {f.default})"
        sub.add_argument(name, type=parse, default=argparse.SUPPRESS, choices=f.metadata["choices"], help=help)


def add_data_options(sub):
    """What is done to data on the way in."""
    add = sub.add_argument
    add("--size", metavar="HxW", help="bring every image of a folder to this size: 48x64, or one number for a square")
    add(
        "--fit",
        choices=FITS,
        default="crop",
        help="with --size: cut at the centre what exceeds the shape, or add black",
    )
    add("--grey", action="store_true", help="make the colour images of a folder grey")
    add(
        "--labels",
        metavar="FILE|COLUMN",
        help="a .csv of file,label for a folder, one label per image for a .npy, a column of a table",
    )
    add(
        "--scale",
        choices=SCALES,
        help="columns of a table: to [0, 1] (default for .csv), to mean 0 and deviation 1, or as they are",
    )
    add(
        "--split-seed",
        type=seed,
        default=0,
        help="of the tenth held out as test where data are not split, and of sets that are made",
    )


def given_data_options(o):
    """They as `load` takes them."""
    return {"size": o.size, "fit": o.fit, "grey": o.grey, "labels": o.labels, "scale": o.scale, "seed": o.split_seed}


def given(o):
    """{name: value} of the training settings that a command line has named."""
    return {f.name: getattr(o, f.name) for f in fields(Settings) if hasattr(o, f.name)}


def add_best(sub):
    """Which of a run's two models."""
    sub.add_argument(
        "--best", action=argparse.BooleanOptionalAction,
        help="the model of the epoch that was best on the validation images, or of the last one (default: the best, "
        "where there is one)",
    )  # fmt: skip


def add_data(sub):
    """Where a run's data are now."""
    sub.add_argument(
        "--data",
        metavar="PATH",
        help="where the run's data lie now, if they have moved; they are compared with what it had",
    )


def add_time(sub):
    """A budget for training."""
    sub.add_argument("--time", type=duration, help="stop after this long, such as 90s, 10m or 2h; resume goes on")


def duration(text):
    """90s, 10m, 2h → seconds"""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if unit is None:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 10m or 2h, not {text!r}")
    seconds = number(text[:-1]) * unit
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"must be more than nothing, not {text!r}")
    return seconds


def or_none(parse):
    """The type of an option that also takes the word none."""
    return lambda text: None if text == "none" else parse(text)


def refuse_input(out, *inputs):
    """Raise ConfigError where what is written would replace what is read."""
    for given in filter(os.path.exists, inputs):
        if os.path.exists(out) and os.path.samefile(out, given):
            raise ConfigError(
                f"--out {out} would replace {given}, which it is made of or belongs to a run: choose another name"
            )


def text(given):
    """A name, or a file or folder: "" would be the folder one is in, by a script's variable that is not set."""
    if not given.strip() or "\0" in given:
        raise argparse.ArgumentTypeError(f"must be a name, not {given!r}")
    return given


def whole(least, most=inf):
    """The type of an option that is a whole number in a range."""

    def read(text):
        value = _read(int, text, "a whole number")
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most:,}"
            raise argparse.ArgumentTypeError(f"must be {bound}, not {text}")
        return value

    read.metavar = "N"
    return read


at_least_1 = whole(1, LARGEST)
seed = whole(0, 2**64 - 1)


def number(text):
    """A finite number."""
    value = _read(float, text, "a number")
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite, not {text!r}")
    return value


number.metavar = "X"


def sizes(text):
    """Whole numbers of at least 1, with commas between them."""
    return [at_least_1(part) for part in text.split(",")] if text.strip() else []


sizes.metavar = "N,N,..."


def _read(kind, text, name):
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {name}, not {text!r}") from None


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is one, options by what they take, and a usage of one line: the options are
    listed below it."""

    def add_usage(self, usage, actions, groups, prefix=None):
        places = [self._format_args(action, action.metavar) for action in actions if not action.option_strings]
        # argparse asks without options for the names of a command's actions
        options = ["[OPTIONS]"] * (len(places) < len(actions))
        super().add_usage(" ".join(["%(prog)s", *options, *places]), actions, groups, prefix)

    def _get_default_metavar_for_optional(self, action):
        return getattr(action.type, "metavar", action.dest.upper())

    def _get_help_string(self, action):
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)
