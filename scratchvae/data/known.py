"""The public sets that we fetch by name: their files, and where to fetch these."""

from dataclasses import dataclass

FILE_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@dataclass(frozen=True)
class RemoteFile:
    """name, size in bytes, sha256 in hex"""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class KnownSet:
    """mirrors: folders on the web, tried in turn;  files: in the order of FILE_NAMES;  source: one sentence"""

    name: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, RemoteFile, RemoteFile, RemoteFile]
    source: str


def _files(*size_and_sha256):
    return tuple(RemoteFile(name, *pair) for name, pair in zip(FILE_NAMES, size_and_sha256, strict=True))


# Sizes and sha256 as in TensorFlow Datasets, url_checksums/mnist.txt; computed anew from the files for this table.
MNIST = KnownSet(
    name="mnist",
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    files=_files(
        (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    source="MNIST (Yann LeCun, Corinna Cortes): all 60,000 training and 10,000 test images, split by its authors.",
)

# Sizes and sha256 as in TensorFlow Datasets, url_checksums/fashion_mnist.txt. Its authors publish md5 sums only
# (8d4fb7e6…, 25c81989…, bef4ecab…, bb300cfd…); other public tables list those beside these very sha256.
FASHION_MNIST = KnownSet(
    name="fashion-mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files=_files(
        (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    source="Fashion-MNIST (Zalando Research): all 60,000 training and 10,000 test images, split by its authors.",
)

KNOWN_SETS = {known.name: known for known in (MNIST, FASHION_MNIST)}
