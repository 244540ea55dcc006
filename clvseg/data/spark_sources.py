"""The door to Spark: files, tables, queries and frames become the relation ``raw`` of its engine."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clvseg.config import DataSettings
from clvseg.data.datasets import dataset_columns, load_dataset
from clvseg.data.engines.engine import name as quoted
from clvseg.data.engines.spark import SparkEngine
from clvseg.data.sources import Source, check_readable, find_files, open_source
from clvseg.errors import DataError, EngineError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# DuckDB's types that Spark has not.
_INSTEAD = {
    "UTINYINT": "SMALLINT", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT", "UBIGINT": "DECIMAL(20, 0)",
    "UHUGEINT": "DECIMAL(38, 0)", "TIME": "VARCHAR", "INTERVAL": "VARCHAR",
}  # fmt: skip
_HINT = "give CSV or Parquet files that every worker can read, or a Spark frame."


def open_spark(source: Any, settings: DataSettings) -> Source:
    """Open transactions as ``raw`` of a Spark engine; see :func:`clvseg.data.sources.open_source`.

    A frame of this process is looked at by DuckDB first, so that it means the same to both. A path with a
    scheme (``s3a://...``) or of a folder is handed to Spark: Parquet, or CSV by its ending. A query is in
    Spark's dialect and sees its catalogue.
    """
    engine = SparkEngine(settings.spark_master)
    if source is None and settings.query is not None:
        query = settings.query.strip().rstrip(";")
        engine.show("run the query", "raw", lambda session: session.sql(query), keep=True)
        return _source(engine, "the query", settings)
    if isinstance(source, str) and source.startswith("dataset:"):
        frame = load_dataset(source.removeprefix("dataset:"))
        engine.register(f"read {source}", "raw", frame)
        columns = dataset_columns(settings.columns)
        return _source(engine, source, settings.model_copy(update={"columns": columns}))
    if isinstance(source, (str, Path)):
        return _open_files(engine, str(source), settings)
    return _open_frame(engine, source, settings)


def _source(engine: SparkEngine, label: str, settings: DataSettings, *, all_text: bool = False) -> Source:
    types = engine.columns("raw")
    return Source(engine, label, settings.columns, types, all_text, "utf-8" if all_text else None)


def _open_frame(engine: SparkEngine, frame: Any, settings: DataSettings) -> Source:
    kind = type(frame)
    if kind.__module__.startswith("pyspark.") and kind.__qualname__ == "DataFrame":
        engine.show("read the Spark frame", "raw", lambda session: _of_other_session(session, frame))
        return _source(engine, "the Spark frame", settings)
    here = open_source(frame, settings.model_copy(update={"engine": "duckdb"}))
    columns = {
        column: f"CAST({quoted(column)} AS {_INSTEAD[kind]})"
        for column, kind in here.types.items()
        if kind in _INSTEAD
    }
    replaced = ", ".join(f"{sql} AS {quoted(column)}" for column, sql in columns.items())
    sql = f"SELECT * {f'REPLACE ({replaced})' if columns else ''} FROM raw"
    engine.register(f"read {here.name}", "raw", here.engine.arrow(f"read {here.name}", sql))
    return _source(engine, here.name, settings)


def _of_other_session(session: SparkSession, frame: DataFrame) -> DataFrame:
    """A frame of another session of the same cluster."""
    shared = f"clvseg_{uuid4().hex}"
    frame.createOrReplaceGlobalTempView(shared)
    try:
        return session.table(f"global_temp.{shared}")
    finally:
        session.catalog.dropGlobalTempView(shared)


def _open_files(engine: SparkEngine, pattern: str, settings: DataSettings) -> Source:
    if "://" in pattern or Path(pattern).is_dir():
        paths, label = [pattern], pattern.rstrip("/").rsplit("/", 1)[-1]
        parquet = ".csv" not in label
    else:
        local = find_files(pattern)
        paths = [path.resolve().as_uri() for path in local]
        label = local[0].name if len(local) == 1 else f"{Path(pattern).name} ({len(local)} files)"
        parquet = all(check_readable(path).startswith(b"PAR1") for path in local)
    try:
        if parquet:
            engine.show(f"read {label}", "raw", lambda session: session.read.parquet(*paths))
        else:
            engine.show(f"read {label}", "raw", lambda session: _csv(session, paths), keep=True)
    except EngineError as error:
        what = "Parquet" if parquet else "CSV"
        raise DataError(f"{label} is not a readable {what} file.", found=error.found, hint=_HINT) from None
    return _source(engine, label, settings, all_text=not parquet)


def _csv(session: SparkSession, paths: list[str]) -> DataFrame:
    """Every column as text; a line that does not fit the header is an error."""
    line = session.read.text(paths[0]).first()
    header = "" if line is None else str(line[0])
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in ",;\t|"}
    return session.read.csv(
        paths, sep=max(counts, key=lambda mark: counts[mark]), header=True, quote='"', escape='"',
        enforceSchema=False, mode="FAILFAST",
    )  # fmt: skip
