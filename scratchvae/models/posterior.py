"""What an encoder's output says about the latent: a distribution to draw from, and what it costs."""

from .. import nn
from ..errors import ShapeError


class Posterior(nn.Module):
    """q(z|x) = N(μ, σ²), whose code holds μ, then log σ²: z = μ + σ ε (E13) and KL(q ‖ N(0, I)) (E15)."""

    input_gradient = True, False  # ε is noise

    def forward(self, code, eps):
        """code (B, 2L), eps (B, L) → z (B, L), kl (B,), nats. Raises ShapeError."""
        self.floats(code=code, eps=eps)
        rows, L = len(code), code.shape[1] // 2
        if eps.shape != (rows, L):
            raise ShapeError(f"eps must be ({rows}, {L}), not {eps.shape}")
        self.mu, self.logvar, self.eps = code[:, :L], code[:, L:], eps
        self.std, z = self.new("std", (rows, L), code.dtype), self.new("z", (rows, L), code.dtype)
        self.kl, work = self.new("kl", (rows,), code.dtype), (self.work((rows, L), code.dtype), self.work((rows, L), code.dtype))
        self.ops.sample_posterior(self.mu, self.logvar, eps, z, self.std, self.kl, work)
        return z, self.kl

    def backward(self, dz, dkl):
        """dz (B, L), dkl (B,) → dcode (B, 2L), and None: ε is noise

        At μ and log σ² two gradients meet: one through z, one from the KL.
        """
        self.floats(dz=dz, like=self.std)
        self.floats(dkl=dkl, like=self.kl)
        rows, L = dz.shape
        dcode = self.new("dcode", (rows, 2 * L), dz.dtype)
        work = self.work((rows, L), dz.dtype), self.work((rows, L), dz.dtype)
        self.ops.posterior_backward(dz, dkl, self.mu, self.logvar, self.eps, self.std, dcode[:, :L], dcode[:, L:], work)
        return dcode, None
