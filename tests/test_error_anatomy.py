"""Claims about the anatomy of a derivative's error: the curves have the slopes and the floors that theory gives them."""

import json
import math

import matplotlib.image
import numpy as np
import pytest

from scratchvae.checks import error_anatomy
from scratchvae.checks.finite_difference import STEP
from scratchvae.errors import ConfigError
from scratchvae.plots.error_anatomy import draw_error_anatomy


def squire_and_trapp(x):
    return np.exp(x) / np.sqrt(np.sin(x) ** 3 + np.cos(x) ** 3)


@pytest.fixture(scope="module")
def anatomy():
    return error_anatomy(squire_and_trapp, 1.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_least_error_is_where_theory_puts_it(anatomy, dtype):
    """√ε at √ε and ε^⅔ at ∛ε, within the factor of 30 that the function's derivatives and luck leave; and not much less anywhere."""
    eps = np.finfo(dtype).eps
    for method, error, step in (("forward", eps ** (1 / 2), eps ** (1 / 2)), ("central", eps ** (2 / 3), eps ** (1 / 3))):
        there = anatomy.curves[method, dtype][np.abs(np.log(anatomy.steps / step)).argmin()]
        assert error / 30 < there < error * 30
        assert error / 30 < anatomy.best(method, dtype)[1] <= there
    assert anatomy.best("complex step", dtype)[1] <= eps


def test_our_own_step_is_near_the_best_central_one(anatomy):
    step, _ = anatomy.best("central")
    assert STEP / 10 < step < STEP * 10


def test_errors_fall_with_h_and_with_h_squared_where_the_series_is_cut_off(anatomy):
    fit = lambda method, dtype, low, high: np.polyfit(
        *(np.log(a[(anatomy.steps > low) & (anatomy.steps < high)]) for a in (anatomy.steps, anatomy.curves[method, dtype])), 1
    )[0]
    assert abs(fit("forward", "float64", 1e-6, 1e-2) - 1) < 0.05
    assert abs(fit("central", "float64", 1e-4, 1e-2) - 2) < 0.05
    assert abs(fit("complex step", "float64", 1e-6, 1e-2) - 2) < 0.05
    assert abs(fit("forward", "float64", 1e-14, 1e-9) + 1) < 0.2  # rounding: ε/h


def test_a_complex_step_stays_right_where_a_difference_is_zero(anatomy):
    tiny = anatomy.steps < 1e-17
    assert (anatomy.curves["central", "float64"][tiny] == 1).all()  # x + h is x
    for dtype in ("float32", "float64"):
        assert anatomy.curves["complex step", dtype][tiny].max() < 4 * np.finfo(dtype).eps


def test_a_slope_along_a_direction_and_one_that_is_known():
    x, v = np.array([0.5, 1.0, -2.0]), np.array([1.0, -1.0, 0.5])
    found = error_anatomy(lambda x: (x * x).sum(), x, v)
    assert found.slope == 2 * x @ v
    assert error_anatomy(lambda x: (x * x).sum(), x, v, slope=-3.0, steps=[1e-3]).slope == -3.0
    flat = error_anatomy(lambda x: x * x, 0.0)  # relative to a slope of 0 means nothing, so the error is absolute
    assert flat.slope == 0
    assert flat.curves["forward", "float64"][0] == 1


def test_beyond_the_numbers_there_is_a_gap():
    found = error_anatomy(lambda x: np.exp(x), 88.7, steps=[1.0, 1e-3])  # the largest float32 is e^88.72
    assert np.isnan(found.curves["forward", "float32"][0])
    assert np.isfinite(found.curves["forward", "float64"][0])
    json.dumps(found.to_dict(), allow_nan=False)
    lost = error_anatomy(lambda x: np.exp(x), 88.7, steps=[1.0])
    assert all(math.isnan(value) for value in lost.best("forward", "float32"))


@pytest.mark.parametrize(
    ("f", "options", "words"),
    [
        (math.sin, {}, "NumPy's functions"),
        (np.abs, {}, "real part"),
        (lambda x: np.stack([x, x]), {}, "must return a number"),
        (np.sin, {"v": [1.0, 2.0]}, "shape of x"),
        (np.sin, {"steps": [0.0]}, "above 0"),
        (np.sin, {"steps": []}, "above 0"),
    ],
)
def test_what_has_no_anatomy_is_refused(f, options, words):
    with pytest.raises(ConfigError, match=words):
        error_anatomy(f, 1.0, **options)


def test_it_reads_as_text_and_as_json(anatomy):
    note = json.loads(json.dumps(anatomy.to_dict(), allow_nan=False))
    assert {(c["method"], c["dtype"]) for c in note["curves"]} == set(anatomy.curves)
    assert "central       float64" in str(anatomy)


@pytest.mark.parametrize("f", [squire_and_trapp, lambda x: x, lambda x: np.exp(59.1 * x)])
def test_the_figure_is_drawn_whole(f, tmp_path):
    """Also when no error is above 0, and when some have left the numbers."""
    path = tmp_path / "anatomy.png"
    draw_error_anatomy(error_anatomy(f, 1.5), path)
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[:2] == (900, 1600)
    assert (pixels[:, :20, :3] == 1).all()  # the margin is white: nothing runs over it
    assert (pixels[:, -20:, :3] == 1).all()


def test_the_figure_says_when_a_curve_has_left_the_numbers(tmp_path):
    draw_error_anatomy(error_anatomy(lambda x: np.exp(x), 88.7, steps=[1.0, 0.5]), tmp_path / "lost.png")
    assert (tmp_path / "lost.png").stat().st_size > 10_000
