"""The customer summary, what followed it, and revenue over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import pandas as pd

from clvseg.data import queries
from clvseg.data.calendar import at_repeats, check_calendar
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.frames import SUMMARY


def customer_summary(tx: Transactions, as_of: dt.date) -> pd.DataFrame:
    """Summarise every customer as of the end of a day.

    Equals lifetimes' ``summary_data_from_transaction_data`` in days.

    Parameters
    ----------
    tx : Transactions
        The log; only its days up to `as_of` count.
    as_of : date
        Last day that is known.

    Returns
    -------
    DataFrame
        Columns of :data:`clvseg.frames.SUMMARY`, indexed by ``customer_id`` in ascending order.

    Raises
    ------
    DataError
        When the log begins after `as_of`.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> customer_summary(tx, dt.date(1997, 9, 30)).head(2)
                 frequency  recency    T  monetary_value  since_last  log_gaps
    customer_id
    1                    2      213  272           22.345          59  8.111328
    2                    1       12  272           11.770         260  2.484907
    """
    check_day(tx, as_of)
    sql = queries.customer_summary(as_of, min(as_of, tx.last_day))
    frame = tx.engine.frame("summarise the customers", sql)
    return SUMMARY.conform(frame).set_index(pd.Index(frame["customer_id"], name="customer_id"))


def calendar_summary(tx: Transactions, as_of: dt.date, calendar: pd.DataFrame) -> pd.DataFrame:
    """As :func:`customer_summary`, with what :class:`clvseg.value.CalendarModel` needs besides.

    Parameters
    ----------
    tx : Transactions
        The log; only its days up to `as_of` count.
    as_of : date
        Last day that is known.
    calendar : DataFrame
        Covariates of each day, indexed by day (:func:`clvseg.data.calendar.daily_calendar`).

    Returns
    -------
    DataFrame
        The summary, ``as_of``, and for each covariate ``"... at repeats"``, its sum over the days of the
        customer's repeat purchases.

    Raises
    ------
    DataError
        When the log begins after `as_of`, or the calendar does not cover it.

    Examples
    --------
    >>> from clvseg.data.calendar import daily_calendar
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> may = {"May": [("1997-05-01", "1997-05-31")]}
    >>> calendar = daily_calendar("1997-01-01", "1998-06-30", campaigns=may)
    >>> calendar_summary(tx, dt.date(1997, 9, 30), calendar)["May at repeats"].sum()
    np.float64(287.0)
    """
    summary = customer_summary(tx, as_of)
    check_calendar(calendar, tx.first_day, as_of)
    known = calendar.loc[: pd.Timestamp(as_of)]
    largest = known.abs().max().replace(0, 1).to_numpy(dtype=float)
    days = pd.DataFrame(known / largest).set_axis([f"c{i}" for i in range(len(largest))], axis="columns")
    tx.engine.register("show the calendar", "calendar_days", days.rename_axis("day").reset_index())
    try:
        sql = queries.sums_at_repeats(min(as_of, tx.last_day), len(largest))
        sums = tx.engine.frame("sum the calendar over repeat purchases", sql).set_index("customer_id")
    finally:
        tx.engine.drop("calendar_days")
    sums = pd.DataFrame(sums * largest).set_axis([at_repeats(str(name)) for name in calendar], axis="columns")
    return summary.assign(as_of=pd.Timestamp(as_of)).join(sums.reindex(summary.index, fill_value=0.0))


def outcomes(tx: Transactions, as_of: dt.date, days: int) -> pd.DataFrame:
    """Return what the customers known on `as_of` did in the `days` after it.

    Parameters
    ----------
    tx : Transactions
        The log; must reach to the end of the period.
    as_of : date
        Last day before the period.
    days : int
        Length of the period ``(as_of, as_of + days]``.

    Returns
    -------
    DataFrame
        ``value`` (money), ``purchases`` (purchase days), ``active`` (0 or 1), in the summary's
        index and order.

    Raises
    ------
    DataError
        When the log begins after `as_of` or ends before the period does.
    """
    frame = tx.engine.frame("measure what followed", queries.outcomes(as_of, _end(tx, as_of, days)))
    return frame.set_index("customer_id")


def waits(tx: Transactions, as_of: dt.date, days: int) -> pd.DataFrame:
    """Return how long the customers known on `as_of` waited with their next purchase.

    Parameters and errors as for :func:`outcomes`.

    Returns
    -------
    DataFrame
        ``days`` (1 to `days`) and ``returned`` (0 or 1; where 0 no purchase came in the `days`), in the
        summary's index and order.
    """
    frame = tx.engine.frame("measure who returned when", queries.waits(as_of, _end(tx, as_of, days)))
    return frame.set_index("customer_id")


def _end(tx: Transactions, as_of: dt.date, days: int) -> dt.date:
    """Last day of the period after a day, which must be in the log."""
    check_day(tx, as_of)
    until = as_of + dt.timedelta(days=days)
    if until > tx.last_day:
        raise DataError(
            f"the {days} days after {as_of} are not all in the transactions.",
            found=f"{tx.first_day} to {tx.last_day}.",
            hint="choose an earlier cutoff or a shorter horizon.",
        )
    return until


def revenue_by_week(tx: Transactions) -> pd.DataFrame:
    """Return revenue by calendar week.

    Returns
    -------
    DataFrame
        ``week`` (its Monday), ``revenue`` (money), ``purchases`` (purchase days), ``customers``,
        ``new_customers``; weeks without a purchase are there with zeros, the first and last may be partial.
    """
    weeks = tx.engine.frame("sum revenue by week", queries.revenue_by_week(tx.last_day)).set_index("week")
    last = tx.last_day - dt.timedelta(days=tx.last_day.weekday())
    every = pd.date_range(weeks.index[0], last, freq="7D", unit="us", name="week")
    return weeks.reindex(every, fill_value=0).reset_index()


def revenue_by_day(tx: Transactions) -> pd.DataFrame:
    """Return revenue by day.

    Returns
    -------
    DataFrame
        ``day``, ``purchases`` (customers who bought), ``revenue`` (money), ``new_customers``; days without a
        purchase are left out.
    """
    return tx.engine.frame("sum revenue by day", queries.by_day(tx.last_day))


def revenue_by_cohort(tx: Transactions) -> pd.DataFrame:
    """Return revenue by day and by the day on which the customers first bought.

    Returns
    -------
    DataFrame
        ``first_day``, ``day`` (never before it), ``purchases`` (customers who bought), ``revenue`` (money).
    """
    return tx.engine.frame("sum revenue by cohort", queries.by_cohort_and_day(tx.last_day))


def revenue_by_cohort_and_period(
    tx: Transactions, periods: Collection[tuple[dt.date, dt.date]]
) -> pd.DataFrame:
    """Return who bought and how much in each period, by first day and by the channel of the first day.

    Parameters
    ----------
    tx : Transactions
        The log.
    periods : collection of (date, date)
        First and last day of each; together they hold the whole log.

    Returns
    -------
    DataFrame
        ``first_day``, ``channel`` (``all`` where the log has none), ``place`` (of the period), ``active``
        (customers who bought), ``revenue`` (money).
    """
    sql = queries.by_cohort_and_period(periods, "channel" in tx.extras)
    return tx.engine.frame("sum revenue by cohort and period", sql)


def first_channels(tx: Transactions) -> pd.Series[str] | None:
    """Return the channel of each customer's first day, by customer; None where the log has no channel."""
    if "channel" not in tx.extras:
        return None
    frame = tx.engine.frame("look up the first channels", queries.first_channels(tx.last_day))
    return frame.set_index("customer_id")["channel"]


def revenue_between(tx: Transactions, first: dt.date, last: dt.date) -> pd.DataFrame:
    """Return ``revenue`` (money) and ``purchases`` (days) of those who bought from one day to another."""
    frame = tx.engine.frame("sum revenue of customers", queries.between(first, min(last, tx.last_day)))
    return frame.set_index("customer_id")


def check_day(tx: Transactions, as_of: dt.date) -> None:
    """Refuse a day before the first purchase."""
    if as_of < tx.first_day:
        raise DataError(
            f"nothing was known on {as_of}.",
            found=f"transactions from {tx.first_day} to {tx.last_day}.",
            hint="choose a later day; dates are year-month-day.",
        )
