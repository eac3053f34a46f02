"""Race scratchvae against its peers: python benchmarks/race.py --help, and README.md in this folder."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import peers
from benchmarks.contestant import Contestant, PeerFailed
from benchmarks.images import images
from scratchvae import timing
from scratchvae.cores import usable_cores

LATENT = 20
EVALUATION_BATCHES = (128, 512, 1000)
SETTLE_S = 0.15  # idle OpenBLAS threads spin for up to 100 ms before they sleep; the next peer must not feel it
RETRIES = 5
SAMPLE_LIMIT_S = 2.0  # a sample of an expensive cell gets fewer steps, the same number for everybody
# After some 750 steps Adam's moments of pixels that are rarely on become denormal numbers, which processors compute
# slowly unless told to flush them: a race that stopped earlier would not show what training costs.
WARM_UP_LIMIT_S = 15
# Untimed steps before each sample. Caches refill; and for some 100 ms after a pause the system may keep both threads of
# a peer on one core, which a training run of minutes never notices.
LEAD_IN_S = 0.4


def integers(text):
    """'1,2' → [1, 2]"""
    values = [int(part) for part in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text}: every number must be 1 or more")
    return values


def peer_names(text):
    """'ours,ours@mkl,jax' → ['ours', 'ours@mkl', 'jax']"""
    names = text.split(",")
    unknown = [name for name in names if peers.plain(name) not in peers.PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer called {', '.join(unknown)}; there are {', '.join(peers.PEERS)}")
    return names


def interpreter(text):
    """'mkl=/a/bin/python' → ('mkl', '/a/bin/python')"""
    name, _, path = text.partition("=")
    if not name or shutil.which(path) is None:
        raise argparse.ArgumentTypeError(f"{text}: give NAME=PATH, where PATH is a Python that can be run")
    return name, path


def parse(argv=None):
    cores = usable_cores()
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    add = parser.add_argument
    add("--what", choices=["step", "epoch", "evaluate", "sample", "all"], default="step")
    add("--peers", type=peer_names, default=peers.DEFAULT, help=f"of {', '.join(peers.PEERS)}")
    add(
        "--python", type=interpreter, action="append", default=[], metavar="NAME=PATH",
        help="another Python, with packages of its own: PEER@NAME is PEER run by it (may be given several times)",
    )  # fmt: skip
    add("--batch-sizes", type=integers, default=[128], help="images per step, such as 32,128,512,4096")
    add("--widths", type=integers, default=[400], help="units of both hidden layers, such as 100,400,1000,4000")
    add("--threads", type=integers, default=[cores], help=f"such as 1,2 (default {cores}: every usable core)")
    add("--rounds", type=int, default=15)
    add("--steps", type=int, default=50, help="steps in one sample")
    add("--warm-up", type=int, default=1500, help=f"untimed steps before the first round, at most {WARM_UP_LIMIT_S} s")
    add("--quiet", type=float, default=0.15, help="repeat a sample if others used more than this share of a core")
    add("--lead-in", type=float, default=LEAD_IN_S, help="seconds of untimed steps before each sample of steps")
    add("--data", default="mnist-small", help="mnist-small or mnist")
    add("--out", type=Path, help="write the result to this JSON file")
    add("--json", action="store_true", help="print the result as JSON in place of tables")
    add("--verbose", action="store_true", help="show what the workers print on stderr")
    args = parser.parse_args(argv)
    args.python = dict(args.python)
    for name in args.peers:
        where = name.partition("@")[2]
        if "@" in name and where not in args.python:
            parser.error(f"{name} needs --python {where}=PATH")
    return args


def cells(args):
    """The (batch size, width, threads) to race: a base cell first, then each list varied alone.

    The base takes 128, 400 and every core where the lists have them, and else the first of a list.
    """
    lists = [args.batch_sizes, args.widths, args.threads]
    defaults = [128, 400, usable_cores()]
    base = [wish if wish in values else values[0] for values, wish in zip(lists, defaults, strict=True)]
    found = [tuple(base)]
    for axis, values in enumerate(lists):
        found += [(*base[:axis], value, *base[axis + 1 :]) for value in values]
    return list(dict.fromkeys(found))


def race_cell(args, cell, whats, say):
    """Everything asked for at one (batch size, width, threads) → list of race dicts, {peer: why it is left out}"""
    batch_size, width, threads = cell
    setup = {"data": args.data, "batch_size": batch_size, "hidden": width, "latent": LATENT, "threads": threads}
    running, left_out, answers = {}, {}, {}
    log = None if args.verbose else subprocess.DEVNULL
    try:
        for name in args.peers:
            try:
                kind, _, where = name.partition("@")
                running[name] = contestant = Contestant(kind, threads, log, args.python.get(where, sys.executable))
                answers[name] = contestant.ask("setup", **setup)
                answers[name] |= contestant.ask("warm_up", steps=args.warm_up, seconds=WARM_UP_LIMIT_S)
            except PeerFailed as error:
                left_out[name] = str(error)
                if name in running:
                    running.pop(name).stop()
                say(f"  {name} is left out: {error}")
        races = [race(what, running, args, cell, answers, say) for what in whats if running]
        for name, contestant in running.items():
            ending = contestant.ask("finish")
            for one in races:
                one["peers"][name] |= {"peak_memory_MiB": ending["peak_memory_MiB"], "blas": ending["blas"]}
    finally:
        for contestant in running.values():
            contestant.stop()
    return races, left_out


def race(what, running, args, cell, answers, say):
    """Interleaved rounds of one kind of work → a dict ready for JSON"""
    requests, note = prepare(what, running, args)
    taken = {name: [] for name in running}

    def sampler(name):
        def sample():
            taken[name].append(quiet_answer(running[name], requests[name], args.quiet))
            return taken[name][-1]["ms"]

        return sample

    samples = timing.interleave({name: sampler(name) for name in running}, args.rounds, lambda: time.sleep(SETTLE_S))
    result = {
        "what": what,
        "batch_size": cell[0],
        "width": cell[1],
        "threads": cell[2],
        "rounds": args.rounds,
        "quiet_limit_cores": args.quiet,
        **note,
        "peers": {name: {**describe(name, samples, taken[name], requests[name]), **told(answers[name])} for name in running},
        "best_peer": None,
    }
    rivals = [name for name in running if peers.is_rival(name)]
    if rivals:
        result["best_peer"] = best = min(rivals, key=lambda name: result["peers"][name]["median_ms"])
        for name in running.keys() - {best}:
            result["peers"][name]["this_to_best_peer_ratio"] = ratio(samples[name], samples[best])
    say(table(result, args.quiet))
    return result


def quiet_answer(contestant, request, limit):
    """One answer, asked for again while other programs used more than `limit` of a core meanwhile.

    Whether a sample counts depends on what the others did, never on the sample itself. The last try counts in any case.
    """
    for retries in range(RETRIES + 1):
        busy, began = timing.busy_seconds(), time.perf_counter()
        answer = contestant.ask(**request)
        if busy is None:
            return {**answer, "others": None, "retries": retries}
        seconds = time.perf_counter() - began
        others = (timing.busy_seconds() - busy - answer["total_cpu_s"]) / seconds
        if others <= limit:
            break
        time.sleep(SETTLE_S)
    return {**answer, "others": max(others, 0.0), "retries": retries}


def prepare(what, running, args):
    """The request that makes one sample, per peer, after the warm-up that this kind of work needs → requests, note"""
    if what == "step":
        slowest = max(one.ask("step", n=min(5, args.steps), lead_in_s=args.lead_in / 8)["ms"] for one in running.values())
        steps = max(1, min(args.steps, int(1e3 * SAMPLE_LIMIT_S / slowest)))
        request = {"do": "step", "n": steps, "lead_in_s": args.lead_in}
        return dict.fromkeys(running, request), {"steps_per_sample": steps}
    if what == "epoch":
        for one in running.values():
            one.ask("epoch")  # compiles the short last batch
        return dict.fromkeys(running, {"do": "epoch"}), {"images_per_sample": len(images(args.data))}
    requests = {}
    for name, one in running.items():
        best = {}
        for size in EVALUATION_BATCHES:
            one.ask(what, batch_size=size)
            best[size] = min(one.ask(what, batch_size=size)["ms"] for _ in range(3))
        requests[name] = {"do": what, "batch_size": min(best, key=best.get)}
    return requests, {"images_per_sample": peers.common.EVALUATED}


def told(answer):
    """What a worker said of itself before the race."""
    return {key: answer[key] for key in ("versions", "warm_up_steps", "check_steps", "check_loss_nats")}


def describe(name, samples, taken, request):
    """One peer's share of a race: samples, summary, and the ratio of ours to it, paired by round."""
    share = {
        **timing.Summary.of(samples[name]).as_dict("ms"),
        "samples_ms": samples[name],
        "cpu_samples_ms": [one["cpu_ms"] for one in taken],
        # What its threads burned while others ran; the first is from before the race.
        "idle_cpu_samples_ms": [one["idle_cpu_ms"] for one in taken[1:]],
        # Share of one core that other programs used while the sample was taken, and how often it was taken again.
        "others_cores": [one["others"] for one in taken],
        "retries": [one["retries"] for one in taken],
        "last_loss_nats": taken[-1]["loss_nats"],
    }
    if "ours" in samples and name != "ours":
        share["ours_to_this_ratio"] = ratio(samples["ours"], samples[name])
    if request["do"] in ("evaluate", "sample"):
        share["batch_size"] = request["batch_size"]
    return share


def ratio(mine, theirs):
    """Paired by round → its summary and samples"""
    ratios = timing.paired_ratios(mine, theirs)
    return {**timing.Summary.of(ratios).as_dict(), "samples": ratios}


def table(race, quiet):
    """A race as text."""
    head = f"{race['what']}: batch {race['batch_size']}, width {race['width']}, threads {race['threads']}"
    lines = [head, f"{'':22}{'ms':>10}{'quartiles':>20}{'cpu ms':>10}{'ours/this':>11}{'quartiles':>16}{'this/best':>11}{'nats':>9}"]
    for name, peer in race["peers"].items():
        cpu = timing.Summary.of(peer["cpu_samples_ms"]).median
        quartiles = f"{peer['q1_ms']:.3f} - {peer['q3_ms']:.3f}"
        line = f"{name:22}{peer['median_ms']:10.3f}{quartiles:>20}{cpu:10.3f}"
        ours, best = peer.get("ours_to_this_ratio"), peer.get("this_to_best_peer_ratio")
        between = f"{ours['q1']:.3f} - {ours['q3']:.3f}" if ours else ""
        line += f"{ours['median']:11.3f}{between:>16}" if ours else f"{'':27}"
        line += f"{best['median']:11.3f}" if best else f"{'':11}"
        loss = peer["check_loss_nats"]
        line += f"{loss:9.2f}" if loss is not None else f"{'-':>9}"
        lines.append(line + ("  best peer" if name == race["best_peer"] else ""))
    disturbed = [share for peer in race["peers"].values() for share in peer["others_cores"] if (share or 0) > quiet]
    total = race["rounds"] * len(race["peers"])
    if disturbed:
        lines.append(f"{len(disturbed)} of {total} samples were disturbed: others used up to {max(disturbed):.2f} cores")
    return "\n".join(lines) + "\n"


def described(name):
    """What a peer is, in words."""
    kind, _, where = name.partition("@")
    return peers.PEERS[kind][3] + (f", run by another Python, called {where}" if where else "")


def main(argv=None):
    args = parse(argv)
    say = (lambda text: None) if args.json else lambda text: print(text, flush=True)
    result = {
        "machine": timing.machine(),
        "model": {"pixels": 784, "latent": LATENT, "likelihood": "Bernoulli on logits, grayscale pixels in [0, 1]"},
        "optimiser": "Adam, learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8",
        "dtype": "float32",
        "data": {"name": args.data, "images": len(images(args.data))},
        "peers": {name: described(name) for name in args.peers},
        "left_out": {},
        "races": [],
    }
    for i, cell in enumerate(cells(args)):
        whats = ["step", "epoch", "evaluate", "sample"] if args.what == "all" else [args.what]
        if args.what == "all" and i:
            whats = ["step"]  # the others are raced at the base cell
        try:
            races, left_out = race_cell(args, cell, whats, say)
        except PeerFailed as error:
            sys.exit(f"race.py: a peer failed while racing: {error}")
        result["races"] += races
        result["left_out"] |= left_out
        if args.out:
            timing.write_result(args.out, result)  # after each cell, so that a long sweep can be stopped
    if args.json:
        print(json.dumps({"format": timing.FORMAT, "version": timing.VERSION, **result}))
    return 0 if result["races"] else 1


if __name__ == "__main__":
    sys.exit(main())
