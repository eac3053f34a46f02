"""The Variational AutoEncoder (Kingma & Welling, 2014): what it adds to an autoencoder, and nothing else."""

from .. import gate
from ..errors import ShapeError
from .autoencoder import Autoencoder


class VAE(Autoencoder):
    """q(z|x) = N(μ(x), σ²(x)) and p(x|z), trained on −ELBO = E_q[−log p(x|z)] + KL(q(z|x) ‖ N(0, I)) (E36).

    The encoder ends in 2 L columns: μ, then logvar = log σ². With β ≠ 1 the KL counts β times (β-VAE; Higgins et al.,
    2017), and the objective is not an ELBO.
    """

    kind = "vae"
    terms = ("reconstruction", "kl")

    def __init__(self, *arguments, beta=1.0, **options):
        """The arguments of Autoencoder, and beta ≥ 0, the weight of the KL. Raises ConfigError."""
        super().__init__(*arguments, **options)
        self.beta = float(gate.number("beta", beta, least=0))
        self.config["beta"] = self.beta
        self.weights["kl"] = self.beta

    @property
    def code_size(self):
        return 2 * self.latent

    @property
    def noise_columns(self):
        """Normals that forward needs per image."""
        return self.latent

    def forward(self, x, eps=None):
        """x (B, D) · eps (B, L), or None for zeros → {"reconstruction": (B,), "kl": (B,)}, nats per image.

        The sum of both is −ELBO estimated with one sample of z, if eps was drawn from N(0, I).
        """
        self.arrays(x=x)
        rows, dtype = len(x), x.dtype
        L = self.latent
        self.eps = self.scratch("eps", rows, L, dtype) if eps is None else eps
        if eps is None:
            self.eps[...] = 0
        self.arrays(eps=self.eps)
        if self.eps.shape != (rows, L):
            raise ShapeError(f"eps must be ({rows}, {L}), not {self.eps.shape}")
        code = self.encoder.forward(x)
        self.mu, self.logvar = code[:, :L], code[:, L:]
        self.std = self.scratch("std", rows, L, dtype)
        z = self.ops.reparameterise(self.mu, self.logvar, self.eps, self.scratch("z", rows, L, dtype), self.std)
        work = self.scratch("total", rows, L, dtype), self.scratch("term", rows, L, dtype)
        kl = self.ops.gaussian_kl(self.mu, self.logvar, self.scratch("kl", rows, None, dtype), work)
        return {"reconstruction": self.likelihood.forward(self.decoder.forward(z), x), "kl": kl}

    def backward(self, scale):
        """Write into every Parameter's grad the gradient of scale · Σ_images (reconstruction + β KL).

        At μ and logvar two gradients meet: one through z from the reconstruction, one from the KL.
        """
        scale = gate.number("scale", scale)
        rows, L = self.mu.shape
        dz = self.decoder.backward(self.likelihood.backward(scale))
        through_z, from_kl = (self.scratch(n, rows, 2 * L, dz.dtype) for n in ("through_z", "from_kl"))
        self.ops.reparameterise_backward(dz, self.eps, self.std, through_z[:, :L], through_z[:, L:])
        self.ops.gaussian_kl_backward(scale * self.beta, self.mu, self.logvar, from_kl[:, :L], from_kl[:, L:])
        through_z += from_kl
        self.encoder.backward(through_z)

    def encode(self, x):
        """The posterior of each image.   x (N, D) or (D,) → mu (N, L), logvar (N, L), NumPy arrays"""
        code = super().encode(x)
        return code[:, : self.latent], code[:, self.latent :]

    def codes(self, x):
        """The posterior means.   x (N, D) → μ (N, L)"""
        return self.encode(x)[0]

    def sample(self, n, seed=0):
        """Images from the model: the means of p(x|z) for n draws z ~ N(0, I), the same for the same seed.   → (n, D)"""
        return super().sample(n, seed)
