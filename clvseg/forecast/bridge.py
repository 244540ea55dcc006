"""From what the last days brought to what the next ones are expected to bring, step by step."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.frames import BRIDGE
from clvseg.value.origins import ModelBase


def bridge(
    base: ModelBase,
    people: pd.DataFrame,
    factor: FloatArray,
    last: pd.DataFrame,
    end: dt.date,
    days: int,
    new: float,
    forecast: float,
) -> pd.DataFrame:
    """Steps from the revenue of the last days to the forecast of as many days ahead; they add up to the cent.

    Parameters
    ----------
    base : ModelBase
        Purchase and spend models as of the day.
    people : DataFrame, n rows
        Features as of the day, indexed by customer.
    factor : ndarray, shape (n,)
        The hybrid model's correction of each customer's expected revenue.
    last : DataFrame
        ``revenue`` and ``purchases`` of the last days, indexed by customer.
    end : date
        Last known day.
    days : int
        Length of both periods.
    new, forecast : float
        Expected revenue of customers to come, and of everybody.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.BRIDGE`.
    """
    model = base.value_model
    before = last.reindex(people.index, fill_value=0)
    paid, orders = (before[name].to_numpy(dtype=np.float64) for name in ("revenue", "purchases"))
    again = model.probability_active(people, days)
    bought = model.expected_purchases(people, days)
    amount = base.expected_spend(people) * factor
    active = orders > 0
    each = np.divide(paid, orders, out=np.zeros_like(paid), where=active)
    cents = {
        "churned": -float(paid @ (1 - again)),
        "frequency": float(((bought - orders * again) * each)[active].sum()),
        "spend per order": float((bought * (amount - each))[active].sum()),
        "reactivated": float((bought * amount)[~active].sum()),
        "new": new,
    }
    begin, until = end - dt.timedelta(days=days - 1), end + dt.timedelta(days=days)
    cents = {name: round(value, 2) for name, value in cents.items()}
    start, goal = round(float(paid.sum()), 2), round(forecast, 2)
    rows = [
        ("actual", start, f"revenue from {begin} to {end}"),
        ("churned", cents["churned"], "of it, times each customer's probability of no order ahead"),
        ("frequency", cents["frequency"], "those who order again: more or fewer orders than before"),
        ("spend per order", cents["spend per order"], "the same: more or less per order than before"),
        ("reactivated", cents["reactivated"], "customers known, but without an order in those days"),
        ("new", cents["new"], "customers not yet acquired"),
        (
            "level and season",
            round(goal - start - sum(cents.values()), 2),
            "mean over errors, and the season",
        ),
        ("forecast", goal, f"expected from {end + dt.timedelta(days=1)} to {until}"),
    ]
    return BRIDGE.conform(pd.DataFrame(rows, columns=BRIDGE.names))
