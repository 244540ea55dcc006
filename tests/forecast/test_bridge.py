"""The steps of the bridge are those of a loop over customers and add up to the cent."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.config import ValueSettings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import revenue_between
from clvseg.data.transactions import Transactions
from clvseg.forecast.bridge import bridge
from clvseg.learning import value_fitter
from clvseg.value.origins import ModelBase

DAYS = 31


@pytest.fixture(scope="module")
def known():
    tx = Transactions.read(simulate_transactions(600, purchases="pareto_nbd", days=300, seed=5))
    people = customer_features(tx, tx.last_day)
    base = ModelBase.fit(people, value_fitter(ValueSettings()), 91, 91)
    last = revenue_between(tx, tx.last_day - dt.timedelta(days=DAYS - 1), tx.last_day)
    return tx, people, base, last


def test_the_last_days_are_those_of_the_features(known):
    _, people, _, last = known
    tx_28 = revenue_between(known[0], known[0].last_day - dt.timedelta(days=27), known[0].last_day)
    spent = people["spend_28d"]
    np.testing.assert_allclose(tx_28["revenue"].reindex(people.index, fill_value=0), spent)
    assert last["revenue"].sum() >= tx_28["revenue"].sum()


def test_the_steps_are_those_of_a_loop(known):
    tx, people, base, last = known
    factor = np.full(len(people), 1.2)
    found = bridge(base, people, factor, last, tx.last_day, DAYS, 123.456, 9_876.543)
    steps = found.set_index("step")["revenue"]
    churned = frequency = spend = reactivated = 0.0
    bought = base.value_model.expected_purchases(people, DAYS)
    again = base.value_model.probability_active(people, DAYS)
    amount = base.expected_spend(people) * 1.2
    for place, customer in enumerate(people.index):
        if customer not in last.index:
            reactivated += bought[place] * amount[place]
            continue
        paid, orders = last.loc[customer, ["revenue", "purchases"]]
        churned -= paid * (1 - again[place])
        frequency += (bought[place] - orders * again[place]) * paid / orders
        spend += bought[place] * (amount[place] - paid / orders)
    wanted = {
        "actual": last["revenue"].sum(),
        "churned": churned,
        "frequency": frequency,
        "spend per order": spend,
        "reactivated": reactivated,
        "new": 123.456,
        "forecast": 9_876.543,
    }
    for name, value in wanted.items():
        assert steps[name] == pytest.approx(value, abs=0.0051)
    before_level = last["revenue"].sum() + churned + frequency + spend
    assert before_level + reactivated == pytest.approx(bought @ amount)
    cents = (steps * 100).round().astype(int)
    assert cents.iloc[:-1].sum() == cents["forecast"]


MONEY = st.floats(0, 1e7, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(st.lists(MONEY, max_size=30), MONEY, MONEY, st.floats(0, 10))
def test_whatever_came_and_is_expected_the_steps_add_up_to_the_cent(known, paid, new, forecast, factor):
    tx, everybody, base, _ = known
    people, orders = everybody.iloc[:40], np.arange(len(paid)) % 4 + 1
    last = pd.DataFrame({"revenue": paid, "purchases": orders}, index=people.index[: len(paid)])
    found = bridge(base, people, np.full(len(people), factor), last, tx.last_day, DAYS, new, forecast)
    cents = (found["revenue"] * 100).round().astype("int64")
    np.testing.assert_allclose(found["revenue"] * 100, cents, atol=1e-4)
    assert cents.iloc[:-1].sum() == cents.iloc[-1]
    assert found["revenue"].iloc[-1] == pytest.approx(forecast, abs=0.0051)
    assert found["revenue"].iloc[0] == pytest.approx(sum(paid), abs=0.0051)
