"""Negative binomial counts: a Poisson process at a Gamma(rho, scale) rate over a time of tau scales."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, gammaln, xlogy

from .types import Array


def exactly(k: int | Array, rho: Array, tau: Array) -> Array:
    """P(exactly k purchases)."""
    ways = gammaln(rho + k) - gammaln(rho) - gammaln(np.add(k, 1))
    return np.exp(ways - (rho + k) * np.log1p(tau) + xlogy(k, tau))


def at_least(k: int, rho: Array, tau: Array) -> Array:
    """P(k purchases or more), k >= 1."""
    return betainc(k, rho, tau / (1 + tau))
