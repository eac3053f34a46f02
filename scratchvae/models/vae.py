"""The Variational AutoEncoder (Kingma & Welling, 2014): what it adds to an autoencoder, and nothing else."""

from .. import gate
from ..errors import ConfigError
from .autoencoder import Autoencoder
from .objective import Annealed, Weighted
from .posterior import Posterior


class VAE(Autoencoder):
    """q(z|x) = N(μ(x), σ²(x)) and p(x|z), trained on −ELBO = E_q[−log p(x|z)] + KL(q(z|x) ‖ N(0, I)) (E36).

    The encoder ends in 2 L columns: μ, then logvar = log σ². With β ≠ 1 the KL counts β times (β-VAE; Higgins et al.,
    2017), and the objective is not an ELBO.
    """

    kind, name = "vae", "VAE"
    terms = ("reconstruction", "kl")

    def __init__(self, *arguments, beta=1.0, kl_schedule="constant", kl_steps=None, **options):
        """The arguments of Autoencoder, and beta ≥ 0, the weight of the KL, which kl_schedule "linear" or "cyclical" reaches in kl_steps
        steps. Raises ConfigError."""
        told = self.weigh(beta, kl_schedule, kl_steps)
        super().__init__(*arguments, **options)
        self.config |= told

    def weigh(self, beta, kl_schedule, kl_steps):
        """What of a VAE is not in an autoencoder: a posterior, and a KL that counts β times, or less in the beginning → its config"""
        self.beta = float(gate.number("beta", beta, least=0))
        weights, self.posterior = {"reconstruction": 1.0, "kl": self.beta}, Posterior()
        if gate.choice("kl_schedule", kl_schedule, ("constant", *Annealed.KINDS)) == "constant":
            if kl_steps is not None:
                raise ConfigError("kl_steps belong to a kl_schedule: linear or cyclical")
            self.objective = Weighted(**weights)
            return {"beta": self.beta}
        if kl_steps is None:
            raise ConfigError(f"a {kl_schedule} kl_schedule needs kl_steps: over how many steps the weight rises, or a cycle takes")
        self.objective = Annealed(kl_schedule, kl_steps, **weights)
        return {"beta": self.beta, "kl_schedule": kl_schedule, "kl_steps": self.objective.steps}

    @property
    def described(self):
        return super().described + (f", β = {self.beta:g}" if self.beta != 1 else "")

    @property
    def code_size(self):
        return 2 * self.latent

    @property
    def noise_columns(self):
        """Normals that forward needs per image."""
        return self.latent

    def forward(self, x, eps=None):
        """x (B, D) · eps (B, L), or None for zeros → reconstruction (B,), kl (B,), nats per image.

        Their sum is −ELBO estimated with one sample of z, if eps was drawn from N(0, I).
        """
        if eps is None:
            self.floats(x=x)
            eps = self.new("eps", (len(x), self.latent), x.dtype)
            eps[...] = 0
        z, kl = self.posterior.forward(self.encoder.forward(x), eps)
        return self.likelihood.forward(self.decoder.forward(z), x), kl

    def backward(self, dreconstruction, dkl):
        """One number for each image and term (B,). Writes the gradient of every Parameter."""
        dz = self.decoder.backward(self.likelihood.backward(dreconstruction)[0])
        self.encoder.backward(self.posterior.backward(dz, dkl)[0])

    def encode(self, x):
        """The posterior of each image.   x (N, D) or (D,) → mu (N, L), logvar (N, L), NumPy arrays"""
        code = super().encode(x)
        return code[:, : self.latent], code[:, self.latent :]

    def codes(self, x):
        """The posterior means.   x (N, D) → μ (N, L)"""
        return self.encode(x)[0]

    def sample(self, n, seed=0, draw=False):
        """Images from the model: the means of p(x|z) for n draws z ~ N(0, I), or with `draw` a draw from each p(x|z), the same for the
        same seed.   → (n, D)"""
        return super().sample(n, seed, draw)
