"""The command line: one small function per command, beside the lines that describe its options, and no logic of its own."""

import argparse
import sys

from .. import __version__
from ..errors import ScratchVAEError
from . import runs, study, tools


def main(arguments=None):
    """Run one command; returns the exit status: 0 well, 1 our own error or a failed check, 2 wrong usage, 130 Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except ScratchVAEError as error:
        print(f"scratchvae: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output, such as `head`, has seen enough
        sys.stdout = None
        return 0
    except KeyboardInterrupt as stop:
        print(f"scratchvae: {stop or 'stopped'}", file=sys.stderr)
        return 130


def parser():
    """The argparse parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="scratchvae", description="A Variational AutoEncoder with nothing hidden: train it, look at it, check it, time it."
    )
    whole.add_argument("--version", action="version", version=f"scratchvae {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for part in (runs, tools, study):
        part.add(commands)
    return whole
