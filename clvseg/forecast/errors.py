"""How wrong the forecast may be beyond chance: levels of the total and of groups, weeks, parameters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from clvseg.boosting import FloatArray
from clvseg.forecast.clock import Cutoff, errors_on_clock, learn_season
from clvseg.forecast.past import SEASONS_DAYS, WEEK, Past, recent_tracking, share_of_months
from clvseg.forecast.periods import Periods
from clvseg.value.hybrid import OriginErrors
from clvseg.value.intervals import LEVEL, TOTAL_BLIND, total_error
from clvseg.value.origins import ModelBase
from clvseg.value.posterior import resample_posterior
from clvseg.value.purchases import PurchaseModel
from clvseg.value.spend import GammaGammaModel
from clvseg.value.uncertainty import HasParameterDraws

# Set by hand, with the totals of the accuracy studies in view: 1 to 36 % off where the season was not seen.
_UNSEEN_SEASON = 0.15
# The models are right but for little, or off alike at all cutoffs, or off at each in its own way: the chance
# of each before anything is seen, and the standard deviations of half-normal priors of what all share and of
# what each adds. Then how much of what is shared shows in the last weeks' tracking, to which the models were
# fitted, and its standard error in those of a total. Set on simulated businesses that grow, have a season or
# lose customers.
_RIGHT_OR_OFF = ((0.9, 0.015, 0.01), (0.08, 0.3, 0.03), (0.02, 0.05, 0.3))
_SHOWS_IN_TRACKING, _TRACKING_CHANCE, _TRACKING_OFF = 2 / 3, 0.4, 0.3
_PARAMETER_ROWS = 2_000
# Customers whose likelihood the posterior is drawn from, at most: with fewer than there are it is wider.
_POSTERIOR_ROWS = 20_000
_POSTERIOR_DRAWS = 400
_STEP = 0.01
_SMALLEST = 1e-300
_NORMAL_95 = 3.92
_QUANTILES = 20_001


@dataclass(frozen=True, slots=True)
class Normal:
    """One of several normal distributions, and how likely it is."""

    weight: float
    mean: float
    sd: float


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
    shift : float
        What is added to the log of the total, as the models were off at earlier cutoffs.
    parts : tuple of Normal
        How the log level is distributed, with mean `shift` and standard deviation `level`; empty: normally.
    """

    level: float
    measured_days: int
    segment: float
    cohort: float
    season_seen: bool
    shift: float = 0.0
    parts: tuple[Normal, ...] = ()

    def draws(self, days: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
        """Log level so many days ahead, the shift taken out, shape (count, days).

        Evenly spread over the distribution: the mean of the draws is then nearly that of the distribution.
        """
        at = (rng.permutation(count) + 0.5) / count
        growth = np.sqrt(np.maximum(days / self.measured_days, 1.0))
        if not self.parts:
            return self.level * norm.ppf(at)[:, None] * growth
        weight, mean, sd = np.array([(part.weight, part.mean, part.sd) for part in self.parts]).T
        values = np.linspace((mean - 6 * sd).min(), (mean + 6 * sd).max(), _QUANTILES)
        below = norm.cdf((values[:, None] - mean) / sd) @ weight
        return (np.interp(at, below, values) - self.shift)[:, None] * growth


def spread_of(
    errors: OriginErrors,
    base: ModelBase,
    people: pd.DataFrame,
    daily: pd.DataFrame,
    as_of: dt.date,
    groups: dict[str, float],
    cutoffs: list[Cutoff],
) -> Spread:
    """Turn the errors of totals at earlier cutoffs into a shift and a spread of the level.

    Where two seasons were seen, the models run on the season's clock, and season, chance and scatter are told
    apart from what they miss (:func:`shared_error`). Where they were not, nothing is shifted, and the root
    mean square of the errors is made wider by Student's quantile where cutoffs were few and is at least 15 %.
    Without any cutoff the level is blind.

    Parameters
    ----------
    errors : OriginErrors
        Of the fit as of the day.
    base : ModelBase
        Purchase and spend models as of the day.
    people : DataFrame
        Features as of the day.
    daily : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort`, up to the day.
    as_of : date
        Last known day.
    groups : dict of str to float
        Errors of ``segment`` and ``cohort`` against the total, from :func:`group_error`; 0 where absent.
    cutoffs : list of Cutoff
        Earlier days; looked at where two seasons were seen.
    """
    history = (as_of - daily["first_day"].min().date()).days + 1
    seen, shift = history >= SEASONS_DAYS, 0.0
    parts: tuple[Normal, ...] = ()
    if seen and cutoffs:
        past, own, _ = learn_season(base, people, daily, as_of)
        tracked = recent_tracking(daily, as_of, own.value_model.purchases_, past, base.inner_days)
        left = errors_on_clock(cutoffs, base, past)
        days = np.array([(as_of - cutoff.day).days for cutoff in cutoffs])
        known, overlap = _known_errors(errors.chance, past, daily, as_of, days, base.inner_days)
        parts = shared_error(left, known, overlap, tracked)
        shift, level = _moments(*np.array([(part.weight, part.mean, part.sd) for part in parts]).T)
    elif not errors.purchases:
        level = TOTAL_BLIND
    else:
        few = student.ppf((1 + LEVEL) / 2, max(len(errors.purchases) - 1, 1)) / norm.ppf((1 + LEVEL) / 2)
        level = max(total_error(errors) * float(few), _UNSEEN_SEASON)
    return Spread(
        level, base.inner_days, groups.get("segment", 0.0), groups.get("cohort", 0.0), seen, shift, parts
    )


def shared_error(
    left: FloatArray, known: FloatArray, overlap: FloatArray, tracked: float
) -> tuple[Normal, ...]:
    """Distribution of the next log error, learned from earlier ones and from the tracking of the last weeks.

    Each error is a part that all share, a part of its own (windows that overlap share it by as much), and
    what is `known` of chance. The standard deviations of both parts have priors that are mixtures of
    half-normals and are integrated out on a grid; given them everything is normal.

    Parameters
    ----------
    left : ndarray, shape (cutoffs,)
        Log of actual over expected, the season taken out; the newest first.
    known : ndarray, shape (cutoffs, cutoffs)
        Covariance of `left` by chance, scatter and the season's uncertainty.
    overlap : ndarray, shape (cutoffs, cutoffs)
        Share of days that two windows have in common; 1 on the diagonal.
    tracked : float
        From :func:`clvseg.forecast.past.recent_tracking`.

    Returns
    -------
    tuple of Normal
        One for each way of being right or off.

    Examples
    --------
    >>> alike, unlike = np.full(4, 0.15), np.array([0.15, -0.15, 0.15, -0.15])
    >>> for off, tracked in ((alike, 0.1), (unlike, 0.0)):
    ...     found = shared_error(off, 0.02**2 * np.eye(4), np.eye(4), tracked)
    ...     likeliest = max(found, key=lambda part: part.weight)
    ...     print(f"{likeliest.mean:.2f} {likeliest.sd:.2f}")
    0.15 0.02
    0.00 0.19
    """
    grid = np.linspace(0.05, 3.0, 16)
    count = len(left)
    seen, sees = np.append(left, tracked), np.append(np.ones(count), _SHOWS_IN_TRACKING)
    chance, apart = np.zeros((2, count + 1, count + 1))
    chance[:count, :count], apart[:count, :count] = known, overlap
    chance[count, count] = _TRACKING_CHANCE**2 * known[0, 0]
    parts = []
    for probability, of_shared, of_own in _RIGHT_OR_OFF:
        logs, means, variances = [], [], []
        for at_shared, at_own in product(grid, grid):
            shared, own = of_shared * at_shared, of_own * at_own
            covariance = chance + shared**2 * np.outer(sees, sees) + own**2 * apart
            covariance[count, count] += _TRACKING_OFF**2 * (shared**2 + own**2)
            weighed, pull = np.linalg.solve(covariance, np.column_stack([seen, shared**2 * sees])).T
            misfit = seen @ weighed + np.linalg.slogdet(covariance)[1] + at_shared**2 + at_own**2
            logs.append(np.log(probability) - 0.5 * misfit)
            means.append(pull @ seen)
            variances.append(shared**2 - shared**2 * (pull @ sees) + own**2)
        parts.append((np.array(logs), np.array(means), np.sqrt(variances)))
    most = max(logs.max() for logs, *_ in parts)
    weights = [np.exp(logs - most) for logs, *_ in parts]
    whole = sum(weight.sum() for weight in weights)
    return tuple(
        Normal(float(weight.sum() / whole), *_moments(weight / weight.sum(), means, sds))
        for weight, (_, means, sds) in zip(weights, parts, strict=True)
        if weight.sum() > 0
    )


def _moments(weight: FloatArray, mean: FloatArray, sd: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of a mixture."""
    whole = float(weight @ mean)
    return whole, float(np.sqrt(weight @ (sd**2 + (mean - whole) ** 2)))


def _known_errors(
    chance: float, past: Past, daily: pd.DataFrame, as_of: dt.date, days: NDArray[np.int64], length: int
) -> tuple[FloatArray, FloatArray]:
    """Covariance of the errors that :func:`shared_error` knows, and the overlap of the windows.

    `chance` is the standard error of the newest one; the windows of `length` days begin so many `days` ago.
    """
    orders = _orders_after(daily, as_of, days, length)
    windows = _windows(as_of, days, length)
    overlap = np.maximum(1 - np.abs(days[:, None] - days) / length, 0.0)
    by_chance = chance**2 * orders[0] / np.sqrt(np.outer(orders, orders))
    slope = np.exp(past.season)[:, None] * share_of_months(windows) / past.seasonal(windows)
    unsure = slope.T @ np.array(past.season_covariance) @ slope
    return overlap * by_chance + _scatter_between(past, days, length) + unsure, overlap


def _windows(as_of: dt.date, days: NDArray[np.int64], length: int) -> Periods:
    """What followed each cutoff, so many days before `as_of`."""
    origins = [as_of - dt.timedelta(days=int(before)) for before in days]
    return Periods(
        tuple(origin.isoformat() for origin in origins),
        tuple(origin + dt.timedelta(days=1) for origin in origins),
        tuple(origin + dt.timedelta(days=length) for origin in origins),
    )


def _scatter_between(past: Past, days: NDArray[np.int64], length: int) -> FloatArray:
    """Covariance of the weeks' scatter averaged over windows of `length` days that begin so many days ago."""
    ago = WEEK * np.arange(int(np.ceil(days.max() / WEEK)))[:, None]
    inside = np.minimum(days, ago + WEEK) - np.maximum(days - length, ago)
    share = np.maximum(inside, 0) / length
    weeks = np.arange(len(share))
    return past.scatter**2 * share.T @ past.lag ** np.abs(weeks[:, None] - weeks) @ share


def _orders_after(daily: pd.DataFrame, as_of: dt.date, days: NDArray[np.int64], length: int) -> FloatArray:
    """Orders within `length` days after each cutoff of the customers known by then; at least 1."""
    day, first = ((pd.Timestamp(as_of) - daily[name]).dt.days.to_numpy() for name in ("day", "first_day"))
    orders = daily["purchases"].to_numpy(dtype=np.float64)
    inside = [(first >= before) & (day < before) & (day >= before - length) for before in days]
    return np.array([max(orders[rows].sum(), 1.0) for rows in inside])


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
        Median exp(shift) but for the weeks' scatter, whose mean is 1: errors of levels are as likely
        upwards as downwards on the log scale, so that their mean lies above 1.
    """
    level = spread.draws(days, len(parameters), rng)
    raw = np.exp(level + parameters) * _scatter(past, days, len(parameters), rng)
    mean = np.exp(spread.shift) * np.exp(level).mean(axis=0)
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
