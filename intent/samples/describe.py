"""A sample dataset in numbers: for a script as a dict, for a person as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from intent.samples.manifest import Manifest


def summary(manifest: Manifest) -> dict:
    """What DESIGN section 8 promises of `intent samples describe --json`, and a little more."""
    rates = {f"label_rate_{t.name}": manifest.label_rate(t.name) for t in manifest.schema.tasks}
    size = sum(s.size for s in manifest.shards)
    return {
        "groups": manifest.groups,
        "negatives": manifest.negatives,
        "rows": manifest.rows,
        "events_in": sum(manifest.rows_in.values()),
        "used": sum(manifest.used.values()),
        "quarantined": sum(manifest.quarantined.values()),
        "dropped": sum(manifest.dropped.values()),
        **rates,
        "content_hash": manifest.content_hash(),
        "layout": manifest.layout,
        "sources": list(manifest.schema.sources),
        "days": manifest.days,
        "shards": len(manifest.shards),
        "bytes": size,
        "bytes_per_group": size / max(manifest.groups, 1),
        "censored_cuts": manifest.counted.get("censored_cuts", 0),
        "schema_hash": manifest.schema.hash(),
        "dictionary_hash": manifest.dictionary_hash,
        "excluded": manifest.settings.get("exclude", []),
    }


def accounts(manifest: Manifest) -> list[dict]:
    """What became of the rows of the logs, for each build: {"title", "tables", "counted"}.

    A table is {"name", "in", "used", "quarantined", "dropped"}; the last two are lists of
    (reason, rows), the most frequent first.
    """

    def of(counts: Mapping[str, int], table: str) -> list[tuple[str, int]]:
        mine = {k.split("/", 1)[1]: n for k, n in counts.items() if k.split("/")[0] == table}
        return Counter(mine).most_common()

    return [
        {
            "title": f"{build.source}, {_days(build.days)}",
            "tables": [
                {
                    "name": name,
                    "in": rows,
                    "used": build.used.get(name, 0),
                    "quarantined": of(build.quarantined, name),
                    "dropped": of(build.dropped, name),
                }
                for name, rows in build.rows_in.items()
            ],
            "counted": list(build.counted.items()),
        }
        for build in manifest.builds
    ]


def _days(days: Sequence[str]) -> str:
    if not days:
        return "no day"
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]} ({len(days)} days)"


def lines(facts: Mapping, manifest: Manifest) -> None:
    """Print what stands out, and the label rates by hour and by day as bars of characters.

    Args:
        facts: of `intent.samples.card.collect`.
    """
    from rich.console import Console
    from rich.table import Table

    from intent.samples.card_words import stands_out

    points = Table.grid(padding=(0, 1))
    for sentence in stands_out(facts, manifest) or ["Nothing does."]:
        points.add_row("•", sentence)
    rates = Table(title="Positive labels, by hour (UTC) and by day", title_justify="left")
    for heading in ("", "", "from", "", "to"):
        rates.add_column(heading)
    for task in facts["tasks"]:
        for name in ("hours", "days"):
            parts = facts[name]
            share = [p["positives"][task] / max(p["groups"], 1) for p in parts]
            span = f"{min(share):.1%} to {max(share):.1%}"
            first, last = (str(parts[i]["name"])[-5:] for i in (0, -1))
            rates.add_row(task, span, first, bars(share), last)
    console = Console()
    console.print("What stands out", style="italic")
    console.print(points)
    console.print(rates)


def bars(values: Sequence[float]) -> str:
    """Values as characters of eight heights, the highest one full: 0.1, 0.2, 0.8 -> "▁▂█"."""
    top = max(values, default=0) or 1
    return "".join("▁▂▃▄▅▆▇█"[min(int(8 * value / top), 7)] for value in values)


def table(manifest: Manifest, folder: str | Path) -> None:
    """Print what the manifest says to stdout."""
    from rich.console import Console
    from rich.table import Table

    facts = summary(manifest)
    console = Console()
    card = Table(title=f"Samples in {folder}", show_header=False, title_justify="left")
    rates = ", ".join(
        f"{t.name} {facts[f'label_rate_{t.name}']:.2%}" for t in manifest.schema.tasks
    )
    for name, value in (
        ("from", manifest.source),
        ("groups", f"{facts['groups']:,} in {facts['rows']:,} rows, layout {facts['layout']}"),
        ("days", f"{facts['days'][0]} to {facts['days'][-1]} ({len(facts['days'])})"),
        ("sources", ", ".join(facts["sources"])),
        ("window", f"{manifest.schema.length} actions"),
        ("positive labels", rates),
        (
            "size",
            f"{facts['bytes'] / 2**20:,.1f} MiB, {facts['bytes_per_group']:,.0f} bytes a group",
        ),
        ("cuts without a full horizon", f"{facts['censored_cuts']:,}, dropped"),
        ("not shown by windows", ", ".join(facts["excluded"])),
        ("content", facts["content_hash"]),
    ):
        if value:
            card.add_row(name, value)
    console.print(card)
    rows = Table(title="Rows of the logs", title_justify="left")
    for heading in ("table", "in", "used", "quarantined", "dropped", "why"):
        rows.add_column(heading, justify="left" if heading in ("table", "why") else "right")
    for name, total in manifest.rows_in.items():
        bad, gone = (
            Counter({k.split("/")[1]: n for k, n in c.items() if k.startswith(f"{name}/")})
            for c in (manifest.quarantined, manifest.dropped)
        )
        why = "\n".join(f"{n:,} {reason}" for reason, n in (bad + gone).most_common())
        counts = (total, manifest.used.get(name, 0), bad.total(), gone.total())
        rows.add_row(name, *[f"{n:,}" for n in counts], why)
    console.print(rows)
