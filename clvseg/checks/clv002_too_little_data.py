"""CLV002: too few customers, repeat buyers or days."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding

# Commercial tools ask for 500 to 1,000 customers with purchases and half a year to a year of orders.
MIN_CUSTOMERS = 1_000
MIN_REPEAT_BUYERS = 200
MIN_REPEAT_SHARE = 0.10
MIN_DAYS = 180
# Below this part of a minimum the doubt is serious.
SERIOUS_PART = 0.25

ABOUT = About(
    "CLV002",
    "Too few customers, repeat buyers or days",
    f"Purchase rates and dropout are learned from customers who came back. Below {MIN_CUSTOMERS:,} "
    f"customers, {MIN_REPEAT_BUYERS} repeat buyers, {MIN_REPEAT_SHARE:.0%} repeat buyers or {MIN_DAYS} "
    "days of orders, rankings and totals depend on a few people, and boosting has too little to learn "
    "from.",
    "Use a longer or fuller log; until then read segments as groups, not single scores, and mind the "
    "intervals.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Compare the log with the minimums; every one that is missed is named in one finding."""
    share = facts.repeat_buyers / facts.customers
    measured = (
        (facts.customers, MIN_CUSTOMERS, f"{facts.customers:,} customers (at least {MIN_CUSTOMERS:,})"),
        (
            facts.repeat_buyers,
            MIN_REPEAT_BUYERS,
            f"{facts.repeat_buyers:,} repeat buyers (at least {MIN_REPEAT_BUYERS})",
        ),
        (share, MIN_REPEAT_SHARE, f"{share:.1%} repeat buyers (at least {MIN_REPEAT_SHARE:.0%})"),
        (facts.days, MIN_DAYS, f"{facts.days} days (at least {MIN_DAYS})"),
    )
    missed = [(value / minimum, words) for value, minimum, words in measured if value < minimum]
    if not missed:
        return []
    serious = min(part for part, _ in missed) < SERIOUS_PART
    return [ABOUT.finding("serious" if serious else "warning", "; ".join(words for _, words in missed) + ".")]
