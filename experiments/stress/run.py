"""Fit every model to simulated data sets that are hard on purpose, and count what goes wrong.

python experiments/stress/run.py [--sets 500] [--first 0]     one JSON line per set on stdout
python experiments/stress/run.py --table results.jsonl        the table of README.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from clvseg.errors import ConvergenceError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    lifetimes_bridge,
)
from clvseg.value.equations import gamma_gamma
from clvseg.value.equations.counts import count_histories
from clvseg.value.equations.newton import maximise
from clvseg.value.spend import _COORDINATES

MODELS = (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel)
RESTARTS = 10


def simulate(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """One data set: 100 to 100,000 customers, ages of hours to years, 0 to 99 % one-time buyers."""
    n = int(np.exp(rng.uniform(np.log(100), np.log(100_000))))
    age = float(np.exp(rng.uniform(np.log(0.2), np.log(5_000))))
    T = age * (rng.uniform(0.3, 1, n) if rng.uniform() < 0.7 else rng.uniform(0, 1, n))
    r = float(np.exp(rng.uniform(np.log(0.02), np.log(20))))
    per_age = float(np.exp(rng.uniform(np.log(0.02), np.log(60))))
    rate = rng.gamma(r, per_age / r / age, n)
    heavy = rng.uniform() < 0.2
    if heavy:
        some = rng.choice(n, max(1, n // 500), replace=False)
        rate[some] = rng.uniform(1000, 3000, len(some)) / age
    story = rng.choice(["nbd", "geometric", "pareto"], p=[0.2, 0.4, 0.4])
    x, t_x = histories(rng, story, rate, T, age)
    whole = bool(age > 20 and rng.uniform() < 0.5)
    if whole:
        T, t_x = np.ceil(T), np.ceil(t_x)
        x = np.where(t_x > 0, np.minimum(x, np.maximum(t_x, x * heavy)), 0)
    once = float(rng.uniform(0, 0.99)) if rng.uniform() < 0.5 else 0.0
    stop = rng.uniform(size=n) < once
    x, t_x = np.where(stop, 0, x), np.where(stop, 0, t_x)
    summary = pd.DataFrame({"frequency": x, "recency": t_x, "T": T})
    about = {"n": n, "age": age, "story": str(story), "heavy": bool(heavy), "whole": whole}
    return summary, spend_of(rng, x + 1), about | {"one_time": float((x == 0).mean())}


def histories(
    rng: np.random.Generator, story: str, rate: np.ndarray, T: np.ndarray, age: float
) -> tuple[np.ndarray, np.ndarray]:
    """Purchases and the last one's age; all purchases of a customer are uniform over the time alive."""
    span = T
    if story == "pareto":
        s, mean = np.exp(rng.uniform(np.log(0.05), np.log(10))), age * np.exp(rng.uniform(-3, 3))
        span = np.minimum(T, rng.exponential(1 / np.maximum(rng.gamma(s, 1 / mean / s, len(T)), 1e-12)))
    x = rng.poisson(rate * span)
    if story == "geometric":
        a, b = np.exp(rng.uniform(np.log(0.05), np.log(20), 2))
        p = np.clip(rng.beta(a, b, len(T)), 1e-9, 1 - 1e-12)
        limit = rng.geometric(p) - rng.integers(0, 2)
        # The k-th of x uniform points is Beta(k, x + 1 - k) of the span.
        stopped = np.clip(limit, 0, x)
        last = span * rng.beta(np.maximum(stopped, 1), np.maximum(x + 1 - stopped, 1e-3))
        return stopped, np.where(stopped > 0, np.minimum(last, T), 0)
    return x, np.where(x > 0, span * rng.uniform(size=len(T)) ** (1 / np.maximum(x, 1)), 0)


def spend_of(rng: np.random.Generator, orders: np.ndarray) -> pd.DataFrame:
    """Means of all orders, cents to millions, tame to wild."""
    p, q = np.exp(rng.uniform(np.log(0.1), np.log(50), 2))
    level = np.exp(rng.uniform(np.log(0.01), np.log(1e6)))
    nu = np.maximum(rng.gamma(q, 1, len(orders)), 1e-12) / level
    mean = rng.gamma(p * orders) / (nu * orders * p)
    return pd.DataFrame({"frequency": orders, "monetary_value": np.clip(mean, level * 1e-9, level * 1e9)})


def bad_predictions(model, summary: pd.DataFrame) -> int:
    """Predictions that are NaN, infinite, negative or no probability; heavy and new customers appended."""
    age = float(summary["T"].max())
    extra = [
        (0, 0, 0),
        (0, 0, age),
        (10_000, age, age),
        (10_000, 0.01 * age, age),
        (1, 0, age),
        (1, age, age),
    ]
    rows = pd.DataFrame(extra, columns=["frequency", "recency", "T"])
    rows = pd.concat([summary.iloc[:200], rows], ignore_index=True)
    bad = 0
    for days in (0.0, age / 100, age, 30 * age):
        numbers = (model.expected_purchases(rows, days), model.discounted_purchases(rows, days, 0.1))
        bad += sum(int((~np.isfinite(one) | (one < 0)).sum()) for one in numbers)
        active = model.probability_active(rows, days)
        bad += int((~np.isfinite(active) | (active < 0) | (active > 1)).sum())
    alive = model.probability_alive(rows)
    return bad + int((~np.isfinite(alive) | (alive < 0) | (alive > 1)).sum())


def restarts(coarse, fine, coordinates, rng: np.random.Generator) -> float:
    """Best mean log-likelihood of many random starts, run on a part of the histories and ended on all."""
    low, high = np.maximum(coordinates.lower, -4), np.minimum(coordinates.upper, 4)
    box = coordinates.lower, coordinates.upper
    ends = [maximise(coarse, rng.uniform(low, high), *box) for _ in range(RESTARTS)]
    best = max((end for end in ends if np.isfinite(end.value)), key=lambda end: end.value)
    return maximise(fine, best.theta, *box).value


def ours(kind, summary: pd.DataFrame, rng: np.random.Generator) -> dict:
    model = kind()
    begin = time.perf_counter()
    try:
        model.fit(summary)
    except Exception as error:  # the study counts whatever is raised
        return {"status": "raised", "error": repr(error)}
    seconds = time.perf_counter() - begin
    columns = (summary[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    counts = count_histories(*columns)
    thin, coordinates = counts.thin(1500), model._coordinates
    coarse, fine = (
        coordinates.objective(lambda p, counts=one: model._likelihood(p, counts)) for one in (thin, counts)
    )
    best = restarts(coarse, fine, coordinates, rng)
    scale = np.log(counts.scale) * (counts.weight @ counts.x) / counts.n
    gap = best - scale - model.fit_report_.log_likelihood / len(summary)
    return {
        "status": model.fit_report_.status,
        "gap": float(gap),
        "seconds": seconds,
        "bad": bad_predictions(model, summary),
        "units": units(model, summary),
    }


def units(model, summary: pd.DataFrame) -> float:
    """Largest relative difference between fits in days and in hours (up to 20,000 customers)."""
    if len(summary) > 20_000:
        return 0.0
    hours = summary.assign(recency=summary["recency"] * 24, T=summary["T"] * 24)
    age, rows = float(summary["T"].max()), slice(0, 200)
    mine = model.expected_purchases(summary.iloc[rows], age)
    other = type(model)().fit(hours).expected_purchases(hours.iloc[rows], 24 * age)
    return float((np.abs(mine - other) / np.maximum(mine, 1e-12)).max())


def ours_spend(spend: pd.DataFrame, rng: np.random.Generator) -> dict:
    try:
        model = GammaGammaModel().fit(spend)
    except Exception as error:  # the study counts whatever is raised
        return {"status": "raised", "error": repr(error)}
    x, mean = spend["frequency"].to_numpy(dtype=float), spend["monetary_value"].to_numpy()
    counted = gamma_gamma.count_spend(x, mean)
    objective = _COORDINATES.objective(lambda p: gamma_gamma.log_likelihood(p, counted))
    best = restarts(objective, objective, _COORDINATES, rng)
    gap = best - np.log(counted.scale) - model.fit_report_.log_likelihood / len(spend)
    predicted = model.expected_spend(
        pd.concat([spend, pd.DataFrame({"frequency": [0], "monetary_value": [0.0]})])
    )
    bad = int((~np.isfinite(predicted) | (predicted < 0)).sum())
    return {"status": model.fit_report_.status, "gap": float(gap), "bad": bad}


def theirs(kind: str, summary: pd.DataFrame, best: float) -> dict:
    """lifetimes without a penalty on the same set."""
    try:
        saved, lifetimes_bridge._PENALIZERS = lifetimes_bridge._PENALIZERS, (0.0,)
        model = lifetimes_bridge.fit_with_lifetimes(kind, summary)
    except ConvergenceError:
        return {"status": "raised"}
    finally:
        lifetimes_bridge._PENALIZERS = saved
    report = model.fit_report_
    status = "converged" if len(report.standard_errors) == len(model.params_) else "no standard errors"
    return {"status": status, "gap": best - report.log_likelihood / len(summary)}


def one_set(number: int) -> dict:
    rng = np.random.default_rng([20260101, number])
    summary, spend, about = simulate(rng)
    row: dict = {"set": number, **about}
    for kind in MODELS:
        row[kind.__name__] = ours(kind, summary, rng)
    row["GammaGammaModel"] = ours_spend(spend, rng)
    for name, kind in (("bg_nbd", BetaGeoModel), ("mbg_nbd", ModifiedBetaGeoModel)):
        mean = kind().fit(summary).fit_report_.log_likelihood / len(summary)
        row[f"lifetimes {name}"] = theirs(name, summary, mean)
    return row


def table(path: str) -> str:
    """The counts, as Markdown."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    lines = [
        f"| {len(rows)} sets | raised | converged | at bound | not identified | over 1e-4 below the best "
        "| bad predictions | largest difference days/hours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in rows[0]:
        if not isinstance(rows[0][name], dict):
            continue
        fits = [row[name] for row in rows]
        states = [fit["status"] for fit in fits]
        counts = [states.count(one) for one in ("raised", "converged", "at bound")]
        counts.append(states.count("not identified") + states.count("no standard errors"))
        worse = sum(fit.get("gap", 0) > 1e-4 for fit in fits)
        bad = sum(fit.get("bad", 0) for fit in fits) if "bad" in str(fits) else "-"
        units = max((fit.get("units", 0) for fit in fits), default=0)
        shown = f"{units:.1e}" if units else "-"
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + f" | {worse} | {bad} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--table")
    options = parser.parse_args()
    if options.table:
        print(table(options.table))
        return
    for number in range(options.first, options.first + options.sets):
        print(json.dumps(one_set(number)), flush=True)
        print(f"{number + 1 - options.first} of {options.sets}", end="\r", file=sys.stderr)


if __name__ == "__main__":
    main()
