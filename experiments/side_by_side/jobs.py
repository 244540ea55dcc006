"""The jobs that are set side by side, each as its users would write it; `run.py` starts them one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HORIZON = 182
Step = Callable[[str], None]


def main_job(log: Path, folder: Path, step: Step) -> None:
    """`clvseg fit`: checked, judged, fitted, scored, segmented, explained, reported, logged in MLflow."""
    from clvseg import results, workflow
    from clvseg.config import Settings

    asked = {
        "name": "side-by-side",
        "horizon": f"{HORIZON}d",
        "output": str(folder / "output"),
        "data": {"source": str(log / "*.parquet")},
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
    }
    run = workflow.fit(Settings.make(asked), progress=step)
    results.publish(run, progress=step)


def models_and_scores(log: Path, folder: Path, step: Step) -> None:
    """clvseg without judging itself, report and tracking: models, scores with intervals and reasons, SHAP."""
    from clvseg.stored import Writer

    transactions, scorer = _learned(log, step)
    step("Scoring and writing")
    with Writer(folder / "scores.parquet") as writer:
        for _, scores in scorer.score_blocks(transactions):
            writer.add(scores)


def the_same_as_by_hand(log: Path, folder: Path, step: Step) -> None:
    """clvseg for what the pipeline by hand does: the same without anybody's intervals and reasons."""
    from clvseg.data.features import feature_blocks
    from clvseg.stored import Writer

    transactions, scorer = _learned(log, step)
    step("Scoring and writing")
    with Writer(folder / "scores.parquet") as writer:
        for features in feature_blocks(transactions, transactions.last_day):
            people = scorer.people(features)
            writer.add(people.join(scorer.segmentation.assign(people)["segment"]).reset_index())


def _learned(log: Path, step: Step) -> tuple[Any, Any]:
    """Transactions and what scores them, after SHAP of some."""
    from clvseg.config import Settings
    from clvseg.data.transactions import Transactions
    from clvseg.explain import drivers, shap_values
    from clvseg.learning import learn

    settings = Settings.make({"horizon": f"{HORIZON}d"})
    step("Reading")
    transactions = Transactions.read(str(log / "*.parquet"))
    step("Models and segments")
    sample = transactions.sample(settings.sample)
    learned = learn(sample, transactions.last_day, HORIZON, settings)
    scorer = learned.scorer(settings)
    step("SHAP of 5,000 customers")
    some = learned.people.head(5_000)
    drivers(shap_values(learned.churn, some), some, "churn")
    return transactions, scorer


def by_hand(log: Path, folder: Path, step: Step) -> None:
    """What a notebook does with lifetimes, scikit-learn, LightGBM and shap; no report, no tracking."""
    import lightgbm as lgb
    import shap
    from sklearn.cluster import KMeans
    from sklearn.metrics import mean_absolute_error, roc_auc_score, silhouette_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    step("Reading")
    lines = pd.read_parquet(log)
    lines["day"] = lines["time"].dt.normalize()
    days = lines.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    last = days["day"].max()
    cutoff = last - pd.Timedelta(days=HORIZON)
    step("Summaries and features")
    before, after = days[days["day"] <= cutoff], days[days["day"] > cutoff]
    then, now = _features(before, cutoff), _features(days, last)
    came = after.groupby("customer_id")["amount"].agg(["sum", "size"]).reindex(then.index, fill_value=0)
    step("BG/NBD and Gamma-Gamma by lifetimes")
    for table in (then, now):
        _expect(table)
    step("LightGBM for value and churn")
    gone = (came["size"] == 0).astype(int)
    train, test = train_test_split(then.index, test_size=0.2, random_state=1)
    settings = {
        "n_estimators": 300,
        "learning_rate": 0.05,
        "num_leaves": 31,
        "random_state": 1,
        "verbose": -1,
    }
    churn, value = lgb.LGBMClassifier(**settings), lgb.LGBMRegressor(objective="tweedie", **settings)
    churn.fit(then.loc[train], gone.loc[train])
    value.fit(then.loc[train], came.loc[train, "sum"])
    risk = churn.predict_proba(then.loc[test])[:, 1]
    print("AUC", roc_auc_score(gone.loc[test], risk))
    print("MAE", mean_absolute_error(came.loc[test, "sum"], value.predict(then.loc[test])))
    step("Scoring")
    scores = now.assign(churn_probability=churn.predict_proba(now)[:, 1], predicted_value=value.predict(now))
    step("K-Means")
    rfm = StandardScaler().fit_transform(np.log1p(now[["since_last", "frequency", "past_revenue"]]))
    some = np.random.default_rng(1).permutation(len(rfm))[:10_000]
    found = {k: KMeans(k, n_init=10, random_state=1).fit(rfm) for k in range(3, 9)}
    best = max(found, key=lambda k: silhouette_score(rfm[some], found[k].labels_[some]))
    scores["segment"] = found[best].labels_
    step("SHAP of 5,000 customers")
    shap.TreeExplainer(churn).shap_values(now.iloc[some[:5_000]])
    step("Writing")
    scores.to_parquet(folder / "scores.parquet")


def _features(days: pd.DataFrame, until: pd.Timestamp) -> pd.DataFrame:
    by = days.groupby("customer_id")
    table = by.agg(first=("day", "min"), last=("day", "max"), orders=("day", "size"))
    first_amount = days.sort_values(["customer_id", "day"]).groupby("customer_id")["amount"].first()
    out = pd.DataFrame({"frequency": table["orders"] - 1.0})
    out["recency"] = (table["last"] - table["first"]).dt.days.astype(float)
    out["T"] = (until - table["first"]).dt.days.astype(float)
    out["past_revenue"] = by["amount"].sum()
    repeat = out["past_revenue"] - first_amount
    out["monetary_value"] = (repeat / out["frequency"]).where(out["frequency"] > 0, 0.0)
    out["since_last"] = out["T"] - out["recency"]
    for window in (30, 90, 180, 365):
        recent = days[days["day"] > until - pd.Timedelta(days=window)].groupby("customer_id")["amount"]
        out[f"orders_{window}"] = recent.size().reindex(out.index, fill_value=0)
        out[f"spend_{window}"] = recent.sum().reindex(out.index, fill_value=0.0)
    return out


def _expect(table: pd.DataFrame) -> None:
    from lifetimes import BetaGeoFitter, GammaGammaFitter

    buys, spends = BetaGeoFitter(penalizer_coef=0.001), GammaGammaFitter(penalizer_coef=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rfm = table["frequency"], table["recency"], table["T"]
        buys.fit(*rfm)
        again = table[(table["frequency"] > 0) & (table["monetary_value"] > 0)]
        spends.fit(again["frequency"], again["monetary_value"])
        amount = spends.conditional_expected_average_profit(table["frequency"], table["monetary_value"])
        orders = buys.conditional_expected_number_of_purchases_up_to_time(HORIZON, *rfm)
        table["alive"] = buys.conditional_probability_alive(*rfm)
    table["expected"] = orders * amount


def clvkit(log: Path, folder: Path, step: Step) -> None:
    """All that clvkit does: summary, BG/NBD, Gamma-Gamma, discounted value of the horizon."""
    from clvkit import CLV, CustomerBase

    step("Reading")
    lines = pd.read_parquet(log).rename(columns={"time": "date"})
    step("Summary")
    base = CustomerBase.from_transactions(lines, time_unit="D", collapse="D")
    step("BG/NBD and Gamma-Gamma")
    model = CLV().fit(base)
    step("Predicting")
    table = model.predict(horizon=HORIZON, discount_rate=0.1 / 365).to_pandas()
    step("Writing")
    table.to_parquet(folder / "clv.parquet")


def the_same_as_clvkit(log: Path, folder: Path, step: Step) -> None:
    """clvseg for what clvkit does."""
    from clvseg.data.summary import customer_summary
    from clvseg.data.transactions import Transactions
    from clvseg.value import BetaGeoModel, GammaGammaModel, ValueModel

    step("Reading")
    transactions = Transactions.read(str(log / "*.parquet"))
    step("Summary")
    table = customer_summary(transactions, transactions.last_day)
    step("BG/NBD and Gamma-Gamma")
    model = ValueModel(BetaGeoModel(), GammaGammaModel()).fit(table, table)
    step("Predicting")
    table["clv"] = model.lifetime_value(table, table, HORIZON, 0.1, 1.0)
    step("Writing")
    table.to_parquet(folder / "clv.parquet")


JOBS = {
    "clvseg fit": main_job,
    "clvseg, models and scores": models_and_scores,
    "clvseg, the same as by hand": the_same_as_by_hand,
    "by hand": by_hand,
    "clvseg, the same as clvkit": the_same_as_clvkit,
    "clvkit": clvkit,
}
