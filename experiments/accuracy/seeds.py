"""How much of an accuracy is the seed's? Refits the boosters of a case's named cutoff; prints a table.

python experiments/accuracy/seeds.py                    Complete Journey, eight seeds, about a minute
python experiments/accuracy/seeds.py cdnow_181d --seeds 4
"""

from __future__ import annotations

import argparse
import datetime as dt

import pandas as pd
from run import CASES, fit_model, markdown

from clvseg.churn.model import ChurnModel
from clvseg.data.summary import outcomes
from clvseg.evaluation import metrics
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.origins import build_panel


def accuracies(name: str, seeds: int) -> pd.DataFrame:
    """One row a seed; the purchase and spend models are the same in all."""
    tx = CASES[name].read()
    day, days = CASES[name].cutoffs[0]
    cutoff = dt.date.fromisoformat(day)
    panel, _ = build_panel(tx, cutoff, days, fit_model)
    later = outcomes(tx, cutoff, days)
    money, gone = later["value"].to_numpy(float), 1.0 - later["active"].to_numpy(float)
    rows = []
    for seed in range(1, seeds + 1):
        value = HybridValueModel(seed).fit(panel).predict(panel.current)
        risk = ChurnModel(seed).fit(panel).predict_proba(panel.current)[:, 1]
        rows.append(
            {
                "seed": str(seed),
                "Gini": metrics.normalised_gini(money, value),
                "bias": metrics.bias(money, value),
                "decile error": metrics.decile_error(money, value),
                "decile error, total right": metrics.decile_error(money, value / value.sum() * money.sum()),
                "AUC": metrics.roc_auc(gone, risk),
                "calibration error": metrics.calibration_error(gone, risk),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", choices=CASES, nargs="?", default="complete_journey")
    parser.add_argument("--seeds", type=int, default=8)
    asked = parser.parse_args()
    found = accuracies(asked.case, asked.seeds)
    figures = found.drop(columns="seed")
    spread = figures.agg(["mean", "std"]).reset_index(names="seed")
    print(markdown(pd.concat([found, spread], ignore_index=True), 4))


if __name__ == "__main__":
    main()
