"""How many cores there are to use: what a container grants, and no more workers than cores."""

import os

import pytest

from scratchvae import cores
from scratchvae.training import TrainingStep, fit
from scratchvae.workers import Threads


def granted(tmp_path, membership, files):
    """What is read from a system whose /proc/self/cgroup says this and whose /sys/fs/cgroup holds these files."""
    (tmp_path / "cgroup").write_text(membership, encoding="utf-8")
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return cores._granted_cores(tmp_path / "cgroup", tmp_path / "fs")


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),  # in a container of version 2, which sees its own group as the root
        ("0::/\n", {"cpu.max": "max 100000\n"}, float("inf")),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4.0),  # the tightest on the way up
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "400000 100000\n"}, 0.5),
        (
            "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            2.0,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ("4:memory:/x\n", {"cpu.max": "100000 100000\n"}, float("inf")),  # of another kind of group
        ("", {}, float("inf")),
    ],
)
def test_the_share_that_a_container_grants_is_read(tmp_path, membership, files, expected):
    assert granted(tmp_path, membership, files) == expected


def test_a_system_without_control_groups_grants_every_core(tmp_path):
    assert cores._granted_cores(tmp_path / "none", tmp_path / "none") == float("inf")


@pytest.mark.parametrize(("grant", "expected"), [(float("inf"), 8), (1.5, 2), (0.5, 1), (4.0, 4), (100.0, 8)])
def test_a_part_of_a_core_counts_as_one_and_no_grant_adds_cores(monkeypatch, grant, expected):
    monkeypatch.setattr(cores, "_granted_cores", lambda: grant)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize("missing", [{"process_cpu_count"}, {"process_cpu_count", "sched_getaffinity"}])
def test_older_pythons_and_other_systems_have_cores_too(monkeypatch, missing):
    monkeypatch.setattr(cores, "_granted_cores", lambda: float("inf"))
    for name in missing:
        monkeypatch.delattr(os, name, raising=False)
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores.usable_cores() == expected


def test_threads_far_beyond_the_cores_are_as_many_as_there_are_cores(tiny_data, tiny_vae, monkeypatch):
    begun = []
    for kind in (TrainingStep, Threads):
        enter = kind.__enter__
        count = lambda self: getattr(self, "count", None) or self.workers.count
        monkeypatch.setattr(kind, "__enter__", lambda self, enter=enter, count=count: begun.append(count(self)) or enter(self))
    fit(tiny_vae(), tiny_data, epochs=1, shards=8, threads=50_000)
    assert begun
    assert max(begun) <= cores.usable_cores()
