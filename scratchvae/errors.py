"""Every error that scratchvae raises on purpose: what happened, where, and what to do about it."""

import re
from difflib import get_close_matches

# Controls, which a terminal obeys, ends of line, what turns the direction of writing, and bytes of a file's name that
# are no UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(name):
    """A name that a user has chosen, as part of a line, a title or a page: what is not printed is shown as "\\n" or
    "\\x1b"."""
    return UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], str(name))


def meant(text, names):
    """The end of an error about a name that there is not: the nearest of those that there are, if one is near."""
    near = get_close_matches(str(text)[:100], [str(name) for name in names], 1)
    return f": did you mean {near[0]}?" if near else ""


def counted(n, what):
    """counted(1, "image") → "1 image"; counted(5000, "image") → "5,000 images"."""
    return f"{n:,} {what}{'s' * (n != 1)}"


class ScratchVAEError(Exception):
    """Base of all our errors. The command line prints its text alone and exits with status 1."""


class ShapeError(ScratchVAEError, ValueError):
    """An array has the wrong shape, dtype or backend."""


class MissingError(ScratchVAEError, AttributeError):
    """A module was asked for what it does not have, or not yet."""


class ConfigError(ScratchVAEError, ValueError):
    """An option has a value that cannot work."""


class DataError(ScratchVAEError, ValueError):
    """A data set is missing, damaged, or not what it claims to be."""


class BackendError(ScratchVAEError, RuntimeError):
    """The asked-for array backend cannot be used on this machine."""


class KernelError(ScratchVAEError, RuntimeError):
    """A CUDA kernel that runs on the CPU was refused by the compiler, or stopped for what it did."""


class CheckpointError(ScratchVAEError, ValueError):
    """A checkpoint is damaged, of another version, or of another model."""


class RunFolderError(ScratchVAEError, RuntimeError):
    """A run folder is missing, incomplete, or already in use."""


class RunWarning(UserWarning):
    """Something in a run folder was lost and could be mended. The command line prints its text in one line."""


class OutputError(ScratchVAEError, OSError):
    """A file cannot be written: no room, no permission, or something stands there that is no file."""

    def __str__(self):
        return str(self.args[0])  # not with the number of the error, which OSError would put before it


class NonFiniteError(ScratchVAEError, FloatingPointError):
    """Training met a NaN or an infinity."""
