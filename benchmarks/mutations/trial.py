"""One mutation in a copy of the repository, and the tests that run there: does any of them notice?"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .rules import ROOT

PARTS = ("scratchvae", "tests", "benchmarks", "docs", "setup.cfg", "pyproject.toml", "ruff.toml", "README.md", "LICENSE", ".github")
ROUNDS = 3.0, 12.0, 45.0  # seconds of tests in each
SLOW = 3  # times what the tests took when coverage watched them, and START seconds more, is the longest that they may take now
START = 60.0
LONGEST = 3600.0
SURVIVED, NOTICED, TIMED_OUT = "survived", "noticed", "timed out"
QUOTING = ("test_museum", "test_cli_study")  # they plant bugs by quoting lines of the package, and stop where those lines have changed
KERNELS = ("layers", "convolution", "elementwise", "affine", "step", "between_steps", "launch", "sanitized")


class Tree:
    """A copy of the repository as it is, with what is not committed. A context manager."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="mutations-"))
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, self.path / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / part).exists():
                shutil.copy2(ROOT / part, self.path / part)
        return self

    def __exit__(self, *exception):
        shutil.rmtree(self.path, ignore_errors=True)

    @contextlib.contextmanager
    def with_(self, mutation):
        """The mutation stands in the tree while the block runs; None changes nothing."""
        if mutation is None:
            yield
            return
        path = self.path / mutation.file
        text = path.read_bytes()
        path.write_bytes(mutation.apply(text))
        try:
            yield
        finally:
            path.write_bytes(text)
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):  # of the same second and size, it would pass for ours
                compiled.unlink()

    def run(self, tests, limit):
        """(verdict, name of the first test that failed) of these tests, given by name, file or folder."""
        with tempfile.TemporaryDirectory() as folder:
            heard, named = Path(folder) / "heard", Path(folder) / "tests"
            named.write_text("\n".join(tests), encoding="utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider"]
            command += ["-p", "benchmarks.mutations.listener", f"@{named}"]
            cache = ROOT / ".mutations" / "cuda_on_cpu"  # mutated kernels are kept apart from good ones
            env = {**os.environ, "PYTHONPATH": str(self.path), "MUTATIONS_HEARD": str(heard), "MPLBACKEND": "Agg", "PYTEST_ADDOPTS": "",
                   "SCRATCHVAE_CUDA_ON_CPU_CACHE": str(cache), "TMPDIR": folder, "CI": ""}  # fmt: skip
            process = subprocess.Popen(
                command, cwd=self.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
            try:
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return TIMED_OUT, ""
            lines = heard.read_text(encoding="utf-8").splitlines() if heard.exists() else []
            failed = next((test for test, outcome, _ in map(json.loads, lines) if outcome == "failed"), None)
            if process.returncode == 0:
                return SURVIVED, ""
            if process.returncode == 4 and any("[" in test for test in tests):  # the mutation changes what the cases are called
                return self.run(list(dict.fromkeys(test.partition("[")[0] for test in tests)), limit)
            if failed is None and process.returncode not in (1, 2, 3) and process.returncode > 0:
                raise RuntimeError(f"pytest could not begin ({process.returncode}): {output[-500:]}")
            return NOTICED, failed or "the tests did not even begin"


def rounds(mutation, known):
    """[([tests], seconds)] that run the line: a few cheap ones of every file first, those of the nearest files before others; all of
    the nearest file last."""
    if mutation.file.endswith((".cu", ".cuh")):
        names = [f"test_cuda_kernels_{name}" for name in KERNELS] + ["test_training_as_asked", "test_cuda_training"]
        names += ["test_cuda_layers_training", "test_iwae", "test_cuda_nvrtc"]
        first = ("convolution", "operand"), ("affine", "tile", "mma", "split_k"), ("elementwise", "activations", "likelihoods", "gaussian")
        near = [f"test_cuda_kernels_{one[0]}" for one in first if any(word in mutation.file for word in one)]
        names = [*near, *(name for name in names if name not in near)]
        files = [[test for test in known.passing(known.seconds) if test.startswith(f"tests/{name}.py::")] for name in names]
    else:
        files = [tests for _, tests in known.covering(mutation)]
        if "/museum/" not in mutation.file:
            files = [tests for tests in files if not tests[0].startswith(tuple(f"tests/{name}.py" for name in QUOTING))]
    found, asked = [], set()
    for seconds in ROUNDS:
        tests = _worth([[test for test in tests if test not in asked] for tests in files], seconds, known)
        asked.update(tests)
        found.append(tests)
    found.append([test for tests in files[:1] for test in tests if test not in asked])
    return [(tests, sum(known.seconds[test] for test in tests)) for tests in found if tests]


def _worth(files, seconds, known):
    """Tests of these files that take no longer than that together, as long of each file, and more where another has not as many."""
    found = []
    for i, tests in enumerate(sorted(files, key=lambda tests: sum(known.seconds[test] for test in tests))):
        share = seconds / (len(files) - i)
        for test in tests:
            if known.seconds[test] > share:
                break
            share, seconds = share - known.seconds[test], seconds - known.seconds[test]
            found.append((files.index(tests), test))
    return [test for _, test in sorted(found, key=lambda pair: pair[0])]


def try_out(tree, mutation, known, trusted, whole=False):
    """{"verdict", "by", "tests", "seconds", "whole"} of one mutation.   trusted: {test: does it pass without a mutation, too?}, kept

    When a test is the first time the one to notice, it must do so by itself, and pass by itself on the code as it is: else it says
    nothing, and the others go on.
    """
    began, ran = time.monotonic(), 0
    verdict, by = SURVIVED, ""
    every = [f"tests/{path.name}" for path in sorted((ROOT / "tests").glob("test_*.py")) if path.stem not in QUOTING]
    for tests, seconds in [*rounds(mutation, known), *([(every, 600.0)] if whole else [])]:
        tests = [test for test in tests if trusted.get(test, True)]
        limit = START + SLOW * seconds
        while tests:
            with tree.with_(mutation):
                verdict, by = tree.run(tests, limit)
            if verdict == TIMED_OUT and limit < LONGEST and tree.run(tests, limit)[0] == TIMED_OUT:
                limit *= 4  # the machine is slow, and not the mutation
                continue
            if verdict != NOTICED or "::" not in by:
                break
            if by not in trusted:
                alone = START + SLOW * known.seconds.get(by, 100)
                with tree.with_(mutation):
                    found = tree.run([by], alone)[0] == NOTICED
                if found:
                    trusted[by] = tree.run([by], alone)[0] == SURVIVED
            if trusted.get(by):
                break
            verdict, tests = SURVIVED, [test for test in tests if test not in (by, by.partition("::")[0])]
        ran += len(tests)
        if verdict != SURVIVED:
            break
    took = round(time.monotonic() - began, 1)
    return {"verdict": verdict, "by": by if verdict == NOTICED else "", "tests": ran, "seconds": took, "whole": whole}
