"""Customers not yet acquired: how many will come, and what they will bring."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.errors import ConfigError
from clvseg.forecast.past import WEEK, expected_by_age
from clvseg.forecast.periods import Periods
from clvseg.forecast.series import exponential_smoothing
from clvseg.value.origins import ModelBase

_QUIET_WEEKS = 4
_RECENT_DAYS = 91


@dataclass(frozen=True, slots=True)
class Coming:
    """Revenue of customers not yet acquired.

    Attributes
    ----------
    customers : ndarray, shape (periods,)
        Expected number who buy for the first time.
    mean : ndarray, shape (periods,)
        Expected revenue.
    value : ndarray, shape (draws, periods)
        Simulated revenue, on the draws of the level that the known customers have.
    """

    customers: FloatArray
    mean: FloatArray
    value: FloatArray


def expect_coming(
    base: ModelBase,
    daily: pd.DataFrame,
    as_of: dt.date,
    periods: Periods,
    level: FloatArray,
    plan: str | None,
    rng: np.random.Generator,
    churn: float = 1.0,
) -> Coming:
    """Forecast acquisition week by week, and what each week's newcomers spend from then on.

    The number is simulated by ETS on the weekly numbers so far, or is the plan's. A newcomer's first purchase
    is worth what first purchases of the last quarter were; repeat purchases are those that the models expect
    of a customer of whom nothing is known.

    Parameters
    ----------
    base : ModelBase
        Purchase and spend models as of the day.
    daily : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort`, up to the day.
    as_of : date
        Last known day.
    periods : Periods
        To forecast.
    level : ndarray, shape (draws, periods)
        What the expectation of repeat revenue is multiplied by in each draw.
    plan : str, optional
        CSV file with ``start`` (date) and ``customers`` (who come from then to the next start).
    rng : Generator
        Source of randomness.
    churn : float
        What the rate at which they leave is multiplied by.
    """
    days = periods.days_after(as_of)
    weeks, draws = int(np.ceil(days[-1] / WEEK)), len(level)
    first = daily[daily["day"] == daily["first_day"]]
    if plan is None:
        number = _acquired(first, as_of, weeks, draws, rng)
    else:
        number = np.tile(_planned(plan, as_of, weeks), (draws, 1))
    middle = WEEK * np.arange(weeks) + WEEK / 2
    begins = np.append(0.0, days[:-1])
    from_day = WEEK * np.arange(weeks)[:, None]
    inside = np.maximum(np.minimum(days, from_day + WEEK) - np.maximum(begins, from_day), 0.0) / WEEK
    age = np.maximum(np.append(0.0, days)[None, :] - middle[:, None], 0.0)
    repeats = np.diff(expected_by_age(base.value_model.purchases_, age, churn), axis=1)
    recent = first[first["day"] > pd.Timestamp(as_of) - pd.Timedelta(days=_RECENT_DAYS)]
    paid = recent if recent["purchases"].sum() else first
    amount = float(paid["revenue"].sum() / paid["purchases"].sum())
    again = base.value_model.spend_.population_spend_ * level
    value = amount * (number @ inside) + again * (number @ repeats)
    return Coming((number @ inside).mean(axis=0), value.mean(axis=0), value)


def _acquired(
    first: pd.DataFrame, as_of: dt.date, weeks: int, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Newcomers of each week to come, shape (draws, weeks); none where none came in the last four weeks."""
    ago = (pd.Timestamp(as_of) - first["day"]).dt.days.to_numpy() // WEEK
    series = np.bincount(ago, first["purchases"].to_numpy()).astype(np.float64)[::-1][1:]
    if not series[-_QUIET_WEEKS:].any():
        return np.zeros((draws, weeks))
    return exponential_smoothing(series, weeks, draws, rng)


def _planned(path: str, as_of: dt.date, weeks: int) -> FloatArray:
    """Newcomers of each week to come by a plan, shape (weeks,)."""
    try:
        plan = pd.read_csv(path)
        starting = pd.to_datetime(plan["start"])
        number = pd.to_numeric(plan["customers"])
        if plan.isna().any(axis=None) or not starting.is_monotonic_increasing or (number < 0).any():
            raise ValueError("dates must ascend and numbers be 0 or more")
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"cannot read the acquisition plan {path}.",
            found=str(error),
            hint="a CSV file with the columns start (a date) and customers (a number).",
        ) from None
    starts = (starting - pd.Timestamp(as_of)).dt.days.to_numpy(dtype=np.float64)
    length = starts[-1] - starts[-2] if len(starts) > 1 else 30.0
    edges = np.append(starts, starts[-1] + length)
    upto = np.append(0.0, np.cumsum(number.to_numpy(dtype=np.float64)))
    # `start` is the first day of a row: the night before it is the edge.
    return np.diff(np.interp(WEEK * np.arange(weeks + 1.0), edges - 1, upto))
