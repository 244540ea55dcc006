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
from clvseg.evaluation.bootstrap import Bootstrap
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.lifetimes_bridge import lifetimes_baseline

PAST_RATE = "past rate x horizon"
LAST_PERIOD = "last period's value"
SINCE_LAST = "days since last order"
LIFETIMES_VALUE = "lifetimes BG/NBD + Gamma-Gamma"
LIFETIMES_CHURN = "lifetimes BG/NBD"
BOOSTED = "LightGBM alone"
HYBRID = "clvseg hybrid"

NAIVE_VALUE = (PAST_RATE, LAST_PERIOD)
NAIVE_CHURN = (SINCE_LAST,)

_SMALLEST = 1e-9


def leaderboard(table: frames.Table, drawn: Bootstrap) -> pd.DataFrame:
    """Every metric of every model with its 95 % interval.

    Parameters
    ----------
    table : Table
        `frames.LEADERBOARD_VALUE` or `frames.LEADERBOARD_CHURN`.
    drawn : Bootstrap
        From `value_bootstrap` or `churn_bootstrap`.

    Returns
    -------
    DataFrame
        Columns of `table` whose metrics were drawn, models in the order given.
    """
    rows = []
    for model in drawn.models:
        row: dict[str, object] = {"model": model}
        for metric in drawn.metrics:
            row[metric] = drawn.estimates[model, metric]
            row[f"{metric}_low"], row[f"{metric}_high"] = drawn.interval(model, metric)
        rows.append(row)
    drawn_columns = tuple(column for column in table.columns if column.name in rows[0])
    return frames.Table(table.name, drawn_columns).conform(pd.DataFrame(rows))


def differences(target: str, drawn: Bootstrap, model: str) -> pd.DataFrame:
    """One row less each other row, on every metric, with paired 95 % intervals.

    Parameters
    ----------
    target : str
        ``value`` or ``churn``.
    drawn : Bootstrap
        Of the leaderboard.
    model : str
        The row that is compared.

    Returns
    -------
    DataFrame
        Columns of `frames.DIFFERENCES`.
    """
    rows = [
        {
            "target": target,
            "metric": metric,
            "model": model,
            "other": other,
            **drawn.difference(model, other, metric),
        }
        for metric in drawn.metrics
        for other in drawn.models
        if other != model
    ]
    return frames.DIFFERENCES.conform(pd.DataFrame(rows, columns=frames.DIFFERENCES.names))


def lifetimes_rows(panel: Panel) -> tuple[pd.DataFrame | None, dict[str, str]]:
    """What lifetimes' BG/NBD and Gamma-Gamma expect of ``panel.current``.

    Returns
    -------
    rows : DataFrame or None
        None where lifetimes cannot fit them.
    left_out : dict of str to str
        The row that is missing then, and why.
    """
    try:
        return lifetimes_baseline(panel.current, panel.horizon_days), {}
    except ConvergenceError as error:
        return None, {LIFETIMES_VALUE: " ".join(filter(None, (error.what, error.found)))}


def candidate_values(
    tx: Transactions,
    panel: Panel,
    value: HybridValueModel,
    bases: Mapping[str, pd.DataFrame],
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
    bases : mapping of purchase model to DataFrame
        ``horizon_value`` and ``horizon_active`` of each purchase model, customers as in ``panel.current``.
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
    for name, base in bases.items():
        rows[f"{name} + Gamma-Gamma"] = base["horizon_value"].to_numpy()
    if value.parts:
        rows[BOOSTED] = _boosted_value(panel, value)
    return {**rows, HYBRID: value.predict(frame)}


def candidate_probabilities(
    panel: Panel, churn: ChurnModel, bases: Mapping[str, pd.DataFrame], peer: pd.DataFrame | None
) -> dict[str, FloatArray]:
    """Every row of the churn leaderboard: P(no purchase) for ``panel.current``.

    Parameters and result as for `candidate_values`. lifetimes gives no such probability; its row reads
    the expected number of purchases E as Poisson: exp(-E).
    """
    frame = panel.current
    rows = {SINCE_LAST: since_last_probability(panel)}
    if peer is not None:
        rows[LIFETIMES_CHURN] = np.exp(-peer["expected_purchases"].to_numpy())
    for name, base in bases.items():
        rows[name] = 1.0 - base["horizon_active"].to_numpy()
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
