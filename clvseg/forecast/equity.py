"""Customer equity: what today's customers are worth, and what made it rise or fall since an earlier run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvseg.config import Settings
from clvseg.forecast.existing import Cells, Draws
from clvseg.forecast.money import YEAR, discount, ends_of, net_share
from clvseg.forecast.periods import TOTAL, Periods
from clvseg.frames import EQUITY, EQUITY_STEPS

EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class Before:
    """What an earlier run said.

    Attributes
    ----------
    as_of : date
        Its last known day.
    table : DataFrame
        Its forecast: :data:`clvseg.frames.FORECAST`.
    scores : DataFrame
        Its ``customer_id``, ``segment`` and ``predicted_value``.
    """

    as_of: dt.date
    table: pd.DataFrame
    scores: pd.DataFrame


def equity_table(
    draws: Draws, cells: Cells, periods: Periods, as_of: dt.date, settings: Settings
) -> pd.DataFrame:
    """Equity of each segment and of all customers: expected margin, discounted to the last known day.

    Parameters
    ----------
    draws, cells : Draws, Cells
        Of the forecast.
    periods, as_of, settings
        As in :func:`clvseg.forecast.view.forecast_table`.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.EQUITY`, segments as they are valued, then ``all``.
    """
    worth = settings.value.margin * net_share(settings.forecast) * discount(periods, as_of, settings)
    names, found = draws.names["segment"], []
    value = draws.value["segment"] @ worth
    mean = draws.mean["segment"] @ worth
    known = cells.names.groupby("segment")["customers"].sum()
    for place, name in enumerate(names):
        found.append((name, int(known[name]), float(mean[place]), value[place]))
    found.sort(key=lambda row: -row[2])
    found.append((EVERYBODY, int(known.sum()), float(mean.sum()), value.sum(axis=0)))
    frame = pd.DataFrame(
        {
            "segment": [row[0] for row in found],
            "customers": [row[1] for row in found],
            "equity": [row[2] for row in found],
        }
    )
    ends = [ends_of(row[3][:, None]) for row in found]
    for name in ends[0]:
        frame[name] = [float(one[name][0]) for one in ends]
    whole = frame["equity"].iloc[-1]
    frame["share"] = frame["equity"] / whole if whole else 0.0
    frame["per_customer"] = frame["equity"] / frame["customers"]
    return EQUITY.conform(frame)


def equity_steps(
    equity: pd.DataFrame, people: pd.DataFrame, before: Before, as_of: dt.date, settings: Settings
) -> pd.DataFrame:
    """Steps from the equity of an earlier run to today's, by segment; they add up to the cent.

    A customer's share of the segment's equity is that of the predicted value.

    Parameters
    ----------
    equity : DataFrame
        From :func:`equity_table`.
    people : DataFrame
        Today's customers, indexed by id: ``segment``, ``predicted_value``, ``T`` and ``recency`` (days).
    before : Before
        The earlier run, over as many days ahead.
    as_of : date
        Today: last known day.
    settings : Settings
        Today's; the earlier forecast is valued by them, and the difference is a step of its own.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.EQUITY_STEPS`.
    """
    own = equity.set_index("segment")["equity"]
    earlier = _revalued(before, settings)
    lines = _lines(people, before, own, earlier["now"], as_of)
    revalued = (earlier["now"] - earlier["then"]).rename("equity").rename_axis("segment").reset_index()
    lines = pd.concat([revalued.assign(step="settings", whole=None), lines])
    each = lines[lines["whole"].ne(True)].groupby(["segment", "step"])["equity"].sum().to_dict()
    names = [name for name in own.index if name != EVERYBODY]
    names += sorted(set(earlier.index) - set(names))
    parts = []
    for name in names:
        steps = {step: each.get((name, step), 0.0) for step in _MEANINGS}
        parts.append(_rows(name, earlier["then"].get(name, 0.0), own.get(name, 0.0), steps))
    whole: Any = lines[lines["whole"].ne(False)].groupby("step")["equity"].sum().to_dict()
    parts.append(_rows(EVERYBODY, earlier["then"].sum(), own[EVERYBODY], whole))
    return EQUITY_STEPS.conform(pd.concat(parts, ignore_index=True))


def _lines(
    people: pd.DataFrame, before: Before, now: pd.Series, then: pd.Series, as_of: dt.date
) -> pd.DataFrame:
    """What each customer adds: ``segment``, ``step``, ``equity``; ``whole`` says of which sums it is part.

    Who moved between segments comes into one and goes out of the other, and in the sum of all has ordered or
    not; ``whole`` is False for the former, True for the latter, and missing for what is part of both.
    """
    told = before.scores.set_index("customer_id")
    each = pd.DataFrame({"now": people["segment"], "equity_now": _each(people, now)}).join(
        pd.DataFrame({"then": told["segment"], "equity_then": _each(told, then)}), how="outer"
    )
    each[["equity_now", "equity_then"]] = each[["equity_now", "equity_then"]].fillna(0.0)
    quiet = (people["T"] - people["recency"]).reindex(each.index) >= (as_of - before.as_of).days
    answer = np.where(quiet, "no order since", "ordered since")
    gain = each["equity_now"] - each["equity_then"]
    new, gone = each["then"].isna(), each["now"].isna()
    both = ~new & ~gone
    moved = both & (each["now"] != each["then"])
    found = (
        (new, each["now"], "new customers", each["equity_now"], None),
        (both & ~moved, each["now"], answer, gain, None),
        (moved, each["now"], answer, gain, True),
        (moved, each["now"], "moved in", each["equity_now"], False),
        (moved, each["then"], "moved out", -each["equity_then"], False),
        (gone, each["then"], "not in the log any more", -each["equity_then"], None),
    )
    return pd.concat(
        [
            pd.DataFrame({"segment": name, "step": step, "equity": money})[rows].assign(whole=whole)
            for rows, name, step, money, whole in found
        ]
    )


_MEANINGS = {
    "settings": "the earlier forecast, valued by today's margin, tax, returns and discount rate",
    "new customers": "who first bought since then",
    "ordered since": "those who have bought since: expected to bring more or less than then",
    "no order since": "those who have not",
    "moved in": "from other segments, at what they are worth now",
    "moved out": "to other segments, at what they were worth",
    "not in the log any more": "their lines have gone from the data",
}


def _rows(segment: str, then: float, now: float, steps: dict[str, float]) -> pd.DataFrame:
    """The steps of one segment, to the cent; what rounding leaves goes to the largest."""
    start, goal = round(float(then), 2), round(float(now), 2)
    cents = {name: round(float(steps.get(name, 0.0)), 2) for name in _MEANINGS}
    largest = max(cents, key=lambda name: abs(cents[name]))
    cents[largest] = round(cents[largest] + goal - start - sum(cents.values()), 2)
    lines = [("before", start, "equity at the earlier run")]
    lines += [(name, value, _MEANINGS[name]) for name, value in cents.items() if value]
    lines.append(("now", goal, "equity today"))
    return pd.DataFrame(lines, columns=["step", "equity", "meaning"]).assign(segment=segment)


def _each(people: pd.DataFrame, equity: pd.Series) -> pd.Series:
    """Equity of each customer: of the segment's, as much as of its predicted value."""
    total = people.groupby("segment")["predicted_value"].transform("sum")
    count = people.groupby("segment")["predicted_value"].transform("size")
    share = (people["predicted_value"] / total).where(total > 0, 1 / count)
    return share * people["segment"].map(equity).fillna(0.0)


def _revalued(before: Before, settings: Settings) -> pd.DataFrame:
    """Equity of the earlier run's segments as it was said ``then``, and by today's settings ``now``."""
    rows = before.table[before.table["group"] == "segment"]
    whole = rows[rows["period"] == TOTAL].set_index("name")["present_value"]
    each = rows[rows["period"] != TOTAL]
    middle = (each["end"] - pd.Timestamp(before.as_of)).dt.days - each["days"] / 2
    kept = settings.value.margin * net_share(settings.forecast)
    worth = kept * (1 + settings.value.discount_rate) ** (-middle / YEAR)
    now = (each["revenue"] * worth).groupby(each["name"]).sum()
    return pd.DataFrame({"then": whole, "now": now.reindex(whole.index)})
