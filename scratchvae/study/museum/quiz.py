"""The quiz: one bug is planted in a copy of the package and not named. What you may use are the tools."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ... import rng
from ...errors import ConfigError, meant
from .bug import Bug
from .bugs import BUGS, find
from .exhibit import show
from .layers import LAYERS, examine
from .table import number
from .trial import HOW, pair

HELP = """names            the bugs that it may be
layers           the layers of proof
layer NAME       put the code through one of them
train            train it beside the correct code: losses and figures
figure [FILE]    draw both: loss, reconstructions, samples (default quiz.png)
answer NAME      your verdict
quit             leave, and be told"""


@dataclass(frozen=True)
class Answer:
    """right: whether `given` is the bug that was planted."""

    given: str
    bug: Bug

    @property
    def right(self):
        return self.given == self.bug.name

    def to_dict(self):
        return {"right": self.right, "given": self.given, "planted": self.bug.name, "exhibit": show(self.bug.name).to_dict()}

    def __str__(self):
        head = "Right." if self.right else f"No: it is {self.bug.name}."
        return f"{head}\n\n{show(self.bug.name)}"


class Quiz:
    """A workspace with one bug in it, the same for the same seed. Nothing here tells which, until `answer`."""

    def __init__(self, seed=0):
        self.seed = seed
        self._bug = BUGS[int(rng.words(seed, rng.CHECK, 500, 0, 1)[0, 0]) % len(BUGS)]
        self._copy = self._bug.plant()

    names = tuple(bug.name for bug in BUGS)
    layers = tuple(layer.name for layer in LAYERS)

    def layer(self, name):
        """Put the code through a layer of proof → Verdict. Raises ConfigError for a name that there is not."""
        for layer in LAYERS:
            if layer.name == name:
                return examine(layer, self._copy)
        raise ConfigError(f"there is no layer {name!r}: there are {', '.join(self.layers)}{meant(name, self.layers)}")

    @cached_property
    def _pair(self):
        return pair(self._bug)

    @property
    def trains(self):
        """Whether there is anything to train: one bug is of a clock."""
        return self._bug.model != "clock"

    def train(self):
        """Losses of both, and what each says of itself → text"""
        if not self.trains:
            return "This one trains as the correct code does, bit for bit."
        rows = []
        for name, trial in zip(("correct", "yours"), self._pair, strict=True):
            shown = [trial.losses[i] for i in range(0, len(trial.losses), max(1, len(trial.losses) // 8))]
            rows.append(f"{name:8} loss {' '.join(number(loss) for loss in shown)}")
            own = f"own evaluation {number(trial.own)} ({trial.figure})"
            rows.append(f"{'':8} training {number(trial.training)}, test {number(trial.test)}, {own}")
            rows += [f"{'':8} stopped: {trial.stopped}"] if trial.stopped else []
        return "\n".join(rows)

    def figure(self, path="quiz.png"):
        """Draw both into a PNG → its path"""
        if not self.trains:
            raise ConfigError("its pictures are those of the correct code: there is nothing to compare")
        from .figure import draw_pair

        draw_pair(*self._pair, path, f"What is wrong here?\nQuiz, seed {self.seed}. {HOW[self._bug.model]}", judged=False)
        return Path(path)

    def answer(self, name):
        """→ Answer. Raises ConfigError for a name that is not on the list."""
        return Answer(find(name).name, self._bug)


def play(seed=0, ask=input, say=print):
    """The quiz on a terminal → Answer, or None for whoever leaves without one."""
    quiz = Quiz(seed)
    say(f"One bug of {len(quiz.names)} is planted in a copy of this package. Which?\n\n{HELP}")
    while True:
        try:
            word, _, rest = ask("museum> ").strip().partition(" ")
        except EOFError:
            word, rest = "quit", ""
        rest = rest.strip()
        try:
            if word == "quit":
                say(f"It was {quiz._bug.name}: {quiz._bug.title}.")
                return None
            if word == "answer":
                answer = quiz.answer(rest)
                say(str(answer))
                return answer
            if word:
                say(_reply(quiz, word, rest))
        except ConfigError as error:
            say(str(error))


def _reply(quiz, word, rest):
    """What the tools say to a word that is not the last."""
    if word == "names":
        return "\n".join(f"{bug.name:30} {bug.title}" for bug in BUGS)
    if word == "layers":
        return "\n".join(f"{layer.name:14} {layer.title}" for layer in LAYERS)
    if word == "layer":
        verdict = quiz.layer(rest)
        return f"{verdict.status}: {verdict.sentence}"
    if word == "train":
        return quiz.train()
    if word == "figure":
        return str(quiz.figure(rest or "quiz.png"))
    return HELP
