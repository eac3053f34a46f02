"""Training: one step, many steps, their record on disk, and going on where one stopped."""

from .checkpoint import load_model
from .device_step import DeviceStep
from .fit import Trainer, default_epochs, fit, resume
from .optimisers import OPTIMISERS, Optimiser
from .run import RunFolder
from .schedules import Schedule
from .step import TrainingStep

__all__ = [
    "OPTIMISERS", "DeviceStep", "Optimiser", "RunFolder", "Schedule", "Trainer", "TrainingStep", "default_epochs", "fit", "load_model",
    "resume",
]  # fmt: skip
