"""How customers were spread at the fit, in bins, and how far others are from it (PSI)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvseg.segments.scaling import as_numbers, as_words, is_number

FloatArray = NDArray[np.float64]
Reference = dict[str, dict[str, Any]]
"""Per column ``edges`` (inner edges of bins) or ``levels`` (of a category), ``shares`` (of the customers in
each, then of those without an entry or of other levels) and ``usual`` (PSI)."""

BINS, LEVELS = 10, 20
_LEAST = 1e-4


def learn_reference(now: pd.DataFrame, earlier: pd.DataFrame | None = None) -> Reference:
    """Remember how numbers and categories are spread: shares of customers in bins, no customer's row.

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
        values = now[name]
        bins: dict[str, Any]
        if is_number(values):
            numbers = as_numbers(values)
            bins = {"edges": _edges(numbers[np.isfinite(numbers)]).tolist()}
        else:
            bins = {"levels": as_words(values).value_counts().index[:LEVELS].tolist()}
        shares = _shares(values, bins)
        usual = 0.0 if earlier is None else stability_index(_shares(earlier[name], bins), shares)
        kept = shares if shares[-1] else shares[:-1]
        out[str(name)] = bins | {"shares": kept.tolist(), "usual": usual}
    return out


def stability_of(values: ArrayLike, reference: dict[str, Any]) -> float:
    """PSI of a column's values against its reference."""
    found = _shares(pd.Series(values), reference)
    expected = np.zeros(len(found))
    expected[: len(reference["shares"])] = reference["shares"]
    return stability_index(expected, found)


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


def _shares(values: pd.Series[Any], bins: dict[str, Any]) -> FloatArray:
    """Shares of the customers in each bin, then of those in none."""
    if "levels" in bins:
        places = pd.Index(bins["levels"]).get_indexer(pd.Index(as_words(values)))
        counts = np.bincount(
            np.where(places < 0, len(bins["levels"]), places), minlength=len(bins["levels"]) + 1
        )
    else:
        numbers, edges = as_numbers(values), np.array(bins["edges"], dtype=np.float64)
        places = np.where(np.isfinite(numbers), np.searchsorted(edges, numbers), len(edges) + 1)
        counts = np.bincount(places, minlength=len(edges) + 2)
    return np.asarray(counts / max(len(values), 1))
