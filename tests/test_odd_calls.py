"""Every argument of the public API, given what it cannot be: the call works, or ends in an error of ours, in one short line."""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest

from scratchvae import backend, checks, data, evaluate, gradcheck, load_model, models, nn, rng, training, use
from scratchvae.errors import ScratchVAEError
from scratchvae.workers import Threads

ODD = {
    "None": None, "True": True, "-1": -1, "0": 0, "2**70": 2**70, "1.5": 1.5, "nan": float("nan"), "inf": float("inf"), "1j": 1j,
    "text": "x", "bytes": b"x", "empty list": [], "ragged list": [[1, 2], [3]], "list of None": [None], "dict": {"a": 1},
    "object": object(), "type": int, "function": lambda: None, "empty array": np.zeros(0), "text array": np.array(["x", "y"]),
    "cube": np.full((2, 3, 4), 0.5), "row": np.full(12, 0.5), "nan array": np.full((3, 12), np.nan), "object array": np.array([{}, None]),
    "masked array": np.ma.masked_array(np.full((3, 12), 0.5), mask=True), "path": Path("no such file"), "parameter": nn.Parameter,
}  # fmt: skip

X = np.random.default_rng(0).random((8, 12)).astype(np.float32)
IMAGES, ROWS = X.reshape(2, 4, 4, 3), np.ones(8, np.float32)
MEASUREMENT = evaluate.Measurement("−ELBO", 1.0, 0.1, "nats", "bernoulli", "none", "exact", "x", "test", 8, 0)


def _vae():
    return models.VAE(12, (5,), 2)


def _data():
    return data.Dataset("x", (3, 4), data.Split(X), data.Split(X[:3]), "made by a test")


def _after_forward(module, columns):
    module.initialise().forward(X[:, :columns].copy())
    return module


def _started(**options):
    made = training.Optimiser(**options)
    made.start(np.ones(4, np.float32))
    return made


def _step():
    model = _vae()
    optimiser = training.Optimiser()
    optimiser.start(model.buffer.values)
    return {"model": model, "optimiser": optimiser, "fields": X, "batch_size": 4, "forked": False}


def _square():
    theta = np.ones(3, complex)
    return {"f": lambda: theta**2, "theta": theta, "indices": [0, 2]}


def _real_square():
    theta = np.ones(3)
    return {"f": lambda: theta**2, "theta": theta, "indices": [0, 2]}


def _image_terms(workers="open", **options):
    if workers != "open":
        return evaluate.image_terms(workers=workers, **options)
    with Threads(1) as opened:
        return evaluate.image_terms(workers=opened, **options)



# name → (what is called, its good arguments, made anew for every call)
CALLS = {
    "Split": lambda: (data.Split, {"images": X, "labels": np.arange(8), "classes": list("abcdefgh"), "targets": X}),
    "Split.take": lambda: (data.Split(X, np.arange(8)).take, {"rows": [1, 2]}),
    "Dataset": lambda: (
        data.Dataset,
        {"name": "x", "image_shape": (3, 4), "train": data.Split(X), "test": data.Split(X), "source": "s", "location": "",
         "validation": None, "preparation": {}},
    ),
    "Dataset.with_validation": lambda: (_data().with_validation, {"fraction": 0.3, "seed": 0}),
    "undo": lambda: (data.undo, {"preparation": {"scaling": {"scale": [2.0, 1.0], "offset": [0.0, 0.0]}}, "x": np.ones((3, 2))}),
    "save_npz": lambda: (data.save_npz, {"dataset": _data(), "path": "out.npz"}),
    "write_csv": lambda: (data.write_csv, {"path": "out.csv", "x": np.ones((3, 2)), "note": {"image_shape": [1, 2]}}),
    "gather": lambda: (data.gather, {"array": X, "rows": [0, 1], "out": np.empty((2, 12), np.float32)}),
    "hold_out": lambda: (data.hold_out, {"labels": None, "count": 10, "fraction": 0.1, "seed": 0, "part": 0}),
    "load": lambda: (
        data.load,
        {"name_or_path": "mnist-small", "size": None, "fit": "crop", "grey": False, "labels": None, "scale": None, "held_out": "shuffled",
         "seed": 0, "progress": False},
    ),
    "load_again": lambda: (data.load_again, {"note": {"location": "mnist-small"}, "location": None}),
    "Parameter": lambda: (nn.Parameter, {"shape": (3,), "init": nn.init.zeros}),
    "Dense": lambda: (nn.Dense, {"inputs": 3, "outputs": 2, "init_W": nn.init.he, "init_b": nn.init.zeros, "input_gradient": True}),
    "Dense.forward": lambda: (nn.Dense(12, 3).initialise().forward, {"x": X}),
    "Dense.backward": lambda: (_after_forward(nn.Dense(12, 3), 12).backward, {"dY": np.zeros((8, 3), np.float32)}),
    "Dense.operations": lambda: (nn.Dense(12, 3).operations, {"rows": 3}),
    "ReLU.forward": lambda: (nn.ReLU().forward, {"x": X}),
    "GELU.forward": lambda: (nn.GELU().forward, {"x": X}),
    "Tanh.backward": lambda: (_after_forward(nn.Tanh(), 12).backward, {"dY": X}),
    "Sequential": lambda: (nn.Sequential, {"*layers": nn.Tanh()}),
    "Chain": lambda: (nn.Chain, {"*layers": nn.Tanh()}),
    "Sequential.forward": lambda: (nn.Sequential(nn.Dense(12, 3), nn.Tanh()).initialise().forward, {"x": X}),
    "Module.initialise": lambda: (nn.Dense(3, 2).initialise, {"seed": 0, "dtype": np.float32, "backend": None}),
    "Module.to": lambda: (nn.Dense(3, 2).initialise().to, {"backend": "numpy"}),
    "Module.replica": lambda: (nn.Dense(3, 2).initialise().replica, {"dtype": None}),
    "Module.summary": lambda: (nn.Dense(3, 2).initialise().summary, {"columns": 3, "rows": 4}),
    "VAE": lambda: (
        models.VAE,
        {"data_size": 12, "hidden": (5,), "latent": 2, "activation": "relu", "likelihood": "bernoulli", "sigma": None,
         "init_W": "he", "seed": 0, "dtype": np.float32, "backend": None, "beta": 1.0},
    ),
    "Autoencoder, gaussian": lambda: (
        models.Autoencoder, {"data_size": 12, "hidden": [], "latent": 2, "likelihood": "gaussian", "sigma": 0.5},
    ),
    "VAE, annealed": lambda: (
        models.VAE, {"data_size": 12, "hidden": [], "latent": 2, "kl_schedule": "linear", "kl_steps": 5},
    ),
    "IWAE": lambda: (models.IWAE, {"data_size": 12, "hidden": (5,), "latent": 2, "draws": 3, "gradient": "dreg"}),
    "VAE.forward": lambda: (_vae().forward, {"x": X, "eps": np.zeros((8, 2), np.float32)}),
    "VAE.backward": lambda: (_after_forward(_vae(), 12).backward, {"dreconstruction": ROWS, "dkl": ROWS}),
    "VAE.descend": lambda: (_after_forward(_vae(), 12).descend, {"dL": ROWS}),
    "VAE.of_data": lambda: (models.VAE.of_data, {"data": _data(), "latent": 2}),
    "ConvVAE": lambda: (
        models.ConvVAE,
        {"image_shape": (5, 6), "filters": [2], "size": 3, "stride": 2, "latent": 2, "activation": "relu", "likelihood": "bernoulli",
         "sigma": None, "init_W": "he", "beta": 1.0, "seed": 0, "dtype": np.float32, "backend": None},
    ),
    "Hourglass": lambda: (
        models.Hourglass,
        {"image_shape": (8, 12), "joints": 2, "features": 2, "levels": 1, "stages": 1, "stride": 2, "sigma": 1.0, "seed": 0,
         "dtype": np.float32, "backend": None},
    ),
    "Hourglass.points": lambda: (models.Hourglass((4, 4), 2, 2, 1).points, {"x": np.zeros((3, 16), np.float32)}),
    "UNet": lambda: (
        models.UNet,
        {"image_shape": (8, 12), "base": 2, "levels": 1, "task": "segment", "classes": 2, "skips": True, "norm": "none", "seed": 0,
         "dtype": np.float32, "backend": None},
    ),
    "UNet.predict": lambda: (models.UNet((4, 4), 2, 1).predict, {"x": np.zeros((3, 16), np.float32)}),
    "Weighted": lambda: (models.Weighted, {"kl": 1.0}),
    "Conv2D": lambda: (nn.Conv2D, {"inputs": 3, "outputs": 2, "size": 3, "stride": 1, "pad": 1, "init_W": nn.init.he}),
    "Conv2D.forward": lambda: (nn.Conv2D(3, 2, 3).initialise().forward, {"x": IMAGES}),
    "ConvTranspose2D": lambda: (nn.ConvTranspose2D, {"inputs": 3, "outputs": 2, "size": (2, 3), "stride": 2, "pad": 1, "more": 0}),
    "ConvTranspose2D.forward": lambda: (nn.ConvTranspose2D(3, 2, 3).initialise().forward, {"x": IMAGES}),
    "MaxPool": lambda: (nn.MaxPool, {"size": 2, "stride": None}),
    "MaxPool.forward": lambda: (nn.MaxPool(2).forward, {"x": IMAGES}),
    "AveragePool": lambda: (nn.AveragePool, {"size": 2, "stride": 1}),
    "Upsample": lambda: (nn.Upsample, {"factor": 2, "how": "nearest"}),
    "Upsample.forward": lambda: (nn.Upsample(2, "bilinear").forward, {"x": IMAGES}),
    "BatchNorm": lambda: (nn.BatchNorm, {"channels": 3, "rate": 0.1}),
    "BatchNorm.forward": lambda: (nn.BatchNorm(3).initialise().forward, {"x": IMAGES}),
    "GroupNorm": lambda: (nn.GroupNorm, {"groups": 1, "channels": 3}),
    "LayerNorm": lambda: (nn.LayerNorm, {"channels": 3}),
    "Dropout": lambda: (nn.Dropout, {"rate": 0.5}),
    "Dropout.forward": lambda: (nn.Dropout(0.5).train().forward, {"x": IMAGES}),
    "Embedding": lambda: (nn.Embedding, {"count": 3, "width": 2}),
    "Embedding.forward": lambda: (nn.Embedding(3, 2).initialise().forward, {"rows": np.array([0, 2])}),
    "Concat.forward": lambda: (nn.Concat().forward, {"a": IMAGES, "b": IMAGES}),
    "Residual": lambda: (nn.Residual, {"*layers": nn.Tanh()}),
    "Residual.forward": lambda: (nn.Residual(nn.Tanh()).forward, {"x": IMAGES}),
    "Skip": lambda: (nn.Skip, {"*layers": nn.Tanh()}),
    "Skip.forward": lambda: (nn.Skip(nn.Tanh()).forward, {"x": IMAGES}),
    "Reshape": lambda: (nn.Reshape, {"*shape": 12}),
    "Reshape.forward": lambda: (nn.Reshape(3, 4).forward, {"x": X}),
    "Flatten.forward": lambda: (nn.Flatten().forward, {"x": IMAGES}),
    "VAE.encode": lambda: (_vae().encode, {"x": X}),
    "VAE.codes": lambda: (_vae().codes, {"x": X}),
    "VAE.decode": lambda: (_vae().decode, {"z": np.zeros((1, 2))}),
    "VAE.reconstruct": lambda: (_vae().reconstruct, {"x": X}),
    "VAE.sample": lambda: (_vae().sample, {"n": 2, "seed": 0}),
    "VAE.interpolate": lambda: (_vae().interpolate, {"x_from": X[0], "x_to": X[1], "steps": 3}),
    "VAE.traverse": lambda: (_vae().traverse, {"x": X[0], "values": [0, 1], "dimensions": [0, 1]}),
    "VAE.summary": lambda: (_vae().summary, {"columns": None, "rows": 4}),
    "fit": lambda: (
        training.fit,
        {"model": _vae(), "data": _data(), "out": None, "progress": False, "max_steps": 1, "max_seconds": None, "threads": 1, "graph": True,
         "epochs": 1, "batch_size": 4, "lr": 1e-3, "schedule": "step", "warmup": 0, "every": 1, "factor": 0.5, "optimiser": "adam",
         "optimiser_settings": {}, "weight_decay": 0.0, "clip": 1.0, "seed": 0, "shards": 1, "log_every": 1, "tf32": False},
    ),
    "Settings": lambda: (training.Settings, {"epochs": 1, "lr": 1e-3, "optimiser_settings": {"beta1": 0.8}}),
    "Settings.from_dict": lambda: (training.Settings.from_dict, {"told": training.Settings().to_dict()}),
    "Settings.for_model": lambda: (training.Settings.for_model, {"model": _vae(), "epochs": 1, "lr": 1e-3}),
    "Trainer": lambda: (training.Trainer, {"model": _vae(), "data": _data(), "settings": training.Settings(epochs=1)}),
    "resume": lambda: (
        training.resume,
        {"model": _vae(), "data": _data(), "out": "no such run", "threads": 1, "epochs": None, "other_data": False},
    ),
    "load_model": lambda: (load_model, {"path": "no such run", "backend": None, "best": None}),
    "first_model": lambda: (training.first_model, {"path": "no such run", "backend": None}),
    "RunFolder": lambda: (training.RunFolder, {"path": "no such run"}),
    "Optimiser": lambda: (
        training.Optimiser, {"name": "adamw", "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "decay": 0.1},
    ),
    "Optimiser, momentum": lambda: (training.Optimiser, {"name": "momentum", "mu": 0.9}),
    "Optimiser, rmsprop": lambda: (training.Optimiser, {"name": "rmsprop", "rho": 0.9, "eps": 1e-8}),
    "Optimiser.start": lambda: (training.Optimiser().start, {"values": np.zeros(4, np.float32)}),
    "Schedule": lambda: (training.Schedule, {"lr": 0.1, "kind": "cosine", "warmup": 1, "every": 2, "factor": 0.5, "total": 10}),
    "Schedule of a step": lambda: (training.Schedule(0.1, "step"), {"step": 3}),
    "TrainingStep": lambda: (training.TrainingStep, {**_step(), "threads": 1, "seed": 0, "shards": 1, "clip": None}),
    "default_epochs": lambda: (training.default_epochs, {"images": 100}),
    "measure": lambda: (evaluate.measure, {"model": _vae(), "dataset": _data(), "split": "test", "seed": 0, "samples": 1, "threads": 1}),
    "image_terms": lambda: (_image_terms, {"model": _vae(), "fields": X, "seed": 0, "samples": 1}),
    "difference": lambda: (evaluate.difference, {"a": MEASUREMENT, "b": MEASUREMENT}),
    "table": lambda: (evaluate.table, {"measured": {"a": MEASUREMENT}}),
    "accepted": lambda: (evaluate.accepted, {"model": _vae(), "data": _data()}),
    "judge": lambda: (evaluate.judge, {"model": _vae(), "dataset": _data(), "split": "test"}),
    "confusion": lambda: (evaluate.confusion, {"predicted": [0, 1, 2], "truth": [0, 1, 1], "classes": 3}),
    "dice": lambda: (evaluate.dice, {"counts": [[2, 0], [1, 3]]}),
    "iou": lambda: (evaluate.iou, {"counts": [[2, 0], [1, 3]]}),
    "peaks": lambda: (evaluate.peaks, {"maps": np.ones((2, 3, 4, 5))}),
    "pck": lambda: (
        evaluate.pck,
        {"predicted": np.zeros((3, 2, 2)), "points": np.ones((3, 2, 2)), "reference": np.ones(3), "alpha": 0.1,
         "counted": np.ones((3, 2), bool)},
    ),
    "psnr": lambda: (evaluate.psnr, {"predicted": X, "truth": X / 2, "peak": 1.0}),
    "gradcheck": lambda: (
        gradcheck,
        {"module": nn.Dense(3, 2), "x": np.ones((2, 3)), "eps": None, "rows": 2, "seed": 0, "method": "difference", "sample": 2,
         "name": "d"},
    ),
    "gradcheck of a made-up x": lambda: (
        gradcheck, {"module": nn.Tanh(), "columns": 3, "rows": 2, "seed": 0, "method": "complex", "sample": 2},
    ),
    "complex_step": lambda: (checks.complex_step, {**_square(), "h": 1e-40}),
    "central_differences": lambda: (checks.central_differences, {**_real_square(), "h": 1e-5}),
    "error_anatomy": lambda: (checks.error_anatomy, {"f": np.sin, "x": 1.0, "v": None, "slope": None, "steps": [1e-3]}),
    "check_linear_vae": lambda: (
        checks.check_linear_vae,
        {"seed": 0, "sigma": 0.9, "latent": 2, "x": np.random.default_rng(0).random((9, 4)), "steps": 2, "lr": 0.1},
    ),
    "ppca_optimum": lambda: (checks.ppca_optimum, {"x": np.random.default_rng(0).random((9, 4)), "latent": 2, "sigma": None}),
    "check_moments": lambda: (checks.check_moments, {"seed": 0, "draws": 10}),
    "check_file": lambda: (checks.check_file, {"target": "no_such.py:Layer", "seed": 0, "examples": 1}),
    "sampled_variance": lambda: (checks.sampled_variance_is_declared, {"mu": 0.1, "logvar": 0.2, "draws": 10, "seed": 0}),
    "kl_equals_monte_carlo": lambda: (checks.kl_equals_monte_carlo, {"mu": [0.1], "logvar": [0.2], "draws": 10, "seed": 0}),
    "bernoulli_pixels": lambda: (checks.bernoulli_pixels_have_their_mean, {"logit": 0.1, "draws": 10, "seed": 0}),
    "gaussian_nll": lambda: (checks.gaussian_nll_averages_to_the_entropy, {"mean": 0.1, "logvar": 0.2, "draws": 10, "seed": 0}),
    "rng.normal": lambda: (rng.normal, {"seed": 0, "stream": 0, "step": 0, "rows": [0, 1], "columns": 2, "dtype": np.float32}),
    "rng.permutation": lambda: (rng.permutation, {"seed": 0, "epoch": 0, "n": 5}),
    "use": lambda: (use, {"backend": "numpy"}),
}  # fmt: skip


def _call(function, arguments):
    many = [value for name, value in arguments.items() if name.startswith("*")]
    return function(*many, **{name: value for name, value in arguments.items() if not name.startswith("*")})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """What a call writes, it writes here; and warnings are no matter: what is odd may well overflow."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
    use("numpy")


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_works_or_misses_a_file_only(name):
    function, arguments = CALLS[name]()
    given = [value for value in arguments.values() if isinstance(value, str)]
    if name != "RunFolder" and {"no such run", "no_such.py:Layer"} & set(given):
        with pytest.raises(ScratchVAEError, match="no.such"):
            _call(function, arguments)
    else:
        _call(function, arguments)


@pytest.mark.parametrize("name", CALLS)
def test_no_odd_argument_ends_in_an_error_from_inside(name):
    wrong = []
    for argument in CALLS[name]()[1]:
        for odd, value in ODD.items():
            function, arguments = CALLS[name]()
            try:
                _call(function, {**arguments, argument: value})
            except ScratchVAEError as error:
                if len(str(error)) > 500 or "\n" in str(error):
                    wrong.append(f"{argument}={odd}: {len(str(error))} characters: {error}")
            except Exception as error:  # the claim is that there is none
                wrong.append(f"{argument}={odd}: {type(error).__name__}: {error}")
    assert not wrong, f"{len(wrong)} of {name}:\n" + "\n".join(wrong)


def test_every_public_callable_is_called():
    """Of what is left out, each is a record, one of several alike, needs a machine, or takes what another of ours returned."""
    left_out = {
        "PPCA", "Entry", "Moment", "Report", "Measurement", "Module", "DeviceStep", "ParameterBuffer", "check_all", "check_oracle",
        "LeakyReLU", "Sigmoid", "SiLU", "Softplus", "Model", "Part", "Scores", "values_of", "story", "two_epochs",
    }  # fmt: skip
    called = {name.split(",")[0].split(".")[0].split(" ")[0] for name in CALLS}
    called |= {CALLS[name]()[0].__name__ for name in CALLS if hasattr(CALLS[name]()[0], "__name__")}
    public = {n for room in (data, nn, models, training, evaluate, checks) for n in room.__all__ if callable(getattr(room, n))}
    assert public - called - left_out == set()
    assert backend.get().name == "numpy"
    assert inspect.signature(gradcheck).parameters
