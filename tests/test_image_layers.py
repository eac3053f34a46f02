"""Claims about layers on images: derivatives, an independent automatic differentiation (`autograd`), modes, shards, and what is refused."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad

from scratchvae.checks import gradcheck
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.nn import (
    AveragePool,
    BatchNorm,
    Concat,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    LayerNorm,
    MaxPool,
    Part,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Skip,
    Tanh,
    Upsample,
    init,
)
from scratchvae.nn.arena import Plan

X = np.random.default_rng(0).normal(size=(3, 6, 5, 4))
LAYERS = {
    "conv": lambda: Conv2D(4, 3, 3),
    "conv strided": lambda: Conv2D(4, 3, (4, 3), (2, 1), (1, 2)),
    "conv transposed": lambda: ConvTranspose2D(4, 3, 4, 2, 1),
    "conv transposed, more": lambda: ConvTranspose2D(4, 3, (3, 2), (2, 3), (0, 1), (1, 2)),
    "max pool": lambda: MaxPool(2),
    "max pool overlapping": lambda: MaxPool((3, 2), 1),
    "average pool": lambda: AveragePool(2),
    "nearest": lambda: Upsample((2, 3)),
    "bilinear": lambda: Upsample(2, "bilinear"),
    "group norm": lambda: GroupNorm(2, 4),
    "layer norm": lambda: LayerNorm(4),
    "batch norm": lambda: BatchNorm(4),
    "dropout": lambda: Dropout(0.4),
    "residual": lambda: Residual(Conv2D(4, 4, 3, pad=1), Tanh()),
    "skip": lambda: Skip(MaxPool(1), Conv2D(4, 2, 1)),
    "reshape": lambda: Reshape(5, 6, 4),
    "flatten": lambda: Sequential(Flatten(), Dense(120, 2)),
}


def trained(report):
    """Entries of a report, less those of state that is not optimised."""
    return [e for e in report.entries if "running" not in e.name]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_passes_gradcheck_in_both_modes(kind, training):
    entries = trained(gradcheck(LAYERS[kind]().train(training), X))
    assert entries
    assert all(e.verdict == "ok" for e in entries), entries


def test_the_check_notices_a_skip_whose_gradient_is_lost():
    class Lost(Skip):
        def backward(self, dY):
            return self.around.backward(self.join.backward(dY)[1])

    report = gradcheck(Lost(Conv2D(4, 2, 1)), X)
    assert [e.name for e in report.entries if e.verdict != "ok"] == ["input"]


# An independent differentiation ---------------------------------------------------------------------------------------


def conv(x, W, b, stride, pad):
    """Written anew: a sum over the kernel's places of shifted images times a matrix."""
    wide = anp.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)], "constant")
    h, w = ((n - k) // stride + 1 for n, k in zip(wide.shape[1:3], W.shape[:2], strict=True))
    shifted = lambda i, j: wide[:, i : i + stride * (h - 1) + 1 : stride, j : j + stride * (w - 1) + 1 : stride]
    return sum(anp.dot(shifted(i, j), W[i, j]) for i in range(W.shape[0]) for j in range(W.shape[1])) + b


def conv_transposed(x, W, b, stride, pad):
    """Zeros between the pixels, then a convolution with the kernel turned round. W (kh, kw, O, I)"""
    n, h, w, c = x.shape
    spread = anp.concatenate([x[:, :, None], anp.zeros((n, h, stride - 1, w, c))], 2).reshape((n, h * stride, w, c))
    spread = anp.concatenate([spread[:, :, :, None], anp.zeros((n, h * stride, w, stride - 1, c))], 3)
    spread = spread.reshape((n, h * stride, w * stride, c))[:, : (h - 1) * stride + 1, : (w - 1) * stride + 1]
    return conv(spread, anp.transpose(W[::-1, ::-1], (0, 1, 3, 2)), b, 1, W.shape[0] - 1 - pad)


def test_a_small_u_net_agrees_with_an_autodiff():
    """Convolution, group norm, pooling, transposed convolution, skip and residual at once: loss and every gradient to 1e-10."""
    level = Skip(MaxPool(), Conv2D(4, 6, 3, pad=1), ReLU(), Residual(Conv2D(6, 6, 3, pad=1)), ConvTranspose2D(6, 4, 4, 2, 1))
    net = Sequential(Conv2D(2, 4, 3, pad=1), GroupNorm(2, 4), ReLU(), level, Conv2D(8, 1, 3, 2, 1)).initialise(3, np.float64)
    x, target = np.random.default_rng(1).normal(size=(2, 8, 6, 2)), np.random.default_rng(2).normal(size=(2, 4, 3, 1))
    net.buffer.values[:] += 0.1 * np.random.default_rng(4).normal(size=net.buffer.values.size)  # no bias is 0, no scale 1

    def loss(p, x):
        a = conv(x, p["0.W"], p["0.b"], 1, 1)
        g = a.reshape((2, 8, 6, 2, 2))
        mean = anp.mean(g, axis=(1, 2, 4), keepdims=True)
        g = (g - mean) / anp.sqrt(anp.mean((g - mean) ** 2, axis=(1, 2, 4), keepdims=True) + 1e-5)
        a = anp.maximum(g.reshape(a.shape) * p["1.scale"] + p["1.shift"], 0)
        pooled = anp.max(anp.max(a.reshape((2, 4, 2, 3, 2, 4)), axis=4), axis=2)
        m = anp.maximum(conv(pooled, p["3.around.1.W"], p["3.around.1.b"], 1, 1), 0)
        m = m + conv(m, p["3.around.3.around.0.W"], p["3.around.3.around.0.b"], 1, 1)
        up = conv_transposed(m, p["3.around.4.W"], p["3.around.4.b"], 2, 1)
        y = conv(anp.concatenate([a, up], 3), p["4.W"], p["4.b"], 2, 1)
        return anp.sum((y - target) ** 2)

    p = {name: net.buffer.view(name).copy() for name in net.buffer.names}
    expected, slopes = value_and_grad(loss)(p, x)
    y = net.forward(x)
    assert np.sum((y - target) ** 2) == pytest.approx(expected, rel=1e-12)
    dX = net.backward(2 * (y - target))
    for name, slope in slopes.items():
        np.testing.assert_allclose(net.buffer.view(name, net.buffer.grads), slope, rtol=0, atol=1e-10 * np.abs(slope).max(), err_msg=name)
    slope = value_and_grad(loss, 1)(p, x)[1]
    np.testing.assert_allclose(dX, slope, rtol=0, atol=1e-10 * np.abs(slope).max())


def test_memory_that_is_given_out_again_changes_no_number():
    level = Skip(MaxPool(), Conv2D(4, 6, 3, pad=1), ReLU(), ConvTranspose2D(6, 4, 2, 2))
    net = Sequential(Conv2D(2, 4, 3, pad=1), BatchNorm(4), ReLU(), level, Dropout(0.2), Upsample(2, "bilinear"), AveragePool()).train()
    net.initialise(3, np.float64)
    xs = [np.random.default_rng(i).normal(size=(2, 8, 6, 2)) for i in range(3)]
    expected = []
    for x in xs:
        y = net.forward(x)
        expected.append((y.copy(), net.backward(np.cos(y)).copy(), net.buffer.grads.copy()))
    plan = Plan(net.backend.empty)
    net.use(plan)
    for x, (y, dX, grads) in zip(xs, expected, strict=True):
        with plan.step(2):
            got = net.forward(x)
            assert np.array_equal(got, y)
            assert np.array_equal(net.backward(np.cos(got)), dX)
            assert np.array_equal(net.buffer.grads, grads)


# Initial values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [Conv2D(16, 32, 3, init_W=init.lecun), ConvTranspose2D(32, 16, 4, 2, init_W=init.lecun)])
def test_initial_weights_keep_the_variance(layer):
    """Var y = fan-in · Var W = 1 for inputs of variance 1, wherever a window lies wholly within the image."""
    x = np.random.default_rng(0).normal(size=(64, 8, 8, layer.inputs))
    y = layer.initialise(1, np.float64).forward(x)[:, 4:-4, 4:-4] if layer.stride[0] > 1 else layer.initialise(1, np.float64).forward(x)
    assert y.var() == pytest.approx(1, abs=0.1)  # over 16 × 16 × 32 weights the variance of a draw is off by some per cent


def test_fans_of_a_matrix_are_what_they_were():
    W = init.glorot((3, 5), 0, 0)
    assert np.abs(init.glorot((300, 500), 0, 0)).max() == pytest.approx(np.sqrt(6 / 800), rel=1e-3)
    assert W.shape == (3, 5)


# Modes, shards and steps ----------------------------------------------------------------------------------------------


def test_batch_norm_normalises_while_training_and_uses_running_moments_after():
    norm = BatchNorm(4, rate=0.5).initialise(0, np.float64).train()
    y = norm.forward(X)
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 1, 2)), 1, atol=1e-4)
    norm.backward(np.ones(X.shape))
    for p in (norm.running_mean, norm.running_variance):
        p.value[...] -= p.grad  # as a step does
    np.testing.assert_allclose(norm.running_mean.value, 0.5 * X.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(norm.running_variance.value, 0.5 + 0.5 * X.var((0, 1, 2)), rtol=1e-9)
    used = norm.train(False).forward(X[:1])
    expected = (X[:1] - norm.running_mean.value) / np.sqrt(norm.running_variance.value + 1e-5)
    np.testing.assert_allclose(used, expected, rtol=1e-12)
    norm.backward(np.ones(used.shape))
    assert not norm.running_mean.grad.any()
    assert not norm.running_variance.grad.any()


def test_the_running_mean_of_two_shards_is_that_of_the_batch():
    whole, shards = BatchNorm(4).initialise(0, np.float64).train(), []
    whole.forward(X)
    whole.backward(X)
    for start, stop in ((0, 2), (2, 3)):
        one = BatchNorm(4).initialise(0, np.float64).train()
        one.part = Part(0, 0, start, (stop - start) / 3)
        one.forward(X[start:stop])
        one.backward(X[start:stop])
        shards.append(one.running_mean.grad)
    np.testing.assert_allclose(shards[0] + shards[1], whole.running_mean.grad, rtol=1e-12)


def test_dropout_is_noise_of_the_row_in_its_batch_and_nothing_in_use():
    drop, ones = Dropout(0.5).train(), np.ones((8, 6))
    drop.part = Part(seed=7, step=3)
    whole = drop.forward(ones).copy()
    assert set(np.unique(whole)) == {0, 2}
    drop.part = Part(seed=7, step=3, start=5, share=3 / 8)
    assert np.array_equal(drop.forward(ones[5:]), whole[5:])
    drop.part = Part(seed=7, step=4)
    assert not np.array_equal(drop.forward(ones), whole)
    drop.part = Part(seed=7, step=3, place=1)  # another layer of the same model
    assert not np.array_equal(drop.forward(ones), whole)
    assert np.array_equal(drop.train(False).forward(ones), ones)


def test_an_embedding_learns_the_rows_that_were_asked_for():
    table = Embedding(5, 3).initialise(0, np.float64)
    v = np.array([[1, 4], [1, 0]])
    assert np.array_equal(table.forward(v), table.W.value[v])
    assert table.backward(np.ones((2, 2, 3))) is None
    assert table.W.grad[:, 0].tolist() == [1, 2, 0, 0, 1]


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "x", "words"), [
    (Conv2D(3, 4, 3), np.zeros((2, 3, 8, 8), np.float32), r"\(rows, height, width, 3\), not \(2, 3, 8, 8\): channels come last"),
    (Conv2D(3, 4, 3), np.zeros((2, 8, 8, 1), np.float32), r"\(rows, height, width, 3\), not \(2, 8, 8, 1\)"),
    (Conv2D(3, 4, 3), np.zeros((2, 192), np.float32), r"\(rows, height, width, 3\), not \(2, 192\)"),
    (Conv2D(1, 4, 5, pad=1), np.zeros((2, 2, 8, 1), np.float32), r"kernel of \(5, 5\) .* \(2, 8\) padded by \(1, 1\)"),
    (Conv2D(1, 4, 3), np.zeros((2, 8, 8, 1), np.uint8), "array .* of floats"),
    (Conv2D(1, 4, 3), np.zeros((2, 8, 8, 1)), "holds float32 and was given float64"),
    (MaxPool(3), np.zeros((2, 2, 8, 1), np.float32), r"window of \(3, 3\) does not fit in an image of \(2, 8\)"),
    (ConvTranspose2D(1, 2, 2, 1, 3), np.zeros((2, 2, 2, 1), np.float32), r"padding of \(3, 3\) leaves nothing .* \(2, 2\)"),
    (Residual(Conv2D(1, 2, 1)), np.zeros((2, 8, 8, 1), np.float32), r"make \(2, 8, 8, 2\) of \(2, 8, 8, 1\)"),
    (Reshape(3, 3), np.zeros((2, 8), np.float32), r"rows of \(3, 3\), 9 numbers, and was given \(2, 8\)"),
    (LayerNorm(3), np.zeros((2, 8), np.float32), r"\(rows, …, 3\), not \(2, 8\)"),
    (Embedding(3, 2), np.array([[0, 3]]), "rows 0 to 2, and was asked for 0 to 3"),
    (Embedding(3, 2), np.array([[-1, 2]]), "rows 0 to 2, and was asked for -1 to 2"),
    (Embedding(3, 2), np.array([[0.0]]), "takes whole numbers"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_with_both_shapes(layer, x, words):
    with pytest.raises((DataError, ShapeError), match=words):
        layer.initialise(0).forward(x)


def test_what_is_not_initialised_or_no_gradient_is_refused():
    for layer in (Conv2D(1, 2, 3), ConvTranspose2D(1, 2, 3), LayerNorm(1)):
        with pytest.raises(ShapeError, match="not initialised"):
            layer.forward(np.zeros((2, 8, 8, 1), np.float32))
    layer = Conv2D(1, 2, 3).initialise(0)
    layer.forward(np.zeros((2, 8, 8, 1), np.float32))
    with pytest.raises(ShapeError, match=r"dY as \(2, 6, 6, 2\) float32, as forward had it, not \(2, 6, 6, 1\)"):
        layer.backward(np.zeros((2, 6, 6, 1), np.float32))
    with pytest.raises(ShapeError, match="differ in more"):
        Concat().forward(np.zeros((2, 3, 3, 1)), np.zeros((2, 3, 4, 1)))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Conv2D(1, 2, 3, stride=0), "stride"), (lambda: Conv2D(1, 2, (3, 3, 3)), "size"), (lambda: Conv2D(1, 2, 3, pad=-1), "pad"),
    (lambda: ConvTranspose2D(1, 2, 2, stride=2, more=2), "fewer than the stride"), (lambda: GroupNorm(4, 6), "but into 1, 2, 3, 6"),
    (lambda: Dropout(1.0), "rate"), (lambda: Upsample(2, "cubic"), "nearest, bilinear"),
])  # fmt: skip
def test_options_that_cannot_work_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_read_only_or_strided_image_is_taken_as_it_is():
    layer = Conv2D(2, 3, 3).initialise(0, np.float64)
    x = np.random.default_rng(0).normal(size=(2, 2, 8, 8)).transpose(0, 2, 3, 1)
    x.flags.writeable = False
    np.testing.assert_allclose(layer.forward(x), layer.forward(np.ascontiguousarray(x)), rtol=1e-12, atol=1e-14)


def test_operations_of_a_convolution_are_counted_by_the_pixels_of_its_output():
    x, products = X[:, :, :4], 2 * 3 * (4 * 3) * (3 * 2 * 4 * 5)  # 2 B · (h w) · (kh kw I O): of 6 × 4 pixels, 4 × 3 are left
    for asked in (True, False):
        layer = Conv2D(4, 5, (3, 2), input_gradient=asked).initialise(0, np.float64)
        assert layer.operations(3) is None
        assert layer.forward(x).shape == (3, 4, 3, 5)
        assert layer.operations(3) == (3 if asked else 2) * products
