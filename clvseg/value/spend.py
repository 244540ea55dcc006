"""Gamma-Gamma model of a customer's spend per order."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError, MissingColumnsError
from .equations import draws, gamma_gamma
from .equations.newton import maximise
from .equations.types import Array
from .fit import Coordinates, FitReport, Target, covariance, report, search
from .uncertainty import HasParameterDraws

_COARSE = 4_000
# Customers, evenly chosen, whose rank correlation decides whether spend depends on frequency.
_RANKED = 100_000
_COORDINATES = Coordinates(
    ("p", "q", "v"),
    np.array([[1.0, 0, 0], [0, 1, 0], [-1, 1, 1]]),
    np.log([1e-4, 1e-4, 1e-8]),
    np.log([1e4, 1e4, 1e8]),
)
_BY_FREQUENCY = Coordinates(
    (*_COORDINATES.names, "doubling"),
    np.block([[_COORDINATES.transform, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]),
    np.append(_COORDINATES.lower, -np.log(32)),
    np.append(_COORDINATES.upper, np.log(32)),
)
# Rank correlation of orders and mean spend from which the Gamma-Gamma model's independence is given up.
DEPENDENT = 0.3
_MIN_BUYERS = 30
# log p, log q, log(p v / q): v follows the data's median spend.
_STARTS = ((1.5, 1.3, 0.0), (0.0, 1.0, 0.0), (3.0, 0.7, 0.5), (-0.5, 2.5, 0.0))


class GammaGammaModel(HasParameterDraws, BaseEstimator):
    """Expected spend per order from the number of orders and their mean.

    Orders of a customer are Gamma(p, nu), nu ~ Gamma(q, v) over customers. Fader & Hardie (2013), "The
    Gamma-Gamma model of monetary value". The frame's ``frequency`` is the number of orders that
    ``monetary_value`` is the mean of: repeat purchases (the summary as it is), or all orders with the mean
    over all, which predicts better (the first order says something too).

    Where the fit has no finite population mean (q <= 1), or one above every mean seen, the posterior median
    of a customer's mean spend stands in for its posterior mean, held inside the range of means seen.

    Where spend depends on how often one buys (`spend_correlation` of .3 or more either way), the mean is
    taken to grow or fall with a power of the number of orders: ``doubling`` is the factor by which the spend
    per order of one with twice as many orders differs; what remains follows the Gamma-Gamma model. Here
    too predictions are held inside the range of means seen.

    Attributes
    ----------
    params_ : dict
        p, q, v (money), and doubling where spend depends on frequency.
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    population_spend_ : float
        Expected spend of a customer nothing is known of.
    uses_median_, by_frequency_ : bool
        Whether either fallback is at work.

    Examples
    --------
    >>> import pandas as pd
    >>> seen = pd.DataFrame({"frequency": [2, 5, 1, 3], "monetary_value": [20.0, 35.0, 12.0, 28.0]})
    >>> model = GammaGammaModel().fit(seen)
    >>> model.expected_spend(pd.DataFrame({"frequency": [0], "monetary_value": [0.0]})).round(0)
    array([28.])
    """

    params_: dict[str, float]
    fit_report_: FitReport
    by_frequency_: bool = False

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood to the customers with ``frequency`` and ``monetary_value`` above 0.

        Parameters
        ----------
        frame : DataFrame
            Columns frequency (orders), monetary_value (their mean).
        y : None
            Ignored; there for scikit-learn.

        Raises
        ------
        DataError
            When a column is missing, a value is not finite, or no customer has orders of positive value.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        x, mean = _columns(frame)
        seen = (x > 0) & (mean > 0)
        if not seen.any():
            raise DataError(
                "no customer has an order of positive value to learn spend from.",
                hint="fit on all orders, not on repeats only.",
            )
        x, mean = x[seen], mean[seen]
        spend = gamma_gamma.count_spend(x, mean)
        thin = _thin(spend)
        even = slice(None, None, max(1, len(x) // _RANKED))
        self.by_frequency_ = abs(spend_correlation(spend.x[even], spend.mean[even])) >= DEPENDENT
        coordinates = self._coordinates()
        starts = [np.array(one) for one in _STARTS]
        if self.by_frequency_:
            power = float(np.polyfit(np.log(x), np.log(mean), 1)[0])
            starts = [np.append(start, power * np.log(2)) for start in starts]
        objectives = [
            coordinates.objective(partial(self._likelihood, spend=part))
            for part in ((spend,) if thin is spend else (thin, spend))
        ]
        found = search(objectives, starts, coordinates, "Gamma-Gamma")
        units = np.append([1.0, 1.0, spend.scale], [1.0] * self.by_frequency_)
        parameters = coordinates.parameters(found.theta) * units
        self.params_ = dict(zip(coordinates.names, map(float, parameters), strict=True))
        log_unit = float(np.log(spend.scale))
        self.fit_report_ = report(found, coordinates, units, len(x), len(x), log_unit)
        spread = covariance(found, len(x))
        transform = coordinates.transform
        self.covariance_ = None if spread is None else transform @ spread @ transform.T
        self.parameter_draws_ = None
        self._set_population(mean)
        return self

    def bootstrap_parameters(self, frame: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
        """Parameters refitted to customers drawn with replacement from the `frame` of the fit.

        Returns
        -------
        ndarray, shape (draws, k)
            In the order of ``params_``; each search starts from the estimate.
        """
        target, spend = self.target(frame), self._counts(frame)
        coordinates, n = self._coordinates(), len(spend.x)
        out = np.empty((draws, len(target.units)))
        for draw in range(draws):
            weight = rng.multinomial(n, np.full(n, 1 / n)).astype(float)
            again = gamma_gamma.count_spend(spend.x, spend.mean, weight, scale=1.0)
            objective = coordinates.objective(partial(self._likelihood, spend=again))
            found = maximise(objective, target.optimum, coordinates.lower, coordinates.upper)
            out[draw] = coordinates.parameters(found.theta) * target.units
        return out

    def target(self, frame: pd.DataFrame) -> Target:
        """The likelihood of a spend frame around the fitted model, for samplers."""
        spend, coordinates = self._counts(frame), self._coordinates()
        units = np.append([1.0, 1.0, spend.scale], [1.0] * self.by_frequency_)
        objective = coordinates.objective(partial(self._likelihood, spend=spend))
        optimum = coordinates.theta(self._parameters() / units)
        return Target(objective, coordinates, units, float(len(spend.x)), optimum)

    def _counts(self, frame: pd.DataFrame) -> gamma_gamma.SpendCounts:
        x, mean = _columns(frame)
        seen = (x > 0) & (mean > 0)
        return gamma_gamma.count_spend(x[seen], mean[seen])

    def score(self, frame: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer with orders, in nats (higher is better)."""
        x, mean = _columns(frame)
        seen = (x > 0) & (mean > 0)
        return self._likelihood(self._parameters(), gamma_gamma.count_spend(x[seen], mean[seen], scale=1.0))[
            0
        ]

    def expected_spend(self, frame: pd.DataFrame) -> Array:
        """Expected amount of one order, one per row; the population's where nothing positive was seen."""
        check_is_fitted(self, "params_")
        x, mean = _columns(frame)
        seen = (x > 0) & (mean > 0)
        out = np.full(len(x), self.population_spend_)
        known = self._posterior(x[seen], mean[seen])
        held = self.uses_median_ or self.by_frequency_
        out[seen] = np.clip(known, *self.range_) if held else known
        return out

    def simulate_spend(
        self, frame: pd.DataFrame, purchases: Array, parameters: Array, rng: np.random.Generator
    ) -> Array:
        """Revenue of `purchases` orders to come, drawn once for each row of `parameters`.

        Parameters
        ----------
        frame : DataFrame
            Columns frequency (orders seen), monetary_value (their mean).
        purchases : ndarray of int, shape (draws, n) or (draws, periods, n)
            Orders to come.
        parameters : ndarray, shape (draws, k)
            In the order of ``params_``.
        rng : Generator
            Source of randomness.

        Returns
        -------
        ndarray
            Of the shape of `purchases`.
        """
        x, mean = _columns(frame)
        x, mean = np.where(mean > 0, x, 0), np.maximum(mean, 0)
        out = np.empty(purchases.shape)
        for draw, (row, count) in enumerate(zip(parameters, purchases, strict=True)):
            factor = _factor(row, x)
            out[draw] = factor * draws.spend(rng, row[:3], x, mean / factor, count)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        return {
            **self._saved(),
            "population_spend": self.population_spend_,
            "uses_median": self.uses_median_,
            "by_frequency": self.by_frequency_,
            "range": list(self.range_),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on."""
        model = cls()._restore(d)
        model.population_spend_ = d["population_spend"]
        model.uses_median_ = d["uses_median"]
        model.by_frequency_ = d["by_frequency"]
        model.range_ = (d["range"][0], d["range"][1])
        return model

    def _set_population(self, mean: Array) -> None:
        """Expected spend without knowledge, by the mean where it is usable, else by the median."""
        p, q, v = self._parameters()[:3]
        self.range_ = (float(mean.min()), float(mean.max()))
        population = p * v / (q - 1) if q > 1 else np.inf
        self.uses_median_ = bool(population > self.range_[1])
        if self.uses_median_:
            population = self._posterior(np.zeros(1), np.zeros(1))[0]
            population = np.clip(population, *self.range_)
        self.population_spend_ = float(population)

    def _posterior(self, x: Array, mean: Array) -> Array:
        rule = gamma_gamma.median_spend if self.uses_median_ else gamma_gamma.expected_spend
        parameters = self._parameters()
        factor = _factor(parameters, x)
        return factor * rule(parameters[:3], x, mean / factor)

    def _coordinates(self) -> Coordinates:
        return _BY_FREQUENCY if self.by_frequency_ else _COORDINATES

    def _likelihood(self, parameters: Array, spend: gamma_gamma.SpendCounts) -> tuple[float, Array, Array]:
        if self.by_frequency_:
            return gamma_gamma.log_likelihood_by_frequency(parameters, spend)
        return gamma_gamma.log_likelihood(parameters, spend)

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array(list(self.params_.values()))


def spend_correlation(orders: Array, mean: Array) -> float:
    """Rank correlation of the number of orders and their mean; 0 below 30 customers or where nothing varies.

    Examples
    --------
    >>> spend_correlation(np.arange(1, 41), np.arange(41, 81) * 1.5)
    1.0
    """
    if len(orders) < _MIN_BUYERS or np.ptp(orders) == 0 or np.ptp(mean) == 0:
        return 0.0
    return float(spearmanr(orders, mean).statistic)


def _factor(parameters: Array, x: Array) -> Array:
    """Mean of x orders against that of one: 1 unless spend depends on frequency."""
    if len(parameters) == 3:
        return np.ones(len(x))
    return np.maximum(x, 1) ** np.log2(parameters[3])


def _thin(spend: gamma_gamma.SpendCounts) -> gamma_gamma.SpendCounts:
    step = len(spend.x) // _COARSE
    if step < 2:
        return spend
    pick = slice(step // 2, None, step)
    return gamma_gamma.count_spend(spend.x[pick], spend.mean[pick], spend.weight[pick], scale=1.0)


def _columns(frame: pd.DataFrame) -> tuple[Array, Array]:
    """Number of orders and their mean, checked."""
    names = ("frequency", "monetary_value")
    missing = [(name, name) for name in names if name not in frame.columns]
    if missing:
        raise MissingColumnsError.compare("the spend frame", missing, frame.columns)
    x, mean = (frame[name].to_numpy(dtype=float) for name in names)
    bad = ~np.isfinite(x + mean) | (x < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"the spend frame has a missing, infinite or negative value in {int(bad.sum()):,} rows.",
            found=f"row {row}: frequency {x[row]:g}, monetary_value {mean[row]:g}.",
        )
    return x, mean
