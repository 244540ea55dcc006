"""Counts instead of refits: a draw must equal the metric on the drawn customers themselves."""

from __future__ import annotations

import numpy as np
import pytest

from clvseg.evaluation import bootstrap as boot
from clvseg.evaluation import metrics


@pytest.fixture(scope="module")
def later():
    rng = np.random.default_rng(5)
    actual = np.round(rng.gamma(0.3, 100, 400) * (rng.random(400) < 0.5))
    return {
        "actual": actual,
        "gone": (actual == 0).astype(float),
        "good": actual * 0.3 + rng.gamma(1, 20, 400),
        "tied": np.round(actual / 50) + rng.integers(0, 3, 400),
        "risk": np.round(np.clip((actual == 0) * 0.3 + rng.random(400) * 0.7, 0, 1), 1),
    }


@pytest.mark.parametrize("predicted", ["good", "tied"])
@pytest.mark.parametrize("name", ["gini", "bias"])
def test_a_draw_is_the_metric_on_the_repeated_customers(later, name, predicted):
    metric, weighted = boot.METRICS[name]
    counts = boot.customer_counts(400, np.random.default_rng(0))
    drawn = np.repeat(np.arange(400), counts.astype(int))
    direct = metric(later["actual"][drawn], later[predicted][drawn])
    assert weighted(later["actual"], later[predicted])(counts) == pytest.approx(direct)


def test_an_auc_draw_is_the_auc_of_the_repeated_customers(later):
    counts = boot.customer_counts(400, np.random.default_rng(1))
    drawn = np.repeat(np.arange(400), counts.astype(int))
    direct = metrics.roc_auc(later["gone"][drawn], later["risk"][drawn])
    assert boot.weighted_auc(later["gone"], later["risk"])(counts) == pytest.approx(direct)


@pytest.mark.parametrize("predicted", ["good", "tied"])
def test_a_decile_error_draw_is_near_the_error_of_the_repeated_customers(later, predicted):
    # Customers drawn twice at a decile's edge are divided instead of put on one side: hence the tolerance.
    counts = boot.customer_counts(400, np.random.default_rng(2))
    drawn = np.repeat(np.arange(400), counts.astype(int))
    direct = metrics.decile_error(later["actual"][drawn], later[predicted][drawn])
    got = boot.weighted_decile_error(later["actual"], later[predicted])(counts)
    assert got == pytest.approx(direct, rel=0.02)


def test_counts_of_one_are_the_estimate_itself(later):
    ones = np.ones(400)
    for name, (metric, weighted) in boot.METRICS.items():
        actual, predicted = ("gone", "risk") if name == "auc" else ("actual", "good")
        assert weighted(later[actual], later[predicted])(ones) == pytest.approx(
            metric(later[actual], later[predicted])
        )


def test_same_seed_same_draws(later):
    runs = [boot.bootstrap(later["actual"], {"m": later["good"]}, ("gini",), seed, 20) for seed in (7, 7, 8)]
    assert np.array_equal(runs[0].draws["m", "gini"], runs[1].draws["m", "gini"])
    assert not np.array_equal(runs[0].draws["m", "gini"], runs[2].draws["m", "gini"])


def test_differences_use_the_same_customers(later):
    drawn = boot.bootstrap(
        later["actual"], {"a": later["good"], "b": later["good"] * 2, "c": later["tied"]}, ("gini",), 1, 50
    )
    same = drawn.difference("a", "b", "gini")
    assert (same["difference"], same["low"], same["high"], same["share_above"]) == (0, 0, 0, 0)
    gap = drawn.difference("a", "c", "gini")
    assert gap["low"] <= gap["difference"] <= gap["high"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Bias of a prediction whose true bias is +25 %: 95 % intervals, 100 samples of 150 customers.
    hits = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        actual = rng.gamma(2.0, 10.0, 150)
        drawn = boot.bootstrap(actual, {"m": np.full(150, 25.0)}, ("bias",), trial, 200)
        low, high = drawn.interval("m", "bias")
        hits += low <= 0.25 <= high
    assert 88 <= hits <= 100
