"""Bugs of the posterior: how z is drawn from it, and what its divergence costs."""

from ..bug import Bug
from ..private_copy import Edit

GAUSSIAN = "ops/numpy/gaussian.py"
GITHUB = "https://github.com/"

VARIANCE_FOR_DEVIATION = Bug(
    "variance-for-deviation",
    "z is drawn with σ² where σ belongs",
    "The encoder's output is called logvar, its exponential is taken, and that number multiplies ε. One ½ is missing, and it "
    "is the variance that scales the noise. The KL still reads the same output as a variance, so the two halves of the loss "
    "speak of different posteriors. It trains, it draws digits, and a gradient check passes, because backward differentiates "
    "the wrong forward faithfully. The network learns to answer with twice the logarithm, as far as the KL lets it, and the "
    "figure is no bound of anything.",
    "library examples, paper code and tutorials, reported many times",
    (
        Edit(GAUSSIAN, "reparameterise", "np.multiply(logvar, 0.5, out=std)\nnp.exp(std, out=std)", "np.exp(logvar, out=std)"),
        Edit(GAUSSIAN, "reparameterise_backward", "dlogvar *= 0.5", ""),
    ),
    (13, 14),
    (
        f"{GITHUB}rachtsingh/ibp_vae/issues/3",
        f"{GITHUB}keras-team/keras/pull/9972",
        f"{GITHUB}rishikksh20/vae_tacotron2/issues/3",
    ),
)

EPSILON_DRAWN_TWICE = Bug(
    "epsilon-drawn-twice",
    "backward draws an ε of its own",
    "In code with handwritten derivatives, the noise is a call to the generator in forward, and the same call stands again "
    "in backward. dlogvar = ½ dz ε σ needs the very ε that made z; with a fresh one its mean over draws is 0. So the "
    "reconstruction no longer tells σ anything, only the KL does, and it wants σ = 1: the latents drown in noise.",
    "autoencoders written without a framework",
    (
        Edit(
            "models/posterior.py", "Posterior.backward",
            "self.ops.posterior_backward(dz, dkl, self.mu, self.logvar, self.eps, self.std, dcode[:, :L], dcode[:, L:], work)",
            "import numpy as np\n"
            "eps = np.random.default_rng(0).standard_normal((rows, L)).astype(dz.dtype)\n"
            "self.ops.posterior_backward(dz, dkl, self.mu, self.logvar, eps, self.std, dcode[:, :L], dcode[:, L:], work)",
        ),
    ),
    (14,),
    note="The second draw is seeded, so that this page can be computed again.",
)  # fmt: skip

NOISE_OF_A_HUNDREDTH = Bug(
    "noise-of-a-hundredth",
    "ε has a standard deviation of 0.01",
    "A constant called epsilon_std scales the noise, and someone found that 0.01 gives sharper pictures. It does: that is "
    "nearly an autoencoder. But the KL is still that of the full σ, so the loss is not a bound, and looks tens of nats "
    "better than it is. Samples from the prior fall between the tiny islands that the decoder has seen.",
    "a library's example, where the constant was changed back and forth",
    (
        Edit(GAUSSIAN, "reparameterise", "np.multiply(std, eps, out=z)", "np.multiply(std, 0.01 * eps, out=z)"),
        Edit(
            GAUSSIAN, "reparameterise_backward", "np.multiply(dz, eps, out=dlogvar)", "np.multiply(dz, 0.01 * eps, out=dlogvar)"
        ),
    ),
    (13, 14),
    (f"{GITHUB}keras-team/keras/pull/4211",),
)

CLAMPED_WHEN_SAMPLING = Bug(
    "clamped-when-sampling",
    "logvar is clamped where z is drawn, and nowhere else",
    "To stop exp from overflowing, logvar is clamped just before it. The KL and both gradients go on with the unclamped "
    "value. Where the clamp bites, z does not have the variance that the KL charges for, and the gradient pushes on an "
    "output that has no effect. Nothing is wrong at the values that an untrained network gives, so every check at ordinary "
    "inputs passes, and a short run shows little.",
    "repairs of runs that had ended in NaN",
    (
        Edit(
            GAUSSIAN, "reparameterise", "np.multiply(logvar, 0.5, out=std)", "np.multiply(np.clip(logvar, -4, 4), 0.5, out=std)"
        ),
    ),
    (13, 14),
)

KL_SIGN = Bug(
    "kl-sign",
    "The KL is subtracted",
    "The paper maximises −KL + log p(x|z), the code minimises, and one of three signs is not turned. The loss falls faster "
    "than it should and without end, since pushing the posterior away from the prior is now rewarded: variances grow until "
    "the next exp overflows. Pictures are noise, for no code of the data lies where the prior draws.",
    "first attempts; and logs that report the KL with the wrong sign while training with the right one",
    (
        Edit(GAUSSIAN, "gaussian_kl", "out *= 0.5", "out *= -0.5"),
        Edit(GAUSSIAN, "gaussian_kl_backward", "np.multiply(mu, dkl[:, None], out=dmu)", "np.multiply(mu, -dkl[:, None], out=dmu)"),
        Edit(GAUSSIAN, "gaussian_kl_backward", "dlogvar *= 0.5 * dkl[:, None]", "dlogvar *= -0.5 * dkl[:, None]"),
    ),
    (15, 16),
    (f"{GITHUB}AntixK/PyTorch-VAE/issues/68", f"{GITHUB}FluxML/model-zoo/pull/147"),
)

KL_WITHOUT_HALF = Bug(
    "kl-without-half",
    "The ½ of the KL is forgotten",
    "Derived on a whiteboard, typed without its ½. Every derivative is right, and the model is a β-VAE with β = 2 that calls "
    "itself a VAE: blurrier, with fewer latents in use, and with a loss that compares with nobody's.",
    "course material",
    (
        Edit(GAUSSIAN, "gaussian_kl", "out *= 0.5", ""),
        Edit(GAUSSIAN, "gaussian_kl_backward", "np.multiply(mu, dkl[:, None], out=dmu)", "np.multiply(mu, 2 * dkl[:, None], out=dmu)"),
        Edit(GAUSSIAN, "gaussian_kl_backward", "dlogvar *= 0.5 * dkl[:, None]", "dlogvar *= dkl[:, None]"),
    ),
    (15, 16),
    (f"{GITHUB}SupaeroDataScience/deep-learning/pull/6",),
)

RELU_ON_THE_CODE = Bug(
    "relu-on-the-code",
    "The encoder ends in a ReLU",
    "A helper that builds layers puts an activation after each, the last one too. Then μ cannot be negative, and σ cannot be "
    "smaller than 1: every latent is at least as noisy as the prior. Every gradient is right. The code says little that the "
    "decoder can use: reconstructions cost 147 nats in place of 108, and the KL is still 17 in place of 20.",
    "tutorial repositories",
    (
        Edit(
            "models/autoencoder.py", "Autoencoder.__init__",
            "self.encoder = mlp([data_size, *hidden, self.code_size], act, start, input_gradient=False)",
            "self.encoder = mlp([data_size, *hidden, self.code_size], act, start, input_gradient=False)\n"
            "self.encoder.layers.append(act())",
        ),
    ),
    (36,),
    (f"{GITHUB}shekkizh/TensorflowProjects/pull/1", f"{GITHUB}pixelite1201/pytorch_coma/issues/21"),
)  # fmt: skip

UNIFORM_PRIOR = Bug(
    "uniform-prior",
    "Samples are decoded from uniform noise",
    "rand stands where randn belongs: z is drawn from [0, 1) in every direction. Training is untouched. Each sample may look "
    "like a digit, but they look like one another: they come from one small corner of the latent space. A classifier finds "
    "1.1 to 1.8 kinds of digit among a thousand (three seeds), and 3.8 to 3.9 with the right noise (E59).",
    "tutorials and their readers' questions",
    (
        Edit(
            "models/autoencoder.py", "Autoencoder.sample",
            "z = rng.normal(seed, rng.SAMPLE, 0, np.arange(n), self.latent, self.dtype.type)",
            "z = rng.uniform(seed, rng.SAMPLE, 0, np.arange(n), self.latent, self.dtype.type)",
        ),
    ),
    (),
    (f"{GITHUB}graviraja/pytorch-sample-codes/issues/3",),
)  # fmt: skip

BUGS = (
    VARIANCE_FOR_DEVIATION, EPSILON_DRAWN_TWICE, NOISE_OF_A_HUNDREDTH, CLAMPED_WHEN_SAMPLING, KL_SIGN, KL_WITHOUT_HALF,
    RELU_ON_THE_CODE, UNIFORM_PRIOR,
)  # fmt: skip
