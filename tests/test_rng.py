"""Claims about noise: it is Philox, it is normal, and it depends on (seed, stream, step, row, column) and nothing else.

Seeds are fixed, so no test here is random. Bounds are 4.5 standard errors: 1 in 150,000 for a right generator.
"""

import math

import numpy as np
import pytest

from scratchvae import rng
from scratchvae.errors import ConfigError

N = 200_000
ROWS = np.arange(N // 20)


@pytest.fixture(scope="module")
def eps():
    return rng.normal(1, rng.LATENT, 0, ROWS, 20, np.float64).reshape(-1)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123's kat_vectors for philox4x32 with 10 rounds
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_known_answers(counter, key, expected):
    assert tuple(int(w) for w in rng.philox(counter, key)) == expected


def test_words_are_philox_at_the_documented_counter():
    seed = (3 << 32) | 2
    got = rng.words(seed, stream=5, step=7, rows=np.array([11]), columns=10)[0]
    by_hand = np.concatenate([rng.philox((group, 11, 7, 5), (2, 3)) for group in range(3)])[:10]
    assert np.array_equal(got, by_hand)


def test_normal_is_box_muller_of_the_uniform():
    u = rng.uniform(1, rng.LATENT, 0, np.arange(50), 6, np.float64)
    radius, angle = np.sqrt(-2 * np.log(1 - u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    got = rng.normal(1, rng.LATENT, 0, np.arange(50), 6, np.float64)
    np.testing.assert_allclose(got[:, 0::2], radius * np.cos(angle), rtol=1e-12)
    np.testing.assert_allclose(got[:, 1::2], radius * np.sin(angle), rtol=1e-12)


def test_normal_has_the_moments_of_a_standard_normal(eps):
    """Standard errors of the first four moments of n normals: 1, √2, √6, √24 over √n."""
    limit = 4.5 / math.sqrt(eps.size)
    assert abs(eps.mean()) < limit
    assert abs(eps.var() - 1) < limit * math.sqrt(2)
    assert abs(np.mean(eps**3)) < limit * math.sqrt(15)  # E ε⁶ = 15
    assert abs(np.mean(eps**4) - 3) < limit * math.sqrt(96)  # E ε⁸ − 9 = 96


def test_normal_has_the_normal_distribution_function(eps):
    """Kolmogorov-Smirnov: P(√n D > 2.2) = 1.2e-4."""
    ordered = np.sort(eps)
    cdf = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in ordered])
    ranks = np.arange(eps.size + 1) / eps.size
    distance = max((ranks[1:] - cdf).max(), (cdf - ranks[:-1]).max())
    assert math.sqrt(eps.size) * distance < 2.2


def test_uniform_is_uniform_on_its_grid():
    u = rng.uniform(1, rng.PIXELS, 0, ROWS, 20, np.float64).reshape(-1)
    assert u.min() >= 0
    assert u.max() < 1
    assert np.array_equal(u * 2**24, np.floor(u * 2**24))
    assert math.sqrt(u.size) * np.abs(np.sort(u) - np.arange(u.size) / u.size).max() < 2.2
    assert abs(u.mean() - 0.5) < 4.5 * math.sqrt(1 / 12 / u.size)


def base(**changes):
    where = {"seed": 1, "stream": rng.LATENT, "step": 4, "rows": np.arange(10_000), "columns": 4} | changes
    return rng.normal(**where, dtype=np.float64)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"seed": 1 + 2**32},  # differs in the high word of the key alone
        {"stream": rng.SAMPLE},
        {"step": 5},
        {"rows": np.arange(10_000) + 10_000},
        {"rows": np.arange(10_000) + 1},
    ],
    ids=str,
)
def test_noise_that_differs_in_one_coordinate_is_independent(other):
    a, b = base(), base(**other)
    for i in range(4):
        for j in range(4):
            assert abs(np.mean(a[:, i] * b[:, j])) < 4.5 / math.sqrt(len(a))
            assert abs(np.mean((a[:, i] ** 2 - 1) * (b[:, j] ** 2 - 1))) < 4.5 * 2 / math.sqrt(len(a))


def test_columns_are_independent():
    """Also of each other's squares: the two halves of a Box-Muller pair share a radius, and yet are independent."""
    a = base(columns=7)
    n = len(a)
    off_diagonal = ~np.eye(7, dtype=bool)
    assert np.abs(a.T @ a / n)[off_diagonal].max() < 4.5 / math.sqrt(n)
    squares = a**2 - 1
    assert np.abs(squares.T @ squares / n)[off_diagonal].max() < 4.5 * 2 / math.sqrt(n)


def test_streams_have_numbers_of_their_own():
    streams = [rng.INIT, rng.SHUFFLE, rng.LATENT, rng.EVALUATE, rng.SAMPLE, rng.CHECK, rng.PIXELS]
    assert len({tuple(rng.words(0, s, 0, 0, 4)[0]) for s in streams}) == len(streams)


@pytest.mark.parametrize("draw", [rng.uniform, rng.normal, rng.words])
def test_any_subset_of_rows_steps_and_columns_is_the_slice(draw):
    steps, rows = np.arange(3, 8), np.arange(50)
    whole = draw(9, rng.LATENT, steps, rows, 13)
    assert whole.shape == (5, 50, 13)
    assert np.array_equal(draw(9, rng.LATENT, 5, rows, 13), whole[2])
    assert np.array_equal(draw(9, rng.LATENT, steps[1:3], rows[7:], 13), whole[1:3, 7:])
    assert np.array_equal(draw(9, rng.LATENT, steps, np.array([42, 0, 42]), 13), whole[:, [42, 0, 42]])
    assert np.array_equal(draw(9, rng.LATENT, steps, 6, 13), whole[:, 6:7])
    for columns in (1, 2, 3, 4, 5, 12):
        assert np.array_equal(draw(9, rng.LATENT, steps, rows, columns), whole[..., :columns])


def test_no_rows_and_no_columns_give_empty_arrays():
    assert rng.normal(0, rng.LATENT, 0, np.arange(0), 3).shape == (0, 3)
    assert rng.normal(0, rng.LATENT, 0, np.arange(3), 0).shape == (3, 0)


def test_both_dtypes_hold_the_same_noise():
    """uniform exactly; normal to the rounding of 2πu₂ ≤ 6.3 (half a unit in the last place: 2.4e-7) times |ε| ≤ 5.77."""
    rows = np.arange(5_000)
    narrow, wide = (rng.uniform(3, 0, 0, rows, 8, t) for t in (np.float32, np.float64))
    assert narrow.dtype == np.float32
    assert wide.dtype == np.float64
    assert np.array_equal(narrow, wide)
    narrow, wide = (rng.normal(3, 0, 0, rows, 8, t) for t in (np.float32, np.float64))
    assert narrow.dtype == np.float32
    assert wide.dtype == np.float64
    assert np.abs(narrow - wide).max() < 6 * 4e-7


def test_normal_is_finite_where_the_uniform_is_zero_or_largest():
    """u₁ = 1 − u lies in (0, 1]: at u = 0 the radius is 0, at u = 1 − 2⁻²⁴ it is √(48 ln 2)."""
    assert np.abs(rng.normal(1, rng.LATENT, 0, ROWS, 20)).max() <= math.sqrt(48 * math.log(2)) + 1e-6


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation_is_a_permutation(n):
    assert np.array_equal(np.sort(rng.permutation(5, 2, n)), np.arange(n))


def test_permutation_depends_on_seed_and_epoch_and_nothing_else():
    first = rng.permutation(5, 2, 1000)
    assert np.array_equal(first, rng.permutation(5, 2, 1000))
    assert not np.array_equal(first, rng.permutation(6, 2, 1000))
    assert not np.array_equal(first, rng.permutation(5, 3, 1000))
    # A random order leaves 1 image in its place on average, with variance 1; and is not correlated with the identity.
    assert (first == np.arange(1000)).sum() < 7
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 4.5 / math.sqrt(1000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": "0"}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seed": None}, "seed"),
        ({"step": -1}, "step"),
        ({"step": 2**32}, "step"),
        ({"rows": np.array([0, -5])}, "row"),
        ({"rows": np.array([2**32])}, "row"),
    ],
    ids=str,
)
def test_numbers_outside_their_range_are_refused_by_name(changes, said):
    with pytest.raises(ConfigError, match=f"^{said} must be (a whole number of at least|between) 0 and"):
        base(**changes)


def test_the_ends_of_the_ranges_work():
    last = rng.words(2**64 - 1, rng.LATENT, 2**32 - 1, np.array([2**32 - 1]), 4)
    assert np.array_equal(last[0], rng.philox((0, 2**32 - 1, 2**32 - 1, rng.LATENT), (2**32 - 1, 2**32 - 1)))


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.complex64, "float32", None])
@pytest.mark.parametrize("draw", [rng.uniform, rng.normal])
def test_noise_is_float32_or_float64_and_nothing_else(draw, dtype):
    with pytest.raises(ConfigError, match=r"dtype must be np\.float32 or np\.float64"):
        draw(0, rng.CHECK, 0, 0, 2, dtype)


@pytest.mark.parametrize(("changes", "said"), [({"step": 0.5}, "step"), ({"rows": np.array([0.5])}, "row"), ({"step": [1, 2.5]}, "step")])
def test_steps_and_rows_are_whole_numbers(changes, said):
    with pytest.raises(ConfigError, match=f"^{said} must be whole numbers"):
        base(**changes)
