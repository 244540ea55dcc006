"""Accuracy of predicted times: concordance, and the Brier score over time beside Kaplan-Meier."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clvseg.churn.hazard import kaplan_meier
from clvseg.evaluation.metrics import FloatArray


def concordance_index(duration: ArrayLike, event: ArrayLike, risk: ArrayLike) -> float:
    """Share of comparable pairs ranked right (Harrell's C).

    A pair is comparable when the one with the shorter time left; it is right when that one has the higher
    risk, and counts half when both have the same. 0.5 without a comparable pair.

    Parameters
    ----------
    duration : array_like of float, shape (customers,)
        Time observed.
    event : array_like of 0 or 1, shape (customers,)
        1 where it ended by leaving.
    risk : array_like of float, shape (customers,)
        Higher where leaving is thought sooner.

    Examples
    --------
    >>> concordance_index([1, 2, 3], [1, 0, 1], [0.9, 0.5, 0.5])
    1.0
    """
    t, e, r = (np.asarray(values, dtype=np.float64) for values in (duration, event, risk))
    right = pairs = 0.0
    for i in np.flatnonzero(e == 1):
        later = (t > t[i]) | ((t == t[i]) & (e == 0))
        pairs += later.sum()
        right += (r[i] > r[later]).sum() + 0.5 * (r[i] == r[later]).sum()
    return float(right / pairs) if pairs else 0.5


def integrated_brier(duration: ArrayLike, event: ArrayLike, survival: FloatArray, times: ArrayLike) -> float:
    """Mean over `times` of the Brier score of P(still there), weighted for unequal observation.

    Graf et al. 1999: those gone by t count with weight 1 / G(T-), those still there with 1 / G(t), where G
    is the Kaplan-Meier curve of the end of observation; integrated by the trapezoid rule.

    Parameters
    ----------
    duration, event : array_like, shape (customers,)
        As in :func:`concordance_index`.
    survival : ndarray of float, shape (customers, times)
        Predicted P(still there).
    times : array_like of float, shape (times,)
        Increasing, below the longest time observed.
    """
    t, e, grid = (np.asarray(values, dtype=np.float64) for values in (duration, event, times))
    ends = kaplan_meier(t, 1 - e)
    before = np.maximum(ends.at(t - 1e-9), 1e-9)
    scores = []
    for place, moment in enumerate(grid):
        gone = (t <= moment) & (e == 1)
        there = t > moment
        left = np.maximum(ends.at([moment])[0], 1e-9)
        said = survival[:, place]
        scores.append(float(np.mean(gone * said**2 / before + there * (1 - said) ** 2 / left)))
    return float(np.trapezoid(scores, grid) / (grid[-1] - grid[0])) if len(grid) > 1 else scores[0]
