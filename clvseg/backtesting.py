"""The finance view judged: what would have been forecast at earlier days, beside what came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clvseg import forecast as finance
from clvseg.boosting import FloatArray, Panel
from clvseg.config import Settings, ValueSettings
from clvseg.data.features import customer_features
from clvseg.data.summary import outcomes, revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.forecast.past import WEEK, weekly_tracking
from clvseg.forecast.view import OURS
from clvseg.frames import BACKTEST, BACKTEST_WEEKS
from clvseg.learning import value_fitter
from clvseg.value.hybrid import OriginErrors
from clvseg.value.intervals import LEVELS
from clvseg.value.origins import MIN_BUYERS, MIN_CUSTOMERS, ModelBase, build_panel, plan_origins

LIFETIMES = "lifetimes BG/NBD"
# Those that work on logs are taken at their median: the mean of ARIMA's simulations runs off.
_RIVALS: tuple[tuple[str, Callable[..., FloatArray], Callable[..., FloatArray]], ...] = (
    ("seasonal naive", finance.seasonal_naive, np.mean),
    ("ETS", finance.exponential_smoothing, np.median),
    ("ARIMA", finance.arima, np.median),
)
_DRAWS = 1_000
_MIN_HISTORY_DAYS = 91
_HORIZONS = (4, 13, 26, 39, 52)


@dataclass(frozen=True, slots=True)
class Backtest:
    """Forecasts from earlier days against what came.

    Attributes
    ----------
    summary : DataFrame
        :data:`clvseg.frames.BACKTEST`.
    weeks : DataFrame
        :data:`clvseg.frames.BACKTEST_WEEKS`.
    """

    summary: pd.DataFrame
    weeks: pd.DataFrame


def backtest(
    transactions: Transactions,
    settings: Settings,
    progress: Callable[[str], None],
    days: list[dt.date] | None = None,
) -> Backtest:
    """Forecast from earlier days with what was known then, and compare with what came.

    All forecast the revenue of the customers known on the day. The rivals see the weekly revenue of repeat
    purchases up to it; lifetimes gives its expectation without an interval.

    Parameters
    ----------
    transactions : Transactions
        The whole log.
    settings : Settings
        Of the run.
    progress : callable
        Called with the title of each step.
    days : list of date, optional
        To forecast from, instead of those that :func:`plan_days` chooses.

    Raises
    ------
    DataError
        When the log is too short for any.
    """
    days = days or plan_days(transactions.first_day, transactions.last_day, settings)
    frames, totals = [], []
    for day in days:
        progress(f"Forecasting from {day}")
        horizon = min(settings.horizon_days, (transactions.last_day - day).days) // WEEK
        actual = _actual(transactions, day, horizon)
        for model, mean, drawn in _forecasts(transactions, day, horizon, settings):
            frames.append(_weeks(day, model, actual, mean, drawn))
            totals += _totals(model, actual, mean, drawn)
    return Backtest(_summary(pd.DataFrame(totals)), BACKTEST_WEEKS.conform(pd.concat(frames)))


def plan_days(first_day: dt.date, last_day: dt.date, settings: Settings) -> list[dt.date]:
    """Days to forecast from, newest first.

    The first lies the horizon before the end, each other a quarter of it before. Each has a history of at
    least 91 days; the horizon makes way where the log is shorter than two.

    Examples
    --------
    >>> asked = Settings.make({"horizon": "26w"})
    >>> [day.isoformat() for day in plan_days(dt.date(1997, 1, 1), dt.date(1998, 6, 30), asked)][:3]
    ['1997-12-30', '1997-11-15', '1997-10-01']
    """
    horizon = min(settings.horizon_days, (last_day - first_day).days // 2)
    step = dt.timedelta(days=max(WEEK, horizon // 4))
    newest = last_day - dt.timedelta(days=horizon)
    wanted = [newest - place * step for place in range(settings.forecast.origins)]
    days = [day for day in wanted if (day - first_day).days >= _MIN_HISTORY_DAYS]
    if not days or horizon < 4 * WEEK:
        raise DataError(
            "the log is too short to test a forecast on it.",
            found=f"{first_day} to {last_day}.",
            hint=f"{_MIN_HISTORY_DAYS} days and a horizon of four weeks or more are needed.",
        )
    return days


def _actual(tx: Transactions, day: dt.date, weeks: int) -> FloatArray:
    """Revenue of each week after a day, of the customers known on it, shape (weeks,)."""
    daily = revenue_by_cohort(tx)
    ahead = (daily["day"] - pd.Timestamp(day)).dt.days.to_numpy()
    mine = (daily["first_day"] <= pd.Timestamp(day)).to_numpy() & (ahead >= 1) & (ahead <= WEEK * weeks)
    return np.bincount((ahead[mine] - 1) // WEEK, daily["revenue"].to_numpy()[mine], weeks).astype(np.float64)


def _forecasts(
    tx: Transactions, day: dt.date, weeks: int, settings: Settings
) -> Iterator[tuple[str, FloatArray, FloatArray | None]]:
    """Every model's name, expectation per week and draws (draws, weeks), from what was known on a day."""
    known = tx.split(day)
    daily = revenue_by_cohort(known)
    panel, base = build_panel(known, day, weeks * WEEK, value_fitter(settings.value))
    mean, drawn = _own(panel, base, daily, settings, weeks)
    yield OURS, mean, drawn
    try:
        fitter = value_fitter(ValueSettings(purchases="bg_nbd", fitter="lifetimes"))
        peer = ModelBase.fit(panel.current, fitter, base.inner_days, base.horizon_days, "repeats")
        ends = WEEK * np.arange(1.0, weeks + 1)
        bought = peer.value_model.purchases_.expected_periods(panel.current, ends)
        yield LIFETIMES, peer.expected_spend(panel.current) @ bought, None
    except (ConvergenceError, DataError):
        pass
    series = weekly_tracking(daily, day, base.value_model.purchases_)["revenue"].to_numpy()[1:]
    for name, rival, middle in _RIVALS:
        drawn = rival(series, weeks, _DRAWS, np.random.default_rng(settings.seed))
        yield name, middle(drawn, axis=0), drawn


def _own(
    panel: Panel, base: ModelBase, daily: pd.DataFrame, settings: Settings, weeks: int
) -> tuple[FloatArray, FloatArray]:
    """The forecast of a run fitted on the day: boosting moves value between customers, not the total."""
    errors, day = OriginErrors.measure(panel), panel.as_of
    spread = finance.spread_of(errors, base, panel.current, daily, day, {}, cutoffs(panel))
    value = panel.current["horizon_value"] * np.exp(errors.correction)
    people = panel.current.assign(predicted_value=value, segment="all")
    periods = finance.weeks_from(day, weeks)
    draws = finance.draw_ahead(base, people, daily, spread, day, settings, periods).draws
    return draws.mean["segment"][0], draws.value["segment"][0]


def cutoffs(panel: Panel) -> list[finance.Cutoff]:
    """The origins of a panel, as the finance view wants them."""
    value = panel.outcome["value"].to_numpy(dtype=np.float64)
    found = []
    for place, day in enumerate(panel.origins):
        mine = panel.origin == place
        found.append(finance.Cutoff(day, panel.rows[mine], float(value[mine].sum())))
    return found


def earlier_cutoffs(transactions: Transactions, as_of: dt.date, base: ModelBase) -> list[finance.Cutoff]:
    """The same from a log, where the panel is no longer there.

    Parameters
    ----------
    transactions : Transactions
        The log, or a sample of its customers.
    as_of : date
        Last known day.
    base : ModelBase
        Whose horizons say which days.
    """
    found = []
    for before in plan_origins((as_of - transactions.first_day).days, base.horizon_days)[1]:
        day = as_of - dt.timedelta(days=before)
        people = customer_features(transactions.split(day), day)
        followed = outcomes(transactions, day, base.inner_days)
        if len(people) >= MIN_CUSTOMERS and followed["active"].sum() >= MIN_BUYERS:
            found.append(finance.Cutoff(day, people, float(followed["value"].sum())))
    return [cutoff for cutoff in found if cutoff.revenue > 0]


def _weeks(
    day: dt.date, model: str, actual: FloatArray, mean: FloatArray, drawn: FloatArray | None
) -> pd.DataFrame:
    """One model's weeks of one origin; a model without draws has intervals without width."""
    ends: dict[str, FloatArray] = {}
    for level in LEVELS:
        sides = (mean, mean) if drawn is None else np.quantile(drawn, _sides(level), axis=0)
        ends |= dict(zip((f"low_{100 * level:g}", f"high_{100 * level:g}"), sides, strict=True))
    periods = finance.weeks_from(day, len(actual))
    return pd.DataFrame(
        {
            "origin": day,
            "model": model,
            "week": np.arange(1, len(actual) + 1),
            "end": periods.ends,
            "actual": actual,
            "revenue": mean,
            **ends,
            "cumulative_actual": actual.cumsum(),
            "cumulative_revenue": mean.cumsum(),
        }
    )


def _totals(
    model: str, actual: FloatArray, mean: FloatArray, drawn: FloatArray | None
) -> list[dict[str, float | str]]:
    """One model's totals from one origin, by how far ahead, and which intervals held."""
    found: list[dict[str, float | str]] = []
    horizons = [weeks for weeks in _HORIZONS if weeks < len(actual)] + [len(actual)]
    for weeks in horizons:
        came, said = float(actual[:weeks].sum()), float(mean[:weeks].sum())
        row: dict[str, float | str] = {"model": model, "weeks": weeks, "actual": came, "forecast": said}
        row |= {"width_80": 0.0, "weekly_80": 0.0, **{f"coverage_{100 * one:g}": 0.0 for one in LEVELS}}
        if drawn is not None:
            sums = drawn[:, :weeks].sum(axis=1)
            for level in LEVELS:
                low, high = np.quantile(sums, _sides(level))
                row[f"coverage_{100 * level:g}"] = float(low <= came <= high)
                if level == 0.8:
                    row["width_80"] = float(high - low) / came
            low_week, high_week = np.quantile(drawn[:, :weeks], _sides(0.8), axis=0)
            row["weekly_80"] = float(((low_week <= actual[:weeks]) & (actual[:weeks] <= high_week)).mean())
        found.append(row)
    return found


def _sides(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]


def _summary(totals: pd.DataFrame) -> pd.DataFrame:
    """Mean over origins of each model and horizon, shortest horizon first, models in their order."""
    totals = totals.assign(mape=(totals["forecast"] / totals["actual"] - 1).abs())
    grouped = totals.groupby(["weeks", "model"], sort=False)
    table = grouped[["mape", "width_80", "weekly_80", "coverage_50", "coverage_80", "coverage_95"]].mean()
    sums = grouped[["forecast", "actual"]].sum()
    table = table.assign(bias=sums["forecast"] / sums["actual"] - 1, origins=grouped.size())
    return BACKTEST.conform(table.reset_index().sort_values("weeks", kind="stable"))
