"""Negative binomial counts: a Poisson process at a Gamma(rho, scale) rate over a time of tau scales."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import betainc, digamma, gammaln, xlogy

from .types import Array

# Edge of the search for r, and for alpha in median ages, as logs.
_WIDEST = 9.0


def exactly(k: int | Array, rho: Array, tau: Array) -> Array:
    """P(exactly k purchases)."""
    ways = gammaln(rho + k) - gammaln(rho) - gammaln(np.add(k, 1))
    return np.exp(ways - (rho + k) * np.log1p(tau) + xlogy(k, tau))


def at_least(k: int, rho: Array, tau: Array) -> Array:
    """P(k purchases or more), k >= 1."""
    return betainc(k, rho, tau / (1 + tau))


def log_likelihood(r: float, alpha: float, x: Array, T: Array) -> Array:
    """Log-likelihood of x purchases at known times within T, without dropout, shape (n,).

    Gamma(r+x)/Gamma(r) alpha^r (alpha+T)^-(r+x): the Pareto/NBD's where nobody drops out.
    """
    return gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)


def fit(x: Array, T: Array) -> tuple[float, float]:
    """Find r and alpha (in the unit of T, which is above 0) by maximum likelihood, within wide bounds."""
    scale = float(np.median(T))
    age = T / scale

    def loss(logs: Array) -> tuple[float, Array]:
        r, alpha = np.exp(logs)
        slope = np.array(
            [
                (digamma(r + x) - digamma(r) + np.log(alpha) - np.log(alpha + age)).mean() * r,
                (r / alpha - (r + x) / (alpha + age)).mean() * alpha,
            ]
        )
        return -float(log_likelihood(r, alpha, x, age).mean()), -slope

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-_WIDEST, _WIDEST)] * 2)
    r, alpha = np.exp(found.x)
    return float(r), float(alpha * scale)
