"""Claims about every operation: its derivative, its dtypes, its extremes, and that it leaves its inputs alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.ops import numpy as ops

H = 1e-40
TOLERANCE = 1e-12  # of the largest derivative: sums of at most a few dozen terms round at 1e-15 of it
ACTIVATIONS = ["relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu"]
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 7))  # batch and width, both down to 1
LAYOUTS = st.sampled_from(["contiguous", "transposed", "strided", "reversed"])


def laid_out(a, layout):
    """The same values, in another arrangement in memory."""
    if layout == "transposed":
        return np.asfortranarray(a)
    if layout == "strided":
        wide = np.zeros((a.shape[0], 2 * a.shape[1]), a.dtype)
        wide[:, ::2] = a
        return wide[:, ::2]
    if layout == "reversed":
        return a[::-1].copy()[::-1]
    return a


class Frozen:
    """Inputs of one call: arrays that may be read and not written, in any layout."""

    def __init__(self, seed, layout="contiguous"):
        self.random, self.layout = np.random.default_rng(seed), layout

    def __call__(self, *shape, scale=1.5):
        a = laid_out(self.random.normal(size=shape) * scale, self.layout) if len(shape) == 2 else self.random.normal(size=shape)
        a.flags.writeable = False
        return a


def slope(f, x):
    """∂ Σ f / ∂x by complex steps: f maps an array shaped as x, complex, to any array."""
    out = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[i] += 1j * H
        out[i] = f(moved).imag.sum() / H
    return out


def assert_close(analytic, numeric):
    assert np.abs(analytic - numeric).max() <= TOLERANCE * max(np.abs(numeric).max(), 1e-300)


def like(a, n=1):
    made = [np.full(a.shape, np.nan, a.dtype) for _ in range(n)]
    return made[0] if n == 1 else made


# Derivatives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_activation_derivative_is_the_complex_step(name, shape, layout, seed):
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    make = Frozen(seed, layout)
    x, dY = make(*shape), make(*shape)
    y, out = like(x), like(x)
    assert forward(x, y, like(x)) is y
    y.flags.writeable = False
    assert backward(dY, x, y, out, like(x)) is out
    assert_close(out, slope(lambda v: dY * forward(v, like(v), like(v)), x))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "softplus"])
def test_the_derivative_at_zero_is_the_one_that_a_complex_step_takes(name):
    """Zero biases under a blank image put units exactly on the kink: forward and backward must agree there."""
    x, dY = np.zeros((1, 1)), np.ones((1, 1))
    forward = getattr(ops, name)
    y = forward(x, like(x), like(x))
    got = getattr(ops, f"{name}_backward")(dY, x, y, like(x), like(x))
    assert_close(got, slope(lambda v: forward(v, like(v), like(v)), x))
    assert got[0, 0] == {"relu": 0, "leaky_relu": 0.01, "softplus": 0.5}[name]


@given(shape=SHAPES, inputs=st.integers(1, 6), layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_affine_derivatives_are_complex_steps(shape, inputs, layout, seed):
    rows, outputs = shape
    make = Frozen(seed, layout)
    x, W, b, dY = make(rows, inputs), make(inputs, outputs), make(outputs), make(rows, outputs)
    y = np.empty((rows, outputs))
    assert ops.affine(x, W, b, y) is y
    np.testing.assert_allclose(y, np.einsum("bi,io->bo", x, W) + b, rtol=1e-13, atol=1e-13)
    dX, dW, db = np.empty(x.shape), np.empty(W.shape), np.empty(b.shape)
    assert ops.affine_backward(dY, x, W, dX, dW, db) is dX
    run = lambda x, W, b: dY * ops.affine(x, W, b, np.empty(y.shape, complex))
    assert_close(dX, slope(lambda v: run(v, W, b), x))
    assert_close(dW, slope(lambda v: run(x, v, b), W))
    assert_close(db, slope(lambda v: run(x, W, v), b))


def test_affine_backward_without_dX_writes_the_rest():
    make = Frozen(0)
    x, W, dY = make(3, 2), make(2, 4), make(3, 4)
    dW, db = np.full((2, 4), np.nan), np.full(4, np.nan)
    assert ops.affine_backward(dY, x, W, None, dW, db) is None
    np.testing.assert_allclose(dW, x.T @ dY, rtol=1e-14)
    np.testing.assert_allclose(db, dY.sum(0), rtol=1e-14)


@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_reparameterise_derivatives_are_complex_steps(shape, layout, seed):
    make = Frozen(seed, layout)
    mu, logvar, eps, dz = (make(*shape) for _ in range(4))
    z, std, dmu, dlogvar = like(mu, 4)
    assert ops.reparameterise(mu, logvar, eps, z, std) is z
    np.testing.assert_allclose(z, mu + np.sqrt(np.exp(logvar)) * eps, rtol=1e-14, atol=1e-14)
    ops.reparameterise_backward(dz, eps, std, dmu, dlogvar)
    run = lambda mu, logvar: dz * ops.reparameterise(mu, logvar, eps, *like(mu + logvar, 2))
    assert_close(dmu, slope(lambda v: run(v, logvar), mu))
    assert_close(dlogvar, slope(lambda v: run(mu, v), logvar))


@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_kl_derivatives_are_complex_steps(shape, layout, seed):
    make = Frozen(seed, layout)
    mu, logvar, dkl = make(*shape), make(*shape), make(shape[0])
    out = np.empty(shape[0])
    assert ops.gaussian_kl(mu, logvar, out, like(mu, 2)) is out
    np.testing.assert_allclose(out, 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1), rtol=1e-12, atol=1e-13)
    dmu, dlogvar = like(mu, 2)
    ops.gaussian_kl_backward(dkl, mu, logvar, dmu, dlogvar)

    def run(mu, logvar):
        kind = mu + logvar
        return dkl * ops.gaussian_kl(mu, logvar, np.empty(shape[0], complex), like(kind, 2))

    assert_close(dmu, slope(lambda v: run(v, logvar.astype(complex)), mu))
    assert_close(dlogvar, slope(lambda v: run(mu.astype(complex), v), logvar))


@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_a_posterior_in_one_call_is_its_two_operations_to_the_bit(shape, layout, seed):
    make = Frozen(seed, layout)
    mu, logvar, eps, dz, dkl = (*(make(*shape) for _ in range(4)), make(shape[0]))
    z, std, z2, std2, dmu, dlogvar, dmu2, dlogvar2, from_mu, from_logvar = like(mu, 10)
    kl, kl2 = np.empty(shape[0]), np.empty(shape[0])
    ops.reparameterise(mu, logvar, eps, z, std)
    ops.gaussian_kl(mu, logvar, kl, like(mu, 2))
    assert ops.sample_posterior(mu, logvar, eps, z2, std2, kl2, like(mu, 2)) is z2
    ops.reparameterise_backward(dz, eps, std, dmu, dlogvar)
    ops.gaussian_kl_backward(dkl, mu, logvar, from_mu, from_logvar)
    ops.posterior_backward(dz, dkl, mu, logvar, eps, std, dmu2, dlogvar2, like(mu, 2))
    for one, two in ((z2, z), (std2, std), (kl2, kl), (dmu2, dmu + from_mu), (dlogvar2, dlogvar + from_logvar)):
        np.testing.assert_array_equal(one, two)


@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_bernoulli_derivative_is_the_complex_step(shape, layout, seed):
    make = Frozen(seed, layout)
    logits, x, dnll = make(*shape), np.abs(make(*shape)) % 1, make(shape[0])
    out = np.empty(shape[0])
    assert ops.bernoulli_nll(logits, x, out, like(logits, 2)) is out
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(out, -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1), rtol=1e-12)
    da = like(logits)
    assert ops.bernoulli_nll_backward(dnll, logits, x, da) is da
    assert_close(da, slope(lambda v: dnll * ops.bernoulli_nll(v, x, np.empty(shape[0], complex), like(v, 2)), logits))


@pytest.mark.parametrize("shared", [True, False])
@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_gaussian_derivatives_are_complex_steps(shared, shape, layout, seed):
    """With a logvar per pixel, or one that all pixels share and whose gradient is the sum over them."""
    make = Frozen(seed, layout)
    mean, x, dnll = make(*shape), make(*shape), make(shape[0])
    logvar = make(1) if shared else make(*shape)
    out = np.empty(shape[0])
    assert ops.gaussian_nll(mean, logvar, x, out, like(mean)) is out
    sigma = np.exp(logvar / 2)
    density = np.exp(-(((x - mean) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(out, -np.log(density).sum(1), rtol=1e-10, atol=1e-11)
    dmean, dlogvar = like(mean, 2)
    ops.gaussian_nll_backward(dnll, mean, logvar, x, dmean, dlogvar)
    run = lambda m, v: dnll * ops.gaussian_nll(m, v, x, np.empty(shape[0], complex), np.empty(shape, complex))
    assert_close(dmean, slope(lambda v: run(v, logvar), mean))
    summed = dlogvar.sum(keepdims=True)[0] if shared else dlogvar
    numeric = slope(lambda v: run(mean, v), logvar)
    # A shared logvar's gradient sums terms that cancel: what rounds is the largest of them.
    assert np.abs(summed - numeric).max() <= TOLERANCE * max(np.abs(dlogvar).max(), np.abs(numeric).max())


@given(shape=SHAPES, layout=LAYOUTS, seed=st.integers(0, 10**6))
def test_squared_error_derivative_is_the_complex_step(shape, layout, seed):
    make = Frozen(seed, layout)
    y, x, derror = make(*shape), make(*shape), make(shape[0])
    out, dy = np.empty(shape[0]), like(y)
    assert ops.squared_error(y, x, out, like(y)) is out
    np.testing.assert_allclose(out, ((y - x) ** 2).sum(1), rtol=1e-13)
    assert ops.squared_error_backward(derror, y, x, dy) is dy
    assert_close(dy, slope(lambda v: derror * ops.squared_error(v, x, np.empty(shape[0], complex), like(v)), y))


# Extremes and precision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bernoulli_is_right_at_extreme_logits(dtype):
    """log(sigmoid(a)) would be −inf there. Exactly: right and sure costs 0, wrong and sure costs |a|."""
    logits = np.array([[1e4, 1e4, -1e4, -1e4]], dtype).T.copy()
    x = np.array([[1, 0, 1, 0]], dtype).T.copy()
    nll = ops.bernoulli_nll(logits, x, np.empty(4, dtype), like(logits, 2))
    assert nll.tolist() == [0, 1e4, 1e4, 0]
    da = ops.bernoulli_nll_backward(np.ones(4, dtype), logits, x, like(logits))
    assert da.ravel().tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("relu", (0, 1e4), (0, 1)),
        ("leaky_relu", (-100, 1e4), (0.01, 1)),
        ("tanh", (-1, 1), (0, 0)),
        ("sigmoid", (0, 1), (0, 0)),
        ("softplus", (0, 1e4), (0, 1)),
        ("gelu", (0, 1e4), (0, 1)),
        ("silu", (0, 1e4), (0, 1)),
    ],
)
def test_activations_are_right_at_extreme_inputs(name, values, slopes, dtype):
    x = np.array([[-1e4, 1e4]], dtype)
    y = getattr(ops, name)(x, like(x), like(x))
    dX = getattr(ops, f"{name}_backward")(np.ones_like(x), x, y, like(x), like(x))
    np.testing.assert_allclose(y[0], values, rtol=1e-6)
    np.testing.assert_allclose(dX[0], slopes, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("relu", lambda x: np.where(x > 0, x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, x / 100)),
        ("tanh", lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("softplus", lambda x: np.log(1 + np.exp(x))),
        ("gelu", lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))),
        ("silu", lambda x: x / (1 + np.exp(-x))),
    ],
)
def test_activations_are_the_functions_they_are_named_for(name, definition):
    x = np.linspace(-5, 5, 201)
    y = getattr(ops, name)(x, np.empty_like(x), np.empty_like(x))
    np.testing.assert_allclose(y, definition(x), rtol=1e-12, atol=1e-15)  # the definitions cancel a few digits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("logvar", [-80, 80])
def test_kl_and_sampling_are_right_at_huge_and_tiny_variances(logvar, dtype):
    mu, lv, eps = (np.full((1, 1), v, dtype) for v in (0.5, logvar, 2.0))
    z, std, dmu, dlogvar = like(mu, 4)
    rounding = 80 * np.finfo(dtype).eps  # exp multiplies the rounding of its argument by that argument
    ops.reparameterise(mu, lv, eps, z, std)
    np.testing.assert_allclose(z, 0.5 + 2 * np.exp(logvar / 2), rtol=rounding)
    kl = ops.gaussian_kl(mu, lv, np.empty(1, dtype), like(mu, 2))
    np.testing.assert_allclose(kl, 0.5 * (0.25 + np.exp(float(logvar)) - 1 - logvar), rtol=rounding)
    ops.gaussian_kl_backward(np.ones(1, dtype), mu, lv, dmu, dlogvar)
    np.testing.assert_allclose(dlogvar, 0.5 * (np.exp(float(logvar)) - 1), rtol=rounding)
    nll = ops.gaussian_nll(mu, lv[0], eps, np.empty(1, dtype), like(mu))
    np.testing.assert_allclose(nll, 0.5 * (2.25 * np.exp(-float(logvar)) + logvar + np.log(2 * np.pi)), rtol=rounding)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_activations_are_near_float64(name):
    """A handful of roundings of values up to 10 and slopes up to 1.1; gelu's polynomial has the most, about 8."""
    x = np.linspace(-8, 8, 401).reshape(1, -1)
    results = []
    for dtype in (np.float64, np.float32):
        v = x.astype(dtype)
        y = getattr(ops, name)(v, like(v), like(v))
        dX = getattr(ops, f"{name}_backward")(np.ones_like(v), v, y, like(v), like(v))
        assert y.dtype == dX.dtype == dtype
        results.append((y, dX))
    (y, dX), (y32, dX32) = results
    assert np.abs(y32 - y).max() < 8 * 8 * np.finfo(np.float32).eps
    assert np.abs(dX32 - dX).max() < 8 * 8 * np.finfo(np.float32).eps


def test_float32_losses_are_near_float64():
    """Sums of 784 terms near 1: pairwise summation rounds at a few ε of the sum."""
    make = Frozen(0)
    a, x, mu, lv = make(4, 784), np.abs(make(4, 784)) % 1, make(4, 20), make(4, 20)
    few = 20 * np.finfo(np.float32).eps

    def all_losses(dtype):
        A, X, M, V = (v.astype(dtype) for v in (a, x, mu, lv))
        out = lambda: np.empty(4, dtype)
        return [
            ops.bernoulli_nll(A, X, out(), like(A, 2)),
            ops.gaussian_nll(A, V[0, :1], X, out(), like(A)),
            ops.squared_error(A, X, out(), like(A)),
            ops.gaussian_kl(M, V, out(), like(M, 2)),
        ]

    for narrow, wide in zip(all_losses(np.float32), all_losses(np.float64), strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=few)


@pytest.mark.parametrize("rows", [1, 2, 5, 7, 8])
def test_bernoulli_takes_as_many_rows_at_a_time_as_its_scratch_has(rows):
    random = np.random.default_rng(rows)
    logits, x = random.normal(size=(7, 5)), random.uniform(size=(7, 5))
    whole = ops.bernoulli_nll(logits, x, np.empty(7), like(logits, 2))
    out = np.full(7, np.nan)
    assert ops.bernoulli_nll(logits, x, out, np.empty((2, rows, 5))[:, : min(rows, 7)]) is out
    assert np.array_equal(out, whole)


def test_bernoulli_is_a_distribution():
    logits = np.linspace(-9, 9, 37).reshape(-1, 1)
    score = lambda x: ops.bernoulli_nll(logits, np.full_like(logits, x), np.empty(37), like(logits, 2))
    np.testing.assert_allclose(np.exp(-score(0)) + np.exp(-score(1)), 1, rtol=1e-13)


# Optimisers: textbook formulas, written plainly, against the updates ----------------------------------------------------


def textbook_momentum(p, grads, lr, mu=0.9, nesterov=False):
    v = 0
    for g in grads:
        v = mu * v + g
        p = p - lr * (g + mu * v if nesterov else v)
    return p


def textbook_rmsprop(p, grads, lr, rho=0.99, eps=1e-8):
    s = 0
    for g in grads:
        s = rho * s + (1 - rho) * g**2
        p = p - lr * g / (np.sqrt(s) + eps)
    return p


def textbook_adagrad(p, grads, lr, eps=1e-10):
    s = 0
    for g in grads:
        s = s + g**2
        p = p - lr * g / (np.sqrt(s) + eps)
    return p


def textbook_adam(p, grads, lr, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    m = v = 0
    for t, g in enumerate(grads, 1):
        p = p - lr * decay * p
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        p = p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return p


UPDATES = {
    "sgd": (ops.sgd, 0, lambda p, gs, lr: p - lr * sum(gs)),
    "momentum": (ops.momentum, 1, textbook_momentum),
    "nesterov": (ops.nesterov, 1, lambda p, gs, lr: textbook_momentum(p, gs, lr, nesterov=True)),
    "rmsprop": (ops.rmsprop, 1, textbook_rmsprop),
    "adagrad": (ops.adagrad, 1, textbook_adagrad),
    "adam": (ops.adam, 2, textbook_adam),
    "adamw": (ops.adamw, 2, lambda p, gs, lr: textbook_adam(p, gs, lr, decay=0.01)),
}


def run_update(update, moments, p, grads, lr, **options):
    p = p.copy()
    held = [np.zeros_like(p) for _ in range(moments)]
    for step, g in enumerate(grads, 1):
        update(p, g.copy(), *held, np.full_like(p, np.nan), lr, step, **options)
    return p


@pytest.mark.parametrize("name", UPDATES)
def test_update_follows_its_paper_over_several_steps(name):
    update, moments, textbook = UPDATES[name]
    random = np.random.default_rng(0)
    p, grads = random.normal(size=9), random.normal(size=(7, 9))
    got, expected = run_update(update, moments, p, grads, 0.03), textbook(p, grads, 0.03)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)
    assert np.abs(got - p).min() > 1e-4  # it moved


@pytest.mark.parametrize(
    ("name", "options", "textbook"),
    [
        ("momentum", {"mu": 0.5}, lambda *a: textbook_momentum(*a, mu=0.5)),
        ("nesterov", {"mu": 0.5}, lambda *a: textbook_momentum(*a, mu=0.5, nesterov=True)),
        ("rmsprop", {"rho": 0.8, "eps": 0.1}, lambda *a: textbook_rmsprop(*a, rho=0.8, eps=0.1)),
        ("adagrad", {"eps": 0.1}, lambda *a: textbook_adagrad(*a, eps=0.1)),
        ("adam", {"beta1": 0.7, "beta2": 0.9, "eps": 0.1}, lambda *a: textbook_adam(*a, b1=0.7, b2=0.9, eps=0.1)),
        ("adamw", {"beta1": 0.7, "eps": 0.1, "decay": 0.3}, lambda *a: textbook_adam(*a, b1=0.7, eps=0.1, decay=0.3)),
    ],
)
def test_update_options_mean_what_the_paper_means(name, options, textbook):
    """ε is large here, so that an ε scaled wrongly together with the moments is seen."""
    update, moments, _ = UPDATES[name]
    random = np.random.default_rng(1)
    p, grads = random.normal(size=5), random.normal(size=(4, 5))
    np.testing.assert_allclose(run_update(update, moments, p, grads, 0.1, **options), textbook(p, grads, 0.1), rtol=1e-12)


@pytest.mark.parametrize("name", UPDATES)
def test_a_small_imaginary_part_passes_through_an_update(name):
    """∂p′/∂g by complex steps, against a central difference: every update can itself be differentiated."""
    update, moments, _ = UPDATES[name]
    p, grads = np.array([0.3]), np.array([[0.7], [-0.2], [0.5]])
    moved = grads.astype(complex)
    moved[0] += 1j * H
    by_step = run_update(update, moments, p.astype(complex), moved, 0.1)[0].imag / H
    h = np.zeros_like(grads)
    h[0] = 1e-6
    ahead, behind = (run_update(update, moments, p, g, 0.1)[0] for g in (grads + h, grads - h))
    assert by_step == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)


def test_float32_updates_are_near_float64():
    random = np.random.default_rng(2)
    p, grads = random.normal(size=50), random.normal(size=(5, 50))
    for update, moments, textbook in UPDATES.values():
        got = run_update(update, moments, p.astype(np.float32), grads.astype(np.float32), 0.01)
        assert got.dtype == np.float32
        # Five updates of size at most about 0.03, each rounding p ≤ 3 once or twice.
        np.testing.assert_allclose(got, textbook(p, grads, 0.01), atol=10 * 3 * np.finfo(np.float32).eps)


def test_weight_decay_adds_the_gradient_of_half_the_squared_norm():
    p, g = np.array([2.0, -3.0]), np.array([0.5, 0.5])
    ops.weight_decay(p, g, np.empty(2), 0.1)
    np.testing.assert_allclose(g, [0.7, 0.2], rtol=1e-15)
    assert p.tolist() == [2, -3]
