"""Fit every model to simulated data sets that are hard on purpose, and count what goes wrong.

python experiments/stress/run.py results.jsonl [--sets 500] [--seed N]    one line per set and row; resumes
python experiments/stress/run.py results.jsonl --table                    the tables of README.md
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from clvseg.errors import ConvergenceError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
)
from clvseg.value import lifetimes_bridge as bridge
from clvseg.value.equations import gamma_gamma
from clvseg.value.equations.counts import count_histories
from clvseg.value.equations.newton import maximise
from clvseg.value.spend import _COORDINATES

MODELS = {
    kind.__name__: kind
    for kind in (BetaGeoModel, ModifiedBetaGeoModel, ModifiedBetaGeoCNBDModel, ParetoNBDModel)
}
# The slow ones run on the first sets only: MBG/CNBD-k, which fits every k, and lifetimes' Pareto/NBD, which
# takes minutes on more customers.
FIRST = {"ModifiedBetaGeoCNBDModel": 50, "lifetimes ParetoNBDFitter": 250}
SMALL = 1_000
RESTARTS = 12
SPEND = ["frequency", "monetary_value"]


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
    spend = spend_of(rng, x + 1)
    about = {"n": n, "age": age, "story": str(story), "heavy": bool(heavy), "whole": whole}
    about |= {"one_time": float((x == 0).mean()), "most": int(x.max())}
    return summary, spend, about | {"spend": float(spend["monetary_value"].median())}


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
    age, rows = float(summary["T"].max()), with_extremes(summary)
    bad = sum(
        count_bad(probability, 1.0)
        for days in (0.0, age / 100, age, 30 * age)
        for probability in (model.probability_active(rows, days), model.probability_counts(rows, days, 3))
    )
    bad += count_bad(model.probability_alive(rows), 1.0)
    for days in (0.0, age / 100, age, 30 * age):
        bad += count_bad(model.expected_purchases(rows, days))
    bad += sum(count_bad(model.discounted_purchases(rows, days, 0.1)) for days in (age, np.inf))
    bad += count_bad(model.days_to_next_purchase(rows))
    return bad + int((~np.isfinite(model.days_late(rows))).sum())


def with_extremes(summary: pd.DataFrame) -> pd.DataFrame:
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
    return pd.concat([summary.iloc[:200], rows], ignore_index=True)


def count_bad(numbers: np.ndarray, most: float = np.inf) -> int:
    return int((~np.isfinite(numbers) | (numbers < 0) | (numbers > most)).sum())


def restarts(coarse, fine, coordinates, rng: np.random.Generator) -> float:
    """Best mean log-likelihood of many random starts, run on a part; the three best ends go on on all."""
    low, high = np.maximum(coordinates.lower, -4), np.minimum(coordinates.upper, 4)
    box = coordinates.lower, coordinates.upper
    ends = [maximise(coarse, rng.uniform(low, high), *box) for _ in range(RESTARTS)]
    best: list = []
    for end in sorted((end for end in ends if np.isfinite(end.value)), key=lambda end: -end.value):
        if len(best) < 3 and all(np.abs(end.theta - other.theta).max() > 1e-2 for other in best):
            best.append(end)
    return max(maximise(fine, end.theta, *box).value for end in best)


def purchases(kind, summary: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Our fit of one purchase model: verdict, gap to the best restart, bad predictions, other units."""
    begin = time.perf_counter()
    model = kind().fit(summary)
    seconds = time.perf_counter() - begin
    counts = count_histories(*(summary[name].to_numpy(dtype=float) for name in summary.columns))
    coordinates = model._coordinates
    coarse, fine = (
        coordinates.objective(lambda p, counts=one: model._likelihood(p, counts))
        for one in (counts.thin(800), counts)
    )
    best = restarts(coarse, fine, coordinates, rng)
    scale = np.log(counts.scale) * (counts.weight @ counts.x) / counts.n
    best += model._constant(summary, counts.scale)
    return {
        "status": model.fit_report_.status,
        "gap": float(best - scale - model.fit_report_.log_likelihood / len(summary)),
        "seconds": seconds,
        "bad": bad_predictions(model, summary),
        "units": max(units(model, summary, factor) for factor in (24.0, 1 / 7)),
    }


def units(model, summary: pd.DataFrame, factor: float) -> float:
    """Largest difference of predictions from a fit in another unit: purchases relative, probabilities not."""
    other = summary.assign(recency=summary["recency"] * factor, T=summary["T"] * factor)
    again = type(model)().fit(other)
    age, rows = float(summary["T"].max()), slice(0, 200)
    one, two = summary.iloc[rows], other.iloc[rows]
    mine = model.expected_purchases(one, age)
    relative = np.abs(mine - again.expected_purchases(two, factor * age)) / np.maximum(mine, 1e-9)
    alive = np.abs(model.probability_alive(one) - again.probability_alive(two))
    active = np.abs(model.probability_active(one, age) - again.probability_active(two, factor * age))
    return float(max(relative.max(), alive.max(), active.max()))


def spending(spend: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Our Gamma-Gamma fit, likewise; the other unit of money is a hundredth."""
    model = GammaGammaModel().fit(spend)
    x, mean = (spend[name].to_numpy(dtype=float) for name in SPEND)
    counted = gamma_gamma.count_spend(x, mean)
    objective = _COORDINATES.objective(lambda p: gamma_gamma.log_likelihood(p, counted))
    best = restarts(objective, objective, _COORDINATES, rng)
    rows = pd.concat([spend, pd.DataFrame({"frequency": [0], "monetary_value": [0.0]})])
    cents = rows.assign(monetary_value=rows["monetary_value"] * 100)
    mine = model.expected_spend(rows)
    other = GammaGammaModel().fit(cents.iloc[:-1]).expected_spend(cents) / 100
    return {
        "status": model.fit_report_.status,
        "gap": float(best - np.log(counted.scale) - model.fit_report_.log_likelihood / len(spend)),
        "bad": count_bad(mine),
        "units": float((np.abs(mine - other) / mine).max()),
    }


def theirs(kind, frame: pd.DataFrame) -> dict:
    """lifetimes without a penalty on the same set; `gap` is to our fit."""
    columns = SPEND if kind is GammaGammaModel else ["frequency", "recency", "T"]
    begin = time.perf_counter()
    saved, bridge._PENALIZERS = bridge._PENALIZERS, (0.0,)
    try:
        fitter, _ = bridge._fit(bridge._FITTERS[kind.__name__], frame, columns)
    except ConvergenceError as error:
        return {"status": "raised", "error": error.args[0]}
    finally:
        bridge._PENALIZERS = saved
    seconds = time.perf_counter() - begin
    model, ours = bridge.from_lifetimes(fitter), kind().fit(frame)
    errors = model.fit_report_.standard_errors
    usable = len(errors) == len(model.params_) and np.isfinite(list(errors.values())).all()
    gap = (ours.fit_report_.log_likelihood - model.fit_report_.log_likelihood) / len(frame)
    with bridge._lifetimes():
        bad = their_bad_predictions(kind, fitter, frame)
    return {
        "status": "converged" if usable else "no standard errors",
        "gap": float(gap),
        "seconds": seconds,
        "bad": bad,
    }


def their_bad_predictions(kind, fitter, frame: pd.DataFrame) -> int:
    """As `bad_predictions`, of what lifetimes predicts: P(alive) and purchases, or spend."""
    if kind is GammaGammaModel:
        spend = fitter.conditional_expected_average_profit(*(frame[name] for name in SPEND))
        return count_bad(np.asarray(spend, dtype=float))
    rows, age = with_extremes(frame), float(frame["T"].max())
    columns = [rows[name].to_numpy(dtype=float) for name in rows]
    bad = count_bad(np.asarray(fitter.conditional_probability_alive(*columns), dtype=float), 1.0)
    for days in (0.0, age / 100, age, 30 * age):
        bad += count_bad(np.asarray(fitter.predict(days, *columns), dtype=float))
    return bad


def jobs(summary: pd.DataFrame, spend: pd.DataFrame, place: list[int]) -> dict[str, Callable]:
    """What is run on one set, by the name of its row; `place` seeds the restarts."""

    def rng(name: str) -> np.random.Generator:
        return np.random.default_rng([*place, zlib.crc32(name.encode())])

    out: dict[str, Callable] = {}
    for name, kind in MODELS.items():
        out[name] = lambda name=name, kind=kind: purchases(kind, summary, rng(name))
        if name in bridge._FITTERS and (kind is not ParetoNBDModel or len(summary) <= SMALL):
            out[f"lifetimes {bridge._FITTERS[name]}"] = lambda kind=kind: theirs(kind, summary)
    out["GammaGammaModel"] = lambda: spending(spend, rng("GammaGammaModel"))
    out["lifetimes GammaGammaFitter"] = lambda: theirs(GammaGammaModel, spend)
    return out


def run(path: Path, sets: int, seed: int) -> None:
    """Run what `path` does not hold yet and append it; a file holds the sets of one seed."""
    done = {(row["set"], row["row"]) for row in read(path)}
    with path.open("a") as file:
        for number in range(sets):
            summary, spend, about = simulate(np.random.default_rng([seed, number]))
            for name, job in jobs(summary, spend, [seed, number]).items():
                if (number, name) in done or number >= FIRST.get(name, sets):
                    continue
                try:
                    found = job()
                except Exception as error:  # the study counts whatever is raised
                    found = {"status": "raised", "error": repr(error)}
                file.write(json.dumps({"set": number, "row": name, **found, "about": about}) + "\n")
                file.flush()
            print(f"{number + 1} of {sets}", end="\r", file=sys.stderr)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tables(rows: list[dict]) -> str:
    """What was simulated, and the counts, as Markdown."""
    about = pd.DataFrame({row["set"]: row["about"] for row in rows}).T
    lines = [
        "| simulated | smallest | quarter | half | three quarters | largest |",
        "|---|---|---|---|---|---|",
    ]
    names = {
        "n": "customers",
        "age": "longest age, days",
        "one_time": "share of one-time buyers",
        "most": "purchases of the heaviest buyer",
        "spend": "median spend",
    }
    for column, name in names.items():
        cells = about[column].astype(float).quantile([0, 0.25, 0.5, 0.75, 1])
        lines.append(f"| {name} | " + " | ".join(f"{cell:,.3g}" for cell in cells) + " |")
    story = about["story"].value_counts()
    lines.append(
        f"\n{len(about)} sets: {story['nbd']} without dropout (NBD), {story['geometric']} with dropout after "
        f"a purchase, {story['pareto']} at any time; {about['heavy'].sum()} with buyers of 1,000 orders and "
        f"more; {about['whole'].sum()} in whole days.\n"
    )
    lines += [
        "| | sets | raised | converged | at bound | not identified | over 1e-4 below the best | largest gap "
        "| bad predictions (sets) | largest difference between units |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    frame = pd.DataFrame(rows)
    for name in frame["row"].unique():
        some = frame[frame["row"] == name]
        counts = [int((some["status"] == one).sum()) for one in ("raised", "converged", "at bound")]
        counts.append(int(some["status"].isin(["not identified", "no standard errors"]).sum()))
        unit = f"{some['units'].max():.1e}" if some["units"].notna().any() else "-"
        cells = [*counts, int((some["gap"] > 1e-4).sum()), f"{max(some['gap'].max(), 0):.1e}"]
        bad = f"{int(some['bad'].sum())} ({int((some['bad'] > 0).sum())})"
        lines.append(f"| {name} | {len(some)} | " + " | ".join(map(str, [*cells, bad, unit])) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--sets", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(tables(read(options.results)))
    else:
        run(options.results, options.sets, options.seed)


if __name__ == "__main__":
    main()
