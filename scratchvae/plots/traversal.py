"""What each latent does: one image, decoded again and again while one latent changes."""

import numpy as np

from ..ops import numpy as ops
from .page import BODY, GREY, SMALL, leading, page, wrap
from .tiles import check_shape, finite, model_input, mosaic, scale_note, tile_size, tiles

VALUES = np.arange(-6, 7) / 2  # −3, −2.5 … 3
ROWS, GAP = 10, 4


def draw_traversal(model, image, image_shape, path, title, images=None):
    """Rows: up to ten latents that matter most. Columns: its value from −3 to 3, all others as the image is encoded.

    image (D,) · images (N, D), default the image alone: over these the rows are ranked, by each latent's mean KL in a
    VAE. The codes of an autoencoder have no scale of their own: there the rows are ranked by the standard deviation
    over `images`, and the columns run from −3 to 3 standard deviations around the mean, or over plain values without
    `images`. Latents count from 1. The outlined tile is the one nearest to the image's own code.
    """
    check_shape(image_shape, model.data_size)
    x, _ = model_input(model, image, 1)
    crowd, _ = model_input(model, image if images is None else images, 2000)
    vae = model.kind == "vae"
    codes = finite(model.codes(crowd), "the codes")
    score = latent_kl(model, crowd) if vae else codes.std(axis=0)
    shown = np.argsort(-score, kind="stable")[:ROWS]
    plain = vae or images is None
    centre, scale = (
        (np.zeros(model.latent), np.ones(model.latent)) if plain else (codes.mean(axis=0), codes.std(axis=0))
    )
    own = model.codes(x)[0]
    outputs = [model.traverse(x[0], centre[k] + scale[k] * VALUES, [k])[0] for k in shown]

    size = h, w = tile_size(image_shape, 84, longest=2)
    both = np.concatenate([x, model.reconstruct(x), *outputs])
    shown_tiles = tiles(both, image_shape, size)
    pair, grid = shown_tiles[:2], mosaic(shown_tiles[2:], len(VALUES), GAP)
    title += scale_note(both, image_shape)
    names, line = ("input", "output"), leading(SMALL)
    left, side, top = max(w, 90) + 50, 136, 40
    what = "value of the latent" if plain else "standard deviations from the latent's mean"
    note = wrap(f"{what}; other latents as encoded; outlined: nearest to the image's own code", BODY, grid.shape[1])
    height = max(grid.shape[0] + 24 + len(note) * leading(BODY), 2 * (h + line) + 16)
    with page(path, title, left + side + grid.shape[1], top + height) as sheet:
        for k, name in enumerate(names):
            y = top + k * (h + line + 16)
            sheet.picture(0, y, pair[k])
            sheet.text(0, y + h + line / 2 + 2, name, SMALL, color=GREY, va="center")
        for r, k in enumerate(shown):
            y = top + r * (h + GAP) + h / 2
            unit = f"KL {score[k]:.2f}" if vae else f"sd {score[k]:.2f}"
            sheet.text(left, y - 1, f"z{subscript(k + 1)}", weight="bold", va="bottom")
            sheet.text(left, y + 1, unit, SMALL, color=GREY, va="top")
        sheet.picture(left + side, top, grid)
        for c in range(0, len(VALUES), 2):
            x_middle = left + side + c * (w + GAP) + w / 2
            sheet.text(x_middle, top - 12, f"{VALUES[c]:.0f}".replace("-", "−"), ha="center", va="baseline")
        for r, k in enumerate(shown):
            c = int(np.abs(centre[k] + scale[k] * VALUES - own[k]).argmin())
            sheet.outline(left + side + c * (w + GAP) - 1, top + r * (h + GAP) - 1, w + 2, h + 2)
        for k, part in enumerate(note):
            sheet.text(left + side, top + grid.shape[0] + 34 + k * leading(BODY), part, va="center")


def latent_kl(model, x):
    """KL(q(z_k|x) ‖ N(0, 1)) of each latent (E15), mean over the images.   x (N, D) → (L,) nats per image"""
    mu, logvar = (a.reshape(-1, 1) for a in model.encode(x))  # each latent as a row of its own
    work = np.empty_like(mu), np.empty_like(mu)
    return (
        finite(ops.gaussian_kl(mu, logvar, np.empty_like(mu[:, 0]), work), "the codes").reshape(len(x), -1).mean(axis=0)
    )


def subscript(k):
    """12 → "₁₂" """
    return str(k).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
