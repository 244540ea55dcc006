"""BG/NBD and MBG/NBD: likelihood with derivatives, and what follows from it.

Both models are one, told apart by the number n of chances to drop out that a customer with x repeat purchases
has survived: n = x in the BG/NBD (none at the first purchase) and n = x + 1 in the MBG/NBD. Time is in any
unit, the same as that of alpha.

Sources: [FHL] Fader, Hardie & Lee (2005), Marketing Science 24(2); [BDG] Batislam, Denizel & Filiztekin
(2007), International Journal of Research in Marketing 24(3).
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, expit, gammaln, polygamma

from . import nbd
from .counts import CHUNK, Counts
from .types import Array


def log_likelihood(parameters: Array, counts: Counts, chances: int) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (r, alpha, a, b).

    [FHL] eq. 6 for ``chances=0``, [BDG] eq. 6 for ``chances=1``.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        r, alpha, a, b.
    counts : Counts
        Histories.
    chances : int
        n - x: 0 for the BG/NBD, 1 for the MBG/NBD.

    Returns
    -------
    value : float
    gradient : ndarray, shape (4,)
    hessian : ndarray, shape (4, 4)
    """
    value, gradient, hessian = by_frequency(parameters, counts, chances)
    for begin in range(0, len(counts.x), CHUNK):
        part = slice(begin, begin + CHUNK)
        value += _by_history(
            parameters,
            (counts.x[part], counts.t_x[part], counts.T[part], counts.weight[part]),
            chances,
            gradient,
            hessian,
        )
    hessian = hessian + np.triu(hessian, 1).T
    n = counts.n
    return value / n, gradient / n, hessian / n


def by_frequency(parameters: Array, counts: Counts, chances: int, k: int = 1) -> tuple[float, Array, Array]:
    """Terms that depend on x alone, summed (upper triangle of the Hessian); `k` as in the MBG/CNBD-k."""
    r, alpha, a, b = parameters
    x = counts.x[counts.edges]
    w = np.add.reduceat(counts.weight, counts.edges)
    n, total = x + chances, w.sum()
    shape = r + k * x
    terms = gammaln(shape) - gammaln(r) + gammaln(a + b) - gammaln(a + b + n) + gammaln(b + n) - gammaln(b)
    gradient = np.zeros(4)
    gradient[0] = w @ (digamma(shape) - digamma(r)) + total * np.log(alpha)
    gradient[1] = total * r / alpha
    both = w @ (digamma(a + b) - digamma(a + b + n))
    gradient[2], gradient[3] = both, both + w @ (digamma(b + n) - digamma(b))
    hessian = np.zeros((4, 4))
    hessian[0, 0] = w @ (polygamma(1, shape) - polygamma(1, r))
    hessian[0, 1] = total / alpha
    hessian[1, 1] = -total * r / alpha**2
    both = w @ (polygamma(1, a + b) - polygamma(1, a + b + n))
    hessian[2, 2] = hessian[2, 3] = both
    hessian[3, 3] = both + w @ (polygamma(1, b + n) - polygamma(1, b))
    return float(w @ terms) + total * r * float(np.log(alpha)), gradient, hessian


def _by_history(
    parameters: Array, part: tuple[Array, Array, Array, Array], chances: int, gradient: Array, hessian: Array
) -> float:
    """Add log(alive + dropped out) of some histories: value returned, derivatives added in place."""
    r, alpha, a, b = parameters
    x, t_x, T, w = part
    shape = r + x
    survived = b + np.maximum(x + (chances - 1), 0)
    end, last = alpha + T, alpha + t_x
    log_end = np.log(end)
    d_r = np.log(end / last)
    odds = np.log(a / survived) + shape * d_r
    if not chances:
        odds[x == 0] = -np.inf
    dropped = expit(odds)
    w_dropped = w * dropped
    inv_end, inv_last = 1 / end, 1 / last
    d_alpha = shape * (inv_end - inv_last)
    inv_b = 1 / survived
    value = w @ (np.logaddexp(0, odds) - shape * log_end)
    gradient[0] += w_dropped @ d_r - w @ log_end
    gradient[1] += w_dropped @ d_alpha - w @ (shape * inv_end)
    sum_dropped = w_dropped.sum()
    gradient[2] += sum_dropped / a
    gradient[3] -= w_dropped @ inv_b
    mixed = w_dropped * (1 - dropped)
    hessian[0, 1] += w_dropped @ (inv_end - inv_last) - w @ inv_end
    hessian[1, 1] += w_dropped @ (shape * (inv_last**2 - inv_end**2)) + w @ (shape * inv_end**2)
    hessian[2, 2] += (mixed.sum() - sum_dropped) / a**2
    hessian[3, 3] += (mixed + w_dropped) @ inv_b**2
    mixed_r, mixed_alpha = mixed * d_r, mixed * d_alpha
    hessian[0, 0] += mixed_r @ d_r
    hessian[0, 1] += mixed_r @ d_alpha
    hessian[0, 2] += mixed_r.sum() / a
    hessian[0, 3] -= mixed_r @ inv_b
    hessian[1, 1] += mixed_alpha @ d_alpha
    hessian[1, 2] += mixed_alpha.sum() / a
    hessian[1, 3] -= mixed_alpha @ inv_b
    hessian[2, 3] -= (mixed @ inv_b) / a
    return float(value)


def row_derivatives(
    parameters: Array, x: Array, t_x: Array, T: Array, chances: int
) -> tuple[Array, Array, Array]:
    """Log-likelihood of each history, with its derivatives in (log r, log alpha, log a, log b, t_x, T).

    With e = log(alpha + T) and l = log(alpha + t_x), what depends on the times is -(r + x) e + log(1 + odds)
    with odds = a / (b + n - 1) exp((r + x) (e - l)): [FHL] eq. 6, [BDG] eq. 6.

    Parameters
    ----------
    parameters : ndarray, shape (4, m)
        r, alpha, a, b: one set per history.
    x, t_x, T : ndarray, shape (m,)
        Histories.
    chances : int
        n - x.

    Returns
    -------
    value : ndarray, shape (m,)
    gradient : ndarray, shape (6, m)
    hessian : ndarray, shape (6, 6, m)
    """
    r, alpha, a, b = parameters
    n, shape = x + chances, r + x
    survived = b + np.maximum(n - 1, 0)
    end, last = alpha + T, alpha + t_x
    between = np.log(end / last)
    odds = np.where(n > 0, np.log(a / survived) + shape * between, -np.inf)
    gone = expit(odds)
    value = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - shape * np.log(end) + np.logaddexp(0, odds)
    value += gammaln(a + b) - gammaln(a + b + n) + gammaln(b + n) - gammaln(b)
    # First the derivatives of log odds, t_x and T standing beside log alpha, then those of the rest.
    of_end, of_last, zero = 1 / end, 1 / last, np.zeros(len(x))
    slope = np.stack([r * between, alpha * shape * (of_end - of_last), zero + 1, -b / survived,
                      -shape * of_last, shape * of_end])  # fmt: skip
    rest = np.stack([-r * np.log(end), -alpha * shape * of_end, zero, zero, zero, -shape * of_end])
    gradient = rest + gone * slope
    hessian = gone * (1 - gone) * slope[:, None] * slope
    stay = gone - 1
    hessian[0, 0] += gradient[0]
    hessian[0, 1] += r * alpha * (stay * of_end - gone * of_last)
    hessian[0, 4] -= r * gone * of_last
    hessian[0, 5] += r * stay * of_end
    hessian[1, 1] += alpha * shape * (stay * of_end * (T * of_end) - gone * of_last * (t_x * of_last))
    hessian[1, 4] += alpha * shape * gone * of_last**2
    hessian[1, 5] -= alpha * shape * stay * of_end**2
    hessian[3, 3] += gone * (b / survived) * (b / survived - 1)
    hessian[4, 4] += shape * gone * of_last**2
    hessian[5, 5] -= shape * stay * of_end**2
    # What does not depend on the times.
    both = digamma(a + b) - digamma(a + b + n)
    curved = polygamma(1, a + b) - polygamma(1, a + b + n)
    of_b = both + digamma(b + n) - digamma(b)
    of_r = digamma(r + x) - digamma(r) + np.log(alpha)
    gradient[:4] += np.stack([r * of_r, r + zero, a * both, b * of_b])
    hessian[0, 0] += r * of_r + r**2 * (polygamma(1, r + x) - polygamma(1, r))
    hessian[0, 1] += r
    hessian[2, 2] += a * both + a**2 * curved
    hessian[2, 3] += a * b * curved
    hessian[3, 3] += b * of_b + b**2 * (curved + polygamma(1, b + n) - polygamma(1, b))
    for i in range(6):
        hessian[i:, i] = hessian[i, i:]
    return value, gradient, hessian


def probability_alive(parameters: Array, x: Array, t_x: Array, T: Array, chances: int) -> Array:
    """P(still a customer at T | history).

    Fader & Hardie (2008), "Computing P(alive) using the BG/NBD model", and [BDG] eq. 8: the share of the
    first term of the likelihood. It is 1 for x = 0 in the BG/NBD.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        r, alpha, a, b.
    x, t_x, T : ndarray, shape (n,)
        History.
    chances : int
        n - x.

    Returns
    -------
    ndarray, shape (n,)
    """
    alive = np.empty(len(x))
    for begin in range(0, len(x), CHUNK):
        part = slice(begin, begin + CHUNK)
        r, alpha, a, b = parameters if parameters.ndim == 1 else parameters[:, part]
        survived = b + (x[part] if chances else np.maximum(x[part] - 1, 0))
        # "Dropped out" over "alive" is a / survived times this power, whose place the share takes in the end.
        power = alive[part]
        np.log((alpha + T[part]) / (alpha + t_x[part]), out=power)
        power *= r + x[part]
        with np.errstate(over="ignore"):
            np.exp(power, out=power)
            power *= a
        power += survived
        np.divide(survived, power, out=power)
        if not chances:
            np.maximum(power, x[part] == 0, out=power)
    return alive


def counts_if_alive(a: float | Array, c: Array, rho: Array, tau: Array, most: int) -> Array:
    """P(exactly k purchases in t | alive at T), k = 0 .. most, with p ~ Beta(a, c), tau = t / (alpha + T).

    [FHL] eq. 8 with the posterior's parameters: k purchases without dropping out, or dropping out at the k-th
    while the Poisson process would have gone on.

    Returns
    -------
    ndarray, shape (n, most + 1)
    """
    out = np.empty((len(c), most + 1))
    log_stay = np.zeros(len(c))
    for k in range(most + 1):
        out[:, k] = 0.0
        if k:
            # Stayed k - 1 times, then dropped out: B(a + 1, c + k - 1) / B(a, c).
            out[:, k] = np.exp(log_stay) * (a / (a + c + k - 1)) * nbd.at_least(k, rho, tau)
            log_stay += np.log((c + k - 1) / (a + c + k - 1))
        out[:, k] += np.exp(log_stay) * nbd.exactly(k, rho, tau)
    return out
