"""CLV006: no better than a naive baseline."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV006",
    "No better than a naive baseline",
    "A rule such as past rate times horizon, or days since the last order, ranks the later period as "
    "well as the model. The model's scores then add cost, not knowledge.",
    "Rank by the naive rule, or give more history and columns; do not pay for the model's ranking.",
)
METRICS = {"value": ("gini", "Gini of value"), "churn": ("auc", "AUC of risk")}


def check_naive(differences: pd.DataFrame, naive: tuple[str, ...]) -> list[Finding]:
    """Compare the row in use with each naive row, customer by customer.

    Parameters
    ----------
    differences : DataFrame
        :data:`clvseg.frames.DIFFERENCES`: the row in use less each other row.
    naive : tuple of str
        Rows that are naive.

    Returns
    -------
    list of Finding
        At most one for the value and one for the risk: serious where a naive row is at least as good, a
        warning where the paired interval of the difference holds 0.
    """
    out = []
    for target, (metric, words) in METRICS.items():
        mine = differences[(differences["target"] == target) & (differences["metric"] == metric)]
        rivals = mine[mine["other"].isin(naive)]
        if rivals.empty or (rivals["low"] > 0).all():
            continue
        worst: Any = rivals.sort_values("low").iloc[0]
        found = (
            f"{words}: {worst['model']} is {worst['difference']:+.3f} against '{worst['other']}' "
            f"(95 % interval of the difference {worst['low']:+.3f} to {worst['high']:+.3f})."
        )
        out.append(ABOUT.finding("serious" if (rivals["difference"] <= 0).any() else "warning", found))
    return out
