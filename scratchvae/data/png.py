"""A folder of grey PNG images of one size.

    folder/*.png                    images without labels
    folder/<class>/*.png            labels 0, 1, …, by the classes' names in sorted order
    folder/train/…, folder/test/…   either of these, already split

Images come in the order of their names. Classes are interleaved in proportion, so that the last tenth of the set
is the last tenth of every class.
"""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from scratchvae.data.assembly import to_dataset
from scratchvae.data.idx import MAX_BYTES
from scratchvae.errors import DataError

OTHER_IMAGES = (".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PNG_FAULTS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error)


def load_png_folder(folder, **options):
    """A Dataset from a folder of PNGs, laid out as above. Raises DataError naming the first file at fault."""
    folder = Path(folder)
    split = (folder / "train").is_dir()
    if not split and (folder / "test").is_dir():
        raise DataError(f"{folder}: has test/ but no train/: put the training images into {folder / 'train'}")
    if split:
        # A class that happens to be called "train" must not make the others vanish.
        stray = _pngs(folder) + [folder / name for name in _folders(folder) if name not in ("train", "test")]
        if stray:
            raise DataError(f"{stray[0]}: lies beside train/: move it into train/ or test/, or rename train/")
    train_files, train_labels, classes = _list(folder / "train" if split else folder)
    train = (_read_all(train_files, None), train_labels, folder)
    test = None
    if (folder / "test").is_dir():
        test_files, test_labels, test_classes = _list(folder / "test")
        if test_classes != classes:
            raise DataError(
                f"{folder}: train/ has {_name(classes)}, test/ has {_name(test_classes)}: give both the same classes"
            )
        test = (_read_all(test_files, train[0].shape[1:]), test_labels, folder / "test")
    described = f", labelled 0 to {len(classes) - 1} by class folder ({', '.join(classes)})" if classes else ""
    return to_dataset(folder.resolve().name, train, test, f"The PNG images in {folder}{described}", **options)


def _list(folder):
    """Image files in order, their labels or None, and the class names."""
    classes = _folders(folder)
    files = _pngs(folder)
    if files and classes:
        raise DataError(f"{folder}: PNGs beside the folder {classes[0]}/: use class folders for all images or for none")
    if not classes:
        if not files:
            raise DataError(f"{folder}: no PNG images there: check the path")
        return files, None, []
    ranked = []
    for label, name in enumerate(classes):
        of_class = _pngs(folder / name)
        if not of_class:
            raise DataError(f"{folder / name}: no PNG images there: remove the folder, or fill it")
        ranked += [((rank + 0.5) / len(of_class), label, path) for rank, path in enumerate(of_class)]
    ranked.sort()
    labels = np.array([label for _, label, _ in ranked], np.uint8 if len(classes) <= 256 else np.int64)
    return [path for _, _, path in ranked], labels, classes


def _folders(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _pngs(folder):
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    for path in files:
        # Leaving some images out in silence would change the data set.
        if path.suffix.lower() in OTHER_IMAGES:
            raise DataError(f"{path}: not a PNG: convert it, or move it away")
    return [path for path in files if path.suffix.lower() == ".png"]


def _read_all(files, shape):
    """(N, H, W) uint8, filled image by image; `shape` None takes that of the first."""
    first = _read(files[0])
    shape = shape or first.shape
    if len(files) * first.size > MAX_BYTES:
        raise DataError(f"{files[0].parent}: {len(files)} images of {first.shape} exceed {MAX_BYTES} bytes: use fewer")
    images = np.empty((len(files), *shape), np.uint8)
    for index, path in enumerate(files):
        image = _read(path)
        if image.shape != shape:
            raise DataError(
                f"{path}: {image.shape[1]} x {image.shape[0]} pixels, where the images before it have "
                f"{shape[1]} x {shape[0]} (width x height): make them one size"
            )
        images[index] = image
    return images


def _read(path):
    from PIL import Image

    try:
        # Pillow only warns of an image that unpacks to hundreds of megabytes; to us that is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                _check_grey(image.mode, path)
                return np.asarray(image.convert("L"))
    except DataError:
        raise
    except (*PNG_FAULTS, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{path}: not a sound PNG ({error}): save it again") from error


def _check_grey(mode, path):
    if mode.startswith("I"):
        raise DataError(f"{path}: 16 bits per pixel: save it with 8 (values 0 to 255)")
    if mode not in ("L", "1"):
        raise DataError(f"{path}: colour, palette or transparency (Pillow mode {mode}): save it as 8-bit grey")


def _name(classes):
    return "the classes " + ", ".join(classes) if classes else "no class folders"
