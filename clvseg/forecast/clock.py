"""The models on a clock that the season drives, now and at earlier cutoffs to see how far off they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import clone

from clvseg.boosting import FloatArray
from clvseg.errors import ConvergenceError
from clvseg.forecast.past import Past, learn_past
from clvseg.value.origins import ModelBase

_LEARNERS = 30_000
_SAMPLE = 2_000
_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Cutoff:
    """An earlier day and what followed it.

    Attributes
    ----------
    day : date
        Last day that was known.
    people : DataFrame
        Features of the customers known by then.
    revenue : float
        What they brought afterwards.
    """

    day: dt.date
    people: pd.DataFrame
    revenue: float


def learn_season(
    base: ModelBase, people: pd.DataFrame, daily: pd.DataFrame, as_of: dt.date
) -> tuple[Past, ModelBase, pd.DataFrame]:
    """Season and scatter, and the models on the season's clock.

    A model in calendar time takes part of the season for the customers' own, so that the season is looked at
    again with the model on the clock of the first look.

    Parameters
    ----------
    base, people, as_of
        As in :func:`fit_on_clock`.
    daily : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort`, up to the day.
    """
    past = learn_past(daily, as_of, base.value_model.purchases_)
    if past.season:
        own, _ = fit_on_clock(base, people, past, as_of)
        past = learn_past(daily, as_of, own.value_model.purchases_, clock=past)
    return past, *fit_on_clock(base, people, past, as_of)


def fit_on_clock(
    base: ModelBase, people: pd.DataFrame, past: Past, day: dt.date
) -> tuple[ModelBase, pd.DataFrame]:
    """Fit the purchase model to histories measured on the season's clock.

    A rate that rises and falls with the season for all alike is an even one where time is measured on a clock
    that runs faster in busy months (Kingman 1993, "Poisson Processes", section 2.3). On it a quiet December
    tells more of a customer than a quiet July, and what the last weeks owe to the season is not taken for the
    customers' own. Customers leave by that clock, too, which is exact where they leave at purchases.

    Parameters
    ----------
    base : ModelBase
        As of the day; returned as it is where no season is known.
    people : DataFrame
        Features as of the day; the model is fitted to at most 30,000 of them.
    past : Past
        The season.
    day : date
        Last known day.

    Returns
    -------
    base : ModelBase
        Its purchase model takes times on the clock.
    people : DataFrame
        With ``recency`` and ``T`` on the clock.
    """
    if not past.season:
        return base, people
    there, model = past.summary_on_clock(people, day), copy(base.value_model)
    try:
        model.purchases_ = clone(model.purchases_).fit(there.iloc[:: max(1, len(there) // _LEARNERS)])
    except ConvergenceError:
        return base, there
    return replace(base, value_model=model), there


def season_draws(
    base: ModelBase,
    people: pd.DataFrame,
    past: Past,
    day: dt.date,
    days: FloatArray,
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Log effect of the season's uncertainty on revenue per period, shape (draws, periods).

    Linear in the months' effects. A month that lies ahead moves its own revenue; one that has just passed
    moves what its purchases say of the customers.

    Parameters
    ----------
    base : ModelBase
        From :func:`fit_on_clock`.
    people : DataFrame
        Features as of the day, in calendar time; up to 2,000 are looked at.
    past : Past
        The season.
    day : date
        Last known day.
    days : ndarray, shape (periods,)
        Ends of the periods, counted from the day.
    draws : int
        How many.
    rng : Generator
        Source of randomness.
    """
    some = people.iloc[:: max(1, len(people) // _SAMPLE)]
    amount, effect = base.expected_spend(some), np.array(past.season)

    def log_revenue(season: FloatArray) -> FloatArray:
        moved = replace(past, season=tuple(season - np.log(np.exp(season).mean())))
        there, ahead = moved.summary_on_clock(some, day), moved.on_clock(day, days)
        return np.log(amount @ base.value_model.purchases_.expected_periods(there, ahead))

    at = log_revenue(effect)
    slopes = np.array([log_revenue(effect + step) - at for step in _STEP * np.eye(len(effect))]) / _STEP
    return (past.draw_season(draws, rng) - effect) @ slopes


def errors_on_clock(cutoffs: Iterable[Cutoff], base: ModelBase, past: Past) -> FloatArray:
    """Log of the revenue that followed each cutoff over the expected one, shape (cutoffs,).

    Purchase and spend model are fitted anew on what was known at each; only the season is that of today.

    Parameters
    ----------
    cutoffs : iterable of Cutoff
        Each with what the `inner_days` of `base` after it brought.
    base : ModelBase
        Which models.
    past : Past
        The season.
    """
    off = []
    for cutoff in cutoffs:
        then, people = fit_on_clock(base, cutoff.people, past, cutoff.day)
        spends = base.spend_frame(people)
        amount = clone(base.value_model.spend_).fit(spends).expected_spend(spends)
        ahead = past.on_clock(cutoff.day, np.array([float(base.inner_days)]))[0]
        off.append(np.log(cutoff.revenue / (then.value_model.expected_purchases(people, ahead) @ amount)))
    return np.array(off)
