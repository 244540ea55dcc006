"""Spend that depends on the number of orders: derivatives, likelihood, recovery, prediction and outcomes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvseg.errors import DataError
from clvseg.value import GammaGammaModel
from clvseg.value.equations import gamma_gamma
from clvseg.value.lifetimes_bridge import to_lifetimes
from clvseg.value.spend import spend_correlation

TRUTH = {"p": 6.0, "q": 4.0, "v": 15.0, "doubling": 1.4}


def buyers(rng, n, doubling):
    orders = 1 + rng.geometric(0.3, n)
    nu = rng.gamma(TRUTH["q"], 1 / TRUTH["v"], n)
    level = orders ** np.log2(doubling)
    mean = level * rng.gamma(TRUTH["p"] * orders) / (nu * orders)
    return pd.DataFrame({"frequency": orders, "monetary_value": mean}), level * TRUTH["p"] / nu


def test_derivatives(rng):
    x = 1 + rng.poisson(2, 300).astype(float)
    spend = gamma_gamma.count_spend(x, rng.gamma(3, 1, 300) * x**0.4)
    for point in (np.array([2.0, 3.0, 1.5, 1.3]), np.array([0.4, 0.7, 0.2, 0.6])):
        found = gamma_gamma.log_likelihood_by_frequency(point, spend)
        for i in range(4):
            step = np.zeros(4)
            step[i] = 1e-5 * point[i]
            up, down = (gamma_gamma.log_likelihood_by_frequency(point + d, spend) for d in (step, -step))
            assert found[1][i] == pytest.approx((up[0] - down[0]) / (2 * step[i]), rel=1e-6, abs=1e-8)
            np.testing.assert_allclose(found[2][i], (up[1] - down[1]) / (2 * step[i]), rtol=1e-5, atol=1e-7)


def test_likelihood_and_posterior_by_integration():
    """The mean of x orders is x^g times the mean of x Gamma(p, nu) orders, nu ~ Gamma(q, v)."""
    p, q, v, doubling = TRUTH.values()
    prior = stats.gamma(q, scale=1 / v)
    for x, m in ((1, 30.0), (4, 12.0)):
        level = x ** np.log2(doubling)

        def density(nu, x=x, m=m, level=level):
            return stats.gamma.pdf(m, p * x, scale=level / (x * nu))

        whole = prior.expect(density)
        one = gamma_gamma.count_spend(np.array([float(x)]), np.array([m]), scale=1.0)
        found = gamma_gamma.log_likelihood_by_frequency(np.array([p, q, v, doubling]), one)[0]
        assert found == pytest.approx(np.log(whole), rel=1e-7)
        model = GammaGammaModel()
        model.params_, model.by_frequency_, model.uses_median_ = TRUTH, True, False
        model.population_spend_, model.range_ = 30.0, (0.0, 1e9)
        oracle = prior.expect(lambda nu, level=level, density=density: level * p / nu * density(nu)) / whole
        frame = pd.DataFrame({"frequency": [x], "monetary_value": [m]})
        assert model.expected_spend(frame)[0] == pytest.approx(oracle, rel=1e-6)


@pytest.mark.parametrize("doubling", [1.4, 0.7])
def test_dependence_is_found_and_its_parameters_come_back(rng, doubling):
    frame, level = buyers(rng, 20_000, doubling)
    model = GammaGammaModel().fit(frame)
    assert model.by_frequency_
    assert model.fit_report_.status == "converged"
    for name, value in (TRUTH | {"doubling": doubling}).items():
        assert abs(model.params_[name] - value) < 4 * model.fit_report_.standard_errors[name], name
    many = (frame["frequency"] >= 6).to_numpy()
    error = model.expected_spend(frame) / level - 1
    assert abs(error[many].mean() - error[~many].mean()) < 0.05
    copy = GammaGammaModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(copy.expected_spend(frame), model.expected_spend(frame))
    assert copy.score(frame) == model.score(frame)
    with pytest.raises(DataError, match="depends on the number of orders"):
        to_lifetimes(model, frame)


def test_independent_spend_keeps_the_published_model(rng, cdnow):
    """Three parameters where the correlation is weak, as on CDNOW."""
    frame, _ = buyers(rng, 5_000, 1.0)
    for data in (frame, cdnow):
        assert list(GammaGammaModel().fit(data).params_) == ["p", "q", "v"]
    few = frame.iloc[:20].assign(frequency=np.arange(1, 21), monetary_value=np.arange(1.0, 21))
    assert spend_correlation(few["frequency"].to_numpy(), few["monetary_value"].to_numpy()) == 0
    assert not GammaGammaModel().fit(few).by_frequency_


def test_simulated_spend_has_the_right_mean(rng):
    frame, _ = buyers(rng, 3_000, 1.4)
    model = GammaGammaModel().fit(frame)
    some = pd.DataFrame({"frequency": [1, 8], "monetary_value": [20.0, 70.0]})
    draws = 40_000
    fixed = np.tile(list(model.params_.values()), (draws, 1))
    drawn = model.simulate_spend(some, np.ones((draws, 2), dtype=int), fixed, rng)
    error = 4.5 * drawn.std(axis=0) / np.sqrt(draws)
    assert (np.abs(drawn.mean(axis=0) - model.expected_spend(some)) < error).all()
