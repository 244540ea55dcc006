"""When customers order again: expected curves, and what came."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary, outcomes, waits
from clvseg.data.transactions import Transactions
from clvseg.evaluation.returning import (
    ALL,
    CAME,
    CUSTOMER,
    ORDERED,
    Returns,
    expected_returns,
    later_returns,
    returns_accuracy,
    returns_table,
)
from clvseg.value import BetaGeoModel, GammaGammaModel, ParetoNBDModel, ValueModel

HORIZON = 120


@pytest.fixture(scope="module")
def log():
    return Transactions.read(simulate_transactions(3000, purchases="pareto_nbd", days=360, seed=4))


@pytest.fixture(scope="module")
def cutoff(log):
    return log.last_day - dt.timedelta(days=HORIZON)


@pytest.fixture(scope="module")
def people(log, cutoff):
    return customer_summary(log.split(cutoff), cutoff)


@pytest.fixture(scope="module")
def waited(log, cutoff):
    return waits(log, cutoff, HORIZON)


@pytest.fixture(scope="module")
def model(people):
    model = ValueModel(ParetoNBDModel(), GammaGammaModel())
    model.purchases_ = ParetoNBDModel().fit(people)
    return model


@pytest.fixture(scope="module")
def churn(model, people):
    return 1 - model.probability_active(people, HORIZON)


def test_waits_are_those_of_a_loop_over_the_lines(log, cutoff, waited):
    days = log.engine.frame("read the days", "SELECT customer_id, day FROM purchases ORDER BY 1, 2")
    days["day"] = pd.to_datetime(days["day"]).dt.date
    expected = {}
    for customer, mine in days.groupby("customer_id")["day"]:
        if mine.min() <= cutoff:
            after = [(day - cutoff).days for day in mine if 0 < (day - cutoff).days <= HORIZON]
            expected[customer] = (min(after), 1) if after else (HORIZON, 0)
    assert list(waited.index) == list(expected)
    assert list(waited.itertuples(index=False, name=None)) == list(expected.values())
    assert (waited["returned"] == outcomes(log, cutoff, HORIZON)["active"]).all()


def test_curves_end_at_the_churn_probabilities_and_only_rise(model, people):
    churn = np.random.default_rng(1).uniform(0, 1, len(people))
    churn[:2] = 0.0, 1.0
    returns = expected_returns(model, people, churn, HORIZON)
    assert returns.days[-1] == HORIZON
    np.testing.assert_allclose(returns.ordered[:, -1], 1 - churn, atol=1e-8)
    assert (np.diff(returns.ordered, axis=1) >= 0).all()
    assert ((returns.ordered >= 0) & (returns.ordered <= 1)).all()
    assert (np.diff(returns.customer, axis=1) <= 1e-12).all()


def test_with_its_own_churn_probability_the_curve_is_the_models(model, people, churn):
    returns = expected_returns(model, people, churn, HORIZON)
    for place, day in enumerate(returns.days):
        own = model.probability_active(people, float(day))
        np.testing.assert_allclose(returns.ordered[:, place], own, atol=1e-8)


def test_what_came_lies_where_it_was_expected_when_the_model_is_true(model, people, churn, waited):
    groups = pd.Series(np.where(people["frequency"] > 0, "repeat", "once"), index=people.index)
    table = later_returns(expected_returns(model, people, churn, HORIZON), groups, waited)
    assert set(table["group"]) == {ALL, "repeat", "once"}
    for _, part in table[table["day"] > 0].groupby(["group", "day"]):
        said, came = (part[part["measure"] == measure].iloc[0] for measure in (ORDERED, CAME))
        spread = (came["high"] - came["low"]) / 2  # 2 standard errors; what it was fitted to is chance too
        assert abs(said["share"] - came["share"]) < 2 * spread + 0.01


def test_the_share_that_came_is_counted(model, people, churn, waited):
    groups = pd.Series("all", index=people.index)
    table = later_returns(expected_returns(model, people, churn, HORIZON), groups, waited)
    came = table[(table["group"] == ALL) & (table["measure"] == CAME)]
    for row in came.itertuples():
        counted = ((waited["days"] <= row.day) & (waited["returned"] == 1)).mean()
        assert row.share == pytest.approx(counted, abs=1e-12)
        assert row.low <= row.share <= row.high


def test_the_score_is_the_brier_score_over_time(model, people, churn, waited):
    """Nobody is lost sight of before the horizon, so no weights are needed."""
    returns = expected_returns(model, people, churn, HORIZON)
    found = returns_accuracy(returns, waited)
    scores = []
    for place, day in enumerate(returns.days[:-1]):
        had = ((waited["days"] <= day) & (waited["returned"] == 1)).to_numpy()
        scores.append(np.mean((returns.ordered[:, place] - had) ** 2))
    grid = returns.days[:-1]
    assert found["returns_brier"] == pytest.approx(np.trapezoid(scores, grid) / np.ptp(grid))
    assert found["returns_brier"] < found["returns_brier_km"]


def test_small_groups_are_left_out_and_tables_are_sound(model, people, churn):
    groups = pd.Series("many", index=people.index)
    groups.iloc[:20] = "few"
    table = returns_table(expected_returns(model, people, churn, HORIZON), groups)
    assert set(table["group"]) == {ALL, "many"}
    assert set(table["measure"]) == {ORDERED, CUSTOMER}


def test_bg_nbd_says_nothing_of_who_stays(people, churn):
    """To it everybody who bought once is a customer for good."""
    model = ValueModel(BetaGeoModel(), GammaGammaModel())
    model.purchases_ = BetaGeoModel().fit(people)
    assert expected_returns(model, people, churn, HORIZON).customer is None


def test_a_horizon_of_one_day_has_one_step(model, people):
    returns = expected_returns(model, people, np.full(len(people), 0.9), 1)
    assert isinstance(returns, Returns)
    assert returns.days.tolist() == [1.0]
