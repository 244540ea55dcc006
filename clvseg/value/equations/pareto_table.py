"""Moments of the Pareto/NBD integral for the many histories that share x.

For one x the integral is taken once between neighbouring times and accumulated backwards; each history is a
difference of two entries. In whole days many histories share few times; in continuous time the times lie so
close that two to four nodes between neighbours do. The difference loses nothing that counts: the part
subtracted, times s, is never more than the likelihood's other term.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .counts import Counts, SharedTimes
from .pareto_integral import BLOCK, Moments, moments, panel_sums
from .types import Array

# (nodes, largest drop in logs, largest length in u) between neighbours: error below 1e-12, see the tests.
_RULES = ((2, 0.005, 0.008), (3, 0.06, 0.08), (4, 0.3, 0.3), (8, 3.0, 1.8))
# A group's whole drop in logs must stay far from the smallest float.
_MAX_RANGE = 500.0
# Nodes that a history costs when it is integrated alone, with what goes with it.
_ALONE = 12
# Likewise of neighbours too far apart for the rule that most follow.
_WIDE = 24
_CHUNK = 4_096


def table_moments(parameters: Array, counts: Counts, done: Array) -> Iterator[tuple[slice, Moments]]:
    """Moments of the histories for which a table pays, in chunks.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        r, alpha, s, beta.
    counts : Counts
        Histories.
    done : ndarray of bool, shape (m,)
        Set to True for the histories that are served.

    Yields
    ------
    rows : slice
    found : Moments
        Of these.
    """
    for shared in counts.shared_times:
        table = _backward(parameters, counts.x[shared.rows.start], shared)
        if table is None:
            continue
        done[shared.rows] = True
        log_scale, sums = table
        for begin in range(0, len(shared.T), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            found = np.take(sums, shared.t_x[part], axis=1)
            found -= np.take(sums, shared.T[part], axis=1)
            first = shared.rows.start + begin
            rows = slice(first, first + found.shape[1])
            yield rows, Moments(np.full(found.shape[1], log_scale), found)


def _backward(parameters: Array, x: float, shared: SharedTimes) -> tuple[float, Array] | None:
    """Integrals from each time to the last one; None where it would not pay or not be exact."""
    r, alpha, s, beta = parameters
    times = shared.times
    segments, most = len(times) - 1, _ALONE * len(shared.T)
    if not segments or _RULES[0][0] * segments > most:
        return None
    u = np.log(min(alpha, beta) + times)
    height = u - (r + x) * np.log(alpha + times) - (s + 1) * np.log(beta + times)
    if np.ptp(height) > _MAX_RANGE:
        return None
    drop, length = np.abs(np.diff(height)), np.diff(u)
    served = [(drop <= steepest) & (length <= longest) for _, steepest, longest in _RULES]
    costs = [
        nodes * fits.sum() + _WIDE * (segments - fits.sum())
        for (nodes, *_), fits in zip(_RULES, served, strict=True)
    ]
    best = int(np.argmin(costs))
    if costs[best] > most:
        return None
    nodes, fits = _RULES[best][0], served[best]
    reference = float(height.max())
    sums = np.zeros((15, len(times)))
    step = BLOCK // nodes
    for begin in range(0, segments, step):
        end = min(begin + step, segments)
        ends = u[begin:end], u[begin + 1 : end + 1]
        same = np.full(end - begin, x), *ends, np.full(end - begin, reference)
        sums[:, begin:end] = panel_sums(parameters, *same, nodes, True)
    wide = np.flatnonzero(~fits)
    if len(wide):
        found = moments(parameters, np.full(len(wide), x), times[wide], times[wide + 1], all_moments=True)
        sums[:, wide] = found.sums * np.exp(found.log_scale - reference)
    np.cumsum(sums[:, ::-1], axis=1, out=sums[:, ::-1])
    return reference, sums
