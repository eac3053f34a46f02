"""Claims about the models. Their losses are written anew here, for an independent automatic differentiation (`autograd`)."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad

from scratchvae import rng
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.models import VAE, Autoencoder, ConvVAE, Hourglass, UNet
from scratchvae.models import model as model_module
from scratchvae.nn import Conv2D, Dense, init

RANDOM = np.random.default_rng(0)
CHUNK = VAE.chunk
MODELS = {model.kind: model for model in (VAE, Autoencoder)}  # those of dense layers
ACTIVATIONS = {
    "relu": lambda a: anp.where(a > 0, a, 0),
    "leaky_relu": lambda a: anp.where(a > 0, a, 0.01 * a),
    "tanh": anp.tanh,
    "sigmoid": lambda a: 1 / (1 + anp.exp(-a)),
    "softplus": lambda a: anp.log(1 + anp.exp(a)),
    "gelu": lambda a: 0.5 * a * (1 + anp.tanh(anp.sqrt(2 / anp.pi) * (a + 0.044715 * a**3))),
    "silu": lambda a: a / (1 + anp.exp(-a)),
}


@pytest.fixture(autouse=True)
def same_numbers_for_every_test():
    global RANDOM
    RANDOM = np.random.default_rng(0)


# The oracle -----------------------------------------------------------------------------------------------------------


def oracle_mlp(p, name, layers, activation, h):
    """`layers` affine maps with activations between, whose parameters are p["encoder.0.W"] …"""
    for i in range(layers):
        h = h if i == 0 else activation(h)
        h = anp.dot(h, p[f"{name}.{2 * i}.W"]) + p[f"{name}.{2 * i}.b"]
    return h


def oracle_loss(p, x, eps, config, beta, scale):
    """scale · Σ_images (−log p(x|z) + β KL), from densities and probabilities rather than from our formulas."""
    layers, act, L = len(config["hidden"]) + 1, ACTIVATIONS[config["activation"]], config["latent"]
    code = oracle_mlp(p, "encoder", layers, act, x)
    z, kl = code, 0.0
    if eps is not None:
        mu, sigma = code[:, :L], anp.exp(code[:, L:]) ** 0.5
        z = mu + sigma * eps
        kl = anp.sum(-anp.log(sigma) + (sigma**2 + mu**2) / 2 - 0.5)
    y = oracle_mlp(p, "decoder", layers, act, z)
    if config["likelihood"] == "bernoulli":
        probability = 1 / (1 + anp.exp(-y))
        log_p = anp.sum(x * anp.log(probability) + (1 - x) * anp.log(1 - probability))
    else:
        sigma = config["sigma"] or anp.exp(p["likelihood.logvar"][0]) ** 0.5
        log_p = anp.sum(anp.log(anp.exp(-(((x - y) / sigma) ** 2) / 2) / (sigma * anp.sqrt(2 * anp.pi))))
    return scale * (-log_p + beta * kl)


def values_of(model):
    return {name: p.value.copy() for name, p in model.parameters()}


def terms_of(model, x, eps=None):
    """{term: (B,)} of one forward; eps is left out where the model draws no noise."""
    return dict(zip(model.terms, model.forward(x, eps) if model.noise_columns else model.forward(x), strict=True))


def objective(model, x, eps=None, scale=1.0):
    return scale * model.objective.forward(*terms_of(model, x, eps).values()).sum()


def assert_agrees_with_the_oracle(model, rows):
    x = RANDOM.uniform(size=(rows, model.data_size))
    eps = RANDOM.normal(size=(rows, model.noise_columns)) if model.noise_columns else None
    for _, p in model.parameters():
        p.value[...] += 0.1 * RANDOM.normal(size=p.shape)  # biases and log σ² away from 0
    scale = 1 / rows
    beta = getattr(model, "beta", 1.0)
    loss, gradient = value_and_grad(oracle_loss)(values_of(model), x, eps, model.config, beta, scale)

    model.buffer.grads.fill(np.nan)
    np.testing.assert_allclose(objective(model, x, eps, scale), loss, rtol=1e-10)
    model.descend(np.full(rows, scale))
    for name, p in model.parameters():
        # Both are exact to rounding; 1e-10 of the tensor's largest gradient leaves room for the oracle's log(1 − p).
        np.testing.assert_allclose(p.grad, gradient[name], rtol=0, atol=1e-10 * np.abs(gradient[name]).max(), err_msg=name)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "gaussian, fixed"])
@pytest.mark.parametrize(
    ("kind", "options"), [("vae", {}), ("vae", {"beta": 4.0}), ("vae", {"beta": 0.0}), ("ae", {})], ids=str
)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_loss_and_every_gradient_agree_with_automatic_differentiation(kind, options, likelihood, activation):
    name, _, fixed = likelihood.partition(", ")
    sigma = 0.4 if fixed else None
    sizes = {"data_size": 7, "hidden": (6,), "latent": 3, "seed": 1, "dtype": np.float64}
    model = MODELS[kind](**sizes, likelihood=name, sigma=sigma, activation=activation, **options)
    assert_agrees_with_the_oracle(model, rows=5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_agrees_with_automatic_differentiation_in_a_model(activation):
    model = VAE(7, (6, 5), 3, activation=activation, dtype=np.float64)
    assert_agrees_with_the_oracle(model, rows=4)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("sizes", "rows"),
    [((7, (6,), 3), 1), ((7, (6,), 1), 4), ((7, (), 3), 4), ((7, (6, 5, 4), 2), 4), ((1, (1,), 1), 1)],
    ids=["batch 1", "latent 1", "no hidden layer", "three hidden layers", "all sizes 1"],
)
def test_unusual_sizes_agree_with_automatic_differentiation(kind, sizes, rows):
    assert_agrees_with_the_oracle(MODELS[kind](*sizes, activation="tanh", dtype=np.float64), rows)


# What a loss is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("cuts", [[4], [1, 2, 3, 4, 5, 6, 7, 8], [3, 3]])
def test_loss_and_gradient_of_a_batch_are_the_sums_over_any_split(kind, cuts):
    model = MODELS[kind](6, (5,), 2, dtype=np.float64)
    x, eps = RANDOM.uniform(size=(9, 6)), RANDOM.normal(size=(9, 2))
    whole = terms_of(model, x, eps)
    model.descend(np.ones(9))
    gradient = model.buffer.grads.copy()
    parts, summed = {k: [] for k in whole}, np.zeros_like(gradient)
    for part, noise in zip(np.split(x, cuts), np.split(eps, cuts), strict=True):
        for k, v in terms_of(model, part, noise).items():
            parts[k].append(v)
        model.descend(np.ones(len(part)))
        summed += model.buffer.grads
    assert list(whole) == list(model.terms) == list(model.weights)
    for k, v in whole.items():
        assert v.shape == (9,)
        np.testing.assert_allclose(np.concatenate(parts[k]), v, rtol=1e-12)
    np.testing.assert_allclose(summed, gradient, rtol=1e-10, atol=1e-12 * np.abs(gradient).max())


def test_terms_are_sums_over_pixels_and_latents_not_means():
    """With all parameters 0: every pixel costs log 2 and the posterior is the prior, so the KL is 0."""
    model = VAE(10, (4,), 3, dtype=np.float64)
    model.buffer.values[:] = 0
    terms = terms_of(model, RANDOM.uniform(size=(2, 10)))
    np.testing.assert_allclose(terms["reconstruction"], 10 * np.log(2), rtol=1e-14)
    np.testing.assert_allclose(terms["kl"], 0, atol=1e-15)
    model.encoder.layers[-1].b.value[:3] = 2.0  # μ = 2 in each latent: KL = 3 · 2² / 2
    np.testing.assert_allclose(terms_of(model, np.zeros((1, 10)))["kl"], 6, rtol=1e-14)


def test_beta_counts_in_the_objective_and_not_in_the_kl_that_is_reported():
    x, eps = RANDOM.uniform(size=(3, 6)), RANDOM.normal(size=(3, 2))
    one, four = (VAE(6, (5,), 2, beta=beta, dtype=np.float64) for beta in (1, 4))
    assert np.array_equal(terms_of(one, x, eps)["kl"], terms_of(four, x, eps)["kl"])
    assert one.weights == {"reconstruction": 1.0, "kl": 1.0}
    assert four.weights == {"reconstruction": 1.0, "kl": 4.0}


def test_forward_without_noise_decodes_the_mean_and_noise_of_another_shape_is_refused():
    model = VAE(6, (5,), 2, dtype=np.float64)
    x = RANDOM.uniform(size=(3, 6))
    quiet = terms_of(model, x)
    for k, v in terms_of(model, x, np.zeros((3, 2))).items():
        assert np.array_equal(v, quiet[k])
    with pytest.raises(ShapeError, match=r"eps must be \(3, 2\), not \(3, 1\)"):
        model.forward(x, np.zeros((3, 1)))


# Use ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_shapes_and_dtypes_of_what_a_model_gives(kind, likelihood, rows):
    model = MODELS[kind](12, (8,), 3, likelihood=likelihood)
    x = RANDOM.uniform(size=(rows, 12))  # float64 comes in, the model's float32 goes out
    codes = model.encode(x) if kind == "vae" else (model.encode(x),)
    shapes = [(c, (rows, 3)) for c in codes] + [(model.codes(x), (rows, 3))]
    shapes += [(model.reconstruct(x), (rows, 12)), (model.sample(rows), (rows, 12)), (model.decode(codes[0]), (rows, 12))]
    for array, shape in shapes:
        assert array.shape == shape
        assert array.dtype == np.float32
        assert likelihood != "bernoulli" or array.shape[1] != 12 or ((array >= 0) & (array <= 1)).all()


def test_a_single_image_and_a_single_code_count_as_one_row():
    model = VAE(12, (8,), 3)
    x = RANDOM.uniform(size=12)
    assert model.codes(x).shape == (1, 3)
    assert model.decode(np.zeros(3)).shape == (1, 12)
    assert np.array_equal(model.reconstruct(x), model.decode(model.codes(x[None])))


@pytest.mark.parametrize("kind", MODELS)
def test_encode_and_decode_are_what_the_networks_compute(kind):
    model = MODELS[kind](12, (8,), 3, dtype=np.float64)
    x = RANDOM.uniform(size=(4, 12))
    act = ACTIVATIONS["relu"]
    code = oracle_mlp(values_of(model), "encoder", 2, act, x)
    got = np.hstack(model.encode(x)) if kind == "vae" else model.encode(x)
    np.testing.assert_allclose(got, code, rtol=1e-12)
    images = 1 / (1 + np.exp(-oracle_mlp(values_of(model), "decoder", 2, act, code[:, :3])))
    np.testing.assert_allclose(model.reconstruct(x), images, rtol=1e-12)
    np.testing.assert_allclose(model.decode(code[:, :3]), images, rtol=1e-12)


def test_a_gaussian_model_decodes_to_its_mean():
    model = VAE(12, (8,), 3, likelihood="gaussian", dtype=np.float64)
    z = RANDOM.normal(size=(4, 3))
    np.testing.assert_allclose(model.decode(z), oracle_mlp(values_of(model), "decoder", 2, ACTIVATIONS["relu"], z), rtol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_large_inputs_are_taken_in_chunks_without_changing_them(kind):
    """The same rows go through matrix products of other heights, so equality is to rounding, not to the bit."""
    model = MODELS[kind](6, (5,), 2, dtype=np.float64)
    x, z = RANDOM.uniform(size=(2 * CHUNK + 7, 6)), RANDOM.normal(size=(2 * CHUNK + 7, 2))
    one_by_one = np.concatenate([model.codes(part) for part in np.array_split(x, 29)])
    np.testing.assert_allclose(model.codes(x), one_by_one, rtol=1e-12, atol=1e-14)
    one_by_one = np.concatenate([model.decode(part) for part in np.array_split(z, 29)])
    np.testing.assert_allclose(model.decode(z), one_by_one, rtol=1e-12)


def test_encode_and_decode_compute_a_chunk_of_rows_at_a_time(monkeypatch):
    model, seen = VAE(6, (5,), 2), []
    monkeypatch.setattr(model.encoder, "forward", lambda x, forward=model.encoder.forward: seen.append(len(x)) or forward(x))
    monkeypatch.setattr(model_module, "blas_threads", lambda: 1)
    model.encode(np.zeros((2 * CHUNK + 7, 6)))
    assert seen == [CHUNK, CHUNK, 7]


@pytest.mark.parametrize("kind", MODELS)
def test_threads_share_out_chunks_and_change_no_bit(kind, monkeypatch):
    model = MODELS[kind](6, (5,), 2)
    x, z = RANDOM.uniform(size=(3 * CHUNK + 7, 6)), RANDOM.normal(size=(3 * CHUNK + 7, 2))
    made = []
    monkeypatch.setattr(MODELS[kind], "replica", lambda self, plain=MODELS[kind].replica: made.append(plain(self)) or made[-1])
    results = {}
    for count in (1, 2, 3, 9):
        monkeypatch.setattr(model_module, "blas_threads", lambda count=count: count)
        results[count] = model.encode(x), model.decode(z)
    for count in (2, 3, 9):
        for one, other in zip(results[1], results[count], strict=True):
            assert np.array_equal(one, other)
    assert len(made) == 2 * (1 + 2 + 3)  # nine threads, but four chunks: three replicas


def test_results_are_the_callers_own():
    """Not buffers that the next call overwrites."""
    model = VAE(6, (5,), 2)
    first = model.decode(np.zeros((3, 2)))
    kept = first.copy()
    model.decode(np.ones((3, 2)))
    model.sample(3)
    assert np.array_equal(first, kept)


def test_samples_are_the_same_for_the_same_seed_and_a_beginning_of_a_longer_draw():
    model = VAE(6, (5,), 2)
    assert np.array_equal(model.sample(5, seed=3), model.sample(5, seed=3))
    assert not np.array_equal(model.sample(5, seed=3), model.sample(5, seed=4))
    np.testing.assert_allclose(model.sample(9, seed=3)[:5], model.sample(5, seed=3), rtol=1e-6)
    z = rng.normal(3, rng.SAMPLE, 0, np.arange(5), 2)
    assert np.array_equal(model.sample(5, seed=3), model.decode(z))


def test_interpolation_runs_straight_from_one_code_to_the_other():
    model = VAE(6, (5,), 2, dtype=np.float64)
    a, b = RANDOM.uniform(size=(2, 6))
    path = model.interpolate(a, b, steps=5)
    assert path.shape == (5, 6)
    np.testing.assert_allclose(path[[0, -1]], model.reconstruct(np.stack([a, b])), rtol=1e-12)
    np.testing.assert_allclose(path[1], model.decode(0.75 * model.codes(a) + 0.25 * model.codes(b))[0], rtol=1e-12)


def test_a_traversal_moves_one_latent_and_holds_the_others():
    model = VAE(6, (5,), 3, dtype=np.float64)
    x = RANDOM.uniform(size=6)
    z = model.codes(x)[0]
    values = [-2.0, 0.5]
    images = model.traverse(x, values)
    assert images.shape == (3, 2, 6)
    for k in range(3):
        for v, value in enumerate(values):
            moved = z.copy()
            moved[k] = value
            np.testing.assert_allclose(images[k, v], model.decode(moved)[0], rtol=1e-12)
    np.testing.assert_array_equal(model.traverse(x, values, dimensions=[2]), images[2:])


def test_the_summary_knows_the_models_own_width():
    lines = [line.split() for line in VAE(12, (8,), 3).summary().splitlines()]
    assert ["encoder.0", "Dense", "(B,", "8)", "104", f"{128 * (2 * 2 * 12 * 8 + 2 * 8):,}"] in lines
    assert ["likelihood", "Bernoulli", "(B,)"] in lines
    assert lines[-2][:2] == ["total", str(VAE(12, (8,), 3).buffer.values.size)]


@pytest.mark.parametrize("kind", MODELS)
def test_the_decoder_mirrors_the_encoders_hidden_layers(kind):
    model = MODELS[kind](9, (7, 5), 2)
    shapes = [[layer.W.value.shape for layer in part.layers if hasattr(layer, "W")] for part in (model.encoder, model.decoder)]
    assert shapes == [[(9, 7), (7, 5), (5, 4 if kind == "vae" else 2)], [(2, 5), (5, 7), (7, 9)]]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", init.INITS)
def test_the_initial_values_that_were_asked_for_reach_every_layer(kind, name):
    model = MODELS[kind](9, (7, 5), 2, init_W=name, seed=4)
    for i, (path, parameter) in enumerate(model.parameters()):
        expected = init.INITS[name](parameter.shape, 4, i) if path.endswith("W") else 0
        np.testing.assert_array_equal(parameter.value, np.float32(expected), path)


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_can_be_made_again_from_its_config(kind):
    own = {"beta": 0.3} if kind == "vae" else {}
    model = MODELS[kind](6, (5, 4), 2, activation="tanh", likelihood="gaussian", sigma=0.3, init_W="he", seed=2, **own)
    again = MODELS[kind](**model.config, seed=2)
    assert again.weights == model.weights
    assert again.config == model.config
    assert again.buffer.names == model.buffer.names
    assert np.array_equal(again.buffer.values, model.buffer.values)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latent": 0}, "latent must be a whole number of at least 1, not 0"),
        ({"latent": 2.5}, "latent must be a whole number"),
        ({"data_size": -1}, "data_size must be"),
        ({"hidden": (5, 0)}, r"hidden\[1\] must be"),
        ({"hidden": 400}, "hidden must be a list of sizes"),
        ({"activation": "step"}, "activation must be one of relu, .*not 'step'"),
        ({"likelihood": "poisson"}, "likelihood must be one of bernoulli, .*gaussian, .*logistic, not 'poisson'"),
        ({"init_W": "ones"}, "init_W must be one of glorot, he, lecun"),
        ({"sigma": 1.0}, "sigma belongs to the gaussian likelihood"),
        ({"likelihood": "gaussian", "sigma": 0.0}, "sigma must be a finite number of at least 1.19"),
        ({"likelihood": "gaussian", "sigma": np.inf}, "sigma must be a finite number of at least 1.19"),
        ({"likelihood": "gaussian", "sigma": 1e-20}, "sigma must be a finite number of at least 1.19"),
        ({"beta": -1}, "beta must be a finite number of at least 0"),
        ({"dtype": np.float16}, "dtype must be np.float32 or np.float64, not <class 'numpy.float16'>"),
        ({"dtype": np.int32}, "dtype must be"),
        ({"dtype": "half"}, "dtype must be"),
        ({"dtype": None}, "dtype must be"),
        ({"dtype": "what"}, "dtype must be"),
        ({"beta": np.nan}, "beta must be a finite number of at least 0"),
    ],
    ids=str,
)
def test_an_option_that_cannot_work_is_refused_with_its_name(options, said):
    with pytest.raises(ConfigError, match=said):
        VAE(**{"data_size": 6, "hidden": (5,), "latent": 2, **options})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.encode(np.zeros((2, 5))), r"expected \(rows, 6\), not \(2, 5\)"),
        (lambda m: m.encode(np.zeros((2, 3, 2))), r"expected \(rows, 6\)"),
        (lambda m: m.decode(np.zeros((2, 6))), r"expected \(rows, 2\)"),
        (lambda m: m.encode(np.zeros((2, 6), np.uint8)), "of which 255 or 1 may be white: give x / 255"),
        (lambda m: m.forward(np.zeros((2, 6))), "holds float32 and was given float64"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(call, said):
    for model in (VAE(6, (5,), 2), Autoencoder(6, (5,), 2)):
        with pytest.raises(ShapeError, match=said):
            call(model)


INSIDE = np.full((2, 6), 0.5)


@pytest.mark.parametrize("call", ["encode", "codes", "reconstruct"])
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (INSIDE * 510, r"x: row 0, column 0 is 255, outside \[0, 1\].*bernoulli likelihood takes: if 255 is white"),
        (INSIDE - 1, r"outside \[0, 1\].*\(x \+ 1\) / 2"),
        (INSIDE * np.nan, "x: row 0, column 0 is nan"),
        ([["0.5"] * 6], "x: text where numbers belong"),
        ([[object()] * 6], "x: row 0, column 0 is <object"),
        ([[0.5] * 6, [0.5] * 5], "x: row 1 has 5 values where row 0 has 6"),
        (None, "x: None, a NoneType"),
        (INSIDE + 0j, "complex128 values"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_numbers_that_the_likelihood_does_not_take_are_refused_by_their_place(call, x, said):
    for model in (VAE(6, (5,), 2), Autoencoder(6, (5,), 2)):
        with pytest.raises(DataError, match=said):
            getattr(model, call)(x)


def test_a_gaussian_likelihood_takes_any_finite_number():
    model = VAE(6, (5,), 2, likelihood="gaussian")
    assert np.isfinite(model.reconstruct(INSIDE * 510 - 100)).all()
    with pytest.raises(DataError, match="row 1, column 5 is inf"):
        model.encode(np.where(np.arange(12).reshape(2, 6) == 11, np.inf, 0))


def test_lists_and_tensors_are_encoded_as_arrays_are():
    model = VAE(6, (5,), 2)
    for given in (INSIDE.tolist(), INSIDE.astype(np.float32), [[0.5] * 6] * 2):
        np.testing.assert_array_equal(model.codes(given), model.codes(INSIDE))
    np.testing.assert_array_equal(model.decode([[0, 1]]), model.decode(np.array([[0.0, 1.0]])))


@pytest.mark.parametrize("model", [VAE, Autoencoder, ConvVAE, UNet, Hourglass])
def test_no_model_computes_the_gradient_of_its_images(model):
    first, *later = (layer for _, layer in model().modules() if isinstance(layer, (Conv2D, Dense)))
    assert not first.input_gradient
    assert all(layer.input_gradient for layer in later)


def test_one_number_for_a_whole_batch_is_refused():
    model = VAE(6, (4,), 2)
    model.forward(np.zeros((3, 6), np.float32), np.zeros((3, 2), np.float32))
    with pytest.raises(ShapeError, match=r"VAE takes dL as an array \(rows, …\) of floats, not 1.0"):
        model.descend(1.0)
