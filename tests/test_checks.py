"""Claims about the checks: right code passes, and each known way to be wrong is caught by a named layer."""

import importlib.util
import json
import math

import numpy as np
import pytest

from scratchvae import checks, nn
from scratchvae.checks import gradcheck
from scratchvae.checks.finite_difference import central_differences
from scratchvae.checks.measure import relative_error
from scratchvae.errors import ConfigError, ShapeError
from scratchvae.models import VAE, Autoencoder
from scratchvae.models.objective import Weighted
from scratchvae.models.posterior import Posterior
from scratchvae.nn import init
from scratchvae.ops import numpy as ops
from scratchvae.ops.numpy import gaussian

# Right code passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["complex", "difference", "both"])
def test_everything_of_ours_passes(method):
    reports = checks.check_all(seed=0, method=method)
    assert {report.method for report in reports.values()} == {method}
    assert {*nn.ACTIVATIONS, "dense", "sequential", "bernoulli", "posterior", "objective", "batch norm", "vae, gaussian"} < set(reports)
    for name, report in reports.items():
        assert report.ok, report
        assert report.name == name


@pytest.mark.parametrize("seed", range(1, 6))
def test_right_code_passes_at_other_seeds(seed):
    """Also by differences, where small ReLU networks with zero biases put many units exactly on a kink."""
    for method in ("complex", "difference"):
        assert all(report.ok for report in checks.check_all(seed, method).values())


def test_complex_steps_are_good_to_rounding():
    """Measured 4e-16 over all cases; the tolerance of 1e-12 is not what makes them pass."""
    assert max(report.worst for report in checks.check_all().values()) < 1e-14


@pytest.mark.parametrize("method", ["complex", "difference"])
def test_a_model_of_real_size_is_sampled_and_covered_by_a_direction(method):
    report = gradcheck(VAE(50, (40,), 5), sample=30, method=method)
    by_name = {e.name: e for e in report.entries}
    assert report.ok, report
    assert by_name["encoder.0.W"].checked == 30
    assert by_name["encoder.0.W"].size == 2000
    assert "30 of 2,000 drawn; a random direction over all of them" in str(report)
    assert by_name["encoder.2.b"].checked == by_name["encoder.2.b"].size == 10


def test_a_check_that_tests_nothing_says_so():
    """All units dead: every gradient is 0 on both sides, which proves nothing about backward."""
    report = gradcheck(nn.Sequential(nn.Dense(4, 3), nn.ReLU()), x=np.zeros((2, 4)))
    assert {e.name for e in report.entries if "not put to the test" in e.note} == {"input", "0.W", "0.b"}


def test_no_check_of_ours_tests_nothing():
    reports = checks.check_all()
    assert len(reports) >= len(nn.ACTIVATIONS) + 23  # other layers, compositions, likelihoods, posterior, objective, models
    for report in reports.values():
        assert report.entries, report
        for entry in report.entries:
            assert (entry.verdict == "state") == bool(entry.note), report
            assert entry.verdict == "state" or entry.checked > 0, report


def test_checking_leaves_the_module_alone():
    model = VAE(6, (5,), 2)
    values = model.buffer.values.copy()
    model.buffer.grads.fill(3)
    gradcheck(model, method="both")
    assert np.array_equal(model.buffer.values, values)
    assert (model.buffer.grads == 3).all()
    assert model.dtype == np.float32
    assert "x" not in vars(model.encoder.layers[0])


def test_a_part_of_a_model_is_checked_at_the_models_own_values():
    model = VAE(6, (5,), 2, seed=4)
    report = gradcheck(model.decoder, x=np.ones((2, 2)))
    assert report.ok
    assert [e.name for e in report.entries] == ["input", "0.W", "0.b", "2.W", "2.b"]
    doubled = VAE(6, (5,), 2, seed=4)
    doubled.buffer.values *= 2
    assert gradcheck(doubled.decoder, x=np.ones((2, 2))).entries[1].numeric != report.entries[1].numeric


def test_given_inputs_and_noise_are_used():
    x, eps, model = np.full((2, 6), 0.2), np.ones((2, 2)), VAE(6, (5,), 2, activation="tanh")
    one, other = gradcheck(model, x=x, eps=eps), gradcheck(model, x=x, eps=3 * eps)
    assert one.ok
    assert other.ok
    assert one.rows == 2
    assert str(one) != str(other)
    assert gradcheck(Autoencoder(6, (5,), 2), x=x[0]).ok  # a single image is one row


# Planted bugs: the gradient check catches what is inconsistent ------------------------------------------------------------


class WrongSign(nn.Tanh):
    def backward(self, dY):
        return -super().backward(dY)


class WrongPoint(nn.Sigmoid):
    """The derivative taken as x (1 − x) instead of y (1 − y): the classic of hand-written sigmoids."""

    reads = "xy"

    def backward(self, dY):
        return dY * self.x * (1 - self.x)


class TransposedWeight(nn.Dense):
    def backward(self, dY):
        super().backward(dY)
        self.W.grad[...] = self.W.grad.copy().T
        return dY @ self.W.value.T


class MeanBias(nn.Dense):
    """db averaged over the rows, where dW is summed."""

    def backward(self, dY):
        dX = super().backward(dY)
        self.b.grad[...] /= len(dY)
        return dX


class ForgottenTransposition(nn.Dense):
    def backward(self, dY):
        super().backward(dY)
        return dY @ self.W.value


@pytest.mark.parametrize("method", ["complex", "difference"])
@pytest.mark.parametrize(
    ("module", "guilty"),
    [
        (WrongSign(), {"input"}),
        (WrongPoint(), {"input"}),
        (TransposedWeight(4, 4), {"W"}),
        (MeanBias(4, 3), {"b"}),
        (ForgottenTransposition(4, 4), {"input"}),
        (nn.Sequential(nn.Dense(5, 4), WrongSign(), nn.Dense(4, 2)), {"input", "0.W", "0.b"}),
    ],
    ids=lambda m: type(m).__name__ if isinstance(m, nn.Module) else "",
)
def test_a_wrong_backward_fails_at_the_tensor_that_is_wrong(module, guilty, method):
    report = gradcheck(module, method=method)
    assert not report.ok
    assert {e.name for e in report.entries if e.verdict == "FAIL"} == guilty


def test_an_error_of_one_part_in_a_billion_is_caught_by_complex_steps_alone():
    class Almost(nn.Tanh):
        def backward(self, dY):
            return (1 + 1e-9) * super().backward(dY)

    assert not gradcheck(Almost()).ok
    assert gradcheck(Almost(), method="difference").ok


@pytest.mark.parametrize("method", ["complex", "difference"])
def test_one_wrong_entry_among_many_is_caught_by_the_random_direction(method):
    class OneOff(nn.Dense):
        def backward(self, dY):
            dX = super().backward(dY)
            self.W.grad[17, 3] += 0.5
            return dX

    report = gradcheck(OneOff(40, 30), sample=1, method=method)
    entry = next(e for e in report.entries if e.name == "W")
    assert entry.error < 1e-8  # the one entry drawn is right
    assert entry.verdict == "FAIL"


def patch_kl(monkeypatch, wrong):
    monkeypatch.setattr(gaussian, "gaussian_kl_backward", wrong)


def test_a_kl_gradient_without_its_half_is_caught(monkeypatch):
    def wrong(dkl, mu, logvar, dmu, dlogvar):
        np.multiply(mu, dkl[:, None], out=dmu)
        np.multiply(np.exp(logvar) - 1, dkl[:, None], out=dlogvar)

    patch_kl(monkeypatch, wrong)
    assert not gradcheck(VAE(6, (5,), 2)).ok


def test_a_kl_gradient_of_the_wrong_sign_is_caught(monkeypatch):
    right = ops.gaussian_kl_backward
    patch_kl(monkeypatch, lambda dkl, *rest: right(-dkl, *rest))
    assert not gradcheck(VAE(6, (5,), 2)).ok


def test_a_model_that_forgets_a_rows_number_or_a_term_and_an_objective_that_forgets_a_weight_are_caught():
    class NoRows(VAE):
        def backward(self, dreconstruction, dkl):
            super().backward(np.full_like(dreconstruction, dreconstruction.mean()), dkl)

    class NoKL(VAE):
        def backward(self, dreconstruction, dkl):
            super().backward(dreconstruction, dreconstruction)

    class NoBeta(Weighted):
        def backward(self, dL):
            return dL, dL

    assert not gradcheck(NoRows(6, (5,), 2)).ok
    assert not gradcheck(NoKL(6, (5,), 2)).ok
    report = gradcheck(NoBeta(reconstruction=1.0, kl=4.0), np.ones(3), np.ones(3))
    assert [e.name for e in report.entries if e.verdict == "FAIL"] == ["input 2"]


def test_a_logvar_clamped_in_forward_and_not_in_backward_is_caught():
    """Trap 7: sampling sees the clamped value and the gradient does not."""

    class Clamped(Posterior):
        def forward(self, code, eps):
            code = code.copy()
            half = code[:, code.shape[1] // 2 :]
            half[half.real > 0] = 0
            return super().forward(code, eps)

    code = np.array([[0.3, -0.2, 0.7, -1.0]])
    report = gradcheck(Clamped(), code, np.ones((1, 2)))
    assert not report.ok
    assert report.entries[0].index == (0, 2)


# Broken rules are entries of the report, not exceptions -------------------------------------------------------------------


def dense_with(forward=None, backward=None):
    class Broken(nn.Dense):
        pass

    if forward:
        Broken.forward = lambda self, x: forward(self, x, nn.Dense.forward)
    if backward:
        Broken.backward = lambda self, dY: backward(self, dY, nn.Dense.backward)
    return Broken(4, 3)


def wrong_shape(self, dY, right):
    return right(self, dY).T


def returns_none(self, dY, right):
    right(self, dY)


def bias_not_written(self, dY, right):
    kept = self.b.grad.copy()
    dX = right(self, dY)
    self.b.grad[...] = kept
    return dX


def bias_added_to(self, dY, right):
    kept = self.b.grad.copy()
    dX = right(self, dY)
    self.b.grad[...] += kept
    return dX


def bias_rebound(self, dY, right):
    kept, dX = self.b.grad.copy(), right(self, dY)
    self.b.grad[...] = kept
    self.b.grad = dY.sum(axis=0)
    return dX


def bias_written_in_part(self, dY, right):
    dX = right(self, dY)
    self.b.grad[1] = np.nan
    return dX


def raises(self, dY, right):
    raise ValueError("shapes (3,4) and (3,4) not aligned")


def changes_dY(self, dY, right):
    dX = right(self, dY).copy()
    dY *= 2
    return dX


@pytest.mark.parametrize(
    ("backward", "guilty", "said"),
    [
        (wrong_shape, "input", r"dX of shape (4, 3) for an x of shape (3, 4)"),
        (returns_none, "input", "returned None for dX"),
        (bias_not_written, "b", "did not write this gradient, or added to it"),
        (bias_added_to, "b", "did not write this gradient, or added to it"),
        (bias_rebound, "b", "bound .grad to a new array"),
        (bias_written_in_part, "b", ""),
        (raises, "backward", "raised ValueError: shapes (3,4) and (3,4) not aligned"),
        (changes_dY, "dY", "was modified in place"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_a_broken_rule_is_reported_at_its_place(backward, guilty, said):
    report = gradcheck(dense_with(backward=backward))
    failed = [e for e in report.entries if e.verdict == "FAIL"]
    assert [e.name for e in failed] == [guilty]
    assert said in failed[0].note
    assert said in str(report)
    assert math.isinf(report.worst)
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_input_modified_in_place_is_reported():
    def forward(self, x, right):
        y = right(self, x)
        x *= 0.5
        return y

    report = gradcheck(dense_with(forward))
    assert any(e.name == "input" and "was modified in place" in e.note for e in report.entries)


@pytest.mark.parametrize("kind", ["array", "tuple"])
def test_noise_drawn_inside_forward_is_reported(kind):
    """Trap 2: a second draw of ε makes z and its gradient speak of different noise."""
    random = np.random.default_rng(0)

    class Noisy(nn.Module):
        def forward(self, x):
            y = x + random.normal(size=x.shape)
            return y if kind == "array" else (y, y.sum(axis=1))

        def backward(self, dY, *more):
            return dY * np.ones((3, 5))

    report = gradcheck(Noisy())
    assert "two different outputs for one input" in str(report)
    assert not report.ok


# Inputs and outputs of any number, shape and kind -----------------------------------------------------------------------


class Mixer(nn.Module):
    """y = t W[k] · x, and a second output Σ x: images, a number for each row, and whole numbers → two outputs."""

    input_gradient = True, True, False

    def __init__(self):
        self.W = nn.Parameter((4, 2), init.glorot)

    def example(self, rows, seed):
        random = np.random.default_rng(seed)
        return random.normal(size=(rows, 3, 5, 2)), random.normal(size=rows), random.integers(0, 4, rows)

    def forward(self, x, t, k):
        self.x, self.t, self.k, self.w = x, t[:, None, None, None], k, self.W.value[k][:, None, None, :]
        return self.t * self.w * x, x.sum(axis=(1, 2, 3))

    def backward(self, dY, ds):
        self.W.grad[...] = 0
        np.add.at(self.W.grad, self.k, (dY * self.t * self.x).sum(axis=(1, 2)))
        return dY * self.t * self.w + ds[:, None, None, None], (dY * self.w * self.x).sum(axis=(1, 2, 3)), None


@pytest.mark.parametrize("method", ["complex", "difference"])
def test_several_inputs_and_outputs_of_any_shape_and_kind_are_checked_on_what_the_module_says_it_takes(method):
    report = gradcheck(Mixer(), method=method)
    assert report.ok, report
    assert [(e.name, e.shape) for e in report.entries] == [("input 1", (3, 3, 5, 2)), ("input 2", (3,)), ("W", (4, 2))]


def mixer_with(backward):
    class Broken(Mixer):
        pass

    Broken.backward = lambda self, dY, ds: backward(self, dY, ds, Mixer.backward)
    return Broken()


def in_place(self, dY, ds, right):
    found = right(self, dY, ds)
    self.t += 1
    return found


def gradient_in_place(self, dY, ds, right):
    found = right(self, dY, ds)
    ds += 1
    return found


@pytest.mark.parametrize(
    ("backward", "guilty", "said"),
    [
        (lambda self, dY, ds, right: right(self, dY, 0 * ds), "input 1", ""),
        (lambda self, dY, ds, right: (right(self, dY, ds)[0], None, None), "input 2", "input_gradient = (True, False, True)"),
        (lambda self, dY, ds, right: (*right(self, dY, ds), None), "backward", "returned 4 gradients for 3 inputs"),
        (lambda self, dY, ds, right: (right(self, dY, ds)[0], ds[:, None], None), "input 2", "dX 2 of shape (3, 1)"),
        (in_place, "input 2", "was modified in place"),
        (gradient_in_place, "dY of output 2", "was modified in place"),
    ],
    ids=["second output forgotten", "None", "one too many", "shape", "second input changed", "second gradient changed"],
)
def test_the_tensor_among_several_that_is_wrong_is_named(backward, guilty, said):
    module = mixer_with(backward)
    if "input_gradient" in said:
        module.input_gradient = None
    failed = [e for e in gradcheck(module).entries if e.verdict == "FAIL"]
    assert [e.name for e in failed] == [guilty]
    assert said in failed[0].note


def test_a_module_is_checked_in_both_modes_where_they_differ_and_its_state_is_not_compared():
    class Wrong(nn.Dropout):
        def backward(self, dY):
            return dY

    names = lambda report: {e.name: e.verdict for e in report.entries}
    assert names(gradcheck(Wrong(0.4))) == {"input": "ok", "input, training": "FAIL"}
    assert names(gradcheck(Wrong(0.4), training=False)) == {"input": "ok"}
    found = names(gradcheck(nn.BatchNorm(5)))
    assert {name for name, verdict in found.items() if verdict == "state"} == {
        f"running_{what}{mode}" for what in ("mean", "variance") for mode in ("", ", training")
    }
    assert "FAIL" not in found.values()


def test_a_parameter_in_two_places_is_refused():
    one, other = nn.Dense(5, 5), nn.Dense(5, 5)
    other.W = one.W
    with pytest.raises(ShapeError, match="stands in two places"):
        gradcheck(nn.Sequential(one, other))


# Kinks ----------------------------------------------------------------------------------------------------------------


def test_complex_steps_pass_through_relu_also_on_its_kink():
    assert gradcheck(nn.ReLU(), x=[[-1.0, 0.0, 1.0]]).ok


def test_a_kink_on_the_point_is_counted_by_differences_and_is_no_failure():
    report = gradcheck(nn.ReLU(), x=[[-1.0, 0.0, 1.0]], method="difference")
    assert report.ok
    assert report.entries[0].kinks == 1
    assert "3, 1 kinks" in str(report)


def test_a_kink_beside_the_point_is_stepped_inside_of():
    """2e-6 lies within the step of 6e-6 and outside a tenth of it: the derivative can be measured after all."""
    report = gradcheck(nn.ReLU(), x=[[-2e-6, 2e-6, 1.0]], method="difference")
    assert report.ok
    assert report.entries[0].kinks == 0


def test_a_wrong_slope_is_not_excused_by_curvature():
    """e^40x: the one-sided slopes differ by far more than the tolerance, and it is no kink."""

    class Exp(nn.Module):
        def forward(self, x):
            self.y = np.exp(40 * x)
            return self.y

        def backward(self, dY):
            return 40.01 * dY * self.y

    report = gradcheck(Exp(), x=[[0.1, 0.2]], method="difference")
    assert not report.ok
    assert report.entries[0].kinks == 0


# Modules of a user's own ----------------------------------------------------------------------------------------------

OWN = '''
import numpy as np
from scratchvae import nn
from scratchvae.nn import init


class Gate(nn.Module):
    """y = sigmoid(x U) * (x V): two products that share an input."""

    def __init__(self, inputs, outputs):
        self.inputs = inputs
        self.u, self.v = nn.Dense(inputs, outputs), nn.Dense(inputs, outputs)
        self.gain = nn.Parameter((outputs,), init.constant(1.5))

    def forward(self, x):
        self.s = 1 / (1 + np.exp(-self.u.forward(x)))
        self.a = self.v.forward(x)
        return self.gain.value * self.s * self.a

    def backward(self, dY):
        self.gain.grad[...] = (dY * self.s * self.a).sum(axis=0)
        dY = dY * self.gain.value
        return self.u.backward(dY * self.a * self.s * (1 - self.s)) + self.v.backward(dY * self.s)
'''


def load_own(folder, text):
    path = folder / "own.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("own", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_users_own_module_in_a_file_is_checked_with_nothing_registered(tmp_path):
    report = gradcheck(load_own(tmp_path, OWN).Gate(6, 4), method="both")
    assert report.ok, report
    assert {e.name for e in report.entries} == {"input", "gain", "u.W", "u.b", "v.W", "v.b"}
    assert report.name == "Gate"


def test_a_users_own_mistake_is_found(tmp_path):
    wrong = OWN.replace("self.s * (1 - self.s)", "self.s")
    report = gradcheck(load_own(tmp_path, wrong).Gate(6, 4))
    assert {e.name for e in report.entries if e.verdict == "FAIL"} == {"input", "u.W", "u.b"}


def test_a_users_own_loss_is_checked():
    class Bilinear(nn.Module):
        def __init__(self):
            self.inputs, self.M = 3, nn.Parameter((3, 3), init.glorot)

        def forward(self, x):
            self.x = x
            return (((x @ self.M.value) * x).sum(axis=1),)

        def backward(self, dform):
            weighted = self.x * dform[:, None]
            self.M.grad[...] = weighted.T @ self.x
            return weighted @ (self.M.value + self.M.value.T)

    assert gradcheck(Bilinear()).ok


def scaled(forward):
    """A module whose derivative is known and whose forward is bad for complex numbers."""

    class Own(nn.Module):
        def forward(self, x):
            self.x = x
            return forward(x)

        def backward(self, dY):
            return dY * np.sign(self.x)

    return Own


def into_float_buffer(x):
    out = np.empty(x.shape)
    out[...] = x * np.sign(x.real)
    return out


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: np.abs(x),  # a complex modulus: real
        lambda x: np.abs(x).astype(x.dtype),  # complex again, with the imaginary part lost
        lambda x: np.hypot(x, 0),  # takes no complex argument
        into_float_buffer,
    ],
    ids=["real result", "imaginary part lost", "TypeError", "float buffer"],
)
def test_a_module_that_cannot_take_complex_numbers_is_named_with_the_way_out(forward):
    own = scaled(forward)
    with pytest.raises(ConfigError, match=r'Own cannot be checked by complex steps .*method="difference"'):
        gradcheck(own())
    assert gradcheck(own(), method="difference").ok


@pytest.mark.parametrize("forward", [lambda x: np.hypot(x, 0), into_float_buffer], ids=["TypeError", "float buffer"])
def test_the_inner_module_that_cannot_is_the_one_that_is_named(forward):
    with pytest.raises(ConfigError, match="^Own cannot"):
        gradcheck(nn.Sequential(nn.Dense(4, 3), scaled(forward)(), nn.Dense(3, 2)))


def test_a_wrong_backward_beside_a_lost_imaginary_part_is_still_a_failure():
    """Neither the step nor a difference agrees with it."""

    class Both(scaled(lambda x: np.abs(x).astype(x.dtype))):
        def backward(self, dY):
            return 3 * super().backward(dY)

    assert not gradcheck(Both()).ok


def test_a_bias_that_a_later_layer_cancels_is_no_failure():
    """Its gradient is 0 but for rounding: measured against the other tensors, not against itself."""

    class Centre(nn.Module):
        def forward(self, x):
            return x - x.mean(axis=0)

        def backward(self, dY):
            return dY - dY.mean(axis=0)

    assert gradcheck(nn.Sequential(nn.Dense(5, 4), Centre(), nn.Tanh())).ok


@pytest.mark.parametrize("seed", range(4))
def test_a_bias_before_batch_norm_in_a_large_sum_is_no_failure_and_a_wrong_one_is(seed):
    """What is left of its gradient is the rounding of 512 large terms, by any method; a millionth of them is more."""

    class OffByLittle(nn.Conv2D):
        def backward(self, dY):
            dX = super().backward(dY)
            self.b.grad[0] += 1e-6 * np.abs(dY).sum()
            return dX

    images = np.random.default_rng(seed).normal(size=(2, 16, 16, 1))
    chain = lambda first: nn.Sequential(first(1, 3, 3, pad=1), nn.BatchNorm(3), nn.Tanh(), nn.Conv2D(3, 1, 16)).initialise(seed)
    assert gradcheck(chain(nn.Conv2D), images, training=True).ok
    wrong = gradcheck(chain(OffByLittle), images, training=True)
    assert [entry.name for entry in wrong.entries if entry.verdict == "FAIL"] == ["0.b"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gradcheck(nn.ReLU(), method="magic"), "method must be one of complex, difference, both, not 'magic'"),
        (lambda: gradcheck(nn.ReLU(), rows=0), "at least 1"),
        (lambda: gradcheck(nn.ReLU(), sample=0), "at least 1"),
        (lambda: gradcheck(nn.ReLU(), x=np.empty((0, 3))), "x is empty"),
        (lambda: gradcheck(nn.Dense(4, 3), columns=7), r"made-up input of shape \(3, 7\): pass its inputs, or columns="),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(call, said):
    with pytest.raises(ConfigError, match=said):
        call()


def test_an_error_of_forward_on_a_given_input_passes_through():
    class Own(nn.Module):
        def forward(self, x):
            return x @ np.ones((2, 2))

    with pytest.raises(ValueError, match="matmul"):
        gradcheck(Own(), x=np.ones((1, 3)))


# Measures and reports -------------------------------------------------------------------------------------------------


def test_the_error_is_relative_to_the_tensors_largest_gradient():
    a, n = np.array([1.0, 1e-9, 0.0, np.nan, 1.0, np.inf]), np.array([1.5, 2e-9, 0.0, 1.0, np.inf, np.inf])
    np.testing.assert_allclose(relative_error(a, n, 1.0), [0.5 / 1.5, 1e-9, 0, np.inf, np.inf, np.inf])
    assert relative_error(np.zeros(1), np.zeros(1), 0.0) == 0


def test_central_differences_err_with_the_square_of_the_step():
    theta = np.array([0.7])
    f = lambda: np.sin(theta)
    errors = [abs(central_differences(f, theta, [0], h)[0][0] - np.cos(0.7)) for h in (1e-2, 1e-3)]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.01)
    assert theta[0] == 0.7


def test_complex_steps_need_no_small_difference():
    """cos(0.7) to the last digit, where no real step gets more than eleven."""
    theta = np.array([0.7 + 0j])
    assert checks.complex_step(lambda: np.sin(theta), theta, [0])[0] == pytest.approx(np.cos(0.7), rel=4e-16)


def test_a_report_becomes_json_and_a_table():
    report = gradcheck(nn.Dense(4, 3), seed=7, name="my layer")
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["ok"] is True
    assert told["name"] == "my layer"
    assert told["seed"] == 7
    assert told["tolerances"] == {"complex": 1e-12}
    entry = told["entries"][1]
    assert (entry["name"], entry["shape"], entry["checked"], entry["verdict"]) == ("W", [4, 3], 12, "ok")
    lines = str(report).splitlines()
    assert lines[0] == "my layer: ok (tolerance complex 1e-12; 3 rows, seed 7)"
    assert lines[1].split()[:3] == ["tensor", "shape", "method"]
    assert len(lines) == 5
    assert not checks.Report("nothing was checked", "complex", {}, 0, 3).ok


# Distributions: what a gradient check cannot see ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_distributions_pass(seed):
    for moment in checks.check_moments(seed):
        assert moment.ok, str(moment)


def wrong_std(mu, logvar, eps, z, std):
    np.exp(logvar, out=std)
    np.multiply(std, eps, out=z)
    z += mu
    return z


def wrong_std_backward(dz, eps, std, dmu, dlogvar):
    dmu[...] = dz
    dlogvar[...] = dz * eps * std


def test_sampling_with_exp_logvar_passes_the_gradient_check_and_fails_the_distribution_tests(monkeypatch):
    """Trap 1, as published: forward and backward agree with each other, and both are wrong."""
    assert not checks.sampled_variance_is_declared(reparameterise=wrong_std).ok
    assert not checks.kl_equals_monte_carlo(reparameterise=wrong_std).ok
    monkeypatch.setattr(gaussian, "reparameterise", wrong_std)
    monkeypatch.setattr(gaussian, "reparameterise_backward", wrong_std_backward)
    assert gradcheck(VAE(6, (5,), 2)).ok


def test_a_kl_without_its_half_or_of_the_wrong_sign_fails_against_monte_carlo():
    assert not checks.kl_equals_monte_carlo(kl=lambda *a: 2 * ops.gaussian_kl(*a)).ok
    assert not checks.kl_equals_monte_carlo(kl=lambda *a: -ops.gaussian_kl(*a)).ok


def test_pixels_drawn_with_softplus_fail():
    """Trap 9."""
    wrong = lambda a, out: np.log1p(np.exp(a))
    assert not checks.bernoulli_pixels_have_their_mean(probability=wrong).ok


def test_a_gaussian_likelihood_that_is_no_density_fails():
    """Without ½ log 2π it is off by 0.92 nats per pixel."""
    wrong = lambda *a: ops.gaussian_nll(*a) - 0.5 * np.log(2 * np.pi)
    assert not checks.gaussian_nll_averages_to_the_entropy(nll=wrong).ok


def test_the_standard_error_shrinks_with_the_root_of_the_draws():
    few, many = (checks.kl_equals_monte_carlo(draws=n).standard_error for n in (2_000, 50_000))
    assert few / many == pytest.approx(5, rel=0.1)


def test_a_pixel_is_drawn_only_where_its_mean_has_a_standard_error_to_speak_of():
    moment = checks.bernoulli_pixels_have_their_mean(2.0, draws=1000)
    p = 1 / (1 + np.exp(-2.0))
    assert moment.standard_error == pytest.approx(np.sqrt(p * (1 - p) / 1000))
    for logit in (-30.0, 30.0):
        with pytest.raises(ConfigError, match="logit must be a finite number above -30 and below 30"):
            checks.bernoulli_pixels_have_their_mean(logit)


def test_a_moment_tells_its_numbers():
    moment = checks.Moment("variance", 1.1, 1.0, 0.02, 500, "nats")
    assert moment.z_score == pytest.approx(5)
    assert not moment.ok
    assert str(moment) == "variance: FAIL (1.1 ± 0.02 nats, declared 1, z = +5.00, 500 draws)"
    assert json.loads(json.dumps(moment.to_dict()))["ok"] is False
    assert checks.Moment("mean", 0.01, 0.0, 0.01, 500).ok


def test_what_fails_only_while_it_trains_is_not_passed_by():
    class Fails(nn.Tanh):
        def forward(self, x):
            if self.training:
                raise ValueError("no such mode")
            return super().forward(x)

    with pytest.raises((ConfigError, ValueError), match="no such mode"):
        gradcheck(Fails(), columns=3)
