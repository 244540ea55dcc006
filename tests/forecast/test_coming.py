"""Customers to come: a steady inflow goes on, a plan is kept, who acquires nobody gets none."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import ValueSettings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError
from clvseg.forecast.coming import _planned, expect_coming
from clvseg.forecast.periods import weeks_from
from clvseg.learning import value_fitter
from clvseg.value.origins import ModelBase

AHEAD = 13


@pytest.fixture(scope="module")
def steady():
    lines = simulate_transactions(4_000, purchases="pareto_nbd", days=400, acquisition_days=400, seed=9)
    tx = Transactions.read(lines)
    day = tx.first_day + dt.timedelta(days=399 - 7 * AHEAD)
    known = tx.split(day)
    base = ModelBase.fit(customer_features(known, day), value_fitter(ValueSettings()), 91, 91)
    return tx, day, base, revenue_by_cohort(known)


def test_a_steady_inflow_brings_what_it_brought(steady):
    tx, day, base, daily = steady
    rng, level = np.random.default_rng(0), np.ones((400, AHEAD))
    found = expect_coming(base, daily, day, weeks_from(day, AHEAD), level, None, rng)
    after = revenue_by_cohort(tx)
    after = after[(after["first_day"] > pd.Timestamp(day)) & (after["day"] <= pd.Timestamp(tx.last_day))]
    came = after.loc[after["day"] == after["first_day"], "purchases"].sum()
    assert found.customers.sum() == pytest.approx(came, rel=0.1)
    assert found.mean.sum() == pytest.approx(after["revenue"].sum(), rel=0.15)
    low, high = np.quantile(found.value.sum(axis=1), [0.005, 0.995])
    assert low < after["revenue"].sum() < high
    np.testing.assert_allclose(found.value.mean(axis=0), found.mean)
    assert (np.diff(found.mean / found.customers) > 0).all()  # those who have come buy again


def test_a_plan_is_kept(steady, tmp_path):
    _, day, base, daily = steady
    plan = tmp_path / "plan.csv"
    start = day + dt.timedelta(days=1)
    plan.write_text(f"start,customers\n{start},280\n{start + dt.timedelta(days=28)},0\n")
    found = expect_coming(
        base, daily, day, weeks_from(day, 8), np.ones((3, 8)), str(plan), np.random.default_rng(0)
    )
    np.testing.assert_allclose(found.customers, [70.0] * 4 + [0.0] * 4)
    twice = expect_coming(
        base, daily, day, weeks_from(day, 8), 2 * np.ones((3, 8)), str(plan), np.random.default_rng(0)
    )
    first = daily[
        (daily["day"] == daily["first_day"]) & (daily["day"] > pd.Timestamp(day) - pd.Timedelta(days=91))
    ]
    each = first["revenue"].sum() / first["purchases"].sum()
    np.testing.assert_allclose(2 * found.mean - twice.mean, each * found.customers)


def test_nobody_comes_where_nobody_came_lately(steady):
    _, day, base, daily = steady
    stopped = daily[daily["first_day"] < pd.Timestamp(day) - pd.Timedelta(days=30)]
    found = expect_coming(
        base, stopped, day, weeks_from(day, 4), np.ones((3, 4)), None, np.random.default_rng(0)
    )
    assert found.customers.sum() == found.mean.sum() == found.value.sum() == 0


@pytest.mark.parametrize(
    "text", ["start\n2026-01-01\n", "start,customers\nsoon,3\n", "start,customers\n2026-01-01,-3\n"]
)
def test_a_plan_that_cannot_be_read_is_told(text, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text(text)
    with pytest.raises(ConfigError, match="cannot read the acquisition plan"):
        _planned(str(plan), dt.date(2026, 1, 1), 4)
