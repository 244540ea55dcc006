"""What the house asks of a data engine, and how names and texts are quoted in its SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd
import pyarrow as pa


class Engine(Protocol):
    """Runs the SQL of the house, which is written in DuckDB's dialect.

    Every failure leaves an engine as an :class:`~clvseg.errors.EngineError`; `purpose` completes its "The
    engine could not ...".
    """

    def run(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement; `parameters` are the values of its ``?`` or ``$1``."""

    def keep(self, purpose: str, table: str, query: str) -> None:
        """Make a table of a query's rows that is read again and again."""

    def frame(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the result of a query as a frame."""

    def rows(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the result of a small query as dictionaries."""

    def row(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any]:
        """Return the only row of a query as a dictionary."""

    def arrow(self, purpose: str, sql: str) -> pa.Table:
        """Return the result of a query as an Arrow table."""

    def register(self, purpose: str, name: str, frame: Any) -> None:
        """Let queries see a frame under a name."""

    def drop(self, table: str) -> None:
        """Forget a table, a view or a registered frame, if it is there."""

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table and their types, called as DuckDB does, in order."""


@runtime_checkable
class SpreadsWork(Protocol):
    """An engine whose executors can do what pandas does."""

    def work_on(
        self,
        purpose: str,
        sql: str,
        work: Callable[[pd.DataFrame], pd.DataFrame],
        like: pd.DataFrame,
        folder: Path,
    ) -> None:
        """Let the executors work on the rows of a query and write what comes of it as Parquet files.

        Parameters
        ----------
        purpose, sql
            As for :meth:`Engine.run`.
        work : callable
            From some rows of the query to as many rows as it likes; goes to the executors by pickle.
        like : DataFrame
            Without rows; columns and types of what `work` returns.
        folder : Path
            Is made; all executors must see it. The files' names ascend with the first column of `like`.
        """


def text(value: str) -> str:
    """Quote a value as an SQL text.

    Examples
    --------
    >>> print(text("it's"))
    'it''s'
    """
    return "'" + value.replace("'", "''") + "'"


def name(column: str) -> str:
    """Quote a column's name.

    Examples
    --------
    >>> print(name("Order ID"))
    "Order ID"
    """
    return '"' + column.replace('"', '""') + '"'
