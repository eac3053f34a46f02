"""Odd command lines: no traceback, no wrong success, no hang; each error is one line of at most 500 characters."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from scratchvae.cli import NOTES, main
from scratchvae.cli.output import LIMIT

ODD = ["", " ", "abc", "-1", "0", "1.5", "nan", "inf", "1e400", "9" * 30, "9" * 5000, "0x10", "None", "\x1b[31m", "a\nb", "{{x}}", "%s",
       "日本", "nul\0"]  # fmt: skip
NO_WHOLE = [odd for odd in ODD if odd != "0"]  # a count or a seed refuses these, and all but seeds refuse 0, too
PATHS = ["empty.npz", "empty.npy", "text.txt", "folder", "loop", "dangling", "/dev/null", "/dev/full", "x" * 300, "x" * 5000, "a/b/c",
         "x.npy/x", "a\nb.npy", "\x1b[31mred.npy", "nul\0", ""]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with things that are not what they seem, made the working one."""
    folder, before = tmp_path_factory.mktemp("odd"), os.getcwd()
    os.chdir(folder)
    np.save("x.npy", np.random.default_rng(0).integers(0, 255, (40, 4, 3), np.uint8))
    for name in ("empty.npz", "empty.npy", "a\nb.npy", "\x1b[31mred.npy"):
        open(name, "w").close()
    with open("text.txt", "w") as file:
        file.write("hello")
    with open("ends.py", "w") as file:
        file.write("class Ends:\n    def forward(self, x):\n        raise SystemExit(0)\n    def backward(self, dY):\n        return dY\n")
    for name in ("folder", "folder.npz", "folder.html"):
        os.mkdir(name)
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    assert main(["train", "--data", "x.npy", "--epochs", "1", "--hidden", "4", "--latent", "2", "--threads", "1", "--out", "run"]) == 0
    yield folder
    os.chdir(before)


def refused(arguments, capsys, status):
    """What the one line of the error says."""
    assert main(arguments) == status, arguments
    told = capsys.readouterr()
    assert told.out == "" or arguments[-2] == "--out"  # a folder in use is known when the run is made
    assert told.err.endswith("\n")
    assert told.err.count("\n") == 1
    assert len(told.err) <= LIMIT + len("scratchvae: error: \n")
    assert not set(told.err) & {"\x1b", "\0"}
    return told.err


OF_TRAIN = ("--epochs", "--batch-size", "--every", "--shards", "--log-every", "--latent", "--hidden", "--threads")
COUNTS = [
    *(["train", option] for option in OF_TRAIN),
    *(["resume", "run", option] for option in ("--epochs", "--threads")),
    *(["evaluate", "run", option] for option in ("--samples", "--threads")),
    ["sample", "run", "--n"], ["bench", "--rounds"], ["bench", "--batch-size"], ["exercise", "hint", "affine"],
]  # fmt: skip
SEEDS = [["train", "--seed"], ["evaluate", "run", "--seed"], ["sample", "run", "--seed"], ["trace", "--seed"], ["gradcheck", "--seed"],
         ["museum", "quiz", "--seed"], ["train", "--warmup"]]  # fmt: skip
NUMBERS = [["train", option] for option in ("--lr", "--factor", "--weight-decay", "--clip", "--sigma", "--beta")]
CHOICES = [["train", option] for option in ("--model", "--likelihood", "--init", "--schedule", "--backend")]


@pytest.mark.parametrize("start", [*COUNTS, *SEEDS, *NUMBERS, *CHOICES, ["evaluate", "run", "--split"], []], ids=" ".join)
def test_a_value_that_an_option_cannot_have_is_wrong_usage(start, place, capsys):
    if start in NUMBERS:
        values = [odd for odd in ODD if odd not in ("-1", "0", "1.5", "9" * 30)]
    else:
        values = [odd for odd in NO_WHOLE if start != ["train", "--hidden"] or odd.strip()]
    for value in values:
        if start in SEEDS and value == "9" * 30 and start[-1] == "--warmup":
            continue
        assert f"{' '.join(['scratchvae', *start[:1]])}" in refused([*start, value], capsys, 2)
    if start in COUNTS:
        refused([*start, "0"], capsys, 2)


READERS = [["data"], ["train", "--data"], ["info"], ["evaluate"], ["plot"], ["resume"], ["sample"], ["trace", "--model"],
           ["exercise", "list"], ["exercise", "check"], ["gradcheck"]]  # fmt: skip


@pytest.mark.parametrize("start", READERS, ids=" ".join)
def test_a_path_to_something_else_is_told_in_one_line(start, place, capsys):
    for path in PATHS:
        if start == ["exercise", "list"] and path == "folder" or start == ["gradcheck"] and path.endswith((".npy", ".npz")):
            continue  # a folder is right; a file that is empty is a file of Python without a class: below
        refused([*start, path], capsys, 2 if path in ("", "nul\0") else 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "run", "--out", "run/checkpoint.npz"], "would replace run/checkpoint.npz"),
        (["sample", "run", "--out", "folder.npz"], "is a folder"),
        (["sample", "run", "--out", "s.gif"], "must end in"),
        (["sample", "run", "--n", "10001"], "at most 10,000 images"),
        (["data", "x.npy", "--out", "x.npy"], "must end in .npz"),
        (["trace", "--model", "tiny", "--out", "x.npy"], "must end in .html"),
        (["trace", "--model", "tiny", "--out", "folder.html"], "is a folder"),
        (["gradcheck", "ends.py:Ends"], "ends Python, by SystemExit(0)"),
        (["gradcheck", "ends.py:Nope"], "has no Nope"),
        (["gradcheck", "empty.npy"], "holds no class"),
        (["explain", "9" * 5000], "there is no equation"),
        (["explain", "0"], "E1 to E"),
        (["museum", "show", "klsign"], "did you mean kl-sign?"),
        (["museum", "run", "--all", "kl-sign"], "NAME of a bug, or --all"),
        (["museum", "run", "kl-sign", "--out", "text.txt"], "text.txt is a file, where a folder is needed"),
        (["exercise", "start", "afine", "course"], "did you mean affine?"),
        (["exercise", "start", "affine", "text.txt"], "text.txt"),
        (["train", "--data", "x.npy", "--out", "run"], "run"),
        (["train", "--data", "x.npy", "--out", "text.txt"], "text.txt"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_what_cannot_work_is_told_in_one_line(arguments, words, place, capsys):
    assert words in refused(arguments, capsys, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "did you mean train?"),
        (["train", "--epohcs", "3"], "did you mean --epochs?"),
        (["museum", "quizz"], "did you mean quiz?"),
        (["museum", "quiz", "y"], "scratchvae museum quiz: error: there is no option or place for 'y'"),
        (["train", "extra"], "no option or place for 'extra'"),
        (["train", "--lr"], "expected one argument"),
        (["evaluate"], "required: RUN"),
        (["exercise"], "ACTION"),
    ],
)
def test_wrong_usage_names_what_was_perhaps_meant(arguments, words, capsys):
    assert words in refused(arguments, capsys, 2)


def test_a_name_with_controls_and_ends_of_line_is_shown_and_not_obeyed(place, capsys):
    name = "nl\n\x1b[2J{{x}}%s\udcff.npy"
    shutil.copy("x.npy", name)
    assert main(["data", name]) == 0
    told = capsys.readouterr().out
    assert told.startswith("nl\\n\\x1b[2J{{x}}%s")
    assert main(["train", "--data", name, "--epochs", "1", "--hidden", "4", "--latent", "2", "--threads", "1", "--out", "odd"]) == 0
    assert main(["trace", "--model", "odd", "--out", "odd.html"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_help_names_each_variable_and_status_that_the_page_does():
    page = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    for word in ("SCRATCHVAE_DATA", "SCRATCHVAE_OFFLINE=1", "SCRATCHVAE_TRACEBACK=1", "PYTHONUTF8=1", "COLUMNS", "NO_COLOR"):
        assert word in page
        assert word in NOTES["environment"] or word == "COLUMNS"
