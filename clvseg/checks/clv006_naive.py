"""CLV006: no better than a naive baseline."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV006",
    "No better than a naive baseline",
    "A rule such as past rate times horizon, or days since the last order, ranks the later period as "
    "well as the model. The model's scores then add cost, not knowledge.",
    "Rank by the naive rule, or give more history and columns; do not pay for the model's ranking.",
)


def check_naive(
    board: pd.DataFrame, model: str, naive: Collection[str], metric: str, target: str
) -> list[Finding]:
    """Compare a model's row of a leaderboard with the best naive row.

    Parameters
    ----------
    board : DataFrame
        :data:`clvseg.frames.LEADERBOARD_VALUE` or :data:`clvseg.frames.LEADERBOARD_CHURN`.
    model : str
        The row to judge.
    naive : collection of str
        Rows that are naive; those not on the board are ignored.
    metric : str
        ``"gini"`` or ``"auc"``; its ``_low`` column is the end of the interval.
    target : str
        What is ranked, in words.

    Returns
    -------
    list of Finding
        Serious where a naive row is at least as good, a warning where it lies within the model's interval.
    """
    rows = board.set_index("model")
    rivals = rows.loc[[name for name in naive if name in rows.index and name != model], metric]
    if model not in rows.index or rivals.empty:
        return []
    best = float(rivals.max())
    ours, low = rows.loc[[model], [metric, f"{metric}_low"]].to_numpy(dtype="float64")[0]
    if low > best:
        return []
    found = f"{target}: {metric} {ours:.3f} (from {low:.3f}) for {model}, {best:.3f} for '{rivals.idxmax()}'."
    return [ABOUT.finding("serious" if best >= ours else "warning", found)]
