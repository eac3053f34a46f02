"""Which tests run a line: every test file once under coverage.py, kept until the file changes."""

import ast
import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from coverage import CoverageData

from .rules import ROOT

FOLDER = ROOT / ".mutations" / "coverage"
LONGEST = 900  # seconds for one test file


def make(tree, jobs=1, say=print):
    """Run each test file that is new or changed, in `tree`, a copy of the repository. Tests that fail there are not asked later."""
    changed = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if _of(path.stem)[:1] != [_sha(path.stem)]]
    if not changed:
        return
    listed = sorted((tree / "scratchvae").rglob("*.py"))
    then = hashlib.sha256(b"".join(path.read_bytes() for path in listed)).hexdigest()[:16]
    if not (FOLDER / then).exists():
        for source in listed:
            copy = FOLDER / then / source.relative_to(tree)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    with ThreadPoolExecutor(jobs) as pool:
        for path in pool.map(lambda path: _watch(path, tree, then), changed):
            say(f"coverage of {path.name}", flush=True)


def _watch(path, tree, then):
    """One test file under coverage.py.   then: the name of the copy of the package as it is now"""
    data, heard, key = (FOLDER / f"{path.stem}{end}" for end in (".sqlite", ".jsonl", ".of"))
    for old in (data, heard, key):
        old.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "benchmarks.mutations.listener"]
    command += ["--cov=scratchvae", "--cov-context=test", "--cov-report=", f"tests/{path.name}"]
    env = {**os.environ, "PYTHONPATH": str(tree), "COVERAGE_FILE": str(data), "MUTATIONS_HEARD": str(heard)}
    env |= {"MPLBACKEND": "Agg", "PYTEST_ADDOPTS": ""}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=tree, env=env, timeout=LONGEST, check=False, **quiet)
    key.write_text(f"{_sha(path.stem)} {then}")
    return path


def _of(name):
    """[sha of the test file, name of the copy of the package] when its lines were watched; [] where they never were."""
    key = FOLDER / f"{name}.of"
    return key.read_text().split() if key.exists() else []


def _sha(name):
    """Of a test file as it is now; None where there is none any more."""
    path = ROOT / "tests" / f"{name}.py"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


class Tests:
    """What the map says: `covering(mutation)` gives the tests of a line by file, the file that is most about it first."""

    def __init__(self):
        self.seconds, self.outcome = {}, {}
        self.names = [path.stem for path in sorted(FOLDER.glob("*.of")) if _of(path.stem)[0] == _sha(path.stem)]
        for path in (FOLDER / f"{name}.jsonl" for name in self.names):
            for line in path.read_text(encoding="utf-8").splitlines():
                test, outcome, seconds = json.loads(line)
                self.seconds[test], self.outcome[test] = seconds, outcome

    def passing(self, tests):
        return [test for test in tests if self.outcome.get(test) == "passed"]

    @cache  # noqa: B019  one Tests per campaign
    def _lines(self, name):
        """{source file: {line: {tests}}} of one test file"""
        data, found = CoverageData(str(FOLDER / f"{name}.sqlite")), {}
        data.read()
        for path in data.measured_files():
            inside = "scratchvae/" + path.replace(os.sep, "/").rpartition("/scratchvae/")[2]
            by_line = defaultdict(set)
            for line, contexts in data.contexts_by_lineno(path).items():
                for context in contexts:
                    test, _, when = context.partition("|")
                    if test:
                        by_line[line].add(test if when == "run" else f"tests/{name}.py")  # what is made for one is looked at by others
            found[inside] = dict(by_line)
        return found

    def covering(self, mutation):
        """[(focus, [tests])] of each test file with tests of that line, most focused first; of the file's functions where no test runs
        the line itself, as when it is run at import."""
        found = []
        for name in self.names:
            lines = self._lines(name)
            here = lines.get(mutation.file, {})
            then = FOLDER / _of(name)[1] / mutation.file
            bodies, line = _bodies(then), _moved(then, ROOT / mutation.file).get(mutation.line, 0)
            anywhere = set().union(*(tests for number, tests in here.items() if number in bodies))
            if anywhere:
                focus = len(here.keys() & bodies) / sum(map(len, lines.values()))
                found.append((focus, name, here.get(line, set()) if line in bodies else set(), anywhere))
        if not any(tests for _, _, tests, _ in found):
            found = [(focus, name, anywhere, None) for focus, name, _, anywhere in found]
        return [(focus, self._expand(name, tests)) for focus, name, tests, _ in sorted(found, key=lambda f: -f[0]) if tests]

    def _expand(self, name, tests):
        """A whole file means every test in it. Cheapest first."""
        if f"tests/{name}.py" in tests:
            tests = {test for test in self.seconds if test.startswith(f"tests/{name}.py::")}
        return sorted(self.passing(tests), key=self.seconds.get)


@cache
def _bodies(path):
    """The lines within functions of a file: those that are not run at import."""
    if not path.exists():
        return frozenset()
    functions = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.FunctionDef)]
    return frozenset(line for node in functions for line in range(node.body[0].lineno, node.end_lineno + 1))


@cache
def _moved(old, new):
    """{line now: line then} of lines that stayed, and of changed ones their neighbour's."""
    if not old.exists():
        old = new
    then, now = (Path(path).read_text(encoding="utf-8").splitlines() for path in (old, new))
    moved = {}
    for kind, a, b, c, d in difflib.SequenceMatcher(None, then, now, autojunk=False).get_opcodes():
        for i in range(c, d):
            moved[i + 1] = (a + i - c if kind == "equal" else min(a + i - c, max(a, b - 1))) + 1
    return moved
