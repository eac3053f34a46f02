"""A data set from a .npy or .npz file."""

from pathlib import Path

from scratchvae.data.assembly import to_dataset
from scratchvae.data.npy import read_npy, read_npz
from scratchvae.errors import DataError

# train images, train labels, test images, test labels
KEYS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels", None, None),
)


def load_npy(path, **options):
    """A Dataset from one .npy of images, (N, H, W) or (N, D); a tenth is held out as `options` of to_dataset say."""
    path = Path(path)
    with open(path, "rb") as file:
        images = read_npy(file, path.stat().st_size, path)
    return to_dataset(path.name, (images, None, path), None, f"The array in {path}", **options)


def load_npz(path, **options):
    """A Dataset from an .npz that holds one of the sets of names in KEYS; labels and test split may be missing."""
    path = Path(path)
    arrays = read_npz(path, [key for keys in KEYS for key in keys if key])
    for keys in KEYS:
        if keys[0] not in arrays:
            continue
        images, labels, test_images, test_labels = (arrays.get(key) for key in keys)
        if test_images is None and test_labels is not None:
            raise DataError(f"{path}: {keys[3]} without {keys[2]}: add the test images, or drop their labels")
        test = None if test_images is None else (test_images, test_labels, f"{path}, {keys[2]}")
        return to_dataset(path.name, (images, labels, f"{path}, {keys[0]}"), test, f"The arrays in {path}", **options)
    raise DataError(
        f"{path}: holds none of the arrays {', '.join(keys[0] for keys in KEYS)}: "
        f"name its arrays {', '.join(KEYS[0])} (the last three are optional)"
    )
