"""Many image files into one array, read by all cores at once."""

import contextlib
import hashlib
import math
import os
import shutil

import numpy as np

from scratchvae.cores import usable_cores
from scratchvae.data.fetch import cache_folder
from scratchvae.data.images import COLOUR, DONE, FAULT, OTHER_SIZE, RESIZED, WORDS, Reader, strictly
from scratchvae.data.mapped import IN_MEMORY, open_npy
from scratchvae.data.sharing import share_out
from scratchvae.errors import DataError
from scratchvae.files import make_folder, replacing

PER_WORKER = 200  # files below which another worker is not worth starting


def read_images(paths, options, progress=True, places=None):
    """→ images (N, H, W) or, where any is in colour, (N, H, W, 3), uint8; and {what was done: to how many}.

    paths  one or more files, in order;  options  of them size, fit and grey;  places  (N,) the row of each file, if not
           in order
    More than IN_MEMORY bytes are read once into a file of the cache folder, in order, and mapped from there, this time
    and the next. Raises DataError naming the first file at fault, and the cure where images differ in size.
    """
    with strictly():
        first, what = Reader(not options.grey, options.size, options.fit)(paths[0])
    colour = bool(what & COLOUR) and not options.grey
    try:
        images, done = _read(paths, first.shape[:2], colour, options, progress, places)
    except _MetColour:
        colour = True
        images, done = _read(paths, first.shape[:2], colour, options, progress, places)
    return images, _count(done, colour, options)


class _MetColour(Exception):
    """A set that began grey holds an image in colour."""


def _read(paths, size, colour, options, progress, places):
    shape = (len(paths), *size, *(3,) * colour)
    if math.prod(shape) <= IN_MEMORY:
        images = np.empty(shape, np.uint8)
        return images, _fill(images, paths, colour, options, progress, places)
    path = cache_folder() / "decoded" / f"{_key(paths, shape, options)}.npy"
    notes = path.with_suffix(".done.npy")
    with contextlib.suppress(OSError, DataError):  # none there, or cut short: it is made anew
        return open_npy(path), open_npy(notes)
    make_folder(path.parent)
    if shutil.disk_usage(path.parent).free < math.prod(shape):
        raise DataError(
            f"{path.parent}: no room for {math.prod(shape):,} bytes of decoded images: free some, or give a smaller "
            "--size"
        )
    with replacing(path) as temporary:
        images = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        done = _fill(images, paths, colour, options, progress)
        images.flush()
        del images
    with replacing(notes) as temporary:
        np.save(temporary, done)
    return open_npy(path), done


def _key(paths, shape, options):
    """A name for what is decoded: another one whenever a file, a wish or Pillow has changed."""
    import PIL

    digest = hashlib.sha256(repr((shape, options.size, options.fit, options.grey, PIL.__version__)).encode())
    for path in paths:
        status = os.stat(path)
        digest.update(
            f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()[:32]


def _fill(images, paths, colour, options, progress, places=None):
    """Read every file into its row of images → for every file what was done, as bits. Raises DataError and
    _MetColour."""
    from tqdm import tqdm

    reader = Reader(colour, options.size, options.fit)
    done = np.zeros(len(paths), np.uint16)
    enough = 0 if colour or options.grey else COLOUR

    def read(i, pixels):
        try:
            found, what = reader(paths[i])
        except DataError:
            return FAULT  # it is read again, to say what is wrong
        if found.shape != pixels.shape:
            return what | OTHER_SIZE
        pixels[...] = found
        return what

    def tell(part):
        bar.update(len(part))
        if (part & enough).any():
            raise _MetColour

    count = min(usable_cores(), 1 + len(paths) // PER_WORKER)
    disable = None if progress else True  # None: no bar unless stderr is a terminal
    with strictly(), tqdm(total=len(paths), desc="reading", unit="files", disable=disable, leave=False) as bar:
        share_out(read, images, np.arange(len(paths)) if places is None else places, done, count, tell)
    for i in np.flatnonzero(done & FAULT)[:1]:
        _say(paths[i], reader, (done & FAULT != 0).sum() - 1)
    for i in np.flatnonzero(done & OTHER_SIZE)[:1]:
        with strictly():
            height, width = reader(paths[i])[0].shape[:2]
        raise DataError(
            f"{paths[i]}: {width} x {height} pixels, where {paths[0]} has {images.shape[2]} x {images.shape[1]}, and "
            f"{(done & OTHER_SIZE != 0).sum()} of {len(paths)} images differ from it: make them one size with "
            f"--size HEIGHTxWIDTH (in Python size=(height, width))"
        )
    return done


def _say(path, reader, others):
    """Raise the DataError of a file that could not be read, and how many more there are."""
    try:
        with strictly():
            reader(path)
    except DataError as error:
        raise DataError(f"{error}{f' ({others} more are at fault)' if others else ''}") from error
    raise DataError(f"{path}: could not be read, and now can be: load again")


def _count(done, colour, options):
    words = dict(WORDS)
    if options.grey:
        words[COLOUR] = "colour made grey (0.299 red + 0.587 green + 0.114 blue)"
    if options.size:
        words[RESIZED] = f"brought to {options.size[0]} x {options.size[1]} (height x width, {options.fit})"
    counts = {text: int((done & bit != 0).sum()) for bit, text in words.items()}
    if colour:
        counts["grey repeated as red, green and blue"] = int((done & (COLOUR | DONE) == DONE).sum())
    return {text: count for text, count in counts.items() if count}
