"""What the page says. The book says most of it: an operation's docstring cites an equation, which has a formula, a
name and words.

What stands here is about the microscope, or about training, and is said of an operation wherever it stands.
"""

import re

from ..equations import equations as book

# Beside what the book says of an operation.
NOTES = {
    "reparameterise_backward": "What reaches μ and log σ² through z. The measured twin moves them there alone.",
    "gaussian_kl_backward": "What reaches μ and log σ² from the KL, whatever the image is. The measured twin moves "
    "them there alone.",
    "posterior_backward": "Two gradients are added here. The one through z pulls μ and σ to where this z redraws the "
    "image better; the KL pulls μ to 0 and σ to 1. At an optimum what they do to each weight of the encoder cancels, "
    "on average over images and noise.",
    "sum_all": "All pixels share one σ, so its gradient is the sum of theirs.",
    "plus": "Where a path divided, the two parts are added up.",
    "plus_backward": "A path that divided on its way forward: two gradients meet here, and add up.",
    "concat": "What came past stands beside what came through.",
}
# Of an operation that does what two equations say, their sum.
SUMS = {
    "posterior_backward": (
        r"d\mu = dz + d\mathrm{KL}\,\mu",
        r"d\,\log\sigma^2 = \tfrac{1}{2}\,dz\,\varepsilon\,\sigma + d\mathrm{KL}\,\tfrac{1}{2} (\sigma^2 - 1)",
    ),
    "plus": (r"y = a + b",), "plus_backward": (r"dX = a + b",),
}  # fmt: skip
# Scratch that is worth a look.
SCRATCH = {("bernoulli_nll", "work.0"): "−log p, per pixel", ("gaussian_kl", "work.0"): "μ² + σ² − 1 − log σ²",
           ("gaussian_nll", "work"): "−2 log p, per pixel"}  # fmt: skip
# Names of the field for names of the code; with a d before them, for the gradient of it.
SYMBOLS = {"mu": "μ", "logvar": "log σ²", "eps": "ε", "std": "σ", "kl": "KL", "nll": "−log p", "xhat": "x̂",
           "reparameterise": "z", "gaussian_kl": "KL", "plus": "+"}  # fmt: skip

FIRST = "Nobody asks for the gradient of what came in from outside, so it is not computed."
PAINTED = (
    "What this likelihood would paint: the mean of p(x | z). Only for looking at; training needs what went into it."
)
NOISE = (
    "ε is drawn once per training step and then held still. It is a function of seed, stream, step, row and column: "
    "the same seed gives the same ε anywhere, but for how a machine rounds a logarithm or a cosine."
)
OPENING = (
    "Forward: the {parts} parts of the model that compute make {terms}, a number for each image, and the objective "
    "is {sum}. Backward: in reverse, each part turns the gradient of what it made into that of what it was given, "
    "and writes those of its parameters. Then Adam moves all {count:,} of them."
)
MOMENTS = (
    "Adam, shown on {name}. It starts fresh here (t = 1), so its moments hold this one gradient. They are stored "
    "divided by 1 − β₁ and 1 − β₂, which leaves every update as published and saves two passes over memory."
)
UPDATE = (
    "Each weight of {name} moves against its gradient. At t = 1 the step is η g / (|g| + ϵ): η = {lr:g} times the "
    "sign of g where |g| is far above ϵ = {eps:g}, however small it is beside others, and nothing where g is 0. "
    "Later the moments tell how sure the direction is."
)
AFTER = (
    "The same images with the same noise cost {after:.4f} now, and cost {before:.4f} before. "
    "Of {count:,} parameters {moved:,} have moved."
)
ROSE = (
    " It rose: a fresh Adam moves every weight by about η, however small its gradient; moments of many steps make "
    "those steps shorter whose gradients change their sign."
)
STAYED = (
    " The gradient of {zero:,} ({share:.1%}) is exactly 0 in this step{dense}{rest}. They stay because Adam starts "
    "fresh here: later, a moment that is not 0 moves a parameter whose gradient is."
)
DENSE = (
    ": {silent:,} are weights of an input that is 0 in every image, as a black pixel is, or a unit that its "
    "activation has shut off; {shut:,} lead into a unit that passes no gradient back"
)
OTHERS = "; what the images add up to for {count:,} more comes to 0"
TOO_SMALL = " {count:,} have a gradient too small to change any digit of them."
RUNNING = "what it falls by in this step; it is not trained"
FLOAT64 = (
    "Computed in float64, so that the numeric check can show the formulas to be right to 12 digits and more; "
    "training runs the same code in float32."
)


def equations(*documented):
    """The numbers of the equations that docstrings cite, such as (4,)."""
    text = " ".join(one.__doc__ or "" for one in documented)
    return tuple(dict.fromkeys(int(number) for number in re.findall(r"\bE(\d+)\b", text)))


def formulas(numbers, phase):
    """Lines of LaTeX: of equations that give an operation and its derivative, those of this phase."""
    lines = [line for number in numbers for line in lines_of(book()[number].formula)]
    chosen = [line for line in lines if bool(re.match(r"d[A-Za-z\\]", line)) == (phase == "backward")]
    return tuple(chosen or lines)


def lines_of(formula):
    """An equation of the book, cut where the book leaves room between its parts."""
    return [part.strip().rstrip(",;") for part in re.split(r"\\qquad(?:\\text\{that is\}\\qquad)?", formula)]


def words(numbers):
    """What the book says of these equations: one or more sentences, with $formulas$ in them."""
    said = [book()[number].words.removeprefix("In words: ") for number in numbers]
    return " ".join(one[:1].upper() + one[1:] for one in said)


def first_sentence(documented):
    """Of a docstring, as one line."""
    return " ".join(re.split(r"\.\s|\n\n", (documented.__doc__ or "").strip())[0].split()).rstrip(".")


def named(function):
    """What the book calls an operation, or its own name."""
    numbers = equations(function)
    return book()[numbers[0]].name if len(numbers) == 1 else function.__name__.replace("_", " ")


def symbol(name):
    """ "dlogvar" → "d log σ²" """
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name[:1] == "d" and name[1:] in SYMBOLS:
        return ("d " if " " in SYMBOLS[name[1:]] else "d") + SYMBOLS[name[1:]]
    return name


def listed(names):
    """ "a, b and c" """
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def weighted(weights, times=" · ", name=str):
    """ "reconstruction + 0.5 · kl" """
    return " + ".join(
        name(term) if weight == 1 else f"{weight:g}{times}{name(term)}" for term, weight in weights.items()
    )


def objective(weights, rows):
    """What is minimised, as a formula."""
    inner = weighted(weights, r"\,", lambda term: rf"\text{{{term}}}")
    return rf"\mathcal{{L}} = \frac{{1}}{{{rows}}} \sum_{{\text{{images}}}} \left( {inner} \right)"


def pixels(count, size, image_shape, x):
    """What the numbers of the images are, in a sentence."""
    grey = image_shape is None or len(image_shape) == 2
    told = f"{size} pixels" if grey else f"{image_shape[0] * image_shape[1]} pixels in {image_shape[2]} colours"
    if x.min() < 0 or x.max() > 1:
        return f"{count} of {size} numbers."
    dark, bright = ("black", "white") if grey else ("none of a colour", "all of it")
    return f"{count} of {told} between 0 ({dark}) and 1 ({bright})."


def said(call, name, numbers, holds):
    """What there is to say of a call beside the book: of what a module makes without an operation, what its docstring
    says.

    name: of the operation · numbers: of the equations that it cites · holds: whether its module holds others
    """
    found = []
    if name is None and call.path != "objective":
        found = [f"{first_sentence(type(call.module))}."] if type(call.module).__doc__ else []
        found.append(
            "Made in lines of its own, between the parts that it holds." if holds else "Computed in lines of its own."
        )
    elif name in NOTES:
        found.append(NOTES[name])
    elif name and not numbers:
        found.append(f"{first_sentence(call.function)}.")
    return " ".join([*found, *([FIRST] if "dX" in call.absent else [])])


def adam_lines():
    """The lines of E29: the two moments, and the step."""
    moments, step = lines_of(book()[29].formula)
    return *(part.strip().rstrip(",") for part in re.split(r"\\quad", moments)), step
