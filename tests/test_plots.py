"""The figures: every one is a whole PNG, says what it shows, clips no label, and bears odd data."""

import subprocess
import sys
from statistics import NormalDist

import matplotlib.image
import numpy as np
import pytest
from matplotlib.text import Text

from scratchvae import plots
from scratchvae.data.dataset import Dataset, Split
from scratchvae.errors import ConfigError, DataError, NonFiniteError, ShapeError
from scratchvae.models import VAE, Autoencoder
from scratchvae.plots import images as image_plots
from scratchvae.plots import latent, loss, page, tiles, traversal

SHAPE = (6, 5)
DESCRIBE = "VAE 30-8-3, noise (40 images), epoch 2"


def make(kind=VAE, shape=SHAPE, latent=3, dtype=np.float32):
    return kind(shape[0] * shape[1], hidden=(8,), latent=latent, seed=1, dtype=dtype)


def noise(n=40, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, shape[0] * shape[1]), dtype=np.uint8)


def digits(n=40):
    return np.arange(n, dtype=np.uint8) % 10


def history(epochs=3, kl=True, scale=1.0, beta=1.0):
    """Records like those of a run: a training line every tenth of an epoch, a test line after each epoch."""
    lines = []
    for step in range(1, 10 * epochs + 1):
        for split in ("train",) if step % 10 else ("train", "test"):
            parts = {"reconstruction": scale * (80 + 400 * np.exp(-step / 4)), "kl": 20 - 15 / step}
            parts = parts if kl else {"reconstruction": parts["reconstruction"]}
            total = parts["reconstruction"] + beta * parts.get("kl", 0)
            lines.append({"split": split, "step": step, "epoch": step / 10, "loss": total, **parts, "lr": 1e-3})
    return lines


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Every page drawn by a test. When the test ends well, none of their texts may be cut off or lie on another."""
    pages = []
    init = page.Page.__init__

    def remember(self, *arguments, **options):
        init(self, *arguments, **options)
        pages.append(self)

    monkeypatch.setattr(page.Page, "__init__", remember)
    yield pages
    for sheet in pages:
        check_texts(sheet.figure)


def check_texts(figure):
    """Every visible text lies inside the figure, and no two of them overlap."""
    renderer = figure.canvas.get_renderer()
    boxes = []
    for text in figure.findobj(Text):
        if not (text.get_visible() and text.get_text().strip() and on_axis(text)):
            continue
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
        boxes.append((text.get_text(), box.shrunk(0.8)))  # 0.8: an extent holds the room below and above the letters
    for i, (text, box) in enumerate(boxes):
        for other, other_box in boxes[:i]:
            assert not box.overlaps(other_box), (text, other)


def on_axis(text):
    """False for the labels that matplotlib keeps for ticks outside the limits of an axis, and never draws."""
    ax = text.axes
    if ax is None:
        return True
    if not ax.axison:
        return text not in [label for axis in (ax.xaxis, ax.yaxis) for label in [*axis.get_ticklabels("both"), axis.label]]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if text in (tick.label1, tick.label2):
                return low <= tick.get_loc() <= high
    return True


def words(sheet):
    return [text.get_text() for text in sheet.figure.findobj(Text) if text.get_text()]


def size(path):
    """Width and height of a file that must be a readable PNG."""
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width, _ = matplotlib.image.imread(path).shape
    return width, height


# All figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [VAE, Autoencoder])
@pytest.mark.parametrize("shape", [(6, 5), (1, 30), (30, 1)])
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


def test_the_manifold_is_left_out_unless_there_are_two_latents_and_the_loss_without_records(tmp_path):
    data = Dataset("noise", SHAPE, Split(noise(), None), Split(noise(0), None), "no labels, no test split")
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
    assert size(tmp_path / "s.png") == (760 + 96, 4 * 56 * 2 // 2 + 6 + size(tmp_path / "s.png")[1] - 454 + 224 * 0)[:1] + (
        size(tmp_path / "s.png")[1],
    )


def test_drawing_changes_no_setting_of_matplotlib(tmp_path):
    before = dict(matplotlib.rcParams)
    plots.draw_samples(make(), SHAPE, tmp_path / "s.png", "Samples", n=4)
    assert dict(matplotlib.rcParams) == before


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
    top, left = round(sheet.top) + 5, page.MARGIN + 13
    found = [image[y : y + 7, left : left + 11, 0] for y in range(top - 1, top + 2)]
    assert min(np.abs(part - pixels).max() for part in found) < 1 / 255  # 256 grays; the title's height is not a whole number


def test_a_long_title_is_broken_into_lines_and_a_dollar_stays_a_dollar(tmp_path, drawn):
    title = "A heading with $1 and $2 in it that goes on and on until the page ends\n" + "unbroken" * 40
    plots.draw_samples(make(), SHAPE, tmp_path / "s.png", title, n=4)
    lines = words(drawn[0])
    assert len(lines) >= 4
    assert "$1 and $2" in " ".join(lines)
    assert "".join(line for line in lines if "unbr" in line or "broken" in line).count("unbroken") >= 30


# Loss -----------------------------------------------------------------------------------------------------------------


def test_the_loss_of_a_vae_has_three_panels_and_that_of_an_autoencoder_one(tmp_path, drawn):
    plots.draw_loss(history(), tmp_path / "vae.png")
    plots.draw_loss(history(beta=4), tmp_path / "beta.png")
    plots.draw_loss(history(kl=False), tmp_path / "ae.png")
    panels = [[name for name in words(sheet) if name in ("−ELBO", "Objective", "Reconstruction", "KL")] for sheet in drawn]
    assert panels == [["−ELBO", "Reconstruction", "KL"], ["Objective", "Reconstruction", "KL"], ["Reconstruction"]]
    assert all(sheet.figure.axes[0].get_ylabel() == "nats per image" for sheet in drawn)
    assert "● test 100.22" in words(drawn[0])  # 80 + 400 exp(−30/4) + 20 − 15/30 = 99.72; see below
