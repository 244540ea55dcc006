"""CLV001: spend depends on how often one buys."""

from __future__ import annotations

import pandas as pd
from scipy.stats import spearmanr

from clvseg.checks.finding import About, Finding

# Rank correlation of frequency and mean spend among repeat buyers.
WARN, SERIOUS = 0.3, 0.5
MIN_BUYERS = 30

ABOUT = About(
    "CLV001",
    "Spend depends on frequency",
    "The Gamma-Gamma model takes the amount of an order to be independent of how often a customer "
    "orders (Fader & Hardie 2013). Where frequent buyers spend more or less per order, values of heavy "
    "and light buyers are off.",
    "Rely on the boosted value, which learns the dependence, rather than on the Gamma-Gamma model's "
    "expected spend.",
)


def check_spend(summary: pd.DataFrame) -> list[Finding]:
    """Correlate ``frequency`` and ``monetary_value`` of the repeat buyers of a customer summary."""
    repeat = summary[(summary["frequency"] > 0) & (summary["monetary_value"] > 0)]
    if (
        len(repeat) < MIN_BUYERS
        or repeat["frequency"].nunique() < 2
        or repeat["monetary_value"].nunique() < 2
    ):
        return []
    rank = float(spearmanr(repeat["frequency"], repeat["monetary_value"]).statistic)
    if abs(rank) < WARN:
        return []
    more = "more" if rank > 0 else "less"
    found = (
        f"customers who order more often spend {more} per order: rank correlation {rank:.2f} among "
        f"{len(repeat):,} repeat buyers."
    )
    return [ABOUT.finding("serious" if abs(rank) >= SERIOUS else "warning", found)]
