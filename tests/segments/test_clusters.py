import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from clvseg.segments import Clusters


def known_groups(seed=0, each=250):
    """Four kinds of customers, well apart on the log scale: days, orders, revenue."""
    rng = np.random.default_rng(seed)
    centres = np.array([[5, 20, 2000], [200, 20, 2000], [10, 2, 40], [300, 1.5, 30]])
    points = np.repeat(np.log1p(centres), each, axis=0) + rng.normal(0, 0.22, (4 * each, 3))
    frame = pd.DataFrame(np.expm1(points), columns=["since_last", "orders", "past_revenue"])
    return frame.clip(lower=0.0), np.repeat(np.arange(4), each)


@pytest.mark.parametrize("seed", [1, 2])
def test_known_groups_and_their_number_are_found(seed):
    frame, truth = known_groups(seed)
    clusters = Clusters(least=2, seed=seed).fit(frame)
    assert len(clusters.names_) == 4
    assert adjusted_rand_score(truth, clusters.assign(frame)) >= 0.95
    chosen = clusters.choice_[clusters.choice_["chosen"]]
    assert chosen["clusters"].tolist() == [4]
    assert chosen["stability"].item() >= 0.95
    assert clusters.choice_["clusters"].tolist() == list(range(1, 9))
    assert clusters.reason_.startswith("4 clusters: named by")


def test_names_are_unique_and_say_what_the_cluster_is():
    frame, truth = known_groups()
    clusters = Clusters(least=2).fit(frame)
    assert len(set(clusters.names_)) == len(clusters.names_)
    assert clusters.assign(frame)[truth == 0].mode().item().startswith("recent, ")
    assert "high spend" in clusters.assign(frame)[truth == 0].mode().item()
    assert "long ago" in clusters.assign(frame)[truth == 3].mode().item()
    many = Clusters(clusters=8).fit(frame)
    assert len(set(many.names_)) == 8


def test_heavy_tailed_spend_does_not_put_nearly_everyone_into_one_cluster():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "since_last": rng.integers(0, 365, 4000),
            "orders": 1 + rng.negative_binomial(0.5, 0.2, 4000),
            "past_revenue": 10 * (1 + rng.pareto(0.7, 4000)),
        }
    )
    assert frame["past_revenue"].max() > 1e4 * frame["past_revenue"].median()
    share = Clusters(least=2).fit(frame).assign(frame).value_counts(normalize=True)
    assert share.max() < 0.8
    assert share.min() >= 0.01


def test_one_repeat_buyer_among_thousands_is_no_cluster():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(
        {"since_last": rng.integers(0, 365, 2000), "orders": 1, "past_revenue": rng.lognormal(3, 1, 2000)}
    )
    frame.loc[7, "orders"] = 2
    share = Clusters(least=2).fit(frame).assign(frame).value_counts(normalize=True)
    assert share.min() >= 0.01


def test_a_few_outliers_are_no_cluster():
    frame, _ = known_groups()
    frame.loc[[3, 300, 600], "past_revenue"] = 1e15
    share = Clusters(least=2).fit(frame).assign(frame).value_counts(normalize=True)
    assert share.min() >= 0.01


def test_the_number_can_be_set():
    frame, _ = known_groups()
    clusters = Clusters(clusters=5).fit(frame)
    assert len(clusters.names_) == 5
    assert clusters.choice_.loc[clusters.choice_["chosen"], "clusters"].tolist() == [5]


@pytest.mark.parametrize("rows", [1, 2, 3, 12])
def test_customers_who_are_alike_share_a_cluster(rows):
    frame = pd.DataFrame({"since_last": [3.0] * rows, "orders": 1.0, "past_revenue": 5.0})
    clusters = Clusters(least=2).fit(frame)
    assert len(clusters.names_) == 1
    assert clusters.choice_.empty
    assert set(clusters.assign(frame)) == set(clusters.names_)


def test_same_input_same_clusters_and_a_reload_assigns_identically():
    frame, _ = known_groups()
    one, two = Clusters(least=2, seed=4).fit(frame), Clusters(least=2, seed=4).fit(frame)
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())
    again = Clusters.from_dict(json.loads(json.dumps(one.to_dict())))
    rng = np.random.default_rng(9)
    fresh = frame * rng.lognormal(0, 1, frame.shape)
    pd.testing.assert_series_equal(one.assign(fresh), again.assign(fresh))
    assert again.get_params() == one.get_params()


def test_everyone_is_assigned_although_only_a_sample_is_fitted(monkeypatch):
    monkeypatch.setattr("clvseg.segments.partitions.SAMPLE", 300)
    monkeypatch.setattr("clvseg.segments.partitions._BLOCK", 70)
    frame, truth = known_groups()
    assert adjusted_rand_score(truth, Clusters(least=2).fit(frame).assign(frame)) >= 0.95
