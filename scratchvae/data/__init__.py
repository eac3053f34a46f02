"""Data to learn from: a bundled set, the full MNIST and Fashion-MNIST, sets made by a seed, or your own images and
tables.

    from scratchvae.data import load, gather
    digits = load("mnist-small")           # or "mnist", "fashion-mnist", or a path
    batch = np.empty((128, 784), np.float32)
    gather(digits.train.images, rows, batch)
"""

from scratchvae.data.dataset import Dataset, Split, gather
from scratchvae.data.loading import NAMES, load, load_again
from scratchvae.data.saving import save_npz, write_csv
from scratchvae.data.scaling import undo
from scratchvae.data.split import hold_out

__all__ = ["NAMES", "Dataset", "Split", "gather", "hold_out", "load", "load_again", "save_npz", "undo", "write_csv"]
