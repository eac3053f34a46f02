"""Models of other layers than dense ones train on the cupy backend as on NumPy: its own code and kernels, run by the CPU."""

import shutil

import numpy as np
import pytest
from cuda_backend_on_cpu import cupy_on_cpu

from scratchvae import fit, load_model, measure, nn, resume
from scratchvae.data import Dataset, Split
from scratchvae.errors import DataError
from scratchvae.evaluate import image_terms, judge
from scratchvae.models import ConvVAE, Hourglass, Model, UNet
from scratchvae.models.targets import Categorical
from scratchvae.training.device_step import capturable

# One shard: a batch norm takes the statistics of its shard, and a GPU has one. 20 images in batches of 6: three full ones and one of 2.
OPTIONS = {"batch_size": 6, "epochs": 2, "log_every": 3, "lr": 0.01, "seed": 5, "progress": False, "shards": 1}


class Mixture(Model):
    """Every layer without a convolution, on images and labels, towards a class for each pixel."""

    reads, terms = ("images", "labels", "segments"), ("cross entropy",)

    def __init__(self, seed=0, dtype=np.float64, backend=None):
        self.config = {"data_size": 36}
        self.widen = nn.Sequential(nn.Dense(36, 144), nn.Reshape(6, 6, 4), nn.BatchNorm(4), nn.GELU())
        deep = (
            nn.MaxPool(2),
            nn.GroupNorm(2, 4),
            nn.Dropout(0.3),
            nn.Residual(nn.LayerNorm(4), nn.Tanh()),
            nn.Upsample(2, "bilinear"),
        )
        self.around = nn.Skip(*deep)
        self.coarse = nn.Skip(
            nn.AveragePool(3, 1), nn.Flatten(), nn.Dense(128, 72), nn.Reshape(3, 3, 8), nn.Upsample(2)
        )
        self.table, self.join = nn.Embedding(3, 144), nn.Concat()
        self.last, self.compare = (
            nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Dense(720, 108), nn.Reshape(6, 6, 3)),
            Categorical(),
        )
        self.start(seed, dtype, backend)

    def forward(self, x, labels, segments):
        y = self.coarse.forward(self.around.forward(self.widen.forward(x)))
        y = self.join.forward(y, self.table.forward(labels).reshape(len(x), 6, 6, 4))
        return (self.compare.forward(self.last.forward(y), segments),)

    def backward(self, dterm):
        dY, dtable = self.join.backward(self.last.backward(self.compare.backward(dterm)[0]))
        self.table.backward(dtable.reshape(len(dtable), 144))
        self.widen.backward(self.around.backward(self.coarse.backward(dY)))


Mixture.capturable = True  # it computes by modules of ours alone


def data_of(seed=0):
    draw = np.random.default_rng(seed)
    classes = lambda *shape: draw.integers(0, 3, shape)
    splits = [
        Split(draw.integers(0, 256, (n, 36)).astype(np.uint8), classes(n), segments=classes(n, 6, 6)) for n in (20, 9)
    ]
    return Dataset("made", (6, 6), *splits, "made by a test")


def trained(model, data, **options):
    records = fit(model, data, **{**OPTIONS, **options})
    return model.backend.get(model.buffer.values), [[r["loss"], r["step"], r["epoch"]] for r in records]


def test_every_layer_trains_as_on_numpy_in_graphs_and_drops_the_same_numbers():
    data = data_of()
    mine, records = trained(Mixture(), data)
    with cupy_on_cpu() as (place, device):
        assert capturable(Mixture(backend=place))
        model = Mixture(backend=place)
        theirs, device_records = trained(model, data)
        assert device.replays
        terms = [measure(m, data)["cross entropy"].value for m in (model, Mixture(backend=place))]
    np.testing.assert_allclose(theirs, mine, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(device_records, records, rtol=1e-9)
    assert terms[0] == pytest.approx(records[-1][0], rel=1e-9)
    assert terms[0] != terms[1]


def test_graphs_have_the_bits_of_single_launches_in_any_order_of_threads():
    found = set()
    for graph, schedule in ((True, "forward"), (False, "reverse"), (True, "random")):
        with cupy_on_cpu(schedule) as (place, device):
            values, records = trained(Mixture(dtype=np.float32, backend=place), data_of(), graph=graph)
            found.add((values.tobytes(), str(records)))
            assert bool(device.replays) == graph
    assert len(found) == 1


def test_a_label_that_is_no_class_is_told_as_on_numpy_though_no_launch_can_raise():
    for field, words in (
        ("labels", "Embedding has rows 0 to 2, and was asked for"),
        ("segments", "segments from 0 to 7: the model knows"),
    ):
        data = data_of()
        data.train.fields[field].setflags(write=True)
        data.train.fields[field][15] = 7  # behind the rows on which a model of one's own is tried
        with cupy_on_cpu() as (place, _):
            for backend in ("numpy", place):
                with pytest.raises(DataError, match=words):
                    fit(Mixture(backend=backend), data, **OPTIONS)


def test_a_gpu_evaluates_what_a_model_reads_of_any_number_of_fields():
    class Labelled(Model):
        """Its term is the image's sum, the label times ten, a float times a hundred and the number of flags."""

        reads, config = ("images", "labels", "weights", "flags"), {"data_size": 12}

        def __init__(self, backend=None):
            self.table = nn.Embedding(4, 1)
            self.start(0, np.float64, backend)

        def forward(self, x, labels, weights, flags):
            at = self.table.forward(labels)
            return (x.sum(axis=1) + 10 * at[:, 0] + 100 * weights + flags.sum(axis=1),)

    draw = np.random.default_rng(0)
    fields = {
        "images": draw.integers(0, 256, (1203, 12)).astype(np.uint8), "labels": draw.integers(0, 4, 1203).astype(np.int16),
        "weights": draw.normal(size=1203), "flags": draw.random((1203, 5)) < 0.5,
    }  # fmt: skip
    with cupy_on_cpu() as (place, _):
        model = Labelled(place)
        found = image_terms(model, fields, None)["loss"]
        table = place.get(model.table.W.value)[:, 0]
    expected = (
        fields["images"].sum(axis=1) / 255
        + 10 * table[fields["labels"]]
        + 100 * fields["weights"]
        + fields["flags"].sum(axis=1)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# The models that the package has --------------------------------------------------------------------------------------

MODELS = {
    "conv-vae": lambda **place: ConvVAE((8, 8), filters=(2, 3), latent=2, seed=3, **place),
    "conv-vae, gaussian": lambda **place: ConvVAE((8, 8), (2,), 3, 1, 2, "silu", "gaussian", seed=3, **place),
    "unet": lambda **place: UNet((8, 8), base=2, levels=2, classes=3, seed=3, **place),
    "unet without skips, group norm": lambda **place: UNet(
        (8, 8), 4, 1, classes=3, skips=False, norm="group", seed=3, **place
    ),
    "unet to clean images, batch norm": lambda **place: UNet((8, 8), 2, 1, "denoise", norm="batch", seed=3, **place),
    "hourglass": lambda **place: Hourglass((8, 8), joints=2, features=4, levels=1, stages=2, seed=3, **place),
}


def pictures():
    """14 and 5 images of 8 × 8 with all that a model of the package reads; some joints are not seen."""
    draw = np.random.default_rng(0)
    grey = lambda *shape: draw.integers(0, 256, shape).astype(np.uint8)
    splits = [
        Split(grey(n, 64), segments=draw.integers(0, 3, (n, 8, 8)), clean=grey(n, 8, 8), points=draw.uniform(0, 8, (n, 2, 2)),
              visible=draw.random((n, 2)) < 0.8) for n in (14, 5)
    ]  # fmt: skip
    return Dataset("drawn", (8, 8), *splits, "made by a test")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_package_trains_and_is_measured_as_on_numpy(name):
    """By plain steps: Adam divides by the size of a gradient, and that of a bias before a batch norm is nothing but rounding."""
    data, options = pictures(), {"batch_size": 4, "optimiser": "sgd", "lr": 0.001}
    here = MODELS[name](dtype=np.float64)
    mine, records = trained(here, data, **options)
    with cupy_on_cpu() as (place, device):
        there = MODELS[name](dtype=np.float64, backend=place)
        assert capturable(there)
        theirs, device_records = trained(there, data, **options)
        assert device.replays
        figures = [{key: m.value for key, m in measure(model, data).items()} for model in (here, there)]
        scores = [[score.values for score in judge(model, data)] for model in (here, there)]
    np.testing.assert_allclose(theirs, mine, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(device_records, records, rtol=1e-10)
    assert figures[1] == pytest.approx(figures[0], rel=1e-9)
    for one, other in zip(*scores, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9)


@pytest.mark.parametrize("name", ["unet to clean images, batch norm", "hourglass"])
def test_a_run_of_many_layers_goes_on_on_the_other_backend_and_keeps_its_bits_on_one(name, tmp_path):
    data, options = pictures(), {**OPTIONS, "batch_size": 4, "optimiser": "momentum", "lr": 0.001}
    with cupy_on_cpu("random", 3) as (place, _):
        expected, _ = trained(MODELS[name](dtype=np.float64, backend=place), data, **options)
        fit(MODELS[name](dtype=np.float64, backend=place), data, **{**options, "max_steps": 2}, out=tmp_path / "run")
        for where, exact in ((place, True), ("numpy", False)):
            run = shutil.copytree(tmp_path / "run", tmp_path / f"on, {exact}")
            model = load_model(run, where)
            resume(model, data, run, progress=False)
            found = model.backend.get(model.buffer.values)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
            assert not exact or found.tobytes() == expected.tobytes()
