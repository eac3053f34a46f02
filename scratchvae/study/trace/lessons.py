"""What the page says: about each operation a formula, a sentence or two, and the names under which its arrays are shown.

The equation numbers are not written here: they are read off the operation's own docstring.
"""

import re
from typing import NamedTuple

import numpy as np

from ..equations import equations as book


class Lesson(NamedTuple):
    """names: {argument: name on the page} in the order of showing; what is not named is not shown · writes: which are results"""

    formulas: tuple
    text: str
    names: dict
    writes: tuple


def equations(function):
    """The numbers of the equations that a docstring cites, such as (4,)."""
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\bE(\d+)\b", function.__doc__ or "")))


# Operations -----------------------------------------------------------------------------------------------------------

LESSONS = {
    "affine": Lesson(
        (r"Y = X W + b",),
        "Every output is a weighted sum of all inputs plus a bias: one column of W for each output.",
        {"x": "X", "W": "W", "b": "b", "out": "Y"}, ("out",),
    ),
    "affine_backward": Lesson(
        (r"dX = dY\,W^\top", r"dW = X^\top dY", r"db = \sum_{\text{images}} dY"),
        "The gradient of the output arrives. A weight's gradient is what entered it times the gradient of what left it, summed "
        "over the images; the gradient of the input goes on to the layer before.",
        {"dY": "dY", "x": "X", "W": "W", "dX": "dX", "dW": "dW", "db": "db"}, ("dX", "dW", "db"),
    ),
    "conv2d": Lesson(
        (r"Y = \mathrm{patches}(X)\,W + b",),
        "At each place of the image the same weighted sums of what a small window sees there: one kernel for each output channel.",
        {"x": "X", "W": "W", "b": "b", "out": "Y"}, ("out",),
    ),
    "conv2d_backward": Lesson(
        (r"dX = \mathrm{patches}^\top(dY\,W^\top)", r"dW = \mathrm{patches}(X)^\top dY", r"db = \sum_{\text{places}} dY"),
        "The gradient of the output arrives. A weight is used at every place, so its gradient is a sum over the places; the gradient of a "
        "pixel is the sum over all windows that hold it.",
        {"dY": "dY", "x": "X", "W": "W", "dX": "dX", "dW": "dW", "db": "db"}, ("dX", "dW", "db"),
    ),
    "conv_transpose2d": Lesson(
        (r"Y = \mathrm{patches}^\top(X\,W^\top) + b",),
        "A convolution turned round: each pixel spreads a patch, and where patches overlap they are added. The image becomes larger.",
        {"x": "X", "W": "W", "b": "b", "out": "Y"}, ("out",),
    ),
    "conv_transpose2d_backward": Lesson(
        (r"dX = \mathrm{patches}(dY)\,W", r"dW = \mathrm{patches}(dY)^\top X", r"db = \sum_{\text{places}} dY"),
        "The gradient of the larger image arrives, and is looked at through windows: what a pixel spread is what it is blamed for.",
        {"dY": "dY", "x": "X", "W": "W", "dX": "dX", "dW": "dW", "db": "db"}, ("dX", "dW", "db"),
    ),
    "reparameterise": Lesson(
        (r"\sigma = e^{\log\sigma^2 / 2}", r"z = \mu + \sigma\,\varepsilon"),
        "The latent z is drawn from the posterior N(μ, σ²). Written as μ plus σ times a fixed ε, the draw is an ordinary function of "
        "μ and log σ², so that gradients can pass through it.",
        {"mu": "μ", "logvar": "log σ²", "eps": "ε", "std": "σ", "z": "z"}, ("std", "z"),
    ),
    "reparameterise_backward": Lesson(
        (r"d\mu = dz", r"d\,\log\sigma^2 = \tfrac{1}{2}\,dz\,\varepsilon\,\sigma"),
        "What the reconstruction wants reaches μ and log σ² through z. The measured twin differentiates the reconstruction alone.",
        {"dz": "dz", "eps": "ε", "std": "σ", "dmu": "dμ through z", "dlogvar": "d log σ² through z"}, ("dmu", "dlogvar"),
    ),
    "gaussian_kl": Lesson(
        (r"\mathrm{KL} = \tfrac{1}{2} \sum_{\text{latents}} (\mu^2 + \sigma^2 - 1 - \log\sigma^2)",),
        "The price of saying where z is: how far the posterior is from N(0, I), in nats. It is 0 only where μ = 0 and σ = 1. "
        "The terms before the sum show which latents carry something.",
        {"mu": "μ", "logvar": "log σ²", "work.0": "μ² + σ² − 1 − log σ²", "out": "KL"}, ("work.0", "out"),
    ),
    "gaussian_kl_backward": Lesson(
        (r"d\mu = d\mathrm{KL}\,\mu", r"d\,\log\sigma^2 = d\mathrm{KL}\,\tfrac{1}{2} (\sigma^2 - 1)"),
        "The KL pulls every μ to 0 and every σ to 1, whatever the image is. dKL is one number for each image: β / (number of images in "
        "the batch). The measured twin differentiates the KL alone.",
        {"dkl": "dKL", "mu": "μ", "logvar": "log σ²", "dmu": "dμ from KL", "dlogvar": "d log σ² from KL"}, ("dmu", "dlogvar"),
    ),
    "bernoulli_nll": Lesson(
        (r"-\log p(x \mid z) = \sum_{\text{pixels}} \log(1 + e^a) - x\,a",),
        "How surprised the decoder is by the image, in nats, summed over its pixels. It is computed from the logits a, so that the "
        "logarithm of 0 can never occur.",
        {"logits": "a", "x": "x", "work.0": "−log p, per pixel", "out": "−log p(x | z)"}, ("work.0", "out"),
    ),
    "bernoulli_nll_backward": Lesson(
        (r"da = d\mathrm{nll}\,\left( \frac{1}{1 + e^{-a}} - x \right)",),
        "The gradient starts here, and is simple: what was painted minus the image. dnll is one number for each image: 1 / (number of "
        "images in the batch).",
        {"dnll": "dnll", "logits": "a", "x": "x", "out": "da"}, ("out",),
    ),
    "gaussian_nll": Lesson(
        (r"-\log p(x \mid z) = \tfrac{1}{2} \sum_{\text{pixels}} \frac{(x - m)^2}{\sigma^2} + \log\sigma^2 + \log 2\pi",),
        "How surprised the decoder is by the image, in nats, summed over its pixels: the squared error in units of 2σ², and what σ costs.",
        {"mean": "m", "logvar": "log σ²", "x": "x", "work": "−2 log p, per pixel", "out": "−log p(x | z)"}, ("work", "out"),
    ),
    "gaussian_nll_backward": Lesson(
        (r"dm = d\mathrm{nll}\,\frac{m - x}{\sigma^2}",
         r"d\,\log\sigma^2 = d\mathrm{nll}\,\tfrac{1}{2} \left( 1 - \frac{(x - m)^2}{\sigma^2} \right)"),
        "The gradient starts here: the error of each pixel, in units of σ². dnll is one number for each image: 1 / (number of images in "
        "the batch).",
        {"dnll": "dnll", "mean": "m", "logvar": "log σ²", "x": "x", "dmean": "dm", "dlogvar": "d log σ², per pixel"},
        ("dmean", "dlogvar"),
    ),
    "sum_all": Lesson(
        (r"d\,\log\sigma^2 = \sum_{\text{images, pixels}} d\,\log\sigma^2_{\text{pixel}}",),
        "All pixels share one σ, so its gradient is the sum of theirs.",
        {"x": "d log σ², per pixel", "out": "d log σ²"}, ("out",),
    ),
}  # fmt: skip

_ACTIVATIONS = {  # formula, its derivative, which of x and y the derivative uses, and what it does
    "relu": (r"y = \max(x, 0)", r"dx = dy\,[y > 0]", "y", "Positive numbers pass, the others become 0"),
    "leaky_relu": (
        r"y = \max(x, 0) + 0.01 \min(x, 0)", r"dx = dy\,(0.01 + 0.99\,[x > 0])", "x",
        "Positive numbers pass, negative ones are shrunk to a hundredth",
    ),
    "tanh": (r"y = \tanh x", r"dx = dy\,(1 - y^2)", "y", "Every number is bent into (−1, 1)"),
    "sigmoid": (r"y = \frac{1}{1 + e^{-x}}", r"dx = dy\,y\,(1 - y)", "y", "Every number is bent into (0, 1)"),
    "softplus": (r"y = \log(1 + e^x)", r"dx = dy\,\frac{1}{1 + e^{-x}}", "x", "A ReLU with its corner rounded off"),
    "gelu": (
        r"y = \tfrac{x}{2} (1 + \tanh u),\quad u = \sqrt{2 / \pi}\,(x + 0.044715\,x^3)",
        r"dx = dy\,\tfrac{1}{2} (1 + t) (1 + (1 - t)\,x\,u'),\quad t = \tanh u", "x",
        "A smooth gate: large numbers pass, very negative ones do not",
    ),
    "silu": (
        r"y = \frac{x}{1 + e^{-x}}", r"dx = dy\,s\,(1 + x - y),\quad s = \frac{1}{1 + e^{-x}}", "xy",
        "Each number times its own sigmoid",
    ),
}  # fmt: skip

for _name, (_forward, _backward, _uses, _text) in _ACTIVATIONS.items():
    LESSONS[_name] = Lesson((_forward,), f"{_text}, element by element.", {"x": "x", "out": "y"}, ("out",))
    LESSONS[f"{_name}_backward"] = Lesson(
        (_backward,), "Each gradient is multiplied by the slope of the curve at that place.",
        {"dY": "dy", **{key: key for key in _uses}, "out": "dx"}, ("out",),
    )  # fmt: skip


def lesson_of(call):
    """The Lesson of a recorded call. Of an operation that has none here: the equations that it cites, as the book has them, or else its
    docstring's first sentence; its arrays as they are named; and what it writes is what changed."""
    if call.name in LESSONS:
        return LESSONS[call.name]
    cited = [book()[number] for number in equations(call.function) if number in book()]
    words = [equation.words.removeprefix("In words: ") for equation in cited if "$" not in equation.words]
    sentence = re.split(r"\.\s|\n\n", (call.function.__doc__ or call.name).strip())[0]
    text = " ".join(word[:1].upper() + word[1:] for word in words) or sentence
    shown = {name: name for name, array in call.after.items() if array.ndim and not name.startswith("work")}
    writes = tuple(name for name in shown if not np.array_equal(call.before[name], call.after[name]))
    return Lesson(tuple(line for equation in cited for line in lines_of(equation.formula)), text, shown, writes)


def lines_of(formula):
    """An equation of the book, cut where the book leaves room between its parts."""
    return [part.strip().rstrip(",;") for part in re.split(r"\\qquad", formula)]


# The moments between them ---------------------------------------------------------------------------------------------

FIRST_LAYER = " This is the first layer: nobody asks for the gradient of the image, so dX is not computed."
INPUT = "{count} of {pixels} between 0 ({dark}) and 1 ({bright}). The function below is what runs from here to the loss. {notes}"
NOISE = Lesson(
    (
        r"\varepsilon \sim \mathcal{N}(0, I)",
        r"\varepsilon_1 = \sqrt{-2 \ln u_1}\,\cos 2\pi u_2",
        r"\varepsilon_2 = \sqrt{-2 \ln u_1}\,\sin 2\pi u_2",
    ),
    "ε is drawn once per training step and then held still. It is a function of seed, stream, step, row and column: the same seed "
    "gives the same ε anywhere, but for how a machine rounds a logarithm or a cosine.", {}, (),
)  # fmt: skip
PAINTED = "The mean of p(x | z): what the decoder would paint. Only for looking at; training needs what went into it, not this."
LOSS = "Both prices in nats: how badly the image is redrawn, and how much z gives away. Their sum, −ELBO, is what training makes smaller."
LOSS_ALONE = "How badly the image is redrawn, in nats: this is what training makes smaller."
SPLIT = Lesson(
    (
        r"d\mu = dz + d\mathrm{KL}\,\mu",
        r"d\,\log\sigma^2 = \tfrac{1}{2}\,dz\,\varepsilon\,\sigma + d\mathrm{KL}\,\tfrac{1}{2} (\sigma^2 - 1)",
    ),
    "Two gradients are added here. The one through z pulls μ and σ to where this z redraws the image better; the KL pulls μ to 0 and "
    "σ to 1. At an optimum what they do to each weight of the encoder cancels, on average over images and noise.", {}, (),
)  # fmt: skip
MOMENTS = Lesson(
    (r"m \leftarrow \beta_1 m + (1 - \beta_1)\,g", r"v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2"),
    "Adam, shown on {name}. It starts fresh here (t = 1), so its moments hold this one gradient. They are stored divided by 1 − β₁ "
    "and 1 − β₂, which leaves every update as published and saves two passes over memory.", {}, (),
)  # fmt: skip
UPDATE = Lesson(
    (
        r"p \leftarrow p - \eta\,\frac{\hat{m}}{\sqrt{\hat{v}} + \epsilon}",
        r"\hat{m} = \frac{m}{1 - \beta_1^t},\quad \hat{v} = \frac{v}{1 - \beta_2^t}",
    ),
    "Each weight of {name} moves against its gradient. At t = 1 the step is η g / (|g| + ϵ): η = {lr:g} times the sign of g where |g| is "
    "far above ϵ = {eps:g}, however small it is beside others, and nothing where g is 0. Later the moments tell how sure the direction "
    "is.", {}, (),
)  # fmt: skip
AFTER = (
    "The same images with the same ε cost {after:.4f} nats now, and cost {before:.4f} before. Of {count:,} parameters {moved:,} "
    "have moved."
)
STAYED = (
    " The gradient of {zero:,} ({share:.1%}) is exactly 0 in this step: {silent:,} are weights of an input that is 0 in every image, as a "
    "black pixel is, or a unit that its activation has shut off; {shut:,} lead into a unit that passes no gradient back{rest}. They stay "
    "because Adam starts fresh here: later, a moment that is not 0 moves a parameter whose gradient is."
)
OTHERS = "; what the images add up to for {count:,} more comes to 0"
TOO_SMALL = " {count:,} have a gradient too small to change any digit of them."
FLOAT64 = (
    "Computed in float64, so that the numeric check can show the formulas to be right to 12 digits and more; training runs the same "
    "code in float32."
)


def formulas():
    """Every formula of this file."""
    return [formula for lesson in (*LESSONS.values(), NOISE, SPLIT, MOMENTS, UPDATE) for formula in lesson.formulas]
