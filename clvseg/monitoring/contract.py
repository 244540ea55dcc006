"""Drift of customers under contract: how inputs and risks are spread, and who left against the risk."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from clvseg.contract.scorer import ContractScorer
from clvseg.data.customers import CustomerTable
from clvseg.errors import DataError
from clvseg.frames import CONTRACT_REALISED
from clvseg.monitoring.drift import (
    ALL,
    LEAST_TOLERANCE,
    SCORES,
    Drift,
    age_reasons,
    outside,
    require_reference,
    segment_reasons,
    spread_reasons,
    stability_table,
    sum_error,
)
from clvseg.monitoring.reference import Reference, learn_reference
from clvseg.run import Run

_NORMAL = 1.96
FEWEST_LABELS = 30


def contract_reference(scorer: ContractScorer, table: CustomerTable) -> Reference:
    """How the columns that the models read and the scores are spread at the fit.

    Parameters
    ----------
    scorer : ContractScorer
        Fitted.
    table : CustomerTable
        The table of the fit. Where rows have days, what the customers drifted since the day before the newest
        is remembered as usual.
    """
    now, earlier = table.newest(), None
    if table.date is not None:
        then = (table.date < table.date.max()).to_numpy()
        earlier = _numbers(scorer, table.take(then).newest()) if then.any() else None
    return learn_reference(_numbers(scorer, now), earlier)


def _numbers(scorer: ContractScorer, table: CustomerTable) -> pd.DataFrame:
    """Columns that the models read, and scores."""
    people = scorer.people(table)
    scores = [name for name in SCORES if name == "churn_probability" or table.charge is not None]
    read = [name for name in scorer.columns if name not in scores]
    return table.columns[read].join(people[scores])


def measure_contract_drift(run: Run, scorer: ContractScorer, table: CustomerTable) -> Drift:
    """Compare a newer table with the one a run was fitted to, and who left with whom it expected to.

    Realised churn is that of the rows whose label the fit did not know: of a table with days the rows after
    the last labelled one, else those of customers who had not left. Give the table when the time that the
    label speaks of is over. Four reasons call for a refit: the horizon is over; the number who left lies,
    with its sampling interval, over 20 % off the number expected, of the whole or, by more than half, of a
    segment; the risk, the value, or a fifth of the inputs have a PSI of .25 or more that is also over twice
    the drift usual before the fit.

    Parameters
    ----------
    run : Run
        Over customers under contract, with its reference (:func:`contract_reference`).
    scorer : ContractScorer
        Of the run.
    table : CustomerTable
        All its rows, as :meth:`clvseg.contract.scorer.ContractScorer.read_rows` reads them.

    Returns
    -------
    Drift
        ``facts``: ``as_of``, ``until`` (ISO dates), ``elapsed_days``, ``horizon_days``, ``customers``,
        ``missing`` (of the run's, not in the table), ``new_customers``, ``labelled`` (rows with a label that
        the fit did not know), ``tolerance``; ``realised`` is :data:`clvseg.frames.CONTRACT_REALISED`, empty
        with fewer than 30 of these rows.

    Raises
    ------
    DataError
        When the table says nothing that the run does not know.
    """
    require_reference(run)
    newest = table.newest()
    until = dt.date.today() if table.date is None else table.date.max().date()
    elapsed = max((until - run.as_of).days, 0)
    now = _numbers(scorer, newest)
    known = run.scores.set_index("customer_id")
    _require_news(run, newest, now, elapsed)
    judged = table.take(_news(run, table))
    realised = _realised(scorer, judged)
    stability = stability_table(run, now, {})
    horizon = int(run.facts["horizon_days"])
    tolerance = {"low": 1 - LEAST_TOLERANCE, "high": 1 + LEAST_TOLERANCE}
    facts: dict[str, Any] = {
        "as_of": run.as_of.isoformat(),
        "until": until.isoformat(),
        "elapsed_days": elapsed,
        "horizon_days": horizon,
        "customers": len(now),
        "missing": int((~known.index.isin(now.index)).sum()),
        "new_customers": int((~now.index.isin(known.index)).sum()),
        "labelled": len(judged.left),
        "tolerance": tolerance,
    }
    reasons = [
        *age_reasons(run.as_of, elapsed, horizon),
        *_off(realised, tolerance),
        *spread_reasons(stability),
    ]
    return Drift(reasons, facts, stability, realised)


def _require_news(run: Run, newest: CustomerTable, now: pd.DataFrame, elapsed: int) -> None:
    """Refuse a table that is the run's own."""
    then = run.scores.set_index("customer_id")
    same = now.index.equals(then.index) and np.allclose(now["churn_probability"], then["churn_probability"])
    gone = (newest.left == 1).to_numpy()
    if (
        same
        and (gone == (then["status"] == "left").to_numpy()).all()
        and not (newest.date is not None and elapsed)
    ):
        raise DataError(
            "the table says nothing new: the same customers with the same entries as at the fit.",
            hint="give a newer table; with days, one that holds later rows.",
        )


def _news(run: Run, table: CustomerTable) -> Any:
    """Rows with a label that the fit did not know, shape (rows,)."""
    labelled = table.left.notna().to_numpy()
    if table.date is not None and run.facts["labelled_until"] is not None:
        return labelled & (table.date.dt.date > dt.date.fromisoformat(run.facts["labelled_until"])).to_numpy()
    left = run.scores.loc[run.scores["status"] == "left", "customer_id"]
    return labelled & ~table.columns.index.isin(left)


def _realised(scorer: ContractScorer, judged: CustomerTable) -> pd.DataFrame:
    """Who left of all judged rows and of each segment, by their share of those expected to."""
    if len(judged.left) < FEWEST_LABELS:
        return CONTRACT_REALISED.empty()
    people = scorer.people(judged)
    risk, left = people["churn_probability"].to_numpy(), judged.left.to_numpy()
    segment = scorer.segmentation.assign(people)["segment"].to_numpy()
    order = pd.Series(risk).groupby(segment).sum().sort_values(ascending=False, kind="stable").index
    groups = {ALL: np.ones(len(left), dtype=bool)} | {str(name): segment == name for name in order}
    rows = []
    for name, inside in groups.items():
        expected, gone = max(float(risk[inside].sum()), 1e-9), float(left[inside].sum())
        spread = _NORMAL * sum_error(left[inside])
        rows.append(
            {
                "segment": name,
                "customers": int(inside.sum()),
                "predicted": expected,
                "actual": gone,
                "ratio": gone / expected,
                "low": max(gone - spread, 0.0) / expected,
                "high": (gone + spread) / expected,
            }
        )
    return CONTRACT_REALISED.conform(pd.DataFrame(rows))


def _off(realised: pd.DataFrame, tolerance: dict[str, float]) -> list[str]:
    """Churn that is off, in words."""
    if realised.empty:
        return []
    whole = realised.iloc[0]
    found = {name: float(whole[name]) for name in ("low", "high")}
    out = segment_reasons(realised.iloc[1:], tolerance, "lost", "expected leavers")
    if outside(found, tolerance["low"], tolerance["high"]):
        out.insert(
            0,
            f"{whole['actual']:,.0f} customers left where {whole['predicted']:,.0f} were expected to "
            f"({whole['ratio'] - 1:+.0%}; {tolerance['low'] - 1:+.0%} to {tolerance['high'] - 1:+.0%} was to "
            "be expected)",
        )
    return out
