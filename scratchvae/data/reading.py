"""Many image files into one array, read by all cores at once."""

import contextlib
import gc
import hashlib
import math
import mmap
import os
import shutil

import numpy as np

from scratchvae.cores import usable_cores
from scratchvae.data.fetch import cache_folder
from scratchvae.data.images import COLOUR, DONE, FAULT, OTHER_SIZE, RESIZED, WORDS, Reader, strictly
from scratchvae.data.mapped import IN_MEMORY, open_npy
from scratchvae.errors import DataError
from scratchvae.files import make_folder, replacing
from scratchvae.workers import Processes, Threads, processes_are_safe

PER_WORKER = 200  # files below which another worker is not worth starting
LOOK_EVERY = 32  # files between two looks at how far all are


def read_images(paths, options, progress=True):
    """→ images (N, H, W) or, where any is in colour, (N, H, W, 3), uint8; and {what was done: to how many}.

    paths  one or more files, in order;  options  of them size, fit and grey
    More than IN_MEMORY bytes are read once into a file of the cache folder and mapped from there, this time and the next.
    Raises DataError naming the first file at fault, and the cure where images differ in size.
    """
    with strictly():
        first, what = Reader(not options.grey, options.size, options.fit)(paths[0])
    colour = bool(what & COLOUR) and not options.grey
    try:
        images, done = _read(paths, first.shape[:2], colour, options, progress)
    except _MetColour:
        colour = True
        images, done = _read(paths, first.shape[:2], colour, options, progress)
    return images, _count(done, colour, options)


class _MetColour(Exception):
    """A set that began grey holds an image in colour."""


def _read(paths, size, colour, options, progress):
    shape = (len(paths), *size, *(3,) * colour)
    if math.prod(shape) <= IN_MEMORY:
        images = _shared(shape, np.uint8)
        return images, _fill(images, paths, colour, options, progress)
    path = cache_folder() / "decoded" / f"{_key(paths, shape, options)}.npy"
    notes = path.with_suffix(".done.npy")
    with contextlib.suppress(OSError, DataError):  # none there, or cut short: it is made anew
        return open_npy(path), open_npy(notes)
    make_folder(path.parent)
    if shutil.disk_usage(path.parent).free < math.prod(shape):
        raise DataError(f"{path.parent}: no room for {math.prod(shape):,} bytes of decoded images: free some, or give a smaller --size")
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
        digest.update(f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _fill(images, paths, colour, options, progress):
    """Read every file into its row → for every file what was done, as bits. Raises DataError and _MetColour."""
    from tqdm import tqdm

    reader = Reader(colour, options.size, options.fit)
    done = _shared((len(paths),), np.uint16)
    enough = 0 if colour or options.grey else COLOUR

    def read(worker):
        with strictly():
            for k, i in enumerate(_order(worker, workers.count, len(paths))):
                if done[i]:
                    continue
                try:
                    pixels, what = reader(paths[i])
                    if pixels.shape == images.shape[1:]:
                        images[i] = pixels
                    else:
                        what |= OTHER_SIZE
                except DataError:
                    what = FAULT  # the caller reads it again, to say what is wrong
                done[i] = what
                if worker == 0 and k % LOOK_EVERY == 0:
                    bar.update(np.count_nonzero(done) - bar.n)
                if what & enough:
                    break

    count = min(usable_cores(), 1 + len(paths) // PER_WORKER)
    workers = Processes(count, [read]) if processes_are_safe() and count > 1 else Threads(count)
    disable = None if progress else True  # None: no bar unless stderr is a terminal
    with _no_collections(), tqdm(total=len(paths), desc="reading", unit="files", disable=disable, leave=False) as bar, workers:
        workers.run(read)
    for i in np.flatnonzero(done & FAULT)[:1]:
        _say(paths[i], reader, (done & FAULT != 0).sum() - 1)
    if (done & enough).any():
        raise _MetColour
    for i in np.flatnonzero(done & OTHER_SIZE)[:1]:
        with strictly():
            height, width = reader(paths[i])[0].shape[:2]
        raise DataError(
            f"{paths[i]}: {width} x {height} pixels, where {paths[0]} has {images.shape[2]} x {images.shape[1]}, and "
            f"{(done & OTHER_SIZE != 0).sum()} of {len(paths)} images differ from it: make them one size with "
            f"--size HEIGHTxWIDTH (in Python size=(height, width))"
        )
    return done


@contextlib.contextmanager
def _no_collections():
    """Python looks for no cycles meanwhile: it would touch every object, and of a forked process each page touched is copied."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _order(worker, count, files):
    """The files of one worker: a part of its own, side by side in memory, and then, backwards, those that the others have not come to."""
    start, stop = files * worker // count, files * (worker + 1) // count
    yield from range(start, stop)
    yield from (i for i in range(files - 1, -1, -1) if not start <= i < stop)


def _say(path, reader, others):
    """Raise the DataError of a file that could not be read, and how many more there are."""
    try:
        with strictly():
            reader(path)
    except DataError as error:
        raise DataError(f"{error}{f' ({others} more are at fault)' if others else ''}") from error
    raise DataError(f"{path}: could not be read, and now can be: load again")


def _shared(shape, dtype):
    """Zeros in memory that forked processes share."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)


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
