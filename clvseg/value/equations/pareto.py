"""Pareto/NBD: likelihood with derivatives, and what follows from it.

    L = Gamma(r+x)/Gamma(r) alpha^r beta^s { (alpha+T)^-(r+x) (beta+T)^-s + s I }

with I the integral over the time of dropout (:mod:`clvseg.value.equations.pareto_integral`): Schmittlein,
Morrison & Colombo (1987), Management Science 33(1), in the form of Fader & Hardie (2005), "A note on deriving
the Pareto/NBD model and related expressions" [FH], eq. 14 to 20. Time is in any unit, the same as that of
alpha and beta.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import digamma, exprel, gammaln, polygamma

from . import nbd
from .counts import CHUNK, Counts
from .pareto_integral import PRODUCTS, Moments, moments
from .pareto_table import table_moments
from .quadrature import horizon_nodes
from .types import Array, rows_of

_CHUNK = 4_096
# Longest time looked at, as log(1 + time / alpha).
_LONGEST = 30.0
# Rows in `Moments.sums` of la, ia, lb, ib, and of their products.
_FIRST = np.array([1, 3, 2, 4])
_ROW = np.zeros((4, 4), dtype=int)
for _row, (_one, _other) in enumerate(PRODUCTS, start=5):
    _i, _j = list(_FIRST).index(_one + 1), list(_FIRST).index(_other + 1)
    _ROW[_i, _j] = _ROW[_j, _i] = _row


def log_likelihood(parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (r, alpha, s, beta).

    The derivatives are moments of the mixture over "alive" and the time of dropout.

    Returns
    -------
    value : float
    gradient : ndarray, shape (4,)
    hessian : ndarray, shape (4, 4)
    """
    r, alpha, s, beta = parameters
    distinct, w = counts.x[counts.edges], np.add.reduceat(counts.weight, counts.edges)
    n = counts.n
    value = float(w @ (gammaln(r + distinct) - gammaln(r))) + n * float(r * np.log(alpha) + s * np.log(beta))
    gradient = np.array(
        [w @ (digamma(r + distinct) - digamma(r)) + n * np.log(alpha), n * r / alpha, 0.0, 0.0]
    )
    gradient[2:] = n * np.log(beta), n * s / beta
    hessian = np.zeros((4, 4))
    hessian[0, 0] = w @ (polygamma(1, r + distinct) - polygamma(1, r))
    hessian[0, 1] = hessian[1, 0] = n / alpha
    hessian[1, 1] = -n * r / alpha**2
    hessian[2, 3] = hessian[3, 2] = n / beta
    hessian[3, 3] = -n * s / beta**2
    for rows, found in _all_moments(parameters, counts):
        more = _mixture(parameters, counts.x[rows], counts.T[rows], counts.weight[rows], found)
        value += more[0]
        gradient += more[1]
        hessian += more[2]
    return value / n, gradient / n, hessian / n


def _all_moments(parameters: Array, counts: Counts) -> Iterator[tuple[slice | Array, Moments]]:
    """Moments of every history, in chunks: from a table where many share x, else one by one."""
    done = np.zeros(len(counts.x), dtype=bool)
    yield from table_moments(parameters, counts, done)
    rest = np.flatnonzero(~done)
    for begin in range(0, len(rest), _CHUNK):
        rows = rest[begin : begin + _CHUNK]
        yield rows, moments(parameters, counts.x[rows], counts.t_x[rows], counts.T[rows], all_moments=True)


def row_derivatives(parameters: Array, x: Array, t_x: Array, T: Array) -> tuple[Array, Array, Array]:
    """Log-likelihood of each history, with its derivatives in its own (r, alpha, s, beta).

    Parameters
    ----------
    parameters : ndarray, shape (4, m)
        One set per history.
    x, t_x, T : ndarray, shape (m,)
        Histories.

    Returns
    -------
    value : ndarray, shape (m,)
    gradient : ndarray, shape (4, m)
    hessian : ndarray, shape (4, 4, m)
    """
    r, alpha, s, beta = parameters
    found = moments(parameters, x, t_x, T, all_moments=True)
    value, gradient, hessian = _mixture_rows(parameters, x, T, found)
    value += gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    gradient += np.stack(
        [digamma(r + x) - digamma(r) + np.log(alpha), r / alpha, np.log(beta), s / beta]
    )  # fmt: skip
    hessian[0, 0] += polygamma(1, r + x) - polygamma(1, r)
    hessian[1, 1] -= r / alpha**2
    hessian[3, 3] -= s / beta**2
    for i, more in ((0, 1 / alpha), (2, 1 / beta)):
        hessian[i, i + 1] += more
        hessian[i + 1, i] += more
    return value, gradient, hessian


def _mixture(parameters: Array, x: Array, T: Array, w: Array, found: Moments) -> tuple[float, Array, Array]:
    """Weighted sum of log(alive + dropped out) with its derivatives; one set of parameters for all."""
    r, _, s, _ = parameters
    value, mean, end, atom, alive, gone = _weigh(parameters, x, T, found)
    shape, held = r + x, w * alive
    # Sums over histories of each moment times 1, r + x, (r + x)^2.
    sums = found.sums @ ((w * gone)[:, None] * shape[:, None] ** np.arange(3))
    scale, power = np.array([-1.0, -1.0, -1.0, -(s + 1)]), np.array([0, 1, 0, 0])
    first = scale * sums[_FIRST, power]
    hessian = scale[:, None] * scale * sums[_ROW, power[:, None] + power]
    hessian[2] += first / s
    hessian[:, 2] += first / s
    hessian += (atom * held) @ atom.T - (mean * w) @ mean.T
    of_alpha, of_beta = sums[3, 0] + held @ end[1], sums[4, 0] + held @ end[3]
    hessian[[0, 1], [1, 0]] -= of_alpha
    hessian[[2, 3], [3, 2]] -= of_beta
    hessian[1, 1] += sums[_ROW[1, 1], 1] + (held * shape) @ end[1] ** 2
    hessian[3, 3] += (s + 1) * sums[_ROW[3, 3], 0] + s * (held @ end[3] ** 2)
    return float(w @ value), mean @ w, 0.5 * (hessian + hessian.T)


def _mixture_rows(parameters: Array, x: Array, T: Array, found: Moments) -> tuple[Array, Array, Array]:
    """Log(alive + dropped out) of each history with its derivatives, history last."""
    r, _, s, _ = parameters
    value, mean, end, atom, alive, gone = _weigh(parameters, x, T, found)
    shape, sums = r + x, found.sums * gone
    one = np.ones(len(x))
    scale = np.stack([-one, -shape, -one, -(s + 1) * one])
    first = scale * sums[_FIRST]
    hessian = scale[:, None] * scale * sums[_ROW]
    hessian[2] += first / s
    hessian[:, 2] += first / s
    hessian += alive * atom[:, None] * atom - mean[:, None] * mean
    hessian[[0, 1], [1, 0]] -= sums[3] + alive * end[1]
    hessian[[2, 3], [3, 2]] -= sums[4] + alive * end[3]
    hessian[1, 1] += shape * (sums[_ROW[1, 1]] + alive * end[1] ** 2)
    hessian[3, 3] += (s + 1) * sums[_ROW[3, 3]] + s * alive * end[3] ** 2
    return value, mean, hessian


def _weigh(
    parameters: Array, x: Array, T: Array, found: Moments
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Both derivatives' common part, history by history.

    Returns
    -------
    value : ndarray, shape (m,)
        Log(alive + dropped out).
    mean : ndarray, shape (4, m)
        Its gradient.
    end : ndarray, shape (4, m)
        la, ia, lb, ib at T: in the order of the parameters whose derivatives bring them in.
    atom : ndarray, shape (4, m)
        Gradient of log "alive".
    alive, gone : ndarray, shape (m,)
        P(alive), and what `found.sums` is multiplied by to become P(dropped out) and its moments.
    """
    r, alpha, s, beta = parameters
    shape = r + x
    end = np.stack([np.log(alpha + T), 1 / (alpha + T), np.log(beta + T), 1 / (beta + T)])
    log_alive = -shape * end[0] - s * end[2]
    top = np.maximum(log_alive, found.log_scale)
    alive = np.exp(log_alive - top)
    gone = s * np.exp(found.log_scale - top)
    total = alive + gone * found.sums[0]
    alive /= total
    gone /= total
    atom = -end
    atom[1] *= shape
    atom[3] *= s
    mean = found.sums[_FIRST] * -gone
    mean[1] *= shape
    mean[2] += found.sums[0] * gone / s
    mean[3] *= s + 1
    mean += alive * atom
    return np.log(total) + top, mean, end, atom, alive, gone


def log_terms(parameters: Array, x: Array, t_x: Array, T: Array) -> tuple[Array, Array]:
    """Logs of the braces' two terms: "still alive" and "dropped out before T".

    Returns
    -------
    alive, gone : ndarray, shape (n,)
    """
    r, alpha, s, beta = parameters
    alive = -(r + x) * np.log(alpha + T) - s * np.log(beta + T)
    gone = np.empty_like(alive)
    for begin in range(0, len(x), CHUNK):
        part = slice(begin, begin + CHUNK)
        found = moments(rows_of(parameters, part), x[part], t_x[part], T[part], all_moments=False)
        with np.errstate(divide="ignore"):
            gone[part] = np.log(found.sums[0]) + found.log_scale
    return alive, gone + np.log(s)


def probability_alive(parameters: Array, x: Array, t_x: Array, T: Array) -> Array:
    """P(still a customer at T | history): [FH] eq. 26, as share of the first term of the likelihood.

    Returns
    -------
    ndarray, shape (n,)
    """
    alive, gone = log_terms(parameters, x, t_x, T)
    return 1 / (1 + np.exp(np.minimum(gone - alive, 700)))


def probability_none(parameters: Array, x: Array, t_x: Array, T: Array, t: float) -> Array:
    """P(no purchase in (T, T + t] | history) = L(x, t_x, T + t) / L(x, t_x, T).

    The integral up to T + t is that up to T and one from there on, which is short.

    Returns
    -------
    ndarray, shape (n,)
    """
    alive, gone = log_terms(parameters, x, t_x, T)
    later = np.logaddexp(*log_terms(parameters, x, T, T + t))
    return np.exp(np.minimum(np.logaddexp(gone, later) - np.logaddexp(gone, alive), 0))


def purchases_if_alive(parameters: Array, x: Array, T: Array, t: float) -> Array:
    """Expected purchases in (T, T + t] of a living customer: [FH] eq. 28 without P(alive), right at s = 1.

    Returns
    -------
    ndarray, shape (n,)
    """
    r, alpha, s, beta = parameters
    length = np.log1p(t / (beta + T))
    return (r + x) * ((beta + T) / (alpha + T)) * length * exprel(-(s - 1) * length)


def discounted_if_alive(parameters: Array, x: Array, T: Array, t: float, rate: float) -> Array:
    """Purchases in (T, T + t] of a living customer, each discounted continuously at `rate`.

    Fader, Hardie & Lee (2005), Journal of Marketing Research 42(4), eq. 3, over a finite horizon: the
    purchase intensity (r+x)/(alpha+T) (1 + u/(beta+T))^-s, by Gauss-Legendre over log(beta + T + u).

    Returns
    -------
    ndarray, shape (n,)
    """
    r, alpha, _, beta = parameters
    if parameters.ndim == 1:
        start, place = np.unique(beta + T, return_inverse=True)
    else:
        start, place = beta + T, np.arange(len(T))
    total = np.zeros(len(start))
    for begin in range(0, len(start), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        s = rows_of(parameters, part)[2]
        for time, weight in horizon_nodes(start[part] / np.maximum(1.0, s), t, rate):
            total[part] += weight * np.exp(-s * np.log1p(time / start[part]))
    return (r + x) / (alpha + T) * total[place]


def counts_if_alive(parameters: Array, x: Array, T: Array, t: float, most: int) -> Array:
    """P(exactly k purchases in (T, T + t] | alive at T), k = 0 .. most.

    Fader & Hardie (2006), "Deriving an expression for P(X(t) = x) under the Pareto/NBD model", with the
    posterior's parameters, by quadrature over the time of dropout instead of 2F1.

    Returns
    -------
    ndarray, shape (n, most + 1)
    """
    r, alpha, s, beta = parameters
    rho, scale = r + x, alpha + T
    k = np.arange(most + 1)

    def bought(u: Array) -> Array:
        return nbd.exactly(k, rho[:, None], (u / scale)[:, None])

    total = np.exp(-s * np.log1p(t / (beta + T)))[:, None] * bought(np.full_like(T, t))
    start = np.minimum(beta + T, scale / rho)
    for u, weight in horizon_nodes(start, t, 0.0):
        gone = s / (beta + T) * np.exp(-(s + 1) * np.log1p(u / (beta + T)))
        total += (weight * gone)[:, None] * bought(u)
    return total


def median_wait(parameters: Array, x: Array, T: Array) -> Array:
    """Median time to the next purchase of a customer alive at T who makes one before dropping out.

    Its density is proportional to (alpha+T+u)^-(r+x+1) (beta+T+u)^-s, the integrand of the likelihood with r
    one more and s one less; solved by bisection in log(1 + u / (alpha + T)).

    Returns
    -------
    ndarray, shape (n,)
    """
    r, alpha, s, beta = parameters
    shifted = np.array([r + 1, alpha, s - 1, beta])
    start = alpha + T

    def log_integral(v: Array) -> Array:
        found = moments(shifted, x, T, T + start * np.expm1(v), all_moments=False)
        with np.errstate(divide="ignore"):
            return np.log(found.sums[0]) + found.log_scale

    # Beyond it the density has dropped by e^-40.
    high = np.minimum(np.log1p((alpha + beta) / start) + 40 / (r + x + s), _LONGEST)
    target = log_integral(high) - np.log(2)
    low = np.zeros_like(high)
    for _ in range(40):
        middle = 0.5 * (low + high)
        early = log_integral(middle) < target
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    return start * np.expm1(high)
