"""Dense against convolutional VAE on one data set: test −ELBO at equal latent size, after equal epochs and after equal time.

    python benchmarks/conv_vae.py --data mnist --epochs 5 --seeds 0,1,2 --out benchmarks/results/conv_vae.json

For each seed the convolutional VAE is trained for the epochs asked for, then the dense one for as many, then the dense one for as many
seconds as the convolutional one took. Three seeds of MNIST take some twenty minutes on two cores.
"""

import argparse
import json
import platform
import time
from statistics import mean, stdev

import numpy as np

import scratchvae
from scratchvae.evaluate import measure
from scratchvae.files import write_json
from scratchvae.models import VAE, ConvVAE
from scratchvae.training import default_epochs, fit

MOST = 10_000  # epochs, of which time allows fewer


def trained(model, data, seed, epochs, seconds=None):
    """→ what is known of the model after that much training"""
    began = time.perf_counter()
    try:
        records = fit(model, data, epochs=epochs, max_seconds=seconds, seed=seed)
    finally:
        taken = time.perf_counter() - began
    measured = {name: round(m.value, 2) for name, m in measure(model, data).items()}
    last = [record for record in records if record["split"] == "train"][-1]
    return {**measured, "epochs": round(last["epoch"], 2), "seconds": round(taken, 1), "parameters": int(model.buffer.values.size)}


def compare(data, seed, epochs, latent):
    conv = trained(ConvVAE.of_data(data, latent=latent, seed=seed), data, seed, epochs)
    dense = trained(VAE.of_data(data, latent=latent, seed=seed), data, seed, epochs)
    as_long = trained(VAE.of_data(data, latent=latent, seed=seed), data, seed, MOST, conv["seconds"])
    return {"seed": seed, "conv-vae": conv, "vae, equal epochs": dense, "vae, equal time": as_long}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist-small")
    parser.add_argument("--epochs", type=int, help="of the convolutional VAE (default: as scratchvae train)")
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out")
    o = parser.parse_args()
    data = scratchvae.load_data(o.data)
    epochs = o.epochs or default_epochs(len(data.train.images))
    runs = []
    for seed in map(int, o.seeds.split(",")):
        runs.append(compare(data, seed, epochs, o.latent))
        print(json.dumps(runs[-1]), flush=True)
    print(f"\n{o.data}, latent {o.latent}: test −ELBO in nats per image, mean and standard deviation over seeds {o.seeds}")
    for name in list(runs[0])[1:]:
        values = [run[name]["-ELBO"] for run in runs]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        took = mean(run[name]["seconds"] for run in runs)
        print(f"{name:20} {mean(values):.2f}{spread}   {mean(run[name]['epochs'] for run in runs):.1f} epochs, {took:.0f} s")
    if o.out:
        about = {"date": time.strftime("%Y-%m-%d"), "processor": platform.processor() or platform.machine(), "numpy": np.__version__}
        write_json(o.out, {"data": o.data, "latent": o.latent, "about": about, "runs": runs})


if __name__ == "__main__":
    main()
