"""Damage every kind of file that the package reads, kill runs at every write, fill disks, take memory away: and count what happens.

    python -m benchmarks.faults [--inputs 8000] [--format NAME]      to benchmarks/results/faults.json, and from there to docs/faults.md

Stopped, it goes on where it was. --table writes the page alone.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import PIL

import scratchvae
from scratchvae.files import write_json, write_text

from .child import in_child
from .damage import OUTCOMES, try_many
from .formats import formats
from .kills import full_files, kills, little_memory, small_disks

ROOT = Path(__file__).resolve().parent.parent.parent
RESULT, PAGE = ROOT / "benchmarks" / "results" / "faults.json", ROOT / "docs" / "faults.md"
BATCH = 250
MEMORY = 1 << 30  # bytes that the reading process may take beyond what it has at the start
RUNS = ("kills", "cut", "full", "small_disks", "memories")  # what is done to runs
BEGIN, END = "<!-- table: python -m benchmarks.faults -->", "<!-- end of table -->"


def versions():
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "scratchvae": scratchvae.__version__, "python": platform.python_version(),
        "numpy": np.__version__, "pillow": PIL.__version__, "system": platform.system(),
    }  # fmt: skip


def damage(form, inputs, kept):
    """Go on with one format's inputs until `inputs` are done.   kept: its part of the result, changed in place; yields after each batch"""
    good, wanted = form.path.read_bytes(), form.read()
    number = form.path.parent / ".number"
    while kept["inputs"] < inputs:
        first, last = kept["inputs"], min(kept["inputs"] + BATCH, inputs)
        with open(number, "wb+", buffering=0) as at:
            tell = lambda n, at=at: at.seek(0) or at.write(b"%12d" % n)  # so that the input that ends a process is known
            answer = in_child(lambda first=first, last=last, tell=tell: try_many(form, good, wanted, first, last, tell), memory=MEMORY)
        if "value" in answer:
            told = answer["value"]
        else:  # the process itself has died
            bad = int(number.read_bytes())
            told = {"counts": {"fault": 1}, "faults": [[bad, str(answer)]], "longest": 0.0}
            last = bad + 1
        number.unlink()
        form.path.write_bytes(good)
        kept["inputs"] = last
        kept["counts"] = dict(Counter(kept["counts"]) + Counter(told["counts"]))
        kept["faults"] += told["faults"][: 20 - len(kept["faults"])]
        kept["longest"] = max(kept["longest"], told["longest"])
        yield


def table(result):
    """The page's lines between its marks."""
    lines = [
        " · ".join(text if name == "date" else f"{name} {text}" for name, text in result["versions"].items()), "",
        "| file | inputs | refused | read the same | read as something else | faults | longest |", "|---|" + "---:|" * 6,
    ]  # fmt: skip
    total = Counter()
    for name, kept in result["damage"].items():
        counts = Counter(kept["counts"])
        total += counts
        cells = [f"{counts[key]:,}" for key in (*OUTCOMES, "fault")]
        lines.append(f"| {name} | {kept['inputs']:,} | {' | '.join(cells)} | {kept['longest']:.1f} s |")
    cells = [f"{total[key]:,}" for key in (*OUTCOMES, "fault")]
    lines += [f"| all | {sum(total.values()):,} | {' | '.join(cells)} | |", ""]
    k, c, f, s, m = (result[key] for key in RUNS)
    lines += [
        "| what was done to a run | times | faults |", "|---|---:|---:|",
        f"| killed before an operation that changes a file, then gone on with | {k['kills']} | {len(k['faults'])} |",
        f"| killed in the middle of a write, at the n-th byte of a file, then gone on with | {c['limits']} | {len(c['faults'])} |",
        f"| files not allowed to grow beyond n bytes, then gone on with | {f['limits']} | {len(f['faults'])} |",
        f"| on a disk (tmpfs) of 1 to 15 pages, then given room and gone on with | {s['small_disks']} | {len(s['faults'])} |",
        f"| too little memory for the model, the workers or the checkpoint | {m['memories']} | {len(m['faults'])} |",
    ]  # fmt: skip
    return "\n".join(lines)


def write_page(result):
    text = PAGE.read_text(encoding="utf-8")
    ahead, rest = text.split(BEGIN)
    write_text(PAGE, f"{ahead}{BEGIN}\n{table(result)}\n{END}{rest.split(END)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=8000, help="damaged files of every format")
    parser.add_argument("--format", help="this one alone")
    parser.add_argument("--table", action="store_true", help="write the page from the result, and do nothing else")
    options = parser.parse_args()
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"versions": versions(), "damage": {}}
    if not options.table:
        run(options, result)
    write_page(result)
    parts = [*result["damage"].values(), *(result[key] for key in RUNS)]
    faults = [fault for part in parts for fault in part["faults"]]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def run(options, result):
    keep = lambda: write_json(RESULT, result)
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        folder = Path(folder)
        for form in formats(folder / "files"):
            if options.format not in (None, form.name):
                continue
            kept = result["damage"].setdefault(form.name, {"inputs": 0, "counts": {}, "faults": [], "longest": 0.0})
            for _ in damage(form, options.inputs, kept):
                keep()
            print(form.name, kept["inputs"], kept["counts"], flush=True)
        if options.format is None:
            result |= {"kills": kills(folder / "kills"), "cut": full_files(folder / "cut", deadly=True)}
            result["full"] = full_files(folder / "full")
            result["small_disks"] = small_disks(folder / "small", range(1, 16))
            result["memories"] = little_memory(folder / "memory", [n << 20 for n in range(5, 205, 5)])
            result["versions"] = versions()
            keep()


if __name__ == "__main__":
    sys.exit(main())
