"""CLV012: lines left out or merged in cleaning."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding, Severity
from clvseg.data.cleaning import LEFT_OUT

# Lost lines (repeated ones are no loss) as a share of all lines.
WARN_SHARE, SERIOUS_SHARE = 0.01, 0.25

ABOUT = About(
    "CLV012",
    "Lines left out or merged",
    "Lines without a customer, day or amount cannot be used, impossible days and negative prices are "
    "errors, exact repeats are usually an export's fault. Orders of one customer and day are one "
    "purchase.",
    "Mend the export where the lost lines are many; sales without a customer are not in any total of "
    "this run.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """State every count of the cleaning that is not zero."""
    profile = facts.profile
    lines = profile["lines_read"]
    lost = sum(profile[key] for key, _ in LEFT_OUT)
    parts = [f"{profile[key]:,} {words}" for key, words in LEFT_OUT if profile[key]]
    dropped, repeated = profile["duplicates_dropped"], profile["duplicates_found"]
    if dropped:
        parts.append(f"{dropped:,} exact repeats left out")
    elif repeated:
        parts.append(f'{repeated:,} exact repeats kept (duplicates = "drop" leaves them out)')
    if profile["zero_lines"]:
        parts.append(
            f"{profile['zero_lines']:,} free lines {'left out' if profile['zero_lines_dropped'] else 'kept'}"
        )
    if profile["same_day_orders"]:
        parts.append(f"{profile['same_day_orders']:,} orders merged into another of that customer and day")
    if profile["padded_customers"]:
        parts.append(
            f"{profile['padded_customers']:,} customer ids differ from another only by spaces around them"
        )
    if not parts:
        return []
    share = lost / lines
    severity: Severity = "info"
    if share >= SERIOUS_SHARE:
        severity = "serious"
    elif share >= WARN_SHARE or profile["padded_customers"]:
        severity = "warning"
    found = (
        f"of {lines:,} lines: " + "; ".join(parts) + (f" ({share:.1%} of the lines lost)." if lost else ".")
    )
    return [ABOUT.finding(severity, found)]
