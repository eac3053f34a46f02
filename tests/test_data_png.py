"""Own images: folders of PNGs."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from scratchvae.data import load
from scratchvae.errors import DataError

RNG = np.random.default_rng(0)


def _save(path, image=None, mode=None):
    image = RNG.integers(0, 256, (4, 6), np.uint8) if image is None else image
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(path)
    return image


def test_a_flat_folder_gives_unlabelled_images_in_the_order_of_their_names(tmp_path):
    images = {name: _save(tmp_path / name) for name in ("b.png", "a.PNG", "c10.png", "c2.png")}
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image")
    dataset = load(tmp_path, held_out="last")
    assert dataset.name == tmp_path.name
    assert dataset.image_shape == (4, 6)
    assert dataset.train.labels is None
    both = np.concatenate([dataset.train.images, dataset.test.images])
    np.testing.assert_array_equal(both, [images[name].ravel() for name in sorted(images)])
    assert len(dataset.test.images) == 1
    assert "held out" in dataset.source


def test_class_folders_give_labels_and_every_class_is_held_out_in_proportion(tmp_path):
    marks = {}
    for label, (name, count) in enumerate([("cat", 20), ("dog", 40)]):
        for index in range(count):
            image = np.full((2, 2), 10 + label * 100 + index, np.uint8)
            _save(tmp_path / name / f"{index:03}.png", image)
            marks[int(image[0, 0])] = label
    dataset = load(tmp_path, held_out="last")
    for split in (dataset.train, dataset.test):
        assert split.labels.dtype == np.uint8
        np.testing.assert_array_equal(split.labels, [marks[int(mark)] for mark in split.images[:, 0]])
    # the last tenth of each: cats 18 and 19, dogs 36 to 39
    assert sorted(dataset.test.images[:, 0]) == [28, 29, 146, 147, 148, 149]
    assert "labelled 0 to 1 by class folder (cat, dog)" in dataset.source


@pytest.mark.parametrize("classes", [("",), ("a/", "b/")])
def test_train_and_test_folders_are_taken_as_split(tmp_path, classes):
    for name in classes:
        for index in range(3):
            _save(tmp_path / "train" / name / f"{index}.png")
        _save(tmp_path / "test" / name / "0.png")
    dataset = load(tmp_path)
    assert len(dataset.train.images) == 3 * len(classes)
    assert len(dataset.test.images) == len(classes)
    assert "as given" in dataset.source
    if len(classes) == 2:
        assert sorted(dataset.train.labels) == [0, 0, 0, 1, 1, 1]
        assert list(dataset.test.labels) == [0, 1]
    else:
        assert dataset.train.labels is None


def test_a_train_folder_alone_has_its_last_tenth_held_out(tmp_path):
    for index in range(5):
        _save(tmp_path / "train" / f"{index}.png")
    assert "the last 1 of 5" in load(tmp_path, held_out="last").source


def test_one_bit_images_are_black_and_white(tmp_path):
    image = np.array([[0, 255], [255, 0]], np.uint8)
    for name in "ab":
        _save(tmp_path / f"{name}.png", image, mode="1")
    np.testing.assert_array_equal(load(tmp_path).train.images, [[0, 255, 255, 0]])


def _write_raw_png(path, width, height, body=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def test_images_that_are_not_8_bit_grey_are_refused_by_name(tmp_path):
    for index, (image, mode, message) in enumerate(
        [
            (RNG.integers(0, 256, (4, 6, 3), np.uint8), None, "mode RGB"),
            (RNG.integers(0, 256, (4, 6, 4), np.uint8), None, "mode RGBA"),
            (None, "P", "mode P"),
            (None, "LA", "mode LA"),
            (RNG.integers(0, 65536, (4, 6)).astype(np.uint16), None, "16 bits"),
        ]
    ):
        folder = tmp_path / str(index)
        _save(folder / "a.png")
        _save(folder / "b.png", image, mode)
        with pytest.raises(DataError, match=r"b\.png: .*" + message):
            load(folder)


def _png_bytes():
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 60), np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"GIF89a", _png_bytes()[:20], _png_bytes()[:900], b"\x89PNG\r\n\x1a\n1234"])
def test_a_damaged_png_is_refused_by_name(tmp_path, content):
    _save(tmp_path / "a.png", np.zeros((40, 60), np.uint8))
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.png: not a sound PNG"):
        load(tmp_path)


@pytest.mark.filterwarnings("default")  # as users run: there Pillow's warning is no error by itself
def test_a_png_that_claims_to_be_huge_is_refused_without_being_unpacked(tmp_path):
    for side in (11_000, 60_000):  # Pillow warns of the first and raises on the second
        _write_raw_png(tmp_path / "a.png", side, side)
        with pytest.raises(DataError, match=r"a\.png: not a sound PNG .*decompression bomb"):
            load(tmp_path)


def _tree(*paths):
    def make(folder):
        for path in paths:
            _save(folder / path)

    return make


def _sizes(folder):
    _save(folder / "a.png")
    _save(folder / "b.png", np.zeros((6, 4), np.uint8))


def _test_sizes(folder):
    _save(folder / "train" / "a.png")
    _save(folder / "test" / "b.png", np.zeros((6, 4), np.uint8))


def _other_kind(folder):
    _save(folder / "a.png")
    _save(folder / "b.jpg")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_tree(), "no PNG images"),
        (_sizes, r"b\.png: 4 x 6 pixels, where the images before it have 6 x 4"),
        (_test_sizes, r"b\.png: 4 x 6 pixels"),
        (_other_kind, r"b\.jpg: not a PNG"),
        (_tree("a.png", "cats/b.png"), "PNGs beside the folder cats/"),
        (_tree("train/a.png", "b.png"), r"b\.png: lies beside train/"),
        (_tree("train/a.png", "car/a.png"), "car: lies beside train/"),
        (_tree("test/a.png"), "no train/"),
        (_tree("train/a/1.png", "train/b/1.png", "test/a/1.png"), "the classes a, b, test/ has the classes a:"),
        (_tree("train/a/1.png", "test/1.png"), "test/ has no class folders"),
        (_tree("a/1.png", "b/c/1.png"), "b: no PNG images"),
    ],
)
def test_a_folder_that_leaves_a_doubt_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_more_images_than_memory_should_hold_are_refused_before_allocating(tmp_path, monkeypatch):
    _tree("a.png", "b.png")(tmp_path)
    monkeypatch.setattr("scratchvae.data.png.MAX_BYTES", 40)
    with pytest.raises(DataError, match="exceed 40 bytes"):
        load(tmp_path)
