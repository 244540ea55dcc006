"""BG/BB and sBG against the papers, differences and simulation."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import BetaGeoBetaBinomModel, ShiftedBetaGeoModel
from clvseg.value.bgbb import NEW_MEMBER
from clvseg.value.equations import discrete


@pytest.fixture(scope="module")
def donations():
    """11,104 members over 6 years, Fader, Hardie & Shang (2010)."""
    folder = Path(importlib.util.find_spec("lifetimes").origin).parent / "datasets"
    table = pd.read_csv(folder / "donations.csv")
    return table.loc[table.index.repeat(table["weights"])].reset_index(drop=True)


def test_donations(donations):
    """FHS 2010, table 3 and section 4."""
    model = BetaGeoBetaBinomModel().fit(donations)
    np.testing.assert_allclose(list(model.params_.values()), [1.2035, 0.7497, 0.6568, 2.7838], atol=2e-3)
    assert model.fit_report_.status == "converged"
    assert model.fit_report_.log_likelihood == pytest.approx(-33225.58, abs=0.01)
    assert model.score(donations) * len(donations) == pytest.approx(model.fit_report_.log_likelihood)
    alpha, beta, gamma, delta = model.params_.values()
    assert alpha / (alpha + beta) == pytest.approx(0.6162, abs=1e-4)
    assert gamma / (gamma + delta) == pytest.approx(0.1909, abs=1e-4)
    assert model.expected_purchases_new(10) == pytest.approx(3.179805, abs=2e-4)
    rows = pd.DataFrame({"frequency": [0, 4], "recency": [0, 5], "periods": [6, 6]})
    np.testing.assert_allclose(model.expected_purchases(rows, 10), [0.1302169, 3.627858], rtol=3e-4)


def test_annual_donations(donations):
    """FHS 2010: expected repeat donations of all members in each of eleven years."""
    model = BetaGeoBetaBinomModel().fit(donations)
    total = [len(donations) * model.expected_purchases_new(year) for year in range(12)]
    published = [5535.833, 4717.059, 4147.621, 3724.665, 3395.888, 3131.647, 2913.778, 2730.482, 2573.731]
    published += [2437.854, 2318.727]
    np.testing.assert_allclose(np.diff(total), published, rtol=1e-4)


@pytest.mark.parametrize(
    ("survivors", "params", "log_likelihood", "later"),
    [
        (
            [1000, 869, 743, 653, 593, 551, 517, 491],
            (0.668, 3.806),
            -1611.158,
            [46.0, 43.6, 41.4, 39.5, 37.8],
        ),
        (
            [1000, 631, 468, 382, 326, 289, 262, 241],
            (0.704, 1.182),
            -1680.265,
            [22.0, 20.4, 19.1, 18.0, 17.0],
        ),
    ],
)
def test_survivors(survivors, params, log_likelihood, later):
    """Fader & Hardie (2007), tables 2 and 3: High End and Regular."""
    model = ShiftedBetaGeoModel().fit_survivors(survivors)
    np.testing.assert_allclose(list(model.params_.values()), params, atol=1e-3)
    assert model.fit_report_.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)
    np.testing.assert_allclose(100 * model.survival(range(8, 13)), later, atol=0.06)
    retention = model.retention(range(1, 13))
    assert (np.diff(retention) > 0).all()
    np.testing.assert_allclose(np.cumprod(retention), model.survival(range(1, 13)))
    renewals = model.expected_renewals(np.array([0, 3]), 2)
    survival = model.survival(range(6))
    by_hand = [survival[1] + survival[2], (survival[4] + survival[5]) / survival[3]]
    np.testing.assert_allclose(renewals, by_hand)


def test_customers_and_survivors_are_the_same_data():
    lost = [131, 126, 90]
    frame = pd.DataFrame(
        {
            "tenure": np.concatenate([np.repeat([1, 2, 3], lost), np.full(653, 3)]),
            "churned": np.concatenate([np.ones(347), np.zeros(653)]),
        }
    )
    one = ShiftedBetaGeoModel().fit(frame)
    other = ShiftedBetaGeoModel().fit_survivors([1000, 869, 743, 653])
    assert one.params_ == other.params_


def test_derivatives():
    rng = np.random.default_rng(8)
    n = rng.integers(1, 9, 40).astype(float)
    t_x = np.floor(rng.uniform(0, n + 1))
    x = np.where(t_x > 0, 1 + np.floor(rng.uniform(0, t_x)), 0)
    weight = rng.integers(1, 9, 40).astype(float)
    lost, kept = rng.integers(1, 50, 6).astype(float), rng.integers(1, 50, 6).astype(float)
    for point, function in (
        (np.array([1.2, 0.7, 0.6, 2.8]), lambda p: discrete.bgbb_log_likelihood(p, x, t_x, n, weight)),
        (np.array([0.7, 3.8]), lambda p: discrete.sbg_log_likelihood(p, lost, kept)),
    ):
        found = function(point)
        for i in range(len(point)):
            step = np.zeros(len(point))
            step[i] = 1e-5
            up, down = function(point + step), function(point - step)
            assert found[1][i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-6, abs=1e-9)
            np.testing.assert_allclose(found[2][i], (up[1] - down[1]) / 2e-5, rtol=1e-5, atol=1e-8)


def test_bgbb_predictions_against_simulated_members():
    """Members who happen to have a history, followed onwards."""
    rng = np.random.default_rng(9)
    m, n, ahead = 400_000, 5, 4
    p, theta = rng.beta(1.2, 0.8, m), rng.beta(0.7, 2.8, m)
    alive, bought, still = np.ones(m, bool), np.zeros((m, n + ahead), bool), None
    for period in range(n + ahead):
        alive &= rng.uniform(size=m) > theta
        bought[:, period] = alive & (rng.uniform(size=m) < p)
        if period == n - 1:
            still = alive.copy()
    x, t_x = bought[:, :n].sum(axis=1), (bought[:, :n] * np.arange(1, n + 1)).max(axis=1)
    model = BetaGeoBetaBinomModel()
    model.params_ = {"alpha": 1.2, "beta": 0.8, "gamma": 0.7, "delta": 2.8}
    for history in ((0, 0), (1, 2), (3, 4), (5, 5)):
        pick = (x == history[0]) & (t_x == history[1])
        row = pd.DataFrame({"frequency": [history[0]], "recency": [history[1]], "periods": [n]})
        later = bought[pick, n:].sum(axis=1)
        error = 4.5 / np.sqrt(pick.sum())
        assert model.probability_alive(row)[0] == pytest.approx(still[pick].mean(), abs=error * 0.5)
        assert model.expected_purchases(row, ahead)[0] == pytest.approx(later.mean(), abs=error * later.std())


def test_contract_of_the_discrete_models(donations):
    for model, bad, message in (
        (BetaGeoBetaBinomModel(), pd.DataFrame({"frequency": [3], "recency": [2], "periods": [6]}), "whole"),
        (ShiftedBetaGeoModel(), pd.DataFrame({"tenure": [0], "churned": [1]}), "1 or more"),
    ):
        assert clone(model).get_params() == {}
        with pytest.raises(DataError, match=message):
            model.fit(bad)
        with pytest.raises(MissingColumnsError):
            model.fit(bad.iloc[:, :1])
    with pytest.raises(DataError, match="never rise"):
        ShiftedBetaGeoModel().fit_survivors([10, 12])


@pytest.fixture(scope="module")
def members():
    """600,000 members over 5 periods and 6 more: purchases, and whether alive, period by period."""
    rng = np.random.default_rng(11)
    m, n, ahead = 600_000, 5, 6
    p, theta = rng.beta(1.2, 0.8, m), rng.beta(0.7, 2.8, m)
    life = rng.geometric(np.maximum(theta, 1e-12)) - 1
    alive = life[:, None] >= np.arange(1, n + ahead + 1)
    return alive, alive & (rng.uniform(size=alive.shape) < p[:, None])


def fixed_bgbb():
    model = BetaGeoBetaBinomModel()
    model.params_ = {"alpha": 1.2, "beta": 0.8, "gamma": 0.7, "delta": 2.8}
    return model


@pytest.mark.parametrize("history", [(0, 0), (1, 3), (3, 4), (5, 5)])
def test_bgbb_every_prediction_against_simulated_members(members, history):
    alive, bought = members
    n, ahead = 5, 6
    x, t_x = bought[:, :n].sum(axis=1), (bought[:, :n] * np.arange(1, n + 1)).max(axis=1)
    pick = (x == history[0]) & (t_x == history[1])
    alive, later = alive[pick, n:], bought[pick, n:]
    row, model = (
        pd.DataFrame({"frequency": [x[pick][0]], "recency": [t_x[pick][0]], "periods": [n]}),
        fixed_bgbb(),
    )
    error = 4.5 * 0.5 / np.sqrt(pick.sum())
    total = later.sum(axis=1)
    assert model.probability_alive(row, ahead)[0] == pytest.approx(alive[:, -1].mean(), abs=error)
    assert model.probability_active(row, ahead)[0] == pytest.approx((total > 0).mean(), abs=error)
    counts = model.probability_counts(row, ahead, ahead)[0]
    np.testing.assert_allclose(counts, np.bincount(total, minlength=ahead + 1) / pick.sum(), atol=error)
    assert counts.sum() == pytest.approx(1)
    assert counts @ np.arange(ahead + 1) == pytest.approx(model.expected_purchases(row, ahead)[0])
    window = model.expected_purchases(row, 2, after=3)[0]
    assert window == pytest.approx(later[:, 3:5].sum(axis=1).mean(), abs=3 * error)
    discounted = model.discounted_purchases(row, ahead, 0.1)[0]
    assert discounted == pytest.approx((later @ 1.1 ** -np.arange(1.0, ahead + 1)).mean(), abs=6 * error)


def test_bgbb_waits_against_simulation():
    """Members alive now with p and theta a posteriori, followed until the next purchase or the end."""
    rng, model, m = np.random.default_rng(12), fixed_bgbb(), 400_000
    x, n = 2, 6
    p, theta = rng.beta(1.2 + x, 0.8 + n - x, m), np.maximum(rng.beta(0.7, 2.8 + n, m), 1e-12)
    wait, life = rng.geometric(np.maximum(p, 1e-12)), rng.geometric(theta) - 1
    wait = wait[wait <= life]
    row = pd.DataFrame({"frequency": [x], "recency": [n], "periods": [n]})
    median = model.periods_to_next_purchase(row)[0]
    assert (wait < median).mean() < 0.5 <= (wait <= median).mean()
    assert model.periods_late(row)[0] == -median
    late = row.assign(recency=n - 3)
    then = model.periods_to_next_purchase(late.assign(periods=n - 3))[0]
    assert model.periods_late(late)[0] == 3 - then


def test_bgbb_residual_value_without_end_and_the_new(donations):
    """DERT is the limit of long horizons; a row of zeros is a new member; refused where it diverges."""
    model, row = fixed_bgbb(), pd.DataFrame({"frequency": [0, 4], "recency": [0, 5], "periods": [6, 6]})
    forever = model.discounted_purchases(row, np.inf, 0.1)
    by_hand = sum(1.1**-m * model.expected_purchases(row, 1, after=m - 1) for m in range(1, 400))
    np.testing.assert_allclose(forever, by_hand, rtol=1e-9)
    assert model.probability_counts(NEW_MEMBER, 10, 10)[0] @ np.arange(11) == pytest.approx(
        model.expected_purchases_new(10)
    )
    with pytest.raises(DataError, match="infinite horizon needs"):
        model.discounted_purchases(row, np.inf, 0.0)
    with pytest.raises(DataError, match="whole number"):
        model.expected_purchases(row, 1.5)


def test_contracts_followed_onwards():
    """Renewals of simulated customers who have completed two periods: counts, windows and discounting."""
    rng, model = np.random.default_rng(13), ShiftedBetaGeoModel()
    model.params_ = {"alpha": 1.5, "beta": 4.0}
    life = rng.geometric(rng.beta(1.5, 4.0, 500_000)) - 1
    left = life[life >= 2] - 2
    error = 4.5 * 0.5 / np.sqrt(len(left))
    assert model.probability_alive([2], 3)[0] == pytest.approx((left >= 3).mean(), abs=error)
    counts = model.probability_counts([2], 4, 5)[0]
    np.testing.assert_allclose(counts, np.bincount(np.minimum(left, 4), minlength=6) / len(left), atol=error)
    window = (np.minimum(left, 5) - np.minimum(left, 2)).mean()
    assert model.expected_renewals([2], 3, after=2)[0] == pytest.approx(window, abs=3 * error)
    worth = sum(1.2**-m * (left >= m).mean() for m in range(1, 100))
    assert model.discounted_renewals([2], np.inf, 0.2)[0] == pytest.approx(worth, abs=10 * error)


def test_contracts_without_end():
    """Fader & Hardie (2010): DERL through 2F1; the undiscounted rest is finite where alpha is above 1."""
    model = ShiftedBetaGeoModel()
    model.params_ = {"alpha": 0.668, "beta": 3.806}
    for t, rate in ((0, 0.1), (3, 0.02), (7, 0.5)):
        alpha, beta, d = 0.668, 3.806 + t, 1 / (1 + rate)
        oracle = beta / (alpha + beta) * d * mp.hyp2f1(1, beta + 1, alpha + beta + 1, d)
        assert model.discounted_renewals([t], np.inf, rate)[0] == pytest.approx(float(oracle), rel=1e-10)
    with pytest.raises(DataError, match="is infinite, as alpha"):
        model.expected_renewals([0], np.inf)
    model.params_ = {"alpha": 3.0, "beta": 2.0}
    assert model.expected_renewals([1], np.inf)[0] == pytest.approx(
        model.expected_renewals([1], 20_000)[0], rel=1e-6
    )
    assert model.expected_renewals([1], np.inf, after=3)[0] == pytest.approx(
        model.expected_renewals([1], np.inf)[0] - model.expected_renewals([1], 3)[0]
    )


def test_discrete_models_as_dictionaries_and_resampled(donations):
    """The same model back from JSON; the bootstrap's spread agrees with the Hessian's."""
    rng = np.random.default_rng(14)
    giving = BetaGeoBetaBinomModel().fit(donations)
    contract = ShiftedBetaGeoModel().fit_survivors([1000, 869, 743, 653, 593, 551, 517, 491])
    for model, again in (
        (giving, partial(giving.bootstrap_parameters, donations)),
        (contract, contract.bootstrap_parameters),
    ):
        copy = type(model).from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
        assert copy.params_ == model.params_
        assert copy.fit_report_ == model.fit_report_
        np.testing.assert_array_equal(copy.covariance_, model.covariance_)
        spread = np.log(again(60, rng)).std(axis=0)
        assert (np.abs(np.log(spread / np.sqrt(np.diag(model.covariance_)))) < 0.6).all()
    np.testing.assert_array_equal(copy.bootstrap_parameters(2, rng).shape, (2, 2))
