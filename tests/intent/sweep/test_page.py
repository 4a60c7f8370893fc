"""What a person sees of a sweep: the table, the figure, the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from rich.console import Console

from intent.sweep.ledger import Ledger, Trial
from intent.sweep.page import figure_of, write_sweep_page
from intent.sweep.plots import Axis, text_of
from intent.sweep.space import parse_space
from intent.sweep.table import ranked, short_names, state_of, table_of

SPACE = parse_space(
    {
        "train.learning_rate": {"loguniform": [1e-4, 1e-2]},
        "model.hidden": {"choice": [16, 32, 64]},
        "model.branch_units": {"choice": [[64], [64, 32]]},
    },
    "s",
)
ASKED = {
    "samples": "/s", "manifest": "abc", "seed": 3, "max_epochs": 9, "grace": 1, "reduction": 3,
    "settings": {"model": {"kind": "dipn"}},
}  # fmt: skip


def trial(number, rate, hidden, units, state, score, epochs, reason=""):
    values = dict(zip(SPACE, (rate, hidden, units), strict=True))
    return Trial(f"{number:04d}", values, state, score, epochs or None, epochs, 500, reason)


@pytest.fixture
def ledger(tmp_path):
    trials = [
        trial(0, 1e-4, 16, [64], "stopped", 0.61, 1),
        trial(1, 1e-3, 32, [64, 32], "ended", 0.72, 9),
        trial(2, 3e-3, 64, [64], "ended", 0.74, 5),
        trial(3, 9e-3, 64, [64], "failed", None, 0, "the loss is nan <at> epoch 0"),
        trial(4, 2e-3, 16, [64, 32], "stopped", 0.75, 3),
    ]
    return Ledger(tmp_path, ASKED, {t.id: t for t in trials}, best="0002")


def test_runs_that_ended_come_first_then_the_stopped(ledger):
    assert [t.id for t in ranked(ledger)] == ["0002", "0001", "0004", "0000", "0003"]


def test_the_table_fits_a_terminal_and_marks_the_best(ledger):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))
    console.print(table_of(ledger))
    text = console.export_text()
    best = next(line for line in text.splitlines() if "0002 *" in line)
    assert "0.7400" in best and "0.003" in best
    assert "none" in text and max(map(len, text.splitlines())) <= 80
    console.print(table_of(ledger, rows=2))
    assert "0004" not in console.export_text()


def test_names_are_short_where_that_is_clear():
    names = short_names(["train.seed", "samples.seed", "model.hidden"])
    assert list(names.values()) == ["train.seed", "samples.seed", "hidden"]


def test_places_on_an_axis():
    log = Axis("rate", [1e-4, 1e-2, 1e-3], log=True)
    assert log.places() == pytest.approx([0, 1, 0.5])
    assert Axis("rate", [1e-4, 1e-2, 1e-3]).places()[2] == pytest.approx(0.0909, abs=1e-3)
    kinds = Axis("units", [[64], [64, 32], [64]])
    assert kinds.places() == [0, 1, 0] and [t for _, t in kinds.ticks()] == ["[64]", "[64, 32]"]
    assert Axis("hidden", [64, 16, 32]).places() == [1, 0, 0.5]  # in order, one step apart
    assert Axis("same", [0.5, 0.5]).places() == [0.5, 0.5]
    assert Axis("flag", [True, False]).ticks() == [(0.0, "false"), (1.0, "true")]
    mixed = Axis("norm", [None, 1.0, None])
    assert mixed.places() == [0, 1, 0] and text_of(None) == "none"


def test_the_figure_is_narrow_and_has_a_line_for_every_score(ledger):
    svg = figure_of(ledger, SPACE)
    root = ElementTree.fromstring(svg)
    width, height = map(float, root.get("viewBox").split()[2:])
    assert width < 330 and height < 2 * width  # points; a phone is as wide
    texts = "".join(root.itertext())
    for word in ("learning_rate", "hidden", "branch_units", "AUC, validation", "0.0001"):
        assert word in texts
    dashed = len(re.findall("stroke-dasharray: *[0-9]", svg))
    assert dashed == 2  # the two that were stopped
    del ledger.trials["0000"]
    assert len(re.findall("stroke-dasharray: *[0-9]", figure_of(ledger, SPACE))) == 1


def test_one_trial_is_no_figure(ledger):
    for id in ("0000", "0001", "0004"):
        del ledger.trials[id]
    assert figure_of(ledger, SPACE) == ""


def test_the_page_needs_nothing_else_and_says_what_to_think_of_it(ledger, tmp_path):
    page = write_sweep_page(tmp_path / "sweep.html", ledger, SPACE, "simulated shop").read_text()
    assert "0.740" in page and "flatters" in page and "Simulated data" in page
    assert "loguniform 0.0001 to 0.01" in page and "n 500" in page
    assert "the loss is nan &lt;at&gt; epoch 0" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert 'name="viewport"' in page
    plain = write_sweep_page(tmp_path / "sweep.html", ledger, SPACE, "a shop").read_text()
    assert "Simulated data" not in plain


def test_what_is_fitted_has_no_epochs_and_was_not_stopped_by_patience(ledger, tmp_path):
    space = parse_space({"model.kind": {"choice": ["dipn", "gbdt"]}}, "s")

    def page() -> str:
        return write_sweep_page(tmp_path / "sweep.html", ledger, space, "a shop").read_text()

    for id in ledger.trials:
        ledger.note(id, values={"model.kind": "dipn"})
    assert "after 5 epochs" in page() and "of 45, had" in page()
    assert state_of(ledger.trials["0002"], 9) == "ended early, by train.patience"
    ledger.note("0002", values={"model.kind": "gbdt"}, epoch=None, epochs=0)
    assert state_of(ledger.trials["0002"], 9) == "ended"
    assert "on the validation days,\n" in page() and "of 36, had" in page()
    for id in ledger.trials:
        ledger.note(id, values={"model.kind": "gbdt"})
    assert "epochs trained" not in page()


def test_a_sweep_without_a_best_run_has_a_page_too(ledger, tmp_path):
    ledger.best = None
    page = write_sweep_page(tmp_path / "sweep.html", ledger, SPACE, "a shop").read_text()
    assert "No run of 5 trials has a score" in page
