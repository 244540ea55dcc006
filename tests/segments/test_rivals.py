"""Divisions of customers compared by what they explain of the outcome, against plain sums of squares."""

import numpy as np
import pandas as pd
import pytest

from clvseg.data.attributes import evaluate_sql
from clvseg.errors import ConfigError
from clvseg.segments import compare_segmentations, customer_maps


def plain_share(values, groups):
    """Epsilon squared by loops: 1 - mean square within / total mean square."""
    within = 0.0
    for group in set(groups):
        inside = [v for v, g in zip(values, groups, strict=True) if g == group]
        within += sum((v - sum(inside) / len(inside)) ** 2 for v in inside)
    mean, n, k = sum(values) / len(values), len(values), len(set(groups))
    return 1 - (within / (n - k)) / (sum((v - mean) ** 2 for v in values) / (n - 1))


@pytest.fixture(scope="module")
def compared():
    rng = np.random.default_rng(2)
    n = 3_000
    kind, region = rng.integers(0, 4, n), rng.choice(["north", "south", "east"], n)
    money = kind + rng.normal(0, 1, n)
    divisions = {
        "segments": np.array(["a", "b", "c", "d"])[kind],
        "by region": region,
        "coarse": kind // 2,
        "by chance": rng.integers(0, 300, n).astype(str),
        "by size": np.where(rng.random(n) < 0.1, np.nan, kind * 100 + rng.random(n)),
    }
    return divisions, money, compare_segmentations(divisions, {"money": money})


def test_shares_are_those_of_the_sums_of_squares(compared):
    divisions, money, table = compared
    explained = table.set_index("division")["explained"]
    for name in ("segments", "by region", "coarse", "by chance"):
        groups = [str(group) for group in divisions[name]]
        assert explained[name] == pytest.approx(plain_share(money.tolist(), groups))


def test_the_true_division_wins_and_geography_is_the_wrong_cut(compared):
    _, _, table = compared
    rows = table.set_index("division")
    assert table["division"].iloc[0] == "segments"
    assert rows.loc["segments", "low"] < 1.25 / 2.25 < rows.loc["segments", "high"]
    assert (rows.drop("segments")["difference_high"] < 0).all()
    for name in ("by region", "by chance"):  # 300 groups of nothing explain nothing
        assert rows.loc[name, "low"] < 0.005
        assert abs(rows.loc[name, "explained"]) < 0.03
    assert rows.loc["by size", "groups"] == 6
    assert not table.isna().any().any()


def test_intervals_hold_the_share_of_the_population():
    rng = np.random.default_rng(0)
    held = []
    for seed in range(30):
        kind = rng.integers(0, 3, 400)
        money = 0.8 * kind + rng.normal(0, 1, 400)
        true = 0.64 * (2 / 3) / (0.64 * (2 / 3) + 1)
        row = compare_segmentations({"segments": kind}, {"money": money}, seed=seed).iloc[0]
        held.append(row["low"] <= true <= row["high"])
    assert np.mean(held) >= 0.8


def test_a_rule_is_sql_over_the_columns_in_the_order_of_the_customers():
    people = pd.DataFrame({"T": [10, 400, 20], "region": ["n", None, "s"]}, index=[7, 3, 5])
    assert evaluate_sql(people, "CASE WHEN T > 30 THEN 'old' ELSE region END", "rivals.a").tolist() == [
        "n", "old", "s"
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"segments\.rivals\.by hand cannot be evaluated") as refused:
        evaluate_sql(people, "TT > 1", "rivals.by hand")
    assert "TT" in refused.value.found


def test_maps_keep_kinds_apart_and_are_the_same_again():
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 3, 700)
    people = pd.DataFrame(rng.normal(0, 0.3, (700, 3)) + kind[:, None] * 3, columns=["a", "b", "c"])
    people = people.assign(predicted_value=1.0, churn_probability=0.5)
    segment = pd.Series(kind.astype(str))
    found = customer_maps(people, segment, ("a", "b", "c"), 1)
    assert len(found) == 700
    pd.testing.assert_frame_equal(found, customer_maps(people, segment, ("a", "b", "c"), 1))
    for name in ("pca", "tsne"):
        place = found[[f"{name}_1", f"{name}_2"]].to_numpy()
        apart = np.linalg.norm(place[:, None] - place[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        nearest = found["segment"].to_numpy()[apart.argmin(axis=1)]
        assert (nearest == found["segment"]).all()
    alike = people.assign(a=1.0, b=1.0, c=1.0)
    assert customer_maps(alike, segment, ("a", "b", "c"), 1).empty
