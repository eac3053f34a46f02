"""Early stopping, the best epoch, and the chapters of a run: what may change, what is recorded, and that a resume repeats it."""

from dataclasses import replace

import numpy as np
import pytest

from scratchvae import rng
from scratchvae.data import Split
from scratchvae.errors import CheckpointError, ConfigError, RunFolderError
from scratchvae.evaluate import measure
from scratchvae.training import RunFolder, Schedule, TrainingStep, fit, load_model, resume, story, two_epochs
from scratchvae.training.chapters import epoch_at

QUIET = {"progress": False, "threads": 1}
FAST = {"batch_size": 7, "log_every": 4, **QUIET}


def files(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.suffix == ".npz"}


def told(run):
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in RunFolder(run).records()]


def losses(run):
    return [(r["step"], r["loss"]) for r in RunFolder(run).records() if r["split"] == "validation"]


@pytest.fixture
def data(tiny_data):
    return tiny_data.with_validation(0.2)


@pytest.fixture
def worse(tmp_path, data, tiny_vae):
    """A run with patience whose validation loss soon rises: a rate that is far too large. → its folder"""
    fit(tiny_vae(), data, out=tmp_path / "run", epochs=40, lr=0.5, patience=3, **FAST)
    return tmp_path / "run"


def test_training_stops_when_no_epoch_was_better_for_as_long_as_the_patience(worse):
    found = [loss for _, loss in losses(worse)]
    best = int(np.argmin(found))
    assert len(found) < 40
    assert len(found) == best + 1 + 3
    for epoch in range(1, len(found) - 1):  # and not before
        assert epoch - int(np.argmin(found[: epoch + 1])) < 3


def test_the_best_epoch_is_kept_beside_the_last(worse, data):
    best = min(losses(worse), key=lambda pair: pair[1])
    for which, expected in ((None, best[1]), (True, best[1]), (False, losses(worse)[-1][1])):
        assert measure(load_model(worse, best=which), data, "validation")["-ELBO"].value == pytest.approx(expected, rel=1e-6)


def test_fit_leaves_the_best_epoch_in_the_model(worse, data, tiny_vae, tmp_path):
    model = tiny_vae()
    fit(model, data, epochs=40, lr=0.5, patience=3, **FAST)  # without a folder, too
    assert model.buffer.values.tobytes() == load_model(worse).buffer.values.tobytes()
    resume(again := load_model(worse, best=False), data, worse, **QUIET)
    assert again.buffer.values.tobytes() == model.buffer.values.tobytes()


def test_the_test_split_chooses_nothing(worse, data, tiny_vae, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, data.test.images.shape, np.uint8)
    fit(tiny_vae(), replace(data, test=Split(noise, None)), out=tmp_path / "other", epochs=40, lr=0.5, patience=3, **FAST)
    assert told(worse) == told(tmp_path / "other")
    with pytest.raises(ConfigError, match="from its first step: train with --validation"):
        fit(tiny_vae(), replace(data, validation=None), patience=3)


@pytest.mark.parametrize("stop", [0, 1, 7, 13, 14, 15, 22, 29])
def test_a_run_with_patience_resumes_to_the_same_bytes(worse, tmp_path, data, tiny_vae, stop):
    fit(tiny_vae(), data, out=tmp_path / "cut", epochs=40, lr=0.5, patience=3, max_steps=stop, **FAST)
    resume(load_model(tmp_path / "cut", best=False), data, tmp_path / "cut", **QUIET)
    assert files(tmp_path / "cut") == files(worse)
    assert told(tmp_path / "cut") == told(worse)


def test_a_kill_between_the_checkpoint_and_the_best_loses_nothing(tmp_path, data, tiny_vae):
    fit(tiny_vae(), data, out=tmp_path / "run", epochs=2, **FAST)
    assert losses(tmp_path / "run")[1][1] < losses(tmp_path / "run")[0][1]  # the last epoch is the best
    before = files(tmp_path / "run")
    (tmp_path / "run" / "best.npz").unlink()
    resume(load_model(tmp_path / "run"), data, tmp_path / "run", **QUIET)
    assert files(tmp_path / "run") == before


def test_which_epoch_is_the_best_is_what_the_checkpoint_says_though_the_log_is_lost(worse, data):
    best, last = two_epochs(worse)
    assert (best, last) == (int(np.argmin([loss for _, loss in losses(worse)])) + 1, len(losses(worse)))
    RunFolder(worse).metrics_path.unlink()
    assert two_epochs(worse) == (best, last)
    fit(load_model(worse), replace(data, validation=None), out=worse.parent / "other", epochs=1, **FAST)
    assert two_epochs(worse.parent / "other") is None


def test_a_best_model_that_is_not_the_best_is_refused_and_the_last_can_be_had(worse, data):
    (worse / "best.npz").write_bytes((worse / "checkpoint.npz").read_bytes())
    with pytest.raises(CheckpointError, match="which was the best: bring it back"):
        resume(load_model(worse, best=False), data, worse, **QUIET, patience=9)
    for damage in (lambda: (worse / "best.npz").write_bytes((worse / "checkpoint.npz").read_bytes()), (worse / "best.npz").unlink):
        damage()
        for best in (None, True):
            with pytest.raises(CheckpointError, match="does not hold the model of step .* which was the best: bring it back"):
                load_model(worse, best=best)
        load_model(worse, best=False)


def test_a_best_model_on_other_data_is_not_loaded_though_a_kill_left_it_there(worse, data, tiny_vae, monkeypatch):
    other = replace(data, train=Split(255 - data.train.images, data.train.labels))

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(worse), "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        resume(load_model(worse, best=False), other, worse, epochs=41, other_data=True, **QUIET)
    assert (worse / "best.npz").exists()
    assert load_model(worse).buffer.values.tobytes() == load_model(worse, best=False).buffer.values.tobytes()


def test_a_run_without_validation_has_no_best_model(tmp_path, tiny_data, tiny_vae):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1, **FAST)
    assert not (tmp_path / "run" / "best.npz").exists()
    with pytest.raises(CheckpointError, match="has no best.npz: it has no validation split"):
        load_model(tmp_path / "run", best=True)


def test_more_patience_goes_on_and_stands_in_the_history(worse, data):
    ended = len(losses(worse))
    resume(load_model(worse), data, worse, **QUIET)
    assert len(losses(worse)) == ended  # nothing left to do
    resume(load_model(worse), data, worse, **QUIET, patience=5)
    assert len(losses(worse)) >= ended + 2
    config = RunFolder(worse).config()
    assert [part["training"]["patience"] for part in [*config["history"], config]] == [3, 5]


def test_a_time_budget_stops_between_steps_and_the_run_goes_on_to_the_same_bytes(tmp_path, tiny_data, tiny_vae, monkeypatch):
    fit(tiny_vae(), tiny_data, out=tmp_path / "whole", epochs=3, **FAST)
    fit(tiny_vae(), tiny_data, out=tmp_path / "none", epochs=3, max_seconds=1e-9, **FAST)
    assert told(tmp_path / "none") == []
    now, whole = [0.0], TrainingStep.__call__

    def clock():  # which moves by itself, if only a little
        now[0] += 1e-6
        return now[0]

    monkeypatch.setattr("scratchvae.training.trainer.time.perf_counter", clock)

    def slow(self, rows, step, lr):  # a step takes a second
        now[0] += 1
        return whole(self, rows, step, lr)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", slow)
        fit(tiny_vae(), tiny_data, out=tmp_path / "cut", epochs=3, max_seconds=9.5, **FAST)
    assert max(r["step"] for r in told(tmp_path / "cut")) <= 10
    for name in ("cut", "none"):
        resume(load_model(tmp_path / name), tiny_data, tmp_path / name, **QUIET)
        assert files(tmp_path / name) == files(tmp_path / "whole")


CHANGES = [
    {"lr": 1e-4}, {"batch_size": 5}, {"batch_size": 11, "schedule": "cosine", "epochs": 5}, {"clip": 0.5}, {"clip": None},
    {"schedule": "step", "every": 2, "warmup": 3}, {"weight_decay": 0.01, "log_every": 3},
]  # fmt: skip


@pytest.mark.parametrize("stop", [5, 9, 13])  # within the first epoch, at its end, within the second
@pytest.mark.parametrize("change", CHANGES)
def test_a_chapter_is_recorded_and_resumes_to_the_same_bytes(tmp_path, tiny_data, tiny_vae, change, stop):
    for name, more in (("whole", ()), ("cut", (1, 3, 4))):
        run = tmp_path / name
        fit(tiny_vae(), tiny_data, out=run, epochs=3, clip=5.0, max_steps=stop, **FAST)
        for steps in more:
            resume(load_model(run), tiny_data, run, **QUIET, max_steps=steps, **change)  # asked for again: no other chapter
        resume(load_model(run), tiny_data, run, **QUIET, **(change if not more else {}))
    assert files(tmp_path / "whole") == files(tmp_path / "cut")
    assert told(tmp_path / "whole") == told(tmp_path / "cut")
    config = RunFolder(tmp_path / "whole").config()
    assert [part["ended"]["step"] for part in config["history"]] == [stop]
    assert config["training"].items() >= change.items()
    assert config["history"][0]["training"]["lr"] == 1e-3
    assert told(tmp_path / "whole")[-1]["epoch"] == config["training"]["epochs"]


def test_a_new_batch_size_begins_a_new_epoch_that_visits_every_image_once(tmp_path, tiny_data, tiny_vae, monkeypatch):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=3, max_steps=5, **FAST)
    visited, rates, whole = [], [], TrainingStep.__call__

    def listening(self, rows, step, lr):
        visited.append(np.array(rows))
        rates.append((step, lr))
        return whole(self, rows, step, lr)

    monkeypatch.setattr(TrainingStep, "__call__", listening)
    resume(load_model(tmp_path / "run"), tiny_data, tmp_path / "run", **QUIET, batch_size=20, schedule="cosine")
    assert [len(rows) for rows in visited] == [20] * 6  # two epochs of three
    assert np.concatenate(visited[:3]).tolist() == rng.permutation(0, 1, 60).tolist()
    curve = Schedule(1e-3, "cosine", total=6)
    assert rates == [(5 + i, curve(i)) for i in range(6)]
    assert [r["epoch"] for r in told(tmp_path / "run") if r["split"] == "test"] == [2, 3]


def test_epochs_are_counted_on_from_where_a_chapter_began(tmp_path, tiny_data, tiny_vae):
    run = tmp_path / "run"
    fit(tiny_vae(), tiny_data, out=run, epochs=3, max_steps=5, **FAST)
    resume(load_model(run), tiny_data, run, **QUIET, batch_size=20, max_steps=2)  # a new epoch, of three steps
    config = RunFolder(run).config()
    assert [epoch_at(config, step) for step in (5, 7, 8)] == pytest.approx([1, 1 + 2 / 3, 2])
    resume(load_model(run), tiny_data, run, **QUIET, clip=1.0)
    ended = [part["ended"] for part in RunFolder(run).config()["history"]]
    assert [end["step"] for end in ended] == [5, 7]
    assert [end["epoch"] for end in ended] == pytest.approx([5 / 9, 1 + 2 / 3])


def test_a_line_of_the_log_is_of_one_epoch_though_a_chapter_cuts_one(tmp_path, tiny_data, tiny_vae):
    found = []
    for log_every in (4, 1):  # a line has begun when the epoch is cut, or has not
        run = tmp_path / str(log_every)
        fit(tiny_vae(), tiny_data, out=run, epochs=2, max_steps=5, **{**FAST, "log_every": log_every})
        resume(load_model(run), tiny_data, run, **QUIET, batch_size=60)
        found.append([r["loss"] for r in told(run) if r["split"] == "train" and r["step"] > 5])
    assert found[0] == found[1]


def test_a_new_rate_leaves_the_epoch_as_it_is(tmp_path, tiny_data, tiny_vae, monkeypatch):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1, max_steps=5, **FAST)
    visited, whole = [], TrainingStep.__call__
    listening = lambda self, rows, step, lr: visited.append((step, lr, len(rows))) or whole(self, rows, step, lr)
    monkeypatch.setattr(TrainingStep, "__call__", listening)
    resume(load_model(tmp_path / "run"), tiny_data, tmp_path / "run", **QUIET, lr=0.01, warmup=2)
    assert visited == [(5, 0.005, 7), (6, 0.01, 7), (7, 0.01, 7), (8, 0.01, 4)]


def test_other_data_are_a_chapter_only_when_asked_for(tmp_path, data, tiny_vae):
    run = tmp_path / "run"
    fit(tiny_vae(), data, out=run, epochs=2, **FAST)
    other = replace(data, name="other", train=Split(255 - data.train.images[:30], None))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(RunFolderError, match=r"splits of .*'train': 48.*, now .*'train': 30.*other_data=True"):
        resume(load_model(run), other, run, epochs=4)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    resume(load_model(run), other, run, **QUIET, other_data=True, epochs=4, max_steps=2)
    resume(load_model(run), other, run, **QUIET)
    config = RunFolder(run).config()
    assert [part["data"]["name"] for part in [*config["history"], config]] == ["tiny", "other"]
    assert [r["epoch"] for r in told(run) if r["split"] == "validation"] == [1, 2, 3, 4]
    assert (run / "best-14.npz").read_bytes() == before["best.npz"]  # 7 steps an epoch
    assert "other" in story(config)[1]
    assert "batch_size" not in story(config)[1]
    with pytest.raises(RunFolderError, match="other data"):
        resume(load_model(run), data, run)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 1}, "2 epochs are done"),
        ({"seed": 1}, "keeps its seed"),
        ({"optimiser": "sgd"}, "keeps its optimiser, here 'adam'"),
        ({"shards": 3}, "keeps its shards"),
        ({"lr": -1}, "lr must be"),
        ({"clip": 0}, "clip must be"),
        ({"colour": 1}, "no setting 'colour'"),
        ({"patience": 3, "epochs": 3}, "needs a validation split"),
        ({"lr": 0.1}, "all 2 epochs are done"),
    ],
)
def test_what_cannot_change_is_refused_and_nothing_is_written(tmp_path, tiny_data, tiny_vae, options, words):
    run = tmp_path / "run"
    fit(tiny_vae(), tiny_data, out=run, epochs=2, **FAST)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ConfigError, match=words):
        resume(load_model(run), tiny_data, run, **options)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_cosine_goes_on_only_with_a_schedule_of_its_own(tmp_path, tiny_data, tiny_vae):
    run = tmp_path / "run"
    fit(tiny_vae(), tiny_data, out=run, epochs=1, schedule="cosine", **FAST)
    for change in ({"epochs": 2}, {"epochs": 2, "batch_size": 9}):
        with pytest.raises(ConfigError, match="cosine"):
            resume(load_model(run), tiny_data, run, **change)
    resume(load_model(run), tiny_data, run, **QUIET, epochs=2, schedule="cosine")
    rates = [r["lr"] for r in told(run) if r["split"] == "train"]
    assert rates[-1] == Schedule(1e-3, "cosine", total=9)(8)
    assert len(RunFolder(run).config()["history"]) == 1


def test_a_chapter_of_no_steps_is_none(tmp_path, tiny_data, tiny_vae):
    run = tmp_path / "run"
    fit(tiny_vae(), tiny_data, out=run, epochs=2, max_steps=3, **FAST)
    for lr in (0.1, 0.2):
        resume(load_model(run), tiny_data, run, **QUIET, max_steps=0, lr=lr)
    config = RunFolder(run).config()
    assert [part["training"]["lr"] for part in [*config["history"], config]] == [1e-3, 0.2]
