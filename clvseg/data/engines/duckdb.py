"""DuckDB: the embedded engine that every source enters through."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from clvseg.data.engines.engine import name, text
from clvseg.errors import EngineError


class DuckDBEngine:
    """One DuckDB session; every failure leaves it as an :class:`~clvseg.errors.EngineError`.

    Parameters
    ----------
    database : str or Path, optional
        A DuckDB file that queries see; attached read-only.

    Raises
    ------
    EngineError
        When the file cannot be opened as a DuckDB database.
    """

    def __init__(self, database: str | Path | None = None) -> None:
        spill = os.path.join(tempfile.gettempdir(), f"clvseg-{os.getpid()}")
        self._connection = duckdb.connect(
            config={"temp_directory": spill, "autoinstall_known_extensions": False}
        )
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
            raise EngineError(purpose, sql, str(error)) from None

    def frame(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the result of a query as a frame."""
        result = self.run(purpose, sql, parameters)
        try:
            return result.df()
        except (duckdb.Error, RuntimeError) as error:
            raise EngineError(purpose, sql, str(error)) from None

    def rows(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the result of a small query as dictionaries."""
        result = self.run(purpose, sql, parameters)
        try:
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except (duckdb.Error, RuntimeError) as error:
            raise EngineError(purpose, sql, str(error)) from None

    def row(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the only row of a query as a dictionary."""
        return self.rows(purpose, sql, parameters)[0]

    def count_statements(self, purpose: str, sql: str) -> int:
        """Count the statements of a text without running them."""
        try:
            return len(self._connection.extract_statements(sql))
        except duckdb.Error as error:
            raise EngineError(purpose, sql, str(error)) from None

    def register(self, purpose: str, name: str, frame: Any) -> None:
        """Let queries see a pandas, polars or Arrow object, or another session's relation, under a name."""
        try:
            if isinstance(frame, duckdb.DuckDBPyRelation):
                frame = frame.to_arrow_reader()
            self._connection.register(name, frame)
        except (duckdb.Error, RuntimeError, TypeError, ValueError) as error:
            raise EngineError(purpose, name, str(error)) from None

    def drop(self, table: str) -> None:
        """Forget a table, a view or an object that :meth:`register` showed."""
        views = self.rows(
            "look for views", "SELECT view_name FROM duckdb_views() WHERE view_name = ?", (table,)
        )
        self.run(f"forget {table}", f"DROP {'VIEW' if views else 'TABLE'} IF EXISTS {name(table)}")
        self._connection.unregister(table)

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table and their DuckDB types, in order."""
        rows = self.rows(f"describe {table}", f"DESCRIBE {table}")
        return {row["column_name"]: row["column_type"] for row in rows}
