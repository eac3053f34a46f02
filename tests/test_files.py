"""Files: whole or not at all, never in place of something else, and one writer at a time."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scratchvae import files
from scratchvae.errors import OutputError, RunFolderError
from scratchvae.files import append_line, json_rows, only_writer, replacing, sweep, write_json, write_text
from scratchvae.training import fit, load_model, resume


def test_a_text_is_there_whole_and_nothing_else_is(tmp_path):
    write_text(tmp_path / "a.json", "Straße\n")
    assert (tmp_path / "a.json").read_bytes() == "Straße\n".encode()
    assert os.listdir(tmp_path) == ["a.json"]
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_json_of_results_has_one_row_on_each_line(tmp_path):
    result = {"about": {"cpu": "µ"}, "empty": {}, "rows": [{"ms": 0.1, "samples": [1, 2, [3]]}, {"ms": 1e-9, "samples": []}]}
    write_json(tmp_path / "r.json", result)
    assert (tmp_path / "r.json").read_text(encoding="utf-8").split("\n") == [
        "{",
        ' "about": {"cpu": "µ"},',
        ' "empty": {},',
        ' "rows": [',
        '  {"ms": 0.1, "samples": [1, 2, [3]]},',
        '  {"ms": 1e-09, "samples": []}',
        " ]",
        "}",
        "",
    ]
    for value in (result, [], {}, [[{}], {"a": [{"b": None}]}], {"a\n": {"b": {"c": (1.5, True)}}}, "text", 3):
        assert json.loads(json_rows(value)) == json.loads(json.dumps(value))


ROOT = Path(__file__).resolve().parents[1]
KEPT = [*(ROOT / "benchmarks" / "results").glob("*.json"), *(ROOT / "scratchvae" / "study").rglob("*.json")]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_results_that_are_kept_have_one_row_on_each_line(path):
    text = path.read_text(encoding="utf-8")
    assert text == json_rows(json.loads(text))


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    write_text(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as temporary:
        temporary.write_text(f"half {1 / 0}")
    with pytest.raises(OutputError, match=r"a: cannot be written \(No space left on device\)"), replacing(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_temporary_names_cannot_be_foreseen_and_are_new(tmp_path, monkeypatch):
    names = set()
    for _ in range(10):
        with replacing(tmp_path / "a.npz") as temporary:
            names.add(temporary.name)
            assert temporary.suffix == ".npz"
    assert len(names) == 10
    # Even a name that was guessed is not followed: what the planted link points to keeps its content.
    (tmp_path / "victim").write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)
    (tmp_path / f".a.{'0' * 16}.part").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError, match="File exists"):
        write_text(tmp_path / "a", "evil")
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with pipes that have names")
def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name, words in (("fifo", "is a pipe"), ("folder", "is a folder"), ("link", "is a folder"), ("/dev/null", "is a device")):
        before = os.lstat(tmp_path / name)
        with pytest.raises(OutputError, match=words):
            write_text(tmp_path / name, "text")
        assert os.lstat(tmp_path / name).st_ino == before.st_ino
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder", "link"]


def test_errors_of_the_system_are_one_line_that_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing" / "a", tmp_path / "file" / "a", tmp_path / ("a" * 300)):
        with pytest.raises(OutputError, match=f"^{path}: cannot be written") as caught:
            write_text(path, "text")
        assert "\n" not in str(caught.value)
        assert caught.value.errno
    with pytest.raises(OutputError, match="is a file, where a folder is needed"):
        files.make_folder(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even the administrator may write")
def test_a_folder_that_may_not_be_written_is_named_with_the_reason(tiny_data, tiny_vae):
    reasons = "Permission denied|Read-only file system|Operation not permitted"
    for path in ("/sys/a.txt", "/sys/runs/1"):
        with pytest.raises(OutputError, match=rf"{path}: cannot be written \(({reasons})\)"):
            files.make_folder(path)
    with pytest.raises(RunFolderError, match="/sys/run: cannot be written") as caught:
        fit(tiny_vae(), tiny_data, out="/sys/run", epochs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tries", [3, 10**9])
def test_a_file_that_is_open_elsewhere_is_waited_for_and_then_left_as_it_was(tmp_path, monkeypatch, tries):
    """As Windows has it: what somebody reads cannot be replaced."""
    write_text(tmp_path / "a", "old")
    left, replace = [tries], os.replace

    def open_elsewhere(temporary, path):
        left[0] -= 1
        if left[0] > 0:
            raise PermissionError(13, "Access is denied")
        replace(temporary, path)

    monkeypatch.setattr(files, "_rename", files._replace_patiently)
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    monkeypatch.setattr(files.os, "replace", open_elsewhere)
    if tries == 3:
        write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").read_text() == "new"
    else:
        with pytest.raises(OutputError, match=r"a: cannot be written \(Access is denied\)"):
            write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_read_only_file_system_is_told_in_one_line_and_a_run_there_can_be_read(tmp_path, monkeypatch, tiny_data, tiny_vae):
    fit(model := tiny_vae(), tiny_data, out=tmp_path / "run", epochs=1, progress=False, threads=1)
    open_ = os.open

    def read_only(path, flags, *mode, **where):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system", str(path))
        return open_(path, flags, *mode, **where)

    monkeypatch.setattr(files.os, "open", read_only)
    for attempt in (lambda: write_text(tmp_path / "run" / "a", "text"), lambda: resume(model, tiny_data, tmp_path / "run", epochs=2)):
        with pytest.raises(OutputError, match=r"cannot be written \(Read-only file system\)") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert load_model(tmp_path / "run").buffer.values.tobytes() == model.buffer.values.tobytes()


def test_a_long_name_can_be_written(tmp_path):
    write_text(tmp_path / ("a" * 250), "text")
    assert os.listdir(tmp_path) == ["a" * 250]


def test_a_line_is_added_whole_or_not_at_all(tmp_path):
    resource = pytest.importorskip("resource", reason="needs a system with limits on file sizes")
    path = tmp_path / "lines"
    append_line(path, "x" * 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (80, hard))
        with pytest.raises(OutputError, match="File too large"):
            append_line(path, "y" * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "x" * 50 + "\n"


def test_only_temporary_names_are_swept(tmp_path):
    kept = [".hidden", "a.part", ".lock", "checkpoint.npz", ".mine.part.txt.gz"]
    for name in [*kept, ".a.npz.123.part.npz", f".config.json.{'0a' * 8}.part.json"]:  # the former is of version 0.1
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    with only_writer(tmp_path / ".lock"):
        told = f"is being written by process {os.getpid()} on [^\n]*: wait[^\n]*$"
        with pytest.raises(RunFolderError, match=told), only_writer(tmp_path / ".lock"):
            pytest.fail("entered")
    with only_writer(tmp_path / ".lock"):
        pass


HOLD = """
import os, sys, time
from scratchvae.files import only_writer
with only_writer(sys.argv[1]):
    child = os.fork() if sys.argv[2] == "fork" else 1
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_killed_writer_holds_no_lock_even_while_its_forked_workers_live(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / ".lock", "fork"], stdout=subprocess.PIPE, text=True)
    worker = int(holder.stdout.readline())
    try:
        time.sleep(0.1)  # the worker lets go as it begins
        with pytest.raises(RunFolderError, match=f"process {holder.pid} "), only_writer(tmp_path / ".lock"):
            pytest.fail("entered")
        holder.kill()
        holder.wait()
        os.kill(worker, 0)  # still lives
        with only_writer(tmp_path / ".lock"):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        holder.stdout.close()
