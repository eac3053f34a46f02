"""The README does what it says."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_example_runs(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert "nats per image" in capsys.readouterr().out
    assert (tmp_path / "runs" / "readme" / "checkpoint.npz").exists()


def test_the_two_commands_come_first_and_need_nothing_installed():
    first, second = blocks("bash")[:2]
    for command in (first, second):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert "scratchvae train" in first
    assert "pytest" in second


def test_every_file_it_shows_or_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_museum_table_is_the_one_that_was_computed():
    from scratchvae.study.museum import table

    assert table.as_text(table.shipped()["table"]) in README.read_text(encoding="utf-8")
