"""Claims about what training minimises where that is another in every step: the weight of the KL, by a schedule."""

import numpy as np
import pytest
from cuda_backend_on_cpu import cupy_on_cpu

from scratchvae import cli
from scratchvae.errors import ConfigError
from scratchvae.models import VAE, ConvVAE
from scratchvae.models.objective import Annealed
from scratchvae.nn import Part
from scratchvae.training import Optimiser, RunFolder, TrainingStep, fit, load_model, resume

OPTIONS = {"epochs": 2, "batch_size": 8, "log_every": 1, "progress": False}  # of the 60 images of tiny_data: 8 steps an epoch


def test_shares_rise_and_stay_or_come_again():
    linear, cyclical = Annealed("linear", 4, a=1, kl=1), Annealed("cyclical", 4, a=1, kl=1)
    assert [float(linear.share(step)) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [float(cyclical.share(step)) for step in range(10)] == [0.5, 1, 1, 1, 0.5, 1, 1, 1, 0.5, 1]
    assert [float(Annealed("cyclical", 1, kl=1).share(step)) for step in range(3)] == [1, 1, 1]


def test_in_training_the_kl_counts_its_share_and_in_use_the_whole():
    objective, dL = Annealed("linear", 10, reconstruction=1.0, kl=0.5), np.array([0.25, 0.5], np.float32)
    objective.part = Part(step=3)
    (first, used), (_, taught) = objective.backward(dL), objective.train().backward(dL)
    np.testing.assert_array_equal(first, dL)
    np.testing.assert_array_equal(used, 0.5 * dL)
    np.testing.assert_allclose(taught, 0.4 * 0.5 * dL, rtol=1e-7)
    assert taught.dtype == np.float32


@pytest.mark.parametrize("shards", [1, 3])
def test_a_steps_gradient_is_that_of_the_loss_with_the_share_of_that_step(tiny_data, tiny_vae, shards):
    images = tiny_data.train.images
    model, plain = tiny_vae(beta=2.0, kl_schedule="linear", kl_steps=8, dtype=np.float64), tiny_vae(beta=0.75, dtype=np.float64)
    found = []
    for one in (model, plain):
        opt = Optimiser("sgd")
        opt.start(one.buffer.values)
        with TrainingStep(one, opt, images, 9, shards=shards) as do:
            sums = do(np.arange(9), 2, 0.0)  # the third step: 3/8 of 2
            found.append((do.grads[0].copy(), sums))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("kind", ["linear", "cyclical"])
def test_threads_and_a_stop_at_any_step_change_no_bit_and_the_log_tells_the_share(tmp_path, tiny_data, tiny_vae, kind):
    make = lambda: tiny_vae(kl_schedule=kind, kl_steps=5)
    fit(make(), tiny_data, out=tmp_path / "whole", threads=2, shards=4, **OPTIONS)
    fit(make(), tiny_data, out=tmp_path / "cut", threads=1, shards=4, max_steps=3, **OPTIONS)
    resume(load_model(tmp_path / "cut"), tiny_data, tmp_path / "cut", progress=False)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    assert whole.checkpoint_path.read_bytes() == cut.checkpoint_path.read_bytes()
    objective = make().objective
    for folder in (whole, cut):
        lines = [r for r in folder.records() if r["split"] == "train"]
        assert [r["kl_share"] for r in lines] == [float(objective.share(step)) for step in range(16)]
        assert all(r["loss"] == pytest.approx(r["reconstruction"] + r["kl"]) for r in lines)  # as a model is judged
        assert not any("kl_share" in r for r in folder.records() if r["split"] != "train")


def test_the_kernels_train_with_it_as_numpy_does(tiny_data):
    values = []
    with cupy_on_cpu() as (place, _):
        for backend in ("numpy", place):
            model = VAE(12, (8,), 3, kl_schedule="linear", kl_steps=6, seed=3, dtype=np.float64, backend=backend)
            fit(model, tiny_data, shards=1, **OPTIONS)
            values.append(model.backend.get(model.buffer.values))
    np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kl_schedule": "cosine"}, "kl_schedule must be one of constant, linear, cyclical"),
        ({"kl_schedule": "linear"}, "needs kl_steps"),
        ({"kl_steps": 5}, "kl_steps belong to a kl_schedule"),
        ({"kl_schedule": "linear", "kl_steps": 0}, "kl_steps must be a whole number of at least 1"),
    ],
)
@pytest.mark.parametrize("kind", [VAE, ConvVAE])
def test_a_schedule_that_means_nothing_is_refused(kind, options, words):
    with pytest.raises(ConfigError, match=words):
        kind(**options)


def test_a_schedule_longer_than_the_run_is_refused_before_there_is_a_folder(tmp_path, tiny_data, tiny_vae):
    with pytest.raises(ConfigError, match="kl_steps are 17, and the run has 16 steps"):
        fit(tiny_vae(kl_schedule="cyclical", kl_steps=17), tiny_data, out=tmp_path / "run", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_with_a_schedule_and_keeps_it(tmp_path, capsys):
    command = ["train", "--hidden", "8", "--epochs", "1", "--kl-schedule", "linear", "--kl-steps", "20", "--out", str(tmp_path / "run")]
    assert cli.main(command) == 0
    config = RunFolder(tmp_path / "run").config()["model"]["config"]
    assert (config["kl_schedule"], config["kl_steps"]) == ("linear", 20)
    assert cli.main(["train", "--model", "ae", "--kl-steps", "5"]) == 1
    assert "--kl-steps belongs to --model vae or conv-vae" in capsys.readouterr().err
