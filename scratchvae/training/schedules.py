"""Learning rates as functions of the step, so that nothing about them has to be saved."""

from dataclasses import asdict, dataclass
from math import cos, pi

from .. import gate
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
        gate.number("lr", self.lr, above=0)
        gate.choice("schedule", self.kind, ("constant", "step", "cosine"))
        gate.whole("warmup", self.warmup, 0)
        gate.whole("every", self.every)
        gate.number("factor", self.factor, above=0, most=1)
        if self.total is not None:
            gate.whole("total", self.total)
        if self.kind == "cosine" and (self.total is None or self.total <= self.warmup):
            raise ConfigError(f"a cosine schedule needs a total of more steps than its warmup, not {self.total}")

    @property
    def config(self):
        return asdict(self)

    def __call__(self, step):
        """step counts from 0 → the rate of that step's update"""
        step = gate.whole("step", step, 0, 2**32)
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        step -= self.warmup
        if self.kind == "step":
            return self.lr * self.factor ** (step // self.every)
        if self.kind == "cosine":
            done = min(step / (self.total - self.warmup), 1.0)
            return self.lr * (1 + cos(pi * done)) / 2
        return self.lr
