"""Exercises: the house built again, one function at a time, each answer put through layers of checks that speak in words.

    list_exercises(folder) → the ladder · start(name, folder) writes a stub · check(path) → Result · hint(name, number)
    · solution(name)
"""

from .check import check
from .folder import Step, list_exercises, start, table
from .ladder import NAMES, hint, solution
from .result import Finding, Result

__all__ = ["NAMES", "Finding", "Result", "Step", "check", "hint", "list_exercises", "solution", "start", "table"]
