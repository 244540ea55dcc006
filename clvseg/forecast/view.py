"""Tables of the finance view."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.boosting import FloatArray
from clvseg.config import Settings
from clvseg.forecast.clock import learn_season, season_draws
from clvseg.forecast.coming import Coming, expect_coming
from clvseg.forecast.curves import ALL, Came, channel_shares, cohort_curves, payback
from clvseg.forecast.equity import equity_table
from clvseg.forecast.errors import Spread, parameter_draws
from clvseg.forecast.existing import DRAWS, Cells, Draws, expect, simulate
from clvseg.forecast.money import basis, discount, ends_of, net_share, with_total
from clvseg.forecast.past import Past, history, learn_past
from clvseg.forecast.periods import TOTAL, Periods, between, cohorts, last_day
from clvseg.forecast.scenarios import orders_kept, scenario_table
from clvseg.frames import (
    BACKTEST,
    BACKTEST_WEEKS,
    BRIDGE,
    COHORT_CURVES,
    EQUITY,
    EQUITY_STEPS,
    FINDINGS,
    FORECAST,
    PAYBACK,
    SCENARIOS,
)
from clvseg.value.origins import ModelBase

OURS = "clvseg forecast"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Revenue to come, as finance reads it.

    Attributes
    ----------
    table : DataFrame
        :data:`clvseg.frames.FORECAST`.
    history : DataFrame
        :data:`clvseg.frames.FORECAST_HISTORY`.
    facts : dict
        ``model`` (its name in the backtest), ``as_of`` (ISO date), ``horizon_days``, ``periods`` (their
        kind), ``currency`` (may be None), ``basis`` (what the figures include, in words), ``total`` (dict
        ``revenue``, ``low_80`` ... , of all periods and known customers), ``everybody`` (the same with
        customers to come), ``new_customers`` (how many are expected), ``spread`` and ``past`` (what the
        intervals are made of; see :class:`clvseg.forecast.errors.Spread` and
        :class:`clvseg.forecast.past.Past`).
    findings : DataFrame
        :data:`clvseg.frames.FINDINGS`.
    bridge : DataFrame
        :data:`clvseg.frames.BRIDGE`, to the first period.
    cohort_curves : DataFrame
        :data:`clvseg.frames.COHORT_CURVES`.
    payback : DataFrame
        :data:`clvseg.frames.PAYBACK`; empty where no cost of acquisition is known.
    equity, equity_steps : DataFrame
        :data:`clvseg.frames.EQUITY` and ``EQUITY_STEPS``, the latter since an earlier run; else empty, and
        ``facts["equity_since"]`` says why.
    scenarios : DataFrame
        :data:`clvseg.frames.SCENARIOS`; empty where the settings have none.
    backtest, backtest_weeks : DataFrame
        :data:`clvseg.frames.BACKTEST` and ``BACKTEST_WEEKS``; empty where it was not asked for.
    """

    table: pd.DataFrame
    history: pd.DataFrame
    facts: dict[str, Any]
    findings: pd.DataFrame = field(default_factory=FINDINGS.empty)
    bridge: pd.DataFrame = field(default_factory=BRIDGE.empty)
    cohort_curves: pd.DataFrame = field(default_factory=COHORT_CURVES.empty)
    payback: pd.DataFrame = field(default_factory=PAYBACK.empty)
    equity: pd.DataFrame = field(default_factory=EQUITY.empty)
    equity_steps: pd.DataFrame = field(default_factory=EQUITY_STEPS.empty)
    scenarios: pd.DataFrame = field(default_factory=SCENARIOS.empty)
    backtest: pd.DataFrame = field(default_factory=BACKTEST.empty)
    backtest_weeks: pd.DataFrame = field(default_factory=BACKTEST_WEEKS.empty)


def forecast_table(
    draws: Draws, cells: Cells, coming: Coming, periods: Periods, as_of: dt.date, settings: Settings
) -> pd.DataFrame:
    """Periods and their total, of known customers, their cohorts and segments, of new ones and of everybody.

    Parameters
    ----------
    draws, cells : Draws, Cells
        Simulated and expected revenue.
    coming : Coming
        The same of customers not yet acquired.
    periods : Periods
        Which.
    as_of : date
        Day to which is discounted.
    settings : Settings
        Tax, returns, margin and discount rate.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.FORECAST`.
    """
    frame = periods.frame_with_total()
    today = discount(periods, as_of, settings)
    kept = net_share(settings.forecast)
    parts = []
    for kind, name, customers, mean, value in _groups(draws, cells, coming):
        margin = settings.value.margin * kept * mean
        part = frame.assign(
            group=kind,
            name=name,
            customers=customers,
            revenue=with_total(mean),
            net_revenue=with_total(kept * mean),
            margin=with_total(margin),
            present_value=with_total(margin * today),
            **ends_of(value),
        )
        parts.append(part)
    return FORECAST.conform(pd.concat(parts, ignore_index=True))


def _groups(
    draws: Draws, cells: Cells, coming: Coming
) -> Iterator[tuple[str, str, NDArray[np.int64], FloatArray, FloatArray]]:
    """Kind, name, customers, mean per period and draws of everything that has rows."""
    periods = len(coming.mean) + 1
    mean, value = draws.mean["segment"].sum(axis=0), draws.value["segment"].sum(axis=0)
    known = np.full(periods, cells.names["customers"].sum())
    new = np.round(with_total(coming.customers)).astype(np.int64)
    yield "all", "all", known, mean, value
    yield "new", "new", new, coming.mean, coming.value
    yield "everybody", "everybody", known + new, mean + coming.mean, value + coming.value
    for kind, names in draws.names.items():
        for place, name in enumerate(names):
            mine = cells.names.loc[cells.names[kind] == name, "customers"].sum()
            yield kind, name, np.full(periods, mine), draws.mean[kind][place], draws.value[kind][place]


def look_ahead(
    base: ModelBase,
    people: pd.DataFrame,
    daily: pd.DataFrame,
    spread: Spread,
    as_of: dt.date,
    settings: Settings,
    currency: str | None = None,
    *,
    periods: Periods | None = None,
    came: Came | None = None,
) -> Forecast:
    """Revenue to come of known customers, by period, cohort and segment.

    Parameters
    ----------
    base : ModelBase
        Purchase and spend models as of the day.
    people : DataFrame
        Features as of the day, indexed by customer, with ``predicted_value`` (money of the base's horizon)
        and ``segment``.
    daily : DataFrame
        From :func:`clvseg.data.summary.revenue_by_cohort`, up to the day.
    spread : Spread
        Errors at earlier cutoffs.
    as_of : date
        Last known day.
    settings : Settings
        Of the run.
    currency : str, optional
        Unit of the money.
    periods : Periods, optional
        Instead of those that the settings ask for.
    came : Came, optional
        What cohorts did so far; without it they are not looked at over time.
    """
    asked = settings.forecast
    if periods is None:
        last = last_day(as_of, asked.horizon or settings.horizon)
        periods = between(as_of + dt.timedelta(days=1), last, asked.periods, asked.fiscal_year_start)
    found = draw_ahead(base, people, daily, spread, as_of, settings, periods)
    cells, past, draws = found.cells, found.past, found.draws
    level = draws.level * past.seasonal(periods)

    def newcomers(churn: float) -> Coming:
        rng = np.random.default_rng(settings.seed + 1)
        return expect_coming(found.base, daily, as_of, periods, level, asked.acquisition, rng, churn)

    coming = newcomers(1.0)
    table = forecast_table(draws, cells, coming, periods, as_of, settings)
    what_if = scenario_table(draws, cells, coming, found.kept, newcomers, periods, as_of, settings)
    before = history(daily, as_of, asked.periods, asked.fiscal_year_start)
    told = Forecast(
        table,
        before,
        _facts(table, settings, as_of, currency, spread, past),
        equity=equity_table(draws, cells, periods, as_of, settings),
        scenarios=what_if,
    )
    if came is None:
        return told
    rows = came.named(asked.fiscal_year_start)
    told = replace(told, cohort_curves=cohort_curves(rows, came.periods, cells, draws, periods))
    if asked.acquisition_cost is None:
        return told
    shares = _channel_shares(base, people, rows, came.channel, periods.days_after(as_of), as_of, settings)
    return replace(told, payback=payback(rows, came.periods, draws, periods, shares, settings))


def _channel_shares(
    base: ModelBase,
    people: pd.DataFrame,
    rows: pd.DataFrame,
    channel: pd.Series[str] | None,
    days: FloatArray,
    as_of: dt.date,
    settings: Settings,
) -> dict[tuple[str, str], FloatArray]:
    """Share of each channel in its cohorts' revenue to come; all of it where the log has no channel."""
    if channel is None:
        return {(str(name), ALL): np.ones(len(days)) for name in rows["cohort"].unique()}
    mine = channel.reindex(people.index)
    mine = mine.where(mine.isin(rows["channel"].unique()), "other")
    cohort = _cohorts(people, as_of, settings)
    return channel_shares(base, people, correction(base, people), cohort, mine, days)


def _cohorts(people: pd.DataFrame, as_of: dt.date, settings: Settings) -> pd.Series[str]:
    first = pd.Timestamp(as_of) - pd.to_timedelta(people["T"], unit="D")
    return cohorts(first, settings.forecast.fiscal_year_start)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is behind :func:`look_ahead`.

    Attributes
    ----------
    base : ModelBase
        Models on the season's clock.
    people : DataFrame
        Features as of the day, times on the clock, and ``segment``.
    factor : ndarray, shape (customers,)
        The hybrid model's correction.
    days : ndarray, shape (periods,)
        Ends of the periods on the clock.
    cells, past, draws : Cells, Past, Draws
        Expected and simulated revenue, and the season and scatter in it.
    """

    base: ModelBase
    people: pd.DataFrame
    factor: FloatArray
    days: FloatArray
    cells: Cells
    past: Past
    draws: Draws

    def kept(self, segment: str | None, churn: float) -> FloatArray:
        """:func:`clvseg.forecast.scenarios.orders_kept` of a segment or of everybody."""
        mine = np.ones(len(self.people), dtype=bool)
        if segment is not None:
            mine = (self.people["segment"] == segment).to_numpy()
        return orders_kept(self.base, self.people[mine], self.factor[mine], self.days, churn)


def draw_ahead(
    base: ModelBase,
    people: pd.DataFrame,
    daily: pd.DataFrame,
    spread: Spread,
    as_of: dt.date,
    settings: Settings,
    periods: Periods,
) -> Ahead:
    """Expect and draw the revenue, with the parameters of :func:`look_ahead`."""
    days = periods.days_after(as_of)
    past, own, there = learn_season(base, people, daily, as_of)
    ahead = past.on_clock(as_of, days)
    groups = pd.DataFrame({"cohort": _cohorts(people, as_of, settings), "segment": people["segment"]})
    factor = correction(base, people, of_total=not past.season)
    cells = expect(own, there, factor, groups, ahead, settings.seed)
    rng = np.random.default_rng(settings.seed)
    unsure = parameter_draws(own, there, ahead, DRAWS, rng)
    if past.season:
        unsure += season_draws(own, people, past, as_of, days, DRAWS, rng)
    else:
        past = learn_past(daily, as_of, base.value_model.purchases_, cells.chance)
    draws = simulate(cells, unsure, days, spread, past, rng)
    return Ahead(own, there, factor, ahead, cells, past, draws)


def correction(base: ModelBase, people: pd.DataFrame, *, of_total: bool = True) -> FloatArray:
    """What the hybrid model makes of each customer's expectation, shape (customers,).

    Without `of_total` only how customers differ: the models' own total is kept.
    """
    own = base.value_model.expected_purchases(people, base.horizon_days) * base.expected_spend(people)
    predicted = people["predicted_value"].to_numpy(dtype=np.float64)
    if not of_total:
        predicted = predicted * (own.sum() / max(predicted.sum(), 1e-300))
    return np.divide(predicted, own, out=np.ones_like(own), where=own > 0)


def _facts(
    table: pd.DataFrame, settings: Settings, as_of: dt.date, currency: str | None, spread: Spread, past: Past
) -> dict[str, Any]:
    """Single facts of a forecast; see :class:`Forecast`."""
    whole: Any = table[table["period"] == TOTAL].drop_duplicates("group").set_index("group")
    figures = FORECAST.names[FORECAST.names.index("revenue") :]
    return {
        "model": OURS,
        "as_of": as_of.isoformat(),
        "horizon_days": int(whole.loc["all", "days"]),
        "periods": settings.forecast.periods,
        "currency": currency,
        "basis": basis(settings),
        "total": {name: float(whole.loc["all", name]) for name in figures},
        "everybody": {name: float(whole.loc["everybody", name]) for name in figures},
        "new_customers": int(whole.loc["new", "customers"]),
        "spread": asdict(spread),
        "past": asdict(past),
    }
