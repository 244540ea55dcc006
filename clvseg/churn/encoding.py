"""Columns of a customers' table as numbers: one way for boosting, one for a straight line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MAX_LEVELS = 30
MIN_LEVEL = 5
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_MISSING, _OTHER = "(missing)", "(other)"


@dataclass(frozen=True)
class Encoding:
    """Learned from training rows: levels of the texts, scale and knots of the numbers.

    A text becomes one column per level with at least five customers, at most thirty; others and levels
    never seen share one. A number stays one for boosting, with its gaps; for the line its gaps are
    filled by the median and marked, and it bends at five quantiles.

    Attributes
    ----------
    levels : dict of str to list of str
        Of each text column.
    numbers : dict of str to list of float
        Of each number: median, mean, standard deviation, then knots (on the column's own scale).
    """

    levels: dict[str, list[str]]
    numbers: dict[str, list[float]]

    @classmethod
    def fit(cls, columns: pd.DataFrame) -> Self:
        """Learn from training rows; columns with one value are left out."""
        levels, numbers = {}, {}
        for name in columns.columns:
            values = columns[name]
            if values.dtype == object:
                counts = values.fillna(_MISSING).value_counts()
                common = counts[counts >= MIN_LEVEL].index[:MAX_LEVELS]
                if len(counts) > 1 and len(common):
                    levels[str(name)] = sorted(common)
            elif values.notna().any() and len(values.unique()) > 1:
                given = values.dropna().to_numpy(dtype=np.float64)
                knots = sorted(set(np.quantile(given, _KNOTS).tolist())) if len(np.unique(given)) > 5 else []
                spread = float(given.std()) or 1.0
                numbers[str(name)] = [float(np.median(given)), float(given.mean()), spread, *knots]
        return cls(levels, numbers)

    @property
    def columns(self) -> list[str]:
        """The user's columns that are read."""
        return [*self.numbers, *self.levels]

    def _texts(self, columns: pd.DataFrame) -> list[FloatArray]:
        out = []
        for name, levels in self.levels.items():
            values = (
                columns[name].astype(object).where(columns[name].notna(), _MISSING).astype(str).to_numpy()
            )
            places = pd.Index(levels).get_indexer(pd.Index(values))
            hot = np.zeros((len(values), len(levels) + 1))
            hot[np.arange(len(values)), np.where(places < 0, len(levels), places)] = 1.0
            out.append(hot)
        return out

    def for_trees(self, columns: pd.DataFrame) -> FloatArray:
        """Numbers with gaps, then one column a level, shape (rows, features)."""
        numbers = columns[list(self.numbers)].to_numpy(dtype=np.float64)
        return np.hstack([numbers, *self._texts(columns)])

    def tree_owner(self) -> list[str]:
        """The user's column behind each feature of :meth:`for_trees`."""
        return [*self.numbers, *(name for name, found in self.levels.items() for _ in range(len(found) + 1))]

    def for_line(self, columns: pd.DataFrame) -> FloatArray:
        """Scaled numbers, their bends and gaps, then one column a level, shape (rows, features)."""
        out = []
        for name, (median, mean, spread, *knots) in self.numbers.items():
            values = columns[name].to_numpy(dtype=np.float64)
            gap = np.isnan(values)
            values = np.where(gap, median, values)
            bends = [np.maximum(values - knot, 0) / spread for knot in knots]
            out.append(np.column_stack([(values - mean) / spread, *bends, gap.astype(np.float64)]))
        return np.hstack([*out, *self._texts(columns)])

    def line_owner(self) -> list[str]:
        """The user's column behind each feature of :meth:`for_line`."""
        numbers = [name for name, numbers in self.numbers.items() for _ in range(len(numbers) - 1)]
        return [*numbers, *(name for name, found in self.levels.items() for _ in range(len(found) + 1))]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; pairs, whose order is that of the features."""
        return {"levels": list(self.levels.items()), "numbers": list(self.numbers.items())}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from :meth:`to_dict`."""
        return cls(dict(state["levels"]), dict(state["numbers"]))
