"""Do intervals of simulated outcomes cover? By simulation from known parameters, and on CDNOW's holdout.

python experiments/coverage/run.py [--sets 500]

A customer's outcome is discrete (often 0), so ties between the outcome and the draws are split at random: an
interval of level L then covers with probability L if the predictive distribution is right.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from clvseg.data.features import customer_features
from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel, ParetoNBDModel, ValueModel

LEVELS = (0.5, 0.8, 0.95)
KINDS = (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel)
TRUTH = {
    BetaGeoModel: (0.25, 31.0, 0.8, 2.4),
    ModifiedBetaGeoModel: (0.52, 43.0, 0.9, 1.6),
    ParetoNBDModel: (0.55, 74.0, 0.61, 82.0),
}
HORIZON, DRAWS, CUSTOMERS = 182, 200, 1_500
CUTOFF, WEEKS = dt.date(1997, 9, 30), 39


def futures(kind, rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Summary with the mean of the repeat purchases, and the revenue of the horizon, customer by customer."""
    r, alpha, a, b = TRUTH[kind]
    T = rng.uniform(90, 540, n)
    rate = rng.gamma(r, 1 / alpha, n)
    leave, drop = np.full(n, np.inf), np.zeros(n)
    if kind is ParetoNBDModel:
        leave = rng.exponential(1 / rng.gamma(a, 1 / b, n))
    else:
        drop = rng.beta(a, b, n)
    nu = rng.gamma(3.7, 1 / 15, n)
    x, t_x, before, later = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    clock, going = np.zeros(n), np.arange(n)
    if kind is ModifiedBetaGeoModel:
        going = going[rng.uniform(size=n) > drop]
    while len(going):
        clock[going] += rng.exponential(1 / rate[going])
        going = going[clock[going] <= np.minimum(T[going] + HORIZON, leave[going])]
        paid = rng.gamma(6.25, 1 / nu[going])
        seen = clock[going] <= T[going]
        known, new = going[seen], going[~seen]
        x[known] += 1
        t_x[known] = clock[known]
        before[known] += paid[seen]
        later[new] += paid[~seen]
        going = going[rng.uniform(size=len(going)) > drop[going]]
    columns = {"frequency": x, "recency": t_x, "T": T, "monetary_value": before / np.maximum(x, 1)}
    return pd.DataFrame(columns), later


def place(drawn: np.ndarray, actual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the outcome lies among the draws, 0..1; ties split at random."""
    below, equal = (drawn < actual).sum(axis=0), (drawn == actual).sum(axis=0)
    # The outcome is one more of the same kind: its rank is even over draws + 1 places.
    return (below + rng.uniform(size=np.shape(actual)) * (equal + 1)) / (len(drawn) + 1)


def covered(places: np.ndarray) -> str:
    shares = [float((np.abs(places - 0.5) <= level / 2).mean()) for level in LEVELS]
    return " | ".join(f"{100 * share:.1f} %" for share in shares)


def by_simulation(kind, sets: int) -> None:
    rng, customers, totals, without = np.random.default_rng(11), [], [], 0
    for seed in range(sets):
        summary, actual = futures(kind, rng, CUSTOMERS)
        model = ValueModel(kind(), GammaGammaModel()).fit(summary, summary)
        found = model.simulate_outcomes(summary, summary, HORIZON, draws=DRAWS, seed=seed)
        without += not found.with_parameters
        customers.append(place(found.value, actual, rng))
        totals.append(place(found.value.sum(axis=1), actual.sum(), rng))
    print(f"| {kind.__name__}, customers | {covered(np.concatenate(customers))} | {without} |")
    print(f"| {kind.__name__}, total of {sets} data sets | {covered(np.array(totals))} | |", flush=True)


def cdnow(kind, spend_of_all: bool, rng: np.random.Generator) -> None:
    """Customers, the 39 weekly totals and the total of the holdout, on the full log."""
    log = Transactions.read("dataset:cdnow")
    summary = spend = customer_summary(log.split(CUTOFF), CUTOFF)
    if spend_of_all:
        features = customer_features(log.split(CUTOFF), CUTOFF).loc[summary.index]
        spend = features[["orders", "mean_spend"]].set_axis(["frequency", "monetary_value"], axis=1)
    model = ValueModel(kind(), GammaGammaModel()).fit(summary, spend)
    held = 7 * WEEKS
    drawn = model.simulate_outcomes(summary, spend, held, draws=DRAWS, seed=1).value
    places = place(drawn, outcomes(log, CUTOFF, held)["value"].to_numpy(), rng)
    until = [outcomes(log, CUTOFF, 7 * week)["value"].sum() for week in range(1, WEEKS + 1)]
    weekly = np.diff(until, prepend=0.0)
    ends = 7.0 * np.arange(1, WEEKS + 1)
    weeks = model.simulate_totals(summary, spend, ends, draws=DRAWS, seed=1).value
    total = weeks.sum(axis=1)
    low, high = np.quantile(total, [0.025, 0.975])
    name = f"{kind.__name__}, spend on {'all orders' if spend_of_all else 'repeats'}"
    print(f"| {name}, customers | {covered(places)} | |")
    print(f"| {name}, weekly totals | {covered(place(weeks, weekly, rng))} | |")
    print(
        f"| {name}, total | {low:,.0f} to {high:,.0f}: actual {until[-1]:,.0f} | | "
        f"| {until[-1] / total.mean():.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=500)
    sets = parser.parse_args().sets
    print("| revenue of 182 days | 50 % | 80 % | 95 % | fits without a covariance |\n|---|---|---|---|---|")
    for kind in KINDS:
        by_simulation(kind, sets)
    print("\n| CDNOW, 39 weeks held out | 50 % | 80 % | 95 % | actual / expected |\n|---|---|---|---|---|")
    for kind in KINDS:
        for spend_of_all in (False, True):
            cdnow(kind, spend_of_all, np.random.default_rng(12))


if __name__ == "__main__":
    main()
