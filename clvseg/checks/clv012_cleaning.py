"""CLV012: lines left out or merged in cleaning."""

from __future__ import annotations

from typing import Any

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
    """State every count of the cleaning that is not zero, and what was inferred in reading."""
    profile = facts.profile
    parts = _left_out(profile) + _merged(profile)
    guesses = _inferred(profile)
    if not parts and not guesses:
        return []
    lines, lost = profile["lines_read"], sum(profile[key] for key, _ in LEFT_OUT)
    share = lost / lines
    severity: Severity = "info"
    if share >= SERIOUS_SHARE:
        severity = "serious"
    elif share >= WARN_SHARE or profile["padded_customers"]:
        severity = "warning"
    found = ""
    if parts:
        tail = f" ({share:.1%} of the lines lost)." if lost else "."
        found = f"of {lines:,} lines: " + "; ".join(parts) + tail
    return [ABOUT.finding(severity, " ".join([found, *guesses]).strip())]


def check_customers(profile: dict[str, Any]) -> list[Finding]:
    """State what was left out of a table of customers, or mended.

    Parameters
    ----------
    profile : dict
        Of a :class:`clvseg.data.customers.CustomerTable`.
    """
    words = {
        "missing_customers": "rows without a customer left out",
        "duplicates_dropped": "repeated rows left out",
        "missing_values": "values missing",
        "unreadable_numbers": "texts in columns of numbers taken as missing",
    }
    parts = [f"{profile[key]:,} {text}" for key, text in words.items() if profile[key]]
    if not parts:
        return []
    lost = profile["missing_customers"] / profile["rows_read"]
    severity: Severity = "serious" if lost >= SERIOUS_SHARE else "warning" if lost >= WARN_SHARE else "info"
    advice = "Gaps are a level of their own in texts, and in numbers are marked; mend the export where many."
    return [ABOUT.finding(severity, f"of {profile['rows_read']:,} rows: {'; '.join(parts)}.", advice)]


def _left_out(profile: dict[str, Any]) -> list[str]:
    parts = [f"{profile[key]:,} {words}" for key, words in LEFT_OUT if profile[key]]
    dropped, repeated = profile["duplicates_dropped"], profile["duplicates_found"]
    if dropped:
        parts.append(f"{dropped:,} exact repeats left out")
    elif repeated:
        parts.append(f'{repeated:,} exact repeats kept (duplicates = "drop" leaves them out)')
    if profile["zero_lines"]:
        what = "left out" if profile["zero_lines_dropped"] else "kept"
        parts.append(f"{profile['zero_lines']:,} free lines {what}")
    return parts


def _merged(profile: dict[str, Any]) -> list[str]:
    parts = []
    if profile["same_day_orders"]:
        parts.append(f"{profile['same_day_orders']:,} orders merged into another of that customer and day")
    if profile["padded_customers"]:
        parts.append(
            f"{profile['padded_customers']:,} customer ids differ from another only by spaces around them"
        )
    return parts


def _inferred(profile: dict[str, Any]) -> list[str]:
    """What reading had to find out for itself."""
    sentences, forms = [], profile["date_forms"]
    if len(forms) > 1 or {"DD/MM/YYYY", "MM/DD/YYYY"} & set(forms):
        sentences.append(f"Days are written as {' and as '.join(forms)}.")
    if written := sorted(set(profile["number_forms"].values()) - {"plain"}):
        sentences.append(f"Numbers are written with a {' and a '.join(written)}.")
    if profile["encoding"] not in (None, "utf-8"):
        sentences.append(f"The file is not UTF-8 and was read as {profile['encoding']}.")
    return sentences
