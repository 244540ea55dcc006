"""A purchase rate that changes with the calendar: time on a clock that runs faster on busy days.

Where customers drop out at purchases only, as in the BG/NBD and MBG/NBD, a rate lambda exp(gamma' c(day))
is the plain model with every time measured on the clock Lambda(u) = Int_0^u exp(gamma' c): a Poisson process
with that rate is one of rate lambda in Lambda (Kingman 1993, "Poisson Processes", the mapping theorem of
section 2.3), and each repeat purchase brings the factor exp(gamma' c) of its day to the likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .counts import Counts
from .types import Array

Derivatives = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
_CHUNK = 4_096
# What the calendar does not reach is taken to be, on average, like its last year.
_YEAR = 365


@dataclass(frozen=True, slots=True)
class Design:
    """Histories, the days they fell on, and what those days were like.

    Attributes
    ----------
    counts : Counts
        m histories that all end on the same day.
    sums : ndarray, shape (m, p)
        Covariates summed over the days of the repeat purchases, mean over the customers with the history.
    days : ndarray, shape (d, p)
        Covariates of each day up to the cutoff, which is the last; d is no less than the longest T in days.
    """

    counts: Counts
    sums: Array
    days: Array

    def thin(self, size: int) -> Design:
        """As :meth:`Counts.thin`; the whole where there are no more rows."""
        thin = self.counts.thin(size)
        if thin is self.counts:
            return self
        return Design(thin, self.sums[self.counts.choice(size)[0]], self.days)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as purchases feel it.

    Attributes
    ----------
    marks : ndarray, shape (d + 1,)
        What the clock shows at the start of the calendar and at the end of each of its days, ascending.
    """

    marks: Array

    def at(self, time: Array) -> Array:
        """What it shows at times within the calendar, in days from its start."""
        return np.interp(time, np.arange(len(self.marks), dtype=float), self.marks)

    def back(self, mark: Array) -> Array:
        """Time at which it shows `mark`; after the calendar's end it runs at the last year's mean speed."""
        end = len(self.marks) - 1
        year = min(_YEAR, end)
        speed = (self.marks[-1] - self.marks[-1 - year]) / year
        beyond = np.maximum(mark - self.marks[-1], 0) / speed
        return np.interp(mark, self.marks, np.arange(end + 1, dtype=float)) + beyond

    def discounts(self, start: float, edges: Array, rate: float) -> Array:
        """Mean of e^(-rate u) over purchases between edges, which are times u after `start`, ascending.

        Within a day, and as far as a customer's purchases thin out, between two edges, they are spread as the
        clock runs.
        """
        cuts = np.unique(np.concatenate([edges, np.arange(np.floor(start), start + edges[-1]) - start]))
        cuts = cuts[(cuts >= edges[0]) & (cuts <= edges[-1])]
        begin, length = cuts[:-1], np.diff(cuts)
        mass = np.maximum(np.diff(self.at(start + cuts)), 1e-300)
        flat = np.exp(-rate * (begin + 0.5 * length))
        mean = flat * np.sinh(0.5 * rate * length) / (0.5 * rate * length) if rate > 0 else flat
        first = np.searchsorted(cuts, edges[:-1])
        return np.add.reduceat(mass * mean, first) / np.add.reduceat(mass, first)


def clock(days: Array, gamma: Array) -> Clock:
    """The clock over days with covariates `days` (d, p) and effects `gamma` (p,)."""
    return Clock(_running(np.exp(days @ gamma)))


def log_likelihood(
    theta: Array, design: Design, transform: Array, derivatives: Derivatives
) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in `theta`.

    Parameters
    ----------
    theta : ndarray, shape (k + p,)
        Coordinates of the plain parameters, then effects.
    design : Design
        Histories.
    transform : ndarray, shape (k, k)
        From coordinates to log-parameters.
    derivatives : callable
        Takes parameters (k, m), x, t_x, T; gives each row's log-likelihood with gradient (k + 2, m) and
        Hessian (k + 2, k + 2, m) in the log-parameters, t_x and T.

    Returns
    -------
    value : float
    gradient : ndarray, shape (k + p,)
    hessian : ndarray, shape (k + p, k + p)
    """
    counts, k, size = design.counts, len(transform), len(theta)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        parameters = np.exp(transform @ theta[:k])[:, None]
        times = _times(design, theta[k:])
        value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
        gradient[k:] = counts.weight @ design.sums
        value += float(gradient[k:] @ theta[k:])
        for begin in range(0, len(counts.x), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            x, w = counts.x[rows], counts.weight[rows]
            last, end = times(rows)
            of_row = derivatives(np.repeat(parameters, len(x), axis=1), x, last[0], end[0])
            slope, curvature = of_row[1] * w, of_row[2] * w
            chain = np.zeros((k + 2, size, len(x)))
            chain[:k, :k] = transform[:, :, None]
            chain[k, k:], chain[k + 1, k:] = last[1].T, end[1].T
            value += float(w @ of_row[0])
            gradient += np.einsum("am,abm->b", slope, chain)
            hessian += np.einsum("abm,acm,cdm->bd", chain, curvature, chain, optimize=True)
            hessian[k:, k:] += np.tensordot(slope[k], last[2], 1) + np.tensordot(slope[k + 1], end[2], 1)
    n = counts.n
    return value / n, gradient / n, 0.5 * (hessian + hessian.T) / n


Times = tuple[Array, Array, Array]


def _times(design: Design, gamma: Array) -> Callable[[slice], tuple[Times, Times]]:
    """For some rows t_x and T on the clock, in the counts' unit, with derivatives in `gamma`."""
    counts, days = design.counts, design.days
    speed = np.exp(days @ gamma) / counts.scale
    first = days * speed[:, None]
    second = days[:, :, None] * first[:, None, :]
    marks = [_running(one) for one in (speed, first, second)]

    def at(time: Array) -> list[Array]:
        day = np.clip(time.astype(int), 0, len(days) - 1)
        share = time - day
        return [
            one[day] + share.reshape(-1, *[1] * (one.ndim - 1)) * (one[day + 1] - one[day]) for one in marks
        ]

    def times(rows: slice) -> tuple[Times, Times]:
        begin = np.maximum(len(days) - counts.T[rows] * counts.scale, 0)
        start, end = at(begin), [one[-1] for one in marks]
        last = at(np.minimum(begin + counts.t_x[rows] * counts.scale, len(days)))
        return _between(start, last), _between(start, end)

    return times


def _between(start: list[Array], end: list[Array]) -> Times:
    value, slope, curvature = (one - zero for one, zero in zip(end, start, strict=True))
    return value, slope, curvature


def _running(steps: Array) -> Array:
    """Sums up to each step, with the 0 before the first."""
    return np.concatenate([np.zeros((1, *steps.shape[1:])), np.cumsum(steps, axis=0)])
