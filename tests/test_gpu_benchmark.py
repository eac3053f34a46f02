"""The script that proves and times the CUDA path on a GPU, as far as it goes without one."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]


def run(*arguments):
    return subprocess.run([*SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_a_dry_run_proves_writes_and_draws(tmp_path):
    done = run("--out", tmp_path, "--dry-run", "--parts", "parity,convolution parity,gradients,training,roofline,convolutions,crossover")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert "no time here is a measurement" in result["device"]
    assert all(result["parts"][name]["ok"] for name in ("parity", "convolution parity", "gradients", "training"))
    assert {"affine_backward", "max_pool", "adam", "normal"} <= {line["operation"] for line in result["parts"]["parity"]["table"]}
    assert (tmp_path / "gpu_training.png").read_bytes()[:4] == b"\x89PNG"
    told = (tmp_path / "gpu.json").read_text()
    assert not [private for private in (ROOT, tmp_path, Path.home()) if str(private) in told]


def test_a_part_that_fails_or_takes_too_long_is_written_down(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    args = gpu.parse(["--out", str(tmp_path), "--dry-run"])
    assert gpu.run_part("parity", args, 0.01) == {"left_out": "took longer than 0 s"}
    monkeypatch.setitem(gpu.PARTS, "broken", (None, 10, {}))  # which the process that is started does not know
    part = gpu.run_part("broken", args, 60)
    assert part["ok"] is False
    assert "KeyError: 'broken'" in part["failed"]
    assert 'File "gpu.py", line' in part["failed"]
    assert str(ROOT) not in part["failed"]


def test_the_parts_after_one_that_fails_run_and_the_status_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    parts = {"parity": {"ok": False, "failed": "status 1: lost"}, "gradients": {"ok": True}, "steps": {"left_out": "took longer than 9 s"}}
    monkeypatch.setattr(gpu, "run_part", lambda name, args, limit: parts[name])
    assert gpu.main(["--out", str(tmp_path), "--dry-run", "--parts", "parity,gradients,steps"]) == 1
    out = capsys.readouterr().out
    assert "parity: status 1: lost\ngradients: ok\nsteps: took longer than 9 s" in out
    assert "WRONG: parity; left out, in part or whole: steps" in out
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"] == parts


def test_a_part_never_gets_more_time_than_is_left(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    limits = {}
    monkeypatch.setattr(gpu, "run_part", lambda name, args, limit: limits.setdefault(name, limit) and {"ok": True})
    gpu.main(["--out", str(tmp_path), "--dry-run", "--minutes", "0.5", "--parts", "parity,steps,ladder"])
    assert all(0 < limit <= 30 for limit in limits.values())
    limits.clear()
    gpu.main(["--out", str(tmp_path), "--dry-run", "--minutes", "0.1", "--parts", "steps,race"])
    assert limits == {}
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert parts == dict.fromkeys(["steps", "race"], {"left_out": "no time was left"})


def test_a_sanitizer_that_cannot_watch_this_gpu_is_no_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    args = gpu.parse(["--out", str(tmp_path)])
    monkeypatch.setattr(gpu.shutil, "which", lambda name: name)
    monkeypatch.setattr(gpu.process, "run", lambda *arguments, **options: (1, "========= Error: Device not supported", ""))
    assert "does not support" in gpu.run_part("racecheck", args, 9)["left_out"]
    monkeypatch.setattr(gpu.process, "run", lambda *arguments, **options: (9, "========= ERROR SUMMARY: 1 error", ""))
    assert "status 9" in gpu.run_part("racecheck", args, 9)["failed"]


def test_what_takes_too_long_is_ended_with_all_that_it_started(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.device import process

    starts_another = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(60)'])"
    began = time.perf_counter()
    status, output, _ = process.run([sys.executable, "-c", starts_another], 3)
    assert time.perf_counter() - began < 30  # the other one holds the pipe for a minute, unless it ends too
    assert (status, output) == (None, "1\n")
    assert process.run([sys.executable, "-c", "print(2); exit(3)"], 60) == (3, "2\n", "")


def test_folders_are_left_out_of_what_a_process_said(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.device import process

    said = 'one\nFile "/home/me/my-work/gpu.py", line 3\nOSError: (~/cache/x.so: no) 3/4 of a/b, see https://docs.python.org/3'
    assert process.last_lines(said, 2) == 'File "gpu.py", line 3\nOSError: (x.so: no) 3/4 of a/b, see https://docs.python.org/3'


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    command = "import sys; sys.modules['cupy'] = None; from benchmarks import gpu; sys.exit(gpu.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", command, "--out", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("gpu.py: error: the cupy backend needs CuPy")
    assert run("--out", tmp_path, "--parts", "flight").returncode == 2


def test_the_cupy_peer_learns(monkeypatch):
    """On NumPy arrays here: a peer that does not do the work would win for nothing."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.peers import gpu_cupy

    images = np.random.default_rng(0).integers(0, 256, (64, 12)).astype(np.uint8)
    peer = gpu_cupy.Peer(images, (8, 6), 3, 64, False, "plain")
    losses = []
    for _ in range(400):
        peer.step()
        losses.append(peer.wait())
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.1
