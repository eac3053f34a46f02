"""Checkpoints: what is written comes back bit for bit, and nothing else is believed."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scratchvae.errors import CheckpointError, NonFiniteError
from scratchvae.models import VAE, Autoencoder
from scratchvae.training import OPTIMISERS, Optimiser, checkpoint, fit, load_model
from scratchvae.training.checkpoint import load_arrays, read_checkpoint, save_checkpoint


def config_of(model):
    return {"model": {"kind": model.kind, "config": model.config}}


def write(path, model, optimiser="adam", step=7):
    """A checkpoint with moments that are not zero → the started optimiser."""
    opt = Optimiser(optimiser)
    opt.start(model.buffer.values)
    for i, moment in enumerate(opt.moments.values()):
        moment[...] = np.arange(moment.size) + i
    save_checkpoint(path, model, opt, {"step": step}, config_of(model))
    return opt


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 9), hidden=st.lists(st.integers(1, 5), max_size=2), latent=st.integers(1, 4),
    dtype=st.sampled_from([np.float32, np.float64]), kind=st.sampled_from([VAE, Autoencoder]),
    likelihood=st.sampled_from(["bernoulli", "gaussian"]), optimiser=st.sampled_from(list(OPTIMISERS)), seed=st.integers(0, 2**64 - 1),
)
def test_a_round_trip_returns_every_bit(tmp_path, size, hidden, latent, dtype, kind, likelihood, optimiser, seed):
    model = kind(size, hidden, latent, likelihood=likelihood, seed=seed, dtype=dtype)
    opt = write(tmp_path / "c.npz", model, optimiser)
    back = load_model(tmp_path / "c.npz")
    assert type(back) is kind
    assert back.config == model.config
    assert back.buffer.values.dtype == dtype
    assert np.array_equal(back.buffer.values, model.buffer.values)
    state, _, arrays = read_checkpoint(tmp_path / "c.npz")
    opt_back = Optimiser(optimiser)
    opt_back.start(back.buffer.values)
    load_arrays("c", arrays, back, opt_back)
    assert state == {"step": 7}
    assert all(np.array_equal(opt.moments[name], opt_back.moments[name]) for name in opt.moments)


def test_the_same_state_gives_the_same_bytes(tmp_path):
    write(tmp_path / "a.npz", VAE(6, (4,), 2))
    write(tmp_path / "b.npz", VAE(6, (4,), 2))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_parameters_are_plain_arrays_that_numpy_alone_can_read(tmp_path):
    model = VAE(6, (4,), 2)
    write(tmp_path / "c.npz", model)
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert np.array_equal(file["parameters/encoder.0.W"], model.encoder.layers[0].W.value)
        assert file["v/decoder.2.b"].shape == (6,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)
@given(where=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_is_refused_or_reads_the_same(tmp_path, where, bit, cut):
    model = VAE(6, (4,), 2)
    path = tmp_path / "c.npz"
    write(path, model)
    good = read_checkpoint(path)
    data = bytearray(path.read_bytes())
    at = min(int(where * len(data)), len(data) - 1)
    path.write_bytes(data[:at] if cut else data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
    try:
        state, config, arrays = read_checkpoint(path)
    except CheckpointError:
        return
    # The bit was in a part of the zip that carries nothing, such as a time stamp.
    assert (state, config) == good[:2]
    assert all(np.array_equal(arrays[name], good[2][name]) for name in good[2])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
def test_files_that_are_no_checkpoint_are_named(tmp_path, content):
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged, or not a scratchvae checkpoint"):
        read_checkpoint(tmp_path / "c.npz")


def rewrite(path, change):
    """Write the file anew with one thing changed in its note, its arrays left alone."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    note = json.loads(arrays["note"].tobytes())
    change(note)
    arrays["note"] = np.frombuffer(json.dumps(note).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda note: note.update(version=3), "version 3, and this program reads versions 1 and 2"),
        (lambda note: note.update(format="other"), "not a scratchvae checkpoint"),
        (lambda note: note["state"].update(step=8), "checksum"),
    ],
)
def test_another_version_format_or_content_is_refused_with_its_cause(tmp_path, change, words):
    write(tmp_path / "c.npz", VAE(6, (4,), 2))
    rewrite(tmp_path / "c.npz", change)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / "c.npz")


def test_one_number_that_is_not_finite_in_a_whole_file_is_refused_by_the_name_of_its_array(tmp_path):
    write(path := tmp_path / "c.npz", VAE(6, (4,), 2))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    note = json.loads(arrays.pop("note").tobytes())
    del note["checksum"]
    arrays["parameters/decoder.2.b"][1] = np.inf
    note["checksum"] = checkpoint._checksum(note, arrays)
    np.savez(path, note=np.frombuffer(json.dumps(note).encode(), np.uint8), **arrays)
    with pytest.raises(CheckpointError, match=r"parameters/decoder\.2\.b holds numbers that are not finite"):
        read_checkpoint(path)


def test_another_npz_and_a_pickle_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", x=np.array([{"a": 1}], dtype=object))
    for name in ("other.npz", "pickle.npz"):
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (VAE(6, (4, 4), 2), r"parameters/decoder\.4\.W is missing"),
        (VAE(6, (5,), 2), r"encoder\.0\.W is float32 \(6, 4\), and this model's is float32 \(6, 5\)"),
        (VAE(6, (4,), 2, dtype=np.float64), "float32 .* and this model's is float64"),
        (VAE(6, (), 2), "has no place in this model"),
    ],
)
def test_the_checkpoint_of_another_model_is_refused_naming_the_first_difference(tmp_path, other, words):
    write(tmp_path / "c.npz", VAE(6, (4,), 2))
    _, _, arrays = read_checkpoint(tmp_path / "c.npz")
    before = other.buffer.values.copy()
    with pytest.raises(CheckpointError, match=words):
        load_arrays("c.npz", arrays, other)
    assert np.array_equal(before, other.buffer.values)  # not half-loaded


def test_the_checkpoint_of_another_optimiser_is_refused(tmp_path):
    model = VAE(6, (4,), 2)
    write(tmp_path / "c.npz", model, "momentum")
    _, _, arrays = read_checkpoint(tmp_path / "c.npz")
    adam = Optimiser("adam")
    adam.start(model.buffer.values)
    with pytest.raises(CheckpointError, match=r"m/.* is missing"):
        load_arrays("c.npz", arrays, model, adam)


def test_a_configuration_of_no_known_model_is_refused(tmp_path):
    model = VAE(6, (4,), 2)
    opt = Optimiser("sgd")
    opt.start(model.buffer.values)
    for config in ({}, {"model": {"kind": "gan", "config": {}}}, {"model": {"kind": "vae", "config": {"colour": 1}}}):
        save_checkpoint(tmp_path / "c.npz", model, opt, {"step": 0}, config)
        with pytest.raises(CheckpointError, match="describes no model"):
            load_model(tmp_path / "c.npz")


@pytest.mark.parametrize("where", ["parameters", "m"])
def test_values_that_are_not_finite_are_not_written_over_good_ones(tmp_path, where):
    model = VAE(6, (4,), 2)
    opt = write(tmp_path / "c.npz", model)
    before = (tmp_path / "c.npz").read_bytes()
    target = model.buffer.values if where == "parameters" else opt.moments["m"]
    target[model.buffer.slices["decoder.2.b"]] = np.nan
    with pytest.raises(NonFiniteError, match=rf"{where}/decoder\.2\.b is not finite"):
        save_checkpoint(tmp_path / "c.npz", model, opt, {"step": 8}, config_of(model))
    assert (tmp_path / "c.npz").read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, tiny_data, tiny_vae, monkeypatch):
    fit(tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}

    def full_disk(file, **arrays):
        with open(file, "wb") as half:
            half.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    model = tiny_vae()
    opt = Optimiser("adam")
    opt.start(model.buffer.values)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path / "run" / "checkpoint.npz", model, opt, {"step": 1}, config_of(model))
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_whoever_reads_the_old_file_while_a_new_one_is_written_reads_all_of_the_old_one(tmp_path):
    path = tmp_path / "c.npz"
    write(path, VAE(6, (4,), 2, seed=1))
    old = path.read_bytes()
    with open(path, "rb") as reader:
        write(path, VAE(6, (4,), 2, seed=2))
        assert reader.read() == old
    assert path.read_bytes() != old
