"""Is the fallback right where data are few? Prints the tables of README.md.

python experiments/fallbacks/run.py                 about 8 minutes on one core
python experiments/fallbacks/run.py --sets 3        a first look
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
from run import cdnow, complete_journey, fit_model, markdown

from clvseg.boosting import Panel
from clvseg.churn import model as churn
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.evaluation import leaderboard as lb
from clvseg.evaluation import metrics
from clvseg.value import hybrid, origins

SEED = 1
# Of the sets; rules were chosen on others.
FIRST_SEED = 201
FIRST = dt.date(2023, 1, 1)
CHOSEN, ALONE, FORCED = "as chosen", "purchase models", "boosting forced"
ROWS = (CHOSEN, ALONE, FORCED, *lb.NAIVE_VALUE, *lb.NAIVE_CHURN)
# Dropout so rare that the Pareto/NBD is an NBD.
NO_DROPOUT = {"r": 0.553, "alpha": 74.0, "s": 20.0, "beta": 1e6}
REGULAR = {"k": 6, "r": 1.5, "alpha": 14.0, "a": 0.5, "b": 4.0}


def simulated(customers: int, seed: int, days: int = 365, **more) -> Transactions:
    """A log of `days` before the cutoff, and more than enough after it."""
    log = simulate_transactions(
        customers, days=days + 300, acquisition_days=days * 3 // 4, first_day=FIRST, seed=seed, **more
    )
    return Transactions.read(log)


@cache
def orders(read) -> pd.DataFrame:
    """All customer-days of a real log."""
    return read().engine.frame("read the orders", "SELECT customer_id, day AS time, amount FROM purchases")


def drawn(read, customers: int, seed: int) -> Transactions:
    """Another part of a real log's customers for each seed; from the half that chose no rule."""
    log = orders(read)
    everyone = np.random.default_rng(0).permutation(np.sort(log["customer_id"].unique()))[1::2]
    some = np.random.default_rng(seed).choice(everyone, customers, replace=False)
    return Transactions.read(log[log["customer_id"].isin(some)])


YEAR_ON = (FIRST + dt.timedelta(days=364), 91)
WEEKS_ON = (FIRST + dt.timedelta(days=34), 28)
# Name: reader of a seed, cutoff, horizon in days. Real logs end before the cutoffs of the named cases.
SCENES = {
    **{f"Pareto/NBD, {n}": (partial(simulated, n, purchases="pareto_nbd"), *YEAR_ON) for n in (60, 300, 600)},
    **{
        f"regular buyers, {n}": (
            partial(simulated, n, purchases="mbg_cnbd_k", parameters=REGULAR), *YEAR_ON
        )
        for n in (60, 300, 600)
    },
    "no dropout, 600": (partial(simulated, 600, purchases="pareto_nbd", parameters=NO_DROPOUT), *YEAR_ON),
    "five weeks, 600": (partial(simulated, 600, days=35, purchases="pareto_nbd"), *WEEKS_ON),
    **{f"CDNOW, {n}": (partial(drawn, cdnow, n), dt.date(1997, 6, 30), 91) for n in (60, 300, 600)},
    **{f"Journey, {n}": (partial(drawn, complete_journey, n), dt.date(2017, 6, 30), 91) for n in (60, 300)},
    "Journey, 600": (partial(drawn, complete_journey, 600), dt.date(2017, 6, 30), 91),
}  # fmt: skip


@contextmanager
def no_minimums(boosting: bool) -> Iterator[None]:
    """Every origin is used; boosting is used always or never, past rates never."""
    fewest = 1 if boosting else np.inf
    with (
        patch.multiple(origins, MIN_CUSTOMERS=20, MIN_BUYERS=1, MIN_HISTORY_DAYS=7),
        patch.multiple(hybrid, _MIN_BUYERS=fewest, _MIN_SURENESS=-np.inf, _MIN_RATE_SURENESS=np.inf),
        patch.multiple(churn, _MIN_EACH=fewest, _MIN_SURENESS=-np.inf),
    ):
        yield


def predictions(panel: Panel) -> tuple[hybrid.HybridValueModel, churn.ChurnModel]:
    return hybrid.HybridValueModel(SEED).fit(panel), churn.ChurnModel(SEED).fit(panel)


def judge(tx: Transactions, cutoff: dt.date, days: int) -> list[dict[str, object]]:
    """Scores of every row on what followed."""
    panel, _ = origins.build_panel(tx, cutoff, days, fit_model)
    value, risk = predictions(panel)
    values = lb.candidate_values(tx, panel, value, {}, None)
    risks = lb.candidate_probabilities(panel, risk, {}, None)
    values[CHOSEN], risks[CHOSEN] = values[lb.HYBRID], risks[lb.HYBRID]
    for name, boosting in ((ALONE, False), (FORCED, True)):
        with no_minimums(boosting):
            loose = (
                origins.build_panel(tx, cutoff, days, fit_model)[0] if panel.reason and boosting else panel
            )
            one, two = predictions(replace(loose, rates_suffice=False))
        values[name], risks[name] = one.predict(panel.current), two.predict_proba(panel.current)[:, 1]
    later = outcomes(tx, cutoff, days)
    money, gone = later["value"].to_numpy(float), 1.0 - later["active"].to_numpy(float)
    rows: list[dict[str, object]] = []
    for name in ROWS:
        row: dict[str, object] = {"row": name}
        if name in values:
            row |= {
                "Gini": metrics.normalised_gini(money, values[name]),
                "decile error": metrics.decile_error(money, values[name]),
                "total off": abs(np.log(max(values[name].sum(), 1e-9) / money.sum())),
            }
        if name in risks:
            row |= {
                "AUC": metrics.roc_auc(gone, risks[name]),
                "log loss": metrics.log_loss(gone, risks[name]),
            }
        rows.append(row)
    rows[0] |= {"boosted value": float(not value.reason), "boosted risk": float(not risk.reason)}
    rows[0] |= {"past rates": float(value.past_rate_days > 0)}
    return rows


def sentence(found: pd.DataFrame) -> dict[str, str]:
    """What was chosen less the purchase models and each naive row, mean and standard error over the sets."""
    out = {}
    for metric, naive, sign in (
        ("Gini", ALONE, 1), ("decile error", ALONE, -1),
        ("Gini", lb.PAST_RATE, 1), ("Gini", lb.LAST_PERIOD, 1), ("decile error", lb.PAST_RATE, -1),
        ("decile error", lb.LAST_PERIOD, -1), ("AUC", lb.SINCE_LAST, 1), ("log loss", lb.SINCE_LAST, -1),
    ):  # fmt: skip
        wide = found.pivot_table(metric, "set", "row")
        gain = sign * (wide[CHOSEN] - wide[naive])
        out[f"{metric} against {naive}"] = f"{gain.mean():+.3f} ± {gain.std() / np.sqrt(len(gain)):.3f}"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=20, help="data sets of each kind")
    parser.add_argument("--scene", choices=SCENES, action="append", help="default: all")
    asked = parser.parse_args()
    means, gains = [], []
    for scene in asked.scene or SCENES:
        read, cutoff, days = SCENES[scene]
        rows, failed = [], 0
        for seed in range(FIRST_SEED, FIRST_SEED + asked.sets):
            try:
                rows += [{"set": seed, **row} for row in judge(read(seed), cutoff, days)]
            except (ConvergenceError, DataError) as error:
                failed += 1
                print(f"{scene}, set {seed}: {error}", file=sys.stderr)
        found = pd.DataFrame(rows)
        mean = found.drop(columns="set").groupby("row", sort=False).mean().reset_index()
        means.append(mean.assign(scene=scene))
        gains.append({"scene": scene, **sentence(found)})
        print(
            f"{scene}: {failed} of {asked.sets} failed\n{markdown(mean)}\n{gains[-1]}\n",
            file=sys.stderr,
            flush=True,
        )
    table = pd.concat(means)
    for metric in ("Gini", "decile error", "total off", "AUC", "log loss"):
        print(
            f"{metric}:\n\n{markdown(table.pivot_table(metric, 'scene', 'row', sort=False).reset_index())}\n"
        )
    boosted = table[table["row"] == CHOSEN][["scene", "boosted value", "boosted risk", "past rates"]]
    print(f"Share of the sets where boosting is used, and past rates are:\n\n{markdown(boosted, 2)}\n")
    print(
        f"What is chosen against the purchase models and the naive rows:\n\n{markdown(pd.DataFrame(gains))}"
    )


if __name__ == "__main__":
    main()
