"""Cohorts over time: who still buys, what they have brought and will bring, and when they have paid back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.boosting import FloatArray
from clvseg.config import Settings
from clvseg.errors import ConfigError
from clvseg.forecast.existing import CHUNK, Cells, Draws
from clvseg.forecast.money import net_share
from clvseg.forecast.past import WEEK
from clvseg.forecast.periods import Periods, cohorts
from clvseg.frames import COHORT_CURVES, PAYBACK
from clvseg.value.origins import ModelBase

ALL = "all"
_MOST_CHANNELS = 8
_LEVELS = (0.8, 0.95)
_MOST_RETAINED = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Came:
    """What each cohort has done so far.

    Attributes
    ----------
    periods : Periods
        From the first day of the log to the last.
    rows : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort_and_period` over these periods.
    channel : Series or None
        Of each customer's first day, by customer; None where the log has no channel.
    """

    periods: Periods
    rows: pd.DataFrame
    channel: pd.Series[str] | None

    def named(self, fiscal_year_start: int) -> pd.DataFrame:
        """The rows with ``cohort``, and ``new``: who bought for the first time; rare channels are one."""
        first = pd.to_datetime(self.rows["first_day"])
        opened = pd.DatetimeIndex(self.periods.starts)
        begun = np.searchsorted(opened, pd.DatetimeIndex(first), "right") - 1
        new = self.rows["active"].where(self.rows["place"].to_numpy() == begun, 0)
        rows = self.rows.assign(cohort=cohorts(first, fiscal_year_start), new=new, first_day=first)
        usual = rows.groupby("channel")["new"].sum().nlargest(_MOST_CHANNELS).index
        return rows.assign(channel=rows["channel"].where(rows["channel"].isin(usual), "other"))


def cohort_curves(
    came: pd.DataFrame, periods: Periods, cells: Cells, draws: Draws, ahead: Periods
) -> pd.DataFrame:
    """Retention and revenue of each cohort, period by period, as they came and as they are expected.

    Parameters
    ----------
    came : DataFrame
        From :meth:`Came.named`.
    periods : Periods
        Those of the past.
    cells, draws : Cells, Draws
        Expected and simulated revenue of the periods ahead.
    ahead : Periods
        These.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.COHORT_CURVES`. A drawn share of buyers is that of purchase rates which are moved
        as the cohort's drawn revenue is: 1 - (1 - share)^(drawn / expected).
    """
    parts = []
    for place, name in enumerate(draws.names["cohort"]):
        mine = came[came["cohort"] == name]
        past = _past(mine, len(periods.names))
        rows = (cells.names["cohort"] == name).to_numpy()
        customers = int(cells.names.loc[rows, "customers"].sum())
        value = draws.value["cohort"][place]
        expected = np.maximum(cells.mean[rows].sum(axis=0), 1e-300)
        share = np.minimum(cells.active[rows].sum(axis=0) / customers, _MOST_RETAINED)
        kept = 1 - (1 - share) ** (value / expected)
        brought = float(past["revenue"].sum()) + np.cumsum(value, axis=1)
        so_far = {"retention": past["retention"], "cumulative_revenue": past["cumulative_revenue"]}
        exact = {
            f"{what}_{side}_{level * 100:g}": values
            for what, values in so_far.items()
            for level in _LEVELS
            for side in ("low", "high")
        }
        actual = periods.frame().assign(state="actual", **past, **exact)
        coming = ahead.frame().assign(
            state="forecast",
            customers=customers,
            active=kept.mean(axis=0) * customers,
            retention=kept.mean(axis=0),
            revenue=draws.mean["cohort"][place],
            cumulative_revenue=float(past["revenue"].sum()) + np.cumsum(draws.mean["cohort"][place]),
            **_ends("retention", kept),
            **_ends("cumulative_revenue", brought),
        )
        both = pd.concat([actual[actual["customers"] > 0], coming], ignore_index=True)
        parts.append(both.assign(cohort=name, days_old=_age(mine, list(both["end"]))))
    return COHORT_CURVES.conform(pd.concat(parts, ignore_index=True))


def _past(mine: pd.DataFrame, periods: int) -> dict[str, FloatArray]:
    """What one cohort did in each period."""
    new, active, revenue = (
        np.bincount(mine["place"], mine[name], periods).astype(np.float64)
        for name in ("new", "active", "revenue")
    )
    customers = np.cumsum(new)
    return {
        "customers": customers,
        "active": active,
        "retention": active / np.maximum(customers, 1),
        "revenue": revenue,
        "cumulative_revenue": np.cumsum(revenue),
    }


def _age(mine: pd.DataFrame, ends: Sequence[dt.date]) -> NDArray[np.float64]:
    """Days from the mean first purchase to the end of each period."""
    middle = float(
        np.average(mine["first_day"].to_numpy().astype("datetime64[D]").astype(int), weights=mine["new"])
    )
    return np.array(ends, dtype="datetime64[D]").astype(np.float64) - middle


def _ends(what: str, drawn: FloatArray) -> dict[str, FloatArray]:
    ends: dict[str, FloatArray] = {}
    for level in _LEVELS:
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ends |= {f"{what}_low_{level * 100:g}": low, f"{what}_high_{level * 100:g}": high}
    return ends


@dataclass(frozen=True, slots=True)
class _Origin:
    """Customers of one cohort and channel.

    Attributes
    ----------
    cohort, channel : str
        Which.
    customers : int
        How many.
    cost : float
        Of acquiring one.
    ages : ndarray, shape (points,)
        Days from the mean first purchase to the ends of the periods.
    margin : ndarray, shape (1 + draws, points)
        Of all of them up to then: expected, then drawn.
    known : int
        How many of the points are past.
    """

    cohort: str
    channel: str
    customers: int
    cost: float
    ages: FloatArray
    margin: FloatArray
    known: int

    def gains(self, weeks: FloatArray) -> FloatArray:
        """Margin that comes between one age and the next, shape (1 + draws, weeks)."""
        weights = np.column_stack([np.interp(weeks, self.ages, unit) for unit in np.eye(len(self.ages))])
        return np.diff(self.margin @ weights.T, axis=1, prepend=0.0)


def payback(
    came: pd.DataFrame,
    periods: Periods,
    draws: Draws,
    ahead: Periods,
    shares: dict[tuple[str, str], FloatArray],
    settings: Settings,
) -> pd.DataFrame:
    """When customers of each channel and cohort have brought the margin they cost, and value to cost.

    Cohorts of one channel are laid over each other by age; a cohort counts up to the age that its forecast
    reaches.

    Parameters
    ----------
    came, periods, draws, ahead
        As in :func:`cohort_curves`.
    shares : dict of (cohort, channel) to ndarray, shape (periods,)
        Of the cohort's expected revenue that the channel's customers bring; from :func:`channel_shares`.
    settings : Settings
        Cost, margin, tax and returns.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.PAYBACK`; what has no cost is left out.
    """
    origins = list(_origins(came, periods, draws, ahead, shares, settings))
    chosen: dict[tuple[str, str], list[_Origin]] = {}
    for one in origins:
        for channel in dict.fromkeys((ALL, one.channel)):
            for cohort in (ALL, one.cohort):
                chosen.setdefault((channel, cohort), []).append(one)
    rows = [
        {"channel": channel, "cohort": cohort, **_paid_back(some)}
        for (channel, cohort), some in sorted(chosen.items(), key=lambda item: _all_first(item[0]))
    ]
    return PAYBACK.conform(pd.DataFrame(rows, columns=PAYBACK.names))


def _all_first(key: tuple[str, str]) -> tuple[bool, str, bool, str]:
    channel, cohort = key
    return channel != ALL, channel, cohort != ALL, cohort


def _origins(
    came: pd.DataFrame,
    periods: Periods,
    draws: Draws,
    ahead: Periods,
    shares: dict[tuple[str, str], FloatArray],
    settings: Settings,
) -> Iterator[_Origin]:
    groups = {(str(pair[0]), str(pair[1])): mine for pair, mine in came.groupby(["cohort", "channel"])}
    costs = _costs(settings.forecast.acquisition_cost, list(groups))
    kept = settings.value.margin * net_share(settings.forecast)
    ends = [*periods.ends, *ahead.ends]
    for (cohort, channel), mine in groups.items():
        if (cohort, channel) not in costs:
            continue
        place = draws.names["cohort"].index(cohort)
        past = np.cumsum(np.bincount(mine["place"], mine["revenue"], len(periods.names)))
        drawn = np.vstack([draws.mean["cohort"][place], draws.value["cohort"][place]])
        future = past[-1] + np.cumsum(drawn * shares[cohort, channel], axis=1)
        margin = kept * np.column_stack([np.tile(past, (len(future), 1)), future])
        age, cost = _age(mine, ends), costs[cohort, channel]
        begun = int(mine["place"].min())
        known = len(past) - begun
        yield _Origin(cohort, channel, int(mine["new"].sum()), cost, age[begun:], margin[:, begun:], known)


def _paid_back(origins: list[_Origin]) -> dict[str, object]:
    """One row of the table: customers of some cohorts and channels together."""
    customers = sum(one.customers for one in origins)
    cost = sum(one.cost * one.customers for one in origins) / customers
    so_far = sum(float(one.margin[0, one.known - 1]) for one in origins) / customers
    by_end = np.sum([one.margin[:, -1] for one in origins], axis=0) / customers
    oldest = max(one.ages[-1] for one in origins)
    weeks = np.append(np.arange(0.0, oldest, WEEK), oldest)
    gained, alive = np.zeros((len(by_end), len(weeks))), np.zeros(len(weeks))
    for one in origins:
        there = weeks <= one.ages[-1]
        gained += one.gains(weeks) * there
        alive += one.customers * there
    covered = np.cumsum(gained / alive, axis=1) >= cost
    days = np.where(covered.any(axis=1), weeks[covered.argmax(axis=1)], oldest)
    today = max(one.ages[one.known - 1] for one in origins)
    state = "not yet" if not covered[0].any() else "expected" if days[0] > today else "paid back"
    low, high = (float(np.quantile(by_end[1:], end)) for end in (0.1, 0.9))
    return {
        "customers": customers,
        "cost": cost,
        "margin_so_far": so_far,
        "margin": by_end[0],
        "margin_low_80": low,
        "margin_high_80": high,
        "value_to_cost": by_end[0] / cost,
        "value_to_cost_low_80": low / cost,
        "value_to_cost_high_80": high / cost,
        "state": state,
        "payback_days": round(days[0]),
        "payback_low_80": round(float(np.quantile(days[1:], 0.1))),
        "payback_high_80": round(float(np.quantile(days[1:], 0.9))),
    }


def channel_shares(
    base: ModelBase,
    people: pd.DataFrame,
    factor: FloatArray,
    cohort: pd.Series[str],
    channel: pd.Series[str],
    days: FloatArray,
) -> dict[tuple[str, str], FloatArray]:
    """Share of each cohort's expected revenue that each channel's customers bring, by period.

    Parameters
    ----------
    base, people, factor, days
        As in :func:`clvseg.forecast.existing.expect`.
    cohort, channel : Series
        Of each customer, in the same order.
    """
    names = pd.MultiIndex.from_arrays([cohort, channel])
    codes, pairs = pd.factorize(names, sort=True)
    total = np.zeros((len(pairs), len(days)))
    for begin in range(0, len(people), CHUNK):
        rows, code = people.iloc[begin : begin + CHUNK], codes[begin : begin + CHUNK]
        scale = base.expected_spend(rows) * factor[begin : begin + CHUNK]
        expected = base.value_model.purchases_.expected_periods(rows, days) * scale[:, None]
        order = np.argsort(code, kind="stable")
        present, starts = np.unique(code[order], return_index=True)
        total[present] += np.add.reduceat(expected[order], starts, axis=0)
    whole = pd.DataFrame(total).groupby(pairs.get_level_values(0)).transform("sum").to_numpy()
    return dict(zip(pairs, total / np.maximum(whole, 1e-300), strict=True))


def _costs(given: float | str | None, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Cost of one customer by cohort and channel; pairs without one are left out."""
    if not isinstance(given, str):
        return {} if given is None else dict.fromkeys(pairs, given)
    known = pd.DataFrame(pairs, columns=["cohort", "channel"])
    try:
        table = pd.read_csv(given, dtype={"cohort": str, "channel": str})
        keys = [name for name in ("channel", "cohort") if name in table]
        table["cost"] = pd.to_numeric(table["cost"])
        if not keys or table.isna().any(axis=None) or not (table["cost"] > 0).all():
            raise ValueError("costs must be above 0, beside a channel, a cohort or both")
        if table.duplicated(keys).any():
            raise ValueError(f"{' and '.join(keys)} stand more than once")
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"cannot read the costs of acquisition {given}.",
            found=str(error),
            hint="a CSV file with the columns channel or cohort (or both) and cost (of one new customer).",
        ) from None
    told, there = (pd.MultiIndex.from_frame(frame[keys]) for frame in (table, known))
    strange = [" / ".join(key) for key in told[~told.isin(there)]]
    if strange:
        raise ConfigError(
            f"{given} has costs of what the log does not know: {', '.join(strange[:5])}.",
            found=", ".join(" / ".join(key) for key in there.unique()) + ".",
            hint="map [data.columns] channel, and call cohorts as the table by cohort does.",
        )
    found = known.merge(table, on=keys)
    return dict(
        zip(zip(found["cohort"], found["channel"], strict=True), found["cost"].astype(float), strict=True)
    )
