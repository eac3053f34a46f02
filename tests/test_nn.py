"""Claims about modules, parameters, layers and their initial values."""

import numpy as np
import pytest

from scratchvae import nn
from scratchvae.errors import ConfigError, ShapeError
from scratchvae.nn import init

INPUTS, OUTPUTS = 300, 200


def network(seed=0, dtype=np.float32):
    return nn.Sequential(nn.Dense(5, 4), nn.Tanh(), nn.Dense(4, 3)).initialise(seed, dtype)


class Scale(nn.Module):
    """A module of a user's own: y = s x, with one learned s per column."""

    def __init__(self, width):
        self.s = nn.Parameter((width,), init.constant(2))

    def forward(self, x):
        self.x = x
        return x * self.s.value

    def backward(self, dY):
        self.s.grad[...] = (dY * self.x).sum(axis=0)
        return dY * self.s.value


# Initial values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variance", "bound", "fourth"),
    [  # fourth: E w⁴ / Var², from which comes the standard error of the sampled variance
        ("glorot", 2 / (INPUTS + OUTPUTS), np.sqrt(6 / (INPUTS + OUTPUTS)), 1.8),
        ("he", 2 / INPUTS, np.inf, 3),
        ("lecun", 1 / INPUTS, np.inf, 3),
    ],
)
def test_initial_weights_have_the_declared_variance_and_bound(name, variance, bound, fourth):
    W = init.INITS[name]((INPUTS, OUTPUTS), 3, 0)
    assert W.shape == (INPUTS, OUTPUTS)
    assert abs(W.mean()) < 4.5 * np.sqrt(variance / W.size)
    assert abs(W.var() / variance - 1) < 4.5 * np.sqrt((fourth - 1) / W.size)
    assert np.abs(W).max() <= bound
    if np.isfinite(bound):
        assert np.abs(W).max() > 0.999 * bound


@pytest.mark.parametrize("name", init.INITS)
def test_first_values_depend_on_the_seed_and_on_the_place_in_the_model(name):
    draws = [init.INITS[name]((4, 3), seed, index) for seed, index in ((0, 0), (1, 0), (0, 1))]
    assert np.array_equal(draws[0], init.INITS[name]((4, 3), 0, 0))
    assert all(np.abs(a - b).min() > 0 for a, b in ((draws[0], draws[1]), (draws[0], draws[2]), (draws[1], draws[2])))


def test_he_keeps_the_mean_square_of_relu_layers():
    """What it is for: after ten layers the mean square is near 1, where an initialisation of half the variance leaves 2⁻¹⁰."""
    layers = [layer for _ in range(10) for layer in (nn.Dense(256, 256, init.he), nn.ReLU())]
    net = nn.Sequential(*layers).initialise(0, np.float64)
    y = net.forward(np.random.default_rng(0).normal(size=(50, 256)))
    assert 0.25 < np.mean(y**2) < 4  # E relu(a)² = E a² / 2, and He doubles it back; each layer strays by about 0.14


def test_zeros_and_constant_fill():
    assert not init.zeros((3,), 0, 0).any()
    assert init.constant(1.5)((2, 2), 0, 0).tolist() == [[1.5, 1.5], [1.5, 1.5]]


def test_the_same_seed_gives_the_same_values_and_another_seed_others():
    a, b, c = network(1), network(1), network(2)
    assert np.array_equal(a.buffer.values, b.buffer.values)
    assert not np.array_equal(a.buffer.values, c.buffer.values)
    assert np.array_equal(network(1, np.float64).buffer.values.astype(np.float32), a.buffer.values)


def test_two_layers_of_one_shape_start_with_different_weights():
    net = nn.Sequential(nn.Dense(4, 4), nn.Dense(4, 4)).initialise(0)
    assert not np.array_equal(net.layers[0].W.value, net.layers[1].W.value)
    assert not net.layers[0].b.value.any()


# Parameters and their buffer ------------------------------------------------------------------------------------------


def test_parameters_are_views_of_the_flat_buffers_in_order():
    net = network()
    buffer = net.buffer
    assert buffer.names == ["0.W", "0.b", "2.W", "2.b"]
    assert buffer.values.shape == buffer.grads.shape == (5 * 4 + 4 + 4 * 3 + 3,)
    buffer.values[:] = np.arange(buffer.values.size)
    buffer.grads[:] = -buffer.values
    flat = np.concatenate([p.value.ravel() for _, p in net.parameters()])
    assert np.array_equal(flat, np.arange(flat.size))
    for name, p in net.parameters():
        assert np.shares_memory(p.value, buffer.values)
        assert np.shares_memory(p.grad, buffer.grads)
        assert np.array_equal(buffer.view(name), p.value)
        assert np.array_equal(buffer.view(name, buffer.grads), p.grad)


def test_backward_writes_the_flat_gradient():
    net = network()
    net.buffer.grads.fill(np.nan)
    net.forward(np.ones((2, 5), np.float32))
    net.backward(np.ones((2, 3), np.float32))
    assert np.isfinite(net.buffer.grads).all()


def test_a_buffer_of_another_size_is_refused():
    p = nn.Parameter((3,), init.zeros)
    with pytest.raises(ShapeError, match="3 parameters do not fill a buffer of 4"):
        nn.ParameterBuffer([("p", p)], np.zeros(4))


def test_a_parameter_in_two_places_is_refused():
    layer = nn.Dense(3, 3)
    with pytest.raises(ShapeError, match="two places"):
        nn.Sequential(layer, nn.Tanh(), layer).initialise()
    tied = nn.Sequential(nn.Dense(3, 3), nn.Dense(3, 3))
    tied.layers[1].W = tied.layers[0].W
    with pytest.raises(ShapeError, match="two places"):
        tied.parameters()


def test_parameters_are_named_by_attribute_and_place():
    class Branches(nn.Module):
        def __init__(self):
            self.left, self.branches = nn.Dense(2, 2), (nn.Dense(2, 2), Scale(2))
            self.bias = nn.Parameter((2,), init.zeros)
            self.note = "not a module"

    names = [name for name, _ in Branches().parameters()]
    assert names == ["bias", "left.W", "left.b", "branches.0.W", "branches.0.b", "branches.1.s"]
    assert [path for path, _ in Branches().modules()] == ["", "left", "branches.0", "branches.1"]


# Replicas -------------------------------------------------------------------------------------------------------------


def test_a_replica_shares_values_and_owns_gradients_and_caches():
    net = network()
    x = np.ones((2, 5), np.float32)
    y = net.forward(x)
    twin = net.replica()
    assert twin.buffer.values is net.buffer.values
    assert not np.shares_memory(twin.buffer.grads, net.buffer.grads)
    before = y.copy()
    other = twin.forward(3 * x)
    assert np.array_equal(y, before)
    assert not np.shares_memory(y, other)
    net.buffer.values *= 2  # an update is seen by both
    assert np.array_equal(twin.layers[0].W.value, net.layers[0].W.value)
    net.backward(np.ones((2, 3), np.float32))
    assert not twin.buffer.grads.any()


def test_a_replica_in_another_dtype_owns_a_copy():
    net = network()
    twin = net.replica(np.float64)
    assert twin.buffer.values.dtype == np.float64
    assert np.array_equal(twin.buffer.values, net.buffer.values)
    twin.buffer.values += 1
    assert not np.array_equal(twin.buffer.values, net.buffer.values)


def test_replicas_of_replicas_work_and_keep_what_is_not_an_array():
    net = nn.Sequential(nn.Dense(5, 4, input_gradient=False), Scale(4)).initialise(0)
    net.sigma = None
    twin = net.replica().replica(np.float64).replica()
    assert twin.sigma is None
    assert twin.layers[0].input_gradient is False
    assert twin.forward(np.ones((1, 5))).dtype == np.float64


def test_a_module_that_is_not_initialised_says_so():
    layer = nn.Dense(2, 2)
    with pytest.raises(ShapeError, match="not initialised"):
        layer.replica()
    with pytest.raises(ShapeError, match="not initialised"):
        layer.forward(np.ones((1, 2)))


# Layers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 4])
def test_sequential_composes_forward_and_backward(rows):
    net = network(dtype=np.float64)
    x, dY = np.random.default_rng(0).normal(size=(rows, 5)), np.random.default_rng(1).normal(size=(rows, 3))
    (W0, b0, W1, b1) = (p.value for _, p in net.parameters())
    hidden = np.tanh(x @ W0 + b0)
    np.testing.assert_allclose(net.forward(x), hidden @ W1 + b1, rtol=1e-13)
    dhidden = dY @ W1.T * (1 - hidden**2)
    np.testing.assert_allclose(net.backward(dY), dhidden @ W0.T, rtol=1e-12)
    expected = [x.T @ dhidden, dhidden.sum(0), hidden.T @ dY, dY.sum(0)]
    np.testing.assert_allclose(net.buffer.grads, np.concatenate([e.ravel() for e in expected]), rtol=1e-12)


def test_a_first_layer_may_skip_its_input_gradient():
    full, first = nn.Dense(3, 2).initialise(0), nn.Dense(3, 2, input_gradient=False).initialise(0)
    for layer in (full, first):
        layer.forward(np.ones((4, 3), np.float32))
    assert first.backward(np.ones((4, 2), np.float32)) is None
    full.backward(np.ones((4, 2), np.float32))
    assert np.array_equal(full.buffer.grads, first.buffer.grads)
    assert full.operations(4) - first.operations(4) == 2 * 4 * 3 * 2


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.ones((2, 4), np.float32), r"takes \(rows, 5\), not \(2, 4\)"),
        (np.ones(5, np.float32), r"takes \(rows, 5\), not \(5,\)"),
        (np.ones((2, 5)), "holds float32 and was given float64"),
    ],
)
def test_an_input_of_the_wrong_width_or_dtype_is_refused(x, said):
    with pytest.raises(ShapeError, match=said):
        network().forward(x)


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0), (-1, 2)])
def test_a_dense_layer_without_inputs_or_outputs_is_refused(sizes):
    with pytest.raises(ConfigError, match="at least 1"):
        nn.Dense(*sizes)


def test_a_module_without_forward_or_backward_says_which():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Nothing has no forward"):
        Nothing().forward(0)
    with pytest.raises(NotImplementedError, match="Nothing has no backward"):
        Nothing().backward(0)


def test_at_the_prompt_nothing_is_overwritten_behind_a_callers_back():
    net = network()
    one = net.forward(np.ones((2, 5), np.float32))
    kept = one.copy()
    net.forward(np.zeros((2, 5), np.float32))
    assert np.array_equal(one, kept)


def test_a_mode_is_said_once_for_the_whole_tree():
    net = nn.Sequential(nn.Sequential(nn.Tanh()), nn.Tanh())
    assert all(module.training for _, module in net.train().modules())
    assert not any(module.training for _, module in net.train(False).modules())


# Summary --------------------------------------------------------------------------------------------------------------


def test_the_summary_lists_shapes_parameters_and_operations():
    table = nn.Sequential(nn.Dense(784, 400), nn.ReLU(), nn.Dense(400, 20)).initialise(0).summary(784, rows=128)
    lines = [line.split() for line in table.splitlines()]
    assert ["0", "Dense", "(B,", "400)", "314,000", f"{128 * (6 * 784 * 400 + 2 * 400):,}"] in lines
    assert ["1", "ReLU", "(B,", "400)"] in lines
    assert ["2", "Dense", "(B,", "20)", "8,020", f"{128 * (6 * 400 * 20 + 2 * 20):,}"] in lines
    total = 128 * (6 * 784 * 400 + 2 * 400 + 6 * 400 * 20 + 2 * 20)
    assert ["total", "322,020", f"{total:,}"] in lines
    assert "B = 128" in table


def test_a_users_own_module_appears_in_the_summary():
    net = nn.Sequential(nn.Dense(4, 3), Scale(3)).initialise(0)
    assert ["1", "Scale", "(B,", "3)", "3"] in [line.split() for line in net.summary(4).splitlines()]
    assert np.array_equal(net.forward(np.ones((1, 4), np.float32)).shape, (1, 3))  # and the net itself was left alone
    assert ["·", "Scale", "(B,", "4)", "4"] in [line.split() for line in Scale(4).initialise(0).summary(4).splitlines()]


def test_the_summary_lists_layers_as_they_are_called_and_not_as_they_were_made():
    class Backwards(nn.Module):
        def __init__(self):
            self.second, self.first = nn.Dense(3, 2), nn.Dense(4, 3)

        def forward(self, x):
            return self.second.forward(self.first.forward(x))

    rows = [line.split()[0] for line in Backwards().initialise(0).summary(4).splitlines() if "Dense" in line]
    assert rows == ["first", "second"]
