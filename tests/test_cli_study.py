"""The commands for study, from the command line."""

import json

import pytest

from scratchvae.checks.class_file import class_of
from scratchvae.cli import main
from scratchvae.data import load
from scratchvae.training import fit


def output(capsys, *arguments, status=0):
    """What the command printed; status None accepts any."""
    assert main([str(a) for a in arguments]) == status or status is None
    return capsys.readouterr()


def test_explain_prints_formula_code_and_check(capsys):
    text = output(capsys, "explain", "E17").out
    for words in ("Bernoulli", "def bernoulli_nll", "tests/test_equations.py", "Check  holds"):
        assert words in text
    result = json.loads(output(capsys, "explain", "gaussian_kl", "--json").out)
    assert result["ok"] is True
    assert "no equation E999" in output(capsys, "explain", "E999", status=1).err


def test_trace_writes_one_page(tmp_path, capsys):
    assert str(tmp_path / "t.html") in output(capsys, "trace", "--model", "tiny", "--out", tmp_path / "t.html").out
    assert (tmp_path / "t.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "steps" in json.loads(output(capsys, "trace", "--model", "tiny", "--out", tmp_path / "t.html", "--json").out)


OWN = """
import numpy as np
from scratchvae import nn
from scratchvae.models import Model

class Mine(Model):
    terms = ("error",)

    def __init__(self, data_size, seed=0):
        self.config, self.layer = {"data_size": data_size}, nn.Dense(data_size, data_size, input_gradient=False)
        self.start(seed, np.float32, None)

    def forward(self, x):
        self.d = self.layer.forward(x) - x
        return ((self.d**2).sum(axis=1),)

    def backward(self, derror):
        self.layer.backward(2 * self.d * derror[:, None])

class Broken(Mine):
    def backward(self, derror):
        self.layer.backward(2 * derror[:, None] * d)
"""


def test_trace_shows_a_model_of_ones_own_as_it_starts_or_as_a_run_left_it(tmp_path, capsys):
    file, run = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(OWN, encoding="utf-8")
    traced = lambda *options, **status: output(capsys, "trace", *options, "--out", tmp_path / "t.html", **status)
    told = json.loads(traced("--model", f"{file}:Mine", "--json").out)
    assert told["title"] == "Mine of 615,440 parameters"
    assert told["worst_relative_error"] < 1e-12
    assert "forward-layer" in [step["key"] for step in told["steps"]]
    Mine = class_of(f"{file}:Mine")
    fit(Mine(784, seed=3), load("mnist-small"), out=run, max_steps=1, progress=False)
    again = json.loads(traced("--model", run, "--class", f"{file}:Mine", "--json").out)
    (tmp_path / "t.html").unlink()
    assert again["loss"] != told["loss"]
    assert "it is of a 'Mine', not of a Broken" in traced("--model", run, "--class", f"{file}:Broken", status=1).err
    for target, wrong in ((f"{file}:Broken", "could not be traced: NameError"), (f"{file}:Mien", "did you mean Mine?")):
        assert wrong in traced("--model", target, status=1).err
    file.write_text("class Layer:\n    def forward(self, x): pass\n    def backward(self, dY): pass\n", "utf-8")
    assert "Layer is no Model" in traced("--model", f"{file}:Layer", status=1).err
    assert "--class belongs to the --model of a run" in traced("--class", f"{file}:Layer", status=1).err
    assert not (tmp_path / "t.html").exists()


def test_exercise_from_stub_to_solution(tmp_path, capsys):
    assert "affine" in output(capsys, "exercise", "list").out
    file = output(capsys, "exercise", "start", "affine", tmp_path).out.strip()
    assert "to do" in output(capsys, "exercise", "check", file, status=1).out
    assert "Hint 1" in output(capsys, "exercise", "hint", "affine").out
    solution = output(capsys, "exercise", "solution", "affine").out
    (tmp_path / "affine.py").write_text(solution, encoding="utf-8")
    assert json.loads(output(capsys, "exercise", "check", file, "--json").out)["ok"] is True
    done = {step["name"]: step for step in json.loads(output(capsys, "exercise", "list", tmp_path, "--json").out)}
    assert (done["affine"]["state"], done["relu"]["state"]) == ("done", "")


def test_museum_shows_and_asks(capsys):
    assert "kl-sign" in output(capsys, "museum", "list").out
    names = [row["name"] for row in json.loads(output(capsys, "museum", "list", "--json").out)]
    assert "KL" in output(capsys, "museum", "show", "kl-sign").out
    assert json.loads(output(capsys, "museum", "show", "kl-sign", "--json").out)
    planted = json.loads(output(capsys, "museum", "quiz", "--seed", "3", "--answer", names[0], "--json", status=None).out)
    assert planted["planted"] in names
    assert output(capsys, "museum", "quiz", "--seed", "3", "--answer", planted["planted"]).out.startswith("Right.")
    assert "NAME of a bug, or --all" in output(capsys, "museum", "run", status=1).err
    assert "--json needs --answer" in output(capsys, "museum", "quiz", "--json", status=1).err


def test_gradcheck_takes_a_class_of_ones_own(tmp_path, capsys):
    layer = "class Twice:\n    def forward(self, x):\n        return 2 * x\n    def backward(self, dY):\n        return {} * dY\n"
    (tmp_path / "layer.py").write_text(layer.format(2))
    assert json.loads(output(capsys, "gradcheck", f"{tmp_path}/layer.py:Twice", "--json").out)["ok"] is True
    (tmp_path / "layer.py").write_text(layer.format(1))
    assert "dX" in output(capsys, "gradcheck", f"{tmp_path}/layer.py:Twice", status=1).out


@pytest.mark.parametrize("command", ["museum", "exercise"])
def test_every_action_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert "ACTION" in capsys.readouterr().out
