"""Bugs of the likelihood and of the layers below it: what pixels cost, how they are drawn, what reaches a weight."""

from ..bug import Bug
from ..private_copy import Edit

LIKELIHOODS, AFFINE, AUTOENCODER = "ops/numpy/likelihoods.py", "ops/numpy/affine.py", "models/autoencoder.py"
GITHUB = "https://github.com/"

MEAN_OVER_PIXELS = Bug(
    "mean-over-pixels",
    "The likelihood is averaged over pixels, the KL summed",
    "A loss function's default is the mean over everything, so an image's 784 pixels weigh as much as one. The KL is summed "
    "over latents as it should be: an accidental β of 784. The optimum is to pay no KL at all. Every reconstruction is the "
    "same grey average of the digits, and the loss, 0.2 or so, looks excellent.",
    "framework examples, blog posts, research code",
    (
        Edit(LIKELIHOODS, "bernoulli_nll", "return np.sum(total, axis=1, out=out)", "return np.mean(total, axis=1, out=out)"),
        Edit(LIKELIHOODS, "bernoulli_nll_backward", "out *= dnll[:, None]", "out *= dnll[:, None] / x.shape[1]"),
    ),
    (17, 18),
    (f"{GITHUB}pytorch/examples/issues/817", f"{GITHUB}pytorch/examples/issues/234", f"{GITHUB}zdebruine/MMVAE/pull/19"),
)

LOG_OF_SIGMOID = Bug(
    "log-of-sigmoid",
    "log(sigmoid(a)) in place of softplus",
    "Written as in the book: p = sigmoid(a), then x log p + (1 − x) log(1 − p). In float32 p is exactly 0 or 1 from logits "
    "of about ±17 on, and 0 · log 0 is NaN. It trains well, until the model is good enough to be sure of a pixel; then one "
    "batch ends the run. Clipping p hides it, at the price of a gradient that is wrong exactly there.",
    "libraries and tutorials; reported as loss that turns NaN after some epochs",
    (
        Edit(
            LIKELIHOODS, "bernoulli_nll",
            "np.multiply(x, logits, out=term)\ntotal -= term",
            "p = sigmoid(logits, term)\ntotal[...] = -x * np.log(p) - (1 - x) * np.log(1 - p)",
        ),
    ),
    (17,),
    (f"{GITHUB}hwalsuklee/tensorflow-mnist-VAE/issues/4", f"{GITHUB}Lasagne/Lasagne/issues/436"),
    note="The lines above it still compute the stable form, which is then overwritten.",
)  # fmt: skip

SIGMOID_TWICE = Bug(
    "sigmoid-twice",
    "The decoder ends in a sigmoid, and so does the loss",
    "The decoder is written to give probabilities, and the loss is exchanged for the stable one, which takes logits. Now the "
    "logits lie in (0, 1), so no pixel can be darker than ½ or brighter than 0.73. Every gradient is right, the loss falls, "
    "and then it stops far too high. Pictures are grey on grey.",
    "autoencoders and segmentation code, where the two were written by different people",
    (
        Edit(
            AUTOENCODER, "Autoencoder.__init__",
            "self.decoder = mlp([latent, *reversed(hidden), like.outputs * data_size], act, start)",
            "self.decoder = mlp([latent, *reversed(hidden), like.outputs * data_size], act, start)\n"
            "self.decoder.layers.append(nn.Sigmoid())",
        ),
    ),
    (17, 9),
    (f"{GITHUB}itakurah/focal-loss-pytorch/pull/5", f"{GITHUB}facebookresearch/fvcore/issues/126"),
)  # fmt: skip

SOFTPLUS_PIXELS = Bug(
    "softplus-pixels",
    "Pixels are drawn with softplus where the likelihood means sigmoid",
    "The likelihood contains a softplus, so the function that draws pictures takes one too. Training is right to the last "
    "bit. But a pixel's “probability” now grows without bound, and at logit 0 it is 0.69 and not ½: pictures are glaring, "
    "and pixels drawn with it are too often on.",
    "code with handwritten derivatives",
    (
        Edit(
            "models/likelihood.py", "Bernoulli.mean",
            "return self.ops.sigmoid(logits, out)",
            "return self.ops.softplus(logits, out, np.empty_like(out))",
        ),
    ),
    (9, 17),
)  # fmt: skip

GAUSSIAN_CONSTANT_MISSING = Bug(
    "gaussian-constant-missing",
    "The Gaussian likelihood lacks its log 2π",
    "“A constant does not matter for training”, so ½ log 2π per pixel is left out, and the same function then reports the "
    "result. 0.92 nats a pixel, 720 an image: the figure says it is a density and integrates to (2π)^(D/2). Pictures are the "
    "same to the last bit.",
    "paper code, where the loss and the reported figure share a function",
    (Edit(LIKELIHOODS, "gaussian_nll", "work += LOG_2PI", ""),),
    (19,),
    (f"{GITHUB}Qinyu-Allen-Zhao/Arinar/issues/1", f"{GITHUB}clementchadebec/benchmark_VAE/issues/123"),
    likelihood="gaussian",
)

NOT_DIVIDED_BY_255 = Bug(
    "not-divided-by-255",
    "Pixels run from 0 to 255 in a Bernoulli likelihood",
    "Images come from another loader, and nobody divides. softplus(a) − x a with x = 255 has no lower bound: the loss falls "
    "through 0 and on towards minus infinity, and the model learns to answer white wherever a pixel was ever more than "
    "black. In ours the encoder sees the large numbers too, and the first exp(logvar) overflows within a few steps.",
    "readers who put their own images into an example",
    (Edit("data/dataset.py", "gather", 'if array.dtype == np.uint8 and out.dtype.kind == "f":\n    np.divide(out, 255, out=out)', ""),),
    (17,),
    (f"{GITHUB}Lasagne/Recipes/issues/54", f"{GITHUB}Lightning-Universe/lightning-bolts/issues/177"),
)

DEAD_BIAS = Bug(
    "dead-bias",
    "The gradient of every bias is 0",
    "A line was forgotten, or sums over the wrong axis into an array nobody reads. Weights learn around it, and much can be "
    "learned without a bias; the loss is a nat worse, and nothing in its curve tells.",
    "networks written without a framework",
    (Edit(AFFINE, "affine_backward", "np.sum(dY, axis=0, out=db)", "db.fill(0)"),),
    (5,),
)

GRADIENTS_NOT_ZEROED = Bug(
    "gradients-not-zeroed",
    "Gradients of all past batches are added up",
    "A framework that accumulates gradients must be told to forget them, and the call is missing. Each update goes along the "
    "sum of all gradients since the beginning: momentum that never decays. The loss falls at first and then swings.",
    "training loops of every kind of model",
    (
        Edit(AFFINE, "affine_backward", "np.matmul(x.T, dY, out=dW)", "dW += np.matmul(x.T, dY)"),
        Edit(AFFINE, "affine_backward", "np.sum(dY, axis=0, out=db)", "db += np.sum(dY, axis=0)"),
    ),
    (5,),
    (f"{GITHUB}seangal/dcgan_vae_pytorch/issues/4", f"{GITHUB}Project-MONAI/GenerativeModels/issues/102"),
)

BUGS = (
    MEAN_OVER_PIXELS, LOG_OF_SIGMOID, SIGMOID_TWICE, SOFTPLUS_PIXELS, GAUSSIAN_CONSTANT_MISSING, NOT_DIVIDED_BY_255, DEAD_BIAS,
    GRADIENTS_NOT_ZEROED,
)  # fmt: skip
