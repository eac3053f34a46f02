"""Public sets: found on disk or downloaded, from real servers on this computer's own loopback address."""

import gzip
import hashlib
import http.server
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from scratchvae.cli import main
from scratchvae.data.fetch import cache_folder, fetch
from scratchvae.data.known import FILE_NAMES, KNOWN_SETS, KnownSet, RemoteFile
from scratchvae.data.loading import load_known
from scratchvae.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4), np.uint8)
LABELS = np.arange(40, dtype=np.uint8)


def _idx(array):
    content = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    return gzip.compress(content, mtime=0)


CONTENTS = dict(zip(FILE_NAMES, map(_idx, (IMAGES[:30], LABELS[:30], IMAGES[30:], LABELS[30:])), strict=True))
FILES = tuple(RemoteFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENTS.items())


class _Mirror(http.server.BaseHTTPRequestHandler):
    """The first folder of the address says how this mirror behaves."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        _, manner, name = self.path.split("/")
        data = CONTENTS[name]
        length = len(data)
        if manner == "missing":
            self.send_error(404)
            return
        if manner == "truncated":  # announced in full, then cut off
            data, self.close_connection = data[:-7], True
        if manner == "short":  # complete as HTTP goes, too little all the same
            data, length = data[:-7], length - 7
        if manner == "wrong":
            data = bytes(byte ^ 1 for byte in data)
        if manner == "endless":
            data, length = data * 1000, length * 1000
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        if manner == "encoding" and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            self.wfile.write(data)
        except ConnectionError:
            self.close_connection = True  # the client had enough: as it should, of "endless"

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's empty data folder; the cache of the platform is elsewhere and empty too."""
    monkeypatch.setenv("SCRATCHVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SCRATCHVAE_OFFLINE", raising=False)
    return tmp_path / "data"


def _known(server, *manners):
    mirrors = tuple(f"http://127.0.0.1:{server.server_port}/{manner}/" for manner in manners)
    return KnownSet("tiny", mirrors, FILES, "made up.")


def _fill(folder):
    folder.mkdir(parents=True)
    for name, data in CONTENTS.items():
        (folder / name).write_bytes(data)


def _holds_exactly_the_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


def test_a_set_is_downloaded_once_and_then_found(server, folder):
    known = _known(server, "good")
    for _ in range(2):
        dataset = load_known(known)
        assert (dataset.name, dataset.image_shape, dataset.source) == ("tiny", (5, 4), "made up.")
        np.testing.assert_array_equal(dataset.train.images, IMAGES[:30].reshape(30, 20))
        np.testing.assert_array_equal(dataset.test.images, IMAGES[30:].reshape(10, 20))
        np.testing.assert_array_equal(dataset.train.labels, LABELS[:30])
        np.testing.assert_array_equal(dataset.test.labels, LABELS[30:])
    assert server.asked == [f"/good/{name}" for name in FILE_NAMES]
    assert _holds_exactly_the_files(folder / "tiny")


@pytest.mark.parametrize("manner", ["missing", "truncated", "short", "wrong", "endless"])
def test_after_a_bad_mirror_the_next_one_is_tried(server, folder, manner):
    fetch(_known(server, manner, "good"))
    assert server.asked == [f"/{each}/{name}" for name in FILE_NAMES for each in (manner, "good")]
    assert _holds_exactly_the_files(folder / "tiny")


def test_a_mirror_cannot_unpack_the_file_on_its_way(server, folder):
    fetch(_known(server, "encoding"))
    assert _holds_exactly_the_files(folder / "tiny")


def test_when_every_mirror_fails_one_error_lists_them_all_and_the_way_by_hand(server, folder):
    manners = ("missing", "truncated", "short", "wrong", "endless")
    known = _known(server, *manners)
    # A port that nobody listens on: the discard service's.
    unreachable = KnownSet("tiny", (*known.mirrors, "http://127.0.0.1:9/"), FILES, "made up.")
    with pytest.raises(DataError) as caught:
        fetch(unreachable)
    message = str(caught.value)
    size = FILES[0].size
    faults = (
        "answers 404",
        "breaks off|cannot be reached",
        f"sent {size - 7} of the {size} bytes that belong",
        "sent the right number of bytes, but not the right ones (sha256 differs)",
        f"sent more than the {size} bytes that belong",
        "cannot be reached",
    )
    head, _, rest = message.partition(". To do it by hand: ")
    start = f"{FILES[0].name} of tiny could not be downloaded: "
    assert head.startswith(start)
    assert "\n" not in message
    told = head.removeprefix(start).split("; ")
    for line, mirror, fault in zip(told, unreachable.mirrors, faults, strict=True):
        assert line in [f"{mirror.split('/')[2]} {words}" for words in fault.split("|")]
    for hint in (*FILE_NAMES, str(folder / "tiny"), "SCRATCHVAE_DATA", "mnist-small"):
        assert hint in rest
    assert list((folder / "tiny").iterdir()) == []


def test_offline_no_request_is_made_and_the_error_says_where_files_go(server, folder, monkeypatch):
    monkeypatch.setenv("SCRATCHVAE_OFFLINE", "1")
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz is missing, and SCRATCHVAE_OFFLINE forbids") as caught:
        fetch(_known(server, "good"))
    assert str(folder / "tiny") in str(caught.value)
    assert server.asked == []
    assert not folder.exists()
    _fill(folder / "tiny")
    assert len(fetch(_known(server, "good"))) == 4


@pytest.mark.parametrize("value", ["", "0"])
def test_offline_zero_is_online(server, folder, monkeypatch, value):
    monkeypatch.setenv("SCRATCHVAE_OFFLINE", value)
    assert len(fetch(_known(server, "good"))) == 4


def test_files_are_found_in_the_folder_itself_and_in_the_folder_of_the_set(server, folder):
    _fill(folder)
    assert fetch(_known(server, "good")) == [folder / name for name in FILE_NAMES]
    _fill(folder / "tiny")
    assert fetch(_known(server, "good")) == [folder / "tiny" / name for name in FILE_NAMES]
    assert server.asked == []


def test_only_missing_files_are_downloaded(server, folder):
    _fill(folder)
    (folder / FILE_NAMES[3]).unlink()
    assert fetch(_known(server, "good")) == [*(folder / name for name in FILE_NAMES[:3]), folder / "tiny" / FILE_NAMES[3]]
    assert server.asked == [f"/good/{FILE_NAMES[3]}"]


@pytest.mark.parametrize(("damage", "message"), [(lambda b: b[:-1], "bytes where"), (lambda b: b[:-1] + b"?", "sha256")])
def test_a_damaged_file_of_the_user_is_named_and_left_alone(server, folder, damage, message):
    _fill(folder)
    damaged = folder / FILE_NAMES[2]
    damaged.write_bytes(damage(CONTENTS[FILE_NAMES[2]]))
    before = damaged.read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        fetch(_known(server, "good"))
    assert str(damaged) in str(caught.value)
    assert damaged.read_bytes() == before
    assert server.asked == []


def test_a_file_of_the_user_that_cannot_be_read_is_named(server, folder):
    size = len(CONTENTS[FILE_NAMES[0]])
    _fill(folder)
    (folder / FILE_NAMES[0]).unlink()
    (folder / FILE_NAMES[0]).mkdir()
    known = _known(server, "good")
    # A folder whose size happens to be the right one still cannot be read.
    folder_size = (folder / FILE_NAMES[0]).stat().st_size
    files = (RemoteFile(FILE_NAMES[0], folder_size, "0" * 64), *FILES[1:])
    with pytest.raises(DataError, match="cannot be read"):
        fetch(KnownSet("tiny", known.mirrors, files, "made up."))
    with pytest.raises(DataError, match=f"{folder_size} bytes where {size} belong"):
        fetch(known)


def test_a_damaged_file_in_our_own_cache_is_fetched_again(server, folder, monkeypatch):
    monkeypatch.delenv("SCRATCHVAE_DATA")
    assert folder.parent in cache_folder().parents
    ours = cache_folder() / "tiny"
    _fill(ours)
    (ours / FILE_NAMES[1]).write_bytes(b"damaged")
    monkeypatch.setenv("SCRATCHVAE_OFFLINE", "1")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte.gz is damaged, and SCRATCHVAE_OFFLINE"):
        fetch(_known(server, "good"))
    monkeypatch.setenv("SCRATCHVAE_OFFLINE", "0")
    assert fetch(_known(server, "good")) == [ours / name for name in FILE_NAMES]
    assert server.asked == [f"/good/{FILE_NAMES[1]}"]
    assert _holds_exactly_the_files(ours)


def test_a_folder_that_cannot_be_made_is_named(server, folder):
    folder.write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot be made"):
        fetch(_known(server, "good"))


def test_a_file_that_cannot_be_put_in_place_is_named_and_nothing_is_left(server, folder, monkeypatch):
    monkeypatch.delenv("SCRATCHVAE_DATA")
    ours = cache_folder() / "tiny"
    (ours / FILE_NAMES[0]).mkdir(parents=True)  # os.replace cannot replace a folder, whoever runs this
    with pytest.raises(DataError, match="cannot be written there"):
        fetch(_known(server, "good"))
    assert [path.name for path in ours.iterdir()] == [FILE_NAMES[0]]


@contextmanager
def _not_the_administrator(folder):
    """Run the block as a user whom permissions bind: the administrator may write anywhere, so it becomes `nobody`."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody, -1)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_serves_what_it_has_and_says_what_it_cannot_take(server, monkeypatch):
    above = Path(tempfile.mkdtemp())  # not tmp_path, whose parents only their owner may enter
    above.chmod(0o755)
    folder = above / "set"
    monkeypatch.setenv("SCRATCHVAE_DATA", str(folder))
    try:
        _fill(folder)
        with _not_the_administrator(folder):
            folder.chmod(0o500)
            assert len(fetch(_known(server, "good"))) == 4
            folder.chmod(0o700)
            (folder / FILE_NAMES[0]).unlink()
            folder.chmod(0o500)
            with pytest.raises(DataError, match="cannot be made"):
                fetch(_known(server, "good"))
    finally:
        folder.chmod(0o700)
        shutil.rmtree(above)


def _script(server):
    known = _known(server, "good")
    return (
        "from scratchvae.data.fetch import fetch\n"
        "from scratchvae.data.known import KnownSet, RemoteFile\n"
        f"fetch({known!r})\n"
    )


def test_several_processes_may_fetch_at_once(server, folder):
    root = Path(__file__).parents[1]
    running = [
        subprocess.Popen([sys.executable, "-c", _script(server)], cwd=root, stderr=subprocess.PIPE) for _ in range(3)
    ]
    outputs = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert outputs == [b"", b"", b""]  # and no progress where nobody watches
    assert _holds_exactly_the_files(folder / "tiny")


def test_progress_is_shown_on_a_terminal(server, folder):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))  # rows, columns: a new terminal has none
    try:
        subprocess.run([sys.executable, "-c", _script(server)], cwd=Path(__file__).parents[1], stderr=theirs, check=True)
        os.set_blocking(ours, False)  # nothing shown is a failure, not a wait
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    for name in FILE_NAMES:
        assert f"{name}: 100%" in shown
    assert ".part" not in shown


@pytest.mark.parametrize("name", KNOWN_SETS)
def test_each_public_set_is_found_by_its_name_trained_on_and_found_again(name, server, folder, tmp_path, monkeypatch, capsys):
    real = KNOWN_SETS[name]
    monkeypatch.setitem(KNOWN_SETS, name, replace(real, mirrors=_known(server, "good").mirrors, files=FILES))
    run, options = str(tmp_path / "run"), ["--hidden", "4", "--latent", "2", "--epochs", "1"]
    assert main(["train", "--data", name, *options, "--out", run]) == 0
    assert main(["evaluate", run]) == 0
    assert f"{name}, test split, 10 images" in capsys.readouterr().out
    assert server.asked == [f"/good/{file}" for file in FILE_NAMES]


@pytest.mark.parametrize("known", KNOWN_SETS.values(), ids=lambda known: known.name)
def test_each_public_set_has_two_mirrors_and_a_size_and_a_sum_for_each_file(known):
    assert len({urlsplit(mirror).hostname for mirror in known.mirrors}) == len(known.mirrors) >= 2
    assert all(urlsplit(mirror).scheme in ("http", "https") and mirror.endswith("/") for mirror in known.mirrors)
    assert tuple(file.name for file in known.files) == FILE_NAMES
    assert len({file.sha256 for each in KNOWN_SETS.values() for file in each.files}) == 4 * len(KNOWN_SETS)
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in known.files)
    pixels, labels = [n * 28 * 28 for n in (60_000, 10_000)], [60_000, 10_000]
    for file, bytes_ in zip(known.files, (pixels[0], labels[0], pixels[1], labels[1]), strict=True):
        assert bytes_ / 20 < file.size < bytes_  # gzip makes them smaller, and by no more than that
