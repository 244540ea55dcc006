import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.segments.partitions import METHODS, fit_partition
from clvseg.segments.scaling import REACH, MixedScaler

HEAVY = {
    "pareto": lambda rng, n: 10 * (1 + rng.pareto(0.7, n)),
    "lognormal": lambda rng, n: rng.lognormal(3, 3, n),
    "one giant": lambda rng, n: np.where(np.arange(n) == 7, 1e15, rng.lognormal(3, 1, n)),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.pareto(0.8, n) * 100),
    "refunds": lambda rng, n: rng.standard_cauchy(n) * 50,
}


def customers(tail, n=1500, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "since_last": rng.integers(0, 365, n),
            "orders": 1 + rng.negative_binomial(0.5, 0.2, n),
            "past_revenue": HEAVY[tail](rng, n),
        }
    )


def test_plain_scaling_would_put_99_percent_into_one_cluster():
    """What the scaler is there to prevent does happen without it."""
    from sklearn.cluster import KMeans

    frame = customers("pareto")
    labels = KMeans(4, n_init=4, random_state=0).fit((frame - frame.mean()) / frame.std()).labels_
    raw = KMeans(4, n_init=4, random_state=0).fit(frame).labels_
    assert np.bincount(raw).max() > 0.99 * len(frame)
    assert np.bincount(labels).max() > np.bincount(fit(frame, "kmeans")).max()


def fit(frame, method):
    points = MixedScaler().fit(frame).transform(frame)
    return fit_partition(method, points, 4, seed=1).assign(points)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("hdbscan", "dbscan")])
@pytest.mark.parametrize("tail", HEAVY)
def test_heavy_tails_never_put_nearly_everyone_into_one_cluster(tail, method):
    sizes = np.bincount(fit(customers(tail), method), minlength=4)
    assert sizes.max() < 0.75 * sizes.sum()
    assert sizes.min() >= 0.01 * sizes.sum()


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(-1e300, 1e300) | st.just(float("nan")) | st.just(float("inf")), min_size=1, max_size=60
    ),
    words=st.lists(st.sampled_from(["a", "b", "other", None]), min_size=1, max_size=60),
)
def test_any_column_becomes_finite_points_within_reach(values, words):
    n = min(len(values), len(words))
    frame = pd.DataFrame({"number": values[:n], "word": pd.Series(words[:n], dtype=object)})
    scaler = MixedScaler().fit(frame)
    points = scaler.transform(frame)
    assert np.isfinite(points.matrix).all()
    assert np.abs(points.numbers).max() <= REACH
    again = MixedScaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_array_equal(again.transform(frame).matrix, points.matrix)


def test_order_is_kept_and_spread_is_one():
    frame = customers("pareto")
    points = MixedScaler().fit(frame).transform(frame).numbers
    for place, name in enumerate(frame):
        order = np.argsort(frame[name].to_numpy(), kind="stable")
        assert (np.diff(points[order, place]) >= 0).all()
        assert points[:, place].std() == pytest.approx(1, abs=0.15)


def test_gaps_become_the_median_and_a_level_of_their_own():
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, np.nan], "region": ["N", "S", None, None]})
    scaler = MixedScaler().fit(frame)
    points = scaler.transform(frame)
    assert points.numbers[3, 0] == points.numbers[1, 0]
    assert points.codes[2, 0] == points.codes[3, 0] != points.codes[0, 0]


def test_unknown_and_rare_levels_are_other_and_a_lost_column_is_missing():
    frame = pd.DataFrame({"region": ["N"] * 60 + ["S"] * 39 + ["X"], "age": np.arange(100.0)})
    scaler = MixedScaler().fit(frame)
    assert scaler.levels_ == {"region": ["N", "S", "other"]}
    later = scaler.transform(pd.DataFrame({"region": ["new", "X", "S"]}))
    assert later.codes[:, 0].tolist() == [2, 2, 1]
    assert (later.numbers == scaler.transform(frame.assign(age=np.nan)).numbers[:3]).all()


def test_another_category_is_one_unit_away():
    frame = pd.DataFrame({"region": ["N", "S"] * 50})
    matrix = MixedScaler().fit(frame).transform(frame).matrix
    assert ((matrix[0] - matrix[1]) ** 2).sum() == pytest.approx(1)
