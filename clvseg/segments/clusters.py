"""Clusters of customers over any columns: scaled, divided, counted openly, named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from clvseg.segments.choice import choose_number
from clvseg.segments.hold import moved, stay
from clvseg.segments.matching import match_names
from clvseg.segments.naming import name_clusters
from clvseg.segments.partitions import (
    Labels,
    Partition,
    fit_partition,
    means_of,
    partition_from_dict,
    sample_size,
)
from clvseg.segments.scaling import FloatArray, MixedScaler

RFM = ("since_last", "orders", "past_revenue")
# What is the better the less of it there is; of everything else more counts as better.
_LESS_IS_BETTER = ("since_last", "churn_probability")


class Clusters(BaseEstimator):
    """Divide customers by any numbers and categories.

    Columns are made comparable by :class:`clvseg.segments.scaling.MixedScaler`, the number of clusters is
    chosen by :func:`clvseg.segments.choice.choose_number`. What is learned on a seeded random sample (at most
    5,000 customers; 3,000 for the density methods, 2,000 for Ward, 1,500 for consensus) assigns everyone.
    Clusters are numbered from the best to the worst and named by their profile.

    Parameters
    ----------
    inputs : sequence of str
        Columns to divide by.
    method : str
        One of :data:`clvseg.segments.partitions.METHODS`.
    clusters : int, optional
        Number of clusters; chosen from the data by default.
    least : int
        Smallest number that may be chosen; 1 allows "there are no clusters".
    min_share : float
        Smallest share of customers in a cluster, 0 to 1, when the number is chosen.
    seed : int
        Seed of the sample, the starts and the resamples.

    Attributes
    ----------
    names_ : list of str
        Unique names from the clusters' profiles, as "recent, frequent, high spend"; best first.
    choice_ : DataFrame
        :data:`clvseg.frames.CHOICE`; after :meth:`fit` only.
    reason_ : str
        Why there are so many.
    """

    scaler_: MixedScaler
    partition_: Partition
    order_: Labels
    means_: FloatArray
    names_: list[str]
    choice_: pd.DataFrame
    reason_: str

    def __init__(
        self,
        inputs: tuple[str, ...] = RFM,
        method: str = "kmeans",
        clusters: int | None = None,
        least: int = 1,
        min_share: float = 0.01,
        seed: int = 1,
    ) -> None:
        self.inputs = inputs
        self.method = method
        self.clusters = clusters
        self.least = least
        self.min_share = min_share
        self.seed = seed

    def fit(
        self, frame: pd.DataFrame, y: None = None, *, earlier: tuple[pd.DataFrame, FloatArray] | None = None
    ) -> Clusters:
        """Choose the number of clusters, divide the customers and name the clusters.

        Parameters
        ----------
        frame : DataFrame
            One row per customer, with the columns of `inputs`; values may be missing.
        y : None
            Ignored.
        earlier : tuple of DataFrame and ndarray of float, optional
            Customers as of an earlier day and the money each has brought since; one of the criteria for the
            number of clusters.
        """
        self.scaler_ = MixedScaler().fit(frame[list(self.inputs)])
        points = self.scaler_.transform(frame)
        choice = choose_number(
            self.method,
            points,
            wanted=self.clusters,
            least=self.least,
            min_share=self.min_share,
            earlier=None if earlier is None else (self.scaler_.transform(earlier[0]), earlier[1]),
            seed=self.seed,
        )
        self.choice_, self.reason_, self.partition_ = choice.table, choice.reason, choice.partition
        found = self.partition_.assign(points)
        self.order_ = np.argsort(np.argsort(-self._goodness(frame, found), kind="stable"), kind="stable")
        labels = self.order_[found]
        self.means_ = means_of(points.numbers, labels, self.partition_.clusters)
        self.names_ = name_clusters(self.scaler_, points, labels, frame, self.partition_.clusters)
        return self

    def labels(self, frame: pd.DataFrame) -> Labels:
        """Number the cluster of each customer, 0 for the best, shape (customers,)."""
        check_is_fitted(self, "names_")
        return self.order_[self.partition_.assign(self.scaler_.transform(frame))]

    def assign(self, frame: pd.DataFrame) -> pd.Series:
        """Return the name of each customer's cluster, with the index of `frame`.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`; a column it lacks counts as missing.
        """
        named = np.array(self.names_)[self.labels(frame)]
        return pd.Series(named, index=frame.index, name="cluster", dtype="str")

    def keep_names(self, earlier: Clusters, frame: pd.DataFrame) -> dict[str, str]:
        """Take over the names of earlier clusters that these continue.

        Parameters
        ----------
        earlier : Clusters
            Fitted before; assigns the customers of `frame` as it would have then.
        frame : DataFrame
            As in :meth:`fit`.

        Returns
        -------
        dict of str to str
            Present name to the one kept; see :func:`clvseg.segments.matching.match_names`.
        """
        names = {name: name for name in self.names_}
        names |= match_names(self.assign(frame), earlier.assign(frame))
        self.names_ = [names[name] for name in self.names_]
        return names

    def hold(self, frame: pd.DataFrame, assigned: pd.Series, previous: pd.Series, margin: float) -> pd.Series:
        """Keep customers in their previous cluster while they are near it.

        A customer whose cluster has changed stays where they were if `margin` of the way back to that
        cluster's mean, in the scaled numbers, would put them back.

        Parameters
        ----------
        frame, assigned, previous, margin
            See :func:`clvseg.segments.hold.hold`.
        """
        changed, before = moved(assigned, previous)
        places = {name: number for number, name in enumerate(self.names_)}
        known = np.array([name in places for name in before], dtype=bool)
        changed[np.flatnonzero(changed)[~known]] = False
        before = before[known]
        points = self.scaler_.transform(frame[changed])
        back = np.array([places[name] for name in before], dtype=np.int64)
        nearer = points.numbers + margin * (self.means_[back] - points.numbers)
        found = self.order_[self.partition_.assign(replace(points, numbers=nearer))] if len(back) else back
        return stay(assigned, changed, before, found == back if margin else np.zeros(len(back), dtype=bool))

    def again(self, frame: pd.DataFrame, everyone: pd.DataFrame, seed: int) -> Labels:
        """Number the clusters of `everyone` as if the same many had been learned from `frame` with `seed`."""
        check_is_fitted(self, "names_")
        scaler = MixedScaler().fit(frame[list(self.inputs)])
        rows = np.random.default_rng(seed).permutation(len(frame))[: sample_size(self.method)]
        points = scaler.transform(frame.iloc[np.sort(rows)])
        with threadpool_limits(limits=1):
            partition = fit_partition(self.method, points, self.partition_.clusters, seed)
            return partition.assign(scaler.transform(everyone))

    def _goodness(self, frame: pd.DataFrame, found: Labels) -> FloatArray:
        """What clusters are ordered by: predicted value where it is known, else their scaled means."""
        clusters = self.partition_.clusters
        if "predicted_value" in frame:
            value = frame["predicted_value"].to_numpy(dtype=np.float64)
        else:
            numbers = self.scaler_.transform(frame).numbers
            signs = [-1.0 if one.name in _LESS_IS_BETTER else 1.0 for one in self.scaler_.numbers_]
            value = numbers @ np.array(signs)
        count = np.bincount(found, minlength=clusters)
        return np.bincount(found, weights=value, minlength=clusters) / np.maximum(count, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return parameters and everything learned as JSON-able values."""
        check_is_fitted(self, "names_")
        return {
            "parameters": {**self.get_params(), "inputs": list(self.inputs)},
            "scaler": self.scaler_.to_dict(),
            "partition": self.partition_.to_dict(),
            "order": self.order_.tolist(),
            "means": self.means_.tolist(),
            "names": list(self.names_),
            "reason": self.reason_,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Clusters:
        """Rebuild from :meth:`to_dict`; assigns identically."""
        one = cls(**{**raw["parameters"], "inputs": tuple(raw["parameters"]["inputs"])})
        one.scaler_ = MixedScaler.from_dict(raw["scaler"])
        one.partition_ = partition_from_dict(raw["partition"])
        one.order_ = np.array(raw["order"], dtype=np.int64)
        one.means_ = np.array(raw["means"], dtype=np.float64).reshape(len(one.order_), -1)
        one.names_, one.reason_ = list(raw["names"]), raw["reason"]
        return one
