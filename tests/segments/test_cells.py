import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.segments.cells import MOST, Split, merge_cells, smallest_size, split_segments
from clvseg.segments.table import CELLS, NAME_OF, TEXTS, rule_in_words


def test_every_name_has_a_text_and_every_text_a_name():
    assert set(NAME_OF.values()) == set(TEXTS)
    assert len(CELLS) == 36


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from(CELLS), st.integers(1, 400), min_size=1, max_size=36), st.integers(1, 40)
)
def test_merging_leaves_no_small_segment_and_names_every_cell(sizes, smallest):
    names, merges = merge_cells(sizes, smallest)
    assert set(names) == set(CELLS)
    totals = pd.Series({cell: sizes.get(cell, 0) for cell in CELLS}).groupby(pd.Series(names)).sum()
    assert len(totals) <= MOST
    assert len(totals) == 1 or totals.min() >= smallest
    assert totals.sum() == sum(sizes.values())
    for merge in merges:
        assert merge.segment not in totals
    kept = {merge.segment for merge in merges}
    assert all(names[cell] == NAME_OF[cell] for cell in sizes if NAME_OF[cell] not in kept)


def test_a_small_segment_joins_the_nearest_by_its_own_cells_not_by_what_joined_before():
    sizes = {
        ("big spender", "mid", "low"): 500,
        ("repeat", "low", "medium"): 40,
        ("big spender", "low", "high"): 3,
        ("repeat", "low", "high"): 8,
    }
    names, merges = merge_cells(sizes, 25)
    assert [(merge.segment, merge.into, merge.customers) for merge in merges] == [
        ("Past big spenders, slipping away", "Occasional buyers, nearly gone", 3),
        ("Occasional buyers, nearly gone", "Occasional buyers, fading", 11),
    ]
    assert names["big spender", "low", "high"] == "Occasional buyers, fading"
    assert merges[0].why == "fewer than 25 customers"
    sizes = {
        ("one-time", "high", "high"): 2,
        ("one-time", "low", "high"): 900,
        ("new", "high", "high"): 3,
        ("new", "low", "high"): 50,
    }
    _, merges = merge_cells(sizes, 10)
    assert [(merge.segment, merge.into) for merge in merges] == [
        ("One-time buyers, high potential", "One-time buyers, unlikely back"),
        ("Promising newcomers", "Newcomers, small start"),
    ]


def test_repeat_buyers_are_not_called_one_time_buyers_while_another_repeat_segment_stands():
    sizes = {
        ("repeat", "mid", "medium"): 5,
        ("one-time", "mid", "medium"): 900,
        ("repeat", "high", "low"): 95,
    }
    names, _ = merge_cells(sizes, 10)
    assert names["repeat", "mid", "medium"] == "Champions"


def test_the_smallest_size_grows_with_the_customers():
    assert [smallest_size(n, 0.01) for n in (1, 5, 40, 100, 200, 1000, 23_570)] == [1, 1, 2, 5, 10, 10, 236]


def test_one_segment_is_divided_into_five_equal_parts_by_value():
    frame = pd.DataFrame(
        {
            "predicted_value": np.arange(1.0, 101.0),
            "since_last": 1,
            "past_revenue": 1,
            "T": 1,
            "churn_probability": 0.5,
        }
    )
    splits = split_segments(np.full(100, "All", dtype=object), frame, 5)
    assert splits == {"All": Split("predicted_value", (21.0, 41.0, 61.0, 81.0))}
    assert np.bincount(splits["All"].part(frame)).tolist() == [20] * 5
    assert splits["All"].labels[0] == "lowest value"
    assert splits["All"].rules[1] == "predicted value from 21 to under 41"


def test_where_the_value_does_not_vary_the_days_since_the_last_order_decide():
    days = np.tile(np.arange(50.0), 4)
    frame = pd.DataFrame(
        {"predicted_value": 7.0, "since_last": days, "past_revenue": 1.0, "T": 99, "churn_probability": 0.5}
    )
    splits = split_segments(np.full(200, "All", dtype=object), frame, 10)
    assert splits["All"].feature == "since_last"
    assert splits["All"].labels == [
        "shortest silence",
        "shorter silence",
        "middle silence",
        "longer silence",
        "longest silence",
    ]


def test_where_nothing_else_varies_the_risk_decides():
    frame = pd.DataFrame(
        {"predicted_value": 7.0, "since_last": 1, "past_revenue": 1.0, "T": 9}, index=range(200)
    )
    splits = split_segments(
        np.full(200, "All", dtype=object), frame.assign(churn_probability=np.linspace(0.05, 0.95, 200)), 10
    )
    assert splits["All"].feature == "churn_probability"
    assert splits["All"].labels[-1] == "highest risk"


def test_a_segment_with_over_half_of_the_customers_is_divided():
    base = np.repeat(np.array(["A", "B", "C", "D", "E"], dtype=object), [60, 10, 10, 10, 10])
    frame = pd.DataFrame(
        {
            "predicted_value": np.arange(1.0, 101.0),
            "since_last": 1,
            "past_revenue": 1,
            "T": 1,
            "churn_probability": 0.5,
        }
    )
    assert list(split_segments(base, frame, 5)) == ["A"]
    balanced = np.repeat(np.array(["A", "B", "C", "D", "E"], dtype=object), [50, 15, 15, 10, 10])
    assert split_segments(balanced, frame, 5) == {}


def test_no_part_of_a_divided_segment_is_too_small():
    values = np.r_[np.ones(97), 100.0, 100.0, 100.0]
    frame = pd.DataFrame(
        {"predicted_value": values, "since_last": 1, "past_revenue": 1, "T": 1, "churn_probability": 0.5}
    )
    assert split_segments(np.full(100, "All", dtype=object), frame, 5) == {}
    assert split_segments(np.full(100, "All", dtype=object), frame, 3)["All"].cuts == (100.0,)


def test_customers_who_are_alike_are_not_divided():
    frame = pd.DataFrame(
        {"predicted_value": [1.0] * 50, "since_last": 1, "past_revenue": 1, "T": 1, "churn_probability": 0.5}
    )
    assert split_segments(np.full(50, "All", dtype=object), frame, 2) == {}


def test_rules_read_as_words():
    rule = rule_in_words([("one-time", "low", risk) for risk in ("low", "medium", "high")])
    assert rule == "low value, any risk, one order"
