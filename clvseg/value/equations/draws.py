"""Draws of what customers will do, given parameters and their histories."""

from __future__ import annotations

import numpy as np

from .cnbd import stage_shares
from .types import Array

# Smallest dropout probability or rate drawn: numpy's geometric overflows below it.
_SMALL = 1e-12


def geometric_purchases(
    rng: np.random.Generator, parameters: Array, alive: Array, x: Array, T: Array, t: float, chances: int
) -> Array:
    """Purchases in (T, T + t], BG/NBD or MBG/NBD: a Poisson process stopped by a geometric one.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    parameters : ndarray, shape (4,)
        r, alpha, a, b.
    alive : ndarray, shape (n,)
        P(alive at T).
    x, T : ndarray, shape (n,)
        History.
    t : float
        Horizon.
    chances : int
        n - x, as in :mod:`clvseg.value.equations.betageo`.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    r, alpha, a, b = parameters
    rate = rng.gamma(r + x) / (alpha + T)
    drop = np.maximum(rng.beta(a, b + x + chances), _SMALL)
    bought = np.minimum(rng.poisson(rate * t), rng.geometric(drop))
    return np.where(rng.uniform(size=len(x)) < alive, bought, 0)


def regular_purchases(
    rng: np.random.Generator,
    parameters: Array,
    k: int,
    alive: Array,
    x: Array,
    t_x: Array,
    T: Array,
    t: float,
) -> Array:
    """Purchases in (T, T + t], MBG/CNBD-k: every k-th event of a Poisson process, stopped geometrically.

    Parameters as in :func:`geometric_purchases`, with k as in :mod:`clvseg.value.equations.cnbd`.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    r, alpha, a, b = parameters
    shape = r + k * x
    shares = stage_shares(shape, (T - t_x) / (alpha + T), k)[0]
    passed = (rng.uniform(size=len(x)) > np.cumsum(shares[:-1], axis=0)).sum(axis=0)
    rate = rng.gamma(shape + passed) / (alpha + T)
    drop = np.maximum(rng.beta(a, b + x + 1), _SMALL)
    bought = np.minimum((rng.poisson(rate * t) + passed) // k, rng.geometric(drop))
    return np.where(rng.uniform(size=len(x)) < alive, bought, 0)


def pareto_purchases(
    rng: np.random.Generator, parameters: Array, alive: Array, x: Array, T: Array, t: float
) -> Array:
    """Purchases in (T, T + t], Pareto/NBD: a Poisson process until an exponential time.

    Parameters as in :func:`geometric_purchases`, with r, alpha, s, beta.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    r, alpha, s, beta = parameters
    rate = rng.gamma(r + x) / (alpha + T)
    leaving = np.maximum(rng.gamma(s, size=len(x)) / (beta + T), _SMALL / (beta + T))
    span = np.minimum(rng.exponential(size=len(x)) / leaving, t)
    return np.where(rng.uniform(size=len(x)) < alive, rng.poisson(rate * span), 0)


def spend(rng: np.random.Generator, parameters: Array, x: Array, mean: Array, purchases: Array) -> Array:
    """Sum of `purchases` orders of customers with x orders of mean `mean` behind them, Gamma-Gamma.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    parameters : ndarray, shape (3,)
        p, q, v.
    x, mean, purchases : ndarray, shape (n,)
        Orders seen and their mean; orders to come.

    Returns
    -------
    ndarray, shape (n,)
        0 where there are none to come.
    """
    p, q, v = parameters
    out = np.zeros(len(x))
    rows = np.flatnonzero(purchases)
    known, level = x[rows], mean[rows]
    nu = np.maximum(rng.gamma(p * known + q), _SMALL) / (v + known * level)
    out[rows] = rng.gamma(p * purchases[rows]) / nu
    return out
