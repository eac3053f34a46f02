"""The page on data shows what its commands print."""

import importlib.util
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def run_data(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    spec = importlib.util.spec_from_file_location("run_data", DOCS / "run_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_prints_what_the_page_shows(run_data):
    found = run_data.run()
    assert len(found) == run_data.PAGE.read_text(encoding="utf-8").count("```console") > 8
    for line, printed, shown in found:
        assert run_data.run_blocks.same(printed, shown), f"data.md:{line} prints\n{printed}and the page shows\n{shown}"


def test_every_python_block_prints_what_the_page_shows(run_data):
    found = run_data.run_blocks.run(run_data.PAGE)
    assert len(found) == 2
    for line, printed, shown in found:
        assert run_data.run_blocks.same(printed, shown), f"data.md:{line} prints\n{printed}and the page shows\n{shown}"
