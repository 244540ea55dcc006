"""What a row of the leaderboards must show on later data before anybody relies on it.

Ranking, level and calibration are asked for together, since each can be bought at the cost of the others. The
mean absolute error is not asked for: with most customers at zero it rewards predicting too little.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from clvseg.evaluation.bootstrap import Bootstrap
from clvseg.frames import GATES as GATES_TABLE

Target = Literal["value", "churn"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement.

    Attributes
    ----------
    target : {"value", "churn"}
        Leaderboard it belongs to.
    name : str
        Short name.
    metric : str
        Column of the leaderboard.
    limit : float
        What is compared with.
    against_naive : bool
        Whether the lower end of the metric's paired 95 % interval over each naive row must lie above the
        limit; otherwise the metric's absolute value must not exceed it.
    rule, reason : str
        What is asked and why, in words.
    """

    target: Target
    name: str
    metric: str
    limit: float
    against_naive: bool
    rule: str
    reason: str

    def measure(self, drawn: Bootstrap, model: str, naive: Collection[str]) -> float:
        """What is compared with the limit; minus the whole scale where there is no naive row."""
        if not self.against_naive:
            return abs(drawn.estimates[model, self.metric])
        rivals = [name for name in naive if name in drawn.models]
        return min((drawn.difference(model, rival, self.metric)["low"] for rival in rivals), default=-1.0)

    def passes(self, measured: float) -> bool:
        """Whether a measurement is good enough."""
        return measured > self.limit if self.against_naive else measured <= self.limit


GATES = (
    Gate(
        "value",
        "ranking",
        "gini",
        0.0,
        True,
        "Gini surely above every naive row's: lower end of the paired 95 % interval above 0",
        "else a rule that needs no model ranks the customers as well",
    ),
    Gate(
        "value",
        "level",
        "bias",
        0.1,
        False,
        "total within 10 % of what came",
        "budgets and forecasts are sums; a season or price the history has not seen shows here first",
    ),
    Gate(
        "value",
        "calibration",
        "decile_error",
        0.12,
        False,
        "misses by tenth of customers add up to at most 12 % of the revenue",
        "a right total can hide best customers put too low and the others too high; a little above the limit "
        "of the level, as chance among ten groups adds up",
    ),
    Gate(
        "churn",
        "ranking",
        "auc",
        0.0,
        True,
        "AUC surely above days since last order: lower end of the paired 95 % interval above 0",
        "else a sorted list of dates finds those who leave as well",
    ),
    Gate(
        "churn",
        "calibration",
        "calibration_error",
        0.03,
        False,
        "probabilities within 3 points of what came, on average",
        "the expected gain of contacting a customer is a product with this probability",
    ),
)


def gate_table(target: Target, drawn: Bootstrap, naive: Collection[str]) -> pd.DataFrame:
    """Hold every row of a leaderboard against the gates.

    Parameters
    ----------
    target : {"value", "churn"}
        Whose gates.
    drawn : Bootstrap
        Of the leaderboard's models.
    naive : collection of str
        Rows that need no model; none of them can pass, as none is better than itself.

    Returns
    -------
    DataFrame
        Columns of `frames.GATES`, one row per model and gate.
    """
    rows = []
    for model in drawn.models:
        for gate in GATES:
            if gate.target == target:
                measured = gate.measure(drawn, model, naive)
                rows.append(
                    {
                        "target": target,
                        "model": model,
                        "gate": gate.name,
                        "measured": measured,
                        "limit": gate.limit,
                        "passed": gate.passes(measured),
                        "rule": gate.rule,
                        "reason": gate.reason,
                    }
                )
    return GATES_TABLE.conform(pd.DataFrame(rows))


def champion(gates: pd.DataFrame, drawn: Bootstrap, metric: str, in_use: str) -> str | None:
    """Best row of those that pass every gate; where it is not surely better than the row in use, that one.

    Parameters
    ----------
    gates : DataFrame
        From `gate_table`, of one target.
    drawn : Bootstrap
        Of the same models.
    metric : str
        What the rows are ranked by, highest first: ``gini`` or ``auc``.
    in_use : str
        The row whose predictions are handed out.

    Returns
    -------
    str or None
        None where no row passes.
    """
    passing = [str(model) for model, rows in gates.groupby("model", sort=False) if rows["passed"].all()]
    if not passing:
        return None
    best = max(passing, key=lambda model: drawn.estimates[model, metric])
    if in_use in passing and drawn.difference(best, in_use, metric)["low"] <= 0:
        return in_use
    return best
