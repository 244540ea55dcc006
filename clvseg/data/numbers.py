"""From whatever a log writes its numbers in to DOUBLE, as an SQL expression."""

from __future__ import annotations

from dataclasses import dataclass

from clvseg.data import queries
from clvseg.data.engines.engine import Engine, name, text
from clvseg.errors import DataError

PLAIN = "plain"
# Ways of writing a number as text beside the plain one: name, what every value must look like, what at least
# one value must look like so that a mark cannot be the other way's, mark between thousands, decimal mark.
FORMS = (
    (
        "decimal comma",
        r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?",
        r".*,(\d{1,2}|\d{4,})|.*\.\d{3},\d+|.*\.\d{3}\.\d{3}.*|0,\d+",
        ".",
        ",",
    ),
    (
        "comma between thousands",
        r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?",
        r".*\.(\d{1,2}|\d{4,})|.*,\d{3}\.\d+|.*,\d{3},\d{3}.*|0\.\d+",
        ",",
        ".",
    ),
)


@dataclass(frozen=True)
class NumberReading:
    """How a column of numbers is read.

    Attributes
    ----------
    sql : str
        Expression of type DOUBLE; NULL where no number is given.
    form : str
        "plain", "decimal comma" or "comma between thousands".
    """

    sql: str
    form: str = PLAIN


SIGNS = "[$€£¥₹]"


def _without_sign(engine: Engine, value: str, given: str, looking: str) -> str:
    """The value without the one currency sign that all have, and the space beside it; else as it stands."""
    first = f"regexp_extract({value}, {text(SIGNS)}, 0)"
    found = engine.row(looking, f"SELECT min({first}) AS low, max({first}) AS high FROM raw WHERE {given}")
    sign = found["low"]
    if not sign or sign != found["high"]:
        return value
    return f"trim(replace(replace({value}, {text(sign)}, ''), chr(160), ''))"


def read_numbers(
    engine: Engine, column: str, kind: str, role: str, source: str, known: str | None = None
) -> NumberReading:
    """Find out how the numbers of a column are written.

    A form other than the plain one is taken only where every value fits it and one of them fits no other:
    ``1,234`` alone may be either. A currency sign is left out where every value has the same one.

    Parameters
    ----------
    engine : Engine
        Holds the lines as ``raw``.
    column, kind : str
        The column and its DuckDB type.
    role : str
        The part it plays, for messages.
    source : str
        Name of the source, for messages.
    known : str, optional
        The form of an earlier part of the log, taken where every value fits it.

    Raises
    ------
    DataError
        When the column holds something else than numbers: leaving such lines out would lower revenue unseen.
    """
    if kind in ("DATE", "BOOLEAN", "UUID", "INTERVAL") or kind.startswith("TIME"):
        raise DataError(
            f"{source}: column '{column}' ({role}) is of type {kind}, which is no number.",
            hint=f"map a numeric column as {role}.",
        )
    if kind != "VARCHAR" and not kind.startswith("ENUM"):
        return NumberReading(f"CAST({name(column)} AS DOUBLE)")
    value = f"trim(CAST({name(column)} AS VARCHAR))"
    given = queries.given(f"CAST({name(column)} AS VARCHAR)")
    looking = f"look at the numbers of {role}"
    value = _without_sign(engine, value, given, looking)
    plain = f"TRY_CAST({value} AS DOUBLE)"
    odd = f"FROM raw WHERE {given} AND {plain} IS NULL"
    bad = engine.row(looking, f"SELECT count(*) AS n {odd}")["n"]
    if not bad and known in (None, PLAIN):
        return NumberReading(plain)
    for form, every, sure, thousands, decimal in FORMS:
        sure = ".*" if form == known else sure
        fits = engine.row(
            looking,
            f"""
            SELECT bool_and(regexp_full_match({value}, {text(every)}))
                   AND bool_or(regexp_full_match({value}, {text(sure)})) AS fits FROM raw WHERE {given}
            """,
        )["fits"]
        if fits:
            bare = f"replace(replace({value}, '{thousands}', ''), '{decimal}', '.')"
            return NumberReading(f"TRY_CAST({bare} AS DOUBLE)", form)
    if not bad:
        return NumberReading(plain)
    some = engine.rows(
        looking, f"SELECT DISTINCT CAST({name(column)} AS VARCHAR) AS v {odd} ORDER BY v LIMIT 3"
    )
    raise DataError(
        f"{source}: column '{column}' ({role}) holds text that is no number.",
        found=", ".join(f"{row['v']!r}" for row in some) + f" ({bad:,} lines).",
        hint="write all amounts the same way, without currency signs, such as 1234.50; 1.234,50 and 1,234.50 "
        "are understood too.",
    )
