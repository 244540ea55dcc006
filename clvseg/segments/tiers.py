"""Tiers: value by share of a total, risk by churn probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VALUE_TIERS = ("high", "mid", "low")
RISK_TIERS = ("low", "medium", "high")


def share_threshold(values: NDArray[np.float64], share: float) -> float:
    """Return the smallest value that still belongs to the top group holding `share` of the total.

    The group is the smallest number of top customers who together hold the share. Customers with equal values
    stay together: a block of ties at the edge belongs to the group when more than half of it is needed.

    Parameters
    ----------
    values : ndarray of float, shape (customers,)
        Not negative, in money.
    share : float
        Between 0 and 1.

    Returns
    -------
    float
        Whoever has this or more belongs; infinite when nobody does.

    Examples
    --------
    >>> share_threshold(np.array([60.0, 20.0, 10.0, 10.0]), 0.7)
    20.0
    >>> share_threshold(np.array([5.0, 5.0, 5.0, 5.0]), 0.5)
    inf
    """
    total = values.sum()
    if total <= 0:
        return float("inf")
    distinct, counts = np.unique(values, return_counts=True)
    distinct, counts = distinct[::-1], counts[::-1]
    held = np.cumsum(distinct * counts) - distinct * counts
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.ceil((share * total - held) / distinct * (1 - 1e-12))
    inside = (held < share * total) & ((held + distinct * counts <= share * total) | (2 * needed > counts))
    return float(distinct[inside].min()) if inside.any() else float("inf")


def tier_threshold(values: NDArray[np.float64], by: str, bound: float) -> float:
    """Return the smallest value that still belongs to a tier and those above it.

    Parameters
    ----------
    values : ndarray of float, shape (customers,)
        Not negative, in money.
    by : {"share", "percentile", "money"}
        Whether `bound` is a share of the total, a share of the customers, or an amount of money. Customers
        with equal values stay together.
    bound : float
        Of the tier and all above it.

    Examples
    --------
    >>> values = np.array([60.0, 20.0, 10.0, 10.0])
    >>> tier_threshold(values, "share", 0.7), tier_threshold(values, "percentile", 0.25)
    (20.0, 60.0)
    >>> tier_threshold(values, "money", 15.0)
    15.0
    """
    if by == "share":
        return share_threshold(values, bound)
    return share_threshold_of_customers(values, bound) if by == "percentile" else bound


def share_threshold_of_customers(values: NDArray[np.float64], share: float) -> float:
    """Return the smallest value of the top group that holds `share` of the customers as nearly as ties allow.

    Examples
    --------
    >>> share_threshold_of_customers(np.array([5.0, 4.0, 4.0, 1.0]), 0.25)
    5.0
    >>> share_threshold_of_customers(np.array([5.0, 5.0, 5.0, 5.0]), 0.25)
    inf
    """
    distinct, counts = np.unique(values, return_counts=True)
    held = np.cumsum(counts[::-1]) / len(values)
    best = int(np.abs(np.concatenate([[0.0], held]) - share).argmin())
    return float(distinct[::-1][best - 1]) if best else float("inf")


def value_tiers(values: NDArray[np.float64], high: float, mid: float) -> NDArray[np.int64]:
    """Number the value tier of each customer: 0 high, 1 mid, 2 low.

    Parameters
    ----------
    values : ndarray of float, shape (customers,)
        Predicted value, in money.
    high, mid : float
        Smallest predicted value of the high and of the mid tier.
    """
    return np.where(values >= high, 0, np.where(values >= mid, 1, 2)).astype(np.int64)


def risk_tiers(churn: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Number the risk tier of each customer: 0 low, 1 medium, 2 high.

    Parameters
    ----------
    churn : ndarray of float, shape (customers,)
        Churn probability, 0 to 1.
    low, high : float
        Below `low` the risk is low, from `high` on it is high.
    """
    return np.where(churn < low, 0, np.where(churn < high, 1, 2)).astype(np.int64)
