"""Draw every picture of the book from real runs and counts: python docs/figures.py [name …]

Names are those of the functions below; without any, all are drawn. Models train on the bundled digits with seed 1, so the same
pictures come out again, but for `speed`, which is about the machine it is drawn on. A few minutes on two cores.
"""

import base64
import json
import sys
import time
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image

import scratchvae
from scratchvae import plots, rng, timing
from scratchvae.checks import central_differences, complex_step
from scratchvae.data import Dataset, Split, gather
from scratchvae.files import replacing
from scratchvae.ops import numpy as ops
from scratchvae.ops.cuda.ladder import RUNGS, numbers_asked
from scratchvae.plots.latent import COLOURS
from scratchvae.plots.page import BLUE, BODY, GREEN, GREY, INK, RULE, SMALL, VERMILION, page, wrap
from scratchvae.plots.predictions import in_colours as colours_of
from scratchvae.plots.predictions import rgb
from scratchvae.plots.tiles import mosaic, tiles
from scratchvae.study import gradients
from scratchvae.study.launch_costs import launches_of_a_step
from scratchvae.study.linear_gaussian import LinearGaussian, log_standard_normal, pca
from scratchvae.study.probability import elbo_terms, importance_weighted_bound

FOLDER = Path(__file__).resolve().parent / "figures"
RESULTS = FOLDER.parent.parent / "benchmarks" / "results"
WIDTH = 1040  # pixels, so that a phone can still show the letters
SHAPE = (28, 28)


def normal(draws, columns, place, dtype=np.float64):
    """Noise of this script's own: N(0, 1), (draws, columns)."""
    return rng.normal(1, rng.CHECK, place, np.arange(draws), columns, dtype)


@cache
def digits():
    return scratchvae.load_data("mnist-small")


@cache
def trained(kind, hidden, latent, epochs):
    """A model trained on the bundled digits; each is trained once per call of this script."""
    model = {"ae": scratchvae.Autoencoder, "vae": scratchvae.VAE}[kind](784, (hidden,), latent, seed=1)
    scratchvae.fit(model, digits(), epochs=epochs, progress=False)
    return model


def test_images():
    return (digits().test.images / 255).astype(np.float32)


# Chapters 1 and 2 --------------------------------------------------------------------------------------------------------


def ae_reconstructions(path):
    title = "What 20 numbers keep\nAutoencoder 784-400-20, 60 epochs of 5,000 digits; test images it has not seen"
    test = digits().test
    plots.draw_reconstructions(trained("ae", 400, 20, 60), test.images, test.labels, SHAPE, path, title)


def reconstructions(path):
    title = "Test digits and their reconstructions\nVAE 784-400-20, 60 epochs of 5,000 digits; decoded from the mean code"
    test = digits().test
    plots.draw_reconstructions(trained("vae", 400, 20, 60), test.images, test.labels, SHAPE, path, title)


def bottleneck(path):
    sizes, x = [1, 2, 4, 8, 16, 32, 64], test_images()
    mean = digits().train.images.mean(axis=0) / 255
    U, _ = pca(digits().train.images / 255, 64)
    models = [trained("ae", 200, n, 20) for n in sizes]
    curved = [np.sum((m.reconstruct(x) - x) ** 2, axis=1).mean() for m in models]
    flat = [np.sum((mean + (x - mean) @ U[:, :n] @ U[:, :n].T - x) ** 2, axis=1).mean() for n in sizes]
    title = "What a bottleneck keeps\nSquared error per test image; below, a 7 and a 2 through each"
    with page(path, title, WIDTH, 960, whole=True) as sheet:
        ax = sheet.axes(90, 30, sheet.width - 100, 370)
        ax.plot(sizes, flat, "o-", color=VERMILION, label="PCA, the best linear code (E39)")
        ax.plot(sizes, curved, "o-", color=BLUE, label="autoencoder 784-200-L, 20 epochs")
        ax.set_xscale("log", base=2)
        ax.set_xlim(0.9, 71)
        ax.minorticks_off()
        ax.set_xticks(sizes, sizes)
        ax.set_ylim(0)
        ax.set_xlabel("latents L")
        ax.set_ylabel("squared error")
        ax.grid(axis="y")
        ax.legend(frameon=False)
        side, left = 104, 78
        for r, row in enumerate((0, 1)):
            for c, n in enumerate([None, *sizes]):
                image = x[row] if n is None else models[c - 1].reconstruct(x[row])[0]
                sheet.picture(left + c * (side + 6), 540 + r * (side + 6), tiles(image, SHAPE, (side, side)))
                if r == 0:
                    name = "image" if n is None else f"L = {n}"
                    sheet.text(left + c * (side + 6) + side / 2, 528, name, SMALL, ha="center", va="baseline", color=GREY)


def random_codes(path):
    ae, vae = trained("ae", 400, 20, 60), trained("vae", 400, 20, 60)
    z = ae.codes((digits().train.images / 255).astype(np.float32))
    shaped = z.mean(axis=0) + normal(40, 20, 1) @ np.linalg.cholesky(np.cov(z.T)).T
    panels = [
        ("Autoencoder, z ~ N(0, I)", ae.sample(40, 1)),
        ("Autoencoder, z ~ N(its codes' mean, covariance)", ae.decode(shaped.astype(np.float32))),
        ("VAE, z ~ N(0, I)", vae.sample(40, 1)),
    ]
    side = 84
    with page(path, "Decoding random codes\n784-400-20, 60 epochs of 5,000 digits; decoded means", 1000, 3 * (4 * side + 60) - 20) as sheet:
        for k, (name, images) in enumerate(panels):
            top = k * (4 * side + 60)
            sheet.text(0, top + 14, name, weight="bold", va="center")
            sheet.picture(0, top + 32, mosaic(tiles(images, SHAPE, (side, side)), 10, 6)[:, : 10 * (side + 6) - 6])


def manifold(path):
    title = "The latent plane, decoded\nVAE 784-400-2, 60 epochs of 5,000 digits; every tile is equally probable (E37)"
    plots.draw_manifold(trained("vae", 400, 2, 60), SHAPE, path, title, n=16)


def latent_vae(path):
    title = "Where a VAE puts its codes\nVAE 784-400-2, 60 epochs of 5,000 digits; mean codes of the test images"
    plots.draw_latent(trained("vae", 400, 2, 60), digits().test.images, digits().test.labels, path, title)


def latent_ae(path):
    title = "Where an autoencoder puts its codes\nAutoencoder 784-400-2, 60 epochs of 5,000 digits; test images"
    plots.draw_latent(trained("ae", 400, 2, 60), digits().test.images, digits().test.labels, path, title)


# Chapter 3 ---------------------------------------------------------------------------------------------------------------


def bounds(path):
    model = LinearGaussian(normal(100, 10, 2), np.zeros(100), 0.1)
    x = normal(1, 10, 3) @ model.W.T + np.sqrt(0.1) * normal(1, 100, 4)
    exact = model.log_marginal(x)[0]
    mean, covariance = model.posterior(x)
    K = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    title = "More samples, a tighter bound\nLinear model, 100 pixels and 10 latents, where log p(x) is known (E41); bound E48"
    with page(path, title, WIDTH, 720, whole=True) as sheet:
        ax = sheet.axes(100, 20, sheet.width - 110, sheet.height - 100)
        for width, colour, marker in ((1.1, GREEN, "^"), (1.2, BLUE, "o"), (1.5, VERMILION, "s")):
            std = width * np.sqrt(np.diag(covariance))
            eps = normal(200_000, 10, 5)
            log_q = log_standard_normal(eps) - np.log(std).sum()
            log_w = elbo_terms(model.log_joint(x, mean[0] + std * eps), log_q)
            values = [importance_weighted_bound(log_w[: 200_000 // k * k].reshape(k, -1)).mean() for k in K]
            ax.plot(K, values, f"{marker}-", color=colour, label=f"q with {width:g} times the posterior's standard deviations")
        ax.axhline(exact, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
        ax.text(1, exact + 0.08, "log p(x), exactly", fontsize=BODY, va="bottom")
        ax.set_xscale("log")
        ax.set_xlim(0.9, 1100)
        ax.set_ylim(exact - 3.6, exact + 0.5)
        ax.set_xlabel("samples K (K = 1: the ELBO)")
        ax.set_ylabel("bound, nats")
        ax.grid(axis="y")
        ax.legend(frameon=False, loc="lower right")


def estimators(path):
    sigmas, eps = np.logspace(-1.5, 0.5, 13), normal(100_000, 1, 6)[:, 0]
    score = [gradients.score_gradient(lambda z: z**2, 1.0, s, eps).var() for s in sigmas]
    path_ = [gradients.pathwise_gradient(lambda z: 2 * z, 1.0, s, eps).var() for s in sigmas]
    fine = np.logspace(-1.5, 0.5, 200)
    formula = gradients.quadratic_variances(1.0, fine)

    vae = trained("vae", 400, 20, 60).replica(np.float64)
    image = np.repeat(test_images()[:1].astype(float), 5000, axis=0)
    noise = normal(5000, 20, 7)
    nll, _ = vae.forward(image, noise)
    std = vae.posterior.std
    by_path = vae.decoder.backward(vae.likelihood.backward(np.ones_like(nll))[0]).var(axis=0)
    plain = (nll[:, None] * noise / std).var(axis=0)
    baseline = ((nll - nll.mean())[:, None] * noise / std).var(axis=0)

    title = (
        "Two gradients of the same mean\nVariance of one draw. Left: f(z) = z², μ = 1 (lines E52, dots measured). "
        "Right: a trained VAE 784-400-20, one image"
    )
    with page(path, title, WIDTH, 640, whole=True) as sheet:
        half = sheet.width / 2
        ax = sheet.axes(80, 20, half - 110, sheet.height - 110)
        left = ((score, formula[0], VERMILION, "s", "score function"), (path_, formula[1], BLUE, "o", "pathwise"))
        for values, line, colour, marker, name in left:
            ax.plot(fine, np.broadcast_to(line, fine.shape), color=colour, label=name)
            ax.plot(sigmas, values, marker, color=colour)
        ax.set(xscale="log", yscale="log", xlabel="σ", ylabel="variance", xlim=(0.027, 3.7))
        ax.set_ylim(top=ax.get_ylim()[1] * 200)
        ax.legend(frameon=False, loc="upper right")
        ax.grid(axis="y")
        ax = sheet.axes(half + 70, 20, half - 80, sheet.height - 110)
        order = np.argsort(plain)
        right = (
            (plain, VERMILION, "s", "score function"),
            (baseline, GREEN, "^", "with its mean as baseline"),
            (by_path, BLUE, "o", "pathwise"),
        )
        for values, colour, marker, name in right:
            ax.plot(values[order], marker, color=colour, label=name, markersize=5)
        ax.set(yscale="log", xlabel="latents, sorted")
        ax.set_xlim(-1, 20)
        ax.set_ylim(top=ax.get_ylim()[1] * 3000)
        ax.set_xticks([])
        ax.grid(axis="y")
        ax.legend(frameon=False, loc="upper left")


def blur(path):
    n = 2000
    modes = np.where(np.arange(n) % 2 == 0, 0.3, 0.7)[:, None]
    pixel = (modes + 0.04 * normal(n, 1, 8)).astype(np.float32)
    data = Dataset("two modes", (1, 1), Split(pixel[:1600], None), Split(pixel[1600:], None), "made for this picture")
    sigmas, edges = [0.02, 0.05, 0.1, 0.15, 0.18, 0.2, 0.3], np.linspace(-0.2, 1.2, 71)
    title = (
        "Why samples blur: two modes, and a VAE for each σ\n"
        "Gray: the data. Blue: decoded means of z ~ N(0, 1). Orange: full samples, mean + σ ε. KL in nats"
    )
    with page(path, title, WIDTH + 200, 480) as sheet:
        width = sheet.width / len(sigmas)
        for k, sigma in enumerate(sigmas):
            model = scratchvae.VAE(1, (32, 32), 1, "tanh", likelihood="gaussian", sigma=sigma, seed=2)
            scratchvae.fit(model, data, epochs=150, batch_size=100, lr=5e-3, schedule="cosine", threads=1, progress=False)
            kl = scratchvae.measure(model, data)["KL"].value
            means = model.sample(8000)[:, 0]
            full = means + sigma * normal(8000, 1, 9)[:, 0]
            sheet.text(k * width + width / 2 - 8, 8, f"σ = {sigma:g}", weight="bold", ha="center", va="center")
            sheet.text(k * width + width / 2 - 8, 34, f"KL {kl + 0:.2f}", SMALL, ha="center", va="center", color=GREY)
            for row, (values, colour) in enumerate(((means, BLUE), (full, VERMILION))):
                ax = sheet.axes(k * width, 60 + row * 220, width - 16, 170)
                ax.hist(pixel[:, 0], edges, density=True, color=RULE)
                heights, _, _ = ax.hist(values, edges, density=True, histtype="step", color=colour, linewidth=2)
                top = min(max(heights.max() * 1.05, 5.5), 12)
                ax.set_ylim(0, top)
                if heights.max() > top:
                    ax.text(0.98, 0.98, f"↑ {heights.max():.0f}", ha="right", va="top", fontsize=SMALL, color=GREY, transform=ax.transAxes)
                ax.set_yticks([])
                ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
                ax.spines["left"].set_visible(False)


# Chapters 4, 6 and 8 -----------------------------------------------------------------------------------------------------


def activations(path):
    names = ("relu", "leaky_relu", "tanh", "sigmoid", "softplus", "gelu", "silu")
    x = np.linspace(-4, 4, 401)[None]
    title = "Activations and their derivatives (E6 to E12)\nBlue: y. Orange: dy/dx, as backward writes it"
    with page(path, title, WIDTH, 700, whole=True) as sheet:
        width, height = sheet.width / 4, 250
        for k, name in enumerate(names):
            y = getattr(ops, name)(x, np.empty_like(x), np.empty_like(x))
            slope = getattr(ops, f"{name}_backward")(np.ones_like(x), x, y, np.empty_like(x), np.empty_like(x))
            ax = sheet.axes(k % 4 * width + 30, k // 4 * (height + 20) + 26, width - 50, height - 60)
            ax.plot(x[0], y[0], color=BLUE, linewidth=2)
            ax.plot(x[0], slope[0], color=VERMILION, linewidth=2)
            ax.set_ylim(-1.3, 4.3)
            ax.set_yticks([-1, 0, 1, 2, 3, 4], ["−1", "0", "1", "2", "3", "4"])
            ax.set_xticks([-4, 0, 4], ["−4", "0", "4"])
            ax.grid()
            ax.set_title(name.replace("_", " "), fontsize=BODY, fontweight="bold")


def steps(path):
    def f(a):
        return np.exp(np.sin(a))

    exact = float(np.cos(0.7) * f(0.7))
    h = np.logspace(-18, 0, 181)
    real, imaginary = np.array([0.7]), np.array([0.7 + 0j])
    central = [abs(central_differences(lambda: f(real), real, [0], s)[0][0] - exact) if 0.7 + s != 0.7 else exact for s in h]
    step = [abs(complex_step(lambda: f(imaginary), imaginary, [0], s)[0] - exact) for s in h]
    title = "How wrong a measured derivative is\nd/dx of exp(sin x) at 0.7, by the size of the step"
    with page(path, title, WIDTH, 720, whole=True) as sheet:
        ax = sheet.axes(110, 20, sheet.width - 120, sheet.height - 100)
        ax.plot(h, np.maximum(central, 1e-17), color=VERMILION, label="central difference (E35)")
        c = np.cos(0.7)
        third = abs(f(0.7) * (c**3 - 3 * np.sin(0.7) * c - c))
        predicted = gradients.difference_error(h, f(0.7), third)
        ax.plot(h, predicted, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="its prediction (E58)")
        ax.plot(h, np.maximum(step, 1e-17), color=BLUE, linewidth=2, label="complex step (E34)")
        ax.set(xscale="log", yscale="log", xlabel="step h", ylabel="absolute error")
        ax.set_ylim(3e-18, 1e7)
        ax.grid()
        ax.legend(frameon=False, loc="upper right")


def speed(path):
    B, sizes, x = 128, ((784, 400), (400, 40), (20, 400), (400, 784)), np.empty((128, 784), np.float32)
    rows, draw = np.arange(B), lambda *shape: normal(shape[0], shape[1], 10, np.float32)
    layers = [(draw(B, i), draw(i, o), np.zeros(o, np.float32), np.empty((B, o), np.float32)) for i, o in sizes]
    grads = [(draw(B, o), np.empty((B, i), np.float32), np.empty((i, o), np.float32), np.empty(o, np.float32)) for i, o in sizes]
    hidden, logits, code = draw(B, 400), draw(B, 784), draw(B, 20)
    nll, work, small = np.empty(B, np.float32), [np.empty((B, 784), np.float32) for _ in range(2)], [np.empty_like(code) for _ in range(4)]
    N, chunk, dnll = 652_824, 65_536, np.full(B, 1 / B, np.float32)
    p, g = (0.01 * draw(1, N)[0] for _ in range(2))
    m, v, scratch = np.zeros(N, np.float32), np.zeros(N, np.float32), np.empty(chunk, np.float32)

    def products():
        for k, ((a, W, b, y), (dY, dX, dW, db)) in enumerate(zip(layers, grads, strict=True)):
            ops.affine(a, W, b, y)
            ops.affine_backward(dY, a, W, dX if k else None, dW, db)

    def activation():
        for _ in range(2):
            ops.relu(hidden, layers[0][3])
            ops.relu_backward(hidden, hidden, layers[0][3], grads[3][1])

    def likelihood():
        ops.bernoulli_nll(logits, x, nll, work)
        ops.bernoulli_nll_backward(dnll, logits, x, work[0])

    def bottleneck_():
        ops.reparameterise(code, code, code, small[0], small[1])
        ops.gaussian_kl(code, code, nll, small[2:])
        ops.reparameterise_backward(code, code, small[1], small[2], small[3])
        ops.gaussian_kl_backward(dnll, code, code, small[2], small[3])

    def adam():
        for start in range(0, N, chunk):
            s = slice(start, min(start + chunk, N))
            ops.adam(p[s], g[s], m[s], v[s], scratch[: s.stop - s.start], 1e-6, 1000)

    def noise():
        rng.normal(0, rng.LATENT, np.arange(32), rows, 20)

    def careless_adam():
        nonlocal_m, nonlocal_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        return p - 1e-6 * (nonlocal_m / 0.5) / (np.sqrt(nonlocal_v / 0.5) + 1e-8)

    def careless_likelihood():
        probability = 1 / (1 + np.exp(-logits))
        loss = -(x * np.log(probability + 1e-7) + (1 - x) * np.log(1 - probability + 1e-7)).sum(axis=1)
        return loss, (probability - x) / B

    gather(digits().train.images, rows, x)
    parts = {
        "matrix products (E4, E5)": products, "Adam, in chunks (E29)": adam, "likelihood (E17, E18)": likelihood,
        "pixels to floats": lambda: gather(digits().train.images, rows, x), "activations (E6)": activation,
        "noise (E1 to E3), per step": noise, "bottleneck (E13 to E16)": bottleneck_,
        "Adam, with fresh arrays": careless_adam, "likelihood, with fresh arrays": careless_likelihood,
    }  # fmt: skip

    def sampler(function):
        def sample():
            began = time.perf_counter()
            for _ in range(10):
                function()
            return (time.perf_counter() - began) * 100  # ms per call

        return sample

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        samples = timing.interleave({name: sampler(function) for name, function in parts.items()}, 60)
    ms = {name: float(np.min(s)) for name, s in samples.items()}
    ms["noise (E1 to E3), per step"] /= 32
    machine = timing.machine()
    title = (
        "Where a training step's time goes\n"
        f"VAE 784-400-20-400-784, batch 128, float32, one core of {machine['cpu']}; the fastest of 60 interleaved rounds"
    )
    with page(path, title, WIDTH, 640, whole=True) as sheet:
        ax = sheet.axes(330, 0, sheet.width - 400, sheet.height - 70)
        names = list(ms)
        colours = [BLUE] * 7 + [VERMILION] * 2
        ax.barh(range(len(names)), list(ms.values()), color=colours, height=0.7)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set_xlim(0, 1.15 * max(ms.values()))
        ax.set_xlabel("milliseconds")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        for k, value in enumerate(ms.values()):
            ax.text(value, k, f"  {value:.2g}", va="center", fontsize=SMALL, color=GREY)


# Chapter 9 ---------------------------------------------------------------------------------------------------------------


def ladder(path):
    unit, depth, gap = 1.5, 64, 6  # pixels per number, extent of k, numbers between the matrices
    side, grey, light, on_its_way = round((depth + gap + 128) * unit), "#eceff1", "#b4d4ea", "#62b89f"
    across, down = side + 28, side + 112  # from panel to panel
    title = (
        "Which numbers one block needs, rung by rung\n"
        "C = A B to scale: 128 × 128 sums over 64 k. One moment of the walk along k"
    )
    ideas = (
        "Each thread fetches its row and its column for itself.",
        "256 threads fetch and share parts of 16 × 16.",
        "A 64 × 64 tile. A thread keeps 4 × 4 sums in registers.",
        "Meanwhile the next parts travel, by 16 bytes.",
        "A 128 × 128 tile; a warp has 64 × 32 of it.",
    )
    keys = (
        (grey, "the matrices, in memory"), (light, "what a block will ask for"), (BLUE, "in its shared memory now"),
        (on_its_way, "on its way there"), (VERMILION, "what a thread multiplies, and its sums; on rung 5 a warp, in one instruction"),
    )  # fmt: skip

    with page(path, title, WIDTH, 2 * down + 190, whole=True) as sheet:

        def rectangle(ax, x, y, width, height, colour, **style):
            ax.add_patch(Rectangle((x, y), width, height, **{"facecolor": colour, "linewidth": 0, **style}))

        def factors(ax, start, across, rows, columns, colour):
            """The part of A in these rows, and that of B in these columns, from k = start on.   rows, columns: (first, number)"""
            rectangle(ax, start, rows[0], across, rows[1], colour)
            rectangle(ax, columns[0], start, columns[1], across, colour)

        for number, ((name, rung), idea) in enumerate(zip(RUNGS.items(), ideas, strict=True)):
            x, y = number % 3 * across, number // 3 * down
            sheet.text(x, y + 8, f"{number + 1}  {name.replace('_', ' ')}", weight="bold", va="center")
            for line, words in enumerate(wrap(idea, 11, side)):
                sheet.text(x, y + 36 + 22 * line, words, 11, va="center", color=GREY)
            ax = sheet.axes(x, y + 78, side, side)
            ax.set(xlim=(0, depth + gap + 128), ylim=(depth + gap + 128, 0))
            ax.axis("off")
            origin, tile = depth + gap, rung.tile[0]  # of C, in both directions
            factors(ax, 0, depth, (origin, 128), (origin, 128), grey)
            rectangle(ax, origin, origin, 128, 128, grey)
            first = origin + (0 if tile == 128 else 32)
            now = 0 if tile == 128 else 16
            if tile > 1:
                factors(ax, 0, depth, (first, tile), (first, tile), light)
                rectangle(ax, first, first, tile, tile, light)
                factors(ax, now, 16, (first, tile), (first, tile), BLUE)
            for stage in range(1, {"double_buffered": 2, "tensor_cores": 4}.get(name, 1)):
                factors(ax, now + 16 * stage + 0.7, 15.3, (first, tile), (first, tile), on_its_way)
            if rung.own is None or rung.own == (1, 1):  # one sum; drawn larger than it is
                at = first + 8
                factors(ax, now if tile > 1 else 0, 16 if tile > 1 else depth, (at, 1.5), (at, 1.5), VERMILION)
                rectangle(ax, at - 1, at - 1, 3.5, 3.5, VERMILION)
            elif name == "register_tiles":  # thread (5, 5) of 16 × 16: its rows and columns lie 16 apart
                places = [first + 5 + 16 * i for i in range(4)]
                for i in places:
                    factors(ax, now + 4, 2.5, (i, 2.5), (i, 2.5), VERMILION)
                    for j in places:
                        rectangle(ax, i, j, 2.5, 2.5, VERMILION)
            elif name == "double_buffered":
                factors(ax, now + 4, 2.5, (first + 20, 4), (first + 20, 4), VERMILION)
                rectangle(ax, first + 20, first + 20, 4, 4, VERMILION)
            else:  # 16 × 16 by 8 of the 64 × 32 of the second warp
                rectangle(ax, first + 32, first, 32, 64, "none", edgecolor=VERMILION, linewidth=1.6)
                rectangle(ax, 8, first + 16, 8, 16, VERMILION)
                rectangle(ax, first + 48, 8, 8, 8, VERMILION)
                rectangle(ax, first + 48, first + 16, 8, 16, VERMILION)
            for letter, left, top in (("A", 3, origin + 3), ("B", origin + 3, 3), ("C", origin + 3, origin + 3)):
                on_dark = tile == 128 and letter != "C"
                ax.text(left, top, letter, fontsize=11, color="white" if on_dark else GREY, va="top", weight="bold")
        x, y = 2 * across, down + 78
        for colour, text in keys:
            sheet.text(x, y + 8, "■", 17, color=colour, va="center")
            for line in wrap(text, 11, side - 32):
                sheet.text(x + 30, y + 10, line, 11, va="center")
                y += 23
            y += 16


def ladder_traffic(path):
    title = (
        "What one multiplication asks of memory\n"
        "Numbers fetched: 1 / rows + 1 / columns of the rectangle of C that they serve"
    )
    with page(path, title, WIDTH, 640, whole=True) as sheet:
        ax = sheet.axes(210, 50, sheet.width - 220, sheet.height - 125)
        for at, (name, rung) in enumerate(RUNGS.items()):
            for part, value, colour, lift in zip((rung.tile, rung.own), numbers_asked(name), (BLUE, VERMILION), (-0.2, 0.2), strict=True):
                if part is None:
                    continue
                ax.plot([2**-6.6, value], [at + lift] * 2, color=colour, linewidth=2)
                ax.plot(value, at + lift, "o", color=colour, markersize=8)
                ax.text(value * 1.13, at + lift, f"{Fraction(value)}  ({part[0]} × {part[1]})", va="center", fontsize=SMALL)
        ax.set_xscale("log", base=2)
        ax.set_xlim(2**-6.6, 8)
        ax.minorticks_off()
        ticks = [2.0**e for e in range(-6, 2)]
        ax.set_xticks(ticks, [str(Fraction(t)) for t in ticks])
        ax.set_ylim(len(RUNGS) - 0.5, -0.5)
        ax.set_yticks(range(len(RUNGS)), [name.replace("_", " ") for name in RUNGS])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("numbers per multiplication")
        for x, colour, text in ((210, BLUE, "of the GPU's memory"), (500, VERMILION, "of a block's shared memory")):
            sheet.text(x, 14, "●", color=colour, va="center")
            sheet.text(x + 24, 14, text, va="center")


def launches(path):
    title = (
        "Operations per byte of each launch of a step\n"
        "VAE 784-400-20-400-784 with Adam, float32; the bytes of every array, once"
    )
    small, large = launches_of_a_step(128), launches_of_a_step(1024)
    with page(path, title, WIDTH, 820, whole=True) as sheet:
        ax = sheet.axes(300, 50, sheet.width - 320, sheet.height - 125)
        for at, (a, b) in enumerate(zip(small, large, strict=True)):
            colour = BLUE if a.kernel.startswith("affine") else VERMILION
            ax.plot([launch.operations / launch.bytes for launch in (a, b)], [at, at], color=colour, linewidth=1.2)
            ax.plot(b.operations / b.bytes, at, "o", color=colour, markersize=9, markerfacecolor="white", markeredgewidth=1.6)
            ax.plot(a.operations / a.bytes, at, "o", color=colour, markersize=9)
        ax.set_xscale("log")
        ax.set_xlim(0.1, 250)
        ax.minorticks_off()
        ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_ylim(len(small) - 0.5, -0.5)
        ax.set_yticks(range(len(small)), [f"{launch.kernel.replace('_', ' ')}  {launch.layer}".strip() for launch in small])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("operations per byte")
        ax.grid()
        for x, colour, mark, text in (
            (240, BLUE, "●", "matrix product"), (450, VERMILION, "●", "other"),
            (570, GREY, "●", "batch 128"), (735, GREY, "○", "batch 1,024"),
        ):  # fmt: skip
            sheet.text(x, 14, mark, color=colour, va="center")
            sheet.text(x + 24, 14, text, va="center")


# Chapter 11 --------------------------------------------------------------------------------------------------------------


def unet(path):
    """What both U-Nets of seed 0 in benchmarks/results/unet_denoise.json and unet_segment_longer.json made of test images."""
    results = FOLDER.parents[1] / "benchmarks" / "results"
    title = "What a skip carries\nA U-Net, and the same without its skips: test images that they clean, and that they segment"
    side, gap, left, across = 93, 5, 150, 8
    with page(path, title, WIDTH, 8 * (side + gap) + 250, whole=True) as sheet:
        for part, (task, source, field, shown) in enumerate((
            ("denoise", "clutter", "clean", lambda a: a / 255), ("segment_longer", "overlap", "segments", colours_of),
        )):  # fmt: skip
            test = scratchvae.load_data(source).test
            lines = json.loads((results / f"unet_{task}.json").read_text(encoding="utf-8"))["lines"]
            kept = {line["skips"]: base64.b64decode(line["shown"]) for line in lines if "shown" in line}
            read = lambda skips, kept=kept: np.frombuffer(kept[skips], np.uint8).reshape(across, 40, 40)
            rows = {"input": test.images[:across].reshape(-1, 40, 40) / 255, "wanted": shown(test.fields[field][:across])}
            rows |= {"with skips": shown(read(True)), "without": shown(read(False))}
            top = part * (4 * (side + gap) + 40)
            for r, (name, pictures) in enumerate(rows.items()):
                shape = pictures.shape[1:]
                colour, y = (INK, INK, BLUE, VERMILION)[r], top + r * (side + gap)
                sheet.text(0, y + side / 2, name, va="center", color=colour)
                sheet.picture(left, y, mosaic(tiles(pictures.reshape(across, -1), shape, (side, side)), across, gap))


# Chapter 12 --------------------------------------------------------------------------------------------------------------


KINDS = ("1 stage", GREEN, "^"), ("2 stages", VERMILION, "s"), ("4 stages", BLUE, "o")


def hourglass(path):
    kept = json.loads((RESULTS / "hourglass.json").read_text(encoding="utf-8"))
    runs = {}  # variant → (seeds, stages), PCK@0.2 in per cent, the mean over joints
    for run in kept["runs"]:
        runs.setdefault(run["variant"], []).append(100 * np.array(run["PCK@0.2"][-1]))
    title = (
        "One, two and four hourglasses\n"
        f"Joints of 2,000 test figures found within 0.2 of the torso, in %, after {kept['runs'][0]['epochs']} epochs of "
        f"{kept['images']:,} figures; a mark for each of {len(runs['1 stage'])} seeds, and their mean"
    )
    shown = [runs[name] for name, *_ in KINDS] + [[value[-1] for value in values] for values in runs.values()]
    every = np.concatenate([np.ravel(values) for values in shown])
    shares = np.floor(every.min() - 2), np.ceil(every.max() + 2)
    with page(path, title, WIDTH, 620, whole=True) as sheet:
        tall, left, right = sheet.height - 130, 330, 330
        ax = sheet.axes(60, 60, left, tall)
        for aside, (name, colour, mark) in zip((-0.1, 0.1, 0), KINDS, strict=True):
            values = np.array(runs[name])
            at = np.arange(1, values.shape[1] + 1) + aside
            ax.plot(at, values.T, mark, color=colour, markersize=5, alpha=0.5)
            ax.plot(at, values.mean(axis=0), f"{mark}-", color=colour, markersize=9)
        ax.set(xlim=(0.7, 4.3), xticks=range(1, 5), xlabel="stage whose maps are looked at", ylim=shares)
        ax.grid(axis="y")
        for at, sign, (name, colour, _) in zip((60, 220, 390), "▲■●", KINDS, strict=True):
            sheet.text(at, 16, f"{sign} {name}", color=colour, weight="bold", va="center")
        ax = sheet.axes(sheet.width - right, 60, right, tall)
        for row, values in enumerate(runs.values()):
            last = [value[-1] for value in values]
            ax.plot(last, [row] * len(last), "o", color=BLUE, markersize=6, alpha=0.5)
            ax.plot(np.mean(last), row, "|", color=INK, markersize=20, markeredgewidth=2)
        ax.set(ylim=(len(runs) - 0.5, -0.5), yticks=range(len(runs)), xlim=shares, xlabel="at the last stage")
        ax.set_yticklabels([name.replace(", ", ",\n").replace(" of ", "\nof ") for name in runs])
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")


# The page on data ----------------------------------------------------------------------------------------------------------


def data_clutter(path):
    draw_set(path, "clutter", 32, "One digit on fragments of others and noise; 40 × 40 pixels", {
        "images": in_grey, "clean": in_grey, "segments": in_colours,
    })  # fmt: skip


def data_overlap(path):
    draw_set(path, "overlap", 8, "Two or three digits, one over another, and noise; 40 × 40 pixels", {
        "images": in_grey, "clean": in_grey, "segments": in_colours,
    })  # fmt: skip


def data_figures(path):
    draw_set(path, "figures", 0, "A stick figure and a box; 48 × 48 pixels\nRed: joints that the box hides; heat maps of σ = 1.5 pixels", {
        "images": in_grey, "points": ringed, "heat maps": as_heat,
    })  # fmt: skip


def draw_set(path, name, first, said, rows):
    """Six training images of a set, a row for each way to show them: its name, and what makes pictures of the Split and a field."""
    data = scratchvae.load_data(name)
    split, side, left = data.train.take(np.arange(first, first + 6)), 120, 170
    with page(path, f"{name}\n{said}", WIDTH, 620, whole=True) as sheet:
        for r, (row, make) in enumerate(rows.items()):
            sheet.text(0, r * (side + 6) + side / 2, row, va="center")
            sheet.picture(left, r * (side + 6), mosaic(make(split, data.image_shape, row, side), 6, 6))
        if "segments" in rows:
            for digit, colour in enumerate(COLOURS):
                sheet.text(left + 36 + 75 * digit, 3 * (side + 6) + 20, str(digit), va="center")
                sheet.picture(left + 4 + 75 * digit, 3 * (side + 6) + 12, np.tile(rgb(colour), (16, 24, 1)))


def in_grey(split, shape, name, side):
    return tiles(split.fields[name].reshape(6, -1) / 255, shape, (side, side))


def in_colours(split, shape, name, side):
    return tiles(colours_of(split.fields[name]).reshape(6, -1), (*shape, 3), (side, side))


def ringed(split, shape, name, side):
    """The clean figures, dimmed, with a ring around each joint."""
    pictures = np.repeat(0.75 * in_grey(split, shape, "clean", side)[..., None], 3, axis=3)
    down, across = np.mgrid[:side, :side] + 0.5
    for picture, points, visible in zip(pictures, split.fields[name], split.fields["visible"], strict=True):
        for (x, y), seen in zip((points + 0.5) * side / shape[0], visible, strict=True):
            picture[np.abs(np.hypot(across - x, down - y) - 4.5) < 1.1] = rgb("#66b3ff" if seen else "#ff5a4a")
    return pictures


def as_heat(split, shape, _, side):
    """The highest of all joints' heat maps."""
    points = split.fields["points"]
    maps = ops.heat_maps(points, 1.5, np.empty((6, *shape, points.shape[1]), np.float32)).max(axis=3)
    return tiles(maps.reshape(6, -1), shape, (side, side))


# Chapter 10 --------------------------------------------------------------------------------------------------------------


def checkerboard(path):
    """Kernels of 3 and of 4 pixels with stride 2: what one layer makes of ones, samples, and how strong each frequency is in them."""
    kernels, colours, epochs, many = (3, 4), (VERMILION, BLUE), 10, 400
    seeds = {size: [conv_vae_of(size, seed, epochs) for seed in range(3)] for size in kernels}
    spectra = {size: [spectrum(model.sample(many, seed=1)) for model in models] for size, models in seeds.items()}
    title = (
        "Where the checkerboard comes from\n"
        f"Transposed convolutions with stride 2. Convolutional VAE 28×28-8-16-10, {epochs} epochs of 5,000 digits; three seeds of each"
    )
    side, left, gap, chart = 112, 160, 6, 350
    at = left, left + side + 5 * gap, left + 2 * (side + 5 * gap)
    with page(path, title, WIDTH, 870, whole=True) as sheet:
        for x, words in zip(at, ("one layer,\nall ones", "before\ntraining", "after it: samples of seed 0"), strict=True):
            sheet.text(x, 38, words, SMALL, color=GREY, va="bottom")
        for r, size in enumerate(kernels):
            top = 48 + r * (side + gap)
            sheet.text(0, top + side / 2, f"kernel of {size}", va="center", color=colours[r], weight="bold")
            ones, out, pad = np.ones((1, 8, 8, 1)), np.empty((1, 16 + size % 2, 16 + size % 2, 1)), ((size - 2) // 2,) * 2
            work = np.empty(ops.conv2d_work(out.shape, (size, size, 1, 1), (2, 2), pad))
            ops.conv_transpose2d(ones, np.ones((size, size, 1, 1)), np.zeros(1), out, work, (2, 2), pad)
            untrained = scratchvae.ConvVAE(filters=(8, 16), size=size, latent=10, seed=0).sample(1, seed=1)
            untrained = (untrained - untrained.min()) / np.ptp(untrained)
            sheet.picture(at[0], top, tiles(out[:, 2:14, 2:14].reshape(1, -1) / 6, (12, 12), (side, side))[0])
            sheet.picture(at[1], top, tiles(untrained, SHAPE, (side, side))[0])
            sheet.picture(at[2], top, mosaic(tiles(seeds[size][0].sample(4, seed=1), SHAPE, (side, side)), 4, gap))
        sheet.text(0, chart - 22, "Share of an image's variance, by frequency along rows and columns; median over 400", SMALL, color=GREY)
        ax = sheet.axes(60, chart, sheet.width - 60 - 190, 870 - sheet.top - chart - 130)
        for size, colour in zip(kernels, colours, strict=True):
            for values in spectra[size]:
                ax.plot(range(1, 15), values[1:], color=colour, linewidth=1.5)
        of_digits = spectrum(test_images())
        ax.plot(range(1, 15), of_digits[1:], color=GREY, linewidth=2, linestyle="--")
        ax.set_yscale("log")
        ax.set_ylim(5e-4, 0.7)
        ax.set_yticks([0.001, 0.01, 0.1], ["0.1 %", "1 %", "10 %"])
        ax.set_yticks([], minor=True)
        ax.set_xlim(1, 14)
        ax.set_xticks([1, 4, 7, 10, 14], ["1", "4", "7:\nevery 4th pixel", "10", "14: every\n2nd pixel"])
        ax.set_xlabel("periods in 28 pixels")
        ends = {3: np.mean([values[14] for values in spectra[3]]), 4: np.mean([values[14] for values in spectra[4]])}
        for size, colour, up in zip(kernels, colours, (0, 9), strict=True):
            said = f"kernel of {size}: {ends[size]:.1%}"
            ax.annotate(said, (14, ends[size]), (8, up), textcoords="offset points", va="center", fontsize=SMALL, color=colour)
        said, style = f"digits: {of_digits[14]:.1%}", {"textcoords": "offset points", "va": "center", "fontsize": SMALL, "color": GREY}
        ax.annotate(said, (14, of_digits[14]), (8, -9), **style)


@cache
def conv_vae_of(size, seed, epochs):
    model = scratchvae.ConvVAE(filters=(8, 16), size=size, latent=10, seed=seed)
    scratchvae.fit(model, digits(), epochs=epochs, seed=seed, progress=False)
    return model


def spectrum(images):
    """Of the variance within images, the share that has k periods along rows or along columns, k = 0 … 14; the median over images."""
    images = np.reshape(images, (-1, *SHAPE))
    power = np.abs(np.fft.fft2(images - images.mean(axis=(1, 2), keepdims=True))) ** 2
    shares = (power.sum(axis=1) + power.sum(axis=2)) / power.sum(axis=(1, 2))[:, None] / 2
    return np.median(shares[:, :15] + np.where((np.arange(15) % 14) > 0, shares[:, -np.arange(15)], 0), axis=0)


FIGURES = (
    ae_reconstructions, reconstructions, bottleneck, random_codes, manifold, latent_vae, latent_ae, bounds, estimators, blur,
    activations, steps, speed, ladder, ladder_traffic, launches, unet, checkerboard, hourglass, data_clutter,
    data_overlap, data_figures,
)  # fmt: skip


def main(names):
    known = {function.__name__: function for function in FIGURES}
    for name in names or known:
        began = time.perf_counter()
        path = FOLDER / f"{name.replace('_', '-')}.png"
        known[name](path)
        picture = Image.open(path).convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        with replacing(path) as temporary:
            picture.save(temporary, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
