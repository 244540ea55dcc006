"""BG/BB and sBG against the papers, differences and simulation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import BetaGeoBetaBinomModel, ShiftedBetaGeoModel
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
