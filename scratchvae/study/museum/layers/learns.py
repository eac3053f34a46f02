"""What most people look at, and the weakest proof there is: it runs, and the loss goes down."""

import numpy as np

from . import small


def learns(copy):
    """Training stays finite and the loss falls, for the VAE, the importance-weighted model, U-Net and hourglass."""
    data, pictures = small.dataset(copy, small.images(64), small.images(32, seed=1)), small.pictures(copy, 16)
    trials = {"VAE": (small.vae(copy, dtype=np.float32), data)}
    trials["importance-weighted model"] = copy["study.museum.iwae"].IWAE(small.PIXELS, (8,), 3, samples=5, seed=3), data
    trials |= {name: (model, pictures) for name, (model, _) in small.networks(copy, norm="batch").items()}
    for name, (model, data) in trials.items():
        losses = [r["loss"] for r in small.train(copy, model, data, epochs=10, lr=1e-2) if r["split"] == "train"]
        yield bool(np.isfinite(losses).all()), losses[-1], f"{name}: the loss is finite"
        yield losses[-1] < losses[0], losses[-1], f"{name}: the loss goes from {losses[0]:.4g} to {losses[-1]:.4g}"
