"""Many image files into one array, read by all cores at once."""

import mmap

import numpy as np

from scratchvae.data.images import COLOUR, DONE, FAULT, OTHER_SIZE, RESIZED, WORDS, Reader, strictly
from scratchvae.errors import DataError
from scratchvae.workers import Processes, Threads, processes_are_safe, usable_cores

PER_WORKER = 200  # files below which another worker is not worth starting
LOOK_EVERY = 32  # files between two looks at how far all are


def read_images(paths, options, progress=True):
    """→ images (N, H, W) or, where any is in colour, (N, H, W, 3), uint8; and {what was done: to how many}.

    paths  one or more files, in order;  options  of them size, fit and grey
    Raises DataError naming the first file at fault, and the cure where images differ in size.
    """
    with strictly():
        first, what = Reader(not options.grey, options.size, options.fit)(paths[0])
        colour = bool(what & COLOUR) and not options.grey
        images, done = _read(paths, first.shape[:2] + (3,) * colour, colour, options, progress)
        if not (colour or options.grey) and (done & COLOUR).any():  # it began grey, and is not
            colour = True
            images, done = _read(paths, (*first.shape[:2], 3), colour, options, progress)
    for i in np.flatnonzero(done & FAULT)[:1]:
        others = (done & FAULT != 0).sum() - 1
        try:
            with strictly():
                Reader(colour, options.size, options.fit)(paths[i])
        except DataError as error:
            raise DataError(f"{error}{f' ({others} more are at fault)' if others else ''}") from error
        raise DataError(f"{paths[i]}: could not be read, and now can be: load again")
    for i in np.flatnonzero(done & OTHER_SIZE)[:1]:
        with strictly():
            height, width = Reader(False)(paths[i])[0].shape
        raise DataError(
            f"{paths[i]}: {width} x {height} pixels, where {paths[0]} has {first.shape[1]} x {first.shape[0]}, and "
            f"{(done & OTHER_SIZE != 0).sum()} of {len(paths)} images differ from it: make them one size with "
            f"--size HEIGHTxWIDTH (in Python size=(height, width))"
        )
    return images, _count(done, colour, options)


def _read(paths, shape, colour, options, progress):
    """→ images, and for every file what was done, as bits. Once a colour image meets a set begun in grey, it is left unfinished."""
    from tqdm import tqdm

    reader = Reader(colour, options.size, options.fit)
    images, done = _shared((len(paths), *shape), np.uint8), _shared((len(paths),), np.uint16)
    enough = 0 if colour or options.grey else COLOUR

    def read(worker):
        with strictly():
            for k, i in enumerate(range(worker, len(paths), workers.count)):
                try:
                    pixels, what = reader(paths[i])
                    if pixels.shape == shape:
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
    # disable=None: no bar unless stderr is a terminal
    with tqdm(total=len(paths), desc="reading", unit="files", disable=None if progress else True, leave=False) as bar, workers:
        workers.run(read)
    return images, done


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
