"""Movement between two dates of the history: who went where, who left, how large the segments will be."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.errors import ConfigError, DataError, nearest
from clvseg.frames import LEAVERS, MOVEMENT, SIZES
from clvseg.monitoring.history import History
from clvseg.segments.mixed import UNSURE

NEW, ABSENT = "(new customers)", "(not scored)"
"""Where who was not there at the first date comes from, and where who is missing at the second one went."""
LEVEL = 0.8
PERIODS = 3
DRAWS = 4000
# Dirichlet's prior weight of a row, spread evenly over the segments (Perks 1947); Jeffreys' of the entries.
_PRIOR, _PRIOR_ENTRIES = 1.0, 0.5


@dataclass(frozen=True)
class Movement:
    """What changed between two dates.

    Attributes
    ----------
    first, second : date
        The dates compared.
    segments : list of str
        Those of either date, the most valuable per customer at the second date first, ``unsure`` last.
    table : DataFrame
        The transition matrix, a row a pair; :data:`clvseg.frames.MOVEMENT`.
    sizes : DataFrame
        :data:`clvseg.frames.SIZES`: what the sizes will be after one, two and three more such periods.
    """

    first: dt.date
    second: dt.date
    segments: list[str]
    table: pd.DataFrame
    sizes: pd.DataFrame

    def matrix(self) -> pd.DataFrame:
        """Customers by segment at the first date (rows) and at the second (columns)."""
        wide = self.table.pivot_table(
            index="from_segment", columns="to_segment", values="customers", aggfunc="sum", fill_value=0
        )
        rows = [*self.segments, *([NEW] if NEW in wide.index else [])]
        columns = [*self.segments, *([ABSENT] if ABSENT in wide else [])]
        return wide.reindex(index=rows, columns=columns, fill_value=0).astype("int64")


def movement(
    history: History, first: dt.date | None = None, second: dt.date | None = None, *, seed: int = 1
) -> Movement:
    """Compare two dates of a history.

    Parameters
    ----------
    history : History
        Of a run.
    first, second : date, optional
        Default: the newest date, and the one before `second`.
    seed : int
        Of the draws behind the forecast.

    Raises
    ------
    DataError
        When a date is not in the history or there are not two.
    """
    (first, before), (second, after) = _two_dates(history, first, second)
    order = after.groupby("segment")["predicted_value"].mean()
    names = sorted(order.index, key=lambda name: (-order[name], name))
    names += sorted(set(before["segment"]) - set(names))
    names.sort(key=lambda name: name == UNSURE)
    table = transitions(before, after)
    return Movement(first, second, names, table, forecast_sizes(table, names, second, second - first, seed))


def leavers(history: History, segment: str, first: dt.date | None, second: dt.date | None) -> pd.DataFrame:
    """List who was in a segment at the first date and is elsewhere at the second, most valuable first.

    Parameters
    ----------
    history : History
        Of a run.
    segment : str
        Name, in upper or lower case.
    first, second : date, optional
        As in :func:`movement`.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.LEAVERS`.

    Raises
    ------
    ConfigError
        When nobody was in such a segment.
    DataError
        As :func:`movement`.
    """
    (_, before), (_, after) = _two_dates(history, first, second)
    known = {name.lower(): name for name in before["segment"].unique()}
    if segment.lower() not in known:
        guess = nearest(segment, list(known.values()))
        raise ConfigError(
            f"nobody was in a segment {segment}.",
            found=", ".join(sorted(known.values())) + ".",
            hint=f"did you mean {guess}?" if guess else None,
        )
    then = before[before["segment"] == known[segment.lower()]]
    now = after.reindex(then.index)
    now["segment"] = now["segment"].astype(object).where(now["segment"].notna(), ABSENT)
    gone = now["segment"] != known[segment.lower()]
    out = pd.DataFrame(
        {
            "segment": now["segment"],
            "value_before": then["predicted_value"],
            "value_after": now["predicted_value"].fillna(0.0),
            "churn_before": then["churn_probability"],
            "churn_after": now["churn_probability"].fillna(then["churn_probability"]),
        }
    )[gone]
    out = out.sort_values("value_before", ascending=False, kind="stable")
    return LEAVERS.conform(out.rename_axis("customer_id").reset_index())


def transitions(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Count who went from where to where, and the predicted value they took along.

    Parameters
    ----------
    before, after : DataFrame
        One date each, indexed by customer; :data:`clvseg.frames.HISTORY`.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.MOVEMENT`; pairs without customers are left out.
    """
    columns = ["segment", "predicted_value"]
    both = before[columns].add_suffix("_then").join(after[columns].add_suffix("_now"), how="outer")
    both = both.assign(
        from_segment=both["segment_then"].astype(object).fillna(NEW),
        to_segment=both["segment_now"].astype(object).fillna(ABSENT),
        value_before=both["predicted_value_then"].fillna(0.0),
        value_after=both["predicted_value_now"].fillna(0.0),
    )
    grouped = both.groupby(["from_segment", "to_segment"], sort=True)
    out = grouped[["value_before", "value_after"]].sum()
    out["customers"] = grouped.size()
    out["share"] = out["customers"] / out.groupby(level="from_segment")["customers"].transform("sum")
    return MOVEMENT.conform(out.reset_index())


def forecast_sizes(
    table: pd.DataFrame, names: list[str], day: dt.date, period: dt.timedelta, seed: int
) -> pd.DataFrame:
    """Forecast the sizes of the segments after more periods like the last one.

    A Markov chain: customers move with the shares of the last period, whose rows are drawn from their
    Dirichlet posterior, and each customer moves by chance; new customers come at the rate of the last period
    (its gamma posterior) and begin where the last ones did. Neither seasons nor growth are in it.

    Parameters
    ----------
    table : DataFrame
        :data:`clvseg.frames.MOVEMENT`.
    names : list of str
        The segments.
    day : date
        Second date of the table.
    period : timedelta
        From the first to the second date.
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.SIZES`.
    """
    rng = np.random.default_rng(seed)
    counts = _counts(table, [*names, NEW], [*names, ABSENT])
    inside, entries = counts[:-1], counts[-1, :-1]
    now = inside[:, :-1].sum(axis=0) + entries
    chances = np.stack([rng.dirichlet(row + _PRIOR / len(row), DRAWS) for row in inside], axis=1)
    starts = rng.dirichlet(entries + _PRIOR / len(entries), DRAWS)
    rate = rng.gamma(entries.sum() + _PRIOR_ENTRIES, 1.0, DRAWS) if entries.sum() else np.zeros(DRAWS)
    sizes = np.tile(now, (DRAWS, 1))
    rows: list[dict[str, Any]] = []
    for step in range(1, PERIODS + 1):
        moved = [rng.multinomial(sizes[:, place], chances[:, place]) for place in range(len(names))]
        sizes = np.sum(moved, axis=0)[:, :-1] + rng.multinomial(rng.poisson(rate), starts)
        low, high = np.quantile(sizes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        middle = sizes.mean(axis=0)
        ahead = pd.Timestamp(day + step * period)
        rows += [
            {"as_of": ahead, "segment": name, "now": now[i], "customers": middle[i], "low": low[i],
             "high": high[i]}
            for i, name in enumerate(names)
        ]  # fmt: skip
    return SIZES.conform(pd.DataFrame(rows, columns=SIZES.names))


def _counts(table: pd.DataFrame, rows: list[str], columns: list[str]) -> NDArray[np.int64]:
    out = np.zeros((len(rows), len(columns)), dtype=np.int64)
    places = (
        [rows.index(name) for name in table["from_segment"]],
        [columns.index(name) for name in table["to_segment"]],
    )
    out[places] = table["customers"].to_numpy()
    return out


def _two_dates(
    history: History, first: dt.date | None, second: dt.date | None
) -> tuple[tuple[dt.date, pd.DataFrame], tuple[dt.date, pd.DataFrame]]:
    """Both dates with their customers."""
    dates = history.dates()
    second = second or (dates[-1] if dates else dt.date.max)
    after = history.read(second)
    earlier = [day for day in dates if day < second]
    if first is None and not earlier:
        raise DataError(
            f"the history has no date before {second} to compare with.",
            found=", ".join(map(str, dates)) + ".",
            hint="`clvseg score RUN LOG --as-of DATE` adds one.",
        )
    first = first or earlier[-1]
    if first >= second:
        raise DataError(f"the first date, {first}, must lie before the second, {second}.")
    return (first, history.read(first)), (second, after)
