"""Lift: how much richer in events the customers ranked highest are than all customers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvseg.evaluation.metrics import FloatArray, pair, tie_groups

# Lowest lift quality of each label; the limits are those that marketers know from campaign tools.
LABELS = ((0.6, "excellent"), (0.4, "good"), (0.2, "fair"))
POINTS = 100


def gain_table(event: ArrayLike, probability: ArrayLike, points: int = POINTS) -> pd.DataFrame:
    """Gain and lift curve: what the top of the ranking holds, for tops of any size.

    gain(k) = events among the k customers ranked highest / all events, and lift(k) = gain(k) / (k / n).
    Equal probabilities count as the average over their orders.

    Parameters
    ----------
    event : array_like of 0 or 1, shape (customers,)
        Whether it happened.
    probability : array_like of float, shape (customers,)
        Any score that is higher where the event is thought likelier.
    points : int
        At how many shares of the customers, evenly spaced.

    Returns
    -------
    DataFrame
        ``share`` (of customers, above 0 to 1), ``gain`` (0..1), ``best`` (gain of a perfect ranking) and
        ``lift``; all 0 but the share where nobody has the event.

    Examples
    --------
    >>> gain_table([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], points=4)
       share  gain  best      lift
    0   0.25   0.5   0.5  2.000000
    1   0.50   0.5   1.0  1.000000
    2   0.75   1.0   1.0  1.333333
    3   1.00   1.0   1.0  1.000000
    """
    event, probability = pair(event, probability)
    order, starts = tie_groups(probability)
    reached = np.r_[starts, len(order)]
    found = np.r_[0.0, np.cumsum(np.add.reduceat(event[order], starts))]
    share = np.arange(1, points + 1) / points
    events = max(float(event.sum()), 1.0)
    gain = np.interp(share * len(event), reached, found) / events
    best = np.minimum(share * len(event), event.sum()) / events
    return pd.DataFrame({"share": share, "gain": gain, "best": best, "lift": gain / share})


def lift_quality(event: ArrayLike, probability: ArrayLike) -> float:
    """Mean lift over audiences of every size, on a scale where 0 is chance and 1 a perfect ranking.

    With lift(k) as in :func:`gain_table`, n customers and E events: (mean over k = 1..n of lift(k) - 1) /
    (H(n) - H(E)), H(m) = 1 + 1/2 + ... + 1/m; the denominator is the mean lift of a perfect ranking, less 1.
    It weighs the very top of the ranking far more than the AUC does. 0 where all or none have the event.

    Examples
    --------
    >>> round(lift_quality([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.5714
    >>> lift_quality([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    1.0
    """
    event, probability = pair(event, probability)
    order, starts = tie_groups(probability)
    return quality_of_groups(
        np.r_[starts, len(order)], np.r_[0, np.cumsum(np.add.reduceat(event[order], starts))]
    )


def quality_of_groups(reached: NDArray[Any], found: NDArray[Any]) -> float:
    """Lift quality from groups of customers ranked equally, highest first.

    Within a group from rank a to rank b with e events the expected number found by rank k is a line in k,
    so that its sum over k of found(k) / k is closed: e + (found(a) - a s) (H(b) - H(a)), s = e / (b - a).

    Parameters
    ----------
    reached, found : ndarray of whole numbers, shape (groups + 1,)
        Customers and events up to the end of each group, from 0; empty groups are allowed.
    """
    customers, events = int(reached[-1]), int(found[-1])
    if not 0 < events < customers:
        return 0.0
    whole = _harmonic(1 << customers.bit_length())
    slope = np.diff(found) / np.maximum(np.diff(reached), 1)
    line = found[:-1] - slope * reached[:-1]
    mean_lift = 1 + np.einsum("i,i->", line, np.diff(whole[reached.astype(np.int64)])) / events
    return float((mean_lift - 1) / (whole[customers] - whole[events]))


@lru_cache(maxsize=4)
def _harmonic(size: int) -> FloatArray:
    """H(0) to H(size)."""
    return np.r_[0.0, np.cumsum(1 / np.arange(1, size + 1))]


def lift_label(quality: float) -> str:
    """Name a lift quality: excellent from .6, good from .4, fair from .2, poor below.

    Examples
    --------
    >>> lift_label(0.43)
    'good'
    """
    return next((label for limit, label in LABELS if quality >= limit), "poor")
