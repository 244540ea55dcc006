"""How customers were spread at the fit, in bins, and how far others are from it (PSI)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Reference = dict[str, dict[str, Any]]
"""Per column ``edges`` (inner edges of bins), ``shares`` (of the customers in each) and ``usual`` (PSI)."""

BINS = 10
_LEAST = 1e-4


def learn_reference(now: pd.DataFrame, earlier: pd.DataFrame | None = None) -> Reference:
    """Remember how numbers are spread: shares of customers in bins, no customer's row.

    Parameters
    ----------
    now : DataFrame
        Customers at the fit.
    earlier : DataFrame, optional
        The same columns at an earlier cutoff. Customers age and past orders add up, so even a steady business
        drifts; what these columns drifted until the fit is remembered as usual.

    Examples
    --------
    >>> found = learn_reference(pd.DataFrame({"orders": [1.0, 1.0, 1.0, 2.0]}))
    >>> found["orders"]["edges"], found["orders"]["shares"]
    ([1.5], [0.75, 0.25])
    """
    out: Reference = {}
    for name in now:
        values = now[name].to_numpy(dtype=np.float64)
        edges = _edges(values)
        shares = _shares(values, edges)
        then = None if earlier is None else earlier[name].to_numpy(dtype=np.float64)
        usual = 0.0 if then is None else stability_index(_shares(then, edges), shares)
        out[str(name)] = {"edges": edges.tolist(), "shares": shares.tolist(), "usual": usual}
    return out


def stability_of(values: FloatArray, reference: dict[str, Any]) -> float:
    """PSI of a column's values against its reference."""
    edges = np.array(reference["edges"], dtype=np.float64)
    return stability_index(np.array(reference["shares"]), _shares(values, edges))


def stability_index(expected: FloatArray, found: FloatArray) -> float:
    """Population stability index, the sum of (found - expected) log(found / expected) over the bins.

    It is the symmetric Kullback-Leibler divergence (Jeffreys); credit scoring calls it small below .1 and
    large from .25 on (Siddiqi 2006). An empty bin counts as one customer in ten thousand.

    Parameters
    ----------
    expected, found : ndarray of float, shape (bins,)
        Shares, each summing to 1.

    Examples
    --------
    >>> round(stability_index(np.array([0.5, 0.5]), np.array([0.6, 0.4])), 4)
    0.0405
    """
    one, other = np.maximum(expected, _LEAST), np.maximum(found, _LEAST)
    return float(((other - one) * np.log(other / one)).sum())


def _edges(values: FloatArray) -> FloatArray:
    """Edges half-way between distinct values, nearest to the deciles; fewer where many are the same."""
    distinct, counts = np.unique(values, return_counts=True)
    below = np.cumsum(counts)[:-1]
    if not len(below):
        return np.empty(0)
    wanted = np.arange(1, BINS) * len(values) / BINS
    places = np.unique(np.abs(below[:, None] - wanted[None, :]).argmin(axis=0))
    return (distinct[places] + distinct[places + 1]) / 2


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return counts / max(len(values), 1)
