"""Make the bundled set:  python -m scratchvae.data.make_bundled FOLDER OUT.npz

FOLDER holds the four original MNIST files. The first 5,000 training and 1,000 test images with their labels are
written as compressed .npz, the same bytes every time (with the same zlib), and the sha256 sums for NOTICE.md
are printed.
"""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from scratchvae.data.fetch import find_fault
from scratchvae.data.idx import read_idx
from scratchvae.data.known import MNIST
from scratchvae.errors import DataError
from scratchvae.files import replacing

PARTS = (  # name in the .npz, dimensions, how many; in the order of MNIST.files
    ("train_images", 3, 5000),
    ("train_labels", 1, 5000),
    ("test_images", 3, 1000),
    ("test_labels", 1, 1000),
)


def make_bundled(folder, out):
    """Write the bundled .npz from the files in `folder`, and return its sha256. Raises DataError on other files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file, (name, ndim, count) in zip(MNIST.files, PARTS, strict=True):
            path = Path(folder) / file.name
            fault = find_fault(path, file)
            if fault:
                raise DataError(f"{path}: {fault}: give the folder of the original MNIST files")
            member = io.BytesIO()
            np.save(member, read_idx(path, ndim)[:count], allow_pickle=False)
            # A ZipInfo made by hand has a fixed date (1980), where np.savez_compressed leaves that to zipfile.
            info = zipfile.ZipInfo(f"{name}.npy")
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    with replacing(out) as temporary:
        temporary.write_bytes(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    try:
        print(f"{make_bundled(*arguments)}  {arguments[1]}")
    except DataError as error:
        sys.exit(str(error))
    for file in MNIST.files:
        print(f"{file.sha256}  {file.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
