"""CLV021: the forecast by period knows fewer than two seasons."""

from __future__ import annotations

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV021",
    "Fewer than two seasons",
    "A season can be told from a trend only where two years of it were seen. With less the forecast has no "
    "season: its periods rise and fall with the customers alone, and the intervals are widened for it.",
    "Use totals over a year rather than single periods, and give two years of orders as soon as there are.",
)


def check_seasons(history_days: int, needed: int) -> list[Finding]:
    """Compare the length of the history with two years.

    Parameters
    ----------
    history_days, needed : int
        Days of history, and how many two seasons take.

    Examples
    --------
    >>> check_seasons(800, 730)
    []
    >>> check_seasons(546, 730)[0].found
    '546 days of history; two seasons take 730. The intervals are widened.'
    """
    if history_days >= needed:
        return []
    found = f"{history_days} days of history; two seasons take {needed}. The intervals are widened."
    return [ABOUT.finding("warning", found)]
