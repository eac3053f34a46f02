"""The process in which a student's file runs: python -m scratchvae.study.exercises.child FILE NAME FOLDER SECONDS

It writes FOLDER/result.json after every layer, so that whatever happens next, what was found is kept.
"""

import faulthandler
import io
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from ...errors import BackendError
from ...files import write_text
from .exam import Exam
from .ladder import task
from .result import TODO, WRONG, Finding
from .student import Student, Wrong

PRINTED = 2_000  # characters that are kept of what the file prints


class Printed(io.TextIOBase):
    """Stands in for standard output: keeps the beginning, so that an endless print fills no disk."""

    def __init__(self, path):
        self.file, self.left = open(path, "w", encoding="utf-8"), PRINTED  # noqa: SIM115 (stays open to the end)

    def writable(self):
        return True

    def write(self, text):
        if self.left > 0:
            self.file.write(text[: self.left])
            self.file.flush()
            self.left -= len(text)
        return len(text)


def main(path, name, folder, seconds):
    folder = Path(folder)
    stopped = open(folder / "stopped.txt", "w", encoding="utf-8")  # noqa: SIM115 (stays open to the end)
    sys.stdout = sys.stderr = Printed(folder / "printed.txt")

    def report(exam, now, **end):
        content = {"findings": [asdict(f) for f in exam.findings], "now": now, "finished": False, "fault": None, "lacking": None, **end}
        write_text(folder / "result.json", json.dumps(content))

    exam, fault, lacking = Exam(Student(path), report), None, None
    task(name)  # imported before the clock starts
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=stopped)
    try:
        examine(exam, name)
    except BackendError as error:
        lacking = str(error)  # this machine lacks what the exercise needs
    except BaseException:
        fault = traceback.format_exc()  # a mistake of ours, not of the student's
    report(exam, None, finished=True, fault=fault, lacking=lacking)
    os._exit(0)  # whatever threads the file has started


def examine(exam, name):
    """Load the file and put it through the layers of its exercise, or say why it cannot be loaded."""
    file = exam.student.path.name
    exam.report(exam, [file, "loading"])
    try:
        exam.student.load()
    except Wrong as wrong:
        exam.findings.append(Finding(file, "loading", TODO if wrong.todo else WRONG, wrong.words))
        return
    task(name).examine(exam)


if __name__ == "__main__":
    main(*sys.argv[1:])
