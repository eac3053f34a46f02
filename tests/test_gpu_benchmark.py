"""The script that proves and times the CUDA path on a GPU, as far as it goes without one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]


def run(*arguments):
    return subprocess.run([*SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_a_dry_run_proves_writes_and_draws(tmp_path):
    done = run("--out", tmp_path, "--dry-run", "--parts", "parity,gradients,training,roofline,crossover")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert "no time here is a measurement" in result["device"]
    assert all(result["parts"][name]["ok"] for name in ("parity", "gradients", "training"))
    assert {"affine_backward", "adam", "normal"} <= {line["operation"] for line in result["parts"]["parity"]["table"]}
    assert (tmp_path / "gpu_training.png").read_bytes()[:4] == b"\x89PNG"


def test_a_part_that_fails_or_takes_too_long_is_written_down(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    args = gpu.parse(["--out", str(tmp_path), "--dry-run"])
    assert gpu.run_part("parity", args, 0.01) == {"left_out": "took longer than 0 s"}
    monkeypatch.setitem(gpu.PARTS, "broken", (None, 10, {}))  # which the process that is started does not know
    part = gpu.run_part("broken", args, 60)
    assert part["ok"] is False
    assert "KeyError: 'broken'" in part["failed"]


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
