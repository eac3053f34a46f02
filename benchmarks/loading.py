"""How long a folder of small images takes to load, against Pillow alone: python benchmarks/loading.py --help

Ours: `scratchvae.data.load` of the folder, from the listing to the split. Pillow's: the same files opened and decoded into arrays by
as many processes, forked beforehand, and nothing else done with them. Rounds are interleaved; the paired ratios are what counts: of
the seconds that passed, and of the processor's seconds, which other programs on the machine change less.

Last, what training does before its first step: from `load` to a run folder with its first checkpoint, of the tutorial's VAE.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scratchvae import VAE, fit, timing
from scratchvae.cores import usable_cores
from scratchvae.data import load
from scratchvae.training.step import TrainingStep

KINDS = {"png": ("28 x 28, grey", (28, 28)), "jpeg": ("64 x 64, colour", (64, 64, 3))}


def make(folder, kind, count):
    """`count` files of smooth random images → their paths."""
    folder.mkdir()
    rng, shape = np.random.default_rng(0), KINDS[kind][1]
    paths = []
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (7, 7, *shape[2:]), np.uint8))
        paths.append(str(folder / f"{i:05}.{kind}"))
        coarse.resize(shape[:2], Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def pillow(paths, processes, kind):
    """Seconds that `processes` processes take to decode all files, passed and of the processor.

    They are told the format: without, Pillow asks the formats in the order in which they happened to be imported, and takes longer.
    """

    def decode(worker):
        ready.wait()
        for path in paths[worker::processes]:
            with Image.open(path, formats=[kind]) as image:
                np.asarray(image)

    fork = multiprocessing.get_context("fork")
    ready = fork.Barrier(processes + 1)
    workers = [fork.Process(target=decode, args=(worker,)) for worker in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait()
    return _seconds(lambda: [worker.join() for worker in workers])


def ours(folder):
    """Seconds that `load` takes."""
    return _seconds(lambda: load(folder, progress=False))


def first_step(folder, out):
    """Seconds from the beginning of `load` to the first training step of a run, and those of them that `load` took."""
    step, began = TrainingStep.run, time.perf_counter()
    TrainingStep.run = _begun
    try:
        data = load(folder, progress=False)
        loaded = time.perf_counter()
        fit(VAE(data.train.images.shape[1]), data, out=out, progress=False)
    except _Begun:
        return time.perf_counter() - began, loaded - began
    finally:
        TrainingStep.run = step


class _Begun(Exception):
    """The first step is about to begin."""


def _begun(*step):
    raise _Begun


def _seconds(function):
    """(seconds passed, seconds of the processor in this process and in those that ended) while it runs."""
    began, used = time.perf_counter(), sum(os.times()[:4])
    function()
    return time.perf_counter() - began, sum(os.times()[:4]) - used


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", help="write the result as JSON")
    o = parser.parse_args(argv)
    cores = usable_cores()
    result = {"what": "loading a folder of images", "machine": timing.machine(), "pillow": PIL.__version__, "files": o.files,
              "processes": cores, "rounds": o.rounds, "kinds": {}}  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        for kind, (words, _) in KINDS.items():
            folder = Path(temporary) / kind
            paths = make(folder, kind, o.files)
            samplers = {"ours": lambda folder=folder: ours(folder), "pillow": lambda paths=paths, kind=kind: pillow(paths, cores, kind)}
            samples = timing.interleave(samplers, o.rounds)
            result["kinds"][kind] = {"images": words}
            for which, name in enumerate(("passed", "processor")):
                times = {who: [seconds[which] for seconds in of] for who, of in samples.items()}
                ratio = timing.Summary.of(timing.paired_ratios(times["ours"], times["pillow"]))
                medians = {who: timing.Summary.of(of) for who, of in times.items()}
                result["kinds"][kind][name] = {who: of.as_dict("s") for who, of in medians.items()} | {"ratio": ratio.as_dict()}
                told = " · ".join(f"{who} {of.median:.3f} s" for who, of in medians.items())
                print(f"{o.files:,} {kind} of {words}, {cores} processes, seconds {name}: {told} · ratio {ratio.median:.3f} "
                      f"(quartiles {ratio.q1:.3f} to {ratio.q3:.3f})", flush=True)  # fmt: skip
            runs = [first_step(folder, Path(temporary) / f"{kind}-run-{i}") for i in range(o.rounds)]
            begun, loaded = (timing.Summary.of(of) for of in zip(*runs, strict=True))
            result["kinds"][kind]["to the first step"] = {"all": begun.as_dict("s"), "load": loaded.as_dict("s")}
            print(f"from load to the first training step of VAE({kind}): {begun.median:.3f} s, of which load {loaded.median:.3f} s")
    if o.out:
        timing.write_result(o.out, result)


if __name__ == "__main__":
    main()
