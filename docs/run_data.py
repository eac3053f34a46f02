"""Run the page on data: python docs/run_data.py [--write]

Every line of data.md that begins with "$ scratchvae" or "$ cat" is run, in order, in a folder of examples made for it; what it prints
must be what the page shows below it, in words exactly and in numbers nearly (`run_blocks.same`). --write puts it into the page and
draws its pictures, figures/data-*.png.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))

import run_blocks

import scratchvae
from scratchvae import cli
from scratchvae.data import load
from scratchvae.files import write_text
from scratchvae.plots.page import BLUE, GREY, INK, SMALL, VERMILION, page

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "data.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


# Examples ------------------------------------------------------------------------------------------------------------


def photo(index, width, height):
    """A picture of a digit on a coloured ground, uint8 (height, width, 3)."""
    digit = Image.fromarray(255 - scratchvae.load_data("mnist-small").train.images[index].reshape(28, 28))
    ink = np.asarray(digit.resize((height, height), Image.Resampling.BICUBIC), float) / 255
    left = (width - height) // 2
    shown = np.ones((height, width))
    shown[:, max(left, 0) : max(left, 0) + height] = ink[:, max(-left, 0) : max(-left, 0) + width]
    down, across = np.mgrid[:height, :width] / max(height, width)
    ground = np.stack([230 - 130 * down, 150 + 90 * across, np.full((height, width), 120 + 20 * (index % 6))], axis=-1)
    return (ground * shown[..., None]).astype(np.uint8)


def make_examples():
    """Everything that the page is about, in the current folder."""
    labels = scratchvae.load_data("mnist-small").train.labels
    rng = np.random.default_rng(0)
    for name, digit in (("seven", 7), ("two", 2)):
        Path("photos", name).mkdir(parents=True)
        for k, index in enumerate(np.flatnonzero(labels == digit)[:30]):
            width, height = rng.integers(40, 72, 2)
            Image.fromarray(photo(index, width, height)).save(f"photos/{name}/{k:02}.jpg", quality=92)
    odd(Path("photos"))
    Path("photos", "two", "notes.txt").write_text("taken in spring\n")
    Path("photos", "two", ".DS_Store").write_text("")
    for path in ("phone", "flat"):
        Path(path).mkdir()
    for k in range(12):
        Image.fromarray(photo(k, 32, 32)).save(f"flat/{k:02}.webp")
        Image.fromarray(photo(k, 32, 32)).save(f"phone/{k:02}.png")
    Path("phone/12.heic").write_bytes(b"\0\0\0\x18ftypheic")
    write_text("labels.csv", "file,label\n" + "".join(f"{k:02}.webp,{'odd' if labels[k] % 2 else 'even'}\n" for k in range(12)))
    lines = ["length,width,weight,kind"]
    for k in range(120):
        kind, size = ("setosa", "virginica")[k % 2], rng.normal(5 + k % 2, 0.5)
        lines.append(f"{size:.2f},{size * 0.6 + rng.normal(0, 0.2):.2f},{size**3 * 10:.0f},{kind}")
    write_text("flowers.csv", "\n".join(lines) + "\n")
    lines[7] = lines[7].replace(lines[7].split(",")[1], "")
    write_text("gaps.csv", "\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    phase = rng.uniform(0, 2 * np.pi, (200, 1))
    np.save("waves.npy", ((1 + np.sin(np.linspace(0, 4 * np.pi, 96) + phase)) / 2).astype(np.float32)[:, None, :])
    order = np.argsort(labels[:1000], kind="stable")
    images = scratchvae.load_data("mnist-small").train.images[:1000][order].reshape(-1, 28, 28)
    np.savez("sorted.npz", images=images, labels=labels[:1000][order])
    np.save("signed.npy", images[:20] / 127.5 - 1)
    np.save("first.npy", np.zeros((20, 3, 8, 8), np.uint8) + np.arange(8, dtype=np.uint8))


def odd(folder):
    """Four images that need something done to them, into folder/seven and folder/two → {what it is: path}."""
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = {
        "EXIF orientation": folder / "seven" / "turned.jpg", "transparency": folder / "seven" / "cut-out.png",
        "16 bits": folder / "two" / "deep.tif", "three frames": folder / "two" / "moving.gif",
    }  # fmt: skip
    turned, cut, deep, moving = paths.values()
    Image.fromarray(np.rot90(photo(0, 48, 60))).save(turned, exif=exif, quality=92)
    clear = np.hypot(*(np.mgrid[:56, :56] - 27.5)) < 26
    Image.fromarray(np.dstack([photo(15, 56, 56), clear * np.uint8(255)])).save(cut)
    Image.fromarray(photo(5, 60, 50)[..., 1].astype(np.uint16) * 257).save(deep)
    frames = [Image.fromarray(photo(k, 50, 50)) for k in (5, 6, 7)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    return paths


# The page ------------------------------------------------------------------------------------------------------------


def run():
    """→ [(line of the page, what its commands print, what it shows)], one for each block of commands."""
    found, text = [], PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_examples()
        for match in CONSOLE.finditer(text):
            commands = [line for line in match[1].split("\n") if line.startswith("$ ")]
            found.append((text[: match.start()].count("\n") + 2, "".join(f"{c}\n{_output(c[2:])}" for c in commands), match[1]))
    return found


def _output(command):
    """What a command prints, on either stream."""
    program, *arguments = shlex.split(command)
    if program == "cat":
        return Path(arguments[0]).read_text(encoding="utf-8")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        cli.main(arguments)
    # The page is about the data, which this folder holds: where the folder itself lies is no matter.
    return out.getvalue().replace(f"{os.path.realpath('.')}/", "")


def write(found):
    outputs = iter(found)
    write_text(PAGE, CONSOLE.sub(lambda match: f"```console\n{next(outputs)[1]}```", PAGE.read_text(encoding="utf-8")))


# Its pictures --------------------------------------------------------------------------------------------------------


def draw():
    """Draw the page's pictures into figures/."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_examples()
        for function in (draw_images, draw_tables, draw_split):
            function(DOCS / "figures" / f"{function.__name__.replace('draw', 'data').replace('_', '-')}.png")


def draw_images(path):
    """Above, each file as it is stored; below, what training sees of it."""
    Image.fromarray(photo(9, 96, 48)).save("wide.jpg", quality=92)
    shown = {**odd(Path("photos")), "--fit crop": Path("wide.jpg"), "--fit pad": Path("wide.jpg")}
    side, gap, left = 128, 46, 150
    with page(path, "What is done to images\n--size 64", left + len(shown) * (side + gap), 2 * side + 76) as sheet:
        for row, name in enumerate(("as stored", "as training\nsees it")):
            sheet.text(0, 36 + row * (side + 28) + side / 2, name, va="center", color=INK)
        for column, (name, file) in enumerate(shown.items()):
            x = left + column * (side + gap)
            sheet.text(x + side / 2, 12, name, SMALL, ha="center", va="center", color=GREY)
            folder = Path("one", name)
            folder.mkdir(parents=True)
            for k in range(2):
                (folder / f"{k}{file.suffix}").write_bytes(file.read_bytes())
            data = load(folder, size=64, fit=name[6:] if name.startswith("--fit") else "crop", progress=False)
            _put(sheet, x, 36, _stored(file), side)
            _put(sheet, x, 36 + side + 28, data.train.images[0].reshape(data.image_shape), side)


def _stored(file):
    """The pixels of a file as they lie in it; what is transparent as a chequered ground."""
    with Image.open(file) as image:
        pixels = np.asarray(image)
        if pixels.dtype == np.uint16:
            return (pixels >> 8).astype(np.uint8)
        image = image.convert("RGBA")
    down, across = np.indices(image.size[::-1]) // 6
    ground = Image.fromarray(np.where((down + across)[..., None] % 2, np.uint8(255), np.uint8(205)).repeat(3, axis=2)).convert("RGBA")
    ground.alpha_composite(image)
    return np.asarray(ground.convert("RGB"))


def _put(sheet, x, y, pixels, side):
    """A picture within a square of the page, at the largest size that fits, in a thin frame."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    height, width = pixels.shape[:2]
    size = round(width * side / max(width, height)), round(height * side / max(width, height))
    image = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)) / 255
    image[[0, -1]] = image[:, [0, -1]] = 0.6
    sheet.picture(x + (side - size[0]) // 2, y + (side - size[1]) // 2, image)


def draw_tables(path):
    """Left, a table's columns after scaling; right, series."""
    table, waves = load("flowers.csv", labels="kind"), load("waves.npy")
    spread = np.random.default_rng(1).uniform(-0.16, 0.16, 200)
    title = "Tables and series\nflowers.csv, each column scaled to [0, 1] by its training rows, and waves.npy"
    with page(path, title, 960, 330) as sheet:
        ax = sheet.axes(40, 10, 420, 270)
        for name, split, colour, mark in (("training", table.train, BLUE, "o"), ("test", table.test, VERMILION, "^")):
            x = np.arange(3) + spread[: len(split.images), None]
            ax.plot(x.ravel(), split.images.ravel(), mark, ms=4, color=colour, mec="none", label=f"{len(x)} {name} rows")
        scaling = table.preparation["scaling"]
        ends = zip(scaling["columns"], scaling["offset"], scaling["scale"], strict=True)
        ax.set_xticks(range(3), [f"{name}\n{low:g} to {low + span:g}" for name, low, span in ends])
        ax.set_xlim(-0.5, 2.5)
        ax.legend(frameon=False, loc="upper center", ncols=2, fontsize=SMALL, handletextpad=0.1, columnspacing=1)
        other = sheet.axes(530, 10, 420, 270)
        for k, colour in ((0, INK), (2, BLUE), (5, VERMILION)):
            other.plot(waves.train.images[k], color=colour, label=f"row {k}")
        other.set_xlabel("column")
        other.legend(frameon=False, loc="upper center", ncols=3, fontsize=SMALL, handlelength=1.2, columnspacing=1)
        for axes in (ax, other):
            axes.set_ylim(-0.05, 1.25)
            axes.set_yticks([0, 0.5, 1])


def draw_split(path):
    """How many images of each label are held out of a set sorted by class, by either rule."""
    title = "Held out of a set that is sorted by class\nsorted.npz: 1,000 digits, all 0s first; 100 are held out as test"
    with page(path, title, 960, 290) as sheet:
        rules = (("last", "the last tenth (version 0.1.0)", VERMILION), ("shuffled", "of every label alike", BLUE))
        for k, (rule, name, colour) in enumerate(rules):
            counts = np.bincount(load("sorted.npz", held_out=rule).test.labels, minlength=10)
            ax = sheet.axes(60 + 500 * k, 30, 400, 190)
            ax.bar_label(ax.bar(range(10), counts, color=colour, width=0.7), fontsize=SMALL)
            ax.set_xlim(-0.6, 9.6)
            ax.set_ylim(0, 1.18 * max(counts))
            ax.set_xticks(range(10))
            ax.set_xlabel("label")
            ax.set_ylabel("held out")
            ax.set_title(name, fontsize=SMALL, color=GREY)


def main(arguments):
    found = run()
    if "--write" in arguments:
        write(found)
        draw()
        return 0
    wrong = [(line, printed, shown) for line, printed, shown in found if not run_blocks.same(printed, shown)]
    for line, printed, shown in wrong:
        print(f"data.md:{line} prints\n{printed}and the page shows\n{shown}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
