"""Maximum likelihood with a report: several starts, Newton in a box, and a verdict on what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ..errors import ConvergenceError
from .equations.newton import Objective, Optimum, maximise
from .equations.types import Array

Status = Literal["converged", "at bound", "not identified"]
# A direction in log-parameters whose standard error exceeds this (a factor of 20) is flat.
FLAT_SE = 3.0
# Different ends on the smallest part of the data that are carried on to all of it.
_CARRIED = 3


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a fit found and how far to trust it.

    Attributes
    ----------
    status : {"converged", "at bound", "not identified"}
        "at bound": a parameter ran to the edge of what is searched. "not identified": the likelihood is flat
        in some direction. In both cases predictions stay finite, but single parameters, and a confident
        P(alive), mean little.
    converged : bool
        The search ended where no step gains; also True at a bound.
    at_bound : tuple of str
        Parameters at the edge of the search.
    flat : tuple of str
        Parameters that carry the flat direction.
    iterations : int
        Evaluations of the likelihood on the whole data from the best start.
    log_likelihood : float
        Sum over customers, in nats.
    standard_errors : dict of str to float
        Of the parameters, in their units; empty unless status is "converged".
    condition_number : float
        Of the Hessian in log-parameters not at a bound; at most 1e300.
    n_customers : int
        Customers in the data.
    n_histories : int
        Distinct histories among them.

    Examples
    --------
    >>> report = FitReport("converged", True, (), (), 5, -10.0, {"p": 0.1}, 4.0, 7, 6)
    >>> FitReport.from_dict(report.to_dict()) == report
    True
    """

    status: Status
    converged: bool
    at_bound: tuple[str, ...]
    flat: tuple[str, ...]
    iterations: int
    log_likelihood: float
    standard_errors: dict[str, float]
    condition_number: float
    n_customers: int
    n_histories: int

    def to_dict(self) -> dict[str, Any]:
        """As a JSON-able dictionary."""
        return asdict(self) | {"at_bound": list(self.at_bound), "flat": list(self.flat)}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> FitReport:
        """From what :meth:`to_dict` gave."""
        return cls(**d | {"at_bound": tuple(d["at_bound"]), "flat": tuple(d["flat"])})


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Log coordinates in which a model is fitted: log(parameters) = transform @ theta.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    transform : ndarray, shape (k, k)
        From coordinates to log-parameters.
    lower, upper : ndarray, shape (k,)
        The box of the coordinates.
    """

    names: tuple[str, ...]
    transform: Array
    lower: Array
    upper: Array

    def parameters(self, theta: Array) -> Array:
        """Parameters at `theta`, shape (k,)."""
        return np.exp(self.transform @ theta)

    def theta(self, parameters: Array) -> Array:
        """Coordinates of `parameters`, shape (k,)."""
        return np.linalg.solve(self.transform, np.log(parameters))

    def objective(self, likelihood: Callable[[Array], tuple[float, Array, Array]]) -> Objective:
        """Carry a likelihood with derivatives in the parameters over to the coordinates."""

        def at(theta: Array) -> tuple[float, Array, Array]:
            parameters = self.parameters(theta)
            value, gradient, hessian = likelihood(parameters)
            slope = parameters * gradient
            curvature = parameters[:, None] * hessian * parameters + np.diag(slope)
            return value, self.transform.T @ slope, self.transform.T @ curvature @ self.transform

        return at


@dataclass(frozen=True, slots=True)
class Target:
    """A likelihood around its optimum, as samplers want it.

    Attributes
    ----------
    objective : callable
        Mean log-likelihood per customer with derivatives, in coordinates.
    coordinates : Coordinates
        Their meaning and box.
    units : ndarray, shape (k,)
        What one internal unit of each parameter is in days or money.
    n : float
        Customers.
    optimum : ndarray, shape (k,)
        Coordinates of the estimate.
    """

    objective: Objective
    coordinates: Coordinates
    units: Array
    n: float
    optimum: Array


def search(
    objectives: Sequence[Objective], starts: Sequence[Array], coordinates: Coordinates, what: str
) -> Optimum:
    """Run every start on the first objective and carry its best different ends through to the last.

    Parameters
    ----------
    objectives : sequence of callable
        The objective on ever larger parts of the data; the last on all of it.
    starts : sequence of ndarray, shape (k,)
        Coordinates.
    coordinates : Coordinates
        With the box.
    what : str
        Name of the model, for the error.

    Raises
    ------
    ConvergenceError
        When no start leads to a finite likelihood.
    """
    box = coordinates.lower, coordinates.upper
    ends = [maximise(objectives[0], start, *box) for start in starts]
    if len(objectives) == 1:
        return _best(ends, what)
    distinct: list[Optimum] = []
    for end in sorted((end for end in ends if np.isfinite(end.value)), key=lambda end: -end.value):
        if all(np.abs(end.theta - other.theta).max() > 1e-3 for other in distinct):
            distinct.append(end)
    finished = []
    for optimum in distinct[:_CARRIED]:
        for objective in objectives[1:]:
            optimum = maximise(objective, optimum.theta, *box)
        finished.append(optimum)
    if any(np.isfinite(end.value) and end.converged for end in finished):
        return _best(finished, what)
    return _best([maximise(objectives[-1], start, *box) for start in starts], what)


def _best(ends: Sequence[Optimum], what: str) -> Optimum:
    usable = [end for end in ends if np.isfinite(end.value)]
    if not usable:
        raise ConvergenceError(
            f"no start gave {what} a finite likelihood.",
            found=f"{len(ends)} starts tried.",
            hint="check the summary for extreme ages or amounts; fewer than 100 customers seldom suffice.",
        )
    return max(usable, key=lambda end: (round(end.value, 10), end.converged))


def covariance(optimum: Optimum, n: float) -> Array | None:
    """Covariance of the coordinates from the Hessian; None at a bound or where a direction is flat."""
    if optimum.at_bound.any():
        return None
    eigenvalues, vectors = np.linalg.eigh(-optimum.hessian * n)
    if eigenvalues[0] <= 1 / FLAT_SE**2:
        return None
    return (vectors / eigenvalues) @ vectors.T


def report(
    optimum: Optimum,
    coordinates: Coordinates,
    units: Array,
    n_customers: int,
    n_histories: int,
    log_unit: float,
) -> FitReport:
    """Judge an optimum.

    Parameters
    ----------
    optimum : Optimum
        Of the mean log-likelihood in `coordinates`.
    coordinates : Coordinates
        Their meaning.
    units : ndarray, shape (k,)
        What one internal unit of each parameter is in days or money.
    n_customers, n_histories : int
        Size of the data.
    log_unit : float
        What the mean log-likelihood loses when the internal unit is turned into days or money.
    """
    names = np.array(coordinates.names)
    free = ~optimum.at_bound
    eigenvalues, vectors = np.linalg.eigh(-optimum.hessian[np.ix_(free, free)] * n_customers)
    flat: tuple[str, ...] = ()
    condition = 1.0
    if free.any():
        weak = eigenvalues <= 1 / FLAT_SE**2
        carried = (np.abs(vectors[:, weak]) > 0.3).any(axis=1)
        flat = tuple(str(name) for name in names[free][carried])
        condition = float(min(eigenvalues[-1] / max(eigenvalues[0], 1e-300), 1e300))
    at_bound = tuple(str(name) for name in names[optimum.at_bound])
    status: Status = "at bound" if at_bound else "not identified" if flat else "converged"
    errors = {}
    spread = covariance(optimum, n_customers)
    if status == "converged" and spread is not None:
        of_log = coordinates.transform @ spread @ coordinates.transform.T
        se = coordinates.parameters(optimum.theta) * units * np.sqrt(np.diag(of_log))
        errors = {str(name): float(one) for name, one in zip(names, se, strict=True)}
    if not optimum.converged and status == "converged":
        status, errors = "not identified", {}
    return FitReport(
        status=status,
        converged=optimum.converged,
        at_bound=at_bound,
        flat=flat,
        iterations=optimum.iterations,
        log_likelihood=(optimum.value - log_unit) * n_customers,
        standard_errors=errors,
        condition_number=abs(condition),
        n_customers=n_customers,
        n_histories=n_histories,
    )
