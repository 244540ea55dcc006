"""What the house asks of a data engine, and how names and texts are quoted in its SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa


class Engine(Protocol):
    """Runs the SQL of the house, which is written in DuckDB's dialect.

    Every failure leaves an engine as an :class:`~clvseg.errors.EngineError`; `purpose` completes its "The
    engine could not ...".
    """

    def run(self, purpose: str, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run one statement; `parameters` are the values of its ``?`` or ``$1``."""

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
