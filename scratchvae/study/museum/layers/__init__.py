"""The layers of proof, from the weakest to the strictest; each is a function of a PackageCopy that yields its claims."""

from .bookkeeping import bookkeeping
from .clock import clock
from .closed_form import closed_form
from .derivatives import complex_step, differences
from .distributions import distributions
from .evaluation import evaluation
from .extremes import extremes
from .invariances import invariances
from .known_values import known_values
from .learns import learns
from .oracle import oracle
from .verdict import CAUGHT, NOT_RUN, PASSED, Layer, Verdict, examine

LAYERS = (
    Layer("learns", "The loss falls", learns),
    Layer("differences", "Gradient check by differences", differences),
    Layer("complex-step", "Gradient check by complex steps", complex_step),
    Layer("distributions", "Samples have their declared moments", distributions),
    Layer("closed-form", "A linear VAE set to probabilistic PCA: the bounds in closed form", closed_form),
    Layer("oracle", "A linear VAE trained: it must arrive at probabilistic PCA", oracle),
    Layer("invariances", "Splits, order and number of pixels", invariances),
    Layer("known-values", "Figures worked out on paper", known_values),
    Layer("extremes", "Extreme inputs", extremes),
    Layer("bookkeeping", "A training loop written plainly", bookkeeping),
    Layer("evaluation", "Reported figures are what they are called", evaluation),
    Layer("clock", "Times against known work", clock),
)

__all__ = ["CAUGHT", "LAYERS", "NOT_RUN", "PASSED", "Layer", "Verdict", "examine"]
