"""The fault-injection suite in short: every format damaged in some ways and by every bomb, and a kill at every write."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs Linux: forks that are limited in memory", allow_module_level=True)

from benchmarks.faults.child import in_child
from benchmarks.faults.damage import damaged, try_many
from benchmarks.faults.formats import formats
from benchmarks.faults.kills import full_files, kills, small_disks

ROOT = Path(__file__).resolve().parent.parent
INPUTS = 40  # beside the bombs; `python -m benchmarks.faults` takes thousands


def test_damaged_files_are_refused_in_a_line_or_read_as_what_they_are(tmp_path):
    for form in formats(tmp_path):
        good, wanted = form.path.read_bytes(), form.read()
        last = len(form.bombs) + INPUTS
        answer = in_child(lambda form=form, good=good, wanted=wanted, last=last: try_many(form, good, wanted, 0, last), memory=1 << 30)
        assert answer.get("value", answer)["faults"] == [], form.name
        assert sum(answer["value"]["counts"].values()) == last
        assert form.path.read_bytes() == good


def test_the_suite_itself_sees_what_it_is_there_to_see(tmp_path):
    form = formats(tmp_path)[0]
    good, wanted = form.path.read_bytes(), form.read()
    assert damaged(form, good, 500) == damaged(form, good, 500) != good

    def crash(what):
        raise what

    for read, words in (
        (lambda: crash(KeyError("state")), "KeyError"),
        (lambda: b"other", "accepted, and it differs"),
        (lambda: "x" * (1 << 31), "MemoryError"),
    ):
        broken = type(form)(form.name, form.path, read, True)
        answer = in_child(lambda broken=broken: try_many(broken, good, wanted, 100, 101), memory=1 << 30)
        assert words in answer["value"]["faults"][0][1]
    assert in_child(lambda: os.kill(os.getpid(), signal.SIGUSR1)) == {"crashed": signal.SIGUSR1}


def test_a_run_killed_at_any_write_goes_on_to_the_same_bytes(tmp_path):
    every = 1 if os.environ.get("CI") else 3  # at each, in CI
    told = kills(tmp_path / "kills", every)
    assert told["faults"] == []
    assert told["kills"] > 40 / every
    assert full_files(tmp_path / "cut", every=3, deadly=True)["faults"] == []


def test_a_full_disk_ends_in_a_line_and_spoils_nothing(tmp_path):
    assert full_files(tmp_path / "full", every=4)["faults"] == []
    assert small_disks(tmp_path / "small", (1, 2, 5, 8))["faults"] == []  # none where the system lets nobody mount one


def test_too_little_memory_ends_in_a_line(tmp_path):
    """In a process of its own: this one's BLAS has threads, and a copy that gets no memory for them is ended by BLAS itself."""
    program = (
        "import sys, pathlib; from benchmarks.faults.kills import little_memory; "
        "print(little_memory(pathlib.Path(sys.argv[1]), [n << 20 for n in (5, 25, 50, 75, 100, 150)])['faults'])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
