"""The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov, 2015): a VAE whose bound uses several draws of z for each image."""

from .. import gate
from ..errors import ConfigError
from .objective import Weighted
from .vae import VAE

GRADIENTS = ("iwae", "stl", "dreg")


class IWAE(VAE):
    """Trained on −E log (1/K) Σ_k w_k, w_k = p(x, z_k) / q(z_k|x) (E48): K = 1 is the −ELBO with a sampled KL, each larger K is closer to
    −log p(x).

    The more draws, the less of the encoder's gradient is signal (Rainforth et al., 2018). "stl" leaves out the part of it whose mean is 0
    (sticking the landing; Roeder, Wu & Duvenaud, 2017), which for K > 1 is biased; "dreg" weighs what is left by the squares of the
    normalised weights, which is not (doubly reparameterised; Tucker et al., 2019). The decoder's gradient is the same in all three.
    """

    kind, name = "iwae", "IWAE"
    terms = ("bound",)

    def __init__(self, *arguments, draws=5, gradient="iwae", **options):
        """The arguments of Autoencoder · draws K · gradient: of the encoder, "iwae", "stl" or "dreg". Raises ConfigError."""
        self.draws, self.gradient = gate.whole("draws", draws, most=10_000), gate.choice("gradient", gradient, GRADIENTS)
        if refused := [name for name in ("beta", "kl_schedule", "kl_steps") if name in options]:
            raise ConfigError(f"{refused[0]} weighs a KL, and the importance-weighted bound has none of its own: leave it out")
        super().__init__(*arguments, **options)
        self.objective = Weighted(bound=1.0)
        del self.posterior, self.config["beta"]  # of a KL in closed form
        self.config |= {"draws": self.draws, "gradient": gradient}

    @property
    def described(self):
        return f"{super().described}, {self.draws} draws" + ("" if self.gradient == "iwae" else f", {self.gradient} gradient")

    @property
    def noise_columns(self):
        return self.draws * self.latent

    def forward(self, x, eps=None):
        """x (B, D) · eps (B, K L), or None for zeros → (−bound (B,),), nats per image"""
        self.floats(x=x)
        if eps is None:
            eps = self.new("eps", (len(x), self.noise_columns), x.dtype)
            eps[...] = 0
        B, K, L, new = len(x), self.draws, self.latent, self.new
        code = self.encoder.forward(x)
        many, images = new("codes", (B * K, 2 * L), x.dtype), new("images", (B * K, x.shape[1]), x.dtype)
        self.ops.repeat_rows(code, many)
        self.ops.repeat_rows(x, images)
        self.eps, self.logvar = eps.reshape(B * K, L), many[:, L:]
        self.z, self.std = new("z", (B * K, L), x.dtype), new("std", (B * K, L), x.dtype)
        self.ops.reparameterise(many[:, :L], self.logvar, self.eps, self.z, self.std)
        nll, kl = self.likelihood.forward(self.decoder.forward(self.z), images), new("kl", (B * K,), x.dtype)
        self.ops.sampled_kl(self.z, self.eps, self.logvar, kl, self.work(self.z.shape, x.dtype))
        self.w = new("w", (B, K), x.dtype)
        return (self.ops.importance_loss(nll, kl, new("bound", (B,), x.dtype), self.w),)

    def backward(self, dbound):
        """dbound (B,), a number for each image. Writes the gradient of every Parameter."""
        (B, K), L, new = self.w.shape, self.latent, self.new
        each = self.ops.importance_loss_backward(dbound, self.w, new("dnll", (B * K,), dbound.dtype))
        dz = self.decoder.backward(self.likelihood.backward(each)[0])
        dcodes, dcode = new("dcodes", (B * K, 2 * L), dz.dtype), new("dcode", (B, 2 * L), dz.dtype)
        self.ops.importance_backward(
            dz, each, self.w.reshape(-1) if self.gradient == "dreg" else None, self.z, self.eps, self.std,
            dcodes[:, :L], dcodes[:, L:], path=self.gradient != "iwae",
        )  # fmt: skip
        self.encoder.backward(self.ops.repeat_rows_backward(dcodes, dcode))
