"""diagnose tells the usual mistakes apart, says nothing where there is none, and never guesses."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.checks.diagnose import agrees, as_numbers, diagnose

E = np.random.default_rng(0).normal(size=(5, 3))
SQUARE = np.random.default_rng(1).normal(size=(4, 4))
ROWS = np.random.default_rng(2).normal(size=5)
SPREAD = np.exp(np.random.default_rng(3).normal(size=(5, 3)))
SIZES = {"B": 5, "I": 3, "D": 7}
PARTLY = np.where(np.arange(15).reshape(5, 3) % 4 == 1, E + 1, E)


def changed(a, where, by=1.0):
    out = a.copy()
    out[where] += by
    return out


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        # shapes
        (E, E.T, r"has shape \(3, 5\) and should have \(5, 3\): the transposed is right, so look at which factor comes first"),
        (E, E.T + 1, r"the axes have changed places"),
        (E.sum(0), E, r"has shape \(5, 3\) and should have \(3,\): the sum over rows is missing"),
        (E.sum(1), E, r"the sum over columns is missing"),
        (E.sum(), E.ravel(), r"the sum over everything is missing"),
        (E, E.sum(0), r"it is the sum over rows of the right array, so one sum too many was taken"),
        (E, E.mean(1), r"it is the mean over columns of the right array, so one mean too many was taken"),
        (ROWS, ROWS.sum(), r"it is the sum over everything"),
        (E, E.mean(), r"it is the mean over everything"),
        (ROWS, ROWS[:, None], r"shape \(5, 1\) .* the numbers are right, but an axis of length 1 was kept or lost"),
        (ROWS[:, None], ROWS, r"the numbers are right, but an axis of length 1 was kept or lost"),
        (E, E.reshape(3, 5), r"the numbers are right, in another arrangement"),
        (ROWS, ROWS - ROWS[:, None], r"a row of numbers met a column of them, and NumPy made every pair"),
        (E, np.ones((2, 2)), r"^has shape \(2, 2\) and should have \(5, 3\)$"),
        # one wrong number everywhere
        (SQUARE, SQUARE.T, r"^is transposed: look at which factor comes first"),
        (E, 2 * E, r"^is twice too large everywhere$"),
        (E, E / 2, r"^is half of what it should be everywhere$"),
        (E, -E, r"^has the wrong sign everywhere$"),
        (E, -2 * E, r"twice too large everywhere, and of the wrong sign"),
        (E, E / 5, r"^is too small by a factor of 5, which is B: a mean where a sum was meant\?$"),
        (E, E * 7, r"^is too large by a factor of 7, which is D: a sum where a mean was meant, or a sum taken twice\?$"),
        (E, E / 35, r"too small by a factor of 35, which is B · D"),
        (E, 1.7 * E, r"^is 1\.7 times what it should be everywhere: a constant factor$"),
        (E, 1j * E, r"is complex and should be real"),
        (E, 0 * E, r"^is 0 everywhere$"),
        (E, E + 0.5, r"^is off by the same amount, \+0\.5, everywhere: a constant term"),
        # functions of it
        (SPREAD, SPREAD**2, r"square of what it should be: a variance where a standard deviation"),
        (SPREAD, np.sqrt(SPREAD), r"square root .*a standard deviation where a variance"),
        (E, np.exp(E), r"an exp too many"),
        (SPREAD, np.log(SPREAD), r"a log too many"),
        (E, 1 / E, r"one over what it should be"),
        (E, np.abs(E), r"lost its sign"),
        # not numbers, or not all
        (E, None, r"is None: is a `return` missing\?"),
        (E, "text", r"is not an array of numbers"),
        (E, [[1], [2, 3]], r"is not an array of numbers"),
        (E, np.full_like(E, np.nan), r"is NaN everywhere: it was never written, or 0/0"),
        (E, changed(E, (2, 1), np.inf), r"is NaN or infinite in 1 of 15 places"),
        # digits
        (E, E.astype(np.float32), r"is right to about [78] digits only"),
        (E, E * (1 + 1e-4 * SPREAD / SPREAD.max()), r"is right to about 4 digits only"),
        # in places
        (E, changed(E, 3), r"^is wrong in row 3 only$"),
        (E, changed(E, (slice(None), 1)), r"^is wrong in column 1 only$"),
        (E, changed(E, slice(1, None)), r"^is right in row 0 only$"),
        (np.maximum(E, 0), np.where(E > 0, E, 0.3), r"^is wrong exactly where it should be 0$"),
        (E, np.where(E < 0, 0.1 * E, E), r"^is wrong exactly where it should be negative$"),
        (E, np.where(E > 0, 0.1, E), r"^is wrong exactly where it should be positive$"),
        (E, PARTLY, r"^is right in 11 of 15 places$"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(expected, got, words):
    said = diagnose(expected, got, SIZES)
    assert said is not None
    assert re.search(words, said), said


def test_typical_mistakes_of_one_formula_come_first():
    assert diagnose(E, 2 * E, SIZES, [(3 * E, "no"), (2 * E, "forgets the half")]) == "forgets the half"
    assert diagnose(E, E, SIZES, [(E, "no")]) is None  # what is right is no mistake


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_what_agrees_is_not_diagnosed(rows, columns, seed):
    a = np.random.default_rng(seed).normal(size=(rows, columns))
    assert diagnose(a, a.copy()) is None
    assert diagnose(a, a * (1 + 1e-12)) is None  # rounding is no mistake
    assert agrees(a, a.tolist())


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
def test_numbers_that_have_nothing_to_do_with_each_other_get_no_words(rows, columns, seed):
    random = np.random.default_rng(seed)
    assert diagnose(random.normal(size=(rows, columns)), random.normal(size=(rows, columns)), {"B": rows, "I": columns}) is None


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99), st.sampled_from([2.0, 0.5, -1.0, -2.0, -0.5]))
def test_a_usual_factor_is_seen_in_any_array(rows, columns, seed, factor):
    a = np.random.default_rng(seed).normal(size=(rows, columns))
    assert re.search("twice|half|sign", diagnose(a, factor * a))


def test_a_single_number_is_not_said_to_be_off_by_a_factor_or_a_constant():
    assert diagnose(np.array([2.0]), np.array([3.1])) is None


def test_nothing_is_said_about_a_reference_that_is_not_finite():
    assert diagnose(np.array([np.nan, 1.0]), np.array([0.0, 1.0])) is None


def test_agreement_is_relative_to_the_largest_entry():
    assert agrees([1e6, 0.0], [1e6, 1e-4])
    assert not agrees([1.0, 0.0], [1.0, 1e-4])
    assert not agrees([1.0], [np.nan])
    assert not agrees([np.inf], [1.0])
    assert not agrees([1.0, 2.0], [[1.0, 2.0]])
    assert agrees(np.empty((0, 3)), np.empty((0, 3)))
    assert as_numbers([1, 2]).tolist() == [1, 2]


def test_the_arrays_are_left_alone():
    a, b = E.copy(), E.T.copy()
    diagnose(a, b, SIZES, [(b + 1, "no")])
    assert np.array_equal(a, E)
    assert np.array_equal(b, E.T)
