"""Samples without Spark: the library's functions in a row, on DataFrames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from intent.config import SamplesConfig
from intent.features.encode import Limits, encode
from intent.features.span import Span
from intent.features.vocabulary import Dictionaries
from intent.samples import exclusion
from intent.samples import manifest as manifests
from intent.samples.build import BuildPlan, run_task
from intent.samples.runs import ONE_PLACE, RUN, Places, account_runs, accounts, runs
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


def runs_of(tables: dict, limits: Limits, places: Places = ONE_PLACE) -> list[pa.RecordBatch]:
    """The runs of all tables, sorted as a shuffle would sort them."""
    found = []
    for name, frame in tables.items():
        batch = pa.Table.from_pandas(frame, preserve_index=False)
        piece = encode(name, batch, DICTIONARIES, limits)
        found += [*account_runs(list(accounts(piece, batch)), places), *runs([piece], places)]
    return pa.Table.from_batches(found, RUN).sort_by("bucket").to_batches(max_chunksize=3)


def build_samples(
    root: Path, tables: dict, days: int = 4, length: int = 16, per_day: int = 12,
    row_group: int = 20, seed: int = 3, buckets: int = 1, **settings,
):  # fmt: skip
    """Build a dataset at `root`; returns its manifest."""
    span = Span(START, START + days * DAY_MS)
    schema = replace(PAPER, length=length)
    config = SamplesConfig(
        length=length, cuts_per_day=per_day, seed=seed, groups_per_row_group=row_group, **settings
    )
    hidden = exclusion.resolve(config.exclude, schema, DICTIONARIES)
    plan = BuildPlan(str(root), schema, span, span, config, buckets, exclusion=hidden)
    result = run_task(runs_of(tables, Limits(span), Places(buckets, np.zeros(1, np.int64))), plan)
    made = manifests.Build(
        days=sorted({s.day for s in result.shards}), span=(span.start, span.end),
        rows_in={n: len(f) for n, f in tables.items()}, used=dict(result.used),
        quarantined=dict(result.quarantined), dropped=dict(result.dropped),
        counted=dict(result.counted),
        quarantine_files=result.quarantine_files, source="test", code_version="test",
    )  # fmt: skip
    manifest = manifests.Manifest(
        layout="tracks", schema=schema, settings=config.of_groups(),
        shards=sorted(result.shards, key=lambda s: s.path), builds=[made],
        dictionary_hash=DICTIONARIES.hash(),
    )  # fmt: skip
    manifests.save(root, manifest, DICTIONARIES)
    return manifest
