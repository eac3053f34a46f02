"""Training beside programs that never rest: python benchmarks/busy.py --help, and README.md in this folder."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.race import integers
from scratchvae import timing

ROOT = Path(__file__).resolve().parent.parent
LOOP = "while True: pass"
ONE, TWO, ALWAYS = "one worker", "two workers", "two workers that always share"
CONTESTANTS = {ONE: (1, 0), TWO: (2, 0), ALWAYS: (2, 1)}  # threads, and whether they always share


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    add = parser.add_argument
    add("--loads", type=integers_from_0, default=[0, 1, 4], help="how many busy loops run beside it, such as 0,1,4")
    add("--sizes", type=sizes, default=[(400, 128), (100, 64), (32, 16)], help="WIDTHxBATCH, such as 400x128,32x16")
    add("--rounds", type=int, default=9)
    add("--seconds", type=float, default=0.5, help="of steps in one sample")
    add("--settle", type=float, default=3.0, help="seconds of steps of each contestant before its first sample at a load")
    add("--before", type=Path, help="another checkout, whose two workers are raced too")
    add("--out", type=Path, help="write the result to this JSON file")
    return parser.parse_args(argv)


def integers_from_0(text):
    """'0,1,4' → [0, 1, 4]"""
    return [int(part) for part in text.split(",")]


def sizes(text):
    """'400x128,32x16' → [(400, 128), (32, 16)]"""
    return [tuple(integers(part.replace("x", ","))) for part in text.split(",")]


class Contestant:
    """One process that trains when asked to, and is blocked on a pipe meanwhile."""

    def __init__(self, threads, always, size, checkout=ROOT):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "busy_worker.py"), *map(str, (threads, always, *size))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(checkout)},
        )  # fmt: skip

    def sample(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def busy_loops(count):
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def processor_seconds(loops):
    return sum(int(Path(f"/proc/{loop.pid}/schedstat").read_text().split()[0]) for loop in loops) / 1e9


def race(contestants, loops, args):
    """Interleaved rounds beside these loops → one cell of the result."""
    taken, others = {name: [] for name in contestants}, []

    def sampler(name):
        def sample():
            began, busy, looped = time.perf_counter(), timing.busy_seconds(), processor_seconds(loops)
            answer = contestants[name].sample(args.seconds)
            seconds = time.perf_counter() - began
            own = answer["cpu_ms"] / answer["ms"] * seconds + processor_seconds(loops) - looped
            others.append(max(0.0, timing.busy_seconds() - busy - own) / seconds)
            taken[name].append(answer)
            return answer["ms"]

        return sample

    for contestant in contestants.values():
        contestant.sample(args.settle)
    samples = timing.interleave({name: sampler(name) for name in contestants}, args.rounds)
    cell = {"busy_loops": len(loops), "others_cores": timing.Summary.of(others).as_dict(), "contestants": {}}
    for name, values in samples.items():
        cell["contestants"][name] = {
            **timing.Summary.of(values).as_dict("ms"),
            "samples_ms": values,
            "cpu_samples_ms": [answer["cpu_ms"] for answer in taken[name]],
            "to_one_worker_ratio": timing.Summary.of(timing.paired_ratios(values, samples[ONE])).as_dict(),
        }
    medians = {name: cell["contestants"][name]["median_ms"] for name in samples}
    cell["two_to_better_choice"] = medians[TWO] / min(medians[ONE], medians[ALWAYS])
    return cell


def table(size, cell):
    lines = [f"width {size[0]}, batch {size[1]}, {cell['busy_loops']} busy loops (others used {cell['others_cores']['median']:.2f} cores)",
             f"{'':32}{'ms':>9}{'quartiles':>19}{'cpu ms':>9}{'to one worker':>15}"]  # fmt: skip
    for name, told in cell["contestants"].items():
        cpu = timing.Summary.of(told["cpu_samples_ms"]).median
        quartiles = f"{told['q1_ms']:.2f} - {told['q3_ms']:.2f}"
        lines.append(f"{name:32}{told['median_ms']:9.2f}{quartiles:>19}{cpu:9.2f}{told['to_one_worker_ratio']['median']:15.2f}")
    return "\n".join([*lines, f"two workers / the better choice: {cell['two_to_better_choice']:.2f}", ""])


def main(argv=None):
    args = parse(argv)
    result = {"machine": timing.machine(), "seconds_per_sample": args.seconds, "rounds": args.rounds, "cells": []}
    for size in args.sizes:
        contestants = {name: Contestant(*settings, size) for name, settings in CONTESTANTS.items()}
        if args.before:
            contestants["two workers, before"] = Contestant(2, 0, size, args.before.resolve())
        try:
            for load in args.loads:
                with busy_loops(load) as loops:
                    cell = {"width": size[0], "batch_size": size[1], **race(contestants, loops, args)}
                result["cells"].append(cell)
                print(table(size, cell), flush=True)
        finally:
            for contestant in contestants.values():
                contestant.stop()
    if args.out:
        timing.write_result(args.out, result)


if __name__ == "__main__":
    main()
