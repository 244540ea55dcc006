"""How often intervals of revenue hold what came, on simulated businesses whose truth is known.

python experiments/finance_truth/run.py [--sets 200] [--seed 1000] [plain | growth | season | shock] ...
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clvseg import forecast as finance
from clvseg.backtesting import cutoffs
from clvseg.config import Settings, ValueSettings
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.forecast.errors import Spread
from clvseg.forecast.periods import cohorts
from clvseg.learning import value_fitter
from clvseg.value.hybrid import OriginErrors
from clvseg.value.origins import build_panel

FIRST = dt.date(2021, 1, 1)
AHEAD = 182
MONTH = 30
SETTINGS = Settings.make({"horizon": f"{AHEAD}d"})


@dataclass(frozen=True)
class Business:
    """A Pareto/NBD business near CDNOW's parameters.

    growth: of acquisition, a year, on the log scale. season: amplitude of a yearly wave in the log of the
    rate of purchases. shock: days before the forecast from which on each customer leaves at a further 1 in
    365 days.
    """

    customers: int = 3_000
    history: int = 800
    acquisition: int = 982
    growth: float = 0.0
    season: float = 0.0
    shock: int | None = None


BUSINESSES = {
    "plain": Business(customers=1_500, history=238, acquisition=180),
    "growth": Business(growth=0.5),
    "season": Business(season=0.3),
    "shock": Business(shock=365),
}


def simulate(business: Business, seed: int) -> pd.DataFrame:
    """Months of acquisition after each other, and the customers whom the shock took away cut off."""
    rng = np.random.default_rng([seed, 1])
    days = business.history + AHEAD
    wave = business.season * np.cos(2 * np.pi * np.arange(days) / 365 + rng.uniform(0, 2 * np.pi))
    factors = np.exp(wave) / np.exp(wave).mean()
    begins = np.arange(0, business.acquisition, MONTH)
    weight = np.exp(business.growth * begins / 365)
    sizes = rng.multinomial(business.customers, weight / weight.sum())
    parts, before = [], 0
    for begin, size in zip(begins, sizes, strict=True):
        part = simulate_transactions(
            int(size),
            purchases="pareto_nbd",
            days=days - int(begin),
            acquisition_days=min(MONTH, business.acquisition - int(begin)),
            first_day=FIRST + dt.timedelta(days=int(begin)),
            day_factors=factors[begin:] if business.season else None,
            seed=int(rng.integers(2**62)),
        )
        parts.append(part.assign(customer_id=part["customer_id"] + before))
        before += int(size)
    lines = pd.concat(parts, ignore_index=True)
    if business.shock is None:
        return lines
    stay = rng.exponential(365.0, before)[lines["customer_id"].to_numpy() - 1]
    first = lines.groupby("customer_id")["time"].transform("min")
    shock = pd.Timestamp(FIRST) + pd.Timedelta(days=business.history - business.shock)
    gone = np.maximum(first, shock) + pd.to_timedelta(stay, unit="D")
    return lines[lines["time"] <= gone].reset_index(drop=True)


def judge(kind: str, seed: int) -> dict[str, Any]:
    """Forecast of one business, and whether each interval held what came of the customers known then."""
    business = BUSINESSES[kind]
    tx = Transactions.read(simulate(business, seed))
    day = FIRST + dt.timedelta(days=business.history - 1)
    known = tx.split(day)
    daily = revenue_by_cohort(known)
    panel, base = build_panel(known, day, AHEAD, value_fitter(ValueSettings()))
    errors, spread = OriginErrors(), Spread(0.0, AHEAD, 0.0, 0.0, True)
    if kind != "plain":
        errors = OriginErrors.measure(panel)
        spread = finance.spread_of(errors, base, panel.current, daily, day, {}, cutoffs(panel))
    value = panel.current["horizon_value"] * np.exp(errors.correction)
    people = panel.current.assign(predicted_value=value, segment="all")
    periods = finance.between(day + dt.timedelta(days=1), day + dt.timedelta(days=AHEAD), "month")
    draws = finance.draw_ahead(base, people, daily, spread, day, SETTINGS, periods).draws
    first = pd.Timestamp(day) - pd.to_timedelta(people["T"], unit="D")
    cohort = dict(zip(first, cohorts(first, 1), strict=True))
    after = revenue_by_cohort(tx)
    ahead = (after["day"] - pd.Timestamp(day)).dt.days
    mine = after[(ahead > 0) & (ahead <= AHEAD) & (after["first_day"] <= pd.Timestamp(day))]
    month = np.searchsorted(periods.days_after(day), ahead[mine.index])
    came = np.bincount(month, mine["revenue"], len(periods.names))
    by_cohort = mine.groupby(mine["first_day"].map(cohort))["revenue"].sum()
    drawn = draws.value["segment"][0]
    columns = {
        "total": (drawn.sum(axis=1)[:, None], np.array([came.sum()])),
        "months": (drawn, came),
        "cohorts": (
            draws.value["cohort"].sum(axis=2).T,
            by_cohort.reindex(draws.names["cohort"], fill_value=0.0).to_numpy(),
        ),
    }
    return {
        "kind": kind,
        "seed": seed,
        "level": spread.level,
        "shift": spread.shift,
        "sure": base.value_model.purchases_.knows_uncertainty,
        "error": float(np.log(draws.mean["segment"].sum() / came.sum())),
        "sd": float(np.log(drawn.sum(axis=1)).std()),
        # Share of the draws below what came.
        **{name: (part < what).mean(axis=0).tolist() for name, (part, what) in columns.items()},
    }


def table(rows: pd.DataFrame) -> None:
    """Coverage with the standard error over sets, the months and cohorts of one set taken together."""
    print("| business | of | rows | 50 % | 80 % | 95 % | error of the total: mean, sd | level |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, mine in rows.groupby("kind", sort=False):
        whole = f"{mine['error'].mean():+.3f}, {mine['error'].std():.3f} | {mine['level'].mean():.3f}"
        for name in ("total", "months", "cohorts"):
            shares = []
            for level in (0.5, 0.8, 0.95):
                held = mine[name].map(lambda places, level=level: _held(places, level))
                shares.append(f"{held.mean():.1%} ({held.std() / np.sqrt(len(held)):.1%})")
            count = int(mine[name].map(len).sum())
            print(f"| {kind} | {name} | {count:,} | {' | '.join(shares)} | {whole} |")
            whole = " | "


def _held(places: list[float], level: float) -> float:
    return float((np.abs(np.array(places) - 0.5) <= level / 2).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(BUSINESSES))
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1_000)
    asked = parser.parse_args()
    output = Path(__file__).parent / "output"
    output.mkdir(exist_ok=True)
    rows = []
    for seed in range(asked.seed, asked.seed + asked.sets):
        for kind in asked.kinds:
            # What an interrupted run has found is not found again.
            path = output / f"{kind}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(judge(kind, seed)))
            rows.append(json.loads(path.read_text()))
    table(pd.DataFrame(rows).sort_values("kind", key=lambda kinds: kinds.map(asked.kinds.index)))


if __name__ == "__main__":
    main()
