"""Behaviour of each customer as of a cutoff, from what was known by then, and what each feature means."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd

from clvseg.data import queries
from clvseg.data.engines.engine import text
from clvseg.data.summary import check_day
from clvseg.data.transactions import Transactions

BLOCK = 100_000  # customers whose features are in hand at a time


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes
    ----------
    name : str
        Column of :func:`customer_features`.
    unit : str
        ``days``, ``money``, ``orders`` (purchase days), ``lines``, ``share`` (0..1), ``ratio``, ...
    label : str
        What it is, in words that finish "because of the ...".
    needs : str
        Optional column it is made from; without that column there is no such feature.
    """

    name: str
    unit: str
    label: str
    needs: str = ""


def _windows() -> list[Feature]:
    out = []
    for days in queries.WINDOWS:
        out.append(Feature(f"orders_{days}d", "orders", f"orders in the last {days} days"))
        out.append(Feature(f"spend_{days}d", "money", f"spend in the last {days} days"))
    return out


# In the order of the columns. An order here is a day with a purchase.
FEATURES: tuple[Feature, ...] = (
    Feature("frequency", "orders", "repeat orders"),
    Feature("recency", "days", "days from the first to the last order"),
    Feature("T", "days", "days since the first order"),
    Feature("monetary_value", "money", "average repeat order (0 without one)"),
    Feature("since_last", "days", "days since the last order"),
    Feature("orders", "orders", "orders so far"),
    Feature("past_revenue", "money", "spend so far"),
    Feature("mean_spend", "money", "average order"),
    Feature("first_amount", "money", "first order's amount"),
    Feature("last_amount", "money", "last order's amount"),
    Feature("max_amount", "money", "largest order"),
    Feature("last_to_mean_amount", "ratio", "last order against the average order"),
    Feature("amount_spread", "log units", "spread of the order amounts (0 with one order)"),
    Feature("amount_trend", "log units", "order amounts lately against earlier (0 without both)"),
    Feature("gap_mean", "days", "usual days between orders (days since the first order with one order)"),
    Feature("gap_sd", "days", "spread of the days between orders (0 below three orders)"),
    Feature("gap_cv", "ratio", "spread against the usual days between orders (1 below three orders)"),
    Feature("regularity", "share", "regularity of the orders, 1 like clockwork (0 below three orders)"),
    Feature("gap_last", "days", "days between the last two orders (days since the first with one order)"),
    Feature("gap_max", "days", "longest pause between orders (days since the first with one order)"),
    Feature("overdue", "ratio", "days since the last order against the usual days between orders"),
    Feature("overdue_longest", "ratio", "days since the last order against the longest pause so far"),
    Feature("trend", "-1..1", "repeat orders in the recent half against the earlier half (0 without one)"),
    Feature("orders_per_month", "orders", "orders a month"),
    Feature("spend_per_month", "money", "spend a month"),
    Feature("week_share", "share", "share of weeks with an order"),
    Feature("weekend_share", "share", "share of orders on a weekend"),
    Feature("orders_same_season", "orders", "orders in the coming 13 weeks of last year"),
    Feature("lines_per_order", "lines", "lines per order"),
    Feature("refund_share", "share", "share of money sent back"),
    Feature("orders_per_day", "orders", "orders per buying day", "order_id"),
    Feature("quantity_per_order", "units", "units per order", "quantity"),
    Feature("products", "products", "different products bought", "product_id"),
    Feature("categories", "categories", "different categories bought", "category"),
    Feature("channels", "channels", "different channels used", "channel"),
    Feature("product_variety", "share", "different products per line", "product_id"),
    *_windows(),
)


def feature_catalogue(extras: Collection[str]) -> tuple[Feature, ...]:
    """Return the features of a log with these optional columns, in the order of the columns.

    Examples
    --------
    >>> [f.name for f in feature_catalogue({"quantity"}) if f.needs]
    ['quantity_per_order']
    """
    return tuple(feature for feature in FEATURES if not feature.needs or feature.needs in extras)


def customer_features(tx: Transactions, as_of: dt.date, among: str = queries.EVERYBODY) -> pd.DataFrame:
    """Compute every customer's features as of the end of a day.

    Nothing after `as_of` is read. Where a quantity does not exist yet (the gap between orders of someone with
    one order), its label in :data:`FEATURES` says what stands there instead; there is no NaN.

    Parameters
    ----------
    tx : Transactions
        The log.
    as_of : date
        Last day that is known.
    among : str
        SQL condition on ``customer_id``.

    Returns
    -------
    DataFrame
        float64, finite, columns of :func:`feature_catalogue`, in the summary's index and order.

    Raises
    ------
    DataError
        When the log begins after `as_of`.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> customer_features(tx, dt.date(1997, 9, 30))[["orders", "mean_spend", "overdue"]].round(2).head(2)
                 orders  mean_spend  overdue
    customer_id
    1               3.0       24.67     0.55
    2               2.0       37.56    21.67
    """
    frame = tx.engine.frame("compute the features", features_query(tx, as_of, among))
    return as_features(frame, tx.extras)


def features_query(tx: Transactions, as_of: dt.date, among: str = queries.EVERYBODY) -> str:
    """SQL of :func:`customer_features`, for an engine to go on with."""
    check_day(tx, as_of)
    return queries.customer_features(as_of, min(as_of, tx.last_day), tx.extras, among)


def as_features(frame: pd.DataFrame, extras: Collection[str]) -> pd.DataFrame:
    """Give rows of :func:`features_query` the form of :func:`customer_features`."""
    frame = frame.set_index("customer_id")
    frame = frame[[feature.name for feature in feature_catalogue(extras)]].astype("float64")
    if not np.isfinite(frame.to_numpy()).all():
        bad = ", ".join(frame.columns[~np.isfinite(frame.to_numpy()).all(axis=0)])
        raise ValueError(f"features not finite: {bad}")
    return frame


def customer_ids(tx: Transactions, as_of: dt.date) -> pd.Index:
    """Ids of the customers known by the end of a day, ascending.

    Examples
    --------
    >>> customer_ids(Transactions.read("dataset:cdnow_sample"), dt.date(1997, 1, 1))[:3].tolist()
    [1, 2, 3]
    """
    check_day(tx, as_of)
    known = tx.engine.frame("list the customers", queries.customers(min(as_of, tx.last_day)))
    return pd.Index(known["customer_id"])


def feature_blocks(tx: Transactions, as_of: dt.date, most: int = BLOCK) -> Iterator[pd.DataFrame]:
    """Compute the features of so many customers at a time, ascending by id; see :func:`customer_features`.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> [len(block) for block in feature_blocks(tx, dt.date(1997, 9, 30), most=1000)]
    [1000, 1000, 357]
    """
    check_day(tx, as_of)
    sql = queries.every_nth_customer(min(as_of, tx.last_day), most)
    found = [row["customer_id"] for row in tx.engine.rows("divide the customers into blocks", sql)]
    edges = [text(value) if isinstance(value, str) else str(value) for value in found]
    for first, following in zip_longest(edges, edges[1:]):
        upto = f" AND customer_id < {following}" if following else ""
        yield customer_features(tx, as_of, f"customer_id >= {first}{upto}")


def log_gaps(features: pd.DataFrame) -> pd.Series:
    """Sum of the logs of the days between each customer's orders, as in the customer summary.

    Parameters
    ----------
    features : DataFrame
        From :func:`customer_features`.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> log_gaps(customer_features(tx, dt.date(1997, 9, 30))).round(3).head(2).tolist()
    [8.111, 2.485]
    """
    usual = features["gap_mean"] * features["regularity"].where(features["frequency"] > 1, 1.0)
    return features["frequency"] * np.log(usual)
