"""Do intervals of simulated outcomes cover? By simulation from known parameters, and on CDNOW's holdout.

python experiments/coverage/run.py [--sets 200]

A customer's outcome is discrete (often 0), so ties between the outcome and the draws are split at random: an
interval of level L then covers with probability L if the predictive distribution is right.
"""

from __future__ import annotations

import argparse
import datetime as dt

import numpy as np
import pandas as pd

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
HORIZON, DRAWS = 182, 300


def futures(kind, rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Summary, spend on repeats, and the revenue of the horizon, customer by customer."""
    r, alpha, a, b = TRUTH[kind]
    T = rng.uniform(90, 540, n)
    rate, rows = rng.gamma(r, 1 / alpha, n), []
    leave = rng.exponential(1 / rng.gamma(a, 1 / b, n)) if kind is ParetoNBDModel else np.full(n, np.inf)
    drop = np.zeros(n) if kind is ParetoNBDModel else rng.beta(a, b, n)
    nu = rng.gamma(3.7, 1 / 15, n)
    for i in range(n):
        clock, times = 0.0, []
        alive = kind is not ModifiedBetaGeoModel or rng.uniform() > drop[i]
        while alive:
            clock += rng.exponential(1 / rate[i])
            if clock > min(T[i] + HORIZON, leave[i]):
                break
            times.append(clock)
            alive = rng.uniform() > drop[i]
        before = [time for time in times if time <= T[i]]
        amounts = rng.gamma(6.25, 1 / nu[i], len(times))
        mean = amounts[: len(before)].mean() if before else 0.0
        rows.append((len(before), before[-1] if before else 0.0, T[i], mean, amounts[len(before) :].sum()))
    frame = pd.DataFrame(rows, columns=["frequency", "recency", "T", "monetary_value", "later"])
    return frame, frame, frame["later"].to_numpy()


def place(drawn: np.ndarray, actual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the outcome lies among the draws, 0..1; ties split at random."""
    below, equal = (drawn < actual).mean(axis=0), (drawn == actual).mean(axis=0)
    return below + rng.uniform(size=np.shape(actual)) * equal


def covered(places: np.ndarray) -> str:
    shares = [float((np.abs(places - 0.5) <= level / 2).mean()) for level in LEVELS]
    return " | ".join(f"{100 * share:.1f} %" for share in shares)


def judge(kind, summary, spend, actual, rng, seed) -> tuple[np.ndarray, float]:
    model = ValueModel(kind(), GammaGammaModel()).fit(summary, spend)
    drawn = model.simulate_outcomes(summary, spend, HORIZON, draws=DRAWS, seed=seed).value
    total = place(drawn.sum(axis=1)[:, None], np.array([actual.sum()]), rng)
    return place(drawn, actual, rng), float(total[0])


def cdnow(kind, rng: np.random.Generator, days: int) -> tuple[np.ndarray, float, float]:
    """Customers' places, the total's place, and the total over its expectation."""
    log, cutoff = Transactions.read("dataset:cdnow"), dt.date(1997, 9, 30)
    summary = customer_summary(log.split(cutoff), cutoff)
    actual = outcomes(log, cutoff, days)["value"].to_numpy()
    model = ValueModel(kind(), GammaGammaModel()).fit(summary, summary)
    drawn = model.simulate_outcomes(summary, summary, days, draws=200, seed=1).value
    totals = drawn.sum(axis=1)
    return place(drawn, actual, rng), float((totals < actual.sum()).mean()), actual.sum() / totals.mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=200)
    sets = parser.parse_args().sets
    print("| revenue of 182 days | 50 % | 80 % | 95 % |\n|---|---|---|---|")
    for kind in KINDS:
        rng, customers, totals = np.random.default_rng(11), [], []
        for seed in range(sets):
            summary, spend, actual = futures(kind, rng, 1500)
            each, total = judge(kind, summary, spend, actual, rng, seed)
            customers.append(each)
            totals.append(total)
        print(f"| {kind.__name__}, customers | {covered(np.concatenate(customers))} |")
        print(f"| {kind.__name__}, total of {sets} data sets | {covered(np.array(totals))} |", flush=True)
    print("\n| CDNOW, 39 weeks held out, customers | 50 % | 80 % | 95 % | actual / expected total |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        places, _, ratio = cdnow(kind, np.random.default_rng(12), 273)
        print(f"| {kind.__name__} | {covered(places)} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
