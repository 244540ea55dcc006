"""What else is known of customers: files joined by customer, each row only from its own day on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.config import AttributeSettings, DataSettings
from clvseg.data.engines.duckdb import DuckDBEngine
from clvseg.data.engines.engine import Engine, name, text
from clvseg.data.sources import open_source
from clvseg.errors import ConfigError, DataError, EngineError, MissingColumnsError


def read_attributes(
    settings: Mapping[str, AttributeSettings],
    customers: pd.Index,
    as_of: dt.date,
    taken: Collection[str] = (),
) -> pd.DataFrame:
    """Read attributes of customers as they were known at the end of a day.

    Rows dated after `as_of` are not used; a file without a date column holds for all time.

    Parameters
    ----------
    settings : mapping of str to AttributeSettings
        ``[segments.attributes]``: a file each.
    customers : Index
        The customers, one row each in the result.
    as_of : date
        Last day that is known.
    taken : collection of str
        Names an attribute must not have.

    Returns
    -------
    DataFrame
        Index `customers`; numbers are float64 with NaN where not known (0 for the sum or count of nothing),
        everything else is text with None where not known.

    Raises
    ------
    DataError
        When a file cannot be read, knows none of the customers, has two rows of one customer without a date
        between them, or a name that is taken.
    MissingColumnsError
        When a column that is named is not there.
    """
    out = pd.DataFrame(index=customers)
    for label, one in settings.items():
        frame = _read(label, one, as_of)
        keys = pd.Index(customers.astype(str))
        if len(customers) and len(frame) and not keys.isin(frame.index).any():
            raise DataError(
                f"attributes.{label} knows none of the customers.",
                found=f"{one.key} such as {frame.index[0]}; customers such as {keys[0]}.",
                hint="name the customers' column as key.",
            )
        clash = sorted(set(frame.columns) & {*out.columns, *taken})
        if clash:
            raise DataError(
                f"attributes.{label} has names that are taken: {', '.join(clash)}.",
                hint="rename them in the file, or list the columns to read under columns.",
            )
        joined = frame.reindex(keys).set_axis(customers)
        out = out.join(joined.fillna(0.0) if one.take in ("sum", "count") else joined)
    return out


def _read(label: str, one: AttributeSettings, as_of: dt.date) -> pd.DataFrame:
    """One file as of a day, indexed by customer as text."""
    source = open_source(one.source, DataSettings())
    engine, types = source.engine, source.types
    wanted = [("key", one.key), *((("as_of", one.as_of),) if one.as_of else ())]
    wanted += [("columns", column) for column in one.columns]
    lost = [(part, column) for part, column in wanted if column not in types]
    if lost:
        raise MissingColumnsError.compare(f"attributes.{label}", lost, types)
    columns = list(one.columns) or [column for column in types if column not in (one.key, one.as_of)]
    numeric = {column: _is_number(engine, column, types[column]) for column in columns}
    words = [column for column in columns if not numeric[column]]
    if one.take in ("sum", "mean") and words:
        raise ConfigError(
            f"attributes.{label}: take = \"{one.take}\" needs numbers.",
            found=f"{', '.join(words)} hold words.", hint="list the numbers under columns.",
        )  # fmt: skip
    casts = ", ".join(
        f"TRY_CAST({name(column)} AS DOUBLE) AS {name(column)}"
        if numeric[column]
        else f"NULLIF(TRIM(CAST({name(column)} AS VARCHAR)), '') AS {name(column)}"
        for column in columns
    )
    day = f"CAST({name(one.as_of)} AS DATE)" if one.as_of else "NULL"
    known = f"WHERE {day} <= DATE {text(as_of.isoformat())}" if one.as_of else ""
    rows = f"SELECT TRIM(CAST({name(one.key)} AS VARCHAR)) AS _key, {day} AS _day, {casts} FROM raw {known}"
    try:
        frame = engine.frame(f"read attributes.{label}", _query(one.take, columns, rows))
    except EngineError as error:
        raise DataError(
            f"attributes.{label} cannot be read.",
            found=error.found,
            hint="the as_of column must hold dates like 2026-01-31." if one.as_of else None,
        ) from None
    if one.take == "latest" and one.as_of is None and frame["_rows"].max() > 1:
        twice = frame.loc[frame["_rows"] > 1, "_key"].iloc[0]
        raise DataError(
            f"attributes.{label} has several rows of one customer, such as {twice}.",
            hint='name the date column as as_of, or set take = "sum", "mean" or "count".',
        )
    if one.take == "count":
        return frame.set_index("_key")[["_count"]].set_axis([label], axis=1).astype(float)
    frame = frame.set_index("_key")[columns]
    return frame.astype({column: float for column in columns if numeric[column]}).astype(
        dict.fromkeys(words, object)
    )


def _query(take: str, columns: list[str], rows: str) -> str:
    if take == "latest":
        order = ", ".join(f"{name(column)} NULLS LAST" for column in columns)
        return (
            f"SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY _key ORDER BY _day DESC NULLS LAST, "
            f"{order}) AS _place, COUNT(*) OVER (PARTITION BY _key) AS _rows FROM ({rows})) "
            "WHERE _place = 1 AND _key IS NOT NULL ORDER BY _key"
        )
    if take == "count":
        made = "COUNT(*) AS _count"
    else:
        made = ", ".join(f"{'SUM' if take == 'sum' else 'AVG'}({name(c)}) AS {name(c)}" for c in columns)
    return f"SELECT _key, {made} FROM ({rows}) WHERE _key IS NOT NULL GROUP BY _key ORDER BY _key"


def _is_number(engine: Engine, column: str, kind: str) -> bool:
    """Whether a column holds numbers; of a text column, whether all that is there reads as one."""
    if kind == "VARCHAR":
        row = engine.row(
            f"look at {column}",
            f"SELECT COUNT(*) FILTER (TRIM({name(column)}) <> '') AS there, "
            f"COUNT(TRY_CAST({name(column)} AS DOUBLE)) AS numbers FROM raw",
        )
        return bool(row["there"] == row["numbers"] and row["there"] > 0)
    heads = (
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "U",
        "FLOAT",
        "DOUBLE",
        "DECIMAL",
        "BOOLEAN",
    )
    return kind.startswith(heads) and kind != "UUID"


def evaluate_sql(people: pd.DataFrame, expression: str, setting: str) -> NDArray[Any]:
    """Evaluate an SQL expression over the columns of customers.

    Parameters
    ----------
    people : DataFrame
        A row per customer.
    expression : str
        In DuckDB's dialect.
    setting : str
        Where it stands under ``[segments]``, for the error.

    Returns
    -------
    ndarray, shape (customers,)
        In the order of `people`; None or NaN where the expression is null.

    Raises
    ------
    ConfigError
        When it cannot be evaluated.

    Examples
    --------
    >>> people = pd.DataFrame({"T": [10, 400]})
    >>> evaluate_sql(people, "CASE WHEN T > 365 THEN 'old' ELSE 'new' END", "rivals.age").tolist()
    ['new', 'old']
    """
    engine = DuckDBEngine()
    numbered = people.reset_index(drop=True).assign(_row=np.arange(len(people)))
    engine.register("see the customers", "customers", numbered)
    try:
        found = engine.frame(
            f"evaluate {setting}", f"SELECT ({expression}) AS result FROM customers ORDER BY _row"
        )
    except EngineError as error:
        raise ConfigError(
            f"segments.{setting} cannot be evaluated.",
            found=error.found,
            hint="an SQL expression over features and attributes, like region or T > 365.",
        ) from None
    return found["result"].to_numpy()


def explainable(attributes: pd.DataFrame) -> pd.DataFrame:
    """Numbers as they are, and a 0/1 column ``NAME is LEVEL`` for each level that 2 % of the customers share.

    Examples
    --------
    >>> explainable(pd.DataFrame({"age": [31.0, 40.0], "region": ["N", "S"]})).columns.tolist()
    ['age', 'region is N', 'region is S']
    """
    out: dict[str, object] = {}
    for column in attributes:
        values = attributes[column]
        if pd.api.types.is_numeric_dtype(values.dtype):
            out[str(column)] = values.astype(np.float64)
            continue
        shares = values.value_counts(normalize=False) / max(len(values), 1)
        for level in sorted(map(str, shares.index[shares >= 0.02])):
            out[f"{column} is {level}"] = (values == level).astype(np.float64)
    return pd.DataFrame(out, index=attributes.index)
