"""From cells to segments: merge what is too small, split what is too large, remember every step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.segments.table import CELLS, NAME_OF, Cell, distance
from clvseg.segments.words import number

FEWEST, MOST = 5, 10
LARGEST_SHARE = 0.5
# How the means of neighbouring parts must differ for a split to say something.
_SMALLEST_GAP = 0.05


@dataclass(frozen=True, slots=True)
class Merge:
    """A segment that was joined to another: names, number of customers (int) and the reason in words."""

    segment: str
    into: str
    customers: int
    why: str


@dataclass(frozen=True, slots=True)
class Split:
    """How one segment is divided: by which column, at which values (increasing; parts = cuts + 1)."""

    feature: str
    cuts: tuple[float, ...]

    def part(self, frame: pd.DataFrame) -> NDArray[np.intp]:
        """Number of the part of each customer, 0 for the lowest."""
        return np.searchsorted(self.cuts, frame[self.feature].to_numpy(dtype=np.float64), side="right")

    @property
    def labels(self) -> list[str]:
        """Words for the parts, lowest first.

        Examples
        --------
        >>> Split("predicted_value", (5.0, 9.0)).labels
        ['lower value', 'middle value', 'higher value']
        """
        noun, low, high = _ADJECTIVES[self.feature]
        return [f"{word} {noun}" for word in _scale(len(self.cuts) + 1, low, high)]

    @property
    def rules(self) -> list[str]:
        """The parts' rules in words, lowest first.

        Examples
        --------
        >>> Split("predicted_value", (5.0, 9.0)).rules
        ['predicted value under 5', 'predicted value from 5 to under 9', 'predicted value of 9 or more']
        """
        name = _COLUMN_WORDS[self.feature]
        cuts = [number(cut) for cut in self.cuts]
        middle = [f"{name} from {low} to under {high}" for low, high in pairwise(cuts)]
        return [f"{name} under {cuts[0]}", *middle, f"{name} of {cuts[-1]} or more"]


_COLUMN_WORDS = {
    "predicted_value": "predicted value",
    "since_last": "days since the last order",
    "past_revenue": "revenue so far",
    "T": "days since the first order",
    "churn_probability": "churn probability",
}
_ADJECTIVES = {
    "predicted_value": ("value", ("lower", "lowest"), ("higher", "highest")),
    "since_last": ("silence", ("shorter", "shortest"), ("longer", "longest")),
    "past_revenue": ("spend", ("lower", "lowest"), ("higher", "highest")),
    "T": ("tenure", ("shorter", "shortest"), ("longer", "longest")),
    "churn_probability": ("risk", ("lower", "lowest"), ("higher", "highest")),
}


def _scale(parts: int, low: tuple[str, str], high: tuple[str, str]) -> list[str]:
    """Words for 2 to 5 levels, lowest first."""
    if parts <= 3:
        return [low[0], *["middle"] * (parts - 2), high[0]]
    return [low[1], low[0], *["middle"] * (parts - 4), high[0], high[1]]


def smallest_size(customers: int, min_share: float) -> int:
    """Return the fewest customers a segment may have: `min_share`, and ten where there are 200 or more.

    Examples
    --------
    >>> smallest_size(23570, 0.01), smallest_size(300, 0.01), smallest_size(100, 0.01)
    (236, 10, 5)
    """
    return max(1, ceil(min_share * customers - 1e-9), min(10, customers // 20))


def merge_cells(
    sizes: dict[Cell, int], smallest: int, table: dict[Cell, str] = NAME_OF
) -> tuple[dict[Cell, str], list[Merge]]:
    """Name every cell so that no segment is smaller than `smallest` and there are at most ten.

    Cells with one name in the table are one segment. While a segment is too small, or there are more than
    ten, the smallest joins the segment nearest to it: the mean over its customers of the distance
    (:func:`clvseg.segments.table.distance`) to the nearest cell that the table itself gives to the other;
    among equals the larger. A cell nobody is in keeps its name where that segment stands, else takes that of
    the nearest occupied cell.

    Parameters
    ----------
    sizes : dict of cell to int
        Number of customers; cells without any may be missing.
    smallest : int
        Customers.
    table : dict of cell to str
        What the cells are called.

    Returns
    -------
    names : dict of cell to str
        All 36 cells.
    merges : list of Merge
        In the order in which they were made.
    """
    sizes = {cell: sizes[cell] for cell in CELLS if sizes.get(cell, 0) > 0}
    names = {cell: table[cell] for cell in sizes}
    merges: list[Merge] = []
    while True:
        totals = _totals(names, sizes)
        least = min(totals, key=lambda name: totals[name])
        small = totals[least] < smallest
        if len(totals) == 1 or not (small or len(totals) > MOST):
            break
        into = _nearest_segment(least, names, sizes, totals, table)
        why = f"fewer than {smallest} customers" if small else f"more than {MOST} segments"
        merges.append(Merge(least, into, totals[least], why))
        names = {cell: into if name == least else name for cell, name in names.items()}
    standing = set(names.values())
    for cell in CELLS:
        if cell not in sizes:
            near = min(sizes, key=lambda other: (distance(cell, other), CELLS.index(other)))
            names[cell] = table[cell] if table[cell] in standing else names[near]
    return names, merges


def _totals(names: dict[Cell, str], sizes: dict[Cell, int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for cell, size in sizes.items():
        totals[names[cell]] = totals.get(names[cell], 0) + size
    return totals


def _nearest_segment(
    least: str,
    names: dict[Cell, str],
    sizes: dict[Cell, int],
    totals: dict[str, int],
    table: dict[Cell, str],
) -> str:
    """Name of the segment nearest to the segment `least`."""
    own = [cell for cell in sizes if names[cell] == least]

    def apart(other: str) -> int:
        cells = [cell for cell in sizes if table[cell] == other]
        return sum(sizes[cell] * min(distance(cell, near) for near in cells) for cell in own)

    return min((name for name in totals if name != least), key=lambda name: (apart(name), -totals[name]))


def split_segments(base: NDArray[np.object_], frame: pd.DataFrame, smallest: int) -> dict[str, Split]:
    """Divide the largest segments while there are fewer than five, or one holds over half of the customers.

    A segment is divided into equally large parts by predicted value; where that does not vary, by days since
    the last order, revenue so far, days since the first order or churn probability. Every part holds at least
    `smallest` customers and neighbouring parts' means differ by at least 5 %; where that cannot be, the next
    largest is divided, and there may be fewer than five segments when the customers cannot be told apart.

    Parameters
    ----------
    base : ndarray of str, shape (customers,)
        Segment of each customer before splitting.
    frame : DataFrame
        Columns ``predicted_value``, ``since_last``, ``past_revenue``, ``T``, ``churn_probability``.
    smallest : int
        Customers.

    Returns
    -------
    dict of str to Split
        Empty when nothing needs to be split.
    """
    names, counts = np.unique(base.astype(str), return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    parts = dict.fromkeys(sizes, 1)
    splits: dict[str, Split] = {}
    while sum(parts.values()) < MOST:
        wanted = sorted(sizes, key=lambda name: (-sizes[name] / parts[name], name))
        if sum(parts.values()) >= FEWEST:
            wanted = [name for name in wanted if sizes[name] / parts[name] > LARGEST_SHARE * len(base)]
        for name in wanted:
            split = _split(frame[base == name], parts[name] + 1, smallest)
            if split is not None:
                splits[name], parts[name] = split, parts[name] + 1
                break
        else:
            break
    return splits


def _split(frame: pd.DataFrame, parts: int, smallest: int) -> Split | None:
    """Divide customers into `parts` by the first column that allows it."""
    if parts > FEWEST:
        return None
    for feature in _COLUMN_WORDS:
        cuts = _cuts(frame[feature].to_numpy(dtype=np.float64), parts, smallest)
        if cuts is not None:
            return Split(feature, cuts)
    return None


def _cuts(values: NDArray[np.float64], parts: int, smallest: int) -> tuple[float, ...] | None:
    """Cut values into nearly equal parts between distinct values; None where that cannot be."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < parts:
        return None
    below = np.cumsum(counts)[:-1]
    places = [int(np.abs(below - len(values) * i / parts).argmin()) for i in range(1, parts)]
    if len(set(places)) < parts - 1:
        return None
    cuts = tuple(float(distinct[place + 1]) for place in places)
    groups = np.searchsorted(cuts, values, side="right")
    size = np.bincount(groups, minlength=parts)
    if size.min() < smallest:
        return None
    means = np.bincount(groups, weights=values, minlength=parts) / size
    return cuts if (np.diff(means) >= _SMALLEST_GAP * np.abs(means[1:])).all() else None
