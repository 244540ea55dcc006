"""Spark: the engine for data that outgrow one machine. The only file that imports pyspark."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from clvseg.data.engines.dialect import to_spark
from clvseg.errors import ConfigError, EngineError

try:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.pandas.types import from_arrow_schema
except ImportError:
    raise ConfigError(
        'engine = "spark" needs PySpark.', hint="pip install 'clvseg[spark]', and Java 17 beside it."
    ) from None

# Each error that is caught here and raised again would be printed besides, with its whole Java stack.
logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
# Names of DuckDB's types, which the house knows, by Spark's.
_TYPES = {
    "string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER", "smallint": "SMALLINT", "tinyint": "TINYINT",
    "double": "DOUBLE", "float": "FLOAT", "boolean": "BOOLEAN", "date": "DATE", "binary": "BLOB",
    "timestamp_ntz": "TIMESTAMP", "timestamp": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


class SparkEngine:
    """One Spark session of its own, with temporary tables that no other sees; see :class:`Engine`.

    Parameters
    ----------
    master : str, optional
        Such as ``spark://host:7077``; default: the running session's, or what Spark's own configuration
        says.

    Raises
    ------
    EngineError
        When no session can be started.
    """

    def __init__(self, master: str | None = None) -> None:
        builder: SparkSession.Builder = SparkSession.builder.appName("clvseg")
        if master is not None:
            builder = builder.master(master)
        try:
            self.session = builder.getOrCreate().newSession()
            for key, value in _SETTINGS.items():
                self.session.conf.set(key, value)
        except (PySparkException, Py4JError, RuntimeError) as error:
            raise EngineError("start Spark", "", str(error)) from None
        self._kept: dict[str, DataFrame] = {}

    def run(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> DataFrame:
        """Run one statement in DuckDB's dialect.

        Raises
        ------
        EngineError
            When it cannot be translated, or Spark refuses it.
        """
        try:
            statement = to_spark(sql, parameters)
            found = self.session.sql(statement.sql)
            if statement.creates is None:
                return found
        except (PySparkException, Py4JError, ValueError) as error:
            raise EngineError(purpose, sql, _cause(error)) from None
        self.show(purpose, statement.creates, lambda _: found, keep=statement.table)
        return found

    def keep(self, purpose: str, table: str, query: str) -> None:
        """Make a table of a query's rows that is read again and again."""
        self.run(purpose, f"CREATE TEMP TABLE {table} AS {query}")

    def frame(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the result of a query as a frame."""
        return _to_pandas(self.arrow(purpose, sql, parameters))

    def rows(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the result of a small query as dictionaries."""
        return self.arrow(purpose, sql, parameters).to_pylist()

    def row(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the only row of a query as a dictionary."""
        return self.rows(purpose, sql, parameters)[0]

    def arrow(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the result of a query as an Arrow table."""
        found = self.run(purpose, sql, parameters)
        try:
            with _quiet():
                return found.toArrow()
        except (PySparkException, Py4JError) as error:
            raise EngineError(purpose, sql, _cause(error)) from None

    def work_on(
        self,
        purpose: str,
        sql: str,
        work: Callable[[pd.DataFrame], pd.DataFrame],
        like: pd.DataFrame,
        folder: Path,
    ) -> None:
        """Let the executors work on rows; see :class:`clvseg.data.engines.engine.SpreadsWork`."""

        def each(blocks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            return map(work, blocks)

        try:
            with _quiet():
                schema = from_arrow_schema(pa.Schema.from_pandas(like, preserve_index=False))
                done = self.run(purpose, sql).mapInPandas(each, schema)
                done.orderBy(like.columns[0]).write.parquet(folder.resolve().as_uri())
        except (PySparkException, Py4JError) as error:
            raise EngineError(purpose, sql, _cause(error)) from None

    def show(
        self, purpose: str, name: str, make: Callable[[SparkSession], DataFrame], *, keep: bool = False
    ) -> None:
        """Let queries see a Spark frame of the session under a name; `keep` it, or compute it each time."""
        try:
            with _quiet():
                frame = make(self.session)
            if keep:
                self._kept[name] = frame = frame.persist()
                frame.count()
            frame.createOrReplaceTempView(name)
        except (PySparkException, Py4JError, TypeError, ValueError, pa.ArrowException) as error:
            raise EngineError(purpose, name, _cause(error)) from None

    def register(self, purpose: str, name: str, frame: Any) -> None:
        """Let queries see a pandas or Arrow frame under a name."""
        try:
            with _quiet():
                table = (
                    pa.Table.from_pandas(frame, preserve_index=False)
                    if isinstance(frame, pd.DataFrame)
                    else frame
                )
                # Unasked, Spark would put times without a zone into its own.
                schema = from_arrow_schema(table.schema, prefer_timestamp_ntz=True)
        except (pa.ArrowException, PySparkException, ValueError, TypeError, AttributeError) as error:
            raise EngineError(purpose, name, str(error)) from None
        self.show(purpose, name, lambda session: session.createDataFrame(table, schema))

    def drop(self, table: str) -> None:
        """Forget a table, a view or a registered frame, if it is there."""
        self.session.catalog.dropTempView(table)
        if table in self._kept:
            self._kept.pop(table).unpersist()

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table and their types, called as DuckDB does, in order."""
        try:
            return {column: _type(kind) for column, kind in self.session.table(table).dtypes}
        except PySparkException as error:
            raise EngineError(f"describe {table}", table, _cause(error)) from None


# Days are those of UTC; overflows and impossible casts are errors, as in DuckDB.
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "25000",
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Spark and Arrow warn of pandas 3 wherever a frame passes; what passes here is tested with it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        warnings.filterwarnings("ignore", "Series.values returning an ndarray that drops timezone")
        yield


def _type(kind: str) -> str:
    if kind.startswith("array"):
        return "LIST[]"
    return _TYPES.get(kind) or kind.upper().split("<")[0]


def _cause(error: Exception) -> str:
    """Say Spark's own words, without its stack."""
    return str(error).strip().split("\n\nJVM stacktrace")[0] or type(error).__name__


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Like DuckDB's own: days are datetime64[us], texts pandas texts."""
    for place, field in enumerate(table.schema):
        if pa.types.is_date(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.timestamp("us")))
    return table.to_pandas()
