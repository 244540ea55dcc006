"""BG/BB and shifted beta-geometric: purchases and renewals at fixed opportunities.

[FHS] Fader, Hardie & Shang (2010), "Customer-base analysis in a discrete-time noncontractual setting",
Marketing Science 29(6). [FH07] Fader & Hardie (2007), "How to project customer retention", Journal of
Interactive Marketing 21(1).
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, digamma, polygamma

from .types import Array


def bgbb_log_terms(parameters: Array, x: Array, t_x: Array, n: Array) -> Array:
    """Logs of the likelihood's terms, [FHS] eq. 5: alive through n, or gone after period t_x + i.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        alpha, beta (purchase), gamma, delta (dropout).
    x, t_x, n : ndarray, shape (m,)
        Periods with a purchase, the last of them, and periods.

    Returns
    -------
    ndarray, shape (m, 1 + max(n - t_x))
        -inf where a history has no such term.
    """
    alpha, beta, gamma, delta = parameters
    last, dropped, exists = _periods(t_x, n)
    terms = betaln(alpha + x[:, None], beta + last - x[:, None]) - betaln(alpha, beta)
    terms += betaln(gamma + dropped, delta + last) - betaln(gamma, delta)
    return np.where(exists, terms, -np.inf)


def _periods(t_x: Array, n: Array) -> tuple[Array, Array, Array]:
    """Per term: last period alive, 1 where dropout follows, and whether the history has the term."""
    i = np.arange(int((n - t_x).max(initial=0)))
    exists = i < (n - t_x)[:, None]
    last = np.minimum(t_x[:, None] + i, n[:, None])
    ones = np.ones((len(n), 1))
    return (
        np.hstack([n[:, None], last]),
        np.concatenate([[0], np.ones(len(i))]),
        np.hstack([ones > 0, exists]),
    )


def bgbb_log_likelihood(
    parameters: Array, x: Array, t_x: Array, n: Array, weight: Array
) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (alpha, beta, gamma, delta)."""
    alpha, beta, gamma, delta = parameters
    terms = bgbb_log_terms(parameters, x, t_x, n)
    top = terms.max(axis=1)
    total = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
    share = np.exp(terms - total[:, None])
    last, dropped, _ = _periods(t_x, n)
    bought = x[:, None] + 0 * last
    first, second = np.zeros((4, *last.shape)), np.zeros((4, 4, *last.shape))
    pairs = (
        (0, alpha, bought, beta, last - bought),
        (2, gamma, dropped + 0 * last, delta, last),
    )
    for at, one, more_one, two, more_two in pairs:
        both = digamma(one + two) - digamma(one + two + more_one + more_two)
        first[at] = digamma(one + more_one) - digamma(one) + both
        first[at + 1] = digamma(two + more_two) - digamma(two) + both
        both = polygamma(1, one + two) - polygamma(1, one + two + more_one + more_two)
        second[at, at] = polygamma(1, one + more_one) - polygamma(1, one) + both
        second[at + 1, at + 1] = polygamma(1, two + more_two) - polygamma(1, two) + both
        second[at, at + 1] = second[at + 1, at] = both
    mean = (first * share).sum(axis=2)
    spread = np.einsum("imt,jmt,mt->ijm", first, first, share) - mean[:, None] * mean[None]
    hessian = (second * share).sum(axis=3) + spread
    size = weight.sum()
    return float(weight @ total / size), mean @ weight / size, hessian @ weight / size


def bgbb_purchases(parameters: Array, x: Array, t_x: Array, n: Array, ahead: Array) -> Array:
    """P(a purchase in period n + `ahead` | history), the terms of [FHS] eq. 13.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        alpha, beta, gamma, delta.
    x, t_x, n : ndarray, shape (m,)
        Periods with a purchase, the last of them, and periods.
    ahead : ndarray, shape (p,)
        1 or more.

    Returns
    -------
    ndarray, shape (m, p)
    """
    alpha, beta, gamma, delta = parameters
    total = np.logaddexp.reduce(bgbb_log_terms(parameters, x, t_x, n), axis=1)
    base = betaln(alpha + x + 1, beta + n - x) - betaln(alpha, beta) - betaln(gamma, delta) - total
    return np.exp(base[:, None] + betaln(gamma, delta + n[:, None] + ahead))


def bgbb_staying(parameters: Array, n: Array, ahead: Array | int) -> Array:
    """P(still a customer `ahead` periods after n | alive in n): E (1 - theta)^ahead, a posteriori.

    Parameters
    ----------
    parameters : ndarray, shape (4,)
        alpha, beta, gamma, delta.
    n, ahead : ndarray
        Broadcast against each other.
    """
    _, _, gamma, delta = parameters
    return np.exp(betaln(gamma, delta + n + ahead) - betaln(gamma, delta + n))


def bgbb_counts_if_alive(parameters: Array, x: Array, n: Array, periods: int, most: int) -> Array:
    """P(exactly k purchases in the next `periods` | alive in n), k = 0 .. most.

    A beta-binomial number over the periods lived: all of them, or fewer before dropping out.

    Returns
    -------
    ndarray, shape (m, most + 1)
    """
    alpha, beta, _, _ = parameters
    k = np.arange(most + 1)
    one, two = alpha + x[:, None], beta + (n - x)[:, None]
    out = np.zeros((len(x), most + 1))
    for lived in range(periods + 1):
        reach = bgbb_staying(parameters, n, lived)
        if lived < periods:
            reach = reach - bgbb_staying(parameters, n, lived + 1)
        some = k <= lived
        ways = betaln(lived - k[some] + 1, k[some] + 1) + np.log(lived + 1)
        chance = betaln(one + k[some], two + lived - k[some]) - betaln(one, two) - ways
        out[:, some] += reach[:, None] * np.exp(chance)
    return out


def bgbb_first_purchase(parameters: Array, x: Array, n: Array, ahead: Array) -> Array:
    """P(the next purchase is in period n + `ahead` | alive in n).

    E (1 - theta)^ahead times E p (1 - p)^(ahead - 1), a posteriori.

    Returns
    -------
    ndarray, shape (m, len(ahead))
    """
    alpha, beta, _, _ = parameters
    one, two = alpha + x[:, None], beta + (n - x)[:, None]
    first = np.exp(betaln(one + 1, two + ahead - 1) - betaln(one, two))
    return bgbb_staying(parameters, n[:, None], ahead) * first


def sbg_log_likelihood(parameters: Array, lost: Array, kept: Array) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in (alpha, beta), [FH07] eq. 3 and 5.

    Parameters
    ----------
    parameters : ndarray, shape (2,)
        alpha, beta of the churn probability.
    lost : ndarray, shape (periods,)
        Customers lost in period 1, 2, ...: P(T = t) = B(alpha + 1, beta + t - 1) / B(alpha, beta).
    kept : ndarray, shape (periods,)
        Customers last seen alive at the end of period 1, 2, ...: S(t) = B(alpha, beta + t) / B(alpha, beta).
    """
    alpha, beta = parameters
    t = np.arange(1, len(lost) + 1)
    value, gradient, hessian = 0.0, np.zeros(2), np.zeros((2, 2))
    for weight, plus, more in ((lost, 1, t - 1), (kept, 0, t)):
        value += weight @ (betaln(alpha + plus, beta + more) - betaln(alpha, beta))
        both = digamma(alpha + beta) - digamma(alpha + beta + plus + more)
        gradient[0] += weight @ (digamma(alpha + plus) - digamma(alpha) + both)
        gradient[1] += weight @ (digamma(beta + more) - digamma(beta) + both)
        both = polygamma(1, alpha + beta) - polygamma(1, alpha + beta + plus + more)
        hessian[0, 0] += weight @ (polygamma(1, alpha + plus) - polygamma(1, alpha) + both)
        hessian[1, 1] += weight @ (polygamma(1, beta + more) - polygamma(1, beta) + both)
        hessian[0, 1] += weight @ both
    hessian[1, 0] = hessian[0, 1]
    size = lost.sum() + kept.sum()
    return float(value / size), gradient / size, hessian / size


def sbg_survival(parameters: Array, t: Array) -> Array:
    """P(still a customer after t periods), [FH07] eq. 6.

    Returns
    -------
    ndarray, shape (n,)
    """
    alpha, beta = parameters
    return np.exp(betaln(alpha, beta + t) - betaln(alpha, beta))
