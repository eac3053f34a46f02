"""The mutation campaign in short: its lists fit the code, what it says of a mutation is true, and a few are tried."""

import ast
from collections import Counter

import pytest

from benchmarks.mutations import rules
from benchmarks.mutations.page import table
from benchmarks.mutations.trial import NOTICED, SURVIVED, TIMED_OUT, Tree
from benchmarks.mutations.written import written

ASKED = "tests/test_training_as_asked.py::"
# What a written mutation means → the test whose claim it breaks.
SAMPLE = {
    "the clip norm is the sum of the chunks' norms": ASKED + "test_the_norm_that_clips_is_that_of_all_chunks_together[1]",
    "steps of the schedule are counted from step 0": ASKED + "test_the_steps_of_a_schedule_are_counted_from_the_end_of_the_warmup",
    "−ELBO has β · KL in it": "tests/test_evaluate.py::test_minus_elbo_is_reconstruction_plus_kl_whatever_beta_was_trained_with",
}


@pytest.fixture(scope="module")
def tree():
    with Tree() as tree:
        yield tree


def test_every_written_mutation_fits_its_file_and_is_still_code():
    found = written()
    assert len(found) >= 100
    assert len({mutation.key for mutation in found}) == len(found)
    assert {mutation.room for mutation in found} == {*rules.ROOMS, "CUDA kernels"}
    for mutation in found:
        text = (rules.ROOT / mutation.file).read_bytes()
        changed = mutation.apply(text)
        assert changed != text
        if mutation.file.endswith(".py"):
            ast.parse(changed)


def test_rules_draw_the_same_mutations_for_a_seed_as_many_from_every_room_and_all_are_still_code():
    drawn = rules.draw(60, seed=3)
    assert [m.key for m in drawn] == [m.key for m in rules.draw(60, seed=3)]
    assert Counter(m.room for m in drawn) == dict.fromkeys(rules.ROOMS, 60 // len(rules.ROOMS))
    for mutation in drawn:
        ast.parse(mutation.apply((rules.ROOT / mutation.file).read_bytes()))


def test_the_rules_find_what_they_are_named_for(tmp_path, monkeypatch):
    source = """def f(a, b, axis=0):
    if a < b:
        raise ValueError(1)
    a.x = g(b, a, k=3)
    a -= b[1:a]
    return a.sum(axis=1) + 2
"""
    (tmp_path / "m.py").write_text(source)
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    made = {(m.rule, m.old, m.new) for m in rules.of_file("ops", "m.py")}
    assert made >= {
        ("comparisons", "<", "<="), ("dropped check", "a < b", "False"), ("swapped arguments", "b, a", "a, b"), ("defaults", ", k=3", ""),
        ("dropped statement", "a.x = g(b, a, k=3)", "pass"), ("signs", "-=", "+="), ("off by one", "a", "a + 1"), ("wrong axis", "1", "0"),
        ("sums and means", "sum", "mean"), ("constants", "2", "3"), ("signs", "+", "-"),
    }  # fmt: skip
    assert not any(m.old == "1" and m.line == 3 for m in rules.of_file("ops", "m.py"))  # what an error says is left alone


@pytest.mark.parametrize("means", SAMPLE)
def test_a_mistake_is_noticed_by_the_test_whose_claim_it_breaks(tree, means):
    mutation = next(mutation for mutation in written() if mutation.means == means)
    before = (tree.path / mutation.file).read_bytes()
    with tree.with_(mutation):
        assert tree.run([SAMPLE[means]], 600) == (NOTICED, SAMPLE[means])
    assert (tree.path / mutation.file).read_bytes() == before == (rules.ROOT / mutation.file).read_bytes()


def test_what_changes_nothing_survives_and_what_never_ends_is_told(tree):
    with tree.with_(None):
        assert tree.run([*SAMPLE.values()], 600) == (SURVIVED, "")
    assert tree.run([*SAMPLE.values()], 0.01) == (TIMED_OUT, "")


def test_the_table_counts_rooms_names_survivors_and_says_what_was_not_tried():
    mutations = written()[:5]
    verdicts = [NOTICED, TIMED_OUT, SURVIVED, SURVIVED]
    results = {m.key: {"verdict": verdict, "whole": False} for m, verdict in zip(mutations, verdicts, strict=False)}
    text = table(mutations, results, {mutations[3].key: "no number differs"})
    assert "| all | 4 | 0 | 2 | 1 | 1 | 1 | 66.7 % |" in text
    assert "Tried: 4 of 5 mutations (written 4)." in text
    assert "Not yet tried: 1 (ops 1)." in text
    survivors, equivalent = text.split("## Survivors")[1].split("## Equivalent")
    assert mutations[2].means in survivors
    assert f"{mutations[3].means} ({mutations[3].key}): no number differs" in equivalent
