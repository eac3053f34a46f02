"""A set that stays in its file trains to the same values as one in memory, and nothing reads all of it at once."""

import os

import numpy as np
import pytest
from PIL import Image

from scratchvae import VAE, fit, measure
from scratchvae.data import gather, load
from scratchvae.data.mapped import Rows, is_mapped, pick
from scratchvae.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 4, 3), np.uint8)


@pytest.fixture
def small_memory(monkeypatch):
    for room in ("mapped", "reading"):
        monkeypatch.setattr(f"scratchvae.data.{room}.IN_MEMORY", 1000)


def _trained(data):
    model = VAE(12, (8,), 2, seed=3)
    fit(model, data, epochs=2, batch_size=32, threads=2, progress=False)
    return model.buffer.values.copy(), {name: m.value for name, m in measure(model, data, threads=1).items()}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_training_on_a_mapped_file_gives_the_same_values_bit_for_bit(tmp_path, monkeypatch, dtype):
    images = IMAGES if dtype == np.uint8 else (IMAGES / 255).astype(np.float32)
    np.save(tmp_path / "a.npy", images)
    in_memory = load(tmp_path / "a.npy")
    monkeypatch.setattr("scratchvae.data.mapped.IN_MEMORY", 1000)
    mapped = load(tmp_path / "a.npy")
    assert not isinstance(in_memory.train.images, Rows)
    assert isinstance(mapped.train.images, Rows)
    assert is_mapped(mapped.train.images.images)
    assert mapped.fingerprint == in_memory.fingerprint
    (values, measured), (expected, and_these) = _trained(mapped), _trained(in_memory)
    np.testing.assert_array_equal(values, expected)
    assert measured == and_these


def test_a_validation_split_of_a_mapped_file_stays_in_it(tmp_path, small_memory):
    np.save(tmp_path / "a.npy", IMAGES)
    data = load(tmp_path / "a.npy").with_validation(0.2)
    assert isinstance(data.validation.images, Rows)
    assert len(data.validation.images) == 54
    both = np.concatenate([np.asarray(split.images) for split in data.splits.values()])
    assert sorted(map(tuple, both)) == sorted(map(tuple, IMAGES.reshape(300, 12)))


def test_rows_are_what_the_array_of_them_would_be(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES.reshape(300, 12))
    file = np.load(tmp_path / "a.npy", mmap_mode="r")
    chosen = np.random.default_rng(1).permutation(300)[:100]
    rows, array = pick(file, chosen), np.array(file)[chosen]
    assert (len(rows), rows.shape, rows.dtype, rows.ndim) == (100, (100, 12), np.uint8, 2)
    np.testing.assert_array_equal(rows[3:9], array[3:9])
    np.testing.assert_array_equal(rows[5], array[5])
    np.testing.assert_array_equal(np.asarray(rows), array)
    np.testing.assert_array_equal(np.asarray(pick(rows, [4, 2])), array[[4, 2]])
    out = gather(rows, np.array([7, 0, 7]), np.empty((3, 12), np.float32))
    np.testing.assert_array_equal(out, array[[7, 0, 7]] / np.float32(255))
    with pytest.raises(DataError, match="from 0 to 99"):
        gather(rows, np.array([100]), np.empty((1, 12), np.float32))


@pytest.mark.parametrize("images", [IMAGES / 255, np.asfortranarray(IMAGES)])
def test_a_large_file_that_cannot_be_mapped_says_how_to_save_it(tmp_path, small_memory, images):
    np.save(tmp_path / "a.npy", images)
    with pytest.raises(DataError, match=r"a\.npy: .* bytes stay in the file, so it must hold uint8 or float32 in C order"):
        load(tmp_path / "a.npy")


def test_a_large_file_is_checked_like_a_small_one(tmp_path, small_memory):
    images = (IMAGES / 255).astype(np.float32)
    images[299, 3, 2] = np.nan
    np.save(tmp_path / "a.npy", images)
    with pytest.raises(DataError, match="row 299, column 11 is nan"):
        load(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-5])
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path / "a.npy")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("scratchvae.data.reading.cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "images").mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "images" / f"{i:03}.png")
    return tmp_path / "images"


def test_a_folder_beyond_memory_trains_to_the_same_values_and_is_decoded_once(folder, monkeypatch, request):
    in_memory = load(folder)
    request.getfixturevalue("small_memory")
    mapped = load(folder)
    assert isinstance(mapped.train.images, Rows)
    assert mapped.fingerprint == in_memory.fingerprint
    (values, measured), (expected, and_these) = _trained(mapped), _trained(in_memory)
    np.testing.assert_array_equal(values, expected)
    assert measured == and_these
    monkeypatch.setattr("scratchvae.data.reading._fill", None)  # nothing is decoded a second time
    assert load(folder).fingerprint == in_memory.fingerprint


def test_what_is_held_out_of_classes_is_the_same_in_memory_where_it_is_read_in_the_order_of_the_split(folder, request):
    for i in range(0, 300, 3):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        (folder / f"{i:03}.png").rename(folder / "ab"[i % 2] / f"{i:03}.png")
    for path in folder.glob("*.png"):
        path.unlink()
    in_memory = load(folder, seed=5)
    assert in_memory.train.images.base is in_memory.test.images.base  # two parts of one array: nothing was moved
    request.getfixturevalue("small_memory")
    mapped = load(folder, seed=5)
    assert isinstance(mapped.train.images, Rows)
    for part, split in in_memory.splits.items():
        np.testing.assert_array_equal(split.images, np.asarray(mapped.splits[part].images))
        np.testing.assert_array_equal(split.labels, mapped.splits[part].labels)
    assert in_memory.preparation == mapped.preparation


def test_a_changed_file_another_wish_or_a_cut_copy_is_decoded_anew(folder, small_memory):
    Image.fromarray(IMAGES[7]).save(folder / "007.png", compress_level=0)  # of one length, whatever its pixels
    first = load(folder)
    files = set((folder.parent / "cache" / "decoded").iterdir())
    Image.fromarray(255 - IMAGES[7]).save(folder / "007.png", compress_level=0)
    os.utime(folder / "007.png", ns=(1, 1))
    assert load(folder).fingerprint != first.fingerprint
    Image.fromarray(IMAGES[7]).save(folder / "007.png", compress_level=0)
    os.utime(folder / "007.png", ns=(2, 2))
    assert load(folder).fingerprint == first.fingerprint
    assert load(folder, size=(3, 3)).image_shape == (3, 3)
    for path in files:
        path.write_bytes(path.read_bytes()[:-1])
    assert load(folder).fingerprint == first.fingerprint


def test_a_folder_beyond_memory_that_is_refused_leaves_nothing_behind(folder, small_memory):
    (folder / "200.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"200\.png: not a sound image"):
        load(folder)
    assert list((folder.parent / "cache" / "decoded").iterdir()) == []


def test_a_folder_that_begins_grey_and_is_in_colour_is_read_in_colour(folder, small_memory):
    Image.fromarray(np.full((4, 3, 3), [255, 0, 0], np.uint8)).save(folder / "299.png")
    data = load(folder, held_out="last")
    assert data.image_shape == (4, 3, 3)
    np.testing.assert_array_equal(data.test.images[-1], [255, 0, 0] * 12)
    assert len(list((folder.parent / "cache" / "decoded").iterdir())) == 2


def test_rows_are_taken_into_the_array_that_is_given():
    images, out = np.arange(12).reshape(4, 3), np.full((2, 3), -1)
    assert Rows(images, np.array([3, 1, 0])).take(np.array([2, 0]), out=out) is out
    assert out.tolist() == [[0, 1, 2], [9, 10, 11]]
