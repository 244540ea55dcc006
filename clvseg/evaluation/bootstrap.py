"""Bootstrap over customers: how sure a metric and a difference between two models are.

Customers are drawn with replacement; a draw is a vector of how often each customer was drawn, so that
nothing is refitted and all draws are computed together. The same draws serve every model, which makes
differences between models far surer than the models themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from clvseg.evaluation.metrics import (
    DECILES,
    FloatArray,
    bias,
    decile_error,
    normalised_gini,
    roc_auc,
    tie_groups,
)

DRAWS = 500
_FLAT = 1 + 1e-9
Weighted = Callable[[FloatArray], float]


def customer_counts(customers: int, rng: np.random.Generator) -> FloatArray:
    """How often each customer is drawn, shape (customers,); the sum is `customers`."""
    drawn = np.bincount(rng.integers(0, customers, customers), minlength=customers)
    return drawn.astype(np.float64)


def _dot(left: FloatArray, right: FloatArray) -> float:
    # einsum keeps to one thread, where BLAS would wake all of them for each of thousands of short products.
    return float(np.einsum("i,i->", left, right))


class _Ranked:
    """Counts and sums per group of equal predictions, highest first, for any vector of counts."""

    def __init__(self, predicted: FloatArray) -> None:
        self.order, self.starts = tie_groups(predicted)
        self.ties = len(self.starts) < len(self.order)

    def grouped(self, values: FloatArray) -> FloatArray:
        ranked = values[self.order]
        return np.add.reduceat(ranked, self.starts) if self.ties else ranked


def _gain(counts: FloatArray, gained: FloatArray) -> float:
    """Area under the cumulative value, averaged over the orders within each group, minus 1/2."""
    through = np.cumsum(gained)
    if through[-1] <= 0:
        return 0.0
    area = _dot(counts, through) + _dot(gained, 1 - counts) / 2
    return area / (float(counts.sum()) * float(through[-1])) - 0.5


def weighted_gini(actual: FloatArray, predicted: FloatArray) -> Weighted:
    """Normalised Gini as a function of counts of shape (customers,)."""
    by_prediction, by_actual = _Ranked(predicted), _Ranked(actual)

    def gini(counts: FloatArray) -> float:
        money = counts * actual
        best = _gain(by_actual.grouped(counts), by_actual.grouped(money))
        if best <= 0.5 / len(actual) * _FLAT:
            return 0.0
        return _gain(by_prediction.grouped(counts), by_prediction.grouped(money)) / best

    return gini


def weighted_bias(actual: FloatArray, predicted: FloatArray) -> Weighted:
    """Aggregate bias as a function of counts of shape (customers,); 0 where nobody drawn bought."""

    def bias_of(counts: FloatArray) -> float:
        total = _dot(counts, actual)
        return _dot(counts, predicted) / total - 1 if total > 0 else 0.0

    return bias_of


def weighted_decile_error(actual: FloatArray, predicted: FloatArray) -> Weighted:
    """Weighted decile error as a function of counts of shape (customers,); 0 where nobody drawn bought."""
    ranked = _Ranked(predicted)
    edges = np.linspace(0, len(actual), DECILES + 1).astype(np.int64)

    def error(counts: FloatArray) -> float:
        total = _dot(counts, actual)
        missed = np.r_[0.0, np.cumsum(ranked.grouped(counts * (actual - predicted)))]
        reached = np.r_[0.0, np.cumsum(ranked.grouped(counts))]
        at_edges = np.interp(edges, reached, missed)
        return float(np.abs(np.diff(at_edges)).sum() / total) if total > 0 else 0.0

    return error


def weighted_auc(event: FloatArray, probability: FloatArray) -> Weighted:
    """Area under the ROC curve as a function of counts of shape (customers,)."""
    ranked = _Ranked(probability)

    def auc(counts: FloatArray) -> float:
        events = ranked.grouped(counts * event)
        others = ranked.grouped(counts) - events
        pairs = events.sum() * others.sum()
        won = _dot(others, np.cumsum(events) - events / 2)
        return won / float(pairs) if pairs > 0 else 0.5

    return auc


METRICS: dict[str, tuple[Callable[..., float], Callable[[FloatArray, FloatArray], Weighted]]] = {
    "gini": (normalised_gini, weighted_gini),
    "bias": (bias, weighted_bias),
    "decile_error": (decile_error, weighted_decile_error),
    "auc": (roc_auc, weighted_auc),
}


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Metrics of several models on the same draws of customers.

    Attributes
    ----------
    estimates : dict of (model, metric) to float
        On the customers themselves.
    draws : dict of (model, metric) to ndarray, shape (draws,)
        On each draw; draw i holds the same customers for every model.
    """

    estimates: dict[tuple[str, str], float]
    draws: dict[tuple[str, str], FloatArray]

    def interval(self, model: str, metric: str, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval of one model's metric."""
        tail = (1 - level) / 2
        low, high = np.quantile(self.draws[model, metric], [tail, 1 - tail])
        return float(low), float(high)

    def difference(self, model: str, other: str, metric: str, level: float = 0.95) -> dict[str, float]:
        """`model` minus `other`.

        Returns
        -------
        dict
            ``difference``, its percentile interval ``low`` and ``high``, and ``share_above``: the share
            of draws in which `model` had the higher value.
        """
        gaps = self.draws[model, metric] - self.draws[other, metric]
        low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
        return {
            "difference": self.estimates[model, metric] - self.estimates[other, metric],
            "low": float(low),
            "high": float(high),
            "share_above": float((gaps > 0).mean()),
        }


def bootstrap(
    actual: FloatArray,
    predictions: Mapping[str, FloatArray],
    metrics: tuple[str, ...],
    seed: int,
    draws: int = DRAWS,
) -> Bootstrap:
    """Draw customers and compute each metric of each model on every draw.

    Parameters
    ----------
    actual : ndarray of float, shape (customers,)
        What happened: money, or 0 and 1.
    predictions : mapping of model to ndarray, shape (customers,)
        What was predicted.
    metrics : tuple of str
        Among ``gini``, ``bias``, ``decile_error`` and ``auc``.
    seed : int
        Same seed, same draws.
    draws : int
        How many.
    """
    rng = np.random.default_rng(seed)
    actual = np.asarray(actual, dtype=np.float64)
    models = {name: np.asarray(values, dtype=np.float64) for name, values in predictions.items()}
    weighted = {(name, m): METRICS[m][1](actual, models[name]) for name in models for m in metrics}
    drawn: dict[tuple[str, str], list[float]] = {key: [] for key in weighted}
    for _ in range(draws):
        counts = customer_counts(len(actual), rng)
        for key, metric in weighted.items():
            drawn[key].append(metric(counts))
    return Bootstrap(
        estimates={(name, m): METRICS[m][0](actual, models[name]) for name, m in weighted},
        draws={key: np.asarray(values) for key, values in drawn.items()},
    )
