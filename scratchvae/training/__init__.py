"""Training: one step, many steps, their record on disk, and going on where one stopped."""

from .chapters import KEPT, difference, story
from .checkpoint import first_model, load_model, two_epochs
from .device_step import DeviceStep
from .fit import fit, resume
from .optimisers import OPTIMISERS, Optimiser
from .run import RunFolder
from .schedules import Schedule
from .settings import Settings, default_epochs
from .step import TrainingStep
from .trainer import Trainer

__all__ = [
    "KEPT", "OPTIMISERS", "DeviceStep", "Optimiser", "RunFolder", "Schedule", "Settings", "Trainer", "TrainingStep",
    "default_epochs", "difference", "first_model", "fit", "load_model", "resume", "story", "two_epochs",
]  # fmt: skip
