"""A function run in a process of its own, which may be limited, killed and watched."""

import json
import os
import resource
import signal
import sys
import traceback

from scratchvae.errors import ScratchVAEError

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def in_child(function, memory=None, file_size=None, deadly=False, kill_at=None, under="/"):
    """function() in a forked copy of this process → {"value": …}, {"told": text} for an error of ours, {"raw": traceback} for any
    other, {"killed": True} or {"crashed": number of the signal}.

    memory: bytes that it may take beyond what it has · file_size: largest file that it may write, in bytes; deadly: it is killed in the
    middle of the write that goes beyond · kill_at: it is killed before its n-th operation (from 0) on a file below the folder `under`
    that makes, renames, removes or locks something
    """
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        try:
            _limit(memory, file_size)
            if deadly:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            if kill_at is not None:
                sys.addaudithook(_killer(kill_at, str(under)))
            told = {"value": function()}
        except ScratchVAEError as error:
            told = {"told": str(error)}
        except BaseException:
            told = {"raw": traceback.format_exc()[-2000:]}
        _limit(None, None)
        with os.fdopen(into, "w", encoding="utf-8") as pipe:
            json.dump(told, pipe)
        os._exit(0)
    os.close(into)
    with os.fdopen(out, encoding="utf-8") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        meant = (number == signal.SIGKILL and kill_at is not None) or (number == signal.SIGXFSZ and deadly)
        return {"killed": True} if meant else {"crashed": number}
    return json.loads(answer)


def _limit(memory, file_size):
    taken = 0
    if memory is not None:
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
    for which, value in ((resource.RLIMIT_AS, memory and taken + memory), (resource.RLIMIT_FSIZE, file_size)):
        resource.setrlimit(which, (resource.RLIM_INFINITY if value is None else value, resource.getrlimit(which)[1]))


def _killer(n, under):
    left = n

    def watch(event, arguments):
        nonlocal left
        if event == "open":
            changes = bool((arguments[2] or 0) & WRITES)
        else:
            changes = event in ("os.rename", "os.remove", "os.mkdir", "os.truncate", "fcntl.flock")
        if changes and (event == "fcntl.flock" or str(arguments[0]).startswith(under)):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    return watch
