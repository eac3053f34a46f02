"""The figures: every one is a whole PNG, says what it shows, clips no label, and bears odd data."""

import subprocess
import sys
from math import prod
from statistics import NormalDist

import matplotlib.image
import numpy as np
import pytest
from figure_check import faults, remembered
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from scratchvae import plots
from scratchvae.data.dataset import Dataset, Split
from scratchvae.errors import ConfigError, DataError, NonFiniteError, ScratchVAEError, ShapeError
from scratchvae.models import VAE, Autoencoder, Hourglass, UNet
from scratchvae.plots import images as image_plots
from scratchvae.plots import latent, loss, page, tiles, traversal
from scratchvae.plots.predictions import in_colours

SHAPE = (6, 5)
DESCRIBE = "VAE 30-8-3, noise (40 images), epoch 2"


def make(kind=VAE, shape=SHAPE, latent=3, dtype=np.float32, **options):
    return kind(prod(shape), hidden=(8,), latent=latent, seed=1, dtype=dtype, **options)


def noise(n=40, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, prod(shape)), dtype=np.uint8)


def digits(n=40):
    return np.arange(n, dtype=np.uint8) % 10


def history(epochs=3, kl=True, scale=1.0, beta=1.0, measured=("test",), turn=None):
    """Records like those of a run: a training line every tenth of an epoch, lines of the measured splits after each epoch.

    turn: the epoch from which on the model overfits: a measured loss then rises by 2 nats in each.
    """
    lines = []
    for step in range(1, 10 * epochs + 1):
        for split in ("train",) if step % 10 else ("train", *measured):
            rise = 2 * max(0, step / 10 - turn) if turn and split != "train" else 0
            parts = {"reconstruction": scale * (80 + 400 * np.exp(-step / 4)) + rise, "kl": 20 - 15 / step}
            parts = parts if kl else {"reconstruction": parts["reconstruction"]}
            total = parts["reconstruction"] + beta * parts.get("kl", 0)
            lines.append({"split": split, "step": step, "epoch": step / 10, "loss": total, **parts, "lr": 1e-3})
    return lines


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Every page made by a test. When the test ends, none that was drawn may have a fault."""
    pages, init = [], page.Page.__init__

    def remember_page(self, *arguments, **options):
        init(self, *arguments, **options)
        pages.append(self)

    monkeypatch.setattr(page.Page, "__init__", remember_page)
    with remembered() as texts:
        yield pages
    assert [fault for figure, found in texts.items() for fault in faults(figure, found)] == []


@pytest.fixture
def unsaved(monkeypatch):
    """Figures are drawn and looked at, but not compressed, which is a third of the time."""

    def draw_only(canvas, path):
        canvas.draw()
        path.write_bytes(b"drawn")

    monkeypatch.setattr(page.FigureCanvasAgg, "print_png", draw_only)


def words(sheet):
    return [text.get_text() for text in sheet.figure.findobj(Text) if text.get_text()]


def size(path):
    """Width and height of a file that must be a readable PNG."""
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width, _ = matplotlib.image.imread(path).shape
    return width, height


# All figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shape"), [(VAE, (6, 5)), (Autoencoder, (1, 30)), (VAE, (30, 1))])
def test_draw_all_writes_every_figure_as_a_whole_png_of_the_stated_size(tmp_path, drawn, kind, shape):
    data = Dataset("noise", shape, Split(noise(shape=shape), digits()), Split(noise(20, shape), digits(20)), "made up")
    paths = plots.draw_all(make(kind, shape, 2), data, history(kl=kind is VAE), tmp_path / "figures", DESCRIBE)
    names = ["loss", "reconstructions", "samples", "latent", "manifold", "traversal"]
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    assert sorted(paths) == sorted((tmp_path / "figures").iterdir())
    assert [size(path) for path in paths] == [sheet.size for sheet in drawn]
    assert size(paths[0]) == (1600, 900)
    assert max(max(size(path)) for path in paths) <= 2000
    for sheet in drawn:
        assert DESCRIBE in words(sheet)


ODD_RUNS = {
    # shape, latents, images, options of the model
    "colour": ((7, 5, 3), 2, 30, {}),
    "a series": ((1, 60), 2, 30, {"likelihood": "gaussian"}),
    "a table": ((1, 5), 1, 30, {"likelihood": "gaussian"}),
    "very wide": ((2, 300), 2, 30, {}),
    "very tall in colour": ((300, 2, 3), 1, 30, {}),
    "one pixel": ((1, 1), 1, 30, {}),
    "one image": ((6, 5), 2, 1, {}),
    "200 latents": ((6, 5), 200, 30, {}),
}


@pytest.mark.parametrize(("odd", "kind"), [*((odd, VAE) for odd in ODD_RUNS), ("a table", Autoencoder), ("one image", Autoencoder)])
def test_the_figures_of_odd_runs_are_drawn_without_a_fault(tmp_path, drawn, unsaved, odd, kind):
    shape, latents, images, options = ODD_RUNS[odd]
    data = Dataset("odd", shape, Split(noise(images, shape), digits(images)), Split(noise(images, shape), digits(images)), "made up")
    paths = plots.draw_all(make(kind, shape, latents, **options), data, history(1), tmp_path, DESCRIBE)
    assert len(paths) == len(drawn) == 6 - (latents != 2)
    assert max(max(sheet.size) for sheet in drawn) <= 2000


@pytest.mark.parametrize("value", [0, 255])
def test_the_figures_of_constant_data_are_drawn_without_a_fault(tmp_path, unsaved, value):
    split = Split(np.full((20, 30), value, np.uint8), np.zeros(20, np.uint8))
    plots.draw_all(make(latent=2), Dataset("constant", SHAPE, split, split, "made up"), history(1), tmp_path, DESCRIBE)


def test_the_manifold_is_left_out_unless_there_are_two_latents_and_the_loss_without_records(tmp_path):
    data = Dataset("noise", SHAPE, Split(noise(), None), Split(noise(1), None), "no labels")
    paths = plots.draw_all(make(), data, [], tmp_path, DESCRIBE)
    assert [path.stem for path in paths] == ["reconstructions", "samples", "latent", "traversal"]


def test_figures_need_no_pyplot_and_importing_scratchvae_needs_no_matplotlib(tmp_path):
    script = f"""
import sys
import scratchvae, scratchvae.models
assert not [name for name in sys.modules if name.startswith("matplotlib")]
from scratchvae import plots
plots.draw_samples(scratchvae.models.VAE(4, hidden=(), latent=1), (2, 2), {str(tmp_path / "s.png")!r}, "Samples", n=4)
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert size(tmp_path / "s.png")[0] == 760 + 2 * page.MARGIN  # the narrowest page


def test_drawing_changes_no_setting_of_matplotlib(tmp_path):
    before = matplotlib.rcParams.copy()
    plots.draw_samples(make(), SHAPE, tmp_path / "s.png", "Samples", n=4)
    assert matplotlib.rcParams.copy() == before


def test_a_failed_drawing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "samples.png"
    path.write_bytes(b"old")

    def half(self, target, **options):
        target.write_bytes(b"\x89PNG and then the disk was full")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(page.FigureCanvasAgg, "print_png", half)
        with pytest.raises(OSError, match="no space"):
            plots.draw_samples(make(), SHAPE, path, "Samples", n=4)
    with pytest.raises(ZeroDivisionError), page.page(path, "Title", 800, 100):
        _ = 1 / 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_stands_on_the_page_pixel_for_pixel(tmp_path):
    pixels = np.linspace(0, 1, 7 * 11).reshape(7, 11)
    with page.page(tmp_path / "p.png", "Title", 800, 40) as sheet:
        sheet.picture(13, 5, pixels)
    image = matplotlib.image.imread(tmp_path / "p.png")
    top, left = sheet.top + 5, page.MARGIN + 13
    assert np.abs(image[top : top + 7, left : left + 11, 0] - pixels).max() <= 2 / 255  # one of 256 grays, rounded twice
    assert image[top - 2 : top, :, :3].min() == image[top + 8 : top + 10, :, :3].min() == 1  # and the page around it is white


def test_a_long_title_is_broken_into_lines_and_a_dollar_stays_a_dollar(tmp_path, drawn):
    title = "A heading with $1 and $2 in it that goes on and on until the page ends\n" + "unbroken" * 40
    plots.draw_samples(make(), SHAPE, tmp_path / "s.png", title, n=4)
    lines = words(drawn[0])
    assert len(lines) >= 4
    assert "$1 and $2" in " ".join(lines)
    assert "".join(lines).endswith("unbroken" * 40)


def test_a_title_of_any_length_leaves_room_for_what_is_drawn(tmp_path, drawn):
    sheet = page.Page("heading " * 90 + "\n" + "10-" * 900 + "\nNats per image", 1600, 900, whole=True)
    assert sheet.height > 450
    lines = words(sheet)
    assert [line.endswith(" …") for line in lines] == [False, True, *[False] * 5, True, False]
    assert [line[:7] for line in lines[:3]] == ["heading", "heading", "10-10-1"]
    assert lines[-1] == "Nats per image"


# Loss -----------------------------------------------------------------------------------------------------------------


def test_a_name_and_lines_that_just_fit_are_left_whole_and_one_more_is_cut():
    assert page.shorter("x" * 24) == "x" * 24
    assert page.shorter("x" * 25) == "x" * 23 + "…"
    assert page.at_most(2, ["first", "second"]) == ["first", "second"]
    assert page.at_most(2, ["first", "second", "third"]) == ["first", "sec …"]


def test_a_word_too_wide_for_a_line_is_broken_where_the_line_is_full():
    lines = page.wrap("m" * 100, page.BODY, 300)
    assert "".join(lines) == "m" * 100
    width = lambda letters: page.text_width(letters, page.BODY)
    for line in lines[:-1]:
        assert width(line) <= 300 < width(line + "m")


def test_the_scale_of_a_loss_leaves_a_little_room_on_both_sides():
    low, high, scale = loss.limits({"train": (np.arange(3.0), np.array([100.0, 150.0, 200.0]))}, 2)
    assert (low, high, scale) == (94.0, 206.0, "linear")


def test_the_loss_of_a_vae_has_three_panels_and_that_of_an_autoencoder_one(tmp_path, drawn):
    plots.draw_loss(history(), tmp_path / "vae.png")
    plots.draw_loss(history(beta=4), tmp_path / "beta.png")
    plots.draw_loss(history(kl=False), tmp_path / "ae.png")
    panels = [[name for name in words(sheet) if name in ("−ELBO", "Objective", "Reconstruction", "KL")] for sheet in drawn]
    assert panels == [["−ELBO", "Reconstruction", "KL"], ["Objective", "Reconstruction", "KL"], ["Reconstruction"]]
    assert all(sheet.figure.axes[0].get_ylabel() == "nats per image" for sheet in drawn)
    assert {"● test 99.72", "● test 80.22", "● test 19.50"} <= set(words(drawn[0]))  # the formulas of history() at step 30


def test_the_loss_curves_are_the_records(tmp_path, drawn):
    plots.draw_loss(history(), tmp_path / "loss.png")
    for ax, key in zip(drawn[0].figure.axes, ("loss", "reconstruction", "kl"), strict=True):
        train, test = ([(r["epoch"], r[key]) for r in history() if r["split"] == split] for split in ("train", "test"))
        assert [line.get_xydata().tolist() for line in ax.lines] == [[list(p) for p in train], [list(p) for p in test]]


def test_nan_missing_and_infinite_values_leave_gaps(tmp_path, drawn):
    records = history(epochs=2)
    test = [r for r in records if r["split"] == "test"]
    records[3]["kl"], records[5]["kl"], records[12]["kl"] = float("nan"), float("inf"), None
    del records[14]["kl"]
    test[-1]["kl"] = float("nan")
    records.append({"split": "train", "step": 21, "epoch": None, "loss": 1.0})
    plots.draw_loss(records, tmp_path / "loss.png")
    train, tests = (line.get_ydata() for line in drawn[0].figure.axes[2].lines)
    # Step 10 and 20 have two records each: records[12] is training step 12, and records[14] step 14.
    assert np.flatnonzero(np.isnan(train)).tolist() == [3, 5, 11, 13]
    assert np.isnan(tests).tolist() == [False, True]
    assert drawn[0].figure.axes[2].lines[0].get_markevery() == [4, 12]  # a value alone between two gaps is a point
    assert "● test not finite" in words(drawn[0])


@pytest.mark.parametrize(
    "records",
    [
        history(epochs=60, scale=200),
        history(scale=-150),
        history(scale=1e-3),
        [{"split": "test", "step": 1, "epoch": 1.0, "loss": 3.0, "reconstruction": 3.0}],
        [{"split": "train", "step": 0, "epoch": 0, "loss": 0.0}],
        [{"split": split, "epoch": e, "loss": 7, "reconstruction": 7} for e in range(3) for split in ("train", "test")],
    ],
)
def test_losses_of_any_size_and_number_are_drawn_with_room_for_their_labels(tmp_path, records):
    plots.draw_loss(records, tmp_path / "loss.png", "Loss")
    assert size(tmp_path / "loss.png") == (1600, 900)


def test_the_first_fall_is_cut_off_and_said_to_be(tmp_path, drawn):
    records = history(epochs=20)
    plots.draw_loss(records, tmp_path / "loss.png")
    top = drawn[0].figure.axes[1].get_ylim()[1]
    assert top < 200 < records[0]["reconstruction"]
    assert f"↑ {records[0]['reconstruction']:.4g}" in words(drawn[0])
    assert len([text for text in words(drawn[0]) if "↑" in text]) == 2  # the KL only rises: nothing is cut


def slow_fall():
    """The main job's own: after the first of 60 epochs the test loss is still far above the rest."""
    falls = [{**r, "reconstruction": 80 + 400 * np.exp(-r["epoch"])} for r in history(60)]
    return [{**r, "loss": r["reconstruction"] + r["kl"]} for r in falls]


def test_every_measured_point_lies_in_its_panel_and_of_the_training_line_only_the_first_fall_does_not(tmp_path, drawn):
    plots.draw_loss(slow_fall(), tmp_path / "loss.png")
    for ax in drawn[0].figure.axes:
        (low, high), (train, test) = ax.get_ylim(), (line.get_xydata() for line in ax.lines)
        assert ((low < test[:, 1]) & (test[:, 1] < high)).all()
        assert train[train[:, 1] > high, 0].max(initial=0) <= 60 / 20
        assert train[:, 1].min() > low
    assert drawn[0].figure.axes[0].get_ylim()[1] < slow_fall()[0]["loss"]  # and that does


BOTH = ("validation", "test")


def test_the_best_epoch_is_that_of_the_least_validation_loss_and_is_ringed(tmp_path, drawn):
    records = history(epochs=12, measured=BOTH, turn=7)
    plots.draw_loss(records, tmp_path / "loss.png")
    least = min((r for r in records if r["split"] == "validation"), key=lambda r: r["loss"])
    assert 1 < least["epoch"] < 12
    for ax, key in zip(drawn[0].figure.axes, ("loss", "reconstruction", "kl"), strict=True):
        ring = ax.lines[-1]
        assert (ring.get_fillstyle(), ring.get_xydata().tolist()) == ("none", [[least["epoch"], least[key]]])
    assert f"○ best: epoch {least['epoch']:g}" in words(drawn[0])


def test_test_values_alone_name_no_epoch_the_best(tmp_path, drawn):
    plots.draw_loss(history(epochs=12, turn=7), tmp_path / "loss.png")
    assert not [text for text in words(drawn[0]) if "best" in text]
    assert [len(ax.lines) for ax in drawn[0].figure.axes] == [2, 2, 2]


def test_the_key_says_which_curve_is_which_and_its_last_value(tmp_path, drawn):
    records = history(epochs=4, measured=BOTH, turn=2)
    plots.draw_loss(records, tmp_path / "loss.png")
    for split, colour, sign in (("validation", page.GREEN, "◆"), ("test", page.VERMILION, "●")):
        last = [r for r in records if r["split"] == split][-1]
        (key,) = [t for t in drawn[0].figure.findobj(Text) if t.get_text() == f"{sign} {split} {last['loss']:.2f}"]
        curve = [line for line in drawn[0].figure.axes[0].lines if line.get_color() == key.get_color() == colour]
        assert curve[0].get_ydata()[-1] == last["loss"]


def test_an_upright_line_stands_where_a_chapter_begins(tmp_path, drawn):
    plots.draw_loss(history(epochs=4), tmp_path / "loss.png", chapters=[0, 1.5, 4])
    for ax in drawn[0].figure.axes:  # at the run's own beginning and end there is nothing to show
        assert [line.get_xdata() for line in ax.lines if line.get_linestyle() == ":"] == [[1.5, 1.5]]


def diverging():
    records = history(epochs=6)
    for r in records[-18:]:
        r["loss"] = r["reconstruction"] = r["reconstruction"] * 10 ** (r["epoch"] - 4)
    return [*records, {"split": "test", "step": 70, "epoch": 7.0, "loss": float("nan"), "reconstruction": float("inf"), "kl": None}]


def test_where_training_diverges_the_scale_is_logarithmic_and_says_so(tmp_path, drawn):
    plots.draw_loss(diverging(), tmp_path / "loss.png")
    assert [ax.get_yscale() for ax in drawn[0].figure.axes] == ["log", "log", "linear"]
    assert [text for text in words(drawn[0]) if text.endswith(", log scale")]
    largest = max(r["loss"] for r in diverging() if np.isfinite(r["loss"]))
    assert drawn[0].figure.axes[0].get_ylim()[1] > largest


ODD_RECORDS = {
    "one epoch": history(1),
    "one epoch of everything": history(1, measured=BOTH),
    "a slow fall": slow_fall(),
    "500 epochs": history(500, measured=BOTH, turn=300),
    "diverging": diverging(),
    "no test": history(9, measured=()),
    "test alone": [r for r in history(9) if r["split"] == "test"],
    "enormous": history(9, scale=1e7, measured=BOTH),
    "tiny": history(9, scale=1e-6, kl=False),
    "negative": history(9, scale=-3e4, measured=BOTH),
    "constant": [{"split": split, "epoch": e, "loss": 7, "kl": 0, "reconstruction": 7} for e in range(9) for split in ("train", *BOTH)],
    "NaN everywhere but once": [{"split": "train", "epoch": e, "loss": 7.0 if e == 5 else float("nan")} for e in range(9)],
    "a late spike": [{**r, "loss": r["loss"] * (50 if r["epoch"] == 7.5 else 1)} for r in history(9)],
}


@pytest.mark.parametrize("records", ODD_RECORDS.values(), ids=ODD_RECORDS)
def test_the_losses_of_odd_runs_are_drawn_without_a_fault(tmp_path, unsaved, records):
    plots.draw_loss(records, tmp_path / "loss.png", chapters=[2.5])


@pytest.mark.parametrize("records", [[], [{"split": "train", "step": 1, "epoch": 0.1, "loss": float("nan")}]])
def test_no_finite_loss_is_refused(tmp_path, records):
    with pytest.raises(DataError, match="no loss to draw"):
        plots.draw_loss(records, tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("records", [[1, 2], ["loss"], [{"split": "train", "epoch": "one", "loss": 1.0}], None])
def test_what_is_no_record_is_refused(tmp_path, records):
    with pytest.raises(DataError, match="no records of a run"):
        plots.draw_loss(records, tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())


def test_tick_labels_are_short():
    assert [loss.number(y, 5) for y in (0.5, -2, 1e-17)] == ["0.5", "−2", "0"]
    assert [loss.number(y, 20_000) for y in (-12_500, 0)] == ["−12.5k", "0k"]
    assert [loss.number(*y) for y in ((2.5e6, 3e6), (-2e9, 3e9), (-2e14, 3e14))] == ["2.5M", "−2G", "−2e+14"]


# Images ---------------------------------------------------------------------------------------------------------------


def test_a_7_and_a_2_come_first_then_one_of_each_other_class():
    labels = np.array([5, 5, 2, 1, 7, 2, 0, 7, 3, 4, 6, 8, 9])
    assert image_plots.chosen(labels) == [4, 2, 6, 3, 8, 9, 0, 10, 11, 12]
    assert image_plots.chosen(np.array([1, 1, 2, 1])) == [2, 0, 1, 3]  # no 7; the rest fill up
    assert image_plots.chosen(np.zeros(30, int)) == list(range(10))
    assert image_plots.chosen(np.arange(30)[::-1])[:3] == [22, 27, 29]  # of more than ten classes, the first ten
    assert len(image_plots.chosen(np.arange(30))) == 10


def test_reconstructions_show_inputs_over_outputs(tmp_path, drawn):
    model, x, y = make(), noise(), digits()
    plots.draw_reconstructions(model, x, y, SHAPE, tmp_path / "r.png", "Reconstructions")
    assert [t for t in words(drawn[0]) if t.isdigit()] == list("7201345689")
    shown = [image.get_array() for image in drawn[0].figure.images]
    h, w = shown[0].shape
    assert (h % 6, w % 5, h // 6 == w // 5) == (0, 0, True)  # whole multiples: no pixel is blurred
    scaled = x[7:8] / np.float32(255)
    for image, expected in zip(shown[:2], (scaled, model.reconstruct(scaled)), strict=True):
        np.testing.assert_allclose(image[h // 12 :: h // 6, w // 10 :: w // 5], expected.reshape(SHAPE), atol=1e-6)


@pytest.mark.parametrize(("count", "labels"), [(1, np.array([3])), (1, None), (40, None), (40, np.arange(40) + 1000)])
def test_reconstructions_of_few_images_without_labels_or_of_many_classes(tmp_path, count, labels):
    plots.draw_reconstructions(make(), noise(count), labels, SHAPE, tmp_path / "r.png", "Reconstructions")
    size(tmp_path / "r.png")


def test_images_may_be_floats_and_the_model_of_another_dtype(tmp_path, drawn):
    model = make(dtype=np.float64)
    plots.draw_reconstructions(model, noise() / np.float32(255), None, SHAPE, tmp_path / "a.png", "Reconstructions")
    plots.draw_reconstructions(model, noise(), None, SHAPE, tmp_path / "b.png", "Reconstructions")
    a, b = ([image.get_array() for image in sheet.figure.images] for sheet in drawn)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_samples_stand_ten_by_ten_and_are_those_of_the_seed(tmp_path, drawn):
    model = make(shape=(28, 28))
    plots.draw_samples(model, (28, 28), tmp_path / "s.png", "Samples", seed=3)
    grid = drawn[0].figure.images[0].get_array()
    assert grid.shape == (10 * 118 - 6, 10 * 118 - 6)  # 4 x 28 pixels and a gap of 6
    sample = model.sample(100, seed=3).reshape(100, 28, 28)
    np.testing.assert_allclose(grid[2 * 118 : 2 * 118 + 112 : 4, 3 * 118 : 3 * 118 + 112 : 4], sample[23], atol=1e-6)
    assert size(tmp_path / "s.png")[0] == 10 * 118 - 6 + 2 * page.MARGIN


@pytest.mark.parametrize("count", [1, 97])
def test_any_number_of_samples_is_drawn(tmp_path, drawn, count):
    plots.draw_samples(make(), SHAPE, tmp_path / "s.png", "Samples", n=count)
    assert size(tmp_path / "s.png") == drawn[0].size


def test_the_manifold_is_decoded_at_the_quantiles_of_the_prior(tmp_path, drawn):
    model = make(latent=2)
    plots.draw_manifold(model, SHAPE, tmp_path / "m.png", "Manifold", n=4)
    ax = drawn[0].figure.axes[0]
    z = NormalDist().inv_cdf(0.125)
    grid = drawn[0].figure.images[0].get_array()
    h, w = grid.shape[0] // 4, grid.shape[1] // 4
    for z1, z2, column, row in ((z, z, 0, 3), (-z, z, 3, 3), (z, -z, 0, 0)):  # z₁ grows to the right, and z₂ upwards
        corner = model.decode(np.array([[z1, z2]], np.float32)).reshape(SHAPE)
        cell = grid[row * h : (row + 1) * h, column * w : (column + 1) * w]
        np.testing.assert_allclose(cell[h // 12 :: h // 6, w // 10 :: w // 5], corner, atol=1e-6)
    ticks = dict(zip(ax.get_xticks(), [label.get_text() for label in ax.get_xticklabels()], strict=True))
    assert ticks[0.5] == "0"
    assert [name for place, name in ticks.items() if place < 0.1] == ["−1.5"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z₁", "z₂")


@pytest.mark.parametrize("latents", [1, 3])
def test_a_manifold_is_refused_unless_there_are_two_latents(tmp_path, latents):
    with pytest.raises(ConfigError, match=f"needs 2 latents, and this model has {latents}"):
        plots.draw_manifold(make(latent=latents), SHAPE, tmp_path / "m.png", "Manifold")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_drawn_is_refused(tmp_path):
    model = make()
    with pytest.raises(DataError, match="no images"):
        plots.draw_latent(model, noise(0), None, tmp_path / "x.png", "Latent space")
    with pytest.raises(ShapeError, match="30 pixels do not have the shape"):
        plots.draw_samples(model, (5, 5), tmp_path / "x.png", "Samples")
    model.buffer.values[:] = np.nan
    for draw in (plots.draw_latent, lambda *a: plots.draw_traversal(a[0], a[1][0], SHAPE, *a[3:])):
        with pytest.raises(NonFiniteError, match="codes hold NaN"):
            draw(model, noise(), None, tmp_path / "x.png", "Title")
    with pytest.raises(NonFiniteError, match="images hold NaN"):
        plots.draw_samples(model, SHAPE, tmp_path / "x.png", "Samples")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", [plots.draw_reconstructions, plots.draw_latent, plots.draw_traversal, plots.draw_samples])
@pytest.mark.parametrize("fault", ["width", "kind", "NaN", "labels", "shape", "channels", "n"])
def test_wrong_input_is_refused_in_one_line_of_our_own(tmp_path, draw, fault):
    images, labels, shape = noise(), digits(), SHAPE
    images = {"width": images[:, :29], "kind": images.astype(str), "NaN": np.full((40, 30), np.nan)}.get(fault, images)
    labels = labels[:39] if fault == "labels" else labels
    shape = {"shape": (6, 6), "channels": (3, 5, 2)}.get(fault, shape)
    arguments, meant = {
        "draw_reconstructions": ((images, labels, shape, tmp_path / "x.png", "Title"), fault != "n"),
        "draw_latent": ((images, labels, tmp_path / "x.png", "Title"), fault in ("width", "kind", "NaN", "labels")),
        "draw_traversal": ((images[0], shape, tmp_path / "x.png", "Title", images), fault not in ("labels", "n")),
        "draw_samples": ((shape, tmp_path / "x.png", "Title", 0 if fault == "n" else 4), fault in ("shape", "channels", "n")),
    }[draw.__name__]
    if not meant:
        draw(make(), *arguments)  # does not take what is wrong
        return
    with pytest.raises(ScratchVAEError) as caught:
        draw(make(), *arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500
    assert not list(tmp_path.iterdir())


# Tiles ----------------------------------------------------------------------------------------------------------------


def test_tiles_repeat_pixels_when_enlarged_and_average_them_when_reduced():
    x = np.arange(6.0)[None]
    np.testing.assert_allclose(tiles.tiles(x, (2, 3), (4, 6))[0], x.reshape(2, 3).repeat(2, 0).repeat(2, 1))
    np.testing.assert_allclose(tiles.tiles(x, (6, 1), (2, 1)), [[[1], [4]]])
    np.testing.assert_allclose(tiles.tiles(x, (6, 1), (4, 1)), [[[1 / 3], [5 / 3], [10 / 3], [14 / 3]]])  # 1½ pixels each


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((28, 28), (112, 112)), ((28, 20), (112, 80)), ((1, 784), (79, 158)), ((784, 1), (317, 39)), ((300, 300), (112, 112))],
)
def test_a_tile_is_a_multiple_of_the_image_or_fits(shape, expected):
    assert tiles.tile_size(shape, 112) == expected


def test_a_colour_stays_where_it_is(tmp_path, drawn):
    x = np.zeros((1, 2, 3, 3))
    x[0, 0, 1], x[0, 1, 2] = (1, 0.5, 0), (0, 0.25, 1)
    shown = tiles.tiles(x.reshape(1, 18), (2, 3, 3), (4, 6))
    np.testing.assert_allclose(shown, x.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(tiles.tiles(x.reshape(1, 18), (2, 3, 3), (1, 1))[0, 0, 0], [1 / 6, 0.125, 1 / 6])
    model = make(shape=(4, 4, 3))
    plots.draw_samples(model, (4, 4, 3), tmp_path / "s.png", "Samples", n=4)
    side = tiles.tile_size((4, 4, 3), 112)[0]
    png = matplotlib.image.imread(tmp_path / "s.png")
    corner = png[drawn[0].top + side // 8 :: side // 4, page.MARGIN + side // 8 :: side // 4][:4, :4, :3]
    np.testing.assert_allclose(corner, model.sample(4)[0].reshape(4, 4, 3), atol=2 / 255)


def test_a_series_becomes_a_curve_through_its_values():
    h, w = 60, 101
    series = np.array([[0.0, 1.0, 0.25]])
    (tile,) = tiles.tiles(series, (1, 3), (h, w))
    middle = lambda column: (np.arange(h) + 0.5) @ (0.94 - tile[:, column]) / (0.94 - tile[:, column]).sum()  # of the ink
    border = h / 12
    for column, value in ((0, 0), (25, 0.5), (50, 1), (75, 0.625), (100, 0.25)):
        assert middle(column) == pytest.approx(border + (1 - value) * (h - 2 * border), abs=0.7)  # a column is one pixel wide
    assert tiles.value_range(series) == (0, 1)
    assert tiles.value_range(np.array([-1.2, 2.0])) == (-2, 2)
    both = tiles.tiles(np.array([[0.0, 1], [-3, 3]]), (1, 2), (h, w))  # on one scale
    assert np.ptp(np.flatnonzero(both[0].min(axis=1) < 0.5)) < np.ptp(np.flatnonzero(both[1].min(axis=1) < 0.5)) / 4


def test_a_series_stands_over_its_reconstruction_with_the_names_of_its_columns(tmp_path, drawn):
    model, x = make(shape=(1, 4), likelihood="gaussian"), noise(12, (1, 4))
    names = ["height", "width", "depth", "$ per unit"]
    plots.draw_reconstructions(model, x, None, (1, 4), tmp_path / "r.png", "Reconstructions", values=names)
    output = model.reconstruct(x / np.float32(255))
    for i, ax in enumerate(drawn[0].figure.axes):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), x[i] / 255, atol=1e-6)
        np.testing.assert_allclose(ax.lines[1].get_ydata(), output[i], atol=1e-6)
        assert [label.get_text() for label in ax.get_xticklabels()] == names
    assert len(drawn[0].figure.axes) == 10
    assert {"— input", "‐‐ output"} <= set(words(drawn[0]))


def test_columns_without_names_are_said_to_be_numbers_of_values_under_each_lowest_panel(tmp_path, drawn):
    plots.draw_reconstructions(make(shape=(1, 4), likelihood="gaussian"), noise(12, (1, 4)), None, (1, 4), tmp_path / "r.png", "")
    assert [ax.get_xlabel() for ax in drawn[0].figure.axes] == [""] * 8 + ["number of the value"] * 2


@pytest.mark.parametrize(("rule", "said"), [("unit", "scaled to [0, 1]"), ("standard", "scaled to mean 0, deviation 1"), ("none", "")])
def test_the_figures_of_a_table_say_how_its_columns_are_scaled(tmp_path, drawn, rule, said):
    split = Split(np.random.default_rng(0).random((12, 4)))
    scaling = {"rule": rule, "columns": list("abcd"), "offset": [0] * 4, "scale": [1] * 4, "constant": []}
    data = Dataset("table", (1, 4), split, split, "", preparation={"scaling": scaling})
    plots.draw_all(make(shape=(1, 4)), data, [], tmp_path, "A VAE")
    for sheet in drawn[:2]:  # reconstructions, samples
        text = " ".join(words(sheet)).replace("\n", " ")
        assert f"columns {said}" in text if said else "columns scaled" not in text


def test_rows_of_tiles_are_full_and_near_the_wanted_ratio():
    assert tiles.columns_for(100, (112, 112)) == 10
    assert tiles.columns_for(100, (40, 320)) == 4
    assert tiles.columns_for(10, (280, 140), ratio=5) == 10
    assert tiles.columns_for(97, (112, 112)) == 10
    assert tiles.columns_for(1, (112, 112)) == 1


def test_a_mosaic_fills_row_by_row_and_leaves_the_rest_empty():
    grid = tiles.mosaic(np.arange(3.0)[:, None, None], 2, 1)
    np.testing.assert_equal(grid, [[0, np.nan, 1], [np.nan] * 3, [2, np.nan, np.nan]])


def test_images_to_draw_are_spread_over_the_whole_set():
    x, rows = tiles.model_input(make(), noise(40), 4)
    assert rows.tolist() == [0, 13, 26, 39]
    np.testing.assert_array_equal(x, noise(40)[rows] / np.float32(255))
    assert x.dtype == np.float32


# Latent space ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latents", [1, 2, 3])
@pytest.mark.parametrize("labels", [None, digits(), np.arange(40) % 3 + 12345, np.arange(40), np.zeros(40, int)])
def test_codes_are_drawn_for_any_latents_and_labels(tmp_path, drawn, latents, labels):
    plots.draw_latent(make(latent=latents), noise(), labels, tmp_path / "l.png", "Latent space")
    assert size(tmp_path / "l.png") == drawn[0].size
    assert any("40 shown" in text for text in words(drawn[0]))


@pytest.mark.parametrize("latents", [1, 2, 3])
@pytest.mark.parametrize("kind", [VAE, Autoencoder])
def test_constant_codes_and_a_single_image_are_drawn(tmp_path, unsaved, latents, kind):
    model = make(kind, latent=latents)
    plots.draw_latent(model, noise(1), digits(1), tmp_path / "one.png", "Latent space")
    model.buffer.values[:] = 0
    plots.draw_latent(model, noise(), digits(), tmp_path / "same.png", "Latent space")
    plots.draw_latent(model, noise(), None, tmp_path / "none.png", "Latent space")


class Placed:
    """A model whose code of an image is the image itself: two numbers."""

    kind, latent, data_size, dtype = "vae", 2, 2, np.dtype(np.float64)

    def codes(self, x):
        return x


def islands(classes, spread=0.03):
    """Codes in islands on a circle, one for each class.   → codes (N, 2), labels (N,)"""
    labels = np.arange(30 * classes) % classes
    angles = 2 * np.pi * labels / classes
    return np.stack([np.cos(angles), np.sin(angles)], 1) + spread * np.random.default_rng(0).standard_normal((len(labels), 2)), labels


NAMES = ["ankle boot", "a very long name, too long for a badge", "$x$ _y", "_hidden", "shirt", "é", "bag"]


@pytest.mark.parametrize("names", [None, NAMES])
def test_each_badge_stands_on_the_points_of_its_class_in_its_colour(tmp_path, drawn, names):
    codes, labels = islands(7)
    plots.draw_latent(Placed(), codes, labels, tmp_path / "l.png", "Latent space", names)
    (ax,) = drawn[0].figure.axes
    shown = {mark.get_label().strip(): mark for mark in ax.collections}
    assert set(shown) == {page.shorter(name) for name in names or map(str, range(7))}
    assert {text.get_text().strip() for text in ax.get_legend().get_texts()} == set(shown)
    assert len(ax.texts) == 7
    for badge in ax.texts:
        label = int(badge.get_text()) if names is None else [page.shorter(name) for name in names].index(badge.get_text())
        own = codes[labels == label]
        distances = np.linalg.norm([codes[labels == k].mean(axis=0) - badge.get_position() for k in range(7)], axis=1)
        assert distances.argmin() == label
        mark = shown[badge.get_text()]
        np.testing.assert_allclose(np.sort(mark.get_offsets(), axis=0), np.sort(own, axis=0))
        np.testing.assert_allclose(mark.get_facecolor()[0, :3], badge.get_bbox_patch().get_edgecolor()[:3])


def test_badges_that_find_no_room_are_left_out_and_the_key_remains(tmp_path, drawn, monkeypatch):
    codes, labels = islands(4)
    monkeypatch.setattr(latent, "apart", lambda places, distance, bounds: places * 0 + bounds[0])
    plots.draw_latent(Placed(), codes, labels, tmp_path / "l.png", "Latent space")
    assert not drawn[0].figure.axes[0].texts
    assert len(drawn[0].figure.axes[0].get_legend().get_texts()) == 4


def test_of_few_points_none_is_hidden_by_a_badge(tmp_path, drawn):
    codes, labels = islands(4)
    for count, badges in ((79, 0), (80, 4)):
        plots.draw_latent(Placed(), codes[:count], labels[:count], tmp_path / "l.png", "Latent space")
        assert len(drawn[-1].figure.axes[0].texts) == badges


def test_a_badge_beside_its_points_is_tied_to_them(tmp_path, drawn):
    codes, labels = islands(5, spread=0)
    codes[labels < 4] = codes[labels == 0][0]  # of four classes in one place, badges must give way
    plots.draw_latent(Placed(), codes, labels, tmp_path / "l.png", "Latent space")
    (ax,) = drawn[0].figure.axes
    ties = {tuple(line.get_xydata()[1]): line.get_xydata()[0] for line in ax.lines}
    badges = {badge.get_position(): codes[labels == int(badge.get_text())][0] for badge in ax.texts}
    assert ties
    assert set(ties) < set(badges)
    for place, start in ties.items():
        np.testing.assert_allclose(start, badges[place])


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e4, 1e12])
def test_codes_of_any_size_leave_room_for_their_labels(tmp_path, scale):
    codes, labels = islands(4)
    plots.draw_latent(Placed(), codes * scale, labels, tmp_path / "l.png", "Latent space")


def test_up_to_fifty_classes_are_told_apart_by_shape_and_colour(tmp_path, drawn):
    codes, labels = islands(50)
    plots.draw_latent(Placed(), codes, labels, tmp_path / "l.png", "Latent space")  # the fixture compares their colours
    looks = {(mark.get_facecolor().tobytes(), mark.get_paths()[0].vertices.tobytes()) for mark in drawn[0].figure.axes[0].collections}
    assert len(looks) == 50


def test_the_names_of_a_data_set_s_classes_stand_in_its_figures(tmp_path, drawn):
    names = np.array(["cat", "dog", "emu"])[np.arange(30) % 3]
    split = Split(noise(30), names)
    plots.draw_all(make(latent=2), Dataset("animals", SHAPE, split, split, "made up"), [], tmp_path, DESCRIBE)
    reconstructions, _, space, *_ = drawn
    assert {"cat", "dog", "emu"} <= set(words(reconstructions))
    assert {mark.get_label().strip() for mark in space.figure.axes[0].collections} == {"cat", "dog", "emu"}


def test_strips_have_room_for_names(tmp_path):
    names = ["a name that is as long as it may be", "b", "c"] * 3 + ["d"]
    plots.draw_latent(make(latent=1), noise(), digits(), tmp_path / "l.png", "Latent space", names)


def test_on_strips_a_class_has_its_colour_its_shape_and_a_line_at_its_median(tmp_path, drawn):
    codes = np.random.default_rng(0).standard_normal((40, 1))
    model = Placed()
    model.latent = model.data_size = 1
    plots.draw_latent(model, codes, np.arange(40) % 20, tmp_path / "l.png", "Latent space")
    (ax,) = drawn[0].figure.axes
    looks = [(mark.get_facecolor()[0, :3].tobytes(), mark.get_paths()[0].vertices.tobytes()) for mark in ax.collections]
    assert len(set(looks)) == 20
    for k, (mark, line) in enumerate(zip(ax.collections, ax.lines, strict=True)):
        own = codes[k::20, 0]
        np.testing.assert_allclose(mark.get_offsets()[:, 0], own)
        assert np.abs(mark.get_offsets()[:, 1] - k).max() < 0.5  # within its own strip
        np.testing.assert_allclose(line.get_xdata(), np.median(own))


def test_more_classes_than_can_be_told_apart_get_one_colour_and_a_word(tmp_path, drawn):
    plots.draw_latent(make(), noise(51), np.arange(51), tmp_path / "l.png", "Latent space")
    assert "51 classes, not told apart; 51 shown" in words(drawn[0])
    assert len(drawn[0].figure.axes[0].collections) == 1


def test_two_latents_are_drawn_as_they_are_and_the_prior_only_for_a_vae(tmp_path, drawn):
    for kind in (VAE, Autoencoder):
        plots.draw_latent(make(kind, latent=2), noise(), None, tmp_path / "l.png", "Latent space")
    for sheet, kind in zip(drawn, (VAE, Autoencoder), strict=True):
        ax = sheet.figure.axes[0]
        codes = make(kind, latent=2).codes(noise() / np.float32(255))
        np.testing.assert_allclose(ax.collections[0].get_offsets(), codes, rtol=1e-6)
        assert len(ax.patches) == any("95% of N(0, I)" in text for text in words(sheet)) == (kind is VAE)
        assert all(patch.get_edgecolor()[:3] == to_rgb(page.GREY) for patch in ax.patches)  # no class has that colour
    assert np.exp(-(latent.PRIOR_95**2) / 2) == pytest.approx(0.05, rel=1e-4)


def test_components_are_those_of_largest_variance_with_their_share():
    r = np.random.default_rng(0)
    q, _ = np.linalg.qr(np.column_stack([np.ones(50), r.standard_normal((50, 3))]))
    z = q[:, 1:] * [1, 3, 2] + 5  # columns without correlation, of variances 1 : 9 : 4
    points, names = latent.components(z)
    assert names == ["first principal component (64% of the variance)", "second principal component (29% of the variance)"]
    np.testing.assert_allclose(np.abs(points), np.abs(z[:, 1:] - 5), atol=1e-12)


def test_labels_are_pushed_apart_and_left_alone_when_they_are():
    places = latent.apart(np.zeros((10, 2)), 1.0)
    distances = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(10, dtype=bool)]
    assert distances.min() >= 1
    far = np.array([[0.0, 0], [5, 0], [0, 5]])
    np.testing.assert_allclose(latent.apart(far, 1.0), far, atol=2e-3)


# Traversal ------------------------------------------------------------------------------------------------------------


def test_a_traversal_shows_the_ten_latents_with_the_largest_kl(tmp_path, drawn):
    model, x = make(latent=12), noise() / np.float32(255)
    plots.draw_traversal(model, x[0], SHAPE, tmp_path / "t.png", "Traversal", x)
    mu, logvar = model.encode(x)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).mean(axis=0)
    np.testing.assert_allclose(traversal.latent_kl(model, x), kl, atol=1e-6)
    order = np.argsort(-kl)[:10]
    assert [t for t in words(drawn[0]) if t.startswith("z")] == [f"z{traversal.subscript(k + 1)}" for k in order]
    assert f"KL {kl.max():.2f}" in words(drawn[0])
    grid = drawn[0].figure.images[-1].get_array()
    h, w = tiles.tile_size(SHAPE, 84, longest=2)
    expected = model.traverse(x[0], [-3, 3], [order[0]])[0].reshape(2, *SHAPE)
    for image, left in zip(expected, (0, 12 * (w + traversal.GAP)), strict=True):
        part = grid[:h, left : left + w]
        np.testing.assert_allclose(part[h // 12 :: h // 6, w // 10 :: w // 5], image, atol=1e-6)


def test_the_outlined_tile_is_nearest_to_the_own_code(tmp_path, drawn):
    model, x = make(latent=2), noise(1)
    plots.draw_traversal(model, x[0], SHAPE, tmp_path / "t.png", "Traversal")
    own = np.sort(model.codes(x / np.float32(255))[0])
    _, w = tiles.tile_size(SHAPE, 84, longest=2)
    left = drawn[0].figure.images[-1].ox
    columns = [round((frame.get_x() - left) / (w + traversal.GAP)) for frame in drawn[0].figure.artists]
    assert sorted(columns) == [np.abs(traversal.VALUES - z).argmin() for z in own]


def test_an_autoencoder_is_traversed_in_standard_deviations_of_its_codes(tmp_path, drawn):
    model, x = make(Autoencoder, latent=3), noise() / np.float32(255)
    plots.draw_traversal(model, x[0], SHAPE, tmp_path / "a.png", "Traversal", x)
    plots.draw_traversal(model, x[0], SHAPE, tmp_path / "b.png", "Traversal")
    assert any("standard deviations" in text for text in words(drawn[0]))
    assert not any("standard deviations" in text for text in words(drawn[1]))
    codes = model.codes(x)
    k = codes.std(axis=0).argmax()
    end = model.traverse(x[0], [codes[:, k].mean() + 3 * codes[:, k].std()], [k])[0, 0].reshape(SHAPE)
    grid = drawn[0].figure.images[-1].get_array()
    h, w = tiles.tile_size(SHAPE, 84, longest=2)
    np.testing.assert_allclose(grid[h // 12 : h : h // 6, -w:][:, w // 10 :: w // 5], end, atol=1e-5)


@pytest.mark.parametrize("shape", [(43, 43), (1, 784), (100, 20), (1, 1)])
def test_traversals_of_any_image_shape_have_room_for_their_labels(tmp_path, shape):
    plots.draw_traversal(make(shape=shape), noise(shape=shape)[0], shape, tmp_path / "t.png", "Traversal")


@pytest.mark.parametrize(("count", "stages", "seen"), [(12, 5, 0.8), (1, 1, 0.8), (3, 2, 0)])
def test_joints_found_stand_beside_the_truth_and_the_maps_of_each_stage(tmp_path, drawn, unsaved, count, stages, seen):
    model, random = Hourglass((12, 16), 3, 2, 1, stages), np.random.default_rng(0)
    images, points = random.integers(0, 256, (count, 192), np.uint8), random.uniform(0, 11, (count, 3, 2))
    visible = random.uniform(size=(count, 3)) < seen
    plots.draw_joints(model, images, points, visible, (12, 16), tmp_path / "joints.png", "Joints")
    names = ["head", "hand", "a joint with a long name"]
    plots.draw_stages(model, images, points, visible, (12, 16), tmp_path / "stages.png", "Stages", names)
    found = model.points(images / 255)[:, -1]
    shown = np.linspace(0, count - 1, min(10, count)).round().astype(int)
    for i, ax in zip(shown, drawn[0].figure.axes, strict=True):
        crosses = [line for line in ax.lines if line.get_marker() == "x"]
        np.testing.assert_allclose(np.transpose(crosses[0].get_data()), found[i][visible[i]])
        rings = np.concatenate([np.transpose(line.get_data()) for line in ax.lines if line.get_marker() in "os"])
        np.testing.assert_allclose(rings, points[i][np.argsort(~visible[i], kind="stable")])  # those that are seen first
    named = words(drawn[1])
    assert all(name in named for name in ("image", "target", "stage 1", f"stage {stages}"))
    assert ("no joint is seen" in words(drawn[0])) == (seen == 0)


@pytest.mark.parametrize(("shape", "count", "stages", "seen"), [((12, 16), 12, 3, 0.8), ((8, 8, 3), 1, 2, 0)])
def test_a_film_has_a_page_for_each_stage_and_rests_on_the_last(tmp_path, drawn, shape, count, stages, seen):
    model, random = Hourglass(shape, 3, 2, 1, stages), np.random.default_rng(0)
    images, points = random.integers(0, 256, (count, prod(shape)), np.uint8), random.uniform(0, 7, (count, 3, 2))
    visible = random.uniform(size=(count, 3)) < seen
    plots.draw_film(model, images, points, visible, shape, tmp_path / "stages.gif", "A film")
    found = model.points(images / 255)
    way = np.where(visible, np.linalg.norm(found[:, -1] - found[:, 0], axis=2), 0).sum(axis=1)
    most = sorted(np.argsort(-way, kind="stable")[:4])
    assert len(drawn) == stages
    for k, sheet in enumerate(drawn):
        assert f"stage {k + 1} of {stages}" in words(sheet)
        for i, ax in zip(most, sheet.figure.axes, strict=True):
            crosses = next(line for line in ax.lines if line.get_marker() == "x")
            np.testing.assert_allclose(np.transpose(crosses.get_data()), found[i, k][visible[i]].reshape(-1, 2))
    with Image.open(tmp_path / "stages.gif") as film:
        assert (film.format, film.n_frames, film.info["loop"]) == ("GIF", stages, 2)
        times = []
        for k, sheet in enumerate(drawn):
            film.seek(k)
            times.append(film.info["duration"])
            page = np.asarray(sheet.figure.canvas.buffer_rgba())[..., :3].astype(int)
            assert np.abs(np.asarray(film.convert("RGB")) - page).mean() < 3  # of 255: what 256 colours take away
    assert times == [1200] * (stages - 1) + [3000]


@pytest.mark.parametrize(("count", "classes", "shape"), [(12, 3, (8, 12)), (1, 30, (4, 4, 3))])
def test_classes_predicted_stand_below_the_target_in_its_colours(tmp_path, drawn, unsaved, count, classes, shape):
    random, models = np.random.default_rng(0), {skips: UNet(shape, 2, 1, classes=classes, skips=skips) for skips in (True, False)}
    images, targets = random.integers(0, 256, (count, np.prod(shape)), np.uint8), random.integers(0, classes, (count, *shape[:2]))
    rows = {"with skips": models[True], "without": models[False]}
    names = ["ground", *(f"a thing with a long name, number {k}" for k in range(1, classes))]
    plots.draw_predictions(rows, images, targets, shape, tmp_path / "predictions.png", "Classes", names)
    shown, size = np.linspace(0, count - 1, min(8, count)).round().astype(int), tiles.tile_size(shape, 140, longest=4)
    found = [image.get_array() for image in drawn[0].figure.images]
    in_colour = lambda one: tiles.tiles(in_colours(one).reshape(len(one), -1), (*shape[:2], 3), size)
    wanted = [in_colour(targets[shown]), *(in_colour(model.predict(images[shown] / 255)) for model in models.values())]
    np.testing.assert_allclose(found[len(shown) : 4 * len(shown)], np.concatenate(wanted))
    assert len(found) == 4 * len(shown) + min(classes, 11)
    assert all(name in words(drawn[0]) for name in ("input", "target", *rows, "ground"))


def test_clean_images_predicted_are_shown_as_they_are(tmp_path, drawn, unsaved):
    model, random = UNet((8, 8), 2, 1, "denoise"), np.random.default_rng(0)
    images, clean = random.integers(0, 256, (2, 3, 64), np.uint8)
    plots.draw_predictions({"prediction": model}, images, clean.reshape(3, 8, 8), (8, 8), tmp_path / "p.png", "Clean")
    found = [image.get_array() for image in drawn[0].figure.images]
    wanted = np.concatenate([images / 255, clean / 255, model.predict(images / 255).reshape(3, 64)])
    np.testing.assert_allclose(found, tiles.tiles(np.clip(wanted, 0, 1), (8, 8), tiles.tile_size((8, 8), 140)), atol=1e-6)


def test_a_loss_of_one_term_that_has_another_name_is_drawn_with_its_best_epoch(tmp_path, drawn):
    records = [{"split": split, "epoch": e, "loss": 1 / e, "error": 1 / e} for e in (1, 2) for split in ("train", "validation")]
    plots.draw_loss(records, tmp_path / "loss.png", parts={"error": ("Error", "squared")}, unit="squared error")
    assert "Error" in words(drawn[0])
    assert any("best" in word for word in words(drawn[0]))
