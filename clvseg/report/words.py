"""Numbers, dates and names as people read them."""

from __future__ import annotations

import datetime as dt
import math
import re

NBSP = "\u00a0"
MINUS = "\u2212"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_UNITS = {"d": "day", "w": "week", "m": "month", "y": "year"}


def count(number: float) -> str:
    """A whole number with thousands separated.

    Examples
    --------
    >>> count(23570), count(0.4)
    ('23,570', 'under 1')
    """
    return "under 1" if 0 < number < 0.5 else f"{number:,.0f}".replace("-", MINUS)


def customers(number: float) -> str:
    """A number of customers.

    Examples
    --------
    >>> customers(1), customers(2357)
    ('1 customer', '2,357 customers')
    """
    return f"{count(number)} customer{'' if count(number) in ('1', 'under 1') else 's'}"


def amount(number: float) -> str:
    r"""Money without its unit: all digits up to 9,999, three of them from 10,000 on.

    Examples
    --------
    >>> amount(611_234.5), amount(1_237_000), amount(999_999), amount(9_876.4)
    ('611\xa0k', '1.24\xa0M', '1.00\xa0M', '9,876')
    >>> amount(43.2), amount(4.321), amount(0.002), amount(0), amount(-52_300)
    ('43', '4.32', 'under 0.01', '0', '\u221252.3\xa0k')
    """
    if number < 0:
        return MINUS + amount(-number)
    if 0 < number < 0.005:
        return "under 0.01"
    if number < 9.995:
        return f"{number:.2f}" if number else "0"
    if number < 9_999.5:
        return f"{number:,.0f}"
    unit, letter = next((unit, letter) for unit, letter in _STEPS if number >= unit * 0.9995)
    scaled = number / unit
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:,.{digits}f}{NBSP}{letter}"


def money(number: float, currency: str | None) -> str:
    r"""Money with its unit, where one is known.

    Examples
    --------
    >>> money(611_234.5, "USD"), money(43.2, None)
    ('USD\xa0611\xa0k', '43')
    """
    text = amount(number)
    if currency is None:
        return text
    if text.startswith("under "):
        return f"under {currency}{NBSP}{text[6:]}"
    return f"{currency}{NBSP}{text}"


def percent(share: float) -> str:
    r"""A share as a percentage, with a decimal only where it is small or almost everything.

    Examples
    --------
    >>> percent(0.524), percent(0.0042), percent(0.0002), percent(0.997), percent(1.0)
    ('52\xa0%', '0.4\xa0%', 'under 0.1\xa0%', '99.7\xa0%', '100\xa0%')
    """
    size = abs(share)
    if 0 < size < 0.0005:
        return f"under 0.1{NBSP}%"
    if 0.995 <= size < 1:
        return f"{min(share * 100, 99.9):.1f}{NBSP}%"
    text = f"{share * 100:.1f}" if 0 < size < 0.0095 else f"{share * 100:.0f}"
    return f"{text.replace('-', MINUS)}{NBSP}%"


def signed_percent(share: float) -> str:
    r"""A deviation as a percentage with its sign.

    Examples
    --------
    >>> signed_percent(0.042), signed_percent(-0.173), signed_percent(0.0)
    ('+4\xa0%', '\u221217\xa0%', '0\xa0%')
    """
    text = percent(share)
    return f"+{text}" if share > 0 and text[0].isdigit() else text


def plain(number: float) -> str:
    """A number of unknown meaning with three significant digits, two below one.

    Examples
    --------
    >>> plain(94.0), plain(1234.6), plain(0.12345), plain(21.53), plain(0.0)
    ('94', '1,235', '0.12', '21.5', '0')
    """
    if number == 0 or (float(number).is_integer() and abs(number) < 1e6):
        return f"{number:,.0f}".replace("-", MINUS)
    if abs(number) >= 1e6:
        return amount(number)
    digits = max(0, (2 if abs(number) >= 1 else 1) - math.floor(math.log10(abs(number))))
    text = f"{number:,.{min(digits, 4)}f}".replace("-", MINUS)
    return text.rstrip("0").rstrip(".") if "." in text else text


def day(date: str | dt.date | dt.datetime) -> str:
    r"""A day in words, the same in every locale.

    Examples
    --------
    >>> day("1998-06-30")
    '30\xa0Jun\xa01998'
    """
    when = dt.date.fromisoformat(date) if isinstance(date, str) else date
    return f"{when.day}{NBSP}{_MONTHS[when.month - 1]}{NBSP}{when.year}"


def duration(text: str) -> str:
    """A duration of the settings in words.

    Examples
    --------
    >>> duration("39w"), duration("1y"), duration("90d")
    ('39 weeks', '1 year', '90 days')
    """
    number, unit = text.strip()[:-1].strip(), text.strip()[-1]
    return f"{int(number)} {_UNITS[unit]}{'' if int(number) == 1 else 's'}"


def days(number: int) -> str:
    """A number of days in words, in weeks where they are whole.

    Examples
    --------
    >>> days(273), days(90), days(1)
    ('39 weeks', '90 days', '1 day')
    """
    if number % 7 == 0 and number > 7:
        return f"{number // 7} weeks"
    return f"{number:,} day{'' if number == 1 else 's'}"


def sentence(text: str) -> str:
    """The text as a sentence: a capital first and a full stop last.

    Examples
    --------
    >>> sentence("no order for 94 days")
    'No order for 94 days.'
    """
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def slug(text: str) -> str:
    """The text as an anchor.

    Examples
    --------
    >>> slug("Big & loyal")
    'big-loyal'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def quoted(name: str) -> str:
    r"""A name that may hold commas, fit to stand in a sentence.

    Examples
    --------
    >>> quoted("High value, cooling off")
    '\u201cHigh value, cooling off\u201d'
    """
    return f"\u201c{name}\u201d"


def spoken(name: str) -> str:
    """An internal name as words.

    Examples
    --------
    >>> spoken("lines_without_customer")
    'Lines without customer'
    """
    words = name.replace("_", " ").replace(".", ", ").strip()
    return words[:1].upper() + words[1:]


def listed(items: list[str]) -> str:
    """Items as a list in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
