"""The idx reader: exactly right files give arrays, everything else gives DataError with the file's name."""

import gzip
import math
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.data.idx import read_idx
from scratchvae.errors import DataError


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx(IMAGES)


def _read(content, ndim=3):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some-file"
        path.write_bytes(content)
        return read_idx(path, ndim)


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    pack=st.sampled_from([bytes, gzip.compress]),
)
def test_any_array_comes_back_from_its_idx_file(shape, seed, pack):
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    found = _read(pack(idx(array)), len(shape))
    assert found.dtype == np.uint8
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3000, 28, 28)])
def test_sizes_written_the_other_way_round_are_told_so(pack, shape):
    content = struct.pack("<4B3I", 0, 0, 8, 3, *shape) + bytes(math.prod(shape))
    with pytest.raises(DataError, match=r"sizes \(.*\) with their last byte first.*'>I'"):
        _read(pack(content))


def _right_or_refused(content):
    try:
        array = _read(content)
    except DataError:
        return
    # It was accepted, so the bytes must say exactly this array, and nothing else.
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    assert plain == idx(array)


edits = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4)


@given(edits, st.integers(0, 200), st.binary(max_size=3), st.booleans())
def test_a_mutated_file_is_read_right_or_refused(edits, length, extra, gzipped):
    content = bytearray(gzip.compress(GOOD, mtime=0) if gzipped else GOOD)
    for place, value in edits:
        content[place % len(content)] = value
    _right_or_refused(bytes(content[:length]) + extra)


@given(edits)
def test_a_gzip_file_of_a_mutated_idx_file_is_read_right_or_refused(edits):
    content = bytearray(GOOD)
    for place, value in edits:
        content[place % 16] = value  # the header
    _right_or_refused(gzip.compress(bytes(content)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"PK\x03\x04", "not an idx file"),
        (GOOD[:10], "ends within its header"),
        (GOOD[:-1], "ends after 23 of 24 bytes|more than the file can hold"),
        (GOOD + b"\0", "goes on after its 24 bytes"),
        (b"\0\0\x0d\3" + GOOD[4:], "0x0d"),
        (idx(IMAGES[0, 0]), "1 dimensions where 3 belong"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 60000, 28, 28), "more than the file can hold"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "above the limit"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "above the limit"),
    ],
)
def test_each_fault_is_named(tmp_path, content, message, pack):
    path = tmp_path / "faulty"
    path.write_bytes(pack(content))
    # An empty file cannot be told from an empty gzip file's content, and both are refused alike.
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_a_truncated_or_corrupt_gzip_file_is_named(tmp_path):
    path = tmp_path / "x.gz"
    content = gzip.compress(GOOD)
    for damaged in (content[:-9], content[:-8] + bytes(4) + content[-4:], content + b"junk"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"x\.gz: damaged gzip file"):
            read_idx(path, 3)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(path, 3)


def test_a_gzip_bomb_is_not_inflated_beyond_what_its_header_promises(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(64 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="goes on"):
        _peak(path)
    assert _peak.bytes < 4 << 20


def test_reading_a_gzip_file_takes_one_copy_of_it(tmp_path):
    images = np.random.default_rng(0).integers(0, 2, (16, 1024, 1024), np.uint8)
    path = tmp_path / "large.gz"
    path.write_bytes(gzip.compress(idx(images), 1))
    np.testing.assert_array_equal(_peak(path), images)
    # the array, a chunk of 1 MiB being read, and what zlib needs for it
    assert _peak.bytes < math.prod(images.shape) + (5 << 20)


def _peak(path):
    tracemalloc.start()
    try:
        return read_idx(path, 3)
    finally:
        _peak.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
