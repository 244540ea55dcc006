"""What the models of fixed opportunities share: fitting, themselves as a dictionary, discounting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .equations.newton import Objective, maximise
from .equations.types import Array
from .fit import Coordinates, FitReport, covariance, report, search
from .purchases import DISCOUNTED_AWAY

LOW, HIGH = np.log([1e-4, 1e4])
# Coordinates log(one / two), log two of the shapes of a Beta distribution.
RATIO = np.array([[1.0, 1.0], [0.0, 1.0]])


class DiscreteModel(BaseEstimator):
    """What the models of fixed opportunities share: fitting, and themselves as a dictionary."""

    _coordinates: ClassVar[Coordinates]
    _starts: ClassVar[tuple[tuple[float, ...], ...]]

    params_: dict[str, float]
    fit_report_: FitReport
    covariance_: Array | None

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        spread = None if self.covariance_ is None else self.covariance_.tolist()
        return {
            "params": dict(self.params_),
            "covariance": spread,
            "fit_report": self.fit_report_.to_dict(),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on."""
        model = cls()
        model.params_ = dict(d["params"])
        model.covariance_ = None if d["covariance"] is None else np.array(d["covariance"])
        model.fit_report_ = FitReport.from_dict(d["fit_report"])
        return model

    def _fit(self, objective: Objective, n_customers: int, n_histories: int, what: str) -> Self:
        coordinates = self._coordinates
        found = search([objective], [np.array(start) for start in self._starts], coordinates, what)
        parameters = coordinates.parameters(found.theta)
        self.params_ = dict(zip(coordinates.names, map(float, parameters), strict=True))
        units = np.ones(len(parameters))
        self.fit_report_ = report(found, coordinates, units, n_customers, n_histories, 0.0)
        spread = covariance(found, n_customers)
        transform = coordinates.transform
        self.covariance_ = None if spread is None else transform @ spread @ transform.T
        return self

    def _bootstrap(self, fits: Callable[[], Objective], draws: int) -> Array:
        """Parameters at the maximum of each objective that `fits` makes, from the estimate on."""
        coordinates = self._coordinates
        start = coordinates.theta(self._parameters())
        ends = (maximise(fits(), start, coordinates.lower, coordinates.upper) for _ in range(draws))
        return np.array([coordinates.parameters(end.theta) for end in ends])

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array([self.params_[name] for name in self._coordinates.names])


def whole_periods(periods: float) -> int:
    """`periods` as an int, refused where it is none."""
    if not (periods >= 0 and periods == np.floor(periods) and np.isfinite(periods)):
        raise DataError("periods must be a whole number, 0 or more.", found=str(periods))
    return int(periods)


def discounts(periods: float, rate: float) -> tuple[Array, Array]:
    """Periods ahead and what a purchase in each counts, until it counts e^-40."""
    if rate < 0 or (np.isinf(periods) and rate == 0):
        raise DataError(
            "an infinite horizon needs a discount rate above 0.",
            found=f"discount_rate = {rate}.",
            hint="give a number of periods, or a rate.",
        )
    if rate > 0:
        periods = min(periods, np.ceil(DISCOUNTED_AWAY / np.log1p(rate)))
    ahead = np.arange(1, whole_periods(periods) + 1)
    return ahead, np.exp(-ahead * np.log1p(rate))
