"""What is held out: of every label alike, by the seed, and the same again from what a run keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.data import Dataset, Split, hold_out, load, load_again
from scratchvae.errors import ConfigError, DataError

SORTED = np.repeat(np.arange(5), [200, 100, 50, 30, 20])  # a set sorted by class: its last tenth is the two smallest


def _save(path, labels=SORTED):
    """Every image says which it is: image i has the pixels i // 256 and i % 256."""
    images = np.array([[i // 256, i % 256] for i in range(len(labels))], np.uint8)
    np.savez(path, images=images[:, None, :], labels=labels)
    return path


def _which(split):
    return split.images.astype(int) @ [256, 1]


def test_a_set_sorted_by_class_keeps_every_class_in_both_parts_in_proportion(tmp_path):
    data = load(_save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(np.bincount(data.test.labels), [20, 10, 5, 3, 2])
    np.testing.assert_array_equal(np.bincount(data.train.labels), [180, 90, 45, 27, 18])
    assert "so 40, of every label alike, drawn with seed 0 of 400 images are held out as test" in data.source


def test_fewer_held_out_than_there_are_labels_are_not_said_to_be_of_every_label(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.eye(12, dtype=np.uint8) * 255, labels=np.arange(12) % 2)
    assert "so 1 drawn with seed 0 of 12 images" in load(tmp_path / "a.npz").source


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60), st.floats(0.01, 0.5), st.integers(0, 2**64 - 1)
)
def test_each_row_is_on_one_side_and_every_label_gives_its_share(labels, fraction, seed):
    labels = np.array(labels)
    kept, held = hold_out(labels, len(labels), fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(len(labels)))
    assert len(held) == max(1, int(len(labels) * fraction + 1e-9))
    for label in range(5):
        # Systematic sampling at ranks + ½: a label's share is never more than one image off.
        assert abs((labels[held] == label).sum() - (labels == label).sum() * len(held) / len(labels)) < 1


def test_held_out_rows_are_spread_over_the_set_and_drawn_anew_by_every_seed():
    rows = [hold_out(None, 1000, 0.1, seed)[1] for seed in range(40)]
    assert len({tuple(r) for r in rows}) == 40
    # The mean of 4,000 uniform draws from 0 … 999 has a standard deviation of 288.7/√4000 = 4.6.
    assert abs(np.mean(rows) - 499.5) < 4 * 4.6


def test_test_and_validation_are_drawn_apart():
    assert not np.array_equal(hold_out(None, 1000, part=0)[1], hold_out(None, 1000, part=1)[1])


def test_every_label_keeps_an_image_to_train_on():
    labels = np.arange(7)  # one image each
    kept, held = hold_out(np.concatenate([labels, np.full(93, 7)]), 100)
    assert set(range(7)) <= set(kept.tolist())
    assert len(held) == 10


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan"), 2])
def test_a_fraction_that_leaves_one_side_empty_is_refused(fraction):
    with pytest.raises(ConfigError, match="hold out must be a finite number above 0 and below 1"):
        hold_out(None, 10, fraction)
    with pytest.raises(DataError, match="1 image cannot be split"):
        hold_out(None, 1)


def test_validation_is_taken_from_training_and_leaves_test_alone(tmp_path):
    data = load(_save(tmp_path / "a.npz"))
    more = data.with_validation(0.25, seed=3)
    assert data.validation is None
    assert more.test is data.test
    assert len(more.validation.images) == 90
    assert sorted([*_which(more.train), *_which(more.validation)]) == sorted(_which(data.train))
    np.testing.assert_array_equal(np.bincount(more.validation.labels), [45, 23, 11, 7, 4])
    assert more.fingerprint != data.fingerprint
    with pytest.raises(DataError, match="has a validation split of 90 images already"):
        more.with_validation()


def test_what_a_run_keeps_gives_the_same_data_again_wherever_it_lies(tmp_path):
    first = load(_save(tmp_path / "a.npz"), seed=7).with_validation(0.2, seed=9)
    moved = (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    again = load_again(first.note(), moved)
    assert again.fingerprint == first.fingerprint
    assert again.location == str(moved)
    np.testing.assert_array_equal(again.validation.labels, first.validation.labels)
    assert load(moved).fingerprint != load(moved, seed=7).fingerprint


def test_a_run_of_version_0_1_0_still_has_the_last_tenth_as_its_test_split(tmp_path):
    path = _save(tmp_path / "a.npz")
    note = {"name": "a.npz", "location": str(path), "image_shape": [1, 2]}
    np.testing.assert_array_equal(_which(load_again(note).test), np.arange(360, 400))


def test_a_validation_split_of_another_size_is_refused():
    split = Split(np.zeros((3, 4), np.uint8), None)
    with pytest.raises(DataError, match="the validation images have 9 pixels"):
        Dataset("x", (2, 2), split, split, "made up.", validation=Split(np.zeros((3, 9), np.uint8), None))
