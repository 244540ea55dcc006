"""Shifted beta-geometric: renewals of contracts."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from ..errors import DataError, MissingColumnsError
from .discrete import HIGH, LOW, RATIO, DiscreteModel, discounts, whole_periods
from .equations import discrete
from .equations.newton import Objective
from .equations.types import Array
from .fit import Coordinates


class ShiftedBetaGeoModel(DiscreteModel):
    """sBG: at each renewal a customer churns with a probability that is Beta(alpha, beta) over customers.

    Fader & Hardie (2007), "How to project customer retention". Fitted to customers (``tenure``: periods
    completed, ``churned``: whether the contract ended in the last of them) or to a table of survivors.

    Attributes
    ----------
    params_ : dict
        alpha, beta.
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    lost_, kept_ : ndarray
        Customers lost in, and last seen alive at the end of, period 1, 2, ...

    Examples
    --------
    >>> model = ShiftedBetaGeoModel().fit_survivors([1000, 869, 743, 653, 593, 551, 517, 491])
    >>> model.survival([8, 12]).round(3)
    array([0.46 , 0.378])
    """

    _coordinates = Coordinates(("alpha", "beta"), RATIO, np.array([2 * LOW, LOW]), np.array([HIGH, HIGH]))
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

    def probability_alive(self, tenure: Array, periods: int) -> Array:
        """P(still a customer `periods` from now) of those who have completed `tenure` periods, in 0..1."""
        done = _tenure(tenure)
        return self.survival(done + whole_periods(periods)) / self.survival(done)

    def expected_renewals(self, tenure: Array, periods: float, *, after: int = 0) -> Array:
        """Expected renewals within the `periods` that follow `after` more, after `tenure` periods.

        ``periods=inf`` is the expected rest of the contract; it is finite where alpha is above 1.

        Raises
        ------
        DataError
            When `periods` is infinite and the expectation is too.
        """
        done = _tenure(tenure)
        if np.isinf(periods):
            alpha, beta = self._parameters()
            if alpha <= 1:
                raise DataError(
                    "the expected rest of the contract is infinite, as alpha is not above 1.",
                    found=f"alpha = {alpha:.3g}.",
                    hint="give a number of periods, or discount.",
                )
            # Sum over m >= 1 of S(t + m) / S(t) = (beta + t) / (alpha - 1).
            return (beta + done) / (alpha - 1) - self.expected_renewals(done, after)
        ahead = whole_periods(after) + np.arange(1, whole_periods(periods) + 1)
        return self._sum(done, ahead, np.ones(len(ahead)))

    def discounted_renewals(self, tenure: Array, periods: float, discount_rate: float) -> Array:
        """Expected renewals within `periods`, each discounted to now.

        Fader & Hardie (2010), "Customer-base valuation in a contractual setting", Marketing Science 29(1),
        call the infinite sum, with the renewal that is due now, DERL.

        Parameters
        ----------
        tenure : ndarray, shape (n,)
            Periods completed; 0 for a customer not yet acquired.
        periods : int or inf
            Horizon; ``inf`` needs a discount rate above 0 to converge.
        discount_rate : float
            A period: a renewal m periods ahead counts (1 + discount_rate)^-m.

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._sum(_tenure(tenure), *discounts(periods, discount_rate))

    def probability_counts(self, tenure: Array, periods: int, most: int) -> Array:
        """P(exactly k renewals within the next `periods`) for k = 0 .. `most`.

        Returns
        -------
        ndarray, shape (n, most + 1)
        """
        done, k = _tenure(tenure)[:, None], np.arange(most + 2)
        reached = self.survival(done + np.minimum(k, whole_periods(periods))) / self.survival(done)
        return np.where(k[1:] > periods, reached[:, :-1] * (k[:-1] == periods), -np.diff(reached, axis=1))

    def bootstrap_parameters(self, draws: int, rng: np.random.Generator) -> Array:
        """Parameters refitted to customers drawn with replacement from those of the fit.

        Returns
        -------
        ndarray, shape (draws, 2)
            In the order of ``params_``.
        """
        self._parameters()
        both = np.concatenate([self.lost_, self.kept_])
        n = int(both.sum())

        def again() -> Objective:
            drawn = rng.multinomial(n, both / both.sum()).astype(float)
            return self._objective(*np.split(drawn, 2))

        return self._bootstrap(again, draws)

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        return super().to_dict() | {"lost": self.lost_.tolist(), "kept": self.kept_.tolist()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on."""
        model = super().from_dict(d)
        model.lost_, model.kept_ = np.array(d["lost"]), np.array(d["kept"])
        return model

    def _sum(self, done: Array, ahead: Array, weight: Array) -> Array:
        distinct, place = np.unique(done, return_inverse=True)
        left = np.array([self.survival(one + ahead) @ weight for one in distinct])
        return (left / self.survival(distinct))[place]

    def _objective(self, lost: Array, kept: Array) -> Objective:
        return self._coordinates.objective(partial(discrete.sbg_log_likelihood, lost=lost, kept=kept))

    def _fit_counts(self, lost: Array, kept: Array) -> Self:
        self.lost_, self.kept_ = lost, kept
        size = round(float(lost.sum() + kept.sum()))
        return self._fit(self._objective(lost, kept), size, len(lost) + 1, "sBG")


def _tenure(tenure: Array) -> Array:
    done = np.atleast_1d(np.asarray(tenure, dtype=float))
    if not (done >= 0).all():
        raise DataError("tenure must be 0 or more periods.", found=str(done.min()))
    return done
