"""Whatever the frame holds, it is read rightly or refused in words; no other library's error gets out."""

from __future__ import annotations

import datetime as dt
import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clvseg.data.features import customer_features
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError, EngineError

each_engine = pytest.mark.usefixtures("on_each_engine")
BASE = {
    "customer_id": [1, 2, 1],
    "time": ["2023-01-01", "2023-01-02", "2023-01-05"],
    "amount": [1.0, 2.0, 3.0],
}


def _frame(**columns) -> pd.DataFrame:
    return pd.DataFrame({**BASE, **columns})


def _renamed(**names) -> pd.DataFrame:
    return pd.DataFrame(BASE).rename(columns=names)


GOOD = {
    "decimals": (_frame(amount=[decimal.Decimal("1.0"), 2, 3]), {}),
    "numbers as objects": (_frame(amount=np.array([1, "2", 3.0], dtype=object)), {}),
    "days of several kinds": (
        _frame(time=[dt.date(2023, 1, 1), "2023-01-02", pd.Timestamp("2023-01-05")]),
        {},
    ),
    "quotes in a name": (_renamed(amount="am\"ou'nt"), {"amount": "am\"ou'nt"}),
    "words of SQL as names": (_renamed(amount="select", time="group"), {"amount": "select", "time": "group"}),
    "inner names": (_renamed(time="v", amount="form"), {"amount": "form", "time": "v"}),
    "more inner names": (
        _frame(day=1, price=2, reason="x", raw=1),
        {"channel": "reason", "product": "day", "category": "price"},
    ),
    "one column in two parts": (_frame(), {"order": "time"}),
    "polars dates": (pl.DataFrame(BASE).with_columns(pl.col("time").str.to_date()), {}),
    "polars categories": (pl.DataFrame(BASE).with_columns(pl.col("time").cast(pl.Categorical)), {}),
    "arrow batch": (pa.RecordBatch.from_pydict(BASE), {}),
    "arrow dictionary": (pa.table({**BASE, "time": pa.array(BASE["time"]).dictionary_encode()}), {}),
    "arrow large text": (pa.table({**BASE, "time": pa.array(BASE["time"], pa.large_string())}), {}),
}


@each_engine
@pytest.mark.parametrize("kind", GOOD)
def test_read_rightly(kind, settings):
    frame, columns = GOOD[kind]
    tx = Transactions.read(frame, settings(columns))
    features = customer_features(tx, tx.last_day)
    assert features.index.tolist() == [1, 2]
    assert features[["orders", "past_revenue", "since_last"]].to_numpy().tolist() == [[2, 4, 0], [1, 2, 3]]


@each_engine
def test_stream_is_read_once():
    assert Transactions.read(pa.Table.from_pydict(BASE).to_reader()).revenue == 6.0


def test_query_that_changes_is_read_once(settings):
    days = "DATE '2023-01-01' + CAST(random() * 300 AS INT)"
    query = f"SELECT 1 AS customer_id, {days} AS time, random() AS amount FROM range(500)"
    tx = Transactions.read(settings=settings(query=query))
    profile = tx.profile
    assert profile["lines_kept"] == profile["lines_read"] == 500
    assert tx.revenue == profile["revenue"]


@each_engine
@pytest.mark.parametrize(
    "ids", [["😀", "é", "e\u0301"], ["a\x00b", "a", "b"], [10**30, 1, 2], ["a", "A", "ä"]]
)
def test_ids_stay_apart(ids):
    assert Transactions.read(_frame(customer_id=ids)).n_customers == 3


BAD = {
    "no columns": (pd.DataFrame(), "has no columns"),
    "no lines": (_frame()[:0], "has a header but no lines"),
    "true and false": (_frame(amount=[True, False, True]), "of type BOOLEAN, which is no number"),
    "tuples": (_frame(customer_id=[(1, 2), (1, 3), (1, 2)]), "not single values"),
    "bytes": (_frame(customer_id=[b"a", b"b", b"a"]), "not single values"),
    "periods": (_frame(time=pd.period_range("2023-01", periods=3, freq="M")), "cannot read the pandas frame"),
    "complex numbers": (_frame(amount=[1j, 2j, 3j]), "cannot read the pandas frame"),
    "durations": (_frame(time=pd.to_timedelta([1, 2, 3], unit="D")), "which is no time"),
    "clock times": (_frame(time=[dt.time(1)] * 3), "which is no time"),
    "in the index": (_frame().set_index("customer_id"), "has no column 'customer_id'"),
    "no amounts": (pa.table({**BASE, "amount": pa.nulls(3)}), "holds no usable purchase"),
    "no times": (pa.table({**BASE, "time": pa.nulls(3)}), "which is no time"),
    "amounts too small to keep": (_frame(amount=[1e-7] * 3), "Found: 3 lines above zero but below"),
    "days out of this world": (
        pa.table({**BASE, "time": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2023, 1, 1)])}),
        "in 2 of 3 lines",
    ),
    "a polars series": (pl.Series([1]), "cannot read transactions from a polars"),
}


@pytest.mark.parametrize("kind", BAD)
def test_refused_in_words(kind):
    source, message = BAD[kind]
    with pytest.raises(DataError, match=message):
        Transactions.read(source)


def test_relation_of_a_closed_session():
    connection = duckdb.connect()
    relation = connection.sql("SELECT 1 AS customer_id")
    connection.close()
    with pytest.raises(DataError, match="cannot read the DuckDB relation"):
        Transactions.read(relation)


@pytest.mark.parametrize("query", ["", "SELECT 1; SELECT 2"])
def test_query_of_no_or_several_statements(query, settings):
    with pytest.raises(DataError, match="query must be one SQL statement"):
        Transactions.read(settings=settings(query=query))


def test_infinite_day(settings):
    query = "SELECT 1 AS customer_id, TIMESTAMP 'infinity' AS time, 1 AS amount"
    with pytest.raises(DataError, match="cannot be read as a day"):
        Transactions.read(settings=settings(query=query))


def test_database_is_read_only(settings, tmp_path):
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS customer_id")
    with pytest.raises(EngineError):
        Transactions.read(settings=settings(query="DROP TABLE t", database=str(tmp_path / "a.duckdb")))
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]
