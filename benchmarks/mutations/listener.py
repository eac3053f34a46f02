"""A plugin of pytest, -p benchmarks.mutations.listener: a JSON line for each test, its name, outcome and seconds, to $MUTATIONS_HEARD."""

import json
import os
from collections import defaultdict

seconds = defaultdict(float)


def _tell(test, outcome, took):
    with open(os.environ["MUTATIONS_HEARD"], "a", encoding="utf-8") as file:
        file.write(json.dumps([test, outcome, round(took, 3)]) + "\n")


def pytest_runtest_logreport(report):
    seconds[report.nodeid] += report.duration
    if report.outcome != "passed" or report.when == "teardown":
        _tell(report.nodeid, report.outcome, seconds[report.nodeid])


def pytest_collectreport(report):
    if report.failed:
        _tell(report.nodeid, "failed", 0)
