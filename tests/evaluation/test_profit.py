"""The profit measures: published figures, integration by brute force, and a loop over customers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from clvseg.evaluation import profit as p

CAMPAIGN = p.Campaign(1.0, 10.0)


@pytest.fixture(scope="module")
def later():
    rng = np.random.default_rng(8)
    risk = np.round(rng.beta(2, 3, 300), 2)
    return (rng.random(300) < risk).astype(float), risk, rng.gamma(1.5, 60, 300)


def by_integration(gone, score, value, campaign, nodes=20_001):
    """Every save rate on a fine grid, every list length, customer by customer."""
    a, b = campaign.shape
    rates = (np.arange(nodes) + 0.5) / nodes
    best = np.zeros(nodes)
    for limit in np.unique(score):
        contacted = score >= limit
        gained = np.zeros(nodes)
        for left, worth in zip(gone[contacted], value[contacted], strict=True):
            if left:
                gained += rates * (worth - campaign.offer_cost) - campaign.contact_cost
            else:
                gained -= campaign.offer_cost + campaign.contact_cost
        best = np.maximum(best, gained)
    return float((best * beta.pdf(rates, a, b)).mean() / len(gone))


def test_empc_gives_the_figures_of_other_implementations():
    """EMP for R (empChurn, defaults) and Python packages print these for the same customers."""
    gone = [1, 1, 0, 0, 0, 1, 1, 1, 1, 0]
    score = [0.6125478, 0.3642710, 0.4321361, 0.1402911, 0.3848959]
    score += [0.2444155, 0.9706413, 0.8901728, 0.7817814, 0.8687518]
    assert p.expected_maximum_profit(gone, score, 200.0, CAMPAIGN) == pytest.approx(
        30.3003222629848, rel=1e-12
    )
    eight = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]
    found = p.expected_maximum_profit([0, 1] * 4, eight, 200.0, CAMPAIGN)
    assert found == pytest.approx(23.875593418348124, rel=1e-12)


@pytest.mark.parametrize(
    "campaign", [CAMPAIGN, p.Campaign(0.0, 25.0, 0.5, 0.2), p.Campaign(8.0, 0.0, 0.1, 0.05)]
)
@pytest.mark.parametrize("individual", [False, True])
def test_the_closed_form_is_the_integral(later, campaign, individual):
    gone, score, value = later
    value = value if individual else np.full(300, value.mean())
    exact = p.expected_maximum_profit(gone, score, value, campaign)
    assert exact == pytest.approx(by_integration(gone, score, value, campaign), rel=1e-5, abs=1e-9)


def test_nobody_is_contacted_where_it_costs_more_than_it_brings(later):
    gone, score, value = later
    assert p.expected_maximum_profit(gone, score, value, p.Campaign(1e6, 0.0)) == 0.0


def test_the_same_auc_can_earn_different_money():
    """Two rankings that put as many pairs right; one has the customers worth keeping at its top."""
    gone, value = np.array([1.0, 1.0, 0.0, 0.0]), np.array([10.0, 500.0, 50.0, 50.0])
    first, second = np.array([4, 1, 3, 2]), np.array([1, 4, 3, 2])
    earned = [p.expected_maximum_profit(gone, score, value, CAMPAIGN) for score in (first, second)]
    assert earned[1] > earned[0]
    same = [p.expected_maximum_profit(gone, score, 200.0, CAMPAIGN) for score in (first, second)]
    assert same[0] == same[1]


def test_gain_and_cutoff_by_hand():
    gain = p.expected_gain(np.array([0.5]), np.array([200.0]), CAMPAIGN)
    assert gain[0] == pytest.approx(0.5 * (0.3 * 190 - 1) + 0.5 * (-10 - 1))
    limit = p.best_cutoff(200.0, CAMPAIGN)
    assert p.expected_gain(np.array([limit]), np.array([200.0]), CAMPAIGN)[0] == pytest.approx(0, abs=1e-12)
    assert p.best_cutoff(0.0, CAMPAIGN) == 1.0


def test_the_profit_curve_by_hand(later):
    gone, _, value = later
    score = np.random.default_rng(0).random(300)
    curve = p.profit_curve(gone, score, value, CAMPAIGN, points=30)
    order = sorted(range(300), key=lambda i: -score[i])
    for row in curve.itertuples():
        profit = 0.0
        for i in order[: round(row.share * 300)]:
            profit += (0.3 * (value[i] - 10) if gone[i] else -10) - 1
        assert row.profit == pytest.approx(profit, abs=1e-9)


def test_draws_of_everybody_once_are_the_estimate(later):
    gone, score, value = later
    drawn = p.profit_bootstrap(gone, {"m": score, "worse": -score}, value, CAMPAIGN, 1, draws=50)
    values = {"empc": np.full(300, value.mean()), "empc_value": value}
    once = p._profit_evaluator(gone, {"m": score}, values, CAMPAIGN)(np.ones(300))
    for metric in values:
        assert once["m", metric] == pytest.approx(drawn.estimates["m", metric], rel=0.01)
        low, high = drawn.interval("m", metric)
        assert low < drawn.estimates["m", metric] < high
    assert drawn.difference("m", "worse", "empc")["low"] > 0


def test_value_if_kept_averages_back_to_the_prediction():
    predicted, churn = np.array([10.0, 40.0, 3.0]), np.array([0.2, 0.9, 0.5])
    np.testing.assert_allclose((1 - churn) * p.value_if_kept(predicted, churn), predicted)
    assert p.value_if_kept(predicted, churn, 0.25)[0] == pytest.approx(3.125)
