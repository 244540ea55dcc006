"""Who moved between segments from one date to the next, as a picture and a table."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Protocol

import pandas as pd

from clvseg import charts
from clvseg.report import words
from clvseg.report.parts import FULL_WIDTH, Cell, Figure, Section, Table, rows
from clvseg.run import Run
from clvseg.segments.mixed import UNSURE

MOST = 3


class Moves(Protocol):
    """What the report reads of :class:`clvseg.monitoring.Movement`."""

    @property
    def first(self) -> dt.date:
        """The earlier date."""

    @property
    def second(self) -> dt.date:
        """The later date."""

    @property
    def segments(self) -> list[str]:
        """Most valuable first."""

    @property
    def table(self) -> pd.DataFrame:
        """:data:`clvseg.frames.MOVEMENT`."""

    def matrix(self) -> pd.DataFrame:
        """Customers by segment at the first date and at the second."""


def moves_section(run: Run, moves: Moves) -> Section:
    """Say how many moved and which moves cost or brought most; the matrix has them all.

    Parameters
    ----------
    run : Run
        What a fit made.
    moves : Moves
        Between two dates of its history.
    """
    both, changed = _counted(moves)
    elsewhere = int(changed["customers"].sum())
    lead = (
        f"Between {words.day(moves.first)} and {words.day(moves.second)} {words.count(elsewhere)} of "
        f"{words.customers(int(both['customers'].sum()))} scored on both days changed their segment."
    )
    changed = changed.sort_values("value_before", ascending=False, kind="stable").head(MOST)
    points = (
        words.sentence(
            f"{words.customers(row.customers)} went from {words.quoted(row.from_segment)} to "
            f"{words.quoted(row.to_segment)}: their predicted revenue was "
            f"{words.money(row.value_before, run.facts['currency'])} and is now "
            f"{words.money(row.value_after, run.facts['currency'])}"
        )
        for row in rows(changed)
    )
    return Section("moves", "Moves between segments", lead, tuple(points), (), ("moves",), (_matrix(moves),))


def _counted(moves: Moves) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Moves of customers scored on both days, and those of them to another segment."""
    known = moves.table[["from_segment", "to_segment"]].isin(moves.segments).all(axis=1)
    both = moves.table[known]
    return both, both[both["from_segment"] != both["to_segment"]]


def _matrix(moves: Moves) -> Table:
    matrix = moves.matrix()
    numbers = {name: str(number) for number, name in enumerate(moves.segments, start=1)}
    lines = tuple(
        (Cell(str(name), numbers.get(str(name), "")), *(Cell(words.count(n) if n else "") for n in found))
        for name, found in zip(matrix.index, matrix.to_numpy().tolist(), strict=True)
    )
    headings = tuple(numbers.get(str(name), str(name).strip("()")) for name in matrix.columns)
    title = f"Customers by segment on {words.day(moves.first)} (rows) and {words.day(moves.second)} (columns)"
    return Table(
        "moves-table", title, ("Segment", *headings), lines, note="Columns are numbered as the rows."
    )


def moves_figure(moves: Moves) -> Figure:
    """The moves as bands.

    Parameters
    ----------
    moves : Moves
        Between two dates.
    """
    both, changed = _counted(moves)
    title = (
        f"{int(changed['customers'].sum()):,} of {int(both['customers'].sum()):,} customers changed segment"
    )
    note = "Bands are as thick as they have customers; the most valuable segments stand on top"
    ranked = [name for name in moves.segments if name != UNSURE]
    ends = (words.day(moves.first), words.day(moves.second))
    draw = partial(charts.sankey_chart, moves.table, ranked, title=title, note=note, ends=ends)
    told = [
        f"{row.customers} from {row.from_segment} to {row.to_segment}"
        for row in rows(changed.sort_values("customers", ascending=False, kind="stable").head(8))
    ]
    return Figure(draw, FULL_WIDTH, f"{title} between {ends[0]} and {ends[1]}. {'. '.join(told)}")
