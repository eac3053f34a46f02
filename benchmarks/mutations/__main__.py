"""Break the code on purpose, hundreds of times, and count what the tests notice.

    python -m benchmarks.mutations [--jobs 2] [--count 432]     to benchmarks/results/mutations.jsonl, and from there to docs/mutations.md

First a written list of mistakes that someone could make and believe in (written.txt), then mutations by rules over the syntax tree
(rules.py), drawn by a seed evenly over rooms and rules. Each is made in a copy of the tree; the tests that run its line are tried first,
the nearest before all others, and with --whole the rest of the suite on what survives. Stopped, it goes on where it was.

    --again        tries the survivors anew, after tests were mended      --sample 5    only so many of all, and writes nothing
    --only TEXT    where room, file or rule has this in its name         --table       writes the page alone
"""

import argparse
import json
import random
import sys
import threading

from . import coverage_map
from .page import write_page
from .rules import ROOT, draw
from .trial import SURVIVED, Tree, try_out
from .written import written

LOG = ROOT / "benchmarks" / "results" / "mutations.jsonl"


def arguments(told=None):
    p = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--count", type=int, default=432, help="mutations by rules")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=1, help="copies of the tree at work at a time")
    p.add_argument("--sample", type=int)
    p.add_argument("--only", default="")
    p.add_argument("--again", action="store_true")
    p.add_argument("--whole", action="store_true")
    p.add_argument("--table", action="store_true")
    return p.parse_args(told)


def read_log(path=LOG):
    """{key: the last result of that mutation}"""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {result["key"]: result for result in map(json.loads, lines)}


def all_of_them(count, seed=0):
    return [*written(), *draw(count, seed)]


def campaign(mutations, jobs, whole, tell):
    """Try each, `jobs` at a time; tell(mutation, result) as each ends."""
    known, trusted, left, lock = coverage_map.Tests(), {}, list(reversed(mutations)), threading.Lock()
    failed = []

    def work():
        with Tree() as tree:
            while not failed:
                with lock:
                    if not left:
                        return
                    mutation = left.pop()
                try:
                    result = try_out(tree, mutation, known, trusted, whole)
                    with lock:
                        tell(mutation, result)
                except BaseException as error:
                    failed.append(error)

    workers = [threading.Thread(target=work) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]


def main(told=None):
    o = arguments(told)
    mutations, done = all_of_them(o.count, o.seed), read_log()
    if o.table:
        write_page(mutations, done)
        return 0
    chosen = [m for m in mutations if o.only in f"{m.room} {m.file} {m.rule}"]
    if o.sample is not None:
        chosen = random.Random(o.seed).sample(chosen, min(o.sample, len(chosen)))
    else:
        again = lambda result: o.again and result["verdict"] == SURVIVED
        chosen = [m for m in chosen if m.key not in done or again(done[m.key]) or (o.whole and _not_whole(done[m.key]))]
    with Tree() as tree:
        coverage_map.make(tree.path, o.jobs)
    count = [0]

    def tell(m, result):
        count[0] += 1
        what = " ".join((m.means or f"{m.old} → {m.new or '(nothing)'}").split())[:90]
        print(f"{count[0]}/{len(chosen)} {m.room}: {m.file}:{m.line} {what}: {result['verdict']} {result['by']}", flush=True)
        if o.sample is None:
            about = {name: getattr(m, name) for name in ("key", "room", "rule", "file", "where", "old", "new", "means")}
            with open(LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps({**about, **result}, ensure_ascii=False) + "\n")

    campaign(chosen, o.jobs, o.whole, tell)
    if o.sample is None:
        write_page(mutations, read_log())
    return 0


def _not_whole(result):
    return result["verdict"] == SURVIVED and not result["whole"]


if __name__ == "__main__":
    sys.exit(main())
