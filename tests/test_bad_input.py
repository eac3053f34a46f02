"""What layers, models and training are given and cannot use: refused by its name, with what would do; what they can use in any layout."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from scratchvae import cli, gradcheck, nn
from scratchvae.data import Dataset, Split
from scratchvae.errors import ConfigError, DataError, RunFolderError, ShapeError
from scratchvae.evaluate import losses, measure
from scratchvae.models import VAE, Autoencoder, ConvVAE, Hourglass, Model, UNet
from scratchvae.models.likelihood import Bernoulli
from scratchvae.training import fit, load_model, resume

draw = np.random.default_rng(0)
ROW, IMAGE = draw.normal(size=(3, 4)).astype(np.float32), draw.normal(size=(3, 6, 8, 4)).astype(np.float32)
LAYERS = {
    "Dense": (lambda: nn.Dense(4, 2), ROW), "Chain": (lambda: nn.Chain(nn.Dense(4, 3), nn.ReLU(), nn.Dense(3, 2)), ROW),
    "Conv2D": (lambda: nn.Conv2D(4, 2, 3), IMAGE), "ConvTranspose2D": (lambda: nn.ConvTranspose2D(4, 2, 3, 2), IMAGE),
    "MaxPool": (lambda: nn.MaxPool(2), IMAGE), "AveragePool": (lambda: nn.AveragePool(2), IMAGE),
    "Upsample": (lambda: nn.Upsample(2), IMAGE), "bilinear": (lambda: nn.Upsample(2, "bilinear"), IMAGE),
    "LayerNorm": (lambda: nn.LayerNorm(4), IMAGE), "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "BatchNorm": (lambda: nn.BatchNorm(4), IMAGE), "BatchNorm, training": (lambda: nn.BatchNorm(4).train(), IMAGE),
    "Dropout": (lambda: nn.Dropout(0.3).train(), IMAGE), "Residual": (lambda: nn.Residual(nn.Conv2D(4, 4, 3, pad=1)), IMAGE),
    "Skip": (lambda: nn.Skip(nn.Conv2D(4, 4, 3, pad=1)), IMAGE), "Flatten": (lambda: nn.Flatten(), IMAGE),
    "Reshape": (lambda: nn.Reshape(8, 24), IMAGE), **{name: (layer, IMAGE) for name, layer in nn.ACTIVATIONS.items()},
}  # fmt: skip

B = 3
X, COLOUR = draw.random((B, 64)).astype(np.float32), draw.random((B, 192)).astype(np.float32)
EPS = draw.normal(size=(B, 2)).astype(np.float32)
SEGMENTS, POINTS = draw.integers(0, 3, (B, 8, 8)).astype(np.uint8), (draw.random((B, 4, 2)) * 8).astype(np.float32)
MODELS = {
    "ae": (lambda: Autoencoder(64, (5,), 2), [X]), "vae": (lambda: VAE(64, (5,), 2), [X, EPS]),
    "conv-vae": (lambda: ConvVAE((8, 8), (3,), latent=2), [X, EPS]), "colour": (lambda: ConvVAE((8, 8, 3), (3,), latent=2), [COLOUR, EPS]),
    "unet": (lambda: UNet((8, 8), 2, 1, classes=3), [X, SEGMENTS]),
    "cleaner": (lambda: UNet((8, 8), 2, 1, "denoise"), [X, X.reshape(B, 8, 8)]),
    "hourglass": (lambda: Hourglass((8, 8), 4, 4, 1, 1), [X, POINTS, np.ones((B, 4), bool)]),
}  # fmt: skip


def layouts(x):
    """The same numbers with gaps between them, column by column, and where nobody may write."""
    read_only = x.copy()
    read_only.flags.writeable = False
    return {"gaps": np.repeat(x, 2, axis=-1)[..., ::2], "columns": np.asfortranarray(x), "read-only": read_only}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same_whatever_the_layout_of_what_it_is_given(name):
    make, x = LAYERS[name]
    layer = make().initialise()
    y = layer.forward(x).copy()
    dY = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    dX, grads = layer.backward(dY).copy(), layer.buffer.grads.copy()
    for kind, laid in layouts(x).items():
        if name == "Dense":  # one product of BLAS, whose order is of the layout: some roundings of float32
            np.testing.assert_allclose(layer.forward(laid), y, rtol=1e-6, atol=1e-6, err_msg=kind)
        else:
            np.testing.assert_array_equal(layer.forward(laid), y, err_msg=kind)
        np.testing.assert_allclose(layer.backward(layouts(dY)[kind]), dX, rtol=1e-5, atol=1e-6, err_msg=kind)  # float32 sums by BLAS,
        np.testing.assert_allclose(layer.buffer.grads, grads, rtol=1e-4, atol=1e-5, err_msg=kind)  # whose order is of the layout


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_refuses_whole_numbers_and_gradients_that_are_not_of_its_output(name):
    make, x = LAYERS[name]
    layer = make().initialise()
    for whole in ((x * 9).astype(np.int64), (np.abs(x) * 9).astype(np.uint8)):
        with pytest.raises(ShapeError, match=str(whole.dtype)):
            layer.forward(whole)
    y = layer.forward(x)
    for wrong, said in ((y[:1], r"\(1, "), (y.astype(np.float64), "float64"), (np.ones(y.shape, int), "int64")):
        with pytest.raises(ShapeError, match=said):
            layer.backward(wrong)


def test_channels_that_come_first_are_refused_with_the_layout_that_is_taken():
    first = np.ascontiguousarray(IMAGE.transpose(0, 3, 1, 2))
    for make in (lambda: nn.Conv2D(4, 2, 3), lambda: nn.ConvTranspose2D(4, 2, 3), lambda: nn.BatchNorm(4), lambda: nn.GroupNorm(2, 4)):
        with pytest.raises(ShapeError, match=r"4\), not \(3, 4, 6, 8\)"):
            make().initialise().forward(first)
    x = COLOUR.reshape(B, 8, 8, 3)
    model = ConvVAE((8, 8, 3), (3,), latent=2)
    with pytest.raises(ShapeError, match=r"\(rows, 192\), not \(3, 3, 8, 8\): give x.transpose\(0, 2, 3, 1\).reshape\("):
        model.forward(x.transpose(0, 3, 1, 2))
    with pytest.raises(DataError, match=r"channels come last: give images.transpose\(0, 2, 3, 1\)"):
        fit(model, x.transpose(0, 3, 1, 2), epochs=1, progress=False)


def test_a_kernel_that_does_not_fit_names_the_image_and_the_nearest_in_which_it_would():
    with pytest.raises(ShapeError, match=r"of \(5, 3\).* of \(2, 9\) padded by \(1, 0\): the nearest that it fits in is \(3, 9\)"):
        nn.Conv2D(1, 1, (5, 3), pad=(1, 0)).initialise().forward(np.ones((1, 2, 9, 1), np.float32))
    with pytest.raises(ConfigError, match="images of 3 × 5 .*: the smallest are 8 × 8"):
        ConvVAE((3, 5), (4, 4, 4))
    ConvVAE((8, 8), (4, 4, 4))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_takes_each_of_its_inputs_in_any_layout_and_refuses_other_shapes_and_kinds(name):
    make, given = MODELS[name]
    model = make()
    terms = [term.copy() for term in model.forward(*given)]
    model.descend(np.ones(B, np.float32))
    grads = model.buffer.grads.copy()
    for i, x in enumerate(given):
        for kind, laid in layouts(x).items():
            found = model.forward(*given[:i], laid, *given[i + 1 :])
            np.testing.assert_allclose(found, terms, rtol=1e-5, err_msg=kind)
            model.descend(np.ones(B, np.float32))
            np.testing.assert_allclose(model.buffer.grads, grads, rtol=1e-3, atol=1e-4 * np.abs(grads).max(), err_msg=kind)
        wrong = [x[:-1], x.tolist(), np.concatenate([x, x], axis=-1), x[0]]
        if i == 0:
            wrong += [(x * 9).astype(int), None, x.reshape(B, 8, 8, -1), x[..., None]]
        for one in wrong if len(given) > 1 or i else wrong[1:]:  # an autoencoder alone may be given fewer rows
            with pytest.raises((ShapeError, DataError)):
                model.forward(*given[:i], one, *given[i + 1 :])
    model.forward(*given)
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        model.descend(np.ones(2, np.float32))


@pytest.mark.parametrize(("layer", "used"), [(lambda: nn.BatchNorm(4), True), (lambda: nn.BatchNorm(4), False),
                                             (lambda: nn.Dropout(0.5), True), (lambda: nn.Dropout(0.5), False)])  # fmt: skip
def test_backward_is_that_of_the_mode_in_which_forward_was_called(layer, used):
    one, other = layer().initialise(), layer().initialise()
    dY = np.random.default_rng(2).normal(size=IMAGE.shape).astype(np.float32)
    for switched in (False, True):  # the second time something is remembered of another mode
        for each in (one, other):
            each.train(used).forward(IMAGE)
        other.train(not used)
        assert np.array_equal(one.backward(dY), other.backward(dY)), switched
        assert np.array_equal(one.buffer.grads, other.buffer.grads), switched
        for each in (one, other):
            each.train(not used).forward(IMAGE)


def test_a_batch_of_no_rows_has_no_mean():
    with pytest.raises(ShapeError, match="BatchNorm takes the mean of a batch while it trains, and was given no rows"):
        nn.BatchNorm(4).initialise().train().forward(IMAGE[:0])


def test_a_hourglass_of_no_images_finds_no_points():
    assert Hourglass((8, 8), 4, 4, 1, 1).points(X[:0]).shape == (0, 1, 4, 2)


# Fields of the data ---------------------------------------------------------------------------------------------------


def _data(test=None, **fields):
    train = Split(X, **fields)
    return Dataset("made", (8, 8), train, Split(X, **(fields | (test or {}))), "made by a test")


def test_a_field_that_a_model_cannot_read_is_refused_at_the_start_with_its_place():
    unet, hourglass = UNet((8, 8), 2, 1, classes=3), Hourglass((8, 8), 4, 4, 1, 1)
    beyond = SEGMENTS.copy()
    beyond[1, 2, 3] = 7
    visible = np.ones((B, 4), bool)
    for model, data, said in (
        (unet, _data(segments=SEGMENTS, test={"segments": beyond}),
         r"test split: segments: row 1, column \(2, 3\) is 7, and UNet knows from 0 to 2"),
        (unet, _data(segments=SEGMENTS.astype(float)), r"UNet takes whole numbers \(N, 8, 8\), not float32 \(3, 8, 8\)"),
        (unet, _data(segments=SEGMENTS[:, :4]), r"UNet takes whole numbers \(N, 8, 8\), not uint8 \(3, 4, 8\)"),
        (UNet((8, 8), 2, 1, "denoise"), _data(clean=X), r"clean: UNet takes floats, or bytes .* \(N, 8, 8\), not float32 \(3, 64\)"),
        (hourglass, _data(points=POINTS.astype(int), visible=visible), r"Hourglass takes floats \(N, 4, 2\), not int64 \(3, 4, 2\)"),
        (hourglass, _data(points=POINTS, visible=visible * 3), "visible: row 0, column 0 is 3, and Hourglass knows from 0 to 1"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=said):
            fit(model, data, epochs=1, progress=False)
        with pytest.raises(DataError, match=said):
            measure(model, data)


class OfLabels(Model):
    """A model that is told the label."""

    terms, reads = ("reconstruction",), ("images", "labels")

    def __init__(self, data_size=64, seed=0, dtype=np.float32, backend=None):
        self.config = {"data_size": data_size}
        self.told, self.likelihood = nn.Embedding(3, data_size), Bernoulli()
        self.start(seed, dtype, backend)

    def forward(self, x, labels):
        return (self.likelihood.forward(self.told.forward(labels), x),)

    def backward(self, dreconstruction):
        self.told.backward(self.likelihood.backward(dreconstruction)[0])


def test_a_run_of_a_model_that_reads_labels_goes_on_with_those_labels_alone(tmp_path):
    data, other = (Dataset("x", (8, 8), Split(X, labels), Split(X, labels), "made") for labels in ([0, 1, 2], [0, 2, 1]))
    options = {"epochs": 3, "max_steps": 1, "batch_size": 2, "progress": False}
    fit(OfLabels(), data, out=tmp_path / "told", **options)
    fit(VAE(64, (5,), 2), data, out=tmp_path / "vae", **options)
    with pytest.raises(RunFolderError, match="is other data than the run was trained on: it had other labels"):
        resume(load_model(tmp_path / "told", model=OfLabels), other, tmp_path / "told", progress=False)
    resume(load_model(tmp_path / "told", model=OfLabels), data, tmp_path / "told", progress=False)
    resume(load_model(tmp_path / "vae"), other, tmp_path / "vae", progress=False)  # which reads none
    assert "labels" not in json.loads((tmp_path / "vae" / "config.json").read_text(encoding="utf-8"))["data"]


def test_a_run_that_kept_no_labels_goes_on(tmp_path, monkeypatch):
    data = Dataset("x", (8, 8), Split(X, [0, 1, 2]), Split(X, [0, 1, 2]), "made")
    note = Dataset.note
    with monkeypatch.context() as as_before:
        as_before.setattr(Dataset, "note", lambda self, reads=(): note(self))
        fit(OfLabels(), data, out=tmp_path / "run", epochs=2, max_steps=1, batch_size=2, progress=False)
    records = resume(load_model(tmp_path / "run", model=OfLabels), data, tmp_path / "run", progress=False)
    assert records[-1]["epoch"] == 2


def test_names_of_classes_count_as_labels_and_their_numbers_type_does_not():
    made = lambda labels: Dataset("x", (8, 8), Split(X, labels), Split(X, labels), "made").labels_fingerprint
    assert made(np.array([0, 1, 2], np.uint8)) == made([0, 1, 2]) != made([0, 1, 1])
    assert made(["a", "b", "c"]) != made(["a", "b", "d"])
    assert made(None) != made([0, 0, 0])


# Modules of one's own -------------------------------------------------------------------------------------------------


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def backward(self, dY):
        return 2 * dY


class InputChanged(Doubled):
    def forward(self, x):
        x *= 2
        return x.copy()


class GradientChanged(Doubled):
    def backward(self, dY):
        dY *= 2
        return dY


class OtherShape(Doubled):
    def backward(self, dY):
        return 2 * dY[:, :1]


class NoGradient(Doubled):
    def backward(self, dY):
        2 * dY


class NoOutput(Doubled):
    def forward(self, x):
        2 * x


class ListOut(Doubled):
    def forward(self, x):
        return [2 * x]


class Around(Model):
    """An autoencoder with a layer of anyone's in the middle."""

    terms = ("reconstruction",)

    def __init__(self, layer, seed=0):
        self.config = {"data_size": 64}
        self.net, self.likelihood = nn.Sequential(nn.Dense(64, 4), layer, nn.Dense(4, 64)), Bernoulli()
        self.start(seed, np.float32, None)

    def forward(self, x):
        return (self.likelihood.forward(self.net.forward(x), x),)

    def backward(self, dreconstruction):
        self.net.backward(self.likelihood.backward(dreconstruction)[0])


@pytest.mark.parametrize(("layer", "trained", "checked"), [
    (InputChanged, r"InputChanged \(net.1\) changes an input of forward in place", "was modified in place"),
    (GradientChanged, r"GradientChanged \(net.1\) changes the gradient that backward is given in place", "was modified in place"),
    (OtherShape, r"OtherShape \(net.1\): backward returns a gradient of shape \(2, 1\) for an input of shape \(2, 4\)",
     r"a dX of shape \(3, 1\) for an x of shape \(3, 4\)"),
    (NoGradient, "takes dY as an array .* of floats, not None: is a return missing where it comes from", "returned None for dX"),
    (NoOutput, r"NoOutput \(net.1\): forward returns an array, or a tuple of them, not None: is a return missing", "is a return missing"),
    (ListOut, r"ListOut \(net.1\): forward returns an array, or a tuple of them, not \[", "is a return missing"),
])  # fmt: skip
def test_a_module_that_breaks_the_contract_is_named_by_the_check_and_before_training(layer, trained, checked):
    with pytest.raises((ConfigError, ShapeError), match=trained):
        fit(Around(layer()), X, epochs=1, progress=False)
    try:
        found = str(gradcheck(layer(), ROW))
    except ConfigError as error:
        found = str(error)
    assert re.search(checked, found)


def test_a_module_that_keeps_the_contract_trains():
    assert fit(Around(Doubled()), X, epochs=1, progress=False)
    assert gradcheck(Doubled(), ROW).ok


# The command line -----------------------------------------------------------------------------------------------------


def test_no_number_of_samples_keeps_one_waiting_in_silence_for_ever(monkeypatch):
    model, shown = VAE(64, (5,), 2), []
    with pytest.raises(ConfigError, match="samples must be a whole number of at least 1 and at most 100,000, not 1000000000"):
        measure(model, X, samples=10**9)
    class Bar:
        def __init__(self, progress, total, **options):
            shown.append((progress, total, options["delay"]))

        def update(self, images):
            shown.append(images)

        __enter__ = lambda self: self
        __exit__ = lambda self, *exception: None

    monkeypatch.setattr(losses, "bar", Bar)
    measure(model, np.repeat(X, 400, axis=0), split="train", samples=3, progress=True, threads=1)
    assert shown[0] == (True, 3 * 1080, 2)
    assert sum(shown[1:]) == 3 * 1080
    assert max(shown[1:]) <= 500


def test_nothing_is_drawn_from_a_model_that_cleans(tmp_path, capsys):
    data = _data(clean=X.reshape(B, 8, 8))
    fit(UNet((8, 8), 2, 1, "denoise"), replace(data, name="noisy"), out=tmp_path / "run", epochs=1, progress=False)
    assert cli.main(["sample", str(tmp_path / "run")]) == 1
    assert "nothing can be drawn from" in capsys.readouterr().err
