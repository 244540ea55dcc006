"""Draws of what customers will do, given parameters and their histories."""

from __future__ import annotations

import numpy as np

from .cnbd import stage_shares
from .types import Array

# Smallest dropout probability or rate drawn: numpy's geometric overflows below it.
_SMALL = 1e-12


def geometric_purchases(
    rng: np.random.Generator, parameters: Array, alive: Array, x: Array, T: Array, ends: Array, chances: int
) -> Array:
    """Purchases up to each of `ends`, BG/NBD or MBG/NBD: a Poisson process stopped by a geometric one.

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
    ends : ndarray, shape (periods,)
        Ends of periods that follow each other from T on, measured from T.
    chances : int
        n - x, as in :mod:`clvseg.value.equations.betageo`.

    Returns
    -------
    ndarray of int, shape (periods, n)
    """
    r, alpha, a, b = parameters
    rate = rng.gamma(r + x) / (alpha + T)
    drop = np.maximum(rng.beta(a, b + x + chances), _SMALL)
    bought = np.minimum(_events(rng, rate, ends), rng.geometric(drop))
    return np.where(rng.uniform(size=len(x)) < alive, np.diff(bought, axis=0, prepend=0), 0)


def regular_purchases(
    rng: np.random.Generator,
    parameters: Array,
    k: int,
    alive: Array,
    x: Array,
    t_x: Array,
    T: Array,
    ends: Array,
) -> Array:
    """Purchases up to each of `ends`, MBG/CNBD-k: every k-th event of a Poisson process, with a last one.

    Parameters as in :func:`geometric_purchases`, with k as in :mod:`clvseg.value.equations.cnbd`.

    Returns
    -------
    ndarray of int, shape (periods, n)
    """
    r, alpha, a, b = parameters
    shape = r + k * x
    shares = stage_shares(shape, (T - t_x) / (alpha + T), k)[0]
    passed = (rng.uniform(size=len(x)) > np.cumsum(shares[:-1], axis=0)).sum(axis=0)
    rate = rng.gamma(shape + passed) / (alpha + T)
    drop = np.maximum(rng.beta(a, b + x + 1), _SMALL)
    bought = np.minimum((_events(rng, rate, ends) + passed) // k, rng.geometric(drop))
    return np.where(rng.uniform(size=len(x)) < alive, np.diff(bought, axis=0, prepend=0), 0)


def pareto_purchases(
    rng: np.random.Generator, parameters: Array, alive: Array, x: Array, T: Array, ends: Array
) -> Array:
    """Purchases up to each of `ends`, Pareto/NBD: a Poisson process until an exponential time.

    Parameters as in :func:`geometric_purchases`, with r, alpha, s, beta.

    Returns
    -------
    ndarray of int, shape (periods, n)
    """
    r, alpha, s, beta = parameters
    rate = rng.gamma(r + x) / (alpha + T)
    leaving = np.maximum(rng.gamma(s, size=len(x)) / (beta + T), _SMALL / (beta + T))
    span = np.where(rng.uniform(size=len(x)) < alive, rng.exponential(size=len(x)) / leaving, 0)
    begins = np.concatenate([[0.0], ends[:-1]])[:, None]
    return rng.poisson(rate * np.clip(span - begins, 0, ends[:, None] - begins))


def _events(rng: np.random.Generator, rate: Array, ends: Array) -> Array:
    """Events of Poisson processes up to each of `ends`, shape (periods, n)."""
    return np.cumsum(rng.poisson(rate * np.diff(ends, prepend=0.0)[:, None]), axis=0)


def spend(rng: np.random.Generator, parameters: Array, x: Array, mean: Array, purchases: Array) -> Array:
    """Sum of `purchases` orders of customers with x orders of mean `mean` behind them, Gamma-Gamma.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    parameters : ndarray, shape (3,)
        p, q, v.
    x, mean : ndarray, shape (n,)
        Orders seen and their mean.
    purchases : ndarray of int, shape (..., n)
        Orders to come.

    Returns
    -------
    ndarray, shape (..., n)
        0 where there are none to come; the customer's level is drawn once.
    """
    p, q, v = parameters
    out = np.zeros(purchases.shape)
    rows = np.flatnonzero(purchases.reshape(-1, len(x)).any(axis=0))
    known, level = x[rows], mean[rows]
    nu = np.maximum(rng.gamma(p * known + q), _SMALL) / (v + known * level)
    out[..., rows] = rng.gamma(p * purchases[..., rows]) / nu
    return out
