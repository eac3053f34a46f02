"""Whether the other workers help: the better way is found, kept, and left when it is no longer the better one."""

import pytest

from scratchvae.helping import LAST, TRIAL, Helping


def seconds_of(helping, alone, together, seconds):
    """Go on for so many seconds of steps that cost so much in each of the two ways → the mean cost of a step, the ways taken."""
    spent, ways = 0.0, []
    while spent < seconds:
        ways.append(helping.alone)
        cost = alone if helping.alone else together
        spent += cost
        helping.took(cost)
    return spent / len(ways), ways


@pytest.mark.parametrize("step", [2e-4, 3e-3, 0.1])
@pytest.mark.parametrize("ratio", [0.14, 0.5, 0.8, 1.25, 2.0, 7.0])
def test_a_step_takes_hardly_longer_than_the_better_way_would(step, ratio):
    """In its first seconds somewhat longer, since it does not know yet; then as good as the better way."""
    helping = Helping()
    alone, together = step, step * ratio
    first, _ = seconds_of(helping, alone, together, 20)
    later, _ = seconds_of(helping, alone, together, 60)
    best = min(alone, together)
    short = step < TRIAL  # a longer one is a trial of its own, and another before it is not counted
    assert first < (1.1 if short else 1.25) * best
    assert later < (1.05 if short else 1.2) * best


def test_it_follows_when_a_load_comes_and_when_it_goes():
    helping = Helping()
    quiet, busy = (0.004, 0.0025), (0.005, 0.02)
    for costs, alone_is_better in ((quiet, False), (busy, True), (quiet, False), (busy, True)):
        seconds_of(helping, *costs, 30)
        _, ways = seconds_of(helping, *costs, 30)
        assert sum(way == alone_is_better for way in ways) > 0.9 * len(ways)
        # However long it has been so, another load is found out within the time that a way in use is kept.
        seconds_of(helping, *(busy if costs is quiet else quiet), 1.5 * LAST * TRIAL)
        assert helping.alone != alone_is_better or helping._trying
        seconds_of(helping, *costs, 30)


def test_workers_that_gain_nothing_are_left_asleep():
    _, ways = seconds_of(Helping(), 0.001, 0.00097, 20)
    assert sum(ways) > 0.9 * len(ways)


def test_the_first_step_of_either_way_does_not_count():
    """Caches are cold then and processes asleep: a first step that takes a second must not decide."""
    helping = Helping()
    was, ways = None, []
    for _ in range(8000):
        way = helping.alone
        helping.took(1.0 if way != was else 0.002 if way else 0.001)
        was = way
        ways.append(way)
    assert sum(ways) < 0.1 * len(ways)


def test_a_system_that_first_keeps_both_processes_on_one_core_does_not_decide():
    """For a tenth of a second after a pause two workers may be as slow as one; what they are afterwards counts."""
    helping = Helping()
    together, ways = 0.0, []
    while len(ways) < 30_000:
        way = helping.alone
        cost = 0.001 if way else 0.0015 if together < 0.09 else 0.0006
        together = 0.0 if way else together + cost
        helping.took(cost)
        ways.append(way)
    assert sum(ways) < 0.1 * len(ways)
