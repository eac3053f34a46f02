"""Bugs of the importance-weighted bound, planted in `study/museum/iwae.py`."""

from ..bug import Bug
from ..private_copy import Edit

FILE = "study/museum/iwae.py"
GITHUB = "https://github.com/"
STABLE = "top = log_w.real.max(axis=1, keepdims=True)\nreturn top[:, 0] + np.log(np.exp(log_w - top).mean(axis=1))"
NORMALISED = "w = np.exp(log_w - log_w.max(axis=1, keepdims=True))\nreturn dbound * w / w.sum(axis=1, keepdims=True)"

WEIGHTS_OF_THE_LOSS = Bug(
    "weights-of-the-loss",
    "The weights are a softmax of the loss, not of its negative",
    "Code that minimises holds −log w, and softmax is called on what is at hand. The gradient then follows the worst of the "
    "K draws and ignores the best, which is the opposite of what the bound rewards. It still learns, since the worst draw is "
    "a draw from q like any other.",
    "reimplementations in frameworks that minimise",
    (
        Edit(
            FILE, "bound_backward", NORMALISED,
            "w = np.exp(log_w.min(axis=1, keepdims=True) - log_w)\nreturn dbound * w / w.sum(axis=1, keepdims=True)",
        ),
    ),
    (48,),
    model="iwae",
)  # fmt: skip

WEIGHTS_NOT_DETACHED = Bug(
    "weights-not-detached",
    "The weights are differentiated along with what they weight",
    "The gradient of the bound is Σ w̃ₖ ∇log wₖ with normalised weights w̃. So the loss is written as Σ w̃ₖ log wₖ and "
    "handed to automatic differentiation, which differentiates w̃ too. The derivative is exactly that of this loss; but this "
    "loss lies above the bound, even above log p(x), and rewards weights that are unequal.",
    "a much used collection of VAEs",
    (
        Edit(
            FILE, "bound", STABLE,
            "w = np.exp(log_w - log_w.real.max(axis=1, keepdims=True))\n"
            "w = w / w.sum(axis=1, keepdims=True)\n"
            "return (w * log_w).sum(axis=1)",
        ),
        Edit(
            FILE, "bound_backward", NORMALISED,
            "w = np.exp(log_w - log_w.max(axis=1, keepdims=True))\n"
            "w = w / w.sum(axis=1, keepdims=True)\n"
            "return dbound * w * (1 + log_w - (w * log_w).sum(axis=1, keepdims=True))",
        ),
    ),
    (48,),
    (f"{GITHUB}AntixK/PyTorch-VAE/issues/34", f"{GITHUB}AntixK/PyTorch-VAE/pull/53"),
    model="iwae",
)  # fmt: skip

MEAN_OF_LOGS = Bug(
    "mean-of-logs",
    "The mean of the logarithms in place of the logarithm of the mean",
    "Mean and log are swapped. What comes out is the ELBO with K draws instead of one: a bound, with right derivatives, of "
    "less noise, and not one nat tighter for any K. A paper's comparison of VAE and IWAE then finds no difference.",
    "reimplementations",
    (
        Edit(FILE, "bound", STABLE, "return log_w.mean(axis=1)"),
        Edit(FILE, "bound_backward", NORMALISED, "return dbound * np.full_like(log_w, 1 / log_w.shape[1])"),
    ),
    (48,),
    (f"{GITHUB}arahuja/generative-tf/issues/1",),
    model="iwae",
)

SAMPLES_CAPPED = Bug(
    "samples-capped",
    "Fewer importance samples than were asked for, and nobody is told",
    "5,000 samples do not fit into memory, so the number is cut to what does, or rounded down to whole chunks. The table "
    "says 5,000. Fewer samples bound less tightly, so this one makes the figure worse; in the other direction a comparison "
    "of two models with different memory is unfair to one of them.",
    "evaluation scripts",
    (
        Edit(
            FILE, "log_likelihood",
            "rows, total = np.arange(len(x)), np.full(len(x), -np.inf)",
            "samples = min(samples, CHUNK)  # as many as fit into memory\nrows, total = np.arange(len(x)), np.full(len(x), -np.inf)",
        ),
    ),
    (48,),
    model="iwae",
)  # fmt: skip

BUGS = (WEIGHTS_OF_THE_LOSS, WEIGHTS_NOT_DETACHED, MEAN_OF_LOGS, SAMPLES_CAPPED)
