"""How sure a prediction of value is: an 80 % interval for each customer and for the total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import t as student

from clvseg.boosting import FloatArray, Panel
from clvseg.value.hybrid import HybridValueModel, OriginErrors

LEVEL = 0.8
_CHURN_BINS = 8
_VALUE_BINS = 3
_MIN_ROWS = 100
_TOTAL_FLOOR = 0.05
_TOTAL_BLIND = 0.25
_SIMULATED = 4000


@dataclass(frozen=True)
class ValueIntervals:
    """Intervals of later revenue, learned from what came at the origins against what was predicted.

    Customers are grouped by churn probability, and within that by predicted value. In each group the
    interval is the shortest range of actual / predicted that held 80 % of its rows (split conformal
    prediction with the ratio as score, so a ratio of 0 is inside where many did not come back). It is
    widened, where needed, to hold the prediction itself.

    Attributes
    ----------
    churn_edges : tuple of float
        Inner edges of the churn groups.
    value_edges : tuple of tuple of float
        Inner edges of the value groups (relative to the mean prediction), one tuple per churn group.
    mean : float
        Money; the mean prediction of the customers at the fit.
    ratios : tuple of tuple of (float, float)
        Lowest and highest actual / predicted, per churn group and value group.
    total_error : float
        Standard error of the log of the total.
    origins : int
        How many origins that error comes from; fewer make the interval wider.
    """

    churn_edges: tuple[float, ...]
    value_edges: tuple[tuple[float, ...], ...]
    mean: float
    ratios: tuple[tuple[tuple[float, float], ...], ...]
    total_error: float
    origins: int

    @classmethod
    def fit(cls, panel: Panel, value: HybridValueModel, churn_out_of_fold: FloatArray) -> Self:
        """Learn from a panel and the out-of-fold predictions of both models.

        Parameters
        ----------
        panel : Panel
            What `value` was fitted on.
        value : HybridValueModel
            Fitted; its ``out_of_fold`` and ``errors`` are used.
        churn_out_of_fold : ndarray of float, shape (rows,)
            Of the churn model; P(no purchase).
        """
        if not panel.origins:
            return cls._blind()
        actual = panel.outcome["value"].to_numpy(dtype=np.float64)
        predicted = value.out_of_fold
        relative = predicted / panel.per_origin(predicted)[panel.origin]
        ratio = actual / predicted
        churn_edges = _edges(churn_out_of_fold, _CHURN_BINS)
        group = np.searchsorted(churn_edges, churn_out_of_fold)
        value_edges, ratios = [], []
        for position in range(len(churn_edges) + 1):
            inside = group == position
            edges = _edges(relative[inside], _VALUE_BINS)
            split = np.searchsorted(edges, relative[inside])
            value_edges.append(edges)
            ratios.append(
                tuple(shortest_range(ratio[inside][split == k], LEVEL) for k in range(len(edges) + 1))
            )
        error = _total_error(value.errors)
        mean = float(value.predict(panel.current).mean())
        return cls(churn_edges, tuple(value_edges), mean, tuple(ratios), error, len(panel.origins))

    @classmethod
    def _blind(cls) -> Self:
        """Without origins: a Poisson number of purchases of gamma distributed amounts (Tweedie)."""
        grid = np.linspace(0.05, 0.95, 10)
        rng = np.random.default_rng(0)
        ratios = []
        for gone in grid:
            mean = -np.log(gone)
            purchases = rng.poisson(mean, _SIMULATED)
            money = np.where(purchases > 0, rng.gamma(np.maximum(purchases, 1)), 0.0)
            ratios.append((shortest_range(money / mean, LEVEL),))
        edges = tuple(((grid[1:] + grid[:-1]) / 2).tolist())
        return cls(edges, ((),) * len(grid), 1.0, tuple(ratios), _TOTAL_BLIND, 0)

    def predict(self, predicted: FloatArray, churn_probability: FloatArray) -> pd.DataFrame:
        """Interval of each customer's revenue.

        Parameters
        ----------
        predicted : ndarray of float, shape (customers,)
            Money, from `HybridValueModel.predict`.
        churn_probability : ndarray of float, shape (customers,)
            P(no purchase).

        Returns
        -------
        DataFrame
            ``low`` and ``high``, money; 0 <= low <= predicted <= high.
        """
        relative = predicted / self.mean
        group = np.searchsorted(self.churn_edges, churn_probability)
        low, high = np.zeros(len(predicted)), np.zeros(len(predicted))
        for position, (edges, ranges) in enumerate(zip(self.value_edges, self.ratios, strict=True)):
            inside = group == position
            bounds = np.array(ranges)[np.searchsorted(edges, relative[inside])]
            low[inside], high[inside] = bounds[:, 0], bounds[:, 1]
        return pd.DataFrame(
            {"low": predicted * np.minimum(low, 1.0), "high": predicted * np.maximum(high, 1.0)}
        )

    def total(self, predicted: FloatArray) -> tuple[float, float]:
        """Interval of the revenue of all customers together, money; holds the sum of `predicted`.

        The log of the total has the standard error `total_error`; its quantile is Student's with one
        degree of freedom less than there are origins, as few origins say little about that error.
        """
        quantile = student.ppf((1 + LEVEL) / 2, max(self.origins - 1, 1))
        middle, spread = float(np.sum(predicted)), float(quantile) * self.total_error
        return middle * float(np.exp(-spread)), middle * float(np.exp(spread))

    def to_dict(self) -> dict[str, Any]:
        """Everything that was learned, JSON-able."""
        return {
            "churn_edges": list(self.churn_edges),
            "value_edges": [list(edges) for edges in self.value_edges],
            "mean": self.mean,
            "ratios": [[list(pair) for pair in group] for group in self.ratios],
            "total_error": self.total_error,
            "origins": self.origins,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`."""
        return cls(
            tuple(state["churn_edges"]),
            tuple(tuple(edges) for edges in state["value_edges"]),
            state["mean"],
            tuple(tuple((low, high) for low, high in group) for group in state["ratios"]),
            state["total_error"],
            state["origins"],
        )


def _edges(values: FloatArray, wanted: int) -> tuple[float, ...]:
    """Inner edges of up to `wanted` equal-count groups of at least `_MIN_ROWS` rows each."""
    groups = max(1, min(wanted, len(values) // _MIN_ROWS))
    inner = np.quantile(values, np.arange(1, groups) / groups) if groups > 1 else np.empty(0)
    return tuple(np.unique(inner).tolist())


def shortest_range(values: FloatArray, level: float) -> tuple[float, float]:
    """Shortest range that holds at least ceil((n + 1) x level) of n values; all of them where n is small.

    Examples
    --------
    >>> shortest_range(np.array([0.0, 0.0, 0.0, 1.0, 9.0]), 0.6)
    (0.0, 1.0)
    """
    if len(values) == 0:
        return 0.0, float("inf")
    ordered = np.sort(values)
    count = min(len(ordered), int(np.ceil((len(ordered) + 1) * level)))
    widths = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    start = int(np.argmin(widths))
    return float(ordered[start]), float(ordered[start + count - 1])


def _total_error(errors: OriginErrors) -> float:
    """Standard error of the log total: what the correction left, and chance among customers."""
    left = np.add(errors.purchases, errors.spend) - errors.correction
    return float(np.sqrt(np.mean(left**2) + errors.chance**2 + _TOTAL_FLOOR**2))
