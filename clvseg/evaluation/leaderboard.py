"""Who predicted the later period best: our models beside lifetimes and what needs no model at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from clvseg import frames
from clvseg.boosting import FloatArray, Panel, raw_score
from clvseg.churn.model import ChurnModel
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError
from clvseg.evaluation import metrics
from clvseg.evaluation.bootstrap import bootstrap
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.lifetimes_bridge import lifetimes_baseline

PAST_RATE = "past rate x horizon"
LAST_PERIOD = "last period's value"
SINCE_LAST = "days since last order"
LIFETIMES_VALUE = "lifetimes BG/NBD + Gamma-Gamma"
LIFETIMES_CHURN = "lifetimes BG/NBD"
BOOSTED = "LightGBM alone"
HYBRID = "clvseg hybrid"

_SMALLEST = 1e-9


def value_leaderboard(predictions: Mapping[str, FloatArray], actual: FloatArray, seed: int) -> pd.DataFrame:
    """Measure predictions of revenue.

    Parameters
    ----------
    predictions : mapping of model to ndarray, shape (customers,)
        Money.
    actual : ndarray of float, shape (customers,)
        Money that came.
    seed : int
        Of the bootstrap over customers, which gives the 95 % intervals.

    Returns
    -------
    DataFrame
        Columns of `frames.LEADERBOARD_VALUE`, models in the order given.

    Raises
    ------
    DataError
        When nobody brought any revenue.
    """
    actual = np.asarray(actual, dtype=np.float64)
    drawn = bootstrap(actual, predictions, ("gini", "bias"), seed)
    rows = []
    for model, predicted in predictions.items():
        gini, off = drawn.interval(model, "gini"), drawn.interval(model, "bias")
        rows.append(
            {
                "model": model,
                "gini": drawn.estimates[model, "gini"],
                "gini_low": gini[0],
                "gini_high": gini[1],
                "spearman": metrics.spearman(actual, predicted),
                "bias": drawn.estimates[model, "bias"],
                "bias_low": off[0],
                "bias_high": off[1],
                "decile_error": metrics.decile_error(actual, predicted),
                "top_decile": metrics.top_share(actual, predicted),
                "mae": metrics.mean_absolute_error(actual, predicted),
                "rmse": metrics.root_mean_squared_error(actual, predicted),
            }
        )
    return frames.LEADERBOARD_VALUE.conform(pd.DataFrame(rows))


def churn_leaderboard(probabilities: Mapping[str, FloatArray], gone: FloatArray, seed: int) -> pd.DataFrame:
    """Measure probabilities of no purchase.

    Parameters
    ----------
    probabilities : mapping of model to ndarray, shape (customers,)
        0..1.
    gone : ndarray of 0 or 1, shape (customers,)
        1 where no purchase came.
    seed : int
        Of the bootstrap over customers, which gives the 95 % interval.

    Returns
    -------
    DataFrame
        Columns of `frames.LEADERBOARD_CHURN`, models in the order given.
    """
    gone = np.asarray(gone, dtype=np.float64)
    drawn = bootstrap(gone, probabilities, ("auc",), seed)
    rows = []
    for model, probability in probabilities.items():
        low, high = drawn.interval(model, "auc")
        rows.append(
            {
                "model": model,
                "auc": drawn.estimates[model, "auc"],
                "auc_low": low,
                "auc_high": high,
                "average_precision": metrics.average_precision(gone, probability),
                "log_loss": metrics.log_loss(gone, probability),
                "brier": metrics.brier(gone, probability),
                "calibration_error": metrics.calibration_error(gone, probability),
            }
        )
    return frames.LEADERBOARD_CHURN.conform(pd.DataFrame(rows))


def lifetimes_rows(panel: Panel) -> pd.DataFrame | None:
    """What lifetimes' BG/NBD and Gamma-Gamma expect of ``panel.current``; None where it cannot fit them."""
    try:
        return lifetimes_baseline(panel.current, panel.horizon_days)
    except ConvergenceError:
        return None


def candidate_values(
    tx: Transactions,
    panel: Panel,
    value: HybridValueModel,
    base_name: str,
    peer: pd.DataFrame | None,
) -> dict[str, FloatArray]:
    """Every row of the value leaderboard: predictions for ``panel.current``, nothing after its cutoff used.

    Parameters
    ----------
    tx : Transactions
        May reach beyond the panel's ``as_of``; that part is not looked at.
    panel : Panel
        As of the cutoff.
    value : HybridValueModel
        Fitted on `panel`.
    base_name : str
        What to call the purchase and spend models' own row.
    peer : DataFrame, optional
        From `lifetimes_rows`.

    Returns
    -------
    dict of str to ndarray, shape (customers,)
        Money. Naive rows first, ours last; without lifetimes where it fails, and without LightGBM alone
        where there were too few buyers to boost.
    """
    frame = panel.current
    days = np.maximum(frame["T"].to_numpy(), 1.0)
    rows = {
        PAST_RATE: (frame["frequency"] / days * panel.horizon_days * frame["mean_spend"]).to_numpy(),
        LAST_PERIOD: _last_period(tx, frame, panel.as_of, panel.horizon_days),
    }
    if peer is not None:
        rows[LIFETIMES_VALUE] = peer["expected_value"].to_numpy()
    rows[base_name] = frame["horizon_value"].to_numpy()
    if value.parts:
        rows[BOOSTED] = _boosted_value(panel, value)
    return {**rows, HYBRID: value.predict(frame)}


def candidate_probabilities(
    panel: Panel, churn: ChurnModel, base_name: str, peer: pd.DataFrame | None
) -> dict[str, FloatArray]:
    """Every row of the churn leaderboard: P(no purchase) for ``panel.current``.

    Parameters and result as for `candidate_values`. lifetimes gives no such probability; its row reads
    the expected number of purchases E as Poisson: exp(-E).
    """
    frame = panel.current
    rows = {SINCE_LAST: since_last_probability(panel)}
    if peer is not None:
        rows[LIFETIMES_CHURN] = np.exp(-peer["expected_purchases"].to_numpy())
    rows[base_name] = 1.0 - frame["horizon_active"].to_numpy()
    if churn.parts:
        rows[BOOSTED] = _boosted_probability(panel, churn)
    return {**rows, HYBRID: churn.predict_proba(frame)[:, 1]}


def since_last_probability(panel: Panel) -> FloatArray:
    """P(no purchase) from the days since the last order alone, shape (customers,).

    A logistic regression on log(1 + days), fitted at the panel's origins; without origins, the share of
    the customer's age that has passed since the last order.
    """
    from sklearn.linear_model import LogisticRegression

    now = panel.current
    gone = 1 - panel.outcome["active"].to_numpy(dtype=np.int64)
    if len(np.unique(gone)) < 2:
        return ((now["since_last"] + 1) / (now["T"] + 2)).to_numpy(dtype=np.float64)

    def feature(frame: pd.DataFrame) -> FloatArray:
        return np.log1p(frame[["since_last"]].to_numpy(dtype=np.float64))

    fitted = LogisticRegression(C=np.inf).fit(feature(panel.rows), gone)
    return np.asarray(fitted.predict_proba(feature(now))[:, 1], dtype=np.float64)


def _last_period(tx: Transactions, frame: pd.DataFrame, as_of: dt.date, days: int) -> FloatArray:
    """Each customer's revenue in the last `days`, or all of it where the history is shorter."""
    known = tx.split(as_of) if as_of < tx.last_day else tx
    before = known.last_day - dt.timedelta(days=days)
    everything = frame["past_revenue"]
    if before <= known.first_day:
        return everything.to_numpy()
    last = outcomes(known, before, days)["value"]
    return last.reindex(frame.index).fillna(everything).to_numpy(dtype=np.float64)


def _boosted_value(panel: Panel, value: HybridValueModel) -> FloatArray:
    """The booster that starts from nothing, at the newest origin's level, stretched to the horizon."""
    frame, (_, booster) = panel.current, value.parts[-1]
    level = panel.per_origin(panel.outcome["value"].to_numpy(dtype=np.float64))[0]
    ahead = np.maximum(frame[["horizon_purchases", "expected_purchases"]].to_numpy(), _SMALLEST)
    longer = ahead[:, 0] / ahead[:, 1]
    return level * longer * np.exp(raw_score(booster, frame, value.features))


def _boosted_probability(panel: Panel, churn: ChurnModel) -> FloatArray:
    """The booster that starts from nothing, moved to the horizon by the purchase model's logits."""
    frame, (_, booster) = panel.current, churn.parts[-1]
    ahead = np.clip(1 - frame[["horizon_active", "probability_active"]].to_numpy(), 1e-4, 1 - 1e-4)
    longer = logit(ahead[:, 0]) - logit(ahead[:, 1])
    return np.asarray(expit(raw_score(booster, frame, churn.features) + longer))
