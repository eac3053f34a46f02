"""scratchvae.timing: what a race reports is what was measured, round by round."""

import json

import numpy as np
import pytest

from scratchvae import timing
from scratchvae.errors import DataError


def test_each_round_starts_with_the_next_contestant_and_takes_everyone_once():
    calls = []
    samplers = {name: (lambda name=name: calls.append(name) or float(len(calls))) for name in "abc"}
    timing.interleave(samplers, rounds=4)
    assert "".join(calls) == "abcbcacababc"


def test_sample_r_of_everyone_was_taken_in_round_r():
    clock = iter(range(100))
    samples = timing.interleave({name: lambda: next(clock) for name in "abc"}, rounds=5)
    for r in range(5):
        assert sorted(samples[name][r] for name in "abc") == [3 * r, 3 * r + 1, 3 * r + 2]


def test_the_pause_comes_after_every_sample():
    seen = []
    samplers = {name: (lambda name=name: seen.append(name)) for name in "ab"}
    timing.interleave(samplers, rounds=2, between=lambda: seen.append("-"))
    assert "".join(seen) == "a-b-b-a-"


def test_ratios_are_of_the_same_round():
    """A machine that slows down tenfold half way: the paired ratios do not notice, and the rounds are not mixed up."""
    assert timing.paired_ratios([1.0, 10.0, 30.0], [2.0, 20.0, 10.0]) == [0.5, 0.5, 3.0]


def test_ratios_of_different_numbers_of_rounds_are_refused():
    with pytest.raises(DataError, match="3 and 2"):
        timing.paired_ratios([1, 2, 3], [1, 2])


def test_a_summary_is_the_median_the_quartiles_and_the_minimum():
    summary = timing.Summary.of([5.0, 1.0, 4.0, 2.0, 3.0])
    assert summary == timing.Summary(median=3.0, q1=2.0, q3=4.0, min=1.0, n=5)
    assert timing.Summary.of([1.0, 2.0]).median == 1.5


def test_a_summary_carries_its_unit_in_its_keys():
    assert timing.Summary.of([2.0]).as_dict("ms") == {"median_ms": 2.0, "q1_ms": 2.0, "q3_ms": 2.0, "min_ms": 2.0, "n": 1}
    assert set(timing.Summary.of([2.0]).as_dict()) == {"median", "q1", "q3", "min", "n"}


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [float("inf")], [[1.0, 2.0]]])
def test_a_summary_of_what_is_not_numbers_is_refused(samples):
    with pytest.raises(DataError, match="finite numbers"):
        timing.Summary.of(samples)


def test_the_machine_is_described_in_json_and_without_paths():
    described = timing.machine()
    text = json.dumps(described, allow_nan=False)
    assert described["numpy"] == np.__version__
    assert described["usable_cores"] >= 1
    assert any(pool["user_api"] == "blas" for pool in described["blas"])
    assert "filepath" not in text


def test_busy_seconds_count_the_work_of_this_process():
    began = timing.busy_seconds()
    if began is None:  # not Linux: nothing is claimed there
        return
    while timing.busy_seconds() == began:  # ends with the next tick of the kernel, 10 ms of work at most
        sum(range(1000))
    assert timing.busy_seconds() > began


def test_a_result_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "folder" / "result.json"
    timing.write_result(path, {"races": [{"median_ms": 0.1}], "text": "µs"})
    assert timing.read_result(path) == {
        "format": "scratchvae-benchmark", "version": 1, "races": [{"median_ms": 0.1}], "text": "µs",
    }  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def test_a_result_that_is_not_a_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        timing.write_result(tmp_path / "result.json", {"median_ms": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "not a scratchvae-benchmark"),
        ('{"format": "other"}', "not a scratchvae-benchmark"),
        ('{"format": "scratchvae-benchmark", "version": 2}', "version 2"),
    ],
)
def test_a_damaged_or_foreign_result_is_refused(tmp_path, text, why):
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=why):
        timing.read_result(path)


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.json"):
        timing.read_result(tmp_path / "gone.json")


def test_seconds_and_memory_are_read_in_the_kernels_units(monkeypatch):
    told = {"/proc/stat": ["cpu  100 20 30 9999 8888 4 5 6 7 8"], "/proc/meminfo": ["MemFree: 1 kB", "MemTotal:  3145728 kB"]}
    monkeypatch.setattr(timing, "_lines", told.get)
    monkeypatch.setattr(timing.os, "sysconf", {"SC_CLK_TCK": 50}.get)
    assert timing.busy_seconds() == 165 / 50
    assert timing._memory_mib() == 3072
