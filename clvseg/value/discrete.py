"""Models of fixed opportunities: BG/BB for periodic purchases, shifted beta-geometric for contracts."""

from __future__ import annotations

from functools import partial
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError, MissingColumnsError
from .equations import discrete
from .equations.newton import Objective
from .equations.types import Array
from .fit import Coordinates, FitReport, report, search

_LOW, _HIGH = np.log([1e-4, 1e4])
_RATIO = np.array([[1.0, 1.0], [0.0, 1.0]])


class BetaGeoBetaBinomModel(BaseEstimator):
    """BG/BB: at each opportunity a customer drops out with probability theta, else buys with probability p.

    p is Beta(alpha, beta) over customers, theta Beta(gamma, delta). Fader, Hardie & Shang (2010), Marketing
    Science 29(6). The frame has one row per customer: ``frequency`` (periods with a purchase), ``recency``
    (the last of them, 0 without one) and ``periods`` (opportunities since the customer was acquired).

    Attributes
    ----------
    params_ : dict
        alpha, beta, gamma, delta.
    fit_report_ : FitReport
        Whether and how far to trust the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> gifts = pd.DataFrame({"frequency": [0, 3, 1, 6], "recency": [0, 4, 2, 6], "periods": [6, 6, 6, 6]})
    >>> BetaGeoBetaBinomModel().fit(gifts).expected_purchases(gifts, periods=3).shape
    (4,)
    """

    params_: dict[str, float]
    fit_report_: FitReport
    _coordinates = Coordinates(
        ("alpha", "beta", "gamma", "delta"),
        np.kron(np.eye(2), _RATIO),
        np.array([2 * _LOW, _LOW] * 2),
        np.array([_HIGH, _HIGH] * 2),
    )
    _starts = ((0.0, 0.0, -1.0, 0.7), (0.5, 1.0, -2.0, 1.5), (-1.0, -0.7, 0.5, 0.0))

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood to counts of identical rows.

        Raises
        ------
        DataError
            When a column is missing or a value is impossible.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        rows, weight = np.unique(np.column_stack(_opportunities(frame)), axis=0, return_counts=True)
        x, t_x, n = rows.T
        likelihood = partial(discrete.bgbb_log_likelihood, x=x, t_x=t_x, n=n, weight=weight.astype(float))
        self.params_, self.fit_report_ = _fit(
            self._coordinates,
            self._coordinates.objective(likelihood),
            self._starts,
            len(frame),
            len(rows),
            "BG/BB",
        )
        return self

    def score(self, frame: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better)."""
        x, t_x, n = _opportunities(frame)
        return discrete.bgbb_log_likelihood(self._parameters(), x, t_x, n, np.ones(len(x)))[0]

    def probability_alive(self, frame: pd.DataFrame) -> Array:
        """P(still a customer in the last period), one per row, in 0..1."""
        terms = discrete.bgbb_log_terms(self._parameters(), *_opportunities(frame))
        return np.exp(terms[:, 0] - np.logaddexp.reduce(terms, axis=1))

    def expected_purchases(self, frame: pd.DataFrame, periods: int) -> Array:
        """Expected periods with a purchase among the next `periods`, one per row."""
        return discrete.bgbb_purchases(self._parameters(), *_opportunities(frame), periods)

    def expected_purchases_new(self, periods: int) -> float:
        """Expected periods with a purchase of a new customer."""
        zero = np.zeros(1)
        return float(discrete.bgbb_purchases(self._parameters(), zero, zero, zero, periods)[0])

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array(list(self.params_.values()))


class ShiftedBetaGeoModel(BaseEstimator):
    """sBG: at each renewal a customer churns with a probability that is Beta(alpha, beta) over customers.

    Fader & Hardie (2007), "How to project customer retention". Fitted to customers (``tenure``: periods
    completed, ``churned``: whether the contract ended in the last of them) or to a table of survivors.

    Attributes
    ----------
    params_ : dict
        alpha, beta.
    fit_report_ : FitReport
        Whether and how far to trust the fit.

    Examples
    --------
    >>> model = ShiftedBetaGeoModel().fit_survivors([1000, 869, 743, 653, 593, 551, 517, 491])
    >>> model.survival([8, 12]).round(3)
    array([0.46 , 0.378])
    """

    params_: dict[str, float]
    fit_report_: FitReport
    _coordinates = Coordinates(
        ("alpha", "beta"), _RATIO, np.array([2 * _LOW, _LOW]), np.array([_HIGH, _HIGH])
    )
    _starts = ((-1.0, 0.7), (0.0, 0.0), (-2.0, 2.0))

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Fit to one row per customer: columns tenure (whole periods, 1 or more) and churned (0/1).

        Raises
        ------
        DataError
            When a column is missing, or a tenure is not a whole number of at least 1.
        """
        missing = [(name, name) for name in ("tenure", "churned") if name not in frame.columns]
        if missing:
            raise MissingColumnsError.compare("the frame", missing, frame.columns)
        tenure, churned = frame["tenure"].to_numpy(dtype=float), frame["churned"].to_numpy(dtype=bool)
        if not (len(tenure) and (tenure >= 1).all() and (tenure == np.floor(tenure)).all()):
            raise DataError("tenure must be whole periods, 1 or more.", hint="leave out those in period 1.")
        size = int(tenure.max())
        lost = np.bincount(tenure[churned].astype(int), minlength=size + 1)[1:]
        kept = np.bincount(tenure[~churned].astype(int), minlength=size + 1)[1:]
        return self._fit_counts(lost.astype(float), kept.astype(float))

    def fit_survivors(self, survivors: list[float] | Array | pd.Series) -> Self:
        """Fit to the customers left after 0, 1, 2, ... periods of one cohort.

        Raises
        ------
        DataError
            When there are fewer than two numbers, or they rise.
        """
        left = np.asarray(survivors, dtype=float)
        if left.ndim != 1 or len(left) < 2 or (np.diff(left) > 0).any() or left[-1] < 0:
            raise DataError("survivors must be two or more numbers that never rise.", found=str(survivors))
        kept = np.zeros(len(left) - 1)
        kept[-1] = left[-1]
        return self._fit_counts(-np.diff(left), kept)

    def survival(self, periods: list[int] | Array) -> Array:
        """P(still a customer after each number of periods), in 0..1."""
        return discrete.sbg_survival(self._parameters(), np.asarray(periods, dtype=float))

    def retention(self, periods: list[int] | Array) -> Array:
        """P(renewing at the end of each period | still a customer before), in 0..1; rises with the period."""
        alpha, beta = self._parameters()
        t = np.asarray(periods, dtype=float)
        return (beta + t - 1) / (alpha + beta + t - 1)

    def expected_renewals(self, tenure: Array, periods: int) -> Array:
        """Expected renewals within the next `periods` of customers who have completed `tenure` periods."""
        ahead = np.asarray(tenure, dtype=float)[:, None] + np.arange(1, periods + 1)
        return (self.survival(ahead) / self.survival(ahead[:, :1] - 1)).sum(axis=1)

    def _fit_counts(self, lost: Array, kept: Array) -> Self:
        likelihood = partial(discrete.sbg_log_likelihood, lost=lost, kept=kept)
        size = round(float(lost.sum() + kept.sum()))
        objective = self._coordinates.objective(likelihood)
        self.params_, self.fit_report_ = _fit(
            self._coordinates, objective, self._starts, size, len(lost) + 1, "sBG"
        )
        return self

    def _parameters(self) -> Array:
        check_is_fitted(self, "params_")
        return np.array(list(self.params_.values()))


def _fit(
    coordinates: Coordinates,
    objective: Objective,
    starts: tuple[tuple[float, ...], ...],
    n_customers: int,
    n_histories: int,
    what: str,
) -> tuple[dict[str, float], FitReport]:
    found = search([objective], [np.array(start) for start in starts], coordinates, what)
    units = np.ones(len(coordinates.names))
    params = dict(zip(coordinates.names, map(float, coordinates.parameters(found.theta)), strict=True))
    return params, report(found, coordinates, units, n_customers, n_histories, 0.0)


def _opportunities(frame: pd.DataFrame) -> tuple[Array, Array, Array]:
    """x, t_x and n of a frame, checked."""
    names = ("frequency", "recency", "periods")
    missing = [(name, name) for name in names if name not in frame.columns]
    if missing:
        raise MissingColumnsError.compare("the frame", missing, frame.columns)
    x, t_x, n = (frame[name].to_numpy(dtype=float) for name in names)
    right = (x >= 0) & (x <= t_x) & (t_x <= n) & ((x > 0) == (t_x > 0))
    right &= (x == np.floor(x)) & (t_x == np.floor(t_x)) & (n == np.floor(n))
    if not len(x) or not right.all():
        raise DataError(
            "frequency, recency and periods must be whole numbers with 0 <= frequency <= recency <= periods.",
            found=f"{int((~right).sum())} of {len(x)} rows are not so.",
        )
    return x, t_x, n
