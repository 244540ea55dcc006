"""Purchase models as scikit-learn style estimators over the customer summary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError, MissingColumnsError
from .equations import betageo, pareto
from .equations.beta_mean import mean_over_dropout
from .equations.counts import Counts, count_histories, distinct_histories
from .equations.curves import along_curves
from .equations.quadrature import horizon_nodes
from .equations.types import Array
from .fit import Coordinates, FitReport, covariance, report, search

# Histories on which the starts are tried; the best end is then finished on all of them.
_COARSE = 2_000
_SHAPES = (float(np.log(1e-4)), float(np.log(1e4)))
_TIMES = (float(np.log(1e-6)), float(np.log(1e6)))


class PurchaseModel(BaseEstimator, ABC):
    """What the purchase models share: checks, fitting over counts of identical histories, and saving.

    A summary is a frame with the columns ``frequency`` (repeat purchase days, x in the papers), ``recency``
    and ``T`` (age at the last purchase, t_x, and at the cutoff, in days). Other columns are ignored, the
    frame is left as it is, and the order of its rows does not matter.
    """

    _coordinates: ClassVar[Coordinates]
    _starts: ClassVar[tuple[tuple[float, ...], ...]]
    # 1 for parameters in units of time.
    _time_powers: ClassVar[tuple[int, ...]]

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
        counts = count_histories(*_columns(summary))
        if counts.T.max() <= 0:
            raise DataError(
                "no customer was known before the cutoff.",
                found="T is 0 for all.",
                hint="choose a later cutoff.",
            )
        coordinates = self._coordinates
        thin = counts.thin(_COARSE)
        fine = coordinates.objective(lambda p: self._likelihood(p, counts))
        coarse = fine if thin is counts else coordinates.objective(lambda p: self._likelihood(p, thin))
        starts = [np.array(start) for start in (*self._starts, self._start_from(counts))]
        found = search(coarse, fine, starts, coordinates, type(self).__name__)
        units = counts.scale ** np.array(self._time_powers)
        parameters = coordinates.parameters(found.theta) * units
        self.params_ = dict(zip(coordinates.names, map(float, parameters), strict=True))
        self.fit_report_ = report(found, coordinates, units, len(summary), len(counts.x), _log_unit(counts))
        spread = covariance(found, len(summary))
        transform = coordinates.transform
        self.covariance_ = None if spread is None else transform @ spread @ transform.T
        return self

    def score(self, summary: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better); time is in days."""
        counts = count_histories(*_columns(summary))
        units = counts.scale ** np.array(self._time_powers)
        value = self._likelihood(self._parameters() / units, counts)[0]
        return float(value - _log_unit(counts))

    def probability_alive(self, summary: pd.DataFrame) -> Array:
        """P(still a customer at the cutoff), one per row, in 0..1; for churn see ``probability_active``."""
        return np.clip(self._alive(*self._histories(summary)), 0, 1)

    def expected_purchases(self, summary: pd.DataFrame, days: float) -> Array:
        """Expected purchase days within `days` after the cutoff, one per row."""
        x, t_x, T = self._histories(summary)
        return self._alive(x, t_x, T) * self._purchases(x, T, _horizon(days))

    def probability_active(self, summary: pd.DataFrame, days: float) -> Array:
        """P(at least one purchase within `days` after the cutoff), one per row, in 0..1."""
        return np.clip(self._active(*self._histories(summary), _horizon(days)), 0, 1)

    def discounted_purchases(self, summary: pd.DataFrame, days: float, discount_rate: float) -> Array:
        """Expected purchase days within `days`, each discounted to the cutoff.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        days : float
            Horizon.
        discount_rate : float
            A year: a purchase after one year counts 1 / (1 + discount_rate).

        Returns
        -------
        ndarray, shape (n,)
        """
        x, t_x, T = self._histories(summary)
        rate = float(np.log1p(discount_rate)) / 365.0
        return self._alive(x, t_x, T) * self._discounted(x, T, _horizon(days), rate)

    def expected_purchases_new(self, days: float) -> float:
        """Expected repeat purchase days of a new customer within `days` of the first purchase."""
        zero = np.zeros(1)
        return float((self._alive(zero, zero, zero) * self._purchases(zero, zero, _horizon(days)))[0])

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        spread = None if self.covariance_ is None else self.covariance_.tolist()
        return {
            "model": type(self).__name__,
            "settings": self.get_params(),
            "params": dict(self.params_),
            "covariance": spread,
            "fit_report": self.fit_report_.to_dict(),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on; called on the base class, any of its models."""
        model = _kinds(cls)[d["model"]](**d["settings"])
        model.params_ = dict(d["params"])
        model.covariance_ = None if d["covariance"] is None else np.array(d["covariance"])
        model.fit_report_ = FitReport.from_dict(d["fit_report"])
        return model

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array([self.params_[name] for name in self._coordinates.names])

    def _histories(self, summary: pd.DataFrame) -> tuple[Array, Array, Array]:
        check_is_fitted(self, "params_")
        return _columns(summary)

    def _start_from(self, counts: Counts) -> Array:
        """A start whose purchase rate is the data's own."""
        start = np.array(self._starts[0])
        rate = (counts.weight @ counts.x) / max(counts.weight @ counts.T, 1e-12)
        start[1] = -np.log(max(2 * rate, 1e-6))
        return start

    @staticmethod
    @abstractmethod
    def _likelihood(parameters: Array, counts: Counts) -> tuple[float, Array, Array]: ...

    @abstractmethod
    def _alive(self, x: Array, t_x: Array, T: Array) -> Array: ...

    @abstractmethod
    def _purchases(self, x: Array, T: Array, t: float) -> Array: ...

    @abstractmethod
    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array: ...

    @abstractmethod
    def _discounted(self, x: Array, T: Array, t: float, rate: float) -> Array: ...


class _BetaGeo(PurchaseModel):
    """BG/NBD and MBG/NBD: coordinates log r, log(alpha/r), log(a/b), log b."""

    _coordinates = Coordinates(
        ("r", "alpha", "a", "b"),
        np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]),
        np.array([_SHAPES[0], _TIMES[0], _TIMES[0], _SHAPES[0]]),
        np.array([_SHAPES[1], _TIMES[1], _SHAPES[1], _SHAPES[1]]),
    )
    _starts = ((-0.7, 0.0, -1.0, 0.5), (0.7, -1.0, 0.0, -1.0), (-1.5, 1.5, -2.5, 2.0))
    _time_powers = (0, 1, 0, 0)
    _chances: ClassVar[int]

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        return betageo.probability_alive(self._parameters(), x, t_x, T, self._chances)

    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        return self._alive(x, t_x, T) * -np.expm1(-(self._parameters()[0] + x) * np.log1p(
            t / (self._parameters()[1] + T)))  # fmt: skip

    def _purchases(self, x: Array, T: Array, t: float) -> Array:
        r, alpha, a, b = self._parameters()

        def curve(x: Array, start: Array) -> Array:
            return mean_over_dropout(a, b + x + self._chances, r + x, t / start)

        return along_curves(curve, x, alpha + T)

    def _discounted(self, x: Array, T: Array, t: float, rate: float) -> Array:
        r, alpha, a, b = self._parameters()

        def curve(x: Array, start: Array) -> Array:
            # By parts: Int e^(-rate u) dE(u) = e^(-rate t) E(t) + rate Int e^(-rate u) E(u) du.
            total = np.exp(-rate * t) * mean_over_dropout(a, b + x + self._chances, r + x, t / start)
            if rate > 0:
                for tau, weight in horizon_nodes(start, t, rate):
                    total += rate * weight * mean_over_dropout(a, b + x + self._chances, r + x, tau)
            return total

        return along_curves(curve, x, alpha + T)


class BetaGeoModel(_BetaGeo):
    """BG/NBD: Poisson purchases, dropout with some probability after each repeat purchase.

    Rates are Gamma(r, alpha) over customers, dropout probabilities Beta(a, b). Fader, Hardie & Lee (2005),
    "Counting your customers the easy way", Marketing Science 24(2). A customer without repeat purchase counts
    as alive with certainty: rank risk by :meth:`probability_active`, never by :meth:`probability_alive`.

    Attributes
    ----------
    params_ : dict
        r, alpha (days), a, b.
    fit_report_ : FitReport
        Whether and how far to trust the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"frequency": [0, 2, 0, 5], "recency": [0, 60, 0, 90], "T": [99, 90, 80, 99]})
    >>> model = BetaGeoModel().fit(summary)
    >>> model.probability_alive(summary)[0]
    np.float64(1.0)
    """

    _chances = 0

    @staticmethod
    def _likelihood(parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return betageo.log_likelihood(parameters, counts, 0)


class ModifiedBetaGeoModel(_BetaGeo):
    """MBG/NBD: as the BG/NBD, but a customer may also drop out right after the first purchase.

    Batislam, Denizel & Filiztekin (2007), International Journal of Research in Marketing 24(3). P(alive) of
    one-time buyers is below 1, which makes this the safe default.

    Attributes
    ----------
    params_ : dict
        r, alpha (days), a, b.
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    """

    _chances = 1

    @staticmethod
    def _likelihood(parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return betageo.log_likelihood(parameters, counts, 1)


class ParetoNBDModel(PurchaseModel):
    """Pareto/NBD: Poisson purchases, dropout at any time.

    Rates are Gamma(r, alpha) over customers, dropout rates Gamma(s, beta). Schmittlein, Morrison & Colombo
    (1987), "Counting your customers", Management Science 33(1).

    Attributes
    ----------
    params_ : dict
        r, alpha (days), s, beta (days).
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    """

    _coordinates = Coordinates(
        ("r", "alpha", "s", "beta"),
        np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]),
        np.array([_SHAPES[0], _TIMES[0], _SHAPES[0], _TIMES[0]]),
        np.array([_SHAPES[1], _TIMES[1], _SHAPES[1], _TIMES[1]]),
    )
    _starts = ((-0.5, 0.0, -0.5, 0.5), (0.7, -1.0, 0.7, 0.0), (-1.5, 1.5, -1.5, -1.0))
    _time_powers = (0, 1, 0, 1)

    @staticmethod
    def _likelihood(parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return pareto.log_likelihood(parameters, counts)

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        x, t_x, T, inverse = distinct_histories(x, t_x, T)
        found = pareto.probability_alive(self._parameters(), x, t_x, T)
        return found if inverse is None else found[inverse]

    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        x, t_x, T, inverse = distinct_histories(x, t_x, T)
        found = 1 - pareto.probability_none(self._parameters(), x, t_x, T, t)
        return found if inverse is None else found[inverse]

    def _purchases(self, x: Array, T: Array, t: float) -> Array:
        return pareto.purchases_if_alive(self._parameters(), x, T, t)

    def _discounted(self, x: Array, T: Array, t: float, rate: float) -> Array:
        return pareto.discounted_if_alive(self._parameters(), x, T, t, rate)


def _kinds(kind: type[Any]) -> dict[str, Any]:
    """A class and everything derived from it, by name."""
    found = {kind.__name__: kind}
    for one in kind.__subclasses__():
        found |= _kinds(one)
    return found


def _log_unit(counts: Counts) -> float:
    """Each purchase has a density in time: what its logarithm loses from internal units to days."""
    return float(np.log(counts.scale) * (counts.weight @ counts.x) / counts.n)


def _horizon(days: float) -> float:
    if not np.isfinite(days) or days < 0:
        raise DataError("days must be a finite number, 0 or more.", found=str(days))
    return float(days)


def _columns(summary: pd.DataFrame) -> tuple[Array, Array, Array]:
    """x, t_x and T of a summary, checked."""
    names = ("frequency", "recency", "T")
    missing = [(name, name) for name in names if name not in summary.columns]
    if missing:
        raise MissingColumnsError.compare("the summary", missing, summary.columns)
    if not len(summary):
        raise DataError("the summary has no customers.", hint="choose a later cutoff.")
    x, t_x, T = (summary[name].to_numpy(dtype=float) for name in names)
    problems = {
        "a missing or infinite value": ~np.isfinite(x + t_x + T),
        "a negative value": (x < 0) | (t_x < 0),
        "a frequency that is no whole number": x != np.floor(x),
        "recency after T": t_x > T,
        "recency without a repeat purchase": (x == 0) & (t_x > 0),
    }
    for what, bad in problems.items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"the summary has {what} in {int(bad.sum()):,} of {len(bad):,} rows.",
                found=f"row {row}: frequency {x[row]:g}, recency {t_x[row]:g}, T {T[row]:g}.",
            )
    return x, t_x, T
