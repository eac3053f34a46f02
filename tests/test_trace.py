"""The trace tells what really ran: its numbers are those of an ordinary training step, bit for bit."""

import json
import re
from contextlib import contextmanager
from itertools import groupby

import numpy as np
import pytest
from docutils.utils.math import MathError
from test_own_model import Conditional

from scratchvae import rng
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.evaluate.batch import gathered
from scratchvae.models import VAE, Autoencoder, ConvVAE, Hourglass, Model, UNet
from scratchvae.models.likelihood import LIKELIHOODS
from scratchvae.nn import ACTIVATIONS, GroupNorm, Module, Parameter, Sequential, Skip, init
from scratchvae.nn.arena import Kept
from scratchvae.ops import numpy as ops
from scratchvae.study.equations import equations
from scratchvae.study.mathml import THIN, mathml
from scratchvae.study.trace import lessons, make_trace, numeric, trace
from scratchvae.study.trace.taken import twin_of
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
    weighted = sum(model.weights[key] * term for key, term in terms.items())
    assert told.loss == pytest.approx(weighted.mean(), rel=1e-14)  # the same four numbers, added in another order
    for path, parameter in twin.parameters():
        room = path.rsplit(".", 1)[0]
        key = "backward-likelihood-sum_all" if room == "likelihood" else f"backward-{room}"
        value = told.step(key).values[-1] if room == "likelihood" else told.step(key).value(f"d{path[-1]}")
        assert np.array_equal(value.data, parameter.grad), path
    key = "forward-likelihood" + ".gaussian_nll" * (name == "fixed sigma")  # which makes log σ² in a line of its own
    assert np.array_equal(told.step(key).value("−log p").data, terms["reconstruction"])
    if model.noise_columns:
        assert np.array_equal(told.step("forward-posterior.gaussian_kl").value("KL").data, terms["kl"])
        assert np.array_equal(told.step("forward-posterior.reparameterise").value("z").data, twin.decoder.layers[0].x)
        mu, logvar = told.step("backward-posterior").meetings
        for meeting in (mu, logvar):
            assert np.array_equal(sum(part for _, part in meeting.parts), meeting.total.data)


# Any model ------------------------------------------------------------------------------------------------------------


def with_fields(model, rows=2):
    """A model, and made-up fields that it reads: at each pixel a class, and joints, one of which nobody sees."""
    shape = model.config["image_shape"]
    images = rng.uniform(1, rng.CHECK, 0, np.arange(rows), model.data_size, np.float64)
    fields = {"images": images, "clean": images[:, ::-1].reshape(rows, *shape), "labels": np.arange(rows) % 3}
    fields["segments"] = (3 * images).astype(np.uint8).reshape(rows, *shape[:2])
    fields["points"] = rng.uniform(2, rng.CHECK, 0, np.arange(rows), 4, np.float64).reshape(rows, 2, 2) * shape[0]
    fields["visible"] = np.array([[True, False]] * rows)
    return model, fields


class Noisy(Conditional):
    """One of the reader's own, with labels, noise in a layer, running statistics, and lines of its own."""

    def __init__(self):
        super().__init__(12, dtype=np.float64)
        self.config["image_shape"] = [3, 4]


OTHERS = {
    "conv-vae": lambda: with_fields(ConvVAE((8, 7), (3, 2), size=3, latent=2, seed=1, dtype=np.float64)),
    "unet": lambda: with_fields(UNet((8, 12), base=2, levels=2, classes=3, norm="group", seed=1, dtype=np.float64)),
    "unet, clean": lambda: with_fields(
        UNet((4, 4), base=2, levels=1, task="denoise", norm="batch", seed=1, dtype=np.float64)
    ),
    "hourglass": lambda: with_fields(
        Hourglass((8, 8), joints=2, features=4, levels=1, stages=2, seed=1, dtype=np.float64)
    ),
    "one's own": lambda: with_fields(Noisy(), 3),
}


@pytest.fixture(scope="module", params=OTHERS)
def other(request):
    """(model, fields, its trace)"""
    model, fields = OTHERS[request.param]()
    with briefly():
        return model, fields, trace(model, fields)


@contextmanager
def briefly():
    """A few entries of a gradient are measured, and one direction through all, as of a large model."""
    held, numeric.LARGE = numeric.LARGE, 0
    yield
    numeric.LARGE = held


def test_every_array_that_any_model_keeps_is_shown_in_its_order_and_so_is_every_gradient(other):
    model, fields, told = other
    twin = twin_of(model, np.float64, 0)
    inputs = gathered(twin, [fields[name] for name in model.reads], np.arange(len(fields["images"])))
    if model.noise_columns:
        inputs.append(rng.normal(0, rng.LATENT, 0, np.arange(len(inputs[0])), model.noise_columns, np.float64))
    twin.use(Kept(twin.backend.empty))
    twin.objective.forward(*twin.forward(*inputs))
    twin.descend(np.full(len(inputs[0]), 1 / len(inputs[0])))
    assert len(twin.arena.arrays) > 15
    at, shown = 0, [[value.data for value in step.values if value.role == "out"] for step in told.steps]
    for module, asked in groupby(twin.arena.arrays, lambda one: one[0]):
        found = []
        for _, name, array in asked:
            held = [
                i
                for i in range(at, len(shown))
                if any(same(array, data) for data in shown[i]) or same(array, halves(shown[i]))
            ]
            assert held, (type(module).__name__, name)
            found.append(held[0])
        at = min(found)
    gradients = {
        (step.where, value.name): value.data for step in told.steps if step.phase == "backward" for value in step.values
    }
    for path, p in twin.parameters():
        where, _, name = path.rpartition(".")
        assert np.array_equal(gradients[where, f"d{name}"], p.grad), path


def same(array, data):
    return array.size == data.size and np.array_equal(array.reshape(-1), data.reshape(-1))


def halves(arrays):
    """The last two side by side, where they are of one shape: dcode is written as dμ and d log σ²."""
    return (
        np.hstack(arrays[-2:])
        if len(arrays) > 1 and arrays[-1].shape == arrays[-2].shape and arrays[-1].ndim == 2
        else np.empty(0)
    )


def test_every_gradient_of_any_model_stands_beside_its_numeric_twin(other):
    model, _, told = other
    assert told.worst < 1e-11
    trained = {f"d{path}" for path, p in model.parameters() if p.trained}
    checked = {f"d{step.where}.{value.name[1:]}" for step in told.steps for value in step.values if value.check}
    assert trained <= checked
    unchecked = {
        (step.where, value.name)
        for step in told.steps
        for value in step.values
        if step.phase == "backward" and value.role == "out" and value.check is None
    }
    # State has none; sums that a module makes for itself, between its parts, have no place in forward.
    assert {name for _, name in unchecked} <= {"drunning_mean", "drunning_variance", "dboth", "dh", "dY"}


def test_no_array_comes_from_nowhere(other):
    model, fields, told = other
    given = {name for name, _ in model.parameters()}
    for step in told.steps:
        for value in step.values:
            loose = value.role == "in" and value.source is None and step.phase != "update" and not step.meetings
            assert not loose or f"{step.where}.{value.name}" in given, (step.key, value.name)


def test_forward_is_told_in_its_order_and_backward_in_reverse(other):
    model, fields, told = other
    places = {phase: [step.place for step in told.steps if step.phase == phase] for phase in ("forward", "backward")}
    layers = {path for path, module in model.modules() if path and not list(module.children())}
    leaves = [
        p for p in places["forward"] if p in layers and places["forward"].count(p) == 1 == places["backward"].count(p)
    ]
    terms = [[p for p in order if "squared_error" in p] for order in (places["forward"], places["backward"])]
    assert terms[0] == terms[1][::-1]  # of an hourglass, one for each stage
    assert len(leaves) > 4
    back = [p for p in places["backward"] if p in leaves]
    for path, module in model.modules():
        order = lambda places, path=path: [p for p in places if p.rpartition(".")[0] == path]
        if isinstance(module, Sequential):
            assert order(back) == order(leaves)[::-1]
    assert back == leaves[::-1] or isinstance(
        model, Hourglass
    )  # whose branches, as its code has it, do not go back in reverse
    assert {step.place for step in told.steps} <= set(told.tree.titles)


def test_the_levels_of_a_unet_are_boxes_in_boxes():
    model, fields = with_fields(UNet((8, 8), base=2, levels=2, classes=3, seed=1))
    with briefly():
        _, root, _ = trace(model, fields).tree.groups
    found, depth = root, 0
    while found:
        assert [item.label for item in found.items if not hasattr(item, "items")] == [
            ["Conv2D", "Categorical", "Weighted"],
            ["Conv2D", "ReLU"] * 4, ["MaxPool", "ConvTranspose2D", "Concat"], ["Conv2D", "ReLU"] * 4,
            ["MaxPool", "ConvTranspose2D", "Concat"], ["Conv2D", "ReLU"] * 2,
        ][depth]  # fmt: skip
        depth, found = depth + 1, next((item for item in found.items if hasattr(item, "items")), None)
    assert depth == 6
    assert root.size == 29


def test_where_a_path_divided_two_gradients_meet(other):
    model, _, told = other
    forks = {type(module).__name__ for _, module in model.modules()} & {
        "Skip",
        "Residual",
        "Level",
        "Stage",
        "Posterior",
    }
    meeting = [step for step in told.steps if step.title == "Where two gradients meet"]
    assert {type(dict(model.modules())[step.where]).__name__ for step in meeting} == forks
    for step in meeting:
        a, b, total = (step.values[i].data for i in (0, 1, 2))
        assert np.array_equal(a + b, total), step.key


def test_a_layer_that_writes_its_own_lines_is_shown_with_what_it_computes():
    class Scale(Module):
        """y = s · x, one scale per column."""

        def __init__(self, columns):
            self.s = Parameter((columns,), init.constant(1.5))

        def forward(self, x):
            self.x = x
            return x * self.s.value

        def backward(self, dY):
            np.sum(dY * self.x, axis=0, out=self.s.grad)
            return dY * self.s.value

    class Mine(Model):
        terms = ("error",)

        def __init__(self):
            self.config, self.scale = {"data_size": 6}, Scale(6)
            self.initialise(0, np.float64)

        def forward(self, x):
            self.d = np.tanh(self.scale.forward(x)) - x
            return ((self.d**2).sum(axis=1),)

        def backward(self, derror):
            self.scale.backward(2 * self.d * derror[:, None] * (1 - (self.d + self.scale.x) ** 2))

    told = trace(Mine(), IMAGES)
    assert told.worst < 1e-12
    step = told.step("forward-scale")
    assert step.text == "y = s · x, one scale per column. Computed in lines of its own."
    assert np.array_equal(step.value("y").data, 1.5 * IMAGES)
    assert step.sources[0][1].startswith("def forward(self, x):\n    self.x = x")
    assert told.step("forward-lines").value("y of scale").source == "forward-scale"
    assert told.step("backward-scale").value("dY").source == "backward-model"
    assert {value.name for value in told.step("backward-scale").values if value.check} == {"dx", "ds"}


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
    path = re.match(r"Each weight of (\S+) moves", step.text)[1]
    assert np.array_equal(step.value("p before").data, model.buffer.view(path, before))
    assert np.array_equal(step.value("p after").data, model.buffer.view(path))
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
    assert silent == 9 + (6 * encoder + 6 * decoder) * (
        activation == "relu"
    )  # of the black pixel; a shut tanh gives −1, not 0
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


def test_axes_say_what_they_count():
    model, fields = OTHERS["conv-vae"]()
    told = trace(model, fields)
    kernel = told.step("backward-encoder.3").value("dW")
    assert kernel.axes == ("row", "column", "input channel", "output channel")
    image = told.step("forward-encoder.3").value("x")
    assert image.axes == ("image", "row", "column", "channel")
    dense = next(step for step in told.steps if step.title.startswith("Dense"))
    assert dense.value("x").source == "forward-encoder.4"  # what Flatten only gave another shape
    assert dense.value("x").note == "given as (2, 2)"
    told = trace(VAE(**SIZES), IMAGES)
    axes = lambda key, name: told.step(key).value(name).axes
    assert axes("forward-encoder.0", "W") == ("pixel", "unit")
    assert axes("forward-decoder.0", "W") == ("latent", "unit")
    assert axes("backward-decoder.4", "dW") == ("unit", "pixel")
    assert axes("forward-posterior.reparameterise", "z") == ("image", "latent")
    same = lambda key, name: told.step(key).value(name).same[-1]
    assert same("forward-encoder.0", "W") == same("forward-encoder.1", "y") == same("backward-encoder.0", "dW")
    assert same("forward-encoder.0", "W") != same("forward-encoder.2", "W")


def test_as_many_units_as_pixels_are_not_pixels():
    told = trace(VAE(6, (6,), 2, seed=0), IMAGES, image_shape=(2, 3))
    assert told.step("forward-encoder.0").value("W").axes == ("pixel", "unit")
    assert told.step("forward-encoder.1").value("y").axes == ("image", "unit")
    assert told.step("forward-decoder.2").value("y").axes == ("image", "pixel")


def test_an_operation_is_told_as_the_book_has_it():
    class Normed(ConvVAE):
        def __init__(self, *sizes, **options):
            super().__init__(*sizes, **{**options, "seed": None})
            self.encoder.layers.insert(2, GroupNorm(2, 4))
            self.initialise(1, np.float64)

    told = trace(Normed((8, 8), (4,), latent=2), rng.uniform(1, rng.CHECK, 0, 0, 64, np.float64))
    step = told.step("forward-encoder.2")
    assert (step.formulas, step.equations) == (tuple(lessons.lines_of(equations()[71].formula)), (71,))
    assert f"In words: e{step.words[1:]}" == equations()[71].words
    assert f"In words: t{told.step('backward-encoder.2').words[1:]}" == equations()[72].words
    assert told.tree.nodes["encoder.2"].label == "GroupNorm"
    assert {value.name for value in step.values if value.role == "out"} >= {"y", "x̂"}
    assert told.step("forward-encoder.3").formulas == (r"y = \max(x, 0)",)
    assert told.step("backward-encoder.3").formulas == (r"dx = dy\,[x > 0]",)


def test_tracing_leaves_the_model_alone():
    model = VAE(**{**SIZES, "dtype": np.float32})
    values = model.buffer.values.copy()
    trace(model, IMAGES)
    assert np.array_equal(model.buffer.values, values)
    assert model.dtype == np.float32
    assert all(
        "forward" not in vars(module) and module.ops is ops and not module.training for _, module in model.modules()
    )


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
    assert set(unchecked) <= {(f"backward-likelihood{at}", "d log σ²") for at in ("", ".gaussian_nll")}  # of each pixel


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_can_be_told(name):
    assert trace(VAE(**SIZES, activation=name), IMAGES).worst < 1e-12


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_likelihood_can_be_told_and_what_it_would_paint_changes_nothing(name):
    model = VAE(**SIZES, likelihood=name)
    told = trace(model, IMAGES)
    assert told.worst < 1e-12
    painted = told.step("painted-likelihood").value("x̂")
    eps = told.step("noise").value("ε").data
    z = told.step("forward-posterior.reparameterise").value("z").data
    assert painted.data == pytest.approx(model.decode(z), rel=1e-12)
    assert painted.axes == ("image", "pixel")
    twin = model.replica()
    twin.train().forward(IMAGES, eps)
    twin.descend(np.full(4, 1 / 4))
    assert np.array_equal(told.step("backward-encoder.0").value("dW").data, twin.encoder.layers[0].W.grad)


def test_what_is_of_each_pixel_is_a_picture():
    for likelihood, key in (("bernoulli", "−log p, per pixel"), ("gaussian", "−2 log p, per pixel")):
        step = trace(VAE(**SIZES, likelihood=likelihood), IMAGES).step("forward-likelihood")
        assert step.value(key).axes == ("image", "pixel")


def test_a_wrong_derivative_is_seen(monkeypatch):
    def wrong(dkl, mu, logvar, dmu, dlogvar):
        """dlogvar without its −1 (E16)"""
        np.multiply(mu, dkl[:, None], out=dmu)
        np.multiply(np.exp(logvar), 0.5 * dkl[:, None], out=dlogvar)

    monkeypatch.setattr(ops, "gaussian_kl_backward", wrong)
    told = trace(VAE(**SIZES), IMAGES)
    step = told.step("backward-posterior.gaussian_kl")
    assert step.value("d log σ²").check.error > 0.1
    assert step.value("dμ").check.error < 1e-12
    assert "dlogvar without" in step.sources[0][1]


def test_a_fork_whose_gradients_are_not_added_up_is_seen(monkeypatch):
    model, fields = OTHERS["unet"]()
    monkeypatch.setattr(Skip, "backward", lambda self, dY: self.around.backward(self.join.backward(dY)[1]))
    with briefly():
        told = trace(model, fields)
    assert told.worst > 0.1
    assert told.step("backward-net.2").value("dX").check.error < 1e-12


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
        if step.formulas and step.key not in ("backward-posterior", "forward-objective"):
            assert all(f"E{n}" in step.sources[0][1] for n in step.equations)
            assert step.equations, step.key


def test_the_code_shown_is_the_code_that_ran():
    told = make_trace("tiny")
    step = told.step("forward-posterior.reparameterise")
    assert step.sources[0][0].startswith("scratchvae/ops/numpy/gaussian.py, line ")
    assert "np.multiply(std, eps, out=z)" in step.sources[0][1]
    called = [code.split("(")[0] for _, code in told.step("update-weights").sources]
    assert called == ["def adam", "def _accumulate_square", "def _scaled_step"]


def test_an_array_that_comes_in_names_the_step_that_made_it():
    told = make_trace("tiny")
    assert told.step("backward-encoder.2").value("dY").source == "backward-posterior"
    assert told.step("forward-decoder.0").value("x").source == "forward-posterior.reparameterise"
    assert told.step("forward-posterior.reparameterise").value("ε").source == "noise"


def test_the_bundled_seven_is_found_and_learned():
    told = make_trace(digit=7, epochs=1, threads=1, progress=False)
    assert told.step("input").value("x").data.shape == (1, 784)
    assert "label 7" in " ".join(told.notes)
    assert "for 1 epoch on the 5,000 training images" in " ".join(told.notes)
    assert told.worst < 1e-9
    painted, image = told.step("painted-likelihood").value("x̂").data, told.step("input").value("x").data
    assert np.corrcoef(painted[0], image[0])[0, 1] > 0.3


def test_what_does_not_fit_is_refused(tiny_data, tiny_vae):
    with pytest.raises(ConfigError, match="a model is needed"):
        trace(VAE, np.zeros((1, 5)))
    with pytest.raises(ShapeError, match=r"images must be rows \(N, 12\)"):
        trace(tiny_vae(), np.zeros((1, 5)))
    model, fields = OTHERS["unet"]()
    with pytest.raises(DataError, match="UNet reads segments, and the data have images"):
        trace(model, fields["images"])
    with pytest.raises(ShapeError, match="rows of the same images"):
        trace(model, {**fields, "segments": fields["segments"][:1]})
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
    with pytest.raises(KeyError, match="forward-posterior.gaussian_kl"):
        told.step("forward-nothing")
    with pytest.raises(KeyError, match="it has x"):
        told.step("input").value("y")


def test_every_formula_has_its_mathml_whole():
    book = [e.formula for e in equations().values()]
    ours = [*(line for lines in lessons.SUMS.values() for line in lines), lessons.objective({"a": 1, "b": 0.5}, 3)]
    for formula in [*ours, *book, *(line for whole in book for line in lessons.lines_of(whole))]:
        assert "\\" not in mathml(formula)
        assert formula.count("{") == formula.count("}")  # docutils lets the rest of an unclosed one go
        assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right") - formula.count(
            r"\rightarrow"
        ), formula
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
