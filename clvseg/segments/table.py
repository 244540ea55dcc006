"""The value x risk x behaviour table: what each kind of customer is called, who it is, who does what.

The table itself is data: ``table.toml`` beside this file, and what the settings' ``[segments.table]`` changes
of it. Value and risk tiers are those of :mod:`clvseg.segments.tiers`. Behaviour is one of: ``new`` (joined
recently, at most two orders), ``one-time`` (one order), ``repeat`` (two or more orders), ``big spender`` (two
or more orders, and in the smallest group of customers who brought half of the revenue so far).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from clvseg.errors import ConfigError, nearest
from clvseg.segments.tiers import RISK_TIERS, VALUE_TIERS

BEHAVIOURS = ("new", "one-time", "repeat", "big spender")
BEHAVIOUR_WORDS = ("new customers", "one order", "two or more orders", "big spenders so far")

Cell = tuple[str, str, str]
"""Behaviour, value tier, risk tier."""

CELLS: tuple[Cell, ...] = tuple(product(BEHAVIOURS, VALUE_TIERS, RISK_TIERS))
_PARTS = {"behaviour": BEHAVIOURS, "value tier": VALUE_TIERS, "risk tier": RISK_TIERS}


@dataclass(frozen=True)
class SegmentTable:
    """Names and texts of segments.

    Attributes
    ----------
    names : dict of cell to str
        All 36 cells.
    texts : dict of str to (str, str, str)
        Per segment: who they are, what to do, who does it.
    """

    names: dict[Cell, str]
    texts: dict[str, tuple[str, str, str]]

    @classmethod
    def changed(cls, raw: Mapping[str, Any] | None = None) -> SegmentTable:
        """Build the table with the changes of a ``[segments.table]`` section.

        Parameters
        ----------
        raw : mapping, optional
            ``cells`` ("behaviour, value tier, risk tier" to a name) and ``texts`` (a segment's present name
            to any of ``name``, ``who``, ``action``, ``owner``).

        Raises
        ------
        ConfigError
            When a cell or segment is unknown, or a new segment lacks a text.

        Examples
        --------
        >>> change = {"texts": {"Champions": {"name": "VIPs", "owner": "Anna"}}}
        >>> table = SegmentTable.changed(change)
        >>> table.names["repeat", "high", "low"], table.texts["VIPs"][2]
        ('VIPs', 'Anna')
        """
        default = tomllib.loads(Path(__file__).with_name("table.toml").read_text(encoding="utf-8"))
        changes: Mapping[str, Any] = {"cells": {}, "texts": {}, **(raw or {})}
        names = {cell: name for key, name in default["cells"].items() for cell in _cells(key)}
        names |= {cell: name for key, name in changes["cells"].items() for cell in _cells(key)}
        texts: dict[str, dict[str, str]] = default["texts"]
        renamed: dict[str, str] = {}
        for name, given in changes["texts"].items():
            change = {key: text for key, text in given.items() if text is not None}
            if name not in texts and name not in names.values():
                guess = nearest(name, [*texts, *names.values()])
                raise ConfigError(
                    f"segments.table.texts names no segment: {name}.",
                    found=", ".join(texts) + ".",
                    hint=f"did you mean {guess}?" if guess else "put it into cells as well.",
                )
            renamed[name] = change.pop("name", name)
            texts[name] = {**texts.get(name, {}), **change}
        for name in dict.fromkeys(names.values()):
            lacking = [key for key in ("who", "action", "owner") if key not in texts.get(name, {})]
            if lacking:
                raise ConfigError(
                    f"the segment '{name}' has no {' and no '.join(lacking)}.",
                    hint=f'add [segments.table.texts."{name}"] with who, action and owner.',
                )
        return cls(
            {cell: renamed.get(name, name) for cell, name in names.items()},
            {
                renamed.get(name, name): (text["who"], text["action"], text["owner"])
                for name, text in texts.items()
            },
        )


def _cells(key: str) -> list[Cell]:
    """The cells that "behaviour, value tier, risk tier" stands for."""
    parts = [part.strip() for part in key.split(",")]
    wrong = [
        f"{part} is no {what} ({', '.join(known)} or any)"
        for part, (what, known) in zip(parts, _PARTS.items(), strict=False)
        if part != "any" and part not in known
    ]
    if len(parts) != len(_PARTS) or wrong:
        raise ConfigError(
            f"segments.table.cells: '{key}' is no cell.",
            found="; ".join(wrong) + "." if wrong else None,
            hint='write "behaviour, value tier, risk tier", like "repeat, high, any".',
        )
    behaviour, value, risk = (
        known if part == "any" else (part,) for part, known in zip(parts, _PARTS.values(), strict=True)
    )
    return list(product(behaviour, value, risk))


_DEFAULT = SegmentTable.changed()
NAME_OF, TEXTS = _DEFAULT.names, _DEFAULT.texts

# What it costs to be called something else: names stay true longest. Nobody with one order becomes a repeat
# buyer for want of space and nobody is called new who is not; a big spender buys repeatedly, not vice versa.
_COSTS = {
    "new": {"one-time": 4, "repeat": 8, "big spender": 10},
    "one-time": {"new": 12, "repeat": 10, "big spender": 12},
    "repeat": {"new": 14, "one-time": 12, "big spender": 3},
    "big spender": {"new": 14, "one-time": 12, "repeat": 1},
}


def distance(one: Cell, other: Cell) -> int:
    """What it costs to treat customers of one cell as those of another.

    A step in value costs 3 and one in risk 2; a change of behaviour from 1 (big spender to repeat) to 14.

    Examples
    --------
    >>> distance(("big spender", "mid", "low"), ("repeat", "high", "low"))
    4
    >>> distance(("repeat", "mid", "low"), ("big spender", "mid", "low"))
    3
    """
    return (
        3 * abs(VALUE_TIERS.index(one[1]) - VALUE_TIERS.index(other[1]))
        + 2 * abs(RISK_TIERS.index(one[2]) - RISK_TIERS.index(other[2]))
        + _COSTS[one[0]].get(other[0], 0)
    )


def rule_in_words(cells: list[Cell]) -> str:
    """Write a set of cells as a rule.

    Parameters
    ----------
    cells : list of (behaviour, value tier, risk tier)
        Not empty.

    Examples
    --------
    >>> rule_in_words([("repeat", "high", "low"), ("big spender", "high", "low"), ("new", "mid", "high")])
    'mid value, high risk, new customers; or high value, low risk, two or more orders or big spenders so far'
    """
    risks: dict[tuple[str, str], list[str]] = {}
    for behaviour, value, risk in sorted(cells, key=CELLS.index):
        risks.setdefault((behaviour, value), []).append(risk)
    values: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (behaviour, value), found in risks.items():
        values.setdefault((behaviour, tuple(found)), []).append(value)
    behaviours: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (behaviour, risk_set), value_set in values.items():
        behaviours.setdefault((tuple(value_set), risk_set), []).append(behaviour)
    parts = [
        f"{_any_of(value_set, VALUE_TIERS)} value, {_any_of(risk_set, RISK_TIERS)} risk, "
        + " or ".join(BEHAVIOUR_WORDS[BEHAVIOURS.index(one)] for one in found)
        for (value_set, risk_set), found in behaviours.items()
    ]
    return "; or ".join(parts)


def _any_of(found: tuple[str, ...], known: tuple[str, ...]) -> str:
    return "any" if len(found) == len(known) else " or ".join(found)
