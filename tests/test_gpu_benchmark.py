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


def test_a_part_that_fails_is_written_down_and_the_others_go_on(tmp_path):
    done = run("--out", tmp_path, "--dry-run", "--parts", "parity,training", "--minutes", "0.27")
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert set(parts) == {"parity", "training"}
    assert "left_out" in parts["training"] or done.returncode == 0  # the minutes are over, or this machine is fast


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    command = "import sys; sys.modules['cupy'] = None; from benchmarks import gpu; sys.exit(gpu.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", command, "--out", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("gpu.py: error: the cupy backend needs CuPy")
    assert run("--out", tmp_path, "--parts", "flight").returncode == 2


def test_plain_array_code_of_the_cupy_peer_has_our_gradient():
    """So that the race is between equals: its first update moves the loss as ours does, on NumPy arrays here."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.peers import gpu_cupy

    images = np.random.default_rng(0).integers(0, 256, (64, 12)).astype(np.uint8)
    peer = gpu_cupy.Peer(images, (8, 6), 3, 64, False, "plain")
    losses = []
    for _ in range(400):
        peer.step()
        losses.append(peer.wait())
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.1
