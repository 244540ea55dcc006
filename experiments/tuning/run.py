"""Do tuned boosting settings beat the defaults on later data? Prints the tables of README.md.

python experiments/tuning/run.py                          both cases
python experiments/tuning/run.py cdnow_181d --trials 20   one case
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from clvseg.config import Settings
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.evaluation.bootstrap import churn_bootstrap, value_bootstrap
from clvseg.judging import plan_cutoffs
from clvseg.learning import learn
from clvseg.tuning import tune

CASES = {"cdnow_39w": "273d", "cdnow_181d": "181d"}
SHOWN = {"value": ("gini", "bias", "decile_error"), "churn": ("auc", "log_loss", "calibration_error")}
OWN, BEST = "defaults", "best trial"


def settings_of(name: str) -> Settings:
    return Settings.make(
        {
            "name": name,
            "horizon": CASES[name],
            "output": str(Path(__file__).parent / "output" / name),
            "data": {"source": "dataset:cdnow", "columns": {"time": "date"}},
            "tracking": {"enabled": False},
        }
    )


def study(name: str, trials: int) -> None:
    settings, start = settings_of(name), time.monotonic()
    transactions = Transactions.read(None, settings.data)

    def progress(title: str) -> None:
        print(f"{time.monotonic() - start:7.0f} s  {title}", file=sys.stderr, flush=True)

    tuned = tune(transactions, settings, trials, None, progress)
    minutes = (time.monotonic() - start) / 60
    print(f"\n## {name}\n\n{trials} trials of each, {minutes:.0f} minutes; inner cutoffs")
    print(", ".join(tuned.facts["cutoffs"]) + "\n")
    print(
        "| | loss | defaults | best trial | gain (95 % interval for that many trials) | surely at "
        "| taken | pruned | settings |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    sections = {}
    for target in ("value", "churn"):
        found = tuned.facts[target]
        own = getattr(settings, target)
        boosting = type(own.boosting)(**found["settings"])
        sections[target] = own.model_copy(update={"boosting": boosting})
        said = ", ".join(f"{key} {value:g}" for key, value in found["settings"].items())
        print(
            f"| {target} | {found['loss']} | {found['own_loss']:.5f} | number {found['best']} "
            f"| {found['gain']:.5f} ({found['low']:+.5f} to {found['high']:+.5f}) "
            f"| {found['surely']} of {len(found['cutoffs'])} cutoffs | {'yes' if found['better'] else 'no'} "
            f"| {found['pruned']} | {said} |"
        )
    print(f"\n{tuned.importances.to_string()}\n")
    later(transactions, settings, settings.model_copy(update=sections))


def later(transactions: Transactions, own: Settings, best: Settings) -> None:
    """Both settings on the held-back period, which the search did not look at."""
    days, (cutoff, *_) = plan_cutoffs(transactions.first_day, transactions.last_day, own, 1)
    learned = {name: learn(transactions, cutoff, days, one) for name, one in ((OWN, own), (BEST, best))}
    came = outcomes(transactions, cutoff, days)
    values = {name: one.people["predicted_value"].to_numpy() for name, one in learned.items()}
    risks = {name: one.people["churn_probability"].to_numpy() for name, one in learned.items()}
    drawn = {
        "value": value_bootstrap(came["value"].to_numpy(dtype=np.float64), values, own.seed),
        "churn": churn_bootstrap(1.0 - came["active"].to_numpy(dtype=np.float64), risks, own.seed),
    }
    print(f"Later: {days} days after {cutoff}\n")
    print("| metric | defaults | best trial | difference (95 % interval) |")
    print("|---|---|---|---|")
    for target, shown in SHOWN.items():
        for metric in shown:
            boot = drawn[target]
            gap = boot.difference(BEST, OWN, metric)
            print(
                f"| {target} {metric} | {boot.estimates[OWN, metric]:.4f} "
                f"| {boot.estimates[BEST, metric]:.4f} | {gap['difference']:+.4f} "
                f"({gap['low']:+.4f} to {gap['high']:+.4f}) |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--trials", type=int, default=30)
    asked = parser.parse_args()
    for case in asked.cases:
        study(case, asked.trials)
