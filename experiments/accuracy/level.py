"""By how much should the totals' errors at earlier cutoffs move the total? Prints a table of README.md.

python experiments/accuracy/level.py        about 4 minutes on one core; nothing is boosted

Every period that is predicted ends before the log's named cutoff.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from run import cdnow, complete_journey, fit_model, markdown, online_retail

from clvseg.boosting import Panel
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.value.hybrid import OriginErrors
from clvseg.value.origins import build_panel

# How far a total's log error can be expected to lie from 0, over many cutoffs.
USUAL = 0.15


def third_of_cdnow() -> Transactions:
    log = cdnow().engine.frame("read the orders", "SELECT customer_id, day AS time, amount FROM purchases")
    customers = np.sort(log["customer_id"].unique())[::3]
    return Transactions.read(log[log["customer_id"].isin(customers)])


def simulated(kind: str, seed: int, season: float = 0.0) -> Transactions:
    log = simulate_transactions(3000, purchases=kind, acquisition_days=300, days=700, seed=seed)
    day = (log["time"] - log["time"].min()).dt.days
    kept = 1 - season * (1 - np.sin(day / 365 * 2 * np.pi))
    return Transactions.read(log[np.random.default_rng(seed).random(len(log)) < kept])


MODEL_DAYS = ("2023-07-01", "2023-10-01", "2024-01-01", "2024-03-15")
# Log: reader, cutoffs, horizons, last day that a predicted period may reach.
LOGS: dict[str, tuple[Callable[[], Transactions], tuple[str, ...], tuple[int, ...], str]] = {
    "CDNOW": (
        third_of_cdnow,
        ("1997-04-30", "1997-05-15", "1997-05-31", "1997-06-15", "1997-06-30", "1997-07-15", "1997-08-15"),
        (28, 60, 91, 122), "1997-09-30",
    ),
    "Journey": (
        complete_journey,
        ("2017-03-31", "2017-04-30", "2017-05-31", "2017-06-30", "2017-07-15", "2017-07-31", "2017-08-15"),
        (28, 60, 91), "2017-09-30",
    ),
    "Retail": (
        online_retail,
        ("2011-03-10", "2011-04-10", "2011-05-10", "2011-06-09", "2011-06-25", "2011-07-10", "2011-07-31"),
        (28, 60, 91), "2011-09-09",
    ),
    "Pareto/NBD": (partial(simulated, "pareto_nbd", 11), MODEL_DAYS, (60, 90), "2024-11-30"),
    "BG/NBD": (partial(simulated, "bg_nbd", 12), MODEL_DAYS, (60, 90), "2024-11-30"),
    "regular, season": (partial(simulated, "mbg_cnbd_k", 13, 0.25), MODEL_DAYS, (60, 90), "2024-11-30"),
}  # fmt: skip


@dataclass(frozen=True)
class Level:
    """Log errors of the totals at the origins of a cutoff, and the one that followed it.

    `seen` is the newest origin's error of purchases by the parameters of the cutoff, which have seen them.
    """

    errors: OriginErrors
    seen: float
    chance: np.ndarray
    chance_purchases: np.ndarray
    actual: float


def chance(panel: Panel, actual: str, expected: str) -> np.ndarray:
    """Standard error of the log total at each origin that chance among customers brings."""
    came, said = panel.outcome[actual].to_numpy(float), panel.rows[expected].to_numpy()
    level = panel.per_origin(came) / panel.per_origin(said)
    missed = came - said * level[panel.origin]
    n = np.bincount(panel.origin)
    return np.sqrt(panel.per_origin(missed**2)) / np.sqrt(n) / panel.per_origin(came)


def levels(name: str) -> Iterator[Level]:
    read, cutoffs, horizons, end = LOGS[name]
    tx = read()
    for cutoff in map(dt.date.fromisoformat, cutoffs):
        for days in horizons:
            if cutoff + dt.timedelta(days=days) > dt.date.fromisoformat(end):
                continue
            panel, base = build_panel(tx, cutoff, days, fit_model)
            if not panel.origins:
                continue
            came = outcomes(tx, cutoff, days)["value"].sum()
            newest = panel.origin == 0
            seen = base.value_model.expected_purchases(panel.rows[newest], panel.inner_days).sum()
            yield Level(
                OriginErrors.measure(panel),
                float(np.log(panel.outcome["purchases"].to_numpy(float)[newest].sum() / seen)),
                chance(panel, "value", "expected_value"),
                chance(panel, "purchases", "expected_purchases"),
                float(np.log(came / panel.current["horizon_value"].sum())),
            )


def random_effects(errors: np.ndarray, se: np.ndarray) -> tuple[float, float]:
    """Mean of the origins' errors and the variance of the next one about it (DerSimonian & Laird 1986)."""
    weight = 1 / se**2
    mean = (weight * errors).sum() / weight.sum()
    excess = (weight * (errors - mean) ** 2).sum() - (len(errors) - 1)
    scale = weight.sum() - (weight**2).sum() / weight.sum()
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    weight = 1 / (se**2 + between)
    return float((weight * errors).sum() / weight.sum()), float(1 / weight.sum() + between)


def shrunk(errors: np.ndarray, se: np.ndarray, usual: float = USUAL) -> float:
    """What to expect of the next error, where errors are usually within `usual` of 0."""
    mean, variance = random_effects(errors, se)
    return mean * usual**2 / (usual**2 + variance)


def total(one: Level) -> np.ndarray:
    return np.add(one.errors.purchases, one.errors.spend)


RULES: dict[str, Callable[[Level], float]] = {
    "nothing": lambda one: 0.0,
    "3/4 of spend, 1/4 of purchases (in use)": lambda one: one.errors.correction,
    "3/4 of spend": lambda one: 0.75 * float(np.mean(one.errors.spend)),
    "all of spend": lambda one: float(np.mean(one.errors.spend)),
    "3/4 of spend, 1/4 of purchases seen": lambda one: (
        0.75 * float(np.mean(one.errors.spend)) + 0.25 * one.seen
    ),
    "3/4 of spend, 1/2 of purchases seen": lambda one: (
        0.75 * float(np.mean(one.errors.spend)) + 0.5 * one.seen
    ),
    "random effects on the total": lambda one: shrunk(total(one), one.chance),
    "the same, usually within .08": lambda one: shrunk(total(one), one.chance, 0.08),
    "random effects on each part": lambda one: (
        shrunk(np.array(one.errors.spend), one.chance)
        + shrunk(np.array(one.errors.purchases), one.chance_purchases)
    ),
}  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    table = {}
    for name in LOGS:
        found = list(levels(name))
        table[f"{name} ({len(found)})"] = {
            rule: float(np.mean([abs(one.actual - moved(one)) for one in found]))
            for rule, moved in RULES.items()
        }
    frame = pd.DataFrame(table)
    frame["mean"] = frame.mean(axis=1)
    print(markdown(frame.rename_axis("mean |log(actual / predicted total)|").reset_index(), 4))


if __name__ == "__main__":
    main()
