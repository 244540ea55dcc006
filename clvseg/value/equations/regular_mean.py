"""Expected purchases of a living customer in the MBG/CNBD-k.

A living customer j stages after the last purchase, at stage rate lambda and dropping out with p, makes M =
floor((N + j) / k) purchases in t if none of them ends it, N being Poisson(lambda t). With q = 1 - p that is
(1 - E q^M) / p purchases. q^floor((n + j) / k) is periodic in n but for a factor, so it is a sum over the k
complex roots z of q: sum_l c_l z_l^(n + j), c_l = (1 - 1/q) / (k (1 - 1/z_l)). Its mean over N and over
lambda ~ Gamma(rho, alpha + T) is sum_l c_l z_l^j (1 + tau (1 - z_l))^-rho, tau = t / (alpha + T); the mean
over p ~ Beta(a, c) remains. With k = 1 all is :func:`clvseg.value.equations.beta_mean.mean_over_dropout`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, exprel, log_expit

from .beta_mean import cuts
from .quadrature import gauss
from .types import Array

_NODES, _WEIGHTS = gauss(12)
_PANEL = 2.75
_FEWEST = 9
_DROP = 40.0
# Below this share of its own scale in p the number of purchases is constant.
_TAIL = 1e-12


def mean_over_dropout(a: float, c: Array, rho: Array, tau: Array, k: int, j: int) -> Array:
    """E over p ~ Beta(a, c) of (1 - E q^M) / p, j stages after the last purchase.

    Gauss-Legendre panels over logit p between the points where the Beta density has dropped by e^-40, the
    left tail in closed form where it is long.

    Parameters
    ----------
    a : float
        First shape of the Beta distribution.
    c, rho, tau : ndarray, shape (n,)
        Second shape, above 1; shape of the stage rate; horizon over (alpha + T).
    k, j : int
        Stages per purchase; stages passed.

    Returns
    -------
    ndarray, shape (n,)
        Between 0 and (rho * tau + j) / k.
    """
    out = np.empty(len(c))
    for begin in range(0, len(c), 256):
        part = slice(begin, begin + 256)
        out[part] = _integrate(a, c[part], rho[part], tau[part], k, j)
    return np.clip(out, 0, (rho * tau + j) / k)


def _integrate(a: float, c: Array, rho: Array, tau: Array, k: int, j: int) -> Array:
    left, right = cuts(a, c, _DROP)
    left_tail = np.log(_TAIL / (1 + c + (rho + 1) * tau))
    left, cut_left = np.maximum(left, left_tail), left < left_tail
    panels = max(_FEWEST, int(np.ceil((right - left).max() / _PANEL)))
    half = (right - left) * (0.5 / panels)
    places = (2 * np.arange(panels)[:, None] + 1 + _NODES).ravel()
    u = left + half * places[:, None]
    norm = betaln(a, c)
    density = np.exp(a * log_expit(u) + c * log_expit(-u) - norm) * purchases(u, rho, tau, k, j)
    total = half * (np.tile(_WEIGHTS, panels) @ density)
    mass = np.exp(np.where(cut_left, a * log_expit(left) - norm, -np.inf)) / a
    return total + mass * purchases(left, rho, tau, k, j)


def purchases(u: Array, rho: Array, tau: Array, k: int, j: int) -> Array:
    """(1 - E q^M) / p at logit p = `u`: expected purchases of one with dropout probability p."""
    log_q = log_expit(-u)
    gone = -log_q
    step = np.expm1(log_q / k)
    # The real root, as exponent: every part is small where p is.
    log_first = _log_ratio(gone, k) + j * log_q / k - rho * np.log1p(-tau * step)
    missing = -np.expm1(log_first)
    top = -np.expm1(gone) / k
    for one in range(1, k // 2 + 1):
        log_z = log_q / k + 2j * np.pi * one / k
        z = np.exp(log_z)
        term = np.exp((j + 1) * log_z - rho * np.log(1 + tau * (1 - z))) / (z - 1)
        missing -= (1.0 if 2 * one == k else 2.0) * top * term.real
    return np.maximum(missing, 0) * np.exp(-log_expit(u))


def _log_ratio(gone: Array, k: int) -> Array:
    """The log of c_0 = ( (e^L - 1) / (k (e^(L/k) - 1)), L = -log q, exact in relative terms for small L."""

    def half_sinh(y: Array) -> Array:
        # log(exprel(y)) - y / 2; its series is exact to 1e-16 below 0.01.
        return np.where(y < 0.01, y**2 / 24 - y**4 / 2880, np.log(exprel(y)) - y / 2)

    return gone * (0.5 - 0.5 / k) + half_sinh(gone) - half_sinh(gone / k)
