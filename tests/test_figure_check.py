"""The check of figures sees each kind of fault, and nothing in a figure without one."""

import numpy as np
import pytest
from figure_check import APART, READERS, distances, faults
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform

BLUE, VERMILION = "#0072b2", "#d55e00"


@pytest.fixture
def panel():
    """One panel in the middle of a page, with room around it."""
    figure = Figure((6, 4), dpi=100)
    FigureCanvasAgg(figure)
    ax = figure.add_axes([0.2, 0.2, 0.6, 0.6])
    ax.plot([0, 1, 2], [1, 3, 2], "o-", color=BLUE, label="train")
    ax.plot([0, 1, 2], [2, 2, 3], "s--", color=VERMILION, label="test")
    ax.set(xlim=(-0.5, 2.5), ylim=(0, 4), xlabel="epoch", ylabel="nats per image", title="Loss")
    return ax


def test_a_figure_without_a_fault_passes(panel):
    panel.legend(loc="upper left", frameon=False)
    panel.text(1.2, 3.2, "best", bbox={"boxstyle": "circle", "facecolor": "white"})
    panel.grid()
    assert faults(panel.figure) == []


def outside(ax):
    ax.plot([1, 1.5], [1, 5], "D:", color=VERMILION, clip_on=False, label="late")


def hidden(ax):
    ax.plot([1, 1.5], [1, 5], "D:", color=VERMILION, label="late")


def hidden_area(ax):
    ax.bar([1], [6], color="none", edgecolor="black", width=0.2)


def hidden_point(ax):
    ax.scatter([1, 7], [1, 1], marker="^", color=BLUE)


def badge(ax):
    ax.text(2.45, 2, "7", bbox={"boxstyle": "circle", "facecolor": "white"})


def label(ax):
    ax.text(2.3, 0.5, "a value's label")


def text_on_text(ax):
    ax.figure.text(0.45, 0.82, "another title")


def text_on_curve(ax):
    ax.text(0.35, 1.9, "words")


def text_on_panel(ax):
    ax.figure.text(0.75, 0.25, "outside?")


def text_on_picture(ax):
    ax.figure.figimage(np.zeros((40, 40)), 5, 300)
    ax.figure.text(0.02, 0.8, "input")


def cut_label(ax):
    ax.set_ylabel("nats per image" + "\n" * 8 + "and more")


def cut_picture(ax):
    ax.figure.figimage(np.zeros((90, 20)), 0, 350)


def cut_frame(ax):
    ax.figure.add_artist(Rectangle((590, 5), 20, 20, transform=IdentityTransform()))


def colours_on_paper(ax):
    ax.plot([0, 1], [0.4, 0.4], color="#0072b2")
    ax.plot([0, 1], [0.8, 0.8], color="#d55e00")


PLANTED = [
    (outside, "Line2D 'late': 1 of its 2 points are drawn outside its axes (↑)"),
    (hidden, "Line2D 'late': 1 of its 2 points are hidden outside its axes and no ↑ says so"),
    (hidden_area, "points are hidden outside its axes and no ↑ says so"),
    (hidden_point, "1 of its 2 points are hidden outside its axes and no → says so"),
    (badge, "the badge '7' sticks out of its axes"),
    (label, "the label \"a value's label\" sticks out of its axes"),
    (text_on_text, "lies on 'Loss'"),
    (text_on_curve, "a curve runs through 'words'"),
    (text_on_panel, "'outside?' lies on the axes of another panel"),
    (text_on_picture, "'input' lies on a picture"),
    (cut_label, "is cut by the page's edge"),
    (cut_picture, "a picture is cut by the page's edge"),
    (cut_frame, "a frame is cut by the page's edge"),
    (colours_on_paper, "in grey print"),
]


@pytest.mark.parametrize(("plant", "words"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_fault_is_seen(panel, plant, words):
    plant(panel)
    assert any(words in fault for fault in faults(panel.figure)), faults(panel.figure)


def test_an_arrow_makes_a_hidden_point_honest(panel):
    hidden(panel)
    panel.text(0.99, 0.99, "↑ 5", transform=panel.transAxes, ha="right", va="top")
    assert faults(panel.figure) == []


@pytest.mark.parametrize(
    ("one", "other", "reader"),
    [("#1e4d69", "#db1c82", "protanopia"), ("#50c11b", "#da5f18", "deuteranopia"), ("#1ad3a5", "#08d200", "tritanopia")],
)
def test_a_pair_that_one_reader_cannot_tell_apart_is_named_with_that_reader(panel, one, other, reader):
    panel.plot([0, 1], [0.4, 0.4], "-.", color=one)
    panel.plot([0, 1], [0.8, 0.8], "-.", color=other)
    seen = distances(one, other)
    assert all((seen[name] < APART) == (name == reader) for name in seen if name != "grey print")
    assert seen["full colour vision"] > 6 * APART
    assert any(f"apart in {reader}" in fault for fault in faults(panel.figure))


def test_readers_see_white_as_white_and_their_own_confusions_as_one():
    for matrix in READERS.values():
        np.testing.assert_allclose(np.sum(matrix, axis=1), 1, atol=2e-6)
    assert max(distances("white", "#ffffff").values()) == 0
    assert distances("white", "black") == pytest.approx(dict.fromkeys(READERS, 100), abs=0.1)
    assert distances("#ff0000", "#00ff00")["full colour vision"] == pytest.approx(170.6, abs=0.5)  # CIELAB, D65
