"""Commands for study: explain, trace, museum, exercise."""

import argparse
import json
import re
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ..errors import ConfigError, ScratchVAEError, printable
from .options import add_best, at_least_1, command, seed, whole
from .runs import open_run, which

TRACE = "scratchvae trace --digit 7 --out trace.html"


def add(commands):
    """Describe the commands of this file to argparse."""
    help = "print an equation, its meaning and its code, and check it numerically"
    sub = command(commands, explain, help, "scratchvae explain E7")
    sub.add_argument("name", metavar="NUMBER|FUNCTION", help="such as E7, or bernoulli_nll")

    sub = command(commands, trace, "write one training step as a page to step through", TRACE)
    help = "a run folder, a model of your own as it starts, or a 4-3-2 network (default: trains a small VAE)"
    sub.add_argument("--model", metavar="RUN|FILE.py:CLASS|tiny", help=help)
    sub.add_argument("--class", dest="kind", metavar="FILE.py:CLASS", help="of a RUN whose model is none of ours")
    help = "where the run's data lie now, if they moved; for FILE.py:CLASS, what train takes (default: mnist-small)"
    sub.add_argument("--data", metavar="PATH", help=help)
    add_best(sub)
    sub.add_argument("--digit", type=whole(0), help="label of the image that goes in (default: 7, where there is one)")
    sub.add_argument("--index", type=whole(0), default=0, help="which of the test images with that label")
    sub.add_argument("--seed", type=seed, default=0, help="of the noise")
    sub.add_argument("--out", default="trace.html", help="file to write, a .html")

    help = "mistakes of real VAE code: what they do, and which layer of proof catches them"
    sub = command(commands, museum, help, "scratchvae museum show variance-for-deviation")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    _action(actions, "list", "every bug, and the table of what catches it")
    one = _action(actions, "show", "the story of a bug, its lines, and what catches it")
    one.add_argument("name", metavar="NAME", help="see list")
    one = _action(actions, "run", "train a bug beside the correct code, and put it through every layer")
    one.add_argument("name", metavar="NAME", nargs="?", help="see list")
    one.add_argument("--all", action="store_true", help="every bug")
    one.add_argument("--out", metavar="DIR", default="museum", help="folder for the figures")
    one = _action(actions, "quiz", "one bug is planted, and not named: find it")
    one.add_argument("--seed", type=seed, default=0, help="which bug")
    one.add_argument("--answer", metavar="NAME", help="answer at once, without the terminal")

    help = "learn by writing it: stubs, hints, and checks that say in words what is wrong"
    sub = command(commands, exercise, help, "scratchvae exercise start affine course")
    actions = sub.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = _action(actions, "list", "the ladder, and how far a folder is")
    one.add_argument("folder", metavar="DIR", nargs="?", help="a student's folder")
    one = _action(actions, "start", "write the stub of an exercise; never over a file that is there")
    one.add_argument("name", metavar="NAME", help="see list")
    one.add_argument("folder", metavar="DIR", nargs="?", default=".", help="a student's folder")
    one = _action(actions, "check", "say in words what is wrong with an answer; status 1 while something is")
    one.add_argument("file", metavar="FILE", help="the file that start has written")
    one = _action(actions, "hint", "one rung of the hint ladder")
    one.add_argument("name", metavar="NAME", help="see list")
    one.add_argument("number", metavar="NUMBER", type=at_least_1, nargs="?", default=1, help="1 says least")
    one = _action(actions, "solution", "print an answer")
    one.add_argument("name", metavar="NAME", help="see list")


def explain(o):
    from ..study.equations import explain

    found = explain(o.name)
    print(json.dumps(found.to_dict(), indent=2) if o.json else found)
    return 0 if found.ok else 1


def museum(o):
    from ..study.museum import exhibit, quiz, tour

    if o.action == "list":
        rows = exhibit.catalogue()
        keys = ("name", "title", "caught_by")
        told = [dict(zip(keys, row, strict=True)) for row in rows]
        print(json.dumps(told, indent=2) if o.json else exhibit.listing())
    elif o.action == "show":
        shown = exhibit.show(o.name)
        print(json.dumps(shown.to_dict(), indent=2) if o.json else shown)
    elif o.action == "run":
        if bool(o.name) == o.all:
            raise ConfigError("museum run takes the NAME of a bug, or --all")
        say = lambda name: print(name, file=sys.stderr)
        visits = tour.run_all(o.out, say) if o.all else {o.name: tour.run(o.name, o.out)}
        told = {name: visit.to_dict() for name, visit in visits.items()}
        print(json.dumps(told, indent=2) if o.json else "\n\n\n".join(map(str, visits.values())))
    elif o.answer is not None or o.json:
        if o.answer is None:
            raise ConfigError("museum quiz --json needs --answer NAME")
        answer = quiz.Quiz(o.seed).answer(o.answer)
        print(json.dumps(answer.to_dict(), indent=2) if o.json else answer)
        return 0 if answer.right else 1
    else:
        answer = quiz.play(o.seed)
        return 0 if answer is not None and answer.right else 1
    return 0


def trace(o):
    from ..checks.class_file import class_of
    from ..study.trace import make_trace, write_html

    if Path(o.out).suffix not in (".html", ".htm"):
        raise ConfigError(f"--out must end in .html, not {o.out!r}")
    model, data, own = o.model, None, o.kind is not None
    if o.model is not None and re.search(r"\.py(:|$)", o.model):
        model, data, own = _own_model(o.model, o.data, o.seed)
    elif o.model not in (None, "tiny"):
        model, data = open_run(o.model, location=o.data, best=o.best, model=class_of(o.kind) if own else None)
    elif given := [name for name in ("data", "best", "kind") if getattr(o, name) is not None]:
        raise ConfigError(f"--{given[0].replace('kind', 'class')} belongs to the --model of a run")
    with _said(o.kind or o.model) if own else nullcontext():
        told = make_trace(model, data, digit=o.digit, index=o.index, seed=o.seed, progress=not o.json)
    write_html(told, o.out)
    if o.json:
        print(json.dumps({"file": o.out, **told.to_dict()}))
    else:
        said = [] if data is None or not Path(o.model).is_dir() else which(o.model, o.best)
        print("\n".join([f"{printable(o.out)}: open it in a browser", *said]))


def _own_model(target, data, seed):
    """A model of a class in a file, made for the data, as it starts → model, data, True"""
    from ..checks.class_file import class_of
    from ..data import load
    from ..models import Model

    kind, data = class_of(target), load(data or "mnist-small")
    if not issubclass(kind, Model):
        raise ConfigError(f"{kind.__name__} is no Model: only a scratchvae.models.Model has a training step to show")
    with _said(target):
        return kind.of_data(data, seed=seed), data, True


@contextmanager
def _said(target):
    """What a model of somebody's own raises is told as theirs."""
    try:
        yield
    except ScratchVAEError:
        raise
    except Exception as error:
        raise ConfigError(f"{target} could not be traced: {type(error).__name__}: {error}") from error


def exercise(o):
    from ..study import exercises

    if o.action == "list":
        steps = exercises.list_exercises(o.folder)
        print(json.dumps([step.to_dict() for step in steps], indent=2) if o.json else exercises.table(steps))
    elif o.action == "check":
        result = exercises.check(o.file)
        print(json.dumps(result.to_dict(), indent=2) if o.json else result)
        return 0 if result.ok else 1
    else:
        arguments = {"start": ("name", "folder"), "hint": ("name", "number"), "solution": ("name",)}[o.action]
        told = str(getattr(exercises, o.action)(*(getattr(o, name) for name in arguments)))
        print(json.dumps({o.action: told}) if o.json else told.rstrip())
    return 0


def _action(actions, name, help):
    """Add an action of a command, which takes --json too → its parser"""
    sub = actions.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print the result as JSON")
    sub.set_defaults(parser=sub)
    return sub
