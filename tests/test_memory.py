"""Sizes are compared with the memory there is before anything is allocated, and the refusal names them and the cure."""

import tracemalloc
from math import inf

import pytest

from scratchvae import memory
from scratchvae.errors import ConfigError
from scratchvae.models import VAE
from scratchvae.nn import init
from scratchvae.nn.module import DRAWING
from scratchvae.training import TrainingStep, fit

FREE = 8e9


@pytest.fixture(autouse=True)
def a_machine_of_8_gb(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: FREE)


def refused(function, *words):
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError) as error:
            function()
        assert tracemalloc.get_traced_memory()[1] < 50e6  # bytes at most: nothing large was made first
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) <= 500
    assert "8 GB are free" in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("hidden", [(2_000_000_000,), (2_000_000,), (100_000, 100_000), (400,) * 3000])
def test_a_model_that_does_not_fit_is_refused_by_its_parameters(hidden):
    refused(lambda: VAE(784, hidden, 20), "parameters and their gradients", "fewer or narrower layers")


def test_a_run_that_does_not_fit_is_refused_before_a_folder_exists(tmp_path, tiny_data, tiny_vae, monkeypatch):
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 20_000)  # bytes
    with pytest.raises(ConfigError, match="gradients of 60 shards 65.3 kB.*a smaller batch_size, fewer shards"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1, batch_size=10**9, shards=10**9)
    assert not (tmp_path / "run").exists()


def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr(memory, "SMALL", 0)
    VAE(784, (400,), 20)
    memory.require({"all of it": FREE}, "-")
    refused(lambda: memory.require({"a byte more": FREE + 1}, "give one back"), "a byte more 8 GB", "give one back")


def test_drawing_takes_about_what_is_said():
    tracemalloc.start()
    init.glorot((500, 1000), 0, 0)
    taken = tracemalloc.get_traced_memory()[1] / 500_000
    tracemalloc.stop()
    assert DRAWING / 2 < taken < DRAWING


def test_the_gradients_of_a_step_are_as_many_as_its_shards_and_no_more_than_its_images(tiny_data, tiny_vae):
    from scratchvae.training import Optimiser

    model, optimiser = tiny_vae(), Optimiser()
    optimiser.start(model.buffer.values)
    for batch, shards, expected in ((60, 3, 3), (7, 10**9, 7), (10**9, 10**9, 60)):
        do = TrainingStep(model, optimiser, tiny_data.train.images, batch, shards=shards)
        assert len({id(replica.buffer.grads) for replica in do.replicas}) == expected


def test_the_memory_that_is_free_is_told_by_the_system_its_groups_and_its_limits(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert 1e8 < memory.available() < 1e14
    groups = tmp_path / "cgroup"
    groups.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert memory._granted(groups, tmp_path) == inf
    (tmp_path / "a" / "memory.max").write_text("5000\n")
    (tmp_path / "a" / "memory.current").write_text("3000\n")
    (tmp_path / "a" / "memory.stat").write_text("anon 9\ninactive_file 700\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    assert memory._granted(groups, tmp_path) == 2700
    monkeypatch.setattr(memory, "_unlimited", lambda: 12345)
    assert memory.available() == 12345


def test_sizes_are_told_in_three_digits():
    assert [memory.size(n) for n in (5, 71_520, 8e9, 2.5e13, 3e18)] == ["5 B", "71.5 kB", "8 GB", "25 TB", "3e+03 PB"]
