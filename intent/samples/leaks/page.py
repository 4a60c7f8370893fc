"""The leakage report as a page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from intent.report.page import write_page
from intent.samples.leaks import words
from intent.samples.leaks.table import columns_shown, entries_shown
from intent.samples.manifest import Manifest

TEMPLATE = Path(__file__).with_name("leaks.html.j2")
MOST = 40  # rows of each table, besides what gives away
OPEN = 12  # of them that are seen at once, besides what gives away


def write_leaks(path: str | Path, facts: Mapping, manifest: Manifest) -> Path:
    """Write the report of a dataset to the local file `path`, atomically, and return the path.

    Args:
        facts: of `intent.samples.leaks.report.collect`.
        manifest: of the dataset.

    Raises IntentError where the file cannot be written.
    """
    entries, columns = entries_shown(facts, MOST), columns_shown(facts, MOST)
    values = {
        "facts": facts,
        "manifest": manifest,
        "simulated": "simulated" in manifest.source.lower(),
        "headline": words.headline(facts),
        "lines": words.verdict(facts),
        "measure": words.measure(facts),
        "entries": entries,
        "columns": columns,
        "first": OPEN + max(sum(bool(row["gives_away"]) for row in t) for t in (entries, columns)),
        "when": words.WHEN,
        "tenth": words.tenth,
    }
    return write_page(path, TEMPLATE, values, "report")
