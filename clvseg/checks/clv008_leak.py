"""CLV008: columns that know the label."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from clvseg.checks.finding import About, Finding
from clvseg.data.customers import CustomerTable

# Area under the ROC curve of one column alone, out of fold.
ALONE, NAMED = 0.95, 0.85
# A group in which all left, though most of the others stayed.
PURE_SHARE, PURE_FEWEST, USUAL = 0.995, 30, 0.8
# Texts that differ from row to row.
ID_SHARE, ID_FEWEST = 0.95, 50
_BINS = 20

ABOUT = About(
    "CLV008",
    "The label leaks into the columns",
    "A column that was filled when or because the customer left tells the label, not the future: accuracy "
    "looks perfect and the scores of customers who are still there are worthless. Ids teach nothing and "
    "overfit. Such columns are left out of training.",
    'Look at each named column. Where it was truly known before, keep it with leaks = "keep" under [churn] '
    "and list the others in exclude; where it is written afterwards, export it as of the day of prediction.",
)


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that should not be learned from, and why."""

    column: str
    why: str


def find_leaks(table: CustomerTable, label: str) -> list[Leak]:
    """Name the columns that know the label, were recorded later, or are ids.

    A column leaks when it alone ranks leavers above stayers with an area under the ROC curve of 0.95 out of
    fold (0.85 where it bears the label's name), when it says the same as the label in one of its groups
    (30 or more rows, all left), when it holds days after the row's own day, or when there is no such day to
    compare with. Texts that differ in almost every row are ids.

    Parameters
    ----------
    table : CustomerTable
        Rows without a label are not looked at, except for ids and days.
    label : str
        Name of the label.
    """
    leaks = [
        Leak(name, "holds days, and rows have no day to compare with" if late < 0
             else f"was recorded after the row's day in {late:,} rows")
        for name, late in table.late.items()
        if late
    ]  # fmt: skip
    found = {leak.column for leak in leaks}
    known = table.left.notna().to_numpy()
    left = table.left.to_numpy()[known]
    for name in table.columns.columns:
        if name not in found and (why := _why(table.columns[name], known, left, str(name), label)):
            leaks.append(Leak(str(name), why))
    return leaks


def check_leak(leaks: list[Leak], kept: bool) -> list[Finding]:
    """Name every column and why; serious where they are learned from all the same."""
    if not leaks:
        return []
    named = "; ".join(f"'{leak.column}' {leak.why}" for leak in leaks)
    what = "Learned from all the same" if kept else "Left out of training"
    return [ABOUT.finding("serious" if kept else "warning", f"{what}: {named}.")]


def _why(
    values: pd.Series, known: NDArray[np.bool_], left: NDArray[np.float64], name: str, label: str
) -> str:
    """Why a column should not be learned from; empty where it may be."""
    distinct = values.nunique()
    if distinct > ID_FEWEST and distinct >= ID_SHARE * len(values) and _is_id(values):
        return "differs in almost every row, like an id"
    if left.min(initial=1) == left.max(initial=0):
        return ""
    groups = _groups(values[known])
    auc = _alone(groups, left)
    if auc >= ALONE:
        return f"alone tells who left (AUC {auc:.3f})"
    if auc >= NAMED and _plain(label) in _plain(name):
        return f"bears the label's name and alone tells who left (AUC {auc:.3f})"
    size, gone = np.bincount(groups), np.bincount(groups, left)
    pure = (size >= PURE_FEWEST) & (gone >= PURE_SHARE * size)
    if values.dtype != object and values.nunique() > _BINS:
        pure[1:] = False  # the top of an honest score may be pure too; its gaps (group 0) should not be
    if pure.any() and left[~pure[groups]].mean() < USUAL * PURE_SHARE:
        return f"is a copy of the label in {int(size[pure].sum()):,} rows, all of whom left"
    return ""


def _is_id(values: pd.Series) -> bool:
    """Texts, or whole numbers that run through without gaps."""
    if values.dtype == object:
        return True
    given = values.dropna().to_numpy(dtype=np.float64)
    return bool((given == np.round(given)).all() and np.ptp(given) < 1.05 * len(given))


def _groups(values: pd.Series) -> NDArray[np.int64]:
    """Number of each row's group: its text, or its twentieth; gaps are a group of their own."""
    if values.dtype == object:
        return pd.factorize(values.fillna("(missing)"))[0].astype(np.int64)
    if values.nunique() <= _BINS:
        return pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64)
    bins = pd.qcut(values, _BINS, labels=False, duplicates="drop")
    return (pd.Series(bins).fillna(-1).to_numpy() + 1).astype(np.int64)


def _alone(groups: NDArray[np.int64], left: NDArray[np.float64]) -> float:
    """AUC of the leavers' share of each row's group, learned on the other half of the rows."""
    half = np.random.default_rng(0).permutation(len(left)) % 2
    said = np.empty(len(left))
    count = int(groups.max()) + 1
    for part in (0, 1):
        here = half != part
        size = np.bincount(groups[here], minlength=count)
        gone = np.bincount(groups[here], left[here], minlength=count)
        said[half == part] = ((gone + left.mean()) / (size + 1))[groups[half == part]]
    return float(roc_auc_score(left, said))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
