"""The book: its code runs and prints what it shows, its links lead somewhere, and every chapter can be worked through."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchvae import VAE, fit

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
CHAPTERS = sorted(DOCS.glob("[0-9][0-9]-*.md"))
FENCES = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)

spec = importlib.util.spec_from_file_location("run_blocks", DOCS / "run_blocks.py")
run_blocks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_blocks)


@pytest.mark.parametrize("path", run_blocks.chapters(), ids=lambda path: path.stem)
def test_every_block_runs_and_prints_what_the_book_shows(path):
    for line, printed, shown in run_blocks.run(path):
        assert run_blocks.same(printed, shown), f"{path.name}:{line} printed\n{printed}\nand the book shows\n{shown}"


@pytest.mark.parametrize("options", [
    {}, {"beta": 0.5}, {"likelihood": "gaussian"}, {"hidden": (7, 5), "activation": "silu", "dtype": np.float64},
])  # fmt: skip
def test_the_short_loop_leaves_the_bits_that_fit_leaves(options, tiny_data):
    text = (DOCS / "05-the-implementation.md").read_text(encoding="utf-8")
    imports, loop = re.search(r"```python\n((?:import|from) .*?)\n\n(def plain_fit.*?)\n\n", text, re.DOTALL).groups()
    assert loop.count("\n") < 30
    namespace = {}
    exec(f"{imports}\n{loop}", namespace)
    plain, trained = (VAE(**{"data_size": 12, "hidden": (8,), "latent": 2, "seed": 3} | options) for _ in range(2))
    with namespace["Threads"](1):
        history = namespace["plain_fit"](plain, tiny_data.train.images, epochs=3, batch_size=9, seed=4)
    assert len(tiny_data.train.images) % 9  # the last batch is short
    records = fit(trained, tiny_data, epochs=3, batch_size=9, seed=4, shards=1, threads=1, progress=False, log_every=1000)
    assert plain.buffer.values.tobytes() == trained.buffer.values.tobytes()
    reported = [r["reconstruction"] + r["kl"] for r in records if r["split"] == "train"]
    assert history == pytest.approx(reported, rel=1e-6)


def test_a_block_that_fails_is_told_by_chapter_and_line(tmp_path):
    chapter = tmp_path / "chapter.md"
    chapter.write_text("# Title\n\n```python\nx = 1\n```\n\n  ```python\n  y = x\n  y.missing\n  ```\n", encoding="utf-8")
    with pytest.raises(AttributeError) as failure:
        run_blocks.run(chapter)
    last = failure.traceback[-1]
    assert (str(last.path), last.lineno + 1) == (str(chapter), 9)


@pytest.mark.parametrize("path", run_blocks.chapters(), ids=lambda path: path.stem)
def test_no_block_of_python_is_left_out(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("```python") == len(run_blocks.BLOCK.findall(text)) > 0


@pytest.mark.parametrize(("a", "b", "same"), [
    ("loss 101.3 nats\n", "loss 101.9 nats\n", True), ("loss 101.3 nats\n", "loss 121.3 nats\n", False), ("0.02\n", "0.03\n", True),
    ("0.02\n", "0.04\n", False), ("True\n", "False\n", False), ("a  7\n", "a 7\n", True), ("5,000\n", "6,000\n", False),
    ("1e-9", "1e-12", True), ("-1.0", "1.0", False),
])  # fmt: skip
def test_outputs_are_compared_in_words_and_nearly_in_numbers(a, b, same):
    assert run_blocks.same(a, b) is same


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_pictures_exist(path):
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", "", FENCES.sub("", path.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://|#", target):
            assert (path.parent / target.partition("#")[0]).is_file(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_ends_with_exercises_and_as_many_solutions(path):
    text = FENCES.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[-2:] == ["Exercises", "Solutions"]
    exercises, solutions = text.split("\n## Exercises\n")[1].split("\n## Solutions\n")
    numbers = [[int(n) for n in re.findall(r"^(\d+)\.", part, re.MULTILINE)] for part in (exercises, solutions)]
    assert numbers[0] == numbers[1] == list(range(1, len(numbers[0]) + 1))
    assert len(numbers[0]) >= 4


def test_every_equation_that_is_mentioned_is_defined():
    defined = {
        int(n) for path in CHAPTERS for n in re.findall(r"^> \*\*E(\d+) · ", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    for path in PAGES:
        mentioned = {int(n) for n in re.findall(r"\bE(\d+)\b", FENCES.sub("", path.read_text(encoding="utf-8")))}
        assert mentioned <= defined, path.name


def test_all_pictures_together_are_small():
    sizes = {path.name: path.stat().st_size for path in (DOCS / "figures").iterdir()}
    assert sum(sizes.values()) < 3_000_000
    assert all(size < 500_000 for name, size in sizes.items() if name.endswith(".gif"))


def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    for needed in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(needed)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "-d",
        tmp_path / "cache",
        DOCS,
        tmp_path / "site",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    chapter = (tmp_path / "site" / "03-the-details.html").read_text(encoding="utf-8")
    assert chapter.count("<math") > 100
    for page in (tmp_path / "site").glob("*.html"):
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text(encoding="utf-8"))
        assert fetched == [], page.name
