"""How sure a prediction of value is: intervals for each customer and for the total."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from clvseg.boosting import FloatArray, Panel
from clvseg.value.hybrid import HybridValueModel, OriginErrors

LEVELS = (0.5, 0.8, 0.95)
LEVEL = 0.8
_CHURN_BINS = 8
_VALUE_BINS = 3
_MIN_ROWS = 50
_TOTAL_FLOOR = 0.05
TOTAL_BLIND = 0.25
_SIMULATED = 4000


@dataclass(frozen=True)
class ValueIntervals:
    """Intervals of later revenue, learned from what came at the origins against what was predicted.

    Mondrian conformal predictive systems (Boström, Johansson & Löfström 2021, by the crepes library): the
    customers are grouped by churn probability, and within that by predicted value; in each group the residual
    divided by the prediction says how the revenue to come is spread. An interval of level L leaves out
    (1 - L) / 2 on each side; where its lower end is 0, so that nothing can fall below, 1 - L above. It is
    widened, where needed, to hold the prediction itself.

    Attributes
    ----------
    churn_edges : tuple of float
        Inner edges of the churn groups.
    value_edges : tuple of tuple of float
        Inner edges of the value groups (relative to the mean prediction), one tuple per churn group.
    mean : float
        Money; the mean prediction of the customers at the fit.
    ranges : tuple of tuple of (float, float)
        Lowest and highest actual / predicted of each of `LEVELS`; one tuple per group, the value groups of
        the first churn group first.
    total_error : float
        Standard error of the log of the total.
    origins : int
        How many origins that error comes from; fewer make the interval wider.
    """

    churn_edges: tuple[float, ...]
    value_edges: tuple[tuple[float, ...], ...]
    mean: float
    ranges: tuple[tuple[tuple[float, float], ...], ...]
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
        panel = panel.thin()
        actual, predicted = panel.outcome["value"].to_numpy(dtype=np.float64), value.out_of_fold
        relative = predicted / panel.per_origin(predicted)[panel.origin]
        churn_edges = _edges(churn_out_of_fold, _CHURN_BINS)
        group = np.searchsorted(churn_edges, churn_out_of_fold)
        value_edges = tuple(_edges(relative[group == k], _VALUE_BINS) for k in range(len(churn_edges) + 1))
        category = _categories(group, relative, value_edges)
        return cls(
            churn_edges=churn_edges,
            value_edges=value_edges,
            mean=float(value.predict(panel.current).mean()),
            ranges=conformal_ranges(actual / predicted, category),
            total_error=total_error(value.errors),
            origins=len(panel.origins),
        )

    @classmethod
    def _blind(cls) -> Self:
        """Without origins: a Poisson number of purchases of gamma distributed amounts (Tweedie)."""
        gone = np.linspace(0.05, 0.95, 10)
        mean = np.repeat(-np.log(gone), _SIMULATED)
        rng = np.random.default_rng(0)
        purchases = rng.poisson(mean)
        money = np.where(purchases > 0, rng.gamma(np.maximum(purchases, 1)), 0.0)
        ranges = conformal_ranges(money / mean, np.repeat(np.arange(len(gone)), _SIMULATED))
        edges = tuple(((gone[1:] + gone[:-1]) / 2).tolist())
        return cls(edges, ((),) * len(gone), 1.0, ranges, TOTAL_BLIND, 0)

    def predict(
        self, predicted: FloatArray, churn_probability: FloatArray, level: float = LEVEL
    ) -> pd.DataFrame:
        """Interval of each customer's revenue.

        Parameters
        ----------
        predicted : ndarray of float, shape (customers,)
            Money, from `HybridValueModel.predict`.
        churn_probability : ndarray of float, shape (customers,)
            P(no purchase).
        level : float
            Share of customers whose revenue the interval is to hold, one of `LEVELS`.

        Returns
        -------
        DataFrame
            ``low`` and ``high``, money; 0 <= low <= predicted <= high.
        """
        group = np.searchsorted(self.churn_edges, churn_probability)
        category = _categories(group, predicted / self.mean, self.value_edges)
        low, high = np.array(self.ranges)[category, LEVELS.index(level)].T
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
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`."""
        return cls(
            tuple(state["churn_edges"]),
            tuple(tuple(edges) for edges in state["value_edges"]),
            state["mean"],
            tuple(tuple((low, high) for low, high in group) for group in state["ranges"]),
            state["total_error"],
            state["origins"],
        )


def _edges(values: FloatArray, wanted: int) -> tuple[float, ...]:
    """Inner edges of up to `wanted` groups of about equal size, each of at least `_MIN_ROWS` rows."""
    ordered, edges, below = np.sort(values), [], 0
    for edge in np.unique(np.quantile(ordered, np.arange(1, wanted) / wanted, method="higher")):
        upto = int(np.searchsorted(ordered, edge, side="right"))
        if min(upto - below, len(ordered) - upto) >= _MIN_ROWS:
            edges.append(float(edge))
            below = upto
    return tuple(edges)


def _categories(
    group: NDArray[np.int64], relative: FloatArray, value_edges: tuple[tuple[float, ...], ...]
) -> NDArray[np.int64]:
    """Number of each row's value group, counted on through the churn groups, shape (rows,)."""
    category, before = np.zeros(len(group), dtype=np.int64), 0
    for position, edges in enumerate(value_edges):
        inside = group == position
        category[inside] = before + np.searchsorted(edges, relative[inside])
        before += len(edges) + 1
    return category


def conformal_ranges(
    ratio: FloatArray, category: NDArray[np.int64]
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Lowest and highest ratio of each of `LEVELS` in every category.

    Parameters
    ----------
    ratio : ndarray of float, shape (rows,)
        Actual / predicted, 0 or more.
    category : ndarray of int, shape (rows,)
        0, 1, ... of which each has at least 40 rows.

    Examples
    --------
    >>> ratio = np.concatenate([np.zeros(60), np.linspace(0.5, 4.4, 40)])
    >>> [(low, round(high, 2)) for low, high in conformal_ranges(ratio, np.zeros(100, dtype=int))[0]]
    [(0.0, 0.0), (0.0, 2.5), (0.0, 4.0)]
    """
    from crepes import ConformalPredictiveSystem

    system = ConformalPredictiveSystem().fit(ratio - 1.0, bins=category)
    places = np.arange(category.max() + 1)
    found = []
    for level in LEVELS:
        tail = 50 * (1 - level)
        ends = system.predict_percentiles(
            np.ones(len(places)), bins=places, lower_percentiles=tail,
            higher_percentiles=[100 - tail, 100 * level], y_min=0,
        )  # fmt: skip
        found.append([(low, one if low <= 0 else two) for low, two, one in ends.tolist()])
    return tuple(tuple(ranges) for ranges in zip(*found, strict=True))


def total_error(errors: OriginErrors) -> float:
    """Standard error of the log total: what the correction left, and chance among customers."""
    left = np.add(errors.purchases, errors.spend) - errors.correction
    return float(np.sqrt(np.mean(left**2) + errors.chance**2 + _TOTAL_FLOOR**2))
