"""How wrong the forecast may be beyond chance: levels of the total and of groups, weeks, parameters."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from clvseg.boosting import FloatArray
from clvseg.forecast.past import SEASONS_DAYS, WEEK, Past
from clvseg.value.intervals import LEVEL
from clvseg.value.origins import ModelBase
from clvseg.value.posterior import resample_posterior
from clvseg.value.purchases import PurchaseModel
from clvseg.value.spend import GammaGammaModel
from clvseg.value.uncertainty import HasParameterDraws

# Set by hand, with the totals of the accuracy studies in view: 1 to 36 % off where the season was not seen.
_UNSEEN_SEASON = 0.15
_PARAMETER_ROWS = 2_000
# Customers whose likelihood the posterior is drawn from, at most: with fewer than there are it is wider.
_POSTERIOR_ROWS = 20_000
_POSTERIOR_DRAWS = 400
_STEP = 0.01
_SMALLEST = 1e-300
_NORMAL_95 = 3.92


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard errors of the log of the forecast.

    Attributes
    ----------
    level : float
        Of the total over up to `measured_days`; beyond that it grows with the root of time.
    measured_days : int
        How far ahead the errors at earlier cutoffs were measured.
    segment, cohort : float
        Of a segment's and of a cohort's level against the total's.
    season_seen : bool
        Whether two years of history showed the season.
    """

    level: float
    measured_days: int
    segment: float
    cohort: float
    season_seen: bool

    def at(self, days: FloatArray) -> FloatArray:
        """Standard error of the log level that many days ahead."""
        return self.level * np.sqrt(np.maximum(days / self.measured_days, 1.0))


def spread_of(
    total_error: float, origins: int, inner_days: int, history_days: int, groups: dict[str, float]
) -> Spread:
    """Turn the errors at earlier cutoffs into a spread; `groups` are those of `segment` and `cohort`.

    The error of the total, from that many origins, is made wider by Student's quantile where they were few;
    where fewer than two seasons were seen it is at least 15 %.
    """
    few = student.ppf((1 + LEVEL) / 2, max(origins - 1, 1)) / norm.ppf((1 + LEVEL) / 2)
    seen = history_days >= SEASONS_DAYS
    level = max(total_error * float(few), 0.0 if seen else _UNSEEN_SEASON)
    return Spread(level, inner_days, groups.get("segment", 0.0), groups.get("cohort", 0.0), seen)


def group_error(predicted: FloatArray, actual: FloatArray, log_width: FloatArray) -> float:
    """Standard deviation of groups' log errors around the total's, chance taken out.

    Parameters
    ----------
    predicted, actual : ndarray, shape (groups,)
        Money of a later period.
    log_width : ndarray, shape (groups,)
        Width of the 95 % interval of the log of predicted / actual.

    Examples
    --------
    >>> round(group_error(np.array([90.0, 110.0]), np.array([100.0, 100.0]), np.zeros(2)), 2)
    0.1
    """
    some = (predicted > 0) & (actual > 0) & np.isfinite(log_width)
    if some.sum() < 2:
        return 0.0
    off = np.log(predicted[some] / actual[some]) - np.log(predicted[some].sum() / actual[some].sum())
    beyond = off**2 - (log_width[some] / _NORMAL_95) ** 2
    return float(np.sqrt(max(np.average(beyond, weights=predicted[some]), 0.0)))


def level_draws(
    spread: Spread, past: Past, days: FloatArray, parameters: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """What the expectation of each period is multiplied by in each draw, whoever the customers are.

    Parameters
    ----------
    spread, past : Spread, Past
        How far levels and weeks go astray.
    days : ndarray, shape (periods,)
        Ends of the periods, counted from the cutoff.
    parameters : ndarray, shape (draws, periods)
        Log effect of the parameters' uncertainty.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (draws, periods)
        Median 1 but for the weeks' scatter, whose mean is 1: errors of levels are as likely upwards as
        downwards on the log scale, so that their mean lies above 1.
    """
    draws = len(parameters)
    # Evenly spread over the distribution: the mean of draws is then nearly that of the distribution.
    steps = norm.ppf((rng.permutation(draws) + 0.5) / draws)
    level = steps[:, None] * spread.at(days)
    raw = np.exp(level + parameters) * _scatter(past, days, draws, rng)
    mean = np.exp(spread.at(days) ** 2 / 2)
    return raw * (mean / raw.mean(axis=0))


def _scatter(past: Past, days: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Weeks' scatter, averaged over the weeks of each period, shape (draws, periods)."""
    weeks = int(np.ceil(days[-1] / WEEK))
    noise = rng.standard_normal((draws, weeks))
    for week in range(1, weeks):
        fresh = np.sqrt(1 - past.lag**2) * noise[:, week]
        noise[:, week] = past.lag * noise[:, week - 1] + fresh
    factor = np.exp(past.scatter * noise - past.scatter**2 / 2)
    begins = np.concatenate([[0.0], days[:-1]])
    from_day = WEEK * np.arange(weeks)
    within = np.minimum(days[:, None], from_day + WEEK) - np.maximum(begins[:, None], from_day)
    share = np.maximum(within, 0) / (days - begins)[:, None]
    return factor @ share.T


def parameter_draws(
    base: ModelBase, people: pd.DataFrame, days: FloatArray, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Log effect of the parameters' uncertainty on revenue per period, shape (draws, periods).

    Where the fit knows how sure it is, linear in the logs of the parameters, with the slopes of up to 2,000
    customers. A fit at a bound or with a flat direction does not: its parameters are drawn from the
    posterior, and the revenue of the same customers is expected anew under each draw.
    """
    sample = people.iloc[:: max(1, len(people) // _PARAMETER_ROWS)]
    model = base.value_model
    amount, bought = base.expected_spend(sample), model.purchases_.expected_periods(sample, days)
    effect = np.zeros((draws, len(days)))
    spends = base.spend_frame(sample)
    fitted = people.iloc[:: max(1, len(people) // _POSTERIOR_ROWS)]
    totals: tuple[tuple[PurchaseModel | GammaGammaModel, pd.DataFrame, Callable[[Any], FloatArray]], ...] = (
        (model.purchases_, fitted, lambda moved: amount @ moved.expected_periods(sample, days)),
        (model.spend_, base.spend_frame(fitted), lambda moved: moved.expected_spend(spends) @ bought),
    )
    for part, frame, total in totals:
        if part.knows_uncertainty:
            drawn = np.log(part.draw_parameters(draws, rng) / np.array(list(part.params_.values())))
            effect += drawn @ _slopes(part, total)
        else:
            found = resample_posterior(part.target(frame), _POSTERIOR_DRAWS, rng)
            effect += _log_totals(part, total, found)[rng.integers(_POSTERIOR_DRAWS, size=draws)]
    return effect


def _log_totals(
    part: HasParameterDraws, total: Callable[[Any], FloatArray], parameters: FloatArray
) -> FloatArray:
    """Log of the total under each row of `parameters` against that of the estimate, shape (rows, periods)."""
    moved, logs = copy(part), []
    for row in (np.array(list(part.params_.values())), *parameters):
        moved.params_ = dict(zip(part.params_, map(float, row), strict=True))
        logs.append(np.log(np.maximum(total(moved), _SMALLEST)))
    return np.array(logs[1:]) - logs[0]


def _slopes(part: HasParameterDraws, total: Callable[[Any], FloatArray]) -> FloatArray:
    """What the log of the total gains per unit of each log-parameter, shape (parameters, periods)."""
    estimate = np.array(list(part.params_.values()))
    steps = _STEP * np.eye(len(estimate))
    up, down = (_log_totals(part, total, estimate * np.exp(sign * steps)) for sign in (1, -1))
    return (up - down) / (2 * _STEP)
