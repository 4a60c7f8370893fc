"""Tables 4, 5 and 6 of the paper as data: whom they compare, by which settings, what they claim.

A contender is one configuration; it may stand in several tables. What the paper gives of it are
AUCs by task. An ordering is a claim of section 6.2 about two contenders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from intent.errors import UsageError
from intent.models.sources import COUNTED

REALTIME, LONGTERM = "realtime", "longterm"
WHOLE = "dipn"
NETWORK, FITTED = "networks", "fitted models"


@dataclass(frozen=True)
class Contender:
    """A configuration that is trained.

    Attributes:
        name: of its run folders.
        title: as the paper writes it.
        settings: dotted settings on top of the budget's, such as {"model.attention": False}.
        paper: task -> AUC in the paper; none for contenders that are not in it.
    """

    name: str
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Contenders whose AUCs vary alike from seed to seed: networks, or fitted models."""
        return FITTED if self.settings.get("model.kind") in COUNTED else NETWORK


@dataclass(frozen=True)
class Ordering:
    """`better` has the larger AUC of `task`, says the paper."""

    better: str
    worse: str
    task: str = REALTIME


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Attributes:
        number, title: in the paper.
        contenders: its rows.
        orderings: what the paper says of them.
        missing: sentences on rows that this data cannot have.
    """

    number: int
    title: str
    contenders: Sequence[Contender]
    orderings: Sequence[Ordering]
    missing: Sequence[str] = ()

    @property
    def tasks(self) -> list[str]:
        """The tasks whose AUC it shows."""
        return [REALTIME] if self.number == 6 else [REALTIME, LONGTERM]

    @property
    def paper_tasks(self) -> list[str]:
        """Those of them that the paper has: its Table 4 is about the next hour."""
        return [REALTIME, LONGTERM] if self.number == 5 else [REALTIME]


DIPN = Contender(WHOLE, "DIPN", {}, {REALTIME: 0.8429, LONGTERM: 0.8276})
SINGLE = {
    REALTIME: Contender(
        "no_multi_task", "DIPN-no-multi-task", {"model.tasks": [REALTIME]}, {REALTIME: 0.8371}
    ),
    LONGTERM: Contender(
        "no_multi_task_longterm", "DIPN-no-multi-task, long-term",
        {"model.tasks": [LONGTERM]}, {LONGTERM: 0.8204},
    ),
}  # fmt: skip
PLAIN_TITLES = {"gbdt": "GBDT", "rnn_dnn": "RNN+DNN"}
OURS = {  # not in the paper
    "logistic": "logistic regression on GBDT's features",
    "gbdt_touch": "GBDT with swipe and tap aggregates",
    "lstm": "LSTM on browse",
    "cnn": "multi-kernel CNN on browse",
}
SOURCES = {  # source -> AUC without it, and of it alone
    "profile": (0.8381, 0.5419),
    "history": (0.7862, 0.7335),
    "browse": (0.8303, 0.6533),
    "swipe": (0.8287, 0.6742),
    "tap": (0.7978, 0.7418),
}


def _kind(name: str, title: str, paper: Mapping[str, float]) -> Contender:
    return Contender(name, title, {"model.kind": name}, paper)


def table_4(sources: Sequence[str]) -> PaperTable:
    """Comparison of different models."""
    gbdt = _kind("gbdt", PLAIN_TITLES["gbdt"], {REALTIME: 0.7871})
    rnn = _kind("rnn_dnn", PLAIN_TITLES["rnn_dnn"], {REALTIME: 0.7902})
    early = Contender(
        "early_fusion", "DIPN-early-fusion", {"model.early_fusion": True}, {REALTIME: 0.7708}
    )
    parts = [
        Contender("no_attention", "DIPN-no-attention", {"model.attention": False},
                  {REALTIME: 0.8345}),
        Contender("no_inter_view", "DIPN-no-inter-view-attention", {"model.inter_view": False},
                  {REALTIME: 0.8367}),
        Contender("no_intra_view", "DIPN-no-intra-view-attention", {"model.intra_view": False},
                  {REALTIME: 0.8401}),
    ]  # fmt: skip
    added = [_kind(name, title, {}) for name, title in OURS.items()]
    rows = [gbdt, rnn, early, *parts, SINGLE[REALTIME], DIPN, *added]
    theirs = [c for c in rows if c.paper]
    orderings = [Ordering(WHOLE, c.name) for c in theirs if c.name != WHOLE]
    orderings += [Ordering(c.name, "early_fusion") for c in (gbdt, rnn, *parts, SINGLE[REALTIME])]
    orderings += [Ordering(c.name, "no_attention") for c in parts[1:]]
    return PaperTable(4, "Comparison of different models", rows, orderings)


def table_5(sources: Sequence[str]) -> PaperTable:
    """Impact of multi-task learning."""
    orderings = [Ordering(WHOLE, c.name, task) for task, c in SINGLE.items()]
    return PaperTable(5, "Impact of multi-task learning", [*SINGLE.values(), DIPN], orderings)


def table_6(sources: Sequence[str]) -> PaperTable:
    """Impact of different sources; those that the data lacks are left out."""
    there = [s for s in SOURCES if s in sources]
    rest = [s for s in SOURCES if s not in sources]
    without, alone = [], []
    for source in there:
        others = [s for s in there if s != source]
        rates = [{REALTIME: auc} for auc in SOURCES[source]]
        if others:
            without.append(Contender(f"without_{source}", f"DIPN w/o {source}",
                                     {"model.sources": others}, rates[0]))  # fmt: skip
        alone.append(Contender(f"only_{source}", f"DIPN w/ {source} only",
                               {"model.sources": [source]}, rates[1]))  # fmt: skip
    orderings = [Ordering(WHOLE, c.name) for c in without]
    for some in (without, alone):
        ranked = sorted(some, key=lambda c: -c.paper[REALTIME])
        orderings += [Ordering(a.name, b.name) for a, b in zip(ranked, ranked[1:], strict=False)]
    missing = [f"The data has no {source}, so its rows are left out." for source in rest]
    return PaperTable(
        6, "Impact of different sources", [DIPN, *without, *alone], orderings, missing
    )


TABLES = {4: table_4, 5: table_5, 6: table_6}


def tables(
    numbers: Sequence[int], sources: Sequence[str], tasks: Sequence[str], rows: Sequence[str] = ()
) -> list[PaperTable]:
    """The tables of these numbers for data that has these sources and tasks.

    With `rows` only these contenders and DIPN, and only the tables that have one of them.

    Raises UsageError for another number, another row, and data without the paper's two tasks.
    """
    for number in numbers:
        if number not in TABLES:
            raise UsageError(f"there is no table {number} to rebuild; 4, 5 and 6 can be")
    if lacking := {REALTIME, LONGTERM} - set(tasks):
        raise UsageError(
            f"the samples have no labels for {sorted(lacking)}: the paper's tables are about "
            f"purchases within an hour and within a day; these samples know {list(tasks)}"
        )
    found = [TABLES[number](sources) for number in sorted(set(numbers))]
    there = {c.name for table in found for c in table.contenders}
    if unknown := set(rows) - there:
        raise UsageError(
            f"no row is called {sorted(unknown)}; there are {', '.join(sorted(there))}"
        )
    return [_only(t, rows) for t in found if not rows or set(rows) & {c.name for c in t.contenders}]


def _only(table: PaperTable, rows: Sequence[str]) -> PaperTable:
    if not rows:
        return table
    some = {*rows, WHOLE}
    return replace(
        table,
        contenders=[c for c in table.contenders if c.name in some],
        orderings=[o for o in table.orderings if {o.better, o.worse} <= some],
    )


def contenders(some: Sequence[PaperTable]) -> list[Contender]:
    """All that must be trained, each once, DIPN first: what everything is compared with."""
    found = {WHOLE: DIPN}
    found |= {c.name: c for table in some for c in table.contenders}
    return list(found.values())
