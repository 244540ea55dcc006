"""What the segments have earned, in words and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clvseg.report import words
from clvseg.report.parts import Cell, Table, rows
from clvseg.run import Run
from clvseg.segments.scorecard import EVERYONE, FAIL, UNKNOWN

# Measure -> heading of its column, and how its number is written.
_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "share of customers": ("Of customers", words.percent),
    "share of revenue so far": ("Of revenue", words.percent),
    "share of predicted revenue": ("Predicted", words.percent),
    "bootstrap Jaccard": ("Stable", "{:.2f}".format),
    "later revenue": ("Later revenue", "\u00d7{:.2f}".format),
    "later activity": ("Later orders", "{:.2f}".format),
    "what is known": ("Known", "{:.2f}".format),
    "fidelity of the rule": ("Rule", words.percent),
    "share reachable": ("Reached", words.percent),
}


def failures(run: Run, segment: str) -> list[str]:
    """What a segment falls short in.

    Parameters
    ----------
    run : Run
        What a fit made.
    segment : str
        Its name.
    """
    card = run.scorecard
    return card.loc[(card["segment"] == segment) & (card["status"] == FAIL), "measure"].tolist()


def earned_sentence(run: Run, segment: str) -> str:
    """Whether a segment has earned its name, in a sentence; empty where nothing was measured."""
    if run.scorecard.empty:
        return ""
    short = failures(run, segment)
    if short:
        return f"Flagged: falls short in {words.listed(short)}; see the scorecard."
    return "Passes the scorecard: large enough, stable, different and actionable."


def scorecard_table(run: Run) -> Table | None:
    """The scorecard, a line for each segment.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    card = run.scorecard
    if card.empty:
        return None
    mine = card[card["segment"] != EVERYONE]
    known = set(mine.loc[mine["status"] != UNKNOWN, "measure"])
    shown = {measure: column for measure, column in _COLUMNS.items() if measure in known}
    numbers = {name: str(place) for place, name in enumerate(run.segments["segment"], start=1)}
    lines = [
        (
            Cell(str(name), numbers.get(str(name), "")),
            *(_cell(found.set_index("measure").loc[measure], shown[measure][1]) for measure in shown),
            Cell("flagged" if (found["status"] == FAIL).any() else "passes"),
        )
        for name, found in mine.groupby("segment", sort=False)
    ]
    asked = mine.drop_duplicates("measure").set_index("measure")["least"]
    least = (Cell(write(asked[measure])) for measure, (_, write) in shown.items())
    lines.append((Cell("At least"), *least, Cell("")))
    headings = ("Segment", *(heading for heading, _ in shown.values()), "Verdict")
    title = "What each segment has earned"
    return Table("scorecard", title, headings, tuple(lines), marked=len(lines) - 1, note=_note(run))


def _cell(row: Any, write: Callable[[float], str]) -> Cell:
    text = "\u2013" if row["status"] == UNKNOWN else write(row["value"])
    return Cell(text, "too little" if row["status"] == FAIL else "")


def _note(run: Run) -> str:
    overall = run.scorecard[run.scorecard["segment"] == EVERYONE].set_index("measure")

    def found(measure: str) -> str:
        row = overall.loc[measure]
        if row["status"] == UNKNOWN:
            return f"not measured ({row['note']})"
        short = ", too little" if row["status"] == FAIL else ""
        return f"{row['value']:.2f} (at least {row['least']:g}{short})"

    joined = run.scorecard[run.scorecard["note"].str.startswith("joined by")]
    merges = [
        f" {words.quoted(row.segment)} was {row.note}, too small to stand alone." for row in rows(joined)
    ]
    reach = run.settings.segments.scorecard.reachable
    return (
        "Stable: Jaccard similarity with the same segment when customers are drawn anew. Later revenue per "
        "customer (ratio) and later orders (Cohen\u2019s h) are what the customers of the cutoff did "
        "afterwards, against the most alike other segment; one of the two must differ. Known: largest "
        "Cliff\u2019s delta in behaviour or attributes, against the most alike. Rule: fidelity of the short "
        "rule. All segments together: adjusted Rand index "
        f"{found('adjusted Rand between resamples')} when customers are drawn anew, "
        f"{found('adjusted Rand between seeds')} between seeds, "
        f"{found('adjusted Rand between dates')} between segments made at the cutoff and now; "
        f"they explain {found('share explained')} of the later revenue."
        + ("" if reach else " Who can be reached was not said.")
        + "".join(merges)
    )
