"""From a Run to everything its report says, as plain text and numbers; nothing here knows HTML."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from clvseg.report import contract, words
from clvseg.report.accuracy import accuracy_section, later_sentence
from clvseg.report.background import data_section, forecast_section, history_section, making_section
from clvseg.report.explanations import why_section
from clvseg.report.moves import Moves, moves_section
from clvseg.report.parts import Card, Cell, Content, Drivers, Note, Table, Tile, event, rows, unit
from clvseg.report.standing import earned_sentence, scorecard_table
from clvseg.report.terms import glossary
from clvseg.run import Run

# No better than a naive row: said at the top whatever its severity.
LOUD = "CLV006"
SEVERITIES = ("serious", "warning", "info")


def build(run: Run, moves: Moves | None = None) -> Content:
    """Everything the report says.

    Parameters
    ----------
    run : Run
        What a fit made.
    moves : Moves, optional
        Between the last two dates of its history.

    Returns
    -------
    Content
        Texts and tables in the order of the page.
    """
    notes = _notes(run.findings)
    currency = run.facts["currency"]
    moved = None if moves is None else moves_section(run, moves)
    if run.contractual:
        return Content(
            moves=moved,
            title="Customers under contract: risk and value",
            subtitle=f"{run.settings.name}, as of {words.day(run.as_of)}",
            unit_note=f"Amounts in {currency}." if currency else "",
            alarms=tuple(note for note in notes if note.severity == "serious"),
            drivers=tuple(_drivers(run)),
            why=why_section(run),
            segments=_segment_table(run),
            findings=notes,
            footer=f"clvseg {run.facts['version']}, data {str(run.facts['data_hash'])[:12]}",
            **_contractual(run),
        )
    accuracy = accuracy_section(run)
    return Content(
        moves=moved,
        title="Customer value and risk",
        subtitle=f"{run.settings.name}, as of {words.day(run.as_of)}",
        unit_note=f"Amounts in {currency}." if currency else "Amounts are in the data's currency.",
        alarms=tuple(note for note in notes if note.severity == "serious" or note.code == LOUD),
        tiles=_tiles(run),
        takeaways=tuple(_takeaways(run)),
        segments=_segment_table(run),
        cards=tuple(_card(run, number, row) for number, row in _numbered(run.segments)),
        segment_numbers=_segment_numbers(run),
        scorecard=scorecard_table(run),
        drivers=tuple(_drivers(run)),
        why=why_section(run),
        accuracy=accuracy,
        history=history_section(run),
        forecast=forecast_section(run),
        making=making_section(run),
        findings=notes,
        terms=glossary(run),
        data=data_section(run),
        footer=f"clvseg {run.facts['version']}, data {str(run.facts['data_hash'])[:12]}",
    )


def _contractual(run: Run) -> dict[str, Any]:
    """The parts of the page that a contractual run words for itself."""
    return {
        "tiles": contract.tiles(run),
        "takeaways": tuple(contract.takeaways(run)),
        "cards": tuple(contract.card(run, number, row) for number, row in _numbered(run.segments)),
        "segment_numbers": contract.segment_numbers(run),
        "accuracy": contract.accuracy(run),
        "history": contract.staying(run),
        "making": contract.making(run),
        "terms": contract.glossary(run),
        "data": replace(data_section(run), lead=contract.data_lead(run)),
    }


def ahead(run: Run) -> str:
    """The horizon in words: "the next 39 weeks"."""
    return f"the next {words.duration(run.settings.horizon)}"


def horizon_end(run: Run) -> str:
    """Last day of the horizon, in words."""
    return words.day(run.as_of + dt.timedelta(days=int(run.facts["horizon_days"])))


def _numbered(segments: pd.DataFrame) -> Iterator[tuple[int, Any]]:
    return enumerate(rows(segments), start=1)


def _notes(findings: pd.DataFrame) -> tuple[Note, ...]:
    """The findings, serious ones first, otherwise in the order of their codes."""
    notes = [
        Note(row.code, row.severity, row.title, words.sentence(row.found), words.sentence(row.advice))
        for row in rows(findings)
    ]
    return tuple(sorted(notes, key=lambda note: (SEVERITIES.index(note.severity), note.code)))


def _tiles(run: Run) -> tuple[Tile, ...]:
    facts, currency = run.facts, run.facts["currency"]
    total = facts["total"]
    at_risk = float(run.segments["value_at_risk"].sum())
    gone = float(facts["expected_churners"])
    interval = (
        f"{words.percent(total['level'])} interval: {words.money(total['low'], currency)}"
        f" to {words.money(total['high'], currency)}"
    )
    share = words.percent(at_risk / total["predicted"]) if total["predicted"] > 0 else "no part"
    return (
        Tile(
            "Customers",
            words.count(facts["customers"]),
            f"who ordered from {words.day(facts['first_day'])} to {words.day(facts['as_of'])}",
        ),
        Tile("Predicted revenue", words.money(total["predicted"], currency), f"in {ahead(run)}; {interval}"),
        Tile(
            "Value at risk",
            words.money(at_risk, currency),
            f"{share} of the predicted revenue: each customer's value times the probability of no order",
        ),
        Tile(
            "Expected not to order",
            words.count(gone),
            f"{words.percent(gone / facts['customers'])} of customers, until {horizon_end(run)}",
        ),
    )


def _takeaways(run: Run) -> Iterator[str]:
    """Two or three sentences a busy reader should leave with."""
    table = run.segments
    currency = run.facts["currency"]
    ranked = table.sort_values("share_predicted_value", ascending=False, kind="stable")
    needed = int((ranked["share_predicted_value"].cumsum() < 0.5).sum()) + 1
    core = ranked.head(needed)
    if needed <= 3:
        names = words.listed([words.quoted(name) for name in core["segment"]])
        yield (
            f"{names} {'makes' if needed == 1 else 'make'} up "
            f"{words.percent(core['share_customers'].sum())} of customers and "
            f"{words.percent(core['share_predicted_value'].sum())} of the predicted revenue."
        )
    worst = table.iloc[int(table["value_at_risk"].to_numpy().argmax())]
    if worst["value_at_risk"] > 0:
        yield (
            f"The most money to protect is in {words.quoted(worst['segment'])}: "
            f"{words.money(worst['value_at_risk'], currency)} at risk, "
            f"{words.percent(worst['churn_probability'])} of them expected not to order. "
            f"What to do: {words.sentence(worst['action'])}"
        )


def _segment_table(run: Run) -> Table:
    names = ("share_customers", "share_predicted_value", "value_at_risk")
    top = {name: float(run.segments[name].max()) for name in names}
    columns = (
        "Segment",
        "Customers",
        f"Predicted revenue, {unit(run)}",
        f"Probability of {event(run)}",
        f"Value at risk, {unit(run)}",
        "What to do",
    )
    return Table(
        "segments-table",
        f"Segments, most valuable customers first; predictions for {ahead(run)}",
        columns,
        tuple(_segment_line(number, row, top) for number, row in _numbered(run.segments)),
    )


def _segment_line(number: int, row: Any, top: dict[str, float]) -> tuple[Cell, ...]:
    """One row of the segment table; bars are shares of the longest, of probabilities of 1."""

    def bar(name: str) -> float:
        return max(0.0, getattr(row, name)) / top[name] if top[name] > 0 else 0.0

    customers, revenue = words.count(row.customers), words.amount(row.predicted_value)
    return (
        Cell(row.segment, str(number)),
        Cell(customers, words.percent(row.share_customers), bar("share_customers"), "grey"),
        Cell(revenue, words.percent(row.share_predicted_value), bar("share_predicted_value")),
        Cell(words.percent(row.churn_probability), "", row.churn_probability, "orange"),
        Cell(words.amount(row.value_at_risk), "", bar("value_at_risk"), "orange"),
        Cell(words.sentence(row.action)),
    )


def _card(run: Run, number: int, row: Any) -> Card:
    currency = run.facts["currency"]
    why = tuple(words.sentence(part) for part in row.reasons.split(";") if part.strip())
    stats = (
        Tile("Customers", words.count(row.customers), words.percent(row.share_customers) + " of all"),
        Tile(
            "Predicted revenue",
            words.money(row.predicted_value, currency),
            f"{words.money(row.value_per_customer, currency)} each; "
            f"{words.percent(row.share_predicted_value)} of all",
        ),
        Tile(
            "No order expected",
            words.percent(row.churn_probability),
            words.customers(row.expected_churners),
        ),
        Tile("Value at risk", words.money(row.value_at_risk, currency), ""),
    )
    return Card(
        number=number,
        key=f"segment-{number}",
        name=row.segment,
        rule=row.rule,
        who=words.sentence(row.who),
        why=why,
        action=words.sentence(row.action),
        sure=later_sentence(run, row.segment),
        stats=stats,
        owner=row.owner,
        short=_short_rule(run, row.segment),
        earned=earned_sentence(run, row.segment),
    )


def _short_rule(run: Run, segment: str) -> str:
    """A rule to pick the segment by, and how well it does; empty where none was learned."""
    found = run.rules[run.rules["segment"] == segment]
    return "".join(
        f"{words.sentence(row.rule)} Finds {words.percent(row.recall)} of the segment; "
        f"{words.percent(row.precision)} of those it finds are in it."
        for row in rows(found)
    )


def _segment_numbers(run: Run) -> Table:
    """Past, predicted and lifetime numbers of each segment."""
    lifetime = run.scores_kept[["segment", "lifetime_value"]].groupby("segment")["lifetime_value"].mean()
    lines = tuple(
        (
            Cell(row.segment, extra=str(number)),
            Cell(words.amount(row.past_revenue)),
            Cell(words.percent(row.share_past_revenue)),
            Cell(words.amount(row.value_per_customer)),
            Cell(words.amount(float(lifetime.get(row.segment, 0.0)))),
            Cell(words.plain(row.median_since_last)),
            Cell(words.plain(row.median_frequency)),
        )
        for number, row in _numbered(run.segments)
    )
    value = run.settings.value
    columns = (
        "Segment",
        f"Revenue so far, {unit(run)}",
        "Share of it",
        f"Predicted revenue per customer, {unit(run)}",
        f"Lifetime value per customer, {unit(run)}",
        "Days since last order, median",
        "Repeat order days, median",
    )
    note = (
        f"Lifetime value: {words.duration(value.lifetime)} ahead, {words.percent(value.margin)} margin, "
        f"discounted at {words.percent(value.discount_rate)} a year."
    )
    return Table("segment-numbers", "The segments in numbers", columns, lines, note=note)


def _drivers(run: Run) -> Iterator[Drivers]:
    headings = {"churn": ("What drives risk", "risk"), "value": ("What drives value", "predicted value")}
    for target, (heading, noun) in headings.items():
        mine = run.drivers[run.drivers["target"] == target]
        if mine.empty or mine["importance"].sum() <= 0:
            continue
        mine = mine.sort_values("importance", ascending=False, kind="stable").head(3)
        sentences = tuple(driver_sentence(row.label, row.direction, noun) for row in rows(mine))
        yield Drivers(heading, f"drivers_{target}", sentences)


def driver_sentence(label: str, direction: float, noun: str) -> str:
    """What one driver does, in words.

    Examples
    --------
    >>> driver_sentence("days since the last order", 1, "risk")
    'Days since the last order: the higher, the higher the risk.'
    """
    effect = {1: f"the higher, the higher the {noun}", -1: f"the higher, the lower the {noun}"}.get(
        int(direction), f"moves the {noun} both ways"
    )
    return words.sentence(f"{label}: {effect}")
