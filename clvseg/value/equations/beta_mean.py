"""Expected purchases of a living customer in the BG/NBD and MBG/NBD, without hypergeometric functions.

A living customer who buys at rate lambda and drops out with p after each purchase makes
(1 - exp(-lambda p t)) / p purchases in t. With lambda ~ Gamma(rho, alpha + T) that is
(1 - (1 + p tau)^-rho) / p, tau = t / (alpha + T); what remains is its mean over p ~ Beta(a, c).
Fader, Hardie & Lee (2005), eq. 10, is the same number through 2F1, which loses all digits near a = 1 and
overflows for heavy buyers.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, log_expit

from .quadrature import gauss
from .types import Array

_NODES, _WEIGHTS = gauss(12)
_PANEL = 2.75
# A Gaussian peak between its cuts needs as many.
_FEWEST = 9
# Log of the share of the integrand's height that is not worth integrating.
_DROP = 40.0
# Below this share of the integrand's own scale its tail is integrated by the first two terms of its series.
_TAIL = 1e-6
# Variance of logit p, about 1/a + 1/c, below which p is as good as known: then the density loses its digits.
_SURE = 1e-6


def mean_over_dropout(a: float | Array, c: Array, rho: Array, tau: Array) -> Array:
    """E over p ~ Beta(a, c) of (1 - (1 + p tau)^-rho) / p.

    Gauss-Legendre panels over logit p between the points where the Beta density has dropped by e^-40, with
    both tails in closed form where they are long.

    Parameters
    ----------
    a : float or ndarray, shape (n,)
        First shape of the Beta distribution.
    c, rho, tau : ndarray, shape (n,)
        Second shape; shape of the purchase rate; horizon over (alpha + T).

    Returns
    -------
    ndarray, shape (n,)
        Between 0 and rho * tau.
    """
    out = np.empty(len(c))
    for begin in range(0, len(c), 1024):
        part = slice(begin, begin + 1024)
        first = a[part] if isinstance(a, np.ndarray) and a.ndim else a
        out[part] = _integrate(first, c[part], rho[part], tau[part])
    sure = 1 / a + 1 / c < _SURE
    if sure.any():
        p, bought = a / (a + c), -np.expm1(-rho * np.log1p(a / (a + c) * tau))
        out = np.where(sure, bought / p, out)
    return np.clip(out, 0, rho * tau)


def _integrate(a: float | Array, c: Array, rho: Array, tau: Array) -> Array:
    left, right = cuts(a, c, _DROP)
    steep = 1 / (1 + c + (rho + 1) * tau)
    left_tail = np.log(_TAIL * steep)
    right_tail = -np.log(_TAIL / (1 + a + np.minimum(rho * tau, 1e6)))
    left, cut_left = np.maximum(left, left_tail), left < left_tail
    right, cut_right = np.minimum(right, right_tail), right > right_tail
    panels = max(_FEWEST, int(np.ceil((right - left).max() / _PANEL)))
    edges = left + (right - left) * np.linspace(0, 1, panels + 1)[:, None]
    half = 0.5 * np.diff(edges, axis=0)
    middle = edges[:-1] + half
    u = (middle[:, None] + half[:, None] * _NODES[:, None]).reshape(-1, len(c))
    weight = (half[:, None] * _WEIGHTS[:, None]).reshape(-1, len(c))
    log_p = log_expit(u)
    purchases = -np.expm1(-rho * np.log1p(np.exp(log_p) * tau))
    norm = betaln(a, c)
    total = (weight * purchases * np.exp((a - 1) * log_p + c * log_expit(-u) - norm)).sum(axis=0)
    slope = (c - 1) + 0.5 * (rho + 1) * tau
    log_p = np.where(cut_left, log_expit(left), -np.inf)
    total += rho * tau * np.exp(a * log_p - norm) * (1 / a - slope * np.exp(log_p) / (a + 1))
    log_q = np.where(cut_right, log_expit(-right), -np.inf)
    certain = -np.expm1(-rho * np.log1p(tau))
    slope = (a - 2) + rho * tau * np.exp(-(rho + 1) * np.log1p(tau)) / np.maximum(certain, 1e-300)
    return total + certain * np.exp(c * log_q - norm) * (1 / c - slope * np.exp(log_q) / (c + 1))


def cuts(a: float | Array, c: Array, drop: float) -> tuple[Array, Array]:
    """Where a log p + c log(1-p), concave in logit p, has dropped by `drop` on either side of its peak."""
    peak = np.log(a) - np.log(c)
    height = a * log_expit(peak) + c * log_expit(-peak)

    def cut(sign: float) -> Array:
        near, far = np.zeros_like(c), np.minimum(1.0, 1.5 * np.sqrt(2 * drop * (1 / a + 1 / c)))
        for _ in range(80):
            low = a * log_expit(peak + sign * far) + c * log_expit(-peak - sign * far) > height - drop
            if not low.any():
                break
            far = np.where(low, 2 * far, far)
        for _ in range(5):
            middle = 0.5 * (near + far)
            inside = a * log_expit(peak + sign * middle) + c * log_expit(-peak - sign * middle)
            inside = inside > height - drop
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
        return peak + sign * far

    return cut(-1.0), cut(1.0)
