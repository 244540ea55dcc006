"""Segmentation: from scored customers to 5 to 10 named value-based segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from clvseg.segments.cells import Merge, Split, merge_cells, smallest_size, split_segments
from clvseg.segments.clusters import RFM, Clusters
from clvseg.segments.describe import Segment, describe_segment
from clvseg.segments.hold import hold
from clvseg.segments.mixed import UNSURE, SegmentClassifier
from clvseg.segments.rfm import RFMScores
from clvseg.segments.scaling import FloatArray
from clvseg.segments.table import CELLS, Cell, SegmentTable, rule_in_words
from clvseg.segments.tiers import (
    RISK_TIERS,
    VALUE_TIERS,
    risk_tiers,
    share_threshold,
    tier_threshold,
    value_tiers,
)
from clvseg.segments.words import count, number

COLUMNS = ("since_last", "T", "orders", "past_revenue", "predicted_value", "churn_probability")
NEW_DAYS = 90
# With fewer customers of whom all is known, gaps are filled instead.
FEWEST_COMPLETE = 200
# What the classifier reads beside the inputs: the cluster once gaps are filled.
NEAREST = "nearest cluster"


class Segmentation(BaseEstimator):
    """Give every customer RFM scores, an RFM cluster, a value tier, a risk tier and one named segment.

    Every customer is in one cell of value tier x risk tier x behaviour (:mod:`clvseg.segments.table`), every
    cell belongs to one segment. Segments under `min_share` of the customers join the nearest one; a segment
    with over half of the customers is divided, and so are the largest while there are fewer than five. There
    are 5 to 10, and fewer only when the customers cannot be told apart. With another `method` the segments
    are clusters of the `inputs`, named by their profile; each takes action and owner of the cell that most of
    its customers are in. The clusters are then learned from the customers of whom all `attributes` are known,
    and a classifier gives their names to the others, or ``unsure`` to whom nothing fits with probability .6.

    Parameters
    ----------
    method : str
        ``value`` or one of :data:`clvseg.segments.partitions.METHODS`; settings ``[segments]``.
    inputs : sequence of str
        Columns to cluster by.
    attributes : sequence of str
        Those of the inputs that need not be known of everyone.
    tiers : {"share", "percentile", "money"}
        What `high_value` and `mid_value` count: shares of the predicted value, shares of the customers, or
        the least amounts of money.
    high_value, mid_value : float
        What the high and the mid tier hold.
    min_share : float
        Smallest share of the customers in a segment, 0 to 1; at least ten customers where there are 200.
    clusters : int, optional
        Number of clusters; chosen from the data by default.
    low_risk, high_risk : float
        Churn probability under which the risk is low, and from which on it is high; settings ``[churn]``.
    table : mapping, optional
        Changes to names and texts; see :meth:`clvseg.segments.table.SegmentTable.changed`.
    margin : float
        How far past a segment's edge somebody must be to leave it; see :meth:`hold`.
    seed : int
        Seed of the clusters.

    Attributes
    ----------
    names_ : list of str
        The segments, most valuable per customer first.
    merges_ : list of Merge
        Segments of the table that were too small, and where their customers went.
    notes_ : list of str
        What a reader should know: tiers that are (nearly) empty, merges and splits, in words.
    clusters_ : Clusters
        Of recency, orders and revenue.
    groups_ : Clusters or None
        The segments, where `method` is not ``value``.
    classifier_ : SegmentClassifier or None
        Places customers of whom attributes are missing; None where none can be, or fewer than 200 customers
        are complete: then gaps are filled (:class:`clvseg.segments.scaling.MixedScaler`).
    cluster_choice_ : DataFrame
        :data:`clvseg.frames.CHOICE`: how the number of segments, or else of RFM clusters, was chosen; after
        :meth:`fit` only.
    """

    table_: SegmentTable
    scores_: RFMScores
    clusters_: Clusters
    groups_: Clusters | None
    classifier_: SegmentClassifier | None
    cell_of_: dict[str, Cell]
    thresholds_: dict[str, float]
    cells_: dict[Cell, str]
    occupied_: list[Cell]
    splits_: dict[str, Split]
    names_: list[str]
    merges_: list[Merge]
    notes_: list[str]
    cluster_choice_: pd.DataFrame

    def __init__(
        self,
        high_value: float = 0.5,
        mid_value: float = 0.3,
        min_share: float = 0.01,
        clusters: int | None = None,
        low_risk: float = 0.4,
        high_risk: float = 0.75,
        seed: int = 1,
        method: str = "value",
        inputs: tuple[str, ...] = RFM,
        tiers: str = "share",
        table: Mapping[str, Any] | None = None,
        margin: float = 0.1,
        attributes: tuple[str, ...] = (),
    ) -> None:
        self.method = method
        self.inputs = inputs
        self.attributes = attributes
        self.tiers = tiers
        self.table = table
        self.margin = margin
        self.high_value = high_value
        self.mid_value = mid_value
        self.min_share = min_share
        self.clusters = clusters
        self.low_risk = low_risk
        self.high_risk = high_risk
        self.seed = seed

    def fit(
        self, frame: pd.DataFrame, y: None = None, *, earlier: tuple[pd.DataFrame, FloatArray] | None = None
    ) -> Segmentation:
        """Learn thresholds, clusters and segments from scored customers.

        Parameters
        ----------
        frame : DataFrame
            One row per customer; columns ``since_last``, ``T`` (days), ``orders`` (purchase days),
            ``past_revenue``, ``predicted_value`` (money), ``churn_probability`` (0 to 1), and the `inputs`.
        y : None
            Ignored.
        earlier : tuple of DataFrame and ndarray of float, optional
            Customers as of an earlier day and the money each has brought since; one of the criteria for the
            number of clusters.

        Raises
        ------
        ValueError
            When there is no customer, a column is missing or a number is not finite.
        """
        _check(frame)
        self.table_ = SegmentTable.changed(self.table)
        self.scores_ = RFMScores().fit(frame)
        self.clusters_ = Clusters(
            clusters=self.clusters, least=2, min_share=self.min_share, seed=self.seed
        ).fit(frame[list(RFM)], earlier=earlier)
        self.cluster_choice_ = self.clusters_.choice_
        return self.fit_segments(frame, earlier=earlier)

    def fit_segments(
        self, frame: pd.DataFrame, *, earlier: tuple[pd.DataFrame, FloatArray] | None = None
    ) -> Segmentation:
        """Learn the segments alone, not the RFM scores and clusters beside them; see :meth:`fit`."""
        self.table_ = SegmentTable.changed(self.table)
        self.thresholds_ = _thresholds(frame, self.tiers, self.high_value, self.mid_value)
        codes = self._codes(frame)
        counted = np.bincount(codes, minlength=len(CELLS))
        sizes = {cell: int(counted[i]) for i, cell in enumerate(CELLS) if counted[i]}
        smallest = smallest_size(len(frame), self.min_share)
        self.cells_, self.merges_ = merge_cells(sizes, smallest, self.table_.names)
        self.occupied_ = list(sizes)
        self.splits_ = split_segments(self._base(codes), frame, smallest)
        self.groups_, self.classifier_, self.cell_of_ = None, None, {}
        self.notes_ = _notes(self, counted)
        if self.method != "value":
            self._fit_groups(frame, codes, earlier)
        value = frame["predicted_value"].groupby(self._segments(frame, codes).to_numpy()).mean()
        self.names_ = sorted(value.index, key=lambda name: (name == UNSURE, -value[name], name))
        return self

    def _fit_groups(
        self,
        frame: pd.DataFrame,
        codes: NDArray[np.int64],
        earlier: tuple[pd.DataFrame, FloatArray] | None,
    ) -> None:
        """Cluster the inputs; the table gives each cluster an action by its most common cell."""
        complete = self.complete(frame)
        enough = complete.sum() >= FEWEST_COMPLETE
        if enough and earlier is not None:
            then = self.complete(earlier[0])
            earlier = (earlier[0][then], earlier[1][then]) if then.sum() >= FEWEST_COMPLETE else None
        self.groups_ = Clusters(
            tuple(self.inputs), self.method, self.clusters, min_share=self.min_share, seed=self.seed
        ).fit(frame[complete] if enough else frame, earlier=earlier)
        if enough and self.attributes:
            self.classifier_ = self._classifier(frame, complete)
        self.cluster_choice_ = self.groups_.choice_
        self.merges_, self.splits_ = [], {}
        self.notes_ = [f"The number of segments is {self.groups_.reason_}."]
        names = self._segments(frame, codes).to_numpy()
        self.cell_of_ = {
            name: CELLS[int(np.bincount(codes[names == name], minlength=len(CELLS)).argmax())]
            for name in dict.fromkeys(names.tolist())
            if name != UNSURE
        }

    def _classifier(self, frame: pd.DataFrame, complete: NDArray[np.bool_]) -> SegmentClassifier | None:
        """Learn who is in which cluster from complete customers of whom as much is hidden as of the others.

        None where there is nothing to tell apart.
        """
        assert self.groups_ is not None
        inputs = list(self.inputs)
        gaps = frame.loc[~complete, inputs].isna().to_numpy()
        if not len(gaps):  # nobody yet: somebody new, of whom nothing is known but the orders
            gaps = np.array([[name in self.attributes for name in inputs]])
        known, classifier = frame[complete], SegmentClassifier((*inputs, NEAREST), seed=self.seed)
        drawn = np.random.default_rng(self.seed).integers(0, len(gaps), len(known))
        hidden = self._with_nearest(known[inputs].mask(gaps[drawn]))
        labels = self.groups_.assign(known)
        counts = labels.value_counts()
        # Of a cluster smaller than the least share hardly anybody would be in the sample to learn from.
        common = counts.index[counts >= max(self.min_share * len(known), 2 * classifier.folds)]
        learnt = labels.isin(common).to_numpy()
        return classifier.fit(hidden[learnt], labels[learnt]) if len(common) > 1 else None

    def _with_nearest(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the number of the cluster that filling the gaps would give, as a word."""
        assert self.groups_ is not None
        return frame.assign(**{NEAREST: self.groups_.labels(frame).astype(str).astype(object)})

    def complete(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether all attributes that the segments are made from are known, shape (customers,)."""
        return frame.reindex(columns=list(self.attributes)).notna().all(axis=1).to_numpy()

    def keep_names(self, earlier: Segmentation, frame: pd.DataFrame) -> Segmentation:
        """Take over the names of an earlier segmentation's clusters that these continue.

        Segments by value are named by the table, so theirs stay anyway.

        Parameters
        ----------
        earlier : Segmentation
            Fitted before.
        frame : DataFrame
            As in :meth:`fit`.
        """
        self.clusters_.keep_names(earlier.clusters_, frame)
        if self.groups_ is not None and earlier.groups_ is not None:
            names = self.groups_.keep_names(earlier.groups_, frame)
            if self.classifier_ is not None:
                self.classifier_.rename(names)
            self.names_ = [names.get(name, name) for name in self.names_]
            self.cell_of_ = {names[name]: cell for name, cell in self.cell_of_.items()}
        return self

    def assign(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Assign customers, those of :meth:`fit` or others.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`.

        Returns
        -------
        DataFrame
            Index of `frame`; ``r_score``, ``f_score``, ``m_score`` (int), ``rfm_group``, ``rfm_cluster``,
            ``value_tier`` (high, mid, low), ``risk_tier`` (low, medium, high), ``segment`` (str),
            ``segment_confidence`` (probability of the likeliest segment, 0 to 1; 1 where all that it is made
            from is known).
        """
        check_is_fitted(self, "names_")
        _check(frame)
        codes = self._codes(frame)
        out = self.scores_.assign(frame)
        out["rfm_cluster"] = self.clusters_.assign(frame)
        for place, column in ((1, "value_tier"), (2, "risk_tier")):
            tier = np.array([cell[place] for cell in CELLS])[codes]
            out[column] = pd.Series(tier, index=frame.index, dtype="str")
        if self.groups_ is None:
            return out.assign(segment=self._segments(frame, codes), segment_confidence=1.0)
        out["segment"], out["segment_confidence"] = self._placed(frame)
        return out

    def hold(self, frame: pd.DataFrame, assigned: pd.Series, previous: pd.Series) -> pd.Series:
        """Keep customers in their previous segment while they are within `margin` of it.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`.
        assigned : Series of str
            Segment of :meth:`assign`.
        previous : Series of str
            Segment at the date before, indexed by customer; customers may be missing.

        Returns
        -------
        Series of str
            See :func:`clvseg.segments.hold.hold`, :meth:`clvseg.segments.clusters.Clusters.hold` and
            :meth:`clvseg.segments.mixed.SegmentClassifier.hold`.
        """
        if self.groups_ is not None:
            held = self.groups_.hold(frame, assigned, previous, self.margin)
            if self.classifier_ is None:
                return held
            told = ~self.complete(frame)
            others = self._with_nearest(frame[told])
            other = self.classifier_.hold(others, assigned[told], previous, self.margin)
            return held.mask(told, other)
        return hold(
            lambda people: self._segments(people, self._codes(people)),
            frame,
            assigned,
            previous,
            self.margin,
        )

    def segments(self, frame: pd.DataFrame) -> NDArray[np.object_]:
        """Name the segment of each customer, shape (customers,); see :meth:`assign`."""
        check_is_fitted(self, "names_")
        return self._segments(frame, self._codes(frame)).to_numpy(dtype=object)

    def again(self, frame: pd.DataFrame, everyone: pd.DataFrame, seed: int) -> NDArray[np.object_]:
        """Name the segments of customers as if they had been learned from others, with another seed.

        The number of clusters stays, and so do predicted values and churn probabilities.

        Parameters
        ----------
        frame, everyone : DataFrame
            Customers to learn from and to assign; as in :meth:`fit`.
        seed : int
            Of the clusters.
        """
        check_is_fitted(self, "names_")
        if self.groups_ is not None:
            return self.groups_.again(frame, everyone, seed).astype(object)
        return clone(self).fit_segments(frame).segments(everyone)

    def describe(
        self, frame: pd.DataFrame, segment: pd.Series, reasons: Mapping[str, str] | None = None
    ) -> list[Segment]:
        """Describe the segments that have customers, most valuable per customer first.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`.
        segment : Series of str
            Of :meth:`assign`, same order as `frame`.
        reasons : mapping of str to str, optional
            Per segment, what sets it apart (:func:`clvseg.explain.segment_reasons`).
        """
        names = segment.to_numpy()
        found = [
            describe_segment(
                name, frame[names == name], frame, self._words(name), (reasons or {}).get(name, "")
            )
            for name in self.names_
            if (names == name).any()
        ]
        return sorted(found, key=lambda one: (one.segment == UNSURE, -one.value_per_customer))

    def legend(self) -> list[str]:
        """Say in words what the tiers and behaviours of the rules mean, with their thresholds."""
        t = self.thresholds_
        high, mid = np.isfinite(t["high"]), t["mid"] < t["high"]
        lines = [
            f"high value: predicted value of {number(t['high'])} or more" if high else "high value: nobody",
            f"mid value: predicted value of {number(t['mid'])} or more, not high"
            if mid
            else "mid value: nobody",
            f"low risk: churn probability under {self.low_risk:.0%}; high risk: {self.high_risk:.0%} or more",
            f"new customers: first order in the last {count(t['new_days'], 'day')}, at most two orders",
        ]
        if np.isfinite(t["past"]):
            lines.append(f"big spenders so far: two or more orders and {number(t['past'])} or more spent")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`assign` and :meth:`describe` need as JSON-able values."""
        check_is_fitted(self, "names_")
        return {
            "parameters": {
                **self.get_params(),
                "inputs": list(self.inputs),
                "attributes": list(self.attributes),
            },
            "groups": self.groups_.to_dict() if self.groups_ else None,
            "classifier": self.classifier_.to_dict() if self.classifier_ else None,
            "cell_of": {name: list(cell) for name, cell in self.cell_of_.items()},
            "scores": self.scores_.to_dict(),
            "rfm_clusters": self.clusters_.to_dict(),
            "thresholds": {
                key: value if np.isfinite(value) else None for key, value in self.thresholds_.items()
            },
            "cells": [[*cell, name] for cell, name in self.cells_.items()],
            "occupied": [list(cell) for cell in self.occupied_],
            "splits": {
                name: {"feature": split.feature, "cuts": list(split.cuts)}
                for name, split in self.splits_.items()
            },
            "names": list(self.names_),
            "merges": [asdict(merge) for merge in self.merges_],
            "notes": list(self.notes_),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Segmentation:
        """Rebuild from :meth:`to_dict`; assigns identically."""
        given = raw["parameters"]
        tuples = {name: tuple(given.get(name, ())) for name in ("inputs", "attributes")}
        one = cls(**{**given, **tuples})
        one.table_ = SegmentTable.changed(one.table)
        one.groups_ = Clusters.from_dict(raw["groups"]) if raw["groups"] else None
        told = raw.get("classifier")
        one.classifier_ = SegmentClassifier.from_dict(told) if told else None
        one.cell_of_ = {name: (cell[0], cell[1], cell[2]) for name, cell in raw["cell_of"].items()}
        one.scores_ = RFMScores.from_dict(raw["scores"])
        one.clusters_ = Clusters.from_dict(raw["rfm_clusters"])
        one.thresholds_ = {
            key: float("inf") if value is None else float(value) for key, value in raw["thresholds"].items()
        }
        one.cells_ = {(row[0], row[1], row[2]): row[3] for row in raw["cells"]}
        one.occupied_ = [(row[0], row[1], row[2]) for row in raw["occupied"]]
        one.splits_ = {
            name: Split(split["feature"], tuple(split["cuts"])) for name, split in raw["splits"].items()
        }
        one.names_ = list(raw["names"])
        one.merges_ = [Merge(**merge) for merge in raw["merges"]]
        one.notes_ = list(raw["notes"])
        return one

    def _codes(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """Place in CELLS of each customer."""
        t = self.thresholds_
        orders, past = frame["orders"].to_numpy(dtype=np.float64), frame["past_revenue"].to_numpy()
        kind = np.where(orders <= 1, 1, np.where(past >= t["past"], 3, 2))
        kind = np.where((frame["T"].to_numpy() <= t["new_days"]) & (orders <= 2), 0, kind)
        value = value_tiers(frame["predicted_value"].to_numpy(), t["high"], t["mid"])
        risk = risk_tiers(frame["churn_probability"].to_numpy(), self.low_risk, self.high_risk)
        return (kind * len(VALUE_TIERS) + value) * len(RISK_TIERS) + risk

    def _base(self, codes: NDArray[np.int64]) -> NDArray[np.object_]:
        """Segment before splitting."""
        return np.array([self.cells_[cell] for cell in CELLS], dtype=object)[codes]

    def _segments(self, frame: pd.DataFrame, codes: NDArray[np.int64]) -> pd.Series:
        """Segment after splitting, or cluster."""
        if self.groups_ is not None:
            return self._placed(frame)[0]
        base = self._base(codes)
        out = base.copy()
        for name, split in self.splits_.items():
            inside = base == name
            labels = np.array([f"{name}, {label}" for label in split.labels], dtype=object)
            out[inside] = labels[split.part(frame[inside])]
        return pd.Series(out, index=frame.index, name="segment", dtype="str")

    def _placed(self, frame: pd.DataFrame) -> tuple[pd.Series, FloatArray]:
        """Cluster and confidence: by the clusters where all is known, else by the classifier."""
        assert self.groups_ is not None
        segment, confidence = self.groups_.assign(frame).rename("segment"), np.ones(len(frame))
        told = np.zeros(len(frame), dtype=bool) if self.classifier_ is None else ~self.complete(frame)
        if self.classifier_ is not None and told.any():
            chances = self.classifier_.predict_proba(self._with_nearest(frame[told]))
            names = segment.to_numpy(dtype=object).copy()
            names[told] = self.classifier_.choose(chances).to_numpy(dtype=object)
            segment = pd.Series(names, index=frame.index, name="segment", dtype="str")
            confidence[told] = chances.max(axis=1)
        return segment, confidence

    def _words(self, name: str) -> tuple[str, str, str, str]:
        """Rule, who, action and owner of a segment."""
        if self.classifier_ is not None and name == UNSURE:
            return (
                f"no segment has a probability of {self.classifier_.sure:.0%} by what is known",
                "Customers of whom too little is known to say which segment they belong to.",
                f"Ask for what is missing of {', '.join(self.attributes)}; until then act by value and risk.",
                "Marketing automation",
            )
        if self.groups_ is not None:
            cell = self.cell_of_[name]
            _, action, owner = self.table_.texts[self.table_.names[cell]]
            rule = f"cluster {self.groups_.names_.index(name) + 1} of {len(self.groups_.names_)}"
            return f"{rule}; most are {rule_in_words([cell])}", f"{name.capitalize()}.", action, owner
        base, extra = name, ""
        for whole, split in self.splits_.items():
            for label, rule in zip(split.labels, split.rules, strict=True):
                if name == f"{whole}, {label}":
                    base, extra = whole, rule
        rule = rule_in_words([cell for cell in self.occupied_ if self.cells_[cell] == base])
        if extra:
            rule = f"({rule}), {extra}" if "; or" in rule else f"{rule}, {extra}"
        return rule, *self.table_.texts[base]


def _check(frame: pd.DataFrame) -> None:
    """Refuse what cannot be segmented."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"the customers lack {', '.join(missing)}")
    if len(frame) == 0:
        raise ValueError("there is no customer to segment")
    for name in COLUMNS:
        if not np.isfinite(frame[name].to_numpy(dtype=np.float64)).all():
            raise ValueError(f"{name} is not finite for every customer")


def _thresholds(frame: pd.DataFrame, by: str, high: float, mid: float) -> dict[str, float]:
    """Smallest predicted value of the high and mid tier, revenue of a big spender, days of a new customer."""
    value = np.maximum(frame["predicted_value"].to_numpy(dtype=np.float64), 0.0)
    past = np.maximum(frame["past_revenue"].to_numpy(dtype=np.float64), 0.0)
    return {
        "high": tier_threshold(value, by, high),
        "mid": tier_threshold(value, by, mid if by == "money" else high + mid),
        "past": share_threshold(past, 0.5),
        "new_days": float(min(NEW_DAYS, int(frame["T"].max()) // 5)),
    }


def _notes(one: Segmentation, counted: NDArray[np.int64]) -> list[str]:
    """Empty tiers, merges and splits in words."""
    total = int(counted.sum())
    notes = []
    for place, tiers, what in ((1, VALUE_TIERS, "value"), (2, RISK_TIERS, "risk")):
        for tier in tiers:
            held = sum(int(counted[i]) for i, cell in enumerate(CELLS) if cell[place] == tier)
            if held < one.min_share * total:
                amount = "no customer" if held == 0 else f"{count(held, 'customer')} ({held / total:.1%})"
                notes.append(f"The {what} tier {tier} holds {amount}.")
    notes += [
        f"{merge.segment} ({count(merge.customers, 'customer')}) joined {merge.into}: {merge.why}."
        for merge in one.merges_
    ]
    notes += [
        f"{name} was divided in {len(split.cuts) + 1} by {split.rules[0].rsplit(' under ', 1)[0]}."
        for name, split in one.splits_.items()
    ]
    return notes
