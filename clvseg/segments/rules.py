"""A short rule for each segment: words, SQL for DuckDB and Spark, a predicate; and how faithful it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from clvseg.frames import RULES
from clvseg.segments.scaling import is_number

# Columns of the scores that a rule may speak of, in words.
COLUMNS = {
    "since_last": "days since the last order",
    "frequency": "repeat order days",
    "T": "days since the first order",
    "past_revenue": "revenue so far",
    "monetary_value": "average repeat order",
    "predicted_value": "predicted value",
    "churn_probability": "churn probability",
}
TRAIN_SAMPLE = 20_000
DEPTH, LEAVES, DIGITS = 5, 12, 3
LEVEL_SHARE = 0.02  # a word fewer customers share is in no rule

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: a column, ``<=``, ``>``, ``=`` or ``<>``, and a number or a word.

    A missing number is on neither side of a cut; a missing word is different from every word.
    """

    column: str
    sign: str
    value: float | str

    def __str__(self) -> str:
        """Return words.

        Examples
        --------
        >>> str(Condition("since_last", "<=", 30.0)), str(Condition("region", "<>", "N"))
        ('days since the last order up to 30', "region other than 'N'")
        """
        return f"{self.name} {self.bound}"

    @property
    def name(self) -> str:
        """The column in words."""
        return COLUMNS.get(self.column, self.column.replace("_", " "))

    @property
    def bound(self) -> str:
        """What is asked of it, in words."""
        if isinstance(self.value, str):
            return f"{'other than ' if self.sign == '<>' else ''}'{self.value}'"
        return f"{'up to' if self.sign == '<=' else 'over'} {self.value:,.12g}"

    def sql(self, dialect: str = "duckdb") -> str:
        r"""Return it as SQL.

        Examples
        --------
        >>> print(Condition("region", "<>", "it's").sql())
        "region" IS DISTINCT FROM 'it''s'
        >>> print(Condition("region", "<>", "it's").sql("spark"))
        `region` IS DISTINCT FROM 'it\'s'
        """
        quote = "`" if dialect == "spark" else '"'
        column = quote + self.column.replace(quote, 2 * quote) + quote
        if not isinstance(self.value, str):
            return f"{column} {self.sign} {self.value!r}"
        if dialect == "spark":  # 'it''s' would be two literals there
            text = self.value.replace("\\", "\\\\").replace("'", "\\'")
        else:
            text = self.value.replace("'", "''")
        return f"{column} {'IS DISTINCT FROM' if self.sign == '<>' else '='} '{text}'"

    def holds(self, frame: pd.DataFrame) -> Flags:
        """Whether it holds for each customer, shape (customers,)."""
        values = frame[self.column]
        if isinstance(self.value, str):
            same = np.asarray(values.astype(object) == self.value, dtype=bool)
            return ~same if self.sign == "<>" else same
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(numbers <= self.value if self.sign == "<=" else numbers > self.value)


Way = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A segment's rule: a customer is in when all conditions of any of the `ways` hold.

    Attributes
    ----------
    segment : str
        Its name.
    ways : tuple of tuple of Condition
        Empty for nobody; a way without conditions is everyone.
    precision, recall : float
        Share of those the rule finds who are in the segment, and of the segment that the rule finds.
    """

    segment: str
    ways: tuple[Way, ...]
    precision: float = 0.0
    recall: float = 0.0

    @property
    def fidelity(self) -> float:
        """Harmonic mean of precision and recall (F1)."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else 0.0

    def __str__(self) -> str:
        """Return the rule in words.

        Examples
        --------
        >>> low, high = Condition("T", ">", 30.0), Condition("T", "<=", 90.0)
        >>> str(Rule("a", ((low, Condition("frequency", "<=", 2.0), high),)))
        'days since the first order over 30 and up to 90, repeat order days up to 2'
        """
        return "; or ".join(_said(way) or "everyone" for way in self.ways) or "nobody"

    def sql(self, dialect: str = "duckdb") -> str:
        """Return what follows WHERE, over the scores joined with the attributes.

        Parameters
        ----------
        dialect : {"duckdb", "spark"}
            Whose SQL.

        Examples
        --------
        >>> Rule("a", ((Condition("T", ">", 30.0), Condition("frequency", "<=", 2.0)),)).sql()
        '("T" > 30.0 AND "frequency" <= 2.0)'
        """
        parts = [" AND ".join(one.sql(dialect) for one in way) or "TRUE" for way in self.ways]
        return " OR ".join(f"({part})" for part in parts) or "FALSE"

    def holds(self, frame: pd.DataFrame) -> Flags:
        """Whether the rule holds for each customer, shape (customers,)."""
        found = np.zeros(len(frame), dtype=bool)
        for way in self.ways:
            inside = np.ones(len(frame), dtype=bool)
            for condition in way:
                inside &= condition.holds(frame)
            found |= inside
        return found


def _said(way: Way) -> str:
    """A way in words, what is asked of a column together."""
    asked: dict[str, list[str]] = {}
    for one in way:
        asked.setdefault(one.name, []).append(one.bound)
    return ", ".join(f"{name} {' and '.join(sorted(bounds))}" for name, bounds in asked.items())


def learn_rules(frame: pd.DataFrame, segment: pd.Series, *, seed: int = 1) -> list[Rule]:
    """Find a short rule for each segment: the leaves of a small decision tree that tells it from the rest.

    A tree has at most 12 leaves on 5 levels, and its cuts are rounded to three digits. What a rule is worth
    is measured after rounding, on all customers.

    Parameters
    ----------
    frame : DataFrame
        Customers, a row each: numbers and words, gaps allowed.
    segment : Series of str
        Segment of each, in the same order.
    seed : int
        Of the sample of at most 20,000 customers that the trees see.

    Returns
    -------
    list of Rule
        By the segments' names.
    """
    names = segment.to_numpy().astype(str)
    rows = np.sort(np.random.default_rng(seed).permutation(len(frame))[:TRAIN_SAMPLE])
    inputs, meaning = _inputs(frame.iloc[rows])
    rules = []
    for name in sorted(set(names.tolist())):
        inside = names == name
        tree = DecisionTreeClassifier(
            max_depth=DEPTH,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=max(1, min(20, int(inside[rows].sum()) // 10)),
            random_state=seed,
        ).fit(inputs, inside[rows])
        ways = tuple(_tidy(way) for way in _ways(tree, meaning))
        found = Rule(name, ways).holds(frame)
        hits = float((found & inside).sum())
        rules.append(Rule(name, ways, hits / max(int(found.sum()), 1), hits / int(inside.sum())))
    return rules


def rules_table(rules: list[Rule]) -> pd.DataFrame:
    """Put rules into the table :data:`clvseg.frames.RULES`."""
    rows = [
        (one.segment, str(one), one.sql(), one.sql("spark"), one.fidelity, one.precision, one.recall)
        for one in rules
    ]
    return RULES.conform(pd.DataFrame(rows, columns=RULES.names))


def rule_frame(scores: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """Columns of the scores that rules may speak of, joined with the attributes in the same order."""
    return scores[list(COLUMNS)].set_axis(attributes.index).join(attributes)


def _inputs(frame: pd.DataFrame) -> tuple[NDArray[np.float64], list[tuple[str, str | None]]]:
    """Numbers with gaps filled by the median, words as 0/1 columns; and column and word of each."""
    columns: list[NDArray[np.float64]] = []
    meaning: list[tuple[str, str | None]] = []
    for name in frame:
        values = frame[name]
        if is_number(values):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            known = numbers[np.isfinite(numbers)]
            columns.append(np.where(np.isfinite(numbers), numbers, np.median(known) if len(known) else 0.0))
            meaning.append((str(name), None))
            continue
        shares = values.value_counts() / len(values)
        for level in sorted(map(str, shares.index[shares >= LEVEL_SHARE])):
            columns.append(np.asarray(values.astype(object) == level, dtype=np.float64))
            meaning.append((str(name), level))
    return np.column_stack(columns), meaning


def _ways(tree: DecisionTreeClassifier, meaning: list[tuple[str, str | None]]) -> list[Way]:
    """Paths to the leaves in which most are of the segment."""
    inner: Any = tree.tree_

    def walk(node: int, path: Way) -> list[Way]:
        left, right = inner.children_left[node], inner.children_right[node]
        if left == right:
            return [path] if tree.classes_[inner.value[node][0].argmax()] else []
        column, level = meaning[inner.feature[node]]
        if level is not None:
            signs = (Condition(column, "<>", level), Condition(column, "=", level))
        else:
            cut = float(f"{inner.threshold[node]:.{DIGITS}g}")
            signs = (Condition(column, "<=", cut), Condition(column, ">", cut))
        below = walk(left, (*path, signs[0])), walk(right, (*path, signs[1]))
        whole = all(ways == [(*path, sign)] for ways, sign in zip(below, signs, strict=True))
        return [path] if whole else below[0] + below[1]  # both sides in: the cut says nothing

    return walk(0, ())


def _tidy(way: Way) -> Way:
    """Keep the tightest bound of each column and side, in the order of their first mention."""
    kept: dict[tuple[str, str, str | None], Condition] = {}
    for one in way:
        key = (one.column, one.sign, one.value if isinstance(one.value, str) else None)
        kept[key] = one  # a later cut of a tree is the tighter one
    equal = {one.column for one in kept.values() if one.sign == "="}
    return tuple(one for one in kept.values() if not (one.sign == "<>" and one.column in equal))
