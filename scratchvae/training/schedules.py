"""Learning rates as functions of the step, so that nothing about them has to be saved."""

from dataclasses import asdict, dataclass
from math import cos, pi

from ..errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step.

    kind "constant": lr. "step": lr · factor^⌊step / every⌋. "cosine": from lr to 0 along half a cosine over total steps
    (Loshchilov & Hutter, 2017). With warmup > 0 the rate first rises linearly over that many steps, and the rest begins
    after them.
    """

    lr: float = 1e-3
    kind: str = "constant"
    warmup: int = 0
    every: int = 1000
    factor: float = 0.1
    total: int | None = None

    def __post_init__(self):
        if not 0 < self.lr < float("inf"):
            raise ConfigError(f"lr must be a positive number, not {self.lr}")
        if self.kind not in ("constant", "step", "cosine"):
            raise ConfigError(f"schedule must be constant, step or cosine, not {self.kind!r}")
        if self.warmup < 0 or self.every < 1 or not self.factor > 0:
            raise ConfigError("a schedule needs warmup of at least 0, every of at least 1 and a positive factor")
        if self.kind == "cosine" and (self.total is None or self.total <= self.warmup):
            raise ConfigError(f"a cosine schedule needs a total of more steps than its warmup, not {self.total}")

    @property
    def config(self):
        return asdict(self)

    def __call__(self, step):
        """step counts from 0 → the rate of that step's update"""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        step -= self.warmup
        if self.kind == "step":
            return self.lr * self.factor ** (step // self.every)
        if self.kind == "cosine":
            done = min(step / (self.total - self.warmup), 1.0)
            return self.lr * (1 + cos(pi * done)) / 2
        return self.lr
