"""The autoencoder: x → encoder → z → decoder → a distribution over x; and what can be done with any latent space."""

import numpy as np

from .. import backend as backends
from .. import nn, rng
from ..errors import ConfigError, ShapeError
from ..nn import init
from ..workers import Threads, blas_threads
from .likelihood import LIKELIHOODS, Gaussian

CHUNK = 500  # rows that encode and decode take at a time: bounds their memory, whatever they are given


class Autoencoder(nn.Module):
    """A deterministic autoencoder.   x (B, D) → z (B, L) → decoder output (B, D)

    Its loss is the negative log-likelihood alone. `terms` names the parts of the loss and `weights` what each counts in
    the objective, both read by training.
    """

    kind = "ae"
    terms = ("reconstruction",)
    noise_columns = 0

    def __init__(
        self, data_size=784, hidden=(400,), latent=20, activation="relu", likelihood="bernoulli", sigma=None, init_W="glorot",
        seed=0, dtype=np.float32, backend=None,
    ):
        """data_size D, the decoder mirrors the encoder's hidden sizes; sigma only for the Gaussian likelihood; seed of the first
        values, or None for parameters without values, which `initialise` gives; backend "numpy" or "cupy" (default: the one in
        use, see backend.use).

        Raises ConfigError for sizes below 1 and names that do not exist, BackendError where there is no CUDA.
        """
        if not isinstance(hidden, (tuple, list)):
            raise ConfigError(f"hidden must be a list of sizes, such as [400], not {hidden!r}")
        _check_sizes(data_size=data_size, latent=latent, **{f"hidden[{i}]": n for i, n in enumerate(hidden)})
        act = _choose("activation", activation, nn.ACTIVATIONS)
        start = _choose("init_W", init_W, init.INITS)
        like = _choose("likelihood", likelihood, LIKELIHOODS)
        if sigma is not None and like is not Gaussian:
            raise ConfigError(f"sigma belongs to the gaussian likelihood, not to {likelihood}")
        self.config = {
            "data_size": data_size, "hidden": list(hidden), "latent": latent, "activation": activation,
            "likelihood": likelihood, "sigma": sigma, "init_W": init_W,
        }
        self.data_size, self.latent = data_size, latent
        self.encoder = mlp([data_size, *hidden, self.code_size], act, start, input_gradient=False)
        self.decoder = mlp([latent, *reversed(hidden), data_size], act, start)
        self.likelihood = like() if like is not Gaussian else like(sigma)
        self.weights = {"reconstruction": 1.0}
        self.seed = seed
        if seed is not None:
            self.initialise(seed, dtype, backends.get(backend))

    @property
    def code_size(self):
        """Width of the encoder's output."""
        return self.latent

    @property
    def dtype(self):
        return self.buffer.values.dtype

    # The loss and its gradient ----------------------------------------------------------------------------------------

    def forward(self, x, eps=None):
        """x (B, D) → {"reconstruction": nll (B,)}, nats per image. eps is not used: nothing here is random."""
        return {"reconstruction": self.likelihood.forward(self.decoder.forward(self.encoder.forward(x)), x)}

    def backward(self, scale):
        """Write into every Parameter's grad the gradient of scale · Σ_images (the objective)."""
        self.encoder.backward(self.decoder.backward(self.likelihood.backward(scale)))

    # Use: NumPy arrays in and out, whatever the backend ---------------------------------------------------------------

    def encode(self, x):
        """The code of each image.   x (N, D) or (D,) → z (N, L)"""
        return self._chunked(x, self.data_size, self.code_size, lambda model, part, out: np.copyto(out, model.encoder.forward(part)))

    def codes(self, x):
        """One vector per image, for plots and classifiers: z here, μ in a VAE.   x (N, D) → (N, L)"""
        return self.encode(x)

    def decode(self, z):
        """The mean image of each code.   z (N, L) or (L,) → (N, D); in [0, 1] for the Bernoulli likelihood"""
        mean = lambda model, part, out: model.likelihood.mean(model.decoder.forward(part), out)
        return self._chunked(z, self.latent, self.data_size, mean)

    def reconstruct(self, x):
        """decode(codes(x)).   x (N, D) → (N, D)"""
        return self.decode(self.codes(x))

    def sample(self, n, seed=0):
        """Decode n draws z ~ N(0, I), the same for the same seed.   → (n, D)

        Nothing in an autoencoder's loss makes its codes look like N(0, I), so its samples rarely look like data.
        """
        return self.decode(rng.normal(seed, rng.SAMPLE, 0, np.arange(n), self.latent, self.dtype.type))

    def interpolate(self, x_from, x_to, steps=10):
        """Decode the straight line between the codes of two images.   x_from, x_to (D,) → (steps, D)"""
        start, end = self.codes(np.stack([x_from, x_to]))
        t = np.linspace(0, 1, steps, dtype=self.dtype)[:, None]
        return self.decode((1 - t) * start + t * end)

    def traverse(self, x, values, dimensions=None):
        """Set one latent at a time to each value, all others at the code of x.

        x (D,) · values (V,) · dimensions (K,), default all L → (K, V, D)
        """
        values = np.asarray(values, self.dtype)
        dimensions = np.arange(self.latent) if dimensions is None else np.asarray(dimensions)
        z = np.tile(self.codes(x)[0], (len(dimensions), len(values), 1))
        z[np.arange(len(dimensions))[:, None], np.arange(len(values)), dimensions[:, None]] = values
        return self.decode(z.reshape(-1, self.latent)).reshape(len(dimensions), len(values), self.data_size)

    def summary(self, columns=None, rows=128):
        return super().summary(self.data_size if columns is None else columns, rows)

    def _chunked(self, x, width, width_out, write):
        """write(model, part, out) for CHUNK rows of x (N, width) at a time, in this model's dtype and backend → a new (N, width_out)

        On NumPy the chunks are shared out among as many threads as a matrix product would use, each with a replica.
        """
        x = np.atleast_2d(x)
        backends.same_library(f"a {type(self).__name__}'s interface", x, np.empty(0))
        if x.ndim != 2 or x.shape[1] != width:
            raise ShapeError(f"expected (rows, {width}), not {x.shape}")
        if np.issubdtype(x.dtype, np.integer):
            raise ShapeError(f"expected {self.dtype} numbers, not {x.dtype}: divide uint8 images by 255, or convert with astype")
        result = np.empty((len(x), width_out), self.dtype)
        put, get, here = self.backend.put, self.backend.get, self.backend.name == "numpy"
        starts = range(0, len(x), CHUNK)

        def share(model, starts):
            for i in starts:
                part, wanted = x[i : i + CHUNK].astype(self.dtype, copy=False), result[i : i + CHUNK]
                out = wanted if here else self.scratch("result", len(part), width_out, self.dtype)
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


def mlp(sizes, activation, init_W, input_gradient=True):
    """Dense layers of the given sizes with an activation between each two of them."""
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [activation()] if i else []
        layers.append(nn.Dense(inputs, outputs, init_W, input_gradient=input_gradient or i > 0))
    return nn.Sequential(*layers)


def _choose(option, name, table):
    if name not in table:
        raise ConfigError(f"{option} must be one of {', '.join(table)}, not {name!r}")
    return table[name]


def _check_sizes(**sizes):
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, not {size!r}")
