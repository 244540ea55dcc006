"""Print every published number of the purchase and spend models beside ours.

python experiments/published_tables/run.py [--markdown]

Weeks, as in the papers. The data is the 1/10 sample of CDNOW that ships inside lifetimes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import (
    BetaGeoBetaBinomModel,
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    ShiftedBetaGeoModel,
)

CUTOFF = dt.date(1997, 9, 30)
Row = tuple[str, str, float, float]


def summarise(log: Transactions) -> pd.DataFrame:
    """frequency, recency, T in weeks and the mean of the repeat purchases, at the cutoff."""
    summary = customer_summary(log.split(CUTOFF), CUTOFF)
    return summary.assign(recency=summary["recency"] / 7, T=summary["T"] / 7)


def parameters(source: str, model, published: dict[str, float]) -> list[Row]:
    found = model.params_ | {"log-likelihood": model.fit_report_.log_likelihood}
    return [(source, name, value, found[name]) for name, value in published.items()]


def history(x, t_x, T) -> pd.DataFrame:
    return pd.DataFrame({"frequency": np.atleast_1d(x), "recency": t_x, "T": T})


def sample_fits(summary: pd.DataFrame) -> tuple[list[Row], BetaGeoModel, ParetoNBDModel]:
    bg, mbg = BetaGeoModel().fit(summary), ModifiedBetaGeoModel().fit(summary)
    pareto, spend = ParetoNBDModel().fit(summary), GammaGammaModel().fit(summary)
    paper = "FHL 2005, table 2"
    rows = parameters(
        f"BG/NBD, {paper}",
        bg,
        {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "log-likelihood": -9582.4},
    )
    rows += parameters(
        "MBG/NBD, BTYDplus manual",
        mbg,
        {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614, "log-likelihood": -9582.136},
    )
    rows += parameters(
        f"Pareto/NBD, {paper}",
        pareto,
        {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669, "log-likelihood": -9594.976},
    )
    errors = zip(pareto.params_, (0.048, 0.843, 0.187, 6.21), strict=True)
    rows += [
        ("Pareto/NBD, standard errors", name, value, pareto.fit_report_.standard_errors[name])
        for name, value in errors
    ]
    rows += parameters(
        "Gamma-Gamma, FH 2013",
        spend,
        {"p": 6.25, "q": 3.74, "v": 15.44, "log-likelihood": -4055.918},
    )
    means = (24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17)
    found = spend.expected_spend(summary)
    rows += [
        ("Gamma-Gamma, conditional mean", f"customer {i + 1}", value, found[i])
        for i, value in enumerate(means)
    ]
    return rows, bg, pareto


def function_values(bg: BetaGeoModel, pareto: ParetoNBDModel) -> list[Row]:
    rows: list[Row] = []
    gone, loyal = history([10, 15, 20, 25], 20, 39), history(26, 30.857, 31)
    published = {
        "BG/NBD": (bg, 1.444004, 25.75659, 0.9688523, (0.3474606, 0.04283391, 0.004158973, 0.0003583685)),
        "Pareto/NBD": (pareto, 1.473434, 25.45647, 0.997874, (0.7062289, 0.1442396, 0.02250658, 0.00309267)),
    }
    for name, (model, new, purchases, alive, paradox) in published.items():
        source = f"{name}, BTYD walkthrough"
        rows.append((source, "E[X(52)]", new, model.expected_purchases_new(52)))
        rows.append((source, "x=26: 52 weeks", purchases, model.expected_purchases(loyal, 52)[0]))
        rows.append((source, "x=26: P(alive)", alive, model.probability_alive(loyal)[0]))
        for x, value, found in zip(
            (10, 15, 20, 25), paradox, model.expected_purchases(gone, 52), strict=True
        ):
            rows.append((source, f"x={x}, t_x=20, T=39: 52 weeks", value, found))
    found = bg.expected_purchases(history(2, 30.43, 38.86), 39)[0]
    rows.append(("BG/NBD, FHL note", "x=2: 39 weeks", 1.226, found))
    numbers = {0.1429: 0.0078, 1: 0.0532, 3: 0.1506, 31.8571: 1.0405, 32: 1.0437, 78: 1.8576}
    return rows + [
        ("BG/NBD, FHL note", f"E[X({t})]", value, bg.expected_purchases_new(t))
        for t, value in numbers.items()
    ]


def manual_values() -> list[Row]:
    rows: list[Row] = []
    model = ParetoNBDModel()
    model.params_ = {"r": 0.55, "alpha": 10.56, "s": 0.61, "beta": 11.64}
    published = (
        0.05077821,
        0.09916088,
        0.14542507,
        0.18979930,
        0.23247466,
        0.27361274,
        0.31335159,
        0.35181024,
        0.38909211,
    )
    for t, value in enumerate(published, start=1):
        rows.append(("Pareto/NBD, BTYD manual", f"E[X({t})]", value, model.expected_purchases_new(t)))
    model.params_ = {"r": 0.563, "alpha": 12.56, "s": 0.408, "beta": 10.51}
    yearly = float(np.expm1(0.0027 * 365))
    found = model.discounted_purchases(history(7, 35, 77.86), 30_000, yearly)[0]
    rows.append(("Pareto/NBD, FHL 2005b", "discounted residual purchases", 1.86418, found))
    model = BetaGeoModel()
    model.params_ = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    none = 1 - model.probability_active(history(0, 0, 0), 39)[0]
    rows.append(("BG/NBD, FHL note", "P(X(39) = 0)", 0.5737864, none))
    model.params_ = {"r": 0.25, "alpha": 4.0, "a": 0.8, "b": 2.5}
    rows.append(("BG/NBD, numerical check", "log L, x=0", -0.59947382, model.score(history(0, 0, 40))))
    rows.append(("BG/NBD, numerical check", "log L, x=200", 100.7957, model.score(history(200, 38, 40))))
    return rows


def counts(name: str, summary: pd.DataFrame, log: Transactions, published: dict[str, float]) -> list[Row]:
    """What the summary and the holdout hold, before any model."""
    later = outcomes(log, CUTOFF, 39 * 7)
    found = {
        "customers": len(summary),
        "repeat purchases": summary["frequency"].sum(),
        "customers without repeat": (summary["frequency"] == 0).sum(),
        "customers with repeat spend": (summary["monetary_value"] > 0).sum(),
        "holdout purchases": later["purchases"].sum(),
        "holdout revenue": later["value"].sum(),
    }
    return [(f"CDNOW {name}, counts", what, value, found[what]) for what, value in published.items()]


def holdout(summary: pd.DataFrame, log: Transactions, bg: BetaGeoModel, pareto: ParetoNBDModel) -> list[Row]:
    later = outcomes(log, CUTOFF, 39 * 7)["purchases"]
    group = np.minimum(summary["frequency"], 7)
    published = {
        "actual": (later, (0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359)),
        "Pareto/NBD": (
            pareto.expected_purchases(summary, 39),
            (0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403),
        ),
        "BG/NBD": (
            bg.expected_purchases(summary, 39),
            (0.2251, 0.5231, 1.0441, 1.5203, 2.1638, 2.6538, 3.5040, 6.1570),
        ),
    }
    rows: list[Row] = []
    for name, (values, numbers) in published.items():
        means = pd.Series(np.asarray(values), summary.index).groupby(group).mean()
        for x, number in enumerate(numbers):
            rows.append((f"{name}, holdout purchases", f"x = {x}{'+' if x == 7 else ''}", number, means[x]))
    sizes = group.value_counts()
    for x, number in enumerate((1411, 439, 214, 100, 62, 38, 29, 64)):
        rows.append(("customers by frequency", f"x = {x}{'+' if x == 7 else ''}", number, sizes[x]))
    return rows


def cumulative(
    summary: pd.DataFrame, log: Transactions, bg: BetaGeoModel, pareto: ParetoNBDModel
) -> list[Row]:
    """Repeat purchases of all customers up to a week, each since the first purchase."""
    born, customers = np.unique(summary["T"].max() - summary["T"], return_counts=True)
    published = {
        "Pareto/NBD": (pareto, (1308.856, 1385.275, 1459.923, 1532.906, 1604.320, 1674.253)),
        "BG/NBD": (bg, (1312.458, 1387.346, 1460.392, 1531.713, 1601.418, 1669.600)),
    }
    rows: list[Row] = []
    first = CUTOFF - dt.timedelta(days=round(7 * summary["T"].max()))
    for week, number in enumerate((1359, 1414, 1484, 1517, 1573, 1672), start=20):
        until = first + dt.timedelta(days=7 * week - 1)
        found = customer_summary(log.split(until), until)["frequency"].sum()
        rows.append(("actual, cumulative purchases", f"week {week}", number, found))
    for name, (model, numbers) in published.items():
        for week, number in enumerate(numbers, start=20):
            ages = np.maximum(week - born, 0)
            found = sum(n * model.expected_purchases_new(t) for n, t in zip(customers, ages, strict=True))
            rows.append((f"{name}, cumulative purchases", f"week {week}", number, found))
    return rows


def accuracy(summary: pd.DataFrame, log: Transactions) -> list[Row]:
    """Holdout accuracy (recomputed with lifetimes in REFERENCE)."""
    actual = outcomes(log, CUTOFF, 39 * 7)["purchases"].to_numpy()
    published = {
        BetaGeoModel: (0.7855, 1.6080, 0.6256, 1653.4),
        ModifiedBetaGeoModel: (0.7648, 1.6072, 0.6273, 1576.7),
        ParetoNBDModel: (0.7545, 1.6028, 0.6302, 1665.5),
    }
    rows: list[Row] = []
    for kind, numbers in published.items():
        predicted = kind().fit(summary).expected_purchases(summary, 39)
        error = predicted - actual
        found = (
            np.abs(error).mean(),
            (error**2).mean() ** 0.5,
            np.corrcoef(predicted, actual)[0, 1],
            predicted.sum(),
        )
        names = ("MAE", "RMSE", "correlation", "total")
        rows += [
            (f"{kind.__name__}, holdout", *row) for row in zip(names, numbers, map(float, found), strict=True)
        ]
    return rows


def all_weeks(log: Transactions) -> list[Row]:
    """Pareto/NBD on all 78 weeks, BTYD manual."""
    summary = customer_summary(log, dt.date(1998, 6, 30))
    model = ParetoNBDModel().fit(summary.assign(recency=summary["recency"] / 7, T=summary["T"] / 7))
    published = {"r": 0.563, "alpha": 12.56, "s": 0.408, "beta": 10.51}
    return parameters("Pareto/NBD, 78 weeks, BTYD manual", model, published)


def full_log() -> list[Row]:
    log = Transactions.read("dataset:cdnow")
    summary = summarise(log)
    known = {
        "customers": 23_570,
        "repeat purchases": 24_337,
        "customers without repeat": 14_119,
        "customers with repeat spend": 9_450,
        "holdout purchases": 19_684,
        "holdout revenue": 776_961.13,
    }
    published = {
        BetaGeoModel: {"r": 0.2516, "alpha": 4.7889, "a": 0.7234, "b": 2.1611, "log-likelihood": -95368.444},
        ModifiedBetaGeoModel: {
            "r": 0.6371,
            "alpha": 7.3103,
            "a": 0.8075,
            "b": 1.2284,
            "log-likelihood": -95336.958,
        },
        ParetoNBDModel: {
            "r": 0.5974,
            "alpha": 11.5857,
            "s": 0.5222,
            "beta": 8.8278,
            "log-likelihood": -95415.119,
        },
        GammaGammaModel: {"p": 6.2754, "q": 3.6245, "v": 14.9837},
    }
    rows = counts("full log (recomputed)", summary, log, known)
    for kind, numbers in published.items():
        rows += parameters(f"{kind.__name__}, full log (recomputed)", kind().fit(summary), numbers)
    return rows


def donations() -> list[Row]:
    """BG/BB on 11,104 members, Fader, Hardie & Shang (2010)."""
    spec = importlib.util.find_spec("lifetimes")
    table = pd.read_csv(Path(str(spec.origin if spec else "")).parent / "datasets" / "donations.csv")
    members = table.loc[table.index.repeat(table["weights"])]
    model = BetaGeoBetaBinomModel().fit(members)
    published = {
        "alpha": 1.2035,
        "beta": 0.7497,
        "gamma": 0.6568,
        "delta": 2.7838,
        "log-likelihood": -33225.58,
    }
    rows = parameters("BG/BB, FHS 2010", model, published)
    a, b, c, d = model.params_.values()
    rows.append(("BG/BB, FHS 2010", "mean purchase probability", 0.6162, a / (a + b)))
    rows.append(("BG/BB, FHS 2010", "mean dropout probability", 0.1909, c / (c + d)))
    rows.append(("BG/BB, FHS 2010", "E[X(10)]", 3.179805, model.expected_purchases_new(10)))
    some = pd.DataFrame({"frequency": [0, 4], "recency": [0, 5], "periods": [6, 6]})
    found = model.expected_purchases(some, 10)
    rows.append(("BG/BB, FHS 2010", "x=0, t_x=0: 10 years", 0.1302169, found[0]))
    rows.append(("BG/BB, FHS 2010", "x=4, t_x=5: 10 years", 3.627858, found[1]))
    yearly = (5535.833, 4717.059, 4147.621, 3724.665, 3395.888, 3131.647, 2913.778, 2730.482, 2573.731)
    totals = np.diff([len(members) * model.expected_purchases_new(year) for year in range(12)])
    for year, number in enumerate((*yearly, 2437.854, 2318.727)):
        rows.append(("BG/BB, FHS 2010, expected a year", f"year {year + 1}", number, totals[year]))
    return rows


def contracts() -> list[Row]:
    """sBG on two segments, Fader & Hardie (2007)."""
    published = {
        "High End": (
            [1000, 869, 743, 653, 593, 551, 517, 491],
            {"alpha": 0.668, "beta": 3.806, "log-likelihood": -1611.158},
            (0.460, 0.436, 0.414, 0.395, 0.378),
        ),
        "Regular": (
            [1000, 631, 468, 382, 326, 289, 262, 241],
            {"alpha": 0.704, "beta": 1.182, "log-likelihood": -1680.265},
            (0.220, 0.204, 0.191, 0.180, 0.170),
        ),
    }
    rows: list[Row] = []
    for name, (survivors, numbers, later) in published.items():
        model = ShiftedBetaGeoModel().fit_survivors(survivors)
        rows += parameters(f"sBG, FH 2007, {name}", model, numbers)
        fitted = model.survival(range(1, 8))
        rows += [
            (f"sBG, FH 2007, {name}: actual, model", f"survivors, year {year}", survivors[year], 1000 * share)
            for year, share in enumerate(fitted, start=1)
        ]
        found = model.survival(range(8, 13))
        rows += [(f"sBG, FH 2007, {name}", f"survival, year {8 + i}", later[i], found[i]) for i in range(5)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true")
    markdown = parser.parse_args().markdown
    log = Transactions.read("dataset:cdnow_sample")
    summary = summarise(log)
    known = {
        "customers": 2_357,
        "repeat purchases": 2_457,
        "customers without repeat": 1_411,
        "customers with repeat spend": 946,
        "holdout purchases": 1_882,
    }
    rows, bg, pareto = sample_fits(summary)
    rows = counts("sample", summary, log, known) + rows
    rows += function_values(bg, pareto) + manual_values() + holdout(summary, log, bg, pareto)
    rows += cumulative(summary, log, bg, pareto) + accuracy(summary, log) + all_weeks(log) + full_log()
    rows += donations() + contracts()
    if markdown:
        print("| source | quantity | published | ours | difference |\n|---|---|---|---|---|")
    for source, name, published, found in rows:
        cells = (source, name, f"{published:.7g}", f"{found:.7g}", f"{found - published:+.1e}")
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(
            cell.ljust(width) for cell, width in zip(cells, (38, 30, 12, 12, 9), strict=True)))  # fmt: skip


if __name__ == "__main__":
    main()
