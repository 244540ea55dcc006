"""A table of customers with a label: who left, and what was known of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from clvseg.config import Settings
from clvseg.data.numbers import FORMS
from clvseg.data.sources import open_source
from clvseg.errors import DataError, MissingColumnsError

_GONE = {"yes", "y", "true", "t", "1", "1.0", "left", "gone", "churn", "churned", "cancelled", "canceled"}
_GONE |= {"ja", "oui", "si", "sí"}
_STAYED = {"no", "n", "false", "f", "0", "0.0", "stayed", "active", "retained", "current", "nein", "non"}
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
# A text column is read as numbers when at least this share of what is given is one.
_NUMBER_SHARE = 0.95
_NUMERIC = re.compile(r"INT|DOUBLE|FLOAT|DECIMAL", re.IGNORECASE)


@dataclass(frozen=True)
class CustomerTable:
    """Customers as of a day, with what is known of them and, where given, whether they left afterwards.

    Attributes
    ----------
    columns : DataFrame
        What a model may read, by the user's names, indexed by ``customer_id``: float64 (NaN where missing),
        or text (None where missing). Days are ages at the row's day.
    left : Series of float
        1 left, 0 stayed, NaN not known.
    tenure, charge : Series of float or None
        In periods, and money a period; None where no column is named.
    date : Series of datetime or None
        Day on which the row was known.
    late : dict of str to int
        Columns that hold days, and how many rows have one after the day of the row; -1 where rows have no
        day, so that nobody can tell.
    profile : dict
        Counts of what was read and mended.
    """

    columns: pd.DataFrame
    left: pd.Series
    tenure: pd.Series | None
    charge: pd.Series | None
    date: pd.Series | None
    late: dict[str, int]
    profile: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, source: Any, settings: Settings, *, labelled: bool = True) -> CustomerTable:
        """Read and clean a table of customers.

        Parameters
        ----------
        source : str, Path, frame, relation or None
            As for transactions; None takes the settings' own.
        settings : Settings
            Names the columns.
        labelled : bool
            Whether the label must be there; not so when customers are scored.

        Raises
        ------
        MissingColumnsError
            When named columns are not there; names all of them.
        DataError
            When the table is empty, a customer stands in it twice, or the label is not of two kinds.
        """
        opened = open_source(source, settings.data)
        raw = opened.engine.frame("read the customers", "SELECT * FROM raw")
        if raw.empty:
            raise DataError(f"{opened.name} holds no customers.", hint="give one row per customer.")
        churn, key = settings.churn, settings.data.columns.customer
        named = {"customer": key, "label": churn.label, "date": churn.date}
        named |= {"tenure": churn.tenure, "charge": churn.charge}
        wanted = [(role, name) for role, name in named.items() if name and (labelled or role != "label")]
        missing = [(role, name) for role, name in wanted if name not in raw.columns]
        if missing:
            raise MissingColumnsError.compare(opened.name, missing, raw.columns)
        profile: dict[str, Any] = {"source": opened.name, "rows_read": len(raw)}
        raw, date = _one_row_each(raw, key, churn.date, profile)
        given = churn.label in raw.columns
        left = _label(raw[churn.label], churn.event) if given else pd.Series(np.nan, index=raw.index)
        columns, late = _columns(raw, [key, churn.label, churn.date, *churn.exclude], date, profile)
        roles = {"tenure": churn.tenure, "charge": churn.charge}
        money = {role: _required_number(raw[name], role) for role, name in roles.items() if name}
        known = left.notna()
        profile |= {
            "customers": int(raw.index.nunique()),
            "left": int((left == 1).sum()),
            "stayed": int((left == 0).sum()),
            "without_label": int((~known).sum()) if given else len(raw),
            "columns_read": columns.shape[1],
        }
        return cls(columns, left, money.get("tenure"), money.get("charge"), date, late, profile)

    def take(self, rows: Any) -> CustomerTable:
        """Return the rows at these positions, or where a mask is true."""

        def part(values: pd.Series | None) -> pd.Series | None:
            return None if values is None else values[rows] if mask else values.iloc[rows]

        mask = np.asarray(rows).dtype == bool
        columns = self.columns[rows] if mask else self.columns.iloc[rows]
        left = self.left[rows] if mask else self.left.iloc[rows]
        return CustomerTable(
            columns, left, part(self.tenure), part(self.charge), part(self.date), self.late, self.profile
        )

    def newest(self) -> CustomerTable:
        """Return each customer's newest row."""
        if self.date is None:
            return self
        order = self.date.argsort(kind="stable").to_numpy()
        last = ~self.columns.index[order].duplicated(keep="last")
        return self.take(np.sort(order[last]))

    def without(self, names: list[str]) -> CustomerTable:
        """Return the table without columns that must not be learned from."""
        return replace(self, columns=self.columns.drop(columns=names, errors="ignore"))

    def like(self, numbers: Collection[str]) -> CustomerTable:
        """Return the table with its columns of the kind they had at the fit: these numbers, all else text."""
        columns = self.columns.copy()
        for name in columns.columns:
            text = columns[name].dtype == object
            if name in numbers and text:
                columns[name] = pd.to_numeric(columns[name], errors="coerce").astype("float64")
            elif name not in numbers and not text:
                columns[name] = _number_texts(columns[name])
        return replace(self, columns=columns)

    @property
    def hash(self) -> str:
        """Hash of the cleaned table, whatever the order of its rows."""
        roles = ("left", "date", "tenure", "charge")  # a column may be called so, too
        frame = self.columns.astype(str).assign(**{f" {role}": getattr(self, role) for role in roles})
        rows = pd.util.hash_pandas_object(frame.astype(str), index=True).to_numpy()
        return hashlib.sha256(np.sort(rows).tobytes()).hexdigest()[:32]


def _one_row_each(
    raw: pd.DataFrame, key: str, date: str | None, profile: dict[str, Any]
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Index by customer; rows without one are dropped and counted, repeated ones too."""
    ids = raw[key]
    there = ids.notna() & ~ids.astype(str).str.strip().str.casefold().isin(_MISSING)
    distinct = raw[there].drop_duplicates()
    profile["missing_customers"] = int((~there).sum())
    profile["duplicates_dropped"] = int(there.sum()) - len(distinct)
    raw = distinct
    if raw.empty:
        raise DataError(f"no row has a customer in column '{key}'.", hint="set customer in [data.columns].")
    ids = raw[key]
    if not pd.api.types.is_integer_dtype(ids):
        text = ids.astype(str).str.strip()
        whole = text.str.fullmatch(r"(0|-?[1-9]\d{0,17})(\.0+)?").all()
        ids = text.str.replace(r"\.0+$", "", regex=True).astype("int64") if whole else text.astype("str")
    raw = raw.set_axis(pd.Index(ids, name="customer_id"), axis=0).sort_index(kind="stable")
    day = None
    if date is not None:
        day = pd.to_datetime(raw[date], errors="coerce", utc=True).dt.tz_localize(None)
        if day.isna().any():
            bad = raw[date][day.isna()].iloc[0]
            raise DataError(
                f"column '{date}' (date) is not a day in {int(day.isna().sum()):,} rows.",
                found=f"{bad!r}.",
                hint="write days like 2026-01-31.",
            )
    where = pd.MultiIndex.from_arrays([raw.index, day]) if day is not None else raw.index
    if where.duplicated().any():
        twice = where[where.duplicated()][0]
        raise DataError(
            f"{int(where.duplicated().sum()):,} customers stand in the table more than once.",
            found=f"{twice!r}.",
            hint="give one row per customer, or name the day of each row as date under [churn].",
        )
    return raw, day


def _label(column: pd.Series, event: str | None) -> pd.Series:
    """1 gone, 0 stayed, NaN where not given."""
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    known = ~text.str.casefold().isin(_MISSING)
    values = sorted(text[known].unique())
    if event is not None:
        gone = text.str.casefold() == event.casefold()
        if not gone.any():
            raise DataError(
                f"no customer has {event!r} in the label '{column.name}'.",
                found=", ".join(values[:8]) + ".",
                hint="event under [churn] is the value of those who left.",
            )
    else:
        unknown = [v for v in values if v.casefold() not in _GONE | _STAYED]
        if unknown:
            raise DataError(
                f"the label '{column.name}' does not say yes or no.",
                found=", ".join(unknown[:8]) + ".",
                hint='set event under [churn] to the value of those who left, e.g. event = "Cancelled".',
            )
        gone = text.str.casefold().isin(_GONE)
    return gone.astype("float64").where(known)


def _columns(
    raw: pd.DataFrame, others: list[str | None], date: pd.Series | None, profile: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Every other column as numbers or text."""
    out: dict[str, pd.Series] = {}
    late: dict[str, int] = {}
    mended = {"missing_values": 0, "unreadable_numbers": 0}
    for name in raw.columns:
        if name in others:
            continue
        values = raw[name]
        if pd.api.types.is_datetime64_any_dtype(values) or _holds_days(values):
            day = pd.to_datetime(values, errors="coerce", utc=True).dt.tz_localize(None)
            late[str(name)] = -1 if date is None else int((day > date).sum())
            if date is not None:
                out[str(name)] = (date - day).dt.total_seconds() / 86400
            continue
        out[str(name)], unreadable = _number_or_text(values)
        mended["unreadable_numbers"] += unreadable
    frame = pd.DataFrame(out, index=raw.index)
    mended["missing_values"] = int(frame.isna().sum().sum())
    profile |= mended
    return frame, late


def _holds_days(values: pd.Series) -> bool:
    """Whether a column is of date objects, or of texts like 2026-01-31."""
    given = values.dropna()
    if given.empty or not (pd.api.types.is_string_dtype(given) or given.dtype == object):
        return False
    text = given.astype(str).str.strip()
    text = text[~text.str.casefold().isin(_MISSING)]
    return len(text) > 0 and bool(text.str.match(r"\d{4}-\d{2}-\d{2}([ T]|$)").mean() >= _NUMBER_SHARE)


def _number_or_text(values: pd.Series) -> tuple[pd.Series, int]:
    """A column as float64 or text, and how many texts in a column of numbers are none."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        number = pd.to_numeric(values).astype("float64")
        return number.where(np.isfinite(number)), 0
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    given = ~text.str.casefold().isin(_MISSING)
    bare = text.where(given)
    for written in (bare, *_bare_numbers(bare)):
        number = pd.to_numeric(written, errors="coerce").astype("float64")
        number = number.where(np.isfinite(number))
        if given.any() and number.notna().sum() >= _NUMBER_SHARE * given.sum():
            return number, int((given & number.isna()).sum())
    return text.where(given, None).astype(object), 0


def _bare_numbers(text: pd.Series) -> Iterator[pd.Series]:
    """The texts without marks between thousands and with a decimal point, by each form they fit."""
    given = text.dropna()
    for _, every, sure, thousands, decimal in FORMS:
        fits = given.str.fullmatch(every)
        if fits.mean() >= _NUMBER_SHARE and given[fits].str.fullmatch(sure).any():
            yield text.str.replace(thousands, "", regex=False).str.replace(decimal, ".", regex=False)


def _number_texts(values: pd.Series) -> pd.Series:
    """Numbers as the texts they came from; whole ones without a point."""
    texts = [None if np.isnan(v) else f"{v:.0f}" if v == round(v) else str(v) for v in values]
    return pd.Series(texts, index=values.index, dtype=object)


def _required_number(column: pd.Series, role: str) -> pd.Series:
    """A column that must be numbers, not below zero, its gaps filled by the median."""
    values, _ = _number_or_text(column)
    if values.dtype == object or not values.notna().any():
        given = column.dropna()
        raise DataError(
            f"column '{column.name}' ({role}) is not a number.",
            found=f"{given.iloc[0]!r}." if len(given) else "nothing in it.",
            hint="tenure and charge are numbers not below zero.",
        )
    if (values < 0).any():
        raise DataError(
            f"column '{column.name}' ({role}) is below zero in {int((values < 0).sum()):,} rows.",
            hint="tenure and charge are numbers not below zero.",
        )
    return values.fillna(float(values.median()))
