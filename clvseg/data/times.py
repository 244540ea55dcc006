"""From whatever a log calls time to the day of the purchase, as an SQL expression."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clvseg.config import DataSettings
from clvseg.data.engines.engine import Engine, name, text
from clvseg.errors import DataError, EngineError

_CLOCK = r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[AaPp]\.?[Mm]\.?)?)?"
_WEEKDAY = r"(?:[A-Za-z]{3,9},? +)?"
EXCEL = "Excel days"
# Ways of writing a time as text: name, pattern.
_FORMS = {
    "YYYY-MM-DD": rf"^(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_CLOCK}$",
    "YYYY-MM-DD with offset": (
        r"^\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)? ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)$"
    ),
    "YYYYMMDD": r"^(\d{4})(\d{2})(\d{2})(?:[T ]?\d{6})?(?:\.0)?$",
    EXCEL: r"^[3-7]\d{4}(?:\.\d*)?$",
    "epoch seconds": r"^\d{9,10}(?:\.\d*)?$",
    "epoch milliseconds": r"^\d{12,13}(?:\.\d*)?$",
    "numeric": rf"^(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}|\d{{2}}){_CLOCK}$",
    "day month-name year": (
        rf"^{_WEEKDAY}(\d{{1,2}})(?:st|nd|rd|th)?[-/., ]*([A-Za-z]{{3}})[a-z]*\.?"
        rf"[-/., ]+(\d{{4}}|\d{{2}}){_CLOCK}$"
    ),
    "month-name day year": (
        rf"^{_WEEKDAY}([A-Za-z]{{3}})[a-z]*\.?[- ]+(\d{{1,2}})(?:st|nd|rd|th)?,?"
        rf"[- ]+(\d{{4}}|\d{{2}}){_CLOCK}$"
    ),
}
_HINT = 'set date_format under [data], e.g. date_format = "%d/%m/%Y %H:%M".'


@dataclass(frozen=True)
class TimeReading:
    """How the time column is read.

    Attributes
    ----------
    sql : str
        Expression of type DATE; NULL where the value cannot be read.
    forms : tuple of str
        The ways of writing that were found, most frequent first.
    """

    sql: str
    forms: tuple[str, ...]


def read_times(
    engine: Engine,
    column: str,
    kind: str,
    settings: DataSettings,
    source: str,
    known: Collection[str] = (),
) -> TimeReading:
    """Find out how the days of a log are written.

    Parameters
    ----------
    engine : Engine
        Holds the lines as ``raw``.
    column, kind : str
        The time column and its DuckDB type.
    settings : DataSettings
        ``timezone`` and ``date_format``.
    source : str
        Name of the source, for messages.
    known : collection of str
        Forms of an earlier part of the log, which tell day/month from month/day where this part does not.

    Raises
    ------
    DataError
        When the time zone is unknown, the column's type cannot be a time, or the order of day and month
        cannot be decided.
    """
    zone = _zone(engine, settings.timezone)
    value = name(column)
    if kind == "DATE":
        return TimeReading(value, ("date",))
    if kind == "TIMESTAMP WITH TIME ZONE":
        return TimeReading(_local(value, zone), ("timestamp with time zone",))
    if kind.startswith("TIMESTAMP"):
        return TimeReading(f"CAST({value} AS DATE)", ("timestamp",))
    if settings.date_format is not None:
        return _by_format(engine, value, settings.date_format, zone)
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        return _by_text(engine, f"trim(CAST({value} AS VARCHAR))", zone, source, column, known)
    if kind in _NUMBERS or kind.startswith("DECIMAL"):
        return _by_number(engine, value, zone)
    raise DataError(
        f"{source}: column '{column}' (time) is of type {kind}, which is no time.",
        hint="map a date or timestamp column as time.",
    )


_NUMBERS = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "UHUGEINT", "FLOAT", "DOUBLE",
}  # fmt: skip
# Plausible ranges of numbers that mean a time: name, lowest, above highest.
_NUMBER_FORMS = (
    (EXCEL, 30_000, 80_000),
    ("YYYYMMDD", 19000101, 22000101),
    ("epoch seconds", 10**8, 10**10),
    ("epoch milliseconds", 10**11, 10**13),
    ("epoch microseconds", 10**14, 10**16),
    ("epoch nanoseconds", 10**17, 10**19),
)
_PER_SECOND = {
    "epoch seconds": 1, "epoch milliseconds": 1000, "epoch microseconds": 10**6, "epoch nanoseconds": 10**9,
}  # fmt: skip


def _zone(engine: Engine, zone: str) -> str:
    day = _local("TIMESTAMPTZ '2000-01-01'", text(zone))
    try:
        engine.rows("look up the time zone", f"SELECT {day} AS day")
    except EngineError:
        raise DataError(
            f"the time zone '{zone}' is unknown.", hint='timezone is a name like "UTC" or "Europe/Berlin".'
        ) from None
    return text(zone)


def _local(moment: str, zone: str) -> str:
    """Day of a TIMESTAMPTZ in the zone."""
    return f"CAST(timezone({zone}, {moment}) AS DATE)"


def _by_format(engine: Engine, value: str, form: str, zone: str) -> TimeReading:
    parsed = f"try_strptime(trim(CAST({value} AS VARCHAR)), {text(form)})"
    try:
        engine.rows("try date_format", f"SELECT CAST({parsed} AS VARCHAR) AS moment FROM raw LIMIT 1")
    except EngineError as error:
        raise DataError(
            f'date_format = "{form}" is not a strptime format.', found=error.found, hint=_HINT
        ) from None
    sql = _local(parsed, zone) if "%z" in form or "%Z" in form else f"CAST({parsed} AS DATE)"
    return TimeReading(sql, (form,))


def _by_number(engine: Engine, value: str, zone: str) -> TimeReading:
    counts = engine.row(
        "look at the times",
        "SELECT " + ", ".join(
            f"count(*) FILTER (WHERE {value} >= {low} AND {value} < {high}) AS {name(form)}"
            for form, low, high in _NUMBER_FORMS
        ) + " FROM raw",
    )  # fmt: skip
    form, low, high = max(_NUMBER_FORMS, key=lambda item: counts[item[0]])
    day = _of_number(form, value, zone)
    return TimeReading(f"CASE WHEN {value} >= {low} AND {value} < {high} THEN {day} END", (form,))


def _of_number(form: str, value: str, zone: str) -> str:
    """Day that a number means, also where it is written as text."""
    if form in _PER_SECOND:
        return _local(f"to_timestamp(CAST({value} AS DOUBLE) / {_PER_SECOND[form]})", zone)
    if form == EXCEL:  # day 1 is 1 January 1900, and 60 a 29 February that there was not
        return f"CAST(DATE '1899-12-30' + CAST(floor(CAST({value} AS DOUBLE)) AS INTEGER) AS DATE)"
    return f"CAST(try_strptime(CAST(CAST({value} AS BIGINT) AS VARCHAR), '%Y%m%d') AS DATE)"


def _by_text(
    engine: Engine, value: str, zone: str, source: str, column: str, known: Collection[str]
) -> TimeReading:
    cases = " ".join(f"WHEN regexp_matches(v, {text(p)}) THEN {text(f)}" for f, p in _FORMS.items())
    numeric = text(_FORMS["numeric"])
    found = engine.rows(
        "look at the times",
        f"""
        WITH written AS (SELECT {value} AS v, count(*) AS n FROM raw GROUP BY v),
        lines AS (SELECT v, n, CASE {cases} END AS form FROM written),
        parts AS (
            SELECT v, n, form,
                   CASE WHEN form = 'numeric' THEN CAST(regexp_extract(v, {numeric}, 1) AS INTEGER) END AS a,
                   CASE WHEN form = 'numeric' THEN CAST(regexp_extract(v, {numeric}, 2) AS INTEGER) END AS b
            FROM lines WHERE form IS NOT NULL
        )
        SELECT form, sum(n) AS lines, min(v) AS example,
               coalesce(sum(n) FILTER (WHERE a > 12 AND b <= 12), 0) AS day_first,
               coalesce(sum(n) FILTER (WHERE b > 12 AND a <= 12), 0) AS month_first,
               coalesce(sum(n) FILTER (WHERE a <= 12 AND b <= 12 AND a <> b), 0) AS undecided,
               min(v) FILTER (WHERE a > 12 AND b <= 12) AS day_first_example,
               min(v) FILTER (WHERE b > 12 AND a <= 12) AS month_first_example
        FROM parts GROUP BY form ORDER BY lines DESC, form
        """,
    )
    branches, forms = [], []
    for row in found:
        form = row["form"]
        if form == "numeric":
            form = "DD/MM/YYYY" if _day_first(row, source, column, known) else "MM/DD/YYYY"
        forms.append(form)
        pattern = text(_FORMS[row["form"]])
        branches.append(f"WHEN regexp_matches({value}, {pattern}) THEN {_parse(form, value, pattern, zone)}")
    sql = f"CASE {' '.join(branches)} END" if branches else "CAST(NULL AS DATE)"
    return TimeReading(sql, tuple(forms))


def _parse(form: str, value: str, pattern: str, zone: str) -> str:
    """Expression of one way of writing."""
    if form == "YYYY-MM-DD with offset":
        offset = f"regexp_replace(regexp_replace({value}, ' ?(UTC|Z)$', '+00'), ' ([+-][0-9:]+)$', '\\1')"
        return _local(f"TRY_CAST({offset} AS TIMESTAMPTZ)", zone)
    if form == EXCEL or form in _PER_SECOND:
        return _of_number(form, value, zone)
    if form.startswith("YYYY"):
        # The plain cast is fast and knows most; the pattern knows the rest.
        rewritten = f"regexp_replace({value}, {pattern}, '\\1-\\2-\\3')"
        return f"coalesce(TRY_CAST({value} AS DATE), TRY_CAST({rewritten} AS DATE))"
    if form in ("DD/MM/YYYY", "MM/DD/YYYY"):
        date = f"replace(replace(regexp_extract({value}, '^[0-9/.-]+'), '-', '/'), '.', '/')"
        start = "%d/%m/" if form == "DD/MM/YYYY" else "%m/%d/"
    else:
        order = "\\1 \\2 \\3" if form == "day month-name year" else "\\2 \\1 \\3"
        date, start = f"regexp_replace({value}, {pattern}, '{order}')", "%d %b "
    # A format that fails is slow: choose the year's before trying.
    return (
        f"CAST(CASE WHEN regexp_matches({date}, '[0-9]{{4}}') THEN try_strptime({date}, '{start}%Y') "
        f"ELSE try_strptime({date}, '{start}%y') END AS DATE)"
    )


def _day_first(row: dict[str, object], source: str, column: str, known: Collection[str]) -> bool:
    """Tell day/month from month/day by values above twelve."""
    if row["day_first"] and row["month_first"]:
        raise DataError(
            f"{source}: column '{column}' (time) mixes day/month and month/day.",
            found=f"{row['day_first_example']} ({row['day_first']} lines) and "
            f"{row['month_first_example']} ({row['month_first']} lines).",
            hint=_HINT,
        )
    if not row["day_first"] and not row["month_first"]:
        before = {"DD/MM/YYYY", "MM/DD/YYYY"} & set(known)
        if before:
            return before == {"DD/MM/YYYY"}
    if row["undecided"] and not row["day_first"] and not row["month_first"]:
        raise DataError(
            f"{source}: column '{column}' (time) does not tell whether the day or the month comes first.",
            found=f"values like {row['example']}, none with a number above 12.",
            hint=_HINT,
        )
    return bool(row["day_first"])
