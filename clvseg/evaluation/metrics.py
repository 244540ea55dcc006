"""Accuracy of predicted values and of predicted probabilities, as functions over arrays.

Every function takes what happened first and what was predicted second, both of shape (customers,).
Customers with the same prediction are never told apart by their position in the table: whatever depends
on the ranking is averaged over the orders of equal predictions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvseg.errors import DataError

FloatArray = NDArray[np.float64]

DECILES = 10
CALIBRATION_BINS = 15
SMALLEST_PROBABILITY = 1e-15


def pair(actual: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both as finite float64 arrays of one shape (customers,)."""
    left, right = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape or len(left) == 0:
        raise DataError(
            "actual and predicted must be one number per customer each.",
            found=f"shapes {left.shape} and {right.shape}.",
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise DataError(
            "actual and predicted must be finite.",
            found=f"{np.sum(~np.isfinite(left))} and {np.sum(~np.isfinite(right))} that are not.",
        )
    return left, right


def _valued(actual: ArrayLike, predicted: ArrayLike) -> tuple[FloatArray, FloatArray]:
    left, right = pair(actual, predicted)
    if left.sum() <= 0:
        raise DataError(
            "accuracy of value cannot be measured without later revenue.",
            found=f"{left.sum():g} in total from {len(left)} customers.",
            hint="hold back a period in which somebody buys.",
        )
    return left, right


def tie_groups(predicted: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order customers by prediction, highest first, and mark where equal predictions begin.

    Returns
    -------
    order : ndarray of int, shape (customers,)
        Positions, highest prediction first.
    starts : ndarray of int, shape (groups,)
        Where in `order` each group of equal predictions begins.
    """
    order = np.argsort(-predicted, kind="stable")
    ranked = predicted[order]
    return order, np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])


def _tie_means(values: FloatArray, order: NDArray[np.int64], starts: NDArray[np.int64]) -> FloatArray:
    """`values` in `order`, each replaced by the mean of its group of ties."""
    sizes = np.diff(np.r_[starts, len(order)])
    return np.repeat(np.add.reduceat(values[order], starts) / sizes, sizes)


def _gain(actual: FloatArray, predicted: FloatArray) -> float:
    """Mean cumulative share of `actual`, highest prediction first, minus 1/2."""
    gained = np.cumsum(_tie_means(actual, *tie_groups(predicted)))
    return float(gained.mean() / gained[-1] - 0.5)


def normalised_gini(actual: ArrayLike, predicted: ArrayLike) -> float:
    """How well the prediction ranks customers by value: 1 perfect, 0 chance, negative upside down.

    With g(order) = mean over customers of the cumulative share of actual value, customers in that order,
    minus 1/2: Gini = g(by prediction, highest first) / g(by actual value, highest first). Equal
    predictions count as the average over their orders. 0 where all customers are worth the same.

    Parameters
    ----------
    actual, predicted : array_like of float, shape (customers,)
        Money.

    Raises
    ------
    DataError
        When the actual values sum to nothing, or a number is not finite.

    Examples
    --------
    >>> normalised_gini([0, 0, 10, 30], [1, 2, 3, 4])
    1.0
    >>> round(normalised_gini([0, 0, 10, 30], [3, 4, 1, 2]), 3)
    -0.143
    """
    actual, predicted = _valued(actual, predicted)
    best = _gain(actual, actual)
    flat = 0.5 / len(actual)
    return _gain(actual, predicted) / best if best > flat * (1 + 1e-9) else 0.0


def spearman(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Rank correlation: Pearson's correlation of the ranks, equal numbers sharing their mean rank.

    0 where one side is the same for all customers.

    Examples
    --------
    >>> round(spearman([0, 0, 10, 30], [1, 2, 3, 4]), 4)
    0.9487
    """
    actual, predicted = pair(actual, predicted)
    ranks = pd.DataFrame({"a": actual, "p": predicted}).rank().to_numpy()
    ranks = ranks - ranks.mean(axis=0)
    norm = np.sqrt((ranks**2).sum(axis=0).prod())
    return float(ranks.prod(axis=1).sum() / norm) if norm > 0 else 0.0


def bias(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Aggregate bias: sum of predictions / sum of actuals - 1.

    Raises
    ------
    DataError
        When the actual values sum to nothing, or a number is not finite.

    Examples
    --------
    >>> round(bias([0, 10], [5, 6]), 3)
    0.1
    """
    actual, predicted = _valued(actual, predicted)
    return float(predicted.sum() / actual.sum() - 1)


def decile_table(actual: ArrayLike, predicted: ArrayLike, groups: int = DECILES) -> pd.DataFrame:
    """Equal groups by prediction, highest first: what was predicted and what came.

    Parameters
    ----------
    actual, predicted : array_like of float, shape (customers,)
        Money.
    groups : int
        Number of groups.

    Returns
    -------
    DataFrame
        One row per group: ``decile`` (1 = ranked highest), ``customers``, ``predicted`` and ``actual``
        (money, sums), ``share`` (of the actual sum, 0..1) and ``cumulative_share``.

    Examples
    --------
    >>> decile_table([0, 2, 1, 5], [1, 2, 3, 4], groups=2)
       decile  customers  predicted  actual  share  cumulative_share
    0       1          2        7.0     6.0   0.75              0.75
    1       2          2        3.0     2.0   0.25              1.00
    """
    actual, predicted = _valued(actual, predicted)
    order, starts = tie_groups(predicted)
    came, said = _tie_means(actual, order, starts), predicted[order]
    edges = np.unique(np.linspace(0, len(actual), groups + 1).astype(np.int64))
    table = pd.DataFrame(
        {
            "decile": np.arange(1, len(edges)),
            "customers": np.diff(edges),
            "predicted": np.add.reduceat(said, edges[:-1]),
            "actual": np.add.reduceat(came, edges[:-1]),
        }
    )
    return table.assign(
        share=table["actual"] / actual.sum(), cumulative_share=table["actual"].cumsum() / actual.sum()
    )


def decile_error(actual: ArrayLike, predicted: ArrayLike, groups: int = DECILES) -> float:
    """Weighted decile error: sum over deciles of |predicted - actual| / sum of actuals.

    The deciles are equal groups of customers by prediction; the unweighted mean of relative errors
    explodes where low deciles have almost no revenue, this does not.

    Raises
    ------
    DataError
        When the actual values sum to nothing, or a number is not finite.

    Examples
    --------
    >>> round(decile_error([0, 2, 1, 5], [1, 2, 3, 4], groups=2), 3)
    0.25
    """
    table = decile_table(actual, predicted, groups)
    return float((table["predicted"] - table["actual"]).abs().sum() / table["actual"].sum())


def top_share(actual: ArrayLike, predicted: ArrayLike, share: float = 0.1) -> float:
    """Share of the actual value that the top `share` of customers by prediction brought.

    The top holds round(share x customers), at least one; equal predictions at its edge count in part.

    Raises
    ------
    DataError
        When the actual values sum to nothing, or a number is not finite.

    Examples
    --------
    >>> top_share([0, 2, 1, 5], [1, 2, 3, 4], share=0.25)
    0.625
    """
    actual, predicted = _valued(actual, predicted)
    top = max(1, round(share * len(actual)))
    return float(_tie_means(actual, *tie_groups(predicted))[:top].sum() / actual.sum())


def mean_absolute_error(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean of |predicted - actual|, in money.

    Not for choosing between models: with most customers at zero it rewards predicting too little.
    """
    actual, predicted = pair(actual, predicted)
    return float(np.abs(predicted - actual).mean())


def root_mean_squared_error(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Square root of the mean of (predicted - actual)^2, in money."""
    actual, predicted = pair(actual, predicted)
    return float(np.sqrt(np.square(predicted - actual).mean()))


def interval_coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of customers with low <= actual <= high."""
    actual, low = pair(actual, low)
    _, high = pair(actual, high)
    return float(((low <= actual) & (actual <= high)).mean())


def roc_auc(event: ArrayLike, probability: ArrayLike) -> float:
    """Area under the ROC curve.

    The chance that a customer with the event has the higher probability than one without, equal
    probabilities counting half. 0.5 where all or none have the event.

    Parameters
    ----------
    event : array_like of 0 or 1, shape (customers,)
        Whether it happened.
    probability : array_like of float, shape (customers,)
        Any score that is higher where the event is thought likelier.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    event, probability = pair(event, probability)
    with_event = event.sum()
    without = len(event) - with_event
    if with_event == 0 or without == 0:
        return 0.5
    ranks = pd.Series(probability).rank().to_numpy()
    return float((ranks[event == 1].sum() - with_event * (with_event + 1) / 2) / (with_event * without))


def average_precision(event: ArrayLike, probability: ArrayLike) -> float:
    """Area under the precision-recall curve: sum over thresholds of (R_n - R_(n-1)) P_n.

    R_n and P_n are recall and precision among customers at or above the n-th distinct probability.
    0 where nobody has the event.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    event, probability = pair(event, probability)
    if event.sum() == 0:
        return 0.0
    order, starts = tie_groups(probability)
    ends = np.r_[starts[1:], len(order)]
    found = np.cumsum(event[order])[ends - 1]
    return float((np.diff(np.r_[0.0, found]) * found / ends).sum() / event.sum())


def log_loss(event: ArrayLike, probability: ArrayLike) -> float:
    """Mean of -log(probability given to what happened), in nats.

    Probabilities are kept within 1e-15 of 0 and 1.
    """
    event, probability = pair(event, probability)
    right = np.where(event == 1, probability, 1 - probability)
    return float(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1)).mean())


def brier(event: ArrayLike, probability: ArrayLike) -> float:
    """Mean of (probability - event)^2."""
    event, probability = pair(event, probability)
    return float(np.square(probability - event).mean())


def reliability_table(event: ArrayLike, probability: ArrayLike, bins: int = CALIBRATION_BINS) -> pd.DataFrame:
    """Equal-count bins by probability, lowest first: what was said and what came.

    Returns
    -------
    DataFrame
        One row per bin: ``bin`` (1 = lowest), ``customers``, ``predicted`` (mean probability) and
        ``observed`` (share with the event).

    Examples
    --------
    >>> reliability_table([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8], bins=2)
       bin  customers  predicted  observed
    0    1          2       0.15       0.0
    1    2          2       0.70       1.0
    """
    event, probability = pair(event, probability)
    order, starts = tie_groups(-probability)
    came, said = _tie_means(event, order, starts), probability[order]
    edges = np.unique(np.linspace(0, len(event), bins + 1).astype(np.int64))
    customers = np.diff(edges)
    return pd.DataFrame(
        {
            "bin": np.arange(1, len(edges)),
            "customers": customers,
            "predicted": np.add.reduceat(said, edges[:-1]) / customers,
            "observed": np.add.reduceat(came, edges[:-1]) / customers,
        }
    )


def calibration_error(event: ArrayLike, probability: ArrayLike, bins: int = CALIBRATION_BINS) -> float:
    """Mean over equal-count bins of |predicted - observed|, weighted by the bin's customers.

    Examples
    --------
    >>> round(calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.8], bins=2), 3)
    0.225
    """
    table = reliability_table(event, probability, bins)
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["customers"]))


def lift(event: ArrayLike, probability: ArrayLike, share: float = 0.1) -> float:
    """Rate of the event in the top `share` of customers / rate among all; 1 is chance.

    Raises
    ------
    DataError
        When nobody has the event, or a number is not finite.

    Examples
    --------
    >>> lift([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], share=0.25)
    2.0
    """
    event, probability = pair(event, probability)
    top = max(1, round(share * len(event)))
    return top_share(event, probability, share) * len(event) / top
