"""The idx format of MNIST: strict, and never larger in memory than its file can be.

    offset  content
    0       two zero bytes
    2       type of the elements: 0x08 is unsigned byte, the only one we read
    3       number of dimensions n
    4       n sizes, each a big-endian unsigned 32-bit integer
    4+4n    the elements, last dimension fastest, and then nothing more

(format described at the foot of LeCun's MNIST page). A file may be gzipped; we look at its bytes, not at its name.
"""

import gzip
import math
import os
import struct
import zlib

import numpy as np

from scratchvae.errors import DataError

MAX_BYTES = 4 << 30  # a set larger than this does not belong in memory
CHUNK = 1 << 20
# deflate cannot shrink anything by more than 1032:1, so a header that promises more than that is a lie
DEFLATE_RATIO = 1032


def read_idx(path, ndim):
    """Read one idx file of unsigned bytes, gzipped or not.

    path  file name;  ndim  the number of dimensions that it must have: 3 for images, 1 for labels
    Returns a uint8 array of the shape that the header states.
    Raises DataError, naming the file, unless every byte is as it should be.
    """
    try:
        with open(path, "rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            if not gzipped:
                return _read(file, path, ndim, size)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(stream, path, ndim, size * DEFLATE_RATIO)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}): fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): check the path") from error


def _read(stream, path, ndim, most):
    """`most`: no more than this many bytes can come out of the stream."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise DataError(f"{path}: not an idx file (it starts with {start.hex(' ') or 'nothing'}): check what it is")
    if start[2] != 0x08:
        raise DataError(f"{path}: idx elements of type 0x{start[2]:02x}; only unsigned bytes (0x08) are read: convert")
    if start[3] != ndim:
        raise DataError(
            f"{path}: {start[3]} dimensions where {ndim} belong (images have 3, labels 1): are the files swapped?"
        )
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: ends within its header: fetch it again")
    shape = struct.unpack(f">{ndim}I", sizes)
    swapped = struct.unpack(f"<{ndim}I", sizes)
    if math.prod(shape) > most >= math.prod(swapped) > 0:
        raise DataError(
            f"{path}: sizes {swapped} with their last byte first, where idx has the first: write them by "
            "struct.pack('>I', …)"
        )
    # A zero must not hide absurd other sizes: NumPy refuses (0, 2³², 2³²) as too big.
    claimed = math.prod(max(n, 1) for n in shape)
    if claimed > MAX_BYTES:
        raise DataError(f"{path}: its header claims {shape} bytes, above the limit of {MAX_BYTES}: give a smaller set")
    if math.prod(shape) > most:
        raise DataError(f"{path}: its header claims {shape} bytes, more than the file can hold: fetch it again")
    return read_exactly(stream, allocate(shape, np.uint8, path), path)


def allocate(shape, dtype, where):
    """An array to read into. Raises DataError where there is no memory for it."""
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        raise DataError(f"{where}: {error}: give less, or use a machine with more memory") from error


def read_exactly(stream, array, path):
    """Fill `array` from `stream` and make sure that nothing follows; returns `array`.

    In chunks, because a decompressing stream would otherwise make a second copy of everything.
    """
    view = memoryview(array.reshape(-1).view(np.uint8))
    done = 0
    while done < len(view):
        chunk = stream.read(min(CHUNK, len(view) - done))
        if not chunk:
            raise DataError(f"{path}: ends after {done} of {len(view)} bytes of data: fetch it again")
        view[done : done + len(chunk)] = chunk
        done += len(chunk)
    if stream.read(1):
        raise DataError(f"{path}: goes on after its {len(view)} bytes of data: it is not what its header says")
    return array
