"""Splits, data sets, and the gathering of a batch."""

import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratchvae
from scratchvae.data import Dataset, Split, gather
from scratchvae.errors import DataError, ShapeError

BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gathered_bytes_are_the_nearest_floats_to_k_over_255(dtype):
    out = gather(BYTES, np.arange(16), np.empty((16, 16), dtype))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out.ravel(), np.arange(256, dtype=dtype) / dtype(255))


@given(st.lists(st.integers(0, 15), max_size=40), st.sampled_from([np.uint8, np.float32]))
def test_gather_takes_exactly_the_rows_asked_for(rows, dtype):
    images = BYTES if dtype == np.uint8 else (BYTES / 255).astype(np.float32)
    rows = np.array(rows, np.int64)
    out = np.full((len(rows), 16), np.nan, np.float32)
    assert gather(images, rows, out) is out
    np.testing.assert_array_equal(out, (BYTES[rows] / 255).astype(np.float32))


def test_gather_takes_non_contiguous_rows_images_and_out():
    rows = np.arange(16)[::-3]
    wide = np.zeros((len(rows), 16), np.float32)
    gather(BYTES[:, ::2], rows, wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], BYTES[rows][:, ::2] / np.float32(255))
    assert not wide[:, 1::2].any()


def test_gather_copies_float32_pixels_bit_for_bit_and_widens_them_exactly():
    images = np.random.default_rng(0).random((5, 7), np.float32)
    rows = np.array([4, 0, 4])
    np.testing.assert_array_equal(gather(images, rows, np.empty((3, 7), np.float32)), images[rows])
    np.testing.assert_array_equal(gather(images, rows, np.empty((3, 7))), images[rows].astype(np.float64))


@pytest.mark.parametrize("rows", [[16], [-1], [0, 400], [0.5], [True]])
def test_gather_refuses_rows_that_do_not_exist(rows):
    for images in (BYTES, BYTES.astype(np.float32)):
        with pytest.raises(DataError, match="from 0 to 15"):
            gather(images, np.array(rows), np.empty((len(rows), 16), np.float32))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 16), np.float32), ((3, 15), np.float32), ((3, 16), np.int8), ((48,), np.float32)]
)
def test_gather_refuses_an_out_that_does_not_fit(shape, dtype):
    with pytest.raises(ShapeError, match=r"np\.empty"):
        gather(BYTES, np.arange(3), np.empty(shape, dtype))


def test_gather_allocates_no_more_than_one_batch_of_bytes():
    images, rows, out = np.ones((4000, 500), np.uint8), np.arange(100), np.empty((100, 500), np.float32)
    gather(images, rows, out)
    tracemalloc.start()
    gather(images, rows, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 50,000 bytes of batch, and a few kB that NumPy needs besides; a float batch would be 200,000
    assert peak < 60_000


def test_two_threads_gather_at_once_without_disturbing_each_other():
    images = np.random.default_rng(1).integers(0, 256, (300, 200), np.uint8)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        out = np.empty((64, 200), np.float32)
        for _ in range(200):
            rows = rng.integers(0, 300, 64)
            if not np.array_equal(gather(images, rows, out), images[rows] / np.float32(255)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros(3, np.uint8), None, r"shape \(3,\) are no rows"),
        (np.zeros((3, 4), np.uint8), np.zeros(2, np.uint8), "labels of shape .* one integer or name per image"),
        (np.zeros((3, 4), np.uint8), np.zeros((3, 1), np.uint8), "labels of shape .* one integer or name per image"),
    ],
)
def test_a_split_refuses_what_is_not_one_row_per_image(images, labels, message):
    with pytest.raises(DataError, match=message):
        Split(images, labels)


def _dataset(train=BYTES, test=BYTES[:3], shape=(4, 4), labels=None):
    return Dataset("x", shape, Split(train, labels), Split(test, None), "made up.")


def test_a_dataset_refuses_an_image_shape_that_is_not_its_width():
    with pytest.raises(DataError, match="test images have 9 pixels"):
        _dataset(test=np.zeros((2, 9), np.uint8))


def test_the_fingerprint_ignores_memory_layout_name_and_labels():
    fingerprint = _dataset().fingerprint
    assert len(fingerprint) == 64
    assert _dataset(train=np.asfortranarray(BYTES)).fingerprint == fingerprint
    assert _dataset(labels=np.zeros(16, np.uint8)).fingerprint == fingerprint


def test_the_fingerprint_changes_with_any_pixel_shape_dtype_or_split():
    one_pixel = BYTES.copy()
    one_pixel[7, 3] ^= 1
    datasets = [
        _dataset(),
        _dataset(train=one_pixel),
        _dataset(test=one_pixel[7:10]),
        _dataset(shape=(2, 8)),
        _dataset(train=BYTES.astype(np.float32)),
        _dataset(train=BYTES[:3], test=BYTES),
        _dataset(train=BYTES[:15], test=np.concatenate([BYTES[15:], BYTES[:3]])),
    ]
    assert len({dataset.fingerprint for dataset in datasets}) == len(datasets)


def test_the_fingerprint_is_computed_once():
    train = BYTES.copy()
    dataset = _dataset(train=train)
    before = dataset.fingerprint
    train[0, 0] = 99
    assert dataset.fingerprint == before != _dataset(train=train).fingerprint


def test_importing_the_data_room_imports_no_heavy_package():
    heavy = "'matplotlib', 'PIL', 'pooch', 'tqdm', 'requests', 'cupy'"
    # A bare parent package, so that this judges the room alone and not what the other rooms import.
    code = f"""if True:
        import sys, types
        sys.modules["scratchvae"] = types.ModuleType("scratchvae")
        sys.modules["scratchvae"].__path__ = [{str(Path(scratchvae.__file__).parent)!r}]
        import scratchvae.data
        print([m for m in ({heavy}) if m in sys.modules])"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
