"""Customer attributes as numbers: learned once, saved with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from ..errors import DataError, MissingColumnsError
from .equations.types import Array

# Levels of fewer customers share one effect.
MIN_CUSTOMERS = 20
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True, slots=True)
class Attribute:
    """How one column becomes numbers.

    Attributes
    ----------
    name : str
        Column.
    levels : tuple of str
        Levels with an effect of their own; empty for numbers. ``(other)`` holds the rare ones, ``(missing)``
        the missing ones.
    rare : tuple of str
        Levels that are ``(other)``.
    reference : str
        Level without effect, the most frequent one; "" for numbers.
    mean, scale, low, high : float
        Of numbers: centre, standard deviation, and the range seen. 0, 1, 0, 0 for levels.
    """

    name: str
    levels: tuple[str, ...]
    rare: tuple[str, ...]
    reference: str
    mean: float
    scale: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Encoding:
    """Columns of a frame as a matrix.

    Numbers are centred (a missing one counts as the mean, with an effect of its own where the fit has seen
    missing ones) and kept within the range seen in the fit. Everything else is a category: each level has an
    effect against the most frequent one; levels of fewer than 20 customers are one level, "(other)", and
    missing values another, "(missing)". A level not seen in the fit counts as "(other)" where there is one,
    else as the most frequent. A column with one value has no effect.

    Attributes
    ----------
    attributes : tuple of Attribute
        In the order of the columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [20.0, 40.0] * 20, "shop": ["a"] * 25 + ["b"] * 15})
    >>> Encoding.fit(frame, ["age", "shop"]).names
    ('age', 'shop=(other)')
    """

    attributes: tuple[Attribute, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: Sequence[str]) -> Self:
        """Learn levels, means and scales.

        Raises
        ------
        MissingColumnsError
            When the frame lacks a column.
        DataError
            When a column holds dates or infinite numbers.
        """
        require(frame, columns)
        return cls(tuple(_learn(frame[name], name) for name in columns))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the matrix: "age", "age=(missing)", "shop=b"."""
        return tuple(name for attribute in self.attributes for name in _names(attribute))

    @property
    def owners(self) -> tuple[str, ...]:
        """The attribute that each column of the matrix belongs to."""
        return tuple(attribute.name for attribute in self.attributes for _ in _names(attribute))

    @property
    def scales(self) -> Array:
        """Standard deviation of each number, 1 for each level; shape (p,)."""
        scales = [
            1.0 if "=" in name[len(attribute.name) :] else attribute.scale
            for attribute in self.attributes
            for name in _names(attribute)
        ]
        return np.array(scales, dtype=float)

    def transform(self, frame: pd.DataFrame) -> Array:
        """Matrix of shape (n, p), finite, in the columns' own units.

        Raises
        ------
        MissingColumnsError, DataError
            As :meth:`fit`.
        """
        require(frame, [attribute.name for attribute in self.attributes])
        parts = [_encode(frame[attribute.name], attribute) for attribute in self.attributes]
        return np.hstack([np.empty((len(frame), 0)), *parts])

    def notes(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """What of the frame the fit had not seen, and what it counts as, in sentences."""
        require(frame, [attribute.name for attribute in self.attributes])
        return tuple(
            note for attribute in self.attributes for note in _notes(frame[attribute.name], attribute)
        )

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-able."""
        return [asdict(attribute) for attribute in self.attributes]

    @classmethod
    def from_dict(cls, state: list[dict[str, Any]]) -> Self:
        """From what :meth:`to_dict` gave."""
        return cls(
            tuple(
                Attribute(**one | {"levels": tuple(one["levels"]), "rare": tuple(one["rare"])})
                for one in state
            )
        )


def require(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a frame without one of the columns."""
    missing = [(name, name) for name in columns if name not in frame.columns]
    if missing:
        raise MissingColumnsError.compare("the summary", missing, frame.columns)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _numbers(column: pd.Series) -> Array:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        raise DataError(
            f"column '{column.name}' has infinite numbers.", hint="clip them, or leave them empty."
        )
    return values


def _learn(column: pd.Series, name: str) -> Attribute:
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(
            f"column '{name}' holds dates.",
            found=str(column.dtype),
            hint="give a number, such as days since a day, or a category, such as the month.",
        )
    if _is_number(column):
        values = _numbers(column)
        known = values[~np.isnan(values)]
        levels = (MISSING,) if 0 < len(known) < len(values) else ()
        if not len(known) or known.min() == known.max():
            centre = float(known[0]) if len(known) else 0.0
            return Attribute(name, levels, (), "", centre, 0.0, centre, centre)
        low, high = float(known.min()), float(known.max())
        # Sorted, so that the order of the rows makes no difference in the last digit.
        known = np.sort(known)
        return Attribute(name, levels, (), "", float(known.mean()), float(known.std()), low, high)
    text = texts(column)
    counts = text.value_counts()
    ranked = sorted(counts.index, key=lambda level: (-counts[level], level))
    common = [level for level in ranked[1:] if counts[level] >= MIN_CUSTOMERS or level == MISSING]
    rest = [level for level in ranked[1:] if level not in common]
    levels = (*sorted(common), *([OTHER] if rest else []))
    return Attribute(name, levels, tuple(sorted(rest)), ranked[0], 0.0, 1.0, 0.0, 0.0)


def texts(column: pd.Series) -> pd.Series:
    """Values as text, missing ones by a name of their own."""
    return column.astype("str").where(column.notna(), MISSING)


def _names(attribute: Attribute) -> tuple[str, ...]:
    own = (attribute.name,) if not attribute.reference and attribute.scale > 0 else ()
    return (*own, *(f"{attribute.name}={level}" for level in attribute.levels))


def _encode(column: pd.Series, attribute: Attribute) -> Array:
    if attribute.reference:
        text = texts(column)
        if attribute.rare:
            text = text.where(text.isin([attribute.reference, *attribute.levels]), OTHER)
        return (text.to_numpy()[:, None] == np.array(attribute.levels, dtype=object)).astype(float)
    if not _is_number(column):
        raise DataError(
            f"column '{attribute.name}' was a number when the model was fitted.", found=str(column.dtype)
        )
    values = _numbers(column)
    gone = np.isnan(values)
    centred = np.where(gone, 0.0, np.clip(values, attribute.low, attribute.high) - attribute.mean)
    parts = [centred[:, None]] if attribute.scale > 0 else []
    parts += [gone.astype(float)[:, None] for _ in attribute.levels]
    return np.hstack([np.empty((len(column), 0)), *parts])


def _notes(column: pd.Series, attribute: Attribute) -> list[str]:
    name, found = attribute.name, []
    if attribute.reference:
        text = texts(column)
        new = text[~text.isin([attribute.reference, *attribute.levels, *attribute.rare])]
        if len(new):
            as_what = OTHER if attribute.rare else attribute.reference
            levels = ", ".join(sorted(new.unique())[:5])
            found.append(
                f"{name}: {len(new):,} customers with a value not of the fit ({levels}) count as {as_what}"
            )
        return found
    values = _numbers(column)
    gone = int(np.isnan(values).sum())
    if gone and not attribute.levels:
        found.append(f"{name}: {gone:,} customers without a value count as the mean, {attribute.mean:g}")
    outside = int(((values < attribute.low) | (values > attribute.high)).sum())
    if outside:
        found.append(
            f"{name}: {outside:,} customers lie outside of {attribute.low:g} to {attribute.high:g} "
            "and count as its nearer end"
        )
    return found
