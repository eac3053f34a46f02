"""What training, evaluation and files ask of a model, and what they need not be told."""

from functools import cached_property

from .. import gate, nn
from .objective import Weighted


class Model(nn.Module):
    """A module that `fit` can train: forward returns its terms.

        class Mine(Model):
            terms = ("reconstruction",)

            def __init__(self, data_size, seed=0):
                self.config = {"data_size": data_size}      # with which a checkpoint makes it again
                …
                self.initialise(seed)

            def forward(self, x): …                          # x (B, D) → a tuple with (B,) for each of `terms`
            def backward(self, dreconstruction): …           # writes the gradient of every Parameter

    `reads` names the fields of a batch that forward is given, in this order; after them comes eps (B, noise_columns) from N(0, 1), if
    there are any. `objective` makes of the terms what is minimised: by default their sum.
    """

    terms = ("loss",)
    reads = ("images",)
    noise_columns = 0
    support = gate.REAL  # (lowest, highest) number that an image may hold
    seed = None  # of the first values, if they can be had again from it

    @property
    def kind(self):
        """Its name in files."""
        return type(self).__name__

    @cached_property
    def objective(self):
        return Weighted(**dict.fromkeys(self.terms, 1.0))

    @property
    def weights(self):
        """{term: what it counts in the objective}"""
        return self.objective.weights

    @property
    def dtype(self):
        return self.buffer.values.dtype

    @property
    def data_size(self):
        """Numbers in an image."""
        return self.config["data_size"]

    def descend(self, dL):
        """Write into every Parameter's grad the gradient of Σ_rows dL · L, after forward.   dL (B,)"""
        self.backward(*self.objective.backward(dL))
