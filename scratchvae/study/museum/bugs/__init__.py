"""Every piece of the museum, in the order in which it is shown."""

from ....errors import ConfigError
from . import evaluation, importance, likelihood, posterior, training

BUGS = (*posterior.BUGS, *likelihood.BUGS, *training.BUGS, *evaluation.BUGS, *importance.BUGS)


def find(name):
    """The bug of that name. Raises ConfigError with the names that there are."""
    for bug in BUGS:
        if bug.name == name:
            return bug
    raise ConfigError(f"the museum has no bug {name!r}: it has {', '.join(bug.name for bug in BUGS)}")
