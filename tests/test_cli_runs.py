"""Runs at the command line: early stopping, which model is meant, data that moved, what a run goes on with, and what is refused."""

import json
import os

import numpy as np
import pytest

from scratchvae.cli import main
from scratchvae.training import RunFolder

FAST = ["--hidden", "8", "--latent", "2", "--threads", "1", "--batch-size", "32"]


def output(capsys, *arguments, status=0):
    assert main([str(a) for a in arguments]) == status
    return capsys.readouterr()


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (200, 6, 5)).astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    np.save(tmp_path / "own.npy", pixels())
    return tmp_path / "own.npy"


@pytest.fixture
def run(tmp_path, data, capsys):
    """A run that stopped early, in a folder that is far from its data."""
    folder = tmp_path / "a" / "b" / "c" / "d" / "run"
    folder.parent.mkdir(parents=True)
    output(capsys, "train", "--data", data, *FAST, "--epochs", "40", "--lr", "0.5", "--patience", "2", "--out", folder)
    return folder


def test_patience_sets_a_tenth_apart_and_says_how_it_ended(tmp_path, data, capsys):
    said = output(capsys, "train", "--data", data, *FAST, "--epochs", "40", "--lr", "0.5", "--patience", "2", "--out", tmp_path / "r").out
    records = [r for r in RunFolder(tmp_path / "r").records() if r["split"] == "validation"]
    best = min(records, key=lambda r: r["loss"])["epoch"]
    assert RunFolder(tmp_path / "r").config()["data"]["splits"] == {"train": 162, "test": 20, "validation": 18}
    assert records[-1]["epoch"] == best + 2
    assert f"epoch {best:g}, the best on the validation images; --no-best takes that of epoch {best + 2:g}, the last" in said
    assert "Stopped early, 2 epochs after the best one; with a larger --patience, `scratchvae resume" in said


def test_evaluate_and_sample_take_the_best_or_the_last_and_say_which(tmp_path, run, capsys):
    figures = {}
    for best in ("--best", "--no-best"):
        said = output(capsys, "evaluate", run, "--split", "validation", best).out
        assert "the best on the validation images" in said
        figures[best] = json.loads(output(capsys, "evaluate", run, "--split", "validation", best, "--json").out)["-ELBO"]["value"]
        told = output(capsys, "sample", run, best, "--out", tmp_path / f"{best}.npz").out
        assert told.splitlines()[1:] == said.splitlines()[-1:]
        told = output(capsys, "trace", "--model", run, best, "--digit", "0", "--out", tmp_path / "t.html").out
        assert told.splitlines()[1:] == said.splitlines()[-1:]
    assert figures["--best"] < figures["--no-best"]
    assert json.loads(output(capsys, "evaluate", run, "--split", "validation", "--json").out)["-ELBO"]["value"] == figures["--best"]
    with np.load(tmp_path / "--best.npz") as a, np.load(tmp_path / "--no-best.npz") as b:
        assert not np.array_equal(a["images"], b["images"])


def test_what_a_run_is_made_of_is_not_replaced_under_another_name(tmp_path, run, capsys):
    """As where names in small and in capital letters are the same file: compared are files, not names."""
    before = {name: (run / name).read_bytes() for name in ("checkpoint.npz", "best.npz")}
    for name in before:
        os.link(run / name, run / name.upper().replace("NPZ", "npz"))
        for other in (name, name.upper().replace("NPZ", "npz")):
            assert "would replace" in output(capsys, "sample", run, "--out", run / other, status=1).err
    assert {name: (run / name).read_bytes() for name in before} == before


def test_a_lost_log_keeps_nobody_from_the_model(tmp_path, run, capsys):
    before = output(capsys, "evaluate", run).out
    (run / "metrics.jsonl").write_bytes(b"\xff\n")
    assert output(capsys, "evaluate", run).out == before
    output(capsys, "sample", run, "--out", tmp_path / "s.npz")


def test_a_model_of_many_layers_is_told_and_drawn(tmp_path, capsys):
    np.save(tmp_path / f"{'n' * 240}.npy", pixels())
    many = ["--hidden", ",".join(["3"] * 300), "--latent", "2", "--threads", "1", "--epochs", "1", "--batch-size", "200"]
    said = output(capsys, "train", "--data", tmp_path / f"{'n' * 240}.npy", *many, "--out", tmp_path / "deep").out
    assert "VAE 30-3-3-3-… 296 more …-3-2 on" in said


def test_a_run_survives_the_move_of_its_data(tmp_path, data, run, capsys):
    before = output(capsys, "evaluate", run).out
    moved = tmp_path / "elsewhere" / "renamed.npy"
    moved.parent.mkdir()
    data.rename(moved)
    for command in (["evaluate", run], ["plot", run], ["resume", run, "--patience", "3"]):
        assert f"the data of {run} are no longer at {data}: say with --data" in output(capsys, *command, status=1).err
    np.save(tmp_path / "other.npy", pixels(1))
    for command in (["evaluate", run], ["plot", run], ["resume", run]):
        refused = output(capsys, *command, "--data", tmp_path / "other.npy", status=1).err
        assert f"other.npy is not what {run} was trained on: it had the fingerprint" in refused
    assert output(capsys, "evaluate", run, "--data", moved).out.replace("renamed.npy", "own.npy") == before
    assert "loss.png" in output(capsys, "plot", run, "--data", moved).out
    output(capsys, "resume", run, "--data", moved, "--patience", "3", "--threads", "1")
    assert output(capsys, "evaluate", run).out  # resume keeps where they are now


def test_other_data_begin_a_chapter_that_info_tells(tmp_path, run, capsys):
    np.save(tmp_path / "other.npy", pixels(1)[:150])
    more = ["--data", tmp_path / "other.npy", "--epochs", 20, "--lr", "0.001", "--threads", "1"]
    assert "--other-data" not in output(capsys, "resume", run, *more, "--other-data").err
    first, second = [line for line in output(capsys, "info", run).out.splitlines() if line.startswith("chapter")]
    assert "lr 0.5" in first
    assert "seed 0" in first
    assert second.startswith("chapter 2, from step ")
    assert "lr 0.001" in second
    assert "data other.npy" in second
    assert "batch_size" not in second


def test_a_time_budget_is_kept_and_told(tmp_path, data, capsys):
    run = tmp_path / "run"
    said = output(capsys, "train", "--data", data, *FAST, "--epochs", "2000000", "--time", "0.5s", "--out", run).out
    assert f"of 2000000 epochs; go on with: scratchvae resume {run}" in said
    step = RunFolder(run).records()[-1]["step"]
    output(capsys, "resume", run, "--time", "0.3s", "--threads", "1")
    assert RunFolder(run).records()[-1]["step"] > step


@pytest.mark.parametrize("text", ["10", "m", "-1s", "0m", "1d", "nans", ""])
def test_a_time_that_is_none_is_wrong_usage(text, capsys):
    assert "--time" in output(capsys, "train", "--time", text, status=2).err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--tf32"], "tf32 belongs to the cupy backend"),
        (["train", "--no-graph"], "--no-graph belongs to the cupy backend"),
        (["train", "--clip", "0"], "clip must be a finite number above 0"),
        (["train", "--hidden", "2000000000"], "fewer or narrower layers"),
        (["train", "--epochs", "2147483647", "--batch-size", "1"], "too many"),
    ],
)
def test_what_cannot_be_is_refused_before_a_word_is_printed_or_a_folder_made(tmp_path, arguments, words, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = output(capsys, *arguments, status=1)
    assert words in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_go_on_so_is_left_as_it_is(run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}
    done = int(RunFolder(run).records()[-1]["epoch"])
    assert f"{done} epochs are done" in output(capsys, "resume", run, "--epochs", 1, status=1).err
    assert "--no-graph belongs" in output(capsys, "resume", run, "--no-graph", status=1).err
    assert "ask for more --epochs" in output(capsys, "resume", run, "--epochs", done, "--lr", "0.1", status=1).err
    assert "--seed" in output(capsys, "resume", run, "--seed", 1, status=2).err
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"} == before


def test_one_epoch_is_one(tmp_path, data, capsys):
    assert "1 epoch →" in output(capsys, "train", "--data", data, *FAST, "--epochs", "1", "--out", tmp_path / "run").out
