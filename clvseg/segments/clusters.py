"""RFM clusters: K-Means on log-scaled, standardised recency, frequency and monetary value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

FEATURES = ("since_last", "orders", "past_revenue")
FIT_SAMPLE = 5_000
SILHOUETTE_SAMPLE = 2_000
BOOTSTRAPS = 10
CANDIDATES = range(2, 9)
STABLE = 0.8
# Differences of less than a quarter on the log scale are not blown up to a whole standard deviation.
_SMALLEST_SCALE = 0.25
_BLOCK = 200_000

_WORDS = {
    "since_last": ("recent", "long ago", "more recent", "longer ago"),
    "orders": ("seldom", "frequent", "less frequent", "more frequent"),
    "past_revenue": ("low spend", "high spend", "lower spend", "higher spend"),
}
_NEUTRAL = 0.4


class RFMClusters(BaseEstimator):
    """Group customers by K-Means on log1p of ``since_last``, ``orders`` and ``past_revenue``, standardised.

    The number of clusters is the one of 3 to 8 with the highest silhouette (on at most 2,000 customers) among
    those whose bootstrap stability reaches 0.8 and whose smallest cluster holds at least `min_share`. Two
    clusters, which silhouette almost always prefers because they merely say good and bad, are taken only when
    no larger number qualifies. Stability is the mean adjusted Rand index between the clusters and those of
    ten bootstrap resamples. Centres are learned on a seeded random sample of at most 5,000 customers, then
    every customer goes to the nearest centre; clusters are numbered from the best to the worst.

    Parameters
    ----------
    clusters : int, optional
        Number of clusters; chosen from the data by default.
    min_share : float
        Smallest share of customers in a cluster, 0 to 1, when the number is chosen.
    seed : int
        Seed of the sample, the starts and the bootstrap.

    Attributes
    ----------
    mean_, scale_ : ndarray of float, shape (3,)
        Of the log1p features.
    centres_ : ndarray of float, shape (clusters, 3)
        In standardised units.
    names_ : list of str
        Unique names from the clusters' profiles, as "recent, frequent, high spend".
    choice_ : DataFrame
        ``clusters`` (int), ``silhouette``, ``stability`` (float), ``chosen`` (bool); after :meth:`fit` only.
    """

    mean_: NDArray[np.float64]
    scale_: NDArray[np.float64]
    centres_: NDArray[np.float64]
    names_: list[str]
    choice_: pd.DataFrame

    def __init__(self, clusters: int | None = None, min_share: float = 0.01, seed: int = 1) -> None:
        self.clusters = clusters
        self.min_share = min_share
        self.seed = seed

    def fit(self, frame: pd.DataFrame, y: None = None) -> RFMClusters:
        """Choose the number of clusters, place the centres and name them.

        Parameters
        ----------
        frame : DataFrame
            Columns ``since_last`` (days), ``orders``, ``past_revenue`` (money); one row per customer.
        y : None
            Ignored.
        """
        logs = _logs(frame)
        self.mean_ = logs.mean(axis=0)
        self.scale_ = np.maximum(logs.std(axis=0), _SMALLEST_SCALE)
        points = (logs - self.mean_) / self.scale_
        rng = np.random.default_rng(self.seed)
        sample = points[np.sort(rng.permutation(len(points))[:FIT_SAMPLE])]
        with threadpool_limits(limits=1):
            self.choice_, centres = _choose(sample, self.clusters, self.min_share, self.seed)
        direction = np.array([-1.0, 1.0, 1.0])
        self.centres_ = centres[np.argsort(-(centres @ direction), kind="stable")]
        self.names_ = _names(self.centres_, _nearest(points, self.centres_), logs)
        return self

    def assign(self, frame: pd.DataFrame) -> pd.Series:
        """Return the name of each customer's cluster.

        Parameters
        ----------
        frame : DataFrame
            As in :meth:`fit`.

        Returns
        -------
        Series of str
            ``rfm_cluster``, with the index of `frame`.
        """
        check_is_fitted(self, "centres_")
        labels = _nearest((_logs(frame) - self.mean_) / self.scale_, self.centres_)
        return pd.Series(np.array(self.names_)[labels], index=frame.index, name="rfm_cluster", dtype="str")

    def to_dict(self) -> dict[str, Any]:
        """Return parameters, scaler, centres and names as JSON-able values."""
        check_is_fitted(self, "centres_")
        return {
            "parameters": self.get_params(),
            "mean": self.mean_.tolist(),
            "scale": self.scale_.tolist(),
            "centres": self.centres_.tolist(),
            "names": list(self.names_),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RFMClusters:
        """Rebuild from :meth:`to_dict`; assigns identically."""
        clusters = cls(**raw["parameters"])
        clusters.mean_ = np.array(raw["mean"], dtype=np.float64)
        clusters.scale_ = np.array(raw["scale"], dtype=np.float64)
        clusters.centres_ = np.array(raw["centres"], dtype=np.float64).reshape(-1, len(FEATURES))
        clusters.names_ = list(raw["names"])
        return clusters


def _logs(frame: pd.DataFrame) -> NDArray[np.float64]:
    """log1p of the three features, shape (customers, 3); a net refund counts as nothing spent."""
    return np.log1p(np.maximum(frame[list(FEATURES)].to_numpy(dtype=np.float64), 0.0))


def _nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of the nearest centre, the first of equals; in blocks to keep memory small."""
    blocks = [
        ((points[start : start + _BLOCK, None, :] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        for start in range(0, len(points), _BLOCK)
    ]
    return np.concatenate(blocks)


def _choose(
    points: NDArray[np.float64], wanted: int | None, min_share: float, seed: int
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Try the candidate numbers; give their table and the centres of the chosen one."""
    distinct = len(np.unique(points, axis=0))
    candidates = [k for k in sorted({*CANDIDATES, *([wanted] if wanted else [])}) if k < distinct]
    tried = [_try(points, k, seed) for k in candidates]
    if not tried:
        return _choice_table([], -1), np.unique(points, axis=0)
    if wanted:
        best = min(range(len(tried)), key=lambda i: abs(candidates[i] - wanted))
    else:
        best = _best(tried, min_share)
    return _choice_table(tried, best), tried[best]["centres"]


def _try(points: NDArray[np.float64], k: int, seed: int) -> dict[str, Any]:
    """Centres, silhouette, stability and smallest share of `k` clusters."""
    model = KMeans(k, n_init=4, random_state=seed).fit(points)
    labels = _nearest(points, model.cluster_centers_)
    rng = np.random.default_rng([seed, k])
    scores = []
    for _ in range(BOOTSTRAPS):
        drawn = points[rng.integers(0, len(points), len(points))]
        if len(np.unique(drawn, axis=0)) < k:
            continue
        again = KMeans(k, n_init=2, random_state=int(rng.integers(2**31))).fit(drawn)
        scores.append(adjusted_rand_score(labels, _nearest(points, again.cluster_centers_)))
    part = np.sort(rng.permutation(len(points))[:SILHOUETTE_SAMPLE])
    several = 1 < len(np.unique(labels[part])) < len(part)
    return {
        "clusters": k,
        "silhouette": float(silhouette_score(points[part], labels[part])) if several else 0.0,
        "stability": float(np.mean(scores)) if scores else 0.0,
        "smallest": float(np.bincount(labels, minlength=k).min() / len(labels)),
        "centres": model.cluster_centers_,
    }


def _best(tried: list[dict[str, Any]], min_share: float) -> int:
    """Apply the rule of choice; gives the place in `tried`."""
    fit = [i for i, one in enumerate(tried) if one["stability"] >= STABLE and one["smallest"] >= min_share]
    several = [i for i in fit if tried[i]["clusters"] > 2] or fit
    if several:
        return max(several, key=lambda i: (tried[i]["silhouette"], -i))
    return max(
        range(len(tried)), key=lambda i: (tried[i]["smallest"] >= min_share, tried[i]["stability"], -i)
    )


def _choice_table(tried: list[dict[str, Any]], best: int) -> pd.DataFrame:
    """The table of candidates with the chosen one marked."""
    return pd.DataFrame(
        {
            "clusters": np.array([one["clusters"] for one in tried], dtype=np.int64),
            "silhouette": np.array([one["silhouette"] for one in tried], dtype=np.float64),
            "stability": np.array([one["stability"] for one in tried], dtype=np.float64),
            "chosen": np.array([i == best for i in range(len(tried))], dtype=bool),
        }
    )


def _names(
    centres: NDArray[np.float64],
    labels: NDArray[np.intp],
    logs: NDArray[np.float64],
) -> list[str]:
    """Name each cluster by how its centre differs from the average customer; then make the names unique."""
    words = [
        [
            "several orders"
            if feature == "orders" and 0 < centre[i] <= 1
            else _WORDS[feature][int(centre[i] > 0)]
            for i, feature in enumerate(FEATURES)
            if abs(centre[i]) > _NEUTRAL
        ]
        for centre in centres
    ]
    once = [
        not (labels == number).any() or np.median(logs[labels == number, 1]) <= np.log(2) + 1e-9
        for number in range(len(centres))
    ]
    names = [
        ", ".join("one order" if single and word == "seldom" else word for word in row) or "average"
        for row, single in zip(words, once, strict=True)
    ]
    return _unique(names, centres)


def _unique(names: list[str], centres: NDArray[np.float64]) -> list[str]:
    """Tell equal names apart by the feature in which their centres differ most, else by number."""
    out = list(names)
    for name in dict.fromkeys(names):
        same = [i for i, other in enumerate(names) if other == name]
        if len(same) == 1:
            continue
        feature = int(np.ptp(centres[same], axis=0).argmax())
        order = sorted(same, key=lambda i: centres[i, feature])
        lower, higher = _WORDS[FEATURES[feature]][2:]
        for rank, i in enumerate(order):
            label = lower if rank == 0 else higher if rank == len(order) - 1 else f"in between {rank}"
            out[i] = f"{name} ({label})"
    return out
