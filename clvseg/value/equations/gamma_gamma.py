"""Gamma-Gamma model of spend: likelihood with derivatives, and the expected spend.

A customer's orders are Gamma(p, nu) with nu ~ Gamma(q, v); x orders of mean m are seen. Fader & Hardie
(2013), "The Gamma-Gamma model of monetary value" [FH13], eq. 1a for the likelihood and eq. 5 for
the expectation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, gammaincinv, gammaln, polygamma

from .counts import order_by
from .types import Array

_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class SpendCounts:
    """Orders and mean spend, sorted by the number of orders.

    Attributes
    ----------
    x, mean : ndarray, shape (m,)
        Number of orders, and their mean in units of `scale`.
    total : ndarray, shape (m,)
        x times mean.
    weight : ndarray, shape (m,)
        Customers with this row.
    edges : ndarray of int, shape (g,)
        First row of each distinct x.
    group_weight, group_constant : ndarray, shape (g,)
        For each distinct x: customers; sum of weight times log total.
    log_mean : float
        Sum of weight times log mean.
    scale : float
        Money in one unit.
    """

    x: Array
    mean: Array
    total: Array
    weight: Array
    edges: Array
    group_weight: Array
    group_constant: Array
    log_mean: float
    scale: float


def count_spend(
    x: Array, mean: Array, weight: Array | None = None, scale: float | None = None
) -> SpendCounts:
    """Sort by the number of orders, scale money by the median and prepare what no parameter enters."""
    order = order_by(x) if weight is None else slice(None)
    x, mean = x[order], mean[order]
    scale = float(np.median(mean)) if scale is None else scale
    mean = mean / scale
    weight = np.ones(len(x)) if weight is None else weight
    edges = np.flatnonzero(np.diff(x, prepend=-1.0))
    total = x * mean
    log_total = np.add.reduceat(weight * np.log(total), edges)
    sums = np.add.reduceat(weight, edges)
    return SpendCounts(x, mean, total, weight, edges, sums, log_total, float(weight @ np.log(mean)), scale)


def log_likelihood(parameters: Array, spend: SpendCounts) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (p, q, v). [FH13] eq. 1a.

    Returns
    -------
    value : float
    gradient : ndarray, shape (3,)
    hessian : ndarray, shape (3, 3)
    """
    p, q, v = parameters
    x, w = spend.x[spend.edges], spend.group_weight
    n = w.sum()
    logs, inverse, square = _group_sums(spend, v)
    shape = p * x + q
    value = w @ (gammaln(shape) - gammaln(p * x)) + n * (q * np.log(v) - gammaln(q))
    value += p * (x @ spend.group_constant) - spend.log_mean - shape @ logs
    gradient = np.empty(3)
    gradient[0] = w @ (x * (digamma(shape) - digamma(p * x))) + x @ spend.group_constant - x @ logs
    gradient[1] = w @ digamma(shape) + n * (np.log(v) - digamma(q)) - logs.sum()
    gradient[2] = n * q / v - shape @ inverse
    hessian = np.empty((3, 3))
    second = polygamma(1, shape)
    hessian[0, 0] = w @ (x**2 * (second - polygamma(1, p * x)))
    hessian[0, 1] = hessian[1, 0] = w @ (x * second)
    hessian[0, 2] = hessian[2, 0] = -x @ inverse
    hessian[1, 1] = w @ second - n * polygamma(1, q)
    hessian[1, 2] = hessian[2, 1] = n / v - inverse.sum()
    hessian[2, 2] = -n * q / v**2 + shape @ square
    return float(value / n), gradient / n, hessian / n


def log_likelihood_by_frequency(parameters: Array, spend: SpendCounts) -> tuple[float, Array, Array]:
    """As `log_likelihood`, where spend depends on the number of orders: in (p, q, v, doubling).

    The mean of x orders is x^g, g = log2(doubling), times a mean that follows [FH13] eq. 1a.

    Returns
    -------
    value : float
    gradient : ndarray, shape (4,)
    hessian : ndarray, shape (4, 4)
    """
    v, doubling = parameters[2:]
    x, w = spend.x[spend.edges], spend.group_weight
    log_x, n = np.log(x), w.sum()
    power = np.log2(doubling)
    total = spend.total * spend.x**-power
    rest = replace(spend, total=total, group_constant=spend.group_constant - power * log_x * w)
    gradient, hessian = np.zeros(4), np.zeros((4, 4))
    value, gradient[:3], hessian[:3, :3] = log_likelihood(parameters[:3], rest)
    shape = parameters[0] * x + parameters[1]
    held = total / (v + total)
    known, doubt, by_v = (
        np.add.reduceat(spend.weight * one, spend.edges)
        for one in (held, held * (1 - held), held / (v + total))
    )
    slope = -(log_x @ (parameters[0] * x * w - shape * known)) / n
    # From g to doubling.
    rate = 1 / (doubling * np.log(2))
    gradient[3] = rate * slope
    hessian[3, :3] = rate / n * np.array([-(log_x * x) @ (w - known), log_x @ known, -(log_x * shape) @ by_v])
    hessian[:3, 3] = hessian[3, :3]
    hessian[3, 3] = -(rate**2) * ((log_x**2 * shape) @ doubt) / n - rate * slope / doubling
    return value, gradient, hessian


def _group_sums(spend: SpendCounts, v: float) -> tuple[Array, Array, Array]:
    """Per number of orders: sums of log(total + v), 1 / (total + v) and its square."""
    shifted = spend.total + v
    logs = spend.weight * np.log(shifted)
    inverse = 1 / shifted
    weighted = spend.weight * inverse
    edges = spend.edges
    return (
        np.add.reduceat(logs, edges),
        np.add.reduceat(weighted, edges),
        np.add.reduceat(weighted * inverse, edges),
    )


def expected_spend(parameters: Array, x: Array, mean: Array) -> Array:
    """Posterior mean of a customer's mean spend, [FH13] eq. 5; needs q > 1.

    Returns
    -------
    ndarray, shape (n,)
    """
    p, q, v = parameters
    return p * (v + x * mean) / (p * x + q - 1)


def median_spend(parameters: Array, x: Array, mean: Array) -> Array:
    """Posterior median of a customer's mean spend p / nu, nu ~ Gamma(p x + q, v + x mean): exists for q <= 1.

    Returns
    -------
    ndarray, shape (n,)
        inf where the posterior is so wide that its median overflows.
    """
    p, q, v = parameters
    with np.errstate(divide="ignore"):
        return p * (v + x * mean) / gammaincinv(p * x + q, 0.5)
