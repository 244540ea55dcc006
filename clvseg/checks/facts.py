"""What the data checks look at, gathered once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvseg.data import queries
from clvseg.data.summary import revenue_by_day
from clvseg.data.transactions import Transactions


@dataclass(frozen=True)
class LogFacts:
    """Plain facts about a cleaned log.

    Attributes
    ----------
    first_day, last_day : date
        First purchase and last known day.
    customers, repeat_buyers, purchases : int
        Customers, those who bought on more than one day, and customer-days.
    revenue : float
        Money of all purchases.
    top_customer : str
        Who spent most.
    top_customer_revenue, top_purchase, median_purchase : float
        Money of that customer, of the largest purchase, and the median of those above zero.
    daily : DataFrame
        Indexed by every day from first to last: ``purchases``, ``revenue``, ``new_customers``.
    profile : dict
        :attr:`Transactions.profile`.
    """

    first_day: dt.date
    last_day: dt.date
    customers: int
    repeat_buyers: int
    purchases: int
    revenue: float
    top_customer: str
    top_customer_revenue: float
    top_purchase: float
    median_purchase: float
    daily: pd.DataFrame
    profile: dict[str, Any]

    @classmethod
    def of(cls, tx: Transactions) -> LogFacts:
        """Gather the facts of a log."""
        daily = revenue_by_day(tx).set_index("day")
        every_day = pd.date_range(tx.first_day, tx.last_day, freq="D", unit="us")
        spread = tx.engine.row("look for outliers", queries.concentration(tx.last_day))
        return cls(
            first_day=tx.first_day,
            last_day=tx.last_day,
            customers=tx.n_customers,
            purchases=tx.n_purchases,
            revenue=tx.revenue,
            daily=daily.reindex(every_day, fill_value=0),
            profile=tx.profile,
            **spread,
        )

    @property
    def days(self) -> int:
        """Days from the first purchase to the last known day, both included."""
        return (self.last_day - self.first_day).days + 1

    def purchases_after(self, day: dt.date) -> int:
        """Count the purchases after a day."""
        return int(self.daily.loc[self.daily.index > np.datetime64(day), "purchases"].sum())


def money(amount: float, facts: LogFacts) -> str:
    """Write money for people, with the currency where it is known."""
    digits = 0 if abs(amount) >= 100 else 2
    currency = facts.profile.get("currency")
    return f"{amount:,.{digits}f}" + (f" {currency}" if currency else "")
