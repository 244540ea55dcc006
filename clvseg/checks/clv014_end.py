"""CLV014: the log's last days look incomplete."""

from __future__ import annotations

import numpy as np
from scipy.stats import poisson

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding

WEEKS_COMPARED = 8
# So few purchases that chance would give them once in a thousand (variance twice a Poisson's).
CHANCE = 1e-3
DISPERSION = 2.0
PARTIAL = 0.5

ABOUT = About(
    "CLV014",
    "The log's last days look incomplete",
    "An export taken in the middle of a day or week ends with fewer orders than there were. Everybody "
    "then looks a little less active, and the holdout or the forecast begins in the gap.",
    "Set as_of to the last complete day, or export again.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Compare the last day with the same weekday before, and the last week with the weeks before."""
    counts = facts.daily["purchases"].to_numpy(dtype="float64")
    if counts.size < 7 * (WEEKS_COMPARED + 1):
        return []
    day, usual_day = counts[-1], float(np.median(counts[-1 - 7 * WEEKS_COMPARED : -1 : 7]))
    if _too_few(day, usual_day):
        found = f"{facts.last_day} has {day:,.0f} purchases; the same weekday usually has {usual_day:,.0f}."
        return [ABOUT.finding("info", found)]
    weeks = counts[-7 * (WEEKS_COMPARED + 1) :].reshape(-1, 7).sum(axis=1)
    week, usual_week = weeks[-1], float(np.median(weeks[:-1]))
    if _too_few(week, usual_week):
        found = (
            f"the last seven days have {week:,.0f} purchases; a week before usually had {usual_week:,.0f}."
        )
        return [ABOUT.finding("warning", found)]
    return []


def _too_few(count: float, usual: float) -> bool:
    return count < PARTIAL * usual and poisson.cdf(count / DISPERSION, usual / DISPERSION) < CHANCE
