"""The one place that writes files: to a temporary name in the same folder, then renamed, so nothing half-written is
seen; and the lock that lets one process at a time write into a folder."""

import contextlib
import errno
import json
import os
import platform
import re
import secrets
import stat
import sys
import time
from pathlib import Path

from .errors import OutputError, RunFolderError

LEFT_OVER = re.compile(r"\.(?:.+\.)?[0-9a-f]+\.part(?:\.[^.]*)?")  # a temporary name, of this version or an older one
PATIENCE = 2.0  # seconds that Windows waits for a program that has the old file open


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path`; renames it to `path` when the block ends well, removes it when it does not.

    The temporary file is new, and nobody can know its name before: a link planted there is not followed. `path` may not
    be a folder, a device or a pipe; where it is a link to a file, the link is replaced. Raises OutputError (an OSError
    too) for these and for a full disk, a folder that may not be written and their kind: then what stood at `path` still
    stands there.
    """
    path = Path(path)
    refuse_special(path)
    suffix = path.suffix if len(path.suffix) < 20 else ""
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part{suffix}")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            _rename(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise output_error(path, error) from error


def write_text(path, text):
    """Write UTF-8 text to `path`, whole or not at all. Raises OutputError."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_json(path, value):
    """Write a result, with a row on each line (json_rows). Raises OutputError."""
    write_text(path, json_rows(value))


def json_rows(value):
    """JSON text with one row on each line: numbers, texts and lists of them, by their names.

    Raises ValueError for numbers that are not finite, TypeError for what JSON cannot hold.
    """
    return _rows(json.loads(json.dumps(value, allow_nan=False)), "\n") + "\n"


def _rows(value, line):
    inner = f"{line} "
    if isinstance(value, dict) and any(map(_names_inside, value.values())):
        return (
            "{"
            + ",".join(f"{inner}{json.dumps(k, ensure_ascii=False)}: {_rows(v, inner)}" for k, v in value.items())
            + line
            + "}"
        )
    if isinstance(value, list) and any(map(_names_inside, value)):
        return "[" + ",".join(inner + _rows(item, inner) for item in value) + line + "]"
    return json.dumps(value, ensure_ascii=False)


def _names_inside(value):
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_names_inside, value)))


def append_line(path, line):
    """Add a line of UTF-8 text to a file, or nothing of it. Raises OutputError."""
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            data = f"{line}\n".encode()
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise output_error(path, error) from error


def make_folder(path):
    """Make a folder and those above it, where they do not exist. Raises OutputError."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{path} is a file, where a folder is needed: choose another name") from error
    except OSError as error:
        raise output_error(path, error) from error


def output_error(path, error):
    """The OutputError for an OSError met while `path` was written; one that is an OutputError already is returned as it
    is."""
    if isinstance(error, OutputError):
        return error
    found = OutputError(f"{path}: cannot be written ({error.strerror or error})")
    found.errno, found.strerror = error.errno, error.strerror
    return found


def refuse_special(path):
    """Raise OutputError unless a file can be put at `path` without destroying something else than a file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise output_error(path, error) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise OutputError(f"{path} is {kind}, which is not replaced by a file: choose another name")


def sweep(folder):
    """Remove the temporary files in `folder` that killed processes left. Only the holder of its lock may call this."""
    for path in Path(folder).glob(".*.part*"):
        if LEFT_OVER.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


# One writer -----------------------------------------------------------------------------------------------------------

_held = set()  # descriptors of the locks of this process


@contextlib.contextmanager
def only_writer(path):
    """While the block runs, no other process and no other thread can enter one for the same lock file `path`.

    The system keeps the lock, not the file's content: it is free again the moment its holder is gone, however it ended.
    Raises RunFolderError, which names the holder, or OutputError.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise output_error(path, error) from error
    try:
        _held.add(descriptor)
        if not _try_lock(descriptor):
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            raise RunFolderError(
                f"{Path(path).parent} is being written by {holder or 'another process'}: wait until it has ended, or "
                "stop it "
                "(what only reads, such as evaluate, need not wait)"
            )
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only its message is poorer
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        if descriptor in _held:  # not in a forked copy of this process, which has closed it
            _held.remove(descriptor)
            os.close(descriptor)


def _forget_locks():
    """A forked process shares its parent's locks and would keep them alive: it closes its copies."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


def _replace_patiently(temporary, path):
    """os.replace, tried again for a while: on Windows a file that a program has open cannot be replaced."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor):
        try:
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # far from the text, which others must be able to read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    _rename = _replace_patiently

    def _sync_folder(folder):
        """Windows cannot."""

else:
    import fcntl

    os.register_at_fork(after_in_child=_forget_locks)

    def _try_lock(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            # A file system without locks, as some networks have: it is written without one.
        return True

    _rename = os.replace

    def _sync_folder(folder):
        """Make the new name itself survive a loss of power."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some file systems refuse; the file is in its place all the same
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
