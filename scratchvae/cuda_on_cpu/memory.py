"""Device memory for one launch: copies of the arguments, laid out so that a wrong address shows up."""

import ctypes
from contextlib import contextmanager

import numpy as np

from ..errors import KernelError

GUARD_BYTES = 4096
# Around floats the guard is a signalling NaN: it spoils what is computed from it, and any arithmetic turns it into a
# quiet one, so that even x[i] *= 2 beyond the end leaves a trace.
GUARD_WORDS = {"f4": 0x7FA5C3B100000000 | 0x7FA5C3B1, "f8": 0x7FF4C3B1A5968778}
OTHER_GUARD_WORD = 0xA5A5A5A5A5A5A5A5
ALIGNMENT = 512  # what cudaMalloc and CuPy's pool promise


def poison(array):
    """Fills `array` with NaN (floats) or with bytes 0xff (others), so that an element nobody writes shows up."""
    array.view(np.uint8).reshape(-1)[...] = 0xFF
    return array


class MemoryFault(KernelError):
    """A kernel wrote outside its arguments, or into one that is read-only."""


class _Region:
    """One stretch of host memory that arguments share, and its copy."""

    def __init__(self, begin, end, owner_begin, guard_word):
        self.begin, self.end, self.owner_begin = begin, end, owner_begin
        self.guard_word = guard_word

    @property
    def nbytes(self):
        return self.end - self.begin


def _regions(arrays):
    """Overlapping arguments (an output that is also an input, two views of one buffer) share one region."""
    regions = []
    for array in sorted(arrays, key=lambda a: a.ctypes.data):
        begin = array.ctypes.data
        if regions and begin < regions[-1].end:
            regions[-1].end = max(regions[-1].end, begin + array.nbytes)
        else:
            word = GUARD_WORDS.get(f"{array.dtype.kind}{array.dtype.itemsize}", OTHER_GUARD_WORD)
            regions.append(_Region(begin, begin + array.nbytes, _owner_address(array), word))
    return regions


def _owner_address(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.ctypes.data


@contextmanager
def on_device(named_arrays, exact=None):
    """Yields a function: array → address of its copy. After the block the copies' contents return to the arrays.

    A copy is aligned as CuPy would align it: an array that owns its memory to 512 bytes, a view as far from that as it
    is from its owner's start. Around each copy lie guard bytes: reading them gives NaN, writing them is reported.
    With `exact` (AddressSanitizer's allocator) there are no guards: the sanitizer watches the copy's very edges.
    """
    arrays = [array for _, array in named_arrays]
    regions = _regions([array for array in arrays if array.nbytes])
    keep = []
    for region in regions:
        offset = (region.begin - region.owner_begin) % ALIGNMENT
        region.copy, hold = (
            exact(region.nbytes, offset) if exact else _guarded(region.nbytes, offset, region.guard_word)
        )
        keep.append(hold)
        ctypes.memmove(region.copy, region.begin, region.nbytes)

    def address(array):
        if not array.nbytes:
            return 0
        region = next(r for r in regions if r.begin <= array.ctypes.data < r.end)
        return region.copy + array.ctypes.data - region.begin

    yield address

    if exact is None:
        for region, buffer in zip(regions, keep, strict=True):
            _check_guards(region, buffer, named_arrays)
    for name, array in named_arrays:
        if not array.flags.writeable and array.nbytes:
            copy = ctypes.string_at(address(array), array.nbytes)
            if copy != ctypes.string_at(array.ctypes.data, array.nbytes):
                raise MemoryFault(f"{name} is read-only, but the kernel wrote to it")
    for region in regions:
        if any(a.flags.writeable and a.nbytes and region.begin <= a.ctypes.data < region.end for a in arrays):
            ctypes.memmove(region.begin, region.copy, region.nbytes)


def _guarded(nbytes, offset, guard_word):
    words = (nbytes + 2 * GUARD_BYTES + 2 * ALIGNMENT) // 8 + 1
    buffer = np.full(words, guard_word, np.uint64).view(np.uint8)
    start = buffer.ctypes.data + GUARD_BYTES
    start += -start % ALIGNMENT + offset
    return start, buffer


def _check_guards(region, buffer, named_arrays):
    expected = np.full(buffer.size // 8, region.guard_word, np.uint64).view(np.uint8)
    start = region.copy - buffer.ctypes.data
    changed = buffer != expected
    before, after = changed[:start], changed[start + region.nbytes :]
    if not before.any() and not after.any():
        return
    here = [(name, array) for name, array in named_arrays if region.begin <= array.ctypes.data < region.end]
    names = " and ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in here)
    item = here[0][1].itemsize
    where = []
    if before.any():
        where.append(f"{-(-(start - np.flatnonzero(before)[-1]) // item) * item} bytes before its start")
    if after.any():
        where.append(f"{np.flatnonzero(after)[0] // item * item} bytes past its end")
    raise MemoryFault(f"the kernel wrote outside {names}: " + " and ".join(where))
