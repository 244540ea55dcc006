"""What settings are judged on: earlier cutoffs, each with what was known then and what followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import logit

from clvseg.boosting import Boosting, FloatArray, Panel
from clvseg.churn import model as churn
from clvseg.config import BoostingSettings, Settings
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.evaluation import metrics
from clvseg.evaluation.gates import GATES, Gate
from clvseg.judging import plan_cutoffs
from clvseg.learning import value_fitter
from clvseg.value import hybrid as value
from clvseg.value.origins import build_panel

_EDGE = 1e-15


@dataclass(frozen=True)
class Fold:
    """One cutoff.

    Attributes
    ----------
    cutoff : date
        Last day that is known.
    panel : Panel
        Built from nothing after the cutoff; its ``current`` are the customers who are judged.
    outcome : DataFrame, shape (customers, 3)
        ``value`` (money), ``purchases`` (days) and ``active`` (0 or 1) of them in the days after.
    """

    cutoff: dt.date
    panel: Panel
    outcome: pd.DataFrame


@dataclass(frozen=True)
class Target:
    """What is tuned.

    Attributes
    ----------
    name : {"value", "churn"}
    loss : str
        What is minimised, a mean over customers: the Tweedie deviance of values relative to their mean
        with the total right, or the log loss with the share that left right: the level is not boosting's.
    metrics : dict of str to callable
        Columns of the leaderboard that are measured beside it.
    too_few : callable
        Why a panel does not suffice; empty where it does.
    judge : callable
        (fold, settings, seed) to the loss of each customer, and the predictions that go to `metrics` as
        (actual, predicted).
    """

    name: Literal["value", "churn"]
    loss: str
    metrics: dict[str, Callable[[FloatArray, FloatArray], float]]
    too_few: Callable[[Panel], str]
    judge: Callable[[Fold, Boosting, int], tuple[FloatArray, FloatArray, FloatArray]]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Those of :data:`clvseg.evaluation.gates.GATES` that hold a metric against a limit."""
        return tuple(gate for gate in GATES if gate.target == self.name and not gate.against_naive)

    def own(self, settings: Settings) -> BoostingSettings:
        """The settings in use."""
        section: BoostingSettings = getattr(settings, self.name).boosting
        return section

    def measure(
        self, fold: Fold, boosting: BoostingSettings, seed: int
    ) -> tuple[FloatArray, dict[str, float]]:
        """Fit as of a fold's cutoff; loss of each customer, and all metrics with the mean loss first."""
        losses, actual, predicted = self.judge(fold, Boosting(**boosting.model_dump()), seed)
        found = {name: float(metric(actual, predicted)) for name, metric in self.metrics.items()}
        return losses, {self.loss: float(losses.mean()), **found}


def _judge_value(fold: Fold, boosting: Boosting, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    predicted = value.HybridValueModel(seed, boosting).fit(fold.panel).predict(fold.panel.current)
    actual = fold.outcome["value"].to_numpy(dtype=np.float64)
    came = np.maximum(actual, 0.0)
    return value.tweedie_deviance(came / came.mean(), predicted / predicted.mean()), actual, predicted


def _judge_churn(fold: Fold, boosting: Boosting, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    model = churn.ChurnModel(seed, boosting).fit(fold.panel)
    predicted = np.clip(model.predict_proba(fold.panel.current)[:, 1], _EDGE, 1 - _EDGE)
    gone = 1.0 - fold.outcome["active"].to_numpy(dtype=np.float64)
    return churn.log_losses(gone, logit(predicted)), gone, predicted


TARGETS = (
    Target(
        "value",
        "deviance",
        {"gini": metrics.normalised_gini, "bias": metrics.bias, "decile_error": metrics.decile_error},
        value.too_few,
        _judge_value,
    ),
    Target(
        "churn",
        "levelled_log_loss",
        {
            "log_loss": metrics.log_loss,
            "auc": metrics.roc_auc,
            "calibration_error": metrics.calibration_error,
        },
        churn.too_few,
        _judge_churn,
    ),
)


def before_held_back(transactions: Transactions, settings: Settings) -> Transactions:
    """What was known before the period that `clvseg fit` and `clvseg evaluate` hold back first."""
    _, (newest, *_) = plan_cutoffs(transactions.first_day, transactions.last_day, settings, 1)
    return transactions.split(newest)


def build_folds(known: Transactions, settings: Settings) -> tuple[list[Fold], dict[str, str]]:
    """Earlier cutoffs to judge settings at, newest first.

    They are planned as `clvseg evaluate` plans its own; at each, everything is fitted on what was known then.

    Parameters
    ----------
    known : Transactions
        From `before_held_back`.
    settings : Settings
        Of the run; ``[evaluation]`` says how many cutoffs and how far apart.

    Returns
    -------
    folds : list of Fold
    left_out : dict of str to str
        Cutoffs (ISO dates) that could not be used, and why.
    """
    horizon, days = plan_cutoffs(known.first_day, known.last_day, settings, settings.evaluation.origins)
    folds, left_out = [], {}
    for day in days:
        try:
            panel, _ = build_panel(known, day, horizon, value_fitter(settings.value))
            outcome = outcomes(known, day, horizon)
            if outcome["value"].sum() <= 0:
                raise DataError(f"nobody bought in the {horizon} days after")
        except (ConvergenceError, DataError) as error:
            left_out[day.isoformat()] = error.what
            continue
        folds.append(Fold(day, panel, outcome))
    return folds, left_out
