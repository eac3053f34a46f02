"""A part in a process of its own: ended in time with all that it started, and telling nothing of where it ran."""

import os
import re
import signal
import subprocess

_FOLDERS = re.compile(r"(?<![\w./])~?/(?:[^\s/:\"']+/)+")  # of an absolute path


def run(command, limit, **options):
    """→ (exit status, or None where it took longer than `limit` seconds; its output; its errors)"""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options)
    try:
        output, errors = process.communicate(timeout=limit)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        _end(process)  # and whom it started: a compiler, what a sanitizer watches
        return None, *process.communicate()
    except BaseException:
        _end(process)
        raise


def last_lines(text, count):
    """The end of what a process said, with the names of files but not their folders."""
    return _FOLDERS.sub("", "\n".join(text.strip().splitlines()[-count:]))


def _end(process):
    os.killpg(process.pid, signal.SIGKILL)
