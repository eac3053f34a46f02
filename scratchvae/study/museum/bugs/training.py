"""Bugs of the training loop: every formula is right, and what happens between them is not."""

from ..bug import Bug
from ..private_copy import Edit

STEP, TRAINER, OPTIMISERS = "training/step.py", "training/trainer.py", "ops/numpy/optimisers.py"
GITHUB = "https://github.com/"
DRAW = "block = rng.normal(self.seed, rng.LATENT, steps, rows, self.model.noise_columns, self.values.dtype.type)"

ONE_EPSILON_PER_BATCH = Bug(
    "one-epsilon-per-batch",
    "All images of a batch share one ε",
    "ε is drawn with the shape of one code, and broadcasting does the rest. In the mean over many steps the gradient is "
    "still right, so the model trains; its noise no longer averages out within a batch, and the same mistake in an "
    "evaluation makes its error bars far too small.",
    "code that draws noise of shape (latents,)",
    (
        Edit(
            STEP,
            "TrainingStep.noise",
            "return [block[step - first]]",
            "return [np.repeat(block[step - first][:1], stop - start, axis=0)]",
        ),
    ),
    (13,),
)

SAME_EPSILON_EVERY_STEP = Bug(
    "same-epsilon-every-step",
    "The noise is drawn once and used in every step",
    "A seed is set inside the forward pass, for reproducibility, or the noise is a tensor that is made when the model is "
    "built. Each place in the batch keeps its ε for good. The output still looks random, and changes from run to run; what "
    "it has is a fixed offset per row, which it learns by heart: the training loss runs ahead of the test loss.",
    "a framework's change from graphs to eager execution froze the noise of models that had been right",
    (Edit(STEP, "TrainingStep.noise", DRAW, DRAW.replace("LATENT, steps,", "LATENT, 0 * steps,")),),
    (13,),
    (f"{GITHUB}tensorflow/tensorflow/issues/36715",),
)

SHORT_BATCH_AS_FULL = Bug(
    "short-batch-as-full",
    "The last, short batch is counted as a full one",
    "The reported loss divides by the number of batches times the batch size. The last batch of an epoch is usually short, "
    "so images are counted that do not exist, and the figure is too small by their share. 8 images in the last of 40 batches "
    "of 128 make it 2.3 % better.",
    "training frameworks and tutorials",
    (Edit(TRAINER, "Trainer._run", 'self.window["images"] += images', 'self.window["images"] += count * s.batch_size'),),
    (36,),
    (f"{GITHUB}catalyst-team/catalyst/issues/799", f"{GITHUB}udacity/deep-learning-v2-pytorch/issues/129"),
)

TRAINING_ON_THE_TEST_SET = Bug(
    "training-on-the-test-set",
    "The test images are among the training images",
    "The arrays of the two files are joined, shuffled, and split for evaluation only, or a flag is left at its default. "
    "Everything works. The test figure is a training figure, and the better the model memorises, the better it looks. No "
    "judge of the finished model can tell: the test images are spent.",
    "loaders that return everything they find",
    (
        Edit(
            TRAINER, "Trainer.__init__",
            "self.images = data.train.images\nself.fields = dict(data.train.fields)",
            "import numpy as np\n"
            "self.images = np.concatenate([data.train.images, data.test.images])\n"
            'self.fields = {"images": self.images}',
        ),
    ),
    (),
    (f"{GITHUB}jonasrothfuss/meta_learning_pacoh/pull/5",),
)  # fmt: skip

ADAM_WITHOUT_BIAS_CORRECTION = Bug(
    "adam-without-bias-correction",
    "Adam's moments are not corrected for their start at 0",
    "Two lines of the algorithm look optional. Without them the first step is 3.2 times the learning rate (0.1 / √0.001), "
    "and the steps stay too long for hundreds of updates: a warm-up the wrong way round. A short run ends ahead if its "
    "learning rate was small, and behind if it was large.",
    "optimisers written by hand",
    (
        Edit(
            OPTIMISERS, "adam",
            "m_scale, v_scale = (1 - beta1) / (1 - beta1**step), sqrt((1 - beta2) / (1 - beta2**step))",
            "m_scale, v_scale = 1 - beta1, sqrt(1 - beta2)",
        ),
    ),
    (29,),
    (f"{GITHUB}nerfstudio-project/gsplat/pull/770", f"{GITHUB}keras-team/keras/pull/10129"),
)  # fmt: skip

MOMENTS_RESET_EVERY_EPOCH = Bug(
    "moments-reset-every-epoch",
    "The optimiser starts anew with each epoch",
    "The optimiser is made inside the loop over epochs, or a resumed run does not restore it. Its moments are 0 again, while "
    "the step count goes on (so no correction helps): v has forgotten more than m, and the first updates of every epoch are "
    "up to three times too long. As with any other larger learning rate, a short run may look better for it.",
    "loops that call a function per epoch; checkpoints that leave the optimiser out",
    (
        Edit(
            TRAINER, "Trainer._run",
            "order = do.order(epoch)",
            "order = do.order(epoch)\n"
            "for moment in self.optimiser.moments.values():\n    moment.fill(0)",
        ),
    ),
    (29,),
    (f"{GITHUB}TrenTorch/TrenTorch/pull/187",),
)  # fmt: skip

BUGS = (
    ONE_EPSILON_PER_BATCH, SAME_EPSILON_EVERY_STEP, SHORT_BATCH_AS_FULL, TRAINING_ON_THE_TEST_SET, ADAM_WITHOUT_BIAS_CORRECTION,
    MOMENTS_RESET_EVERY_EPOCH,
)  # fmt: skip
