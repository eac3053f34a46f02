"""The race on the device: our steps beside the peers', each library in processes of its own, one per variant and precision."""

import importlib
import json
import sys
from pathlib import Path

from scratchvae import timing

from . import process

ROOT = Path(__file__).resolve().parents[2]
BEST = [("gpu_torch", "compiled-graph"), ("gpu_torch", "graph"), ("gpu_jax", "scan"), ("gpu_torch", "compiled")]
OTHERS = [("gpu_torch", "fused"), ("gpu_jax", "jit"), ("gpu_cupy", "plain"), ("gpu_torch", "eager")]
# The most telling first: when time is short, the last are left out, and said to be.
ORDER = [(*peer, tf32) for peers in (BEST, OTHERS) for tf32 in (False, True) for peer in peers]
LIMIT_S = 110  # for one process


def contest(module, variant, tf32, setting):
    """One peer on every model, in this process → {model: {median_us, …, last_loss_nats}}"""
    found = {}
    peer_of = importlib.import_module(f"benchmarks.peers.{module}").Peer
    for name, (hidden, latent, batch) in setting.models.items():
        peer = peer_of(setting.images(), hidden, latent, batch, tf32, variant)
        if not (peer.on_gpu or setting.dry):
            raise SystemExit(f"{module.removeprefix('gpu_')} sees no GPU")
        count = 2 if setting.dry else 10 if batch > 5000 else 100
        peer.run(2 * count)
        peer.wait()
        rounds = min(setting.rounds, 5) if batch > 5000 else setting.rounds
        samples = [1e3 * peer.timed(count) / count for _ in range(rounds)]
        found[name] = {**timing.Summary.of(samples).as_dict("us"), "last_loss_nats": peer.wait(), "versions": peer.versions}
        del peer
        print(json.dumps(found), flush=True)  # a peer that dies at a later model keeps what it has
    return found


def race(dry, left, say):
    """Every peer in FP32, and with tensor cores in TF32; `left()` says how many seconds there are → {"lines": …, "left_out": …}"""
    lines, left_out = [], {}
    for module, variant, tf32 in ORDER:
        name = f"{module.removeprefix('gpu_')} {variant}"
        key = f"{name}, {'TF32' if tf32 else 'FP32'}"
        if left() < 20:
            left_out[key] = "no time was left"
            continue
        command = [sys.executable, "-m", "benchmarks.device.race", module, variant, str(int(tf32)), str(int(dry))]
        text, why = _output(command, min(LIMIT_S, left()))
        found = json.loads(text[-1]) if text else {}
        if why:
            left_out[key] = why
        for model, numbers in found.items():
            lines.append({"peer": name, "model": model, "precision": "tf32" if tf32 else "fp32", **numbers})
        say(f"  {key}: " + ", ".join(f"{model} {n['median_us']:.1f} µs" for model, n in found.items()) + (f" ({why})" if why else ""))
    return {"lines": lines, "left_out": left_out}


def _output(command, limit):
    """The lines of JSON that a process printed before it ended or its time did, and what went wrong, if anything."""
    status, out, errors = process.run(command, limit, cwd=ROOT)
    why = ""
    if status is None:
        why = f"took longer than {limit:.0f} s"
    elif status:
        why = process.last_lines(errors, 1) or "no message"
    return [line for line in out.splitlines() if line.startswith("{")], why


if __name__ == "__main__":
    from .setting import setting

    with setting(sys.argv[4] == "1") as here:
        contest(sys.argv[1], sys.argv[2], sys.argv[3] == "1", here)
