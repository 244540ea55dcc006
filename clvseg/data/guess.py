"""Guess which column plays which part, from names and types; ``clvseg init`` starts from it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from clvseg.config import ColumnSettings, DataSettings
from clvseg.data.cleaning import MAX_BAD_DATES
from clvseg.data.databases import is_url
from clvseg.data.numbers import read_numbers
from clvseg.data.sources import Source, open_source
from clvseg.data.times import EXCEL, read_times
from clvseg.errors import ConfigError, DataError

_WORDS = {
    "customer": "customer customerid customernumber custid clientid client cliente household householdid "
    "userid user memberid member buyer accountid account shopper cust kunde kundennummer",
    "time": "timestamp transactiontimestamp datetime invoicedate orderdate orderedat purchasedate "
    "transactiondate createdat date datum fecha ordered purchased created time day",
    "amount": "amount revenue salesvalue sales linetotal totalprice total spend spent dollarvalue dollars "
    "gmv paid betrag umsatz summe montant importe sum value net gross brutto netto",
    "order": "orderid invoiceno order invoice basketid basket transactionid receipt "
    "beleg belegnummer bestellnummer rechnung rechnungsnummer bon facture pedido",
    "product": "productid stockcode product sku itemid item article artikel",
    "category": "category productcategory department kategorie warengruppe",
    "quantity": "quantity qty units pieces menge",
    "price": "unitprice price preis",
    "channel": "channel kanal storeid store shop country region",
    "currency": "currency currencycode wahrung waehrung devise moneda valuta",
}
_NUMBER = re.compile(r"INT|DOUBLE|FLOAT|DECIMAL", re.IGNORECASE)


def _ascii(word: str) -> str:
    """A word without accents and umlauts' dots."""
    return unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode()


def guess_columns(types: Mapping[str, str]) -> dict[str, str]:
    """Map parts to columns by their names.

    Parameters
    ----------
    types : mapping of str to str
        Column names and their DuckDB types.

    Returns
    -------
    dict
        Part to column, at most one column a part and one part a column; an amount where there is one,
        else price and quantity. Parts that no name suggests are left out.

    Examples
    --------
    >>> guess_columns({"Kundennummer": "BIGINT", "order_date": "DATE", "Total": "DOUBLE", "note": "VARCHAR"})
    {'customer': 'Kundennummer', 'time': 'order_date', 'amount': 'Total'}
    """
    guess: dict[str, str] = {}
    typed = any(_NUMBER.search(kind) for kind in types.values())  # a CSV file has only text
    for part, words in _WORDS.items():
        choices = [
            (rank, place, name)
            for place, (name, kind) in enumerate(types.items())
            if name not in guess.values()
            and (not typed or part not in ("amount", "price", "quantity") or _NUMBER.search(kind))
            and (rank := _rank(name, words.split())) is not None
        ]
        if choices:
            guess[part] = min(choices)[2]
    if "amount" in guess or "quantity" not in guess:
        guess.pop("price", None)
    return guess


def _rank(name: str, words: list[str]) -> tuple[int, int] | None:
    """Return how well a name fits: the whole name, then one of its words, then its beginning or end."""
    parts = [part.casefold() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", _ascii(name))]
    whole = "".join(parts)
    if whole in words:
        return 0, words.index(whole)
    hits = [words.index(part) for part in parts if part in words]
    if hits:
        return 1, min(hits)
    ends = [
        place
        for place, word in enumerate(words)
        if len(word) > 4 and (whole.startswith(word) or whole.endswith(word))
    ]
    return (2, min(ends)) if ends else None


def _dated(source: Source, taken: set[str]) -> list[str]:
    """Columns, other than those already taken, whose values are dates, but for as few as reading allows."""
    found = []
    for column, kind in source.types.items():
        if column in taken or _NUMBER.search(kind):
            continue
        with contextlib.suppress(DataError):  # text that is no date
            times = read_times(source.engine, column, kind, DataSettings(), source.name)
            if times.forms[:1] == (EXCEL,):  # or ids of five digits
                continue
            counts = source.engine.row(
                "look for dates", f"SELECT count(*) AS lines, count({times.sql}) AS dated FROM raw"
            )
            if counts["dated"] >= (1 - MAX_BAD_DATES) * counts["lines"]:
                found.append(column)
    return found


def _numeric(source: Source, taken: set[str]) -> list[str]:
    """Columns, other than those already taken, whose every value is a number and not all are whole."""
    found = []
    for column, kind in source.types.items():
        if column not in taken:
            with contextlib.suppress(DataError):  # text that is no number
                number = read_numbers(source.engine, column, kind, "amount", source.name).sql
                parts = source.engine.row(
                    "look for amounts",
                    f"SELECT count(*) AS lines, count({number}) AS numbers, "
                    f"count(*) FILTER (WHERE {number} <> floor({number})) AS broken FROM raw",
                )
                if parts["lines"] == parts["numbers"] and parts["broken"]:
                    found.append(column)
    return found


def write_settings(source: str | Path, to: Path, table: str | None = None) -> None:
    """Write a settings file for a log, its columns guessed by name, time and amount else by their content.

    Parameters
    ----------
    source : str or Path
        Transactions: CSV or Parquet files, a DuckDB file or the URL of a database.
    to : Path
        Settings file to write.
    table : str, optional
        Of the database.

    Raises
    ------
    ConfigError
        When `to` is there already or cannot be written.
    DataError
        When the log cannot be read.
    """
    opened = open_source(str(source), DataSettings().model_copy(update={"table": table}))
    types, guess = opened.types, guess_columns(opened.types)
    if "time" not in guess and len(dated := _dated(opened, set(guess.values()))) == 1:
        guess["time"] = dated[0]
    if "amount" not in guess and "price" not in guess and {"customer", "time"} <= set(guess):
        numbers = _numeric(opened, set(guess.values()))
        guess |= {"amount": numbers[0]} if len(numbers) == 1 else {}
    place = str(source) if is_url(str(source)) else os.path.relpath(source, to.parent)
    name = re.sub(r"[^A-Za-z0-9]+", "-", _ascii(table or Path(source).stem)).strip("-") or "clvseg"
    lines = [
        f"name = {json.dumps(name)}",
        'horizon = "26w"    # how far to look ahead: d, w, m or y',
        "",
        "[data]",
    ]
    kind = "source" if table is None else "database"
    lines.append(f"{kind} = {json.dumps(place, ensure_ascii=False)}")
    if table is not None:
        lines.append(f"table = {json.dumps(table, ensure_ascii=False)}")
    lines.append('# currency = "EUR"')
    if "currency" in guess:
        lines.append('# rates = "rates.csv"    # where there are several: currency, rate, from')
    lines += ["", "[data.columns]"]
    for part in ColumnSettings.model_fields:
        if part in guess:
            lines.append(f"{part} = {json.dumps(guess[part], ensure_ascii=False)}")
        elif part in ("customer", "time") or (part == "amount" and "price" not in guess):
            lines.append(f'{part} = ""    # which of: {", ".join(types)}?')
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write {to}.", found=error.strerror, hint="give another name with --to."
        ) from None
