"""How far each operation is from the truth, at its edges: python docs/make_edges.py [--check]

Every operation of ops/numpy takes numbers drawn from regions of its arguments, the edges among them, in float32 and in float64; mpmath
computes the same formula from the same numbers to 60 digits. Writes edges.md: the worst error in each region, in units of the last
place of the true result. What exceeds GOAL stands in REASONS with a bound of its own. tests/test_edges.py holds every operation to
one or the other; --check does the same without writing.
"""

import platform
import sys
from datetime import date
from functools import partial
from pathlib import Path

import mpmath
import numpy as np
from mpmath import mp, mpf

from scratchvae import rng
from scratchvae.files import write_text
from scratchvae.ops import numpy as ops

mp.dps = 60
GOAL = 4.0  # units in the last place
DTYPES = (np.float32, np.float64)
OUT = Path(__file__).resolve().parent / "edges.md"

# name of a region → (smallest, largest) magnitude; ± both signs. An exact number is a region of one point.
TINY, SMALL, UNIT, LARGE, HUGE = (1e-30, 1e-6), (1e-6, 0.1), (0.1, 10.0), (10.0, 80.0), (80.0, 1e4)


def span(region, n, dtype, seed, signs=(-1, 1)):
    """n numbers of this magnitude, spread evenly over its logarithm, both ends among them.   → (n,) of the dtype"""
    low, high = region
    random = np.random.default_rng(seed)
    size = np.exp(random.uniform(np.log(low), np.log(high), n))
    size[:2] = low, high
    return (size * random.choice(signs, n)).astype(dtype)


# The truth ----------------------------------------------------------------------------------------------------------

SIGMOID = lambda a: 1 / (1 + mpmath.exp(-a))
SCALE, CUBE = mpmath.sqrt(mpf(2) / mpmath.pi), mpf("0.044715")


def gelu(x):
    return x / 2 * (1 + mpmath.tanh(SCALE * (x + CUBE * x**3)))


def gelu_slope(x):
    t = mpmath.tanh(SCALE * (x + CUBE * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * SCALE * (1 + 3 * CUBE * x * x)


ACTIVATIONS = {  # name → (f, f′), as functions of x
    "relu": (lambda x: max(x, mpf(0)), lambda x: mpf(x > 0)),
    "leaky_relu": (lambda x: x if x > 0 else x / 100, lambda x: mpf(1) if x > 0 else mpf(1) / 100),
    "tanh": (mpmath.tanh, lambda x: 1 / mpmath.cosh(x) ** 2),
    "sigmoid": (SIGMOID, lambda x: SIGMOID(x) * SIGMOID(-x)),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), SIGMOID),
    "gelu": (gelu, gelu_slope),
    "silu": (lambda x: x * SIGMOID(x), lambda x: SIGMOID(x) * (1 + x * SIGMOID(-x))),
}
HALF_LOG_2PI = mpmath.log(2 * mpmath.pi) / 2


def textbook_adam(p, g, m, v, lr, t, b1, b2, eps, decay=0):
    """One step of Adam from scaled moments m / (1 − β₁) and v / (1 − β₂), as its paper writes it."""
    m, v = b1 * m * (1 - b1) + (1 - b1) * g, b2 * v * (1 - b2) + (1 - b2) * g * g
    return p - lr * decay * p - lr * (m / (1 - b1**t)) / (mpmath.sqrt(v / (1 - b2**t)) + eps)


# The operations, each on columns of one number per row ----------------------------------------------------------------


def empty(a, n=1):
    made = [np.empty(a.shape, a.dtype) for _ in range(n)]
    return made[0] if n == 1 else made


def forward(name, x):
    return getattr(ops, name)(x, empty(x), empty(x))


def backward(name, x):
    return getattr(ops, f"{name}_backward")(np.ones_like(x), x, forward(name, x), empty(x), empty(x))


def loss(function, *arguments, arrays):
    """A loss of one pixel per image.   arguments (n, 1) → (n, 1)"""
    work = empty(arguments[0], arrays)
    return function(*arguments, np.empty(len(arguments[0]), arguments[0].dtype), work)[:, None]


def ones(a):
    """The gradient of the loss of each row, so that a slope comes out as it is.   a (n, 1) → (n,)"""
    return np.ones(len(a), a.dtype)


def pair(function, which, *arguments):
    """One of the two gradients that an operation writes."""
    outs = empty(arguments[-1], 2)
    function(*arguments, *outs)
    return outs[which]


def second(function, *arguments):
    """z of reparameterise."""
    z, std = empty(arguments[0], 2)
    return function(*arguments, z, std)


def updated(function, moments, settings, p, g, *held):
    """The change of p by one update, and not p itself, whose last digit would hide it."""
    p, held = p.copy(), [h.copy() for h in held[:moments]]
    function(p, g.copy(), *held, empty(p), settings["lr"], 3, **{k: v for k, v in settings.items() if k != "lr"})
    return p


CASES = []  # (operation, region in words, inputs(n, dtype) → columns, computed(*columns), truth(*numbers))


def case(operation, region, inputs, computed, truth):
    CASES.append((operation, region, inputs, computed, truth))


def one(region, signs=(-1, 1)):
    return lambda n, dtype: [span(region, n, dtype, 1, signs)[:, None]]


def columns(*regions):
    """A column per region; a number stands for itself, and a triple is a region with its signs."""

    def make(n, dtype):
        out = []
        for seed, region in enumerate(regions):
            if np.isscalar(region):
                out.append(np.full((n, 1), region, dtype))
            else:
                low, high, *signs = region
                out.append(span((low, high), n, dtype, seed, signs or (-1, 1))[:, None])
        return out

    return make


REGIONS = {
    "\\|x\\| < 1e-6": (TINY, (-1, 1)), "1e-6 … 0.1": (SMALL, (-1, 1)), "0.1 … 10": (UNIT, (1,)), "−10 … −0.1": (UNIT, (-1,)),
    "10 … 80": (LARGE, (1,)), "−80 … −10": (LARGE, (-1,)), "80 … 1e4": (HUGE, (1,)), "−1e4 … −80": (HUGE, (-1,)),
}  # fmt: skip
for _name, (_f, _slope) in ACTIVATIONS.items():
    for _words, (_region, _signs) in REGIONS.items():
        case(_name, _words, one(_region, _signs), partial(forward, _name), _f)
        case(f"{_name}_backward", _words, one(_region, _signs), partial(backward, _name), _slope)

for _words, _logvar in {
    "logvar 1e-30 … 1e-6": TINY, "logvar 1e-6 … 0.1": SMALL, "logvar 0.1 … 10": UNIT, "logvar 10 … 80": LARGE,
}.items():  # fmt: skip
    case(
        "reparameterise: z − μ",
        _words,
        columns(0.0, _logvar, (0.01, 5.0)),
        partial(second, ops.reparameterise),
        lambda m, v, e: m + mpmath.exp(v / 2) * e,
    )
    case(
        "gaussian_kl",
        f"{_words}, μ = 0",
        columns(0.0, _logvar),
        partial(loss, ops.gaussian_kl, arrays=2),
        lambda m, v: (m * m + mpmath.expm1(v) - v) / 2,
    )
    case(
        "gaussian_kl",
        f"{_words}, μ 0.1 … 3",
        columns((0.1, 3.0), _logvar),
        partial(loss, ops.gaussian_kl, arrays=2),
        lambda m, v: (m * m + mpmath.expm1(v) - v) / 2,
    )
    case(
        "gaussian_kl_backward: dlogvar",
        _words,
        columns((0.1, 3.0), _logvar),
        lambda m, v: pair(ops.gaussian_kl_backward, 1, ones(m), m, v),
        lambda m, v: mpmath.expm1(v) / 2,
    )

for _words, _a in {
    "\\|a\\| < 1e-6": TINY, "\\|a\\| 1e-6 … 0.1": SMALL, "\\|a\\| 0.1 … 10": UNIT, "\\|a\\| 10 … 80": LARGE, "\\|a\\| 80 … 1e4": HUGE,
}.items():  # fmt: skip
    for _x in (0.0, 0.5, 1.0):
        case(
            "bernoulli_nll",
            f"{_words}, x = {_x:g}",
            columns(_a, _x),
            partial(loss, ops.bernoulli_nll, arrays=2),
            lambda a, x: mpmath.log1p(mpmath.exp(a)) - x * a,
        )
        case(
            "bernoulli_nll_backward",
            f"{_words}, x = {_x:g}",
            columns(_a, _x),
            lambda a, x: ops.bernoulli_nll_backward(ones(a), a, x, empty(a)),
            lambda a, x: SIGMOID(a) - x,
        )

for _words, _x, _v in (
    ("x = m, logvar −100", 0.25, -100.0), ("x = m, logvar −170", 0.25, -170.0), ("x − m about 1, logvar ±10", (0.5, 2.0), (0.1, 10.0)),
    ("x − m about 1, logvar −80 … −10", (0.5, 2.0), (10.0, 80.0, -1)), ("x − m about 1, logvar 10 … 80", (0.5, 2.0), (10.0, 80.0, 1)),
):  # fmt: skip
    _columns = columns(0.25, _v, _x)
    case(
        "gaussian_nll",
        _words,
        _columns,
        lambda m, v, x: loss(ops.gaussian_nll, m, v, x, arrays=1),
        lambda m, v, x: ((x - m) ** 2 * mpmath.exp(-v) + v) / 2 + HALF_LOG_2PI,
    )
    case(
        "gaussian_nll_backward: dm",
        _words,
        _columns,
        lambda m, v, x: pair(ops.gaussian_nll_backward, 0, ones(m), m, v, x),
        lambda m, v, x: (m - x) * mpmath.exp(-v),
    )
    case(
        "gaussian_nll_backward: dlogvar",
        _words,
        _columns,
        lambda m, v, x: pair(ops.gaussian_nll_backward, 1, ones(m), m, v, x),
        lambda m, v, x: (1 - (x - m) ** 2 * mpmath.exp(-v)) / 2,
    )

for _words, _size in {"1e-6 … 0.1": SMALL, "0.1 … 10": UNIT, "80 … 1e4": HUGE}.items():
    case(
        "squared_error",
        f"y, x {_words}",
        columns(_size, _size),
        partial(loss, ops.squared_error, arrays=1),
        lambda y, x: (y - x) ** 2,
    )
    case(
        "squared_error_backward",
        f"y, x {_words}",
        columns(_size, _size),
        lambda y, x: ops.squared_error_backward(ones(y), y, x, empty(y)),
        lambda y, x: 2 * (y - x),
    )

RATE = 2.0**-10  # exact in both dtypes, so that what is measured is the update's own rounding
UPDATES = {  # name → (moments, settings, truth(p, g, m, v))
    "sgd": (0, {}, lambda p, g, m, v: p - RATE * g),
    "momentum": (1, {"mu": 0.5}, lambda p, g, m, v: p - RATE * (m / 2 + g)),
    "nesterov": (1, {"mu": 0.5}, lambda p, g, m, v: p - RATE * (g + (m / 2 + g) / 2)),
    "rmsprop": (1, {"rho": 0.5, "eps": 1e-8}, lambda p, g, m, v: p - RATE * g / (mpmath.sqrt((m / 2 + g * g) / 2) + mpf(1e-8))),
    "adagrad": (1, {"eps": 1e-10}, lambda p, g, m, v: p - RATE * g / (mpmath.sqrt(m + g * g) + mpf(1e-10))),
    "adam": (2, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
             lambda p, g, m, v: textbook_adam(p, g, m, v, mpf(RATE), 3, mpf(0.9), mpf(0.999), mpf(1e-8))),
    "adamw": (2, {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.5},
              lambda p, g, m, v: textbook_adam(p, g, m, v, mpf(RATE), 3, mpf(0.9), mpf(0.999), mpf(1e-8), mpf(0.5))),
}  # fmt: skip
for _name, (_moments, _settings, _truth) in UPDATES.items():
    for _words, _g in {"g 1e-30 … 1e-6": TINY, "g 1e-6 … 0.1": SMALL, "g 0.1 … 10": UNIT, "g 80 … 1e4": HUGE}.items():
        case(
            _name,
            f"{_words}, p 0.1 … 10",
            columns(UNIT, _g, (1e-6, 1.0, 1), (1e-6, 1.0, 1)),
            partial(updated, getattr(ops, _name), _moments, {"lr": RATE, **_settings}),
            _truth,
        )


def normals(u1, u2):
    """Box-Muller as rng.normal does it, from the same uniform numbers."""
    dtype = u1.dtype.type
    return np.sqrt(dtype(-2) * np.log(u1)) * np.cos(dtype(2 * np.pi) * u2)


def uniforms(n, dtype):
    """u₁ in (0, 1] and u₂ in [0, 1) as rng.normal draws them, with the smallest u₁ that can be drawn."""
    u = rng.uniform(0, rng.CHECK, 0, np.arange(n), 2, dtype)
    u1, u2 = dtype(1) - u[:, :1], u[:, 1:]
    u1[0], u1[1] = 2.0**-24, 1
    return [u1, u2]


case(
    "normal (E3)",
    "all that can be drawn",
    uniforms,
    normals,
    lambda a, b: mpmath.sqrt(-2 * mpmath.log(a)) * mpmath.cos(2 * mpmath.pi * b),
)


def squared(m, v, x):
    return (x - m) ** 2 * mpmath.exp(-v)


# What may exceed GOAL: operation → (bound in units of ε, the spacing at 1, as a function of the inputs; the reason).
REASONS = {
    "tanh_backward": (
        lambda x: 2,
        "1 − y² of the rounded y: near ±1 a rounding of y is as large as 1 − y² itself. No formula in y does better.",
    ),
    "sigmoid": (
        lambda x: 1,
        "1 + tanh(x/2) cancels where sigmoid is near 0: what is left is right to the last place of 1, not of the result. The form "
        "without it, e^min(x,0) / (1 + e^−|x|), takes two to three times as long, and what counts is sigmoid minus a pixel.",
    ),
    "sigmoid_backward": (lambda x: 1, "y (1 − y) of the rounded y, as for tanh; and sigmoid's own error near 0."),
    "softplus_backward": (lambda x: 1, "It is sigmoid."),
    "gelu": (lambda x: max(1, -x), "1 + tanh u cancels for negative x, as in sigmoid; times x."),
    "gelu_backward": (
        lambda x: 32,
        "1 − tanh u and 1 + tanh u cancel, and are multiplied by x u′, which reaches 17 before they vanish in float64.",
    ),
    "silu": (lambda x: max(1, -x), "sigmoid's error, times x."),
    "silu_backward": (lambda x: max(1, abs(x)), "sigmoid's error and that of x − y, which cancels, times x."),
    "gaussian_kl": (
        lambda m, v: abs(v),
        "expm1(v) and v agree in their first digits where v is small: what is left is right to the last place of v. (With exp(v) − 1 "
        "it would be the last place of 1.) Where μ is not near 0, nothing of it is seen.",
    ),
    "bernoulli_nll": (
        lambda a, x: max(1, abs(a)),
        "softplus(a) and x a cancel where the pixel is as expected, and log(1 + t) rounds as 1 does: right to the last place of 1 or "
        "of a, as a sum over pixels needs it; log1p takes twice as long.",
    ),
    "bernoulli_nll_backward": (lambda a, x: 1, "sigmoid(a) and x cancel where the pixel is as expected."),
    "gaussian_nll": (
        lambda m, v, x: max(1, abs(v)) + 4 * squared(m, v, x),
        "(x − m)²/σ², logvar and log 2π cancel where the density is near 1; and (x − m)/σ is squared, so that the error of exp (in "
        "float32 up to 2.5 last places) counts twice.",
    ),
    "gaussian_nll_backward: dm": (
        lambda m, v, x: 4 * abs(x - m) * mpmath.exp(-v),
        "It is multiplied by 1/σ twice, so that the error of exp counts twice.",
    ),
    "gaussian_nll_backward: dlogvar": (
        lambda m, v, x: 4 + 4 * squared(m, v, x),
        "1 and (x − m)²/σ² cancel where the pixel lies one σ away; and the error of exp counts twice.",
    ),
    **{
        name: (
            lambda p, g, *_: abs(p) + RATE * abs(g),
            "p and its step cancel where the parameter comes near 0: right to the last place of both.",
        )
        for name in ("sgd", "momentum", "nesterov")
    },
    "normal (E3)": (
        lambda a, b: 8,
        "2πu₂ is rounded before its cosine is taken: near a zero of the cosine that is as large as the cosine. Times √(−2 ln u₁) ≤ 5.8.",
    ),
}


def last_place(exact, dtype):
    """The distance between neighbouring numbers of the dtype at `exact`; among the subnormals it is the same everywhere."""
    info = np.finfo(dtype)
    _, exponent = mpmath.frexp(exact)
    return mpf(2) ** (max(exponent - 1, info.minexp) - info.nmant) if exact else mpf(2) ** (info.minexp - info.nmant)


def measure(case, dtype, n):
    """→ (worst error in last places, worst share of the bound in REASONS among what exceeds GOAL, or None where nothing does)"""
    operation, _, inputs, computed, truth = case
    given = inputs(n, dtype)
    with np.errstate(all="ignore"):  # an overflow would show as an error without end
        got = computed(*given).ravel()
    assert got.dtype == dtype
    worst, share = 0.0, None
    eps = mpf(float(np.finfo(dtype).eps))
    for i, value in enumerate(got):
        numbers = [mpf(float(column[i, 0])) for column in given]
        exact = truth(*numbers)
        missed = abs(mpf(float(value)) - exact) if np.isfinite(value) else mpf("inf")
        places = float(missed / last_place(exact, dtype))
        worst = max(worst, places)
        if places > GOAL:
            bound, _ = REASONS.get(operation, (lambda *_: 0, ""))
            allowed = eps * bound(*numbers)
            share = max(share or 0.0, float(missed / allowed) if allowed else float("inf"))
    return worst, share


def failures(n):
    """The cases that are neither within GOAL nor within their bound, in words."""
    found = []
    for case in CASES:
        for dtype in DTYPES:
            worst, share = measure(case, dtype, n)
            if share is not None and share > 1:
                found.append(
                    f"{case[0]}, {case[1]}, {dtype.__name__}: {worst:.3g} last places, {share:.3g} of its bound"
                )
    return found


HEAD = """# Edges: how far from the truth

Each operation of `scratchvae/ops/numpy`, one number at a time, against the same formula computed by mpmath to 60 digits from the same
floating-point inputs: {n} inputs in each region, evenly spread over their logarithm, the ends of the region among them. A figure is
the worst error in **units of the last place** (the distance between neighbouring numbers) of the true result, for float32 / float64.
Half a unit is the best that rounding allows. The goal is {goal:g}; \\* marks what exceeds it, and the list below says why and what
bounds it. `tests/test_edges.py` holds every row to the goal or to its bound.

NumPy takes other instructions for `exp` and `tanh` on other processors, so the digits of a row may differ there.
Written by `python docs/make_edges.py` on {day}: NumPy {numpy}, Python {python}, {machine}.

"""


def page(n):
    cells = {}
    for case in CASES:
        found = [measure(case, dtype, n) for dtype in DTYPES]
        cells[case[:2]] = " / ".join(_number(worst) for worst, _ in found) + (
            " \\*" if any(share is not None for _, share in found) else ""
        )
    text = HEAD.format(
        n=n,
        goal=GOAL,
        day=date.today(),
        numpy=np.__version__,
        python=platform.python_version(),
        machine=platform.machine(),
    )
    names = [name + end for name in ACTIVATIONS for end in ("", "_backward")]
    text += "## Activations\n\n| x | " + " | ".join(REGIONS) + " |\n|---" + "|---" * len(REGIONS) + "|\n"
    for name in names:
        text += f"| `{name}` | " + " | ".join(cells.pop((name, region)) for region in REGIONS) + " |\n"
    text += "\n## Everything else\n\n| operation | region | last places |\n|---|---|---|\n"
    for (name, region), cell in cells.items():
        text += f"| `{name}` | {region} | {cell} |\n"
    text += "\n## Why some exceed the goal\n\n"
    return text + "\n".join(f"- `{name}`: {reason}" for name, (_, reason) in REASONS.items()) + "\n"


def _number(places):
    return f"{places:.1f}" if places < 1000 else f"{places:.0e}".replace("e+0", "e").replace("e+", "e")


if __name__ == "__main__":
    if "--check" in sys.argv:
        print("\n".join(failures(200)) or "every operation is within its goal or its bound")
        sys.exit(bool(failures(20)))
    write_text(OUT, page(200))
