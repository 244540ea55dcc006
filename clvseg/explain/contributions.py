"""SHAP values as tidy frames, what they say of segments, and how stable the ranking of drivers is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.explain.shapley import BASE, EXPECTATIONS, PROBABILITY_MODEL
from clvseg.frames import CONTRIBUTIONS

Values: TypeAlias = NDArray[Any]
# The purchase model's own forecast, which stands as the value of its contribution.
_FORECAST = {"churn": "horizon_active", "value": "horizon_value"}


def tidy_contributions(values: pd.DataFrame, frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Turn SHAP values into one row per customer and feature.

    The offset and what the boosters make of the purchase model's expectations are one contribution, that of
    the purchase model (``probability model``); its value is the purchase model's own forecast: the
    probability of no order, or money.

    Parameters
    ----------
    values : DataFrame
        Of :func:`clvseg.explain.shap_values`.
    frame : DataFrame
        What was explained: must hold the customers of `values` and the purchase model's expectations.
    target : str
        ``churn`` or ``value``.

    Returns
    -------
    DataFrame
        Columns of :data:`clvseg.frames.CONTRIBUTIONS`. The contributions of a customer add up to the model's
        raw score: the logit of the churn probability, or the log of the value.
    """
    frame = frame.loc[values.index]
    own = [name for name in values.columns if name == PROBABILITY_MODEL or name in EXPECTATIONS]
    parts = values.drop(columns=own)
    parts.insert(0, PROBABILITY_MODEL, values[own].sum(axis=1))
    forecast = frame[_FORECAST[target]]
    known = frame[[name for name in parts.columns if name not in (PROBABILITY_MODEL, BASE)]].copy()
    known[PROBABILITY_MODEL], known[BASE] = 1 - forecast if target == "churn" else forecast, 0.0
    return melt(parts, known[parts.columns].to_numpy(), target)


def melt(parts: pd.DataFrame, values: Values, target: str, entries: Values | None = None) -> pd.DataFrame:
    """Contributions (customers, features), with what each customer has of each feature, as a tidy frame.

    Parameters
    ----------
    parts : DataFrame
        Contributions, indexed by customer_id; ``base`` among them.
    values : ndarray of float, shape (customers, features)
        The customers' own numbers.
    target : str
        The model.
    entries : ndarray of str, shape (customers, features), optional
        The customers' own texts.
    """
    return CONTRIBUTIONS.conform(
        pd.DataFrame(
            {
                "customer_id": parts.index.repeat(parts.shape[1]),
                "model": target,
                "feature": np.tile(parts.columns.to_numpy(dtype=object), len(parts)),
                "value": values.ravel(),
                "entry": "" if entries is None else entries.ravel(),
                "contribution": parts.to_numpy().ravel(),
            }
        )
    )


def segment_contributions(contributions: pd.DataFrame, segment: pd.Series) -> pd.DataFrame:
    """What moves the prediction of a segment's customers more than that of the rest.

    Parameters
    ----------
    contributions : DataFrame
        :data:`clvseg.frames.CONTRIBUTIONS`.
    segment : Series of str
        Indexed by customer_id.

    Returns
    -------
    DataFrame
        ``model``, ``segment``, ``feature``, ``inside``, ``outside`` (mean contribution in the segment and in
        the rest), ``difference``; largest absolute difference first within a model and segment. Where
        everyone is in one segment, ``outside`` is 0.
    """
    parts = contributions[contributions["feature"] != BASE]
    named = parts.assign(segment=parts["customer_id"].map(segment))
    sums = named.groupby(["model", "segment", "feature"])["contribution"].agg(["sum", "size"])
    whole = sums.groupby(["model", "feature"]).transform("sum")
    rest = (whole["size"] - sums["size"]).clip(lower=1)
    table = pd.DataFrame(
        {"inside": sums["sum"] / sums["size"], "outside": (whole["sum"] - sums["sum"]) / rest}
    )
    table["difference"] = table["inside"] - table["outside"]
    order = table.assign(size=-table["difference"].abs()).sort_values(["model", "segment", "size"])
    return order.drop(columns="size").reset_index()


def driver_stability(
    table: pd.DataFrame, refits: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Say how far the ranking of drivers depends on who was learned from and on the seed.

    Parameters
    ----------
    table : DataFrame
        Of :func:`clvseg.explain.drivers`, one or both targets.
    refits : sequence of DataFrame
        The same, one target each, of models fitted to other draws of the customers with other seeds; for the
        same customers as `table`.

    Returns
    -------
    table : DataFrame
        `table` with ``rank`` (1 = strongest within the target), ``rank_low`` and ``rank_high``, the best and
        the worst rank in the refits (a feature that moved nothing there shares the last rank); both are
        ``rank`` where there was no refit.
    agreement : dict of str to float
        Per target with refits, the mean over them of Spearman's rank correlation of the drivers' importances
        with those of the refit, over the features that move anything in either.
    """
    out, agreement = [], {}
    for target, mine in table.groupby("target", sort=False):
        ranked = mine.assign(rank=np.arange(1, len(mine) + 1))
        found = [one for one in refits if (one["target"] == target).all()]
        tables = [one.set_index("feature")["importance"] for one in (mine, *found)]
        names = pd.Index(dict.fromkeys(name for one in tables for name in one.index))
        first, *others = (one.reindex(names, fill_value=0.0) for one in tables)
        if others:
            agreement[str(target)] = float(np.mean([_rank_correlation(first, other) for other in others]))
        ranks = [other.rank(ascending=False, method="min")[list(mine["feature"])] for other in others]
        spread = np.column_stack(ranks or [ranked["rank"]]).astype(np.int64)
        out.append(ranked.assign(rank_low=spread.min(axis=1), rank_high=spread.max(axis=1)))
    return pd.concat(out, ignore_index=True), agreement


def _rank_correlation(left: pd.Series, right: pd.Series) -> float:
    """Spearman's; 1 where neither ranks anything, 0 where only one does."""
    flat = [bool(np.ptp(values.to_numpy()) == 0) for values in (left, right)]
    return float(all(flat)) if any(flat) else float(left.corr(right, method="spearman"))
