"""How long does it take to explain a million customers: a sample for the charts, reasons for everyone?"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import shap

from clvseg import explain, workflow
from clvseg.config import Settings
from clvseg.data.features import customer_features, feature_catalogue
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.explain.reasons import ReasonCodes
from clvseg.learning import learn, refit_drivers

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by run.py -->\n", "<!-- end -->\n"
PEER = 20_000
Rows = list[tuple[str, float, float]]


@contextmanager
def timed(rows: Rows, name: str) -> Iterator[None]:
    """Add the CPU and the wall seconds of what is done within."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    rows.append((name, time.process_time() - cpu, time.perf_counter() - wall))
    print(f"{rows[-1][1]:8.1f} s CPU {rows[-1][2]:8.1f} s  {name}", flush=True)


def peak() -> float:
    """Most memory this process has had so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def prepare(customers: int, learned_on: int) -> tuple[Any, Any, pd.DataFrame]:
    """Simulate, learn from some of the customers, and predict for all.

    They buy at regular intervals, which the purchase model does not know and boosting learns: without, there
    would be no trees to explain.
    """
    log = simulate_transactions(customers, purchases="mbg_cnbd_k", seed=1)
    settings = Settings.make({"horizon": "26w", "data": {"currency": "USD"}})
    everyone = Transactions.read(log, settings.data)
    some = Transactions.read(log[log["customer_id"] <= learned_on], settings.data)
    learned = learn(some, everyone.last_day, settings.horizon_days, settings)
    assert all(model.parts for model in (learned.churn, learned.hybrid)), "there are no trees to explain"
    scorer = learned.scorer(settings)
    features = customer_features(everyone, everyone.last_day)
    return learned, scorer, scorer.people(features)


def sample(rows: Rows, learned: Any, scorer: Any, people: pd.DataFrame) -> int:
    """What a fit explains by a sample of all customers; returns how many that is."""
    models: dict[str, explain.Explainable] = {"churn": learned.churn, "value": learned.hybrid}
    size, tables = workflow.SHAP_SAMPLE, []
    with timed(rows, f"SHAP values of both models for {size:,}, as tidy frames, and the drivers"):
        for target, model in models.items():
            values = explain.shap_values(model, people, sample=size)
            tables.append(explain.drivers(values, people, target))
            tidy = explain.tidy_contributions(values, people, target)
    with timed(rows, f"{workflow.REFITS} refits and their drivers, how far they agree"):
        same = people.loc[tidy["customer_id"].unique()]
        refits = list(refit_drivers(learned, same, range(2, 2 + workflow.REFITS)))
        _, agreement = explain.driver_stability(pd.concat(tables, ignore_index=True), refits)
    print(agreement)
    segment = scorer.segmentation.assign(people)["segment"]
    with timed(rows, "what sets each segment apart, of 3,000"):
        behaviour = people[[feature.name for feature in feature_catalogue(())]]
        explain.explain_segments(behaviour, segment)
    with timed(rows, "each segment's contributions against the rest"):
        explain.segment_contributions(tidy, segment)
    return size


def by_shap(model: Any, people: pd.DataFrame) -> float:
    """CPU seconds shap takes for the same boosters, a customer, without a word said."""
    inputs = people[list(model.features)].head(PEER)
    start = time.process_time()
    for _, booster in model.parts:
        shap.TreeExplainer(booster)(inputs)
    return (time.process_time() - start) / len(inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--learned-on", type=int, default=20_000)
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    asked = parser.parse_args()
    rows: Rows = []
    with timed(rows, "prepare"):
        learned, scorer, people = prepare(asked.customers, asked.learned_on)
    before, rows = peak(), []
    size = sample(rows, learned, scorer, people)
    parts = list(rows)
    explained = (sum(row[1] for row in rows), sum(row[2] for row in rows))
    rows = []
    codes: ReasonCodes = scorer.reasons
    with timed(rows, f"three reasons in words for all {asked.customers:,}"):
        said = codes.explain(learned.churn, people)
    assert len(said) == asked.customers
    assert (said != "").all(axis=None)
    after = peak()
    ratio = (rows[0][1] / len(said)) / by_shap(learned.churn, people)
    trees = [booster.num_trees() for model in (learned.churn, learned.hybrid) for _, booster in model.parts]
    lines = ["| what | CPU seconds of one thread | seconds |", "|---|---|---|"]
    lines += [f"| {name} | {cpu:.1f} | {wall:.1f} |" for name, cpu, wall in parts]
    lines += [
        f"| **a sample of {size:,} explained, in all** | **{explained[0]:.1f}** | **{explained[1]:.1f}** |"
    ]
    lines += [f"| **{name}** | **{cpu:.0f}** | **{wall:.0f}** |" for name, cpu, wall in rows]
    text = "\n".join(lines) + (
        f"\n\n{asked.customers:,} simulated customers with {len(learned.churn.features)} features; models "
        f"learned from {asked.learned_on:,} of them, with {trees[0]} and {trees[1]} trees for risk, "
        f"{trees[2]} and {trees[3]} for value. Most memory: {before:.2f} GB with every customer's "
        f"features and predictions in hand, {after:.2f} GB after all reasons. The reasons take "
        f"{ratio:.2f} times what shap's TreeExplainer takes for the SHAP values of the same boosters alone. "
        f"Different texts: {said['reason_1'].nunique():,} as the first reason. "
        f"{np.mean(said['direction'] == 'raises'):.0%} of the customers get what raises their risk.\n"
    )
    print(text)
    if asked.write:
        page = README.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
