"""Whether a division comes out again when the customers are drawn anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from clvseg.segments.scaling import FloatArray

Labels = NDArray[np.int64]

STABLE = 0.75


def jaccard(one: Labels, other: Labels, clusters: int) -> FloatArray:
    """Best Jaccard similarity of each cluster of `one` with a cluster of `other`, shape (clusters,).

    Parameters
    ----------
    one, other : ndarray of int, shape (customers,)
        Clusters of the same customers, numbered from 0.
    clusters : int
        How many `one` has; a cluster without customers gets 1.

    Examples
    --------
    >>> jaccard(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 0]), 2).round(2).tolist()
    [0.67, 0.5]
    """
    table = np.zeros((clusters, int(other.max()) + 1))
    np.add.at(table, (one, other), 1.0)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    best = np.max(table / np.maximum(union, 1.0), axis=1)
    return np.where(table.sum(axis=1) == 0, 1.0, best)


def bootstrap_jaccard(
    labels: Labels,
    clusters: int,
    again: Callable[[NDArray[np.intp], int], Labels],
    draws: int,
    seed: int,
) -> tuple[FloatArray, float]:
    """Divide resampled customers anew and compare.

    Hennig (2007), "Cluster-wise assessment of cluster stability", section 3.

    Parameters
    ----------
    labels : ndarray of int, shape (customers,)
        The clusters to judge.
    clusters : int
        How many there are.
    again : callable
        Takes the rows drawn (with repeats) and a seed, learns on them and returns clusters of all customers.
    draws : int
        How often.
    seed : int
        Of the draws.

    Returns
    -------
    jaccard : ndarray of float, shape (clusters,)
        Mean best Jaccard similarity of each cluster.
    rand : float
        Mean adjusted Rand index of the whole division.
    """
    rng = np.random.default_rng(seed)
    found, rand = [], []
    for _ in range(draws):
        other = again(rng.integers(0, len(labels), len(labels)), int(rng.integers(2**31)))
        found.append(jaccard(labels, other, clusters))
        rand.append(adjusted_rand_score(labels, other))
    return np.mean(found, axis=0), float(np.mean(rand))
