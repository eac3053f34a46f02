"""Fields beside images and labels: through the gate, the splits, files, fingerprints and the gathering of a batch."""

from dataclasses import replace

import numpy as np
import pytest

from scratchvae import fit, resume, rng
from scratchvae.cli import main
from scratchvae.data import Dataset, Split, gather, load, load_again, save_npz
from scratchvae.data.mapped import Rows
from scratchvae.errors import DataError, RunFolderError, ShapeError

N = 40
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 4, 3), np.uint8)
LABELS = np.arange(N) % 4
# Each field tells the image that it belongs to, so that an entry out of step shows.
FIELDS = {
    "clean": 255 - IMAGES, "kinds": (IMAGES[:, :2, :2] // 64).astype(np.int16), "seen": IMAGES[:, 0] > 99,
    "points": IMAGES.reshape(N, 2, 3, 2).astype(np.float32) / 7, "weight": IMAGES[:, 0, 0] / np.float32(3),
}  # fmt: skip


def _split(rows=slice(None), **changed):
    return Split(IMAGES[rows], LABELS[rows], **{name: array[rows] for name, array in (FIELDS | changed).items()})


def _data():
    return Dataset("x", (4, 3), _split(slice(0, 30)), _split(slice(30, N)), "made by a test")


def _agree(split):
    """Whether every field of the split belongs to its images."""
    images = np.asarray(split.images).reshape(-1, 4, 3)
    expected = {
        "clean": 255 - images, "kinds": images[:, :2, :2] // 64, "seen": images[:, 0] > 99,
        "points": images.reshape(-1, 2, 3, 2).astype(np.float32) / 7, "weight": images[:, 0, 0] / np.float32(3),
    }  # fmt: skip
    assert set(split.others) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(np.asarray(split.fields[name]), array, err_msg=name)
        assert split.fields[name].dtype == FIELDS[name].dtype


def test_a_split_shows_every_field_by_its_name():
    split = _split()
    assert list(split.fields) == ["images", "labels", *FIELDS]
    assert split.fields["images"] is split.images
    assert split.fields["labels"] is split.labels
    assert list(split.others) == sorted(FIELDS)
    assert list(Split(IMAGES).fields) == ["images"]
    assert Split(IMAGES).labels is None
    _agree(split)


def test_fields_stay_with_their_images_through_every_way_of_splitting():
    data = _data().with_validation(0.3, seed=5)
    assert len(data.validation.images) == 9
    for split in data.splits.values():
        _agree(split)
    _agree(_split().take([7, 0, 7, 39]))
    _agree(_split().take(slice(3, 9)))


@pytest.mark.parametrize("labels", [LABELS, np.array(["a", "b", "c", "d"])[LABELS], None])
def test_fields_survive_a_file_and_the_file_trains_as_the_set_does(tmp_path, labels):
    parts = [Split(IMAGES[rows], None if labels is None else labels[rows], **{name: a[rows] for name, a in FIELDS.items()})
             for rows in (slice(0, 30), slice(30, N))]  # fmt: skip
    data = Dataset("x", (4, 3), *parts, "made by a test").with_validation(0.2)
    save_npz(data, tmp_path / "x.npz")
    again = load(tmp_path / "x.npz")
    assert list(again.splits) == ["train", "test", "validation"]
    for split in again.splits.values():
        _agree(split)
    assert again.fingerprint == data.fingerprint
    assert load_again(again.note()).fingerprint == data.fingerprint


@pytest.mark.parametrize(("images", "beside"), [("images", "{}"), ("train_images", "train_{}"), ("x_train", "{}_train")])
def test_an_npz_of_ones_own_names_its_fields_and_they_are_split_with_the_images(tmp_path, images, beside):
    arrays = {beside.format(name): array for name, array in FIELDS.items()}
    np.savez(tmp_path / "x.npz", **{images: IMAGES, "fields": list(FIELDS)}, **arrays)
    data = load(tmp_path / "x.npz")
    assert len(data.test.images) == 4
    for split in data.splits.values():
        _agree(split)


def test_what_a_file_holds_and_does_not_name_is_left_alone_as_ever(tmp_path):
    images = np.arange(600, dtype=np.uint8).reshape(10, 5, 12)
    np.savez(tmp_path / "old.npz", images=images, labels=np.arange(10) % 2, train_weights=np.ones(10))
    data = load(tmp_path / "old.npz")
    assert not data.train.others
    # What the version before fields gave for this file.
    assert data.fingerprint == "7e84769adb722d0cf152d1b08bc8df7499ae139538e3a19efdb6c26e0044e6d0"


def test_the_fingerprint_of_the_bundled_set_is_what_runs_of_earlier_versions_remember():
    data = load("mnist-small")
    assert data.fingerprint == "d54dfaeca67e6f5a25fd61fdb47dfa3c3edb7c9957c8f7da3947681e79d33a02"
    assert data.with_validation(0.1).fingerprint == "95dc0262c1152ffdd5d6a66f9eec80d352d1c62439b1bbabad06fa9401ab94ec"


def test_the_fingerprint_changes_with_any_number_name_shape_or_type_of_a_field_and_not_with_their_order():
    def fingerprint(**fields):
        split = Split(IMAGES, **fields)
        return Dataset("x", (4, 3), split, split, "made by a test").fingerprint

    one = FIELDS["kinds"].copy()
    one[20, 1, 1] += 1
    kinds = FIELDS["kinds"]
    changed = [{}, {"kinds": kinds}, {"kinds": one}, {"sorts": kinds}, {"kinds": kinds.reshape(N, 4)}, {"kinds": kinds.astype(np.int32)},
               {"kinds": kinds, "seen": FIELDS["seen"]}]  # fmt: skip
    assert len({fingerprint(**fields) for fields in changed}) == len(changed)
    assert fingerprint(kinds=kinds, seen=FIELDS["seen"]) == fingerprint(seen=FIELDS["seen"], kinds=np.asfortranarray(kinds))


def test_floats_become_float32_and_every_other_type_stays():
    split = Split(IMAGES, wide=np.arange(N) / 3, half=np.ones(N, np.float16), big=np.arange(N, dtype=">i4"), whole=[[i] for i in range(N)])
    assert {name: array.dtype for name, array in split.others.items()} == {
        "big": np.dtype("=i4"), "half": np.float32, "whole": np.int64, "wide": np.float32
    }  # fmt: skip
    np.testing.assert_array_equal(split.fields["big"], np.arange(N))


def _with(value):
    points = FIELDS["points"].astype(np.float64)
    points[33, 1, 2, 0] = value
    return points


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": _with(np.nan)}, r"a split, field points: row 33, column \(1, 2, 0\) is nan, not a number: repair"),
        ({"points": _with(-1e39)}, r"field points: row 33, column \(1, 2, 0\) is -inf, too large for float32"),
        ({"weight": np.where(np.arange(N) == 8, np.inf, 1)}, "field weight: row 8 is inf"),
        ({"points": FIELDS["points"][:39]}, r"field points: shape \(39, 2, 3, 2\) for 40 images: give \(40, …\)"),
        ({"weight": 3.0}, r"field weight: shape \(\) for 40 images"),
        ({"empty": np.zeros((N, 0))}, r"field empty: shape \(40, 0\)"),
        ({"deep": np.zeros((N, *(1,) * 8))}, "field deep: shape"),
        ({"names": ["a"] * N}, "field names: text where numbers belong"),
        ({"two words": np.zeros(N)}, "field two words: no name for a field"),
    ],
)
def test_the_gate_names_the_field_and_the_row_at_fault(fields, message):
    with pytest.raises(DataError, match=message):
        Split(IMAGES, **fields)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"more": np.zeros(N)}, r"field more: float32 \(N\) in the test split, and none in the training split"),
        ({"kinds": FIELDS["kinds"][:, :1]}, r"field kinds: int16 \(N, 1, 2\) in the test split, and int16 \(N, 2, 2\)"),
        ({"kinds": FIELDS["kinds"] / 1}, r"field kinds: float32 \(N, 2, 2\) in the test split"),
    ],
)
def test_all_splits_of_a_set_have_the_same_fields(changed, message):
    with pytest.raises(DataError, match=message):
        Dataset("x", (4, 3), _split(), _split(**changed), "made by a test")


@pytest.mark.parametrize("name", ["images", "labels", *FIELDS])
def test_gather_takes_the_rows_of_any_field(name):
    array, rows = _split().fields[name], np.array([7, 0, 39, 7])
    taken = gather(array, rows, np.empty((4, *array.shape[1:]), np.float32))
    np.testing.assert_array_equal(taken, array[rows] / np.float32(255) if array.dtype == np.uint8 else array[rows].astype(np.float32))
    if array.dtype.kind != "f":  # as whole numbers they are copied, brightness and all
        for dtype in (array.dtype, np.int64):
            np.testing.assert_array_equal(gather(array, rows, np.empty((4, *array.shape[1:]), dtype)), array[rows])


def test_a_shuffled_batch_holds_the_fields_of_its_own_images():
    fields = _split().fields
    for batch in np.split(rng.permutation(3, 5, N), 4):
        taken = {name: gather(array, batch, np.empty((10, *array.shape[1:]), array.dtype)) for name, array in fields.items()}
        np.testing.assert_array_equal(taken["labels"], batch % 4)
        _agree(Split(**taken))


@pytest.mark.parametrize(("name", "dtype"), [("points", np.int32), ("kinds", np.uint8), ("labels", np.int32), ("points", complex)])
def test_gather_refuses_to_cut_numbers_down(name, dtype):
    array = _split().fields[name]
    with pytest.raises(ShapeError, match="does not go into"):
        gather(array, [0], np.empty((1, *array.shape[1:]), dtype))


def test_a_mapped_field_stays_in_its_file(tmp_path):
    np.save(tmp_path / "clean.npy", FIELDS["clean"])
    mapped = np.load(tmp_path / "clean.npy", mmap_mode="r")
    split = Split(IMAGES, clean=mapped).take(np.arange(N)[::-1]).take([3, 1])
    assert isinstance(split.fields["clean"], Rows)
    out = gather(split.fields["clean"], np.array([1, 0, 1]), np.empty((3, 4, 3), np.uint8))
    np.testing.assert_array_equal(out, FIELDS["clean"][[38, 36, 38]])


def test_a_run_refuses_to_go_on_with_other_targets(tmp_path, tiny_data, tiny_vae):
    def with_targets(sign):
        splits = {part: Split(split.images, targets=sign * split.images.astype(np.float32)) for part, split in tiny_data.splits.items()}
        return replace(tiny_data, **splits)

    fit(tiny_vae(), with_targets(1), epochs=1, out=tmp_path / "run", progress=False)
    with pytest.raises(RunFolderError, match="is other data than the run was trained on.*fingerprint"):
        resume(tiny_vae(), with_targets(-1), tmp_path / "run", epochs=2, progress=False)
    resume(tiny_vae(), with_targets(1), tmp_path / "run", epochs=2, progress=False)


def test_the_command_says_which_fields_there_are(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", images=IMAGES, fields=["clean", "weight"], clean=FIELDS["clean"], weight=FIELDS["weight"])
    assert main(["data", str(tmp_path / "x.npz"), "--out", str(tmp_path / "y.npz")]) == 0
    assert "no labels; clean uint8 4 × 3; weight float32\n" in capsys.readouterr().out
    assert load(tmp_path / "y.npz").fingerprint == load(tmp_path / "x.npz").fingerprint
