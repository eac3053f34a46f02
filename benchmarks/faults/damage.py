"""Damaged files: each input is a function of (format, number), so a run can go on where it stopped and a fault be had again."""

import signal
import time
import warnings
from collections import Counter

import numpy as np

from scratchvae.errors import ScratchVAEError

SECONDS = 20.0  # that one input may take
LONGEST = 500  # characters of a message, beside the path that it names
OUTCOMES = ("refused", "same", "other")  # in words of ours · what is read had not changed · as something else, where no checksum is


def damaged(form, good, number):
    """The number-th damaged content (bytes) of a format's good file: its bombs first."""
    if number < len(form.bombs):
        return form.bombs[number]
    draw = np.random.default_rng([number, *form.name.encode()])
    content = bytearray(good)
    size = len(content)
    kind = draw.integers(7)
    if kind <= 1:  # flipped bits
        for bit in draw.integers(8 * size, size=1 if kind == 0 else draw.integers(2, 9)):
            content[bit // 8] ^= 1 << bit % 8
    elif kind == 2:
        del content[draw.integers(size) :]
    elif kind == 3:  # a size, or whatever four or eight bytes stand there
        value = draw.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20])
        at, width = draw.integers(size), draw.choice([2, 4, 8])
        content[at : at + width] = int(value).to_bytes(8, draw.choice(["little", "big"]))[:width]
    elif kind == 4:  # a piece is lost, doubled or moved
        a, b, c = sorted(draw.integers(size + 1, size=3))
        content[:] = draw.choice([0, 1, 2]) and content[:b] + content[a:] or content[:a] + content[b:c] + content[a:b] + content[c:]
    elif kind == 5:  # a block of one byte, as of a bad sector
        a, b = sorted(draw.integers(size + 1, size=2))
        content[a:b] = bytes([draw.choice([0, 255, 32, 0x28, 0x5B, 0x7B])]) * (b - a)
    else:
        content += draw.bytes(int(draw.integers(1, 200)))
    return bytes(content)


class _TooLongError(Exception):
    pass


def try_one(form, content, wanted, whole):
    """Read a content in the place of the format's good file → (outcome, None), or ("fault", what happened)"""
    form.path.write_bytes(content)

    def ring(number, frame):
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning is noise that nobody asked for
            read = form.read()
    except ScratchVAEError as error:
        told = str(error).replace(str(form.path), "").replace(str(form.path.parent), "")
        if "\n" in told or len(told) > LONGEST:
            return "fault", f"a message of {len(told)} characters: {told[:200]!r}"
        return "refused", None
    except _TooLongError:
        return "fault", f"took longer than {SECONDS:g} s"
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if read == wanted:
        return "same", None
    return ("fault", "accepted, and it differs") if whole else ("other", None)


def try_many(form, good, wanted, first, last, tell=lambda number: None):
    """Inputs first … last − 1 → {"counts": {outcome: n}, "faults": [[number, what]], "longest": seconds}. The good file is put back."""
    counts, faults, longest = Counter(), [], 0.0
    for number in range(first, last):
        tell(number)
        began = time.perf_counter()
        whole = form.whole and number >= len(form.bombs)  # a bomb may be a good file, of other content
        outcome, what = try_one(form, damaged(form, good, number), wanted, whole)
        longest = max(longest, time.perf_counter() - began)
        counts[outcome] += 1
        if what:
            faults.append([number, what])
    form.path.write_bytes(good)
    return {"counts": dict(counts), "faults": faults, "longest": longest}
