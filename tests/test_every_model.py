"""What holds of every model alike, the reader's own included: the table in docs/proofs.md names these claims, model by model."""

import numpy as np
import pytest
from cuda_backend_on_cpu import cupy_on_cpu
from test_own_module import Mine

from scratchvae import gradcheck
from scratchvae.data import Dataset, Split
from scratchvae.models import IWAE, VAE, Autoencoder, ConvVAE, Hourglass, UNet
from scratchvae.training import fit, load_model, resume

draw = np.random.default_rng(0)
ROWS, SIDE, JOINTS = 60, 8, 2
FIELDS = {
    "segments": draw.integers(0, 3, (ROWS, SIDE, SIDE)).astype(np.uint8), "clean": draw.random((ROWS, SIDE, SIDE)).astype(np.float32),
    "points": (draw.random((ROWS, JOINTS, 2)) * SIDE).astype(np.float32), "visible": draw.random((ROWS, JOINTS)) < 0.8,
}  # fmt: skip
IMAGES = draw.integers(0, 256, (ROWS, SIDE**2)).astype(np.uint8)
DATA = Dataset(
    "noise", (SIDE, SIDE), *(Split(IMAGES[part], **{name: field[part] for name, field in FIELDS.items()})
                             for part in (slice(0, 44), slice(44, None))), "made here",
)  # fmt: skip
MODELS = {
    "ae": (Autoencoder, {"data_size": SIDE**2, "hidden": (5,), "latent": 2}),
    "vae": (VAE, {"data_size": SIDE**2, "hidden": (5,), "latent": 2, "activation": "silu"}),
    "conv-vae": (ConvVAE, {"image_shape": (SIDE, SIDE), "filters": (2, 3), "latent": 2}),
    "iwae": (IWAE, {"data_size": SIDE**2, "hidden": (5,), "latent": 2, "draws": 3, "activation": "silu"}),
    "unet": (UNet, {"image_shape": (SIDE, SIDE), "base": 2, "levels": 2, "classes": 3}),
    "unet, cleaning, batch norm": (UNet, {"image_shape": (SIDE, SIDE), "base": 2, "levels": 1, "task": "denoise", "norm": "batch"}),
    "hourglass": (Hourglass, {"image_shape": (SIDE, SIDE), "joints": JOINTS, "features": 4, "levels": 1}),
    "own": (Mine, {"image_shape": (SIDE, SIDE)}),
}
OPTIONS = {"epochs": 2, "batch_size": 10, "lr": 1e-3, "seed": 3, "progress": False}  # the last batch of an epoch is short
every_model = pytest.mark.parametrize("name", MODELS)


def model_of(name, **options):
    kind, sizes = MODELS[name]
    return kind(**sizes, seed=1, **options)


@every_model
def test_every_gradient_is_a_complex_step(name):
    model, rows = model_of(name, dtype=np.float64), slice(0, 3)
    fields = DATA.train.fields
    given = [fields[field][rows] / 255 if field == "images" else fields[field][rows] for field in model.reads]
    report = gradcheck(model, *given, sample=40)
    checked = {entry.name.removesuffix(", training") for entry in report.entries if entry.verdict == "ok"}
    assert report.ok, str(report)
    assert checked == {parameter for parameter, p in model.parameters() if p.trained}


@every_model
def test_threads_and_stops_leave_the_same_bytes(name, tmp_path):
    fit(model_of(name), DATA, out=tmp_path / "whole", shards=4, threads=1, **OPTIONS)
    expected = (tmp_path / "whole" / "checkpoint.npz").read_bytes()
    for threads, stop in ((2, None), (4, None), (1, 3), (4, 7)):
        out = tmp_path / f"{threads}-{stop}"
        fit(model_of(name), DATA, out=out, shards=4, threads=threads, max_steps=stop, **OPTIONS)
        if stop:
            resume(load_model(out, model=MODELS[name][0]), DATA, out, threads=threads, progress=False)
        assert (out / "checkpoint.npz").read_bytes() == expected, (threads, stop)


@every_model
def test_training_on_the_kernels_is_numpys(name):
    def trained(backend):
        model = model_of(name, dtype=np.float64, backend=backend)
        records = fit(model, DATA, shards=1, **OPTIONS)
        return model.backend.get(model.buffer.values), [record["loss"] for record in records]

    mine, losses = trained("numpy")
    with cupy_on_cpu() as (backend, device):
        theirs, device_losses = trained(backend)
    assert device.replays  # as graphs: launches of kernels and nothing else
    # Rounding, through ten steps of Adam, which makes steps even of a bias's gradient that batch norm cancels down to rounding.
    near = 1e-7 if "batch norm" in name else 1e-9
    np.testing.assert_allclose(theirs, mine, rtol=near, atol=near)
    np.testing.assert_allclose(device_losses, losses, rtol=near)
