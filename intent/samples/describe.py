"""A sample dataset in numbers: for a script as a dict, for a person as a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from intent.samples.manifest import Manifest


def summary(manifest: Manifest) -> dict:
    """What DESIGN section 8 promises of `intent samples describe --json`, and a little more."""
    rates = {f"label_rate_{t.name}": manifest.label_rate(t.name) for t in manifest.schema.tasks}
    size = sum(s.size for s in manifest.shards)
    return {
        "groups": manifest.groups,
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
    }


def table(manifest: Manifest, folder: Path) -> None:
    """Print the dataset's card to stdout."""
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
        ("content", facts["content_hash"]),
    ):
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
        why = ", ".join(f"{reason} {n:,}" for reason, n in (bad + gone).most_common())
        counts = (total, manifest.used.get(name, 0), bad.total(), gone.total())
        rows.add_row(name, *[f"{n:,}" for n in counts], why)
    console.print(rows)
