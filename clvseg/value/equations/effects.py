"""Covariates: parameters of each customer, and the likelihood's derivatives in what they are made of.

Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models": the
logarithm of a customer's parameter is the common one plus effects times the customer's covariates. Which
parameters an effect moves, and how, is its direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .counts import Counts
from .types import Array

Derivatives = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Design:
    """Histories with the covariates that go with them.

    Attributes
    ----------
    counts : Counts
        m histories and how many customers share each with the same covariates.
    columns : tuple of ndarray, each of shape (m, p_c)
        Covariates, one array for each direction.
    """

    counts: Counts
    columns: tuple[Array, ...]

    def thin(self, size: int) -> Design:
        """As :meth:`Counts.thin`; the whole where there are no more rows."""
        thin = self.counts.thin(size)
        if thin is self.counts:
            return self
        pick = self.counts.choice(size)[0]
        return Design(thin, tuple(part[pick] for part in self.columns))

    def reweighted(self, weight: Array) -> Design:
        """The same rows, each shared by `weight` customers; those shared by none are left out."""
        seen = weight > 0
        return Design(self.counts.reweighted(weight), tuple(part[seen] for part in self.columns))


def row_parameters(theta: Array, transform: Array, directions: Array, columns: tuple[Array, ...]) -> Array:
    """Parameters of each row.

    Parameters
    ----------
    theta : ndarray, shape (k + p,)
        Coordinates of the common parameters, then the effects, direction by direction.
    transform : ndarray, shape (k, k)
        From coordinates to log-parameters.
    directions : ndarray, shape (c, k)
        What one unit of each direction adds to the log-parameters.
    columns : tuple of c ndarray, shape (m, p_c)
        Covariates.

    Returns
    -------
    ndarray, shape (k, m)
    """
    at = len(transform)
    logs = np.repeat((transform @ theta[:at])[:, None], len(columns[0]), axis=1)
    for direction, part in zip(directions, columns, strict=True):
        logs += direction[:, None] * (part @ theta[at : at + part.shape[1]])
        at += part.shape[1]
    return np.exp(logs)


def log_likelihood(
    theta: Array, design: Design, transform: Array, directions: Array, derivatives: Derivatives
) -> tuple[float, Array, Array]:
    """Mean log-likelihood per customer with gradient and Hessian in `theta`.

    Parameters
    ----------
    theta, transform, directions
        As for :func:`row_parameters`.
    design : Design
        Histories and covariates.
    derivatives : callable
        Takes parameters (k, m), x, t_x, T; gives each row's log-likelihood with gradient (k, m) and Hessian
        (k, k, m) in the log-parameters.

    Returns
    -------
    value : float
    gradient : ndarray, shape (k + p,)
    hessian : ndarray, shape (k + p, k + p)
    """
    counts, size = design.counts, len(theta)
    basis = np.hstack([transform, directions.T])
    value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
    for begin in range(0, len(counts.x), _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        columns = tuple(part[rows] for part in design.columns)
        w = counts.weight[rows]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            of_row = derivatives(
                row_parameters(theta, transform, directions, columns),
                counts.x[rows],
                counts.t_x[rows],
                counts.T[rows],
            )
        value += float(w @ of_row[0])
        first = basis.T @ (of_row[1] * w)
        second = np.tensordot(basis.T, np.tensordot(basis.T, of_row[2] * w, (1, 1)), (1, 1))
        parts = [np.ones((len(w), 1))] * len(transform) + list(columns)
        gradient += np.concatenate([part.T @ one for part, one in zip(parts, first, strict=True)])
        hessian += np.block(
            [
                [one.T @ (second[i, j][:, None] * other) for j, other in enumerate(parts)]
                for i, one in enumerate(parts)
            ]
        )
    n = counts.n
    return value / n, gradient / n, 0.5 * (hessian + hessian.T) / n
