"""CLV020: segments that fail a criterion of the scorecard."""

from __future__ import annotations

import pandas as pd

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV020",
    "Segments that have not earned their name",
    "A segment is worth acting on when it is large enough, comes out again when customers are drawn anew, "
    "differs from every other segment before and afterwards, and can be reached with a rule, an action and "
    "an owner. Each is measured; what is named here falls short of what [segments.scorecard] asks for.",
    "Do not plan for the segments named alone: give them the name of the neighbour they are compared with in "
    "[segments.table], raise min_share, or ask for fewer clusters. They are not joined by themselves: what "
    "came later is what the segments are judged on, so it may not also make them.",
)


def check_scorecard(scorecard: pd.DataFrame) -> list[Finding]:
    """Name every segment that fails, in what and by how much.

    Parameters
    ----------
    scorecard : DataFrame
        :data:`clvseg.frames.SCORECARD`.

    Returns
    -------
    list of Finding
        At most one.
    """
    failed = scorecard[scorecard["status"] == "fail"]
    parts = [
        f"{row['segment']}: {row['measure']} {row['value']:.2g}"
        + (f" {row['note']}" if row["note"].startswith("against ") else "")
        + f" (at least {row['least']:g} is asked for)"
        for row in failed.to_dict("records")
    ]
    return [ABOUT.finding("warning", "; ".join(parts) + ".")] if parts else []
