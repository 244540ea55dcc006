"""Models in which each customer has parameters of their own, made from a plain purchase model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from .equations.types import Array
from .fit import FitReport
from .purchases import PurchaseModel
from .uncertainty import HasParameterDraws


def distinct(*columns: Array) -> tuple[Array, Array, Array]:
    """Rows alike in all columns: the first of each kind, sorted; how many; each row's place among them."""
    keys = pd.DataFrame(np.column_stack(columns))
    place = keys.groupby(list(keys.columns), sort=True).ngroup().to_numpy()
    _, first, counts = np.unique(place, return_index=True, return_counts=True)
    return first, counts.astype(float), place


def _asked(name: str) -> Callable[..., Any]:
    """The plain model's method, asked with the parameters of each customer."""

    @wraps(getattr(PurchaseModel, name))
    def method(self: ByCustomer, summary: pd.DataFrame, *more: Any, **named: Any) -> Array:
        check_is_fitted(self, "params_")
        first, parameters, back = self._rows(summary)
        found = getattr(self._plain(parameters), name)(summary.iloc[first], *more, **named)
        return np.asarray(found)[back]

    return method


class ByCustomer(HasParameterDraws, BaseEstimator, ABC):
    """Predictions of a plain purchase model with one set of parameters per customer.

    They are those of :class:`PurchaseModel`, of which this is a virtual subclass.
    """

    model: PurchaseModel
    fit_report_: FitReport

    probability_alive = _asked("probability_alive")
    expected_purchases = _asked("expected_purchases")
    expected_periods = _asked("expected_periods")
    probability_active = _asked("probability_active")
    discounted_purchases = _asked("discounted_purchases")
    probability_counts = _asked("probability_counts")
    days_to_next_purchase = _asked("days_to_next_purchase")
    next_purchase = _asked("next_purchase")
    days_late = _asked("days_late")

    def expected_purchases_new(self, days: float) -> float:
        """As :meth:`PurchaseModel.expected_purchases_new`, for the reference customer."""
        return self._reference().expected_purchases_new(days)

    def discounted_purchases_new(self, days: float, discount_rate: float) -> float:
        """As :meth:`PurchaseModel.discounted_purchases_new`, for the reference customer."""
        return self._reference().discounted_purchases_new(days, discount_rate)

    def simulate_purchases(
        self, summary: pd.DataFrame, days: float, parameters: Array, rng: np.random.Generator
    ) -> Array:
        """As :meth:`PurchaseModel.simulate_purchases`, with rows from :meth:`draw_parameters`."""
        return np.array([one[0] for one in self.simulate_periods(summary, np.array([days]), parameters, rng)])

    def simulate_periods(
        self, summary: pd.DataFrame, ends: Array, parameters: Array, rng: np.random.Generator
    ) -> Iterator[Array]:
        """As :meth:`PurchaseModel.simulate_periods`, with rows from :meth:`draw_parameters`."""
        model = copy(self)
        for row in parameters:
            model.params_ = dict(zip(self.params_, map(float, row), strict=True))
            _, by_row, back = model._rows(summary)
            yield model._plain(by_row[:, back])._periods(summary, ends, rng)

    @abstractmethod
    def _rows(self, summary: pd.DataFrame) -> tuple[Array, Array, Array]:
        """Rows of distinct customers, their parameters (k, m), and each row's place among them."""

    @abstractmethod
    def _reference(self) -> PurchaseModel:
        """The plain model of the reference customer."""

    def _plain(self, parameters: Array) -> PurchaseModel:
        plain = clone(self.model)
        plain.params_ = dict(zip(plain._coordinates.names, parameters, strict=True))
        return plain


PurchaseModel.register(ByCustomer)
