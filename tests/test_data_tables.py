"""Numbers in columns: a header or none, scaled by the training rows, brought back to their own units, refused with line and column."""

import csv
import json

import numpy as np
import pytest

from scratchvae import VAE, fit
from scratchvae.cli import main
from scratchvae.data import hold_out, load, load_again, save_npz, undo
from scratchvae.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
TABLE = RNG.normal([5, -300, 1e6], [1, 40, 1e5], (50, 3)).round(3)


def _csv(path, table=TABLE, header="age,height,income", separator=",", labels=None):
    lines = [] if header is None else [header.replace(",", separator)]
    for i, row in enumerate(table.tolist()):
        lines.append(separator.join(map(repr, row)) + ("" if labels is None else separator + labels[i]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_array_of_rows_beyond_0_1_is_told_how_tables_are_scaled_and_images_are_not(tmp_path):
    for shape, told in (((50, 3), True), ((50, 1, 3), False)):
        np.save(tmp_path / "a.npy", TABLE.reshape(shape))
        with pytest.raises(DataError, match="outside") as caught:
            load(tmp_path / "a.npy")
        assert ("let --scale do it" in str(caught.value)) == told


@pytest.mark.parametrize("header", [None, "age,height,income"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_are_scaled_to_0_1_by_the_training_rows_and_undone_to_the_numbers_of_the_file(tmp_path, header, separator):
    data = load(_csv(tmp_path / "a.csv", header=header, separator=separator))
    kept, held = hold_out(None, 50)
    assert data.image_shape == (1, 3)
    assert data.train.images.dtype == np.float32
    low, high = TABLE[kept].min(axis=0), TABLE[kept].max(axis=0)
    np.testing.assert_array_equal(data.train.images, ((TABLE[kept] - low) / (high - low)).astype(np.float32))
    assert data.train.images.min() == 0
    assert data.train.images.max() == 1
    # float32 keeps 24 bits of a number in [0, 1]
    np.testing.assert_allclose(data.undo(data.train.images), TABLE[kept], rtol=0, atol=float((high - low).max()) * 2**-24)
    names = ["age", "height", "income"] if header else ["column 1", "column 2", "column 3"]
    assert data.preparation["scaling"]["columns"] == names
    assert data.told[0] == "3 columns scaled to [0, 1] by the training rows"


def test_test_values_beyond_the_training_rows_are_set_to_the_end_and_counted(tmp_path):
    _, held = hold_out(None, 50)
    table = TABLE.copy()
    table[held[:3], 1] = 1e9
    data = load(_csv(tmp_path / "a.csv", table))
    np.testing.assert_array_equal(data.test.images[:3, 1], 1)
    outside = data.preparation["scaling"]["outside"]
    assert outside >= 3
    assert f"{outside} test value{'s' * (outside != 1)} beyond the training rows' set to the nearest of 0 and 1" in data.told


def test_standard_gives_mean_0_and_deviation_1_and_leaves_test_values_where_they_are(tmp_path):
    data = load(_csv(tmp_path / "a.csv"), scale="standard")
    np.testing.assert_allclose(data.train.images.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.images.std(axis=0), 1, atol=1e-6)
    _, held = hold_out(None, 50)
    np.testing.assert_allclose(data.undo(data.test.images), TABLE[held], rtol=1e-5)
    assert fit(VAE(3, (4,), 2, likelihood="gaussian"), data, epochs=1, progress=False)


def test_none_leaves_the_numbers_alone(tmp_path):
    data = load(_csv(tmp_path / "a.csv"), scale="none")
    np.testing.assert_array_equal(data.train.images, TABLE[hold_out(None, 50)[0]].astype(np.float32))


def test_a_constant_column_is_named_and_comes_back_as_it_was(tmp_path):
    table = TABLE.copy()
    table[:, 1] = 7.25
    for scale in ("unit", "standard"):
        data = load(_csv(tmp_path / "a.csv", table), scale=scale)
        assert not data.train.images[:, 1].any()
        assert (data.undo(data.train.images)[:, 1] == 7.25).all()
        assert "constant in the training rows: height" in data.told


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n1,2\n3,\n,5\n", r"2 values are missing: line 3, column b; line 4, column a: fill in"),
    ("a,b\n1,2\nNaN,4\n5,n/a\n", r"line 3, column a; line 4, column b"),
    ("a,b\n" + "1,\n" * 9, r"9 values are missing: .* and 5 more"),
    ("a,b\n1,2\n3,x\n", r"line 3, column b holds 'x', no finite number"),
    ("a,b\n1,2\n3,inf\n", r"line 3, column b holds 'inf', no finite number"),
    ("a,b\n1,2\n3,1_0\n", r"line 3, column b holds '1_0', no finite number"),
    ("a;b\n1;2\n3;4,5\n", r"line 3, column b holds '4,5', .* decimals with a point"),
    ("a,b\n1,2\n3\n", "line 3: 1 value where 2 belong"),
    ("a,b\n1,2\n3,4,5\n", "line 3: 3 values where 2 belong"),
    ("", "holds no numbers"), ("a,b\n", "holds no numbers"), ("1,2\n", "one image cannot be split"),
    ('a,b\n"1,2\n3,4\n', "not a sound .csv"), ("a,b\n1e308,2\n-1e308,3\n-1e308,4\n", "column a spans more than a number can hold"),
])  # fmt: skip
def test_a_table_that_leaves_a_doubt_is_refused_with_its_line_and_column(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"a\.csv.*" + message) as caught:
        load(tmp_path / "a.csv")
    assert len(str(caught.value)) <= 500


def test_a_column_of_labels_must_be_the_only_one_of_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,a\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="2 columns are named a: it has a, b, a"):
        load(tmp_path / "a.csv", labels="a")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(DataError, match="not text in UTF-8"):
        load(tmp_path / "a.csv")


def test_a_byte_order_mark_empty_lines_and_windows_line_ends_are_no_matter(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4\r\n5,6\r\n")
    data = load(tmp_path / "a.csv", scale="none", held_out="last")
    assert data.preparation["scaling"]["columns"] == ["a", "b"]
    np.testing.assert_array_equal([*data.train.images, *data.test.images], [[1, 2], [3, 4], [5, 6]])


def test_a_column_of_labels_is_named_and_not_learned_from(tmp_path):
    kinds = [("setosa", "virginica")[i % 2] for i in range(50)]
    _csv(tmp_path / "a.csv", header="age,height,income,species", labels=kinds)
    with pytest.raises(DataError, match="column species holds 'setosa', .* --labels NAME"):
        load(tmp_path / "a.csv")
    data = load(tmp_path / "a.csv", labels="species")
    assert data.image_shape == (1, 3)
    assert data.train.classes == ("setosa", "virginica")
    kept, held = hold_out(kinds, 50)
    assert [data.test.classes[label] for label in data.test.labels] == [kinds[row] for row in held]
    assert load_again(data.note()).fingerprint == data.fingerprint
    with pytest.raises(DataError, match="no columns are named kind: it has age, height"):
        load(tmp_path / "a.csv", labels="kind")


@pytest.mark.parametrize("shape", [(50, 3), (50, 1, 3)])
def test_an_array_becomes_a_table_where_a_scale_is_asked_for(tmp_path, shape):
    np.save(tmp_path / "a.npy", TABLE.reshape(shape))
    with pytest.raises(DataError, match="outside"):
        load(tmp_path / "a.npy")
    _csv(tmp_path / "a.csv")
    assert load(tmp_path / "a.npy", scale="unit").fingerprint == load(tmp_path / "a.csv").fingerprint
    table = TABLE.copy()
    table[7, 2] = np.nan
    np.save(tmp_path / "a.npy", table.reshape(shape))
    with pytest.raises(DataError, match=r"a\.npy: row 7, column 2 is nan"):
        load(tmp_path / "a.npy", scale="unit")
    np.save(tmp_path / "a.npy", np.zeros((50, 2, 3)))
    with pytest.raises(DataError, match="is no table"):
        load(tmp_path / "a.npy", scale="unit")
    with pytest.raises(ConfigError, match="scale is for tables"):
        load("mnist-small", scale="unit")


def test_series_are_images_of_one_line(tmp_path):
    waves = (np.sin(np.linspace(0, 9, 64) + RNG.uniform(0, 6, (40, 1))) + 1) / 2
    np.save(tmp_path / "a.npy", waves[:, None, :])
    assert load(tmp_path / "a.npy").image_shape == (1, 64)


def test_a_table_that_was_converted_still_comes_back_to_its_units(tmp_path):
    data = load(_csv(tmp_path / "a.csv"), scale="standard")
    save_npz(data, tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.test.images, data.test.images)
    np.testing.assert_array_equal(again.undo(again.train.images), data.undo(data.train.images))


@pytest.mark.parametrize("note", [
    b"", b"[]", b"{", b'{"scaling": 3}', b'{"scaling": {"rule": "unit"}}', b"[" * 5000, b"\xff",
    b'{"scaling": {"rule": "unit", "columns": ["a"], "constant": [], "offset": [0], "scale": ["x"]}}',
    b'{"scaling": {"rule": "unit", "columns": ["a"], "constant": [], "offset": [NaN], "scale": [1]}}',
])  # fmt: skip
def test_a_damaged_note_is_refused_in_one_line(tmp_path, note):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 1, 3)), preparation=np.frombuffer(note, np.uint8))
    with pytest.raises(DataError, match="preparation: makes no sense"):
        load(tmp_path / "a.npz")


def test_the_command_line_trains_on_a_table_and_samples_in_its_units(tmp_path, capsys):
    table = np.clip(TABLE, TABLE.mean(axis=0) - 2 * TABLE.std(axis=0), TABLE.mean(axis=0) + 2 * TABLE.std(axis=0))
    path, run = _csv(tmp_path / "a.csv", table), tmp_path / "run"
    assert main(["train", "--data", str(path), "--hidden", "8", "--latent", "2", "--epochs", "2", "--threads", "1", "--out", str(run)]) == 0
    assert "3 columns scaled to [0, 1] by the training rows" in capsys.readouterr().out
    assert main(["sample", str(run), "--n", "7", "--out", str(tmp_path / "s.csv")]) == 0
    rows = list(csv.reader((tmp_path / "s.csv").read_text().splitlines()))
    assert rows[0] == ["age", "height", "income"]
    values = np.array(rows[1:], float)
    assert values.shape == (7, 3)
    assert (values >= table.min(axis=0)).all()
    assert (values <= table.max(axis=0)).all()
    assert main(["sample", str(run), "--n", "7", "--out", str(tmp_path / "s.npz")]) == 0
    with np.load(tmp_path / "s.npz") as found:
        np.testing.assert_allclose(found["images"].reshape(7, 3), values)
    assert main(["evaluate", str(run), "--threads", "1"]) == 0
    note = json.loads((run / "config.json").read_text())["data"]
    np.testing.assert_allclose(undo(note["preparation"], np.zeros((1, 3))), table[hold_out(None, 50)[0]].min(axis=0)[None])
