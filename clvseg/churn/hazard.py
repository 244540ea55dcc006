"""Time to churn: Kaplan-Meier curves, and a hazard in discrete time for each customer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

from clvseg.boosting import THREADS, FloatArray, booster_from_text, booster_to_text
from clvseg.churn.encoding import Encoding

if TYPE_CHECKING:
    import lightgbm

INTERVALS = 24
# Rank correlation with the tenure from which on a column only counts the time.
CLOCK = 0.7
_ROUNDS = 150
_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 6,
    "learning_rate": 0.08,
    "min_data_in_leaf": 200,
    "lambda_l2": 20.0,
    "feature_fraction": 0.5,
    "max_bin": 63,
    "verbosity": -1,
    "num_threads": THREADS,
    "deterministic": True,
    "force_col_wise": True,
}


@dataclass(frozen=True, slots=True)
class Survival:
    """A Kaplan-Meier curve.

    Attributes
    ----------
    time : ndarray of float, shape (times,)
        Distinct times of events, increasing.
    survival, low, high : ndarray of float, shape (times,)
        Share still there after each time, and its 95 % interval (log-log, Greenwood's variance).
    at_risk : ndarray of int, shape (times,)
        Customers observed just before each time.
    """

    time: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    at_risk: FloatArray

    def at(self, times: ArrayLike) -> FloatArray:
        """Share still there after `times`; 1 before the first event."""
        place = np.searchsorted(self.time, np.asarray(times, dtype=np.float64), side="right")
        return np.r_[1.0, self.survival][place]


def kaplan_meier(duration: ArrayLike, event: ArrayLike) -> Survival:
    """Estimate the share still there over time.

    S(t) = product over event times u <= t of 1 - d(u) / n(u) (Kaplan & Meier 1958); those whose observation
    ends at u count as at risk there.

    Parameters
    ----------
    duration : array_like of float, shape (customers,)
        Time observed.
    event : array_like of 0 or 1, shape (customers,)
        1 where it ended by leaving.

    Examples
    --------
    >>> kaplan_meier([1, 2, 2, 3], [1, 1, 0, 1]).survival.round(2).tolist()
    [0.75, 0.5, 0.0]
    """
    t, e = np.asarray(duration, dtype=np.float64), np.asarray(event, dtype=np.float64)
    time, place = np.unique(t, return_inverse=True)
    gone, ended = np.bincount(place, e), np.bincount(place)
    at_risk = ended[::-1].cumsum()[::-1]
    keep = gone > 0
    time, gone, at_risk = time[keep], gone[keep], at_risk[keep]
    survival = np.cumprod(1 - gone / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.cumsum(gone / (at_risk * np.maximum(at_risk - gone, 0)))) / -np.log(survival)
        width = np.where(np.isfinite(spread), norm.ppf(0.975) * spread, 0.0)
        low, high = survival ** np.exp(width), survival ** np.exp(-width)
    return Survival(time, survival, low, high, at_risk)


class HazardModel:
    """P(leaving in a stretch of tenure, given still there at its start), by LightGBM.

    Each customer gives one row per stretch lived through, the last with the label (Singer & Willett 1993);
    stretches are at most 24, cut at quantiles of the tenures of those who left. A column that only counts
    the time (rank correlation with the tenure of 0.7 or more) would tell when observation ended, and is
    left out. Beyond the longest tenure seen, the hazard stays that of the last stretch.

    Parameters
    ----------
    seed : int
        Seed of boosting.

    Attributes
    ----------
    edges : ndarray of float, shape (stretches + 1,)
        In periods; the first is 0.
    left_out : list of str
        Columns that count the time.
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.edges: FloatArray = np.empty(0)
        self.encoding = Encoding({}, {})
        self.left_out: list[str] = []
        self.booster: lightgbm.Booster | None = None

    def fit(self, columns: pd.DataFrame, tenure: FloatArray, left: FloatArray) -> Self:
        """Learn from customers whose label is known.

        Parameters
        ----------
        columns : DataFrame
            See :class:`clvseg.data.customers.CustomerTable`.
        tenure : ndarray of float, shape (rows,)
            In periods.
        left : ndarray of 0 or 1, shape (rows,)
            Who left.
        """
        import lightgbm as lgb

        tenure, left = np.asarray(tenure, dtype=np.float64), np.asarray(left, dtype=np.float64)
        self.left_out = clocks(columns, tenure)
        self.encoding = Encoding.fit(columns.drop(columns=self.left_out))
        cuts = np.unique(np.quantile(tenure[left == 1], np.linspace(0, 1, INTERVALS)))
        self.edges = np.unique(np.r_[0.0, cuts[cuts > 0], max(tenure.max(), cuts.max())])
        last = self._stretch(tenure)
        rows = np.repeat(np.arange(len(tenure)), last + 1)
        stretch = np.concatenate([np.arange(k + 1) for k in last])
        event = (stretch == last[rows]) & (left[rows] == 1)
        inputs = self._inputs(self.encoding.for_trees(columns)[rows], stretch)
        data = lgb.Dataset(inputs, event.astype(np.float64))
        self.booster = lgb.train({**_PARAMETERS, "seed": self.seed}, data, _ROUNDS)
        return self

    def _stretch(self, tenure: FloatArray) -> Any:
        """Stretch in which a tenure ends: (edge, next edge], the first from 0."""
        place = np.searchsorted(self.edges, tenure, side="left") - 1
        return np.clip(place, 0, len(self.edges) - 2)

    def _inputs(self, known: FloatArray, stretch: FloatArray) -> FloatArray:
        return np.column_stack([self.edges[stretch + 1], known])

    def log_survival(self, columns: pd.DataFrame) -> FloatArray:
        """Log of the probability of still being there at each edge, shape (rows, stretches + 1)."""
        if self.booster is None:
            raise NotFittedError("This HazardModel is not fitted yet; call fit first.")
        known, stretches = self.encoding.for_trees(columns), len(self.edges) - 1
        hazard = np.empty((len(columns), stretches))
        for k in range(stretches):
            inputs = self._inputs(known, np.full(len(columns), k))
            hazard[:, k] = self.booster.predict(inputs, num_threads=THREADS)
        return np.column_stack([np.zeros(len(columns)), np.cumsum(np.log1p(-hazard), axis=1)])

    def survival(self, columns: pd.DataFrame, times: ArrayLike) -> FloatArray:
        """P(still there) at times since the start, shape (rows, times); exponential between the edges."""
        logs = self.log_survival(columns)
        return np.exp(np.stack([self._at(logs, np.full(len(logs), t)) for t in np.asarray(times)], axis=1))

    def remaining(self, logs: FloatArray, tenure: FloatArray, ahead: ArrayLike) -> FloatArray:
        """P(still there `ahead` periods from now | there now), shape (rows, ahead).

        Parameters
        ----------
        logs : ndarray of float, shape (rows, stretches + 1)
            From :meth:`log_survival`.
        tenure : ndarray of float, shape (rows,)
            So far, in periods.
        ahead : array_like of float
            Periods from now.
        """
        tenure = np.asarray(tenure, dtype=np.float64)
        now = self._at(logs, tenure)
        return np.exp(np.stack([self._at(logs, tenure + u) - now for u in np.asarray(ahead)], axis=1))

    def _at(self, logs: FloatArray, times: FloatArray) -> FloatArray:
        """Log survival of each row at its time."""
        width = np.diff(self.edges)
        place = np.clip(np.searchsorted(self.edges, times, side="right") - 1, 0, len(width) - 1)
        rows = np.arange(len(logs))
        rate = (logs[rows, place + 1] - logs[rows, place]) / width[place]
        return logs[rows, place] + rate * (times - self.edges[place])

    def median_remaining(self, logs: FloatArray, tenure: FloatArray, most: float) -> FloatArray:
        """Periods until half of the customers like this one are gone; `most` where it takes longer."""
        ahead = np.linspace(0, most, 241)
        there = self.remaining(logs, tenure, ahead)
        first = np.argmax(there <= 0.5, axis=1)
        return np.where((there <= 0.5).any(axis=1), ahead[first], most)

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able."""
        return {
            "seed": self.seed,
            "edges": self.edges.tolist(),
            "encoding": self.encoding.to_dict(),
            "left_out": self.left_out,
            "booster": booster_to_text(self.booster) if self.booster is not None else None,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from :meth:`to_dict`."""
        model = cls(state["seed"])
        model.edges = np.asarray(state["edges"], dtype=np.float64)
        model.encoding = Encoding.from_dict(state["encoding"])
        model.left_out = list(state["left_out"])
        model.booster = booster_from_text(state["booster"]) if state["booster"] else None
        return model


def clocks(columns: pd.DataFrame, tenure: FloatArray) -> list[str]:
    """Columns that mostly count the time a customer has been there.

    Examples
    --------
    >>> clocks(pd.DataFrame({"paid": [1.0, 2.0, 4.0], "age": [3.0, 1.0, 2.0]}), np.array([1.0, 2.0, 3.0]))
    ['paid']
    """
    rank = pd.Series(tenure, index=columns.index).rank()
    return [
        str(name)
        for name in columns.columns
        if columns[name].dtype != object and abs(columns[name].rank().corr(rank)) >= CLOCK
    ]
