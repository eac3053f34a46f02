"""How a model is trained: each setting named once, with its default, what it may be, and what `--help` says of it."""

from dataclasses import asdict, dataclass, field, fields, replace

from .. import gate
from ..errors import ConfigError
from .footprint import check_footprint
from .optimisers import OPTIMISERS, Optimiser
from .schedules import Schedule

LARGEST = 2**31 - 1  # of the counts; what they need of memory is compared with what there is when the model is known
STEPS = 2**32  # the noise of a step is a function of a number of 32 bits


def setting(default, help, *, kind=None, low=1, high=LARGEST, choices=None):
    """A field of Settings. kind: its type, where the default is None · low, high: of whole numbers"""
    value = {"default_factory": dict} if default == {} else {"default": default}
    metadata = {"help": help, "kind": kind or type(default), "low": low, "high": high, "choices": choices}
    return field(metadata=metadata, **value)


@dataclass(frozen=True)
class Settings:
    """What training is asked for. The same settings, model and data give the same bits.

    Raises ConfigError, naming the setting, for a value that cannot work.
    """

    epochs: int | None = setting(None, "passes over the images (default: 10 for 60,000 images, up to 60 for fewer)", kind=int)
    batch_size: int = setting(128, "images per update (default: 128; unet 4, hourglass 16)")
    lr: float = setting(1e-3, "learning rate (default: 0.001; unet 0.003, hourglass 0.003)")
    schedule: str = setting("constant", "how the learning rate changes", choices=("constant", "step", "cosine"))
    warmup: int = setting(0, "steps over which the learning rate first rises from 0", low=0)
    every: int = setting(1000, "steps between two drops of --schedule step")
    factor: float = setting(0.1, "factor of each drop of --schedule step")
    optimiser: str = setting("adam", "sgd, momentum, nesterov, rmsprop, adagrad, adam or adamw")
    optimiser_settings: dict = setting({}, "of the optimiser, such as beta1")
    weight_decay: float = setting(0.0, "λ of the penalty λ/2 ‖parameters‖²")
    clip: float | None = setting(None, "largest global norm of the gradient (default: none)", kind=float)
    seed: int = setting(0, "of the initial weights, the shuffling and the noise", low=0, high=2**64 - 1)
    shards: int = setting(2, "parts of a batch that threads may share; changes rounding")
    log_every: int = setting(50, "steps between two lines of metrics.jsonl")
    patience: int | None = setting(None, "stop after this many epochs without a better validation loss (default: never)", kind=int)
    tf32: bool = setting(False, "on a GPU: products on tensor cores, with factors of 11 significant bits")

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        if self.clip is not None:
            gate.number("clip", self.clip, above=0)
        Schedule(self.lr, self.schedule, self.warmup, self.every, self.factor, self.warmup + 1)
        self.new_optimiser()

    @classmethod
    def from_dict(cls, told):
        """The settings in a configuration file. Raises ConfigError for a name that is unknown or missing, too."""
        if not isinstance(told, dict):
            raise ConfigError(f"training settings are names and values, not {gate.shown(told)}")
        if missing := [f.name for f in fields(cls) if f.name not in told]:
            raise ConfigError(f"the training setting {missing[0]} is missing")
        return cls.of(**told)

    @classmethod
    def of(cls, **told):
        """Some settings by name, the others as they are by default. Raises ConfigError for a name that does not exist, too."""
        names = [f.name for f in fields(cls)]
        if unknown := [name for name in told if name not in names]:
            raise ConfigError(f"training has no setting {gate.shown(unknown[0])}: it has {', '.join(names)}")
        return cls(**told)

    @classmethod
    def for_model(cls, model, **told):
        """Some settings by name, the others as this model, or class of models, has them by default. Raises ConfigError."""
        return cls.of(**{**getattr(model, "training_defaults", {}), **told})

    def to_dict(self):
        """JSON-able; from_dict makes the same settings of it."""
        return asdict(self)

    def on(self, model, data):
        """These settings for a model and data, with the number of epochs known. Raises ConfigError where they do not fit."""
        if self.tf32 and model.backend.no_tf32:
            raise ConfigError(model.backend.no_tf32)
        if self.patience is not None and data.validation is None:
            raise ConfigError(
                "patience needs a validation split, which a run has from its first step: train with --validation 0.1, or in Python with "
                "data.with_validation(0.1)"
            )
        images = len(data.train.images)
        known = self if self.epochs is not None else replace(self, epochs=default_epochs(images))
        steps = known.steps_per_epoch(images)
        if known.epochs * steps >= STEPS:
            raise ConfigError(f"{known.epochs:,} epochs of {steps:,} steps are too many: a run has at most {STEPS - 1:,} steps")
        known.new_schedule(known.epochs * steps)
        check_footprint(model, len(OPTIMISERS[known.optimiser][0]), images, known.batch_size, known.shards)
        return known

    def steps_per_epoch(self, images):
        """Updates in a pass over that many images: the last batch may be short."""
        return -(-images // self.batch_size)

    def new_optimiser(self, **backend):
        """The Optimiser that these settings ask for."""
        return Optimiser(self.optimiser, self.weight_decay, **backend, **self.optimiser_settings)

    def new_schedule(self, steps):
        """The Schedule of that many steps."""
        return Schedule(self.lr, self.schedule, self.warmup, self.every, self.factor, steps if self.schedule == "cosine" else None)


def default_epochs(images):
    """10 epochs of 60,000 images; of fewer images more, up to 60, so that a small set is seen often enough."""
    return min(60, max(10, round(600_000 / gate.whole("images", images))))


def _checked(f, value):
    """The value in the field's own type. Raises ConfigError."""
    kind, low, high, choices = (f.metadata[key] for key in ("kind", "low", "high", "choices"))
    if value is None and f.default is None:
        return None
    if choices:
        return gate.choice(f.name, value, choices)
    if kind is int:
        return gate.whole(f.name, value, low, high)
    if kind is float:
        return float(gate.number(f.name, value))
    if kind is bool:
        return gate.flag(f.name, value)
    if not isinstance(value, kind):
        raise ConfigError(f"{f.name} must be {'names with values' if kind is dict else 'a text'}, not {gate.shown(value)}")
    return kind(value)
