"""DuckDB: the embedded engine that every source enters through."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from clvseg.data.engines.engine import name, text
from clvseg.errors import CapacityError, EngineError
from clvseg.files import scratch

_SPILL = "clvseg-spill-"
# What DuckDB says when its folder for what does not fit into memory is full.
_DISK = ("No space left", "max_temp_directory_size", "File too large")


class DuckDBEngine:
    """One DuckDB session; every failure leaves it as an :class:`~clvseg.errors.EngineError`.

    Parameters
    ----------
    database : str or Path, optional
        A DuckDB file that queries see; attached read-only.
    memory_limit : str, optional
        What DuckDB may hold in memory, such as ``"4GB"``; the tables of :meth:`keep` are then in a file,
        compressed, and what else does not fit beside it. Both are in a folder of its own below the system's
        temporary one (``TMPDIR``), which ends with the session. Default: 80 % of the machine's, and no file.

    Raises
    ------
    EngineError
        When the file cannot be opened as a DuckDB database.
    CapacityError
        From any method, when memory limit or disk do not suffice.
    """

    def __init__(self, database: str | Path | None = None, memory_limit: str | None = None) -> None:
        self._limit = memory_limit
        self._spill = scratch(_SPILL)
        config: dict[str, Any] = {"temp_directory": str(self._spill), "autoinstall_known_extensions": False}
        self._connection = duckdb.connect(config=config)
        weakref.finalize(self, shutil.rmtree, self._spill, ignore_errors=True)
        if memory_limit is not None:
            self.run("bound its memory", f"SET memory_limit = {text(memory_limit)}")
            self._spill.mkdir()
            self.run("keep tables in a file", f"ATTACH {text(str(self._spill / 'tables.duckdb'))} AS kept")
        self.run("set the time zone", "SET TimeZone = 'UTC'")
        if database is not None:
            self.run(f"open {Path(database).name}", f"ATTACH {text(str(database))} AS source (READ_ONLY)")
            self.run(f"use {Path(database).name}", "USE source")

    def run(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement.

        Parameters
        ----------
        purpose : str
            What it is for, to complete "The engine could not ...".
        sql : str
            The statement.
        parameters : sequence
            Values of its ``?``.

        Raises
        ------
        EngineError
            When DuckDB refuses it.
        """
        try:
            return self._connection.execute(sql, list(parameters))
        except (duckdb.Error, RuntimeError, OSError) as error:
            raise self._refusal(purpose, sql, error) from None

    def keep(self, purpose: str, table: str, query: str) -> None:
        """Make a table of a query's rows that is read again and again."""
        if self._limit is None:
            self.run(purpose, f"CREATE TEMP TABLE {table} AS {query}")
            return
        self.run(purpose, f"CREATE TABLE kept.main.{table} AS {query}")
        self.run(purpose, f"CREATE TEMP VIEW {table} AS SELECT * FROM kept.main.{table}")

    def frame(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the result of a query as a frame."""
        result = self.run(purpose, sql, parameters)
        try:
            return result.df()
        except (duckdb.Error, RuntimeError) as error:
            raise self._refusal(purpose, sql, error) from None

    def rows(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the result of a small query as dictionaries."""
        result = self.run(purpose, sql, parameters)
        try:
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except (duckdb.Error, RuntimeError) as error:
            raise self._refusal(purpose, sql, error) from None

    def row(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the only row of a query as a dictionary."""
        return self.rows(purpose, sql, parameters)[0]

    def arrow(self, purpose: str, sql: str) -> pa.Table:
        """Return the result of a query as an Arrow table."""
        try:
            return self._connection.sql(sql).to_arrow_table()
        except (duckdb.Error, RuntimeError) as error:
            raise self._refusal(purpose, sql, error) from None

    def count_statements(self, purpose: str, sql: str) -> int:
        """Count the statements of a text without running them."""
        try:
            return len(self._connection.extract_statements(sql))
        except duckdb.Error as error:
            raise self._refusal(purpose, sql, error) from None

    def register(self, purpose: str, name: str, frame: Any) -> None:
        """Let queries see a pandas, polars or Arrow object, or another session's relation, under a name."""
        try:
            if isinstance(frame, duckdb.DuckDBPyRelation):
                frame = frame.to_arrow_reader()
            self._connection.register(name, frame)
        except (duckdb.Error, RuntimeError, TypeError, ValueError) as error:
            raise self._refusal(purpose, name, error) from None

    def drop(self, table: str) -> None:
        """Forget a table, a view or an object that :meth:`register` showed."""
        views = self.rows(
            "look for views", "SELECT view_name FROM duckdb_views() WHERE view_name = ?", (table,)
        )
        self.run(f"forget {table}", f"DROP {'VIEW' if views else 'TABLE'} IF EXISTS {name(table)}")
        if self._limit is not None:
            self.run(f"forget {table}", f"DROP TABLE IF EXISTS kept.main.{name(table)}")
        self._connection.unregister(table)

    def _refusal(self, purpose: str, sql: str, error: Exception) -> EngineError | CapacityError:
        cause = str(error).strip()
        first = cause.splitlines()[0] if cause else type(error).__name__
        if any(words in cause for words in _DISK):
            return CapacityError(
                f"there is no room on the disk to {purpose}.",
                found=first,
                hint=f"free some in {self._spill.parent}, or set TMPDIR to a folder on a larger disk.",
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            limit = f"memory_limit = {self._limit}" if self._limit else "the memory of this machine"
            return CapacityError(
                f"{limit} does not suffice to {purpose}.",
                found=first,
                hint="set a larger memory_limit under [data], or close other programs.",
            )
        return EngineError(purpose, sql, cause)

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table and their DuckDB types, in order."""
        rows = self.rows(f"describe {table}", f"DESCRIBE {table}")
        return {row["column_name"]: row["column_type"] for row in rows}
