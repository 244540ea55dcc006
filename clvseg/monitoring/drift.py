"""Drift since the fit: stability of inputs and scores, what came against the prediction, when to refit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvseg.data.features import FEATURES
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.frames import REALISED, STABILITY
from clvseg.monitoring.reference import FloatArray, stability_of
from clvseg.run import Run
from clvseg.value.origins import ModelBase

SCORES = ("predicted_value", "churn_probability")
LARGE_PSI, TIMES_USUAL = 0.25, 2.0
# Share of the inputs from which on their drift alone is a reason.
MANY_INPUTS = 0.2
# How far totals and amounts may be off, whatever the run's own interval.
LEAST_TOLERANCE, SEGMENT_TOLERANCE = 0.2, 0.5
_NORMAL = 1.96
ALL = "all customers"


@dataclass(frozen=True)
class Drift:
    """How well a run still fits.

    Attributes
    ----------
    reasons : list of str
        Why to refit, in words; empty where the run still fits.
    facts : dict
        ``as_of`` and ``until`` (ISO dates: the fit, the end of the new log), ``elapsed_days``,
        ``compared_days`` (at most the horizon), ``horizon_days``, ``customers`` (of the run, compared),
        ``missing`` (of the run, not in the new log), ``new_customers``; ``revenue_ratio`` and
        ``amount_ratio`` (dicts ``ratio, low, high``: revenue against the prediction, and the amount of an
        order against what the same customers' orders had cost before), ``tolerance`` (dict ``low, high``).
    stability : DataFrame
        :data:`clvseg.frames.STABILITY`, the least stable first.
    realised : DataFrame
        :data:`clvseg.frames.REALISED`, all customers first.
    """

    reasons: list[str]
    facts: dict[str, Any]
    stability: pd.DataFrame
    realised: pd.DataFrame

    @property
    def refit(self) -> bool:
        """Whether to fit anew."""
        return bool(self.reasons)


def measure_drift(run: Run, transactions: Transactions, people: pd.DataFrame) -> Drift:
    """Compare a newer log with what a run was fitted to and what it predicted.

    Four reasons call for a refit: the horizon is over; the revenue that came lies, with its sampling
    interval, outside of the run's own interval of the total (at least 20 % to either side), of the whole or,
    by more than half, of a segment; an order costs over 20 % more or less than before; a score, or a fifth of
    the inputs, has a PSI of .25 or more that is also over twice the drift usual before the fit.

    Parameters
    ----------
    run : Run
        With its reference (:func:`clvseg.monitoring.reference.learn_reference`).
    transactions : Transactions
        Whole histories up to a day after the run's last.
    people : DataFrame
        Features and scores of its customers as of its last day, by the run's models.

    Raises
    ------
    DataError
        When the log ends no later than the run's, or holds few of its customers.
    """
    require_reference(run)
    until = transactions.last_day
    elapsed = (until - run.as_of).days
    if elapsed < 1:
        raise DataError(
            f"the log ends on {until}, the run's own on {run.as_of}: nothing has happened since.",
            hint="give a log that holds what came after, with each customer's whole history.",
        )
    horizon = int(run.facts["horizon_days"])
    predicted = predicted_until(run, min(elapsed, horizon))
    came = outcomes(transactions.split(until), run.as_of, min(elapsed, horizon))
    known = predicted.index.isin(people.index)
    if known.mean() < 0.5:
        raise DataError(
            f"the log holds {known.mean():.0%} of the run's customers.",
            found=f"{int(known.sum()):,} of {len(predicted):,}.",
            hint="drift is measured on the same customers; give the log with their whole histories.",
        )
    predicted = predicted[known]
    came = came.reindex(predicted.index).fillna(0.0)
    labels = {feature.name: feature.label for feature in FEATURES}
    stability = stability_table(run, people, labels)
    realised = _realised(predicted, came)
    total = run.facts["total"]
    tolerance = {
        "low": min(total["low"] / total["predicted"], 1 - LEAST_TOLERANCE),
        "high": max(total["high"] / total["predicted"], 1 + LEAST_TOLERANCE),
    }
    whole = realised.iloc[0]
    revenue = {"ratio": float(whole["ratio"]), "low": float(whole["low"]), "high": float(whole["high"])}
    amount = _amounts(predicted, came)
    facts = {
        "as_of": run.as_of.isoformat(),
        "until": until.isoformat(),
        "elapsed_days": elapsed,
        "compared_days": min(elapsed, horizon),
        "horizon_days": horizon,
        "customers": len(predicted),
        "missing": int((~known).sum()),
        "new_customers": int((~people.index.isin(run.scores_kept["customer_id"])).sum()),
        "revenue_ratio": revenue,
        "amount_ratio": amount,
        "tolerance": tolerance,
    }
    reasons = [
        *age_reasons(run.as_of, elapsed, horizon),
        *_off(revenue, amount, tolerance),
        *segment_reasons(realised.iloc[1:], tolerance),
        *spread_reasons(stability),
    ]
    return Drift(reasons, facts, stability, realised)


def predicted_until(run: Run, days: int) -> pd.DataFrame:
    """Break a run's predictions down to the first days of its horizon.

    The purchase model says which part of the horizon's expected purchases falls into these days, and
    how the chance of none shrinks with them: log P(none) keeps its proportion to the horizon's. The levels
    stay those of the scores.

    Parameters
    ----------
    run : Run
        Fitted on a transaction log.
    days : int
        Up to the horizon.

    Returns
    -------
    DataFrame
        Indexed by customer: ``segment``, ``revenue`` (money), ``active`` (0 to 1), ``mean_spend`` (money, of
        the orders up to the fit).
    """
    base, features = ModelBase.from_dict(run.models["base"]), run.customers.set_index("customer_id")
    known = run.scores_kept[["customer_id", "segment", "predicted_value", "churn_probability"]]
    scores = known.set_index("customer_id").reindex(features.index)
    model, horizon = base.value_model, base.horizon_days
    whole = model.expected_purchases(features, horizon)
    part = model.expected_purchases(features, days)
    share = np.divide(part, whole, out=np.full_like(whole, days / horizon), where=whole > 0)
    none_part = np.log1p(-np.clip(model.probability_active(features, days), 1e-9, 1 - 1e-9))
    none_whole = np.log1p(-np.clip(model.probability_active(features, horizon), 1e-9, 1 - 1e-9))
    gone = np.clip(scores["churn_probability"].to_numpy(), 1e-9, 1.0)
    return pd.DataFrame(
        {
            "segment": scores["segment"],
            "revenue": scores["predicted_value"].to_numpy() * share,
            "active": 1 - gone ** (none_part / none_whole),
            "mean_spend": features["mean_spend"],
        }
    )


def require_reference(run: Run) -> None:
    """Refuse a run of before references were kept."""
    if "reference" not in run.models:
        raise DataError("the run does not know how its customers were spread.", hint="fit it anew.")


def stability_table(run: Run, people: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Compare each column of the run's reference; the least stable first.

    Parameters
    ----------
    run : Run
        With its reference.
    people : DataFrame
        The same columns of today's customers.
    labels : dict of str to str
        Columns in words; what is not in it keeps its name.
    """
    labels = labels | {"predicted_value": "predicted value", "churn_probability": "churn probability"}
    rows = []
    for name, reference in run.models["reference"].items():
        psi = stability_of(people[name], reference)
        drifted = psi >= LARGE_PSI and psi > TIMES_USUAL * reference["usual"]
        kind = "score" if name in SCORES else "input"
        rows.append((name, labels.get(name, name), kind, psi, reference["usual"], drifted))
    frame = pd.DataFrame(rows, columns=STABILITY.names)
    return STABILITY.conform(frame.sort_values("psi", ascending=False, kind="stable"))


def _realised(predicted: pd.DataFrame, came: pd.DataFrame) -> pd.DataFrame:
    """All customers, then the segments by what was predicted for them."""
    value, active = came["value"].to_numpy(), came["active"].to_numpy()
    groups = {ALL: np.ones(len(predicted), dtype=bool)}
    order = predicted.groupby("segment")["revenue"].sum().sort_values(ascending=False, kind="stable")
    groups |= {str(name): (predicted["segment"] == name).to_numpy() for name in order.index}
    rows = []
    for name, inside in groups.items():
        said, got, bought = predicted[inside], value[inside], active[inside]
        total, spread = max(float(said["revenue"].sum()), 1e-9), _NORMAL * sum_error(got)
        share, wide = float(bought.mean()), _NORMAL * sum_error(bought) / len(bought)
        rows.append(
            {
                "segment": name,
                "customers": len(got),
                "predicted": total,
                "actual": float(got.sum()),
                "ratio": float(got.sum()) / total,
                "low": max(float(got.sum()) - spread, 0.0) / total,
                "high": (float(got.sum()) + spread) / total,
                "predicted_active": float(said["active"].mean()),
                "active": share,
                "active_low": max(share - wide, 0.0),
                "active_high": min(share + wide, 1.0),
            }
        )
    return REALISED.conform(pd.DataFrame(rows))


def sum_error(values: FloatArray) -> float:
    """Standard error of a sum over customers."""
    return float(values.std(ddof=1)) * len(values) ** 0.5 if len(values) > 1 else float(values.sum())


def _amounts(predicted: pd.DataFrame, came: pd.DataFrame) -> dict[str, float]:
    """Amount of an order since the fit against what the same customers' orders had cost, with interval."""
    orders, value = came["purchases"].to_numpy(dtype=np.float64), came["value"].to_numpy()
    before = orders * predicted["mean_spend"].to_numpy()
    if before.sum() <= 0:
        return {"ratio": 1.0, "low": 0.0, "high": 1e9}
    ratio = float(value.sum() / before.sum())
    spread = _NORMAL * sum_error(value - ratio * before) / float(before.sum())
    return {"ratio": ratio, "low": max(ratio - spread, 0.0), "high": ratio + spread}


def outside(found: dict[str, float], low: float, high: float) -> bool:
    """Whether the interval ``low``, ``high`` of what was found has nothing in common with another."""
    return found["high"] < low or found["low"] > high


def age_reasons(as_of: dt.date, elapsed: int, horizon: int) -> list[str]:
    """Say that the horizon is over."""
    if elapsed < horizon:
        return []
    return [f"the {horizon} days after {as_of} that the run predicts are over ({elapsed} have passed)"]


def _off(revenue: dict[str, float], amount: dict[str, float], tolerance: dict[str, float]) -> list[str]:
    """Revenue and amounts that are off, in words."""
    out = []
    dearer = outside(amount, 1 - LEAST_TOLERANCE, 1 + LEAST_TOLERANCE)
    if outside(revenue, tolerance["low"], tolerance["high"]):
        orders = revenue["ratio"] / amount["ratio"] if amount["ratio"] > 0 else revenue["ratio"]
        out.append(
            f"revenue was {_percent(revenue['ratio'])} the prediction (orders {_percent(orders)}, amount of "
            f"an order {_percent(amount['ratio'])} before); {tolerance['low'] - 1:+.0%} to "
            f"{tolerance['high'] - 1:+.0%} was to be expected"
        )
    if dearer:
        out.append(
            f"an order costs {_percent(amount['ratio'])} what the same customers' orders cost before "
            f"({amount['low'] - 1:+.0%} to {amount['high'] - 1:+.0%})"
        )
    return out


def _percent(ratio: float) -> str:
    return f"{abs(ratio - 1):.0%} {'above' if ratio >= 1 else 'below'}"


def segment_reasons(
    segments: pd.DataFrame, tolerance: dict[str, float], did: str = "brought", what: str = "prediction"
) -> list[str]:
    """Segments that hold a tenth of the prediction and brought half as much again, or half, of theirs."""
    low = min(tolerance["low"], 1 - SEGMENT_TOLERANCE)
    high = max(tolerance["high"], 1 + SEGMENT_TOLERANCE)
    large = segments[segments["predicted"] >= 0.1 * segments["predicted"].sum()]
    rows: list[Any] = list(large.itertuples())
    return [
        f"the segment {row.segment} {did} {_percent(row.ratio)} its {what}"
        for row in rows
        if outside({"low": row.low, "high": row.high}, low, high)
    ]


def spread_reasons(stability: pd.DataFrame) -> list[str]:
    """Scores or many inputs that are spread otherwise than at the fit."""
    drifted = stability[stability["drifted"]]
    scores = drifted[drifted["kind"] == "score"]
    inputs = drifted[drifted["kind"] == "input"]
    out = []
    for row in list(scores.itertuples()):
        out.append(
            f"{row.label} is spread otherwise than at the fit (PSI {row.psi:.2f}, usual {row.usual:.2f})"
        )
    total = int((stability["kind"] == "input").sum())
    if len(inputs) >= MANY_INPUTS * total:
        worst = ", ".join(inputs["label"].head(3))
        out.append(
            f"{len(inputs)} of {total} inputs are spread otherwise than at the fit, most of all {worst}"
        )
    return out
