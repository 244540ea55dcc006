"""CLV011: the season to be predicted was not seen before."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding

YEAR = 365

ABOUT = About(
    "CLV011",
    "Season not seen",
    "A log shorter than the horizon and one year holds no earlier copy of the season that is judged, "
    "and one shorter than a year none of the season that is predicted. Totals can then miss a peak or a "
    "lull, while rankings suffer less.",
    "Read totals with care where the business is seasonal; give at least two years of orders.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Compare the log's length with a year and with the horizon and a year."""
    if facts.days >= YEAR + horizon_days:
        return []
    found = (
        f"{facts.days} days of log; {YEAR + horizon_days} would show the {horizon_days} days of the holdout "
        "a year before"
    )
    if facts.days < YEAR:
        return [ABOUT.finding("warning", f"{found}, and {YEAR} those that are predicted.")]
    seen = "the holdout cannot know its season, the final forecast can"
    return [ABOUT.finding("warning", f"{found}: {seen}.")]
