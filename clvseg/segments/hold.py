"""Hysteresis: a customer leaves a segment only by a margin; scores that jitter move nobody to and fro."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SegmentOf = Callable[[pd.DataFrame], pd.Series]


def hold(
    assign: SegmentOf,
    frame: pd.DataFrame,
    assigned: pd.Series,
    previous: pd.Series,
    margin: float,
) -> pd.Series:
    """Keep customers in their previous segment while their scores lie within a margin of it.

    Predicted value and churn probability are estimates, so somebody at the edge of a segment would cross it
    back and forth. A customer whose segment has changed stays where they were as long as a predicted value
    higher or lower by `margin`, a churn probability p higher or lower by `margin` x min(p, 1 - p), or both
    together would put them back. What is counted rather than estimated (orders, revenue, days) is not varied:
    a second order makes a repeat buyer at once.

    Parameters
    ----------
    assign : callable
        Frame to segment names, one per row.
    frame : DataFrame
        Scored: ``predicted_value`` (money), ``churn_probability`` (0 to 1), and what `assign` reads.
    assigned : Series of str
        ``assign(frame)``.
    previous : Series of str
        Segment at the date before, indexed by customer; customers may be missing or more than in `frame`.
    margin : float
        Share, 0 to below 1; 0 keeps nobody.

    Returns
    -------
    Series of str
        Index and name of `assigned`.

    Examples
    --------
    >>> frame = pd.DataFrame({"predicted_value": [97.0, 80.0], "churn_probability": [0.5, 0.5]})
    >>> assign = lambda f: pd.Series(np.where(f["predicted_value"] >= 100, "top", "rest"), f.index)
    >>> hold(assign, frame, assign(frame), pd.Series(["top", "top"]), 0.1).tolist()
    ['top', 'rest']
    """
    changed, before = moved(assigned, previous)
    people = frame[changed]
    value, risk = people["predicted_value"], people["churn_probability"]
    within = np.zeros(len(people), dtype=bool)
    for up, riskier in product((-margin, 0.0, margin), repeat=2):
        varied = people.assign(
            predicted_value=value * (1 + up),
            churn_probability=risk + riskier * np.minimum(risk, 1 - risk),
        )
        within |= assign(varied).to_numpy() == before if len(people) else within
    return stay(assigned, changed, before, within)


def moved(assigned: pd.Series, previous: pd.Series) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """Who is assigned elsewhere than before, shape (customers,), and where each of them was."""
    before = previous.reindex(assigned.index).to_numpy(dtype=object)
    changed = np.array(pd.notna(before)) & (before != assigned.to_numpy(dtype=object))
    return changed, before[changed]


def stay(
    assigned: pd.Series, changed: NDArray[np.bool_], before: NDArray[np.object_], within: NDArray[np.bool_]
) -> pd.Series:
    """Put those of the changed who are within the margin back where they were."""
    out = assigned.to_numpy(dtype=object).copy()
    out[np.flatnonzero(changed)[within]] = before[within]
    return pd.Series(out, index=assigned.index, name=assigned.name, dtype="str")
