"""What lies in a folder of images: the files to read, and all that is left out, by reason and name."""

import os
import stat
from dataclasses import dataclass, field
from operator import attrgetter

from scratchvae.data.images import SUFFIXES, UNREAD
from scratchvae.errors import DataError

DEPTH = 32  # folders within folders
RUN = b'"scratchvae-run"'  # the format that a run's config.json names first


@dataclass
class Listing:
    """files    paths relative to the folder, with /, in the order of their names
    skipped  {reason: [paths]}
    """

    folder: str
    files: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def note(self):
        """{reason: {"count", "such_as"}}, for a run to keep."""
        return {reason: {"count": len(names), "such_as": names[0]} for reason, names in sorted(self.skipped.items())}


def list_images(folder):
    """All image files below `folder`, links to folders followed once. Raises DataError for images of kinds that are not
    read."""
    listing, unread = Listing(str(folder)), []
    _walk(listing, "", unread, set())
    if unread:
        kinds = ", ".join(sorted({os.path.splitext(name)[1].lower() for name in unread}))
        many = f"{len(unread)} images of kinds that are not read ({kinds}), such as" if len(unread) > 1 else "not read:"
        raise DataError(
            f"{folder}: {many} {unread[0]}: convert to PNG or JPEG, or move away, for leaving out would change the set"
        )
    return listing


def _walk(listing, under, unread, seen):
    def skip(reason, name):
        listing.skipped.setdefault(reason, []).append(name)

    if under.count("/") > DEPTH:
        raise DataError(
            f"{os.path.join(listing.folder, under)[:200]}…: nested deeper than {DEPTH} folders: give a folder further "
            "down"
        )
    here = os.path.join(listing.folder, under)
    status = os.stat(here)
    if (status.st_dev, status.st_ino) in seen:
        return skip("a link to a folder met before", under)
    seen.add((status.st_dev, status.st_ino))
    if under and _is_run(here):
        return skip("a run folder", under)
    with os.scandir(here) as entries:
        entries = sorted(entries, key=attrgetter("name"))
    before = len(listing.files)
    for entry in entries:
        own = entry.name
        name, suffix = under + own, own[own.rfind(".") :].lower()
        if own[0] == ".":
            skip("hidden", name)
        elif entry.is_file():
            if suffix in SUFFIXES:
                listing.files.append(name)
            elif suffix in UNREAD:
                unread.append(name)
            else:
                skip("no image", name)
        elif entry.is_dir():
            _walk(listing, name + "/", unread, seen)
        else:
            skip("a dead link" if not os.path.exists(entry.path) else "no regular file", name)
    if under and len(listing.files) == before and not unread:
        skip("a folder without images", under)
    return None


def _is_run(folder):
    """Whether a run was made in this folder."""
    try:
        path = os.path.join(folder, "config.json")
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return RUN in file.read(4096)
    except OSError:  # no such file, most often
        return False
