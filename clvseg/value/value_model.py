"""Purchases times spend: the value of customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .equations.types import Array
from .purchases import PurchaseModel
from .spend import GammaGammaModel
from .uncertainty import OutcomeIntervals, Outcomes, PeriodTotals, sum_up

# Simulated customers held at a time.
_AT_ONCE = 4_000_000


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
        parameters, of_spend = model.draw_parameters(draws, rng), spend.draw_parameters(draws, rng)
        purchases = model.simulate_purchases(summary, days, parameters, rng)
        value = spend.simulate_spend(spend_frame, purchases, of_spend, rng)
        return Outcomes(summary.index, purchases, value, self._known())

    def outcome_intervals(
        self,
        summary: pd.DataFrame,
        spend_frame: pd.DataFrame,
        days: float,
        *,
        draws: int,
        seed: int,
        levels: tuple[float, ...] = (0.5, 0.8, 0.95),
        groups: pd.Series | None = None,
    ) -> OutcomeIntervals:
        """Intervals of the revenue within `days` of each customer, of groups of them and of all together.

        The parameters' uncertainty is common to all customers, chance is their own. Customers are simulated
        some after others, so that memory grows with the number of customers but not with that of the draws.

        Parameters
        ----------
        summary, spend_frame, days, seed
            As in :meth:`simulate_outcomes`.
        draws : int
            Simulations; 1,000 make the ends of a 95 % interval steady.
        levels : tuple of float
            Between 0 and 1.
        groups : Series, optional
            Such as each customer's segment, indexed like `summary`.

        Raises
        ------
        DataError
            When `groups` are of other customers, or a level is not between 0 and 1.
        """
        _same_customers(summary, spend_frame)
        rng, model, spend = np.random.default_rng(seed), self._purchases(), self.spend_
        parameters, of_spend = model.draw_parameters(draws, rng), spend.draw_parameters(draws, rng)
        size = max(1, _AT_ONCE // draws)

        def parts() -> Iterator[Outcomes]:
            for begin in range(0, len(summary), size):
                some = slice(begin, begin + size)
                bought = model.simulate_purchases(summary.iloc[some], days, parameters, rng)
                value = spend.simulate_spend(spend_frame.iloc[some], bought, of_spend, rng)
                yield Outcomes(summary.index[some], bought, value, self._known())

        return sum_up(parts(), groups, summary.index, levels)

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
        parameters, of_spend = model.draw_parameters(draws, rng), spend.draw_parameters(draws, rng)
        purchases = np.empty((draws, len(ends)), dtype=np.int64)
        value = np.empty((draws, len(ends)))
        for draw, bought in enumerate(model.simulate_periods(summary, ends, parameters, rng)):
            purchases[draw] = bought.sum(axis=1)
            paid = spend.simulate_spend(spend_frame, bought[None], of_spend[draw : draw + 1], rng)
            value[draw] = paid[0].sum(axis=1)
        return PeriodTotals(np.asarray(ends, dtype=float), purchases, value, self._known())

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

    def _known(self) -> bool:
        """Whether both models know how uncertain their parameters are."""
        return self.purchases_.knows_uncertainty and self.spend_.knows_uncertainty

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
