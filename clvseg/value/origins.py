"""The training panel: customers at earlier cutoffs, and what each of them brought afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from clvseg.boosting import Panel
from clvseg.data.features import customer_features
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.value.value_model import ValueModel

FitModel = Callable[[pd.DataFrame, pd.DataFrame], ValueModel]

WANTED_ORIGINS = 4
MIN_INNER_DAYS = 14
MIN_HISTORY_DAYS = 28
MIN_CUSTOMERS = 100
MIN_BUYERS = 50
YEAR = 364

_TRUSTED_ORDERS = 3


@dataclass(frozen=True)
class ModelBase:
    """The purchase and spend models as of one day, and the columns they add to the features.

    Attributes
    ----------
    value_model : ValueModel
        Fitted on what was known that day; spend on all orders, not on repeats only.
    spend_cap : float
        Money; customers with one or two orders are believed to have a mean order of at most this. It is
        the highest mean order of a customer with three or more; infinite where there is none.
    inner_days, horizon_days : int
        How far the expectations look ahead: for learning, and for predicting.
    """

    value_model: ValueModel
    spend_cap: float
    inner_days: int
    horizon_days: int

    @classmethod
    def fit(cls, features: pd.DataFrame, fit_model: FitModel, inner_days: int, horizon_days: int) -> Self:
        """Fit on customers' features as of one day.

        Parameters
        ----------
        features : DataFrame
            From `customer_features`.
        fit_model : callable
            Takes a summary and a spend frame (frequency = orders, monetary_value = their mean), returns a
            fitted ValueModel.
        inner_days, horizon_days : int
            See above.

        Raises
        ------
        DataError, ConvergenceError
            As `fit_model`.
        """
        trusted = features.loc[features["orders"] >= _TRUSTED_ORDERS, "mean_spend"]
        cap = float(trusted.max()) if len(trusted) and trusted.max() > 0 else float("inf")
        return cls(fit_model(features, spend_frame(features, cap)), cap, inner_days, horizon_days)

    def frame(self, features: pd.DataFrame) -> pd.DataFrame:
        """Add the models' expectations to customers' features.

        Parameters
        ----------
        features : DataFrame
            From `customer_features`, of any customers.

        Returns
        -------
        DataFrame
            The features, and: ``probability_alive``; ``expected_spend`` (money per purchase);
            ``expected_purchases``, ``probability_active`` and ``expected_value`` within `inner_days`;
            ``horizon_purchases``, ``horizon_active`` and ``horizon_value`` within `horizon_days`.
        """
        model, spend = self.value_model, spend_frame(features, self.spend_cap)
        amount = model.expected_spend(spend)
        inner = model.expected_purchases(features, self.inner_days)
        ahead = model.expected_purchases(features, self.horizon_days)
        return features.assign(
            probability_alive=model.probability_alive(features),
            expected_spend=amount,
            expected_purchases=inner,
            probability_active=model.probability_active(features, self.inner_days),
            expected_value=inner * amount,
            horizon_purchases=ahead,
            horizon_active=model.probability_active(features, self.horizon_days),
            horizon_value=ahead * amount,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able."""
        return {
            "value_model": self.value_model.to_dict(),
            "spend_cap": self.spend_cap if np.isfinite(self.spend_cap) else None,
            "inner_days": self.inner_days,
            "horizon_days": self.horizon_days,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`."""
        cap = float("inf") if state["spend_cap"] is None else state["spend_cap"]
        return cls(
            ValueModel.from_dict(state["value_model"]), cap, state["inner_days"], state["horizon_days"]
        )


def spend_frame(features: pd.DataFrame, cap: float) -> pd.DataFrame:
    """Orders and their mean amount, as the spend model wants them.

    Parameters
    ----------
    features : DataFrame
        Columns ``orders`` and ``mean_spend``.
    cap : float
        Money; most that is believed of customers with one or two orders.
    """
    mean = features["mean_spend"]
    few = features["orders"] < _TRUSTED_ORDERS
    return pd.DataFrame(
        {"frequency": features["orders"], "monetary_value": mean.where(~few, mean.clip(upper=cap))}
    )


def build_panel(
    tx: Transactions, as_of: dt.date, horizon_days: int, fit_model: FitModel
) -> tuple[Panel, ModelBase]:
    """Learn from earlier cutoffs what follows, using nothing after `as_of`.

    Origins lie one inner horizon before `as_of` and up to three quarter horizons before that; one more
    lies a year before where the history reaches. At each, the models are fitted on what was known then.

    Parameters
    ----------
    tx : Transactions
        May reach beyond `as_of`; that part is not looked at.
    as_of : date
        Last day that is known.
    horizon_days : int
        How far the prediction is to look ahead.
    fit_model : callable
        See `ModelBase.fit`.

    Returns
    -------
    panel : Panel
        Without origins, and with a reason, where the history is too short.
    base : ModelBase
        Fitted as of `as_of`; made ``panel.current``.

    Raises
    ------
    DataError, ConvergenceError
        When the models cannot be fitted as of `as_of` itself.
    """
    known = tx.split(as_of) if as_of < tx.last_day else tx
    end = min(as_of, known.last_day)
    inner, days = plan_origins((end - known.first_day).days, horizon_days)
    features = customer_features(known, as_of)
    base = ModelBase.fit(features, fit_model, inner, horizon_days)
    parts, notes = [], []
    for before in days:
        origin = end - dt.timedelta(days=before)
        try:
            parts.append((origin, *_origin_rows(known, origin, base, fit_model)))
        except (ConvergenceError, DataError) as error:
            notes.append(f"{origin.isoformat()}: {error.what}")
    reason = _reason(parts, days, inner, notes)
    return _stack(parts, base.frame(features), known.first_day, as_of, base, reason), base


def plan_origins(history_days: int, horizon_days: int) -> tuple[int, list[int]]:
    """Inner horizon, and how many days before the cutoff each origin lies, newest first.

    Examples
    --------
    >>> plan_origins(272, 92)
    (92, [92, 115, 138, 161])
    >>> plan_origins(272, 273)
    (136, [136, 170, 204])
    >>> plan_origins(25, 90)
    (12, [])
    """
    inner = max(1, min(horizon_days, history_days // 2))
    if inner < MIN_INNER_DAYS:
        return inner, []
    need = max(MIN_HISTORY_DAYS, inner // 2)
    step = max(7, inner // 4)
    wanted = [inner + step * k for k in range(WANTED_ORIGINS)]
    if wanted[-1] + step < YEAR:
        wanted.append(YEAR)
    return inner, [before for before in wanted if history_days - before >= need]


def _origin_rows(
    known: Transactions, origin: dt.date, base: ModelBase, fit_model: FitModel
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Base frame at an origin and what followed it."""
    features = customer_features(known.split(origin), origin)
    followed = outcomes(known, origin, base.inner_days)
    if len(features) < MIN_CUSTOMERS or followed["active"].sum() < MIN_BUYERS:
        raise DataError(
            f"of {len(features)} customers {int(followed['active'].sum())} came back; "
            f"{MIN_CUSTOMERS} and {MIN_BUYERS} are needed"
        )
    then = ModelBase.fit(features, fit_model, base.inner_days, base.horizon_days)
    return then.frame(features), followed


def _reason(parts: list[Any], days: list[int], inner: int, notes: list[str]) -> str:
    if notes:
        return f"{len(notes)} of {len(days)} earlier cutoffs could not be used; {notes[0]}"
    if not days:
        return f"the history is too short to hold back {max(inner, MIN_INNER_DAYS)} days within it"
    return "" if len(parts) > 1 else "the history leaves room for one earlier cutoff only"


def _stack(
    parts: list[tuple[dt.date, pd.DataFrame, pd.DataFrame]],
    current: pd.DataFrame,
    first_day: dt.date,
    as_of: dt.date,
    base: ModelBase,
    reason: str,
) -> Panel:
    empty = pd.DataFrame(columns=["value", "purchases", "active"], dtype="float64")
    return Panel(
        rows=pd.concat([rows for _, rows, _ in parts]) if parts else current.iloc[:0],
        origin=np.repeat(np.arange(len(parts)), [len(rows) for _, rows, _ in parts]).astype(np.int64),
        outcome=pd.concat([after for _, _, after in parts]) if parts else empty,
        current=current,
        origins=tuple(origin for origin, _, _ in parts),
        first_day=first_day,
        as_of=as_of,
        horizon_days=base.horizon_days,
        inner_days=base.inner_days,
        reason=reason,
    )
