"""Parameter draws, bootstrap and simulated outcomes: right on average, right in spread, reproducible."""

from __future__ import annotations

import json
import tracemalloc
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from clvseg.errors import DataError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    ValueModel,
)
from clvseg.value.uncertainty import draw_parameters

KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel, partial(ModifiedBetaGeoCNBDModel, k=2)]


@pytest.mark.parametrize("kind", KINDS)
def test_hessian_and_bootstrap_agree(kind, cdnow_days, rng):
    """Two estimates of the same spread of the log-parameters, within sampling error of 60 resamples."""
    model = kind().fit(cdnow_days)
    spread = np.sqrt(np.diag(model.covariance_))
    drawn = np.log(draw_parameters(model.params_, model.covariance_, 4000, rng))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.06)
    np.testing.assert_allclose(
        drawn.mean(axis=0), np.log(list(model.params_.values())), atol=4 * spread.max() / 60
    )
    resampled = np.log(model.bootstrap_parameters(cdnow_days, 60, rng))
    assert (np.abs(np.log(resampled.std(axis=0) / spread)) < 0.6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_purchases_have_the_right_distribution(kind, cdnow_days, rng):
    """At fixed parameters, means and shares of the draws are the closed forms."""
    model = kind().fit(cdnow_days)
    few = cdnow_days.sort_values("frequency").iloc[[0, 1000, 1800, 2200, 2350]]
    many = pd.concat([few] * 4000)
    fixed = np.tile(list(model.params_.values()), (5, 1))
    drawn = model.simulate_purchases(many, 273, fixed, rng).reshape(-1, len(few))
    error = drawn.std(axis=0) / np.sqrt(len(drawn)) + 1e-9
    assert (np.abs(drawn.mean(axis=0) - model.expected_purchases(few, 273)) < 4.5 * error).all()
    counts = model.probability_counts(few, 273, 3)
    for k in range(4):
        np.testing.assert_allclose((drawn == k).mean(axis=0), counts[:, k], atol=0.016)


@pytest.mark.parametrize("kind", KINDS)
def test_periods_are_windows_of_one_future(kind, cdnow_days, rng):
    """Means of each period are the closed forms of its window; their sum is distributed as the whole."""
    model = kind().fit(cdnow_days)
    few = cdnow_days.sort_values("frequency").iloc[[0, 1800, 2350]]
    many = pd.concat([few] * 8000)
    ends = np.array([30.0, 37.0, 273.0])
    fixed = np.array([list(model.params_.values())])
    (drawn,) = model.simulate_periods(many, ends, fixed, rng)
    drawn = drawn.reshape(len(ends), -1, len(few))
    error = drawn.std(axis=1) / np.sqrt(drawn.shape[1]) + 1e-9
    for period, (begin, end) in enumerate(pairwise([0.0, *ends])):
        expected = model.expected_purchases(few, end - begin, after=begin)
        assert (np.abs(drawn[period].mean(axis=0) - expected) < 4.5 * error[period]).all()
    whole = drawn.sum(axis=0)
    counts = model.probability_counts(few, 273, 3)
    for k in range(4):
        np.testing.assert_allclose((whole == k).mean(axis=0), counts[:, k], atol=0.024)
    with pytest.raises(DataError, match="must ascend"):
        list(model.simulate_periods(few, ends[::-1], fixed, rng))


def test_simulated_totals_of_weeks(cdnow_days):
    """Weekly means add up to the expectation; a customer's level of spend is one over the weeks."""
    model = ValueModel(ParetoNBDModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    ends = 7.0 * np.arange(1, 14)
    weeks = model.simulate_totals(cdnow_days, cdnow_days, ends, draws=200, seed=5)
    again = model.simulate_totals(cdnow_days, cdnow_days, ends, draws=200, seed=5)
    np.testing.assert_array_equal(weeks.value, again.value)
    expected = model.expected_value(cdnow_days, cdnow_days, 91).sum()
    assert weeks.value.sum(axis=1).mean() == pytest.approx(expected, rel=0.03)
    whole = model.simulate_outcomes(cdnow_days, cdnow_days, 91, draws=200, seed=6).value.sum(axis=1)
    assert weeks.value.sum(axis=1).std() == pytest.approx(whole.std(), rel=0.2)
    table = weeks.intervals((0.5, 0.95))
    assert list(table.index) == list(ends)
    columns = ["low_95", "low_50", "high_50", "high_95"]
    assert (np.diff(table[columns].to_numpy(), axis=1) > 0).all()
    assert weeks.with_parameters


def test_simulated_value(cdnow_days):
    """Mean near the expectation, total interval around it, same seed same outcomes."""
    model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    outcomes = model.simulate_outcomes(cdnow_days, cdnow_days, 273, draws=300, seed=5)
    again = model.simulate_outcomes(cdnow_days, cdnow_days, 273, draws=300, seed=5)
    np.testing.assert_array_equal(outcomes.value, again.value)
    assert outcomes.with_parameters
    total = outcomes.totals((0.5, 0.8, 0.95)).loc["all"]
    expected = model.expected_value(cdnow_days, cdnow_days, 273).sum()
    assert total["mean"] == pytest.approx(expected, rel=0.03)
    ends = ["low_95", "low_80", "low_50", "high_50", "high_80", "high_95"]
    assert (np.diff(total[ends]) > 0).all()
    assert total["low_50"] < expected < total["high_50"] or abs(expected / total["mean"] - 1) < 0.03
    each = outcomes.intervals((0.8,))
    assert each.index.equals(cdnow_days.index)
    assert (each["low_80"] <= each["high_80"]).all()
    groups = pd.Series(np.where(cdnow_days["frequency"] > 0, "repeat", "once"), cdnow_days.index)
    parts = outcomes.totals((0.8,), groups)
    assert parts["mean"].sum() == pytest.approx(total["mean"])
    with pytest.raises(DataError, match="between 0 and 1"):
        outcomes.intervals((80,))
    with pytest.raises(DataError, match="same customers"):
        outcomes.totals((0.8,), groups.iloc[::-1])


def test_a_fit_at_a_bound_says_that_its_parameters_are_held(rng):
    T = rng.uniform(50, 400, 500)
    x = rng.poisson(rng.gamma(1.0, 1 / 40, 500) * T)
    last = np.where(x > 0, T * rng.uniform(size=500) ** (1 / np.maximum(x, 1)), 0.0)
    summary = pd.DataFrame({"frequency": x, "recency": last, "T": T})
    spend = pd.DataFrame({"frequency": x + 1, "monetary_value": rng.gamma(6, 5, 500)})
    model = ValueModel(BetaGeoModel(), GammaGammaModel()).fit(summary, spend)
    outcomes = model.simulate_outcomes(summary, spend, 90, draws=20, seed=1)
    assert not outcomes.with_parameters
    assert np.isfinite(outcomes.value).all()


def test_spend_bootstrap_agrees_with_the_hessian(cdnow, rng):
    model = GammaGammaModel().fit(cdnow)
    spread = np.sqrt(np.diag(model.covariance_))
    resampled = np.log(model.bootstrap_parameters(cdnow, 80, rng))
    # Gamma-Gamma is not quite right for CDNOW, so the two may differ by half.
    assert (np.abs(np.log(resampled.std(axis=0) / spread)) < 0.8).all()
    centre = np.abs(resampled.mean(axis=0) - np.log(list(model.params_.values())))
    assert (centre < 4 * resampled.std(axis=0) / np.sqrt(80)).all()


def test_intervals_of_customers_groups_and_total(cdnow_days, monkeypatch):
    """Customers some after others give what all at once give: in distribution, and in one piece exactly."""
    model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    groups = pd.Series(np.where(cdnow_days["frequency"] > 0, "repeat", "once"), cdnow_days.index)
    ask = partial(model.outcome_intervals, cdnow_days, cdnow_days, 273, draws=400, seed=5, groups=groups)
    whole = ask()
    raw = model.simulate_outcomes(cdnow_days, cdnow_days, 273, draws=400, seed=5)
    levels = (0.5, 0.8, 0.95)
    pd.testing.assert_frame_equal(whole.customers, raw.intervals(levels))
    pd.testing.assert_frame_equal(whole.groups, raw.totals(levels, groups))
    np.testing.assert_allclose(whole.total, raw.totals(levels).loc["all"])
    assert whole.with_parameters
    monkeypatch.setattr("clvseg.value.value_model._AT_ONCE", 400 * 100)
    parts = ask()
    assert parts.customers.index.equals(cdnow_days.index)
    np.testing.assert_allclose(parts.total, whole.total, rtol=0.03)
    np.testing.assert_allclose(parts.groups, whole.groups, rtol=0.06)
    width = parts.total["high_95"] - parts.total["low_95"]
    # The parameters are common to all: chance alone would average out to less.
    fixed = model.outcome_intervals(cdnow_days, cdnow_days, 273, draws=400, seed=6)
    monkeypatch.setattr(model.purchases_, "covariance_", None)
    monkeypatch.setattr(model.spend_, "covariance_", None)
    alone = model.outcome_intervals(cdnow_days, cdnow_days, 273, draws=400, seed=6)
    assert not alone.with_parameters
    assert alone.total["high_95"] - alone.total["low_95"] < min(
        width, fixed.total["high_95"] - fixed.total["low_95"]
    )
    with pytest.raises(DataError, match="same customers"):
        model.outcome_intervals(cdnow_days, cdnow_days, 273, draws=4, seed=1, groups=groups.iloc[::-1])


def test_memory_does_not_grow_with_customers_times_draws(cdnow_days, monkeypatch):
    monkeypatch.setattr("clvseg.value.value_model._AT_ONCE", 200_000)
    model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    many = pd.concat([cdnow_days] * 20, ignore_index=True)
    tracemalloc.start()
    model.outcome_intervals(many, many, 273, draws=100, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All draws of all customers would take 16 bytes each.
    assert peak < 0.5 * 16 * 100 * len(many)


def test_draws_take_the_place_of_the_covariance(cdnow_days, rng):
    """Of the bootstrap or a posterior; saved with the model, forgotten by the next fit."""
    model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    draws = model.purchases_.bootstrap_parameters(cdnow_days, 5, rng)
    model.purchases_.parameter_draws_ = draws
    copy = ValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    for one in (model, copy):
        picked = one.purchases_.draw_parameters(200, rng)
        assert {tuple(row) for row in picked} == {tuple(row) for row in draws}
    one, other = (
        m.simulate_outcomes(cdnow_days, cdnow_days, 90, draws=3, seed=2).value for m in (model, copy)
    )
    np.testing.assert_array_equal(one, other)
    model.purchases_.covariance_ = None
    assert model.simulate_outcomes(cdnow_days, cdnow_days, 90, draws=3, seed=2).with_parameters
    assert model.purchases_.fit(cdnow_days).parameter_draws_ is None
