"""What the segments have earned, in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from clvseg import charts
from clvseg.report import words
from clvseg.report.parts import FULL_WIDTH, HALF_WIDTH, Cell, Figure, Table, rows
from clvseg.run import Run
from clvseg.segments.rivals import OURS
from clvseg.segments.scorecard import DIFFERENCE, EVERYONE, FAIL, PLACED, UNKNOWN

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
    PLACED: ("Placed", words.percent),
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


def most_alike(run: Run, segment: str) -> list[str]:
    """Which other segments a segment that fails on difference is too much like.

    Parameters
    ----------
    run : Run
        What a fit made.
    segment : str
        Its name.
    """
    card = run.scorecard
    mine = (card["segment"] == segment) & (card["criterion"] == DIFFERENCE) & (card["status"] == FAIL)
    notes = card.loc[mine, "note"].str.removeprefix("against ").str.split(";").str[0]
    return list(dict.fromkeys(notes[notes != ""]))


def earned_sentence(run: Run, segment: str) -> str:
    """Whether a segment has earned its name, in a sentence; empty where nothing was measured."""
    if segment not in set(run.scorecard["segment"]):
        return ""
    short = failures(run, segment)
    if short:
        alike = most_alike(run, segment)
        told = f", too much like {words.listed([words.quoted(one) for one in alike])}" if alike else ""
        return f"Flagged: falls short in {words.listed(short)}{told}; see the scorecard."
    card = run.scorecard[run.scorecard["segment"] == segment]
    measured = set(card.loc[card["status"] != UNKNOWN, "criterion"])
    passed = [
        name.replace(DIFFERENCE, "different") for name in card["criterion"].unique() if name in measured
    ]
    doubt = "" if DIFFERENCE in measured else "; whether it differs could not be measured"
    return f"Passes the scorecard: {words.listed(passed)}{doubt}."


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
        + (_placed(overall.loc[PLACED]) if PLACED in overall.index else "")
        + ("" if reach else " Who can be reached was not said.")
        + "".join(merges)
    )


def _placed(row: Any) -> str:
    return (
        " Placed: a classifier gives customers of whom attributes are missing a segment; with as much hidden "
        "of the segment\u2019s own it is right of so many, and of all of them in "
        f"{words.percent(row['value'])}; {row['note']}."
    )


# Outcome -> name of its figure and heading.
_OUTCOMES = {
    "log later revenue": ("rivals_revenue", "Later revenue explained"),
    "later orders": ("", "Later orders explained"),
    "no later order": ("rivals_churn", "Who stayed away, explained"),
}
_LITTLE = 0.01


def rival_sentences(run: Run) -> Iterator[str]:
    """Which divisions explain most of what came later, and which explain next to nothing."""
    for outcome in ("log later revenue", "no later order"):
        found = run.rivals[run.rivals["outcome"] == outcome]
        if found.empty:
            continue
        ours = found[found["division"] == OURS].iloc[0]
        more = [row.division for row in rows(found) if row.difference_low > 0]
        less = [row.division for row in rows(found) if row.difference_high < 0]
        text = (
            f"The segments of the cutoff explain {words.percent(ours['explained'])} of the variance of "
            f"{outcome} ({words.percent(ours['low'])} to {words.percent(ours['high'])})"
        )
        text += f"; surely more: {words.listed(more)}" if more else "; nothing explains surely more"
        text += f"; surely less: {words.listed(less)}" if less else ""
        yield words.sentence(text)
    cut = run.rivals[(run.rivals["outcome"] == "log later revenue") & (run.rivals["high"] < _LITTLE)]
    if len(cut):
        verb = "is the wrong cut" if len(cut) == 1 else "are wrong cuts"
        names = words.listed(cut["division"].tolist())
        yield words.sentence(f"{names} {verb}: surely under {words.percent(_LITTLE)} of later revenue")


def rivals_table(run: Run) -> Table:
    """Every division of the customers and what it explains of what came later."""
    outcomes = list(_OUTCOMES)
    by = run.rivals.set_index(["division", "outcome"])
    order = run.rivals.loc[run.rivals["outcome"] == outcomes[0], "division"].tolist()

    def cell(division: str, outcome: str) -> Cell:
        row: Any = by.loc[(division, outcome)]
        extra = f"{words.percent(row['low'])} to {words.percent(row['high'])}"
        return Cell(words.percent(row["explained"]), extra)

    groups = run.rivals.drop_duplicates("division").set_index("division")["groups"].to_dict()
    lines = tuple(
        (Cell(name), Cell(words.count(groups[name])), *(cell(name, outcome) for outcome in outcomes))
        for name in order
    )
    headings = ("Customers divided by", "Groups", *(heading for _, heading in _OUTCOMES.values()))
    note = (
        "Divisions as of the cutoff, outcomes of the period after it: share of the variance between the "
        "groups (epsilon squared, adjusted for their number), with 95 % bootstrap intervals. Revenue is on "
        "the log scale."
    )
    marked = order.index(OURS) if OURS in order else None
    title = "Which division tells apart what customers did later"
    return Table("rivals", title, headings, lines, marked=marked, note=note)


def standing_figures(run: Run) -> dict[str, Figure]:
    """Profiles and maps of the segments, and the rivals.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    return {**_rival_figures(run), **_map_figures(run), "profiles": _profile_figure(run)}


def _rival_figures(run: Run) -> dict[str, Figure]:
    out = {}
    for outcome, (name, heading) in _OUTCOMES.items():
        found = run.rivals[run.rivals["outcome"] == outcome]
        if not name or found.empty:
            continue
        frame = pd.DataFrame(
            {
                "label": found["division"],
                "metric": found["explained"],
                "low": found["low"],
                "high": found["high"],
                "ours": found["division"] == OURS,
                "text": [words.percent(value) for value in found["explained"]],
            }
        )
        frame["detail"] = [
            f"{row.label}: {row.text}, {words.percent(row.low)} to {words.percent(row.high)}"
            for row in rows(frame)
        ]
        note = f"Share of the variance, with its 95{words.NBSP}% interval; ours in blue"
        draw = partial(charts.leaderboard_chart, frame, title=heading, note=note, zero=True)
        out[name] = Figure(draw, HALF_WIDTH, f"{heading}. " + ". ".join(frame["detail"]))
    return out


_MAPS = {
    "pca": ("Customers by principal components", "Near is alike; the two directions of largest variance"),
    "tsne": ("Customers by t-SNE", "Near is alike; distances between groups mean little"),
}


def _map_figures(run: Run) -> dict[str, Figure]:
    if run.maps.empty:
        return {}
    frame = run.maps.iloc[run.maps["segment"].map(_places(run)).argsort(kind="stable")]
    currency = run.facts["currency"]
    detail = [
        f"{row.segment}: {words.money(row.predicted_value, currency)}, {words.percent(row.churn_probability)}"
        for row in rows(frame)
    ]
    out = {}
    for kind, (title, note) in _MAPS.items():
        drawn = frame[[f"{kind}_1", f"{kind}_2", "segment"]].set_axis(["across", "up", "segment"], axis=1)
        label = f"{title}: {len(frame)} of {words.customers(run.facts['customers'])}, coloured by segment"
        draw = partial(charts.customer_map, drawn.round(3).assign(detail=detail), title=title, note=note)
        out[f"map_{kind}"] = Figure(draw, HALF_WIDTH, label)
    return out


# Columns of the scores that make a profile, in words.
_PROFILE = {
    "since_last": "days silent",
    "frequency": "repeat orders",
    "past_revenue": "revenue so far",
    "T": "days known",
    "predicted_value": "predicted value",
    "churn_probability": "risk",
}


def _places(run: Run) -> dict[str, int]:
    return {name: number for number, name in enumerate(run.segments["segment"])}


def _profile_figure(run: Run) -> Figure:
    """Mean rank of each segment's customers among all, measure by measure."""
    scores = run.scores_kept[["segment", *_PROFILE]]
    parts = []
    for column, measure in _PROFILE.items():
        rank = (scores[column].rank() - 0.5) / len(scores)
        by = pd.DataFrame({"rank": rank, "value": scores[column]}).groupby(scores["segment"])
        found = pd.DataFrame({"rank": by["rank"].mean(), "typical": by["value"].median()})
        parts.append(found.reindex(run.segments["segment"]).assign(measure=measure).reset_index())
    frame = pd.concat(parts, ignore_index=True)
    frame["detail"] = [
        f"{row.segment}, {row.measure}: {words.percent(row.rank)} have less, "
        f"median {words.plain(row.typical)}"
        for row in rows(frame)
    ]
    frame = frame.iloc[frame["segment"].map(_places(run)).argsort(kind="stable")]
    draw = partial(charts.profile_chart, frame[["segment", "measure", "rank", "detail"]])
    return Figure(draw, FULL_WIDTH, "Profiles of the segments. " + ". ".join(frame["detail"]))
