"""Describe segments: who is in them, and what followed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvseg.frames import LATER, SEGMENTS
from clvseg.segments.words import count, number

BOOTSTRAPS = 400


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a customer base; the fields are the columns of :data:`clvseg.frames.SEGMENTS`."""

    segment: str
    customers: int
    share_customers: float
    past_revenue: float
    share_past_revenue: float
    predicted_value: float
    share_predicted_value: float
    value_per_customer: float
    value_at_risk: float
    churn_probability: float
    expected_churners: float
    median_since_last: float
    median_frequency: float
    rule: str
    who: str
    reasons: str
    action: str
    owner: str


def describe_segment(
    name: str, inside: pd.DataFrame, everyone: pd.DataFrame, words: tuple[str, str, str, str], reasons: str
) -> Segment:
    """Measure one segment.

    Parameters
    ----------
    name : str
        Of the segment.
    inside, everyone : DataFrame
        Its customers and all; columns as :meth:`clvseg.segments.Segmentation.fit` needs.
    words : tuple of str
        Rule, who they are, action, owner.
    reasons : str
        What sets them apart.
    """

    def share(column: str) -> float:
        total = float(everyone[column].sum())
        return float(inside[column].sum()) / total if total > 0 else 0.0

    value, churn = inside["predicted_value"], inside["churn_probability"]
    rule, who, action, owner = words
    orders, since, spent = (float(inside[c].median()) for c in ("orders", "since_last", "past_revenue"))
    return Segment(
        segment=name,
        customers=len(inside),
        share_customers=len(inside) / len(everyone),
        past_revenue=float(inside["past_revenue"].sum()),
        share_past_revenue=share("past_revenue"),
        predicted_value=float(value.sum()),
        share_predicted_value=share("predicted_value"),
        value_per_customer=float(value.mean()),
        value_at_risk=float((value * churn).sum()),
        churn_probability=float(churn.mean()),
        expected_churners=float(churn.sum()),
        median_since_last=since,
        median_frequency=orders - 1,
        rule=rule,
        who=f"{who} {_typically(orders, since, spent)}",
        reasons=reasons,
        action=action,
        owner=owner,
    )


def _typically(orders: float, since: float, spent: float) -> str:
    """Medians of a segment in words.

    Examples
    --------
    >>> _typically(1, 217, 31.4), _typically(7, 0.5, 1234.5)
    ('Typically one order, 217 days ago, of 31.', 'Typically 7 orders, the last today, 1,230 spent so far.')
    """
    ago = "today" if since < 1 else f"{count(round(since), 'day')} ago"
    if orders <= 1:
        return f"Typically one order, {ago}, of {number(spent)}."
    return f"Typically {count(orders, 'order')}, the last {ago}, {number(spent)} spent so far."


def segments_table(segments: list[Segment]) -> pd.DataFrame:
    """Put segments into the table :data:`clvseg.frames.SEGMENTS`."""
    frame = pd.DataFrame([asdict(one) for one in segments], columns=[field.name for field in fields(Segment)])
    return SEGMENTS.conform(frame)


def later_table(
    segment: ArrayLike, predicted: ArrayLike, churn: ArrayLike, outcomes: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Compare what was predicted for each segment with what followed.

    Parameters
    ----------
    segment : array_like of str, shape (customers,)
        At the cutoff.
    predicted : array_like of float, shape (customers,)
        Predicted revenue of the later period, in money.
    churn : array_like of float, shape (customers,)
        Churn probability, 0 to 1.
    outcomes : DataFrame
        ``value`` (money) and ``active`` (0 or 1) of the later period, in the same order.
    seed : int
        Seed of the bootstrap over the customers of a segment (400 draws, 95 % interval).

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.LATER`, highest predicted revenue per customer first.
    """
    frame = pd.DataFrame(
        {
            "segment": np.asarray(segment, dtype=object),
            "predicted": np.asarray(predicted, dtype=np.float64),
            "churn": np.asarray(churn, dtype=np.float64),
            "value": outcomes["value"].to_numpy(dtype=np.float64),
            "active": outcomes["active"].to_numpy(dtype=np.float64),
        }
    )
    total = float(frame["value"].sum())
    rng = np.random.default_rng(seed)
    rows = []
    for name, part in frame.groupby("segment", sort=True):
        values = part["value"].to_numpy()
        low, high = _bootstrap(values, rng)
        rows.append(
            {
                "segment": name,
                "customers": len(part),
                "predicted_per_customer": part["predicted"].mean(),
                "revenue_per_customer": values.mean(),
                "revenue_low": low,
                "revenue_high": high,
                "predicted_active": 1 - part["churn"].mean(),
                "active": part["active"].mean(),
                "share_revenue": values.sum() / total if total > 0 else 0.0,
            }
        )
    table = pd.DataFrame(rows).sort_values("predicted_per_customer", ascending=False, kind="stable")
    return LATER.conform(table)


def _bootstrap(values: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(BOOTSTRAPS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
