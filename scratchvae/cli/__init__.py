"""The command line: one small function per command, beside the lines that describe its options, and no logic of its
own."""

import os
import sys
import warnings

from .. import __version__
from ..errors import RunWarning, ScratchVAEError
from .output import one_line, standard_streams

NOTES = {
    "exit status": "0: all is well. 1: an error, told in one line, or a check that failed. 2: wrong usage. 130: "
    "stopped by Ctrl-C, or by "
    "SIGTERM while it trained. "
    "Standard output that nobody reads changes nothing; one that cannot be written, such as a file on a full disk, "
    "ends with 1.",
    "environment": "SCRATCHVAE_DATA: a folder with the files of public data sets (default: in the platform's cache "
    "folder). "
    "SCRATCHVAE_OFFLINE=1: no downloads. SCRATCHVAE_TRACEBACK=1: where a fault of our own happened. PYTHONUTF8=1: "
    "output in UTF-8 in place of the locale's encoding, which may have to write beta for β. Nothing is coloured, as "
    "NO_COLOR asks.",
}


def main(arguments=None):
    """Run one command; returns the exit status, as NOTES says."""
    with standard_streams() as output, warnings.catch_warnings():
        warnings.showwarning = _warn
        warnings.simplefilter("always", RunWarning)
        status = _run(arguments)
        output.flush()
        if output.error:
            _tell(f"standard output could not be written: {output.error.strerror}")
        return status or int(output.error is not None)


def _run(arguments):
    try:
        whole = parser()
        try:
            options = whole.parse_args(arguments)
        except SystemExit as stop:  # argparse has said what there is to say
            return stop.code
        if options.command is None:
            print(whole.format_help(), end="", file=sys.stderr)
            return 2
        return options.command(options) or 0
    except ScratchVAEError as error:
        return _tell(f"{error}")
    except OSError as error:
        what = f"{error.filename}: " if error.filename is not None else ""
        return _tell(f"{what}{error.strerror or error}: check the path, its permissions and the free space")
    except MemoryError as error:
        return _tell(
            f"not enough memory ({str(error) or 'an array does not fit'}): less data, a smaller model or batch "
            "needs less"
        )
    except KeyboardInterrupt as stop:
        print(f"scratchvae: {one_line(str(stop)) or 'stopped'}", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("SCRATCHVAE_TRACEBACK"):
            raise
        return _tell(
            f"a fault of scratchvae's own: {type(error).__name__}: {error}. SCRATCHVAE_TRACEBACK=1 shows where, "
            "for a report"
        )


def _warn(message, *where):
    print(f"scratchvae: note: {one_line(str(message))}", file=sys.stderr)


def _tell(error):
    print(f"scratchvae: error: {one_line(error)}", file=sys.stderr)
    return 1


def parser():
    """The argparse parser of all commands."""
    from . import (  # here and not above, so that Ctrl-C while NumPy is loaded ends in one line, too
        options,
        runs,
        study,
        tools,
        training,
    )

    whole = options.Parser(
        prog="scratchvae",
        description="A Variational AutoEncoder with nothing hidden: train it, look at it, check it, time it.",
    )
    for title, text in NOTES.items():
        whole.add_argument_group(title, text)
    whole.add_argument("--version", action="version", version=f"scratchvae {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND")
    whole.set_defaults(command=None, parser=whole)
    for part in (training, runs, tools, study):
        part.add(commands)
    return whole
