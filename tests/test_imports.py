"""The arrows between rooms point down only, and importing is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import scratchvae

ROOT = Path(scratchvae.__file__).parent
# From the top of the house to the ground: a room may import only rooms that stand to the right of it.
ROOMS = ["__main__", "cli", "bench", "study", "training", "evaluate", "checks", "plots", "data", "models", "nn",
         "cuda_on_cpu", "backend", "ops", "rng", "timing", "workers", "helping", "cores", "memory", "files", "gate",
         "errors"]  # fmt: skip


def imported_rooms(path):
    """(line, room) for each import of one of our rooms in a file, wherever in the file it stands."""
    package = ["scratchvae", *path.relative_to(ROOT).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            full = [*base, *(node.module.split(".") if node.module else [])]
            names = [full] if len(full) > 1 else [[*full, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name[1]) for name in names if name[0] == "scratchvae" and len(name) > 1)


def test_every_room_is_on_the_map():
    found = {p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert found - {"__init__"} <= set(ROOMS)


def test_imports_point_down_only():
    wrong, seen = [], 0
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for line, other in imported_rooms(path):
            if other == "__version__":
                continue
            seen += 1
            if other != room and ROOMS.index(other) < ROOMS.index(room):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {other}, which stands above {room}")
    assert not wrong, "\n".join(wrong)
    assert seen > 50  # the walk does see imports


def test_importing_is_fast_and_brings_neither_matplotlib_nor_cupy():
    code = (
        "import time; t = time.process_time(); import scratchvae, sys; t = time.process_time() - t; "
        "print(t, 'matplotlib' in sys.modules, 'cupy' in sys.modules, 'pooch' in sys.modules)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
    assert min(float(run[0]) for run in runs) < 0.3  # seconds of a core: other processes may keep both cores busy
    assert runs[0][1:] == ["False", "False", "False"]
