"""How good the models are: fitted on what was known at a cutoff, measured on what followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clvseg import checks
from clvseg.config import Settings
from clvseg.data.features import log_gaps
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.evaluation.choice import fit_candidates, model_choice
from clvseg.evaluation.leaderboard import (
    HYBRID,
    LAST_PERIOD,
    PAST_RATE,
    SINCE_LAST,
    candidate_probabilities,
    candidate_values,
    churn_leaderboard,
    lifetimes_rows,
    value_leaderboard,
)
from clvseg.evaluation.metrics import decile_table, interval_coverage, reliability_table
from clvseg.explain import EXPECTATIONS
from clvseg.learning import MODEL_NAMES, Learned, learn
from clvseg.scores import PREDICTORS
from clvseg.segments import later_table
from clvseg.value import MODELS

Step = Callable[[str], None]


@dataclass(frozen=True)
class Judged:
    """How well the models did on the period after the cutoff.

    Attributes
    ----------
    facts : dict
        Those of the later period; see :class:`clvseg.run.Run`.
    leaderboard_value, leaderboard_churn, later, findings : DataFrame
        The tables of :mod:`clvseg.frames`.
    deciles, calibration, model_choice, holdout : DataFrame
        See :class:`clvseg.run.Run`.
    models : dict
        The models as of the cutoff, JSON-able; see :func:`clvseg.scores.predict_with`.
    """

    facts: dict[str, Any]
    leaderboard_value: pd.DataFrame
    leaderboard_churn: pd.DataFrame
    later: pd.DataFrame
    findings: pd.DataFrame
    deciles: pd.DataFrame
    calibration: pd.DataFrame
    model_choice: pd.DataFrame
    holdout: pd.DataFrame
    models: dict[str, Any]


def judge(
    transactions: Transactions, settings: Settings, progress: Step
) -> tuple[Judged, list[checks.Finding]]:
    """Hold back the last horizon, or half of a log that is shorter than two, and measure on it.

    Parameters
    ----------
    transactions : Transactions
        The whole log.
    settings : Settings
        Of the run.
    progress : callable
        Called with the title of each step.

    Returns
    -------
    judged : Judged
        Without findings.
    doubts : list of Finding
        What the later period gives reason to doubt.

    Raises
    ------
    DataError
        When nobody bought in the held-back period.
    DataError, ConvergenceError
        As :func:`clvseg.learning.learn`.
    """
    days = (transactions.last_day - transactions.first_day).days + 1
    horizon = min(settings.horizon_days, days // 2)
    cutoff = transactions.last_day - dt.timedelta(days=horizon)
    progress(f"Judging: fitting to {cutoff}, measuring on the {horizon} days after")
    learned = learn(transactions, cutoff, horizon, settings)
    later = outcomes(transactions, cutoff, horizon)
    if later["value"].sum() <= 0:
        raise DataError(
            f"nobody bought in the last {horizon} days of the log, so nothing can be judged.",
            found=f"the held-back period is {cutoff} to {transactions.last_day}.",
            hint="set as_of to the last complete day, or a longer horizon.",
        )
    progress("Measuring the accuracy beside lifetimes and the naive rows")
    panel, people = learned.panel, learned.people
    purchases = MODEL_NAMES[settings.value.purchases]
    peer = lifetimes_rows(panel)
    values = candidate_values(transactions, panel, learned.hybrid, f"{purchases} + Gamma-Gamma", peer)
    risks = candidate_probabilities(panel, learned.churn, purchases, peer)
    actual, gone = later["value"].to_numpy(), 1 - later["active"].to_numpy()
    predicted, churn = people["predicted_value"].to_numpy(), people["churn_probability"].to_numpy()
    ranges = learned.intervals.predict(predicted, churn)
    low, high = learned.intervals.total(predicted)
    judged = Judged(
        facts={
            "cutoff": cutoff.isoformat(),
            "holdout_days": horizon,
            "model_value": HYBRID,
            "model_churn": HYBRID,
            "coverage": interval_coverage(actual, ranges["low"].to_numpy(), ranges["high"].to_numpy()),
            "holdout_total": {
                "predicted": float(predicted.sum()),
                "low": low,
                "high": high,
                "actual": float(actual.sum()),
            },
        },
        leaderboard_value=value_leaderboard(values, actual, settings.seed),
        leaderboard_churn=churn_leaderboard(risks, gone, settings.seed),
        later=later_table(
            learned.segmentation.assign(people)["segment"], predicted, churn, later, settings.seed
        ),
        findings=checks.findings_frame([]),
        deciles=decile_table(actual, predicted),
        calibration=reliability_table(gone, churn),
        model_choice=_choice(learned, later, settings),
        holdout=_holdout(learned, later),
        models={name: getattr(learned, name).to_dict() for name in PREDICTORS},
    )
    return judged, _accuracy_findings(judged)


def _choice(learned: Learned, later: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Compare all purchase models, the one in use as it was fitted."""
    summary = learned.panel.current.assign(log_gaps=log_gaps(learned.panel.current))
    chosen = MODEL_NAMES[settings.value.purchases]
    kinds = {MODEL_NAMES[kind]: model for kind, model in MODELS.items()}
    models = fit_candidates(summary, kinds, {chosen: learned.base.value_model.purchases_})
    days = learned.panel.horizon_days
    return model_choice(models, summary, later["purchases"].to_numpy(), days, chosen)


def _holdout(learned: Learned, later: pd.DataFrame) -> pd.DataFrame:
    """The customers of the cutoff: behaviour by then, what was predicted, and what followed."""
    people = learned.people.drop(columns=[*EXPECTATIONS])
    return people.assign(actual_value=later["value"], actual_active=later["active"]).reset_index()


def _accuracy_findings(judged: Judged) -> list[checks.Finding]:
    """Doubts that the later period raises."""
    value: Any = judged.leaderboard_value.set_index("model").loc[HYBRID]
    churn: Any = judged.leaderboard_churn.set_index("model").loc[HYBRID]
    return [
        *checks.check_naive(
            judged.leaderboard_value, HYBRID, (PAST_RATE, LAST_PERIOD), "gini", "value of customers"
        ),
        *checks.check_naive(judged.leaderboard_churn, HYBRID, (SINCE_LAST,), "auc", "risk of customers"),
        *checks.check_calibration(
            churn["calibration_error"], value["bias"], value["bias_low"], value["bias_high"]
        ),
        *checks.check_segments(judged.later),
        *checks.check_choice(judged.model_choice),
    ]
