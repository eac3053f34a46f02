"""The trace tells what really ran: its numbers are those of an ordinary training step, bit for bit."""

import json
import re

import numpy as np
import pytest
from docutils.utils.math import MathError

from scratchvae import rng
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.models import VAE, Autoencoder, ConvVAE, Model
from scratchvae.nn import ACTIVATIONS, GroupNorm
from scratchvae.ops import numpy as ops
from scratchvae.study.equations import equations
from scratchvae.study.mathml import THIN, mathml
from scratchvae.study.trace import lessons, make_trace, trace
from scratchvae.training.optimisers import Optimiser
from scratchvae.training.step import TrainingStep

SIZES = {"data_size": 6, "hidden": (5, 4), "latent": 3, "seed": 2, "dtype": np.float64}
IMAGES = rng.uniform(1, rng.CHECK, 0, np.arange(4), 6, np.float64)

MODELS = {
    "bernoulli": lambda: VAE(**SIZES),
    "beta": lambda: VAE(**SIZES, beta=0.3, activation="gelu"),
    "learned sigma": lambda: VAE(**SIZES, likelihood="gaussian", activation="silu"),
    "fixed sigma": lambda: VAE(**SIZES, likelihood="gaussian", sigma=0.4, activation="tanh"),
    "no hidden layer": lambda: VAE(**{**SIZES, "hidden": ()}),
    "autoencoder": lambda: Autoencoder(**SIZES),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_value_is_that_of_an_ordinary_step(name):
    model = MODELS[name]()
    eps = rng.normal(0, rng.LATENT, 0, np.arange(4), 3, np.float64) if model.noise_columns else None
    told = trace(model, IMAGES, eps)
    twin = model.replica()
    terms = dict(zip(twin.terms, twin.forward(*([IMAGES] if eps is None else [IMAGES, eps])), strict=True))
    twin.descend(np.full(4, 1 / 4))
    assert told.loss == float(sum(model.weights[key] * term.sum() for key, term in terms.items()) / 4)
    for path, parameter in twin.parameters():
        room = path.rsplit(".", 1)[0]
        key = "backward-nll-sum_all" if room == "likelihood" else f"backward-{room}"
        told_as = "d log σ²" if room == "likelihood" else f"d{path[-1]}"
        assert np.array_equal(told.step(key).value(told_as).data, parameter.grad), path
    assert np.array_equal(told.step("forward-nll").value("−log p(x | z)").data, terms["reconstruction"])
    if model.noise_columns:
        assert np.array_equal(told.step("forward-kl").value("KL").data, terms["kl"])
        assert np.array_equal(told.step("forward-z").value("z").data, twin.decoder.layers[0].x)
        split = told.step("split").split
        assert np.array_equal(split.through_z + split.from_kl, split.total)


def test_the_update_is_that_of_the_training_step(tiny_data):
    model = VAE(12, (8,), 2, seed=3, dtype=np.float64)
    x = tiny_data.train.images[:1] / 255
    told = trace(model, x, seed=5, lr=0.01)
    before = model.buffer.values.copy()
    optimiser = Optimiser("adam")
    optimiser.start(model.buffer.values)
    with TrainingStep(model, optimiser, tiny_data.train.images, 1, seed=5, shards=1) as do:
        do(np.array([0]), 0, 0.01)
    step = told.step("update-weights")
    assert np.array_equal(step.value("p before").data, model.buffer.view("encoder.2.W", before))
    assert np.array_equal(step.value("p after").data, model.buffer.view("encoder.2.W"))
    assert told.loss_after < told.loss


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_last_page_counts_the_parameters_that_stayed_and_says_why(activation):
    model, x = VAE(**{**SIZES, "hidden": (9,)}, activation=activation), IMAGES * [1, 0, 1, 0, 1, 1]
    x[3, 1] = 0.5  # so that one pixel is black in every image
    for room in (model.encoder, model.decoder):
        room.layers[0].b.value[0] = -100  # so that one unit passes no gradient back
    told = trace(model, x)
    weights = {path: p.grad for path, p in _gradients(model, x).items()}
    parts = r"Of (\d+) parameters (\d+) have .* gradient of (\d+) .* step: (\d+) are .*; (\d+) lead[^;]*(?:; .* for (\d+) more)?"
    size, moved, zero, silent, shut, others = (int(n or 0) for n in re.search(parts, told.steps[-1].text).groups())
    assert size == moved + zero == model.buffer.values.size
    assert zero == silent + shut + others == sum(int(np.sum(g == 0)) for g in weights.values())
    encoder, decoder = (int(np.sum(weights[f"{room}.0.b"] == 0)) for room in ("encoder", "decoder"))
    assert min(encoder, decoder) > 0
    assert silent == 9 + (6 * encoder + 6 * decoder) * (activation == "relu")  # of the black pixel; a shut tanh gives −1, not 0
    assert shut == (5 + 1) * encoder + (3 + 1) * decoder  # of the other pixels or the latents, and a bias
    assert (others > 0) == (activation == "relu")  # a unit is shut in one image, and its input 0 in the others
    share = told.steps[-1].value("stays, per pixel").data
    assert np.array_equal(share, (weights["encoder.0.W"] == 0).mean(axis=1))
    assert share[3] == 1


def _gradients(model, x):
    """The parameters of a replica after an ordinary backward."""
    twin = model.replica()
    twin.forward(x, rng.normal(0, rng.LATENT, 0, np.arange(len(x)), model.noise_columns, np.float64))
    twin.descend(np.full(len(x), 1 / len(x)))
    return dict(twin.parameters())


def test_a_convolutional_model_is_told_layer_by_layer():
    model = ConvVAE((8, 7), (3, 2), size=3, latent=2, seed=1, dtype=np.float64)
    x = rng.uniform(1, rng.CHECK, 0, np.arange(2), 56, np.float64)
    told, weights = trace(model, x, image_shape=(8, 7)), _gradients(model, x)
    assert told.worst < 1e-12
    assert told.title == "Convolutional VAE 8×7-3-2-2"
    for path, parameter in weights.items():
        room, name = path.rsplit(".", 1)
        assert np.array_equal(told.step(f"backward-{room}").value(f"d{name}").data, parameter.grad), path
    kernel = told.step("backward-encoder.3").value("dW")
    assert kernel.axes == ("row", "column", "input channel", "output channel")
    assert [place for step in told.steps for place in step.places if place not in told.graph.nodes] == []
    dense = next(step for step in told.steps if step.title.startswith("Encoder: dense"))
    assert dense.value("X").source == "forward-encoder.4"  # what Flatten only gave another shape


def test_an_operation_without_a_lesson_is_told_as_the_book_has_it():
    class Normed(ConvVAE):
        def __init__(self, *sizes, **options):
            super().__init__(*sizes, **{**options, "seed": None})
            self.encoder.layers.insert(2, GroupNorm(2, 4))
            self.initialise(1, np.float64)

    told = trace(Normed((8, 8), (4,), latent=2), rng.uniform(1, rng.CHECK, 0, 0, 64, np.float64))
    step = told.step("forward-encoder.2")
    assert (step.formulas, step.equations) == (tuple(lessons.lines_of(equations()[71].formula)), (71,))
    assert step.text == ops.normalise.__doc__.split(".\n")[0]  # for the book's words have symbols in them
    assert f"In words: t{told.step('backward-encoder.2').text[1:]}" == equations()[72].words
    assert told.graph.nodes["encoder.2"][:2] == ("Group", "Norm")
    assert {value.name for value in step.values if value.role == "out"} >= {"out", "xhat"}
    assert told.worst < 1e-12
    assert told.step("backward-encoder.2").value("dscale").check


def test_tracing_leaves_the_model_alone():
    model = VAE(**{**SIZES, "dtype": np.float32})
    values = model.buffer.values.copy()
    trace(model, IMAGES)
    assert np.array_equal(model.buffer.values, values)
    assert model.dtype == np.float32
    assert all("forward" not in vars(module) and module.ops is ops for _, module in model.modules())


@pytest.mark.parametrize("name", MODELS)
def test_every_gradient_stands_beside_its_numeric_twin(name):
    told = trace(MODELS[name](), IMAGES)
    assert told.worst < 1e-12
    unchecked = [
        (step.key, value.name)
        for step in told.steps
        for value in step.values
        if step.phase == "backward" and value.role == "out" and value.check is None
    ]
    allowed = {("split", "dμ"), ("split", "d log σ²"), ("backward-nll", "d log σ², per pixel")}  # checked together; no place of its own
    assert set(unchecked) <= allowed


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_told(name):
    assert trace(VAE(**SIZES, activation=name), IMAGES).worst < 1e-12


def test_a_wrong_derivative_is_seen(monkeypatch):
    def wrong(dkl, mu, logvar, dmu, dlogvar):
        """dlogvar without its −1 (E16)"""
        np.multiply(mu, dkl[:, None], out=dmu)
        np.multiply(np.exp(logvar), 0.5 * dkl[:, None], out=dlogvar)

    monkeypatch.setattr(ops, "gaussian_kl_backward", wrong)
    told = trace(VAE(**SIZES), IMAGES)
    assert told.step("backward-kl").value("d log σ² from KL").check.error > 0.1
    assert told.step("backward-kl").value("dμ from KL").check.error < 1e-12
    assert "dlogvar without" in told.step("backward-kl").sources[0][1]


def test_a_large_gradient_is_sampled_and_covered_by_a_direction():
    told = trace(VAE(30, (20,), 2, seed=0), rng.uniform(0, rng.CHECK, 0, 0, 30, np.float64))
    check = told.step("backward-encoder.0").value("dW").check
    assert check.size == 600
    assert len(check.indices) == len(set(check.indices)) == 8
    analytic, numeric, error = check.along
    assert analytic == pytest.approx(numeric, rel=1e-10)
    assert error < 1e-12


def test_equation_numbers_are_those_of_the_book_and_of_the_code():
    numbered = {str(number) for number in equations()}
    for step in make_trace("tiny").steps:
        assert {str(n) for n in step.equations} <= numbered, step.key
        if step.formulas and step.key not in ("split", "loss"):
            assert all(f"E{n}" in step.sources[0][1] for n in step.equations)
            assert step.equations, step.key


def test_the_code_shown_is_the_code_that_ran():
    told = make_trace("tiny")
    assert told.step("forward-z").sources[0][0].startswith("scratchvae/ops/numpy/gaussian.py, line ")
    assert "np.multiply(std, eps, out=z)" in told.step("forward-z").sources[0][1]
    called = [code.split("(")[0] for _, code in told.step("update-weights").sources]
    assert called == ["def adam", "def _accumulate_square", "def _scaled_step"]


def test_an_array_that_comes_in_names_the_step_that_made_it():
    told = make_trace("tiny")
    assert told.step("backward-encoder.2").value("dY").source == "split"
    assert told.step("forward-decoder.0").value("X").source == "forward-z"
    assert told.step("forward-z").value("ε").source == "noise"


def test_the_bundled_seven_is_found_and_learned():
    told = make_trace(digit=7, epochs=1, threads=1, progress=False)
    assert told.step("input").value("x").data.shape == (1, 784)
    assert "label 7" in " ".join(told.notes)
    assert "for 1 epoch on the 5,000 training images" in " ".join(told.notes)
    assert told.worst < 1e-9
    painted, image = told.step("reconstruction").value("x̂").data, told.step("input").value("x").data
    assert np.corrcoef(painted[0], image[0])[0, 1] > 0.3


def test_what_does_not_fit_is_refused(tiny_data, tiny_vae):
    with pytest.raises(ConfigError, match="Regression has no encoder"):
        trace(type("Regression", (Model,), {})().initialise(), np.zeros((1, 5)))
    with pytest.raises(ShapeError, match="takes"):
        trace(tiny_vae(), np.zeros((1, 5)))
    with pytest.raises(ConfigError, match="image_shape"):
        trace(tiny_vae(), np.zeros((1, 12)), image_shape=(5, 5))
    with pytest.raises(DataError, match="label 8"):
        make_trace(tiny_vae(), tiny_data, digit=8)
    with pytest.raises(ConfigError, match="index"):
        make_trace(tiny_vae(), tiny_data, digit=1, index=99)
    assert make_trace(tiny_vae(), tiny_data, digit=1, index=2).image_shape == (4, 3)


def test_the_outline_is_json_and_names_what_is_missing():
    told = make_trace("tiny")
    outline = json.loads(json.dumps(told.to_dict()))
    assert [step["key"] for step in outline["steps"]] == [step.key for step in told.steps]
    assert outline["steps"][0]["values"][0]["data"] == told.step("input").value("x").data.tolist()
    assert outline["worst_relative_error"] == told.worst < 1e-12
    with pytest.raises(KeyError, match="forward-kl"):
        told.step("forward-nothing")
    with pytest.raises(KeyError, match="it has x"):
        told.step("input").value("y")


def test_every_formula_has_its_mathml_whole():
    book = [e.formula for e in equations().values()]
    for formula in [*lessons.formulas(), *book, *(line for whole in book for line in lessons.lines_of(whole))]:
        assert "\\" not in mathml(formula)
        assert formula.count("{") == formula.count("}")  # docutils lets the rest of an unclosed one go
        assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right") - formula.count(r"\rightarrow"), formula
    for bad in (r"\unknown", "x^", r"\frac{1}"):
        with pytest.raises(MathError):
            mathml(bad)


@pytest.mark.parametrize(("latex", "part"), [
    (r"\max(x, 0)", "<mi>max</mi>"), (r"a \log x", f"<mi>a</mi>{THIN}<mi>log</mi>{THIN}<mi>x</mi>"), ("u'", "<mo>′</mo>"),
    (r"\epsilon\lvert f\rvert", "<mi>|</mi><mi>f</mi><mi>|</mi>"), (r"\hat{m}", ">^</mo>"),
    (r"\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"), (r"q\|p", '<mo stretchy="false">‖</mo>'),
])  # fmt: skip
def test_what_tex_sets_otherwise_is_mended(latex, part):
    assert part in re.sub(r"\n\s*", "", mathml(latex))
