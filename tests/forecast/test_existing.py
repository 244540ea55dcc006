"""Expected revenue is the models'; chance is that of whole simulations; parts add up draw by draw."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import Settings, ValueSettings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.forecast.coming import Coming
from clvseg.forecast.errors import Normal, Spread, group_error, level_draws, parameter_draws
from clvseg.forecast.existing import expect, simulate
from clvseg.forecast.past import Past
from clvseg.forecast.periods import between
from clvseg.forecast.view import forecast_table
from clvseg.frames import FORECAST
from clvseg.learning import value_fitter
from clvseg.value import ValueModel
from clvseg.value.origins import ModelBase

DAYS = np.array([31.0, 59.0, 90.0, 120.0])
SURE = Spread(level=1e-9, measured_days=90, segment=0.0, cohort=0.0, season_seen=True)
CALM = Past((), 1e-9, 0.0, 52)


@pytest.fixture(scope="module")
def known():
    tx = Transactions.read(simulate_transactions(800, purchases="pareto_nbd", days=300, seed=5))
    people = customer_features(tx, tx.last_day)
    base = ModelBase.fit(people, value_fitter(ValueSettings()), 120, 120)
    rng = np.random.default_rng(1)
    groups = pd.DataFrame(
        {"cohort": rng.choice(["a", "b", "c"], 800), "segment": rng.choice(["x", "y"], 800)},
        index=people.index,
    )
    return base, people, groups


@pytest.fixture(scope="module")
def cells(known):
    base, people, groups = known
    return expect(base, people, np.full(len(people), 1.5), groups, DAYS, seed=1)


def test_cells_hold_what_the_models_expect(known, cells):
    base, people, groups = known
    amount, before = base.expected_spend(people), 0.0
    for place, end in enumerate(DAYS):
        one = base.value_model.expected_purchases(people, end - before, after=before) * amount * 1.5
        sums = pd.Series(one, index=people.index).groupby([groups["cohort"], groups["segment"]]).sum()
        np.testing.assert_allclose(cells.mean[:, place], sums.to_numpy(), rtol=1e-9)
        before = end
    assert cells.names["customers"].sum() == len(people)


def test_as_many_are_active_as_the_models_expect(known, cells):
    base, people, groups = known
    alone = pd.Series(base.value_model.probability_active(people, DAYS[0]), people.index)
    sums = alone.groupby([groups["cohort"], groups["segment"]]).sum()
    np.testing.assert_allclose(cells.active[:, 0], sums.to_numpy(), rtol=0.1)
    assert cells.active[:, 0].sum() == pytest.approx(sums.sum(), rel=0.03)
    assert (cells.active <= cells.names["customers"].to_numpy()[:, None]).all()


def test_chance_is_that_of_whole_simulations(known, cells):
    base, people, _ = known
    model = ValueModel.from_dict(base.value_model.to_dict())
    model.purchases_.covariance_ = model.spend_.covariance_ = None  # parameters are held
    totals = model.simulate_totals(people, base.spend_frame(people), DAYS, draws=600, seed=2)
    found = np.sqrt(np.diag(cells.covariance.sum(axis=0))) / 1.5
    np.testing.assert_allclose(found, totals.value.std(axis=0), rtol=0.2)
    whole = np.sqrt(cells.covariance.sum()) / 1.5
    assert whole == pytest.approx(totals.value.sum(axis=1).std(), rel=0.2)


def _simulated(base, people, cells, days, spread, past):
    rng = np.random.default_rng(1)
    return simulate(cells, parameter_draws(base, people, days, 1_000, rng), days, spread, past, rng)


def test_groups_add_up_to_the_total_draw_by_draw(known, cells):
    base, people, _ = known
    spread = Spread(0.1, 90, 0.1, 0.05, False)
    draws = _simulated(base, people, cells, DAYS, spread, Past((), 0.1, 0.3, 52))
    np.testing.assert_allclose(draws.value["cohort"].sum(axis=0), draws.value["segment"].sum(axis=0))
    np.testing.assert_allclose(draws.mean["cohort"].sum(axis=0), draws.mean["segment"].sum(axis=0))
    for kind in ("cohort", "segment"):
        np.testing.assert_allclose(draws.value[kind].mean(axis=1), draws.mean[kind])
    # The mean over log-normal levels lies above the median; the level grows after 90 days.
    sd = 0.1 * np.sqrt(np.maximum(DAYS / 90, 1))
    above = draws.mean["cohort"].sum(axis=0) / cells.mean.sum(axis=0)
    np.testing.assert_allclose(above, np.exp(sd**2 / 2), rtol=1e-3)


def test_levels_are_drawn_from_the_ways_of_being_right_or_off():
    parts = (Normal(0.8, 0.0, 0.01), Normal(0.2, -0.2, 0.05))
    mean, sd = -0.04, np.sqrt(0.8 * (0.01**2 + 0.04**2) + 0.2 * (0.05**2 + 0.16**2))
    spread = Spread(float(sd), 90, 0.0, 0.0, True, mean, parts)
    drawn = spread.draws(np.array([30.0, 90.0, 360.0]), 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=2e-4)
    np.testing.assert_allclose(drawn.std(axis=0), sd * np.array([1.0, 1.0, 2.0]), rtol=2e-3)
    # Narrow in the middle, as most of the mixture is; a normal distribution of this sd has 1.28 sd here.
    low, high = np.quantile(drawn[:, 0] + mean, [0.5, 0.9])
    assert high - low < 0.5 * 1.28 * sd
    assert (drawn[:, 0] + mean < -0.1).mean() == pytest.approx(0.2, abs=0.01)


def test_the_table_adds_up_and_intervals_are_nested(known, cells):
    base, people, _ = known
    spread = Spread(0.1, 90, 0.1, 0.05, False)
    draws = _simulated(base, people, cells, DAYS, spread, CALM)
    as_of = dt.date(2023, 12, 31)
    periods = between(dt.date(2024, 1, 1), dt.date(2024, 4, 29), "month")
    asked = {
        "forecast": {"tax": 0.25, "returns": 0.1},
        "value": {"margin": 0.5, "discount_rate": 0.2},
    }
    none = Coming(np.zeros(4), np.zeros(4), np.zeros((1_000, 4)))
    table = forecast_table(draws, cells, none, periods, as_of, Settings.make(asked))
    assert list(table.columns) == FORECAST.names
    for kind in ("cohort", "segment"):
        mine = table[table["group"] == kind].groupby("period", sort=False)
        for name in ("customers", "revenue", "net_revenue", "margin", "present_value"):
            np.testing.assert_allclose(mine[name].sum(), table[table["group"] == "all"][name])
    each = table[table["period"] != "total"].groupby(["group", "name"], sort=False)
    whole = table[table["period"] == "total"]
    np.testing.assert_allclose(each["present_value"].sum(), whole["present_value"])
    edges = table[["low_95", "low_80", "low_50", "high_50", "high_80", "high_95"]].to_numpy()
    assert (np.diff(edges, axis=1) >= 0).all()
    np.testing.assert_allclose(table["net_revenue"], table["revenue"] * 0.9 / 1.25)
    np.testing.assert_allclose(table["margin"], table["net_revenue"] * 0.5)
    january = table.iloc[0]
    assert january["present_value"] == pytest.approx(january["margin"] / 1.2 ** (15.5 / 365))


def test_the_weeks_scatter_averages_out_over_longer_periods():
    past, none = Past((), 0.3, 0.0, 52), np.zeros((4_000, 1))
    rng = np.random.default_rng(0)
    week = level_draws(SURE, past, np.array([7.0]), none, rng)[:, 0]
    quarter = level_draws(SURE, past, np.array([91.0]), none, rng)[:, 0]
    assert np.log(week).std() == pytest.approx(0.3, rel=0.05)
    assert quarter.std() / week.std() == pytest.approx(1 / np.sqrt(13), rel=0.1)
    assert week.mean() == pytest.approx(1)


def test_the_parameters_uncertainty_is_that_of_a_refit_with_each_draw(known):
    base, people, _ = known
    effect = parameter_draws(base, people, DAYS, 400, np.random.default_rng(3))
    model, totals = base.value_model.purchases_, []
    amount = base.expected_spend(people)
    rng, kept = np.random.default_rng(4), dict(model.params_)
    for row in model.draw_parameters(400, rng):
        model.params_ = dict(zip(kept, row, strict=True))
        totals.append(amount @ model.expected_periods(people, DAYS))
    model.params_ = kept
    alone = np.log(totals).std(axis=0)
    assert (effect.std(axis=0) > 0.9 * alone).all()
    assert (effect.std(axis=0) < 2.0 * alone).all()


def test_the_error_of_groups_leaves_out_the_total_and_chance():
    rng = np.random.default_rng(0)
    actual = np.full(400, 100.0)
    predicted = 130 * np.exp(rng.normal(0, np.hypot(0.2, 0.1), 400))
    width = np.full(400, 3.92 * 0.1)
    assert group_error(predicted, actual, width) == pytest.approx(0.2, rel=0.15)
    assert group_error(predicted[:1], actual[:1], width[:1]) == 0.0


def _business(seed):
    """What a forecast knows of a simulated business, and what 26 weeks brought of the customers it knew."""
    tx = Transactions.read(
        simulate_transactions(1_000, purchases="pareto_nbd", days=420, acquisition_days=180, seed=seed)
    )
    day = tx.first_day + dt.timedelta(days=237)
    people = customer_features(tx.split(day), day)
    came = outcomes(tx, day, 182)["value"].sum()
    return ModelBase.fit(people, value_fitter(ValueSettings()), 182, 182), people, float(came)


def test_intervals_hold_what_came_where_the_model_is_right():
    """12 businesses, among them two whose fit is at a bound or flat: chance breaks each bound in 7 of 100."""
    ends, places = np.array([91.0, 182.0]), []
    for seed in range(12):
        base, people, came = _business(seed)
        groups = pd.DataFrame({"cohort": "a", "segment": "x"}, index=people.index)
        cells = expect(base, people, np.ones(len(people)), groups, ends, seed=1)
        draws = _simulated(base, people, cells, ends, SURE, CALM)
        places.append(float((draws.value["cohort"][0].sum(axis=1) < came).mean()))
    off = np.abs(np.array(places) - 0.5)
    assert (off <= 0.4).sum() >= 8
    assert (off <= 0.475).sum() >= 10
    assert (off <= 0.1).sum() <= 7  # nor are they wide


def test_a_fit_at_a_bound_is_as_unsure_as_its_refits():
    """Where the Hessian says nothing the posterior does, much as fits to resampled customers would."""
    base, people, _ = _business(0)
    model = base.value_model.purchases_
    assert not model.knows_uncertainty
    ends, rng = np.array([182.0]), np.random.default_rng(1)
    spread = parameter_draws(base, people, ends, 400, rng).std()
    amount, logs, kept = base.expected_spend(people), [], dict(model.params_)
    for row in model.bootstrap_parameters(people, 25, rng):
        model.params_ = dict(zip(kept, row, strict=True))
        logs.append(np.log(amount @ model.expected_purchases(people, 182)))
    model.params_ = kept
    assert 0.5 * np.std(logs) < spread < 2 * np.std(logs)
