"""The training panel: customers at earlier cutoffs, and what each of them brought afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.base import clone

from clvseg.boosting import FloatArray, Panel
from clvseg.data.features import customer_features
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.processes import side_by_side
from clvseg.value.hybrid import tweedie_deviance
from clvseg.value.past_rate import rates_suffice
from clvseg.value.value_model import ValueModel

SpendFrom = Literal["all", "repeats"]
FitModel = Callable[[pd.DataFrame, pd.DataFrame], ValueModel]

WANTED_ORIGINS = 4
MIN_INNER_DAYS = 14
MIN_HISTORY_DAYS = 28
MIN_CUSTOMERS = 100
MIN_BUYERS = 50
YEAR = 364

_TRUSTED_ORDERS = 3
_SPEND_COLUMNS = {"all": ("orders", "mean_spend"), "repeats": ("frequency", "monetary_value")}


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
    spend_from : {"all", "repeats"}
        Which orders the spend model reads.
    """

    value_model: ValueModel
    spend_cap: float
    inner_days: int
    horizon_days: int
    spend_from: SpendFrom = "all"

    @classmethod
    def fit(
        cls,
        features: pd.DataFrame,
        fit_model: FitModel,
        inner_days: int,
        horizon_days: int,
        spend_from: SpendFrom = "all",
    ) -> Self:
        """Fit on customers' features as of one day.

        Parameters
        ----------
        features : DataFrame
            From `customer_features`.
        fit_model : callable
            Takes a summary and a spend frame (frequency = orders, monetary_value = their mean), returns a
            fitted ValueModel.
        inner_days, horizon_days, spend_from
            See above.

        Raises
        ------
        DataError, ConvergenceError
            As `fit_model`.
        """
        trusted = features.loc[features["orders"] >= _TRUSTED_ORDERS, "mean_spend"]
        cap = float(trusted.max()) if len(trusted) and trusted.max() > 0 else float("inf")
        model = fit_model(features, spend_frame(features, cap, spend_from))
        return cls(model, cap, inner_days, horizon_days, spend_from)

    def from_repeats(self, features: pd.DataFrame) -> Self:
        """The same with spend learned from repeat orders only, at the features it was fitted on.

        Raises
        ------
        DataError, ConvergenceError
            When the repeat orders do not suffice.
        """
        model = copy(self.value_model)
        model.spend_ = clone(model.spend_).fit(spend_frame(features, self.spend_cap, "repeats"))
        return replace(self, value_model=model, spend_from="repeats")

    def spend_frame(self, features: pd.DataFrame) -> pd.DataFrame:
        """What the spend model reads of customers' features."""
        return spend_frame(features, self.spend_cap, self.spend_from)

    def expected_spend(self, features: pd.DataFrame) -> FloatArray:
        """Expected amount of one purchase, one per row."""
        return self.value_model.expected_spend(self.spend_frame(features))

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
        model = self.value_model
        amount = self.expected_spend(features)

        def within(days: int) -> tuple[FloatArray, FloatArray]:
            return model.expected_purchases(features, days), model.probability_active(features, days)

        inner, active = within(self.inner_days)
        same = self.horizon_days == self.inner_days
        ahead, active_ahead = (inner, active) if same else within(self.horizon_days)
        return features.assign(
            probability_alive=model.probability_alive(features),
            expected_spend=amount,
            expected_purchases=inner,
            probability_active=active,
            expected_value=inner * amount,
            horizon_purchases=ahead,
            horizon_active=active_ahead,
            horizon_value=ahead * amount,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able."""
        return {
            "value_model": self.value_model.to_dict(),
            "spend_cap": self.spend_cap if np.isfinite(self.spend_cap) else None,
            "inner_days": self.inner_days,
            "horizon_days": self.horizon_days,
            "spend_from": self.spend_from,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`."""
        cap = float("inf") if state["spend_cap"] is None else state["spend_cap"]
        return cls(
            ValueModel.from_dict(state["value_model"]),
            cap,
            state["inner_days"],
            state["horizon_days"],
            state["spend_from"],
        )


def spend_frame(features: pd.DataFrame, cap: float, spend_from: SpendFrom = "all") -> pd.DataFrame:
    """Orders and their mean amount, as the spend model wants them.

    Parameters
    ----------
    features : DataFrame
        Columns ``orders`` and ``mean_spend`` of all orders, ``frequency`` and ``monetary_value`` of repeats.
    cap : float
        Money; most that is believed of customers with one or two orders.
    spend_from : {"all", "repeats"}
        Which orders.
    """
    count, mean = _SPEND_COLUMNS[spend_from]
    few = features[count] < _TRUSTED_ORDERS
    believed = features[mean].where(~few, features[mean].clip(upper=cap))
    return pd.DataFrame({"frequency": features[count], "monetary_value": believed})


def build_panel(
    tx: Transactions, as_of: dt.date, horizon_days: int, fit_model: FitModel
) -> tuple[Panel, ModelBase]:
    """Learn from earlier cutoffs what follows, using nothing after `as_of`.

    Origins lie one inner horizon before `as_of` and up to three quarter horizons before that; one more
    lies a year before where the history reaches. At each, the models are fitted on what was known then, with
    spend from all orders and from repeats only; what predicted value better at the origins is kept.

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
    origins = [end - dt.timedelta(days=before) for before in days]
    fit = partial(ModelBase.fit, fit_model=fit_model, inner_days=inner, horizon_days=horizon_days)
    tasks = [delayed(_origin_rows)(*_seen(known, origin, inner), fit) for origin in origins]
    at_origins = side_by_side(tasks, rows=len(features) * len(origins))
    base = fit(features)
    parts, repeats, notes = [], [], []
    for origin, found in zip(origins, at_origins, strict=True):
        if isinstance(found, str):
            notes.append(f"{origin.isoformat()}: {found}")
            continue
        rows, followed, from_repeats = found
        parts.append((origin, rows, followed))
        repeats.append((origin, from_repeats, followed))
    if parts and value_deviance(repeats) < value_deviance(parts):
        parts, base = repeats, base.from_repeats(features)
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


def _seen(known: Transactions, origin: dt.date, days: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features at an origin, and what followed it."""
    return customer_features(known.split(origin), origin), outcomes(known, origin, days)


def _origin_rows(
    features: pd.DataFrame, followed: pd.DataFrame, fit: Callable[[pd.DataFrame], ModelBase]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame] | str:
    """Base frame at an origin, what followed, and the frame with spend from repeats only; or why not."""
    if len(features) < MIN_CUSTOMERS or followed["active"].sum() < MIN_BUYERS:
        return (
            f"of {len(features)} customers {int(followed['active'].sum())} came back; "
            f"{MIN_CUSTOMERS} and {MIN_BUYERS} are needed"
        )
    if followed["value"].sum() <= 0:
        return "the days after brought no revenue"
    try:
        then = fit(features)
        rows = then.frame(features)
    except (ConvergenceError, DataError) as error:
        return error.what
    try:
        amount = then.from_repeats(features).expected_spend(features)
    except (ConvergenceError, DataError):
        amount = rows["expected_spend"].to_numpy()
    return rows, followed, _with_spend(rows, amount)


def _with_spend(rows: pd.DataFrame, amount: FloatArray) -> pd.DataFrame:
    """The frame with another expected spend."""
    return rows.assign(
        expected_spend=amount,
        expected_value=rows["expected_purchases"] * amount,
        horizon_value=rows["horizon_purchases"] * amount,
    )


def value_deviance(parts: list[tuple[dt.date, pd.DataFrame, pd.DataFrame]]) -> float:
    """Mean Tweedie deviance of the expected value at each origin, in its own mean, with the total right.

    Parameters
    ----------
    parts : list of (date, DataFrame, DataFrame)
        Origin, base frame, what followed.
    """
    each = [0.0]
    for _, rows, followed in parts:
        actual = np.maximum(followed["value"].to_numpy(dtype=np.float64), 0.0)
        expected = rows["expected_value"].to_numpy()
        if actual.sum() > 0:
            each.append(float(tweedie_deviance(actual / actual.mean(), expected / expected.mean()).mean()))
    return sum(each) / max(len(each) - 1, 1)


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
        rates_suffice=not parts and rates_suffice(base.value_model.purchases_, current),
    )
