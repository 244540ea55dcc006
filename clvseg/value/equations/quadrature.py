"""Gauss-Legendre rules, and the rule for discounting over a horizon."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from .types import Array


@cache
def gauss(nodes: int) -> tuple[Array, Array]:
    """Abscissas and weights on [-1, 1], each of shape (nodes,)."""
    return np.polynomial.legendre.leggauss(nodes)


# e^-40 of a purchase is nothing.
_DISCOUNTED_AWAY = 40.0
_PANEL = 1.3


def horizon_nodes(start: Array, t: float, rate: float) -> Iterator[tuple[Array, Array]]:
    """Nodes and weights e^(-rate time) d time over (0, t], dense where time is small against `start`.

    Parameters
    ----------
    start : ndarray, shape (n,)
        Positive; the time scale on which the integrand changes at first.
    t, rate : float
        Horizon and continuous discount rate, per unit of the same time.

    Yields
    ------
    time, weight : ndarray, shape (n,)
    """
    end = min(t, _DISCOUNTED_AWAY / rate) if rate > 0 else t
    length = np.log1p(end / start)
    panels = max(1, int(np.ceil(length.max(initial=0) / _PANEL)))
    nodes, weights = gauss(10)
    for panel in range(panels):
        for node, weight in zip(nodes, weights, strict=True):
            time = start * np.expm1(length * ((panel + 0.5 + 0.5 * node) / panels))
            yield time, (0.5 * weight / panels) * length * (start + time) * np.exp(-rate * time)
