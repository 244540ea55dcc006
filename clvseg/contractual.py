"""The verbs where a label says who left; :mod:`clvseg.workflow` calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from clvseg import __version__, checks
from clvseg.boosting import FloatArray
from clvseg.churn.contract import ContractModel
from clvseg.churn.hazard import kaplan_meier
from clvseg.config import Settings
from clvseg.contract import judging
from clvseg.contract.scorer import ContractScorer, learn, newest_day
from clvseg.data.customers import CustomerTable
from clvseg.explain import driver_stability
from clvseg.explain.columns import (
    ColumnReasons,
    column_drivers,
    contributions,
    segment_columns,
    tidy_columns,
)
from clvseg.frames import CONTRACT_SEGMENTS, SURVIVAL
from clvseg.monitoring import contract_reference
from clvseg.run import Run, input_hash, table_names
from clvseg.segments.contract import ContractSegments
from clvseg.stored import Stored

Step = Callable[[str], None]

LEVEL = 0.8
SHAP_SAMPLE = 5_000
REFITS, REFIT_CUSTOMERS = 3, 5_000
MIN_CURVE = 50


@dataclass(frozen=True)
class ContractJudged:
    """How well the models did on rows they had not seen.

    Attributes
    ----------
    facts : dict
        ``validation`` (how), ``judged`` (rows), ``fold_auc``, ``model_churn``, and ``survival_*``.
    leaderboard_churn, later, findings, calibration : DataFrame
        See :class:`clvseg.run.Run`.
    """

    facts: dict[str, Any]
    leaderboard_churn: pd.DataFrame
    later: pd.DataFrame
    findings: pd.DataFrame
    calibration: pd.DataFrame


def read(settings: Settings, source: Any, progress: Step) -> tuple[CustomerTable, list[checks.Finding]]:
    """Read and check a table; columns that know the label are left out unless they are to be kept."""
    progress("Reading the customers")
    table = CustomerTable.read(source, settings)
    progress("Checking the data")
    label = str(settings.churn.label)
    judging.require_enough(table, label)
    leaks = checks.find_leaks(table, label)
    kept = settings.churn.leaks == "keep"
    findings = [*checks.check_leak(leaks, kept), *checks.check_customers(table.profile)]
    gone = [leak.column for leak in leaks]
    table.profile["columns_left_out"] = 0 if kept else len(gone)
    return table if kept else table.without(gone), findings


def fit(settings: Settings, source: Any, reuse: Path | None, progress: Step) -> Run:
    """Check, judge on rows no model has seen, fit on all, score, segment, explain."""
    table, findings = read(settings, source, progress)
    day = newest_day(table, settings).isoformat()
    known = input_hash(settings, table.hash, table.profile | {"as_of": day})
    if same := Run.load_same(reuse, known):
        return same
    labelled = table.take(table.left.notna().to_numpy())
    now = table.newest()
    there = now.take((now.left != 1).to_numpy())
    unseen, how = judging.judge(labelled, settings, progress, there)
    progress("Fitting on all customers with a label")
    scorer = _scorer(labelled, now, settings)
    progress("Scoring the customers and finding their reasons")
    scores = scorer.score(now)
    people = scorer.people(now).assign(segment=scores["segment"].to_numpy())
    parts, rows = _contributions(scorer, there)
    explained = there.columns.iloc[rows]
    progress("Refitting to see how stable the drivers are")
    drivers, agreement = driver_stability(
        column_drivers(parts, explained),
        [_refit_drivers(labelled, explained, settings.seed + draw) for draw in range(1, REFITS + 1)],
    )
    names = people.loc[there.columns.index[rows], "segment"]
    segment_drivers, reasons = segment_columns(parts, explained, names)
    staying = people[(now.left != 1).to_numpy()]
    segments = _segments(scorer.segmentation, staying, reasons)
    judged = judging.accuracy(labelled, unseen, how, settings)
    survival = _survival(labelled, scorer)
    findings += judging.doubts(judged["differences"], _error(judged["board"]))
    empty = {name: pd.DataFrame() for name in table_names()}
    tables = {
        "scores_kept": Stored.of(scores),
        "segments": segments,
        "later": judging.later(labelled, unseen, scorer),
        "leaderboard_churn": judged["board"],
        "differences": judged["differences"],
        "gates": judged["gates"],
        "findings": checks.findings_frame(findings),
        "calibration": judged["calibration"],
        "drivers": drivers,
        "contributions": tidy_columns(parts, explained),
        "customers_kept": Stored.of(
            now.columns.reset_index(names="customer_id" if "customer_id" not in now.columns else "key")
        ),
        "segment_drivers": segment_drivers,
        "holdout": judging.holdout(labelled, unseen),
        "survival": survival,
    }
    facts = judged["facts"] | _facts(table, settings, staying, now, unseen.totals)
    facts |= {"driver_agreement": agreement, "input_hash": known}
    models = scorer.to_dict() | {"reference": contract_reference(scorer, table)}
    return Run(settings, facts, table.profile, models, **(empty | tables))


def evaluate(settings: Settings, source: Any, progress: Step) -> ContractJudged:
    """Judge only; see :func:`clvseg.workflow.evaluate`."""
    table, findings = read(settings, source, progress)
    labelled = table.take(table.left.notna().to_numpy())
    unseen, how = judging.judge(labelled, settings, progress)
    judged = judging.accuracy(labelled, unseen, how, settings)
    scorer = _scorer(labelled, table.newest(), settings)
    findings += judging.doubts(judged["differences"], _error(judged["board"]))
    return ContractJudged(
        facts=judged["facts"],
        leaderboard_churn=judged["board"],
        later=judging.later(labelled, unseen, scorer),
        findings=checks.findings_frame(findings),
        calibration=judged["calibration"],
    )


def check(settings: Settings, source: Any, progress: Step) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read and check a table; fit nothing."""
    table, findings = read(settings, source, progress)
    return table.profile, checks.findings_frame(findings)


def _error(board: pd.DataFrame) -> float:
    return float(board.loc[board["model"] == judging.MIX, "calibration_error"].iloc[0])


def _scorer(labelled: CustomerTable, now: CustomerTable, settings: Settings) -> ContractScorer:
    """Fit everything; segments are those of the customers still there."""
    churn, hazard = learn(labelled, settings)
    reasons = ColumnReasons().fit(churn, labelled.columns, labelled.left)
    segments = settings.segments
    segmentation = ContractSegments(
        segments.high_value,
        segments.mid_value,
        segments.min_share,
        settings.churn.low,
        settings.churn.high,
    )
    scorer = ContractScorer(settings, churn, hazard, segmentation, reasons)
    there = now.take((now.left != 1).to_numpy())
    segmentation.fit(scorer.people(there))
    return scorer


def _contributions(scorer: ContractScorer, there: CustomerTable) -> tuple[pd.DataFrame, Any]:
    """Contributions of a seeded sample of the customers, and their positions."""
    rng = np.random.default_rng(scorer.settings.seed)
    rows = np.sort(rng.permutation(len(there.columns))[:SHAP_SAMPLE])
    return contributions(scorer.churn, there.columns.iloc[rows]), rows


def _refit_drivers(labelled: CustomerTable, explained: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Drivers of a risk model fitted anew to other customers: half of them, at most 5,000."""
    rows = np.random.default_rng(seed).permutation(len(labelled.left))
    drawn = labelled.take(np.sort(rows[: min(len(rows) // 2, REFIT_CUSTOMERS)]))
    model = ContractModel(seed).fit(drawn.columns, drawn.left.to_numpy())
    return column_drivers(contributions(model, explained), explained)


def _segments(segmentation: ContractSegments, people: pd.DataFrame, reasons: dict[str, str]) -> pd.DataFrame:
    """Describe the segments of the customers still there, most valuable per customer first."""
    total = float(people["predicted_value"].sum())
    rows = []
    for name, part in people.groupby("segment"):
        rule, action = segmentation.words(str(name))
        value = float(part["predicted_value"].sum())
        who = f"Risk {part['churn_probability'].mean():.0%} on average."
        if "tenure" in part:
            who = f"Typically customers for {part['tenure'].median():.0f} periods. {who}"
        rows.append(
            {
                "segment": name,
                "customers": len(part),
                "share_customers": len(part) / len(people),
                "predicted_value": value,
                "share_predicted_value": value / total if total > 0 else 0.0,
                "value_per_customer": value / len(part),
                "value_at_risk": float(part["value_at_risk"].sum()),
                "churn_probability": float(part["churn_probability"].mean()),
                "expected_churners": float(part["churn_probability"].sum()),
                "rule": rule,
                "who": who,
                "reasons": reasons.get(str(name), "no single column sets them apart"),
                "action": action,
            }
        )
    frame = pd.DataFrame(rows)
    by = ["value_per_customer", "churn_probability"]
    return CONTRACT_SEGMENTS.conform(frame.sort_values(by, ascending=False, kind="stable"))


def _facts(
    table: CustomerTable,
    settings: Settings,
    people: pd.DataFrame,
    now: CustomerTable,
    totals: tuple[float, ...],
) -> dict[str, Any]:
    """Single facts of the final fit; see :class:`clvseg.run.Run`."""
    as_of = newest_day(table, settings)
    predicted = float(people["predicted_value"].sum())
    full = people["charge"].to_numpy() * settings.horizon_days / settings.churn.period_days
    low, high = total_interval(people["predicted_value"].to_numpy(), full, totals)
    first = table.date.min().date() if table.date is not None else as_of
    labelled = None if table.date is None else table.date[table.left.notna()].max().date()
    return {
        "as_of": as_of.isoformat(),
        "first_day": first.isoformat(),
        "cutoff": as_of.isoformat(),
        "labelled_until": None if labelled is None else labelled.isoformat(),
        "holdout_days": 0,
        "horizon_days": settings.horizon_days,
        "customers": len(people),
        "left": int((now.left == 1).sum()),
        "currency": settings.data.currency,
        "money": now.charge is not None,
        "total": {"predicted": predicted, "low": low, "high": high, "level": LEVEL},
        "expected_churners": float(people["churn_probability"].sum()),
        "data_hash": table.hash,
        "base_model": "logistic regression and LightGBM",
        "version": __version__,
    }


def total_interval(predicted: FloatArray, full: FloatArray, totals: tuple[float, ...]) -> tuple[float, float]:
    """Interval of the total revenue of the horizon, money.

    Chance among customers, and the error of the models: what the total would have been with each part of
    the rows left out tells it (grouped jackknife; Efron & Tibshirani 1993, chapter 11). A model that is kept
    smooth errs by more than chance among those who left would suggest.

    Parameters
    ----------
    predicted, full : ndarray of float, shape (customers,)
        Money: expected, and paid by a customer who stays to the end.
    totals : tuple of float
        Money; the total as the models of each fold expect it.
    """
    lost, total = np.maximum(full - predicted, 0), float(predicted.sum())
    # A customer's revenue lies between nothing and `full`: at most predicted x lost of variance.
    chance = float((predicted * lost).sum())
    freedom = max(len(totals) - 1, 1)
    model = freedom * float(np.mean((np.asarray(totals) - total) ** 2))
    # Satterthwaite's degrees of freedom: chance is known, the model's error is estimated from few folds.
    share = max(model / (chance + model), 1e-9) if model > 0 else 1e-9
    width = float(student.ppf((1 + LEVEL) / 2, freedom / share**2) * np.sqrt(chance + model))
    return max(0.0, total - width), min(float(full.sum()), total + width)


def _survival(labelled: CustomerTable, scorer: ContractScorer) -> pd.DataFrame:
    """Kaplan-Meier curves of all customers and of each segment with enough of them."""
    if labelled.tenure is None:
        return SURVIVAL.empty()
    segment = scorer.segmentation.assign(scorer.people(labelled))["segment"].to_numpy()
    tenure, left = labelled.tenure.to_numpy(), labelled.left.to_numpy()
    sizes = pd.Series(segment).value_counts()
    groups = [("all customers", np.ones(len(left), dtype=bool))]
    groups += [(str(name), segment == name) for name in sizes[sizes >= MIN_CURVE].index]
    rows = []
    for name, inside in groups:
        curve = kaplan_meier(tenure[inside], left[inside])
        rows.append(
            pd.DataFrame(
                {
                    "group": name,
                    "measure": "still there",
                    "day": np.r_[0.0, curve.time] * scorer.settings.churn.period_days,
                    "share": np.r_[1.0, curve.survival],
                    "low": np.r_[1.0, curve.low],
                    "high": np.r_[1.0, curve.high],
                }
            )
        )
    return SURVIVAL.conform(pd.concat(rows, ignore_index=True))
