"""The report of a run: one HTML file that needs nothing else to be read, sent or printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from intent.evaluation import further_words, plots, words
from intent.report.page import check_packages, write_page
from intent.report.words import horizon, number, percent, plural, span
from intent.training.logbook import read_metrics

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(
    path: str | Path,
    result: Mapping,
    curves: Mapping,
    *,
    manifest: Mapping | None = None,
    days: Sequence[str] = (),
    metrics: str | Path | None = None,
    config: str = "",
) -> Path:
    """Write the report of one evaluation to `path`, atomically, and return the path.

    Args:
        result: of `evaluate`, and of `further` where there is more to show; with "recalibration",
            where scores were recalibrated.
        curves: of `intent.evaluation.evaluate.curves`, for the same scores.
        manifest: of the samples, as `Manifest.to_dict()` or manifest.json gives it. Where its
            "source" is the simulated shop, the report says so at the top.
        days: the days ("YYYY-MM-DD") that were evaluated.
        metrics: metrics.jsonl of the run; a file that is not there leaves the section out.
        config: the resolved configuration as YAML.

    Raises IntentError where the file cannot be written or a package of the report is missing.
    """
    check_packages("report")
    simulated = "simulated" in (manifest or {}).get("source", "").lower()
    values = {
        "result": result,
        "headline": words.headline(result, simulated),
        "simulated": simulated,
        "figures": _figures(result, curves),
        "gains": _gains(result),
        "further": further_words,
        "training": _training(metrics, result["tasks"]),
        "manifest": manifest,
        "tables": _tables(manifest),
        "days": list(days),
        "config": config.strip(),
        "gain": words.gain,
        "trust": words.trust,
    }
    return write_page(path, TEMPLATE, values, "report")


def _figures(result: Mapping, curves: Mapping) -> dict[str, list[dict]]:
    """Task -> its figures as {"svg", "caption"}; none where there is nothing to draw."""
    figures: dict[str, list[dict]] = {}
    for task, points in curves.items():
        auc, base = result[f"auc_{task}"], result["base_rate"][task]["value"]
        drawn = figures[task] = []
        if points["roc"]["fpr"]:
            caption = (
                f"ROC curve. The area under it is the AUC, {number(auc['value'])} "
                f"({span(auc['ci95'])}). Dashed: guessing."
            )
            svg = plots.roc(f"roc-{task}", points["roc"], caption)
            drawn.append({"svg": svg, "caption": caption})
        if points["pr"]["recall"]:
            average = result["pr_auc"][task]
            caption = (
                f"Precision and recall. Average precision {number(average['value'])} "
                f"({span(average['ci95'])}). Dashed: the base rate, {percent(base)}."
            )
            svg = plots.precision_recall(f"pr-{task}", points["pr"], base, caption)
            drawn.append({"svg": svg, "caption": caption})
        bins = result["calibration"][task]
        caption = (
            f"Calibration in {plural(len(bins['groups']), 'bin')} of about "
            f"{plural(result['groups'] // max(len(bins['groups']), 1), 'group')} each, "
            "bars: 95 % intervals. Dashed: scores that mean what they say."
        )
        svg = plots.reliability(f"calibration-{task}", bins, caption)
        drawn.append({"svg": svg, "caption": caption})
    return figures


def _gains(result: Mapping) -> dict[str, str]:
    """Task -> its gain curve; none where nobody buys."""
    return {
        task: plots.gain(
            f"gain-{task}", found["curve"], "Share of the buyers found over the share taken."
        )
        for task, found in result.get("gain", {}).items()
        if found["curve"]["found"][-1] is not None
    }


def _training(metrics: str | Path | None, tasks: Mapping[str, int]) -> list[dict]:
    """Loss and AUC over the steps of training, as {"svg", "caption"}."""
    records = list(read_metrics(Path(metrics))) if metrics else []

    def line(legend: str, kind: str, key: str) -> plots.Line:
        rows = [r for r in records if r["kind"] == kind and r.get(key) is not None]
        values = [r[key] for r in rows]
        return plots.Line(legend, [r["step"] for r in rows], values, kind == "validation")

    loss = [line("training", "step", "loss")]
    auc = [line(f"{horizon(ms)}, training", "step", f"auc_{t}") for t, ms in tasks.items()]
    auc += [line(f"{horizon(ms)}, validation", "validation", f"auc_{t}") for t, ms in tasks.items()]
    figures = []
    for name, series, axis, caption in (
        ("training-loss", loss, "loss, nats", "Loss of the training groups, the sum over tasks."),
        (
            "training-auc",
            auc,
            "AUC",
            "AUC while training, and after an epoch on other groups.",
        ),
    ):
        series = [s for s in series if len(s.steps)]
        if series:
            figures.append({"svg": plots.training(name, series, axis, caption), "caption": caption})
    return figures


def _tables(manifest: Mapping | None) -> list[dict]:
    """What became of the raw rows, a row per table: in, used, quarantined, dropped, and why."""
    if not manifest:
        return []
    return [
        {
            "name": table,
            "in": rows,
            "used": manifest["used"].get(table, 0),
            "quarantined": _of_table(manifest["quarantined"], table),
            "dropped": _of_table(manifest["dropped"], table),
        }
        for table, rows in manifest["rows_in"].items()
    ]


def _of_table(counts: Mapping[str, int], table: str) -> list[tuple[str, int]]:
    """Reasons and rows of one table from counts by "table/reason", most frequent first."""
    found: Iterable[tuple[str, int]] = (
        (key.partition("/")[2], rows) for key, rows in counts.items() if key.split("/")[0] == table
    )
    return sorted(found, key=lambda item: -item[1])
