"""Sets that are made: the same bits from the same seed, and targets that agree with what is drawn."""

import hashlib

import numpy as np
import pytest

from scratchvae.data import Dataset, Split, generated, load, load_again, save_npz
from scratchvae.data.digits import FRAGMENTS, INK, MARGIN, MOST, PATCH, SIDE, SIZE, clutter, overlap
from scratchvae.data.noise import NOISE, drawn, noisy, whole
from scratchvae.data.stick_figures import JOINTS, LIMBS, SHADES, TORSO, WIDTH, figures, torso
from scratchvae.errors import ConfigError

DIGITS = load("mnist-small")
MAKERS = {
    "clutter": lambda count, seed, part: clutter(DIGITS.train, count, seed, part),
    "overlap": lambda count, seed, part: overlap(DIGITS.train, count, seed, part),
    "figures": figures,
}
# Of the fields of 300 training images from seed 0: what any machine must make.
SHA256 = {
    "clutter": "1b9fee8083b6c64c38604140a51fa84928289403e50b1026b92f3bc6c841f621",
    "overlap": "8a5994d0a5206c9f1bba16b521e7e594cc551e2291369e700af2307c24df8a07",
    "figures": "ce3c65a72f2bfdad8ad909ee5b9807967c82432f4107653ec057284a8a7cc72d",
}


def _sha256(split):
    digest = hashlib.sha256()
    for name, array in split.fields.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_makes_the_same_bits_anywhere_and_another_seed_or_part_makes_others(name):
    assert _sha256(MAKERS[name](300, 0, 0)) == SHA256[name]
    one, seed, part = (MAKERS[name](30, *which) for which in ((0, 0), (1, 0), (0, 1)))
    for field, array in one.fields.items():
        if field != "labels":  # which are those of the digits, in turn
            assert not np.array_equal(array, seed.fields[field])
            assert not np.array_equal(array, part.fields[field])


@pytest.mark.parametrize("name", MAKERS)
def test_an_image_is_a_function_of_its_row_and_not_of_how_many_there_are(name):
    few, many = MAKERS[name](7, 4, 0), MAKERS[name](230, 4, 0)
    for field, array in few.fields.items():
        np.testing.assert_array_equal(array, many.fields[field][:7])


def test_noise_moves_no_pixel_by_more_than_its_share():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16).repeat(40, axis=0)
    made = noisy(images, 0, 0, np.arange(40)).astype(float)
    dark = images * ((255 - NOISE) / 255)
    assert (np.abs(made - dark - NOISE / 2) <= NOISE / 2 + 0.5).all()
    assert abs((made - dark).mean() - NOISE / 2) < 0.5  # standard error 11.6 / √10,240 = 0.11
    assert len(np.unique(made[:, 3, 3])) > 20


# Digits -----------------------------------------------------------------------------------------------------------------


def test_the_clean_picture_is_a_whole_digit_and_its_label_is_that_digits():
    split = clutter(DIGITS.test, 1200, 5, 1)
    sources = DIGITS.test.images[np.arange(1200) % 1000]
    np.testing.assert_array_equal(split.labels, DIGITS.test.labels[np.arange(1200) % 1000])
    for clean, source in zip(split.fields["clean"], sources, strict=True):
        np.testing.assert_array_equal(clean[clean > 0], source[source > 0])


def test_a_segment_is_where_the_clean_digit_is_ink_and_the_picture_shows_ink_there():
    split = clutter(DIGITS.train, 400, 5, 0)
    clean, segments = split.fields["clean"], split.fields["segments"]
    np.testing.assert_array_equal(segments, np.where(clean >= INK, split.labels[:, None, None] + 1, 0))
    images = split.images.reshape(clean.shape)
    assert (images[segments > 0] >= INK * (255 - NOISE) / 255 - 0.5).all()


def test_clutter_adds_to_the_digit_and_takes_nothing_away():
    split = clutter(DIGITS.train, 400, 5, 0)
    clean = split.fields["clean"].reshape(split.images.shape)
    assert (split.images >= clean * ((255 - NOISE) / 255) - 0.5).all()
    added = (split.images >= INK) & (clean < INK)
    assert added.sum(axis=1).min() > 5  # in every picture
    assert added.sum(axis=1).max() <= FRAGMENTS * PATCH**2


def test_digits_overlap_as_if_drawn_one_by_one_and_a_pixel_is_of_the_one_in_front():
    count, seed = 40, 9
    split, rows = overlap(DIGITS.train, count, seed, 0), np.arange(count)
    chosen, several = whole(5000, seed, 0, 0, rows, MOST), 2 + whole(MOST - 1, seed, 0, 1, rows, 1)
    corners = whole(SIZE - SIDE + 2 * MARGIN + 1, seed, 0, 2, rows, 2 * MOST) - MARGIN
    ranks = np.argsort(drawn(seed, 0, 3, rows, MOST), axis=1)
    shades = 110 + 60 * ranks + whole(25, seed, 0, 4, rows, MOST)
    for i in range(count):
        clean, segments = np.zeros((2, SIZE, SIZE))
        for k in range(several[i, 0]):
            digit = DIGITS.train.images[chosen[i, k]].reshape(SIDE, SIDE)
            for y, x in np.argwhere(digit):
                at = y + corners[i, 2 * k], x + corners[i, 2 * k + 1]
                if min(at) >= 0 and max(at) < SIZE:
                    cover = digit[y, x] / 255
                    clean[at] = np.floor(cover * shades[i, k] + (1 - cover) * clean[at] + 127 / 255 + 1e-9)
                    if digit[y, x] >= INK:
                        segments[at] = DIGITS.train.labels[chosen[i, k]] + 1
        np.testing.assert_array_equal(split.fields["segments"][i], segments)
        np.testing.assert_array_equal(split.fields["clean"][i], clean)


def test_several_digits_are_two_or_three_of_brightnesses_that_can_be_told_apart():
    split = overlap(DIGITS.train, 600, 2, 0)
    clean, segments = split.fields["clean"], split.fields["segments"]
    found = [len(np.unique(each)) - 1 for each in segments]
    assert set(found) <= {1, 2, 3}  # one where both are of one class, or one hides the other
    assert np.bincount(found)[2:].min() > 150
    assert (clean[segments > 0] >= 110 * INK / 255 - 1).all()
    assert set(np.unique(segments)) == set(range(11))


# Figures ----------------------------------------------------------------------------------------------------------------


def _at(pictures, points):
    """The pixels nearest to the points.   (N, H, W), (N, J, 2) → (N, J)"""
    x, y = np.moveaxis(np.rint(points).astype(int), 2, 0)
    return pictures[np.arange(len(pictures))[:, None], y, x].astype(float)


def test_every_joint_lies_on_a_stroke_of_the_figure_and_the_near_ones_on_a_bright_one():
    split = figures(500, 3, 0)
    found = _at(split.fields["clean"], split.fields["points"])
    assert (found >= 255 * SHADES["far"] - 1).all()
    near = [joint.startswith("near") for joint in JOINTS]
    assert (found[:, near] >= 250).all()  # a pixel's centre is at most 0.71 from the joint, and the stroke covers it


def test_nothing_but_the_figure_is_drawn_on_the_clean_picture():
    split = figures(60, 3, 0)
    y, x = np.mgrid[:48, :48]
    for clean, points in zip(split.fields["clean"], split.fields["points"].astype(float), strict=True):
        at = dict(zip(JOINTS, points, strict=True))
        near = np.hypot(x - at["head"][0], y - at["head"][1]) < 0.25 * torso(points[None])[0] + 0.5
        for joint, other, *_ in LIMBS:
            for share in np.linspace(0, 1, 60):
                px, py = share * at[joint] + (1 - share) * at[other]
                near |= np.hypot(x - px, y - py) < WIDTH + 0.51
        assert not clean[~near].any()


def test_a_joint_is_hidden_where_the_box_is_and_seen_where_its_stroke_is():
    split = figures(1000, 6, 0)
    images, visible = split.images.reshape(-1, 48, 48), split.fields["visible"]
    found, mixed = _at(images, split.fields["points"]), (255 - NOISE) / 255
    assert (found[visible] >= 255 * SHADES["far"] * mixed - 1.5).all()
    assert (found[~visible] >= 60 * mixed - 0.5).all()
    assert (found[~visible] <= 140 * mixed + NOISE + 0.5).all()
    assert 0.1 < (~visible).mean() < 0.3
    assert abs(visible.all(axis=1).mean() - 0.25) < 0.045  # a quarter has no box; three standard errors are 0.041


def test_figures_have_their_proportions_and_lie_whole_in_the_picture():
    points = figures(1000, 6, 0).fields["points"].astype(np.float64)
    at = dict(zip(JOINTS, np.moveaxis(points, 1, 0), strict=True))
    length = torso(points)
    assert TORSO[0] - 1e-4 <= length.min() < length.max() <= TORSO[1] + 1e-4
    for joint, other, share, _ in LIMBS:
        np.testing.assert_allclose(np.linalg.norm(at[joint] - at[other], axis=1) / length, share, rtol=1e-5)
    assert 2 < points.min() < points.max() < 45
    left = (at["near knee"] + at["far knee"] - 2 * at["pelvis"])[:, 0] < 0
    assert 0.4 < left.mean() < 0.6  # half of them look to the left


# By name ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(generated, "COUNTS", {"mnist-small": (50, 20), "mnist": (60, 30)})


@pytest.mark.parametrize("name", MAKERS)
def test_a_set_is_found_again_by_its_name_and_seed_and_keeps_its_fields_in_a_file(name, few, tmp_path):
    data = load(name, seed=7).with_validation(0.2)
    assert data.location == name
    assert len(data.test.images) == 20
    assert load_again(data.note()).fingerprint == data.fingerprint != load(name).with_validation(0.2).fingerprint
    save_npz(data, tmp_path / "x.npz")
    assert load(tmp_path / "x.npz").fingerprint == data.fingerprint


@pytest.mark.parametrize("name", ["clutter", "overlap"])
def test_the_full_mnist_is_taken_by_its_own_name_and_training_images_never_show_test_digits(name, few):
    asked = []

    def white(which):
        """Digits that are all white in training and all grey in test."""
        asked.append(which)
        splits = [Split(np.full((9, 784), grey, np.uint8), np.arange(9)) for grey in (255, 200)]
        return Dataset("x", (28, 28), *splits, "made by a test")

    data = generated.generate(f"{name}-mnist", 0, white)
    assert asked == ["mnist"]
    assert (len(data.train.images), len(data.test.images)) == (60, 30)
    if name == "clutter":
        assert (data.train.fields["clean"].max(), data.test.fields["clean"].max()) == (255, 200)
    generated.generate(name, 0, white)
    assert asked[1:] == ["mnist-small"]


def test_what_means_nothing_for_a_set_that_is_made_is_refused():
    with pytest.raises(ConfigError, match="figures: size=.* means nothing here"):
        load("figures", size=20)
