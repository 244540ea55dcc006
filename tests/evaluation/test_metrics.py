"""Each metric against a deliberately dumb loop, and against scikit-learn where it has the metric."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from clvseg.errors import DataError
from clvseg.evaluation import metrics

small = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=6)


def gain_by_hand(ordered: list[float]) -> float:
    total, running, shares = sum(ordered), 0.0, []
    for value in ordered:
        running += value
        shares.append(running / total)
    return sum(shares) / len(shares) - 0.5


def gini_by_hand(actual: list[float], predicted: list[float]) -> float:
    """All orders that sort by prediction, one after the other."""
    gains = []
    for order in itertools.permutations(range(len(actual))):
        if all(predicted[a] >= predicted[b] for a, b in itertools.pairwise(order)):
            gains.append(gain_by_hand([actual[i] for i in order]))
    return float(np.mean(gains)) / gain_by_hand(sorted(actual, reverse=True))


@given(small)
@settings(max_examples=150, deadline=None)
def test_gini_is_the_average_over_all_orders_of_ties(pairs):
    actual, predicted = [float(a) for a, _ in pairs], [float(p) for _, p in pairs]
    if len(set(actual)) == 1:
        return
    assert metrics.normalised_gini(actual, predicted) == pytest.approx(gini_by_hand(actual, predicted))


def test_gini_of_equal_customers_is_zero():
    assert metrics.normalised_gini([2, 2, 2], [1, 5, 3]) == 0.0


def test_top_share_counts_ties_at_the_edge_in_part():
    actual, predicted = [8.0, 0.0, 4.0, 4.0], [2, 2, 1, 1]
    assert metrics.top_share(actual, predicted, 0.25) == pytest.approx(0.25)
    assert metrics.top_share(actual, predicted, 0.5) == pytest.approx(0.5)
    assert metrics.top_share([5.0, 1.0], [1, 0], 0.01) == pytest.approx(5 / 6)


@pytest.fixture(scope="module")
def money():
    rng = np.random.default_rng(3)
    actual = rng.gamma(0.3, 100, 503) * (rng.random(503) < 0.4)
    return actual, np.round(actual * 0.3 + rng.gamma(1, 20, 503))


@pytest.fixture(scope="module")
def risk():
    rng = np.random.default_rng(4)
    probability = np.round(rng.random(503), 2)
    return (rng.random(503) < probability).astype(int), probability


def test_decile_error_against_a_loop(money):
    actual, predicted = money
    predicted = predicted + np.arange(503) * 1e-6
    order = sorted(range(503), key=lambda i: -predicted[i])
    wrong = 0.0
    for k in range(10):
        inside = order[503 * k // 10 : 503 * (k + 1) // 10]
        wrong += abs(sum(predicted[i] for i in inside) - sum(actual[i] for i in inside))
    assert metrics.decile_error(actual, predicted) == pytest.approx(wrong / actual.sum())


def test_decile_table_holds_everybody_once(money):
    actual, predicted = money
    table = metrics.decile_table(actual, predicted)
    assert table["customers"].sum() == 503
    assert table["actual"].sum() == pytest.approx(actual.sum())
    assert table["predicted"].sum() == pytest.approx(predicted.sum())
    assert table["cumulative_share"].iloc[-1] == pytest.approx(1)


def test_value_metrics_against_their_formulas(money):
    actual, predicted = money
    assert metrics.bias(actual, predicted) == pytest.approx(sum(predicted) / sum(actual) - 1)
    assert metrics.mean_absolute_error(actual, predicted) == pytest.approx(
        sum(abs(p - a) for a, p in zip(actual, predicted, strict=True)) / 503
    )
    assert metrics.root_mean_squared_error(actual, predicted) == pytest.approx(
        sklearn.metrics.root_mean_squared_error(actual, predicted)
    )
    assert metrics.spearman(actual, predicted) == pytest.approx(spearmanr(actual, predicted).statistic)
    assert metrics.spearman(actual, np.ones(503)) == 0.0


def test_churn_metrics_against_scikit_learn(risk):
    event, probability = risk
    assert metrics.roc_auc(event, probability) == pytest.approx(
        sklearn.metrics.roc_auc_score(event, probability)
    )
    assert metrics.average_precision(event, probability) == pytest.approx(
        sklearn.metrics.average_precision_score(event, probability)
    )
    assert metrics.brier(event, probability) == pytest.approx(
        sklearn.metrics.brier_score_loss(event, probability)
    )
    inside = np.clip(probability, 0.01, 0.99)
    assert metrics.log_loss(event, inside) == pytest.approx(sklearn.metrics.log_loss(event, inside))


def test_auc_against_all_pairs(risk):
    event, probability = risk[0][:80], risk[1][:80]
    won = [
        1.0 if probability[i] > probability[j] else 0.5 if probability[i] == probability[j] else 0.0
        for i in range(80)
        for j in range(80)
        if event[i] == 1 and event[j] == 0
    ]
    assert metrics.roc_auc(event, probability) == pytest.approx(np.mean(won))


def test_calibration_error_against_a_loop(risk):
    event, probability = risk
    probability = probability + np.arange(503) * 1e-7
    order = sorted(range(503), key=lambda i: probability[i])
    wrong = 0.0
    for k in range(15):
        inside = order[503 * k // 15 : 503 * (k + 1) // 15]
        gap = np.mean([probability[i] for i in inside]) - np.mean([event[i] for i in inside])
        wrong += len(inside) / 503 * abs(gap)
    assert metrics.calibration_error(event, probability) == pytest.approx(wrong)


def test_lift_is_the_rate_at_the_top_over_the_rate_of_all(risk):
    event, probability = risk
    probability = probability + np.arange(503) * 1e-7
    top = np.argsort(-probability)[:50]
    assert metrics.lift(event, probability) == pytest.approx(event[top].mean() / event.mean())


def test_interval_coverage():
    assert metrics.interval_coverage([1, 2, 3, 4], [1, 3, 0, 0], [1, 4, 2, 9]) == 0.5


@pytest.mark.parametrize(
    "metric",
    [
        metrics.normalised_gini,
        metrics.bias,
        metrics.decile_error,
        metrics.top_share,
        metrics.spearman,
        metrics.mean_absolute_error,
        metrics.root_mean_squared_error,
    ],
)
def test_metrics_do_not_depend_on_the_order_of_customers(metric, money):
    actual, predicted = money
    shuffled = np.random.default_rng(0).permutation(503)
    assert metric(actual[shuffled], predicted[shuffled]) == pytest.approx(metric(actual, predicted))


@pytest.mark.parametrize(
    "metric",
    [
        metrics.roc_auc,
        metrics.average_precision,
        metrics.calibration_error,
        metrics.lift,
        metrics.log_loss,
        metrics.brier,
    ],
)
def test_churn_metrics_do_not_depend_on_the_order_of_customers(metric, risk):
    event, probability = risk
    shuffled = np.random.default_rng(0).permutation(503)
    assert metric(event[shuffled], probability[shuffled]) == pytest.approx(metric(event, probability))


def test_one_class_only():
    assert metrics.roc_auc([1, 1], [0.2, 0.3]) == 0.5
    assert metrics.average_precision([0, 0], [0.2, 0.3]) == 0.0


def test_no_later_revenue_is_an_error_that_says_what_to_do():
    with pytest.raises(DataError, match="without later revenue") as caught:
        metrics.normalised_gini([0.0, 0.0], [1.0, 2.0])
    assert caught.value.hint == "hold back a period in which somebody buys."


@pytest.mark.parametrize(
    ("actual", "predicted", "message"),
    [([1.0], [1.0, 2.0], "one number per customer"), ([1.0, np.nan], [1.0, 2.0], "must be finite")],
)
def test_unusable_arrays_are_named(actual, predicted, message):
    with pytest.raises(DataError, match=message):
        metrics.bias(actual, predicted)


def test_reliability_table_means(risk):
    event, probability = risk
    table = metrics.reliability_table(event, probability)
    assert np.average(table["observed"], weights=table["customers"]) == pytest.approx(event.mean())
    assert np.average(table["predicted"], weights=table["customers"]) == pytest.approx(probability.mean())
    assert table["predicted"].is_monotonic_increasing
    assert isinstance(table, pd.DataFrame)
