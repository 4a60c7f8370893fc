"""Ten thousand rows of rubbish: each is accounted for, and the good rows are unharmed."""

from __future__ import annotations

import csv
import json
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.config import SamplesConfig
from intent.features.tables import TABLES
from intent.samples import manifest as manifests
from intent.samples.reader import TrackFeed
from jobs.build_samples import build_samples
from tests.support.raw_logs import START, random_logs, write_logs

SETTINGS = SamplesConfig(length=16, cuts_per_day=8, max_quarantine_share=1)
ROWS = 10_000
NOON = START + 12 * 3_600_000

ODD = [
    None, None, "", " ", "null", "NaN", float("nan"), float("inf"), -float("inf"), 0, -1, -5.5,
    1e300, 2**63 - 1, -(2**63), 10**30, True, False, "x" * 3000, "\u0000", "naïve ☃",
    "\ud83d\ude00", "a,b", 'say "hi"', "two\nlines", "\r", "\t", "--1", "1e", "0x10", [1, 2],
    {"a": None}, "2024-10-05", NOON, str(NOON), NOON * 1000, float(NOON), "swipe", "tap", "page",
    "button", "purchase", "browse", "Page_Home", 375.0, "375.0",
]  # fmt: skip


def odd_rows(table: str, rows: int, rng: np.random.Generator) -> list[dict]:
    """Rows whose values are anything; some of them may even be usable."""
    columns = TABLES[table].columns
    out = []
    for i in range(rows):
        row = {c: ODD[rng.integers(len(ODD))] for c in columns}
        if rng.random() < 0.7:
            row["user_id"] = f"odd-{i % 50}"
        if rng.random() < 0.5 and "timestamp" in row:
            row["timestamp"] = int(NOON + rng.integers(0, 3_600_000))
        if rng.random() < 0.1:
            del row[columns[rng.integers(len(columns))]]
        out.append(row)
    return out


def write_json(path, rows: list[dict], rng: np.random.Generator) -> int:
    """JSON Lines with broken lines, broken encodings and a line of a megabyte; returns the rows."""
    with open(path, "wb") as file:
        for i, row in enumerate(rows):
            line = json.dumps(row).encode("utf-8", "surrogatepass")
            if i == 7:
                line = json.dumps(row | {"page": "y" * 2**20}).encode()
            elif i % 10 == 1:
                line = line[: max(1, int(len(line) * rng.random()))]
            elif i % 10 == 2:
                line = line.replace(b"e", b"\xff\xfe", 1)
            elif i % 50 == 3:
                line = [b"[1]", b"3", b"null", b'"text"', b"{", b"}{"][i // 50 % 6]
            file.write(line + b"\n" + (b"\n" if i % 25 == 4 else b""))
    return len(rows)


def write_csv(path, rows: list[dict], columns: tuple[str, ...], rng: np.random.Generator) -> int:
    """CSV with rows that are too long or too short, quotes, line breaks and broken encodings."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        out = csv.writer(file)
        out.writerow(columns)
        for i, row in enumerate(rows):
            values = [str(row.get(c, "")).replace("\u0000", "?") for c in columns]
            if i == 7:
                values[1] = "z" * 2**20
            out.writerow(values + ["more"] * (i % 10 == 1) if i % 10 != 2 else values[:2])
    broken = path.read_bytes().replace(b"odd-7,", b"odd-\xc3\x28,")
    path.write_bytes(broken)
    return len(rows)


def write_parquet(folder, rows: list[dict], columns: tuple[str, ...]) -> int:
    """Parquet files in which a column has another type each time."""
    types = [
        pa.string(), pa.large_string(), pa.binary(), pa.float32(), pa.float64(), pa.int64(),
        pa.int8(), pa.bool_(), pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.date32(),
        pa.decimal128(20, 3), pa.list_(pa.int64()), pa.struct([("a", pa.string())]), pa.null(),
        pa.dictionary(pa.int32(), pa.string()),
    ]  # fmt: skip
    folder.mkdir()
    parts = np.array_split(np.arange(len(rows)), 24)
    for f, part in enumerate(parts):
        arrays = {}
        for c, column in enumerate(columns):
            kind = types[(f * 5 + c) % len(types)]
            arrays[column] = pa.concat_arrays([_as(rows[i].get(column), kind) for i in part])
        pq.write_table(pa.table(arrays), folder / f"part-{f}.parquet")
    return len(rows)


def _as(value, kind: pa.DataType) -> pa.Array:
    """The value in a column of this type, by hook or by crook; else null."""
    for attempt in (lambda: pa.array([value], kind), lambda: pa.array([str(value)]).cast(kind)):
        try:
            return attempt()
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    return pa.nulls(1, kind)


def groups(root, manifest, prefix: str) -> dict:
    """(user, t0) -> the group's inputs and labels, of users whose name begins so."""
    feed = TrackFeed(root, manifest, manifest.schema, batch=64, shuffle=False)
    found = {}
    for batch in feed.batches(0):
        for i in np.flatnonzero(batch.weights):
            if str(batch.users[i]).startswith(prefix):
                inputs = {n: v[i].tobytes() for n, v in batch.inputs.items()}
                found[batch.users[i], int(batch.times[i])] = inputs, batch.labels[i].tolist()
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A small clean dataset."""
    folder = tmp_path_factory.mktemp("good")
    write_logs(folder / "logs", random_logs(users=4))
    return folder, build_samples(folder / "logs", folder / "s", SETTINGS)


def test_every_row_of_rubbish_is_accounted_for_and_no_good_row_is_harmed(tmp_path, good):
    folder, clean = good
    rng = np.random.default_rng(0)
    tables = random_logs(users=4)
    write_logs(tmp_path / "good", tables)
    odd = tmp_path / "odd"
    odd.mkdir()
    n = ROWS // 5
    written = Counter({name: len(frame) for name, frame in tables.items()})
    fuzzed = {name: odd_rows(name, n, rng) for name in TABLES}
    # One folder a format: the files of a table in one folder are of one kind.
    written["touch"] += write_json(odd / "touch.jsonl", fuzzed["touch"], rng)
    written["history"] += write_json(odd / "history.jsonl", fuzzed["history"], rng)
    written["tap"] += write_csv(odd / "tap.csv", fuzzed["tap"], TABLES["tap"].columns, rng)
    written["profile"] += write_csv(
        odd / "profile.csv", fuzzed["profile"], TABLES["profile"].columns, rng
    )
    written["browse"] += write_parquet(odd / "browse", fuzzed["browse"], TABLES["browse"].columns)
    for name in ("touch", "history", "tap", "profile"):  # the same kind beside the rubbish
        (tmp_path / "good" / name).rename(tmp_path / f"parquet-{name}")
        frame = tables[name]
        if name in ("touch", "history"):
            frame.to_json(tmp_path / "good" / f"{name}.jsonl", orient="records", lines=True)
        else:
            empty = [c for c in TABLES[name].columns if c not in frame]
            frame = frame.assign(**dict.fromkeys(empty, ""))[list(TABLES[name].columns)]
            frame.to_csv(tmp_path / "good" / f"{name}.csv", index=False)
    dictionaries = manifests.dictionaries_name(clean.dictionary_hash)
    manifest = build_samples(
        [tmp_path / "good", odd], tmp_path / "s", SETTINGS, frozen=folder / "s" / dictionaries
    )
    assert manifest.rows_in == dict(written)
    for name, rows in written.items():
        bad, gone = (
            sum(v for k, v in counts.items() if k.startswith(f"{name}/"))
            for counts in (manifest.quarantined, manifest.dropped)
        )
        assert manifest.used[name] + bad + gone == rows
        assert bad >= n // 5, name  # much of it is rubbish indeed
    kept = pd.concat(pd.read_parquet(tmp_path / "s" / f) for f in manifest.quarantine_files)
    counts = Counter(f"{t}/{r}" for t, r in zip(kept["table"], kept["reason"], strict=True))
    assert counts == manifest.quarantined
    assert kept["row"].str.len().max() < 20_000  # the megabyte was cut
    assert len({r.split("/")[1] for r in counts}) >= 8  # of all kinds
    expected = groups(folder / "s", clean, "user-")
    assert len(expected) > 50
    assert groups(tmp_path / "s", manifest, "user-") == expected


def test_the_comparison_would_notice_a_row_that_is_missing(tmp_path, good):
    folder, clean = good
    tables = random_logs(users=4)
    tables["touch"] = tables["touch"].drop(index=tables["touch"].index[5])
    write_logs(tmp_path / "logs", tables)
    dictionaries = folder / "s" / manifests.dictionaries_name(clean.dictionary_hash)
    manifest = build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS, frozen=dictionaries)
    assert groups(tmp_path / "s", manifest, "user-") != groups(folder / "s", clean, "user-")
