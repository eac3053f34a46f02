"""Own arrays: .npz and .npy files, what their pixels may be, and how they are split."""

import io
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.data import load
from scratchvae.data.pixels import to_labels, to_pixels
from scratchvae.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 5), np.uint8)
LABELS = np.arange(20, dtype=np.uint8)


def _npz(folder, **arrays):
    np.savez_compressed(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


@pytest.mark.parametrize(
    "keys", [("train_images", "train_labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_an_npz_with_both_splits_is_taken_as_split(tmp_path, keys):
    arrays = (IMAGES[:14], LABELS[:14], IMAGES[14:], LABELS[14:].astype(np.int32))
    dataset = load(_npz(tmp_path, **dict(zip(keys, arrays, strict=True))))
    assert dataset.name == "mine.npz"
    assert dataset.image_shape == (3, 5)
    assert dataset.train.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.train.images, IMAGES[:14].reshape(14, 15))
    np.testing.assert_array_equal(dataset.test.images, IMAGES[14:].reshape(6, 15))
    np.testing.assert_array_equal(dataset.test.labels, LABELS[14:])
    assert dataset.train.labels.dtype == np.uint8
    assert dataset.test.labels.dtype == np.int64
    assert dataset.source.endswith("split into training and test as given.")


def test_the_last_tenth_is_held_out_where_a_run_was_made_by_that_rule_and_the_source_says_so(tmp_path):
    dataset = load(str(_npz(tmp_path, images=IMAGES, labels=LABELS)), held_out="last")
    np.testing.assert_array_equal(dataset.train.images, IMAGES[:18].reshape(18, 15))
    np.testing.assert_array_equal(dataset.test.images, IMAGES[18:].reshape(2, 15))
    np.testing.assert_array_equal(dataset.train.labels, LABELS[:18])
    np.testing.assert_array_equal(dataset.test.labels, LABELS[18:])
    assert "the last 2 of 20 images are held out as test" in dataset.source


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f2"])
def test_an_npy_of_floats_becomes_float32_whatever_its_layout(tmp_path, order, dtype):
    images = np.asarray(IMAGES / 255, dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", images)
    dataset = load(tmp_path / "a.npy", held_out="last")
    assert dataset.train.images.dtype == np.float32
    assert dataset.train.images.flags.c_contiguous
    np.testing.assert_array_equal(dataset.train.images, images[:18].reshape(18, 15).astype(np.float32))
    assert dataset.train.labels is None
    assert dataset.test.labels is None


@pytest.mark.parametrize(
    ("shape", "image_shape"), [((9, 16), (4, 4)), ((9, 15), (1, 15)), ((9, 1), (1, 1)), ((9, 2, 8), (2, 8))]
)
def test_flat_images_are_square_where_they_can_be_and_one_line_otherwise(tmp_path, shape, image_shape):
    np.save(tmp_path / "a.npy", np.full(shape, 7, np.uint8))
    assert load(tmp_path / "a.npy").image_shape == image_shape


def test_two_images_give_one_to_each_split_and_one_is_refused(tmp_path):
    np.save(tmp_path / "two.npy", IMAGES[:2])
    assert len(load(tmp_path / "two.npy").test.images) == len(load(tmp_path / "two.npy").train.images) == 1
    np.save(tmp_path / "one.npy", IMAGES[:1])
    with pytest.raises(DataError, match="at least two"):
        load(tmp_path / "one.npy")


def test_bool_is_black_and_white_and_zero_one_integers_are_numbers():
    bits = IMAGES > 127
    np.testing.assert_array_equal(to_pixels(bits, "x")[0], bits.reshape(20, 15) * np.uint8(255))
    pixels, _ = to_pixels(bits.astype(np.int64), "x")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, bits.reshape(20, 15))


def _with(value, dtype=np.float64):
    images = np.full((3000, 20, 20), 0.5 if np.dtype(dtype).kind == "f" else 1, dtype)
    images[2987, 4, 3] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_with(np.nan), "row 2987, column 83 is nan, not a number: repair that row, or drop it"),
        (_with(-np.inf, np.float32), "row 2987, column 83 is -inf, too large.*repair"),
        (_with(1e39), "row 2987, column 83 is inf, too large for float32"),
        (_with(1.0000001), r"row 2987, column 83 is 1.0000001, outside.*np\.clip"),
        (_with(1.0001), r"row 2987, column 83 is 1.0001, outside.*np\.clip\(x, 0, 1\)"),
        (_with(1.02), "row 2987, column 83 is 1.02, outside.*range from 0.5 to 1.02: scale them"),  # more than rounding
        (_with(1.7), "row 2987, column 83 is 1.7, outside.*range from 0.5 to 1.7: scale them"),
        (_with(255, np.int64), r"row 2987, column 83 is 255, outside.*astype\(np.uint8\)"),
        (_with(254.5), "row 2987, column 83 is 254.5, outside.*if 255 is white, divide"),
        (_with(-0.5), r"row 2987, column 83 is -0.5, outside.*\(x \+ 1\) / 2"),
        (_with(-7), "row 2987, column 83 is -7, outside.*range from -7 to 0.5: scale them"),
        (_with(300, np.uint16), "is 300, outside.*65,535 is white"),
        (_with(1, np.uint8), r"never exceed 1.*astype\(bool\)"),
        (np.zeros((0, 4), np.uint8), "empty"),
        (np.zeros((4, 0), np.uint8), "empty"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.zeros((4, 3, 8, 8), np.uint8), r"transpose\(0, 2, 3, 1\)"),
        (np.zeros((4, 8, 8, 2), np.uint8), r"shape \(4, 8, 8, 2\): give \(N"),
        (np.array([["a", "b"]]), "text where numbers belong"),
        (np.zeros((4, 4), complex), "complex128 values where numbers belong"),
    ],
)
def test_pixels_that_leave_a_doubt_are_refused_with_advice(images, message):
    with pytest.raises(DataError, match="file.npy: .*" + message):
        to_pixels(images, "file.npy")


def test_colour_has_its_channels_last(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 6, 3), np.uint8)
    np.save(tmp_path / "a.npy", images)
    data = load(tmp_path / "a.npy", held_out="last")
    assert data.image_shape == (4, 6, 3)
    np.testing.assert_array_equal(data.train.images, images[:9].reshape(9, 72))
    assert to_pixels(images[:, :1], "x")[1] == (1, 6, 3)


@pytest.mark.parametrize("shape", [(4, 8, 8, 1), (4, 1, 8, 8)])
def test_one_channel_is_grey_wherever_its_axis_stands(shape):
    images = np.arange(256, dtype=np.uint8).reshape(shape)
    rows, image_shape = to_pixels(images, "x")
    assert image_shape == (8, 8)
    np.testing.assert_array_equal(rows, images.reshape(4, 64))


@pytest.mark.parametrize("labels", [LABELS[:19], LABELS[:, None], LABELS / 2, np.full(20, 2**63, np.uint64)])
def test_labels_are_one_integer_per_image(labels):
    with pytest.raises(DataError, match="x: labels of"):
        to_labels(labels, 20, "x")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": IMAGES, "test_images": IMAGES[:, :, :4]}, "test_images: images of 3 x 4.* 3 x 5"),
        ({"train_images": IMAGES, "test_labels": LABELS}, "test_labels without test_images"),
        ({"pictures": IMAGES}, "none of the arrays train_images, x_train, images"),
        ({"images": np.array([{}], object)}, "elements of type"),
        ({"images": np.array(["a"])}, "text where numbers belong"),
        ({"images": np.zeros(3, [("a", "u1")])}, "elements of type"),
        ({"images": IMAGES, "fields": ["targets"]}, "no array targets, which its array fields names"),
        ({"images": IMAGES, "fields": ["labels"]}, "must name fields beside images, labels"),
        ({"images": IMAGES, "fields": np.zeros(3)}, "must name fields beside images, labels"),
        ({"images": IMAGES, "fields": ["a"], "a": IMAGES[:3]}, r"field a: shape \(3, 3, 5\) for 20 images"),
        ({"x_train": IMAGES, "x_test": IMAGES, "fields": ["a"], "a_train": IMAGES}, "no array a_test"),
        ({"images": np.zeros((1,) * 9, np.uint8)}, "at most 8 dimensions"),
    ],
)
def test_an_npz_that_cannot_be_used_says_why(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load(_npz(tmp_path, **arrays))
    assert "mine.npz" in str(caught.value)


def _npy(array=IMAGES):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _npy_with_header(header, version=1):
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + IMAGES.tobytes()


def _header(shape, descr="'|u1'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_npy_format_is_read(tmp_path, version):
    (tmp_path / "a.npy").write_bytes(_npy_with_header(_header("(20, 3, 5)"), version))
    np.testing.assert_array_equal(load(tmp_path / "a.npy", held_out="last").train.images, IMAGES[:18].reshape(18, 15))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .npy array"),
        (_npy()[:-1], "299 bytes of data for shape"),
        (_npy() + b"x", "301 bytes of data for shape"),
        (_npy_with_header(_header("(20, 3, 50)")), "300 bytes of data for shape"),
        (_npy_with_header(_header("(1 << 40,)")), "makes no sense"),
        (_npy_with_header(_header(f"({1 << 40},)")), "bytes are read"),
        (_npy_with_header(_header(f"(0, {1 << 62}, {1 << 62})")), "bytes are read"),
        (_npy_with_header(_header("(-1,)")), "bytes are read"),
        (_npy_with_header(_header("(1e999,)")), "makes no sense"),
        (_npy_with_header(_header("(300,)", "'|b3'")), "elements of type"),
        (_npy_with_header(_header("(300,)", "'|f1'")), "makes no sense"),
        (_npy_with_header("{}"), "makes no sense"),
        (_npy_with_header("__import__('os')"), "makes no sense"),
        (_npy_with_header("(" * 9000), "makes no sense"),
        (_npy_with_header(" " * 10_001, 2), "header of 10001 bytes"),
    ],
)
def test_a_faulty_npy_is_refused_before_anything_is_allocated(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy: .*" + message):
        load(tmp_path / "a.npy")


def _zip(method=zipfile.ZIP_DEFLATED, content=None):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as opened:
        opened.writestr("images.npy", _npy() if content is None else content)
    return archive.getvalue()


def _lie_about_size(content, claimed):
    """Write another uncompressed size into the central directory of a zip file of one member."""
    at = content.index(b"PK\x01\x02") + 24
    return content[:at] + struct.pack("<I", claimed) + content[at + 4 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip at all", "damaged .npz"),
        (_zip()[:-30], "damaged .npz"),
        (_zip(zipfile.ZIP_LZMA), "np.savez_compressed"),
        (_lie_about_size(_zip(), 1 << 31), "more than it can hold"),
        (_lie_about_size(_zip(), 5000), "bytes of data for shape"),
        (_zip(content=_npy_with_header(_header(f"({1 << 31},)"))), "300 bytes of data for shape"),
        (_zip(content=b"text"), "not a .npy array"),
        (_zip(zipfile.ZIP_STORED).replace(IMAGES.tobytes(), bytes(300)), "Bad CRC-32"),
    ],
)
def test_a_faulty_npz_is_named(tmp_path, content, message):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz.*" + message):
        load(tmp_path / "mine.npz")


@given(
    st.sampled_from([("a.npy", _npy()), ("a.npz", _zip()), ("a.npz", _zip(zipfile.ZIP_STORED))]),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=3),
    st.integers(0, 900),
)
def test_a_mutated_array_file_is_read_or_refused_and_nothing_else(file, edits, length):
    name, content = file
    content = bytearray(content)
    for place, value in edits:
        content[place % len(content)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content[: length or None])
        try:
            dataset = load(path)
        except DataError:
            return
        assert dataset.train.images.ndim == 2


@pytest.mark.parametrize("lost", ["renamed", "dropped"])
def test_a_damaged_directory_of_an_npz_hides_no_array(tmp_path, lost):
    path = tmp_path / "mine.npz"
    np.savez(path, images=IMAGES, labels=np.arange(len(IMAGES)) % 2)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"labels.npy")  # in the directory, which is behind the arrays
    if lost == "renamed":
        content[at] ^= 1
    else:  # one entry fewer, and a directory that ends before it
        entry = content.rindex(b"PK\x01\x02")
        end = content.rindex(b"PK\x05\x06")
        size = int.from_bytes(content[end + 12 : end + 16], "little") - (end - entry)
        content[end + 8 : end + 16] = struct.pack("<2HI", 1, 1, size)
        del content[entry:end]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz: damaged \.npz file"):
        load(path)
