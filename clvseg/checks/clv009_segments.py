"""CLV009: segments that did not differ afterwards."""

from __future__ import annotations

import math

import pandas as pd

from clvseg.checks.finding import About, Finding

MIN_CUSTOMERS = 30
# Two-sided 95 % for a difference of two shares.
Z = 1.96

ABOUT = About(
    "CLV009",
    "Segments too alike or in the wrong order",
    "A segment earns its name when its customers behave differently afterwards. Segments that neither "
    "spent nor stayed differently can share one treatment; segments in the wrong order were valued "
    "wrongly.",
    "Treat the named segments as one, or lower their number; check tiers and thresholds under [segments].",
)


def check_segments(later: pd.DataFrame) -> list[Finding]:
    """Compare each segment's later revenue and activity with every other segment's.

    Parameters
    ----------
    later : DataFrame
        :data:`clvseg.frames.LATER`.

    Returns
    -------
    list of Finding
        At most one each for pairs that are alike, pairs in the wrong order, and segments too small to judge.
    """
    rows = later.to_dict("records")
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[i + 1 :]]
    alike = [
        f"{a['segment']} and {b['segment']}" for a, b in pairs if _same_revenue(a, b) and _same_activity(a, b)
    ]
    wrong = [f"{a['segment']} and {b['segment']}" for a, b in pairs if _wrong_order(a, b)]
    small = [f"{row['segment']} ({row['customers']})" for row in rows if row["customers"] < MIN_CUSTOMERS]
    out = []
    if alike:
        out.append(
            ABOUT.finding("warning", f"neither revenue nor activity differed later: {'; '.join(alike)}.")
        )
    if wrong:
        found = f"predicted and later revenue per customer are in opposite order: {'; '.join(wrong)}."
        out.append(ABOUT.finding("serious", found))
    if small:
        out.append(
            ABOUT.finding("info", f"under {MIN_CUSTOMERS} customers, too few to judge: {', '.join(small)}.")
        )
    return out


def _same_revenue(a: dict, b: dict) -> bool:
    return bool(a["revenue_low"] <= b["revenue_high"] and b["revenue_low"] <= a["revenue_high"])


def _same_activity(a: dict, b: dict) -> bool:
    variance = sum(row["active"] * (1 - row["active"]) / max(row["customers"], 1) for row in (a, b))
    return bool(abs(a["active"] - b["active"]) <= Z * math.sqrt(variance))


def _wrong_order(a: dict, b: dict) -> bool:
    if _same_revenue(a, b):
        return False
    predicted = a["predicted_per_customer"] - b["predicted_per_customer"]
    return bool(predicted * (a["revenue_per_customer"] - b["revenue_per_customer"]) < 0)
