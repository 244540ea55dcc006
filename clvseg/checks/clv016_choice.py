"""CLV016: another purchase model fits the later period clearly better."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clvseg.checks.finding import About, Finding

# Standard errors by which the later log-likelihood must be higher, and by how much per customer at least.
SURE, WORTH = 3.0, 0.01

ABOUT = About(
    "CLV016",
    "Another purchase model fits better",
    "The purchase models were fitted to the same customers and judged on the purchases that followed. One "
    "that is not in use gave the numbers of purchases that came a clearly higher probability. Boosting "
    "corrects much of that in value and churn, but nothing in probability_alive and expected_purchases.",
    "Set [value] purchases to that model, then compare the accuracy of value and churn; choose on several "
    "cutoffs rather than on one.",
)


def check_choice(choice: pd.DataFrame) -> list[Finding]:
    """Compare the model in use with the best other one on the later period.

    Parameters
    ----------
    choice : DataFrame
        :data:`clvseg.frames.MODEL_CHOICE`.
    """
    rows: list[Any] = list(choice.itertuples())
    own = next(row for row in rows if row.chosen)
    rivals = [
        row
        for row in rows
        if row.status == "converged" and row.later_gain > max(WORTH, SURE * row.later_gain_se)
    ]
    if not rivals:
        return []
    best = max(rivals, key=lambda row: row.later_gain)
    found = (
        f"{best.model} gave the later purchases a log-likelihood {best.later_gain:.3f} a customer above that "
        f"of {own.model} (standard error {best.later_gain_se:.3f}); totals off by {best.bias:+.0%} and "
        f"{own.bias:+.0%}."
    )
    return [ABOUT.finding("warning", found)]
