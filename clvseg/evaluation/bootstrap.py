"""Bootstrap over customers: how sure a metric and a difference between two models are.

Customers are drawn with replacement; a draw is a vector of how often each customer was drawn, so that
nothing is refitted. The same draws serve every model, which makes differences between models far surer than
the models themselves, and every cutoff, so that a customer who is there twice is drawn twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvseg.evaluation.lift import lift_quality, quality_of_groups
from clvseg.evaluation.metrics import (
    CALIBRATION_BINS,
    DECILES,
    SMALLEST_PROBABILITY,
    FloatArray,
    average_precision,
    bias,
    brier,
    calibration_error,
    decile_error,
    lift,
    log_loss,
    mean_absolute_error,
    normalised_gini,
    pair,
    roc_auc,
    root_mean_squared_error,
    spearman,
    tie_groups,
    top_share,
)

DRAWS = 500
WHOLE = (None, None)
TOPS = (0.01, 0.05, 0.1, 0.2)
_FLAT = 1 + 1e-9

Key = tuple[str, str]
"""Model and metric."""
Evaluate = Callable[[FloatArray], dict[Key, float]]
"""From how often each customer counts, shape (customers,), to every metric of every model."""
Population = tuple[NDArray[np.int64] | None, int | None]
Metric = Callable[[FloatArray, FloatArray], float]

VALUE_METRICS: dict[str, Metric] = {
    "gini": normalised_gini,
    "spearman": spearman,
    "bias": bias,
    "decile_error": decile_error,
    **{f"top_{round(100 * top)}": lambda a, p, top=top: top_share(a, p, top) for top in TOPS},  # type: ignore[misc]
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
}
CHURN_METRICS: dict[str, Metric] = {
    "auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "calibration_error": calibration_error,
    "lift_10": lift,
    "lift_quality": lift_quality,
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

    estimates: dict[Key, float]
    draws: dict[Key, FloatArray]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, in order."""
        return list(dict.fromkeys(metric for _, metric in self.estimates))

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return list(dict.fromkeys(model for model, _ in self.estimates))

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


def value_bootstrap(
    actual: FloatArray,
    predictions: Mapping[str, FloatArray],
    seed: int,
    population: Population = WHOLE,
    draws: int = DRAWS,
) -> Bootstrap:
    """Draw customers and compute each of `VALUE_METRICS` of each model on every draw.

    Parameters
    ----------
    actual : ndarray of float, shape (customers,)
        Money that came.
    predictions : mapping of model to ndarray, shape (customers,)
        Money that was predicted.
    seed : int
        Same seed and population, same draws.
    population : (ndarray of int, int), optional
        Position of each customer, shape (customers,), among how many that are drawn from, where those are
        more (customers of several cutoffs).
    draws : int
        How many.

    Raises
    ------
    DataError
        When the actual values sum to nothing, or a number is not finite.
    """
    return _bootstrap(value_evaluator, VALUE_METRICS, actual, predictions, seed, population, draws)


def churn_bootstrap(
    gone: FloatArray,
    probabilities: Mapping[str, FloatArray],
    seed: int,
    population: Population = WHOLE,
    draws: int = DRAWS,
) -> Bootstrap:
    """Draw customers and compute each of `CHURN_METRICS` of each model on every draw.

    Parameters
    ----------
    gone : ndarray of 0 or 1, shape (customers,)
        1 where no purchase came.
    probabilities : mapping of model to ndarray, shape (customers,)
        Of no purchase, 0..1.
    seed, population, draws
        As for `value_bootstrap`.
    """
    return _bootstrap(churn_evaluator, CHURN_METRICS, gone, probabilities, seed, population, draws)


def pool(cutoffs: Sequence[Bootstrap]) -> Bootstrap:
    """Mean over cutoffs of each metric, on the customers themselves and on each draw.

    Parameters
    ----------
    cutoffs : sequence of Bootstrap
        Made with the same seed, draws and population; models that are not at every cutoff are left out.
    """
    keys = [key for key in cutoffs[0].estimates if all(key in one.estimates for one in cutoffs)]
    return Bootstrap(
        {key: float(np.mean([one.estimates[key] for one in cutoffs])) for key in keys},
        {key: np.mean([one.draws[key] for one in cutoffs], axis=0) for key in keys},
    )


def beside(one: Bootstrap, other: Bootstrap) -> Bootstrap:
    """Put other metrics of the same models on the same draws beside those of `one`."""
    return Bootstrap(one.estimates | other.estimates, one.draws | other.draws)


def resample(
    evaluate: Evaluate,
    customers: int,
    seed: int,
    population: Population = WHOLE,
    draws: int = DRAWS,
) -> dict[Key, FloatArray]:
    """Evaluate on draws of customers, one dictionary of arrays of shape (draws,).

    Parameters
    ----------
    evaluate : callable
        From counts, shape (customers,).
    customers : int
        How many `evaluate` counts.
    seed, population, draws
        As for `value_bootstrap`.
    """
    rng, (places, others) = np.random.default_rng(seed), population
    drawn: dict[Key, list[float]] = {}
    for _ in range(draws):
        counts = customer_counts(customers if others is None else others, rng)
        for key, value in evaluate(counts if places is None else counts[places]).items():
            drawn.setdefault(key, []).append(value)
    return {key: np.asarray(values) for key, values in drawn.items()}


def customer_counts(customers: int, rng: np.random.Generator) -> FloatArray:
    """How often each customer is drawn, shape (customers,); the sum is `customers`."""
    drawn = np.bincount(rng.integers(0, customers, customers), minlength=customers)
    return drawn.astype(np.float64)


def _bootstrap(
    evaluator: Callable[[FloatArray, Mapping[str, FloatArray]], Evaluate],
    metrics: Mapping[str, Metric],
    actual: FloatArray,
    predictions: Mapping[str, FloatArray],
    seed: int,
    population: Population,
    draws: int,
) -> Bootstrap:
    pairs = {name: pair(actual, predicted) for name, predicted in predictions.items()}
    estimates = {
        (name, metric): measure(*both) for name, both in pairs.items() for metric, measure in metrics.items()
    }
    actual = np.asarray(actual, dtype=np.float64)
    evaluate = evaluator(actual, {name: predicted for name, (_, predicted) in pairs.items()})
    return Bootstrap(estimates, resample(evaluate, len(actual), seed, population, draws))


class _Ranked:
    """Customers in the order of a prediction, highest first, for any vector of counts."""

    def __init__(self, predicted: FloatArray) -> None:
        self.order, self.starts = tie_groups(predicted)
        self.ties = len(self.starts) < len(self.order)
        self.group_sizes = np.diff(np.r_[self.starts, len(self.order)])

    def grouped(self, ordered: FloatArray) -> FloatArray:
        """Sum of values, already in `order`, over each group of equal predictions."""
        return np.add.reduceat(ordered, self.starts) if self.ties else ordered

    def centred_ranks(self, reached: FloatArray, sizes: FloatArray) -> FloatArray:
        """Rank of each customer in `order` less the mean rank, where groups hold `sizes` customers."""
        middle = reached - sizes / 2 - reached[-1] / 2
        return np.repeat(middle, self.group_sizes) if self.ties else middle


def _dot(left: FloatArray, right: FloatArray) -> float:
    # einsum keeps to one thread, where BLAS would wake all of them for each of thousands of short products.
    return float(np.einsum("i,i->", left, right))


def _cumulated(values: FloatArray) -> FloatArray:
    """Running sum with a 0 before it."""
    out = np.empty(len(values) + 1)
    out[0] = 0.0
    np.cumsum(values, out=out[1:])
    return out


def _gain(sizes: FloatArray, gained: FloatArray, through: FloatArray) -> float:
    """Area under the cumulative value, averaged over the orders within each group, minus 1/2."""
    if through[-1] <= 0:
        return 0.0
    area = _dot(sizes, through) + _dot(gained, 1 - sizes) / 2
    return area / (float(sizes.sum()) * float(through[-1])) - 0.5


def value_evaluator(actual: FloatArray, predictions: Mapping[str, FloatArray]) -> Evaluate:
    """Every metric of `VALUE_METRICS`, under its name, of each model as a function of counts.

    Where nobody drawn bought, what is relative to the actual sum is 0.
    """
    customers = len(actual)
    by_actual = _Ranked(actual)
    in_order = actual[by_actual.order]
    models = {name: _Ranked(predicted) for name, predicted in predictions.items()}
    ordered = {name: (actual[r.order], predictions[name][r.order]) for name, r in models.items()}
    errors = {name: (np.abs(p - actual), np.square(p - actual)) for name, p in predictions.items()}
    edges = np.unique(np.linspace(0, customers, DECILES + 1).astype(np.int64)) / customers
    tops = np.array([max(1, round(top * customers)) for top in TOPS]) / customers

    def evaluate(counts: FloatArray) -> dict[Key, float]:
        number, total = float(counts.sum()), _dot(counts, actual)
        weights = counts[by_actual.order]
        sizes = by_actual.grouped(weights)
        money = by_actual.grouped(weights * in_order)
        best = _gain(sizes, money, np.cumsum(money))
        ranks = np.empty(customers)
        ranks[by_actual.order] = by_actual.centred_ranks(np.cumsum(sizes), sizes)
        spread = _dot(counts, np.square(ranks))
        out: dict[Key, float] = {}
        for name, ranked in models.items():
            weights = counts[ranked.order]
            sizes, came = ranked.grouped(weights), ranked.grouped(weights * ordered[name][0])
            reached, through = _cumulated(sizes), _cumulated(came)
            said = _cumulated(ranked.grouped(weights * ordered[name][1]))
            gain = _gain(sizes, came, through[1:])
            own = ranked.centred_ranks(reached[1:], sizes)
            weights *= own
            norm = np.sqrt(spread * _dot(weights, own))
            at_edges = np.interp(edges * number, reached, said - through)
            top = np.interp(tops * number, reached, through)
            scale = 1 / total if total > 0 else 0.0
            flat = best <= 0.5 / number * _FLAT
            found = [
                0.0 if flat else gain / best,
                _dot(weights, ranks[ranked.order]) / float(norm) if norm > 0 else 0.0,
                said[-1] * scale - 1 if total > 0 else 0.0,
                np.abs(np.diff(at_edges)).sum() * scale,
                *(top * scale),
                _dot(counts, errors[name][0]) / number,
                np.sqrt(_dot(counts, errors[name][1]) / number),
            ]
            out.update(((name, metric), float(v)) for metric, v in zip(VALUE_METRICS, found, strict=True))
        return out

    return evaluate


def churn_evaluator(gone: FloatArray, probabilities: Mapping[str, FloatArray]) -> Evaluate:
    """Every metric of `CHURN_METRICS`, under its name, of each model as a function of counts."""
    customers = len(gone)
    ranks = {name: _Ranked(probability) for name, probability in probabilities.items()}
    ordered = {name: (gone[r.order], probabilities[name][r.order]) for name, r in ranks.items()}
    right = {name: np.where(gone == 1, p, 1 - p) for name, p in probabilities.items()}
    losses = {name: -np.log(np.clip(p, SMALLEST_PROBABILITY, 1)) for name, p in right.items()}
    squares = {name: np.square(1 - p) for name, p in right.items()}
    edges = np.unique(np.linspace(0, customers, CALIBRATION_BINS + 1).astype(np.int64))
    bins = 1 - edges[::-1] / customers
    top = max(1, round(0.1 * customers)) / customers

    def evaluate(counts: FloatArray) -> dict[Key, float]:
        number, total = float(counts.sum()), _dot(counts, gone)
        out: dict[Key, float] = {}
        for name, ranked in ranks.items():
            weights = counts[ranked.order]
            sizes, events = ranked.grouped(weights), ranked.grouped(weights * ordered[name][0])
            reached, through = _cumulated(sizes), _cumulated(events)
            said = _cumulated(ranked.grouped(weights * ordered[name][1]))
            others = sizes - events
            pairs = total * (number - total)
            won = _dot(others, through[1:] - events / 2)
            precision = through[1:] / np.maximum(reached[1:], 1)
            at_bins = np.interp(bins * number, reached, said - through)
            found = [
                won / pairs if pairs > 0 else 0.5,
                _dot(events, precision) / total if total > 0 else 0.0,
                _dot(counts, losses[name]) / number,
                _dot(counts, squares[name]) / number,
                np.abs(np.diff(at_bins)).sum() / number,
                np.interp(top * number, reached, through) / (top * total) if total > 0 else 0.0,
                quality_of_groups(reached, through),
            ]
            out.update(((name, metric), float(v)) for metric, v in zip(CHURN_METRICS, found, strict=True))
        return out

    return evaluate
