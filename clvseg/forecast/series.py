"""Forecasts of a series from the series alone; the only file that imports statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from clvseg.boosting import FloatArray

SEASON = 52
_RECENT = 13
_LEAST_WEEKS = 8
_ORDERS = tuple((p, d, q) for p in (0, 1, 2) for d in (0, 1) for q in (0, 1))


def seasonal_naive(weeks: FloatArray, ahead: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """The same weeks a year before; the mean of the last quarter where there is no year.

    Parameters
    ----------
    weeks : ndarray, shape (weeks,)
        Money, oldest first; 0 or more.
    ahead, draws : int
        Weeks to forecast, and simulations.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (draws, ahead)
        Money; errors are drawn from those the rule made in the past.

    Examples
    --------
    >>> drawn = seasonal_naive(np.full(60, 7.0), 2, 3, np.random.default_rng(0))
    >>> drawn.tolist()
    [[7.0, 7.0], [7.0, 7.0], [7.0, 7.0]]
    """
    if len(weeks) > SEASON:
        point = weeks[-SEASON + np.arange(ahead) % SEASON]
        off = weeks[SEASON:] - weeks[:-SEASON]
    else:
        recent = weeks[-_RECENT:]
        point, off = np.full(ahead, recent.mean()), recent - recent.mean()
    return np.maximum(point + rng.choice(off, size=(draws, ahead)), 0.0)


def exponential_smoothing(weeks: FloatArray, ahead: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """ETS on logs, trend (none, additive, damped) by AICc, with a season where two were seen.

    Hyndman, Koehler, Ord & Snyder (2008). Parameters and result as in :func:`seasonal_naive`.
    """
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    season: dict[str, Any] = {}
    if len(weeks) >= 2 * SEASON:
        season = {"seasonal": "add", "seasonal_periods": SEASON}
    trends: tuple[dict[str, Any], ...] = ({}, {"trend": "add"}, {"trend": "add", "damped_trend": True})

    def fit(logs: FloatArray, trend: dict[str, Any]) -> Any:
        return ETSModel(logs, **trend, **season).fit(disp=False)

    return _best(weeks, trends, fit, ahead, draws, rng)


def arima(weeks: FloatArray, ahead: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """ARIMA on logs, the order by AICc among p up to 2, d and q up to 1.

    Parameters and result as in :func:`seasonal_naive`.
    """
    from statsmodels.tsa.arima.model import ARIMA

    def fit(logs: FloatArray, order: tuple[int, int, int]) -> Any:
        return ARIMA(logs, order=order, trend="n" if order[1] else "c").fit()

    return _best(weeks, _ORDERS, fit, ahead, draws, rng)


def _best(
    weeks: FloatArray,
    choices: tuple[Any, ...],
    fit: Callable[[FloatArray, Any], Any],
    ahead: int,
    draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Simulate from the choice with the lowest AICc; naively where the series is too short for any."""
    if len(weeks) < _LEAST_WEEKS or not (weeks > 0).any():
        return seasonal_naive(weeks, ahead, draws, rng)
    logs = np.log(np.maximum(weeks, weeks[weeks > 0].min()))
    found: list[tuple[float, int, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what does not converge has a high AICc
        for choice in choices:
            try:
                one = fit(logs, choice)
            except (ValueError, np.linalg.LinAlgError):
                continue
            if np.isfinite(one.aicc):
                found.append((float(one.aicc), len(found), one))
        if not found:
            return seasonal_naive(weeks, ahead, draws, rng)
        best = min(found)[2]
        drawn = np.asarray(best.simulate(ahead, anchor="end", repetitions=draws, rng=rng))
    drawn = drawn.reshape(ahead, draws).T
    # A random walk of logs may run far off; nothing in the past was ten times the largest week.
    return np.exp(np.minimum(drawn, logs.max() + np.log(10)))
