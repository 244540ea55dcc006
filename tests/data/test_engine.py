"""The engine never lets one of DuckDB's own errors out."""

from __future__ import annotations

import pytest

from clvseg.data.engines.duckdb import DuckDBEngine
from clvseg.data.engines.engine import name, text
from clvseg.errors import EngineError


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.run("do it", "nonsense"),
        lambda engine: engine.frame("do it", "SELECT * FROM nowhere"),
        lambda engine: engine.frame("do it", "SELECT CAST('x' AS INTEGER)"),
        lambda engine: engine.rows("do it", "SELECT CAST(range AS TINYINT) FROM range(1000)"),
        lambda engine: engine.row("do it", "SELECT ?", ()),
        lambda engine: engine.register("do it", "x", object()),
    ],
)
def test_errors_carry_the_purpose(call):
    with pytest.raises(EngineError, match=r"The engine could not do it\.\nFound: ") as caught:
        call(DuckDBEngine())
    assert caught.value.purpose == "do it"
    assert caught.value.sql


def test_quoting():
    engine = DuckDBEngine()
    odd = 'it\'s "odd"; --'
    assert engine.row("quote", f"SELECT {text(odd)} AS {name(odd)}") == {odd: odd}


def test_two_engines_do_not_meet():
    one, two = DuckDBEngine(), DuckDBEngine()
    one.run("make a table", "CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(EngineError):
        two.rows("read it", "FROM t")
