"""Features: a dumb loop, nothing from after the cutoff, nothing missing, the same bytes every time."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pandas as pd
import pytest

from clvseg.data.features import FEATURES, customer_features, feature_catalogue, log_gaps
from clvseg.data.queries import WINDOWS
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions

pytestmark = [
    pytest.mark.usefixtures("on_each_engine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CUTOFF = dt.date(2023, 8, 1)
COLUMNS = {"order": "order", "product": "product", "category": "category", "channel": "channel"}


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """Lines of several products an order, with quantities, free lines and refunds."""
    rng = np.random.default_rng(7)
    orders = simulate_transactions(
        250, parameters={"r": 0.8, "alpha": 20.0, "a": 0.4, "b": 2.5}, days=365, seed=11
    )
    orders["order"] = np.arange(len(orders))
    frame = orders.loc[np.repeat(orders.index, rng.integers(1, 4, len(orders)))].reset_index(drop=True)
    frame["product"] = rng.integers(0, 40, len(frame))
    frame["category"] = frame["product"] % 5
    frame["channel"] = np.where(rng.random(len(frame)) < 0.2, "web", "shop")
    frame["quantity"] = rng.integers(1, 6, len(frame))
    frame["amount"] = (frame["amount"] * rng.uniform(0.2, 1.5, len(frame))).round(2)
    frame.loc[rng.random(len(frame)) < 0.03, "amount"] = 0.0
    refunds = frame.sample(40, random_state=1).assign(amount=lambda f: -f["amount"])
    return pd.concat([frame, refunds], ignore_index=True)


@pytest.fixture(scope="module")
def read(settings):
    def read(frame: pd.DataFrame) -> Transactions:
        return Transactions.read(frame, settings({**COLUMNS, "quantity": "quantity"}, duplicates="keep"))

    return read


def _by_hand(rows: pd.DataFrame, as_of: dt.date) -> dict[str, float] | None:
    """One customer's features from the definitions, in plain Python."""
    rows = rows[rows["day"] <= as_of]
    by_day = {}
    for day, part in rows.groupby("day"):
        total, refunds = part["amount"].sum().round(4), (part["amount"] < 0).any()
        if total > 0 or not refunds:
            by_day[day] = part
    if not by_day:
        return None
    days = sorted(by_day)
    amounts = [float(by_day[day]["amount"].sum()) for day in days]
    good = pd.concat([by_day[day] for day in days])
    good = good[good["amount"] >= 0]
    age, since = (as_of - days[0]).days, (as_of - days[-1]).days
    gaps = [(b - a).days for a, b in itertools.pairwise(days)]
    logs = [np.log(amount) for amount in amounts if amount > 0]
    mean_gap = np.mean(gaps) if gaps else max(age, 1)
    recent = [(as_of - day).days * 2 < age for day in days]
    n, revenue = len(days), sum(amounts)
    late, early = [np.array(amounts)[np.array(recent) == side] for side in (True, False)]
    both = late.size and early.size and late.sum() > 0 and early.sum() > 0
    numbers = [max(part.loc[part["amount"] >= 0, "order"].nunique(), 1) for part in by_day.values()]
    all_good, refunded = rows[rows["amount"] >= 0], -rows.loc[rows["amount"] < 0, "amount"].sum()
    out = {
        "frequency": n - 1,
        "recency": age - since,
        "T": age,
        "monetary_value": np.mean(amounts[1:]) if n > 1 else 0.0,
        "since_last": since,
        "orders": n,
        "past_revenue": revenue,
        "mean_spend": revenue / n,
        "first_amount": amounts[0],
        "last_amount": amounts[-1],
        "max_amount": max(amounts),
        "last_to_mean_amount": amounts[-1] / (revenue / n) if revenue > 0 else 1.0,
        "amount_spread": np.std(logs) if len(logs) > 1 else 0.0,
        "amount_trend": np.log(late.mean() / early.mean()) if both else 0.0,
        "gap_mean": mean_gap,
        "gap_sd": np.std(gaps) if len(gaps) > 1 else 0.0,
        "gap_cv": np.std(gaps) / mean_gap if len(gaps) > 1 else 1.0,
        "regularity": np.exp(np.mean(np.log(gaps))) / mean_gap if len(gaps) > 1 else 0.0,
        "gap_last": gaps[-1] if gaps else max(age, 1),
        "gap_max": max(gaps) if gaps else max(age, 1),
        "overdue": since / mean_gap,
        "overdue_longest": since / (max(gaps) if gaps else max(age, 1)),
        "trend": (sum(recent[1:]) - sum(not r for r in recent[1:])) / (n - 1) if n > 1 else 0.0,
        "orders_per_month": 30.4375 * n / max(age, 30),
        "spend_per_month": 30.4375 * revenue / max(age, 30),
        "week_share": len({(as_of - day).days // 7 for day in days}) / (age // 7 + 1),
        "weekend_share": np.mean([day.weekday() >= 5 for day in days]),
        "orders_same_season": sum(273 <= (as_of - day).days <= 363 for day in days),
        "lines_per_order": len(good) / n,
        "refund_share": refunded / (refunded + all_good["amount"].sum()) if refunded else 0.0,
        "orders_per_day": sum(numbers) / n,
        "quantity_per_order": good["quantity"].sum() / n,
        "products": all_good["product"].nunique(),
        "categories": all_good["category"].nunique(),
        "channels": all_good["channel"].nunique(),
        "product_variety": all_good["product"].nunique() / max(len(good), 1),
    }
    for window in WINDOWS:
        inside = [(as_of - day).days < window for day in days]
        out[f"orders_{window}d"] = sum(inside)
        out[f"spend_{window}d"] = sum(a for a, yes in zip(amounts, inside, strict=True) if yes)
    return out


def test_equals_a_dumb_loop(lines, read):
    ours = customer_features(read(lines), CUTOFF)
    dated = lines.assign(day=lines["time"].dt.date)
    expected = {customer: _by_hand(rows, CUTOFF) for customer, rows in dated.groupby("customer_id")}
    expected = pd.DataFrame({c: row for c, row in expected.items() if row is not None}).T
    assert ours.index.tolist() == expected.index.tolist()
    assert list(ours.columns) == [feature.name for feature in FEATURES]
    assert set(ours.columns) == set(expected.columns)
    for column in ours:
        np.testing.assert_allclose(ours[column], expected[column], rtol=2e-6, atol=2e-6, err_msg=column)
    # The log must exercise the branches.
    assert (ours["orders"] == 1).any() and (ours["orders"] > 5).any() and (ours["refund_share"] > 0).any()  # noqa: PT018


def test_agree_with_the_summary(lines, read):
    tx = read(lines)
    features, summary = customer_features(tx, CUTOFF), customer_summary(tx, CUTOFF)
    assert features.index.equals(summary.index)
    np.testing.assert_allclose(log_gaps(features), summary.pop("log_gaps"), atol=1e-5)
    for column in summary:
        assert (features[column] == summary[column]).all(), column


def test_nothing_after_the_cutoff_counts(lines, read):
    """Deleting, shuffling or rewriting what comes later changes no byte."""
    later = lines["time"].dt.date > CUTOFF
    expected = customer_features(read(lines), CUTOFF).to_numpy().tobytes()
    rng = np.random.default_rng(0)
    shuffled = lines.copy()
    for column in ("customer_id", "amount", "product", "channel", "quantity"):
        shuffled.loc[later, column] = rng.permutation(shuffled.loc[later, column].to_numpy())
    for changed in (lines[~later], shuffled, lines.sample(frac=1.0, random_state=3)):
        assert customer_features(read(changed), CUTOFF).to_numpy().tobytes() == expected
    assert customer_features(read(lines).split(CUTOFF), CUTOFF).to_numpy().tobytes() == expected


def test_optional_columns_only_where_mapped(cdnow_sample):
    names = [feature.name for feature in feature_catalogue(cdnow_sample.extras)]
    assert list(customer_features(cdnow_sample, dt.date(1997, 9, 30)).columns) == names
    assert "quantity_per_order" in names
    assert not {"products", "channels", "orders_per_day"} & set(names)


def test_every_feature_is_described_once():
    names = [feature.name for feature in FEATURES]
    assert len(names) == len(set(names))
    for feature in FEATURES:
        assert feature.label
        assert feature.label[0].islower()
        assert feature.unit


def test_finite_on_edges(log):
    rows = [(1, "2023-01-01", 0.0), (2, "2023-01-01", 5.0), (2, "2023-01-02", 0.0), (3, "2023-03-01", 1e9)]
    features = customer_features(Transactions.read(log(rows)), dt.date(2023, 3, 1))
    assert np.isfinite(features.to_numpy()).all()
    assert features.loc[1, "last_to_mean_amount"] == 1.0
    assert features.loc[3, ["T", "overdue", "gap_mean"]].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("engine", ["duckdb"], indirect=True)
def test_same_bytes_every_time(retail_path, retail_settings):
    """Two threads add in any order; sums must not care."""
    seen = set()
    for _ in range(3):
        tx = Transactions.read(retail_path, retail_settings)
        tx.engine.run("use two threads", "SET threads = 2")
        seen.add((tx.hash, customer_features(tx, dt.date(2011, 9, 9)).to_numpy().tobytes()))
    assert len(seen) == 1


def test_a_customer_does_not_depend_on_the_others(lines, read):
    """Scoring a few customers gives what scoring all gives them."""
    few = lines[lines["customer_id"] % 7 == 0]
    everyone, some = customer_features(read(lines), CUTOFF), customer_features(read(few), CUTOFF)
    assert everyone.loc[some.index].equals(some)
