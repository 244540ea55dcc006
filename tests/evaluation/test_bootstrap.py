"""Counts instead of refits: a draw must equal every metric on the drawn customers themselves."""

from __future__ import annotations

import numpy as np
import pytest

from clvseg.evaluation import bootstrap as boot


@pytest.fixture(scope="module")
def later():
    rng = np.random.default_rng(5)
    actual = np.round(rng.gamma(0.3, 100, 400) * (rng.random(400) < 0.5))
    return {
        "actual": actual,
        "gone": (actual == 0).astype(float),
        "value": {
            "good": actual * 0.3 + rng.gamma(1, 20, 400),
            "tied": np.round(actual / 50) + rng.integers(0, 3, 400),
        },
        "risk": {
            "tied": np.round(np.clip((actual == 0) * 0.3 + rng.random(400) * 0.7, 0, 1), 1),
            "good": np.clip((actual == 0) * 0.3 + rng.random(400) * 0.7, 0.01, 0.99),
        },
    }


def counts_of(kind: str) -> np.ndarray:
    if kind == "all once":
        return np.ones(400)
    return boot.customer_counts(400, np.random.default_rng(int(kind)))


@pytest.mark.parametrize("kind", ["all once", "0", "1", "2"])
@pytest.mark.parametrize("metric", boot.VALUE_METRICS)
def test_a_draw_is_the_value_metric_on_the_repeated_customers(later, metric, kind):
    counts = counts_of(kind)
    drawn = np.repeat(np.arange(400), counts.astype(int))
    got = boot.value_evaluator(later["actual"], later["value"])(counts)
    for model, predicted in later["value"].items():
        direct = boot.VALUE_METRICS[metric](later["actual"][drawn], predicted[drawn])
        assert got[model, metric] == pytest.approx(direct, rel=1e-9)


@pytest.mark.parametrize("kind", ["all once", "0", "1", "2"])
@pytest.mark.parametrize("metric", boot.CHURN_METRICS)
def test_a_draw_is_the_churn_metric_on_the_repeated_customers(later, metric, kind):
    counts = counts_of(kind)
    drawn = np.repeat(np.arange(400), counts.astype(int))
    got = boot.churn_evaluator(later["gone"], later["risk"])(counts)
    for model, probability in later["risk"].items():
        direct = boot.CHURN_METRICS[metric](later["gone"][drawn], probability[drawn])
        assert got[model, metric] == pytest.approx(direct, rel=1e-9)


def test_same_seed_same_draws(later):
    runs = [boot.value_bootstrap(later["actual"], later["value"], seed, draws=20) for seed in (7, 7, 8)]
    assert np.array_equal(runs[0].draws["good", "gini"], runs[1].draws["good", "gini"])
    assert not np.array_equal(runs[0].draws["good", "gini"], runs[2].draws["good", "gini"])


def test_differences_use_the_same_customers(later):
    good = later["value"]["good"]
    models = {"a": good, "b": good * 2, "c": later["value"]["tied"]}
    drawn = boot.value_bootstrap(later["actual"], models, 1, draws=50)
    same = drawn.difference("a", "b", "gini")
    assert (same["difference"], same["low"], same["high"], same["share_above"]) == (0, 0, 0, 0)
    gap = drawn.difference("a", "c", "gini")
    assert gap["low"] <= gap["difference"] <= gap["high"]


def test_a_customer_of_two_cutoffs_is_drawn_as_often_at_both(later):
    """The earlier cutoff knows every second customer; its draws follow the population of the newest."""
    known = np.arange(0, 400, 2)
    early = {"good": later["value"]["good"][known]}
    newest = boot.value_bootstrap(later["actual"], {"good": later["value"]["good"]}, 1, draws=10)
    older = boot.value_bootstrap(later["actual"][known], early, 1, (known, 400), draws=10)
    rng = np.random.default_rng(1)
    for place in range(10):
        counts = boot.customer_counts(400, rng)
        drawn = np.repeat(known, counts[known].astype(int))
        direct = boot.normalised_gini(later["actual"][drawn], later["value"]["good"][drawn])
        assert older.draws["good", "gini"][place] == pytest.approx(direct)
    pooled = boot.pool([newest, older])
    mean = (newest.draws["good", "gini"] + older.draws["good", "gini"]) / 2
    np.testing.assert_allclose(pooled.draws["good", "gini"], mean)
    both = [one.estimates["good", "bias"] for one in (newest, older)]
    assert pooled.estimates["good", "bias"] == pytest.approx(np.mean(both))


def test_a_model_that_is_not_at_every_cutoff_is_not_pooled(later):
    both = boot.value_bootstrap(later["actual"], later["value"], 1, draws=5)
    one = boot.value_bootstrap(later["actual"], {"good": later["value"]["good"]}, 1, draws=5)
    assert boot.pool([both, one]).models == ["good"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Bias of a prediction whose true bias is +25 %: 95 % intervals, 100 samples of 150 customers.
    hits = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        actual = rng.gamma(2.0, 10.0, 150)
        drawn = boot.value_bootstrap(actual, {"m": np.full(150, 25.0)}, trial, draws=100)
        low, high = drawn.interval("m", "bias")
        hits += low <= 0.25 <= high
    assert 88 <= hits <= 100
