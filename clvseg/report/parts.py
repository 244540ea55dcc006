"""The plain pieces a report is made of: strings and numbers, ready to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clvseg.charts import Picture
from clvseg.run import Run

HALF_WIDTH, FULL_WIDTH = 460, 950


@dataclass(frozen=True, slots=True)
class Figure:
    """How to draw one chart at a width, its usual width, and what it shows in words."""

    draw: Callable[..., Picture]
    width: int
    label: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline: what it is, the number, and a line that puts it in place."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: text, a quieter second text, and a bar of the given length (0..1) where wanted."""

    text: str
    extra: str = ""
    bar: float | None = None
    tone: str = "blue"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its caption, column names, which of them hold words, rows, and which row stands out."""

    key: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    marked: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A finding in words."""

    code: str
    severity: str
    title: str
    found: str
    advice: str


@dataclass(frozen=True, slots=True)
class Card:
    """One segment: who, why, what to do, who does it, how many, how sure; `short` is a rule to pick it by."""

    number: int
    key: str
    name: str
    rule: str
    who: str
    why: tuple[str, ...]
    action: str
    sure: str
    stats: tuple[Tile, ...]
    owner: str = ""
    short: str = ""
    earned: str = ""


@dataclass(frozen=True, slots=True)
class Drivers:
    """What one model's predictions rest on: a heading, the figure's name, and the strongest in words."""

    heading: str
    figure: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that is text, headlines, figures and tables.

    Attributes
    ----------
    key, title : str
        Anchor and heading.
    lead : str
        What to take from it.
    points, tiles, figures, tables : tuple
        Sentences, headlines, names of figures, tables; each may be empty.
    """

    key: str
    title: str
    lead: str
    points: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """Everything the page says, in order of the page."""

    title: str
    subtitle: str
    unit_note: str
    alarms: tuple[Note, ...]
    tiles: tuple[Tile, ...]
    takeaways: tuple[str, ...]
    segments: Table
    cards: tuple[Card, ...]
    segment_numbers: Table
    drivers: tuple[Drivers, ...]
    why: Section | None
    accuracy: Section
    history: Section
    making: Section
    findings: tuple[Note, ...]
    terms: tuple[tuple[str, str], ...]
    data: Section
    footer: str
    scorecard: Table | None = None
    forecast: Section | None = None
    moves: Section | None = None

    @property
    def figures(self) -> frozenset[str]:
        """Names of the figures the page shows."""
        sections = (self.moves, self.why, self.accuracy, self.forecast, self.history, self.making)
        shown = [name for section in sections if section for name in section.figures]
        return frozenset({"value_risk_map", *shown, *(driver.figure for driver in self.drivers)})


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a frame, one object each, columns as attributes.

    Parameters
    ----------
    frame : DataFrame
        Any frame whose columns have names that Python allows.
    """
    return iter(frame.itertuples())


def event(run: Run) -> str:
    """What the risk is the risk of, in words."""
    return "leaving" if run.contractual else "no order"


def unit(run: Run) -> str:
    """What money is counted in, for the heading of a column or an axis."""
    return run.facts["currency"] or "data's currency"
