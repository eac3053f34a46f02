"""Commands for study: explain, trace, exercise."""

import argparse
import json

from .options import at_least_1, command
from .runs import open_run


def add(commands):
    """Describe the commands of this file to argparse."""
    sub = command(commands, trace, "write one training step as a page to step through", "scratchvae trace --digit 7 --out trace.html")
    sub.add_argument("--model", metavar="RUN|tiny", help="a run folder, or a 4-3-2 network (default: trains a small VAE)")
    sub.add_argument("--digit", type=int, default=7, help="label of the image that goes in")
    sub.add_argument("--index", type=int, default=0, help="which of the test images with that label")
    sub.add_argument("--seed", type=int, default=0, help="of the noise")
    sub.add_argument("--out", default="trace.html", help="file to write")

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


def trace(o):
    from ..study.trace import make_trace, write_html

    model, data = (o.model, None) if o.model in (None, "tiny") else open_run(o.model)
    told = make_trace(model, data, digit=o.digit, index=o.index, seed=o.seed, progress=not o.json)
    write_html(told, o.out)
    print(json.dumps({"file": o.out, **told.to_dict()}) if o.json else o.out)


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
    return sub
