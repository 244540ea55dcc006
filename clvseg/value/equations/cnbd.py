"""MBG/CNBD-k: likelihood with derivatives, and what follows from it.

As the MBG/NBD, but the time between purchases is Erlang-k: a purchase is every k-th event ("stage") of a
Poisson process, so the larger k the more regular the purchases. A customer buys at the stage rate
lambda ~ Gamma(r, alpha) and drops out with p ~ Beta(a, b) at each purchase, the first included. Since the
last purchase j < k stages may have passed unseen, which is what a sum over j stands for below. With k = 1 all
is the MBG/NBD. Time is in any unit, the same as that of alpha.

The model is that of Reutterer, Platzer & Schroeder (2021), International Journal of Research in Marketing
38(1). The formulas are derived here from

    L = ( Gamma(k) )^-x  prod (gaps)^(k-1)  alpha^r / Gamma(r)  { alive + dropped out }
    alive = B(a, b+x+1) / B(a, b)  sum_j Gamma(R+j) / j!  (T-t_x)^j  (alpha+T)^-(R+j),  R = r + k x   (1)
    dropped out = B(a+1, b+x) / B(a, b)  Gamma(R)  (alpha+t_x)^-R                                    (2)

and, unlike theirs, the expected purchases are exact (:mod:`clvseg.value.equations.regular_mean`).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, gammaln

from . import nbd
from .betageo import by_frequency
from .counts import CHUNK, Counts
from .types import Array


def log_likelihood(parameters: Array, counts: Counts, k: int) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (r, alpha, a, b), without `log_constant`.

    Equations 1 and 2 of the module; with ``k=1``, Batislam, Denizel & Filiztekin (2007), eq. 6.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        r, alpha, a, b.
    counts : Counts
        Histories.
    k : int
        Stages per purchase.

    Returns
    -------
    value : float
    gradient : ndarray, shape (4,)
    hessian : ndarray, shape (4, 4)
    """
    value, gradient, hessian = by_frequency(parameters, counts, 1, k)
    for begin in range(0, len(counts.x), CHUNK):
        part = slice(begin, begin + CHUNK)
        columns = counts.x[part], counts.t_x[part], counts.T[part], counts.weight[part]
        value += _by_history(parameters, columns, k, gradient, hessian)
    hessian = hessian + np.triu(hessian, 1).T
    n = counts.n
    return value / n, gradient / n, hessian / n


def _by_history(
    parameters: Array, part: tuple[Array, Array, Array, Array], k: int, gradient: Array, hessian: Array
) -> float:
    """Add log(alive + dropped out) of some histories: value returned, derivatives added in place.

    log alive = log S - R log(alpha + T) with R = r + k x and S the sum over stages; log dropped out =
    log(a / (b + x)) - R log(alpha + t_x).
    """
    r, alpha, a, b = parameters
    x, t_x, T, w = part
    shape, survived = r + k * x, b + x
    inv_end, inv_last = 1 / (alpha + T), 1 / (alpha + t_x)
    log_end, longer = -np.log(inv_end), np.log(inv_last / inv_end)
    stages, log_sum = stage_shares(shape, (T - t_x) * inv_end, k)
    first, second = _harmonic(shape, k)
    j = np.arange(k)[:, None]
    passed, rise = (stages * j).sum(axis=0), (stages * first).sum(axis=0)
    # Derivatives of log alive in (r, alpha).
    alive_r, alive_alpha = rise - log_end, -(shape + passed) * inv_end
    alive_rr = (stages * (first**2 - second)).sum(axis=0) - rise**2
    alive_ra = -(1 + (stages * j * first).sum(axis=0) - passed * rise) * inv_end
    alive_aa = (shape + passed + (stages * j**2).sum(axis=0) - passed**2) * inv_end**2
    odds = np.log(a / survived) + shape * longer - log_sum
    dropped = expit(odds)
    gone, mixed = w * dropped, w * dropped * (1 - dropped)
    # The log-odds' derivatives in (r, alpha, a, b).
    slope = np.stack(
        [longer - rise, passed * inv_end - shape * (inv_last - inv_end), 1 / a + 0 * x, -1 / survived]
    )
    value = w @ (log_sum - shape * log_end + np.logaddexp(0, odds))
    gradient[:2] += w @ alive_r, w @ alive_alpha
    gradient += slope @ gone
    hessian += np.triu((slope * mixed) @ slope.T)
    hessian[0, 0] += w @ alive_rr - gone @ alive_rr
    hessian[0, 1] += w @ alive_ra - gone @ (inv_last + alive_ra)
    hessian[1, 1] += w @ alive_aa + gone @ (shape * inv_last**2 - alive_aa)
    hessian[2, 2] -= gone.sum() / a**2
    hessian[3, 3] += gone @ survived**-2
    return float(value)


def stage_shares(shape: Array, share: Array, k: int) -> tuple[Array, Array]:
    """P(j stages since the last purchase | alive), j < k: proportional to (R)_j / j! v^j.

    Parameters
    ----------
    shape, share : ndarray, shape (n,)
        R = r + k x; v = (T - t_x) / (alpha + T).
    k : int
        Stages per purchase.

    Returns
    -------
    shares : ndarray, shape (k, n)
    log_sum : ndarray, shape (n,)
        Log of what they were divided by.
    """
    terms = np.ones((k, len(shape)))
    for j in range(1, k):
        terms[j] = terms[j - 1] * ((shape + (j - 1)) * share / j)
    total = terms.sum(axis=0)
    return terms / total, np.log(total)


def _harmonic(shape: Array, k: int) -> tuple[Array, Array]:
    """Sums over i < j of 1 / (R + i) and of its square, each of shape (k, n): derivatives of log (R)_j."""
    inverse = 1 / (shape + np.arange(k - 1)[:, None])
    start = np.zeros((1, len(shape)))
    first = np.concatenate([start, np.cumsum(inverse, axis=0)])
    return first, np.concatenate([start, np.cumsum(inverse**2, axis=0)])


def log_constant(k: int, x: Array, t_x: Array, log_gaps: Array | None) -> Array:
    """What the log-likelihood of each history holds besides the parameters, so that k can be compared.

    With the times between purchases, (k - 1) sum log(time) - x log Gamma(k). Without them, the same averaged
    over where the purchases before the last can have been: the density of t_x as a sum of k x stages, over
    that of x stages. Both are 0 for k = 1.

    Parameters
    ----------
    k : int
        Stages per purchase.
    x, t_x : ndarray, shape (n,)
        Histories.
    log_gaps : ndarray, shape (n,), or None
        Sum of the logs of the times between purchases; 0 for x = 0.

    Returns
    -------
    ndarray, shape (n,)
        -inf where purchases fell on one moment and k > 1.
    """
    if k == 1:
        return np.zeros(len(x))
    if log_gaps is not None:
        return (k - 1) * log_gaps - x * gammaln(k)
    again = np.maximum(x, 1)
    with np.errstate(divide="ignore"):
        moved = (k - 1) * again * np.log(t_x) - gammaln(k * again) + gammaln(again)
    return np.where(x > 0, moved, 0.0)


def probability_alive(parameters: Array, k: int, x: Array, t_x: Array, T: Array) -> Array:
    """P(still a customer at T | history): equation 1's share of the braces.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        r, alpha, a, b.
    k : int
        Stages per purchase.
    x, t_x, T : ndarray, shape (n,)
        History.

    Returns
    -------
    ndarray, shape (n,)
    """
    r, alpha, a, b = parameters
    shape = r + k * x
    log_sum = stage_shares(shape, (T - t_x) / (alpha + T), k)[1]
    return expit(log_sum - np.log(a / (b + x)) - shape * np.log((alpha + T) / (alpha + t_x)))


def active_if_alive(shape: Array, share: Array, tau: Array, k: int) -> Array:
    """P(a purchase in (T, T + t] | alive at T): k - j further stages or more.

    Parameters
    ----------
    shape, share, tau : ndarray, shape (n,)
        R = r + k x; v = (T - t_x) / (alpha + T); t / (alpha + T).
    k : int
        Stages per purchase.

    Returns
    -------
    ndarray, shape (n,)
    """
    stages = stage_shares(shape, share, k)[0]
    return sum(stages[j] * nbd.at_least(k - j, shape + j, tau) for j in range(k))


def counts_if_alive(a: float, c: Array, shape: Array, share: Array, tau: Array, k: int, most: int) -> Array:
    """P(exactly m purchases in (T, T + t] | alive at T), m = 0 .. most, with p ~ Beta(a, c).

    As :func:`clvseg.value.equations.betageo.counts_if_alive`, where m purchases are m k - j stages to
    m k - j + k - 1. Other parameters as in :func:`active_if_alive`.

    Returns
    -------
    ndarray, shape (n, most + 1)
    """
    stages = stage_shares(shape, share, k)[0]
    out = np.zeros((len(c), most + 1))
    log_stay = np.zeros(len(c))
    for m in range(most + 1):
        exactly, at_least = np.zeros(len(c)), np.zeros(len(c))
        for j in range(k):
            first = m * k - j
            within = (nbd.exactly(first + i, shape + j, tau) for i in range(k) if first + i >= 0)
            exactly += stages[j] * sum(within)
            if m:
                at_least += stages[j] * nbd.at_least(first, shape + j, tau)
        if m:
            # Stayed m - 1 times, then dropped out: B(a + 1, c + m - 1) / B(a, c).
            out[:, m] = np.exp(log_stay) * (a / (a + c + m - 1)) * at_least
            log_stay += np.log((c + m - 1) / (a + c + m - 1))
        out[:, m] += np.exp(log_stay) * exactly
    return out


def median_wait(shape: Array, share: Array, k: int) -> Array:
    """Median time to the next purchase of a living customer, in units of (alpha + T); by bisection.

    Parameters and result as for :func:`active_if_alive`.
    """
    low, high = np.zeros(len(shape)), np.full(len(shape), 700.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        early = active_if_alive(shape, share, np.expm1(middle), k) < 0.5
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    return np.expm1(high)
