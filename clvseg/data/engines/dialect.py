"""From DuckDB's dialect, in which the house writes its SQL, to Spark's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

# Directives of strptime in Java's DateTimeFormatter, where one letter takes one digit or more, two take two.
_JAVA = {
    "Y": "yyyy", "y": "yy", "m": "M", "d": "d", "H": "H", "I": "h", "M": "m", "S": "s", "p": "a", "b": "MMM",
    "B": "MMMM", "a": "EEE", "A": "EEEE", "j": "D", "z": "XX", "%": "'%'",
}  # fmt: skip
_ONE_LETTER = ("M", "d", "H", "h", "m", "s")
_NUMBERS = (*_ONE_LETTER, "yyyy", "yy", "D")
# Two digits above this are of the last century, as POSIX has it.
_LAST_OF_CENTURY = 2068


@dataclass(frozen=True)
class Statement:
    """One statement in Spark's dialect.

    Attributes
    ----------
    sql : str
        A query.
    creates : str or None
        The table or view that shall hold its rows.
    table : bool
        Whether they are kept, and not computed again each time.
    """

    sql: str
    creates: str | None = None
    table: bool = False


def to_spark(sql: str, parameters: Sequence[Any] = ()) -> Statement:
    """Translate a statement; parameters are written into it.

    Raises
    ------
    ValueError
        When it cannot be read, or says what Spark cannot do.

    Examples
    --------
    >>> to_spark("SELECT regexp_matches(v, '^a') FROM t WHERE day > ?", [dt.date(2026, 1, 31)]).sql
    "SELECT v RLIKE '^a' FROM t WHERE day > CAST('2026-01-31' AS DATE)"
    """
    try:
        tree = parse_one(sql, read="duckdb")
    except SqlglotError as error:
        raise ValueError(str(error)) from None
    tree = _filled(tree, parameters)
    for node in reversed(list(tree.walk())):  # the innermost first
        node.replace(_function(node))
    if not isinstance(tree, exp.Create):
        return Statement(tree.sql(dialect="spark"))
    query = tree.expression
    query.set("order", None)  # a table has none
    return Statement(query.sql(dialect="spark"), tree.this.name, tree.args["kind"] == "TABLE")


def _filled(tree: exp.Expr, parameters: Sequence[Any]) -> exp.Expr:
    """Write the parameters in: ``?`` in their order, ``$1`` by number."""
    values = iter(parameters)

    def fill(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder):
            return node
        return _literal(parameters[int(node.this) - 1] if node.this else next(values))

    return tree.transform(fill, copy=False)


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, dt.date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    return exp.convert(value)


def _function(node: exp.Expr) -> exp.Expr:
    """What sqlglot leaves as it is."""
    if isinstance(node, exp.RegexpFullMatch):
        whole = exp.Literal.string(f"^(?:{node.expression.name})$")
        return exp.RegexpLike(this=node.this, expression=whole)
    if isinstance(node, exp.RegexpReplace):
        node.set("replacement", exp.Literal.string(re.sub(r"\\(\d)", r"$\1", node.args["replacement"].name)))
        return node
    if isinstance(node, exp.UnixToTime):
        return exp.func("timestamp_seconds", node.this)
    if not isinstance(node, exp.Anonymous):
        return node
    called, given = node.name.lower(), node.expressions
    if called == "try_strptime":
        return _strptime(given[0], given[1].name)
    if called == "timezone":
        return exp.func("from_utc_timestamp", given[1], given[0])
    if called == "hash":
        # Spark's own is of 32 bits; a sum of 64 overflows, a DECIMAL holds it. DuckDB hashes a table's rows.
        what = [exp.Star()] if [each.name for each in given] == ["raw"] else given
        return exp.cast(exp.Anonymous(this="xxhash64", expressions=what), "DECIMAL(38, 0)")
    return node


def _strptime(value: exp.Expr, form: str) -> exp.Expr:
    """Read a time by a strptime format: one that fails is NULL."""
    moment = exp.func("try_to_timestamp", value, exp.Literal.string(java_format(form)))
    if "%y" not in form:
        return moment
    late = exp.GT(this=exp.func("year", moment.copy()), expression=exp.Literal.number(_LAST_OF_CENTURY))
    century = exp.Interval(this=exp.Literal.string("100"), unit=exp.var("YEAR"))
    return exp.case().when(late, exp.Sub(this=moment.copy(), expression=century)).else_(moment)


def java_format(form: str) -> str:
    """Write a strptime format as Java's DateTimeFormatter reads it.

    Raises
    ------
    ValueError
        When it holds a directive that Java has no letter for.

    Examples
    --------
    >>> print(java_format("%d.%m.%Y at %H:%M"))
    d.M.yyyy 'at 'H:m
    >>> print(java_format("%Y%m%d"))
    yyyyMMdd
    """
    out, words, after = "", "", False
    found = re.findall(r"%(-?)([A-Za-z%])|([^%])", form)
    for (directive, letter, plain), (_, following, _) in pairwise([*found, ("", "", "")]):
        if plain.isalpha() or (plain in ("'", " ") and words):
            words, after = words + ("''" if plain == "'" else plain), False
            continue
        if plain:
            out += _quoted(words) + plain
        elif letter in _JAVA:
            # Where no sign parts two numbers, only their length does.
            beside = after or _JAVA.get(following, "") in _NUMBERS
            out += _quoted(words) + _JAVA[letter] * (2 if beside and _JAVA[letter] in _ONE_LETTER else 1)
        else:
            raise ValueError(f"%{directive}{letter} cannot be read on Spark")
        words, after = "", _JAVA.get(letter, "") in _NUMBERS
    return out + _quoted(words)


def _quoted(words: str) -> str:
    return f"'{words}'" if words else ""
