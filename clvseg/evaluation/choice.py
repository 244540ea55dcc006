"""Which purchase model fits: in sample by likelihood and information criteria, and on a later period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import xlogy
from scipy.stats import poisson

from clvseg import frames
from clvseg.boosting import FloatArray
from clvseg.errors import ConvergenceError, DataError
from clvseg.evaluation.leaderboard import PAST_RATE
from clvseg.evaluation.metrics import bias, mean_absolute_error, root_mean_squared_error
from clvseg.value import ModifiedBetaGeoCNBDModel, PurchaseModel

# What a probability counts at least, so that one surprise does not decide.
_SMALLEST = 1e-12
# Customers whose later counts are looked at, evenly over the table; more would tell little.
_MOST = 20_000


def fit_candidates(
    summary: pd.DataFrame, kinds: Mapping[str, type[PurchaseModel]], known: Mapping[str, PurchaseModel]
) -> dict[str, PurchaseModel]:
    """Fit every purchase model, but for those already fitted.

    Parameters
    ----------
    summary : DataFrame
        Columns frequency, recency, T and, for the MBG/CNBD-k, log_gaps.
    kinds : mapping of name to class
        The candidates; one that cannot be fitted is left out.
    known : mapping of name to model
        Fitted to the same summary.
    """
    out: dict[str, PurchaseModel] = {}
    for name, kind in kinds.items():
        try:
            out[name] = known[name] if name in known else kind().fit(summary)
        except (ConvergenceError, DataError):
            continue
    return out


def model_choice(
    models: Mapping[str, PurchaseModel], summary: pd.DataFrame, later: FloatArray, days: int, chosen: str
) -> pd.DataFrame:
    """Compare purchase models in sample and on later purchases.

    Parameters
    ----------
    models : mapping of name to model
        Fitted to `summary`.
    summary : DataFrame
        Columns frequency, recency, T (log_gaps).
    later : ndarray of int, shape (n,)
        Purchase days in the `days` after the cutoff.
    days : int
        Length of that period.
    chosen : str
        The model in use, one of `models`.

    Returns
    -------
    DataFrame
        Columns of `frames.MODEL_CHOICE`: the naive row, then the models, best on the later period first.
    """
    some = np.unique(np.linspace(0, len(summary) - 1, min(_MOST, len(summary))).astype(int))
    few, came = summary.iloc[some], later[some]
    logs: dict[str, FloatArray] = {PAST_RATE: np.asarray(poisson.logpmf(came, _rate(few, least=0.5) * days))}
    logs |= {name: _log_probability(model, few, came, days) for name, model in models.items()}
    order = sorted(models, key=lambda name: -float(logs[name].mean()))
    rows = [_naive_row(summary, later, days)]
    rows += [_model_row(name, models[name], summary, later, days) for name in order]
    for row in rows:
        log = np.maximum(logs[row["model"]], np.log(_SMALLEST))
        gained = log - np.maximum(logs[chosen], np.log(_SMALLEST))
        row |= {
            "chosen": row["model"] == chosen,
            "later_log_likelihood": log.mean(),
            "later_gain": gained.mean(),
            "later_gain_se": gained.std() / np.sqrt(len(gained)),
            "aic": 2 * row["parameters"] - 2 * row["log_likelihood"],
            "bic": np.log(len(summary)) * row["parameters"] - 2 * row["log_likelihood"],
        }
    return frames.MODEL_CHOICE.conform(pd.DataFrame(rows))


def _model_row(
    name: str, model: PurchaseModel, summary: pd.DataFrame, later: FloatArray, days: int
) -> dict[str, Any]:
    # k is chosen by likelihood too.
    parameters = len(model.params_) + isinstance(model, ModifiedBetaGeoCNBDModel)
    return {
        "model": name,
        "status": model.fit_report_.status,
        "parameters": parameters,
        "log_likelihood": model.fit_report_.log_likelihood,
        **_fit_of_purchases(model.expected_purchases(summary, days), later),
    }


def _naive_row(summary: pd.DataFrame, later: FloatArray, days: int) -> dict[str, Any]:
    """Everybody goes on as before: a Poisson process at each customer's own past rate, and no dropout."""
    x = summary["frequency"].to_numpy(dtype=float)
    rate = _rate(summary)
    return {
        "model": PAST_RATE,
        "status": "naive",
        "parameters": len(summary),
        "log_likelihood": float((xlogy(x, rate) - x).sum()),
        **_fit_of_purchases(rate * days, later),
    }


def _rate(summary: pd.DataFrame, least: float = 0.0) -> FloatArray:
    """Purchases a day so far; `least` stands in for fewer of them."""
    days = np.maximum(summary["T"].to_numpy(dtype=float), 1.0)
    return np.maximum(summary["frequency"].to_numpy(dtype=float), least) / days


def _fit_of_purchases(expected: FloatArray, later: FloatArray) -> dict[str, float]:
    return {
        "bias": bias(later, expected),
        "rmse": root_mean_squared_error(later, expected),
        "mae": mean_absolute_error(later, expected),
    }


def _log_probability(model: PurchaseModel, summary: pd.DataFrame, later: FloatArray, days: int) -> FloatArray:
    """Log of P(exactly the later number of purchases), one per customer."""
    out = np.empty(len(summary))
    for count in np.unique(later):
        rows = np.flatnonzero(later == count)
        chance = model.probability_counts(summary.iloc[rows], days, int(count))[:, -1]
        out[rows] = np.log(np.maximum(chance, _SMALLEST))
    return out
