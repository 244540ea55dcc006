"""Names, actions and owners are data; tiers are tunable; clusters can be the segments."""

import json

import numpy as np
import pandas as pd
import pytest

from clvseg.errors import ConfigError
from clvseg.segments import Segmentation, segments_table
from clvseg.segments.table import SegmentTable


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    n = 1500
    orders = np.where(rng.random(n) < 0.4, 1, 1 + rng.geometric(0.3, n))
    age = rng.integers(100, 400, n)
    region = rng.choice(["north", "south", None], n, p=[0.45, 0.45, 0.1])
    return pd.DataFrame(
        {
            "since_last": np.floor(age * rng.random(n)),
            "T": age,
            "orders": orders,
            "past_revenue": orders * rng.lognormal(3, 1, n),
            "predicted_value": rng.lognormal(2, 1, n),
            "churn_probability": rng.beta(2, 1.5, n),
            "region": region,
        }
    )


def test_a_team_renames_segments_actions_and_owners_without_code(frame):
    change = {
        "texts": {"Loyal regulars": {"name": "Our darlings", "action": "Send cake.", "owner": "Anna"}},
        "cells": {"repeat, low, high": "Small fry"},
    }
    change["texts"]["Small fry"] = {"who": "Buy little.", "action": "Leave alone.", "owner": "Nobody"}
    plain = Segmentation(clusters=3).fit_segments(frame)
    changed = Segmentation(clusters=3, table=change).fit_segments(frame)
    before, after = (one._segments(frame, one._codes(frame)) for one in (plain, changed))
    assert (after[before == "Loyal regulars"] == "Our darlings").all()
    assert "Loyal regulars" in set(before) - set(after)
    table = segments_table(changed.describe(frame, after)).set_index("segment")
    assert table.loc["Our darlings", ["action", "owner"]].tolist() == ["Send cake.", "Anna"]
    small = next(name for name in table.index if name.startswith("Small fry"))
    assert table.loc[small, "owner"] == "Nobody"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": {"Champion": {"owner": "A"}}}, "names no segment: Champion"),
        ({"cells": {"repeat, high": "X"}}, "is no cell"),
        ({"cells": {"repeat, top, any": "Champions"}}, "top is no value tier"),
        ({"cells": {"repeat, high, any": "New one"}}, "'New one' has no who and no action and no owner"),
    ],
)
def test_mistakes_in_the_table_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        SegmentTable.changed(change)


def test_tiers_by_percentile_and_by_money(frame):
    value = frame["predicted_value"]
    top = Segmentation(tiers="percentile", high_value=0.1, mid_value=0.3).fit_segments(frame)
    assert (value >= top.thresholds_["high"]).mean() == pytest.approx(0.1, abs=0.002)
    assert (value >= top.thresholds_["mid"]).mean() == pytest.approx(0.4, abs=0.002)
    money = Segmentation(tiers="money", high_value=20.0, mid_value=5.0).fit_segments(frame)
    assert (money.thresholds_["high"], money.thresholds_["mid"]) == (20.0, 5.0)


@pytest.mark.parametrize("method", ["kmeans", "k_prototypes", "consensus"])
def test_clusters_of_numbers_and_words_can_be_the_segments(frame, method):
    inputs = ("orders", "past_revenue", "region")
    one = Segmentation(method=method, inputs=inputs, clusters=3).fit(frame)
    assigned = one.assign(frame)
    assert assigned["segment"].nunique() == 3
    assert not assigned.isna().any().any()
    table = segments_table(one.describe(frame, assigned["segment"]))
    assert (table["action"].str.len() > 10).all()
    assert (table["owner"].str.len() > 0).all()
    assert table["value_per_customer"].is_monotonic_decreasing
    again = Segmentation.from_dict(json.loads(json.dumps(one.to_dict())))
    part = frame.sample(200, random_state=1)
    pd.testing.assert_frame_equal(again.assign(part), assigned.loc[part.index])
    without = again.assign(frame.drop(columns="region"))  # what is not at hand counts as missing
    assert not without.isna().any().any()
