"""Segments made of CDNOW at the cutoff, judged by what those customers did in the 39 weeks after it."""

import datetime as dt

import numpy as np
import pytest

from clvseg.data.features import customer_features
from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.segments import Segmentation, later_table, segments_table
from clvseg.value import GammaGammaModel, ModifiedBetaGeoModel

CUTOFF, HORIZON = dt.date(1997, 9, 30), 273


@pytest.fixture(scope="module")
def scored():
    log = Transactions.read("dataset:cdnow")
    known = log.split(CUTOFF)
    summary, features = customer_summary(known, CUTOFF), customer_features(known, CUTOFF)
    purchases = ModifiedBetaGeoModel().fit(summary)
    spend = features[["orders", "mean_spend"]].set_axis(["frequency", "monetary_value"], axis=1)
    value = purchases.expected_purchases(summary, HORIZON) * GammaGammaModel().fit(spend).expected_spend(
        spend
    )
    churn = 1 - purchases.probability_active(summary, HORIZON)
    people = features.assign(predicted_value=value, churn_probability=churn)
    segmentation = Segmentation().fit(people)
    return segmentation, people, segmentation.assign(people), outcomes(log, CUTOFF, HORIZON)


def test_five_to_ten_segments_none_under_one_percent(scored):
    _, _, assigned, _ = scored
    shares = assigned["segment"].value_counts(normalize=True)
    assert 5 <= len(shares) <= 10
    assert shares.min() >= 0.01
    assert shares.max() <= 0.5
    assert len(assigned) == 23_570


def test_later_the_segments_differ_in_real_spend_and_activity(scored):
    _, people, assigned, after = scored
    table = later_table(
        assigned["segment"], people["predicted_value"], people["churn_probability"], after, seed=1
    )
    best, worst = table.iloc[0], table.iloc[-1]
    assert best["revenue_low"] > 20 * worst["revenue_high"]
    assert best["active"] > worst["active"] + 0.6
    assert best["share_revenue"] > 0.35
    assert np.corrcoef(table.index, table["revenue_per_customer"].rank(ascending=False))[0, 1] > 0.9
    assert np.corrcoef(table["predicted_active"].rank(), table["active"].rank())[0, 1] > 0.9


def test_segments_separate_later_revenue_better_than_rfm_does(scored):
    _, _, assigned, after = scored

    def explained(column):
        groups = after["value"].groupby(assigned[column].to_numpy())
        return groups.transform("mean").var() / after["value"].var()

    assert explained("segment") > 0.17
    assert explained("segment") > 1.2 * max(explained("rfm_group"), explained("rfm_cluster"))


def test_segment_sums_are_those_of_the_customers(scored):
    segmentation, people, assigned, _ = scored
    table = segments_table(segmentation.describe(people, assigned["segment"]))
    assert table["predicted_value"].sum() == pytest.approx(people["predicted_value"].sum())
    assert table["past_revenue"].sum() == pytest.approx(people["past_revenue"].sum())
    at_risk = (people["predicted_value"] * people["churn_probability"]).sum()
    assert table["value_at_risk"].sum() == pytest.approx(at_risk)
    assert table["segment"].iloc[0] == "Champions"
