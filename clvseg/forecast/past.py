"""What the past says of the future: the season, and how far weeks scatter around the model's expectation."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.forecast.periods import Kind, Periods, between
from clvseg.forecast.season import MONTHS, month_effects
from clvseg.frames import FORECAST_HISTORY
from clvseg.value.purchases import NEW_CUSTOMER, PurchaseModel

WEEK = 7
SEASONS_DAYS = 730
_LEAST_PURCHASES = 30
_LEAST_WEEKS = 8
_MOST_WEEKS = 5 * 52
# Where the past shows no scatter: about what retail weeks have.
_USUAL_SCATTER = 0.2
_MOST_LAG = 0.9


@dataclass(frozen=True, slots=True)
class Past:
    """Season and scatter of repeat revenue around what the purchase model expects.

    Attributes
    ----------
    season : tuple of float, length 12, or empty
        Log effect of each calendar month, January first; the mean of the exponentials is 1. Empty where the
        log holds fewer than two years.
    scatter : float
        Standard deviation of the log of a week's revenue around the expectation, chance among customers not
        counted.
    lag : float
        Correlation of the scatter of one week with that of the next, 0..0.9.
    weeks : int
        How many weeks this was learned from.
    season_covariance : tuple of tuple of float, 12 x 12, or empty
        Of the log effects.
    """

    season: tuple[float, ...]
    scatter: float
    lag: float
    weeks: int
    season_covariance: tuple[tuple[float, ...], ...] = ()

    def seasonal(self, periods: Periods) -> FloatArray:
        """What each period's expectation is multiplied by, shape (periods,)."""
        if not self.season:
            return np.ones(len(periods.names))
        return np.exp(self.season) @ share_of_months(periods)

    def draw_season(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """Log effects of the months under their uncertainty, shape (draws, 12)."""
        effect = rng.multivariate_normal(self.season, self.season_covariance, size=draws, method="eigh")
        return effect - np.log(np.exp(effect).mean(axis=1, keepdims=True))

    def on_clock(self, day: dt.date, time: FloatArray) -> FloatArray:
        """Times after a day (before it: negative) on a clock that the season drives, in days of mean pace.

        The clock shows 0 at the end of the day and runs by each month's effect.
        """
        if not self.season:
            return time
        first, last = int(np.floor(time.min(initial=0.0))), int(np.ceil(time.max(initial=0.0)))
        ahead = np.arange(first, last + 1)
        months = (pd.Timestamp(day) + pd.to_timedelta(ahead[1:], unit="D")).month.to_numpy() - 1
        marks = np.concatenate([[0.0], np.cumsum(np.exp(self.season)[months])])
        return np.interp(time, ahead, marks - marks[-first])

    def summary_on_clock(self, people: pd.DataFrame, day: dt.date) -> pd.DataFrame:
        """Customers with ``recency`` and ``T`` as of a day on the season's clock."""
        age, last = (people[name].to_numpy(dtype=np.float64) for name in ("T", "recency"))
        there = -self.on_clock(day, -age)
        recency = np.clip(there + self.on_clock(day, last - age), 0.0, there)
        return people.assign(recency=np.where(last > 0, recency, 0.0), T=there)


def share_of_months(periods: Periods) -> FloatArray:
    """Share of each calendar month in the days of each period, shape (12, periods)."""
    days = [
        np.bincount(pd.date_range(start, end).month - 1, minlength=MONTHS)
        for start, end in zip(periods.starts, periods.ends, strict=True)
    ]
    return (np.array(days) / np.sum(days, axis=1, keepdims=True)).T


def learn_past(
    daily: pd.DataFrame,
    as_of: dt.date,
    model: PurchaseModel,
    chance: float = 0.0,
    clock: Past | None = None,
) -> Past:
    """Compare each week's repeat revenue with what a model expects of the customers acquired by then.

    Two years show the season; of fewer, only weeks with at least 30 expected purchases are looked at.

    Parameters
    ----------
    daily : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort`.
    as_of : date
        Last day that is known.
    model : PurchaseModel
        Fitted as of that day.
    chance : float
        Variance of the log of revenue that chance among customers brings, times the purchases behind it; two
        years tell it themselves.
    clock : Past, optional
        Season of the clock that `model` was fitted on; default the calendar.
    """
    weeks = weekly_tracking(daily, as_of, model, clock)
    if (as_of - daily["first_day"].min().date()).days + 1 >= SEASONS_DAYS:
        weeks = weeks[weeks["expected"] >= 1].tail(_MOST_WEEKS)
        if len(weeks) >= _LEAST_WEEKS:
            expected = weeks["expected"].to_numpy()
            month = pd.DatetimeIndex(weeks["middle"]).month.to_numpy() - 1
            found = month_effects(weeks["revenue"].to_numpy() / expected, expected, month)
            covariance = tuple(map(tuple, found.covariance.tolist()))
            return Past(tuple(found.effect.tolist()), found.scatter, found.lag, len(weeks), covariance)
    used = (weeks["expected"] >= _LEAST_PURCHASES).to_numpy() & (weeks["revenue"] > 0).to_numpy()
    weeks = weeks[used]
    if len(weeks) < _LEAST_WEEKS:
        return Past((), _USUAL_SCATTER, 0.0, len(weeks))
    off = np.log(weeks["revenue"].to_numpy() / weeks["expected"].to_numpy())
    rest = off - off.mean()
    by_chance = float(np.mean(chance / weeks["expected"]))
    lag = float(np.clip(np.corrcoef(rest[1:], rest[:-1])[0, 1], 0.0, _MOST_LAG)) if np.ptp(rest) > 0 else 0.0
    return Past((), float(np.sqrt(max(rest.var() - by_chance, 0.0))), lag, len(weeks))


def weekly_tracking(
    daily: pd.DataFrame, as_of: dt.date, model: PurchaseModel, clock: Past | None = None
) -> pd.DataFrame:
    """Repeat purchases and revenue of every week counted back from a day, beside the model's expectation.

    The expectation is that of customers of whom nothing but the day of the first purchase is known: the
    tracking plot of Fader, Hardie & Lee (2005). Of a model on a season's clock it is that at the clock's mean
    pace: without the season.

    Returns
    -------
    DataFrame
        ``middle`` (day), ``revenue`` (money), ``purchases``, ``expected`` (repeat purchases), oldest first.
    """
    ago = (pd.Timestamp(as_of) - daily["day"]).dt.days.to_numpy()
    count = int(ago.max()) // WEEK + 1
    repeat = (daily["day"] > daily["first_day"]).to_numpy()
    place = count - 1 - ago // WEEK

    def per_week(values: pd.Series[float]) -> FloatArray:
        return np.bincount(place[repeat], values.to_numpy()[repeat], count).astype(np.float64)

    acquired = daily[~repeat]
    age = (pd.Timestamp(as_of) - acquired["first_day"]).dt.days.to_numpy(dtype=np.float64)
    edges = WEEK * np.arange(count, -1, -1.0)  # days before as_of at which weeks begin; the last is 0
    time = clock or Past((), 0.0, 0.0, 0)
    marks, begun = time.on_clock(as_of, -edges), time.on_clock(as_of, -age)
    upto = expected_by_age(model, np.maximum(marks[None, :] - begun[:, None], 0.0))
    expected = acquired["purchases"].to_numpy(dtype=np.float64) @ np.diff(upto, axis=1)
    expected *= WEEK / np.diff(marks)
    middle = pd.Timestamp(as_of) - pd.to_timedelta(edges[1:] + WEEK // 2, unit="D")
    return pd.DataFrame(
        {
            "middle": middle,
            "revenue": per_week(daily["revenue"]),
            "purchases": per_week(daily["purchases"]),
            "expected": expected,
        }
    )


def recent_tracking(
    daily: pd.DataFrame, as_of: dt.date, model: PurchaseModel, clock: Past, days: int
) -> float:
    """Log of the last weeks' repeat purchases, the season taken out, over what the model expects of them.

    The weeks of so many days are looked at; `model` and `clock` as for :func:`weekly_tracking`.
    """
    weeks = weekly_tracking(daily, as_of, model, clock).tail(-(-days // WEEK))
    season = np.exp(clock.season)[pd.DatetimeIndex(weeks["middle"]).month - 1] if clock.season else 1.0
    came = float((weeks["purchases"] / season).sum())
    return float(np.log(max(came, 1.0) / max(float(weeks["expected"].sum()), 1.0)))


def expected_by_age(model: PurchaseModel, ages: FloatArray, churn: float = 1.0) -> FloatArray:
    """Repeat purchases of a new customer by an age; between whole weeks along a straight line.

    The rate of leaving is multiplied by `churn`: see :func:`clvseg.forecast.scenarios.orders_kept`.
    """
    grid = np.unique(np.concatenate([np.arange(0.0, WEEK), np.arange(WEEK, ages.max() + WEEK, WEEK)]))
    known = np.array([model.expected_purchases_new(float(age)) if age > 0 else 0.0 for age in grid])
    if churn != 1:
        middle = (grid[1:] + grid[:-1]) / 2
        stays = [model.probability_alive(NEW_CUSTOMER, float(age))[0] for age in middle]
        more = np.clip(stays, 1e-12, 1.0) ** (churn - 1)
        known = np.append(0.0, np.cumsum(np.diff(known) * more))
    return np.interp(ages, grid, known)


def history(daily: pd.DataFrame, as_of: dt.date, kind: Kind, fiscal_year_start: int) -> pd.DataFrame:
    """What came in each period: :data:`clvseg.frames.FORECAST_HISTORY`."""
    periods = between(daily["day"].min().date(), as_of, kind, fiscal_year_start)
    first = daily["day"] == daily["first_day"]
    place = np.searchsorted(pd.DatetimeIndex(periods.starts), pd.DatetimeIndex(daily["day"]), "right") - 1

    def per_period(column: str, rows: pd.Series[bool] | None = None) -> FloatArray:
        values = daily[column].to_numpy(dtype=np.float64)
        return np.bincount(place, values if rows is None else values * rows, len(periods.names)).astype(
            np.float64
        )

    table = periods.frame().assign(
        new_customers=per_period("purchases", first).round(),
        purchases=per_period("purchases").round(),
        first_revenue=per_period("revenue", first),
        repeat_revenue=per_period("revenue", ~first),
        revenue=per_period("revenue"),
    )
    return FORECAST_HISTORY.conform(table)
