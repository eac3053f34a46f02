"""The formats .npy and .npz, read strictly: plain numbers only, nothing unpickled, nothing allocated on a header's
word."""

import math
import re
import struct
import zipfile
import zlib

import numpy as np

from scratchvae.data.idx import DEFLATE_RATIO, MAX_BYTES, allocate, read_exactly
from scratchvae.errors import DataError

# What zipfile raises on damaged files; RuntimeError on encrypted ones, and its NotImplementedError on strange methods.
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError)
NUMBERS, NUMBERS_OR_TEXT = r"[<>|=]?[biuf][1248]", r"[<>|=]?([biuf][1248]|U[1-9]\d{0,3})"
MOST_AXES = 8  # of an array in a file
LOCAL_HEADER = 30  # bytes ahead of the name of a member of a zip file
HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*(?P<descr>.+?)\s*,\s*'fortran_order'\s*:\s*(?P<fortran>True|False)\s*,"
    r"\s*'shape'\s*:\s*\((?P<shape>[-0-9L,\s]*)\)\s*,?\s*\}\s*"
)


def read_npz(path, names=None, text=False):
    """Those of the arrays `names` (default: all) that are in the .npz file `path`, as a dict. Raises DataError if it is
    damaged.

    text  they may hold text too

    All arrays together take no more memory than the file, where none is compressed: each is of one member and of no
    byte more.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            named = {info.filename.removesuffix(".npy"): info for info in members}
            if len(named) < len(members) or not _fill_the_file(file, archive, members):
                raise DataError(f"{path}: damaged .npz file (its arrays overlap, or one is lost): save it again")
            return {
                name: _read_member(archive, named[name], path, text) for name in named if names is None or name in names
            }
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}): check the path") from error
    except ZIP_FAULTS as error:
        raise DataError(f"{path}: damaged .npz file ({str(error)[:200]}): save it again") from error


def _fill_the_file(file, archive, members):
    """Do the members that the directory at the end names stand one after another in the file, each under that name,
    with no room between for one that is no longer named? A damaged directory must not hide an array."""
    end = 0
    for info in sorted(members, key=lambda info: info.header_offset):
        with archive.open(info):  # raises BadZipFile where the name is another there
            pass
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER)
        if not 0 <= info.header_offset - end < LOCAL_HEADER:
            return False
        end = info.header_offset + LOCAL_HEADER + sum(struct.unpack("<2H", header[26:])) + info.compress_size
    return 0 <= archive.start_dir - end < LOCAL_HEADER


def _read_member(archive, info, path, text):
    where = f"{path}, {info.filename[:100]}"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{where}: compressed in a way that NumPy does not write: use np.savez_compressed")
    if info.file_size > info.compress_size * (DEFLATE_RATIO if info.compress_type else 1):
        raise DataError(f"{where}: claims {info.file_size} bytes, more than it can hold: save it again")
    with archive.open(info) as stream:
        return read_npy(stream, info.file_size, where, text)


def read_npy(stream, size, where, text=False):
    """An array from `size` bytes in the .npy format, versions 1 to 3 (described in numpy.lib.format). Raises DataError.

    text  it may hold text too
    """
    dtype, fortran, shape = read_header(stream, size, where, MAX_BYTES, text)
    # Fortran order is the transpose of C order.
    array = read_exactly(stream, allocate(shape[::-1] if fortran else shape, dtype, where), where)
    if dtype.kind == "U":
        codes = array.reshape(-1).view(f"{dtype.str[0]}u4")
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise DataError(f"{where}: holds what is no Unicode text: save it again")
    return array.T if fortran else array


def read_header(stream, size, where, most, text=False):
    """dtype, whether in Fortran order, and shape of `size` bytes in the .npy format, whose data begin where the stream
    then is.

    Raises DataError when it makes no sense, does not fit the size, or stands for more than `most` bytes.
    """
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise DataError(f"{where}: not a .npy array: save it with np.save or np.savez_compressed")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > 10_000:  # NumPy's own limit
        raise DataError(f"{where}: a .npy header of {length} bytes: save it with np.save")
    header = stream.read(length).decode("utf-8", errors="replace")
    try:
        found = HEADER.fullmatch(header)
        descr, fortran = found["descr"].strip("'\""), found["fortran"] == "True"
        # Only plain numbers, and text for labels: object arrays would have to be unpickled, structured ones are no
        # images.
        dtype = np.dtype(descr) if re.fullmatch(NUMBERS_OR_TEXT if text else NUMBERS, descr) else None
        shape = tuple(int(n.strip().removesuffix("L")) for n in found["shape"].split(",") if n.strip())
    except (ValueError, TypeError) as error:  # a TypeError where nothing was found
        raise DataError(
            f"{where}: a .npy header that makes no sense ({header[:80]!r}): save it with np.save"
        ) from error
    if dtype is None:
        raise DataError(f"{where}: elements of type {descr[:80]}: save plain numbers, as images.astype(np.uint8)")
    if (
        len(shape) > MOST_AXES
        or min(shape, default=0) < 0
        or math.prod(max(n, 1) for n in shape) * dtype.itemsize > most
    ):
        told = f"{shape}"[:80]
        raise DataError(
            f"{where}: an array of shape {told}; at most {MOST_AXES} dimensions and {most} bytes are read: give less"
        )
    held = size - 8 - width - length
    if held != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{where}: {held} bytes of data for shape {shape} {dtype}: damaged, save it again")
    return dtype, fortran, shape
