"""Ways to divide points into clusters behind one interface: what is learned on a sample assigns everyone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree
from scipy.spatial.distance import squareform
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from clvseg.segments.scaling import MISMATCH, FloatArray, Points

Labels = NDArray[np.int64]

METHODS = ("kmeans", "gaussian_mixture", "ward", "k_prototypes", "hdbscan", "dbscan", "consensus")
# Density decides their number of clusters; it cannot be asked for.
DENSITY = ("hdbscan", "dbscan")
# Customers that each method learns on: what takes memory or time with the square of them gets fewer.
SAMPLES = {"ward": 2_000, "hdbscan": 3_000, "dbscan": 3_000, "consensus": 1_500}
SAMPLE = 5_000
_BLOCK = 200_000
_STARTS = 4
_SMALLEST_DENSE = 0.03
_CONSENSUS = ("kmeans", "gaussian_mixture", "ward", "k_prototypes")


class Partition(Protocol):
    """A division of space; its clusters are numbered from 0."""

    @property
    def clusters(self) -> int:
        """How many clusters there are."""

    def assign(self, points: Points) -> Labels:
        """Number the cluster of each customer, shape (customers,); nobody is left out."""

    def to_dict(self) -> dict[str, Any]:
        """Return what was learned as JSON-able values; see :func:`partition_from_dict`."""


@dataclass(frozen=True, slots=True)
class Centres:
    """The nearest centre decides; `centres` has shape (clusters, columns of ``Points.matrix``)."""

    centres: FloatArray

    @property
    def clusters(self) -> int:
        """Number of centres."""
        return len(self.centres)

    def assign(self, points: Points) -> Labels:
        """Nearest centre, the first of equals."""
        return _in_blocks(points, lambda part: _apart(part.matrix, self.centres).argmin(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Centres."""
        return {"kind": "centres", "centres": self.centres.tolist()}


@dataclass(frozen=True, slots=True)
class Mixture:
    """The most probable Gaussian decides.

    Attributes
    ----------
    offsets : ndarray of float, shape (clusters,)
        Log weight plus log determinant of the precision's factor.
    means : ndarray of float, shape (clusters, columns)
        Of ``Points.matrix``.
    factors : ndarray of float, shape (clusters, columns, columns)
        Cholesky factors of the precisions.
    """

    offsets: FloatArray
    means: FloatArray
    factors: FloatArray

    @property
    def clusters(self) -> int:
        """Number of Gaussians."""
        return len(self.means)

    def assign(self, points: Points) -> Labels:
        """Most probable Gaussian."""
        return _in_blocks(points, lambda part: self._log_density(part.matrix).argmax(axis=1))

    def _log_density(self, matrix: FloatArray) -> FloatArray:
        columns = [
            offset - 0.5 * ((matrix @ factor - mean @ factor) ** 2).sum(axis=1)
            for offset, mean, factor in zip(self.offsets, self.means, self.factors, strict=True)
        ]
        return np.column_stack(columns)

    def to_dict(self) -> dict[str, Any]:
        """Offsets, means and factors."""
        return {
            "kind": "mixture",
            "offsets": self.offsets.tolist(),
            "means": self.means.tolist(),
            "factors": self.factors.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Prototypes:
    """The nearest prototype decides: squared distance in the numbers plus 1 for each category that differs.

    `centres` has shape (clusters, numbers), `modes` (clusters, categories). Huang (1998), "Extensions to the
    k-means algorithm for clustering large data sets with categorical values", equation 2.6 with gamma = 1.
    """

    centres: FloatArray
    modes: NDArray[np.int64]

    @property
    def clusters(self) -> int:
        """Number of prototypes."""
        return len(self.centres)

    def assign(self, points: Points) -> Labels:
        """Nearest prototype, the first of equals."""
        return _in_blocks(points, lambda part: self.apart(part).argmin(axis=1))

    def apart(self, points: Points) -> FloatArray:
        """Dissimilarity of each customer to each prototype, shape (customers, clusters)."""
        differ = (points.codes[:, None, :] != self.modes[None]).sum(axis=2)
        return _apart(points.numbers, self.centres) + MISMATCH * differ

    def to_dict(self) -> dict[str, Any]:
        """Centres and modes."""
        return {"kind": "prototypes", "centres": self.centres.tolist(), "modes": self.modes.tolist()}


@dataclass(frozen=True, slots=True)
class Cores:
    """The nearest customer in a dense place decides; `points` (cores, columns), `labels` (cores,)."""

    points: FloatArray
    labels: Labels

    @property
    def clusters(self) -> int:
        """Number of dense places."""
        return int(self.labels.max()) + 1

    def assign(self, points: Points) -> Labels:
        """Cluster of the nearest core."""
        tree = cKDTree(self.points)
        return _in_blocks(points, lambda part: self.labels[tree.query(part.matrix)[1]])

    def to_dict(self) -> dict[str, Any]:
        """Cores and their clusters."""
        return {"kind": "cores", "points": self.points.round(6).tolist(), "labels": self.labels.tolist()}


@dataclass(frozen=True, slots=True)
class Consensus:
    """Several partitions vote.

    Attributes
    ----------
    members : tuple of Partition
        The voters.
    votes : tuple of ndarray of float, shape (a member's clusters, clusters)
        How a member's cluster was spread over the consensus clusters in the sample, rows sum to 1.
    """

    members: tuple[Partition, ...]
    votes: tuple[FloatArray, ...]

    @property
    def clusters(self) -> int:
        """Number of consensus clusters."""
        return self.votes[0].shape[1]

    def assign(self, points: Points) -> Labels:
        """Cluster with the most votes, the first of equals."""

        def ballot(part: Points) -> Labels:
            votes = [vote[member.assign(part)] for member, vote in zip(self.members, self.votes, strict=True)]
            return np.sum(votes, axis=0).argmax(axis=1)

        return _in_blocks(points, ballot)

    def to_dict(self) -> dict[str, Any]:
        """Members and votes."""
        return {
            "kind": "consensus",
            "members": [member.to_dict() for member in self.members],
            "votes": [vote.tolist() for vote in self.votes],
        }


def sample_size(method: str) -> int:
    """Return how many customers a method learns on at most.

    Examples
    --------
    >>> sample_size("kmeans"), sample_size("ward")
    (5000, 2000)
    """
    return SAMPLES.get(method, SAMPLE)


def fit_partition(method: str, points: Points, clusters: int, seed: int) -> Partition:
    """Divide points.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`. ``ward`` assigns by the nearest mean of its clusters, the density methods by
        the nearest core, ``consensus`` by the votes of K-Means, Gaussian mixture, Ward and k-prototypes.
    points : Points
        The sample to learn on.
    clusters : int
        How many; the density methods find their own number. Fewer come out where the points do not allow it.
    seed : int
        Same seed and points, same partition.
    """
    clusters = min(clusters, len(np.unique(points.matrix, axis=0)))
    if clusters <= 1 and method not in DENSITY:
        return Centres(points.matrix.mean(axis=0, keepdims=True))
    if method == "k_prototypes":
        return _prototypes(points, clusters, seed)
    if method == "consensus":
        return _consensus(points, clusters, seed)
    if method in DENSITY:
        return _dense(method, points)
    return _FITS[method](points.matrix, clusters, seed)


def partition_from_dict(raw: dict[str, Any]) -> Partition:
    """Rebuild what a partition's ``to_dict`` gave; assigns identically."""
    kind = raw["kind"]
    if kind == "consensus":
        return Consensus(
            tuple(partition_from_dict(member) for member in raw["members"]),
            tuple(np.array(vote, dtype=np.float64) for vote in raw["votes"]),
        )
    if kind == "mixture":
        return Mixture(*(np.array(raw[name], dtype=np.float64) for name in ("offsets", "means", "factors")))
    if kind == "cores":
        return Cores(np.array(raw["points"], dtype=np.float64), np.array(raw["labels"], dtype=np.int64))
    centres = np.array(raw["centres"], dtype=np.float64)
    if kind == "prototypes":
        return Prototypes(
            centres.reshape(len(raw["modes"]), -1),
            np.array(raw["modes"], dtype=np.int64).reshape(len(centres), -1),
        )
    return Centres(centres)


def means_of(matrix: FloatArray, labels: Labels, clusters: int) -> FloatArray:
    """Mean of each cluster, shape (clusters, columns); that of everyone where a cluster is empty."""
    counts = np.bincount(labels, minlength=clusters)
    sums = np.column_stack(
        [
            np.bincount(labels, weights=matrix[:, place], minlength=clusters)
            for place in range(matrix.shape[1])
        ]
    )
    means = sums / np.maximum(counts, 1)[:, None]
    means[counts == 0] = matrix.mean(axis=0)
    return means


def _kmeans(matrix: FloatArray, clusters: int, seed: int) -> Partition:
    return Centres(KMeans(clusters, n_init=_STARTS, random_state=seed).fit(matrix).cluster_centers_)


def _mixture(matrix: FloatArray, clusters: int, seed: int) -> Partition:
    start = KMeans(clusters, n_init=_STARTS, random_state=seed).fit(matrix)
    return mixture_of(fitted_mixture(matrix, clusters, start.cluster_centers_, seed))


def fitted_mixture(matrix: FloatArray, clusters: int, centres: FloatArray, seed: int) -> GaussianMixture:
    """Gaussian mixture with full covariances, started at given centres.

    A column's variance inside a cluster is at least .05, so that no cluster collapses on a value that many
    customers share.
    """
    model = GaussianMixture(
        clusters, reg_covar=0.05, means_init=centres, max_iter=100, tol=1e-3, random_state=seed
    )
    with warnings.catch_warnings():  # a hundred steps are enough to divide customers
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(matrix)


def mixture_of(model: GaussianMixture) -> Mixture:
    """What a fitted mixture needs in order to assign."""
    factors = np.asarray(model.precisions_cholesky_)
    log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):
        offsets = np.maximum(np.log(model.weights_), -1e6) + log_det
    return Mixture(offsets, np.asarray(model.means_), factors)


def _ward(matrix: FloatArray, clusters: int, seed: int) -> Partition:
    labels = fcluster(linkage(matrix, "ward"), clusters, "maxclust").astype(np.int64) - 1
    return Centres(means_of(matrix, labels, int(labels.max()) + 1))


def _prototypes(points: Points, clusters: int, seed: int) -> Partition:
    """Best of four starts by the sum of dissimilarities (Huang 1998)."""
    best, least = None, np.inf
    for start in range(_STARTS):
        rng = np.random.default_rng([seed, start])
        found, cost = _descend(points, _spread(points, clusters, rng))
        if cost < least - 1e-12:
            best, least = found, cost
    assert best is not None
    return best


def _spread(points: Points, clusters: int, rng: np.random.Generator) -> Prototypes:
    """Start at customers drawn with probability proportional to their distance from those drawn before."""
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while True:
        last = np.array(chosen[-1:])
        nearest = np.minimum(
            nearest, Prototypes(points.numbers[last], points.codes[last]).apart(points)[:, 0]
        )
        if len(chosen) == clusters:
            break
        chosen.append(int(rng.choice(len(points), p=nearest / nearest.sum())))
    return Prototypes(points.numbers[chosen], points.codes[chosen])


def _descend(points: Points, found: Prototypes) -> tuple[Prototypes, float]:
    """Assign and move in turn until nobody changes."""
    labels = np.full(len(points), -1)
    while True:
        apart = found.apart(points)
        fresh = apart.argmin(axis=1)
        if (fresh == labels).all():
            return found, float(apart[np.arange(len(points)), labels].sum())
        labels = fresh
        centres, modes = found.centres.copy(), found.modes.copy()
        for number in np.unique(labels):
            inside = labels == number
            centres[number, :] = points.numbers[inside].mean(axis=0)
            modes[number] = [
                np.bincount(points.codes[inside, place], minlength=count).argmax()
                for place, count in enumerate(points.levels)
            ]
        found = Prototypes(centres, modes)


def _dense(method: str, points: Points) -> Partition:
    """Clusters are dense places; customers between them belong to the nearest core."""
    matrix = points.matrix
    least = max(5, round(_SMALLEST_DENSE * len(matrix)))
    few = min(2 * matrix.shape[1], max(1, len(matrix) // 10))
    if method == "hdbscan":
        labels = HDBSCAN(min_cluster_size=least, min_samples=max(few, 1), copy=True).fit(matrix).labels_
    else:
        labels = DBSCAN(eps=_elbow_distance(matrix, few), min_samples=few).fit(matrix).labels_
    labels = np.asarray(labels, dtype=np.int64)
    sizes = np.bincount(labels[labels >= 0]) if (labels >= 0).any() else np.empty(0, dtype=np.int64)
    kept = np.flatnonzero(sizes >= least)
    if len(kept) == 0:
        return Centres(matrix.mean(axis=0, keepdims=True))
    inside = np.isin(labels, kept)
    return Cores(matrix[inside], np.searchsorted(kept, labels[inside]))


def _elbow_distance(matrix: FloatArray, few: int) -> float:
    """Distance to the `few`-th neighbour where its sorted curve bends most: farthest from its chord."""
    away = np.sort(np.asarray(cKDTree(matrix).query(matrix, k=[min(few + 1, len(matrix))])[0])[:, 0])
    chord = np.linspace(away[0], away[-1], len(away))
    return max(float(away[(chord - away).argmax()]), 1e-6)


def _consensus(points: Points, clusters: int, seed: int) -> Partition:
    """Cluster how often two customers are together (Strehl & Ghosh 2002; average linkage)."""
    members = tuple(fit_partition(method, points, clusters, seed) for method in _CONSENSUS)
    ballots = [member.assign(points) for member in members]
    together = np.zeros((len(points), len(points)), dtype=np.float32)
    for ballot in ballots:
        together += ballot[:, None] == ballot[None, :]
    apart = squareform(1.0 - together / len(members), checks=False)
    labels = fcluster(linkage(apart, "average"), clusters, "maxclust").astype(np.int64) - 1
    found = int(labels.max()) + 1
    votes = []
    for member, ballot in zip(members, ballots, strict=True):
        count = np.zeros((member.clusters, found))
        np.add.at(count, (ballot, labels), 1.0)
        votes.append((count + 1e-9) / (count + 1e-9).sum(axis=1, keepdims=True))
    return Consensus(members, tuple(votes))


_FITS = {"kmeans": _kmeans, "gaussian_mixture": _mixture, "ward": _ward}


def _apart(matrix: FloatArray, centres: FloatArray) -> FloatArray:
    """Squared distances, shape (customers, clusters)."""
    return np.column_stack([((matrix - centre) ** 2).sum(axis=1) for centre in centres])


def _in_blocks(points: Points, assign: Any) -> Labels:
    """Apply to blocks of customers, to keep memory small."""
    if len(points) <= _BLOCK:
        return np.asarray(assign(points), dtype=np.int64)
    starts = range(0, len(points), _BLOCK)
    blocks = [assign(points.take(np.arange(i, min(i + _BLOCK, len(points))))) for i in starts]
    return np.concatenate(blocks).astype(np.int64)
