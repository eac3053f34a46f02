"""What the page says about each operation: a formula, a sentence or two, and the names under which its arrays are shown.

The equation numbers are not written here: they are read off the operation's own docstring.
"""

import re
from typing import NamedTuple


class Lesson(NamedTuple):
    """names: {argument: name on the page} in the order of showing; what is not named is not shown · writes: which are results"""

    formulas: tuple
    text: str
    names: dict
    writes: tuple


def equations(function):
    """The numbers of the equations that a docstring cites, such as (4,)."""
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\bE(\d+)\b", function.__doc__ or "")))


_ACTIVATIONS = {
    "relu": (r"y = \max(x, 0)", r"dx = dy\,[y > 0]", "y", "It lets positive numbers pass and cuts the rest off at 0"),
    "leaky_relu": (
        r"y = \max(x, 0) + 0.01 \min(x, 0)", r"dx = dy\,(0.01 + 0.99\,[x > 0])", "x",
        "Positive numbers pass, negative ones are shrunk to a hundredth",
    ),
    "tanh": (r"y = \tanh x", r"dx = dy\,(1 - y^2)", "y", "It bends every number into (−1, 1)"),
    "sigmoid": (r"y = \frac{1}{1 + e^{-x}}", r"dx = dy\,y\,(1 - y)", "y", "It bends every number into (0, 1)"),
    "softplus": (r"y = \log(1 + e^x)", r"dx = dy\,\frac{1}{1 + e^{-x}}", "x", "A ReLU with its corner rounded off"),
    "gelu": (
        r"y = \tfrac{x}{2} (1 + \tanh u),\quad u = \sqrt{2 / \pi}\,(x + 0.044715\,x^3)",
        r"dx = dy\,\tfrac{1}{2} (1 + t) (1 + (1 - t)\,x\,u'),\quad t = \tanh u", "x", "A smooth gate: large numbers pass, very negative ones do not",
    ),
    "silu": (r"y = \frac{x}{1 + e^{-x}}", r"dx = dy\,s\,(1 + x - y),\quad s = \frac{1}{1 + e^{-x}}", "xy", "Each number times its own sigmoid"),
}  # fmt: skip

LESSONS = {
    "affine": Lesson(
        (r"Y = X W + b",),
        "Every output is a weighted sum of all inputs plus a bias: one column of W for each output.",
        {"x": "X", "W": "W", "b": "b", "out": "Y"}, ("out",),
    ),
    "affine_backward": Lesson(
        (r"dX = dY\,W^\top", r"dW = X^\top dY", r"db = \sum_{\text{rows}} dY"),
        "The gradient of the output arrives. A weight's gradient is what entered it times the gradient of what left it, summed over the "
        "images; the gradient of the input goes on to the layer before.",
        {"dY": "dY", "x": "X", "W": "W", "dX": "dX", "dW": "dW", "db": "db"}, ("dX", "dW", "db"),
    ),
    "reparameterise": Lesson(
        (r"\sigma = e^{\tfrac{1}{2} \log\sigma^2}", r"z = \mu + \sigma\,\varepsilon"),
        "The latent z is drawn from the posterior N(μ, σ²). Written as μ plus σ times a fixed ε, the draw is an ordinary function of μ and "
        "log σ², so that gradients can pass through it.",
        {"mu": "μ", "logvar": "log σ²", "eps": "ε", "std": "σ", "z": "z"}, ("std", "z"),
    ),
    "reparameterise_backward": Lesson(
        (r"d\mu = dz", r"d\log\sigma^2 = \tfrac{1}{2}\,dz\,\varepsilon\,\sigma"),
        "What the reconstruction wants reaches μ and log σ² through z. The sign of ε decides whether more noise would have helped.",
        {"dz": "dz", "eps": "ε", "std": "σ", "dmu": "dμ through z", "dlogvar": "d log σ² through z"}, ("dmu", "dlogvar"),
    ),
    "gaussian_kl": Lesson(
        (r"\mathrm{KL} = \tfrac{1}{2} \sum_{\text{latents}} (\mu^2 + \sigma^2 - 1 - \log\sigma^2)",),
        "The price of saying where z is: how far the posterior is from N(0, I), in nats. It is 0 only where μ = 0 and σ = 1. "
        "The terms before the sum show which latents carry something.",
        {"mu": "μ", "logvar": "log σ²", "work.0": "μ² + σ² − 1 − log σ², per latent", "out": "KL"}, ("work.0", "out"),
    ),
    "gaussian_kl_backward": Lesson(
        (r"d\mu = s\,\beta\,\mu", r"d\log\sigma^2 = s\,\beta\,\tfrac{1}{2} (\sigma^2 - 1)"),
        "The KL pulls every μ to 0 and every σ to 1, whatever the image is. s = 1 / (number of images in the batch).",
        {"scale": "s β", "mu": "μ", "logvar": "log σ²", "dmu": "dμ from KL", "dlogvar": "d log σ² from KL"}, ("dmu", "dlogvar"),
    ),
    "bernoulli_nll": Lesson(
        (r"-\log p(x \mid a) = \sum_{\text{pixels}} \log(1 + e^a) - x\,a",),
        "How surprised the decoder is by the image, in nats, summed over its pixels. It is computed from the logits a, so that no logarithm "
        "of 0 can occur.",
        {"logits": "a", "x": "x", "work.0": "−log p, per pixel", "out": "−log p(x | z)"}, ("work.0", "out"),
    ),
    "bernoulli_nll_backward": Lesson(
        (r"da = s\,(\frac{1}{1 + e^{-a}} - x)",),
        "The gradient starts here, and is simple: what was painted minus what should have been. s = 1 / (number of images in the batch).",
        {"scale": "s", "logits": "a", "x": "x", "out": "da"}, ("out",),
    ),
    "gaussian_nll": Lesson(
        (r"-\log p(x \mid m) = \tfrac{1}{2} \sum_{\text{pixels}} \frac{(x - m)^2}{\sigma^2} + \log\sigma^2 + \log 2\pi",),
        "How surprised the decoder is by the image, in nats, summed over its pixels: the squared error, measured in units of σ².",
        {"mean": "m", "logvar": "log σ²", "x": "x", "work": "2 (−log p), per pixel", "out": "−log p(x | z)"}, ("work", "out"),
    ),
    "gaussian_nll_backward": Lesson(
        (r"dm = s\,\frac{m - x}{\sigma^2}", r"d\log\sigma^2 = s\,\tfrac{1}{2} (1 - \frac{(x - m)^2}{\sigma^2})"),
        "The gradient starts here: the error of each pixel, in units of σ². s = 1 / (number of images in the batch).",
        {"scale": "s", "mean": "m", "logvar": "log σ²", "x": "x", "dmean": "dm", "dlogvar": "d log σ², per pixel"}, ("dmean", "dlogvar"),
    ),
    "adam": Lesson(
        (
            r"m \leftarrow \beta_1 m + (1 - \beta_1)\,g,\quad v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2",
            r"p \leftarrow p - \eta\,\frac{\hat{m}}{\sqrt{\hat{v}} + \epsilon},\quad \hat{m} = \frac{m}{1 - \beta_1^t},\quad "
            r"\hat{v} = \frac{v}{1 - \beta_2^t}",
        ),
        "", {}, (),
    ),
}  # fmt: skip

for _name, (_forward, _backward, _uses, _text) in _ACTIVATIONS.items():
    _given = {key: key for key in _uses}
    LESSONS[_name] = Lesson((_forward,), f"{_text}, element by element.", {"x": "x", "out": "y"}, ("out",))
    LESSONS[f"{_name}_backward"] = Lesson(
        (_backward,), "Each gradient is multiplied by the slope of the curve at that place.", {"dY": "dy", **_given, "out": "dx"}, ("out",)
    )
