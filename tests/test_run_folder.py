"""A run folder: what it holds, that it is believed only as a whole, and that it survives kills, moves and damage."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from scratchvae import cli
from scratchvae.data import load
from scratchvae.data.loading import load_again
from scratchvae.errors import CheckpointError, ConfigError, NonFiniteError, RunFolderError, RunWarning, ScratchVAEError
from scratchvae.files import only_writer
from scratchvae.models import VAE
from scratchvae.training import RunFolder, checkpoint, first_model, fit, load_model, resume
from scratchvae.training.checkpoint import read_checkpoint, read_run
from scratchvae.training.schema import loads

OPTIONS = {"epochs": 2, "batch_size": 10, "log_every": 4, "progress": False, "threads": 1}


@pytest.fixture
def on_disk(tmp_path):
    """A function that writes the same small .npy at a place of tmp_path → its Dataset"""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8)

    def write(place="images.npy"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        np.save(tmp_path / place, images)
        return load(tmp_path / place)

    return write


@pytest.fixture
def cut(tmp_path, tiny_data, tiny_vae):
    """The folder of a run that stopped after step 7 of 12"""
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", max_steps=7, **OPTIONS)
    return RunFolder(tmp_path / "run")


def whole(tmp_path, data, model):
    """The folder of the same run that never stopped"""
    fit(model, data, out=tmp_path / "whole", **OPTIONS)
    return RunFolder(tmp_path / "whole")


def without_times(folder):
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in folder.records()]


def same(a, b):
    return a.checkpoint_path.read_bytes() == b.checkpoint_path.read_bytes() and without_times(a) == without_times(b)


def go_on(folder, data, **options):
    return resume(load_model(folder.path), data, folder.path, progress=False, threads=1, **options)


# One writer -----------------------------------------------------------------------------------------------------------


def test_a_run_has_one_writer_and_any_number_of_readers(cut, tiny_data, tiny_vae):
    before = {path.name: path.read_bytes() for path in cut.path.iterdir()}
    with only_writer(cut.path / ".lock"):
        with pytest.raises(RunFolderError, match=f"is being written by process {os.getpid()} "):
            go_on(cut, tiny_data)
        for command in (["plot", cut.path], ["sample", cut.path]):
            assert cli.main([*map(str, command)]) == 1
        load_model(cut.path)
        assert cli.main(["info", str(cut.path)]) == 0
    assert {name: data for name, data in before.items() if name != ".lock"} == {
        path.name: path.read_bytes() for path in cut.path.iterdir() if path.name != ".lock"
    }
    go_on(cut, tiny_data)


def test_nobody_else_may_begin_a_run_in_a_folder_where_one_begins(tmp_path, tiny_data, tiny_vae):
    (tmp_path / "run").mkdir()
    with only_writer(tmp_path / "run" / ".lock"), pytest.raises(RunFolderError, match="is being written by"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", **OPTIONS)


# Kills ----------------------------------------------------------------------------------------------------------------


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path, tiny_data, tiny_vae):
    reference = whole(tmp_path, tiny_data, tiny_vae())
    for left in (["config.json"], ["config.json", "metrics.jsonl"]):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        (tmp_path / "run").mkdir()
        folder = RunFolder(tmp_path / "run")
        for name in left:
            shutil.copy(reference.path / name, folder.path)
        (folder.path / f".checkpoint.npz.{'0' * 16}.part.npz").write_bytes(b"half")
        with pytest.raises(CheckpointError, match="no such checkpoint: `scratchvae resume"):
            load_model(folder.path)
        resume(first_model(folder.path), tiny_data, folder.path, progress=False, threads=1)
        assert same(folder, reference)
        assert sorted(os.listdir(folder.path)) == [".lock", "checkpoint.npz", "config.json", "metrics.jsonl"]


def test_a_run_killed_before_its_first_checkpoint_does_not_begin_again_from_another_model(tmp_path, tiny_data, tiny_vae):
    model = tiny_vae()
    model.buffer.values += 1  # not what its seed gives: no configuration knows these values
    fit(model, tiny_data, out=tmp_path / "run", max_steps=0, **OPTIONS)
    (tmp_path / "run" / "checkpoint.npz").unlink()
    with pytest.raises(CheckpointError, match="began from other values than its seed's"):
        first_model(tmp_path / "run")
    with pytest.raises(RunFolderError, match="not the model that it began with"):
        resume(tiny_vae(), tiny_data, tmp_path / "run", progress=False)


def test_a_folder_left_by_a_kill_before_its_configuration_can_be_used(tmp_path, tiny_data, tiny_vae):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("process 1\n")
    (tmp_path / "run" / f".config.json.{'0' * 16}.part.json").write_text("{")
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", **OPTIONS)
    assert sorted(os.listdir(tmp_path / "run")) == [".lock", "checkpoint.npz", "config.json", "metrics.jsonl"]


def test_a_change_killed_between_checkpoint_and_configuration_is_completed(tmp_path, cut, tiny_data, monkeypatch):
    old = cut.config_path.read_bytes()
    monkeypatch.setattr(RunFolder, "write_config", lambda self, config: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        go_on(cut, tiny_data, epochs=3)
    monkeypatch.undo()
    assert cut.config_path.read_bytes() == old
    config, state, _ = read_run(cut)
    assert (config["training"]["epochs"], state["step"]) == (3, 7)
    go_on(cut, tiny_data)
    assert cut.config()["training"]["epochs"] == 3
    assert read_checkpoint(cut.checkpoint_path)[0]["step"] == 18


def test_a_reader_that_meets_a_change_between_its_two_files_looks_again(cut, tiny_data, monkeypatch):
    whole, reads = RunFolder.config, []

    def config(self):
        found = whole(self)
        if not reads:  # the reader has config.json, and the writer is quicker than its next look
            reads.append(found)
            go_on(cut, tiny_data, epochs=3)
        return found

    monkeypatch.setattr(RunFolder, "config", config)
    found, state, _ = read_run(cut)
    assert (found["training"]["epochs"], state["step"]) == (3, 18)


# Moves ----------------------------------------------------------------------------------------------------------------


def test_the_same_data_elsewhere_give_the_same_checkpoint(tmp_path, on_disk, tiny_vae):
    for name in ("a", "b"):
        fit(tiny_vae(), on_disk(f"{name}/images.npy"), out=tmp_path / f"run-{name}", **OPTIONS)
    a, b = ((tmp_path / f"run-{name}" / "checkpoint.npz").read_bytes() for name in ("a", "b"))
    assert a == b
    assert str(tmp_path).encode() not in a


def test_a_run_finds_its_data_after_either_or_both_have_moved(tmp_path, on_disk, tiny_vae):
    fit(tiny_vae(), on_disk("project/images.npy"), out=tmp_path / "project" / "runs" / "1", max_steps=3, **OPTIONS)
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    shutil.move(tmp_path / "copy" / "runs" / "1", tmp_path / "alone")
    told = RunFolder(tmp_path / "alone").config()["data"]
    assert told["location"] == str(tmp_path / "project" / "images.npy")  # the run alone has moved
    shutil.move(tmp_path / "project", tmp_path / "elsewhere")
    folder = RunFolder(tmp_path / "elsewhere" / "runs" / "1")  # both have
    assert folder.config()["data"]["location"] == str(tmp_path / "elsewhere" / "images.npy")
    assert cli.main(["resume", str(folder.path), "--threads", "1"]) == 0


# Damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:-20]], "1 line could not be read and was dropped"),  # as on a full disk
        (lambda lines: [*lines, b'{"split": "train", "step": 8, "epoch": 1.3, "loss": 1e9}\n'], None),  # after the checkpoint
        (lambda lines: [lines[0][:50], *lines[1:]], "1 line could not be read and was dropped"),
        (lambda lines: [b"\0" * 100, b"\n", *lines], "2 lines could not be read and were dropped"),
        (lambda lines: [*lines, b"[" * 100_000], "1 line could not be read"),
        (lambda lines: [*lines, b'{"split": "train", "step": 7, "epoch": NaN, "loss": 1}\n'], "1 line could not be read"),
        (lambda lines: None, "metrics.jsonl was missing: it begins anew after step 7"),
    ],
)
def test_metrics_are_mended_from_what_the_checkpoint_knows(tmp_path, cut, tiny_data, tiny_vae, damage, words):
    reference = whole(tmp_path, tiny_data, tiny_vae())
    lines = damage(cut.metrics_path.read_bytes().splitlines(keepends=True))
    cut.metrics_path.unlink() if lines is None else cut.metrics_path.write_bytes(b"".join(lines))
    if words is None:
        go_on(cut, tiny_data)
    else:
        with pytest.warns(RunWarning, match=words) as warned:
            go_on(cut, tiny_data)
        assert len(warned) == 1
    assert cut.checkpoint_path.read_bytes() == reference.checkpoint_path.read_bytes()
    told, wanted = without_times(cut), without_times(reference)
    assert json.loads(cut.metrics_path.read_text().splitlines()[0]) == json.loads(reference.metrics_path.read_text().splitlines()[0])
    assert [r for r in told if r["step"] > 7] == [r for r in wanted if r["step"] > 7]
    assert all(r in wanted for r in told)


def test_a_note_on_what_was_mended_is_one_line_of_the_command(tmp_path, on_disk, tiny_vae, capsys):
    fit(tiny_vae(), on_disk(), out=tmp_path / "run", max_steps=3, **OPTIONS)
    (tmp_path / "run" / "metrics.jsonl").unlink()
    assert cli.main(["resume", str(tmp_path / "run"), "--threads", "1"]) == 0
    assert f"scratchvae: note: {tmp_path / 'run' / 'metrics.jsonl'} was missing: it begins anew after step 3\n" in capsys.readouterr().err


def test_a_last_line_that_is_being_written_is_no_damage_to_a_reader(cut):
    before = cut.records()
    with open(cut.metrics_path, "a") as file:
        file.write('{"split": "tr')
    assert cut.records() == before


def test_a_number_that_is_not_finite_never_goes_into_a_file(cut):
    before = cut.metrics_path.read_bytes()
    with pytest.raises(NonFiniteError, match="loss of the test split is nan after step 8"):
        cut.append({"split": "test", "step": 8, "epoch": 1.0, "loss": float("nan")})
    assert cut.metrics_path.read_bytes() == before
    with pytest.raises(ConfigError):
        cut.write_config({**cut.config(), "environment": {"x": float("inf")}})
    for text in ("NaN", "[Infinity]", '{"a": -Infinity}', "1e999"):
        with pytest.raises(ValueError, match="not finite"):
            loads(text)


def test_a_flipped_bit_of_the_configuration_is_refused_or_changes_nothing_that_the_checkpoint_knows(cut):
    content = cut.config_path.read_bytes()
    good, held = cut.config(), read_checkpoint(cut.checkpoint_path)[1]
    told, generator = [], np.random.default_rng(0)
    for bit in generator.choice(8 * len(content), 1500, replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        cut.config_path.write_bytes(flipped)
        try:
            config = cut.config()
            config = cut.agree(config, held)
        except ScratchVAEError as error:
            told.append(str(error).removeprefix(str(cut.path)))
            continue
        assert {**config, "environment": 0} == {**good, "environment": 0}
    assert len(told) > 1000
    assert max(map(len, told)) <= 500
    assert not any("\n" in text for text in told)


def test_a_configuration_of_another_run_is_refused_before_anything_is_written(tmp_path, cut, tiny_data, tiny_vae):
    fit(tiny_vae(), tiny_data, out=tmp_path / "other", max_steps=7, **{**OPTIONS, "lr": 0.081})
    shutil.copy(tmp_path / "other" / "config.json", cut.path)
    before = {path.name: path.read_bytes() for path in cut.path.iterdir()}
    words = "config.json and checkpoint.npz differ: training.lr is 0.081 in one and 0.001 in the other"
    with pytest.raises(RunFolderError, match=words):
        load_model(cut.path)
    with pytest.raises(RunFolderError, match=words):
        resume(tiny_vae(), tiny_data, cut.path, progress=False)
    assert {path.name: path.read_bytes() for path in cut.path.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("model"), "config lacks model"),
        (lambda c: c.update(colour=1), "config has an unknown 'colour'"),
        (lambda c: c["data"].update(name=5), "config.data.name must be a text, not 5"),
        (lambda c: c["data"].update(image_shape=[4, -3]), r"config.data.image_shape must be \[height, width\]"),
        (lambda c: c["data"].update(image_shape=[1 << 40, 1 << 40]), "image_shape"),
        (lambda c: c["data"].update(fingerprint="abc"), "fingerprint must be a text"),
        (lambda c: c.update(backend="tpu"), "backend must be numpy or cupy, not 'tpu'"),
        (lambda c: c["training"].update(lr="fast"), "lr must be a finite number"),
        (lambda c: c["training"].update(shards=True), "shards"),
        (lambda c: c["training"].pop("clip"), "clip is missing"),
        (lambda c: c["model"].update(seed=-1), "seed must be a whole number of at least 0"),
        (lambda c: c.update(history=[{}]), r"history\[0\] lacks"),
        (lambda c: c.update(environment=[]), "environment must be names with values"),
        (lambda c: c.update(version=3), "not a run of version 1 or 2"),
        (lambda c: c.update(version=[2]), "not a run of version 1 or 2"),
    ],
)
def test_a_configuration_is_checked_as_a_whole_and_the_place_is_named(cut, change, words):
    config = json.loads(cut.config_path.read_text())
    change(config)
    cut.config_path.write_text(json.dumps(config))
    with pytest.raises(RunFolderError, match=words):
        cut.config()


@pytest.mark.parametrize(
    "change", [{"hidden": [3_000_000_000]}, {"latent": 2**40}, {"data_size": 2**31}, {"hidden": [8] * 3000}, {"hidden": [[8]]}, {"seed": 1}]
)
def test_sizes_are_compared_with_the_file_before_anything_is_allocated(cut, change):
    state, config, arrays = read_checkpoint(cut.checkpoint_path)
    config["model"]["config"].update(change)
    from scratchvae.training.checkpoint import model_of

    with pytest.raises(CheckpointError, match="describes no model|is missing|and this model's is"):
        model_of("c.npz", config, arrays)


# Other versions -------------------------------------------------------------------------------------------------------


def test_a_run_of_version_1_goes_on(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 3), np.uint8)
    np.save(tmp_path / "tiny.npy", images)
    folder = RunFolder(shutil.copytree(Path(__file__).with_name("run_of_version_1"), tmp_path / "run"))
    data = load_again(folder.config()["data"], tmp_path / "tiny.npy")
    go_on(folder, data)
    # It began on another machine, whose products may round another way; Adam divides such differences by their own size.
    reference = VAE(12, (4,), 2, seed=3)
    fit(reference, data, epochs=2, batch_size=10, log_every=2, progress=False)
    np.testing.assert_allclose(load_model(folder.path).buffer.values, reference.buffer.values, atol=1e-5)
    assert [r["step"] for r in folder.records()] == [2, 4, 4, 6, 8, 8]
    assert folder.config()["version"] == 2


def test_errors_in_a_checkpoint_are_one_short_line_whatever_it_holds(tmp_path, cut):
    long = "x" * 60_000
    np.savez(tmp_path / "names.npz", **{long: np.zeros(1)})
    np.savez(tmp_path / "note.npz", note=np.frombuffer(b"[" * 200_000, np.uint8))
    np.savez(tmp_path / "list.npz", note=np.frombuffer(b"[]", np.uint8))
    state, config, arrays = read_checkpoint(cut.checkpoint_path)
    write_note(tmp_path / "state.npz", {"config": config}, arrays)
    write_note(tmp_path / "step.npz", {"config": config, "state": {"step": -1}}, arrays)
    write_note(tmp_path / "nan.npz", {"config": config, "state": state}, {**arrays, long: np.full(3, np.nan)})
    for name in ("names", "note", "list", "state", "step", "nan"):
        with pytest.raises(CheckpointError, match=f"{name}.npz: ") as caught:
            read_checkpoint(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) <= 500, name


def write_note(path, note, arrays):
    """A checkpoint that holds whatever is asked for, with a checksum that fits."""
    from scratchvae.training.checkpoint import FORMAT, VERSION, _checksum

    note = {"format": FORMAT, "version": VERSION, **note}
    note["checksum"] = _checksum(note, arrays)
    np.savez(path, note=np.frombuffer(json.dumps(note).encode(), np.uint8), **arrays)


def test_a_whole_checkpoint_with_sums_of_another_run_is_refused(cut, tiny_data):
    state, config, arrays = read_checkpoint(cut.checkpoint_path)
    state["window"] = {"images": 30, "other": 1.0}
    note = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, "state": state, "config": config}
    note["checksum"] = checkpoint._checksum(note, arrays)
    np.savez(cut.checkpoint_path, note=np.frombuffer(json.dumps(note).encode(), np.uint8), **arrays)
    with pytest.raises(CheckpointError, match="its step or the sums of its log line are not of this run"):
        go_on(cut, tiny_data)


def test_what_is_no_run_folder_is_not_written_into(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder: it has no config.json"), RunFolder(tmp_path).writing():
        pass
    assert not list(tmp_path.iterdir())
