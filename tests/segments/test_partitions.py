import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from clvseg.segments.choice import choose_number, explained_share, gap_statistic
from clvseg.segments.partitions import DENSITY, METHODS, Prototypes, fit_partition, partition_from_dict
from clvseg.segments.scaling import MixedScaler
from clvseg.segments.stability import jaccard

COUNTED = [name for name in METHODS if name not in DENSITY]


def separable(groups, seed, each=250, columns=3):
    """Groups of customers, log-normal around centres at least six spreads apart."""
    rng = np.random.default_rng(seed)
    centres = rng.permutation(np.stack(np.meshgrid(*[[1.0, 4.0]] * columns), -1).reshape(-1, columns))[
        :groups
    ]
    logs = np.repeat(centres, each, axis=0) + rng.normal(0, 0.35, (groups * each, columns))
    return pd.DataFrame(np.exp(logs), columns=list("abc")[:columns]), np.repeat(np.arange(groups), each)


def none_at_all(kind, seed, n=1200):
    """Customers of one kind."""
    rng = np.random.default_rng(seed)
    frames = {
        "normal": lambda: rng.normal(size=(n, 3)),
        "correlated": lambda: rng.normal(size=(n, 3)) @ [[1, 0.8, 0.6], [0, 0.6, 0.3], [0, 0, 0.7]],
        "lognormal": lambda: np.exp(rng.normal(0, 2, (n, 3))),
        "uniform": lambda: rng.uniform(size=(n, 3)),
        "gamma and pareto": lambda: np.c_[rng.gamma(2, 1, n), rng.gamma(0.8, 1, n), rng.pareto(1.5, n)],
    }  # fmt: skip
    return pd.DataFrame(frames[kind](), columns=list("abc"))


def points_of(frame):
    return MixedScaler().fit(frame).transform(frame)


@pytest.mark.parametrize("method", METHODS)
def test_known_segments_and_their_number_are_found(method):
    frame, truth = separable(4, seed=3)
    points = points_of(frame)
    choice = choose_number(method, points, seed=1)
    assert choice.table.loc[choice.table["chosen"], "clusters"].tolist() == [4]
    assert adjusted_rand_score(truth, choice.partition.assign(points)) >= 0.95
    assert choice.reason.startswith("4 clusters: ")


@pytest.mark.parametrize("groups", [2, 3, 5, 6])
def test_any_number_of_known_segments_is_found(groups):
    frame, truth = separable(groups, seed=groups)
    points = points_of(frame)
    choice = choose_number("kmeans", points, seed=1)
    assert adjusted_rand_score(truth, choice.partition.assign(points)) >= 0.9


@pytest.mark.parametrize("kind", ["normal", "correlated", "lognormal", "uniform", "gamma and pareto"])
@pytest.mark.parametrize("seed", [1, 2])
def test_one_segment_is_found_where_there_is_none(kind, seed, monkeypatch):
    monkeypatch.setattr("clvseg.segments.choice.BOOTSTRAPS", 1)  # stability has no say in it
    choice = choose_number("kmeans", points_of(none_at_all(kind, seed)), seed=seed)
    assert choice.partition.clusters == 1
    assert (
        choice.reason == "1 cluster: no larger number beats it in the gap statistic by four standard errors"
    )


def test_one_segment_is_found_by_density_where_there_is_none():
    choice = choose_number("hdbscan", points_of(none_at_all("normal", 1)), seed=1)
    assert choice.partition.clusters == 1


def test_the_number_can_be_overridden_and_the_reason_says_what_speaks_against_it():
    points = points_of(none_at_all("normal", 1))
    choice = choose_number("kmeans", points, wanted=3, seed=1)
    assert choice.partition.clusters == 3
    assert "as asked for" in choice.reason
    assert "the gap statistic finds no clusters" in choice.reason


def test_later_value_has_a_say():
    frame, truth = separable(4, seed=5)
    points = points_of(frame)
    money = np.where(truth == 0, 100.0, 0.0)
    table = choose_number("kmeans", points, earlier=(points, money), seed=1).table.set_index("clusters")
    assert table.loc[1, "later_value"] == 0
    assert table.loc[4, "later_value"] > 0.85
    assert "later value" in choose_number("kmeans", points, earlier=(points, money), seed=1).reason


@pytest.mark.parametrize("method", METHODS)
def test_a_reload_assigns_new_customers_identically_and_a_rerun_is_identical(method):
    frame, _ = separable(3, seed=7, each=120)
    frame["word"] = np.where(np.arange(len(frame)) % 3 == 0, "x", "y")
    scaler = MixedScaler().fit(frame)
    points = scaler.transform(frame)
    one, two = (fit_partition(method, points, 3, seed=4) for _ in range(2))
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())
    again = partition_from_dict(json.loads(json.dumps(one.to_dict())))
    rng = np.random.default_rng(9)
    fresh = scaler.transform(frame.assign(**frame[["a", "b", "c"]] * rng.lognormal(0, 1, (len(frame), 3))))
    np.testing.assert_array_equal(one.assign(fresh), again.assign(fresh))
    assert set(one.assign(fresh)) <= set(range(one.clusters))


def test_categories_decide_where_numbers_do_not():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], 200)
    words = {f"w{i}": np.where(rng.random(400) < 0.03, "odd", np.where(truth, "x", "y")) for i in range(4)}
    frame = pd.DataFrame({"noise": rng.normal(size=400), **words})
    points = points_of(frame)
    for method in ("k_prototypes", "kmeans", "consensus"):
        labels = fit_partition(method, points, 2, seed=1).assign(points)
        assert adjusted_rand_score(truth, labels) >= 0.9, method


def test_k_prototypes_stands_at_a_minimum():
    """Every customer is nearest to its prototype, and every prototype is its customers' mean and mode."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"a": rng.normal(size=300), "w": rng.choice(list("xyz"), 300)})
    points = points_of(frame)
    found = fit_partition("k_prototypes", points, 3, seed=1)
    assert isinstance(found, Prototypes)
    labels = found.assign(points)
    for i in range(len(points)):
        costs = [
            ((points.numbers[i] - found.centres[c]) ** 2).sum() + (points.codes[i] != found.modes[c]).sum()
            for c in range(3)
        ]
        assert costs[labels[i]] == pytest.approx(min(costs))
    for c in range(3):
        inside = labels == c
        np.testing.assert_allclose(found.centres[c], points.numbers[inside].mean(axis=0))
        assert np.bincount(points.codes[inside, 0]).argmax() == found.modes[c, 0]


def test_explained_share_is_the_adjusted_share_of_a_plain_loop():
    rng = np.random.default_rng(3)
    values, labels = rng.normal(size=90), rng.integers(0, 4, 90)
    values += labels
    inside = sum((v - values[labels == g].mean()) ** 2 for v, g in zip(values, labels, strict=True)) / 86
    total = sum((v - values.mean()) ** 2 for v in values) / 89
    assert explained_share(values, labels) == pytest.approx(1 - inside / total)


def test_gap_tells_separate_groups_from_none():
    numbers = [1, 2, 3, 4, 5]
    for frame, structure in ((separable(4, seed=1)[0], True), (none_at_all("uniform", 1), False)):
        gap, error = gap_statistic(points_of(frame).matrix, numbers, seed=1)
        assert (error > 0).all()
        assert bool(((gap - gap[0]) / error).max() > 10) == structure


def test_jaccard_by_hand():
    one, other = np.array([0, 0, 0, 1, 1, 2]), np.array([5, 5, 1, 1, 1, 1])
    np.testing.assert_allclose(jaccard(one, other, 4), [2 / 3, 2 / 4, 1 / 4, 1])
