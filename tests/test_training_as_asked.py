"""Training does what it was asked for: against a loop written out here, from the order of the images to the line that is logged."""

from contextlib import nullcontext
from dataclasses import fields
from math import cos, pi

import numpy as np
import pytest
from cuda_backend_on_cpu import cupy_on_cpu

from scratchvae import rng
from scratchvae.errors import ConfigError
from scratchvae.evaluate import image_terms
from scratchvae.training import RunFolder, Schedule, Settings, Trainer, TrainingStep, fit, load_model, resume
from scratchvae.training import step as step_module
from scratchvae.training.optimisers import OPTIMISERS, Optimiser

QUIET = {"progress": False, "threads": 1}
OWN = {  # of each optimiser, settings that are not its defaults
    "sgd": {}, "momentum": {"mu": 0.5}, "nesterov": {"mu": 0.6}, "rmsprop": {"rho": 0.7, "eps": 1e-3}, "adagrad": {"eps": 1e-2},
    "adam": {"beta1": 0.5, "beta2": 0.7, "eps": 1e-3}, "adamw": {"beta1": 0.6, "beta2": 0.8, "eps": 1e-3, "decay": 0.5},
}  # fmt: skip


def textbook(name, p, g, moments, lr, t, settings):
    """One update as its paper has it: moments {name: array}, not divided by anything."""
    s = settings
    old = lambda moment: moments.get(moment, np.zeros_like(p))
    if name == "sgd":
        return p - lr * g
    if name in ("momentum", "nesterov"):
        v = moments["v"] = s["mu"] * old("v") + g
        return p - lr * (v if name == "momentum" else g + s["mu"] * v)
    if name in ("rmsprop", "adagrad"):
        rho, new = (s["rho"], 1 - s["rho"]) if name == "rmsprop" else (1, 1)
        v = moments["v"] = rho * old("v") + new * g**2
        return p - lr * g / (np.sqrt(v) + s["eps"])
    m = moments["m"] = s["beta1"] * old("m") + (1 - s["beta1"]) * g
    v = moments["v"] = s["beta2"] * old("v") + (1 - s["beta2"]) * g**2
    m, v = m / (1 - s["beta1"] ** t), v / (1 - s["beta2"] ** t)
    return p - lr * s.get("decay", 0) * p - lr * m / (np.sqrt(v) + s["eps"])


def rate(step, steps, lr=1e-3, schedule="constant", warmup=0, every=1000, factor=0.1):
    """The learning rate of a step, counted from 0."""
    if step < warmup:
        return lr * (step + 1) / warmup
    after = step - warmup
    return {"constant": lr, "step": lr * factor ** (after // every), "cosine": lr * (1 + cos(pi * after / (steps - warmup))) / 2}[schedule]


def written_out(model, data, *, epochs=2, batch_size=7, seed=0, clip=None, weight_decay=0.0, optimiser="adam", **options):
    """Train as `fit` is meant to, in float64 and in one piece → (parameters, rows of each step, rate of each step)"""
    p, moments, visited, rates = model.buffer.values, {}, [], []
    settings = {**OPTIMISERS[optimiser][1], **options.pop("optimiser_settings", {})}
    images = data.train.images
    per_epoch = -(-len(images) // batch_size)
    for step in range(epochs * per_epoch):
        epoch, place = divmod(step, per_epoch)
        rows = rng.permutation(seed, epoch, len(images))[place * batch_size : (place + 1) * batch_size]
        model.forward(images[rows] / 255, rng.normal(seed, rng.LATENT, step, np.arange(len(rows)), model.latent, np.float64))
        model.descend(np.full(len(rows), 1 / len(rows)))
        g = model.buffer.grads.copy()
        if clip is not None:
            g *= min(1, clip / np.linalg.norm(g))
        g += weight_decay * p
        rates.append(rate(step, epochs * per_epoch, **options))
        p[...] = textbook(optimiser, p, g, moments, rates[-1], step + 1, settings)
        visited.append(rows)
    return p, visited, rates


@pytest.fixture
def listening(monkeypatch):
    """(rows, rate) of every step that TrainingStep takes."""
    heard, whole = [], TrainingStep.__call__
    step = lambda self, rows, number, lr: heard.append((list(rows), lr)) or whole(self, rows, number, lr)
    monkeypatch.setattr(TrainingStep, "__call__", step)
    return heard


# The loop ----------------------------------------------------------------------------------------------------------------


def same_as_written_out(tiny_vae, data, where="numpy", threads=1, **options):
    expected, _, _ = written_out(tiny_vae(dtype=np.float64), data, **options)
    model = tiny_vae(dtype=np.float64, backend=where)
    fit(model, data, **{"epochs": 2, "batch_size": 7, "progress": False, **options}, threads=threads)
    # Two epochs in another order of rounding; Adam's divisions make 1e-16 of a gradient some 1e-12 of a weight.
    np.testing.assert_allclose(model.backend.get(model.buffer.values), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_an_optimisers_own_settings_are_those_of_its_update(tiny_data, tiny_vae, optimiser):
    assert OWN[optimiser].keys() == OPTIMISERS[optimiser][1].keys()
    same_as_written_out(tiny_vae, tiny_data, optimiser=optimiser, optimiser_settings=OWN[optimiser], lr=0.01)


@pytest.mark.parametrize("where", ["numpy", "cupy"])
def test_clipping_does_not_scale_the_weight_decay(tiny_data, tiny_vae, where):
    options = {"optimiser": "sgd", "lr": 0.1, "clip": 0.3, "weight_decay": 0.5}
    with cupy_on_cpu() if where == "cupy" else nullcontext([where]) as place:
        same_as_written_out(tiny_vae, tiny_data, place[0], **options)


def test_the_shuffle_and_the_noise_are_those_of_the_seed(tiny_data, tiny_vae, listening):
    same_as_written_out(tiny_vae, tiny_data, seed=5)
    expected = [list(rng.permutation(5, epoch, 60)[place : place + 7]) for epoch in (0, 1) for place in range(0, 60, 7)]
    assert [rows for rows, _ in listening] == expected


@pytest.mark.parametrize("options", [{"schedule": "step", "every": 3, "factor": 0.5}, {"schedule": "cosine"}, {}], ids=str)
@pytest.mark.parametrize("warmup", [0, 4])
def test_the_rate_of_a_step_is_the_schedules_and_the_logged_one_is_the_last_that_was_used(tiny_data, tiny_vae, listening, options, warmup):
    records = fit(tiny_vae(), tiny_data, epochs=2, batch_size=7, lr=0.01, log_every=4, warmup=warmup, **options, **QUIET)
    used = [lr for _, lr in listening]
    assert used == pytest.approx([rate(step, 18, lr=0.01, warmup=warmup, **options) for step in range(18)], rel=1e-12)
    lines = [r for r in records if r["split"] == "train"]
    assert [r["step"] for r in lines] == [4, 8, 9, 12, 16, 18]
    assert [r["lr"] for r in lines] == [used[r["step"] - 1] for r in lines]


def test_the_steps_of_a_schedule_are_counted_from_the_end_of_the_warmup(tiny_data, tiny_vae):
    steps = Schedule(1.0, "step", warmup=4, every=3, factor=0.5)
    assert [steps(s) for s in range(12)] == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_the_short_last_batch_of_an_epoch_is_averaged_over_the_images_it_has(tiny_data, tiny_vae):
    for batch_size in (7, 59):  # 60 images: 4 are left, or one
        same_as_written_out(tiny_vae, tiny_data, batch_size=batch_size, optimiser="sgd", lr=0.1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_norm_that_clips_is_that_of_all_chunks_together(tiny_data, tiny_vae, monkeypatch, threads):
    monkeypatch.setattr(step_module, "CHUNK", 50)
    assert tiny_vae().buffer.values.size > 4 * 50
    same_as_written_out(tiny_vae, tiny_data, optimiser="sgd", lr=0.1, clip=0.3, threads=threads)


def test_moments_have_the_type_of_the_parameters(tiny_vae):
    for dtype in (np.float32, np.float64):
        optimiser = Optimiser("adam")
        optimiser.start(tiny_vae(dtype=dtype).buffer.values)
        assert {moment.dtype for moment in optimiser.moments.values()} == {np.dtype(dtype)}


# On the cupy backend -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_on_a_gpu_an_optimisers_own_settings_and_the_seed_are_those_of_its_update(tiny_data, tiny_vae, optimiser):
    with cupy_on_cpu() as (place, _):
        same_as_written_out(tiny_vae, tiny_data, place, optimiser=optimiser, optimiser_settings=OWN[optimiser], lr=0.01, seed=5)


def test_a_gpu_that_begins_within_an_epoch_takes_the_rates_of_its_own_steps(tmp_path, tiny_data, tiny_vae):
    options = {"epochs": 2, "batch_size": 7, "lr": 0.1, "optimiser": "sgd", "schedule": "cosine", "warmup": 3}
    expected, _, _ = written_out(tiny_vae(dtype=np.float64), tiny_data, **options)
    with cupy_on_cpu() as (place, _):
        fit(tiny_vae(dtype=np.float64, backend=place), tiny_data, out=tmp_path / "run", **options, max_steps=4, progress=False)
        model = load_model(tmp_path / "run", place)
        for steps in (1, 8, None):
            resume(model, tiny_data, tmp_path / "run", progress=False, max_steps=steps)
        np.testing.assert_allclose(place.get(model.buffer.values), expected, rtol=1e-9, atol=1e-11)


# What is asked for is kept -----------------------------------------------------------------------------------------------

# A value of each setting that is not its default, and what else it needs to show.
OTHER = {
    "epochs": (3, {}), "batch_size": (9, {}), "lr": (0.02, {}), "schedule": ("step", {"every": 4}), "warmup": (5, {}),
    "every": (4, {"schedule": "step"}), "factor": (0.3, {"schedule": "step", "every": 4}), "optimiser": ("nesterov", {}),
    "optimiser_settings": ({"beta1": 0.5}, {}), "weight_decay": (0.3, {}), "clip": (0.2, {}), "seed": (9, {}), "shards": (3, {}),
    "log_every": (3, {}), "patience": (1, {"lr": 0.5, "epochs": 6}), "tf32": (True, {}),
}  # fmt: skip


def outcome(run):
    """All that a run leaves but times and what it was asked for: parameters, moments and figures."""
    with np.load(run / "checkpoint.npz") as arrays:
        kept = {name: arrays[name].tobytes() for name in arrays.files if name != "note"}
    return kept, [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in RunFolder(run).records()]


@pytest.mark.parametrize("name", [f.name for f in fields(Settings)])
def test_every_setting_stands_in_the_configuration_has_an_effect_and_is_what_a_resume_trains_with(tmp_path, tiny_data, tiny_vae, name):
    value, others = OTHER[name]
    data = tiny_data.with_validation(0.2)
    if name == "tf32":  # on a GPU only: tests/test_cuda_training.py
        with pytest.raises(ConfigError, match="no tensor cores"):
            fit(tiny_vae(), data, tf32=True)
        return
    assert getattr(Settings(), name) != value
    options = {"epochs": 2, "batch_size": 7, "log_every": 4, **QUIET, **others}
    fit(tiny_vae(), data, out=tmp_path / "default", **options)
    fit(tiny_vae(), data, out=tmp_path / "whole", **{**options, name: value})
    fit(tiny_vae(), data, out=tmp_path / "cut", **{**options, name: value, "max_steps": 5})
    resume(load_model(tmp_path / "cut", best=False), data, tmp_path / "cut", **QUIET)
    for run in ("whole", "cut"):
        assert RunFolder(tmp_path / run).config()["training"][name] == value
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    assert outcome(tmp_path / "whole") != outcome(tmp_path / "default")


def test_a_checkpoint_is_written_at_the_end_of_every_epoch(tmp_path, tiny_data, tiny_vae, monkeypatch):
    written, now = [], [0.0]

    def clock():  # a second passes whenever it is looked at: once per step, and twice while a checkpoint is written
        now[0] += 1
        return now[0]

    whole = Trainer.save
    monkeypatch.setattr(Trainer, "save", lambda self, path, **options: written.append(self.step) or whole(self, path, **options))
    monkeypatch.setattr("scratchvae.training.trainer.time.perf_counter", clock)
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=3, batch_size=2, **QUIET)
    assert written == [0, 30, 60, 90]


# Held-out images ---------------------------------------------------------------------------------------------------------


def test_after_an_epoch_the_loss_is_that_of_the_held_out_images_and_of_no_others(tiny_data, tiny_vae):
    validated = tiny_data.with_validation(0.2)
    for data, split in ((tiny_data, "test"), (validated, "validation")):
        model = tiny_vae(dtype=np.float64, beta=0.7)
        record = fit(model, data, epochs=1, seed=4, **QUIET)[-1]
        x = data.splits[split].images / 255
        nll, kl = model.forward(x, rng.normal(4, rng.EVALUATE, 0, np.arange(len(x)), 2, np.float64))
        assert record["split"] == split
        assert record["loss"] == pytest.approx((nll + 0.7 * kl).mean(), rel=1e-12)


def test_every_epoch_is_judged_with_the_same_noise(tiny_data, tiny_vae):
    still = fit(tiny_vae(), tiny_data, epochs=3, optimiser="sgd", lr=1e-30, **QUIET)  # a rate that moves nothing
    assert len({r["loss"] for r in still if r["split"] == "test"}) == 1
    other = fit(tiny_vae(), tiny_data, epochs=1, optimiser="sgd", lr=1e-30, seed=1, **QUIET)
    assert other[-1]["loss"] != still[-1]["loss"]


# The log -----------------------------------------------------------------------------------------------------------------


def test_images_per_second_are_those_of_the_lines_own_steps(tiny_data, tiny_vae, monkeypatch):
    now, whole = [0.0], TrainingStep.__call__

    def slow(self, rows, step, lr):
        now[0] += 2 if step < 9 else 4  # seconds: the second epoch is half as fast
        return whole(self, rows, step, lr)

    def slower(*arguments, **options):
        now[0] += 1000  # what evaluation takes is no part of it
        return image_terms(*arguments, **options)

    monkeypatch.setattr(TrainingStep, "__call__", slow)
    monkeypatch.setattr("scratchvae.training.trainer.image_terms", slower)
    monkeypatch.setattr("scratchvae.training.records.time.perf_counter", lambda: now[0])
    records = fit(tiny_vae(), tiny_data, epochs=2, batch_size=7, log_every=4, **QUIET)
    lines = [r for r in records if r["split"] == "train"]
    assert [r["images_per_s"] for r in lines] == [28 / 8, 28 / 8, 4 / 2, 21 / 12, 28 / 16, 11 / 8]
    assert records[-1]["seconds"] == 9 * 2 + 9 * 4 + 2 * 1000
