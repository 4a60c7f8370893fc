"""Samples without Spark: the library's functions in a row, on DataFrames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from intent.config import SamplesConfig
from intent.features.encode import ORDER, encode
from intent.features.span import Span
from intent.features.vocabulary import Dictionaries
from intent.samples import manifest as manifests
from intent.samples.build import BuildPlan, run_task
from intent.schema import DAY_MS, PAPER
from tests.support.raw_logs import START

NAMES = {
    "swipe.page": ["Page_Home", "Page_Detail"],
    "tap.page": ["Page_Home", "Page_Cart"],
    "tap.button": ["Button-Buy"],
    "browse.leaf_category": ["shoes", "hats"],
    "browse.top_category": ["fashion", "tech"],
    "browse.page": ["Page_Detail"],
}
DICTIONARIES = Dictionaries.from_counts(
    {key: {n: 100 - i for i, n in enumerate(names)} for key, names in NAMES.items()}, PAPER
)


def records(tables: dict, span: Span | None) -> pa.Table:
    """Encoded and sorted records of all tables."""
    parts = [
        encode(name, pa.Table.from_pandas(frame, preserve_index=False), DICTIONARIES, span)
        for name, frame in tables.items()
    ]
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in ORDER])


def build_samples(
    root: Path, tables: dict, days: int = 4, length: int = 16, per_day: int = 12, batch: int = 64,
    row_group: int = 20, seed: int = 3,
):  # fmt: skip
    """Build a dataset at `root`; returns its manifest."""
    span = Span(START, START + days * DAY_MS)
    schema = replace(PAPER, length=length)
    plan = BuildPlan(str(root), schema, span, per_day, row_group, seed)
    sorted_records = records(tables, span)
    result = run_task(sorted_records.to_batches(max_chunksize=batch), plan)
    made = manifests.Build(
        days=sorted({s.day for s in result.shards}), span=(span.start, span.end),
        rows_in={n: len(f) for n, f in tables.items()}, used=dict(result.used),
        quarantined=dict(result.quarantined), dropped=dict(result.dropped),
        counted={"censored_cuts": result.censored_cuts},
        quarantine_files=result.quarantine_files, source="test", code_version="test",
    )  # fmt: skip
    manifest = manifests.Manifest(
        layout="tracks", schema=schema,
        settings=SamplesConfig(seed=seed, cuts_per_day=per_day).of_groups(),
        shards=sorted(result.shards, key=lambda s: s.path), builds=[made],
        dictionary_hash=DICTIONARIES.hash(),
    )  # fmt: skip
    manifests.save(root, manifest, DICTIONARIES)
    return manifest
