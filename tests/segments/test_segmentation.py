import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.frames import LATER, SEGMENTS
from clvseg.segments import Segmentation, later_table, segments_table
from clvseg.segments.cells import smallest_size
from clvseg.segments.table import NAME_OF, TEXTS


@pytest.fixture(autouse=True, scope="module")
def _few_trials_of_clusters():
    """The choice of the number of clusters has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clvseg.segments.choice.MOST", 3)
        patch.setattr("clvseg.segments.choice.BOOTSTRAPS", 2)
        patch.setattr("clvseg.segments.choice.REFERENCES", 2)
        yield


def people(n, seed, *, once=0.5, value=1.0, churn=(2.0, 1.5), tail=1.0, length=365):
    """Random scored customers: share bought once, spread of value, beta of churn, tail of spend."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, length, n)
    orders = np.where(rng.random(n) < once, 1, 1 + rng.geometric(0.3, n))
    recency = np.where(orders > 1, np.floor(age * rng.random(n)), 0)
    spend = 20 * (1 + rng.pareto(1.2 / tail, n)) if tail else np.full(n, 20.0)
    return pd.DataFrame(
        {
            "since_last": age - recency,
            "T": age,
            "orders": orders,
            "past_revenue": spend * orders,
            "predicted_value": rng.lognormal(2, value, n),
            "churn_probability": rng.beta(*churn, n),
        },
        index=pd.Index(np.arange(n) * 3 + 1, name="customer_id"),
    )


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(100, 900),
    seed=st.integers(0, 10**6),
    once=st.sampled_from([0.0, 0.6, 1.0]),
    value=st.sampled_from([0.0, 0.3, 3.0]),
    churn=st.sampled_from([(2.0, 1.5), (200.0, 1.0), (1.0, 200.0)]),
    tail=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_any_customers_fall_into_five_to_ten_segments(n, seed, once, value, churn, tail):
    frame = people(n, seed, once=once, value=value, churn=churn, tail=tail)
    segmentation = Segmentation(seed=seed).fit(frame)
    assigned = segmentation.assign(frame)
    counts = assigned["segment"].value_counts()
    assert 5 <= len(counts) <= 10
    assert counts.min() >= smallest_size(n, 0.01) >= 0.01 * n
    assert counts.sum() == n
    assert not assigned.isna().any().any()
    assert set(counts.index) == set(segmentation.names_)
    table = segments_table(segmentation.describe(frame, assigned["segment"]))
    assert table["customers"].sum() == n
    assert table["share_customers"].sum() == pytest.approx(1)
    assert table["value_per_customer"].is_monotonic_decreasing
    again = Segmentation.from_dict(json.loads(json.dumps(segmentation.to_dict())))
    pd.testing.assert_frame_equal(again.assign(frame), assigned)


def test_fit_and_assign_agree_for_any_part_of_the_customers():
    frame = people(800, 1)
    segmentation = Segmentation().fit(frame)
    assigned = segmentation.assign(frame)
    part = frame.sample(frac=0.3, random_state=2)
    pd.testing.assert_frame_equal(segmentation.assign(part), assigned.loc[part.index])


def test_a_rerun_is_identical_and_the_input_is_unchanged():
    frame = people(600, 2)
    before = frame.copy()
    one, two = Segmentation(seed=5).fit(frame), Segmentation(seed=5).fit(frame)
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())
    pd.testing.assert_frame_equal(frame, before)


def test_tiers_hold_the_shares_they_are_named_for():
    frame = people(1000, 3)
    tiers = Segmentation().fit(frame).assign(frame)
    held = frame["predicted_value"].groupby(tiers["value_tier"]).sum() / frame["predicted_value"].sum()
    assert held["high"] == pytest.approx(0.5, abs=0.02)
    assert held["mid"] == pytest.approx(0.3, abs=0.02)
    churn = frame["churn_probability"]
    assert (churn[tiers["risk_tier"] == "low"] < 0.4).all()
    assert (churn[tiers["risk_tier"] == "high"] >= 0.75).all()


def test_segments_are_what_their_names_say():
    frame = people(3000, 4, once=0.4)
    segmentation = Segmentation().fit(frame)
    assigned = segmentation.assign(frame)
    joined = {merge.into for merge in segmentation.merges_}
    for name, part in frame.groupby(assigned["segment"]):
        if name in joined:
            continue
        if name.startswith("One-time buyers"):
            assert (part["orders"] == 1).all()
        if name == "Champions":
            assert (assigned.loc[part.index, ["value_tier", "risk_tier"]] == ["high", "low"]).all().all()
        if "newcomers" in name.lower():
            assert (part["T"] <= 73).all()


def test_every_customer_is_where_the_table_puts_it():
    frame = people(4000, 21, once=0.4)
    segmentation = Segmentation(min_share=0.001).fit(frame)
    assigned = segmentation.assign(frame)
    spent = frame["past_revenue"].sort_values(ascending=False)
    big = set(spent.index[: int((spent.cumsum() < spent.sum() / 2).sum()) + 1])
    moved = {merge.segment for merge in segmentation.merges_} | set(segmentation.splits_)
    checked = 0
    for row in frame.join(assigned).itertuples():
        if row.T <= 72 and row.orders <= 2:
            behaviour = "new"
        elif row.orders == 1:
            behaviour = "one-time"
        else:
            behaviour = "big spender" if row.Index in big else "repeat"
        name = NAME_OF[behaviour, row.value_tier, row.risk_tier]
        if name not in moved:
            assert row.segment == name
            checked += 1
    assert checked > 3000
    assert assigned["segment"].nunique() >= 9


def test_the_table_is_complete_and_owner_ready():
    frame = people(1500, 5)
    segmentation = Segmentation().fit(frame)
    assigned = segmentation.assign(frame)
    reasons = {name: f"because {name}" for name in segmentation.names_}
    table = segments_table(segmentation.describe(frame, assigned["segment"], reasons))
    assert list(table.columns) == SEGMENTS.names
    first = table.iloc[0]
    inside = frame[assigned["segment"] == first["segment"]]
    assert first["value_at_risk"] == pytest.approx(
        sum(v * c for v, c in zip(inside["predicted_value"], inside["churn_probability"], strict=True))
    )
    assert first["expected_churners"] == pytest.approx(inside["churn_probability"].sum())
    assert first["median_frequency"] == (inside["orders"] - 1).median()
    assert first["reasons"] == f"because {first['segment']}"
    assert table["share_past_revenue"].sum() == pytest.approx(1)
    assert table["action"].str.len().min() > 20
    assert table["who"].str.contains("Typically").all()
    assert table["rule"].str.contains("value").all()


def test_a_divided_segment_carries_its_rule():
    frame = people(500, 6, once=1.0, churn=(200.0, 1.0), length=2000).assign(
        predicted_value=np.arange(1.0, 501.0)
    )
    segmentation = Segmentation(high_value=0.001, mid_value=0.001).fit(frame)
    divided = [name for name in segmentation.names_ if name.endswith(" value")]
    assert len(divided) >= 2
    table = segments_table(segmentation.describe(frame, segmentation.assign(frame)["segment"])).set_index(
        "segment"
    )
    assert "predicted value" in table.loc[divided[0], "rule"]
    assert table.loc[divided[0], "action"] == TEXTS[divided[0].rsplit(", ", 1)[0]][1]
    assert any("was divided in" in note for note in segmentation.notes_)


def test_empty_tiers_and_merges_are_said():
    notes = Segmentation().fit(people(400, 7, churn=(200.0, 1.0))).notes_
    assert "The risk tier low holds no customer." in notes
    assert any(" joined " in note for note in Segmentation().fit(people(400, 8)).notes_)


def test_the_legend_states_the_thresholds():
    frame = people(400, 9).assign(predicted_value=np.r_[np.full(40, 90.0), np.full(360, 5.0)])
    legend = Segmentation(low_risk=0.3).fit(frame).legend()
    assert legend[0] == "high value: predicted value of 90 or more"
    assert legend[2] == "low risk: churn probability under 30%; high risk: 75% or more"
    assert legend[3] == "new customers: first order in the last 72 days, at most two orders"


@pytest.mark.parametrize("customers", [1, 2, 3, 7, 20])
def test_a_handful_of_customers_does_not_break_it(customers):
    frame = people(customers, 10)
    segmentation = Segmentation().fit(frame)
    assert 1 <= segmentation.assign(frame)["segment"].nunique() <= min(10, customers)


def test_customers_who_are_alike_are_one_segment():
    frame = pd.concat([people(1, 11)] * 300, ignore_index=True)
    assert len(Segmentation().fit(frame).names_) == 1


def test_customers_from_elsewhere_get_a_known_segment():
    segmentation = Segmentation().fit(people(500, 12, once=1.0, churn=(200.0, 1.0)))
    assigned = segmentation.assign(people(500, 13, once=0.0, churn=(1.0, 5.0), value=3.0))
    assert set(assigned["segment"]) <= set(segmentation.names_)
    assert not assigned.isna().any().any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="orders"), "lack orders"),
        (lambda f: f.assign(predicted_value=np.nan), "predicted_value is not finite"),
        (lambda f: f.iloc[:0], "no customer"),
    ],
)
def test_unusable_customers_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Segmentation().fit(change(people(50, 14)))


def test_what_followed_is_measured_per_segment():
    segment = pd.Series(["A", "B", "A", "B", "B"])
    outcomes = pd.DataFrame({"value": [10.0, 0, 30, 0, 6], "active": [1, 0, 1, 0, 1]})
    table = later_table(segment, [5.0, 1, 7, 2, 3], [0.1, 0.8, 0.3, 0.9, 0.7], outcomes, seed=1)
    assert list(table.columns) == LATER.names
    assert table["segment"].tolist() == ["A", "B"]
    assert table["predicted_per_customer"].tolist() == [6.0, 2.0]
    assert table["revenue_per_customer"].tolist() == [20.0, 2.0]
    assert table["active"].tolist() == [1.0, pytest.approx(1 / 3)]
    assert table["predicted_active"].tolist() == [pytest.approx(0.8), pytest.approx(0.2)]
    assert table["share_revenue"].sum() == pytest.approx(1)
    assert (table["revenue_low"] <= table["revenue_per_customer"]).all()
    again = later_table(segment, [5.0, 1, 7, 2, 3], [0.1, 0.8, 0.3, 0.9, 0.7], outcomes, seed=1)
    pd.testing.assert_frame_equal(table, again)


def test_the_interval_of_what_followed_covers_the_mean():
    rng = np.random.default_rng(3)
    inside = 0
    for seed in range(60):
        outcomes = pd.DataFrame({"value": rng.exponential(10, 150), "active": 1})
        row = later_table(["A"] * 150, np.ones(150), np.ones(150), outcomes, seed).iloc[0]
        inside += row["revenue_low"] <= 10 <= row["revenue_high"]
    assert 52 <= inside <= 60
