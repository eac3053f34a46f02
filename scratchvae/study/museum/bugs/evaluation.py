"""Bugs of evaluation: the model is right, and what is said of it is not."""

from ..bug import Bug
from ..private_copy import Edit

LOSSES = "evaluate/losses.py"
GITHUB = "https://github.com/"

MEAN_DECODED = Bug(
    "mean-decoded",
    "μ is decoded at evaluation, and the result called an ELBO",
    "In evaluation mode the model skips the noise and decodes μ. That gives the nicer picture, but −log p(x|μ) + KL is no "
    "bound: the KL is paid for a noise that is not there. About 9 nats on MNIST, enough to beat a better model.",
    "a framework's official example, corrected by an author of the VAE; copies of it live on",
    (
        Edit(
            LOSSES, "_noise",
            "eps = rng.normal(seed, rng.EVALUATE, k, rows, model.noise_columns, model.dtype.type)",
            "eps = np.zeros((len(rows), model.noise_columns), model.dtype)",
        ),
    ),
    (36,),
    (f"{GITHUB}pytorch/examples/pull/419",),
)  # fmt: skip

TEST_LOSS_OF_THE_TRAINING_SET = Bug(
    "test-loss-of-the-training-set",
    "The test loss is computed on the training images",
    "The loop of the test epoch was copied from the training epoch with the loader that it ran over. The two curves lie on "
    "top of each other, and that is read as a model that does not overfit.",
    "notebooks, reported for several models of one collection",
    (
        Edit(
            "training/trainer.py", "Trainer._run",
            "terms = image_terms(self.model, held_out, validators, s.seed, replicas=replicas)",
            "terms = image_terms(self.model, self.fields, validators, s.seed, replicas=replicas)",
        ),
    ),
    (),
    (f"{GITHUB}timsainb/tensorflow2-generative-models/issues/9",),
)  # fmt: skip

LOG_P_WITHOUT_MINUS = Bug(
    "log-p-without-minus",
    "The figure is reported without its minus sign",
    "Inside, code minimises −log p. On its way into the table a sign is turned once more, or once too little, and a "
    "log-likelihood appears under the heading NLL. Seen alone it may pass; the day someone sorts by it, the worst model "
    "wins.",
    "evaluation scripts",
    (
        Edit(
            LOSSES, "measure",
            'quantity, float(values.mean()), error, unit, model.config.get("likelihood", "own"),',
            'quantity, -float(values.mean()), error, unit, model.config.get("likelihood", "own"),',
        ),
    ),
    (36,),
)  # fmt: skip

TIMED_WITHOUT_WAITING = Bug(
    "timed-without-waiting",
    "A GPU is timed without waiting for it",
    "The clock is read, the kernels are launched, the clock is read again. A launch returns at once, so what was timed is "
    "the launching. Matrices of every size take the same few microseconds, and one library's product is “45 times faster” "
    "than another's, whose call happens to wait.",
    "benchmarks, published comparisons among them",
    (
        Edit(
            "study/museum/clock.py", "time_step",
            "device.synchronise()\nreturn device.now - began",
            "return device.now - began",
        ),
    ),
    (),
    (f"{GITHUB}TristanBilot/mlx-benchmark/pull/21", f"{GITHUB}1ytic/warp-rnnt/issues/9"),
    model="clock",
    note="Simulated: a make-believe device with a clock of its own, because this museum needs no GPU.",
)  # fmt: skip

BUGS = (MEAN_DECODED, TEST_LOSS_OF_THE_TRAINING_SET, LOG_P_WITHOUT_MINUS, TIMED_WITHOUT_WAITING)
