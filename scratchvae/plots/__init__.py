"""The figures of a run, as PNG files for a page or a slide. Nothing else imports this package before a figure is
wanted.

Every title is a heading and, after a line break, a smaller text: what the figure shows, of which model, in which unit.
"""

from pathlib import Path

import numpy as np

from ..data.generated import segment_names
from ..data.stick_figures import joint_names
from ..files import make_folder
from ..models.objective import Annealed
from .images import chosen, draw_manifold, draw_reconstructions, draw_samples
from .joints import draw_film, draw_joints, draw_stages
from .latent import draw_latent
from .loss import PARTS, draw_loss
from .predictions import draw_predictions
from .tiles import is_series
from .traversal import draw_traversal

__all__ = [
    "draw_all", "draw_film", "draw_joints", "draw_latent", "draw_loss", "draw_manifold", "draw_predictions",
    "draw_reconstructions", "draw_samples", "draw_stages", "draw_traversal",
]  # fmt: skip


def draw_all(model, dataset, records, folder, describe, chapters=()):
    """Draw every figure that makes sense for this model into `folder`, and return the paths, in order.

    records   the lines of metrics.jsonl, as dicts; no loss is drawn without any
    describe  what was trained on what: "VAE 784-400-20, MNIST (5,000 images), epoch 10"
    chapters  the epochs at which training went on with other settings

    Images come from the test split (from the training split where that is empty); the manifold is drawn for two
    latents.
    """
    folder = Path(folder)
    make_folder(folder)
    name, split = ("test", dataset.test) if len(dataset.test.images) else ("training", dataset.train)
    written = []

    def draw(function, file, *arguments, heading, says, **options):
        path = folder / file
        function(*arguments, path, f"{heading}\n{describe}\n{says}", **options)
        written.append(path)

    if records:
        _draw_loss(model, records, chapters, draw)
    if "points" in model.reads and hasattr(model, "points"):
        _draw_points(model, dataset, split, name, draw)
    if hasattr(model, "predict"):
        _draw_predictions(model, dataset, split, name, draw)
    if hasattr(model, "latent"):
        _draw_codes(model, dataset, split, name, draw)
    return written


def _draw_loss(model, records, chapters, draw):
    """The objective and its terms; of more than three terms the first and the last."""
    terms, unit, own = list(model.terms), getattr(model, "unit", "nats").partition(" per image")[0], {}
    if not set(terms) <= set(PARTS):
        parts = {"loss": ("Objective", "weighted sum of the terms")} if len(terms) > 1 else {}
        parts |= {
            term: (term.capitalize(), f"{unit} per image")
            for term in (terms if len(terms) < 4 else [terms[0], terms[-1]])
        }
        own = {"parts": parts, "unit": unit}
    if isinstance(model.objective, Annealed):
        own["share"] = _shares(model.objective, records)
    drawn = "; one sample of z per image" if model.noise_columns else ""
    draw(draw_loss, "loss.png", records, heading="Loss during training", chapters=chapters, **own,
         says=f"{unit.capitalize()} per image: summed over pixels, averaged over images{drawn}")  # fmt: skip


def _shares(objective, records):
    """The share of each step (n,), some thousands at most, and the epochs (n,) at which those are."""
    steps, epochs = np.array([(0, 0), *((r["step"], r["epoch"]) for r in records)]).T
    at = np.unique(np.linspace(0, steps[-1], 4000).astype(int))
    return np.interp(at, steps, epochs), objective.share(at)


def _draw_points(model, dataset, split, name, draw):
    """Of a model that finds joints."""
    given = split.images, split.fields["points"], split.fields["visible"], dataset.image_shape
    draw(draw_joints, "joints.png", model, *given, heading="Joints",
         says=f"{name.capitalize()} images: each joint, where the last stage finds it, and the median "
         "distance")  # fmt: skip
    draw(draw_stages, "stages.png", model, *given, heading="From stage to stage", names=joint_names(dataset, given[1]),
         says=f"Joints in {name} images that the first stage misses and the last one finds; each map from 0 to "
         "its highest")  # fmt: skip
    if len(model.terms) > 1:
        draw(draw_film, "stages.gif", model, *given, heading="From stage to stage",
             says=f"Those {name} images that the stages after the first change most, for better or worse")  # fmt: skip


def _draw_predictions(model, dataset, split, name, draw):
    """Of a model that gives each pixel a class or a colour."""
    segment = model.task == "segment"
    draw(draw_predictions, "predictions.png", {"prediction": model}, split.images, split.fields[model.field],
         dataset.image_shape, heading="The class of each pixel" if segment else "Clean images",
         names=segment_names(dataset, model.config["classes"]) if segment else None,
         says=f"{name.capitalize()} images above what is wanted, and what the model makes of them")  # fmt: skip


def _draw_codes(model, dataset, split, name, draw):
    """Of a model with a latent space."""
    images, labels, shape = split.images, split.labels, dataset.image_shape
    vae = bool(model.noise_columns)
    first = images[chosen(labels)[0] if labels is not None else 0]
    names = split.classes or None
    scaling = dataset.preparation.get("scaling", {}) if is_series(shape) else {}
    units = {"unit": "; columns scaled to [0, 1]", "standard": "; columns scaled to mean 0, deviation 1"}.get(
        scaling.get("rule"), ""
    )
    code = "the posterior mean μ" if vae else "the code z"
    rank = "KL, in nats per image" if vae else "standard deviation (sd)"
    ranked = f"{min(10, model.latent)} of {model.latent} latents, ordered"
    warning = "" if vae else "; an autoencoder's codes do not follow N(0, I)"

    draw(draw_reconstructions, "reconstructions.png", model, images, labels, shape, heading="Reconstructions",
         names=names, values=scaling.get("columns"),
         says=f"{name.capitalize()} images {'and' if is_series(shape) else 'above'} the decoder's mean image at "
         f"{code}{units}")  # fmt: skip
    draw(draw_samples, "samples.png", model, shape, heading="Samples",
         says="Mean images of z ~ N(0, I), seed 0" + warning + units)  # fmt: skip
    draw(draw_latent, "latent.png", model, images, labels, heading="Latent space", names=names,
         says=f"{code[0].upper()}{code[1:]} of {name} images")  # fmt: skip
    if model.latent == 2:
        draw(draw_manifold, "manifold.png", model, shape, heading="Manifold",
             says="Mean images on a grid with equal probability under N(0, I) in each cell")  # fmt: skip
    function = lambda path, title: draw_traversal(model, first, shape, path, title, images)
    draw(function, "traversal.png", heading="Latent traversal",
         says=f"One {name} image; in each row one latent changes. {ranked} by {rank}")  # fmt: skip
