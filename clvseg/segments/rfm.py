"""RFM: fifths of recency, frequency and monetary value, and the usual names of their cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

# Rows: r_score 5 down to 1. Columns: mean of f_score and m_score, rounded half up, 1 to 5.
_GRID = (
    ("New", "Potential loyalists", "Potential loyalists", "Champions", "Champions"),
    ("Promising", "Potential loyalists", "Potential loyalists", "Loyal", "Champions"),
    ("About to sleep", "About to sleep", "Need attention", "Loyal", "Loyal"),
    ("Hibernating", "Hibernating", "At risk", "At risk", "At risk"),
    ("Lost", "Lost", "Hibernating", "Can't lose them", "Can't lose them"),
)


def rfm_group(r_score: Any, f_score: Any, m_score: Any) -> NDArray[np.object_]:
    """Name the RFM cell of each customer.

    Parameters
    ----------
    r_score, f_score, m_score : array_like of int, shape (customers,)
        Fifths, 1 to 5; 5 is the most recent, most frequent, highest spend.

    Returns
    -------
    ndarray of str, shape (customers,)
        One of eleven names, decided by the recency fifth and the rounded mean of the other two.

    Examples
    --------
    >>> rfm_group([5, 1, 5], [5, 5, 1], [5, 4, 1]).tolist()
    ['Champions', "Can't lose them", 'New']
    """
    r, f, m = (np.asarray(score, dtype=np.int64) for score in (r_score, f_score, m_score))
    return np.array(_GRID, dtype=object)[5 - r, (f + m + 1) // 2 - 1]


class RFMScores(BaseEstimator):
    """Score customers 1 to 5 on recency, frequency and monetary value by learned cut points.

    Recency is ``since_last``, frequency ``orders``, monetary value ``past_revenue``. Equal values get equal
    scores. A score says how many fifths of the customers are strictly worse (frequency, monetary) or strictly
    better (recency), so that a customer with one order always has the lowest frequency score and whoever
    bought on the last day has the highest recency score, however many they are. Where all customers are
    alike, all get 3 (1 for a single order).

    Attributes
    ----------
    cuts_ : dict of str to list of float
        For each of ``since_last``, ``orders``, ``past_revenue``: four non-decreasing values. The score is 1
        (5 for ``since_last``) plus (minus) the number of cut points reached; a cut that nobody reaches is
        infinite.
    """

    cuts_: dict[str, list[float]]

    def fit(self, frame: pd.DataFrame, y: None = None) -> RFMScores:
        """Learn the cut points.

        Parameters
        ----------
        frame : DataFrame
            Columns ``since_last`` (days), ``orders``, ``past_revenue`` (money); one row per customer.
        y : None
            Ignored.
        """
        self.cuts_ = {
            name: _cuts(frame[name].to_numpy(dtype=np.float64), lowest_is_one=name == "orders")
            for name in ("since_last", "orders", "past_revenue")
        }
        return self

    def assign(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score customers, those of :meth:`fit` or others.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`.

        Returns
        -------
        DataFrame
            Index of `frame`; ``r_score``, ``f_score``, ``m_score`` (int, 1 to 5) and ``rfm_group`` (str).
        """
        check_is_fitted(self, "cuts_")
        reached = {
            name: np.searchsorted(cuts, frame[name].to_numpy(dtype=np.float64), side="right").astype(np.int64)
            for name, cuts in self.cuts_.items()
        }
        r, f, m = 5 - reached["since_last"], 1 + reached["orders"], 1 + reached["past_revenue"]
        return pd.DataFrame(
            {"r_score": r, "f_score": f, "m_score": m, "rfm_group": rfm_group(r, f, m)}, index=frame.index
        ).astype({"rfm_group": "str"})

    def to_dict(self) -> dict[str, Any]:
        """Return the cut points as JSON-able values; an infinite cut is None."""
        check_is_fitted(self, "cuts_")
        return {
            "cuts": {
                name: [cut if np.isfinite(cut) else None for cut in cuts] for name, cuts in self.cuts_.items()
            }
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RFMScores:
        """Rebuild from :meth:`to_dict`."""
        scores = cls()
        scores.cuts_ = {
            name: [float("inf") if cut is None else float(cut) for cut in cuts]
            for name, cuts in raw["cuts"].items()
        }
        return scores


def _cuts(values: NDArray[np.float64], *, lowest_is_one: bool) -> list[float]:
    """Four values: the smallest one below which lie at least 1, 2, 3 and 4 fifths of all."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 1:
        middle = 0 if lowest_is_one and distinct[0] <= 1 else 2
        return [float(distinct[0])] * middle + [float("inf")] * (4 - middle)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    places = np.searchsorted(5 * below, np.arange(1, 5) * len(values), side="left")
    return [float(distinct[place]) if place < len(distinct) else float("inf") for place in places]
