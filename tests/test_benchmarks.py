"""The benchmark harness, run for real with the peers that need NumPy alone."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchvae.timing import Summary, read_result

ROOT = Path(__file__).resolve().parent.parent
TINY = ["--rounds", "2", "--steps", "2", "--warm-up", "2", "--lead-in", "0", "--quiet", "1000"]
TINY += ["--widths", "8", "--batch-sizes", "16", "--threads", "1"]


def race(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "race.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """Everything at the base cell, and the step at a second batch size, as (process, result)."""
    path = tmp_path_factory.mktemp("race") / "result.json"
    arguments = [*TINY, "--batch-sizes", "16,32", "--peers", "ours,matmul", "--what", "all", "--out", str(path)]
    return race(*arguments), read_result(path)


def test_each_kind_of_work_is_raced_once_and_the_step_in_every_cell(raced):
    process, result = raced
    assert process.returncode == 0, process.stderr
    kinds = [(one["what"], one["batch_size"]) for one in result["races"]]
    assert kinds == [("step", 16), ("epoch", 16), ("evaluate", 16), ("sample", 16), ("step", 32)]
    assert result["left_out"] == {}


def test_summaries_and_ratios_follow_from_the_samples(raced):
    _, result = raced
    for one in result["races"]:
        ours, floor = one["peers"]["ours"], one["peers"]["matmul"]
        for peer in (ours, floor):
            assert len(peer["samples_ms"]) == one["rounds"] == 2
            assert min(peer["samples_ms"]) > 0
            expected = Summary.of(peer["samples_ms"]).as_dict("ms")
            assert {key: peer[key] for key in expected} == expected
            assert peer["peak_memory_MiB"] is None or peer["peak_memory_MiB"] > 10
        pairs = zip(ours["samples_ms"], floor["samples_ms"], strict=True)
        assert floor["ours_to_this_ratio"]["samples"] == [a / b for a, b in pairs]
        assert "ours_to_this_ratio" not in ours


def test_the_loss_is_read_in_nats_per_image_and_falls(raced):
    """At the start an image costs about 784 ln 2 = 543 nats; an epoch of steps must leave fewer."""
    _, result = raced
    losses = {one["what"]: one["peers"]["ours"]["last_loss_nats"] for one in result["races"][:4]}
    assert 600 > losses["step"] > losses["epoch"] > 0
    assert losses["sample"] is None
    assert abs(losses["evaluate"] - losses["epoch"]) < 30  # one more pass over nearly the same images


def test_a_result_names_no_place_on_the_machine(raced):
    _, result = raced
    text = json.dumps(result)
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text


def test_json_is_all_that_is_printed():
    process = race(*TINY, "--peers", "matmul-shards", "--json")
    result = json.loads(process.stdout)
    assert result["format"] == "scratchvae-benchmark"
    assert list(result["races"][0]["peers"]) == ["matmul-shards"]
    assert result["races"][0]["best_peer"] is None


def test_a_peer_that_cannot_start_is_left_out_by_name(tmp_path):
    """A torch that fails on import stands in for one that is not installed."""
    (tmp_path / "torch.py").write_text("raise ImportError('no such library')\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "benchmarks" / "race.py"), *TINY, "--peers", "torch,matmul", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    result = json.loads(process.stdout)
    assert result["left_out"] == {"torch": "cannot be imported: no such library"}
    assert list(result["races"][0]["peers"]) == ["matmul"]


def test_another_python_runs_a_peer_with_packages_of_its_own(tmp_path):
    """A Python whose NumPy says it is 9.9 stands in for one with other libraries."""
    (tmp_path / "sitecustomize.py").write_text("import numpy\nnumpy.__version__ = '9.9'\n", encoding="utf-8")
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n', encoding="utf-8")
    other.chmod(0o755)
    process = race(*TINY, "--python", f"other={other}", "--peers", "ours,ours@other,matmul", "--json")
    result = json.loads(process.stdout)
    assert "called other" in result["peers"]["ours@other"]
    assert str(tmp_path) not in process.stdout
    (one,) = result["races"]
    assert [peer["versions"]["numpy"] == "9.9" for peer in one["peers"].values()] == [False, True, False]
    assert one["peers"]["ours@other"]["ours_to_this_ratio"]["median"] > 0
    assert one["best_peer"] is None  # ours in another Python is not a rival


def test_a_python_that_is_unknown_or_missing_is_refused():
    assert "ours@other needs --python other=PATH" in race("--peers", "ours@other").stderr
    assert "give NAME=PATH" in race("--python", "other=/no/such/python").stderr


def test_unknown_peers_and_impossible_sizes_are_refused():
    assert "no peer called tensor" in race("--peers", "tensor").stderr
    assert "must be 1 or more" in race("--threads", "0").stderr


def test_figures_are_drawn_for_each_kind_and_each_axis(raced, tmp_path):
    _, result = raced
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    command = [sys.executable, str(ROOT / "benchmarks" / "plot.py"), str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    drawn = {file.name for file in tmp_path.glob("*.png")}
    kinds = ("step", "epoch", "evaluate", "sample", "by_batch_size")
    assert drawn == {f"result_{kind}.png" for kind in kinds}


def test_two_workers_beside_busy_loops_are_compared_with_one_and_with_two_that_always_share(tmp_path):
    path = tmp_path / "busy.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "busy.py"), "--loads", "0,1", "--sizes", "8x16", "--rounds", "2"]
    command += ["--seconds", "0.05", "--settle", "0.05", "--out", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr
    cells = read_result(path)["cells"]
    assert [(cell["busy_loops"], cell["width"], cell["batch_size"]) for cell in cells] == [(0, 8, 16), (1, 8, 16)]
    for cell in cells:
        medians = {name: told["median_ms"] for name, told in cell["contestants"].items()}
        two = medians.pop("two workers")
        assert list(medians) == ["one worker", "two workers that always share"]
        assert cell["two_to_better_choice"] == two / min(medians.values())
        assert all(len(told["samples_ms"]) == 2 for told in cell["contestants"].values())
        assert cell["others_cores"]["n"] == 6


def test_convolutional_networks_are_raced_from_the_same_weights(tmp_path):
    path = tmp_path / "convolution.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "convolution.py"), "--nets", "conv-vae,unet-16", "--peers", "ours"]
    command += [*TINY[:10], "--batch-size", "2", "--threads", "1", "--out", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr
    result = read_result(path)
    assert [one["net"] for one in result["races"]] == ["conv-vae", "unet-16"]
    assert result["left_out"] == {}
    assert all(one["peers"]["ours"]["check_loss_nats"] > 0 for one in result["races"])


# The U-Net's ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def unet(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.unet")


def test_errors_by_scale_are_parts_of_the_squared_error(unet):
    random = np.random.default_rng(0)
    predicted, clean = random.uniform(size=(2, 3, 40, 40))
    parts = unet.by_scale(predicted, clean)
    assert list(parts) == ["8", "4", "2", "1"]
    assert sum(parts.values()) == pytest.approx(((predicted - clean) ** 2).sum() / 3)
    checker = clean + np.indices((40, 40)).sum(axis=0) % 2 - 0.5  # pixel by pixel, and right in the mean of any square
    assert unet.by_scale(checker, clean)["1"] == pytest.approx(400)
    assert sum(unet.by_scale(checker, clean).values()) == pytest.approx(400)


def test_wrong_pixels_are_counted_at_borders_and_elsewhere(unet):
    truth = np.zeros((1, 4, 6), int)
    truth[:, :, 3:] = 1  # columns 2 and 3 are at the border
    wrong = truth.copy()
    wrong[0, 0, 3] = wrong[0, 0, 0] = wrong[0, 1, 0] = 2
    assert unet.by_place(wrong, truth) == {"at a border": 1 / 8, "elsewhere": 2 / 16}
    assert unet.ink(wrong, truth) == 2 * 12 / (12 + 14)


def test_a_skip_that_carries_nothing_but_its_mean_is_missed_by_nobody(unet):
    model = unet.UNet((8, 8), 2, 2, classes=3)
    flat, random = np.full((3, 64), 0.5, np.float32), np.random.default_rng(0).uniform(size=(3, 64)).astype(np.float32)
    for module in (model.net.layers[1].layers[0], model.net.layers[1].layers[2]):
        module.W.value[:], module.b.value[:] = 0, 1  # what the outer skip is given is the same everywhere
    outer, inner = unet.silenced(model, random)
    assert np.array_equal(outer, model.predict(random))
    assert [one.shape for one in unet.silenced(model, flat)] == [(3, 8, 8)] * 2
