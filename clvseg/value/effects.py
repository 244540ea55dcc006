"""Purchase models with effects: of what a customer is like, or of what a day is like."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from sklearn.utils.validation import check_is_fitted

from .equations.counts import Counts
from .equations.newton import Optimum
from .equations.types import Array
from .fit import Coordinates, FitReport, covariance, report, search
from .purchases import PurchaseModel, log_unit
from .uncertainty import HasParameterDraws

# Histories on which the starts are tried, and on which the best is brought near its end.
_COARSE = (2_000, 20_000)
# Largest effect of one standard deviation, or of a level, on a logarithm.
LARGEST = 10.0


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """Test of all effects together against the plain model.

    Attributes
    ----------
    statistic : float
        Twice the gain in log-likelihood.
    degrees : int
        Effects.
    p_value : float
        From the chi-squared distribution, in 0..1.
    """

    statistic: float
    degrees: int
    p_value: float


class HasEffects(HasParameterDraws):
    """A plain model's parameters, then effects named ``"process: covariate"``."""

    model: PurchaseModel
    fit_report_: FitReport
    likelihood_ratio_: LikelihoodRatio

    @property
    def effects_(self) -> pd.DataFrame:
        """Effects: process, covariate, effect, factor (its exponential).

        Where the fit converged inside its bounds also standard_error, low and high (ends of the 95 % interval
        of the effect) and p_value (of no effect).
        """
        check_is_fitted(self, "params_")
        names = list(self.params_)[self._common :]
        effect = np.array([self.params_[name] for name in names])
        out = pd.DataFrame(
            {
                "process": [name.split(": ", 1)[0] for name in names],
                "covariate": [name.split(": ", 1)[1] for name in names],
                "effect": effect,
                "factor": np.exp(effect),
            }
        )
        if self.covariance_ is None or not names:
            return out
        error = np.sqrt(np.diag(self.covariance_)[-len(names) :])
        far = norm.ppf(0.975) * error
        p_value = 2 * norm.sf(np.abs(effect) / error)
        return out.assign(standard_error=error, low=effect - far, high=effect + far, p_value=p_value)

    def draw_parameters(self, draws: int, rng: np.random.Generator) -> Array:
        """Parameters and effects from the normal approximation of log-parameters and effects.

        Returns
        -------
        ndarray, shape (draws, len(params_))
            The estimate itself, repeated, where there is no covariance.
        """
        check_is_fitted(self, "params_")
        if self.parameter_draws_ is not None:
            return super().draw_parameters(draws, rng)
        centre = np.array(list(self.params_.values()))
        centre[: self._common] = np.log(centre[: self._common])
        drawn = np.tile(centre, (draws, 1))
        if self.covariance_ is not None:
            drawn = rng.multivariate_normal(centre, self.covariance_, size=draws, method="cholesky")
        drawn[:, : self._common] = np.exp(drawn[:, : self._common])
        return drawn

    @property
    def _common(self) -> int:
        """How many parameters the plain model has."""
        return len(self.model._coordinates.names)

    def _fit_effects(self, plain: PurchaseModel, design: Any, coordinates: Coordinates) -> None:
        """Search from the fitted plain model and its usual starts, and keep the best end.

        `design` has ``counts`` and ``thin``, and is what ``_likelihood`` takes.
        """
        parts = {id(part): part for part in (*(design.thin(size) for size in _COARSE), design)}
        objectives = [partial(self._likelihood, design=part) for part in parts.values()]
        counts, effects = design.counts, len(coordinates.names) - self._common
        common = [plain._coordinates.theta(plain._parameters() / self._units(counts, self._common))]
        common += map(np.array, plain._starts)
        starts = [np.concatenate([start, np.zeros(effects)]) for start in common]
        self._settle(search(objectives, starts, coordinates, type(self).__name__), coordinates, counts)
        gain = 2 * (self.fit_report_.log_likelihood - plain.fit_report_.log_likelihood)
        statistic = float(max(gain, 0.0))
        self.likelihood_ratio_ = LikelihoodRatio(statistic, effects, float(chi2.sf(statistic, effects)))

    def _settle(self, found: Optimum, coordinates: Coordinates, counts: Counts) -> None:
        """Keep an optimum."""
        n, units, transform = round(counts.n), self._units(counts, len(found.theta)), coordinates.transform
        spread, values = covariance(found, n), self._values(found.theta, coordinates, counts)
        self.params_ = dict(zip(coordinates.names, map(float, values), strict=True))
        self.covariance_ = None if spread is None else transform @ spread @ transform.T
        self.parameter_draws_ = None
        verdict = report(found, coordinates, units, n, len(counts.x), log_unit(counts))
        self.fit_report_ = replace(verdict, standard_errors=self._errors() if verdict.standard_errors else {})

    def _units(self, counts: Counts, size: int) -> Array:
        """What one internal unit of each parameter is in days; 1 for effects."""
        common = counts.scale ** np.array(self.model._time_powers)
        return np.concatenate([common, np.ones(size - self._common)])

    def _values(self, theta: Array, coordinates: Coordinates, counts: Counts) -> Array:
        """Parameters and effects, in days, at coordinates."""
        values = coordinates.transform @ theta
        values[: self._common] = np.exp(values[: self._common])
        return np.asarray(values * self._units(counts, len(values)))

    def _theta(self, coordinates: Coordinates, counts: Counts) -> Array:
        """Coordinates of the estimate."""
        values = np.array(list(self.params_.values()))
        values /= self._units(counts, len(values))
        values[: self._common] = np.log(values[: self._common])
        return np.linalg.solve(coordinates.transform, values)

    @abstractmethod
    def _likelihood(self, theta: Array, design: Any) -> tuple[float, Array, Array]: ...

    def _errors(self) -> dict[str, float]:
        assert self.covariance_ is not None
        errors = np.sqrt(np.diag(self.covariance_))
        errors[: self._common] *= list(self.params_.values())[: self._common]
        return dict(zip(self.params_, map(float, errors), strict=True))
