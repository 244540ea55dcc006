"""Reasons in words: features that mean the same make one family, and each family has its sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.segments.words import counts, number, numbers

Text = NDArray[np.object_]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Typical:
    """What a phrase compares with: medians of the customers at hand, and the window that tells most.

    Attributes
    ----------
    medians : mapping of str to float
        Of every feature.
    repeat_orders : float
        Median orders of those with two or more.
    window : int
        Days; ``spend_{window}d`` and ``spend_{2 window}d`` are features.
    currency : str
        What money is counted in; empty where unknown.
    """

    medians: Mapping[str, float]
    repeat_orders: float
    window: int
    currency: str = ""

    def money(self, text: str) -> str:
        """An amount in words with its currency."""
        return f"{self.currency} {text}" if self.currency else text


@dataclass(frozen=True, slots=True)
class Family:
    """Features that mean the same, the columns its sentence needs, and the sentence.

    Attributes
    ----------
    name : str
        Name of the family.
    members : tuple of str
        Features whose contributions are added.
    needs : tuple of str
        Columns without which the sentence cannot be said.
    say : callable
        From the customers' features, whether each reason raises the risk (bool, shape (customers,)) and
        :class:`Typical` to one text per customer.
    fits : callable
        From the same to whether anyone would see why (bool, shape (customers,)): large orders as a reason for
        higher risk would puzzle.
    """

    name: str
    members: tuple[str, ...]
    needs: tuple[str, ...]
    say: Callable[[pd.DataFrame, Flags, Typical], Text]
    fits: Callable[[pd.DataFrame, Flags, Typical], Flags]


def _texts(rows: list[str]) -> Text:
    return np.array(rows, dtype=object)


def _pace(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    since, gap = frame["since_last"].to_numpy(), frame["gap_mean"].to_numpy()
    usual = np.where(gap < 1.5, "every day", "every " + numbers(np.rint(gap)))
    days = counts(since, "day")
    columns = (
        days.tolist(),
        usual.tolist(),
        (since == 0).tolist(),
        raises.tolist(),
        (frame["orders"].to_numpy() <= 1).tolist(),
        (since > gap).tolist(),
        (since <= typical.medians["since_last"]).tolist(),
        (gap > typical.medians["gap_mean"]).tolist(),
    )
    out = []
    for ago, every, today, riskier, once, late, short, slow in zip(*columns, strict=True):
        if today and not riskier:
            out.append("ordered for the first time today" if once else f"ordered today, usually {every}")
        elif once and riskier:
            out.append(f"no order for {ago} since the first")
        elif once:
            out.append(f"first order {'only ' if short else ''}{ago} ago")
        elif riskier and late:
            out.append(f"no order for {ago}, usually {every}")
        elif riskier:
            out.append(f"orders {'only ' if slow else ''}{every}{'' if every == 'every day' else ' days'}")
        elif late:
            out.append(f"last order {'only ' if short else ''}{ago} ago")
        else:
            out.append(f"last order {ago} ago, usually {every}")
    return _texts(out)


def _pace_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    since, gap = frame["since_last"].to_numpy(), frame["gap_mean"].to_numpy()
    late = since > typical.medians["since_last"]
    return np.where(raises, late | (since > gap), ~late | (since <= gap))


def _count(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    orders = frame["orders"].to_numpy()
    only = (raises & (orders <= typical.repeat_orders)).tolist()
    return _texts(
        [
            ("bought only once" if up else "one order so far")
            if single
            else f"{'only ' if small else ''}{many} so far"
            for many, single, up, small in zip(
                counts(orders, "order").tolist(), (orders <= 1).tolist(), raises.tolist(), only, strict=True
            )
        ]
    )


def _count_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    orders = frame["orders"].to_numpy()
    return np.where(raises, orders <= typical.repeat_orders, orders > 1)


def _recent(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    days = typical.window
    now = frame[f"spend_{days}d"].to_numpy()
    before = np.maximum(frame[f"spend_{2 * days}d"].to_numpy() - now, 0.0)
    old = frame["T"].to_numpy() >= 2 * days
    columns = (
        numbers(now).tolist(),
        numbers(before).tolist(),
        (old & raises & (now < before)).tolist(),
        (old & ~raises & (now > before)).tolist(),
        (before > 0).tolist(),
    )
    out = []
    for text, earlier, down, up, some in zip(*columns, strict=True):
        tail = ""
        if down and text != earlier:
            tail = f", down from {typical.money(earlier)}"
        elif up and text != earlier:
            tail = f", up from {typical.money(earlier)}" if some else f", nothing in the {days} before"
        spent = "nothing" if text == "0" else typical.money(text)
        out.append(f"spent {spent} in the last {days} days{tail}")
    return _texts(out)


def _amount(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    once = frame["orders"].to_numpy() <= 1
    usual = number(typical.medians["mean_spend"])
    return _texts(
        [
            f"{'only' if single else 'average'} order {typical.money(text)}"
            + ("" if text == usual else f", typical is {typical.money(usual)}")
            for text, single in zip(numbers(frame["mean_spend"]).tolist(), once.tolist(), strict=True)
        ]
    )


def _spend(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    usual = number(typical.medians["past_revenue"])
    return _texts(
        [
            f"spent {typical.money(text)} so far"
            + ("" if text == usual else f", typical is {typical.money(usual)}")
            for text in numbers(frame["past_revenue"]).tolist()
        ]
    )


def _rhythm(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    regular = frame["regularity"].to_numpy() >= 0.5
    return np.where(regular, "orders at regular intervals", "orders at irregular intervals").astype(object)


def _tenure(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    age = frame["T"].to_numpy()
    only = np.where(age < typical.medians["T"] / 2, "customer for only ", "customer for ").astype(object)
    return np.asarray(only + np.where(age < 730, counts(age, "day"), counts(age / 365.25, "year")))


def _season(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    orders = frame["orders_same_season"].to_numpy()
    return np.asarray(
        np.where(orders > 0, counts(orders, "order"), "no order") + " in the coming season of last year"
    )


def _weekend(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    share, once = frame["weekend_share"].to_numpy(), frame["orders"].to_numpy() <= 1
    return _texts(
        [
            ("ordered on a weekend" if value > 0 else "ordered on a weekday")
            if single
            else "never orders on a weekend"
            if value == 0
            else "orders only on weekends"
            if value == 1
            else f"{value:.0%} of the orders on a weekend"
            for value, single in zip(share.tolist(), once.tolist(), strict=True)
        ]
    )


def _basket(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    name, noun = next(
        (name, noun)
        for name, noun in (
            ("quantity_per_order", "unit"),
            ("lines_per_order", "line"),
            ("orders_per_day", "order"),
        )
        if name in frame.columns
    )
    per = "a buying day" if name == "orders_per_day" else "an order"
    usual = number(typical.medians[name])
    return _texts(
        [
            f"{text} {noun}{'' if text == '1' else 's'} {per}"
            + ("" if text == usual else f", typical is {usual}")
            for text in numbers(frame[name])
        ]
    )


def _breadth(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    name, one, many = next(
        (name, one, many)
        for name, one, many in (
            ("products", "product", "products"),
            ("categories", "category", "categories"),
            ("channels", "channel", "channels"),
        )
        if name in frame.columns
    )
    verb = "uses" if name == "channels" else "bought"
    return _texts(
        [
            f"{verb} only one {one}" if text == "1" else f"{verb} {text} different {many}"
            for text in numbers(frame[name])
        ]
    )


def _refunds(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
    return _texts(
        [
            "never sent anything back" if share <= 0 else f"sent back {max(share, 0.01):.0%} of the money"
            for share in frame["refund_share"].tolist()
        ]
    )


def _less_is_risky(column: str) -> Callable[[pd.DataFrame, Flags, Typical], Flags]:
    """Fits when little of `column` raises the risk, or much of it lowers the risk."""

    def fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
        values, usual = frame[column].to_numpy(), typical.medians[column]
        return np.where(raises, values <= usual, values >= usual)

    return fits


def _breadth_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    name = next(name for name in ("products", "categories", "channels") if name in frame.columns)
    return _less_is_risky(name)(frame, raises, typical)


def _refunds_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    return (frame["refund_share"].to_numpy() > 0) == raises


def _rhythm_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    return (frame["regularity"].to_numpy() >= 0.5) != raises


def _recent_fits(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    now = frame[f"spend_{typical.window}d"].to_numpy()
    before = frame[f"spend_{2 * typical.window}d"].to_numpy() - now
    return np.where(raises, now <= before, now >= before)


def _always(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Flags:
    return np.ones(len(frame), dtype=bool)


WINDOWS = (7, 14, 28, 56, 91, 182, 364)
# Windows with a window of twice the length beside them.
DOUBLED = tuple(days for days in WINDOWS if 2 * days in WINDOWS)

FAMILIES: tuple[Family, ...] = (
    Family(
        "pace",
        ("since_last", "recency", "gap_mean", "gap_last", "gap_max", "overdue", "overdue_longest"),
        ("since_last", "gap_mean", "orders"),
        _pace,
        _pace_fits,
    ),
    Family(
        "count", ("orders", "frequency", "orders_per_month", "week_share"), ("orders",), _count, _count_fits
    ),
    Family(
        "recent",
        ("trend", *(f"{what}_{days}d" for days in WINDOWS for what in ("orders", "spend"))),
        ("T", *(f"spend_{days}d" for days in WINDOWS)),
        _recent,
        _recent_fits,
    ),
    Family(
        "amount",
        (
            "mean_spend",
            "monetary_value",
            "first_amount",
            "last_amount",
            "max_amount",
            "last_to_mean_amount",
            "amount_spread",
            "amount_trend",
        ),
        ("mean_spend", "orders"),
        _amount,
        _less_is_risky("mean_spend"),
    ),
    Family(
        "spend",
        ("past_revenue", "spend_per_month"),
        ("past_revenue",),
        _spend,
        _less_is_risky("past_revenue"),
    ),
    Family("rhythm", ("regularity", "gap_sd", "gap_cv"), ("regularity", "orders"), _rhythm, _rhythm_fits),
    Family("tenure", ("T",), ("T", "orders"), _tenure, _always),
    Family(
        "season",
        ("orders_same_season",),
        ("orders_same_season", "T"),
        _season,
        _less_is_risky("orders_same_season"),
    ),
    Family("weekend", ("weekend_share",), ("weekend_share", "orders"), _weekend, _always),
    Family("basket", ("quantity_per_order", "lines_per_order", "orders_per_day"), (), _basket, _always),
    Family("breadth", ("products", "categories", "channels", "product_variety"), (), _breadth, _breadth_fits),
    Family("refunds", ("refund_share",), ("refund_share",), _refunds, _refunds_fits),
)


def other_family(feature: str, label: str) -> Family:
    """Make a family of one feature that has no sentence of its own.

    Examples
    --------
    >>> family = other_family("visits", "visits")
    >>> typical = Typical({"visits": 5.0}, repeat_orders=2.0, window=91)
    >>> family.say(pd.DataFrame({"visits": [3.0]}), np.array([True]), typical).tolist()
    ['visits: 3, typical is 5']
    """

    def say(frame: pd.DataFrame, raises: Flags, typical: Typical) -> Text:
        usual = number(typical.medians[feature])
        return _texts(
            [
                f"{label}: {text}" + ("" if text == usual else f", typical is {usual}")
                for text in numbers(frame[feature])
            ]
        )

    return Family(feature, (feature,), (feature,), say, _always)
