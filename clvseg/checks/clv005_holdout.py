"""CLV005: holdout too short, or history too short for the horizon."""

from __future__ import annotations

import datetime as dt

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding

# The log over the horizon: below the first a fair holdout cannot be had, below the second it is thin.
SERIOUS_RATIO, WARN_RATIO = 2.0, 3.0
MIN_HOLDOUT_DAYS = 28
MIN_HOLDOUT_PURCHASES = 100

ABOUT = About(
    "CLV005",
    "Holdout too short, or history too short for the horizon",
    "The run judges itself on the last horizon of the log. What is left before it must be at least as "
    f"long as the horizon, better twice; a holdout under {MIN_HOLDOUT_DAYS} days or "
    f"{MIN_HOLDOUT_PURCHASES} purchases says little.",
    "Choose a shorter horizon or a longer log.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Compare the log's length and its last horizon with the minimums."""
    ratio = facts.days / horizon_days
    later = facts.purchases_after(facts.last_day - dt.timedelta(days=horizon_days))
    problems = []
    if ratio < WARN_RATIO:
        problems.append(
            f"{facts.days} days of log are {ratio:.1f} horizons of {horizon_days} days "
            f"(at least {WARN_RATIO:g})"
        )
    if horizon_days < MIN_HOLDOUT_DAYS:
        problems.append(f"the holdout is {horizon_days} days (at least {MIN_HOLDOUT_DAYS})")
    if later < MIN_HOLDOUT_PURCHASES:
        problems.append(
            f"the last {horizon_days} days hold {later} purchases (at least {MIN_HOLDOUT_PURCHASES})"
        )
    if not problems:
        return []
    serious = ratio < SERIOUS_RATIO or later < MIN_HOLDOUT_PURCHASES
    return [ABOUT.finding("serious" if serious else "warning", "; ".join(problems) + ".")]
