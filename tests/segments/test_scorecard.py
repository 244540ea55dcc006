"""The scorecard on customers whose segments are known to be good, or known to be nothing."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvseg.checks import check_scorecard
from clvseg.config import ScorecardSettings
from clvseg.frames import SCORECARD
from clvseg.segments import Later, Segmentation, scorecard, segments_table, verdicts
from clvseg.segments.scorecard import EVERYONE, cliffs_delta, revenue_ratio

ASKED = ScorecardSettings()
numbers = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(one=numbers, other=numbers)
def test_cliffs_delta_counts_pairs(one, other):
    pairs = [np.sign(a - b) for a in one for b in other]
    assert cliffs_delta(one, other) == pytest.approx(np.mean(pairs))
    assert cliffs_delta([*one, np.nan], other) == cliffs_delta(one, other)


def test_the_interval_of_a_ratio_holds_the_true_ratio():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(400):
        _, low, high = revenue_ratio(rng.gamma(0.5, 60, 300), rng.gamma(0.5, 30, 300))
        held.append(low <= 2.0 <= high)
    assert 0.92 <= np.mean(held) <= 0.98
    assert revenue_ratio(np.zeros(9), np.ones(9)) == (99.0, 1.0, 99.0)
    assert revenue_ratio(np.zeros(9), np.zeros(9))[0] == 1.0


def customers(n, seed):
    """Two kinds: buyers of much and of little, each also with a channel."""
    rng = np.random.default_rng(seed)
    big = rng.random(n) < 0.4
    frame = pd.DataFrame(
        {
            "since_last": np.where(big, rng.integers(0, 60, n), rng.integers(150, 400, n)),
            "T": rng.integers(400, 700, n),
            "orders": np.where(big, rng.integers(8, 20, n), rng.integers(1, 4, n)),
            "past_revenue": np.where(big, rng.gamma(9, 90, n), rng.gamma(9, 9, n)),
            "predicted_value": np.where(big, rng.gamma(9, 30, n), rng.gamma(9, 2, n)),
            "churn_probability": np.where(big, rng.beta(2, 8, n), rng.beta(8, 2, n)),
            "channel": np.where(rng.random(n) < 0.5, "web", None),
        },
        index=pd.Index(np.arange(n), name="customer_id"),
    )
    active = (rng.random(n) > frame["churn_probability"]).to_numpy()
    value = np.where(active, frame["predicted_value"] * rng.gamma(4, 0.3, n), 0.0)
    return frame, value, active.astype(float)


def card(segmentation, frame, later, **more):
    table = segments_table(segmentation.describe(frame, segmentation.assign(frame)["segment"]))
    fidelity = dict.fromkeys(table["segment"], 0.9)
    return scorecard(segmentation, frame, table, fidelity, later, ASKED, **more)


@pytest.fixture(scope="module")
def two_kinds():
    frame, value, active = customers(2_000, 1)
    segmentation = Segmentation(method="kmeans", clusters=2).fit(frame)
    before, value, active = customers(1_500, 2)
    return segmentation, frame, Later(before, value, active, segmentation, True)


def test_kinds_that_are_there_pass_everything(two_kinds):
    segmentation, frame, later = two_kinds
    found = card(segmentation, frame, later, attributes=["channel"], reachable=np.arange(2_000) % 4 > 0)
    assert SCORECARD.conform(found).equals(found)
    assert (verdicts(found).loc[segmentation.names_] == "pass").all().all()
    assert not found["status"].isin(["fail", "not measured"]).any()
    value = found.set_index(["segment", "measure"])["value"]
    names = segmentation.segments(frame)
    for name in segmentation.names_:
        assert value[name, "share of customers"] == pytest.approx((names == name).mean())
        assert value[name, "share reachable"] == pytest.approx(
            (np.arange(2_000) % 4 > 0)[names == name].mean()
        )
        assert value[name, "bootstrap Jaccard"] > 0.97
    at_cutoff = segmentation.segments(later.people)
    means = [later.value[at_cutoff == name].mean() for name in segmentation.names_]
    assert value[segmentation.names_[0], "later revenue"] == pytest.approx(means[0] / means[1])
    assert value[EVERYONE, "adjusted Rand between seeds"] > 0.97
    assert check_scorecard(found) == []
    pd.testing.assert_frame_equal(
        found, card(segmentation, frame, later, attributes=["channel"], reachable=np.arange(2_000) % 4 > 0)
    )
    json.dumps(found.to_dict("records"))


def test_segments_that_do_nothing_different_later_are_flagged(two_kinds):
    segmentation, frame, later = two_kinds
    rng = np.random.default_rng(0)
    order = rng.permutation(len(later.value))
    shuffled = Later(later.people, later.value[order], later.active[order], segmentation, True)
    found = card(segmentation, frame, shuffled)
    assert verdicts(found).loc[segmentation.names_, "differentiable"].tolist() == ["fail", "fail"]
    (finding,) = check_scorecard(found)
    assert finding.code == "CLV020"
    assert f"against {segmentation.names_[1]}; 95 % interval" in finding.found
    assert "(at least 1.25 is asked for)" in finding.found
    reach = found.loc[found["measure"] == "share reachable", "status"]
    assert set(reach) == {"not measured"}


def test_clusters_of_noise_are_not_stable():
    rng = np.random.default_rng(4)
    frame, value, active = customers(900, 3)
    frame = frame.assign(a=rng.random(900), b=rng.random(900))
    noise = Segmentation(method="kmeans", inputs=("a", "b"), clusters=7).fit(frame)
    found = card(noise, frame, Later(frame, value, active, noise, True))
    assert (verdicts(found).loc[noise.names_, "stable"] == "fail").any()
    seeds = found[found["measure"] == "adjusted Rand between seeds"]
    assert seeds["status"].tolist() == ["fail"]


def test_a_segment_without_customers_at_the_cutoff_is_not_judged_by_what_followed(two_kinds):
    segmentation, frame, later = two_kinds
    few = np.flatnonzero(segmentation.segments(later.people) == segmentation.names_[1])
    rest = Later(later.people.iloc[few], later.value[few], later.active[few], segmentation, False)
    found = card(segmentation, frame, rest)
    judged = found[found["criterion"] == "differentiable"].set_index(["segment", "measure"])
    assert judged.loc[(segmentation.names_[0], "later revenue"), "status"] == "not measured"
    dates = found[found["measure"] == "adjusted Rand between dates"]
    assert dates["status"].tolist() == ["not measured"]
    assert np.isfinite(found["value"]).all()


def test_value_segments_are_the_same_with_any_seed():
    frame, value, active = customers(1_200, 6)
    segmentation = Segmentation(clusters=2).fit(frame)
    found = card(segmentation, frame, Later(frame, value, active, segmentation, True))
    measured = found[found["segment"] == EVERYONE].set_index("measure")["value"]
    assert measured["adjusted Rand between seeds"] == measured["adjusted Rand between dates"] == 1.0
    jaccard = found.loc[found["measure"] == "bootstrap Jaccard", "value"]
    assert jaccard.between(0.5, 1.0).all()
    again = segmentation.again(frame, frame, 9)
    assert (again == segmentation.segments(frame)).all()
