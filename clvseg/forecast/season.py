"""The season in weekly revenue: effects of calendar months beside a trend and scatter that lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import OptimizeResult, minimize
from scipy.special import expit

from clvseg.boosting import FloatArray

MONTHS = 12
# Slower swings are the level's, and those of the trend.
_MOST_LAG = 0.7
_ROUNDS = 3
# Standard deviations of half-normal priors, wide on purpose: a month 1.6 times the mean, weeks 30 % off.
_SEASON_SD, _SCATTER_SD = 0.5, 0.3
# Log of the relative variance of one purchase's revenue: 2 times or a half of that is one deviation off.
_CHANCE, _CHANCE_SD = float(np.log(2.0)), float(np.log(2.0))
# Log of a standard deviation that is none, and the deviance that scatter must save to be believed.
_NO_SCATTER, _SCATTER_GAIN = -9.0, 3.0
_STARTS = (float(np.log(0.1)), float(np.log(0.1)), 0.0, _CHANCE)


@dataclass(frozen=True, slots=True)
class Months:
    """Log effects of the calendar months, and how weeks scatter around them.

    Attributes
    ----------
    effect : ndarray, shape (12,)
        January first; the mean of the exponentials is 1.
    covariance : ndarray, shape (12, 12)
        Of the effects.
    scatter : float
        Standard deviation of the log of a week's revenue, chance among customers not counted.
    lag : float
        Correlation of one week's scatter with the next one's, 0..0.7.
    """

    effect: FloatArray
    covariance: FloatArray
    scatter: float
    lag: float


def month_effects(ratio: FloatArray, expected: FloatArray, month: NDArray[np.int64]) -> Months:
    """Separate the season from chance, scatter and trend, each by its own variance.

    The log of `ratio` is a line over time, plus effects of months drawn from N(0, season^2), plus scatter of
    weeks, an AR(1) process, plus chance with a variance that falls with the purchases. The unknown variances
    are fitted by restricted maximum likelihood (Patterson & Thompson 1971) under weak half-normal priors (for
    chance: near that of a Poisson number of orders of varying amounts), the scatter's only where it saves a
    deviance of 3. The effects are their best linear unbiased predictions: what few weeks say is drawn towards
    0, and a month that no week lies in is 0 with the season's whole variance. The log link is that of
    iteratively reweighted least squares, so that weeks without revenue count as well.

    Parameters
    ----------
    ratio : ndarray, shape (weeks,)
        Revenue / expected purchases, week after week.
    expected : ndarray, shape (weeks,)
        Expected purchases, above 0.
    month : ndarray, shape (weeks,)
        Calendar month of each, 0..11.
    """
    weeks = np.arange(len(ratio))
    line = np.column_stack([np.ones(len(ratio)), weeks / len(ratio) - 0.5])
    member = (month[:, None] == np.arange(MONTHS)).astype(np.float64)
    same, gap = member @ member.T, np.abs(weeks[:, None] - weeks)
    level = float(ratio @ expected / expected.sum())
    log_mean = np.full(len(ratio), np.log(level))
    for _ in range(_ROUNDS):
        mean = np.exp(log_mean)
        response = log_mean + ratio / mean - 1
        own = np.diag(level / (expected * mean))

        def covariance(log_sd: FloatArray, own: FloatArray = own) -> FloatArray:
            season, scatter, lag, chance = _natural(log_sd)
            return season**2 * same + scatter**2 * (lag**weeks)[gap] + chance * own

        def deviance(log_sd: FloatArray, response: FloatArray = response) -> float:
            season, scatter, _, _ = _natural(log_sd)
            prior = (season / _SEASON_SD) ** 2 + (scatter / _SCATTER_SD) ** 2
            prior += ((log_sd[3] - _CHANCE) / _CHANCE_SD) ** 2
            return prior + _restricted_deviance(covariance(log_sd), line, response)

        found = _fitted(deviance)
        season, scatter, lag, _ = _natural(found)
        factor = cho_factor(covariance(found))
        inside = cho_solve(factor, line)
        root = np.linalg.inv(line.T @ inside)
        slope = root @ inside.T @ response
        effect = season**2 * member.T @ cho_solve(factor, response - line @ slope)
        log_mean = line @ slope + effect[month]
    projected = cho_solve(factor, member) - inside @ root @ inside.T @ member
    spread = season**2 * np.eye(MONTHS) - season**4 * member.T @ projected
    return Months(effect - np.log(np.exp(effect).mean()), spread, scatter, lag)


def _fitted(deviance: Callable[[FloatArray], float]) -> FloatArray:
    """Where the deviance is least; without scatter where that hardly fits worse.

    As no variance is below 0, chance alone is often taken for some scatter, which made intervals too wide.
    """

    def still(log_sd: FloatArray) -> float:
        return deviance(np.array([log_sd[0], _NO_SCATTER, 0.0, log_sd[1]]))

    best = _least(deviance, np.array(_STARTS))
    without = _least(still, best.x[[0, 3]])
    if without.fun - best.fun < _SCATTER_GAIN:
        return np.array([without.x[0], _NO_SCATTER, 0.0, without.x[1]])
    return np.asarray(best.x)


def _least(what: Callable[[FloatArray], float], start: FloatArray) -> OptimizeResult:
    return minimize(what, start, method="Nelder-Mead", options={"xatol": 0.02, "fatol": 0.02})


def _natural(log_sd: FloatArray) -> tuple[float, float, float, float]:
    """Standard deviations of season and scatter, the scatter's lag, and the variance of one purchase."""
    season, scatter, chance = np.exp(np.clip(log_sd[[0, 1, 3]], -9.0, 5.0))
    return float(season), float(scatter), float(_MOST_LAG * expit(log_sd[2])), float(chance)


def _restricted_deviance(covariance: FloatArray, line: FloatArray, response: FloatArray) -> float:
    """-2 log restricted likelihood of a linear model, but for a constant."""
    factor = cho_factor(covariance, lower=True)
    inside = cho_solve(factor, line)
    within = line.T @ inside
    rest = response - line @ np.linalg.solve(within, inside.T @ response)
    size = 2 * float(np.log(np.diag(factor[0])).sum()) + float(np.linalg.slogdet(within)[1])
    return size + float(rest @ cho_solve(factor, rest))
