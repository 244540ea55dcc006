"""When customers of a transaction log order again, and for how long they stay: expected, and what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.churn.hazard import kaplan_meier
from clvseg.evaluation.survival import integrated_brier
from clvseg.frames import SURVIVAL
from clvseg.value.beta_geo import BetaGeoModel
from clvseg.value.value_model import ValueModel

ALL = "all customers"
ORDERED, CUSTOMER, CAME = "ordered again", "still a customer", "ordered again, as it came"
STEPS = 13
MIN_CURVE = 50
_EDGE = 1e-9


@dataclass(frozen=True)
class Returns:
    """Expectations of each customer over time.

    Attributes
    ----------
    days : ndarray of float, shape (times,)
        Days after the cutoff, ascending; the last is the horizon.
    ordered : ndarray of float, shape (customers, times)
        P(at least one order by then).
    customer : ndarray of float, shape (customers, times), optional
        P(still a customer then); None where the model cannot tell.
    """

    days: FloatArray
    ordered: FloatArray
    customer: FloatArray | None


def expected_returns(
    model: ValueModel, people: pd.DataFrame, churn: FloatArray, horizon_days: int
) -> Returns:
    """Expect when each customer orders again.

    The purchase model gives the shape of a customer's curve and the churn probability its end: with the
    model's P(no order by t) = S(t), it is S(t) to the power of log(churn probability) / log S(horizon), a
    proportional change of the hazard. The curves so agree with the churn probabilities, which are judged and
    calibrated.

    Parameters
    ----------
    model : ValueModel
        Fitted.
    people : DataFrame
        Customer summary as of the cutoff.
    churn : ndarray of float, shape (customers,)
        P(no order within the horizon).
    horizon_days : int
        How far to look ahead.
    """
    steps = min(STEPS, horizon_days)
    days = np.unique(np.round(np.linspace(0, horizon_days, steps + 1)[1:]))
    silent = np.column_stack([1 - model.probability_active(people, float(day)) for day in days])
    silent = np.clip(silent, _EDGE, 1 - _EDGE)
    power = np.log(np.clip(churn, _EDGE, 1 - _EDGE)) / np.log(silent[:, -1])
    ordered = 1 - silent ** power[:, None]
    customer = None
    if not isinstance(model.purchases_, BetaGeoModel):  # to it, everyone who bought once still is one
        customer = np.column_stack([model.probability_alive(people, float(day)) for day in days])
    return Returns(days, ordered, customer)


def returns_table(returns: Returns, groups: pd.Series) -> pd.DataFrame:
    """Mean expectations of all customers and of each group of at least 50.

    Parameters
    ----------
    returns : Returns
        Of the customers.
    groups : Series of str, shape (customers,)
        Segment of each.

    Returns
    -------
    DataFrame
        Columns of :data:`clvseg.frames.SURVIVAL`, measures `ORDERED` and `CUSTOMER`.
    """
    parts = []
    for name, inside in _members(groups):
        parts.append(
            _curve(name, ORDERED, np.r_[0.0, returns.days], np.r_[0.0, returns.ordered[inside].mean(0)])
        )
        if returns.customer is not None:
            parts.append(_curve(name, CUSTOMER, returns.days, returns.customer[inside].mean(0)))
    return SURVIVAL.conform(pd.concat(parts, ignore_index=True))


def later_returns(returns: Returns, groups: pd.Series, waits: pd.DataFrame) -> pd.DataFrame:
    """Put what was expected beside what came, at the same days.

    Parameters
    ----------
    returns, groups
        As for :func:`returns_table`.
    waits : DataFrame
        From :func:`clvseg.data.summary.waits`, of the same customers in the same order.

    Returns
    -------
    DataFrame
        Columns of :data:`clvseg.frames.SURVIVAL`, measures `ORDERED` and `CAME`; the latter is one minus
        the Kaplan-Meier curve, with its interval.
    """
    parts = []
    days = np.r_[0.0, returns.days]
    for name, inside in _members(groups):
        parts.append(_curve(name, ORDERED, days, np.r_[0.0, returns.ordered[inside].mean(0)]))
        curve = kaplan_meier(waits["days"].to_numpy()[inside], waits["returned"].to_numpy()[inside])
        place = np.searchsorted(curve.time, days, side="right")
        share, low, high = (
            1 - np.r_[1.0, values][place] for values in (curve.survival, curve.high, curve.low)
        )
        parts.append(_curve(name, CAME, days, share, low, high))
    return SURVIVAL.conform(pd.concat(parts, ignore_index=True))


def returns_accuracy(returns: Returns, waits: pd.DataFrame) -> dict[str, float]:
    """Integrated Brier score of each customer's curve, and of one curve for all drawn from what came.

    Returns
    -------
    dict
        ``returns_brier`` and ``returns_brier_km``; lower is better. The second knows the later period's own
        curve but no customer from another.
    """
    duration, event = waits["days"].to_numpy(dtype=np.float64), waits["returned"].to_numpy(dtype=np.float64)
    times = returns.days[:-1] if len(returns.days) > 1 else returns.days
    curve = kaplan_meier(duration, event)
    same = np.tile(curve.at(times), (len(duration), 1))
    own = 1 - returns.ordered[:, : len(times)]
    return {
        "returns_brier": integrated_brier(duration, event, own, times),
        "returns_brier_km": integrated_brier(duration, event, same, times),
    }


def _members(groups: pd.Series) -> list[tuple[str, FloatArray]]:
    """All customers, then the groups that are large enough, largest first."""
    sizes, names = groups.value_counts(), groups.to_numpy()
    large = [str(name) for name in sizes[sizes >= MIN_CURVE].index]
    return [(ALL, np.ones(len(names), dtype=bool)), *((name, names == name) for name in large)]


def _curve(
    group: str,
    measure: str,
    days: FloatArray,
    share: FloatArray,
    low: FloatArray | None = None,
    high: FloatArray | None = None,
) -> pd.DataFrame:
    share = np.clip(share, 0.0, 1.0)
    return pd.DataFrame(
        {
            "group": group,
            "measure": measure,
            "day": days,
            "share": share,
            "low": share if low is None else low,
            "high": share if high is None else high,
        }
    )
