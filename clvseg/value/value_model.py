"""Purchases times spend: the value of customers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .equations.types import Array
from .purchases import PurchaseModel
from .spend import GammaGammaModel
from .uncertainty import Outcomes, PeriodTotals, draw_parameters


class ValueModel(BaseEstimator):
    """A purchase model and a spend model, taken as independent.

    Parameters
    ----------
    purchases : PurchaseModel
        For example ``ModifiedBetaGeoModel()``; :meth:`fit` leaves it as it is and fits a copy.
    spend : GammaGammaModel
        Likewise.

    Attributes
    ----------
    purchases_, spend_ : PurchaseModel, GammaGammaModel
        Fitted copies.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvseg.value import GammaGammaModel, ModifiedBetaGeoModel
    >>> summary = pd.DataFrame({"frequency": [0, 2, 1, 5], "recency": [0, 60, 9, 90], "T": [99, 90, 80, 99]})
    >>> spend = pd.DataFrame({"frequency": [1, 3, 2, 6], "monetary_value": [20.0, 35.0, 12.0, 28.0]})
    >>> model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(summary, spend)
    >>> model.expected_value(summary, spend, days=90).shape
    (4,)
    """

    def __init__(self, purchases: PurchaseModel, spend: GammaGammaModel) -> None:
        self.purchases = purchases
        self.spend = spend

    def fit(self, summary: pd.DataFrame, spend_frame: pd.DataFrame) -> Self:
        """Fit both models.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T.
        spend_frame : DataFrame
            Columns frequency (orders), monetary_value (their mean); need not be of the same customers.

        Raises
        ------
        DataError, ConvergenceError
            As the two models' ``fit``.
        """
        self.purchases_ = clone(self.purchases).fit(summary)
        self.spend_ = clone(self.spend).fit(spend_frame)
        return self

    def probability_alive(self, summary: pd.DataFrame, days: float = 0.0) -> Array:
        """P(still a customer `days` after the cutoff), one per row, in 0..1."""
        return self._purchases().probability_alive(summary, days)

    def probability_active(self, summary: pd.DataFrame, days: float) -> Array:
        """P(at least one purchase within `days`), one per row, in 0..1."""
        return self._purchases().probability_active(summary, days)

    def expected_purchases(self, summary: pd.DataFrame, days: float, *, after: float = 0.0) -> Array:
        """Expected purchase days in the `days` that begin `after` days past the cutoff, one per row."""
        return self._purchases().expected_purchases(summary, days, after=after)

    def expected_spend(self, spend_frame: pd.DataFrame) -> Array:
        """Expected amount of one purchase, one per row."""
        self._purchases()
        return self.spend_.expected_spend(spend_frame)

    def expected_value(
        self, summary: pd.DataFrame, spend_frame: pd.DataFrame, days: float, *, after: float = 0.0
    ) -> Array:
        """Expected revenue in the `days` that begin `after` days past the cutoff, undiscounted."""
        _same_customers(summary, spend_frame)
        return self.expected_purchases(summary, days, after=after) * self.expected_spend(spend_frame)

    def lifetime_value(
        self,
        summary: pd.DataFrame,
        spend_frame: pd.DataFrame,
        days: float,
        discount_rate: float,
        margin: float,
    ) -> Array:
        """Expected margin within `days`, each purchase discounted to the cutoff.

        Parameters
        ----------
        summary, spend_frame : DataFrame
            Of the same customers in the same order.
        days : float
            Horizon; ``inf`` for the whole residual life, which needs a discount rate above 0 to converge.
        discount_rate : float
            A year: money after one year counts 1 / (1 + discount_rate).
        margin : float
            Share of revenue kept.

        Returns
        -------
        ndarray, shape (n,)
            In the data's money.
        """
        _same_customers(summary, spend_frame)
        purchases = self._purchases().discounted_purchases(summary, days, discount_rate)
        return margin * purchases * self.expected_spend(spend_frame)

    def simulate_outcomes(
        self, summary: pd.DataFrame, spend_frame: pd.DataFrame, days: float, *, draws: int, seed: int
    ) -> Outcomes:
        """Purchases and revenue within `days`, simulated under the uncertainty of the parameters.

        Parameters
        ----------
        summary, spend_frame : DataFrame
            Of the same customers in the same order.
        days : float
            Horizon.
        draws : int
            Simulations; each takes 16 bytes per customer.
        seed : int
            The same seed gives the same outcomes.
        """
        _same_customers(summary, spend_frame)
        rng, model, spend = np.random.default_rng(seed), self._purchases(), self.spend_
        parameters = draw_parameters(model.params_, model.covariance_, draws, rng)
        of_spend = draw_parameters(spend.params_, spend.covariance_, draws, rng)
        purchases = model.simulate_purchases(summary, days, parameters, rng)
        value = spend.simulate_spend(spend_frame, purchases, of_spend, rng)
        known = model.covariance_ is not None and spend.covariance_ is not None
        return Outcomes(summary.index, purchases, value, known)

    def simulate_totals(
        self, summary: pd.DataFrame, spend_frame: pd.DataFrame, ends: Array, *, draws: int, seed: int
    ) -> PeriodTotals:
        """Purchases and revenue of all customers together in each of several periods, such as weeks.

        Parameters
        ----------
        summary, spend_frame : DataFrame
            Of the same customers in the same order.
        ends : ndarray, shape (periods,)
            Last days of the periods, counted from the cutoff, ascending: 7, 14, 21 for three weeks.
        draws : int
            Simulations; customers are summed at once, so that memory does not grow with them.
        seed : int
            The same seed gives the same totals.
        """
        _same_customers(summary, spend_frame)
        rng, model, spend = np.random.default_rng(seed), self._purchases(), self.spend_
        parameters = draw_parameters(model.params_, model.covariance_, draws, rng)
        of_spend = draw_parameters(spend.params_, spend.covariance_, draws, rng)
        purchases = np.empty((draws, len(ends)), dtype=np.int64)
        value = np.empty((draws, len(ends)))
        for draw, bought in enumerate(model.simulate_periods(summary, ends, parameters, rng)):
            purchases[draw] = bought.sum(axis=1)
            paid = spend.simulate_spend(spend_frame, bought[None], of_spend[draw : draw + 1], rng)
            value[draw] = paid[0].sum(axis=1)
        known = model.covariance_ is not None and spend.covariance_ is not None
        return PeriodTotals(np.asarray(ends, dtype=float), purchases, value, known)

    def lifetime_value_new(self, days: float, discount_rate: float, margin: float) -> float:
        """Expected margin of a customer not yet acquired, from the first purchase on, discounted to it.

        Parameters
        ----------
        days, discount_rate, margin : float
            As in :meth:`lifetime_value`.
        """
        purchases = 1 + self._purchases().discounted_purchases_new(days, discount_rate)
        return margin * purchases * self.spend_.population_spend_

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        return {"purchases": self._purchases().to_dict(), "spend": self.spend_.to_dict()}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """The model that :meth:`to_dict` was called on."""
        purchases, spend = PurchaseModel.from_dict(d["purchases"]), GammaGammaModel.from_dict(d["spend"])
        model = cls(clone(purchases), clone(spend))
        model.purchases_, model.spend_ = purchases, spend
        return model

    def _purchases(self) -> PurchaseModel:
        check_is_fitted(self, "purchases_")
        return self.purchases_


def _same_customers(summary: pd.DataFrame, spend_frame: pd.DataFrame) -> None:
    if not summary.index.equals(spend_frame.index):
        raise DataError(
            "summary and spend frame are not of the same customers in the same order.",
            found=f"{len(summary):,} and {len(spend_frame):,} rows.",
            hint="reindex one by the other's index.",
        )
