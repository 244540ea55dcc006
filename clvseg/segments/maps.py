"""Customers on a plane: those alike near each other, by principal components and by t-SNE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from clvseg.frames import MAPS
from clvseg.segments.scaling import MixedScaler

SAMPLE = 1_000
# Half of scikit-learn's iterations and a coarser tree keep neighbours as well, in a third of the time.
_ITERATIONS, _ANGLE = 500, 0.8
_PERPLEXITY = 30.0
_FEWEST = 10


def customer_maps(people: pd.DataFrame, segment: pd.Series, inputs: Sequence[str], seed: int) -> pd.DataFrame:
    """Place a random sample of at most 1,000 customers on two maps.

    Columns are scaled as for clusters (:class:`clvseg.segments.scaling.MixedScaler`).

    Parameters
    ----------
    people : DataFrame
        A row per customer, with `inputs`, ``predicted_value`` and ``churn_probability``.
    segment : Series of str
        Segment of each, in the same order.
    inputs : sequence of str
        Columns that decide who is alike.
    seed : int
        Of the sample and of t-SNE.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.MAPS`; empty where fewer than ten customers can be told apart.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(people))[:SAMPLE])
    sample = people.iloc[rows]
    matrix = MixedScaler().fit(people[list(inputs)]).transform(sample).matrix
    if len(np.unique(matrix, axis=0)) < _FEWEST or matrix.shape[1] < 2:
        return MAPS.empty()
    with threadpool_limits(limits=1):
        components = PCA(2, svd_solver="full").fit_transform(matrix)
        perplexity = min(_PERPLEXITY, (len(matrix) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=_ITERATIONS, angle=_ANGLE)
        placed = tsne.fit_transform(matrix)
    frame = pd.DataFrame(
        {
            "segment": segment.to_numpy()[rows],
            "predicted_value": sample["predicted_value"].to_numpy(),
            "churn_probability": sample["churn_probability"].to_numpy(),
        }
    )
    for name, place in (("pca", components), ("tsne", placed)):
        frame[[f"{name}_1", f"{name}_2"]] = place.astype(np.float64)
    return MAPS.conform(frame)
