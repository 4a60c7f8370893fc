"""What the tables of an ablation say, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from intent.evaluation.ablation import HOLDS, OPEN, REVERSED
from intent.report.words import minutes, plural, span

GUESSING_SHOWN = 0.65  # the line of guessing is drawn if an AUC is lower


def simulated(result: Mapping) -> bool:
    """Whether the samples are the simulated shop's."""
    return "simulated" in result["source"].lower()


def title(result: Mapping) -> str:
    """The headline."""
    numbers = [str(t["number"]) for t in result["tables"]]
    told = numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    where = ", simulated shop" if simulated(result) else ""
    return f"Table{'s' if len(numbers) > 1 else ''} {told} of the paper, rebuilt{where}"


def summary(result: Mapping) -> str:
    """What was found in all tables, in two sentences."""
    every = [o for table in result["tables"] for o in table["orderings"]]
    dipn = next(r for t in result["tables"] for r in t["rows"] if not r["difference"])
    aucs = " and ".join(
        f"{auc['value']:.3f} {task}" + (f" ({span(auc['ci95'])})" if auc["ci95"] else "")
        for task, auc in dipn["auc"].items()
    )
    text = f"DIPN's AUC is {aucs}."
    return f"{text} {_counted(every)}" if len(result["tables"]) > 1 else text


def what(result: Mapping) -> str:
    """Data and budget."""
    budget = result["budget"]
    said = dict(each.partition("=")[::2] for each in result["set"])
    settings = ", ".join(f"{k}={v}" for k, v in {**budget["settings"], **said}.items())
    positives = ", ".join(f"{n:,} {task}" for task, n in result["positives"].items())
    took = f"; {plural(result['runs'], 'run')} took {minutes(result['seconds'])}"
    return (
        f"Source: {result['source']}. Judged on {', '.join(result['days'])}, held out: "
        f"{plural(result['groups'], 'group')} of {plural(result['users'], 'user')}, positive: "
        f"{positives}. Preset {budget['name']}{', changed' if said else ''}, "
        f"{plural(budget['seeds'], 'seed')} of every row: {settings}. Every row has the same "
        f"budget{took if result['seconds'] else ''}. Intervals: 95 %, over "
        f"{result['resamples']:,} draws of users (seed {result['seed']}), the same for all rows: "
        f"differences are paired by user. {_seeds(result['seed_sd'])} Samples "
        f"{result['content_hash']}."
    )


def _seeds(seed_sd: Mapping[str, Mapping[str, float]]) -> str:
    """What the intervals know of other seeds of the training."""
    if not seed_sd:
        return "They know nothing of other seeds of the training: there was one."
    told = "; ".join(
        f"{family} {', '.join(f'{sd:.4f} {task}' for task, sd in by_task.items())}"
        for family, by_task in seed_sd.items()
    )
    return (
        f"They cover other seeds of the training too: the standard deviation of one seed's AUC, "
        f"pooled over rows, is {told}."
    )


def finding(table: Mapping) -> str:
    """How many of the paper's orderings hold, and which are reversed."""
    text = _counted(table["orderings"])
    wrong = [o for o in table["orderings"] if o["verdict"] == REVERSED]
    if wrong:
        named = "; ".join(
            f"{name_of(table, o['worse'])} is better than {name_of(table, o['better'])} "
            f"({o['task']}, by {signed(-o['difference']['value'])})"
            for o in wrong
        )
        text += f" Reversed: {named}."
    return " ".join([text, *(_added(table, t) for t in table["tasks"] if not in_paper(table, t))])


def _counted(orderings: Sequence[Mapping]) -> str:
    """ "Of the 13 orderings of the paper 9 hold here, 1 is reversed here, ..." """
    if not orderings:
        return "The paper does not compare these rows with one another."
    count = Counter(o["verdict"] for o in orderings)
    parts = [
        f"{count[kind]} {words[count[kind] > 1]}"
        for kind, words in ((HOLDS, ("holds here", "hold here")),
                            (REVERSED, ("is reversed here", "are reversed here")),
                            (OPEN, ("cannot be told apart", "cannot be told apart")))
        if count[kind]
    ]  # fmt: skip
    if len(orderings) == 1:
        return f"The paper's one ordering {parts[0].removeprefix('1 ')}."
    return f"Of the {len(orderings)} orderings of the paper {', '.join(parts)}."


def _added(table: Mapping, task: str) -> str:
    """Who leads in a task of which the paper's table has no figures."""
    rows = [row for row in table["rows"] if task in row["auc"]]
    best = max(rows, key=lambda row: row["auc"][task]["value"])
    text = (
        f"Of {task} the paper has no figures here: {best['title']} leads with "
        f"{best['auc'][task]['value']:.4f}"
    )
    if (apart := best["difference"].get(task)) is None:
        return text + "."
    return text + f"; DIPN minus it is {signed(apart['value'])} ({signed_span(apart['ci95'])})."


def in_paper(table: Mapping, task: str) -> bool:
    """Whether the paper's table has figures of this task."""
    return any(task in row["paper"] for row in table["rows"])


def several_tasks(table: Mapping) -> bool:
    """Whether its orderings are about more than one task."""
    return len({o["task"] for o in table["orderings"]}) > 1


def caption(result: Mapping, table: Mapping, task: str) -> str:
    """Under a figure."""
    guessing = " Dashed: guessing." if lowest(table, task) < GUESSING_SHOWN else ""
    theirs = (
        "Diamonds: the paper's, of other data; their order is what can be compared."
        if in_paper(table, task)
        else "The paper has no figures of this task."
    )
    return (
        f"Table {table['number']}, {task}. Dots: AUC of the held-out groups here, with 95 % "
        f"intervals; n = {result['groups']:,} groups of {plural(result['users'], 'user')}, "
        f"{result['positives'][task]:,} positive. {theirs}{guessing}"
    )


def lowest(table: Mapping, task: str) -> float:
    """The smallest AUC that a figure has to show, the paper's among them."""
    ours = [row["auc"][task]["value"] for row in table["rows"] if task in row["auc"]]
    return min([*ours, *(row["paper"][task] for row in table["rows"] if task in row["paper"])])


def name_of(table: Mapping, name: str) -> str:
    """A contender's title."""
    return next(r["title"] for r in table["rows"] if r["name"] == name)


def signed(value: float | None) -> str:
    """0.0123 -> "+0.0123"."""
    return "" if value is None else f"{value:+.4f}"


def signed_span(ci95: Sequence[float] | None) -> str:
    """[0.001, 0.02] -> "+0.0010 to +0.0200"."""
    return "no interval" if ci95 is None else f"{signed(ci95[0])} to {signed(ci95[1])}"
