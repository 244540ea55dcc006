"""Accuracy by when the customers first bought: a right total can hide a fading cohort."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from clvseg.evaluation.bootstrap import resample
from clvseg.evaluation.metrics import FloatArray
from clvseg.frames import COHORTS

MOST = 12
FEWEST_BUYERS = 30
_NAMES = {"M": "%b %Y", "Q": "Q%q %Y", "Y": "%Y"}


def cohort_table(
    age: FloatArray, as_of: dt.date, actual: FloatArray, predicted: FloatArray, seed: int
) -> pd.DataFrame:
    """Aggregate bias per acquisition cohort: sum of predictions / sum of actuals - 1 in each.

    Cohorts are months, or quarters or years of the first purchase where months were more than twelve. A
    cohort in which fewer than 30 customers brought revenue is joined with the next.

    Parameters
    ----------
    age : ndarray, shape (customers,)
        Days from the first purchase to `as_of`.
    as_of : date
        The cutoff.
    actual, predicted : ndarray of float, shape (customers,)
        Money of the later period.
    seed : int
        Of the bootstrap over customers, which gives the 95 % intervals.

    Returns
    -------
    DataFrame
        Columns of `frames.COHORTS`, oldest first.
    """
    first = pd.Series(pd.Timestamp(as_of) - pd.to_timedelta(age, unit="D"))
    codes, names = _cohorts(first, actual)
    count = len(names)

    def sums(weights: FloatArray) -> FloatArray:
        return np.bincount(codes, weights, count).astype(np.float64)

    def biases(counts: FloatArray) -> dict[tuple[str, str], float]:
        came, said = sums(counts * actual), sums(counts * predicted)
        return {(n, "bias"): s / c - 1 if c > 0 else 0.0 for n, s, c in zip(names, said, came, strict=True)}

    ones = np.ones(len(actual))
    estimate, drawn = biases(ones), resample(biases, len(actual), seed)
    ends = np.array([np.quantile(drawn[name, "bias"], [0.025, 0.975]) for name in names])
    table = {
        "cohort": names,
        "customers": sums(ones),
        "predicted": sums(predicted),
        "actual": sums(actual),
        "bias": [estimate[name, "bias"] for name in names],
        "bias_low": ends[:, 0],
        "bias_high": ends[:, 1],
    }
    return COHORTS.conform(pd.DataFrame(table))


def _cohorts(first: pd.Series, actual: FloatArray) -> tuple[np.ndarray, list[str]]:
    """Code of each customer's cohort, and the cohorts' names, oldest first."""
    unit = next((u for u in ("M", "Q") if first.dt.to_period(u).nunique() <= MOST), "Y")
    periods = first.dt.to_period(unit)
    codes, found = pd.factorize(periods, sort=True)
    buyers = np.bincount(codes, actual > 0, len(found))
    groups = _join(buyers)
    names = []
    for group in range(groups[-1] + 1):
        inside = [period for period, place in zip(found, groups, strict=True) if place == group]
        ends = [period.strftime(_NAMES[unit]) for period in (inside[0], inside[-1])]
        names.append(" to ".join(dict.fromkeys(ends)))
    return groups[codes], names


def _join(buyers: np.ndarray) -> np.ndarray:
    """Group of each cohort, so that every group has enough buyers; what is left goes to the last.

    Examples
    --------
    >>> _join(np.array([40, 10, 25, 90, 5])).tolist()
    [0, 1, 1, 2, 2]
    """
    groups, group, held = np.zeros(len(buyers), dtype=np.int64), 0, 0.0
    for place, many in enumerate(buyers):
        groups[place] = group
        held += many
        if held >= FEWEST_BUYERS:
            group, held = group + 1, 0.0
    last = max(group - 1, 0)
    return np.minimum(groups, last)
