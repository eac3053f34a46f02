"""What training, evaluation and files ask of a model, and what they need not be told."""

import inspect
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np

from .. import backend as backends
from .. import gate, nn
from ..errors import ConfigError, ShapeError
from ..nn.arena import planned
from ..workers import Threads, blas_threads
from .objective import Weighted


class Takes(NamedTuple):
    """What a model can read as a field of the data: of one row any of these shapes, numbers of these kinds, and within bounds."""

    shapes: tuple  # the first one is named in messages
    kinds: str  # of NumPy's dtypes: "iu" whole numbers, "f" floats, "b" true or false
    low: float = gate.REAL[0]
    high: float = gate.REAL[1]


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
    in_floats = ("images",)  # the fields that it takes as floats: bytes are divided by 255
    unit = "nats per image, summed over pixels, mean over images"  # of its terms
    noise_columns = 0
    support = gate.REAL  # (lowest, highest) number that an image may hold
    training_defaults = {}  # settings that `fit` trains it with where none are given, if they are others than those of Settings
    seed = None  # from which the first values can be made again, if they can
    chunk = 500  # rows that it is used on at a time, which bounds its memory: fixed, so that threads change speed and never bits

    @property
    def kind(self):
        """Its name in files."""
        return type(self).__name__

    @property
    def described(self):
        """What it is, for titles and messages: "VAE 784-400-20"."""
        return f"{self.kind} of {self.buffer.values.size:,} parameters"

    @classmethod
    def of_data(cls, data, **options):
        """A model for a data set: of its image_shape, or of its data_size where __init__ takes that. Raises ConfigError for a data set
        that it cannot take."""
        shape = shape_of(data)
        return cls(prod(shape) if "data_size" in cls.options() else shape, **options)

    @classmethod
    def options(cls):
        """The names of what __init__ takes, those that it hands on to the class above included."""
        names = []
        for kind in cls.__mro__:
            parameters = inspect.signature(kind.__init__).parameters.values()
            names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                return names
        return names

    def start(self, seed, dtype, backend):
        """Give the parameters their first values, or with seed None leave that to `initialise`."""
        self.seed = seed
        if seed is not None:
            self.initialise(seed, dtype, backends.get(backend))

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
        """Numbers in an image: the configuration's, or those of its image_shape."""
        return self.config["data_size"] if "data_size" in self.config else prod(self.config["image_shape"])

    def blank(self, columns=None):
        return super().blank(self.data_size if columns is None else columns)

    @property
    def takes(self):
        """{field: Takes} of what it reads beside the images, which is compared with the data before anything is computed."""
        return {}

    def rows(self, x):
        """Refuse what is no batch of images as rows (B, D) of floats. Raises ShapeError."""
        self.floats(x=x)
        if x.ndim != 2:
            raise ShapeError(f"{type(self).__name__} takes images as {self._layout(x.shape)}")

    def _layout(self, given):
        """What rows are, against the shape that was given, and the cure."""
        shape, cure = tuple(self.config.get("image_shape", ())), ""
        if len(given) > 2 and prod(given[1:]) == self.data_size:
            turned = len(shape) == 3 and given[1:] != shape and given[1:] == (shape[2], *shape[:2])
            cure = ": give x" + ".transpose(0, 2, 3, 1)" * turned + ".reshape(len(x), -1)" + ", channels last" * turned
        return f"(rows, {self.data_size}), not {given}{cure}"

    def descend(self, dL):
        """Write into every Parameter's grad the gradient of Σ_rows dL · L, after forward.   dL (B,)"""
        self.floats(dL=dL)
        self.backward(*self.objective.backward(dL))

    def _chunked(self, name, x, width, shape, write, support):
        """write(model, part, out) for `chunk` rows of x (N, width) at a time, in this model's dtype and backend → a new (N, *shape)

        x is refused by its row and column unless its numbers are finite and within `support`. On NumPy the chunks are shared out
        among as many threads as a matrix product would use, each with a replica.
        """
        if self.buffer is None:
            raise ShapeError(f"{type(self).__name__} is not initialised: call initialise(seed) first")
        x = np.atleast_2d(gate.array(x, name))
        if x.ndim != 2 or x.shape[1] != width:
            raise ShapeError(f"expected {self._layout(x.shape) if width == self.data_size else f'(rows, {width}), not {x.shape}'}")
        if x.dtype == np.uint8:
            raise ShapeError(f"{name} holds uint8, of which 255 or 1 may be white: give x / 255, or x.astype(bool)")
        gate.check_support(x, gate.extent(x, name), support, name, f"the {self.config.get('likelihood', 'model’s own')} likelihood")
        result = np.empty((len(x), *shape), self.dtype)
        put, get, here = self.backend.put, self.backend.get, self.backend.name == "numpy"
        starts = range(0, len(x), self.chunk)

        def share(model, starts):
            with planned([model]):
                for i in starts:
                    part, wanted = x[i : i + self.chunk].astype(self.dtype, copy=False), result[i : i + self.chunk]
                    with model.arena.step((write.__code__, len(part))):
                        out = wanted if here else model.new("result", (len(part), *shape), self.dtype)
                        write(model, put(part), out)
                    if not here:
                        wanted[...] = get(out)

        count = min(blas_threads(), len(starts)) if here and len(starts) > 1 else 1
        if count > 1:
            models = [self, *(self.replica() for _ in range(count - 1))]
            with Threads(count) as workers:
                workers.run(lambda worker: share(models[worker], starts[worker::count]))
        else:
            with self.backend.failures():
                share(self, starts)
        return result


def shape_of(data):
    """The shape of an image of a data set. Raises ConfigError for what is none."""
    if not hasattr(data, "image_shape") or not hasattr(data, "train"):
        raise ConfigError(f"a model is made for a Dataset, as of scratchvae.load_data, not for {gate.shown(data)}")
    return data.image_shape


def check_multiple(shape, step, told):
    """Raise ConfigError, naming the nearest sizes, for an image whose sides are no multiples of `step`, so that it cannot be … told."""
    if any(n % step for n in shape[:2]):
        nearest = [f"{max(1, n // step) * step} or {-(-n // step) * step}" if n > step and n % step else str(-(-n // step) * step)
                   for n in shape[:2]]  # fmt: skip
        raise ConfigError(
            f"images of {shape[0]} × {shape[1]} cannot be {told}: height and width must be multiples of {step}; "
            f"the nearest are {nearest[0]} × {nearest[1]}"
        )
