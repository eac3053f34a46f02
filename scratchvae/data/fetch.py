"""The four files of a public set: found on disk, or downloaded; verified either way.

Where they are looked for:
    SCRATCHVAE_DATA set    $SCRATCHVAE_DATA/<set>/ and $SCRATCHVAE_DATA/: your folder. Files that are there are never
                           touched; missing ones are downloaded into the first.
    otherwise              <the platform's cache folder>/scratchvae/<set>/: ours. A damaged file is fetched again.
SCRATCHVAE_OFFLINE=1 forbids the network.
"""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from scratchvae.data.known import KNOWN_SETS
from scratchvae.errors import DataError
from scratchvae.files import replacing

TIMEOUT = (10, 60)  # seconds to connect, seconds of silence


def fetch(known):
    """Verified local files of a KnownSet: a list of Paths in the order of `known.files`.

    Raises DataError when a file is damaged, cannot be fetched from any mirror, or may not be downloaded.
    """
    return [_fetch_one(known, file) for file in known.files]


def _fetch_one(known, file):
    user = os.environ.get("SCRATCHVAE_DATA")
    if user:
        folder = Path(user).expanduser() / known.name
        for path in (folder / file.name, folder.parent / file.name):
            # All these sets use the same file names: beside another set's files, ours are only missing.
            if not os.path.exists(path) or (path.parent != folder and _is_of_another_set(path, known)):
                continue
            fault = find_fault(path, file)
            if fault:
                raise DataError(
                    f"{path}: {fault}. It lies in your SCRATCHVAE_DATA, so it is left as it is: "
                    "replace it, or move it away to have it downloaded"
                )
            return path
    else:
        folder = cache_folder() / known.name
        if (folder / file.name).exists() and not find_fault(folder / file.name, file):
            return folder / file.name
    return _download(known, file, folder)


def cache_folder():
    """The platform's cache folder for scratchvae; it need not exist yet."""
    import pooch

    return Path(pooch.os_cache("scratchvae"))


def find_fault(path, file):
    """What is wrong with a local copy of RemoteFile `file`, in words; None when size and sha256 are right."""
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"{size} bytes where {file.size} belong"
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found != file.sha256:
        return f"sha256 {found} where {file.sha256} belongs"
    return None


def _is_of_another_set(path, known):
    size = path.stat().st_size
    return any(
        (file.name, file.size) == (path.name, size)
        for other in KNOWN_SETS.values()
        if other.name != known.name
        for file in other.files
    )


def _download(known, file, folder):
    by_hand = (
        f"To do it by hand: put {', '.join(each.name for each in known.files)} of {known.name} into {folder}, "
        "or name the folder that has them in SCRATCHVAE_DATA. The set 'mnist-small' needs no download."
    )
    if os.environ.get("SCRATCHVAE_OFFLINE", "0") not in ("", "0"):
        state = "damaged" if (folder / file.name).exists() else "missing"
        raise DataError(f"{folder / file.name} is {state}, and SCRATCHVAE_OFFLINE forbids a download. {by_hand}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}). {by_hand}") from error
    failures = []
    for mirror in known.mirrors:
        fault = _try_mirror(mirror + file.name, file, folder)
        if fault is None:
            return folder / file.name
        failures.append(f"{urlsplit(mirror).netloc} {fault}")
    raise DataError(f"{file.name} of {known.name} could not be downloaded: {'; '.join(failures)}. {by_hand}")


def _in_words(error):
    """What a requests.RequestException says of a mirror."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "does not answer"
    return "cannot be reached" if isinstance(error, requests.ConnectionError) else "breaks off"


class _Refused(Exception):
    pass


class _Bounded:
    """A file that takes `most` bytes: a mirror that never stops must not fill the disk."""

    def __init__(self, file, most):
        self.file, self.most, self.taken = file, most, 0

    def write(self, data):
        self.taken += len(data)
        if self.taken > self.most:
            raise _Refused(f"sent more than the {self.most} bytes that belong")
        self.file.write(data)

    def flush(self):
        pass  # pooch flushes every chunk; closing the file is enough


def _try_mirror(url, file, folder):
    """Download `url` to its place in `folder`. Returns None, or what went wrong with the mirror."""
    import pooch
    import requests
    from tqdm import tqdm

    def download(url, path, _):
        # disable=None: no bar unless stderr is a terminal
        with (
            tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, disable=None) as bar,
            open(path, "wb") as opened,
        ):
            body = _Bounded(opened, file.size)
            # Without "identity" a server may send the .gz as a Content-Encoding, which requests would undo.
            headers = {"Accept-Encoding": "identity"}
            pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT, headers=headers)(
                url, body, None
            )
        if body.taken < file.size:
            raise _Refused(f"sent {body.taken} of the {file.size} bytes that belong")

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would announce the temporary name
    try:
        with replacing(folder / file.name) as part:
            try:
                pooch.retrieve(url, f"sha256:{file.sha256}", fname=part.name, path=folder, downloader=download)
            except requests.RequestException as error:  # an OSError, but none of our disk
                raise _Refused(_in_words(error)) from error
            except ValueError as error:
                raise _Refused("sent the right number of bytes, but not the right ones (sha256 differs)") from error
    except _Refused as error:
        return str(error)
    except OSError as error:
        raise DataError(
            f"{folder}: {file.name} cannot be written there ({error.strerror or error}). Make room or make it "
            "writable, or name another folder in SCRATCHVAE_DATA"
        ) from error
    finally:
        logger.setLevel(level)
    return None
