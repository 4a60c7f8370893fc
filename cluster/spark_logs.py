"""Raw logs as Spark DataFrames: Parquet, JSON Lines or CSV, whichever a table's files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intent.features.encode import BROKEN_ROW
from intent.features.log_files import LogFile, header
from intent.features.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_table(spark: SparkSession, name: str, files: list[LogFile]) -> DataFrame:
    """A raw table's columns as they stand in its files; broken lines are kept in BROKEN_ROW.

    Raises IntentError if a required column is missing or formats are mixed.
    """
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    table, paths = TABLES[name], [f.path for f in files]
    kind, names = header(table, files)
    if kind == "parquet":
        data = spark.read.option("mergeSchema", True).parquet(*paths)
    else:  # as text throughout: what a value is worth is for `intent.features.encode` to say
        schema = ", ".join(f"`{c}` string" for c in [*names, BROKEN_ROW])
        reader = spark.read.schema(schema).option("columnNameOfCorruptRecord", BROKEN_ROW)
        if kind == "csv":
            # Quotes as everybody else writes them (RFC 4180), line breaks inside them included
            data = reader.csv(
                paths, header=True, mode="PERMISSIVE", enforceSchema=False, escape='"',
                multiLine=True,
            )  # fmt: skip
        else:
            data = reader.json(paths, mode="PERMISSIVE")
    kept = [c for c in (*table.columns, BROKEN_ROW) if c in data.columns]
    return data.select(*[f"`{c}`" for c in kept])
