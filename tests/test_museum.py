"""The museum: every bug is caught, the correct code passes, a planted bug goes nowhere else, and what ships is up to date."""

import builtins
import json
import re
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from scratchvae import VAE, fit
from scratchvae.errors import ConfigError
from scratchvae.study.equations import equations
from scratchvae.study.museum import make, table, trial
from scratchvae.study.museum.bugs import BUGS, find
from scratchvae.study.museum.exhibit import catalogue, listing, show
from scratchvae.study.museum.iwae import IWAE, log_likelihood
from scratchvae.study.museum.layers import CAUGHT, LAYERS, NOT_RUN, PASSED, Layer, examine
from scratchvae.study.museum.private_copy import Edit, PackageCopy, edited
from scratchvae.study.museum.quiz import Quiz, play
from scratchvae.study.museum.tour import run

NAMES = [bug.name for bug in BUGS]
DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def computed():
    """The whole table, and what of the interpreter was there before and after: the one slow thing here."""
    VAE(4, (3,), 2, seed=0)  # whatever the package itself loads on first use, it has loaded now
    PackageCopy()["study.museum.iwae"]
    before = {name: id(module) for name, module in sys.modules.items()}
    found = table.museum_table()
    after = {name: id(module) for name, module in sys.modules.items()}
    return found, before, after


# Every bug and every layer --------------------------------------------------------------------------------------------


def test_the_correct_code_passes_every_layer(computed):
    assert {name: v.sentence for name, v in computed[0][table.CORRECT].items() if v.status != PASSED} == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_bug_is_caught_by_at_least_one_layer(computed, name):
    assert table.caught_by(computed[0][name])


def test_the_shipped_table_is_what_the_layers_say_today(computed):
    now = {row: {layer: v.status for layer, v in cells.items()} for row, cells in computed[0].items()}
    shipped = {row: {layer: v.status for layer, v in cells.items()} for row, cells in table.shipped()["table"].items()}
    assert now == shipped, "compute it again: python -m scratchvae.study.museum.make"


def test_the_page_is_what_the_shipped_table_makes():
    assert (DOCS / "museum_table.md").read_text(encoding="utf-8") == make.page()


def test_every_layer_catches_something_and_is_needed_or_says_what_the_others_cannot(computed):
    rows = [table.caught_by(computed[0][name]) for name in NAMES]
    assert {layer for row in rows for layer in row} == {layer.name for layer in LAYERS}
    alone = {row[0] for row in rows if len(row) == 1}
    assert {"distributions", "extremes", "bookkeeping", "evaluation", "clock"} <= alone


def test_a_gradient_check_and_a_falling_loss_see_few_of_them(computed):
    seen = [set(table.caught_by(computed[0][name])) & {"learns", "differences", "complex-step"} for name in NAMES]
    assert sum(map(bool, seen)) < len(NAMES) / 4


def test_a_bug_can_be_computed_alone_and_leaves_all_other_rows(tmp_path, monkeypatch):
    before, name = table.shipped(), NAMES[3]
    monkeypatch.setattr(make, "run_all", lambda folder, report, names: {n: make_believe(before, n) for n in names})
    monkeypatch.setattr(table, "verdicts", lambda edits=(): before["table"][table.CORRECT])
    monkeypatch.setattr(table, "FILE", tmp_path / "table.json")
    assert make.main([name, str(tmp_path)]) == 0
    after = table.shipped()
    table.shipped.cache_clear()
    assert list(after["table"]) == list(before["table"])
    assert (after["table"], after["figures"]["rows"]) == (before["table"], before["figures"]["rows"])
    assert (tmp_path / "museum_table.md").exists()


def make_believe(held, name):
    """A Visit that found what is shipped."""

    class Found:
        verdicts, figures = held["table"][name], held["figures"]["rows"].get(name)

    return Found


# Planting -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_edited_function_runs_in_some_layer(name):
    bug, reached = find(name), set()
    copy = bug.plant()
    for layer in LAYERS:
        if table.shipped()["table"][name][layer.name].status != NOT_RUN and layer.name != "oracle":
            examine(layer, copy)
            reached |= copy.reached
        if reached == {(e.file, e.function) for e in bug.edits}:
            return
    assert reached == {(e.file, e.function) for e in bug.edits}


def test_nothing_of_a_planted_bug_is_seen_outside_its_copy(computed):
    _, before, after = computed
    assert {name for name in after if name.startswith("scratchvae") and after[name] != before.get(name)} == set()
    assert builtins.__import__.__module__ == "builtins"
    for edit in {edit for bug in BUGS for edit in bug.edits}:
        module = import_module("scratchvae." + edit.file.removesuffix(".py").replace("/", "."))
        function = reduce(getattr, edit.function.split("."), module)
        assert not hasattr(function, "__wrapped__"), edit.function
        assert not function.__code__.co_filename.endswith("(edited)")


def test_a_copy_without_edits_computes_the_same_bits(tiny_data):
    copy = PackageCopy()
    options = {"data_size": 12, "hidden": (8,), "latent": 2, "seed": 3}
    ours, theirs = VAE(**options), copy["models"].VAE(**options)
    fit(ours, tiny_data, epochs=2, batch_size=8, progress=False, threads=1)
    copy["training"].fit(theirs, tiny_data, epochs=2, batch_size=8, progress=False, threads=1)
    assert type(theirs) is not VAE
    assert np.array_equal(ours.buffer.values, theirs.buffer.values)


def test_two_copies_do_not_see_each_other():
    wrong, right = find("kl-sign").plant(), PackageCopy()
    mu = np.ones((1, 2))
    kl = [
        c["ops.numpy"].gaussian_kl(mu, 0 * mu, np.empty(1), (np.empty_like(mu), np.empty_like(mu)))[0] for c in (wrong, right)
    ]
    assert kl == [-1.0, 1.0]
    assert wrong.reached == {("ops/numpy/gaussian.py", "gaussian_kl")}


def test_a_copy_says_whether_work_runs_what_is_changed_and_keeps_what_was_reached():
    mu, out = np.ones((1, 2)), np.empty(1)
    copy = find("kl-sign").plant()
    kl = lambda: copy["ops.numpy"].gaussian_kl(mu, mu, out, (0 * mu, 0 * mu))
    assert PackageCopy().runs(lambda: None)
    assert not copy.runs(lambda: None)
    assert copy.runs(kl)
    assert not copy.runs(lambda: None)
    assert copy.reached == {("ops/numpy/gaussian.py", "gaussian_kl")}


def test_a_copy_imports_as_python_does():
    copy = PackageCopy()
    assert copy["data"].gather is copy["data.dataset"].gather  # imported absolutely there, relatively elsewhere
    assert copy["training.step"].gathered is copy["evaluate.batch"].gathered
    assert copy["training.step"].np is np
    with pytest.raises(ModuleNotFoundError, match="no module scratchvae.nowhere"):
        copy["nowhere"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("ops/numpy/gaussian.py", "gaussian_kl", "out *= 0.7", ""), "stand 0 times in gaussian_kl"),
        (Edit("ops/numpy/gaussian.py", "gaussian_kl", "total -= logvar\ntotal -= logvar", ""), "stand 0 times"),
        (Edit("ops/numpy/likelihoods.py", "gaussian_nll_backward", "dmean *= dnll[:, None]", ""), None),
        (Edit("ops/numpy/gaussian.py", "gaussian_lk", "out *= 0.5", ""), "has no function gaussian_lk: has it moved"),
        (Edit("models/vae.py", "VAE.forwards", "pass", ""), "has no function VAE.forwards"),
    ],
)
def test_an_edit_fits_exactly_or_is_refused(edit, words):
    if words is None:
        PackageCopy([edit])
    else:
        with pytest.raises(ConfigError, match=words):
            PackageCopy([edit])


def test_an_edit_keeps_the_indentation_and_the_rest():
    edit = Edit("models/vae.py", "VAE.codes", "return self.encode(x)[0]", "if True:\n    return self.encode(x)[1]")
    before, after = edited("models/vae.py", []), edited("models/vae.py", [edit])
    assert after == before.replace("        return self.encode(x)[0]", "        if True:\n            return self.encode(x)[1]")


# Layers ---------------------------------------------------------------------------------------------------------------


def test_an_error_of_the_copy_is_a_catch_and_a_layer_that_never_runs_the_lines_says_so():
    def broken(copy):
        yield True, 1.0, "one"
        raise ValueError("two")

    bug = find("uniform-prior").plant()
    assert (examine(Layer("x", "x", broken), bug).status, examine(Layer("x", "x", broken), bug).sentence) == (
        CAUGHT,
        "ValueError: two",
    )
    holds = Layer("x", "x", lambda copy: iter([(True, np.nan, "one")]))
    assert (examine(holds, bug).status, examine(holds, bug).number) == (NOT_RUN, None)
    assert examine(holds, PackageCopy()).status == PASSED


def test_more_importance_samples_tighten_the_bound():
    model = IWAE(6, (5,), 3, seed=0, dtype=np.float64)
    x = np.random.default_rng(0).random((50, 6))
    one, ten, many = (log_likelihood(model, x, samples).mean() for samples in (1, 10, 300))
    assert one < ten < many
    eps = np.random.default_rng(1).normal(size=(50, 3 * 5))
    assert np.allclose(model.forward(x, eps)[0], -np.log(np.exp(model.log_weights(x, eps)).mean(axis=1)))
    with pytest.raises(ConfigError, match="samples of at least 1"):
        IWAE(6, (5,), 3, samples=0)


# Exhibits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_exhibit_is_complete(name):
    bug, text = find(name), str(show(name))
    assert len(bug.story) > 150
    assert set(bug.equations) <= set(equations())
    assert all(re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(pull|issues)/\d+", url) for url in bug.urls)
    assert "\n    +" in text or "\n    -" in text
    assert "●" in text
    assert json.loads(json.dumps(show(name).to_dict()))["diff"] == bug.diff()


def test_a_diff_shows_our_line_and_the_wrong_one():
    lines = find("mean-over-pixels").diff().split("\n")
    assert re.fullmatch(r"scratchvae/ops/numpy/likelihoods.py:\d+  bernoulli_nll", lines[0])
    assert "-    return np.sum(total, axis=1, out=out)" in lines
    assert "+    return np.mean(total, axis=1, out=out)" in lines


def test_the_catalogue_names_each_bug_once():
    assert [name for name, _, _ in catalogue()] == NAMES
    assert len(set(NAMES)) == len(NAMES) >= 20
    assert all(caught for _, _, caught in catalogue())
    assert all(name in listing() for name in NAMES)
    with pytest.raises(ConfigError, match="no bug 'nothing'. `scratchvae museum list` shows all"):
        find("nothing")


def test_figures_are_written_for_people():
    shown = [table.number(v) for v in (105.6249, -0.26, -1.75e23, 123456.0, None)]
    assert shown == ["105.6", "−0.26", "−1.8·10²³", "1.2·10⁵", "not finite"]


# Trials ---------------------------------------------------------------------------------------------------------------


def test_the_judge_agrees_with_the_correct_code_and_not_with_a_wrong_one(tiny_data):
    for kind in (("vae", "bernoulli"), ("vae", "gaussian"), ("iwae", "bernoulli")):
        right = trial.try_out(data=tiny_data, epochs=1, kind=kind)
        assert right.judged == pytest.approx(right.own, rel=1e-5)
        assert right.test is not None
    wrong = trial.try_out(find("mean-over-pixels"), data=tiny_data, epochs=1)
    assert wrong.own < 0.25 * wrong.judged


def test_a_network_is_judged_image_by_image_and_by_every_stage(monkeypatch, tmp_path):
    from scratchvae.study.museum.figure import draw_pair

    monkeypatch.setattr(trial, "PICTURES", (48, 12))
    monkeypatch.setattr(trial, "EPOCHS", dict.fromkeys(trial.EPOCHS, 1))
    for model, name in (("unet", "never-out-of-training"), ("hourglass", "losses-of-one-head")):
        right, wrong = trial.try_out(kind=(model, "")), trial.try_out(find(name))
        assert right.judged == pytest.approx(right.own, rel=1e-5)
        assert right.own == pytest.approx(right.test, rel=1e-5)
        assert abs(wrong.judged / wrong.own - 1) > 1e-3
        draw_pair(right, wrong, tmp_path / "pair.png", "A title\nand what it shows")


def test_a_run_that_stops_keeps_what_it_had_and_is_drawn(tiny_data, tmp_path):
    from scratchvae.study.museum.figure import draw_door, draw_pair

    right, wrong = (trial.try_out(bug, data=tiny_data, epochs=3) for bug in (None, find("not-divided-by-255")))
    wrong.losses, wrong.own, wrong.stopped = (
        [None] * len(wrong.losses),
        None,
        wrong.stopped or "the loss is not finite at step 2 (epoch 1)",
    )
    wrong.samples = np.full_like(right.samples, np.nan)
    draw_pair(right, wrong, tmp_path / "pair.png", "A title\nand what it shows")
    draw_door(right, [("one", wrong, "below")], tmp_path / "door.png", "A title\nand what it shows")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("pair.png", "door.png"))


def test_the_clock_is_run_without_training():
    visit = run("timed-without-waiting")
    assert visit.times == {"correct": 1404.0, "with the bug": 56.0}
    assert "56 µs" in str(visit)
    assert json.loads(json.dumps(visit.to_dict()))["figures"] is None
    with pytest.raises(ConfigError, match="nothing to train"):
        trial.try_out(find("timed-without-waiting"))


def test_a_visit_prints_both_sides_and_the_layers(tiny_data, monkeypatch, tmp_path):
    from scratchvae.study.museum import tour

    monkeypatch.setattr(tour, "pair", lambda bug: tuple(trial.try_out(b, data=tiny_data, epochs=1) for b in (None, bug)))
    monkeypatch.setattr(tour.tables, "verdicts", lambda edits: table.shipped()["table"]["kl-without-half"])
    visit = run("kl-without-half")
    assert "its own evaluation" in str(visit)
    assert "● distributions" in str(visit)
    assert json.loads(json.dumps(visit.to_dict()))["figures"]["correct"] == visit.right.judged
    assert tour.figures_of({"kl-without-half": visit})["rows"]["kl-without-half"]["own"] == visit.wrong.own


# The quiz -------------------------------------------------------------------------------------------------------------


def test_the_quiz_plants_the_same_bug_for_the_same_seed_and_many_for_many():
    planted = [Quiz(seed).answer(NAMES[0]).bug.name for seed in range(60)]
    assert planted == [Quiz(seed).answer(NAMES[0]).bug.name for seed in range(60)]
    assert len(set(planted)) > 20


def test_the_quiz_answers_and_its_layers_do_not_name_the_bug():
    quiz = Quiz(seed=1)
    name = quiz.answer(NAMES[0]).bug.name
    wrong = next(other for other in NAMES if other != name)
    assert quiz.answer(name).right
    assert not quiz.answer(wrong).right
    assert str(quiz.answer(wrong)).startswith(f"No: it is {name}.")
    assert json.loads(json.dumps(quiz.answer(name).to_dict()))["planted"] == name
    assert quiz.layer("known-values").status == table.shipped()["table"][name]["known-values"].status
    for refused in (lambda: quiz.answer("nothing"), lambda: quiz.layer("nothing")):
        with pytest.raises(ConfigError, match="'nothing'"):
            refused()


def test_the_quiz_is_played_on_a_terminal(tiny_data, tmp_path):
    said, quiz = [], Quiz(seed=1)
    name = quiz.answer(NAMES[0]).bug.name
    lines = iter(["names", "layers", "layer extremes", "layer extreems", "what?", "", "answer kl-sgin", f"answer {name}"])
    answer = play(1, ask=lambda prompt: next(lines), say=said.append)
    assert answer.right
    assert "did you mean extremes?" in "\n".join(said)
    assert "did you mean kl-sign?" in "\n".join(said)
    assert said[-1].startswith("Right.")

    def leave(prompt):
        raise EOFError

    assert play(1, ask=leave, say=said.append) is None
    assert name in said[-1]


def test_the_quiz_trains_and_draws_without_telling(tiny_data, tmp_path):
    quiz = next(quiz for quiz in map(Quiz, range(9)) if quiz.trains)
    right = trial.try_out(data=tiny_data, epochs=1)
    quiz.__dict__["_pair"] = (right, right)
    assert "own evaluation" in quiz.train()
    clock = next(quiz for quiz in map(Quiz, range(400)) if not quiz.trains)
    assert "bit for bit" in clock.train()
    with pytest.raises(ConfigError, match="nothing to compare"):
        clock.figure(tmp_path / "quiz.png")
