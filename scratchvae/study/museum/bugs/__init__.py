"""Every piece of the museum, in the order in which it is shown."""

from ....errors import ConfigError, meant
from . import evaluation, importance, likelihood, networks, posterior, training

BUGS = (*posterior.BUGS, *likelihood.BUGS, *training.BUGS, *evaluation.BUGS, *importance.BUGS, *networks.BUGS)


def find(name):
    """The bug of that name. Raises ConfigError, with the nearest name that there is."""
    for bug in BUGS:
        if bug.name == name:
            return bug
    near = meant(name, [bug.name for bug in BUGS]) or "."
    raise ConfigError(f"the museum has no bug {name[:100]!r}{near} `scratchvae museum list` shows all")
