"""Calendar covariates: what a day is like for all customers alike, such as its season or a campaign."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.errors import DataError

Day = dt.date | str
YEAR = 365.25


def daily_calendar(
    first: Day,
    last: Day,
    *,
    season: int = 0,
    campaigns: Mapping[str, Sequence[tuple[Day, Day]]] | None = None,
) -> pd.DataFrame:
    """Covariates of each day: waves of the year, and campaigns.

    Parameters
    ----------
    first, last : date or str
        Days, both included. They should reach from the first purchase to the end of what is to be predicted.
    season : int
        Pairs of sine and cosine with 1, 2 ... waves a year; two follow one peak and one lull of any shape
        that is not sharp.
    campaigns : mapping of str to sequence of (first day, last day), optional
        When each campaign, or kind of campaign, runs: 1 on those days, else 0.

    Returns
    -------
    DataFrame
        One row per day, indexed by ``day``. Further columns of numbers are welcome: prices, opening hours.

    Examples
    --------
    >>> calendar = daily_calendar("2024-01-01", "2024-12-31", season=1,
    ...                           campaigns={"sale": [("2024-07-01", "2024-07-14")]})
    >>> list(calendar), int(calendar["sale"].sum())
    (['season sin 1', 'season cos 1', 'sale'], 14)
    """
    index = pd.date_range(first, last, freq="D", name="day", unit="s")
    phase = 2 * np.pi * (index - pd.Timestamp(0)).days.to_numpy() / YEAR
    columns: dict[str, NDArray[np.float64]] = {}
    for wave in range(1, season + 1):
        columns[f"season sin {wave}"], columns[f"season cos {wave}"] = (
            np.sin(wave * phase),
            np.cos(wave * phase),
        )
    for name, periods in (campaigns or {}).items():
        runs = np.zeros(len(index), dtype=bool)
        for begin, end in periods:
            runs |= (index >= pd.Timestamp(begin)) & (index <= pd.Timestamp(end))
        columns[name] = runs.astype(float)
    return pd.DataFrame(columns, index=index)


def at_repeats(name: str) -> str:
    """Column of a summary with a covariate's sum over the days of the customer's repeat purchases."""
    return f"{name} at repeats"


def check_calendar(calendar: pd.DataFrame, first: dt.date, last: dt.date) -> None:
    """Refuse a calendar that is not one row of finite numbers for each day, or lacks days.

    Parameters
    ----------
    calendar : DataFrame
        Indexed by day.
    first, last : date
        Days it must cover, both included.

    Raises
    ------
    DataError
        Says what is wrong.
    """
    days = calendar.index
    if not isinstance(days, pd.DatetimeIndex) or not len(days):
        raise DataError(
            "a calendar is a frame indexed by day.",
            found=f"{len(days)} rows, index {type(days).__name__}.",
            hint="make one with daily_calendar, or set its index by pd.to_datetime.",
        )
    if days.tz is not None or not days.equals(pd.date_range(days[0].normalize(), periods=len(days))):
        raise DataError(
            "a calendar has one row for each day, ascending, at midnight, without gaps or time zone.",
            found=f"{len(days)} rows from {days[0]} to {days[-1]}.",
            hint="reindex it by pd.date_range.",
        )
    bad = [str(name) for name in calendar if not _finite(calendar[name])]
    if bad or not len(calendar.columns):
        raise DataError(
            "a calendar's columns are finite numbers.",
            found=f"{', '.join(bad)} are not." if bad else "no columns.",
            hint="give levels a column of 0 and 1 each.",
        )
    if days[0].date() > first or days[-1].date() < last:
        raise DataError(
            f"the calendar does not cover {first} to {last}.",
            found=f"{days[0].date()} to {days[-1].date()}.",
            hint="it must reach from the first purchase to the end of what is predicted.",
        )


def _finite(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        return False
    return bool(np.isfinite(column.to_numpy(dtype=float, na_value=np.nan)).all())
