"""How many segments: every usual criterion side by side, one open rule, one reason in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, silhouette_score
from threadpoolctl import threadpool_limits

from clvseg.frames import CHOICE
from clvseg.processes import side_by_side
from clvseg.segments.partitions import (
    DENSITY,
    Labels,
    Partition,
    fit_partition,
    fitted_mixture,
    means_of,
    sample_size,
)
from clvseg.segments.scaling import FloatArray, Points
from clvseg.segments.stability import STABLE, bootstrap_jaccard

MOST = 8
BOOTSTRAPS = 10
REFERENCES = 20
# Customers on whom a number is tried; the chosen one is learned on the method's whole sample.
TRIAL = {"ward": 1_000, "hdbscan": 1_000, "dbscan": 1_000, "consensus": 400}
TRIAL_SAMPLE = 2_000
_GAP_SAMPLE = 1_000
# How far above one cluster's gap another number's must lie, in standard errors of the gap.
_SURE = 4.0
# Of the best separation of later value that a smaller number must reach.
_NEARLY = 0.95


@dataclass(frozen=True, slots=True)
class Choice:
    """A number of clusters and why.

    Attributes
    ----------
    table : DataFrame
        :data:`clvseg.frames.CHOICE`: a row for each number that was tried.
    reason : str
        Why the number was taken, one sentence.
    partition : Partition
        The division into that number.
    """

    table: pd.DataFrame
    reason: str
    partition: Partition


def choose_number(
    method: str,
    points: Points,
    *,
    wanted: int | None = None,
    least: int = 1,
    min_share: float = 0.01,
    earlier: tuple[Points, FloatArray] | None = None,
    seed: int = 1,
) -> Choice:
    """Try numbers of clusters and choose one.

    One cluster is chosen when no other number beats it in the gap statistic by four standard errors: the
    customers are then no more clustered than evenly spread ones. Otherwise each criterion names its number:
    elbow (largest bend), gap (first within a standard error of the next), silhouette, Calinski-Harabasz and
    BIC (best), stability (largest number whose every cluster reaches .75), later value (smallest number with
    95 % of the best separation). The number named most often is taken among those whose every cluster is
    stable and large enough; of equals the more stable.

    Parameters
    ----------
    method : str
        One of :data:`clvseg.segments.partitions.METHODS`; density methods have one number of their own.
    points : Points
        All customers.
    wanted : int, optional
        Overrides the choice; the table shows what speaks for and against it.
    least : int
        Smallest number to consider.
    min_share : float
        Smallest share of the customers in a cluster, 0 to 1.
    earlier : tuple of Points and ndarray of float, optional
        Customers as of an earlier day and the money each has brought since.
    seed : int
        Of samples, starts and resamples.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(points))
    trial = points.take(np.sort(order[: min(TRIAL.get(method, TRIAL_SAMPLE), sample_size(method))]))
    distinct = len(np.unique(trial.matrix, axis=0))
    if distinct == 1:
        return Choice(
            CHOICE.conform(pd.DataFrame(columns=CHOICE.names)),
            "one cluster: all customers are alike",
            fit_partition("kmeans", trial, 1, seed),
        )
    with threadpool_limits(limits=1):
        if method in DENSITY:
            own = fit_partition(method, points.take(np.sort(order[: sample_size(method)])), 0, seed)
            numbers = sorted({1, own.clusters})
            wanted, least = own.clusters, 1
        else:
            numbers = [
                k for k in sorted({*range(1, MOST + 1), *([wanted] if wanted else [])}) if k < distinct
            ]
            numbers = numbers or [1]
        table = _table(method, trial, numbers, earlier, seed, len(points))
        number, reason = _decide(table, wanted, least, min_share, method)
        if method not in DENSITY:
            sample = points.take(np.sort(order[: sample_size(method)]))
            own = fit_partition(method, sample, number, seed)
    table["chosen"] = table["clusters"] == number
    return Choice(CHOICE.conform(table), reason, own)


def _table(
    method: str,
    trial: Points,
    numbers: list[int],
    earlier: tuple[Points, FloatArray] | None,
    seed: int,
    customers: int,
) -> pd.DataFrame:
    tasks = (delayed(_row)(method, trial, k, earlier, seed) for k in numbers)
    rows = side_by_side(tasks, rows=customers)
    gaps, errors = gap_statistic(trial.matrix, numbers, seed)
    return pd.DataFrame(rows).assign(gap=gaps, gap_error=errors, votes=0)


@threadpool_limits.wrap(limits=1)
def _row(
    method: str, trial: Points, k: int, earlier: tuple[Points, FloatArray] | None, seed: int
) -> dict[str, float]:
    """What speaks for and against one number, besides the gap statistic."""
    matrix, partition = trial.matrix, fit_partition(method, trial, k, seed)
    labels = partition.assign(trial)
    whole = max(_within(matrix, 0 * labels, 1), 1e-12)
    weakest, mean = _stability(method, trial, partition, labels, k, seed)
    return {
        "clusters": k,
        "within": _within(matrix, labels, partition.clusters) / whole,
        "silhouette": _silhouette(matrix, labels),
        "calinski_harabasz": _calinski(matrix, labels),
        "bic": _bic(matrix, labels, partition.clusters, seed),
        "stability": mean,
        "weakest": weakest,
        "later_value": _later(partition, earlier),
        "smallest_share": np.bincount(labels, minlength=partition.clusters).min() / len(labels),
    }


def _stability(
    method: str, trial: Points, partition: Partition, labels: Labels, k: int, seed: int
) -> tuple[float, float]:
    """Smallest and mean bootstrap Jaccard of the clusters."""
    if partition.clusters == 1:
        return 1.0, 1.0

    def again(rows: NDArray[np.intp], draw: int) -> Labels:
        return fit_partition(method, trial.take(rows), k, draw).assign(trial)

    found, _ = bootstrap_jaccard(labels, partition.clusters, again, BOOTSTRAPS, seed)
    return float(found.min()), float(found.mean())


def gap_statistic(matrix: FloatArray, numbers: Sequence[int], seed: int) -> tuple[FloatArray, FloatArray]:
    """Gap of K-Means and its error for each number (Tibshirani, Walther & Hastie 2001, equations 3 and 4).

    The reference is uniform over the box of the principal components. At most 1,000 customers are used.

    Parameters
    ----------
    matrix : ndarray of float, shape (customers, columns)
        Points.
    numbers : sequence of int
        Numbers of clusters.
    seed : int
        Of the sample, the references and the starts.

    Returns
    -------
    gap, error : ndarray of float, shape (numbers,)
    """
    rng = np.random.default_rng(seed)
    matrix = matrix[np.sort(rng.permutation(len(matrix))[:_GAP_SAMPLE])]
    centred = matrix - matrix.mean(axis=0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    low, high = turned.min(axis=0), turned.max(axis=0)

    def log_within(points: FloatArray) -> FloatArray:
        fits = [KMeans(k, n_init=2, random_state=seed).fit(points).inertia_ for k in numbers]
        return np.log(np.maximum(fits, 1e-12))

    references = np.array([log_within(rng.uniform(low, high, turned.shape)) for _ in range(REFERENCES)])
    error = references.std(axis=0) * np.sqrt(1 + 1 / REFERENCES)
    return references.mean(axis=0) - log_within(turned), error


def explained_share(values: FloatArray, labels: Labels) -> float:
    """Share of the variance of `values` that lies between the groups, less what chance would give.

    Examples
    --------
    >>> round(explained_share(np.array([1.0, 2.0, 9.0, 8.0]), np.array([0, 0, 1, 1])), 2)
    0.97
    """
    counts = np.bincount(labels)
    groups, total = int((counts > 0).sum()), float(((values - values.mean()) ** 2).sum())
    if total <= 0 or len(values) <= groups:
        return 0.0
    means = np.bincount(labels, weights=values) / np.maximum(counts, 1)
    inside = float(((values - means[labels]) ** 2).sum())
    return 1 - (inside / (len(values) - groups)) / (total / (len(values) - 1))


def _later(partition: Partition, earlier: tuple[Points, FloatArray] | None) -> float:
    """Share of the variance of log(1 + money) since the earlier day."""
    if earlier is None or partition.clusters == 1:
        return 0.0
    points, money = earlier
    return explained_share(np.log1p(np.maximum(money, 0.0)), partition.assign(points))


def _within(matrix: FloatArray, labels: Labels, clusters: int) -> float:
    return float(((matrix - means_of(matrix, labels, clusters)[labels]) ** 2).sum())


def _silhouette(matrix: FloatArray, labels: Labels) -> float:
    several = 1 < len(np.unique(labels)) < len(labels)
    return float(silhouette_score(matrix, labels)) if several else 0.0


def _calinski(matrix: FloatArray, labels: Labels) -> float:
    several = 1 < len(np.unique(labels)) < len(labels)
    return float(calinski_harabasz_score(matrix, labels)) if several else 0.0


def _bic(matrix: FloatArray, labels: Labels, clusters: int, seed: int) -> float:
    """BIC per customer of a Gaussian mixture started at the clusters; smaller is better."""
    centres = means_of(matrix, labels, clusters)
    return float(fitted_mixture(matrix, clusters, centres, seed).bic(matrix)) / len(matrix)


def _decide(
    table: pd.DataFrame, wanted: int | None, least: int, min_share: float, method: str
) -> tuple[int, str]:
    """Apply the rule; writes the votes into `table`."""
    if len(table) == 1:
        only = int(table["clusters"].iloc[0])
        return only, f"{_clusters(only)}: no other number is possible"
    named = {name: vote(table) for name, vote in _VOTES.items()}
    if (table["later_value"] <= 0).all():
        del named["later value"]
    table["votes"] = [sum(k == vote for vote in named.values()) for k in table["clusters"]]
    single = _no_structure(table)
    if wanted is not None:
        number = int(table["clusters"].iloc[(table["clusters"] - wanted).abs().argmin()])
        source = "found by density" if method in DENSITY else "as asked for"
        against = "; the gap statistic finds no clusters" if single and number > 1 else ""
        return number, f"{_clusters(number)}: {source}{_for(named, number)}{against}"
    if single and least <= 1:
        return 1, "1 cluster: no larger number beats it in the gap statistic by four standard errors"
    several = table[table["clusters"] >= max(2, least)]
    fit = several[(several["weakest"] >= STABLE) & (several["smallest_share"] >= min_share)]
    pool = fit if len(fit) else several[several["weakest"] == several["weakest"].max()]
    best = pool.sort_values(["votes", "weakest"], ascending=False, kind="stable").iloc[0]
    number = int(best["clusters"])
    doubt = "" if len(fit) else f"; no number reaches {STABLE}, this one comes nearest"
    sure = f"; its least stable cluster has a Jaccard similarity of {best['weakest']:.2f}"
    return number, f"{_clusters(number)}{':' if named else ''}{_for(named, number, first=True)}{sure}{doubt}"


def _no_structure(table: pd.DataFrame) -> bool:
    """Whether no number beats one cluster surely in the gap statistic."""
    one = table.loc[table["clusters"] == 1, "gap"]
    more = table[table["clusters"] > 1]
    return bool(len(one) and (more["gap"] - _SURE * more["gap_error"] <= one.item()).all())


def _clusters(number: int) -> str:
    return f"{number} cluster" if number == 1 else f"{number} clusters"


def _for(named: dict[str, int], number: int, first: bool = False) -> str:
    """Which criteria name the number."""
    names = [name for name, vote in named.items() if vote == number]
    text = f"named by {', '.join(names)}" if names else "named by no criterion alone"
    return f" {text}" if first else f", {text}"


def _elbow(table: pd.DataFrame) -> int:
    """Number at which the curve of the within-cluster variance lies farthest below its chord."""
    k, within = table["clusters"].to_numpy(dtype=float), table["within"].to_numpy()
    chord = np.interp(k, [k[0], k[-1]], [within[0], within[-1]])
    return int(table["clusters"].iloc[int((chord - within).argmax())])


def _gap(table: pd.DataFrame) -> int:
    gap, error = table["gap"].to_numpy(), table["gap_error"].to_numpy()
    first = [
        i
        for i in range(len(gap) - 1)
        if table["clusters"].iloc[i] > 1 and gap[i] >= gap[i + 1] - error[i + 1]
    ]
    return int(table["clusters"].iloc[first[0] if first else int(gap.argmax())])  # fmt: skip


def _best_of(column: str, sign: float) -> Callable[[pd.DataFrame], int]:
    def vote(table: pd.DataFrame) -> int:
        several = table[table["clusters"] > 1]
        return int(several["clusters"].iloc[int((sign * several[column].to_numpy()).argmax())])

    return vote


def _stable(table: pd.DataFrame) -> int:
    several = table[table["clusters"] > 1]
    stable = several[several["weakest"] >= STABLE]
    return int(
        stable["clusters"].max() if len(stable) else several["clusters"].iloc[several["weakest"].argmax()]
    )


def _separates(table: pd.DataFrame) -> int:
    good = table[table["later_value"] >= _NEARLY * table["later_value"].max()]
    return int(good["clusters"].min())


_VOTES: dict[str, Callable[[pd.DataFrame], int]] = {
    "elbow": _elbow,
    "gap statistic": _gap,
    "silhouette": _best_of("silhouette", 1.0),
    "Calinski-Harabasz": _best_of("calinski_harabasz", 1.0),
    "BIC": _best_of("bic", -1.0),
    "stability": _stable,
    "later value": _separates,
}
