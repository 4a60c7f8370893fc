"""The sample job on a real local Spark: accounts, formats, partitions, and bad input."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date
from shutil import copytree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.config import SamplesConfig
from intent.errors import IntentError, UsageError
from intent.features.encode import Limits, encode
from intent.features.span import Span
from intent.samples import manifest as manifests
from intent.samples.build import BuildPlan, run_task
from intent.samples.cells import decode_cell
from intent.samples.orphans import MARKER, clean, writing_to
from intent.samples.reader import TrackFeed, open_samples
from intent.samples.runs import ONE_PLACE, runs
from jobs.build_samples import build_samples
from tests.support.disk import small_disk
from tests.support.raw_logs import START, random_logs, write_logs

SETTINGS = SamplesConfig(length=16, cuts_per_day=12, seed=3, groups_per_row_group=50)


@pytest.fixture(scope="module")
def tables():
    return random_logs(users=5)


@pytest.fixture(scope="module")
def logs(tmp_path_factory, tables):
    folder = tmp_path_factory.mktemp("logs")
    write_logs(folder, tables)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory, logs):
    root = tmp_path_factory.mktemp("out") / "samples"
    return root, build_samples(logs, root, SETTINGS)


def test_every_row_is_accounted_for_and_shards_are_as_the_manifest_says(built, tables):
    root, manifest = built
    assert manifest.rows_in == {name: len(frame) for name, frame in tables.items()}
    assert manifest.used == manifest.rows_in and not manifest.quarantined
    assert open_samples(root) == manifest
    names = {p.name for p in root.iterdir()}
    assert {"manifest.json", "_common_metadata"} <= names and "_quarantine" not in names
    rows = sum(pq.read_metadata(root / s.path).num_rows for s in manifest.shards)
    assert rows == manifest.rows


def test_the_spark_job_equals_the_library_on_the_same_rows(built, tables, tmp_path):
    root, manifest = built
    dictionaries = manifests.load_dictionaries(root, manifest)
    span = Span(*manifest.span)
    pieces = [
        encode(n, pa.Table.from_pandas(f, preserve_index=False), dictionaries, Limits(span))
        for n, f in tables.items()
    ]
    found = [run for piece in pieces for run in runs([piece], ONE_PLACE)]
    browse = Span(span.start, int(tables["browse"].timestamp.max()) + 1)
    plan = BuildPlan(str(tmp_path), manifest.schema, span, browse, SETTINGS, ONE_PLACE.buckets)
    shards = run_task(found, plan).shards
    assert replace(manifest, shards=shards).content_hash() == manifest.content_hash()


@pytest.mark.parametrize("partitions", [1, 7])
def test_content_does_not_depend_on_partitions(built, logs, tmp_path, partitions):
    other = build_samples(logs, tmp_path / "s", SETTINGS, partitions=partitions)
    assert other.content_hash() == built[1].content_hash()
    assert other.groups == built[1].groups


@pytest.mark.parametrize(("files", "cores"), [(3, 1), (5, 2)])
def test_content_does_not_depend_on_the_order_of_files_and_rows(
    built, tables, tmp_path, files, cores
):
    for name, frame in tables.items():
        mixed = frame.sample(frac=1, random_state=files)
        for i in range(files):
            write_logs(tmp_path / f"part-{files - i}", {name: mixed.iloc[i::files]})
    folders = [tmp_path / f"part-{i + 1}" for i in range(files)]
    other = build_samples(folders, tmp_path / "s", SETTINGS, cores=cores, partitions=2)
    assert other.content_hash() == built[1].content_hash()
    assert other.shards != built[1].shards  # the shards are others, the groups in them the same


def test_a_year_of_browse_logs_counts_as_a_table_of_daily_counts_does(tmp_path):
    """What happened before the first day, once as events and once as counts of its days."""
    tables = random_logs(users=5)
    rng = np.random.default_rng(0)
    day = START - 86_400_000 * rng.integers(1, 365, 400)
    past = pd.DataFrame({
        "user_id": [f"user-{i}" for i in rng.integers(0, 5, 400)],
        "timestamp": day + 86_400_000 - 1,  # a day's counts are taken as of its last moment
        "type": rng.choice(["collect", "cart", "purchase"], 400),
    })  # fmt: skip
    past = past.drop_duplicates()  # which an event would be, and a count is not
    days = pd.to_datetime(past.timestamp, unit="ms").dt.strftime("%Y-%m-%d")
    counts = pd.crosstab([past.user_id, days.rename("day")], past.type).reset_index()
    write_logs(tmp_path / "a", {"browse": tables["browse"], "history": counts})
    write_logs(tmp_path / "b", {"browse": pd.concat([past, tables["browse"]])})
    settings = SETTINGS.model_copy(update={"first_day": date(2024, 10, 4)})
    found = []
    for logs in ("a", "b"):
        manifest = build_samples(tmp_path / logs, tmp_path / f"s-{logs}", settings)
        feed = TrackFeed(tmp_path / f"s-{logs}", manifest, manifest.schema, batch=64)
        batches = list(feed.batches(0))
        found.append({
            (b.users[i], int(b.times[i])): b.inputs["history"][i].tolist()
            for b in batches for i in np.flatnonzero(b.weights)
        })  # fmt: skip
    assert found[0] == found[1] and len(found[0]) > 30
    last = np.array(list(found[0].values()))[:, [5, 11, 17]]  # counts of a year
    assert (last > 10).any()


def test_another_seed_gives_other_content(built, logs, tmp_path):
    other = build_samples(logs, tmp_path / "s", SETTINGS.model_copy(update={"seed": 4}))
    assert other.content_hash() != built[1].content_hash()


def test_csv_and_gzipped_json_lines_give_the_same_groups(built, tables, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("touch", "history", "profile"):
        tables[name].to_csv(logs / f"{name}.csv", index=False)
    (logs / "tap").mkdir()
    tables["tap"].to_json(logs / "tap" / "a.jsonl.gz", orient="records", lines=True)
    half = len(tables["browse"]) // 2
    (logs / "browse").mkdir()
    for i, part in enumerate((tables["browse"][:half], tables["browse"][half:])):
        text = part.to_json(orient="records", lines=True)
        with gzip.open(logs / "browse" / f"{i}.json.gz", "wt") as file:
            file.write(text)
    manifest = build_samples(logs, tmp_path / "s", SETTINGS)
    assert manifest.content_hash() == built[1].content_hash()


def test_broken_rows_go_to_quarantine_with_their_reason(logs, tables, tmp_path, built):
    copytree(logs, tmp_path / "logs")
    broken = tables["browse"].head(9).copy()
    broken["type"] = "steal"
    broken.loc[broken.index[:4], "user_id"] = None
    broken.to_parquet(tmp_path / "logs" / "browse" / "part-1.parquet")
    manifest = build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS)
    assert manifest.quarantined == {"browse/no_user": 4, "browse/unknown_action": 5}
    assert manifest.content_hash() == built[1].content_hash()
    kept = pd.concat(pd.read_parquet(tmp_path / "s" / f) for f in manifest.quarantine_files)
    assert len(kept) == 9 and kept["row"].str.contains("steal").all()
    strict = SETTINGS.model_copy(update={"max_quarantine_share": 0.001})
    with pytest.raises(IntentError, match="9 of .* browse are unusable .*no_user 4"):
        build_samples(tmp_path / "logs", tmp_path / "t", strict)
    assert not (tmp_path / "t").exists()
    # a failed rebuild leaves the old dataset as it was
    with pytest.raises(IntentError):
        build_samples(tmp_path / "logs", tmp_path / "s", strict)
    assert open_samples(tmp_path / "s") == manifest


def test_chosen_days_have_the_groups_that_they_have_in_the_whole(logs, tmp_path, built):
    """Earlier days fill their windows and histories, later ones their labels."""
    two_days = {"first_day": date(2024, 10, 5), "last_day": date(2024, 10, 6)}
    manifest = build_samples(logs, tmp_path / "s", SETTINGS.model_copy(update=two_days))
    assert manifest.days == ["2024-10-05", "2024-10-06"] and not manifest.quarantined
    assert manifest.content_hash() == built[1].only(manifest.days).content_hash()
    assert manifest.content_hash() != built[1].only(built[1].days[:2]).content_hash()
    first = {"first_day": date(2024, 10, 4), "last_day": date(2024, 10, 4)}
    manifest = build_samples(logs, tmp_path / "t", SETTINGS.model_copy(update=first))
    assert manifest.content_hash() == built[1].only(manifest.days).content_hash()
    for table in ("touch", "tap", "browse"):
        gone = manifest.dropped[f"{table}/later_day"]  # nothing after the next day is needed
        assert gone > 0 and gone + manifest.used[table] == manifest.rows_in[table]


def test_a_day_is_added_and_built_again_without_the_others(logs, tmp_path, built):
    root = tmp_path / "s"
    dictionaries = built[0] / manifests.dictionaries_name(built[1].dictionary_hash)
    first, second, third = (date.fromisoformat(d) for d in built[1].days)
    two = SETTINGS.model_copy(update={"last_day": second})
    build_samples(logs, root, two, frozen=dictionaries)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("part-*")}
    with pytest.raises(UsageError, match="built with samples.seed=3, not 4"):
        other = SETTINGS.model_copy(update={"seed": 4})
        build_samples(logs, root, other, add=f"{third}")
    added = build_samples(logs, root, SETTINGS, add=f"{third}")
    assert added.content_hash() == built[1].content_hash()
    assert [b.days for b in added.builds] == [[f"{first}", f"{second}"], [f"{third}"]]
    assert open_samples(root) == added
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())  # nobody touched these
    text = (root / manifests.NAME).read_bytes()
    assert build_samples(logs, root, SETTINGS, add=f"{third}") == added
    assert build_samples(logs, root, SETTINGS, add=f"{second}..{third}").hash() == added.hash()
    assert (root / manifests.NAME).read_bytes() == text  # the same bytes
    with pytest.raises(IntentError, match="no manifest.json"):
        build_samples(logs, tmp_path / "nothing", SETTINGS, add=f"{third}")
    with pytest.raises(UsageError, match="--add builds days into tracks"):
        build_samples(logs, root, SETTINGS, layout="groups", add=f"{third}")
    assert open_samples(root) == added


@pytest.mark.parametrize("setting", [{"late_after_minutes": 5}, {"out_of_order": "drop"}])
def test_rules_about_receipt_need_to_know_it(logs, tmp_path, setting):
    with pytest.raises(UsageError, match="table (touch|tap|browse) has no column 'received'"):
        build_samples(logs, tmp_path / "s", SETTINGS.model_copy(update=setting))


def test_broken_lines_of_text_formats_are_quarantined(tmp_path, tables):
    logs = tmp_path / "logs"
    logs.mkdir()
    text = tables["browse"].to_json(orient="records", lines=True)
    (logs / "browse.jsonl").write_text(text + '{"user_id": "u", "times\n')
    lines = tables["tap"].to_csv(index=False).splitlines()
    (logs / "tap.csv").write_text("\n".join([*lines, "user-0,1728"]) + "\n")
    manifest = build_samples(logs, tmp_path / "s", SETTINGS)
    assert manifest.quarantined == {"browse/unparsable_row": 1, "tap/unparsable_row": 1}


def test_a_day_that_is_not_over_censors_the_cuts_that_need_its_rest(tmp_path, tables):
    ten = START + 3 * 86_400_000 + 10 * 3_600_000  # the logs end at ten o'clock of the last day
    cut = {
        name: frame[frame.timestamp < ten] if "timestamp" in frame else frame
        for name, frame in tables.items()
    }
    write_logs(tmp_path / "logs", cut)
    manifest = build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS)
    last = max(f.timestamp.max() for n, f in cut.items() if "timestamp" in f)
    assert manifest.span[1] == last + 1
    feed = TrackFeed(tmp_path / "s", manifest, manifest.schema, batch=64)
    latest = max(int(b.times[b.weights > 0].max()) for b in feed.batches(0))
    assert last - 86_400_000 - 6 * 3_600_000 < latest <= last - 86_400_000


def test_only_browse_is_enough(tmp_path, tables):
    write_logs(tmp_path / "logs", {"browse": tables["browse"][["user_id", "timestamp", "type"]]})
    manifest = build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS)
    assert manifest.schema.sources == ("browse", "history")
    assert manifest.groups > 50


def test_groups_layout_holds_the_same_groups(built, logs, tmp_path):
    dense = build_samples(logs, tmp_path / "g", SETTINGS, layout="groups")
    assert dense.layout == "groups" and dense.groups == built[1].groups
    assert dense.rows == dense.groups
    rows = {
        (r["user_id"], r["time"]): r
        for s in dense.shards
        for r in pq.ParquetFile(tmp_path / "g" / s.path).read().to_pylist()
    }
    feed = TrackFeed(built[0], built[1], built[1].schema, batch=64)
    for batch in feed.batches(0):
        for i in np.flatnonzero(batch.weights):
            row = rows.pop((batch.users[i], int(batch.times[i])))
            assert [row["label_realtime"], row["label_longterm"]] == batch.labels[i].tolist()
            for name, ids in batch.inputs.items():
                assert (decode_cell(row[name]) == ids[i]).all()
    assert not rows
    with pytest.raises(IntentError, match="layout 'groups'"):
        TrackFeed(tmp_path / "g", dense, dense.schema, batch=64)


def test_both_layouts_open_in_any_petastorm_reader(built, logs, tmp_path):
    from intent.samples.petastorm_compat import install

    install()
    from petastorm import make_reader

    root, manifest = built
    with make_reader(f"file://{root}", reader_pool_type="dummy", num_epochs=1) as reader:
        rows = list(reader)
    assert sum(int(r.groups) for r in rows) == manifest.groups
    assert len(rows[0].swipe_action) == len(rows[0].swipe_page) and rows[0].labels.shape[1] == 2
    build_samples(logs, tmp_path / "g", SETTINGS, layout="groups")
    with make_reader(f"file://{tmp_path / 'g'}", reader_pool_type="dummy", num_epochs=1) as reader:
        first = next(reader)
    assert first.swipe.shape == (16, 14) and first.browse.dtype == np.uint16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "there is no logs folder"),
        (lambda folder: folder.mkdir(), "none of the tables"),
        (lambda folder: write_logs(folder, {"tap": _browse()}), "no browse table"),
        (
            lambda folder: write_logs(folder, {"browse": _browse().drop(columns="type")}),
            "lacks the required column type",
        ),
        (
            lambda folder: write_logs(folder, {"browse": _browse(user_id=None)}),
            "none of the 3 rows",
        ),
        (
            lambda folder: write_logs(folder, {"browse": _browse(type="x")}),
            "3 of 3 rows .* unusable",
        ),
        (lambda folder: write_logs(folder, {"browse": _browse()}), "at least two days"),
    ],
)
def test_bad_logs_end_in_one_line_and_leave_nothing(tmp_path, make, message):
    make(tmp_path / "logs")
    with pytest.raises(IntentError, match=message):
        build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS)
    assert not (tmp_path / "s").exists()


def _browse(**change) -> pd.DataFrame:
    row = {"user_id": "u", "timestamp": 1_700_000_000_000, "type": "browse"} | change
    return pd.DataFrame([row] * 3)


def test_a_folder_of_somebody_else_is_not_touched(tmp_path, logs):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not empty and holds no samples"):
        build_samples(logs, tmp_path, SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "manifest.json").write_text("{}")  # as a run folder, or a web page, may have one
    with pytest.raises(UsageError, match="holds no samples"):
        build_samples(logs, tmp_path, SETTINGS)
    with pytest.raises(UsageError, match="no folder of samples"):
        clean(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "thesis.txt"]


def test_two_jobs_do_not_write_to_one_folder(tmp_path, logs):
    with (
        pytest.raises(UsageError, match="another job is writing"),
        writing_to(tmp_path / "s"),
    ):
        build_samples(logs, tmp_path / "s", SETTINGS)


def test_what_a_killed_job_leaves_is_no_dataset_and_is_cleaned_up(tmp_path, logs, built):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / MARKER).touch()
    orphan = tmp_path / "s" / "day=2024-10-04" / "part-0.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(b"half")
    with pytest.raises(IntentError, match="no .*manifest.json"):
        open_samples(tmp_path / "s")
    manifest = build_samples(logs, tmp_path / "s", SETTINGS)  # simply run again
    assert not orphan.exists()
    assert manifest.content_hash() == built[1].content_hash()
    orphan.write_bytes(b"half")
    assert clean(tmp_path / "s") == [str(orphan.relative_to(tmp_path / "s"))]
    assert open_samples(tmp_path / "s") == manifest
    assert (tmp_path / "s" / MARKER).exists()


def test_a_full_disk_is_one_line_and_leaves_the_old_dataset(tmp_path, logs):
    with small_disk(tmp_path, "256k") as disk:
        manifest = build_samples(logs, disk / "s", SETTINGS)
        (disk / "filler").write_bytes(b"x" * (220 * 1024 - sum(s.size for s in manifest.shards)))
        more = SETTINGS.model_copy(update={"cuts_per_day": 40, "length": 250, "seed": 9})
        with pytest.raises((IntentError, OSError), match="No space left"):
            build_samples(logs, disk / "s", more)
        assert open_samples(disk / "s") == manifest


def test_labels_end_where_browse_ends_and_a_quiet_view_has_its_own_days(tmp_path, tables):
    day = 86_400_000
    cut = dict(tables)
    cut["browse"] = tables["browse"][tables["browse"].timestamp < START + 2 * day]
    loud = [tables["touch"].assign(duration_ms=float(i)) for i in range(200)]
    cut["touch"] = pd.concat(loud)  # so that a day of browse is less than 1 % of a day of all
    write_logs(tmp_path / "logs", cut)
    manifest = build_samples(tmp_path / "logs", tmp_path / "s", SETTINGS)
    assert manifest.days == ["2024-10-04"]  # the next day's cuts lack a day of browse after them
    assert not manifest.quarantined
    assert manifest.span[1] > cut["browse"].timestamp.max() + day


def test_dictionaries_of_fewer_tables_are_refused_at_once(tmp_path, logs, tables):
    write_logs(tmp_path / "logs", {"browse": tables["browse"]})
    few = build_samples(tmp_path / "logs", tmp_path / "few", SETTINGS)
    names = tmp_path / "few" / manifests.dictionaries_name(few.dictionary_hash)
    with pytest.raises(UsageError, match="has no names for swipe.page, tap.page"):
        build_samples(logs, tmp_path / "s", SETTINGS, frozen=names)
