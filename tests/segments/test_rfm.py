import json

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.segments import RFMScores, rfm_group

NAMES = {
    "Champions",
    "Loyal",
    "Potential loyalists",
    "New",
    "Promising",
    "Need attention",
    "About to sleep",
    "At risk",
    "Can't lose them",
    "Hibernating",
    "Lost",
}


def customers(since_last, orders, past_revenue):
    return pd.DataFrame(
        {
            "since_last": np.asarray(since_last, dtype=float),
            "orders": np.asarray(orders, dtype=float),
            "past_revenue": np.asarray(past_revenue, dtype=float),
        }
    )


def test_every_cell_has_one_of_eleven_names_and_all_are_used():
    grid = np.array(np.meshgrid(*[np.arange(1, 6)] * 3)).reshape(3, -1)
    names = rfm_group(*grid)
    assert len(names) == 125
    assert set(names) == NAMES


def test_corners_are_called_what_they_are():
    cells = [(5, 5, 5), (1, 5, 5), (1, 1, 1), (5, 1, 1), (3, 2, 3), (2, 4, 4)]
    assert rfm_group(*np.transpose(cells)).tolist() == [
        "Champions",
        "Can't lose them",
        "Lost",
        "New",
        "Need attention",
        "At risk",
    ]


def test_a_worse_recency_never_gives_a_more_recent_name():
    recent = {"Champions", "New", "Promising", "Potential loyalists"}
    assert not recent & set(rfm_group([1, 2, 3] * 5, np.repeat(np.arange(1, 6), 3), [1, 3, 5] * 5))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6), st.integers(0, 40)), min_size=1, max_size=80)
)
def test_scores_agree_with_their_definition(rows):
    frame = customers(*np.transpose(rows))
    scored = RFMScores().fit(frame).assign(frame)
    total = len(frame)
    for column, score, better in (
        ("orders", "f_score", lambda a, b: a < b),
        ("past_revenue", "m_score", lambda a, b: a < b),
        ("since_last", "r_score", lambda a, b: a < b),
    ):
        values = frame[column].tolist()
        if len(set(values)) == 1:
            assert set(scored[score]) == ({1} if column == "orders" and values[0] == 1 else {3})
            continue
        for value, got in zip(values, scored[score], strict=True):
            fifths = 5 * sum(better(other, value) for other in values) // total
            assert got == (5 - fifths if column == "since_last" else 1 + fifths)


def test_many_single_orders_do_not_break_the_frequency_score():
    frame = customers(np.arange(100), [1] * 70 + [2] * 15 + [3] * 10 + [9] * 5, np.arange(100))
    scores = RFMScores().fit(frame).assign(frame)
    assert scores["f_score"].groupby(frame["orders"]).agg(["min", "max"]).to_numpy().tolist() == [
        [1, 1],
        [4, 4],
        [5, 5],
        [5, 5],
    ]


def test_new_customers_get_scores_and_a_reload_scores_identically():
    rng = np.random.default_rng(3)
    frame = customers(rng.integers(0, 300, 500), rng.geometric(0.4, 500), rng.lognormal(3, 1, 500))
    scores = RFMScores().fit(frame)
    again = RFMScores.from_dict(json.loads(json.dumps(scores.to_dict())))
    odd = customers([0, 5000], [1, 10_000], [-20.0, 1e9])
    pd.testing.assert_frame_equal(scores.assign(odd), again.assign(odd))
    pd.testing.assert_frame_equal(scores.assign(frame), again.assign(frame))
    assert scores.assign(odd)[["r_score", "f_score", "m_score"]].to_numpy().tolist() == [[5, 1, 1], [1, 5, 5]]
