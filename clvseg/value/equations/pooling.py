"""Partial pooling: group coordinates normal around a common mean, its variances by marginal likelihood.

The marginal likelihood is that of Laplace's expansion around each group's mode (Breslow & Clayton 1993,
"Approximate inference in generalized linear mixed models", Journal of the American Statistical Association
88(421)), in its restricted form. A prior keeps deviations from 0, where a group's uncertainty would vanish
(Chung et al. 2013, "A nondegenerate penalized likelihood estimator for variance parameters in multilevel
models", Psychometrika 78(4)): their density is proportional to d exp(-d^2 / 2). The mean is normal around the
fit to all groups together, with a deviation of 1, lest it runs off where the likelihood is flat. In mean and
variances modes count as posterior means, by the derivative of the expansion's determinant: likelihoods of
small groups are skewed. Variances are updated as in Schall (1991), "Estimation in generalized linear models
with random effects", Biometrika 78(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .newton import Objective, Optimum, maximise
from .types import Array

_ROUNDS = 100
# Deviations between groups in log-parameters: below the first groups are alike, the second is a factor of 20.
_LEAST, _MOST, _FIRST = 1e-2, 3.0, 0.3
# Rounds between two looks at the skewness, and the step of its difference quotient.
_LOOK, _STEP = 4, 0.05
# Of the mean's last move, and of the slope of the marginal log-likelihood in the variances' logarithms.
_MEAN_TOLERANCE, _SLOPE_TOLERANCE = 1e-5, 1e-2


@dataclass(frozen=True, slots=True)
class Group:
    """The likelihood of one group.

    Attributes
    ----------
    objective : callable
        Mean log-likelihood per customer with derivatives, in coordinates of the group's own units.
    n : float
        Customers.
    shift : ndarray, shape (k,)
        What is added to the group's coordinates to have them in common units.
    """

    objective: Objective
    n: float
    shift: Array


@dataclass(frozen=True, slots=True)
class Pooled:
    """Groups fitted around their common mean, in coordinates of common units.

    Attributes
    ----------
    mean : ndarray, shape (k,)
        The common mean.
    deviations : ndarray, shape (k,)
        Standard deviation between groups.
    information : ndarray, shape (k, k)
        Of the data on the mean.
    modes : list of Optimum
        Of each group's mean log-posterior per customer, in the group's own units.
    following : ndarray, shape (groups, k, k)
        By how much each group's mode moves when the mean does: the identity where a group tells nothing.
        Times the variances it is the covariance of the group's coordinates around the mode, given the mean.
    rounds : int
        Updates of mean and variances.
    converged : bool
        Whether the last of them changed nothing.
    """

    mean: Array
    deviations: Array
    information: Array
    modes: list[Optimum]
    following: Array
    rounds: int
    converged: bool


def pool(groups: Sequence[Group], start: Array, lower: Array, upper: Array) -> Pooled:
    """Fit two or more groups around a common mean.

    Parameters
    ----------
    groups : sequence of Group
        Their likelihoods.
    start : ndarray, shape (k,)
        The fit to all groups together, around which the mean is looked for.
    lower, upper : ndarray, shape (k,)
        The box of the mean, and of each group's coordinates in its own units.
    """
    mean, variances, k = np.clip(start, lower, upper), np.full(len(start), _FIRST**2), len(start)
    points = [mean - group.shift for group in groups]
    converged, skewed = False, np.zeros((len(groups), k))
    for rounds in range(1, _ROUNDS + 1):
        modes = [
            maximise(_with_prior(group, mean, variances), point, lower, upper)
            for group, point in zip(groups, points, strict=True)
        ]
        points = [mode.theta for mode in modes]
        information = np.array([_information(m, g.n, variances) for m, g in zip(modes, groups, strict=True)])
        following = np.linalg.inv(np.eye(k) + variances[:, None] * information)
        weights = information @ following
        total = weights.sum(axis=0)
        away = np.array([m.theta + g.shift - mean for m, g in zip(modes, groups, strict=True)]) / variances
        if converged or rounds == _ROUNDS:
            break
        looked = rounds % _LOOK == 1
        if looked:
            spreads = following * variances
            skewed = np.array(
                [_skewness(g, m.theta, v) for g, m, v in zip(groups, modes, spreads, strict=True)]
            )
        away += skewed / variances
        inverse = np.linalg.inv(total + np.eye(k))
        step = inverse @ (away.sum(axis=0) - (mean - start))
        step /= max(1.0, float(np.linalg.norm(step)))
        moved = np.clip(mean + step, lower, upper)
        # Schall's update: squares over their effective number, with the mean's own estimation taken off.
        away -= weights @ step
        expected = np.einsum("gjj->j", weights - weights @ inverse @ weights)
        # The prior's part: log deviation - deviation^2 / 2 to what is maximised.
        squares, expected = (away**2).sum(axis=0) + 1 / variances, expected + 1
        ratio = np.clip(squares / expected, 0.1, 4.0)
        changed = np.clip(variances * ratio, _LEAST**2, _MOST**2)
        slope = np.where(changed == variances, 0.0, 0.5 * variances * (squares - expected))
        converged = bool(
            looked and np.abs(moved - mean).max() < _MEAN_TOLERANCE and np.abs(slope).max() < _SLOPE_TOLERANCE
        )
        mean, variances = moved, changed
    return Pooled(mean, np.sqrt(variances), total, modes, following, rounds, converged)


def _with_prior(group: Group, mean: Array, variances: Array) -> Objective:
    """Mean log-posterior per customer of a group, up to a constant."""
    centre, precision = mean - group.shift, 1 / (variances * group.n)

    def at(theta: Array) -> tuple[float, Array, Array]:
        value, gradient, hessian = group.objective(theta)
        pull = precision * (theta - centre)
        return value - 0.5 * float(pull @ (theta - centre)), gradient - pull, hessian - np.diag(precision)

    return at


def _skewness(group: Group, mode: Array, spread: Array) -> Array:
    """What leads from a group's mode to its posterior mean, at most one standard deviation."""
    slopes = []
    for step in _STEP * np.eye(len(mode)):
        rise = group.objective(mode + step)[2] - group.objective(mode - step)[2]
        slopes.append(0.25 * group.n / _STEP * float(np.sum(spread * rise)))
    most = np.sqrt(np.diag(spread))
    return np.clip(spread @ np.array(slopes), -most, most)


def _information(mode: Optimum, n: float, variances: Array) -> Array:
    """What the group's own likelihood tells, without directions in which it curves upwards."""
    eigenvalues, vectors = np.linalg.eigh(-mode.hessian * n - np.diag(1 / variances))
    return (vectors * np.maximum(eigenvalues, 0)) @ vectors.T
