"""Own images: what is read of every format, what is done to it, what is said of it, and what is refused."""

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from scratchvae.data import load
from scratchvae.data.images import COLOUR, DEEP, DONE, FRAMES, OPAQUE, RESIZED, TURNED, Reader, strictly
from scratchvae.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 6), np.uint8)
RGB = RNG.integers(0, 256, (4, 6, 3), np.uint8)


def _save(path, image=GREY, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def _read(path, colour=False, **options):
    with strictly():
        return Reader(colour, **options)(path)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# One image -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "gif", "pgm", "webp", "jp2", "avif"])
def test_every_format_without_loss_gives_its_pixels(tmp_path, ending):
    lossless = {"webp": {"lossless": True}, "avif": {"quality": 100, "subsampling": "4:4:4"}}.get(ending, {})
    pixels, what = _read(_save(tmp_path / f"a.{ending}", **lossless))
    if ending in ("webp", "avif"):  # these keep colour only; AVIF rounds
        assert what == DONE | COLOUR
        np.testing.assert_allclose(pixels.astype(int), GREY, atol=3 if ending == "avif" else 1)
    else:
        assert what == DONE
        np.testing.assert_array_equal(pixels, GREY)
    if ending not in ("pgm", "avif", "gif"):
        found, what = _read(_save(tmp_path / f"b.{ending}", RGB, **lossless), colour=True)
        assert what == DONE | COLOUR
        np.testing.assert_array_equal(found, RGB)


def test_a_jpeg_is_what_pillow_makes_of_it(tmp_path):
    path = _save(tmp_path / "a.jfif", RNG.integers(0, 256, (40, 30, 3), np.uint8), format="JPEG")
    np.testing.assert_array_equal(_read(path, colour=True)[0], np.asarray(Image.open(path)))


def test_colour_becomes_grey_by_luma_and_grey_becomes_colour_by_repeating(tmp_path):
    grey, what = _read(_save(tmp_path / "a.png", RGB))
    assert what == DONE | COLOUR
    np.testing.assert_allclose(grey, RGB @ [0.299, 0.587, 0.114], atol=0.51)
    colour, what = _read(_save(tmp_path / "b.png"), colour=True)
    assert what == DONE
    np.testing.assert_array_equal(colour, np.repeat(GREY[..., None], 3, axis=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_an_exif_orientation_is_applied(tmp_path, ending, orientation):
    # Eight ways to turn and mirror (Exif 2.3, tag 274): what is stored → what is meant.
    turn = [lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud, np.transpose, lambda a: np.rot90(a, -1),
            lambda a: np.rot90(a, 2).T, np.rot90][orientation - 1]  # fmt: skip
    stored = np.kron([[0, 60], [120, 180], [240, 30]], np.ones((8, 8))).astype(np.uint8)
    options = {"quality": 100} if ending == "jpg" else {"lossless": True} if ending == "webp" else {}
    pixels, what = _read(_save(tmp_path / f"a.{ending}", stored, exif=_exif(orientation), **options))
    assert bool(what & TURNED) == (orientation != 1)
    np.testing.assert_allclose(pixels.astype(int), turn(stored), atol=3)


def test_transparency_is_laid_on_white_and_counted_only_where_it_shows(tmp_path):
    rgba = np.dstack([RGB, np.full((4, 6), 255, np.uint8)])
    pixels, what = _read(_save(tmp_path / "a.png", rgba), colour=True)
    assert what == DONE | COLOUR
    np.testing.assert_array_equal(pixels, RGB)
    rgba[0, 0, 3], rgba[1, 1, 3] = 0, 128
    pixels, what = _read(_save(tmp_path / "b.png", rgba), colour=True)
    assert what == DONE | COLOUR | OPAQUE
    assert pixels[0, 0].tolist() == [255] * 3
    np.testing.assert_allclose(pixels[1, 1], RGB[1, 1] * (128 / 255) + 255 * (127 / 255), atol=1)
    la = Image.merge("LA", [Image.fromarray(channel) for channel in (GREY, np.zeros_like(GREY))])
    pixels, what = _read(_save(tmp_path / "c.png", la))
    assert what == DONE | OPAQUE  # grey with transparency stays grey
    assert (pixels == 255).all()


def test_a_colour_that_stands_for_transparency_is_laid_on_white(tmp_path):
    image = np.array([[0, 100], [200, 255]], np.uint8)
    pixels, what = _read(_save(tmp_path / "a.png", image, transparency=100))
    assert what == DONE | OPAQUE
    np.testing.assert_array_equal(pixels, [[0, 255], [200, 255]])


def test_a_palette_of_greys_is_grey_and_one_of_colours_is_colour(tmp_path):
    for name, palette, expected in (("grey", [10, 10, 10, 200, 200, 200], DONE), ("red", [255, 0, 0, 9, 9, 9], DONE | COLOUR)):
        image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
        image.putpalette(palette)
        pixels, what = _read(_save(tmp_path / f"{name}.png", image), colour=True)
        assert what == expected
        np.testing.assert_array_equal(pixels[0], np.reshape(palette, (2, 3)))


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, ending):
    deep = np.array([[0, 255, 256, 65535, 32768, 1000]], np.uint16)
    pixels, what = _read(_save(tmp_path / f"a.{ending}", deep))
    assert what == DONE | DEEP
    np.testing.assert_array_equal(pixels, deep >> 8)


def test_16_bit_colour_is_said_to_be(tmp_path):
    deep = RNG.integers(0, 65536, (4, 6, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    (tmp_path / "a.png").write_bytes(_png(6, 4, rows, bits=16, kind=2))
    pixels, what = _read(tmp_path / "a.png", colour=True)
    assert what == DONE | COLOUR | DEEP
    np.testing.assert_array_equal(pixels, deep >> 8)


def test_one_bit_is_black_and_white_and_cmyk_is_colour(tmp_path):
    image = np.array([[0, 255], [255, 0]], np.uint8)
    for ending in ("png", "pbm", "tiff"):
        np.testing.assert_array_equal(_read(_save(tmp_path / f"a.{ending}", image, "1"))[0], image)
    pixels, what = _read(_save(tmp_path / "b.tiff", RGB, "CMYK"), colour=True)
    assert what == DONE | COLOUR
    np.testing.assert_array_equal(pixels, np.asarray(Image.fromarray(RGB).convert("CMYK").convert("RGB")))


@pytest.mark.parametrize("ending", ["gif", "png", "tiff", "webp"])
def test_of_several_frames_the_first_is_taken(tmp_path, ending):
    frames = [Image.fromarray(np.full((4, 6), v, np.uint8)) for v in (10, 200, 90)]
    options = {"lossless": True} if ending == "webp" else {}
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **options)
    pixels, what = _read(tmp_path / f"a.{ending}")
    assert what & FRAMES
    assert (pixels == 10).all()


@pytest.mark.parametrize("size", [(4, 4), (2, 2), (8, 8), (2, 4), (8, 4)])
def test_size_crops_at_the_centre_or_pads_with_black(tmp_path, size):
    image = np.full((40, 80), 10, np.uint8)
    image[:, 20:60] = 200  # the middle, a square
    path = _save(tmp_path / "a.png", image)
    pixels, what = _read(path, size=size, fit="crop")
    assert what == DONE | RESIZED
    assert pixels.shape == size
    wide = size[1] / size[0]  # of the middle square's sides, so much is to be seen
    assert (pixels[:, size[1] // 2] > 180).all()
    assert pixels.mean() == pytest.approx(200 if wide <= 1 else 105, abs=16)  # the cut is a little soft
    pixels, _ = _read(path, size=size, fit="pad")
    assert pixels.shape == size
    if wide < 2:
        height = round(size[1] / 2)  # of the image within the frame
        top = round((size[0] - height) / 2)
        assert not pixels[:top].any()
        assert not pixels[top + height :].any()
        assert pixels[top : top + height].all()


def test_an_image_that_has_the_size_is_not_touched(tmp_path):
    pixels, what = _read(_save(tmp_path / "a.png"), size=(4, 6))
    assert what == DONE
    np.testing.assert_array_equal(pixels, GREY)


# Damage --------------------------------------------------------------------------------------------------------------


def _png(width, height, rows=b"", bits=8, kind=0):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">2I5B", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _bytes(kind):
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 60), np.uint8)).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize("content", [
    b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n", *(_bytes(kind)[:n] for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP") for n in (20, 400)),
])  # fmt: skip
def test_a_damaged_image_is_refused_by_name(tmp_path, content):
    _save(tmp_path / "a.png", np.zeros((40, 60), np.uint8))
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.png: not a sound image") as caught:
        load(tmp_path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
    assert "object at" not in str(caught.value)
    assert "BufferedReader" not in str(caught.value)


@pytest.mark.filterwarnings("default")  # as users run: there Pillow's warning is no error by itself
@pytest.mark.parametrize("side", [11_000, 60_000])  # Pillow warns of the first and raises on the second
def test_an_image_that_claims_to_be_huge_is_refused_without_being_unpacked(tmp_path, side):
    (tmp_path / "a.png").write_bytes(_png(side, side))
    with pytest.raises(DataError, match=r"a\.png: not a sound image .*decompression bomb"):
        load(tmp_path, size=8)


def test_several_damaged_images_are_counted_whoever_reads_them(tmp_path):
    for index in range(700):  # enough for several workers
        _save(tmp_path / f"{index:03}.png")
    for index in (650, 123, 124):
        (tmp_path / f"{index:03}.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"123\.png: not a sound image .* \(2 more are at fault\)"):
        load(tmp_path)


def test_numbers_that_are_no_pixels_are_refused(tmp_path):
    _save(tmp_path / "a.tiff", Image.fromarray(np.full((4, 6), 0.5, np.float32)))
    with pytest.raises(DataError, match=r"a\.tiff: pixels are floating-point"):
        load(tmp_path)
    _save(tmp_path / "a.tiff", Image.fromarray(np.full((4, 6), 70_000, np.int32)))
    with pytest.raises(DataError, match=r"a\.tiff: pixels from 70000 to 70000, more than 16 bits"):
        load(tmp_path)


# A folder ------------------------------------------------------------------------------------------------------------


def _tree(folder, *paths, image=GREY):
    for path in paths:
        _save(folder / path, image)
    return folder


def test_a_flat_folder_gives_unlabelled_images_in_the_order_of_their_names(tmp_path):
    images = {name: RNG.integers(0, 256, (4, 6), np.uint8) for name in ("b.png", "a.PNG", "c10.pgm", "c2.bmp")}
    for name, image in images.items():
        _save(tmp_path / name, image)
    dataset = load(tmp_path, held_out="last")
    assert dataset.name == tmp_path.name
    assert dataset.image_shape == (4, 6)
    assert dataset.train.labels is None
    both = np.concatenate([dataset.train.images, dataset.test.images])
    np.testing.assert_array_equal(both, [images[name].ravel() for name in sorted(images)])
    assert dataset.told == []


def test_a_folder_with_any_colour_is_colour_and_grey_makes_it_grey(tmp_path):
    for index in range(9):
        _save(tmp_path / f"{index}.png")
    _save(tmp_path / "9.png", RGB)
    data = load(tmp_path, held_out="last")
    assert data.image_shape == (4, 6, 3)
    np.testing.assert_array_equal(data.test.images[0], RGB.ravel())
    np.testing.assert_array_equal(data.train.images[0], np.repeat(GREY, 3))
    assert data.told == ["9 images: grey repeated as red, green and blue"]
    data = load(tmp_path, grey=True)
    assert data.image_shape == (4, 6)
    assert data.told == ["1 image: colour made grey (0.299 red + 0.587 green + 0.114 blue)"]


def test_class_folders_give_names_as_labels_however_deep_the_images_lie(tmp_path):
    marks = {}
    for label, (name, count) in enumerate([("cat", 20), ("dog", 40)]):
        for index in range(count):
            image = np.full((2, 2), 10 + label * 100 + index, np.uint8)
            _save(tmp_path / "all" / "animals" / name / ("old" if index % 2 else ".") / f"{index:03}.png", image)
            marks[int(image[0, 0])] = name
    dataset = load(tmp_path)
    for split in (dataset.train, dataset.test):
        assert [split.classes[label] for label in split.labels] == [marks[int(mark)] for mark in split.images[:, 0]]
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), [2, 4])
    assert dataset.preparation["classes"] == ["cat", "dog"]


def test_a_run_of_version_0_1_0_has_the_last_tenth_of_every_class_as_its_test_split(tmp_path):
    for label, (name, count) in enumerate([("cat", 20), ("dog", 40)]):
        for index in range(count):
            _save(tmp_path / name / f"{index:03}.png", np.full((2, 2), 10 + label * 100 + index, np.uint8))
    # cats 18 and 19, dogs 36 to 39
    assert sorted(load(tmp_path, held_out="last").test.images[:, 0]) == [28, 29, 146, 147, 148, 149]


@pytest.mark.parametrize("classes", [("",), ("a/", "b/")])
@pytest.mark.parametrize("third", [None, "val", "valid", "validation"])
def test_train_test_and_validation_folders_are_taken_as_split(tmp_path, classes, third):
    for name in classes:
        for index in range(3):
            _save(tmp_path / "train" / name / f"{index}.png")
        _save(tmp_path / "test" / name / "0.png", np.full((4, 6), 7, np.uint8))
        if third:
            _save(tmp_path / third / name / "0.png", np.full((4, 6), 9, np.uint8))
    data = load(tmp_path)
    assert len(data.train.images) == 3 * len(classes)
    assert (data.test.images == 7).all()
    assert (data.validation is None) == (third is None)
    assert third is None or (data.validation.images == 9).all()
    assert "as given" in data.source
    if len(classes) == 2:
        assert sorted(data.train.labels) == [0, 0, 0, 1, 1, 1]
        assert list(data.test.labels) == [0, 1]


def _sizes(folder):
    _save(folder / "a.png")
    _save(folder / "b.png", np.zeros((6, 4), np.uint8))


def _test_sizes(folder):
    _save(folder / "train" / "a.png")
    _save(folder / "test" / "b.png", np.zeros((6, 4), np.uint8))


def _heic(folder):
    _tree(folder, "a.png")
    for name in "bc":
        (folder / f"{name}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: None, "no images there"),
        (lambda f: (f / "notes.txt").write_text("x"), r"no images there.*left out \(no image\): notes\.txt"),
        (_sizes, r"b\.png: 4 x 6 pixels, where .*a\.png has 6 x 4, and 1 of 2 images differ from it: .* --size HEIGHTxWIDTH"),
        (_test_sizes, r"b\.png: 4 x 6 pixels"),
        (_heic, r"2 images of kinds that are not read \(\.heic\), such as b\.HEIC: convert to PNG or JPEG"),
        (lambda f: _tree(f, "a.png", "cats/b.png"), r"a\.png: lies beside the folder cats/"),
        (lambda f: _tree(f, "train/a.png", "b.png"), r"b\.png: lies beside train/"),
        (lambda f: _tree(f, "train/a.png", "car/a.png"), r"a\.png: lies beside train/"),
        (lambda f: _tree(f, "test/a.png", "test/b.png", "old/a.png"), "no train/"),
        (lambda f: _tree(f, "train/a/1.png", "train/b/1.png", "test/c/1.png", "test/a/1.png"), "train: a, b; test: a, c"),
        (lambda f: _tree(f, "train/a/1.png", "train/b/1.png", "test/1.png"), "test: no class folders"),
        (lambda f: _tree(f, "train/1.png", "val/1.png", "valid/1.png"), "both val and valid"),
        (lambda f: _tree(f, "/".join("d" * 40) + "/1.png"), "nested deeper than"),
    ],
)
def test_a_folder_that_leaves_a_doubt_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_what_is_left_out_of_a_folder_is_counted_and_named(tmp_path):
    _tree(tmp_path, *(f"{i}.png" for i in range(4)), "4.jfif", "5.ppm")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    data = load(tmp_path)
    assert len(data.train.images) + len(data.test.images) == 6
    assert sorted(data.told) == [
        "left out (a dead link): dead.png",
        "left out (a folder without images): empty/",
        "left out (a link to a folder met before): loop/",
        "left out (hidden): .DS_Store",
        "left out (no image): labels.csv and 1 more",
        "left out (no regular file): pipe.png",
    ]


def test_a_run_that_was_made_inside_the_folder_is_no_part_of_the_data(tmp_path, tiny_vae):
    from scratchvae import fit

    _tree(tmp_path, *(f"{i}.png" for i in range(20)), image=np.full((4, 3), 99, np.uint8))
    before = load(tmp_path)
    fit(tiny_vae(), before, out=tmp_path / "runs" / "vae-1", epochs=1, progress=False)
    Image.fromarray(GREY).save(tmp_path / "runs" / "vae-1" / "samples.png")
    after = load(tmp_path)
    assert after.fingerprint == before.fingerprint
    assert "left out (a run folder): runs/vae-1/" in after.told


@pytest.mark.parametrize("name", ["pipe", "pipe.png", "pipe.npy", "pipe.npz", "pipe.csv", "labels.csv", "labels.npy"])
def test_a_pipe_as_data_or_as_labels_is_refused_and_does_not_hang(tmp_path, name):
    _tree(tmp_path, "1.png", "2.png")
    os.mkfifo(tmp_path / name)
    found = []

    def attempt():
        try:
            if name.startswith("labels"):
                load(tmp_path, labels=tmp_path / name)
            else:
                load(tmp_path / name)
        except DataError as error:
            found.append(str(error))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert found
    assert "not a" in found[0]


def test_as_many_workers_as_there_are_read_the_same(tmp_path, monkeypatch):
    for index in range(60):
        _save(tmp_path / f"{index}.png", RNG.integers(0, 256, (4, 6), np.uint8))
    prints = set()
    monkeypatch.setattr("scratchvae.data.reading.PER_WORKER", 10)
    for cores, forked in ((1, True), (2, True), (5, True), (3, False)):
        monkeypatch.setattr("scratchvae.data.reading.usable_cores", lambda cores=cores: cores)
        monkeypatch.setattr("scratchvae.data.sharing.processes_are_safe", lambda forked=forked: forked)
        prints.add(load(tmp_path).fingerprint)
    assert len(prints) == 1


# Labels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["file,label\n", ""])
@pytest.mark.parametrize("form", ["{}.png", "{}", "sub/{}.png"])
def test_a_csv_of_file_and_label_gives_names_or_numbers(tmp_path, header, form):
    folder = _tree(tmp_path / "images", *(f"sub/{i}.png" for i in range(4)), "x.png")
    lines = "".join(f"{form.format(i)},{'ab'[i % 2]}\n" for i in range(4)) + "x.png,b\nmissing.png,a\n"
    (tmp_path / "labels.csv").write_text(header + lines)
    data = load(folder, labels=tmp_path / "labels.csv", held_out="last")
    assert data.train.classes == ("a", "b")
    assert [*data.train.labels, *data.test.labels] == [0, 1, 0, 1, 1]
    assert data.told == ["left out (a label without an image): missing.png"]
    (tmp_path / "labels.csv").write_text(header + lines.replace("a\n", "7\n").replace("b\n", "12\n"))
    data = load(folder, labels=tmp_path / "labels.csv", held_out="last")
    assert [*data.train.labels, *data.test.labels] == [7, 12, 7, 12, 12]


@pytest.mark.parametrize(("lines", "message"), [
    ("0.png,a\n", "has no label for 1.png"), ("0.png,a\n1.png,b,c\n", "line 2: 3 columns where 2 belong"),
    ("0.png,a\n0.png,b\n1.png,a\n", "line 2: 0.png has the labels a and b"),
])  # fmt: skip
def test_a_csv_of_labels_that_leaves_a_doubt_is_refused(tmp_path, lines, message):
    _tree(tmp_path, "0.png", "1.png")
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(DataError, match=message):
        load(tmp_path, labels=tmp_path / "labels.csv")


def test_labels_in_the_order_of_the_images_come_from_an_array_and_move_with_the_data(tmp_path):
    folder = _tree(tmp_path / "data" / "images", *(f"{i}.png" for i in range(10)))
    np.save(tmp_path / "data" / "y.npy", np.array(list("ababababab")))
    data = load(folder, labels=tmp_path / "data" / "y.npy", held_out="last")
    assert list(data.train.labels) == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert data.preparation["options"]["labels"] == os.path.join("y.npy")
    from scratchvae.data import load_again

    (tmp_path / "data").rename(tmp_path / "moved")
    again = load_again(data.note(), tmp_path / "moved" / "images")
    assert again.fingerprint == data.fingerprint
    np.testing.assert_array_equal(again.test.labels, data.test.labels)


# Options -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"size": 0}, {"size": (3, 0)}, {"size": (20_000, 3)},
    {"size": "3x"}, {"size": (1, 2, 3)}, {"size": 1.5}, {"size": True}, {"size": 10**9}, {"fit": "stretch"}, {"fit": []},
    {"grey": "yes"}, {"scale": "log"}, {"held_out": "first"}, {"seed": -1}, {"seed": 2**64}, {"seed": 1.0},
])  # fmt: skip
def test_an_option_out_of_range_is_refused_by_name(tmp_path, options):
    _tree(tmp_path, "a.png", "b.png")
    with pytest.raises(ConfigError, match=next(iter(options))):
        load(tmp_path, **options)


@pytest.mark.parametrize("size", [3, "3", (3, 3), [3], "3x3", "3×3"])
def test_a_size_may_be_written_in_several_ways(tmp_path, size):
    _tree(tmp_path, "a.png", "b.png")
    assert load(tmp_path, size=size).image_shape == (3, 3)


def test_an_option_that_means_nothing_here_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2, 2), np.uint8))
    with pytest.raises(ConfigError, match="size is for folders of image files"):
        load(tmp_path / "a.npy", size=8)
    with pytest.raises(ConfigError, match="grey is for folders"):
        load("mnist-small", grey=True)


# Before the first step -----------------------------------------------------------------------------------------------

UNTIL_THE_FIRST_STEP = """
import json, os, sys
from types import SimpleNamespace
from scratchvae import cli, training
from scratchvae.data import dataset, images
from scratchvae.training.step import TrainingStep

opened, hashed = [], []
sha256 = dataset.hashlib.sha256
dataset.hashlib = SimpleNamespace(sha256=lambda first: SimpleNamespace(
    update=lambda part: hashed.append(memoryview(part).nbytes), hexdigest=sha256(first).hexdigest))
images.open = lambda path, *how, **more: opened.append(os.path.basename(path)) or open(path, *how, **more)


def begin(step, *more):
    drawn = sorted(name for name in sys.modules if name.startswith(("matplotlib", "scratchvae.plots")))
    print(json.dumps({"opened": sorted(opened), "hashed": sum(hashed), "drawn": drawn, "run": os.path.exists("run/checkpoint.npz")}))
    sys.stdout.flush()
    os._exit(0)


TrainingStep.run = begin
cli.main(["train", "--data", "set", "--out", "run", "--json", "--threads", "1"])
"""


def test_before_the_first_step_each_file_is_opened_once_the_images_are_hashed_once_and_nothing_is_drawn(tmp_path):
    for index in range(50):
        _save(tmp_path / "set" / f"{index:02}.png", RNG.integers(0, 256, (4, 6), np.uint8))
    process = subprocess.run([sys.executable, "-c", UNTIL_THE_FIRST_STEP], cwd=tmp_path, capture_output=True, text=True, check=False)
    told = json.loads(process.stdout)
    assert told["opened"] == ["00.png", *(f"{index:02}.png" for index in range(50))]  # the first twice, for its size
    assert told["hashed"] == 50 * 4 * 6 + len("uint8 (45, 24)") + len("uint8 (5, 24)")
    assert told["drawn"] == []
    assert told["run"]


def test_a_damaged_file_is_refused_before_there_is_a_run_though_it_is_held_out(tmp_path, capsys):
    from scratchvae.cli import main

    for index in range(20):
        _save(tmp_path / "set" / f"{index:02}.png", RNG.integers(0, 256, (4, 6), np.uint8))
    held = load(tmp_path / "set").test.images[-1]
    path = next(path for path in (tmp_path / "set").iterdir() if (_read(path)[0].ravel() == held).all())
    path.write_bytes(path.read_bytes()[:40])
    assert main(["train", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "run")]) == 1
    assert f"{path.name}: not a sound image" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
