"""The settings of training: named once, checked before anything is made, and read from a file without a guess."""

import json
import re
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.cli import parser
from scratchvae.cli.options import given as named
from scratchvae.errors import ConfigError
from scratchvae.models import MODELS
from scratchvae.training import RunFolder, Settings, TrainingStep, fit

INF, NAN = float("inf"), float("nan")
COUNTS = ["epochs", "batch_size", "warmup", "every", "seed", "shards", "log_every"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *[(name, value, "whole number") for name in COUNTS for value in (-1, 1.5, "2", True, NAN, [1], 2**64)],
        *[(name, value, "finite number") for name in ("lr", "factor", "clip") for value in (-1, 0, NAN, "1", True, [1], 10**400)],
        ("clip", INF, "finite number"),
        ("lr", INF, "finite number"),
        ("weight_decay", "1", "a finite number"),
        ("schedule", "linear", "constant, step, cosine"),
        ("schedule", None, "constant, step, cosine"),
        ("optimiser", "adom", "adam, adamw"),
        ("optimiser", 7, "a text"),
        ("optimiser_settings", [0.9], "names with values"),
        ("tf32", 1, "True or False"),
        ("colour", "red", "no setting 'colour'"),
    ],
)
def test_what_cannot_work_is_refused_by_its_name(name, value, words):
    with pytest.raises(ConfigError, match=words) as refused:
        Settings.of(**{name: value})
    assert name in str(refused.value)
    assert len(str(refused.value)) <= 500


@given(
    st.fixed_dictionaries({}, optional={
        "epochs": st.integers(1, 2**31 - 1), "batch_size": st.integers(1, 2**31 - 1), "lr": st.floats(1e-30, 1e30),
        "warmup": st.integers(0, 99), "clip": st.none() | st.floats(1e-30, 1e30), "seed": st.integers(0, 2**64 - 1),
        "optimiser_settings": st.fixed_dictionaries({}, optional={"beta1": st.floats(0, 0.99)}), "tf32": st.booleans(),
    })  # fmt: skip
)
def test_a_file_gives_back_the_settings_that_were_written(options):
    settings = Settings(**options)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert all(getattr(settings, name) == value for name, value in options.items())


@pytest.mark.parametrize("name", [f.name for f in fields(Settings)])
def test_a_file_that_lacks_a_setting_is_not_guessed_at(name):
    told = Settings().to_dict()
    del told[name]
    with pytest.raises(ConfigError, match=f"{name} is missing"):
        Settings.from_dict(told)


@pytest.mark.parametrize("told", [None, [], "adam", 3])
def test_settings_that_are_no_object_are_refused(told):
    with pytest.raises(ConfigError, match="names and values"):
        Settings.from_dict(told)


def test_numbers_of_numpy_become_plain_ones():
    settings = Settings(epochs=np.int64(3), lr=np.float32(0.5), clip=2)
    assert [type(v) for v in (settings.epochs, settings.lr, settings.clip)] == [int, float, float]


def test_the_command_line_sets_what_it_is_given_and_leaves_the_rest_to_the_settings():
    parse = lambda *words: named(parser().parse_args(["train", *words]))
    assert parse() == {}
    assert parse("--batch-size", "9", "--tf32") == {"batch_size": 9, "tf32": True}


def test_a_model_s_own_defaults_are_taken_where_nothing_is_given_and_help_tells_them(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for kind, model in MODELS.items():
        default, asked = Settings.for_model(model), Settings.for_model(model, batch_size=7)
        assert default == Settings(**model.training_defaults)
        assert asked == Settings(**{**model.training_defaults, "batch_size": 7})
        for name in ("batch_size", "lr"):
            number = f"{getattr(default, name):g}"
            own = name in model.training_defaults
            assert re.search(rf"{kind} {number}[,;)]" if own else rf"\(default: {number}[;)]", told)


def test_fit_trains_with_the_defaults_of_its_model(tiny_data, tiny_vae, tmp_path):
    class Slow(type(tiny_vae())):
        training_defaults = {"lr": 1e-5, "batch_size": 11}

    for asked in ({}, {"lr": 0.5}):
        fit(Slow(**tiny_vae().config), tiny_data, out=tmp_path / f"{len(asked)}", epochs=1, **asked)
        kept = RunFolder(tmp_path / f"{len(asked)}").config()["training"]
        assert {name: kept[name] for name in ("lr", "batch_size")} == {**Slow.training_defaults, **asked}


def test_more_steps_than_can_be_counted_are_refused_before_a_folder_exists(tmp_path, tiny_data, tiny_vae):
    with pytest.raises(ConfigError, match="too many"):
        fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=2**31 - 1, batch_size=1)
    assert not (tmp_path / "run").exists()


def test_an_absurd_number_of_shards_or_of_images_a_batch_takes_no_more_than_the_images_need(tiny_data, tiny_vae):
    records = {}
    for size, shards in ((60, 60), (2**31 - 1, 2**31 - 1)):
        records[size] = fit(tiny_vae(), tiny_data, epochs=1, batch_size=size, shards=shards, threads=1)[-1]["loss"]
    assert records[60] == records[2**31 - 1]


def test_shards_without_work_are_not_made(tiny_data, tiny_vae):
    from scratchvae.training import Optimiser

    model, optimiser = tiny_vae(), Optimiser()
    optimiser.start(model.buffer.values)
    do = TrainingStep(model, optimiser, tiny_data.train.images, 7, shards=1000)
    assert len(do.replicas) == 7
