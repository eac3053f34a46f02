"""The page of proofs: each cell names a test or a command that exists, or says that it is open."""

import ast
import re
from pathlib import Path

import pytest

from scratchvae.cli import parser

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
OPEN = "*open*"


def rows(text):
    """The cells of each line of the first table in a text, without its rule."""
    lines = re.search(r"((?:^\|.*\n?)+)", text, re.MULTILINE)[1].strip().split("\n")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]


OVERVIEW = rows(PAGE)
SECTIONS = {title: dict(rows(text)[1:]) for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)}
CELLS = [(title, proof, cell) for title, proofs in SECTIONS.items() for proof, cell in proofs.items()]


def test_the_overview_and_the_sections_tell_the_same_of_the_same_models():
    anchors = [re.search(r"\(#(.*?)\)", head)[1] for head in OVERVIEW[0][1:]]
    assert anchors == [title.lower().replace(" ", "-") for title in SECTIONS]
    for proof, *marks in OVERVIEW[1:]:
        for mark, (title, proofs) in zip(marks, SECTIONS.items(), strict=True):
            assert (mark == OPEN) == (proofs[proof] == OPEN), (proof, title)
            assert proof == "trains to" or mark in ("●", OPEN)
            assert mark in ("●", OPEN) or mark.split()[0] in proofs[proof], (proof, title)
    assert all(list(proofs) == [row[0] for row in OVERVIEW[1:]] for proofs in SECTIONS.values())


@pytest.mark.parametrize(("title", "proof", "cell"), CELLS, ids=lambda value: value if len(value) < 30 else "")
def test_what_a_cell_names_exists(title, proof, cell):
    if cell == OPEN:
        return
    named = re.findall(r"`(tests/\w+\.py)` `(\w+)(?:\[(.*?)\])?`", cell)
    assert len(named) == cell.count("tests/"), cell
    for file, name, case in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file} has no {name}"
        keys = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not case or case in keys, f"{file} has no case {case}"
    commands = re.findall(r"`((?:scratchvae|python) [^`]*)`", cell)
    for command in commands:
        program, *arguments = command.split()
        if program == "scratchvae":
            parser().parse_args(arguments)  # ends in SystemExit for what it does not know
        else:
            assert (ROOT / arguments[0]).is_file()
    assert named or commands, f"{title}, {proof}: neither a test nor a command"
    assert proof != "trains to" or commands, f"{title}: a figure without the command that measured it"
