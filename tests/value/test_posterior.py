"""The posterior: near the normal approximation where data are many, proper where they say nothing."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from clvseg.errors import ClvsegError, DataError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ValueModel,
    posterior,
    sample_posterior,
)
from clvseg.value.posterior import resample_posterior

pytest.importorskip("emcee")


@pytest.fixture(scope="module")
def sampled(cdnow):
    days = cdnow.assign(recency=(cdnow["recency"] * 7).round(), T=(cdnow["T"] * 7).round())
    model = ModifiedBetaGeoModel().fit(days)
    return days, model, sample_posterior(model, days, seed=3)


@pytest.mark.slow
def test_many_customers_make_it_the_normal_approximation(sampled):
    """CDNOW's 2,357 customers outweigh the prior: medians at the estimate, spreads of the Hessian."""
    _, model, found = sampled
    assert found.converged
    assert found.r_hat.max() < 1.02
    assert 0.2 < found.acceptance < 0.8
    assert found.effective > 200
    logs, spread = np.log(found.draws), np.sqrt(np.diag(model.covariance_))
    estimate = np.log(list(model.params_.values()))
    assert (np.abs(np.median(logs, axis=0) - estimate) < 0.35 * spread).all()
    np.testing.assert_allclose(logs.std(axis=0), spread, rtol=0.25)
    table = found.intervals(0.95)
    assert table.index.tolist() == ["r", "alpha", "a", "b"]
    assert ((table["low"] < np.exp(estimate)) & (table["high"] > np.exp(estimate))).all()
    with pytest.raises(DataError, match="between 0 and 1"):
        found.intervals(95)


@pytest.mark.slow
def test_outcomes_under_the_posterior(sampled):
    """Its draws stand in for the covariance, and give nearly the same total."""
    days, _, found = sampled
    value = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(days, days)
    by_hessian = value.outcome_intervals(days, days, 273, draws=300, seed=1).total
    value.purchases_.parameter_draws_ = found.draws
    by_posterior = value.outcome_intervals(days, days, 273, draws=300, seed=1).total
    np.testing.assert_allclose(by_posterior, by_hessian, rtol=0.06)


def test_the_prior_is_what_is_left_without_data():
    """With one customer the posterior is close to the prior: standard deviation 3 in each coordinate."""
    one = pd.DataFrame({"frequency": [2], "monetary_value": [10.0]})
    model = GammaGammaModel().fit(one)
    assert model.covariance_ is None
    found = sample_posterior(model, one, seed=1, most=1_000)
    assert np.isfinite(found.draws).all()
    logs = np.log(found.draws[:, :2])
    assert ((logs.std(axis=0) > 1.0) & (logs.std(axis=0) < 3.3)).all()


def test_no_dropout_gives_proper_intervals(rng):
    """Where the fit is at a bound and has no covariance, the posterior still knows how unsure it is."""
    T = rng.uniform(50, 400, 300)
    x = rng.poisson(rng.gamma(1.0, 1 / 40, 300) * T)
    last = np.where(x > 0, T * rng.uniform(size=300) ** (1 / np.maximum(x, 1)), 0.0)
    summary = pd.DataFrame({"frequency": x, "recency": last, "T": T})
    model = BetaGeoModel().fit(summary)
    assert model.covariance_ is None
    found = sample_posterior(model, summary, seed=2, most=1_000)
    resampled = resample_posterior(model.target(summary), 1_000, np.random.default_rng(2))
    for drawn, again in zip(np.log(found.draws).T, np.log(resampled).T, strict=True):
        assert np.median(again) == pytest.approx(np.median(drawn), abs=0.4 * drawn.std())
        assert again.std() == pytest.approx(drawn.std(), rel=0.35)
    rate = found.draws[:, 0] / found.draws[:, 1]
    assert np.quantile(rate, 0.01) < 1 / 40 < np.quantile(rate, 0.99)
    model.parameter_draws_ = found.draws
    alive = [
        BetaGeoModel.from_dict(model.to_dict() | {"params": dict(zip(model.params_, row, strict=True))})
        .probability_alive(summary).mean()
        for row in found.draws[::4000]
    ]  # fmt: skip
    assert np.std(alive) > 0


def test_same_seed_same_draws():
    spend = pd.DataFrame({"frequency": [2, 3, 1] * 40, "monetary_value": np.linspace(5, 50, 120)})
    model = GammaGammaModel().fit(spend)
    one, same, other = (sample_posterior(model, spend, seed=seed, most=200) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.draws, same.draws)
    assert not np.array_equal(one.draws, other.draws)
    assert not one.converged


def test_r_hat_tells_chains_that_disagree(rng):
    alike = [rng.normal(size=(400, 8, 2)) for _ in range(2)]
    assert posterior.split_r_hat(alike).max() < 1.01
    apart = [alike[0], alike[1] + np.array([1.0, 0.0])]
    found = posterior.split_r_hat(apart)
    assert found[0] > 1.1
    assert found[1] < 1.01


def test_without_emcee_it_says_how_to_get_it(monkeypatch):
    spend = pd.DataFrame({"frequency": [2, 3], "monetary_value": [5.0, 9.0]})
    model = GammaGammaModel().fit(spend)
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(ClvsegError, match="needs the package emcee") as error:
        sample_posterior(model, spend, seed=1)
    assert "clvseg[bayes]" in str(error.value)
