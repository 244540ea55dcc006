# ruff: noqa: E501
"""A Run with the shape and the size of CDNOW's, made from random customers, for the report to render."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clvseg import frames
from clvseg.config import Settings
from clvseg.evaluation.gates import GATES
from clvseg.evaluation.returning import ALL, CAME, CUSTOMER, ORDERED
from clvseg.run import Run
from clvseg.stored import Stored

SPECS = [
    (
        "Champions",
        "Order often and recently, and spend the most",
        "Keep close: early access, thank-you, no discount",
    ),
    (
        "Loyal, slowing down",
        "Used to order often; the gap is now longer than usual",
        "Call or write personally this week",
    ),
    ("Big spenders at risk", "Few but large orders, quiet for months", "Personal offer on what they bought"),
    ("Steady middle", "Order every couple of months, average baskets", "Recommend a second category"),
    (
        "Promising newcomers",
        "One or two recent orders with good baskets",
        "Welcome series, ask for the second order",
    ),
    ("Fading regulars", "Several orders, none for half a year", "Win-back with a reason to return"),
    ("Small but active", "Low spend, still ordering", "Bundle and free-shipping threshold"),
    ("Lapsed one-time buyers", "Bought once, long ago", "Cheap reactivation only; no paid contact"),
    ("Occasional gift buyers", "Order around holidays", "Reminder before the season"),
    ("Bargain hunters", "Buy small items", "Clearance list"),
]
FINDINGS = [
    ("CLV006", "serious", "Worse than a naive baseline", "days since last order ranks risk better: AUC 0.771 against 0.765.",
     "use the naive row for contact lists until more history is there."),
    ("CLV003", "warning", "Refunds or negative amounts", "80 purchases of zero amount were kept.", "set zero_amounts = \"drop\" if they are samples."),
    ("CLV010", "info", "Season not seen", "the log is shorter than the horizon plus one year.", "expect the total to be off where demand is seasonal."),
]  # fmt: skip
LABELS = [
    "days since the last order", "number of orders", "usual days between orders", "spend in the last 90 days",
    "average order", "days since the first order", "trend of spend", "largest order",
]  # fmt: skip


def build_run(
    *,
    customers: int = 23_570,
    segments: int = 8,
    currency: str | None = "USD",
    scale: float = 1.0,
    findings: int = 3,
    names: list[str] | None = None,
) -> Run:
    rng = np.random.default_rng(7)
    scores = _scores(rng, customers, scale)
    names = names or [spec[0] for spec in SPECS[:segments]]
    scores["segment"] = _assign(scores, names)
    table = _segments(scores, names)
    total = float(scores["predicted_value"].sum())
    settings = Settings.make(
        {"name": "cdnow", "horizon": "39w", "data": {"currency": currency, "source": "dataset:cdnow"}}
    )
    facts = {
        "as_of": "1998-06-30", "cutoff": "1997-09-30", "first_day": "1997-01-01", "horizon_days": 273, "holdout_days": 273,
        "customers": customers, "currency": currency, "data_hash": "9f2c1d77aa01b2c3", "base_model": "mbg_nbd", "version": "0.1.0",
        "total": {"predicted": total, "low": total * 0.93, "high": total * 1.06, "level": 0.8},
        "model_value": "hybrid", "model_churn": "hybrid", "campaign": {"contact_cost": 0.2, "offer_cost": 2.0, "save_rate": 0.3, "save_rate_sd": 0.1}, "cutoffs": ["1997-09-30"], "left_out": {},
        "intervals": {"level": 0.8, "coverage": 0.83, "coverage_low": 0.825, "coverage_high": 0.835, "width": 61.0, "below": 0.06, "above": 0.11},
        "gates": {"passed": False, "cutoff": "1997-09-30", "value": True, "churn": False, "champion_value": "hybrid", "champion_churn": None},
        "holdout_total": {"predicted": total * 0.91, "low": total * 0.8, "high": total * 1.02, "actual": total},
        "expected_churners": float(scores["churn_probability"].sum()),
        "driver_agreement": {"churn": 0.91, "value": 0.84},
        "learned_from": customers,
    }  # fmt: skip
    return Run(
        settings=settings,
        facts=facts,
        profile={"lines_read": 69_659, "duplicate_lines_dropped": 255, "same_day_orders_merged": 2_068, "purchases": 67_591,
                 "refund_lines": 0, "lines_without_customer": 0},
        models={},
        scores_kept=Stored.of(frames.SCORES.conform(scores)),
        segments=frames.SEGMENTS.conform(table),
        later=frames.LATER.conform(_later(rng, table)),
        leaderboard_value=frames.LEADERBOARD_VALUE.conform(_value_board(scale)),
        leaderboard_churn=frames.LEADERBOARD_CHURN.conform(_churn_board()),
        differences=_differences(),
        gates=_gates(),
        cohorts=_cohorts(scale),
        gains=_gains(),
        profits=_profits(scale),
        findings=frames.FINDINGS.conform(pd.DataFrame(FINDINGS[:findings], columns=frames.FINDINGS.names)),
        deciles=_deciles(scale, customers),
        calibration=_calibration(customers),
        weekly=_weekly(rng, scale),
        drivers=_drivers(),
        contributions=_contributions(rng, scores),
        segment_drivers=_segment_drivers(names),
        model_choice=frames.MODEL_CHOICE.conform(_model_choice()),
        cluster_choice=frames.CHOICE.conform(pd.DataFrame(
            {"clusters": range(3, 10), "silhouette": [0.41, 0.44, 0.46, 0.42, 0.4, 0.38, 0.35],
             "stability": [0.97, 0.95, 0.93, 0.8, 0.77, 0.71, 0.66], "chosen": [k == 5 for k in range(3, 10)],
             "within": 0.5, "gap": 0.8, "gap_error": 0.02, "calinski_harabasz": 900.0, "bic": 8.4, "weakest": 0.8,
             "later_value": 0.2, "smallest_share": 0.05, "votes": [1, 1, 4, 1, 0, 0, 0]}
        )),
        customers_kept=Stored.of(
            pd.DataFrame({"customer_id": scores["customer_id"], "orders": scores["frequency"] + 1.0})
        ),
        survival=_survival([ALL, *names], {ORDERED: 0.0, CUSTOMER: 0.0}),
        survival_later=_survival([ALL], {ORDERED: 0.0, CAME: 0.02}),
        rules=_rules(names),
        scorecard=_scorecard(names),
        rivals=_rivals(),
        maps=_maps(rng, scores),
        holdout=pd.DataFrame({"customer_id": scores["customer_id"], "actual_value": scores["predicted_value"]}),
    )  # fmt: skip


def _survival(groups: list[str], halves: dict[str, float]) -> pd.DataFrame:
    """Shares that rise, or fall from 0.9 for `CUSTOMER`, with an interval of plus and minus the half width."""
    days = np.linspace(0, 273, 14).round()
    parts = []
    for place, group in enumerate(groups):
        risen = 1 - np.exp(-days / (200 + 60 * place))
        for measure, half in halves.items():
            share = 0.9 - risen / 2 if measure == CUSTOMER else risen
            low, high = np.maximum(share - half, 0), share + half
            parts.append(pd.DataFrame({"group": group, "measure": measure, "day": days,
                                       "share": share, "low": low, "high": high}))  # fmt: skip
    return frames.SURVIVAL.conform(pd.concat(parts))


def _rules(names: list[str]) -> pd.DataFrame:
    rows = [
        (name, "churn probability up to 0.4", '("T" > 30.0)', "(`T` > 30.0)", 0.9, 0.95, 0.86)
        for name in names
    ]
    return frames.RULES.conform(pd.DataFrame(rows, columns=frames.RULES.names))


def _rivals() -> pd.DataFrame:
    shares = {"RFM cells": 0.36, "segments": 0.33, "value tiers": 0.25, "by region": 0.001}
    rows = [
        (outcome, name, 8, share, share - 0.004, share + 0.004, share - 0.33 - 0.005, share - 0.33 + 0.005)
        for outcome in ("log later revenue", "later orders", "no later order")
        for name, share in shares.items()
    ]
    return frames.RIVALS.conform(pd.DataFrame(rows, columns=frames.RIVALS.names))


def _maps(rng: np.random.Generator, scores: pd.DataFrame) -> pd.DataFrame:
    sample = scores[["segment", "predicted_value", "churn_probability"]].iloc[:1_000].reset_index(drop=True)
    return frames.MAPS.conform(
        sample.assign(
            **{name: rng.normal(size=len(sample)) for name in ("pca_1", "pca_2", "tsne_1", "tsne_2")}
        )
    )


def _scorecard(names: list[str]) -> pd.DataFrame:
    """Everything passes but the last segment, which is not stable."""
    measures = [
        ("large enough", "share of customers", 0.12, 0.01, "pass", ""),
        ("large enough", "share of revenue so far", 0.2, 0.001, "pass", ""),
        ("large enough", "share of predicted revenue", 0.21, 0.001, "pass", ""),
        ("stable", "bootstrap Jaccard", 0.93, 0.75, "pass", ""),
        ("differentiable", "later revenue", 1.7, 1.25, "pass", "against another"),
        ("differentiable", "later activity", 0.3, 0.2, "pass", "against another"),
        ("differentiable", "what is known", 0.8, 0.33, "pass", "against another"),
        ("actionable", "share reachable", 0.0, 0.5, "not measured", ""),
        ("actionable", "fidelity of the rule", 0.9, 0.8, "pass", ""),
        ("actionable", "action and owner", 1.0, 1.0, "pass", "Marketing"),
    ]
    overall = [
        ("stable", "adjusted Rand between resamples", 0.9, 0.75, "pass", ""),
        ("stable", "adjusted Rand between seeds", 1.0, 0.9, "pass", ""),
        ("stable", "adjusted Rand between dates", 0.6, 0.5, "pass", ""),
        ("differentiable", "share explained", 0.3, 0.05, "pass", ""),
    ]
    rows = [(name, *row) for name in names for row in measures] + [("all segments", *row) for row in overall]
    table = pd.DataFrame(rows, columns=frames.SCORECARD.names)
    weak = (table["segment"] == names[-1]) & (table["measure"] == "bootstrap Jaccard")
    table.loc[weak, ["value", "status"]] = [0.61, "fail"]
    return frames.SCORECARD.conform(table)


def _scores(rng: np.random.Generator, n: int, scale: float) -> pd.DataFrame:
    rate = rng.gamma(0.6, 1.6, n)
    since = np.minimum(rng.gamma(1.4, 190, n), 540).astype(int)
    frequency = rng.poisson(rate * 1.7)
    spend = rng.gamma(6, 6, n) * scale
    churn = 1 / (1 + np.exp(-(since - 130) / 75 + 0.7 * frequency))
    churn = np.clip(churn, 0.02, 0.985)
    value = spend * (1 - churn) * (0.6 + 0.55 * frequency)
    fifth = lambda x: pd.qcut(pd.Series(x).rank(method="first"), 5, labels=False).to_numpy() + 1  # noqa: E731
    r, f, m = fifth(-since), fifth(frequency), fifth(value)
    names = np.array(["Hibernating", "At risk", "Potential loyalists", "Loyal customers", "Champions"])
    group = names[np.clip((r + f) // 2 - 1, 0, 4)]
    return pd.DataFrame(
        {
            "customer_id": np.arange(n), "as_of": pd.Timestamp("1998-06-30"), "frequency": frequency, "recency": 540 - since,
            "T": 540, "monetary_value": spend * (frequency > 0), "past_revenue": spend * (frequency + 1), "since_last": since, "probability_alive": 1 - churn * 0.8,
            "expected_purchases": rate, "expected_spend": spend, "predicted_value": value, "value_low": value * 0.3,
            "value_high": value * 2.4, "lifetime_value": value * 1.2, "churn_probability": churn, "value_at_risk": value * churn,
            "r_score": r, "f_score": f, "m_score": m, "rfm_group": group, "rfm_cluster": group,
            "value_tier": "mid", "risk_tier": "low", "segment": "", "segment_confidence": 1.0, "reason_1": "no order for 94 days, usually every 21",
            "reason_2": "one order only", "reason_3": "small orders",
        }
    )  # fmt: skip


def _assign(scores: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Cut by value rank with growing classes, then split neighbours by risk."""
    rank = scores["predicted_value"].rank(pct=True, ascending=False, method="first").to_numpy()
    edges = np.cumsum(np.linspace(1, 3, len(names)) / np.linspace(1, 3, len(names)).sum())
    place = np.minimum(np.searchsorted(edges, rank), len(names) - 1)
    pair = place // 2
    risky = scores["churn_probability"].to_numpy()
    out = place.copy()
    for p in np.unique(pair):
        inside = pair == p
        if np.unique(place[inside]).size == 2:
            out[inside] = 2 * p + (risky[inside] > np.median(risky[inside]))
    return np.array(names, dtype=object)[out]


def _segments(scores: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    by = scores.groupby("segment")
    texts = {name: SPECS[i % len(SPECS)] for i, name in enumerate(names)}
    past = by.apply(lambda g: (g["monetary_value"] * (g["frequency"] + 1)).sum())
    table = pd.DataFrame(
        {
            "customers": by.size(), "past_revenue": past, "predicted_value": by["predicted_value"].sum(),
            "value_per_customer": by["predicted_value"].mean(), "value_at_risk": by["value_at_risk"].sum(),
            "churn_probability": by["churn_probability"].mean(), "expected_churners": by["churn_probability"].sum(),
            "median_since_last": by["since_last"].median(), "median_frequency": by["frequency"].median(),
        }
    ).reset_index()  # fmt: skip
    table["share_customers"] = table["customers"] / table["customers"].sum()
    table["share_past_revenue"] = table["past_revenue"] / table["past_revenue"].sum()
    table["share_predicted_value"] = table["predicted_value"] / table["predicted_value"].sum()
    table["rule"] = "high value, medium risk"
    table["who"] = [texts[name][1] for name in table["segment"]]
    table["reasons"] = "no order for 94 days (others 210); 6 orders (others 1); 44 an order (others 33)"
    table["action"] = [texts[name][2] for name in table["segment"]]
    table["owner"] = "Marketing"
    return table.sort_values("predicted_value", ascending=False)


def _later(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    value = table["value_per_customer"].to_numpy()
    actual = value * rng.normal(1, 0.08, len(value))
    return pd.DataFrame(
        {
            "segment": table["segment"], "customers": (table["customers"] * 0.95).astype(int), "predicted_per_customer": value,
            "revenue_per_customer": actual, "revenue_low": actual * 0.9, "revenue_high": actual * 1.12,
            "predicted_active": 1 - table["churn_probability"], "active": np.clip(1.02 - table["churn_probability"], 0, 1),
            "share_revenue": table["share_predicted_value"],
        }
    )  # fmt: skip


def _model_choice() -> pd.DataFrame:
    names = ["past rate x horizon", "Pareto/NBD", "MBG/NBD", "BG/NBD", "MBG/CNBD-k"]
    return pd.DataFrame(
        {
            "model": names, "chosen": [name == "MBG/NBD" for name in names],
            "status": ["naive", "converged", "converged", "at bound", "converged"], "parameters": [23_570, 4, 4, 4, 5],
            "log_likelihood": [-90_000.0, -95_415.1, -95_337.0, -95_368.4, -95_337.0], "aic": 190_838.2, "bic": 190_870.5,
            "later_log_likelihood": [-1.8, -0.921, -0.925, -0.931, -0.925], "later_gain": [-0.9, 0.004, 0.0, -0.006, 0.0],
            "later_gain_se": [0.02, 0.001, 0.0, 0.001, 0.0], "bias": [0.4, -0.01, -0.05, -0.02, -0.05], "rmse": 1.6, "mae": 0.8,
        }
    )  # fmt: skip


def _value_board(scale: float) -> pd.DataFrame:
    rows = [
        ("hybrid", 0.722, -0.09, 0.09, 0.527, 0.453, 33.7),
        ("lifetimes BG/NBD + Gamma-Gamma", 0.672, -0.173, 0.21, 0.516, 0.442, 32.7),
        ("MBG/NBD + Gamma-Gamma", 0.676, -0.219, 0.33, 0.516, 0.445, 31.8),
        ("LightGBM alone", 0.721, -0.08, 0.11, 0.527, 0.453, 33.7),
        ("past rate x horizon", 0.682, 0.456, 0.8, 0.51, 0.485, 42.4),
    ]
    frame = pd.DataFrame(
        rows, columns=["model", "gini", "bias", "decile_error", "top_decile", "spearman", "mae"]
    )
    frame["mae"] *= scale
    frame = frame.assign(
        rmse=frame["mae"] * 2.7, top_1=0.14, top_5=0.37, top_10=frame.pop("top_decile"), top_20=0.7
    )
    return _with_intervals(frame, frames.LEADERBOARD_VALUE)


def _with_intervals(frame: pd.DataFrame, table: frames.Table) -> pd.DataFrame:
    for name in table.names:
        if name.endswith("_low"):
            metric = name.removesuffix("_low")
            frame[name], frame[f"{metric}_high"] = frame[metric] - 0.013, frame[metric] + 0.012
    return frame


def _differences() -> pd.DataFrame:
    rows = [
        ("value", "gini", "hybrid", "past rate x horizon", 0.04, 0.03, 0.05, 1.0),
        ("value", "gini", "hybrid", "LightGBM alone", 0.001, -0.002, 0.004, 0.7),
        ("churn", "auc", "hybrid", "days since last order", 0.011, -0.001, 0.02, 0.96),
        ("churn", "auc", "hybrid", "lifetimes BG/NBD", 0.007, 0.002, 0.012, 1.0),
    ]
    return frames.DIFFERENCES.conform(pd.DataFrame(rows, columns=frames.DIFFERENCES.names))


def _gates() -> pd.DataFrame:
    measured = {"value": (0.03, 0.09, 0.09), "churn": (-0.001, 0.021)}
    rows = [
        (g.target, model, g.name, value, g.limit, g.passes(value), g.rule, g.reason)
        for model in ("hybrid", "LightGBM alone")
        for target in ("value", "churn")
        for g, value in zip([g for g in GATES if g.target == target], measured[target], strict=True)
    ]
    return frames.GATES.conform(pd.DataFrame(rows, columns=frames.GATES.names))


def _cohorts(scale: float) -> pd.DataFrame:
    frame = pd.DataFrame({"cohort": ["Jan 1997", "Feb 1997", "Mar 1997"], "customers": [7_846, 8_476, 7_248]})
    frame = frame.assign(predicted=240_000 * scale, actual=250_000 * scale, bias=[-0.04, 0.05, -0.12])
    return frames.COHORTS.conform(frame.assign(bias_low=frame["bias"] - 0.05, bias_high=frame["bias"] + 0.05))


def _profits(scale: float) -> pd.DataFrame:
    share = np.linspace(0, 1, 51)
    parts = [
        pd.DataFrame({"ranking": name, "share": share, "profit": 9_000 * scale * top * share * (1.4 - share)})
        for name, top in (("expected gain", 2), ("churn probability", 1), ("days since last order", 0.9))
    ]
    return frames.PROFITS.conform(pd.concat(parts, ignore_index=True))


def _gains() -> pd.DataFrame:
    share = np.arange(1, 101) / 100
    parts = [
        pd.DataFrame(
            {"model": model, "share": share, "gain": share**power, "best": np.minimum(share / 0.7, 1)}
        )
        for model, power in (("hybrid", 0.7), ("days since last order", 0.75))
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frames.GAINS.conform(frame.assign(lift=frame["gain"] / frame["share"]))


def _churn_board() -> pd.DataFrame:
    rows = [
        ("days since last order", 0.759, 0.87, 0.55, 0.18, 0.09),
        ("hybrid", 0.77, 0.885, 0.508, 0.167, 0.021),
        ("lifetimes BG/NBD", 0.763, 0.88, 0.52, 0.17, 0.045),
        ("BG/NBD P(alive)", 0.319, 0.61, 0.9, 0.4, 0.5),
    ]
    names = ["model", "auc", "average_precision", "log_loss", "brier", "calibration_error"]
    frame = pd.DataFrame(rows, columns=names)
    return _with_intervals(
        frame.assign(lift_10=1.4, lift_quality=0.55, empc=1.9, empc_value=2.4), frames.LEADERBOARD_CHURN
    )


def _deciles(scale: float, customers: int) -> pd.DataFrame:
    predicted = np.array([172, 62, 34, 21, 14, 10, 7, 5, 3.4, 1.9]) * scale * (customers // 10)
    actual = np.array([174, 58, 36, 19, 15, 11, 7.5, 4, 3.1, 2.2]) * scale * (customers // 10)
    return pd.DataFrame(
        {
            "decile": range(1, 11),
            "customers": customers // 10,
            "predicted": predicted,
            "actual": actual,
            "covered": 0.8,
        }
    )


def _calibration(customers: int) -> pd.DataFrame:
    predicted = np.linspace(0.12, 0.94, 15)
    observed = np.clip(predicted + 0.02 * np.sin(np.arange(15)), 0, 1)
    return pd.DataFrame({"predicted": predicted, "observed": observed, "customers": customers // 15})


def _weekly(rng: np.random.Generator, scale: float) -> pd.DataFrame:
    weeks = pd.date_range("1996-12-30", "1998-06-29", freq="W-MON")
    level = np.where(np.arange(len(weeks)) < 13, 70_000, 22_000) * rng.normal(1, 0.12, len(weeks)) * scale
    new = np.where(np.arange(len(weeks)) < 13, 1_900, 0)
    return pd.DataFrame(
        {"week": weeks, "revenue": level, "purchases": 700, "customers": 650, "new_customers": new}
    )


def _drivers() -> pd.DataFrame:
    rows = [
        (
            target,
            f"f{i}",
            label,
            0.8 / (i + 1) * (0.9 if target == "value" else 1),
            (1, -1, -1, 0, 1, -1, 1, 0)[i],
        )
        for target in ("churn", "value")
        for i, label in enumerate(LABELS)
    ]
    table = pd.DataFrame(rows, columns=["target", "feature", "label", "importance", "direction"])
    rank = table.groupby("target").cumcount() + 1
    return table.assign(rank=rank, rank_low=rank, rank_high=rank + rank % 2)


def _contributions(rng: np.random.Generator, scores: pd.DataFrame) -> pd.DataFrame:
    """Contributions of at most 300 customers: the base, the purchase model and three features."""
    some = scores.sample(min(300, len(scores)), random_state=1)
    parts = [
        pd.DataFrame({"customer_id": some["customer_id"], "model": target, "feature": feature, "value": value, "entry": "",
                      "contribution": size * (value - np.mean(value)) / (np.std(value) + 1e-9) + shift})
        for target, sign in (("churn", 1), ("value", -1))
        for feature, value, size, shift in (
            ("base", 0.0, 0.0, 0.4), ("probability model", some["churn_probability"], sign, 0.3),
            ("since_last", some["since_last"], 0.3 * sign, 0.0), ("past_revenue", some["past_revenue"], -0.2 * sign, 0.0),
            ("weekend_share", rng.uniform(0, 1, len(some)), 0.01, 0.0),
        )
    ]  # fmt: skip
    return frames.CONTRIBUTIONS.conform(pd.concat(parts))


def _segment_drivers(names: list[str]) -> pd.DataFrame:
    rows = [
        (name, f"f{i}", label, (0.5 - 0.1 * i) * (-1) ** i, 94.0 / (i + 1), 210.5 / (i + 1))
        for name in names
        for i, label in enumerate(LABELS[:6])
    ]
    return pd.DataFrame(rows, columns=["segment", "feature", "label", "importance", "inside", "outside"])


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """Builds runs: ``make_run(customers=100, currency=None)``."""
    return build_run


@pytest.fixture(scope="session")
def run() -> Run:
    return build_run()
