"""Weeks, months and quarters of a fiscal year, as finance counts them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.config import parse_duration

Kind = Literal["week", "month", "quarter", "year"]
TOTAL = "total"
_MONTHS = {"m": 1, "y": 12}


@dataclass(frozen=True, slots=True)
class Periods:
    """Periods that follow each other; the first and the last may be cut.

    Attributes
    ----------
    names : tuple of str
        Such as ``2026-01``, ``2026 Q1`` or ``week of 2026-01-05``.
    starts, ends : tuple of date
        First and last days.
    """

    names: tuple[str, ...]
    starts: tuple[dt.date, ...]
    ends: tuple[dt.date, ...]

    def days_after(self, day: dt.date) -> NDArray[np.float64]:
        """Days from `day` to the end of each period, shape (periods,)."""
        return np.array([(end - day).days for end in self.ends], dtype=np.float64)

    def frame(self) -> pd.DataFrame:
        """Columns ``period, start, end, days``, one row per period."""
        days = [(end - start).days + 1 for start, end in zip(self.starts, self.ends, strict=True)]
        return pd.DataFrame({"period": self.names, "start": self.starts, "end": self.ends, "days": days})

    def frame_with_total(self) -> pd.DataFrame:
        """The same, and a last row for all of them together."""
        frame = self.frame()
        whole = {"period": TOTAL, "start": self.starts[0], "end": self.ends[-1], "days": frame["days"].sum()}
        return pd.concat([frame, pd.DataFrame([whole])], ignore_index=True)


def between(first: dt.date, last: dt.date, kind: Kind, fiscal_year_start: int = 1) -> Periods:
    """Periods of a calendar from one day to another, both included.

    Parameters
    ----------
    first, last : date
        Where the first begins and the last ends, though the calendar's may reach further.
    kind : {"week", "month", "quarter", "year"}
        Weeks begin on Monday; quarters and years with the fiscal year.
    fiscal_year_start : int
        Its month, 1 to 12. A fiscal year is called by the year in which it ends.

    Examples
    --------
    >>> found = between(dt.date(2026, 1, 15), dt.date(2026, 5, 31), "quarter", fiscal_year_start=4)
    >>> found.names, [str(day) for day in found.ends]
    (('FY2026 Q4', 'FY2027 Q1'), ['2026-03-31', '2026-05-31'])
    """
    names, starts, ends, day = [], [], [], first
    while day <= last:
        begin = start_of(day, kind, fiscal_year_start)
        until = min(_next(begin, kind) - dt.timedelta(days=1), last)
        names.append(name_of(begin, kind, fiscal_year_start))
        starts.append(day)
        ends.append(until)
        day = until + dt.timedelta(days=1)
    return Periods(tuple(names), tuple(starts), tuple(ends))


def last_day(as_of: dt.date, horizon: str) -> dt.date:
    """Last day of a horizon that begins after a day.

    Months and years are the calendar's: from the end of a month to the end of another.

    Examples
    --------
    >>> [str(last_day(dt.date(2026, 6, 30), horizon)) for horizon in ("26w", "6m", "1y")]
    ['2026-12-29', '2026-12-31', '2027-06-30']
    """
    days, unit = parse_duration(horizon), horizon.strip()[-1]
    if unit not in _MONTHS:
        return as_of + dt.timedelta(days=days)
    months = int(horizon.strip()[:-1]) * _MONTHS[unit]
    ends = as_of.month != (as_of + dt.timedelta(days=1)).month
    found = pd.Timestamp(as_of) + (pd.offsets.MonthEnd(months) if ends else pd.DateOffset(months=months))
    return found.date()


def weeks_from(day: dt.date, weeks: int) -> Periods:
    """Weeks of seven days that follow each other from the day after `day` on."""
    starts = tuple(day + dt.timedelta(days=7 * week + 1) for week in range(weeks))
    ends = tuple(start + dt.timedelta(days=6) for start in starts)
    return Periods(tuple(f"week {week + 1}" for week in range(weeks)), starts, ends)


def start_of(day: dt.date, kind: Kind, fiscal_year_start: int = 1) -> dt.date:
    """First day of the period that a day lies in.

    Examples
    --------
    >>> str(start_of(dt.date(2026, 2, 3), "year", fiscal_year_start=4))
    '2025-04-01'
    """
    if kind == "week":
        return day - dt.timedelta(days=day.weekday())
    length = {"month": 1, "quarter": 3, "year": 12}[kind]
    return _months_later(day.replace(day=1), -((day.month - fiscal_year_start) % length))


def name_of(start: dt.date, kind: Kind, fiscal_year_start: int = 1) -> str:
    """Name of the period that begins on a day."""
    if kind == "week":
        return f"week of {start}"
    if kind == "month":
        return f"{start:%Y-%m}"
    begin = start_of(start, "year", fiscal_year_start)
    year = f"{begin.year}" if fiscal_year_start == 1 else f"FY{begin.year + 1}"
    return year if kind == "year" else f"{year} Q{(start.month - fiscal_year_start) % 12 // 3 + 1}"


def _next(start: dt.date, kind: Kind) -> dt.date:
    if kind == "week":
        return start + dt.timedelta(days=7)
    return _months_later(start, {"month": 1, "quarter": 3, "year": 12}[kind])


def _months_later(first: dt.date, months: int) -> dt.date:
    """The first of a month some months later."""
    count = first.year * 12 + first.month - 1 + months
    return dt.date(count // 12, count % 12 + 1, 1)


def cohorts(first_days: pd.Series[pd.Timestamp], fiscal_year_start: int, most: int = 12) -> pd.Series[str]:
    """Name of each customer's cohort: the month, quarter or year of the first purchase.

    Parameters
    ----------
    first_days : Series of Timestamp
        Day of each customer's first purchase.
    fiscal_year_start : int
        As in :func:`between`.
    most : int
        Months make way for quarters, and these for years, where there are more cohorts than this.
    """
    days = pd.Series([day.date() for day in first_days.unique()])
    named: pd.Series[str] = pd.Series(dtype=str)
    kinds: tuple[Kind, ...] = ("month", "quarter", "year")
    for kind in kinds:
        names = [name_of(start_of(day, kind, fiscal_year_start), kind, fiscal_year_start) for day in days]
        named = pd.Series(names, index=first_days.unique(), dtype=str)
        if named.nunique() <= most:
            break
    return first_days.map(named)
