"""CLV003: refunds and negative amounts."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts, money
from clvseg.checks.finding import About, Finding

# Refunded money as a share of all money taken.
WARN_SHARE = 0.02

ABOUT = About(
    "CLV003",
    "Refunds or negative amounts",
    "Lines below zero are netted against the same customer's order of the same day, or left out; a day "
    "that nets to zero or less is no purchase. A refund on a day without an order cannot be tied to its "
    "order: its money stays in the revenue.",
    "Where refunds matter, date each refund line on the day of its order before reading, or set refunds "
    '= "drop".',
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """State what refunds there were and what became of them."""
    profile = facts.profile
    if not profile["refund_lines"]:
        return []
    taken = facts.revenue + profile["refund_money"]
    share = profile["refund_money"] / taken if taken > 0 else 1.0
    found = (
        f"{profile['refund_lines']:,} lines below zero, {money(profile['refund_money'], facts)} "
        f"({share:.1%} of the money taken). "
    )
    if profile["refunds"] == "drop":
        found += "They were left out."
    else:
        found += (
            f"{profile['wiped_days']:,} customer-days were refunded away whole; "
            f"{profile['refund_only_days']:,} customer-days had refunds only, and "
            f"{money(profile['refund_only_money'], facts)} of those could not be netted."
        )
    return [ABOUT.finding("warning" if share >= WARN_SHARE else "info", found)]
