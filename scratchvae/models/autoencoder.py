"""The autoencoder: x → encoder → z → decoder → a distribution over x; and what can be done with any latent space."""

import numpy as np

from .. import gate, nn, rng
from ..errors import ConfigError, ShapeError
from ..nn import init
from .likelihood import LIKELIHOODS, Gaussian
from .model import Model


class Autoencoder(Model):
    """A deterministic autoencoder.   x (B, D) → z (B, L) → decoder output (B, D)

    Its loss is the negative log-likelihood alone.
    """

    kind, name = "ae", "Autoencoder"
    terms = ("reconstruction",)

    def __init__(
        self, data_size=784, hidden=(400,), latent=20, activation="relu", likelihood="bernoulli", sigma=None, init_W="glorot",
        seed=0, dtype=np.float32, backend=None,
    ):
        """data_size D, the decoder mirrors the encoder's hidden sizes; sigma only for the Gaussian likelihood; seed of the first
        values, or None for parameters without values, which `initialise` gives; backend "numpy" or "cupy" (default: the one in
        use, see backend.use).

        Raises ConfigError for sizes below 1 and names that do not exist, BackendError where there is no CUDA.
        """
        data_size, latent, hidden = gate.whole("data_size", data_size), gate.whole("latent", latent), whole_list("hidden", hidden)
        act, start, like = parts_of(activation, init_W, likelihood, sigma)
        self.latent = latent
        self.encoder = mlp([data_size, *hidden, self.code_size], act, start, input_gradient=False)
        self.decoder = mlp([latent, *reversed(hidden), like.outputs * data_size], act, start)
        self.likelihood = like
        self.config = {
            "data_size": data_size, "hidden": hidden, "latent": latent, "activation": activation,
            "likelihood": likelihood, "sigma": getattr(like, "sigma", None), "init_W": init_W,
        }
        self.start(seed, dtype, backend)

    @property
    def described(self):
        hidden = self.config["hidden"]
        between = hidden if len(hidden) <= 8 else [*hidden[:3], f"… {len(hidden) - 4:,} more …", hidden[-1]]
        return f"{self.name} {'-'.join(map(str, [self.data_size, *between, self.latent]))}"

    @property
    def code_size(self):
        """Width of the encoder's output."""
        return self.latent

    @property
    def support(self):
        """(lowest, highest) number that an image may hold: what the likelihood can explain."""
        return self.likelihood.support

    # The loss and its gradient ----------------------------------------------------------------------------------------

    def forward(self, x):
        """x (B, D) → (reconstruction (B,),), nats per image"""
        return (self.likelihood.forward(self.decoder.forward(self.encoder.forward(x)), x),)

    def backward(self, dreconstruction):
        """dreconstruction (B,), a number for each image. Writes the gradient of every Parameter."""
        self.encoder.backward(self.decoder.backward(self.likelihood.backward(dreconstruction)[0]))

    # Use: NumPy arrays in and out, whatever the backend ---------------------------------------------------------------

    def encode(self, x):
        """The code of each image.   x (N, D) or (D,) → z (N, L)"""
        write = lambda model, part, out: np.copyto(out, model.encoder.forward(part))
        return self._chunked("x", x, self.data_size, (self.code_size,), write, self.support)

    def codes(self, x):
        """One vector per image, for plots and classifiers: z here, μ in a VAE.   x (N, D) → (N, L)"""
        return self.encode(x)

    def decode(self, z):
        """The mean image of each code.   z (N, L) or (L,) → (N, D); in [0, 1] for the Bernoulli likelihood"""
        mean = lambda model, part, out: model.likelihood.mean(model.decoder.forward(part), out)
        return self._chunked("z", z, self.latent, (self.data_size,), mean, gate.REAL)

    def reconstruct(self, x):
        """decode(codes(x)).   x (N, D) → (N, D)"""
        return self.decode(self.codes(x))

    def sample(self, n, seed=0, draw=False):
        """Decode n draws z ~ N(0, I), the same for the same seed.   draw: pixels of each image are drawn too, not their means → (n, D)

        Nothing in an autoencoder's loss makes its codes look like N(0, I), so its samples rarely look like data.
        """
        n = gate.whole("n", n, 0)
        z = rng.normal(seed, rng.SAMPLE, 0, np.arange(n), self.latent, self.dtype.type)
        if not gate.flag("draw", draw):
            return self.decode(z)
        write = lambda model, part, out: np.copyto(out, model.decoder.forward(part))
        y = self._chunked("z", z, self.latent, (self.likelihood.outputs * self.data_size,), write, gate.REAL)
        return self.likelihood.draw(y, seed, rng.DRAW, 0, np.arange(n))

    def interpolate(self, x_from, x_to, steps=10):
        """Decode the straight line between the codes of two images.   x_from, x_to (D,) → (steps, D)"""
        start, end = (self._one_code(name, x) for name, x in (("x_from", x_from), ("x_to", x_to)))
        t = np.linspace(0, 1, gate.whole("steps", steps), dtype=self.dtype)[:, None]
        return self.decode((1 - t) * start + t * end)

    def traverse(self, x, values, dimensions=None):
        """Set one latent at a time to each value, all others at the code of x.

        x (D,) · values (V,) · dimensions (K,), default all L → (K, V, D)
        """
        values = np.atleast_1d(gate.array(values, "values")).astype(self.dtype)
        dimensions = np.arange(self.latent) if dimensions is None else np.atleast_1d(gate.array(dimensions, "dimensions"))
        if values.ndim != 1 or dimensions.ndim != 1 or not set(dimensions.tolist()) <= set(range(self.latent)):
            raise ShapeError(f"traverse takes a list of values, and dimensions from 0 to {self.latent - 1}")
        dimensions = dimensions.astype(np.int64)
        z = np.tile(self._one_code("x", x), (len(dimensions), len(values), 1))
        z[np.arange(len(dimensions))[:, None], np.arange(len(values)), dimensions[:, None]] = values
        return self.decode(z.reshape(-1, self.latent)).reshape(len(dimensions), len(values), self.data_size)

    def _one_code(self, name, x):
        """x (D,), or (1, D) → the code (L,) of this one image"""
        x = gate.array(x, name)
        if x.shape not in ((self.data_size,), (1, self.data_size)):
            raise ShapeError(f"{name} is one image of {self.data_size} numbers, not {x.shape}")
        return self.codes(x)[0]


def whole_list(name, sizes):
    """[sizes], each 1 or more. Raises ConfigError."""
    if not isinstance(sizes, (tuple, list)):
        raise ConfigError(f"{name} must be a list of sizes, such as [400], not {gate.shown(sizes)}")
    return [gate.whole(f"{name}[{i}]", n) for i, n in enumerate(sizes)]


def parts_of(activation, init_W, likelihood, sigma):
    """The activation's class, the initialiser and the likelihood of these names. Raises ConfigError."""
    act = nn.ACTIVATIONS[gate.choice("activation", activation, nn.ACTIVATIONS)]
    start = init.INITS[gate.choice("init_W", init_W, init.INITS)]
    like = LIKELIHOODS[gate.choice("likelihood", likelihood, LIKELIHOODS)]
    if sigma is not None and like is not Gaussian:
        raise ConfigError(f"sigma belongs to the gaussian likelihood, not to {likelihood}")
    return act, start, like(sigma) if like is Gaussian else like()


def mlp(sizes, activation, init_W, input_gradient=True):
    """Dense layers of the given sizes with an activation between each two of them."""
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [activation()] if i else []
        layers.append(nn.Dense(inputs, outputs, init_W, input_gradient=input_gradient or i > 0))
    return nn.Chain(*layers)
