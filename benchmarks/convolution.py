"""Race scratchvae's convolutions against PyTorch's and JAX's: python benchmarks/convolution.py --help, and README.md in this folder."""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers, race
from benchmarks.contestant import Contestant, PeerFailed
from benchmarks.images import images
from benchmarks.peers.conv_common import NETS
from scratchvae import timing
from scratchvae.cores import usable_cores


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    add = parser.add_argument
    add("--nets", default=",".join(NETS), help=f"of {', '.join(NETS)}")
    add("--peers", default=",".join(name.removeprefix("conv-") for name in peers.CONVOLUTIONS), help="ours, torch, torch-cl, …")
    add("--batch-size", type=int, default=128)
    add("--threads", type=race.integers, default=[usable_cores()], help="such as 1,2 (default: every usable core)")
    add("--rounds", type=int, default=9)
    add("--steps", type=int, default=20, help="training steps in one sample, fewer where they take long")
    add("--warm-up", type=int, default=100, help=f"untimed steps before the first round, at most {race.WARM_UP_LIMIT_S} s")
    add("--quiet", type=float, default=0.15, help="repeat a sample if others used more than this share of a core")
    add("--lead-in", type=float, default=race.LEAD_IN_S, help="seconds of untimed steps before each sample")
    add("--data", default="mnist-small", help="mnist-small or mnist")
    add("--out", type=Path, help="write the result to this JSON file")
    add("--verbose", action="store_true", help="show what the workers print on stderr")
    args = parser.parse_args(argv)
    args.nets, args.peers = args.nets.split(","), args.peers.split(",")
    for name, known in [(n, NETS) for n in args.nets] + [(f"conv-{n}", peers.CONVOLUTIONS) for n in args.peers]:
        if name not in known:
            parser.error(f"no {name.removeprefix('conv-')}; there are {', '.join(k.removeprefix('conv-') for k in known)}")
    return args


def race_net(args, net, threads):
    """One network with this many threads → the race as a dict, {peer: why it is left out}"""
    running, left_out, answers = {}, {}, {}
    log = None if args.verbose else subprocess.DEVNULL
    try:
        for name in args.peers:
            try:
                running[name] = one = Contestant(f"conv-{name}", threads, log)
                answers[name] = one.ask("setup", data=args.data, batch_size=args.batch_size, net=net, threads=threads)
                answers[name] |= one.ask("warm_up", steps=args.warm_up, seconds=race.WARM_UP_LIMIT_S)
            except PeerFailed as error:
                left_out[name] = str(error)
                if name in running:
                    running.pop(name).stop()
                print(f"  {name} is left out: {error}", flush=True)
        if not running:
            sys.exit("convolution.py: every peer was left out")
        result = race.race("step", running, args, (args.batch_size, net, threads), answers, lambda text: print(text, flush=True))
        result["net"] = result.pop("width")
        for name, contestant in running.items():
            ending = contestant.ask("finish")
            result["peers"][name] |= {"peak_memory_MiB": ending["peak_memory_MiB"], "blas": ending["blas"]}
            print(f"  {name:16} at most {ending['peak_memory_MiB']:.0f} MiB resident")
    finally:
        for contestant in running.values():
            contestant.stop()
    return result, left_out


def main(argv=None):
    args = parse(argv)
    result = {
        "machine": timing.machine(),
        "nets": {name: NETS[name] for name in args.nets},
        "optimiser": "Adam, learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8",
        "dtype": "float32",
        "data": {"name": args.data, "images": len(images(args.data))},
        "peers": {name: peers.CONVOLUTIONS[f"conv-{name}"][3] for name in args.peers},
        "left_out": {},
        "races": [],
    }
    for net in args.nets:
        for threads in args.threads:
            one, left_out = race_net(args, net, threads)
            result["races"].append(one)
            result["left_out"] |= left_out
            if args.out:
                timing.write_result(args.out, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
