"""Own idx files, and the one door: what `load` makes of a name or a path."""

import gzip
import struct

import numpy as np
import pytest

from scratchvae.data import load
from scratchvae.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 3, 4), np.uint8)
LABELS = np.arange(10, dtype=np.uint8)


def _write(path, array):
    content = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("ending", ["-{}-ubyte", "-{}-ubyte.gz", ".{}-ubyte", ".{}-ubyte.gz"])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_idx_files_are_found_under_all_their_usual_names(tmp_path, ending, test):
    for part, rows in (("train", slice(0, 7)), (test, slice(7, None))):
        _write(tmp_path / (f"{part}-images" + ending.format("idx3")), IMAGES[rows])
        _write(tmp_path / (f"{part}-labels" + ending.format("idx1")), LABELS[rows])
    dataset = load(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.image_shape == (3, 4)
    np.testing.assert_array_equal(dataset.train.images, IMAGES[:7].reshape(7, 12))
    np.testing.assert_array_equal(dataset.test.images, IMAGES[7:].reshape(3, 12))
    np.testing.assert_array_equal(dataset.train.labels, LABELS[:7])
    np.testing.assert_array_equal(dataset.test.labels, LABELS[7:])


def test_labels_and_test_images_may_be_missing(tmp_path):
    _write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    dataset = load(tmp_path, held_out="last")
    assert dataset.train.labels is None
    np.testing.assert_array_equal(dataset.test.images, IMAGES[9:].reshape(1, 12))
    assert "the last 1 of 10 images are held out" in dataset.source


def test_a_file_beside_its_own_gz_is_one_file_and_two_names_are_a_doubt(tmp_path):
    _write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    _write(tmp_path / "train-images-idx3-ubyte.gz", IMAGES)
    assert len(load(tmp_path).train.images) == 9
    _write(tmp_path / "t10k-images-idx3-ubyte", IMAGES)
    _write(tmp_path / "test-images-idx3-ubyte", IMAGES)
    with pytest.raises(DataError, match="both t10k-images-idx3-ubyte and test-images-idx3-ubyte"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"t10k-images-idx3-ubyte": IMAGES}, "no train-images-idx3-ubyte"),
        ({"train-labels-idx1-ubyte": LABELS}, "labels without images"),
        ({"train-images-idx3-ubyte": IMAGES, "t10k-labels-idx1-ubyte": LABELS}, "t10k-labels.*labels without images"),
        ({"train-images-idx3-ubyte": LABELS}, "1 dimensions where 3 belong"),
        ({"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS[:4]}, r"labels of shape \(4,\)"),
        ({"train-images-idx3-ubyte": IMAGES[:0]}, "empty"),
        ({"train-images-idx3-ubyte": IMAGES, "test-images-idx3-ubyte": IMAGES[:, :2]}, "images of 2 x 4 pixels"),
    ],
)
def test_a_folder_of_idx_files_that_cannot_be_used_says_why(tmp_path, files, message):
    for name, array in files.items():
        _write(tmp_path / name, array)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_idx_files_are_found_where_torchvision_keeps_them(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    _write(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte", IMAGES)
    assert load(tmp_path).fingerprint == load(tmp_path / "MNIST" / "raw").fingerprint
    (tmp_path / "Other").mkdir()
    _write(tmp_path / "Other" / "train-images-idx3-ubyte", IMAGES)
    with pytest.raises(DataError, match="idx files lie in 2 folders, .* name one of them"):
        load(tmp_path)


def test_a_name_that_is_no_set_and_no_path_lists_the_sets():
    with pytest.raises(DataError, match="mnist-smal: neither a path .* mnist-small, mnist, fashion-mnist"):
        load("mnist-smal")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "data.txt").write_text("1,2")
    with pytest.raises(DataError, match=r"data\.txt: not a kind of file"):
        load(tmp_path / "data.txt")


def test_a_path_that_the_system_refuses_is_an_error_of_ours():
    with pytest.raises(DataError, match="cannot be read"):
        load("x" * 5000 + ".npz")
