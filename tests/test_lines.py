"""How long a line of code may be: 140 columns anywhere (ruff), 120 in the rooms that have been brought down to it."""

from pathlib import Path

import pytest

import scratchvae

ROOT = Path(scratchvae.__file__).parent
SHORT = (
    *("cli", "data", "evaluate", "plots", "training", "study/trace", "checks", "nn", "cuda_on_cpu"),
    *("bench.py", "backend.py", "rng.py", "timing.py", "workers.py", "helping.py", "cores.py", "memory.py", "files.py"),
    *("gate.py", "errors.py"),
)
WIDE = {
    *("cli/runs.py", "training/settings.py", "nn/composition.py", "checks/check_file.py", "checks/class_file.py"),
    *(f"evaluate/{name}.py" for name in ("denoising", "segmentation", "key_points")),
}


@pytest.mark.parametrize("room", SHORT)
def test_no_line_of_this_room_is_longer_than_120_columns(room):
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    assert files
    long = [
        f"{path.relative_to(ROOT)}:{number} has {len(line)}"
        for path in files if path.relative_to(ROOT).as_posix() not in WIDE
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1) if len(line) > 120
    ]  # fmt: skip
    assert not long, "\n".join(long)
