"""Bugs of networks with several ways through them: skips, stages, and layers that have a mode."""

from ..bug import Bug
from ..private_copy import Edit

HOURGLASS = "models/hourglass.py"
GITHUB = "https://github.com/"

SKIP_CROPPED_OFF_BY_ONE = Bug(
    "skip-cropped-off-by-one",
    "A skip is cropped one pixel too far down and to the right",
    "Where convolutions are not padded, what a skip brings is larger than what it is laid beside, and is cropped "
    "to its middle. A difference that is odd, or halved twice with other roundings, moves it by a pixel. backward "
    "crops the same way, so every gradient is right, the shapes fit, and the loss falls. What the network is "
    "worth hardly shows it, 51.1 against 50.9: the next kernel is three pixels wide, and can ask one pixel aside "
    "for all but what has fallen off at the edge.",
    "U-Nets for images of any size",
    (
        Edit(
            "nn/composition.py", "Skip.forward",
            "return self.join.forward(x, self.around.forward(x))",
            "beside = 0 * x\n"
            "beside[:, :-1, :-1] = x[:, 1:, 1:]\n"
            "return self.join.forward(beside, self.around.forward(x))",
        ),
        Edit(
            "nn/composition.py", "Skip.backward",
            "dx, dy = self.join.backward(dY)",
            "beside, dy = self.join.backward(dY)\n"
            "dx = 0 * beside\n"
            "dx[:, 1:, 1:] = beside[:, :-1, :-1]",
        ),
    ),
    (77, 78),
    (
        f"{GITHUB}jakeret/tf_unet/issues/172", f"{GITHUB}hayashimasa/UNet-PyTorch/issues/3",
        f"{GITHUB}milesial/Pytorch-UNet/issues/32",
    ),
    model="unet",
    note="Our convolutions are padded and our skips not cropped: here what falls off at the edge is filled up with 0.",
)  # fmt: skip

LOSSES_OF_ONE_HEAD = Bug(
    "losses-of-one-head",
    "The losses of all stages are those of the last one",
    "Each hourglass of a stack has a head of its own, and a loss. The loop over the stages takes the same maps in "
    "every round, an index that does not move, and the sum of their losses is that of one head, several times. "
    "Every gradient is right for what was summed. The heads before the last are told nothing of the joints, and "
    "draw whatever the last stage can use. Whoever looks at the total, or at the last stage, sees nothing.",
    "stacks with intermediate supervision, and questions about them",
    (
        Edit(
            HOURGLASS, "Hourglass.forward",
            "for y in self.outputs:",
            "for y in [self.outputs[-1]] * len(self.outputs):",
        ),
        Edit(
            HOURGLASS, "Hourglass.backward",
            "dX = None",
            "dX = None\n"
            "derrors = [0 * derror for derror in derrors[:-1]] + [sum(derrors)]",
        ),
    ),
    (21, 22),
    (
        f"{GITHUB}princeton-vl/pytorch_stacked_hourglass/issues/11",
        f"{GITHUB}LeeRel1991/faceAlignment_tensorflow/issues/13",
    ),
    model="hourglass",
)  # fmt: skip

NEVER_OUT_OF_TRAINING = Bug(
    "never-out-of-training",
    "Batch norm stays in training mode",
    "Training ends, and nobody says so. Batch norm goes on to normalise by the batch at hand, so what is said of "
    "an image depends on which images are looked at together. Measured in batches of 50, its own figure is as "
    "good as that of the correct code, 50.8 against 50.9. One image alone, which is how a model is often used, is "
    "normalised by itself: image by image, the same network is worth 52.5.",
    "test scripts without the call that ends training",
    (Edit("training/step.py", "TrainingStep.__exit__", "self.model.use(None).train(False)", "self.model.use(None)"),),
    (71,),
    (
        f"{GITHUB}qubvel-org/segmentation_models.pytorch/issues/128", f"{GITHUB}fxia22/pointnet.pytorch/pull/19",
        f"{GITHUB}layumi/Person_reID_baseline_pytorch/issues/218",
    ),
    model="unet",
)  # fmt: skip

BUGS = SKIP_CROPPED_OFF_BY_ONE, LOSSES_OF_ONE_HEAD, NEVER_OUT_OF_TRAINING
