"""Training from start to end: the record it keeps, how it stops, and how it goes on."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from scratchvae import rng
from scratchvae.data import Split
from scratchvae.errors import CheckpointError, ConfigError, NonFiniteError, RunFolderError
from scratchvae.models import VAE, Autoencoder
from scratchvae.training import OPTIMISERS, Optimiser, RunFolder, Schedule, Trainer, TrainingStep, fit, load_model, resume


def checkpoint(folder):
    return (folder / "checkpoint.npz").read_bytes()


def without_times(records):
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in records]


@pytest.mark.parametrize("stop", [0, 1, 5, 8, 9, 10, 17])
@pytest.mark.parametrize("optimiser", ["adam", "momentum"])
def test_stopping_at_any_step_and_resuming_gives_the_same_bytes(tmp_path, tiny_data, tiny_vae, stop, optimiser):
    options = {"epochs": 2, "batch_size": 7, "log_every": 4, "optimiser": optimiser, "schedule": "cosine", "warmup": 3}
    fit(tiny_vae(), tiny_data, out=tmp_path / "whole", **options)
    fit(tiny_vae(), tiny_data, out=tmp_path / "parts", max_steps=stop, **options)
    resume(load_model(tmp_path / "parts"), tiny_data, tmp_path / "parts")
    assert checkpoint(tmp_path / "whole") == checkpoint(tmp_path / "parts")
    whole, parts = (without_times(RunFolder(tmp_path / name).records()) for name in ("whole", "parts"))
    assert whole == parts


def test_lines_written_after_the_checkpoint_are_not_counted_twice(tmp_path, tiny_data, tiny_vae):
    options = {"epochs": 2, "batch_size": 10, "log_every": 1}
    fit(tiny_vae(), tiny_data, out=tmp_path / "whole", **options)
    fit(tiny_vae(), tiny_data, out=tmp_path / "cut", max_steps=4, **options)
    folder = RunFolder(tmp_path / "cut")
    folder.append({"split": "train", "step": 5, "epoch": 0.8, "loss": 1e9})  # as after a crash between two checkpoints
    resume(load_model(tmp_path / "cut"), tiny_data, tmp_path / "cut")
    assert without_times(folder.records()) == without_times(RunFolder(tmp_path / "whole").records())


def test_training_lowers_the_loss_of_both_models(tiny_data, tiny_vae):
    for model in (tiny_vae(), Autoencoder(12, (8,), 2), tiny_vae(likelihood="gaussian"), tiny_vae(dtype=np.float64)):
        records = fit(model, tiny_data, epochs=20, batch_size=10, lr=1e-2)
        losses = [r["loss"] for r in records if r["split"] == "test"]
        assert len(losses) == 20
        assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_trains(tiny_data, tiny_vae, name):
    lr = {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.05}.get(name, 0.005)
    records = fit(tiny_vae(), tiny_data, epochs=15, batch_size=10, lr=lr, optimiser=name)
    losses = [r["loss"] for r in records if r["split"] == "test"]
    assert losses[-1] < losses[0]


def test_weight_decay_shrinks_the_parameters(tiny_data, tiny_vae):
    sizes = []
    for options in ({}, {"weight_decay": 1.0}, {"optimiser": "adamw", "optimiser_settings": {"decay": 5.0}}):
        model = tiny_vae()
        fit(model, tiny_data, epochs=10, batch_size=10, lr=1e-2, **options)
        sizes.append(np.linalg.norm(model.buffer.values))
    assert sizes[1] < sizes[0]
    assert sizes[2] < sizes[0]


def test_a_train_line_is_the_mean_over_exactly_the_images_since_the_last(tiny_data, tiny_vae):
    options = {"epochs": 1, "batch_size": 7, "lr": 1e-9}  # so small a rate leaves the losses as they were
    fine = [r for r in fit(tiny_vae(), tiny_data, log_every=1, **options) if r["split"] == "train"]
    coarse = [r for r in fit(tiny_vae(), tiny_data, log_every=100, **options) if r["split"] == "train"]
    sizes = [7] * 8 + [4]  # 60 images: the last batch is short and counts as 4 images, not as 7
    assert len(coarse) == 1
    assert coarse[0]["loss"] == pytest.approx(np.average([r["loss"] for r in fine], weights=sizes), rel=1e-12)


def test_metrics_carry_their_units(tmp_path, tiny_data, tiny_vae):
    fit(tiny_vae(beta=0.5), tiny_data, out=tmp_path / "run", epochs=1)
    header = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    record = RunFolder(tmp_path / "run").records()[-1]
    assert set(record) - {"split"} <= set(header["units"])
    assert "nats per image" in header["units"]["loss"]
    assert header["likelihood"] == "bernoulli"
    assert record["loss"] == pytest.approx(record["reconstruction"] + 0.5 * record["kl"])


def test_a_number_that_is_not_finite_stops_with_its_name_and_keeps_the_last_checkpoint(tmp_path, tiny_data, tiny_vae):
    with pytest.raises(NonFiniteError, match=r"not finite .*step \d+.*last good checkpoint|not finite after step"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=50, lr=1e30, batch_size=10)
    kept = load_model(tmp_path / "run")
    assert np.isfinite(kept.buffer.values).all()


def test_the_tensor_named_is_the_first_that_went_wrong(tiny_data, tiny_vae):
    model = tiny_vae()
    model.buffer.view("decoder.0.W")[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match=r"parameter decoder\.0\.W is not finite at step 1 \(epoch 1\)"):
        fit(model, tiny_data, epochs=1)
    model = tiny_vae()
    model.buffer.view("encoder.2.b")[2:] = 500  # logvar: exp(250) is an infinity in float32
    with pytest.raises(NonFiniteError, match="std of posterior is not finite"):
        fit(model, tiny_data, epochs=1)


def test_the_name_is_found_in_whichever_worker_met_it(tiny_data, tiny_vae):
    order = rng.permutation(0, 0, 60)  # the one batch of 60 images, cut into shards of 30
    images = np.zeros((60, 12), np.uint8)
    images[order[-1], 0] = 255  # the last image of the second shard has σ = exp(500), an infinity in float32
    model = tiny_vae(hidden=())
    model.buffer.view("encoder.0.W")[0, 2:] = 1000
    data = replace(tiny_data, train=Split(images, None))
    with pytest.raises(NonFiniteError, match="std of posterior is not finite"):
        fit(model, data, epochs=1, batch_size=60, threads=2)


def test_every_epoch_visits_every_image_once_in_an_order_of_its_own(tiny_data, tiny_vae, monkeypatch):
    visited, whole = [], TrainingStep.__call__

    def listening(self, rows, step, lr):
        visited.append(np.array(rows))
        return whole(self, rows, step, lr)

    monkeypatch.setattr(TrainingStep, "__call__", listening)
    fit(tiny_vae(), tiny_data, epochs=3, batch_size=7)
    assert [len(rows) for rows in visited] == ([7] * 8 + [4]) * 3
    epochs = np.concatenate(visited).reshape(3, 60)
    assert (np.sort(epochs, axis=1) == np.arange(60)).all()
    assert len({tuple(order) for order in epochs.tolist()}) == 3


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "scratchvae", "train", "--epochs", "500", "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    deadline = time.time() + 240
    while time.time() < deadline and not (run / "metrics.jsonl").exists():
        time.sleep(0.05)
    while time.time() < deadline and len((run / "metrics.jsonl").read_text().splitlines()) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert f"scratchvae resume {run}" in errors
    assert "Traceback" not in errors
    records = RunFolder(run).records()
    assert load_model(run).latent == 20
    assert records[-1]["step"] >= 40


def test_training_works_in_a_thread_that_may_not_handle_signals(tiny_data, tiny_vae):
    records = []
    thread = threading.Thread(target=lambda: records.extend(fit(tiny_vae(), tiny_data, epochs=1)))
    thread.start()
    thread.join()
    assert records[-1]["split"] == "test"


def test_the_interrupt_handler_is_put_back(tiny_data, tiny_vae):
    before = signal.getsignal(signal.SIGINT)
    fit(tiny_vae(), tiny_data, epochs=1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_finishes_the_step_and_a_second_stops_at_once(tmp_path, tiny_data, tiny_vae, monkeypatch, number, threads):
    whole = TrainingStep.__call__

    def interrupted(self, rows, step, lr):
        if step == 3:
            for process in [os.getpid(), *(child.pid for child in multiprocessing.active_children())]:  # as a scheduler does
                os.kill(process, number)
        return whole(self, rows, step, lr)

    monkeypatch.setattr(TrainingStep, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 4"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=5, batch_size=10, threads=threads)
    monkeypatch.setattr(TrainingStep, "__call__", whole)
    resume(load_model(tmp_path / "run"), tiny_data, tmp_path / "run")
    fit(tiny_vae(), tiny_data, out=tmp_path / "whole", epochs=5, batch_size=10)
    assert checkpoint(tmp_path / "run") == checkpoint(tmp_path / "whole")

    def twice(self, rows, step, lr):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return whole(self, rows, step, lr)

    monkeypatch.setattr(TrainingStep, "__call__", twice)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_vae(), tiny_data, epochs=5, batch_size=10)


def test_dear_checkpoints_are_written_seldom_but_always_at_the_end(tmp_path, tiny_data, tiny_vae, monkeypatch):
    written, whole = [], Trainer.save

    def slow(self, path, **options):
        written.append(self.step)
        whole(self, path, **options)
        time.sleep(1 if len(written) == 2 else 0)

    monkeypatch.setattr(Trainer, "save", slow)
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=5, batch_size=60, threads=1)
    assert written == [0, 1, 5]  # the one after the first epoch took a second: four epochs of milliseconds wait for no other


def test_a_run_can_be_extended(tmp_path, tiny_data, tiny_vae):
    fit(tiny_vae(), tiny_data, out=tmp_path / "short", epochs=1, batch_size=10)
    resume(load_model(tmp_path / "short"), tiny_data, tmp_path / "short", epochs=3)
    fit(tiny_vae(), tiny_data, out=tmp_path / "long", epochs=3, batch_size=10)
    assert checkpoint(tmp_path / "short") == checkpoint(tmp_path / "long")
    assert RunFolder(tmp_path / "short").config()["training"]["epochs"] == 3
    fit(tiny_vae(), tiny_data, out=tmp_path / "cosine", epochs=1, schedule="cosine")
    with pytest.raises(ConfigError, match="cosine"):
        resume(load_model(tmp_path / "cosine"), tiny_data, tmp_path / "cosine", epochs=2)


def test_resuming_on_other_data_is_refused(tmp_path, tiny_data, tiny_vae):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1)
    other = replace(tiny_data, train=Split(255 - tiny_data.train.images, None))
    with pytest.raises(RunFolderError, match="other data"):
        resume(load_model(tmp_path / "run"), other, tmp_path / "run")


def test_a_folder_in_use_is_refused_and_left_as_it_was(tmp_path, tiny_data, tiny_vae):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1)
    before = checkpoint(tmp_path / "run")
    with pytest.raises(RunFolderError, match="scratchvae resume"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1)
    assert checkpoint(tmp_path / "run") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not lose")
    with pytest.raises(RunFolderError, match="not empty"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "mine", epochs=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError):
        fit(tiny_vae(), tiny_data, out=tmp_path / "file", epochs=1)


def test_damaged_run_folders_are_named(tmp_path, tiny_data, tiny_vae):
    with pytest.raises(RunFolderError, match="no config.json"):
        RunFolder(tmp_path).config()
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1)
    folder = RunFolder(tmp_path / "run")
    folder.config_path.write_text('{"format": "something else"}')
    with pytest.raises(RunFolderError, match="not a run of version 1"):
        folder.config()
    folder.config_path.write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        folder.config()
    folder.metrics_path.write_text("header\n{")
    with pytest.raises(RunFolderError, match="metrics.jsonl, line 1: cannot be read"):
        folder.records()
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_model(tmp_path / "elsewhere.npz")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"lr": 0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"optimiser": "adom"}, "adam, adamw"),
        ({"optimiser_settings": {"momentum": 1}}, "no setting momentum"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"optimiser": "adamw", "weight_decay": 0.1}, "decay="),
        ({"schedule": "linear"}, "constant, step, cosine"),
        ({"warmup": -1}, "warmup"),
        ({"schedule": "cosine", "warmup": 10_000}, "total"),
        ({"log_every": 0}, "log_every"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(tmp_path, tiny_data, tiny_vae, options, words):
    with pytest.raises(ConfigError, match=words):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_images_of_another_size_are_refused(tiny_data):
    with pytest.raises(ConfigError, match="takes 784 pixels, and the images have 12"):
        fit(VAE(), tiny_data)


def test_schedules_are_the_curves_they_say():
    constant = Schedule(0.1)
    assert [constant(s) for s in (0, 10, 1000)] == [0.1, 0.1, 0.1]
    steps = Schedule(1.0, "step", every=10, factor=0.5)
    assert [steps(s) for s in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]
    cosine = Schedule(2.0, "cosine", total=100)
    assert cosine(0) == 2.0
    assert cosine(50) == pytest.approx(1.0)
    assert cosine(100) == pytest.approx(0.0, abs=1e-15)
    assert cosine(1000) == pytest.approx(0.0, abs=1e-15)
    warm = Schedule(1.0, "cosine", warmup=4, total=104)
    assert [warm(s) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert warm(54) == pytest.approx(0.5)


def test_the_update_counts_steps_from_one(tiny_data, tiny_vae):
    # Adam's first step moves every parameter with a gradient by lr, whatever the gradient's size: only with t = 1.
    model = tiny_vae()
    before = model.buffer.values.copy()
    fit(model, tiny_data, epochs=1, batch_size=60, max_steps=1, lr=1e-3)
    moved = np.abs(model.buffer.values - before)
    clear = np.abs(model.buffer.grads) > 1e-3  # far above ε = 1e-8
    np.testing.assert_allclose(moved[clear], 1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["adam", "momentum", "rmsprop"])
def test_moments_of_weights_that_are_no_longer_used_do_not_stay_among_the_denormals(name):
    """0.9ᵗ passes 1e-38 after 830 steps; there an update takes several times as long."""
    values, grads = np.ones(8, np.float32), np.zeros(8, np.float32)
    optimiser = Optimiser(name, **({"rho": 0.9} if name == "rmsprop" else {}))
    optimiser.start(values)
    grads[:4] = 1  # four weights are used once, and four never
    for step in range(1, 2000):
        optimiser.update(slice(0, 8), values, grads, np.empty(8, np.float32), 1e-3, step)
        grads[:4] = 0
        for key, moment in optimiser.moments.items():
            if key != "v":  # decays by 0.999 a step: still large here
                assert not ((moment != 0) & (np.abs(moment) < np.finfo(np.float32).tiny)).any(), step
    assert values[4:].tolist() == [1.0] * 4


def test_only_moments_that_could_move_no_weight_become_zero_and_only_every_so_many_steps():
    values, kept = np.ones(3), np.array([1e-28, 1e-32, -1e-28])
    optimiser = Optimiser("momentum")
    for step in (127, 128):
        optimiser.start(values)
        optimiser.moments["velocity"][...] = kept
        optimiser.update(slice(0, 3), values, np.zeros(3), np.empty(3), 1e-3, step)
        expected = 0.9 * kept * ([1, 1, 1] if step == 127 else [1, 0, 1])
        np.testing.assert_allclose(optimiser.moments["velocity"], expected, rtol=1e-12)


def test_moments_are_as_large_as_the_parameters():
    for name, (moments, _) in OPTIMISERS.items():
        optimiser = Optimiser(name)
        optimiser.start(np.ones(5, np.float32))
        assert {k: v.shape for k, v in optimiser.moments.items()} == dict.fromkeys(moments, (5,))


@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ({}, {"epochs": 1, "batch_size": 60, "lr": 1e38, "optimiser": "sgd"}, r"after step 1\. A smaller lr than 1e\+38 or a clip"),
        ({}, {"epochs": 1, "batch_size": 60, "lr": 1e38, "optimiser": "sgd", "clip": 1e9}, r"A smaller lr than 1e\+38 usually"),
        ({"beta": 1e39}, {"max_steps": 1}, r"after step 1 .*a smaller beta"),
        ({"beta": 1e39}, {"max_steps": 1, "clip": 1.0}, r"after step 1 .*a smaller beta"),
        ({"beta": 1e308}, {"max_steps": 1, "log_every": 1, "optimiser": "sgd", "lr": 1e-300}, "not finite .*after step 1"),
    ],
)
def test_no_path_returns_a_model_that_is_not_finite(tmp_path, tiny_data, tiny_vae, model, options, words, out):
    run = tmp_path / "run" if out else None
    with pytest.raises(NonFiniteError, match=words) as stopped:
        fit(tiny_vae(**model), tiny_data, out=run, **options)
    assert ("last good checkpoint" in str(stopped.value)) == out
    if out:
        assert np.isfinite(load_model(run).buffer.values).all()
        numbers = [v for r in RunFolder(run).records() for v in r.values() if isinstance(v, float)]
        assert np.isfinite(numbers).all()


def test_a_loss_on_held_out_images_that_is_not_finite_is_never_written(tmp_path, tiny_data, tiny_vae):
    images = np.zeros((20, 12), np.uint8)
    images[7, 0] = 255  # the one image with σ = exp(500) is among those that are not trained on
    model = tiny_vae(hidden=())
    model.buffer.view("encoder.0.W")[0, 2:] = 1000
    data = replace(tiny_data, train=Split(np.zeros((60, 12), np.uint8), None), test=Split(images, None))
    with pytest.raises(NonFiniteError, match="on the test images is not finite after step 1"):
        fit(model, data, out=tmp_path / "run", epochs=1)
    assert {r["split"] for r in RunFolder(tmp_path / "run").records()} == {"train"}


def test_advice_is_for_the_case(tiny_data, tiny_vae):
    model = tiny_vae()
    model.buffer.view("encoder.2.b")[2:] = 500
    with pytest.raises(NonFiniteError, match="No update has been made: the cause is in the model's first values"):
        fit(model, tiny_data, epochs=1)
