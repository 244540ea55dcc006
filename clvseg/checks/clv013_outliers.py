"""CLV013: one customer or one order that holds too much."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts, money
from clvseg.checks.finding import About, Finding

# Share of all revenue.
WARN_CUSTOMER, SERIOUS_CUSTOMER = 0.05, 0.25
WARN_PURCHASE = 0.01
WARN_TIMES_MEDIAN = 1_000

ABOUT = About(
    "CLV013",
    "One customer or order holds too much",
    "A single reseller, test account or mistyped amount can move averages, totals and segment values by "
    "itself; spend models read one huge order as a big customer.",
    "Look at the customer and the order; leave them out or handle them by hand if they are not ordinary "
    "customers.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Look at the largest customer and the largest purchase."""
    if facts.revenue <= 0:
        return []
    problems = []
    customer, purchase = facts.top_customer_revenue / facts.revenue, facts.top_purchase / facts.revenue
    few = facts.customers * WARN_CUSTOMER < 5
    if customer >= WARN_CUSTOMER and not few:
        problems.append(f"customer {facts.top_customer} holds {customer:.1%} of all revenue")
    times = facts.top_purchase / facts.median_purchase if facts.median_purchase > 0 else 0.0
    if (purchase >= WARN_PURCHASE and facts.purchases >= 1_000) or times >= WARN_TIMES_MEDIAN:
        problems.append(
            f"the largest purchase is {money(facts.top_purchase, facts)}, {purchase:.1%} of all revenue and "
            f"{times:,.0f} times the median purchase"
        )
    if not problems:
        return []
    serious = customer >= SERIOUS_CUSTOMER
    return [ABOUT.finding("serious" if serious else "warning", "; ".join(problems) + ".")]
