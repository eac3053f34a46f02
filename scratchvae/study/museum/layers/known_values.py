"""Numbers that can be worked out on paper: signs, units and factors of models that ignore their input."""

import numpy as np

from . import small
from .verdict import near


def known_values(copy):
    """What `measure` reports for constant models, pixel by pixel and with its sign; each stage's error; a mean image."""
    measure = copy["evaluate"].measure
    pixels = small.images(20, binary=True)
    data = small.dataset(copy, pixels, pixels)
    x = pixels / 255
    for logit in (0.0, 1.5):
        wanted = float((np.log1p(np.exp(logit)) - x * logit).sum(axis=1).mean())
        got = measure(small.constant(copy, logit), data, threads=1)["reconstruction"].value
        name = f"{small.PIXELS} log 2" if logit == 0 else f"Σ log(1 + e^a) − x a at a = {logit:g}"
        yield (
            near(got, wanted, 1e-6)[0],
            got,
            f"a constant decoder should report {wanted:.4f} nats ({name}), and reports {got:.4f}",
        )
    for mu, logvar, wanted in ((0.0, 0.0, 0.0), (1.0, 0.0, 1.5), (0.0, 1.0, 1.5 * (np.e - 2))):
        got = measure(small.constant(copy, 0.0, mu, logvar), data, threads=1)["KL"].value
        what = f"KL(N({mu:g}, e^{logvar:g}) ‖ N(0, 1)) in 3 latents"
        yield abs(got - wanted) < 1e-6, got, f"{what} is {wanted:.4f}, and {got:.4f} is reported"
    whole = measure(small.constant(copy, 0.0, 1.0), data, threads=1)
    wanted = small.PIXELS * np.log(2) + 1.5
    got = whole["-ELBO"].value
    yield near(got, wanted, 1e-6)[0], got, f"−ELBO of that model is {wanted:.4f}, and {got:.4f} is reported"

    model = small.constant(copy, 0.0, likelihood="gaussian", sigma=1.0)
    wanted = float(0.5 * ((x**2).sum(axis=1) + small.PIXELS * np.log(2 * np.pi)).mean())
    got = measure(model, data, threads=1)["reconstruction"].value
    yield (
        near(got, wanted, 1e-6)[0],
        got,
        f"a Gaussian decoder that says N(0, 1) should report {wanted:.4f} nats, and reports {got:.4f}",
    )

    fields = small.pictures(copy, 2).train.fields
    model = small.hourglass(copy)
    model.buffer.values[:] = 0
    for k, stage in enumerate(model.stages):
        stage.head.b.value[:] = k + 1
    errors = model.forward(fields["images"] / 255, fields["points"], 0 * fields["visible"])
    for k, error in enumerate(errors):
        wanted, got = 2 * (small.SIDE / 2) ** 2 * (k + 1) ** 2, float(error[0])
        what = f"a stage that draws {k + 1} where no joint is seen, in two maps of 4 x 4,"
        found = f"{what} has a squared error of {wanted:g}, and stage {k + 1} reports {got:g}"
        yield near(got, wanted, 1e-12)[0], got, found

    for logit in (-3.0, 2.0):
        got = float(small.constant(copy, logit).decode(np.zeros((1, 3)))[0, 0])
        wanted = 1 / (1 + np.exp(-logit))
        yield near(got, wanted, 1e-6)[0], got, f"the mean pixel at logit {logit:g} is {wanted:.4f}, and {got:.4f} is drawn"
