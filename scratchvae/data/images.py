"""One image file, by Pillow, to 8-bit grey or colour. What was done to it comes back as a sum of bits, and is
counted."""

import io
import os
import warnings
from contextlib import contextmanager

import numpy as np

from scratchvae.errors import DataError

# By content, whatever the name; only these decoders of Pillow's are let near a file (its EPS one, say, runs a program).
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".pgm", ".ppm",
    ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
))  # fmt: skip
UNREAD = (
    ".heic", ".heif", ".jxl", ".svg", ".psd", ".xcf", ".eps", ".ai", ".exr", ".hdr", ".dcm", ".raw", ".dng", ".cr2",
    ".cr3", ".nef", ".arw", ".orf", ".rw2", ".tga", ".ico",
)  # fmt: skip

DONE, FRAMES, TURNED, OPAQUE, DEEP, COLOUR, RESIZED, OTHER_SIZE, FAULT = (1 << i for i in range(9))
WORDS = {
    FRAMES: "only the first frame of several",
    TURNED: "turned as the EXIF orientation says",
    OPAQUE: "transparency laid on white",
    DEEP: "the upper 8 of 16 bits kept",
}
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
ORIENTATION = 0x0112
# which say nothing of the pixels
PLAIN_INFO = frozenset(("jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "gamma"))
SMALL = 1 << 20  # bytes of a file that is read at once, which takes less time than Pillow's many small reads


@contextmanager
def strictly():
    """Pillow only warns of an image that unpacks to hundreds of megabytes; in this block that is an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which we do not use
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


class Reader:
    """Reads images of one kind. Open `strictly` around its use.

    colour  True: (H, W, 3); False: (H, W)
    size    (height, width) to bring every image to, or None
    fit     "crop" cuts what exceeds the shape, at the centre; "pad" adds black
    """

    def __init__(self, colour, size=None, fit="crop"):
        from PIL import Image, ImageOps, UnidentifiedImageError

        self.unidentified = UnidentifiedImageError
        Image.init()
        self.formats = [name for name in FORMATS if name in Image.OPEN]
        self.open, self.turn = Image.open, ImageOps.exif_transpose
        self.mode, self.channels = ("RGB", (3,)) if colour else ("L", ())
        self.size = None if size is None else (size[1], size[0])
        self.resize = {"crop": ImageOps.fit, "pad": ImageOps.pad}[fit]

    def __call__(self, path):
        """→ pixels, uint8, and what was done: bits of WORDS, COLOUR where there was colour, RESIZED.

        Raises DataError naming the file when it is no sound image.
        """
        try:
            # Given a path, Pillow 13 maps an uncompressed TIFF as if it were turned already, and its pixels are
            # scrambled.
            with open(path, "rb", buffering=0) as raw:
                small = os.fstat(raw.fileno()).st_size <= SMALL
                file = io.BytesIO(raw.read()) if small else io.BufferedReader(raw)
                return self._read(self.open(file, formats=self.formats), path)
        except DataError:
            raise
        # Which exceptions a decoder raises on a damaged file is documented nowhere.
        except Exception as error:
            fault = (
                error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
            )
            if isinstance(error, self.unidentified):  # which shows the file object
                fault = "of none of the kinds that are read"
            raise DataError(f"{path}: not a sound image ({fault[:200]}): save it again, or move it away") from error

    def _read(self, image, path):
        what = DONE
        if getattr(image, "is_animated", False):
            what |= FRAMES
        if image.tile and ";16" in str(image.tile[0][3]):
            what |= DEEP
        if image.format == "TIFF" and _orientation(image) != 1:
            what |= TURNED  # by load, at once
        image.load()
        if image.mode not in ("L", "RGB") or not PLAIN_INFO.issuperset(image.info):
            image, more = self._plain(image, path)
            what |= more
        if image.mode != "L":
            what |= COLOUR
        if image.mode != self.mode:
            image = image.convert(self.mode)
        if self.size not in (None, image.size):
            image, what = self.resize(image, self.size), what | RESIZED
        # As np.asarray(image) does, which takes longer for the same.
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, *self.channels), what

    def _plain(self, image, path):
        """Any image as L or RGB: upright, opaque, 8 bits."""
        what = 0
        if _orientation(image) != 1:
            image, what = self.turn(image), TURNED
        grey = image.mode in GREY_MODES or (image.mode in ("P", "PA") and _is_grey(image.getpalette("RGB")))
        if image.mode == "F":
            raise DataError(f"{path}: pixels are floating-point numbers: save 8 or 16 bits, or all images as one .npy")
        if image.mode.startswith("I"):
            image, what = _upper_bits(image, path), what | DEEP
        if image.has_transparency_data:
            image, opaque = _on_white(image)
            what |= opaque
        mode = "L" if grey else "RGB"
        return image if image.mode == mode else image.convert(mode), what


def _orientation(image):
    return image.getexif().get(ORIENTATION, 1)


def _is_grey(palette):
    colours = np.reshape(palette, (-1, 3))
    return bool((colours == colours[:, :1]).all())


def _upper_bits(image, path):
    from PIL import Image

    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{path}: pixels from {values.min()} to {values.max()}, more than 16 bits: save 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _on_white(image):
    """→ the image, opaque, and OPAQUE where anything showed through."""
    from PIL import Image

    image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB"), 0
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB"), OPAQUE
