"""CLV010: days without orders amid the log, or a log that begins in the middle of customers' lives."""

from __future__ import annotations

import numpy as np

from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding

# A run of empty days is a gap when it is at least this long and chance would give one once in a hundred logs.
MIN_GAP_DAYS = 3
CHANCE = 0.01
WARN_GAP_DAYS = 14
# Customers first seen in the first four weeks, over those of the next four.
TRUNCATION_RATIO = 1.5
MIN_FIRST_SEEN = 50

ABOUT = About(
    "CLV010",
    "Gaps in the log, or a log that begins mid-life",
    "Days missing from an export look like customers who paused. Where a log begins long after the "
    "business did, old customers look new at its first day: their age, frequency and regularity are too "
    "low.",
    "Ask whether the days are missing or the shop was closed; export from the beginning of the "
    "business, or leave out customers whose first order lies before the log.",
)


def check(facts: LogFacts, horizon_days: int) -> list[Finding]:
    """Look for runs of empty days and for too many first orders at the beginning."""
    return _gaps(facts) + _truncation(facts)


def _gaps(facts: LogFacts) -> list[Finding]:
    empty = facts.daily["purchases"].to_numpy() == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(int), [0]])))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    rate = facts.purchases / facts.days
    rare = np.exp(-rate * lengths) * facts.days < CHANCE
    runs = [(int(n), int(s)) for s, n in zip(starts, lengths, strict=True) if n >= MIN_GAP_DAYS]
    runs = [run for run, unusual in zip(runs, rare[lengths >= MIN_GAP_DAYS], strict=True) if unusual]
    if not runs:
        return []
    longest, start = max(runs, key=lambda run: (run[0], -run[1]))
    first, last = facts.daily.index[start].date(), facts.daily.index[start + longest - 1].date()
    found = (
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} of {MIN_GAP_DAYS} or more days without an order, "
        f"usually {rate:,.0f} a day; the longest is {longest} days, {first} to {last}."
    )
    return [ABOUT.finding("warning" if longest >= WARN_GAP_DAYS else "info", found)]


def _truncation(facts: LogFacts) -> list[Finding]:
    new = facts.daily["new_customers"].to_numpy()
    if new.size < 91:
        return []
    first, second = int(new[:28].sum()), int(new[28:56].sum())
    if first < MIN_FIRST_SEEN or first < TRUNCATION_RATIO * second:
        return []
    share = first / facts.customers
    found = (
        f"{first:,} customers ({share:.0%}) were first seen in the first four weeks, {second:,} in the next "
        "four: many will have bought before the log begins."
    )
    return [ABOUT.finding("warning", found)]
