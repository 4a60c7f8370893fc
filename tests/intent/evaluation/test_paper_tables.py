"""The paper's tables as data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from intent.config import load_config
from intent.errors import UsageError
from intent.evaluation.paper_tables import WHOLE, contenders, tables

SOURCES = ["swipe", "tap", "browse", "history", "profile"]
TASKS = ["realtime", "longterm"]
PAPER = Path(__file__).parents[4] / "shared" / "seeds" / "dipn-paper.txt"


def all_three(sources=SOURCES):
    return tables([4, 5, 6], sources, TASKS)


def test_every_contender_is_a_valid_configuration_and_no_two_are_the_same():
    rows = contenders(all_three())
    assert rows[0].name == WHOLE and len({c.name for c in rows}) == len(rows)
    made = []
    for c in rows:
        flags = [f"{key}={value}" for key, value in c.settings.items()]
        made.append(load_config(None, flags).model_dump_json())
    assert len(set(made)) == len(rows)


@pytest.mark.skipif(not PAPER.exists(), reason=f"the paper's text is not at {PAPER}")
def test_figures_are_those_of_the_paper():
    text = PAPER.read_text()
    start = text.index("Table 4: Comparison")
    numbers = set(re.findall(r"0\.\d{4}", text[start : text.index("6.2 Experimental")]))
    ours = {f"{auc:.4f}" for c in contenders(all_three()) for auc in c.paper.values()}
    assert ours == numbers and len(ours) == 20


def test_orderings_are_those_that_the_figures_show():
    for table in all_three():
        paper = {c.name: c.paper for c in table.contenders}
        assert table.orderings
        for o in table.orderings:
            assert paper[o.better][o.task] > paper[o.worse][o.task]


def test_data_without_a_source_leaves_its_rows_out():
    (table,) = tables([6], ["browse", "history"], TASKS)
    names = {c.name for c in table.contenders}
    assert names == {WHOLE, "without_browse", "without_history", "only_browse", "only_history"}
    assert len(table.missing) == 3
    (single,) = tables([6], ["browse"], TASKS)
    assert {c.name for c in single.contenders} == {WHOLE, "only_browse"}


def test_some_rows_bring_their_tables_and_orderings_only():
    (table,) = tables([4, 5, 6], SOURCES, TASKS, ["gbdt", "early_fusion"])
    assert {c.name for c in table.contenders} == {WHOLE, "gbdt", "early_fusion"}
    pairs = {(o.better, o.worse) for o in table.orderings}
    assert pairs == {(WHOLE, "gbdt"), (WHOLE, "early_fusion"), ("gbdt", "early_fusion")}
    with pytest.raises(UsageError, match="no row is called .*gbtd.*; there are"):
        tables([4, 5, 6], SOURCES, TASKS, ["gbtd"])


def test_another_table_or_other_tasks_are_refused():
    with pytest.raises(UsageError, match="no table 7"):
        tables([7], SOURCES, TASKS)
    with pytest.raises(UsageError, match="no labels for .'longterm'"):
        tables([5], SOURCES, ["realtime"])
