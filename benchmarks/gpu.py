"""Prove and time the CUDA path in one go: python benchmarks/gpu.py --out FOLDER

Parity, gradients, the same training on both backends, graph against eager, compute-sanitizer; then the roofline, every operation,
convolutions of the models' sizes, the ladder, our steps, the batch size at which the GPU overtakes the CPU, and the race against
PyTorch, JAX and plain CuPy.
Every part runs in a process of its own: what fails is written down, and the rest goes on. Ends within --minutes.
"""

import argparse
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.device import convolution, figures, process, proof, race, speed
from benchmarks.device.setting import setting
from scratchvae import timing
from scratchvae.errors import ScratchVAEError

ROOT = Path(__file__).resolve().parent.parent
# name: (function, seconds it may take, variables that CuPy reads only once)
PARTS = {
    "parity": (proof.parity, 90, {}),
    "convolution parity": (convolution.parity, 90, {}),
    "gradients": (proof.gradients, 60, {}),
    "graph": (proof.graph, 90, {}),
    "training": (proof.training, 60, {}),
    "roofline": (speed.roofline, 45, {"CUPY_TF32": "0"}),
    "roofline tf32": (speed.roofline, 45, {"CUPY_TF32": "1"}),
    "steps": (speed.steps, 60, {}),
    "operations": (speed.operations, 45, {}),
    "convolutions": (convolution.speed, 45, {}),
    "ladder": (speed.ladder, 45, {"CUPY_TF32": "0"}),
    "crossover": (speed.crossover, 60, {}),
    "memcheck": (proof.sanitized, 150, {}),
    "racecheck": (proof.sanitized, 150, {}),
    "initcheck": (proof.sanitized, 150, {}),
}
TOOLS = ("memcheck", "racecheck", "initcheck")  # of compute-sanitizer
# No timings: they run at the same time, most of it compiling.
PROOFS = ("parity", "convolution parity", "gradients", "graph", "training", *TOOLS)


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=9.5, help="parts that begin later are left out")
    parser.add_argument("--parts", help=f"some of {', '.join(PARTS)}, race (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="no GPU: the same code through small sizes; its times mean nothing")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # run this one here, and print its JSON
    args = parser.parse_args(argv)
    args.parts = [*PARTS, "race"] if args.parts is None else [part.strip() for part in args.parts.split(",")]
    if unknown := set(args.parts) - {*PARTS, "race"}:
        parser.error(f"no part called {', '.join(sorted(unknown))}")
    return args


def run_part(name, args, limit):
    """→ the part's result, or why there is none, and its seconds"""
    began, command = time.perf_counter(), [sys.executable, str(Path(__file__).resolve()), "--out", str(args.out), "--part", name]
    if name in TOOLS:
        sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
        if not args.dry_run and sanitizer is None:
            return {"left_out": "compute-sanitizer, a part of the CUDA toolkit, is not on PATH"}
        if not args.dry_run:
            command = [sanitizer, "--tool", name, "--error-exitcode", "9", "--target-processes", "application-only", *command]
    if args.dry_run:
        command.append("--dry-run")
    status, output, errors = process.run(command, limit, cwd=ROOT, env={**os.environ, **PARTS[name][2]})
    if status is None:
        return {"left_out": f"took longer than {limit:.0f} s"}
    if name in TOOLS and "Device not supported" in output:
        return {"left_out": "compute-sanitizer does not support this GPU, or not on this kind of machine"}
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if status or not lines:
        tail = process.last_lines(errors + output, 15)
        return {"ok": False, "failed": f"status {status}: {tail}", "seconds": time.perf_counter() - began}
    return {**json.loads(lines[-1]), "seconds": time.perf_counter() - began}


def main(argv=None):
    args = parse(argv)
    if args.part:
        with setting(args.dry_run) as here:
            print(json.dumps(PARTS[args.part][0](here)))
        return 0
    began = time.perf_counter()
    left = lambda: args.minutes * 60 - (time.perf_counter() - began)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with setting(args.dry_run) as here:
            device = "none: a dry run on the CPU, no time here is a measurement" if here.dry else _device(here.place)
    except ScratchVAEError as error:
        print(f"gpu.py: error: {error}", file=sys.stderr)
        return 1
    result = {"machine": timing.machine(), "device": device, "dry_run": args.dry_run, "parts": {}}
    proofs = [name for name in args.parts if name in PROOFS]
    with ThreadPoolExecutor(1 if args.dry_run else len(PROOFS)) as pool:
        proven = dict(zip(proofs, pool.map(lambda name: run_part(name, args, min(PARTS[name][1], left())), proofs), strict=True))
    for name in [*proofs, *(name for name in args.parts if name not in PROOFS)]:
        if name in PROOFS:
            part = proven[name]
        elif left() < 15:
            part = {"left_out": "no time was left"}
        elif name == "race":
            part = race.race(args.dry_run, lambda: left() - 10, print)
        else:
            part = run_part(name, args, min(PARTS[name][1], left()))
        result["parts"][name] = part
        print(f"{name}: {_verdict(part)}", flush=True)
        timing.write_result(args.out / "gpu.json", result)
    for path in figures.draw(result, args.out):
        print(path)
    wrong = [name for name, part in result["parts"].items() if not part.get("ok", True)]
    missing = [name for name, part in result["parts"].items() if part.get("left_out")]
    told = f"WRONG: {', '.join(wrong)}" if wrong else "nothing wrong"
    print(f"{time.perf_counter() - began:.0f} s; {told}" + (f"; left out, in part or whole: {', '.join(missing)}" if missing else ""))
    return 1 if wrong else 0


def _verdict(part):
    left_out = part.get("left_out")
    if isinstance(left_out, dict):  # of a race, by peer: those that ran have told their times
        left_out = left_out and f"left out {len(left_out)}: {'; '.join(left_out)}"
    return left_out or part.get("failed") or ("ok" if part.get("ok", True) else "WRONG")


def _device(place):
    """What ran: the GPU, its driver and the libraries."""
    runtime = place.xp.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {
        "name": properties["name"].decode(), "multiprocessors": properties["multiProcessorCount"],
        "memory_GiB": properties["totalGlobalMem"] / 2**30, "l2_MiB": properties["l2CacheSize"] / 2**20,
        "driver": runtime.driverGetVersion(), "cuda": runtime.runtimeGetVersion(), "cupy": place.xp.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
