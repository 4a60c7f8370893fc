"""Which trials are stopped early; a sweep that is gone on with decides as it would have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (make setup)")

from cluster.tune.halving import Halving  # noqa: E402

STOP, CONTINUE = "STOP", "CONTINUE"
CURVES = {f"{n:04d}": [0.5 + 0.03 * ((7 * n + 3 * e) % 11) for e in range(9)] for n in range(12)}


def sweep(halving: Halving, news: list[tuple[str, int]], over: set[str]) -> list[str]:
    """Tell the news of trials that are not over; which of them were stopped, in order."""
    stopped = []
    for id, epoch in news:
        if id not in over and halving.decide(id, epoch, CURVES[id][epoch - 1]) == STOP:
            over.add(id)
            stopped.append(id)
    return stopped


def in_turns() -> list[tuple[str, int]]:
    """Three trials side by side, then the next three."""
    ids = list(CURVES)
    groups = [ids[first : first + 3] for first in range(0, len(ids), 3)]
    return [(id, epoch) for group in groups for epoch in range(1, 10) for id in group]


def test_only_what_is_not_among_the_best_of_its_rung_is_stopped():
    halving = Halving(9, 1, 3)
    decisions = [halving.decide(str(n), 1, s) for n, s in enumerate([0.5, 0.6, 0.4, 0.7, 0.55])]
    assert decisions == [CONTINUE, CONTINUE, STOP, CONTINUE, STOP]
    assert halving.decide("1", 2, 0.1) == CONTINUE  # no rung there
    assert halving.decide("3", 3, 0.7) == CONTINUE  # the first at the next rung
    assert halving.decide("1", 3, 0.6) == STOP


def test_a_grace_is_kept_and_the_last_epoch_is_let_end():
    halving = Halving(4, 2, 2)
    for n in range(8):
        assert halving.decide(str(n), 1, n / 10 if n % 2 else 0.0) == CONTINUE
    for n in range(8):
        assert halving.decide(str(n), 4, 0.9 - n / 10) == CONTINUE  # it writes its model


def test_without_a_score_nothing_is_decided():
    halving = Halving(9, 1, 3, {"0": [(1, None)]})
    assert halving.decide("1", 1, 0.1) == CONTINUE
    assert halving.decide("2", 1, None) == CONTINUE


@pytest.mark.parametrize("cut", [4, 20, 41, 60])
def test_after_a_cut_it_decides_as_without_one(cut):
    news = in_turns()
    whole = sweep(Halving(9, 1, 3), news, set())
    assert 3 <= len(whole) < 12

    over: set[str] = set()
    first = sweep(Halving(9, 1, 3), news[:cut], over)
    past: dict[str, list] = {}
    dead: set[str] = set()
    known = Halving(9, 1, 3)
    for id, epoch in news[:cut]:  # what the run folders hold by then
        if id not in dead:
            past.setdefault(id, []).append((epoch, CURVES[id][epoch - 1]))
            dead |= set(sweep(known, [(id, epoch)], dead))
    assert first + sweep(Halving(9, 1, 3, past), news[cut:], set(over)) == whole
    if cut > 4:  # and it would not, had it forgotten
        assert first + sweep(Halving(9, 1, 3), news[cut:], set(over)) != whole


def test_what_is_no_matter_of_epochs_is_let_end_and_sets_no_bar():
    def trial(id: str, halved: bool) -> SimpleNamespace:
        return SimpleNamespace(config={"work": {"id": id, "halved": halved}})

    halving = Halving(9, 1, 3)
    first, poor = {"epoch": 1, "score": 0.9}, {"epoch": 1, "score": 0.1}
    assert halving.on_trial_result(None, trial("0", False), first) == CONTINUE
    assert halving.on_trial_result(None, trial("1", True), poor) == CONTINUE  # none to compare with
    assert halving.on_trial_result(None, trial("2", True), first) == CONTINUE
    assert halving.on_trial_result(None, trial("3", False), poor) == CONTINUE
    assert halving.on_trial_result(None, trial("4", True), poor) == STOP  # control


def test_a_trial_that_came_again_is_not_compared_twice():
    halving = Halving(9, 1, 3, {"0": [(1, 0.5)], "1": [(1, 0.8)], "2": [(1, 0.9)]})
    assert halving.decide("0", 1, 0.5) == CONTINUE  # it was let go on before
    assert halving.decide("3", 1, 0.5) == STOP  # as a new one would not be
