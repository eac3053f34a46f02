"""The command line does what Python does, says what it did, and fails in one clear line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchvae.cli import main
from scratchvae.evaluate import measure
from scratchvae.training import RunFolder, fit, load_model

FAST = ["--hidden", "16", "--latent", "2", "--epochs", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A small .npz of images of one's own: 200 of 6 x 5 pixels, with labels."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "own.npz"
    labels = generator.integers(0, 10, 200)
    np.savez(path, images=(generator.random((200, 6, 5)) * 255).astype(np.uint8), labels=labels)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, images):
    """A finished run folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--data", str(images), *FAST, "--out", str(folder)]) == 0
    return folder


def output(capsys, *arguments, status=0):
    assert main([str(a) for a in arguments]) == status
    return capsys.readouterr()


def test_train_names_the_figures_to_open_and_they_exist(tmp_path, images, capsys):
    text = output(capsys, "train", "--data", images, *FAST, "--out", tmp_path / "run").out
    figures = re.findall(r"^  (.+\.png)$", text, re.M)
    names = [figure.rsplit("/", 1)[1] for figure in figures]
    assert names == ["loss.png", "reconstructions.png", "samples.png", "latent.png", "manifold.png", "traversal.png"]
    assert all(Path(figure).read_bytes()[:4] == b"\x89PNG" for figure in figures)
    assert "nats per image" in text
    assert {"config.json", "metrics.jsonl", "checkpoint.npz"} <= {p.name for p in (tmp_path / "run").iterdir()}


def test_train_and_fit_do_the_same(tmp_path, run, images):
    from scratchvae import VAE, load_data

    data = load_data(str(images))
    fit(VAE(30, (16,), 2), data, out=tmp_path / "python", epochs=2)
    assert (tmp_path / "python" / "checkpoint.npz").read_bytes() == (run / "checkpoint.npz").read_bytes()


def test_bundled_images_are_the_default_and_the_folder_is_numbered(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = json.loads(output(capsys, "train", "--hidden", "8", "--epochs", "1", "--model", "ae", "--json").out)
    assert result["run"] == "runs/ae-mnist-small-1"
    assert list(result["test"]) == ["reconstruction"]
    output(capsys, "train", "--hidden", "8", "--epochs", "1", "--model", "ae", "--json")
    assert (tmp_path / "runs" / "ae-mnist-small-2" / "checkpoint.npz").exists()


def test_every_training_option_reaches_the_run(tmp_path, images, capsys):
    options = {
        "--activation": "gelu", "--likelihood": "gaussian", "--sigma": "0.5", "--beta": "2", "--init": "he", "--batch-size": "32",
        "--lr": "0.01", "--schedule": "cosine", "--warmup": "2", "--optimiser": "nesterov", "--weight-decay": "0.001",
        "--clip": "1.5", "--seed": "7", "--shards": "3", "--log-every": "3", "--threads": "1", "--hidden": "16,8", "--latent": "3",
    }  # fmt: skip
    flat = [part for pair in options.items() for part in pair]
    output(capsys, "train", "--data", images, "--epochs", "1", *flat, "--out", tmp_path / "run")
    config = RunFolder(tmp_path / "run").config()
    assert {name: config["model"][name] for name in ("kind", "seed", "config")} == {"kind": "vae", "seed": 7, "config": {
        "data_size": 30, "hidden": [16, 8], "latent": 3, "activation": "gelu", "likelihood": "gaussian", "sigma": 0.5,
        "init_W": "he", "beta": 2.0,
    }}  # fmt: skip
    expected = {"epochs": 1, "batch_size": 32, "lr": 0.01, "schedule": "cosine", "warmup": 2, "optimiser": "nesterov",
                "weight_decay": 0.001, "clip": 1.5, "seed": 7, "shards": 3, "log_every": 3}  # fmt: skip
    assert config["training"].items() >= expected.items()


def test_evaluate_prints_what_measure_returns(run, images, capsys):
    from scratchvae import load_data

    result = json.loads(output(capsys, "evaluate", run, "--json", "--seed", "3", "--samples", "2").out)
    expected = measure(load_model(run), load_data(str(images)), seed=3, samples=2)
    assert result == {name: m.to_dict() for name, m in expected.items()}
    text = output(capsys, "evaluate", run).out
    assert "z sampled" in text
    assert "own.npz, test split, 20 images, seed 0" in text


def test_resume_extends_a_run(tmp_path, images, capsys):
    output(capsys, "train", "--data", images, *FAST, "--out", tmp_path / "run")
    output(capsys, "resume", tmp_path / "run", "--epochs", "4", "--json")
    assert RunFolder(tmp_path / "run").records()[-1]["epoch"] == 4


def test_a_run_on_ones_own_data_is_found_again_from_another_folder(tmp_path, images, capsys, monkeypatch):
    monkeypatch.chdir(images.parent)
    output(capsys, "train", "--data", images.name, *FAST, "--out", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert "−ELBO" in output(capsys, "evaluate", "run").out


def test_data_that_changed_since_is_refused(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.full((20, 3, 3), 200, np.uint8))
    output(capsys, "train", "--data", tmp_path / "x.npy", *FAST, "--out", tmp_path / "run")
    np.save(tmp_path / "x.npy", np.full((20, 3, 3), 201, np.uint8))
    assert "has changed since" in output(capsys, "evaluate", tmp_path / "run", status=1).err


def test_sample_writes_a_grid_or_an_array(tmp_path, run, capsys):
    assert output(capsys, "sample", run).out.strip() == str(run / "samples.png")
    output(capsys, "sample", run, "--n", "7", "--seed", "5", "--out", tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        assert file["images"].shape == (7, 6, 5)
        assert np.array_equal(file["images"].reshape(7, 30), load_model(run).sample(7, 5))
    assert ".png or .npz" in output(capsys, "sample", run, "--out", tmp_path / "s.gif", status=1).err


def test_plot_draws_the_figures_again(run, capsys):
    (run / "loss.png").unlink()
    figures = json.loads(output(capsys, "plot", run, "--json").out)["figures"]
    assert str(run / "loss.png") in figures
    assert (run / "loss.png").exists()


def test_gradcheck_passes_and_its_status_is_1_when_a_derivative_is_wrong(capsys, monkeypatch):
    reports = json.loads(output(capsys, "gradcheck", "--json").out)
    assert len(reports) >= 10
    assert "worst error" in output(capsys, "gradcheck", "--seed", "1").out
    from scratchvae.ops import numpy as ops

    monkeypatch.setattr(ops, "tanh_backward", lambda dY, x, y, out, work=None: np.multiply(dY, 1 + y * y, out=out))
    assert "FAIL" in output(capsys, "gradcheck", status=1).out.upper()


def test_data_and_info_describe(run, capsys):
    note = json.loads(output(capsys, "data", "--json").out)
    assert note["train"]["images"] == 5000
    assert sum(note["test"]["labels"].values()) == 1000
    assert "28 × 28" in output(capsys, "data").out
    assert "numpy" in json.loads(output(capsys, "info", "--json").out)
    assert "numpy" in output(capsys, "info").out
    assert "encoder.0" in output(capsys, "info", run).out
    assert json.loads(output(capsys, "info", run, "--json").out)["model"]["kind"] == "vae"


def test_bench_measures_and_says_where(capsys):
    result = json.loads(output(capsys, "bench", "--rounds", "2", "--batch-size", "16", "--threads", "1", "--json").out)
    assert result["times"]["training step"]["median_ms"] > result["times"]["matrix products of a step"]["min_ms"] * 0.5
    assert result["machine"]["cpu"]
    assert "times its matrix products" in output(capsys, "bench", "--rounds", "1", "--batch-size", "16").out
    assert "batch-size must be at most 5000" in output(capsys, "bench", "--batch-size", "6000", status=1).err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "no-such-thing"], "no-such-thing"),
        (["train", "--model", "ae", "--beta", "2"], "--beta belongs to --model vae"),
        (["train", "--sigma", "1"], "gaussian likelihood"),
        (["train", "--activation", "cube"], "activation must be one of"),
        (["train", "--lr", "-1"], "lr must be a finite number above 0"),
        (["evaluate", "no-such-run"], "no config.json"),
        (["info", "no-such-run"], "no config.json"),
    ],
)
def test_our_own_errors_are_one_line_and_status_1(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = output(capsys, *arguments, status=1).err
    assert error.startswith("scratchvae: error: ")
    assert words in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--epochs", "0"], ["train", "--hidden", "4,x"], ["train", "--latent", "-2"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert text.startswith("usage:") if not arguments else "--help` says more" in text and text.count("\n") == 1


def test_every_command_has_help_with_an_example(capsys):
    assert main(["--help"]) == 0
    commands = re.findall(r"^    (\w+)(?: |$)", capsys.readouterr().out, re.M)
    assert {"train", "resume", "evaluate", "sample", "plot", "gradcheck", "bench", "data", "info"} <= set(commands)
    for command in commands:
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"example: scratchvae {command}" in text
        assert "(default: None)" not in text
        assert "(default: False)" not in text


def test_quiet_when_not_a_terminal(images, tmp_path):
    command = [sys.executable, "-m", "scratchvae", "train", "--data", str(images), *FAST, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "\r" not in done.stdout


def test_a_run_of_a_gpu_is_gone_on_with_where_there_is_none_by_asking_for_numpy(tmp_path, images, capsys):
    from cuda_backend_on_cpu import cupy_on_cpu

    from scratchvae import VAE, load_data

    run = tmp_path / "run"
    with cupy_on_cpu() as (place, _):
        fit(VAE(30, (16,), 2, backend=place), load_data(str(images)), out=run, epochs=1, tf32=True, progress=False)
    before = (run / "checkpoint.npz").read_bytes()
    without_cupy = "import sys; sys.modules['cupy'] = None; from scratchvae.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", without_cupy, "resume", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{run} was trained on cupy; `--backend numpy` goes on on the CPU. Here the cupy backend needs CuPy, which" in done.stderr
    asked = subprocess.run([*command, "--backend", "cupy"], capture_output=True, text=True)
    assert asked.stderr.startswith("scratchvae: error: the cupy backend needs CuPy")  # who asks for it need not hear of the other
    assert (run / "checkpoint.npz").read_bytes() == before
    output(capsys, "resume", run, "--backend", "numpy", "--epochs", 2)
    assert RunFolder(run).config()["backend"] == "numpy"
    assert RunFolder(run).records()[-1]["epoch"] == 2
