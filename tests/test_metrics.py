"""Dice, IoU, PCK and PSNR against cases counted by hand, and heat maps against their formula."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.data.stick_figures import figures, torso
from scratchvae.errors import ConfigError, DataError
from scratchvae.evaluate import confusion, dice, iou, pck, peaks, psnr
from scratchvae.ops.numpy import heat_maps

TRUTH = np.array([[[0, 0, 1], [0, 1, 1]], [[2, 2, 0], [0, 0, 0]]])
CALLED = np.array([[[0, 1, 1], [0, 1, 0]], [[2, 0, 0], [0, 0, 4]]])


def test_confusion_counts_every_pixel_by_what_it_is_and_what_it_was_called():
    # of the 7 pixels of ground, 5 are called so, one is called 1 and one 4
    expected = [[5, 1, 0, 0, 1], [1, 2, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(confusion(CALLED, TRUTH, 5), expected)


def test_dice_and_iou_of_each_class_are_those_counted_by_hand():
    counts = confusion(CALLED, TRUTH, 5)
    # ground: 5 in both, 7 called and 7 there; 1: 2, 3, 3; 2: 1, 1, 2; 3: nowhere; 4: called once and never there
    np.testing.assert_allclose(dice(counts), [10 / 14, 4 / 6, 2 / 3, np.nan, 0], rtol=1e-15)
    np.testing.assert_allclose(iou(counts), [5 / 9, 2 / 4, 1 / 2, np.nan, 0], rtol=1e-15)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_iou_follows_from_dice_and_both_are_one_for_the_truth_itself(pairs):
    called, truth = np.array(pairs).T
    counts = confusion(called, truth, 4)
    np.testing.assert_allclose(iou(counts), dice(counts) / (2 - dice(counts)), rtol=1e-14)
    perfect = dice(confusion(truth, truth, 4))
    np.testing.assert_array_equal(np.isnan(perfect), np.bincount(truth, minlength=4) == 0)
    assert (perfect[~np.isnan(perfect)] == 1).all()


@pytest.mark.parametrize(
    ("called", "message"),
    [(TRUTH + 3, "from 0 to 4"), (TRUTH - 1, "from 0 to 4"), (TRUTH / 1, "from 0 to 4"), (TRUTH[:1], "shape")],
)
def test_classes_that_are_none_are_refused(called, message):
    with pytest.raises(DataError, match=message):
        confusion(called, TRUTH, 5)


def test_a_matrix_of_more_classes_than_fit_in_memory_is_refused():
    with pytest.raises(ConfigError, match="classes must be a whole number of at least 1 and at most 10,000"):
        confusion(TRUTH, TRUTH, 10**9)


def test_pck_is_the_share_within_alpha_times_the_reference_of_the_joints_that_count():
    points = np.zeros((4, 2, 2))
    found = np.array([[[3, 4], [0, 0]], [[3, 4.01], [0, 1]], [[-3, -4], [9, 9]], [[0, 10], [9, 9]]])
    reference = np.array([10, 10, 10, 20.0])
    # at alpha ½: within 5 pixels, and within 10 for the last figure, edges included
    np.testing.assert_allclose(pck(found, points, reference, 0.5), [3 / 4, 2 / 4])
    seen = np.array([[True, False], [False, True], [True, False], [True, False]])
    np.testing.assert_allclose(pck(found, points, reference, 0.5, seen), [1, 1])
    np.testing.assert_array_equal(pck(found, points, reference, 0.5, seen & [True, False]), [1, np.nan])
    np.testing.assert_allclose(pck(2 * found, 2 * points, 2 * reference, 0.5), pck(found, points, reference, 0.5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reference": np.array([1.0, 0])}, "reference: row 1 is 0"),
        ({"reference": np.ones((2, 1))}, "give .N, joints, 2. twice"),
        ({"predicted": np.zeros((2, 4, 2))}, "give .N, joints, 2. twice"),
        ({"predicted": np.full((2, 3, 2), np.nan)}, "predicted: row 0, column .0, 0. is nan"),
        ({"counted": np.ones((2, 3))}, "True or False for each joint"),
    ],
)
def test_pck_refuses_what_it_cannot_count(changed, message):
    given = {"predicted": np.zeros((2, 3, 2)), "points": np.zeros((2, 3, 2)), "reference": np.ones(2)}
    with pytest.raises(DataError, match=message):
        pck(**given | changed)


def test_psnr_of_an_error_beyond_the_numbers_is_minus_infinity_without_a_warning():
    with warnings.catch_warnings(action="error"):
        np.testing.assert_array_equal(psnr([[1e200]], [[0.0]]), [-np.inf])


def test_psnr_is_that_of_its_definition():
    truth = np.zeros((3, 2, 5))
    off = truth + np.array([0.1, 1.0, 0])[:, None, None]
    np.testing.assert_allclose(psnr(off, truth), [20, 0, np.inf], atol=1e-12)
    np.testing.assert_allclose(psnr(off[:2] * 255, truth[:2], peak=255), [20, 0], atol=1e-12)
    half = truth[:1].copy()
    half[0, 0] = 0.1  # half of the pixels off by 0.1: 3.01 dB better than all of them
    np.testing.assert_allclose(psnr(half, truth[:1]), 20 + 10 * np.log10(2))


def test_a_heat_map_is_a_gaussian_of_the_given_width_with_its_top_at_the_joint():
    points = np.array([[[3.0, 5.0], [0.0, 0.0]], [[6.5, 2.25], [40, 5]]])
    maps = heat_maps(points, 1.5, np.empty((2, 9, 8, 2)))
    for b in range(2):
        for j in range(2):
            for h in range(9):
                for w in range(8):
                    d2 = (w - points[b, j, 0]) ** 2 + (h - points[b, j, 1]) ** 2
                    assert maps[b, h, w, j] == pytest.approx(np.exp(-d2 / (2 * 1.5**2)), rel=1e-12)
    assert maps[0, 5, 3, 0] == 1
    unseen = heat_maps(points, 1.5, np.empty((2, 9, 8, 2), np.float32), seen=np.array([[True, False], [True, True]]))
    assert not unseen[0, :, :, 1].any()
    np.testing.assert_array_equal(unseen[:, :, :, 0], maps[:, :, :, 0].astype(np.float32))


def test_the_peak_of_a_heat_map_is_within_a_quarter_of_a_pixel_of_its_joint():
    split = figures(200, 0, 0)
    points = split.fields["points"]
    found = peaks(heat_maps(points, 1.0, np.empty((200, 48, 48, 11), np.float32)))
    assert np.abs(found - points).max() <= 0.25 + 1e-3
    assert (pck(found, points, torso(points), alpha=0.1) == 1).all()


def test_a_peak_at_the_edge_is_not_moved_out_of_the_map():
    maps = np.zeros((1, 4, 6, 2))
    maps[0, 0, 5, 0] = maps[0, 3, 0, 1] = 1
    maps[0, 1, 5, 0] = 0.5
    np.testing.assert_array_equal(peaks(maps), [[[5, 0], [0, 3]]])
