"""From ``raw`` to ``lines`` and ``purchases``: every line is kept, netted or counted as left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from clvseg.config import DataSettings
from clvseg.data import queries
from clvseg.data.engines.engine import Engine, name
from clvseg.data.numbers import NumberReading, read_numbers
from clvseg.data.rates import rates_hash, read_rates
from clvseg.data.sources import Source
from clvseg.data.times import TimeReading, read_times
from clvseg.errors import DataError, MissingColumnsError

# More unreadable or impossible dates than this share are an error, fewer are left out and counted.
MAX_BAD_DATES = 0.05
# Amounts that a ten-thousandth rounds to zero are dust; more than this share of all lines is an error.
MAX_SMALL_AMOUNTS = 0.01
_EXTRAS = {"order": "order_id", "product": "product_id", "category": "category", "channel": "channel"}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB")


def clean(source: Source, settings: DataSettings, earlier: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the tables ``lines`` (one row per kept line) and ``purchases`` (one per customer and day).

    Parameters
    ----------
    source : Source
        Holds ``raw``.
    settings : DataSettings
        The policies.
    earlier : mapping, optional
        Profile of the part of the log before these lines, which are read as it was where they leave a doubt;
        there need be no purchase among them.

    Returns
    -------
    dict
        Counts of everything read, dropped, merged and netted; see :attr:`Transactions.profile`.

    Raises
    ------
    MissingColumnsError
        Names every mapped column that is not there.
    DataError
        When days, amounts or the currency cannot be used, or nothing is left.
    """
    known = earlier or {}
    engine = source.engine
    roles = _mapped(source)
    profile: dict[str, Any] = {
        "source": source.name,
        "columns": roles,
        "timezone": settings.timezone,
        "encoding": source.encoding,
    }
    read = engine.row("count the lines", "SELECT count(*) AS lines FROM raw")["lines"]
    if not read:
        raise DataError(
            f"{source.name} has a header but no lines.",
            found=", ".join(source.types) + ".",
            hint="export it again; one line per order with customer, day and amount.",
        )
    profile["lines_read"] = read
    profile |= _duplicates(engine, settings, "order" in roles, read)
    times = read_times(
        engine, roles["time"], source.types[roles["time"]], settings, source.name, known.get("date_forms", ())
    )
    profile["date_forms"] = list(times.forms)
    customer = _customer(source, roles["customer"], known.get("customer_type") == "text")
    profile["customer_type"] = "integer" if customer.endswith("AS BIGINT)") else "text"
    numbers = _numbers(source, roles, known.get("number_forms", {}))
    profile["number_forms"] = {role: reading.form for role, reading in numbers.items()}
    table = "(SELECT DISTINCT * FROM raw)" if profile["duplicates_dropped"] else "raw"
    converted = settings.rates is not None
    if settings.rates is not None:
        rates = read_rates(settings.rates, settings.currency or "")
        engine.register("read the rates", "rates", rates)
        profile["rates"] = rates_hash(settings.rates)
    engine.run(
        "read customers, days and amounts",
        queries.parsed_lines(
            table, customer, times.sql, _amount(numbers), _extras(roles, numbers), converted
        ),
        (settings.zero_amounts == "drop", settings.refunds == "drop", _tomorrow()),
    )
    profile |= _line_counts(source, roles)
    profile |= engine.row("compare the customer ids", queries.padded_customers(profile["customer_type"]))
    _check_dates(source, roles["time"], times, profile)
    profile |= _currency(source, settings)
    engine.keep("keep the good lines", "lines", queries.lines(sorted(_extra_names(roles))))
    for table in ("parsed", "raw", "given", "rates"):
        engine.drop(table)
    profile |= _purchases(source, settings, profile, earlier is None)
    return profile


def _tomorrow() -> dt.date:
    """Latest day a purchase can have: somewhere it is tomorrow already."""
    return dt.date.today() + dt.timedelta(days=1)


def _mapped(source: Source) -> dict[str, str]:
    """Role to column; every missing one is named at once."""
    roles = {role: column for role, column in source.columns.model_dump().items() if column is not None}
    if "price" not in roles:
        roles.setdefault("amount", "amount")
    missing = [(role, column) for role, column in roles.items() if column not in source.types]
    if missing:
        raise MissingColumnsError.compare(source.name, missing, source.types)
    for role, column in roles.items():
        kind = source.types[column]
        if kind.startswith(_NESTED) or kind.endswith("]"):
            raise DataError(f"{source.name}: column '{column}' ({role}) holds {kind}, not single values.")
    return roles


def _duplicates(engine: Engine, settings: DataSettings, has_order: bool, read: int) -> dict[str, Any]:
    distinct = engine.row(
        "count repeated lines", "SELECT count(*) AS n FROM (SELECT DISTINCT hash(raw) FROM raw)"
    )
    found = read - distinct["n"]
    drop = settings.duplicates == "drop" or (settings.duplicates == "auto" and has_order)
    return {"duplicates_found": found, "duplicates_dropped": found if drop else 0}


def _customer(source: Source, column: str, as_it_stands: bool) -> str:
    """Expression of the customer's id: BIGINT where every id is a whole number, else text as it stands."""
    kind, value = source.types[column], name(column)
    as_text = f"CAST({value} AS VARCHAR)"
    given = queries.given(as_text)
    if as_it_stands:
        return f"CASE WHEN {given} THEN {as_text} END"
    if kind in _INTEGERS:
        return f"CAST({value} AS BIGINT)"
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        whole = f"{value} = floor({value}) AND abs({value}) < 9007199254740992"
    elif kind in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        whole = f"TRY_CAST({value} AS BIGINT) IS NOT NULL"
    elif source.all_text:
        whole = f"regexp_matches(trim({value}), '^(0|-?[1-9][0-9]{{0,17}})(\\.0+)?$')"
    else:
        return f"CASE WHEN {given} THEN {as_text} END"
    others = source.engine.row(
        "look at the customer ids",
        f"SELECT count(*) AS n FROM raw WHERE {given} AND NOT coalesce({whole}, false)",
    )
    if others["n"]:
        return f"CASE WHEN {given} THEN {as_text} END"
    written = f"regexp_replace(trim({value}), '\\.0+$', '')" if source.all_text else value
    return f"TRY_CAST({written} AS BIGINT)"


def _numbers(source: Source, roles: dict[str, str], known: Mapping[str, str]) -> dict[str, NumberReading]:
    """Role to how its numbers are read."""
    return {
        role: read_numbers(
            source.engine, roles[role], source.types[roles[role]], role, source.name, known.get(role)
        )
        for role in ("amount", "price", "quantity")
        if role in roles
    }


def _amount(numbers: dict[str, NumberReading]) -> tuple[str, str]:
    """Expressions of the line's amount and of the unit price (NULL without one)."""
    if "amount" in numbers:
        return numbers["amount"].sql, "CAST(NULL AS DOUBLE)"
    price = numbers["price"].sql
    return f"{price} * {numbers['quantity'].sql}", price


def _extra_names(roles: dict[str, str]) -> set[str]:
    return {column for role, column in _EXTRAS.items() if role in roles} | (
        {"quantity"} if "quantity" in roles else set()
    )


def _extras(roles: dict[str, str], numbers: dict[str, NumberReading]) -> dict[str, str]:
    """Optional columns of ``lines`` and their expressions."""
    out = {column: name(roles[role]) for role, column in _EXTRAS.items() if role in roles}
    if "quantity" in roles:
        out["quantity"] = f"TRY_CAST({numbers['quantity'].sql} AS DECIMAL(18, 4))"
    if "currency" in roles:
        out["currency"] = f"upper(trim(CAST({name(roles['currency'])} AS VARCHAR)))"
    return out


def _line_counts(source: Source, roles: dict[str, str]) -> dict[str, Any]:
    counts = {row["reason"]: row for row in source.engine.rows("count the lines", queries.LINE_COUNTS)}
    small = sum(row["rounded_away"] for row in counts.values())
    if small > MAX_SMALL_AMOUNTS * sum(row["lines"] for row in counts.values()):
        raise DataError(
            f"{source.name}: column '{roles.get('amount', roles.get('price'))}' holds amounts too small to "
            "keep.",
            found=f"{small:,} lines above zero but below 0.00005; amounts are kept to a ten-thousandth.",
            hint="give them in a smaller unit of money.",
        )

    def lines(reason: str) -> int:
        return counts[reason]["lines"] if reason in counts else 0

    free = sum(row["zeros"] for reason, row in counts.items() if reason in ("kept", "zero dropped"))
    refunds = [counts[reason] for reason in ("kept", "refund dropped") if reason in counts]
    return {
        "missing_customers": lines("no customer"),
        "unreadable_dates": lines("no date"),
        "implausible_dates": lines("impossible date"),
        "missing_amounts": lines("no amount"),
        "negative_prices": lines("negative price"),
        "zero_lines": free,
        "zero_lines_dropped": lines("zero dropped"),
        "refund_lines": sum(row["refunds"] for row in refunds),
        "refund_money": float(sum(row["refund_money"] for row in refunds)),
        "refund_lines_dropped": lines("refund dropped"),
        "lines_kept": lines("kept"),
    }


def _check_dates(source: Source, column: str, times: TimeReading, profile: dict[str, Any]) -> None:
    bad = profile["unreadable_dates"] + profile["implausible_dates"]
    known = profile["lines_read"] - profile["duplicates_dropped"] - profile["missing_customers"]
    if bad <= MAX_BAD_DATES * known:
        return
    value = f"CAST({name(column)} AS VARCHAR)"
    ahead = source.engine.row(
        "look for days to come",
        f"SELECT count(*) AS n, max({times.sql}) AS last FROM raw "
        f"WHERE ({times.sql}) > ? AND ({times.sql}) < DATE '2200-01-01'",
        (_tomorrow(),),
    )
    if ahead["n"] > bad / 2:
        raise DataError(
            f"{source.name}: column '{column}' (time) lies in the future in {ahead['n']:,} of {known:,} "
            "lines.",
            found=f"days up to {ahead['last']}.",
            hint="leave out orders that are to come; where day and month are swapped, set date_format under "
            '[data], e.g. date_format = "%d/%m/%Y".',
        )
    rows = source.engine.rows(
        "look at the unreadable days",
        f"""
        SELECT v FROM (SELECT DISTINCT coalesce({value}, '(empty)') AS v FROM raw
                       WHERE ({times.sql}) IS NULL OR ({times.sql}) < DATE '1970-01-01' OR ({times.sql}) > ?)
        ORDER BY v LIMIT 3
        """,
        (_tomorrow(),),
    )
    raise DataError(
        f"{source.name}: column '{column}' (time) cannot be read as a day between 1970 and today in "
        f"{bad:,} of {known:,} lines.",
        found=", ".join(f"{row['v']!r}" for row in rows) + ".",
        hint='set date_format under [data], e.g. date_format = "%d/%m/%Y %H:%M".',
    )


def _currency(source: Source, settings: DataSettings) -> dict[str, Any]:
    """Currency of the amounts, and how many lines were converted into it."""
    if source.columns.currency is None:
        return {"currency": settings.currency}
    place = f"{source.name}: column '{source.columns.currency}'"
    if settings.rates is not None:
        lacking = source.engine.rows("look for lines without a rate", queries.UNRATED)
        if lacking:
            listed = (
                f"{row['currency']} ({row['lines']:,} lines, {row['first']} to {row['last']})"
                for row in lacking[:5]
            )
            raise DataError(
                f"{place} holds currencies, or days of them, without a rate.",
                found=", ".join(listed) + ".",
                hint=f"add them to {settings.rates}, or begin their first rate earlier.",
            )
    rows = source.engine.rows("count the currencies", queries.CURRENCIES)
    if settings.rates is not None:
        own = (settings.currency or "").upper()
        others = sum(row["lines"] for row in rows if row["currency"] != own)
        return {"currency": settings.currency, "converted_lines": others}
    if len(rows) > 1:
        raise DataError(
            f"{place} holds {len(rows)} currencies.",
            found=", ".join(f"{row['currency']} ({row['lines']:,} lines)" for row in rows[:5]) + ".",
            hint="set under [data] the currency to convert to, and rates, a file with the rate of each; "
            "or run one currency at a time.",
        )
    return {"currency": str(rows[0]["currency"]) if rows else settings.currency}


# Why lines are left out: key of the profile, words.
LEFT_OUT = (
    ("missing_customers", "without a customer"),
    ("unreadable_dates", "without a readable day"),
    ("implausible_dates", "dated before 1970 or in the future"),
    ("missing_amounts", "without an amount"),
    ("negative_prices", "with a negative price"),
)


def _reasons(profile: dict[str, Any]) -> str:
    parts = [f"{profile[key]:,} lines {words}" for key, words in LEFT_OUT if profile[key]]
    if profile["refund_lines"]:
        parts.append(f"{profile['refund_lines']:,} refunds")
    if profile["zero_lines_dropped"]:
        parts.append(f"{profile['zero_lines_dropped']:,} free lines")
    return ", ".join(parts) + "."


def _purchases(source: Source, settings: DataSettings, lines: dict[str, Any], needed: bool) -> dict[str, Any]:
    engine = source.engine
    has_order, has_quantity = source.columns.order is not None, source.columns.quantity is not None
    engine.run("sum the days", queries.customer_days(has_order, has_quantity))
    profile = engine.row("count the days", queries.DAY_COUNTS)
    engine.keep("list the purchases", "purchases", queries.purchases("customer_days"))
    engine.drop("customer_days")
    profile |= engine.row("count the purchases", queries.PURCHASE_COUNTS)
    if needed and not profile["purchases"]:
        what = "only refunds" if lines["refund_lines"] else "no usable purchase"
        raise DataError(
            f"{source.name} holds {what}.",
            found=_reasons(lines),
            hint="purchases need a customer, a day and an amount above zero; check [data.columns].",
        )
    profile["refunds"] = settings.refunds
    profile["wiped_money"] = float(profile["wiped_money"])
    profile["refund_only_money"] = float(profile["refund_only_money"])
    for key in ("first_day", "last_day"):
        profile[key] = profile[key] and profile[key].isoformat()
    return profile
