"""Every CUDA kernel but the matrix products against its NumPy twin, in both dtypes, wide and narrow accesses, all schedules."""

import numpy as np
import pytest
from cuda_kernels_on_cpu import ACTIVATIONS, OnCpu
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import rng
from scratchvae.cuda_on_cpu import SCHEDULES, poison
from scratchvae.data import gather
from scratchvae.ops import cuda
from scratchvae.ops import numpy as twins
from scratchvae.ops.cuda.launch import run_on

DTYPES = np.float32, np.float64
dtypes = st.sampled_from(DTYPES)
sizes = st.one_of(st.integers(1, 70), st.sampled_from([128, 256, 257, 516]))
offsets = st.integers(0, 3)  # elements by which an array starts late, so that some addresses do not allow wide accesses
schedules = st.sampled_from(SCHEDULES)


def numbers(seed, shape, dtype, scale=2.0, offset=0):
    """Normal numbers, some of them 0 or extreme, in an array that starts `offset` elements into its memory."""
    generator = np.random.default_rng(seed)
    whole = np.zeros(int(np.prod(shape)) + offset, dtype)
    values = whole[offset:].reshape(shape)
    values[...] = generator.normal(0, scale, shape)
    values[generator.random(shape) < 0.05] = 0
    values[generator.random(shape) < 0.05] *= 20
    return values


def blank(shape, dtype, offset=0):
    return poison(np.empty(int(np.prod(shape)) + offset, dtype))[offset:].reshape(shape)


def close(actual, expected, ulps=16, floor=1.0):
    """Equal up to some roundings of the expected number, or of `floor` where terms of that size cancel.

    16 because a GPU's exp, log and tanh are right to 1 or 2 units in the last place, the same of g++'s, and a formula chains a few.
    """
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=ulps * eps, atol=ulps * eps * floor)


# Activations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [act.lower() for act in ACTIVATIONS[1:]])
@given(n=sizes, dtype=dtypes, offset=offsets, schedule=schedules, seed=st.integers(0, 99))
def test_activations_equal_their_twins(name, n, dtype, offset, schedule, seed):
    x, dY = numbers(seed, n, dtype, 3, offset), numbers(seed + 1, n, dtype, 1, offset)
    y, dX, y0, dX0, work = blank(n, dtype, offset), blank(n, dtype, offset), np.empty(n, dtype), np.empty(n, dtype), np.empty(n, dtype)
    getattr(twins, name)(x, y0, work)
    getattr(twins, f"{name}_backward")(dY, x, y0, dX0, work)
    with run_on(OnCpu(schedule)):
        assert getattr(cuda, name)(x, y) is y
        getattr(cuda, f"{name}_backward")(dY, x, y0, dX)
    close(y, y0, floor=np.abs(x).max())
    close(dX, dX0, floor=np.abs(dY).max() * np.abs(x).max() + 1)


def test_a_nan_is_not_hidden_by_relu():
    x, y = np.array([np.nan, -1, 1, np.inf], np.float32), np.empty(4, np.float32)
    with run_on(OnCpu()):
        cuda.relu(x, y)
    np.testing.assert_array_equal(y, twins.relu(x, np.empty_like(x)))


# Noise ----------------------------------------------------------------------------------------------------------------


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 21), seed=st.integers(0, 2**64 - 1), stream=st.integers(0, 7),
    step=st.integers(0, 2**32 - 1), first=st.integers(0, 2**32 - 10), on_device=st.booleans(), schedule=schedules,
)  # fmt: skip
def test_words_are_numpys_bit_for_bit(rows, columns, seed, stream, step, first, on_device, schedule):
    out = np.empty((rows, columns), np.uint32)
    with run_on(OnCpu(schedule)):
        cuda.words(out, seed, stream, np.array([step], np.uint32) if on_device else step, first)
    np.testing.assert_array_equal(out, rng.words(seed, stream, step, first + np.arange(rows), columns))


@given(rows=st.integers(1, 9), columns=st.integers(1, 21), seed=st.integers(0, 2**64 - 1), dtype=dtypes, schedule=schedules)
def test_normals_are_numpys_to_rounding(rows, columns, seed, dtype, schedule):
    out = blank((rows, columns), dtype)
    with run_on(OnCpu(schedule)):
        cuda.normal(out, seed, rng.LATENT, 5, 3)
    # cos(2πu) of a float32 angle is off by up to half a unit of 2π, which Box-Muller multiplies by a radius of up to 5.8
    close(out, rng.normal(seed, rng.LATENT, 5, 3 + np.arange(rows), columns, dtype), ulps=8, floor=2 * np.pi)


def test_normals_hold_where_the_radius_is_zero():
    """u₁ = 1 gives √0: zeros, no NaN. One word in 2²⁴ does this; here is one."""
    row = 1321245
    assert rng.words(0, rng.LATENT, 0, row, 4)[0, 2] >> 8 == 0
    out = np.empty((1, 4), np.float32)
    with run_on(OnCpu()):
        cuda.normal(out, 0, rng.LATENT, 0, row)
    assert np.all(out[0, 2:] == 0)


# The posterior --------------------------------------------------------------------------------------------------------


def posterior(seed, B, L, dtype, halves):
    """mu, logvar (as halves of one array, or apart) and eps."""
    code = np.clip(numbers(seed, (B, 2 * L), dtype, 1.5), -40, 40)
    mu, logvar = (code[:, :L], code[:, L:]) if halves else (code[:, :L].copy(), code[:, L:].copy())
    return mu, logvar, numbers(seed + 1, (B, L), dtype, 1)


@given(
    B=st.integers(1, 9), L=st.one_of(st.integers(1, 9), st.just(133)), dtype=dtypes, halves=st.booleans(), schedule=schedules,
    seed=st.integers(0, 9),
)  # fmt: skip
def test_the_posteriors_operations_equal_their_twins(B, L, dtype, halves, schedule, seed):
    mu, logvar, eps = posterior(seed, B, L, dtype, halves)
    mu0, logvar0 = mu.copy(), logvar.copy()
    z0, std0, kl0, work = np.empty_like(mu0), np.empty_like(mu0), np.empty(B, dtype), (np.empty_like(mu0), np.empty_like(mu0))
    twins.reparameterise(mu0, logvar0, eps, z0, std0)
    twins.gaussian_kl(mu0, logvar0, kl0, work)
    dz, dkl = numbers(seed + 2, (B, L), dtype, 1), numbers(seed + 3, (B,), dtype, 1)
    through, kl_part = [np.empty_like(mu0) for _ in "ab"], [np.empty_like(mu0) for _ in "ab"]
    twins.reparameterise_backward(dz, eps, std0, *through)
    twins.gaussian_kl_backward(dkl, mu0, logvar0, *kl_part)
    big = np.exp(logvar0).max() + np.abs(mu0).max() ** 2 + np.abs(logvar0).max()

    with run_on(OnCpu(schedule)):
        z, std, kl = blank((B, L), dtype), blank((B, L), dtype), blank(B, dtype)
        cuda.reparameterise(mu, logvar, eps, z, std)
        cuda.gaussian_kl(mu, logvar, kl)
        close(std, std0), close(z, z0, floor=np.abs(z0).max())
        close(kl, kl0, floor=L * big)
        d = blank((B, 2 * L), dtype)
        dmu, dlogvar = d[:, :L], d[:, L:]
        cuda.reparameterise_backward(dz, eps, std0, dmu, dlogvar)
        close(dmu, through[0]), close(dlogvar, through[1])
        cuda.gaussian_kl_backward(dkl, mu, logvar, dmu, dlogvar)
        close(dmu, kl_part[0]), close(dlogvar, kl_part[1])
        cuda.posterior_backward(dz, dkl, mu, logvar, eps, std0, dmu, dlogvar)
        floor = np.abs(through[1]).max() + np.abs(kl_part[1]).max()
        close(dmu, through[0] + kl_part[0]), close(dlogvar, through[1] + kl_part[1], floor=floor)
        z2, std2, kl2 = blank((B, L), dtype), blank((B, L), dtype), blank(B, dtype)
        cuda.sample_posterior(mu, logvar, eps, z2, std2, kl2)
    for both, alone in ((z2, z), (std2, std), (kl2, kl)):
        np.testing.assert_array_equal(both, alone)


def test_near_the_prior_the_kernels_keep_the_digits_of_the_kl():
    """With exp(v) − 1 in place of expm1(v), float32 is 4.7 % off at v = 1e-3 and 0 at 1e-4 (E15), and the slope likewise (E16)."""
    for v in (1e-3, 1e-4):
        mu, eps, dz = (np.zeros((1, 1), np.float32) for _ in range(3))
        logvar, kl, one = np.full((1, 1), v, np.float32), blank(1, np.float32), np.ones(1, np.float32)
        z, std, dmu, dlogvar = (blank((1, 1), np.float32) for _ in range(4))
        exact, slope = 0.5 * (v * v / 2 + v**3 / 6 + v**4 / 24), 0.5 * np.expm1(v)
        with run_on(OnCpu()):
            cuda.gaussian_kl(mu, logvar, kl)
            assert float(kl[0]) == pytest.approx(exact, rel=2 * 2.0**-23 / v)  # two roundings of v, as a share of v²/2
            cuda.sample_posterior(mu, logvar, eps, z, std, kl)
            assert float(kl[0]) == pytest.approx(exact, rel=2 * 2.0**-23 / v)
            cuda.gaussian_kl_backward(one, mu, logvar, dmu, dlogvar)
            assert float(dlogvar[0, 0]) == pytest.approx(slope, rel=4 * 2.0**-23)
            cuda.posterior_backward(dz, one, mu, logvar, eps, std, dmu, dlogvar)
            assert float(dlogvar[0, 0]) == pytest.approx(slope, rel=4 * 2.0**-23)


# Likelihoods ----------------------------------------------------------------------------------------------------------


@given(B=st.integers(1, 5), D=sizes, dtype=dtypes, schedule=schedules, seed=st.integers(0, 9), in_place=st.booleans())
def test_bernoulli_equals_its_twin_in_one_pass_and_in_two(B, D, dtype, schedule, seed, in_place):
    logits, x = numbers(seed, (B, D), dtype, 5), np.random.default_rng(seed).random((B, D)).astype(dtype)
    dnll = numbers(seed + 1, (B,), dtype, 1)
    nll0, da0, work = np.empty(B, dtype), np.empty((B, D), dtype), [np.empty((B, D), dtype) for _ in "ab"]
    twins.bernoulli_nll(logits, x, nll0, work)
    twins.bernoulli_nll_backward(dnll, logits, x, da0)
    floor = np.abs(logits).sum(axis=1).max() + D
    with run_on(OnCpu(schedule)):
        nll, da = blank(B, dtype), blank((B, D), dtype)
        close(cuda.bernoulli_nll(logits, x, nll), nll0, floor=floor)
        close(cuda.bernoulli_nll_backward(dnll, logits, x, da), da0)
        both = logits.copy() if in_place else logits
        nll2, da2 = blank(B, dtype), both if in_place else blank((B, D), dtype)
        cuda.bernoulli_nll_and_gradient(dnll, both, x, nll2, da2)
    np.testing.assert_array_equal(nll2, nll)
    np.testing.assert_array_equal(da2, da)


@given(B=st.integers(1, 4), D=sizes, dtype=dtypes, schedule=schedules, seed=st.integers(0, 9))
def test_densities_of_grey_pixels_and_of_levels_equal_their_twins(B, D, dtype, schedule, seed):
    a, scale, dnll = numbers(seed, (B, D), dtype, 3), numbers(seed + 1, (B, D), dtype, 1), numbers(seed + 2, (B,), dtype, 1)
    x = (np.random.default_rng(seed).integers(0, 16, (B, D)) / 15).astype(dtype)
    work, gradients = [np.empty((B, D), dtype) for _ in range(5)], [blank((B, D), dtype) for _ in range(6)]
    nll = [blank(B, dtype) for _ in range(4)]
    with run_on(OnCpu(schedule)):
        cuda.continuous_bernoulli_nll(a, x, nll[0])
        cuda.continuous_bernoulli_nll_backward(dnll, a, x, gradients[0])
        cuda.continuous_bernoulli_mean(a, gradients[1])
        cuda.logistic_nll(a, scale, x, nll[1], levels=16)
        cuda.logistic_nll_backward(dnll, a, scale, x, *gradients[2:4], levels=16)
    floor = np.abs(a).sum(axis=1).max() + D
    close(nll[0], twins.continuous_bernoulli_nll(a, x, nll[2], work[:3]), floor=floor)
    close(nll[1], twins.logistic_nll(a, scale, x, nll[3], work, levels=16), floor=floor * np.exp(-scale).max())
    floor_of_mean = 3 * max(1, np.abs(dnll).max())  # 1 / (1 − e^−t) and 1 / t at t = ½
    close(gradients[0], twins.continuous_bernoulli_nll_backward(dnll, a, x, gradients[4], work[:3]), floor=floor_of_mean)
    close(gradients[1], twins.continuous_bernoulli_mean(a, gradients[4], work[:3]), floor=3)
    twins.logistic_nll_backward(dnll, a, scale, x, *gradients[4:], work, levels=16)
    for got, expected in zip(gradients[2:4], gradients[4:], strict=True):
        close(got, expected, floor=floor * np.exp(-scale).max())


@given(n=st.integers(1, 700), dtype=dtypes, schedule=schedules, seed=st.integers(0, 9))
def test_a_soft_floor_equals_its_twin(n, dtype, schedule, seed):
    x, dY = numbers(seed, (n,), dtype, 9), numbers(seed + 1, (n,), dtype, 1)
    y, dX, work = blank(n, dtype), blank(n, dtype), np.empty(n, dtype)
    with run_on(OnCpu(schedule)):
        cuda.soft_floor(x, -7.0, y)
        cuda.soft_floor_backward(dY, x, -7.0, dX)
    close(y, twins.soft_floor(x, -7.0, np.empty(n, dtype), work), floor=40)
    close(dX, twins.soft_floor_backward(dY, x, -7.0, np.empty(n, dtype)), floor=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_stays_finite_where_sigmoid_is_0_or_1(dtype):
    logits, x = np.array([[-1e4, -100, 0, 100, 1e4]], dtype), np.array([[0, 0, 0.5, 1, 1]], dtype)
    nll, da = blank(1, dtype), blank((1, 5), dtype)
    with run_on(OnCpu()):
        cuda.bernoulli_nll_and_gradient(np.ones(1, dtype), logits, x, nll, da)
    close(nll, [np.log(2)])
    close(da, np.zeros((1, 5)))


@given(
    B=st.integers(1, 5), D=sizes, dtype=dtypes, schedule=schedules, seed=st.integers(0, 9),
    shape=st.sampled_from(["(1,)", "(D,)", "(1, D)", "(B, 1)", "(B, D)"]),
)  # fmt: skip
def test_gaussian_equals_its_twin_for_every_shape_of_logvar(B, D, dtype, schedule, seed, shape):
    mean, x = numbers(seed, (B, D), dtype, 1), numbers(seed + 1, (B, D), dtype, 1)
    logvar = np.clip(numbers(seed + 2, eval(shape, {"B": B, "D": D}), dtype, 1), -5, 5)
    dnll = numbers(seed + 3, (B,), dtype, 1)
    nll0, dm0, dlv0, work = np.empty(B, dtype), np.empty((B, D), dtype), np.empty((B, D), dtype), np.empty((B, D), dtype)
    twins.gaussian_nll(mean, logvar, x, nll0, work)
    twins.gaussian_nll_backward(dnll, mean, logvar, x, dm0, dlv0)
    with run_on(OnCpu(schedule)):
        nll, dm, dlv = blank(B, dtype), blank((B, D), dtype), blank((B, D), dtype)
        close(cuda.gaussian_nll(mean, logvar, x, nll), nll0, floor=D * 5)
        cuda.gaussian_nll_backward(dnll, mean, logvar, x, dm, dlv)
        close(dm, dm0), close(dlv, dlv0)
        nll2, dm2, dlv2 = blank(B, dtype), blank((B, D), dtype), blank((B, D), dtype)
        cuda.gaussian_nll_and_gradient(dnll, mean, logvar, x, nll2, dm2, dlv2)
    for both, alone in ((nll2, nll), (dm2, dm), (dlv2, dlv)):
        np.testing.assert_array_equal(both, alone)


def test_a_pixel_that_is_met_exactly_costs_a_number_whatever_the_variance():
    """1/σ² overflows in float32 from logvar −88 on, and 0 · ∞ is no number: 1/σ is squared after the product (E19, E20)."""
    m, logvar = np.full((1, 5), 0.3, np.float32), np.full(1, -100, np.float32)
    nll, dm, dlv = blank(1, np.float32), blank((1, 5), np.float32), blank((1, 5), np.float32)
    with run_on(OnCpu()):
        cuda.gaussian_nll_and_gradient(np.ones(1, np.float32), m, logvar, m.copy(), nll, dm, dlv)
    close(nll, [2.5 * (-100 + np.log(2 * np.pi))])
    assert not dm.any()
    assert (dlv == 0.5).all()


@given(B=st.integers(1, 5), D=sizes, dtype=dtypes, schedule=schedules, seed=st.integers(0, 9), offset=offsets)
def test_squared_error_equals_its_twin(B, D, dtype, schedule, seed, offset):
    y, x = numbers(seed, (B, D), dtype, 1, offset), numbers(seed + 1, (B, D), dtype, 1)
    derror = numbers(seed + 2, (B,), dtype, 1)
    error0, dy0 = np.empty(B, dtype), np.empty((B, D), dtype)
    twins.squared_error(y, x, error0, np.empty((B, D), dtype))
    twins.squared_error_backward(derror, y, x, dy0)
    with run_on(OnCpu(schedule)):
        error, dy, error2, dy2 = blank(B, dtype), blank((B, D), dtype), blank(B, dtype), blank((B, D), dtype)
        close(cuda.squared_error(y, x, error), error0)
        close(cuda.squared_error_backward(derror, y, x, dy), dy0)
        cuda.squared_error_and_gradient(derror, y, x, error2, dy2)
    np.testing.assert_array_equal(error2, error)
    np.testing.assert_array_equal(dy2, dy)


# Batches --------------------------------------------------------------------------------------------------------------


@given(
    N=st.integers(1, 12), B=st.integers(1, 9), D=sizes, dtype=dtypes, pixel=st.sampled_from([np.uint8, np.float32]),
    schedule=schedules, seed=st.integers(0, 9), offset=offsets,
)  # fmt: skip
def test_gather_equals_its_twin_bit_for_bit(N, B, D, dtype, pixel, schedule, seed, offset):
    generator = np.random.default_rng(seed)
    images, rows = generator.integers(0, 256, (N, D)).astype(pixel), generator.integers(0, N, B)
    images = images if pixel == np.uint8 else images / np.float32(255)
    out = blank((B, D), dtype, offset)
    with run_on(OnCpu(schedule)):
        cuda.gather(images, rows, out)
    np.testing.assert_array_equal(out, gather(images, rows, np.empty((B, D), dtype)))


@given(D=st.integers(1, 21), dtype=dtypes, seed=st.integers(0, 2**64 - 1), step=st.integers(0, 2**32 - 1), schedule=schedules)
def test_binarised_batches_are_numpys_bit_for_bit(D, dtype, seed, step, schedule):
    images, order = np.random.default_rng(1).integers(0, 256, (9, D)).astype(np.uint8), np.random.default_rng(2).permutation(9)
    out = blank((3, D), dtype)
    with run_on(OnCpu(schedule)):
        number, batch = np.array([step], np.uint32), np.array([2], np.uint32)
        cuda.gather_batch(images, order, out, batch, seed=seed, step=number)
    grey = gather(images, order[6:9], np.empty((3, D), dtype))
    np.testing.assert_array_equal(out, rng.uniform(seed, rng.PIXELS, step, np.arange(3), D, dtype) < grey)


@pytest.mark.parametrize("D", [3, 8])
def test_a_short_last_batch_and_rows_that_do_not_exist(D):
    images, out = np.full((5, D), 255, np.uint8), blank((2, D), np.float32)
    with run_on(OnCpu()):
        cuda.gather_batch(images, np.array([0, 0, 0, 4, -1, 1]), out, batch=1, batch_size=3)
        np.testing.assert_array_equal(out, [[1] * D, [np.nan] * D])
        cuda.gather(images, np.array([5, 4]), out)
        np.testing.assert_array_equal(out, [[np.nan] * D, [1] * D])


# Updates --------------------------------------------------------------------------------------------------------------

OPTIMISERS = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}


@pytest.mark.parametrize("name", OPTIMISERS)
@given(n=sizes, dtype=dtypes, offset=offsets, schedule=schedules, decay=st.sampled_from([0.0, 0.1]), on_device=st.booleans())
def test_optimisers_follow_their_twins_for_several_steps(name, n, dtype, offset, schedule, decay, on_device):
    p = numbers(1, n, dtype, 1, offset)
    moments = [np.zeros(n, dtype) for _ in range(OPTIMISERS[name])]
    p0, moments0, work = p.copy(), [m.copy() for m in moments], np.empty(n, dtype)
    with run_on(OnCpu(schedule)):
        for step in (1, 2, 3):
            g = numbers(step, n, dtype, 1)
            g0, lr = g.copy(), 0.01 * step
            kept = g.copy()
            if on_device:
                numbers_there = np.array([lr], dtype), np.array([step], np.uint32)
                getattr(cuda, name)(p, g, *moments, None, *numbers_there, weight_decay=decay)
            else:
                getattr(cuda, name)(p, g, *moments, None, lr, step, weight_decay=decay)
            np.testing.assert_array_equal(g, kept)  # the decay stays in registers
            twins.weight_decay(p0, g0, work, decay)
            getattr(twins, name)(p0, g0, *moments0, work, lr, step)
    # An update is at most about lr in size; 64 roundings of it and 8 of p bound three steps
    close(p, p0, ulps=64)
    for m, m0 in zip(moments, moments0, strict=True):
        close(m, m0, ulps=64, floor=np.abs(m0).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1, 2, 1000, 10**6, 2**32 - 1])
def test_adams_bias_correction_holds_at_every_step(dtype, step):
    """In float32 1 − 0.999 alone would be wrong in the fifth digit."""
    p, g, m, v = np.zeros(4, dtype), np.full(4, 0.5, dtype), np.zeros(4, dtype), np.zeros(4, dtype)
    q, m0, v0 = (np.zeros(4) for _ in range(3))
    with run_on(OnCpu()):
        cuda.adam(p, g, m, v, None, 0.1, step)
    twins.adam(q, np.full(4, 0.5), m0, v0, np.empty(4), 0.1, step)
    # the twin's own 1 − 0.999**1 has lost ten bits of float64, so it can be followed to 1e-12 only
    np.testing.assert_allclose(p, q, rtol=max(1e-12, 16 * np.finfo(dtype).eps))


@given(n=sizes, dtype=dtypes, schedule=schedules, offset=offsets)
def test_weight_decay_and_sums_of_shards_equal_their_twins(n, dtype, schedule, offset):
    p, g = numbers(1, n, dtype), numbers(2, n, dtype, 1, offset)
    g0, a0 = g.copy(), p + g
    twins.weight_decay(p, g0, np.empty(n, dtype), 0.1)
    with run_on(OnCpu(schedule)):
        np.testing.assert_array_equal(cuda.add(p.copy(), g), a0)
        cuda.weight_decay(p, g, None, 0.1)
    close(g, g0, floor=np.abs(g0).max())


@given(n=st.one_of(sizes, st.just(70000)), dtype=dtypes, schedule=schedules, clip=st.sampled_from([1e-3, 1.0, 1e6]))
def test_sums_and_clipping_equal_their_twins_and_repeat(n, dtype, schedule, clip):
    g, out, factor, parts = numbers(n, n, dtype), np.empty(2), np.empty(1, dtype), np.empty(cuda.PARTS)
    wide = g.astype(np.float64)
    with run_on(OnCpu(schedule)):
        cuda.total(np.stack([g, -g]), out)
        np.testing.assert_allclose(out, [wide.sum(), -wide.sum()], atol=1e-13 * np.abs(wide).sum())
        cuda.clip_factor(g, clip, parts, factor)
        first = factor.copy(), out.copy()
        np.testing.assert_allclose(factor, min(1, clip / np.linalg.norm(wide)), rtol=4 * np.finfo(dtype).eps)
        p, p0 = np.zeros(n, dtype), np.zeros(n, dtype)
        cuda.sgd(p, g, None, 1.0, 1, factor=factor)
        twins.sgd(p0, g * factor, np.empty(n, dtype), 1.0, 1)
    close(p, p0, floor=np.abs(p0).max())
    with run_on(OnCpu("random", seed=5)):
        cuda.total(np.stack([g, -g]), out)
        cuda.clip_factor(g, clip, parts, factor)
    np.testing.assert_array_equal(factor, first[0])
    np.testing.assert_array_equal(out, first[1])
