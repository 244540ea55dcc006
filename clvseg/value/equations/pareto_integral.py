"""The integral in the Pareto/NBD likelihood, and its moments, without hypergeometric functions.

With R = r + x the likelihood (see :mod:`clvseg.value.equations.pareto`) needs

    I = Int_tx^T (alpha + y)^-R (beta + y)^-(s + 1) dy.

In u = log(min(alpha, beta) + y) the log of the integrand is concave with its peak in closed form, so the
integral is cut where the integrand has dropped by e^-36 and summed by Gauss-Legendre, with more nodes the
further it drops. Every term is positive: nothing cancels, and heavy buyers do not overflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .quadrature import gauss
from .types import Array, rows_of

_DROP = 36.0
# (nodes, largest drop in logs, largest length in u): error below 1e-12 of the integral, see the tests.
_RULES = ((8, 3.0, 1.8), (16, 11.0, 5.0), (32, 37.0, 9.0))
# Nodes at a time, so that they stay in the cache.
BLOCK = 1 << 14
# Which products of (la, lb, ia, ib) are summed, in the order of the rows of `Moments.sums` after the first.
PRODUCTS = ((0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


@dataclass(frozen=True, slots=True)
class Moments:
    """Integrals over the time of dropout, each times exp(-log_scale).

    Attributes
    ----------
    log_scale : ndarray, shape (m,)
    sums : ndarray, shape (1, m) or (15, m)
        The integral itself; then, where asked for, with the factors la = log(alpha + y), lb = log(beta + y),
        ia = 1 / (alpha + y), ib = 1 / (beta + y), and with their products as in ``PRODUCTS``.
    """

    log_scale: Array
    sums: Array


def moments(parameters: Array, x: Array, t_x: Array, T: Array, *, all_moments: bool) -> Moments:
    """Integrate history by history.

    Parameters
    ----------
    parameters : ndarray, shape (4,) or (4, m)
        r, alpha, s, beta: of all histories, or one set for each.
    x, t_x, T : ndarray, shape (m,)
        Histories; t_x <= T.
    all_moments : bool
        With the fourteen further sums that derivatives need.
    """
    _, alpha, _, beta = parameters
    if parameters.ndim == 2 and np.any(alpha <= beta) and np.any(alpha > beta):
        return _by_order(parameters, x, t_x, T, all_moments)
    floor = np.minimum(alpha, beta)
    left, right = np.log(floor + t_x), np.log(floor + T)
    left, right, peak, drop = _cut(parameters, x, left, right)
    sums = np.zeros((15 if all_moments else 1, len(x)))
    length = right - left
    rule = np.zeros(len(x), dtype=np.int8)
    for _, deepest, longest in _RULES:
        rule += (drop > deepest) | (length > longest)
    # In the order of the rules, so that each rule's histories lie side by side.
    order = np.argsort(rule, kind="stable")
    x, left, length, height = x[order], left[order], length[order], peak[order]
    ordered = rows_of(parameters, order)
    ends = np.searchsorted(rule[order], np.arange(len(_RULES) + 2))
    for index, (begin, end) in enumerate(pairwise(ends)):
        nodes = _RULES[min(index, len(_RULES) - 1)][0]
        panels = 1 if index < len(_RULES) else 4
        step = max(1, BLOCK // nodes)
        for first in range(begin, end, step):
            part = slice(first, min(first + step, end))
            for panel in range(panels):
                low = left[part] + length[part] * (panel / panels)
                high = left[part] + length[part] * ((panel + 1) / panels)
                of_part = rows_of(ordered, part)
                sums[:, part] += panel_sums(of_part, x[part], low, high, height[part], nodes, all_moments)
    back = np.empty_like(sums)
    back[:, order] = sums
    return Moments(peak, back)


def _by_order(parameters: Array, x: Array, t_x: Array, T: Array, all_moments: bool) -> Moments:
    """Histories with alpha <= beta apart from the others, as the coordinate u is measured from the lesser."""
    below = parameters[1] <= parameters[3]
    log_scale, sums = np.empty(len(x)), np.empty((15 if all_moments else 1, len(x)))
    for rows in (np.flatnonzero(below), np.flatnonzero(~below)):
        part = moments(parameters[:, rows], x[rows], t_x[rows], T[rows], all_moments=all_moments)
        log_scale[rows], sums[:, rows] = part.log_scale, part.sums
    return Moments(log_scale, sums)


def panel_sums(
    parameters: Array, x: Array, left: Array, right: Array, reference: Array, nodes: int, all_moments: bool
) -> Array:
    """Sums of one panel each, left to right in u, in units of exp(reference)."""
    _, alpha, _, beta = parameters
    abscissas, weights = gauss(nodes)
    half = 0.5 * (right - left)
    u = left + half + half * abscissas[:, None]
    la, lb, log_value = _logs(parameters, x, u)
    weight = half * weights[:, None] * np.exp(log_value - reference)
    sums = np.empty((15 if all_moments else 1, u.shape[1]))
    sums[0] = _down(weight)
    if all_moments:
        y = np.exp(u) - np.minimum(alpha, beta)
        factors = (la, lb, 1 / (alpha + y), 1 / (beta + y))
        weighted = [weight * factor for factor in factors]
        for i, product in enumerate(weighted):
            product.sum(axis=0, out=sums[1 + i])
        for i, (one, other) in enumerate(PRODUCTS):
            np.einsum("ij,ij->j", weighted[one], factors[other], out=sums[5 + i])
    return sums


def _down(weight: Array) -> Array:
    """Sum over the nodes, so that a history alone and among others gives the same bits.

    numpy adds a single column pairwise, but several of them row by row.
    """
    return weight.sum(axis=0) if weight.shape[1] > 1 else weight.repeat(2, axis=1).sum(axis=0)[:1]


def _logs(parameters: Array, x: Array, u: Array) -> tuple[Array, Array, Array]:
    """log(alpha + y), log(beta + y) and the log-integrand at u."""
    r, alpha, s, beta = parameters
    further = np.log(np.exp(u) + abs(alpha - beta))
    la, lb = (u, further) if np.all(alpha <= beta) else (further, u)
    return la, lb, u - (r + x) * la - (s + 1) * lb


def _log_integrand(parameters: Array, x: Array, u: Array) -> Array:
    return _logs(parameters, x, u)[2]


def _cut(parameters: Array, x: Array, left: Array, right: Array) -> tuple[Array, Array, Array, Array]:
    """Shorten [left, right] to where the integrand counts; also the log of its height, and its drop."""
    _, alpha, s, beta = parameters
    peak = left.copy()
    if np.all(alpha <= beta):
        # The slope is 0 at the peak; where r + x is 1 or more it is negative throughout.
        rows = np.flatnonzero(parameters[0] + x < 1)
        r, alpha, s, beta = rows_of(parameters, rows)
        with np.errstate(divide="ignore"):
            top = np.log((beta - alpha) * (1 - r - x[rows]) / (r + x[rows] + s))
        peak[rows] = np.clip(top, left[rows], right[rows])
    at_left, at_right = (_log_integrand(parameters, x, u) for u in (left, right))
    height = np.maximum(at_left, at_right)
    rows = np.flatnonzero((peak > left) & (peak < right))
    height[rows] = _log_integrand(rows_of(parameters, rows), x[rows], peak[rows])
    left, at_left = _towards(parameters, x, left, at_left, peak, height - _DROP)
    right, at_right = _towards(parameters, x, right, at_right, peak, height - _DROP)
    return left, right, height, height - np.minimum(at_left, at_right)


def _towards(
    parameters: Array, x: Array, u: Array, value: Array, peak: Array, target: Array
) -> tuple[Array, Array]:
    """Newton steps towards the cut, from outside: a concave function's tangent never oversteps it.

    `value` is the log-integrand at u; both are given back where the steps end.
    """
    u, value = u.copy(), value.copy()
    rows = np.flatnonzero(target - value > 0.5)
    for _ in range(8):
        if not len(rows):
            break
        of_rows, at, top = rows_of(parameters, rows), u[rows], peak[rows]
        moved = at + (target[rows] - value[rows]) / _slope(of_rows, x[rows], at)
        u[rows] = np.where(at > top, np.maximum(moved, top), np.minimum(moved, top))
        value[rows] = _log_integrand(of_rows, x[rows], u[rows])
        rows = rows[target[rows] - value[rows] > 0.5]
    return u, value


def _slope(parameters: Array, x: Array, u: Array) -> Array:
    """Of the log-integrand."""
    r, alpha, s, beta = parameters
    near, far = (r + x, s + 1) if np.all(alpha <= beta) else (s + 1, r + x)
    return 1 - near - far / (1 + abs(alpha - beta) * np.exp(-u))
