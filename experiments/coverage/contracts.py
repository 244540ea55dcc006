"""Does the interval of the total cover where customers are under contract? By simulation from a known hazard.

python experiments/coverage/contracts.py [--sets 40] [--customers 7000]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.special import expit

from clvseg.churn.contract import stratified_folds
from clvseg.churn.hazard import HazardModel
from clvseg.contract.judging import FOLDS
from clvseg.contractual import total_interval

HISTORY, AHEAD = 60, 6


def subscriptions(customers: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, tenure and label as of today, and the periods each pays for within the horizon."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(["monthly", "yearly", "two years"], customers, p=[0.5, 0.3, 0.2])
    calls, fee = rng.poisson(1.5, customers), np.round(rng.gamma(4, 12, customers), 2)
    began = rng.integers(1, HISTORY + 1, customers)
    taste = -3.6 + 1.2 * (plan == "monthly") - 0.8 * (plan == "two years") + 0.35 * (calls - 1.5)
    tenure, left, paid = began.astype(float), np.zeros(customers), np.zeros(customers)
    there = np.ones(customers, dtype=bool)
    for period in range(1, HISTORY + AHEAD + 1):
        goes = there & (rng.random(customers) < expit(taste - 0.03 * period))
        known, ahead = period <= began, (period > began) & (period <= began + AHEAD)
        left[goes & known], tenure[goes & known] = 1, period
        paid += there * ahead * np.where(goes, 0.5, 1.0)
        there &= ~goes
    columns = pd.DataFrame({"plan": plan, "calls": calls.astype(float), "fee": fee})
    return columns.astype({"plan": object}), tenure, left, paid


def expected(columns: pd.DataFrame, tenure: np.ndarray, left: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Money of each customer still there, by a model of `rows`."""
    model = HazardModel().fit(columns[rows], tenure[rows], left[rows])
    there, grid = left == 0, np.linspace(0, AHEAD, 25)
    stays = model.remaining(model.log_survival(columns[there]), tenure[there], grid)
    return columns.loc[there, "fee"].to_numpy() * np.trapezoid(stays, grid, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--customers", type=int, default=7000)
    asked = parser.parse_args()
    held, off = [], []
    for seed in range(asked.sets):
        columns, tenure, left, paid = subscriptions(asked.customers, seed)
        fold = stratified_folds(left, 1, FOLDS)
        predicted = expected(columns, tenure, left, fold >= 0)
        totals = tuple(expected(columns, tenure, left, fold != k).sum() for k in range(FOLDS))
        fee = columns.loc[left == 0, "fee"].to_numpy()
        low, high = total_interval(predicted, AHEAD * fee, totals)
        actual = (paid[left == 0] * fee).sum()
        held.append(low <= actual <= high)
        off.append((AHEAD * fee.sum() - actual) / (AHEAD * fee - predicted).sum() - 1)
    print(f"{asked.customers:,} customers: {np.mean(held):.0%} of {asked.sets} totals within 80 % intervals")
    print(
        f"revenue lost / expected to be lost - 1: {np.mean(off):+.1%}, standard deviation {np.std(off):.1%}"
    )


if __name__ == "__main__":
    main()
