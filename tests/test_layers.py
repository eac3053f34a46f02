"""Layers for images and rows: backward is the derivative of forward, in both modes, and what does not fit is refused by its shapes."""

import numpy as np
import pytest

from scratchvae import nn
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.nn import Part, init

ROWS = 3
RANDOM = np.random.default_rng(0)


def conv(*arguments, **options):
    return nn.Conv2D(2, 3, *arguments, **options)


def transposed(*arguments, **options):
    return nn.ConvTranspose2D(2, 3, *arguments, **options)


IMAGE, ROW = (6, 5, 2), (7,)
LAYERS = {
    "conv": (conv(3), IMAGE),
    "conv, stride and pad": (conv((3, 2), (2, 1), (1, 0)), IMAGE),
    "conv, 1 × 1": (conv(1), IMAGE),
    "transposed": (transposed(3), IMAGE),
    "transposed, stride, pad and more": (transposed(4, 2, 1, 1), IMAGE),
    "max pool": (nn.MaxPool(2), IMAGE),
    "max pool, overlapping": (nn.MaxPool(3, 2), IMAGE),
    "average pool": (nn.AveragePool((2, 3), 1), IMAGE),
    "nearest": (nn.Upsample((2, 3)), IMAGE),
    "bilinear": (nn.Upsample(2, "bilinear"), IMAGE),
    "layer norm": (nn.LayerNorm(7), ROW),
    "layer norm of pixels": (nn.LayerNorm(2), IMAGE),
    "group norm": (nn.GroupNorm(2, 4), (3, 2, 4)),
    "batch norm": (nn.BatchNorm(7), ROW),
    "batch norm of images": (nn.BatchNorm(2), IMAGE),
    "dropout": (nn.Dropout(0.3), IMAGE),
    "residual": (nn.Residual(nn.Dense(7, 7), nn.Tanh()), ROW),
    "skip": (nn.Skip(nn.Conv2D(2, 4, 3, pad=1), nn.GELU()), IMAGE),
    "reshape": (nn.Reshape(5, 12), IMAGE),
    "flatten": (nn.Sequential(nn.Flatten(), nn.Dense(60, 2)), IMAGE),
    "activation of images": (nn.SiLU(), IMAGE),
}


def assert_backward_is_the_slope_of_forward(module, *inputs, training=False, floats=None):
    """Along random directions through every float input and every trained parameter, by a complex step of forward."""
    module = module.initialise(1, np.float64).train(training)
    for _, p in module.parameters():
        p.value[...] += 0.3 * RANDOM.normal(size=p.shape) if p.trained else 0.2 * RANDOM.uniform(size=p.shape)
    y = module.forward(*inputs)
    weights = RANDOM.normal(size=y.shape)
    kept = [np.copy(x) for x in (*inputs, weights)]
    module.buffer.grads.fill(np.nan)
    gradients = module.backward(weights)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert all(np.array_equal(a, b) for a, b in zip(kept, (*inputs, weights), strict=True))
    twin = module.replica(np.complex128).train(training)
    for i, gradient in enumerate(gradients):
        if gradient is not None:
            v = RANDOM.normal(size=inputs[i].shape)
            moved = [x + 1e-30j * v if j == i else x.astype(complex) if x.dtype.kind == "f" else x for j, x in enumerate(inputs)]
            assert np.sum(weights * twin.forward(*moved)).imag / 1e-30 == pytest.approx(np.sum(v * gradient), rel=1e-11, abs=1e-12)
    given = [x.astype(complex) if x.dtype.kind == "f" else x for x in inputs]
    trained = dict(module.parameters())
    for name, part in module.buffer.slices.items():
        if trained[name].trained:
            v, before = RANDOM.normal(size=part.stop - part.start), twin.buffer.values[part].copy()
            twin.buffer.values[part] += 1e-30j * v
            slope = np.sum(weights * twin.forward(*given)).imag / 1e-30
            twin.buffer.values[part] = before
            assert slope == pytest.approx(v @ module.buffer.grads[part], rel=1e-11, abs=1e-12), name


@pytest.mark.parametrize("training", [False, True], ids=["in use", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_backward_is_the_derivative_of_forward_in_both_modes(name, training):
    module, shape = LAYERS[name]
    assert_backward_is_the_slope_of_forward(module, RANDOM.normal(size=(ROWS, *shape)), training=training)


def test_the_derivative_of_two_inputs_side_by_side():
    assert_backward_is_the_slope_of_forward(nn.Concat(), RANDOM.normal(size=(2, 3, 4)), RANDOM.normal(size=(2, 3, 1)))


def test_an_embedding_adds_up_the_gradients_of_a_row_that_was_asked_for_twice():
    assert_backward_is_the_slope_of_forward(nn.Embedding(4, 3), np.array([[2, 0], [2, 2], [1, 0]]))
    table = nn.Embedding(4, 3).initialise(0, np.float64)
    table.forward(np.array([2, 2, 1]))
    table.backward(np.ones((3, 3)))
    assert table.W.grad[:, 0].tolist() == [0, 1, 2, 0]


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution_with_its_kernel():
    down, up = nn.Conv2D(2, 3, 4, 2, 1).initialise(0, np.float64), nn.ConvTranspose2D(3, 2, 4, 2, 1).initialise(1, np.float64)
    up.W.value[...] = down.W.value
    x, y = RANDOM.normal(size=(2, 6, 8, 2)), RANDOM.normal(size=(2, 3, 4, 3))
    assert np.sum(down.forward(x) * y) == pytest.approx(np.sum(x * up.forward(y)), rel=1e-12)


def test_dropout_keeps_the_mean_drops_nothing_in_use_and_is_a_function_of_its_place():
    layer, x = nn.Dropout(0.25), np.ones((400, 50))
    assert layer.forward(x) is x
    y = layer.train().forward(x)
    assert y.mean() == pytest.approx(1, abs=4 * np.sqrt(0.25 / 0.75 / x.size))  # four standard errors
    assert set(np.unique(y)) == {0, 1 / 0.75}
    again = layer.forward(x)
    assert np.array_equal(y, again)
    for part in (Part(step=1), Part(seed=1), Part(place=1), Part(start=1)):
        layer.part = part
        assert not np.array_equal(layer.forward(x), y)
    layer.part = Part(start=100)
    assert np.array_equal(layer.forward(x[:300]), y[100:])  # the same rows of the batch, in another shard


def test_batch_norm_in_use_needs_no_batch_and_while_training_makes_mean_0_and_variance_1():
    layer = nn.BatchNorm(4).initialise(0, np.float64).train()
    x = 3 + 2 * RANDOM.normal(size=(50, 4))
    y = layer.forward(x)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(0), 1, rtol=1e-5)  # ε = 1e-5 beside a variance of 4
    layer.backward(y)
    np.testing.assert_allclose(layer.running_mean.grad, -0.1 * x.mean(0), rtol=1e-12)
    layer.train(False)
    whole = layer.forward(x)
    np.testing.assert_allclose(np.concatenate([layer.forward(x[i : i + 1]) for i in range(50)]), whole, rtol=1e-12)


@pytest.mark.parametrize("how", [init.glorot, init.he])
def test_a_kernel_starts_with_the_variance_that_its_fans_ask_for(how):
    """He: Var y = 2 Var x, through a convolution and, with a stride, through its adjoint, away from the edges."""
    x = np.random.default_rng(1).normal(size=(4, 24, 24, 16))
    for layer in (nn.Conv2D(16, 24, 4, 2, init_W=how), nn.ConvTranspose2D(16, 24, 4, 2, init_W=how)):
        y = layer.initialise(3, np.float64).forward(x)[:, 4:-4, 4:-4]
        fan_in = 16 * 16 if isinstance(layer, nn.Conv2D) else 16 * 4
        expected = fan_in * layer.W.value.var()
        assert y.var() == pytest.approx(expected, rel=0.1)
        if how is init.he:
            assert expected == pytest.approx(2, rel=0.05)


def test_a_dense_layer_and_its_kernel_of_one_pixel_start_with_the_same_numbers():
    assert np.array_equal(init.he((1, 1, 5, 3), 4, 2)[0, 0], init.he((5, 3), 4, 2))


REFUSED = {
    "channels": (conv(3), (2, 6, 6, 3), r"Conv2D takes images \(rows, height, width, 2\), not \(2, 6, 6, 3\)"),
    "channels first": (conv(3), (2, 2, 6, 6), r"not \(2, 2, 6, 6\): channels come last"),
    "rows": (conv(3), (2, 6), r"Conv2D takes images \(rows, height, width, 2\), not \(2, 6\)"),
    "a kernel too large": (conv(5, 1, 1), (2, 2, 6, 2), r"a kernel of \(5, 5\) does not fit in an image of \(2, 6\) padded by \(1, 1\)"),
    "all padding": (transposed(1, 1, 1), (2, 2, 2, 2), r"padding of \(1, 1\) leaves nothing of what an image of \(2, 2\) spreads to"),
    "a window too large": (nn.MaxPool(4), (2, 3, 6, 2), r"a window of \(4, 4\) does not fit in an image of \(3, 6\)"),
    "features": (nn.LayerNorm(4), (2, 3), r"LayerNorm takes \(rows, …, 4\), not \(2, 3\)"),
    "numbers": (nn.Reshape(2, 5), (3, 4, 2), r"Reshape makes rows of \(2, 5\), 10 numbers, and was given \(3, 4, 2\)"),
    "a residual's shape": (nn.Residual(nn.Dense(4, 3)), (2, 4), r"they make \(2, 3\) of \(2, 4\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_both_shapes(case):
    module, shape, told = REFUSED[case]
    with pytest.raises(ShapeError, match=told):
        module.initialise(0, np.float64).forward(np.ones(shape))


def test_other_dtypes_gradients_of_another_shape_and_rows_that_are_not_there_are_refused():
    layer = conv(3).initialise(0)
    with pytest.raises(ShapeError, match="Conv2D holds float32 and was given float64"):
        layer.forward(np.ones((1, 6, 6, 2)))
    with pytest.raises(ShapeError, match="Conv2D takes x as an array"):
        layer.forward(np.ones((1, 6, 6, 2), np.uint8))
    layer.forward(np.ones((1, 6, 6, 2), np.float32))
    with pytest.raises(ShapeError, match=r"takes dY as \(1, 4, 4, 3\) float32, as forward had it, not \(1, 3, 4, 3\) float32"):
        layer.backward(np.ones((1, 3, 4, 3), np.float32))
    with pytest.raises(DataError, match="Embedding has rows 0 to 3, and was asked for 0 to 4"):
        nn.Embedding(4, 2).initialise(0).forward(np.array([0, 4]))
    with pytest.raises(ConfigError, match="6 channels cannot be divided into 4 groups, but into 1, 2, 3, 6"):
        nn.GroupNorm(4, 6)
    with pytest.raises(ConfigError, match=r"more = \(2, 2\) rows and columns must be fewer than the stride \(2, 2\)"):
        transposed(4, 2, 1, 2)


def test_images_that_are_no_contiguous_or_no_writeable_memory_are_read_as_they_are():
    layer = conv(3).initialise(0, np.float64)
    x = RANDOM.normal(size=(2, 8, 6, 2))
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    strided.flags.writeable = False
    assert np.array_equal(layer.forward(strided), layer.forward(x))
