"""The bundled set, and the full MNIST that it comes from."""

import hashlib
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from scratchvae.data import load
from scratchvae.data.fetch import find_fault
from scratchvae.data.known import FASHION_MNIST, MNIST
from scratchvae.data.loading import BUNDLED, BUNDLED_SHA256, load_bundled
from scratchvae.data.make_bundled import main, make_bundled
from scratchvae.errors import DataError


def _full_mnist():
    """The folder of the four files under SCRATCHVAE_DATA, or None."""
    root = Path(os.environ.get("SCRATCHVAE_DATA", "") or "/nowhere")
    folders = [folder for folder in (root / "mnist", root) if (folder / MNIST.files[0].name).exists()]
    return folders[0] if folders else None


needs_mnist = pytest.mark.skipif(_full_mnist() is None, reason="needs the full MNIST in SCRATCHVAE_DATA")


def test_the_bundle_is_the_file_that_code_and_notice_describe():
    content = BUNDLED.read_bytes()
    assert len(content) < 1_100_000
    assert hashlib.sha256(content).hexdigest() == BUNDLED_SHA256
    notice = (BUNDLED.parent / "NOTICE.md").read_text()
    for fact in (BUNDLED_SHA256, *(file.sha256 for file in MNIST.files), "Yann LeCun", "Corinna Cortes", "CC BY-SA"):
        assert fact in notice


def test_the_bundle_holds_5000_and_1000_digits_with_their_labels():
    dataset = load("mnist-small")
    assert dataset.name == "mnist-small"
    assert dataset.image_shape == (28, 28)
    assert dataset.train.images.shape == (5000, 784)
    assert dataset.test.images.shape == (1000, 784)
    for split in (dataset.train, dataset.test):
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert (split.images.min(), split.images.max()) == (0, 255)
        assert set(split.labels) == set(range(10))
    # the first labels of MNIST, as everybody knows them
    assert list(dataset.train.labels[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert list(dataset.test.labels[:10]) == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_the_labels_belong_to_the_images():
    """Nearest class mean gets about 80 % of MNIST right, and a tenth if labels and images were out of step."""
    dataset = load("mnist-small")
    means = np.stack([dataset.train.images[dataset.train.labels == digit].mean(0) for digit in range(10)])
    scores = dataset.test.images @ means.T - (means**2).sum(1) / 2
    assert (scores.argmax(1) == dataset.test.labels).mean() > 0.75


def test_a_damaged_installation_is_an_error(tmp_path):
    broken = tmp_path / "mnist_small.npz"
    with pytest.raises(DataError, match="install scratchvae again"):
        load_bundled(broken)
    broken.write_bytes(BUNDLED.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="damaged .* install scratchvae again"):
        load_bundled(broken)


def test_the_bundle_is_made_from_the_original_files_only(tmp_path, capsys):
    (tmp_path / MNIST.files[0].name).write_bytes(b"something else")
    with pytest.raises(SystemExit, match="14 bytes where 9912422 belong"):
        main([str(tmp_path), str(tmp_path / "out.npz")])
    with pytest.raises(SystemExit, match="FOLDER"):
        main([])
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.full_data
@needs_mnist
def test_the_bundle_is_exactly_the_first_rows_of_mnist():
    small, full = load("mnist-small"), load("mnist")
    for part, count in (("train", 5000), ("test", 1000)):
        ours, theirs = getattr(small, part), getattr(full, part)
        np.testing.assert_array_equal(ours.images, theirs.images[:count])
        np.testing.assert_array_equal(ours.labels, theirs.labels[:count])


@pytest.mark.full_data
@needs_mnist
def test_the_bundle_can_be_made_again(tmp_path, capsys):
    main([str(_full_mnist()), str(tmp_path / "a.npz")])
    assert MNIST.files[3].sha256 in capsys.readouterr().out
    make_bundled(_full_mnist(), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    # Another zlib may compress to other bytes, so the committed file is compared by its arrays.
    with np.load(tmp_path / "a.npz") as made, np.load(BUNDLED) as committed:
        assert made.files == committed.files
        for name in made.files:
            np.testing.assert_array_equal(made[name], committed[name])


@pytest.mark.full_data
@needs_mnist
def test_the_full_mnist_has_its_published_statistics():
    dataset = load("mnist")
    assert dataset.train.images.shape == (60000, 784)
    assert dataset.test.images.shape == (10000, 784)
    assert dataset.image_shape == (28, 28)
    assert round(dataset.train.images.mean() / 255, 4) == 0.1307
    assert list(np.bincount(dataset.train.labels)) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.full_data
@needs_mnist
def test_loading_the_full_mnist_keeps_one_copy_of_it():
    tracemalloc.start()
    dataset = load("mnist")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 55 MB of pixels and a few MB while decompressing
    assert peak < dataset.train.images.nbytes + dataset.test.images.nbytes + 8_000_000


@pytest.mark.full_data
@needs_mnist
def test_mnist_lying_in_the_folder_itself_is_not_taken_for_a_damaged_fashion_mnist(tmp_path, monkeypatch):
    for file in MNIST.files:
        shutil.copy(_full_mnist() / file.name, tmp_path)
    monkeypatch.setenv("SCRATCHVAE_DATA", str(tmp_path))
    monkeypatch.setenv("SCRATCHVAE_OFFLINE", "1")
    assert len(load("mnist").test.images) == 10000
    with pytest.raises(DataError, match="fashion-mnist/train-images-idx3-ubyte.gz is missing"):
        load("fashion-mnist")


def test_the_known_sets_use_the_same_names_and_never_the_same_sizes():
    """Which is why a file of another set can be told by its size."""
    assert [file.name for file in MNIST.files] == [file.name for file in FASHION_MNIST.files]
    assert not {file.size for file in MNIST.files} & {file.size for file in FASHION_MNIST.files}
    assert len({file.sha256 for file in MNIST.files + FASHION_MNIST.files}) == 8
    assert {len(file.sha256) for file in MNIST.files + FASHION_MNIST.files} == {64}


@pytest.mark.full_data
@needs_mnist
def test_the_pinned_sums_are_those_of_the_files():
    assert [find_fault(_full_mnist() / file.name, file) for file in MNIST.files] == [None] * 4


def test_the_script_runs_as_a_module():
    found = subprocess.run([sys.executable, "-m", "scratchvae.data.make_bundled"], capture_output=True, text=True)
    assert found.returncode == 1
    assert "FOLDER OUT.npz" in found.stderr
