"""How were the defaults chosen? Prints the tables of README.md, from cutoffs before those of the cases.

python experiments/accuracy/choices.py                      about 15 minutes on one core
python experiments/accuracy/choices.py --only calibration   one of the comparisons
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache, partial

import lightgbm as lgb
import numpy as np
import pandas as pd
from run import cdnow, complete_journey, fit_model, markdown, online_retail
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from clvseg import boosting
from clvseg.boosting import DEFAULTS, Boosting, Panel, boost, customer_folds, raw_score
from clvseg.churn import model as churn
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.evaluation import metrics
from clvseg.processes import side_by_side
from clvseg.value import hybrid
from clvseg.value.origins import build_panel

SEED = 1
ROUNDS, PATIENCE = 400, 10


def simulated(kind: str, seed: int) -> Transactions:
    return Transactions.read(simulate_transactions(6000, purchases=kind, acquisition_days=200, seed=seed))


def simulated_large(kind: str, seed: int) -> Transactions:
    lines = simulate_transactions(24_000, purchases=kind, days=730, acquisition_days=500, seed=seed)
    return Transactions.read(lines)


# Log, cutoff, horizon in days. Each period that is predicted ends before the log's named cutoff.
CASES: dict[str, tuple[Callable[[], Transactions], str, int]] = {
    "CDNOW May": (cdnow, "1997-05-31", 60),
    "CDNOW June": (cdnow, "1997-06-30", 91),
    "CDNOW July": (cdnow, "1997-07-31", 60),
    "Journey May": (complete_journey, "2017-05-31", 60),
    "Journey June": (complete_journey, "2017-06-30", 91),
    "Journey May, longer": (complete_journey, "2017-05-31", 121),
    "Retail May": (online_retail, "2011-05-31", 60),
    "Retail June": (online_retail, "2011-06-09", 91),
    "Retail July": (online_retail, "2011-07-10", 60),
    "simulated Pareto/NBD": (partial(simulated, "pareto_nbd", 11), "2023-10-01", 120),
    "simulated BG/NBD": (partial(simulated, "bg_nbd", 12), "2023-10-01", 120),
    "simulated MBG/NBD": (partial(simulated, "mbg_nbd", 13), "2023-10-01", 180),
}

LARGE: dict[str, tuple[Callable[[], Transactions], str, int]] = {
    **{f"{name}, all": CASES[name] for name in ("CDNOW May", "CDNOW June", "CDNOW July")},
    "simulated Pareto/NBD, large": (partial(simulated_large, "pareto_nbd", 21), "2024-07-01", 182),
    "simulated MBG/NBD, large": (partial(simulated_large, "mbg_nbd", 22), "2024-07-01", 182),
}


@cache
def case(name: str) -> tuple[Panel, pd.DataFrame]:
    """Panel and what followed; of CDNOW every third customer, to be quick, but where rows are compared."""
    read, cutoff, days = (CASES | LARGE)[name]
    tx, day = read(), dt.date.fromisoformat(cutoff)
    panel, _ = build_panel(tx, day, days, fit_model)
    later = outcomes(tx, day, days)
    if read is not cdnow or name in LARGE:
        return panel, later
    every_third = panel.current.index[::3]
    rows, now = panel.rows.index.isin(every_third), panel.current.index.isin(every_third)
    panel = replace(
        panel,
        rows=panel.rows[rows],
        origin=panel.origin[rows],
        outcome=panel.outcome[rows],
        current=panel.current[now],
    )
    return panel, later[now]


def value_scores(actual: np.ndarray, logs: np.ndarray) -> dict[str, float]:
    """Ranking and shape, with the total right."""
    predicted = np.exp(logs - logs.max())
    predicted *= actual.sum() / predicted.sum()
    relative = np.maximum(predicted, 1e-9) / actual.mean()
    return {
        "Gini": metrics.normalised_gini(actual, predicted),
        "Tweedie deviance": float(hybrid.tweedie_deviance(actual / actual.mean(), relative).mean()),
        "decile error, total right": metrics.decile_error(actual, predicted),
    }


def risk_scores(gone: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    probability = np.clip(expit(logits), 1e-6, 1 - 1e-6)
    return {
        "AUC": metrics.roc_auc(gone, probability),
        "log loss": metrics.log_loss(gone, probability),
        "calibration error": metrics.calibration_error(gone, probability),
    }


def starts(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Log of the expectation over the horizon, relative; and log of horizon over inner purchases."""
    frame = panel.current
    expected = frame["horizon_value"].to_numpy()
    ahead = np.maximum(frame[["horizon_purchases", "expected_purchases"]].to_numpy(), 1e-9)
    return np.log(np.maximum(expected / expected.mean(), 1e-3)), np.log(ahead[:, 0] / ahead[:, 1])


def value_parts(panel: Panel, settings: Boosting = hybrid._DEFAULTS) -> tuple[np.ndarray, np.ndarray]:
    """Guided and free log predictions of ``panel.current``."""
    guided, free = side_by_side(hybrid.HybridValueModel(SEED, settings).boosts(panel), rows=0)
    start, longer = starts(panel)
    frame, names = panel.current, panel.features
    return raw_score(guided.booster, frame, names) + start, raw_score(free.booster, frame, names) + longer


def mixed(parts: tuple[np.ndarray, np.ndarray], guided: float = hybrid._DEFAULTS.guided) -> np.ndarray:
    return guided * parts[0] + (1 - guided) * parts[1]


def risk_parts(
    panel: Panel, weight: float = 1.0, settings: Boosting = DEFAULTS
) -> tuple[np.ndarray, np.ndarray]:
    """Mixed logits: out of fold on the panel's rows, and for ``panel.current``."""
    gone, start = 1.0 - panel.outcome["active"].to_numpy(float), churn._gone(panel.rows["probability_active"])
    objective = {"objective": "binary", "scale_pos_weight": weight}
    fold = customer_folds(panel.rows.index, SEED, boosting.FOLDS)
    rows = panel.rows[panel.features]
    one, two = (
        boost(rows, gone, begin, fold, SEED, objective, decreasing=churn._DECREASING, boosting=settings)
        for begin in (start, None)
    )
    frame, names = panel.current, panel.features
    ahead = churn._gone(frame["horizon_active"])
    longer = ahead - churn._gone(frame["probability_active"])
    now = raw_score(one.booster, frame, names) + ahead, raw_score(two.booster, frame, names) + longer
    learned = one.out_of_fold + start, two.out_of_fold
    return mixed(learned, settings.guided), mixed(now, settings.guided)


def boosters(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """The boosters' settings, by what the mixes of value and of risk gain."""
    actual, gone = later["value"].to_numpy(float), 1.0 - later["active"].to_numpy(float)
    ours = dict(boosting._PARAMETERS)
    plain = {"extra_trees": False}
    no_bags = {"bagging_fraction": 1.0}
    for name, (asked, change) in {
        "in use: extra trees, bags of 70 %, rate .1": ({}, {}),
        "rate .05": ({"learning_rate": 0.05}, {}),
        "rate .2": ({"learning_rate": 0.2}, {}),
        "no bags": (no_bags, {}),
        "no extra trees, no bags": (no_bags, plain),
        "16 leaves": ({"num_leaves": 16, "min_data_in_leaf": 100}, {}),
    }.items():
        boosting._PARAMETERS.update({**ours, **change})
        value = mixed(value_parts(panel, replace(hybrid._DEFAULTS, **asked)))
        risk = risk_parts(panel, settings=replace(DEFAULTS, **asked))[1]
        risk += churn._shift(risk, gone.mean())
        yield name, value_scores(actual, value) | risk_scores(gone, risk)
    boosting._PARAMETERS.update(ours)


def rows(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """How many of the rows the boosters learn from; of logs with many customers."""
    actual, gone = later["value"].to_numpy(float), 1.0 - later["active"].to_numpy(float)
    drawn = np.random.default_rng(5).random(len(panel.rows))
    for share in (1.0, 0.6, 0.4):
        keep = drawn < share
        part = replace(panel, rows=panel.rows[keep], origin=panel.origin[keep], outcome=panel.outcome[keep])
        risk = risk_parts(part)[1]
        risk += churn._shift(risk, gone.mean())
        yield f"{share:.0%}", value_scores(actual, mixed(value_parts(part))) | risk_scores(gone, risk)


def folds(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """In how many folds the number of rounds is learned; of logs with many customers."""
    actual, gone = later["value"].to_numpy(float), 1.0 - later["active"].to_numpy(float)
    ours = boosting.FOLDS, boosting.FOLDS_OF_MANY
    for number in (3, 2):
        boosting.FOLDS = boosting.FOLDS_OF_MANY = number
        began = time.process_time()
        value, risk = mixed(value_parts(panel.thin())), risk_parts(panel.thin())[1]
        seconds = time.process_time() - began
        risk += churn._shift(risk, gone.mean())
        yield f"{number}", {"CPU seconds": seconds} | value_scores(actual, value) | risk_scores(gone, risk)
    boosting.FOLDS, boosting.FOLDS_OF_MANY = ours


def spread(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """How far the spread of the mix goes to the guided model's."""
    parts = value_parts(panel)
    both = mixed(parts)
    full = hybrid.match_spread(both, parts[0])
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        scores = value_scores(later["value"].to_numpy(float), full**share * both)
        yield f"{share:.0%}", {"decile error, total right": scores["decile error, total right"]}


def ziln(scores: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and expected curvature of the zero-inflated lognormal loss (Wang, Liu & Miao 2019).

    Columns of `scores`: logit of value > 0, mean of log value, log of its standard deviation.
    """
    value = data.get_label()
    paid = value > 0
    chance, sd = expit(scores[:, 0]), np.exp(scores[:, 2])
    z = np.where(paid, (np.log(np.where(paid, value, 1.0)) - scores[:, 1]) / sd, 0.0)
    gradient = np.column_stack([chance - paid, -z / sd, paid * (1 - z**2)])
    curvature = np.column_stack([chance * (1 - chance), paid / sd**2, 2.0 * paid])
    return gradient, np.maximum(curvature, 1e-6)


def ziln_loss(scores: np.ndarray, data: lgb.Dataset) -> tuple[str, float, bool]:
    value = data.get_label()
    paid = value > 0
    z = (np.log(value[paid]) - scores[paid, 1]) / np.exp(scores[paid, 2])
    loss = (np.logaddexp(0, scores[:, 0]) - paid * scores[:, 0]).sum() + (scores[paid, 2] + z**2 / 2).sum()
    return "ziln", float(loss / len(value)), False


def ziln_prediction(panel: Panel, start: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Log of the expected value of ``panel.current``; starts are of shape (rows, 3)."""
    value, _ = hybrid._targets(panel)
    settings = asdict(DEFAULTS)
    del settings["guided"]
    parameters = {**boosting._PARAMETERS, **settings, "objective": ziln, "num_class": 3, "metric": "None"}
    parameters["seed"] = SEED
    fold = customer_folds(panel.rows.index, SEED)
    data = lgb.Dataset(
        panel.rows[panel.features].to_numpy(), value, init_score=start.ravel(order="F"), free_raw_data=False
    )
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]
    stop = [lgb.early_stopping(PATIENCE, verbose=False)]
    seen = lgb.cv(dict(parameters), data, ROUNDS, folds=splits, feval=ziln_loss, callbacks=stop)
    rounds = len(next(iter(seen.values())))
    booster = lgb.train(dict(parameters), data, rounds)
    raw = booster.predict(panel.current[panel.features].to_numpy(), raw_score=True) + ahead
    return -np.logaddexp(0, -raw[:, 0]) + raw[:, 1] + np.exp(2 * np.minimum(raw[:, 2], 1.5)) / 2


def loss(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """Tweedie against zero-inflated lognormal, each guided by the purchase model, free, and mixed."""
    actual = later["value"].to_numpy(float)
    value, log_expected = hybrid._targets(panel)
    paid = value > 0
    log_paid = np.log(value[paid])
    blank = np.tile([logit(paid.mean()), log_paid.mean(), np.log(log_paid.std())], (len(value), 1))
    active = panel.rows["probability_active"].to_numpy().clip(1e-4, 1 - 1e-4)
    given = log_expected - np.log(active)
    guide = blank.copy()
    guide[:, 0] = logit(active)
    guide[:, 1] = given + (log_paid - given[paid]).mean()
    guide[:, 2] = np.log((log_paid - given[paid]).std())
    frame = panel.current
    start, longer = starts(panel)
    chance = frame["horizon_active"].to_numpy().clip(1e-4, 1 - 1e-4)
    now = np.tile(blank[0], (len(frame), 1))
    now_guide = np.tile(guide[0], (len(frame), 1))
    now_guide[:, 0] = logit(chance)
    now_guide[:, 1] = start - np.log(chance)
    free = ziln_prediction(panel, blank, now) + longer
    guided = ziln_prediction(panel, guide, now_guide)
    tweedie = value_parts(panel)
    yield "Tweedie, guided", value_scores(actual, tweedie[0])
    yield "Tweedie, free", value_scores(actual, tweedie[1])
    yield "Tweedie, mixed (in use)", value_scores(actual, mixed(tweedie))
    yield "zero-inflated lognormal, guided", value_scores(actual, guided)
    yield "zero-inflated lognormal, free", value_scores(actual, free)
    yield "zero-inflated lognormal, mixed", value_scores(actual, mixed((guided, free)))
    both = mixed(tweedie), mixed((guided, free))
    yield "mean of both mixes", value_scores(actual, (both[0] + both[1]) / 2)


def calibration(panel: Panel, later: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    """Class weights, and calibrations learned out of fold on the newest origin, before the level is set."""
    gone = 1.0 - later["active"].to_numpy(float)
    came = 1.0 - panel.outcome["active"].to_numpy(float)
    learned, now = risk_parts(panel)
    expected = logit(expit(churn._gone(panel.current["horizon_active"])).mean())
    off = churn._origin_errors(panel)[0]

    def anchored(
        logits: np.ndarray, trust: float = churn._TRUST, anchor: float = churn._ANCHOR
    ) -> np.ndarray:
        return logits + anchor * churn._shift(logits, float(expit(expected + trust * off)))

    yield "none, level as learned", risk_scores(gone, now)
    yield "none, level half anchored (in use)", risk_scores(gone, anchored(now))
    yield "none, level wholly anchored", risk_scores(gone, anchored(now, anchor=1.0))
    yield "none, half anchored, origin's error ignored", risk_scores(gone, anchored(now, trust=0.0))
    weighted, weighted_now = risk_parts(panel, float((1 - came).sum() / came.sum()))
    back = churn._shift(weighted, came.mean())
    yield "balanced class weights, as learned", risk_scores(gone, weighted_now)
    yield "balanced class weights, half anchored", risk_scores(gone, anchored(weighted_now + back))
    newest = panel.origin == 0
    x, y = learned[newest], came[newest]
    platt = LogisticRegression(C=np.inf).fit(x[:, None], y)
    yield "Platt, half anchored", risk_scores(gone, anchored(platt.decision_function(now[:, None])))

    def logs(logits: np.ndarray) -> np.ndarray:
        return np.column_stack([-np.logaddexp(0, -logits), np.logaddexp(0, logits)])

    beta = LogisticRegression(C=np.inf).fit(logs(x), y)
    yield "beta, half anchored", risk_scores(gone, anchored(beta.decision_function(logs(now))))
    steps = IsotonicRegression(y_min=1e-3, y_max=1 - 1e-3, out_of_bounds="clip").fit(x, y)
    yield "isotonic, half anchored", risk_scores(gone, anchored(logit(steps.predict(now))))


COMPARISONS = {
    "loss": loss,
    "calibration": calibration,
    "spread": spread,
    "boosters": boosters,
    "rows": rows,
    "folds": folds,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=COMPARISONS, action="append", help="default: all")
    for name in parser.parse_args().only or COMPARISONS:
        compare = COMPARISONS[name]
        found = pd.DataFrame(
            [
                {"log": log.split()[0], "": row, **scores}
                for log in (LARGE if compare in (rows, folds) else CASES)
                for row, scores in compare(*case(log))
            ]
        )
        per_log = found.groupby(["", "log"], sort=False).mean(numeric_only=True)
        print(f"### {compare.__doc__}\n")
        overall = per_log.groupby(level=0, sort=False).mean()
        print(markdown(overall.reset_index(), 4), end="\n\n")
        last = per_log.columns[-1]
        print(f"{last.capitalize()} by log:\n")
        wide = found.pivot_table(last, "", "log", sort=False)
        print(markdown(wide.reset_index(), 4), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
