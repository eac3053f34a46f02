"""The figures that are not a run's: the book's, the museum's, an error's, the races'. None has a fault, whatever the numbers."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from figure_check import faults, remembered
from matplotlib.figure import Figure

import scratchvae
from scratchvae import timing
from scratchvae.checks import error_anatomy
from scratchvae.plots.error_anatomy import draw_error_anatomy
from scratchvae.study.museum.figure import draw_door, draw_pair
from scratchvae.study.museum.trial import Trial

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def flawless():
    """When the test ends, no figure that was drawn in it may have a fault."""
    with remembered() as texts:
        yield
    assert [fault for figure, found in texts.items() for fault in faults(figure, found)] == []


# The book's -----------------------------------------------------------------------------------------------------------

SPEC = importlib.util.spec_from_file_location("figures_of_the_book", ROOT / "docs" / "figures.py")
BOOK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BOOK)


@pytest.mark.parametrize("draw", BOOK.FIGURES, ids=lambda function: function.__name__)
def test_the_figures_of_the_book_are_drawn_without_a_fault_even_from_models_that_learned_nothing(draw, tmp_path, monkeypatch, flawless):
    fit, interleave, normal = scratchvae.fit, timing.interleave, BOOK.normal
    monkeypatch.setattr(scratchvae, "fit", lambda *a, **options: fit(*a, **{**options, "max_steps": 1, "threads": 1}))
    monkeypatch.setattr(timing, "interleave", lambda samplers, rounds: interleave(samplers, 1))
    monkeypatch.setattr(BOOK, "normal", lambda draws, *a, **options: normal(draws if draws <= 10_000 else 2_000, *a, **options))
    draw(tmp_path / "figure.png")


# A derivative's error, and the museum's -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "steps"),
    [
        (lambda x: np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3), 1.5, {}),
        (lambda x: x, 1.5, {}),  # no error above 0
        (lambda x: np.exp(59.1 * x), 1.5, {}),
        (lambda x: np.exp(x), 88.7, {"steps": [1.0, 0.5]}),  # beyond the largest float32
    ],
)
def test_an_error_of_any_size_is_drawn_without_a_fault(f, x, steps, tmp_path, flawless):
    draw_error_anatomy(error_anatomy(f, x, **steps), tmp_path / "anatomy.png")


ODD_LOSSES = {
    "none": [], "one": [5.0], "two": [500.0, 200.0], "not finite": [None] * 9, "constant": [7.0] * 40,
    "rising": [10.0 ** (k / 3) for k in range(40)], "falling without end": [-3e5 * k for k in range(40)],
}  # fmt: skip


@pytest.mark.parametrize("losses", ODD_LOSSES.values(), ids=ODD_LOSSES)
def test_trials_of_any_outcome_are_drawn_without_a_fault(losses, tmp_path, flawless):
    def trial(losses, own, judged, lost):
        images = lambda n: np.full((n, 784), np.nan if lost else 0.5)
        epochs = [(k + 1) / 4 for k in range(len(losses))]
        stopped = "the loss is not finite at step 2 (epoch 1)" if lost else ""
        return Trial("−ELBO", epochs, losses, None, None, own, judged, stopped, np.zeros((12, 784)), images(12), images(48))

    right = trial([500.0, 300.0] + [200.0 - 2 * k for k in range(38)], 105.6, 105.6, False)
    wrong = trial(losses, -1.75e23, None, losses in ([], [None] * 9))
    draw_pair(right, wrong, tmp_path / "pair.png", "A bug\nand what it does")
    door = [("mean over pixels", wrong, "caught by invariances"), ("ε times 0.01", wrong, "caught by distributions")]
    draw_door(right, door, tmp_path / "door.png", "One line wrong\nSamples")


# The races ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(monkeypatch):
    """When the test ends, no figure that was saved in it may have had a fault."""
    found = []

    def look(figure, path, **options):
        found.extend(faults(figure))
        Path(path).write_bytes(b"PNG")

    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(Figure, "savefig", look)
    yield
    assert found == []


@pytest.mark.parametrize("name", ["epyc", "epyc_sweep", "xeon_sweep"])
def test_the_races_that_were_run_are_drawn_without_a_fault(name, tmp_path, saved):
    from benchmarks import plot

    plot.main([str(ROOT / "benchmarks" / "results" / f"{name}.json"), "--out", str(tmp_path)])
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("medians", [[3.0], [1e-3, 5e4], [2.0] * 9], ids=["alone", "far apart", "nine alike"])
def test_races_of_odd_outcomes_are_drawn_without_a_fault(medians, tmp_path, saved):
    from benchmarks import plot

    result = json.loads((ROOT / "benchmarks" / "results" / "epyc.json").read_text(encoding="utf-8"))
    names = ["ours", "torch-compile@another-python", "matmul-shards", *(f"peer-{k}" for k in range(6))]
    peers = {
        name: {"median_ms": m, "q1_ms": 0.9 * m, "q3_ms": 1.2 * m, "versions": {}, "ours_to_this_ratio": {"median": 1234.5}}
        for name, m in zip(names, medians, strict=False)
    }
    race = {**result["races"][0], "peers": peers, "best_peer": None}
    result["races"] = [race, {**race, "batch_size": 2 * race["batch_size"]}, {**race, "what": "epoch"}]
    (tmp_path / "odd.json").write_text(json.dumps(result), encoding="utf-8")
    plot.main([str(tmp_path / "odd.json")])
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.parametrize("times", [1.0, 1e5], ids=["fast", "slow"])
def test_a_gpu_s_result_is_drawn_without_a_fault(times, tmp_path, saved):
    from benchmarks.device import figures

    us = lambda value: {"q1_us": 0.9 * value * times, "median_us": value * times, "q3_us": 1.2 * value * times}
    both = [(model, precision) for model in ("784-400-20", "784-4000-20") for precision in ("fp32", "tf32")]
    operations = [("affine", 40), ("dense_backward", 42), ("adam", 0.4), ("normal", 9), ("bernoulli_nll", 1.1)]
    fall = [500 / (k + 1) + 100 for k in range(50)]
    parts = {
        "training": {"model": "784-400-20", "curves": {f"{b} {k}": fall for b in ("NumPy", "CUDA") for k in ("float32", "float64")}},
        "roofline": {"copy_GB_per_s": 2000.0, "float32_GFLOP_per_s": 5e4},
        "operations": {"lines": [
            {"operation": name, "batch": batch, "operations": o * batch * 1e3, "bytes": batch * 1e3, "GFLOP_per_s": o * batch * 8 / times}
            for name, o in operations for batch in (128, 1024)
        ]},
        "steps": {"lines": [{"model": m, "precision": p, "graph": g, **us(90)} for m, p in both for g in (True, False)]},
        "race": {"lines": [{"peer": name, "model": m, "precision": p, **us(120)} for m, p in both for name in ("torch", "jax")]},
        "crossover": {"threads": 2, "gpu_is_faster_from_batch": 64, "lines": [
            {"batch": 2**k, "numpy_us": 40 * 2.0**k, "device_us": 900 * times + 2**k} for k in range(4, 13)
        ]},
    }  # fmt: skip
    result = {"parts": parts, "device": "NVIDIA H100", "machine": {"date_utc": "2026-11-24T00:00:00"}}
    assert len(figures.draw(result, tmp_path)) == 4
