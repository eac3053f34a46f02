"""`scratchvae data` describes and converts; `train` says what was done to its data, and the run keeps it."""

import json

import numpy as np
import pytest
from PIL import Image

from scratchvae.cli import main
from scratchvae.data import load, load_again

SMALL = ["--hidden", "4", "--latent", "3", "--epochs", "1", "--threads", "1"]


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(15):
            height, width = generator.integers(6, 12, 2)
            image = generator.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{index:02}.jpg")
    (tmp_path / "photos" / "notes.txt").write_text("x")
    return tmp_path / "photos"


def _run(capsys, *arguments, status=0):
    assert main([str(argument) for argument in arguments]) == status
    return capsys.readouterr()


@pytest.mark.parametrize("options", [[], ["--grey", "--fit", "pad"]])
def test_what_is_converted_trains_as_the_folder_would(tmp_path, photos, capsys, options):
    out = tmp_path / "photos.npz"
    told = _run(capsys, "data", photos, "--size", "5x4", *options, "--out", out).out
    assert "30 images: brought to 5 x 4" in told
    assert "left out (no image): notes.txt" in told
    assert f"written to {out}" in told
    folder = load(photos, size=(5, 4), grey=bool(options), fit="pad" if options else "crop")
    converted = load(out)
    assert converted.fingerprint == folder.fingerprint
    assert converted.image_shape == folder.image_shape == ((5, 4) if options else (5, 4, 3))
    for part, split in folder.splits.items():
        np.testing.assert_array_equal(converted.splits[part].labels, split.labels)
        assert converted.splits[part].classes == ("cat", "dog")


def test_json_says_all_that_was_done(photos, tmp_path, capsys):
    note = json.loads(_run(capsys, "data", photos, "--size", "4", "--json").out)
    assert note["preparation"]["skipped"] == {"no image": {"count": 1, "such_as": "notes.txt"}}
    assert note["train"]["labels"] == {"cat": 13, "dog": 14} or note["train"]["labels"] == {"cat": 14, "dog": 13}
    assert note["image_shape"] == [4, 4, 3]
    assert note["fingerprint"] == load(photos, size=4).fingerprint


def test_a_name_that_is_no_npz_is_refused_before_anything_is_read(capsys):
    assert "--out must end in .npz" in _run(capsys, "data", "no-such-folder", "--out", "a.zip", status=1).err


def test_images_of_several_sizes_are_refused_with_the_option_that_helps(photos, capsys):
    assert "--size HEIGHTxWIDTH" in _run(capsys, "train", "--data", photos, status=1).err


def test_a_colour_folder_trains_samples_and_is_evaluated_and_the_run_keeps_how(tmp_path, photos, capsys):
    run = tmp_path / "run"
    told = _run(capsys, "train", "--data", photos, "--size", "4", "--split-seed", "5", *SMALL, "--out", run).out
    assert "so 3, of every label alike, drawn with seed 5 of 30 images are held out as test" in told
    assert "30 images: brought to 4 x 4 (height x width, crop)" in told
    _run(capsys, "sample", run, "--n", "3", "--out", tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        assert file["images"].shape == (3, 4, 4, 3)
    _run(capsys, "evaluate", run, "--threads", "1")
    note = json.loads((run / "config.json").read_text())["data"]
    assert note["preparation"]["options"] == {"size": [4, 4], "seed": 5}
    assert load_again(note).fingerprint == note["fingerprint"]
    assert str(photos) not in json.dumps(note["preparation"])  # nothing of this machine, but for the location itself
