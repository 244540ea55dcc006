"""CLV001: spend depends on how often one buys."""

from __future__ import annotations

import pandas as pd

from clvseg.checks.finding import About, Finding
from clvseg.value.spend import DEPENDENT, spend_correlation

# Rank correlation of frequency and mean spend among repeat buyers.
WARN, SERIOUS = DEPENDENT, 0.5

ABOUT = About(
    "CLV001",
    "Spend depends on frequency",
    "The Gamma-Gamma model takes the amount of an order to be independent of how often a customer "
    "orders (Fader & Hardie 2013). Where frequent buyers spend more or less per order, values of heavy "
    "and light buyers are off. The spend model then lets the mean grow or fall with the number of orders.",
    "Look at expected_spend of frequent and rare buyers; rely on the boosted value, which learns what "
    "dependence remains.",
)


def check_spend(summary: pd.DataFrame) -> list[Finding]:
    """Correlate ``frequency`` and ``monetary_value`` of the repeat buyers of a customer summary."""
    repeat = summary[(summary["frequency"] > 0) & (summary["monetary_value"] > 0)]
    rank = spend_correlation(repeat["frequency"].to_numpy(), repeat["monetary_value"].to_numpy())
    if abs(rank) < WARN:
        return []
    more = "more" if rank > 0 else "less"
    found = (
        f"customers who order more often spend {more} per order: rank correlation {rank:.2f} among "
        f"{len(repeat):,} repeat buyers."
    )
    return [ABOUT.finding("serious" if abs(rank) >= SERIOUS else "warning", found)]
