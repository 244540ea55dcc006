"""What the purchase models share: scikit-learn style estimators over the customer summary."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .columns import columns_of
from .equations.counts import Counts, count_histories
from .equations.newton import Optimum, maximise
from .equations.types import Array
from .fit import Coordinates, FitReport, Target, covariance, report, search
from .uncertainty import HasParameterDraws

# Histories on which the starts are tried, and on which the best is brought near its end.
_COARSE = (2_000, 20_000)
SHAPES = (float(np.log(1e-4)), float(np.log(1e4)))
# Waits are capped there: the median wait of a customer who hardly ever buys overflows.
CENTURY = 36_500.0
# e^-40 of a purchase is nothing.
DISCOUNTED_AWAY = 40.0
# The summary of a customer on the day of the first purchase: predictions for it are those for anyone new.
NEW_CUSTOMER = pd.DataFrame({"frequency": [0], "recency": [0], "T": [0]})
TIMES = (float(np.log(1e-6)), float(np.log(1e6)))


class PurchaseModel(HasParameterDraws, BaseEstimator, ABC):
    """A model of purchases and dropout: checks, fitting over counts of identical histories, predictions.

    A summary is a frame with the columns ``frequency`` (repeat purchase days, x in the papers), ``recency``
    and ``T`` (age at the last purchase, t_x, and at the cutoff, in days). Other columns are ignored, the
    frame is left as it is, and the order of its rows does not matter.
    """

    _coordinates: ClassVar[Coordinates]
    _starts: ClassVar[tuple[tuple[float, ...], ...]]
    # A start at which hardly anyone leaves.
    _lasting: ClassVar[tuple[float, ...]]
    # 1 for parameters in units of time.
    _time_powers: ClassVar[tuple[int, ...]]
    # Fitted attributes of a kind of model, JSON-able, besides the parameters.
    _state: ClassVar[tuple[str, ...]] = ()
    # What one unit of an effect adds to the log-parameters, by what it is an effect on; none: no covariates.
    _effects: ClassVar[dict[str, tuple[float, ...]]] = {}

    # Then a rate that changes with the calendar is a change of clock; needs `_time_derivatives`.
    _dropout_at_purchases: ClassVar[bool] = False

    params_: dict[str, float]
    fit_report_: FitReport

    def fit(self, summary: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        y : None
            Ignored; there for scikit-learn.

        Returns
        -------
        self
            With ``params_`` (in days), ``fit_report_`` and ``covariance_`` (of the log-parameters;
            None unless the fit converged inside the bounds).

        Raises
        ------
        DataError
            When the summary is empty, a column is missing or a value is impossible.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        counts = count_histories(*columns_of(summary))
        require_time(counts)
        self._settle(self._search(counts), counts)
        return self

    def _search(self, counts: Counts) -> Optimum:
        """Optimum of the likelihood over the coordinates, from several starts."""
        coordinates = self._coordinates
        parts = {id(part): part for part in (*(counts.thin(size) for size in _COARSE), counts)}
        objectives = [
            coordinates.objective(partial(self._likelihood, counts=part)) for part in parts.values()
        ]
        return search(objectives, self._starts_for(counts), coordinates, type(self).__name__)

    def _settle(self, found: Optimum, counts: Counts, constant: float = 0.0) -> None:
        """Keep an optimum; `constant` is what the mean log-likelihood holds besides the parameters."""
        coordinates, n = self._coordinates, round(counts.n)
        units = counts.scale ** np.array(self._time_powers)
        parameters = coordinates.parameters(found.theta) * units
        self.params_ = dict(zip(coordinates.names, map(float, parameters), strict=True))
        unit = log_unit(counts) - constant
        self.fit_report_ = report(found, coordinates, units, n, len(counts.x), unit)
        spread = covariance(found, n)
        transform = coordinates.transform
        self.covariance_ = None if spread is None else transform @ spread @ transform.T
        self.parameter_draws_ = None

    def target(self, summary: pd.DataFrame) -> Target:
        """The likelihood of a summary around the fitted model, for samplers."""
        counts, coordinates = count_histories(*columns_of(summary)), self._coordinates
        units = counts.scale ** np.array(self._time_powers)
        objective = coordinates.objective(partial(self._likelihood, counts=counts))
        return Target(objective, coordinates, units, counts.n, coordinates.theta(self._parameters() / units))

    def score(self, summary: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better); time is in days."""
        counts = count_histories(*columns_of(summary))
        units = counts.scale ** np.array(self._time_powers)
        value = self._likelihood(self._parameters() / units, counts)[0]
        return float(value - log_unit(counts) + self._constant(summary, counts.scale))

    def probability_alive(self, summary: pd.DataFrame, days: float = 0.0) -> Array:
        """P(still a customer `days` after the cutoff), one per row, in 0..1.

        For churn see :meth:`probability_active`.
        """
        x, t_x, T = self._histories(summary)
        alive, t = self._alive(x, t_x, T), horizon(days)
        return alive if t == 0 else alive * self._staying(x, t_x, T, t)

    def expected_purchases(self, summary: pd.DataFrame, days: float, *, after: float = 0.0) -> Array:
        """Expected purchase days in the `days` that begin `after` days past the cutoff, one per row."""
        x, t_x, T = self._histories(summary)
        start, end = horizon(after), horizon(after) + horizon(days)
        bought = self._purchases(x, t_x, T, end)
        if start > 0:
            bought = np.maximum(bought - self._purchases(x, t_x, T, start), 0)
        return self._alive(x, t_x, T) * bought

    def expected_periods(self, summary: pd.DataFrame, ends: Array) -> Array:
        """Expected purchase days in periods that follow each other from the cutoff on.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        ends : ndarray, shape (periods,)
            Last days of the periods, counted from the cutoff, ascending.

        Returns
        -------
        ndarray, shape (n, periods)
            As :meth:`expected_purchases` of each period, P(alive) being asked for once.
        """
        x, t_x, T = self._histories(summary)
        upto = np.stack([self._purchases(x, t_x, T, horizon(end)) for end in ends], axis=1)
        bought = np.maximum(np.diff(upto, axis=1, prepend=0.0), 0)
        return self._alive(x, t_x, T)[:, None] * bought

    def probability_active(self, summary: pd.DataFrame, days: float) -> Array:
        """P(at least one purchase within `days` after the cutoff), one per row, in 0..1."""
        return np.clip(self._active(*self._histories(summary), horizon(days)), 0, 1)

    def discounted_purchases(self, summary: pd.DataFrame, days: float, discount_rate: float) -> Array:
        """Expected purchase days within `days`, each discounted to the cutoff.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        days : float
            Horizon; ``inf`` for the whole residual life, which needs a discount rate above 0 to converge.
        discount_rate : float
            A year: a purchase after one year counts 1 / (1 + discount_rate).

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        DataError
            When `days` is negative, or infinite without discounting.
        """
        x, t_x, T = self._histories(summary)
        rate = float(np.log1p(discount_rate)) / 365.0
        if rate > 0 and days > DISCOUNTED_AWAY / rate:
            days = DISCOUNTED_AWAY / rate
        return self._alive(x, t_x, T) * self._discounted(x, t_x, T, horizon(days), rate)

    def probability_counts(self, summary: pd.DataFrame, days: float, most: int) -> Array:
        """P(exactly k purchase days within `days` after the cutoff) for k = 0 .. `most`.

        Returns
        -------
        ndarray, shape (n, most + 1)
            Rows sum to at most 1; the rest is P(more than `most`).
        """
        x, t_x, T = self._histories(summary)
        alive = self._alive(x, t_x, T)
        counts = self._counts(x, t_x, T, horizon(days), most) * alive[:, None]
        counts[:, 0] += 1 - alive
        return np.clip(counts, 0, 1)

    def days_to_next_purchase(self, summary: pd.DataFrame) -> Array:
        """Median days from the cutoff to the next purchase of a customer who makes one, one per row.

        The mean does not exist for customers with few purchases, so the median is given; at most 36,500.
        """
        return np.minimum(self._wait(*self._histories(summary)), CENTURY)

    def next_purchase(self, summary: pd.DataFrame, as_of: dt.date) -> Array:
        """Day by which a customer who buys again has done so with even chances, one per row, datetime64[D].

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        as_of : date
            Its cutoff; :meth:`days_to_next_purchase` are counted from it.
        """
        return np.datetime64(as_of, "D") + np.ceil(self.days_to_next_purchase(summary)).astype(int)

    def days_late(self, summary: pd.DataFrame) -> Array:
        """Days by which the next purchase is overdue, one per row; negative where it is not due yet.

        Due is the median wait as it stood at the last purchase (:meth:`days_to_next_purchase` of then).
        """
        x, t_x, T = self._histories(summary)
        return T - t_x - np.minimum(self._wait(x, t_x, t_x), CENTURY)

    def expected_purchases_new(self, days: float) -> float:
        """Expected repeat purchase days of a new customer within `days` of the first purchase."""
        return float(self.expected_purchases(NEW_CUSTOMER, days)[0])

    def discounted_purchases_new(self, days: float, discount_rate: float) -> float:
        """As :meth:`discounted_purchases`, for a new customer from the first purchase on (not counted)."""
        return float(self.discounted_purchases(NEW_CUSTOMER, days, discount_rate)[0])

    def bootstrap_parameters(self, summary: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
        """Parameters refitted to customers drawn with replacement from the `summary` the model was fitted to.

        Returns
        -------
        ndarray, shape (draws, k)
            In the order of ``params_``; each search starts from the estimate.
        """
        counts, coordinates = count_histories(*columns_of(summary)), self._coordinates
        units = counts.scale ** np.array(self._time_powers)
        start = coordinates.theta(self._parameters() / units)
        out = np.empty((draws, len(units)))
        for draw in range(draws):
            again = counts.reweighted(rng.multinomial(int(counts.n), counts.weight / counts.n))
            objective = coordinates.objective(partial(self._likelihood, counts=again))
            found = maximise(objective, start, coordinates.lower, coordinates.upper)
            out[draw] = coordinates.parameters(found.theta) * units
        return out

    def simulate_purchases(
        self, summary: pd.DataFrame, days: float, parameters: Array, rng: np.random.Generator
    ) -> Array:
        """Purchase days of each customer within `days`, drawn once for each row of `parameters`.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        days : float
            Horizon.
        parameters : ndarray, shape (draws, k)
            In the order of ``params_``.
        rng : Generator
            Source of randomness.

        Returns
        -------
        ndarray of int, shape (draws, n)
        """
        periods = self.simulate_periods(summary, np.array([days]), parameters, rng)
        return np.array([bought[0] for bought in periods])

    def simulate_periods(
        self, summary: pd.DataFrame, ends: Array, parameters: Array, rng: np.random.Generator
    ) -> Iterator[Array]:
        """Purchase days of each customer in periods that follow each other from the cutoff on.

        Parameters
        ----------
        summary, parameters, rng
            As in :meth:`simulate_purchases`.
        ends : ndarray, shape (periods,)
            Last days of the periods, counted from the cutoff, ascending.

        Yields
        ------
        ndarray of int, shape (periods, n)
            One for each row of `parameters`.
        """
        model = copy(self)
        for row in parameters:
            model.params_ = dict(zip(self.params_, map(float, row), strict=True))
            yield model._periods(summary, ends, rng)

    def _periods(self, summary: pd.DataFrame, ends: Array, rng: np.random.Generator) -> Array:
        """One simulation with the parameters as they are, shape (periods, n)."""
        ends = np.asarray(ends, dtype=float)
        if (np.diff(ends, prepend=0.0) < 0).any():
            raise DataError("ends of periods must ascend from 0 on.", found=str(ends.tolist()))
        horizon(ends[-1])
        x, t_x, T = self._histories(summary)
        return self._draw(rng, self._alive(x, t_x, T), x, t_x, T, ends)

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        return {
            **self._described(),
            "state": {name: getattr(self, name) for name in self._state},
            **self._saved(),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on, of whichever class."""
        kind = getattr(import_module("clvseg.value"), d["model"])
        restored: Self = kind._restored(d)
        return restored

    @classmethod
    def _restored(cls, d: dict[str, Any]) -> Self:
        model = cls(**d["settings"])
        for name, value in d["state"].items():
            setattr(model, name, value)
        return model._restore(d)

    def _described(self) -> dict[str, Any]:
        return {"model": type(self).__name__, "settings": self.get_params()}

    @staticmethod
    def _from_description(d: dict[str, Any]) -> PurchaseModel:
        """The model before its fit."""
        model: PurchaseModel = getattr(import_module("clvseg.value"), d["model"])(**d["settings"])
        return model

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array([self.params_[name] for name in self._coordinates.names])

    def _histories(self, summary: pd.DataFrame) -> tuple[Array, Array, Array]:
        check_is_fitted(self, "params_")
        return columns_of(summary)

    def _starts_for(self, counts: Counts) -> list[Array]:
        """The usual starts, and two that buy as often as seen, alive for half of their age and throughout."""
        rate = max((counts.weight @ counts.x) / max(counts.weight @ counts.T, 1e-12), 1e-6)
        half, lasting = np.array(self._starts[0]), np.array(self._lasting)
        half[1], lasting[1] = -np.log(2 * rate), -np.log(rate)
        return [*map(np.array, self._starts), half, lasting]

    def _constant(self, summary: pd.DataFrame, scale: float) -> float:
        """Mean of what the log-likelihood holds besides `_likelihood`, with time in units of `scale` days."""
        return 0.0

    @abstractmethod
    def _likelihood(self, parameters: Array, counts: Counts) -> tuple[float, Array, Array]: ...

    def _row_derivatives(
        self, parameters: Array, x: Array, t_x: Array, T: Array
    ) -> tuple[Array, Array, Array]:
        """Log-likelihood of each row with gradient and Hessian in its own log-parameters."""
        raise NotImplementedError

    def _time_derivatives(
        self, parameters: Array, x: Array, t_x: Array, T: Array
    ) -> tuple[Array, Array, Array]:
        """As :meth:`_row_derivatives`, then in t_x and T."""
        raise NotImplementedError

    @abstractmethod
    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        """P(alive at T), in 0..1."""

    @abstractmethod
    def _staying(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        """P(alive at T + t | alive at T), in 0..1."""

    @abstractmethod
    def _purchases(self, x: Array, t_x: Array, T: Array, t: float) -> Array: ...

    @abstractmethod
    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array: ...

    @abstractmethod
    def _discounted(self, x: Array, t_x: Array, T: Array, t: float, rate: float) -> Array: ...

    @abstractmethod
    def _counts(self, x: Array, t_x: Array, T: Array, t: float, most: int) -> Array: ...

    @abstractmethod
    def _draw(
        self, rng: np.random.Generator, alive: Array, x: Array, t_x: Array, T: Array, ends: Array
    ) -> Array: ...

    @abstractmethod
    def _wait(self, x: Array, t_x: Array, T: Array) -> Array: ...


def log_unit(counts: Counts) -> float:
    """Each purchase has a density in time: what its logarithm loses from internal units to days."""
    return float(np.log(counts.scale) * (counts.weight @ counts.x) / counts.n)


def require_time(counts: Counts) -> None:
    """Refuse a summary in which nobody was known before the cutoff."""
    if counts.T.max() <= 0:
        raise DataError(
            "no customer was known before the cutoff.",
            found="T is 0 for all.",
            hint="choose a later cutoff.",
        )


def horizon(days: float) -> float:
    """Days as a float, refused where they are not finite or negative."""
    if not np.isfinite(days) or days < 0:
        raise DataError("days must be a finite number, 0 or more.", found=str(days))
    return float(days)
