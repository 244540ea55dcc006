"""Moments of the Pareto/NBD integral for histories that share x and few distinct times (whole days).

For one x the integral is taken once between neighbouring distinct times and accumulated backwards; each
history is a difference of two entries. The difference loses nothing that counts: the part subtracted, times
s, is never more than the likelihood's other term.
"""

from __future__ import annotations

import numpy as np

from .counts import Counts
from .pareto_integral import Moments, panel_sums
from .types import Array

_NODES = 8
_MAX_DROP, _MAX_LENGTH = 3.0, 1.8
# A group's whole drop in logs must stay far from the smallest float.
_MAX_RANGE = 500.0
_WORTH = 2


def table_moments(parameters: Array, counts: Counts) -> tuple[Array, list[tuple[Array, Moments]]]:
    """Moments of the histories for which a table pays.

    Returns
    -------
    done : ndarray of bool, shape (m,)
        Histories that were served.
    found : list of (rows, Moments)
        For these.
    """
    done = np.zeros(len(counts.x), dtype=bool)
    found = []
    edges = np.flatnonzero(np.diff(counts.x, prepend=-1.0))
    for begin, end in zip(edges, np.append(edges[1:], len(counts.x)), strict=True):
        if end - begin < 64:
            continue
        times, index = np.unique(
            np.concatenate([counts.t_x[begin:end], counts.T[begin:end]]), return_inverse=True
        )
        if (end - begin) < _WORTH * len(times):
            continue
        table = _backward(parameters, counts.x[begin], times)
        if table is None:
            continue
        log_scale, sums = table
        size = end - begin
        rows = np.arange(begin, end)
        part = sums[:, index[:size]] - sums[:, index[size:]]
        found.append((rows, Moments(np.full(size, log_scale), part)))
        done[begin:end] = True
    return done, found


def _backward(parameters: Array, x: float, times: Array) -> tuple[float, Array] | None:
    """Integrals from each time to the last one; None where the table would not be exact."""
    r, alpha, s, beta = parameters
    u = np.log(min(alpha, beta) + times)
    height = u - (r + x) * np.log(alpha + times) - (s + 1) * np.log(beta + times)
    if (
        height.max() - height.min() > _MAX_RANGE
        or np.abs(np.diff(height)).max() > _MAX_DROP
        or np.diff(u).max() > _MAX_LENGTH
    ):
        return None
    reference = float(height.max())
    segments = len(times) - 1
    pieces = panel_sums(
        parameters, np.full(segments, x), u[:-1], u[1:], np.full(segments, reference), _NODES, True
    )
    sums = np.zeros((15, len(times)))
    sums[:, :-1] = np.cumsum(pieces[:, ::-1], axis=1)[:, ::-1]
    return reference, sums
