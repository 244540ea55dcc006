"""Season and scatter are found where they are, and not where they are not."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary, revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.forecast.past import Past, history, learn_past, weekly_tracking
from clvseg.forecast.periods import between
from clvseg.forecast.season import month_effects
from clvseg.value import ParetoNBDModel

STAYING = {"r": 2.0, "alpha": 60.0, "s": 0.5, "beta": 900.0}


def log(days, by_month=None):
    lines = simulate_transactions(
        3_000, purchases="pareto_nbd", parameters=STAYING, days=days, acquisition_days=60, seed=3
    )
    if by_month is not None:
        rng = np.random.default_rng(4)
        kept = rng.uniform(size=len(lines)) < by_month[lines["time"].dt.month - 1] / by_month.max()
        lines = lines[kept | ~lines["customer_id"].duplicated()]
    return Transactions.read(lines)


@pytest.fixture(scope="module")
def plain():
    tx = log(420)
    return tx, ParetoNBDModel().fit(customer_summary(tx, tx.last_day))


def test_the_weeks_are_those_of_a_loop_over_days(plain):
    tx, model = plain
    daily = revenue_by_cohort(tx)
    weeks = weekly_tracking(daily, tx.last_day, model)
    week = weeks.iloc[-3]
    end = pd.Timestamp(tx.last_day) - pd.Timedelta(days=14)
    begin = end - pd.Timedelta(days=6)
    inside = daily[daily["day"].between(begin, end) & (daily["day"] > daily["first_day"])]
    assert week["revenue"] == pytest.approx(inside["revenue"].sum())
    assert week["purchases"] == inside["purchases"].sum()
    expected = 0.0
    for row in daily[daily["day"] == daily["first_day"]].itertuples():
        until, since = (end - row.day).days, (begin - row.day).days - 1
        upto = [model.expected_purchases_new(age) if age > 0 else 0.0 for age in (until, since)]
        expected += row.purchases * (upto[0] - upto[1])
    assert week["expected"] == pytest.approx(expected, rel=1e-3)


def test_without_anything_but_chance_there_is_little_scatter_and_no_season(plain):
    tx, model = plain
    daily = revenue_by_cohort(tx)
    with_chance = learn_past(daily, tx.last_day, model)
    repeats = daily[daily["day"] > daily["first_day"]]
    purchase_variance = 1 + (repeats["revenue"] / repeats["purchases"]).var() / repeats["revenue"].mean() ** 2
    without = learn_past(daily, tx.last_day, model, chance=purchase_variance)
    assert with_chance.season == without.season == ()
    assert without.scatter < with_chance.scatter < 0.1


def test_two_years_show_the_season_that_is_in_them():
    by_month = np.array([0.8, 0.8, 0.9, 1, 1, 1, 0.9, 0.9, 1, 1.1, 1.3, 1.5])
    tx = log(760, by_month)
    model = ParetoNBDModel().fit(customer_summary(tx, tx.last_day))
    past = learn_past(revenue_by_cohort(tx), tx.last_day, model)
    np.testing.assert_allclose(np.exp(past.season), by_month / by_month.mean(), atol=0.08)
    assert np.exp(past.season).mean() == pytest.approx(1)
    periods = between(dt.date(2026, 11, 16), dt.date(2026, 12, 15), "quarter")
    assert past.seasonal(periods)[0] == pytest.approx(np.exp(past.season)[[10, 11]].mean())


def _weeks(effect, seed, count=115, scatter=0.0, most=50):
    """Two years and more of a growing business: 1 to `most` orders a week by Poisson, gamma amounts."""
    rng = np.random.default_rng(seed)
    expected = np.linspace(1, most, count)
    month = (np.arange(count) * 7 // 30.4 % 12).astype(np.int64)
    busy = scatter * rng.standard_normal(count)
    orders = rng.poisson(expected * np.exp(effect[month] + busy))
    revenue = np.array([rng.gamma(2, 17.5, number).sum() for number in orders])
    return revenue / expected, expected, month


def test_of_a_season_that_is_not_there_little_is_found():
    """Less than half of what the months' mean ratios would say by chance."""
    shrunk, raw = [], []
    for seed in range(10):
        ratio, expected, month = _weeks(np.zeros(12), seed)
        shrunk.append(month_effects(ratio, expected, month).effect)
        by_month = np.bincount(month, ratio * expected) / np.bincount(month, expected)
        raw.append(np.log(by_month / by_month.mean()))
    assert np.std(shrunk) < 0.5 * np.std(raw)


def test_scatter_is_believed_where_it_is():
    none, some = (
        [month_effects(*_weeks(np.zeros(12), seed, scatter=sd, most=300)).scatter for seed in range(10)]
        for sd in (0.0, 0.2)
    )
    assert sum(found < 0.001 for found in none) >= 8
    assert sum(0.1 < found < 0.3 for found in some) >= 8


def test_effects_are_as_sure_as_they_say():
    wave = 0.3 * np.cos(2 * np.pi * np.arange(12) / 12)
    truth, off = wave - np.log(np.exp(wave).mean()), []
    for seed in range(20):
        found = month_effects(*_weeks(wave, seed))
        off.append((found.effect - truth) / np.sqrt(np.diag(found.covariance)))
    assert 0.7 < np.std(off) < 1.2
    assert np.mean(np.abs(off) < 1.96) > 0.88


def test_a_month_without_weeks_is_not_known():
    ratio, expected, month = _weeks(0.3 * np.cos(2 * np.pi * np.arange(12) / 12), 1)
    there = month != 5
    found = month_effects(ratio[there], expected[there], month[there])
    assert abs(found.effect[5]) < 0.1
    assert found.covariance[5, 5] == found.covariance.max()


def test_a_business_that_only_grows_has_no_season():
    """Few orders a week at first: months that only those weeks lie in once got factors of 0.03 and 2."""
    parts, before = [], 0
    for part, size in enumerate((40, 60, 90, 140, 200, 300)):
        first = dt.date(2021, 1, 1) + dt.timedelta(days=130 * part)
        lines = simulate_transactions(
            size,
            purchases="pareto_nbd",
            days=800 - 130 * part,
            acquisition_days=130,
            first_day=first,
            seed=part,
        )
        parts.append(lines.assign(customer_id=lines["customer_id"] + before))
        before += size
    tx = Transactions.read(pd.concat(parts, ignore_index=True))
    model = ParetoNBDModel().fit(customer_summary(tx, tx.last_day))
    past = learn_past(revenue_by_cohort(tx), tx.last_day, model)
    assert len(past.season) == 12
    assert np.abs(past.season).max() < 0.25
    drawn = np.exp(past.draw_season(400, np.random.default_rng(1)))
    np.testing.assert_allclose(drawn.mean(axis=1), 1.0)
    np.testing.assert_allclose(drawn.mean(axis=0), np.exp(past.season), atol=0.05)


def test_too_few_weeks_take_the_usual_scatter(plain):
    tx, model = plain
    early = tx.split(tx.first_day + dt.timedelta(days=20))
    assert learn_past(revenue_by_cohort(early), early.last_day, model) == Past((), 0.2, 0.0, 3)


def test_the_history_adds_up_to_the_log(plain):
    tx, _ = plain
    came = history(revenue_by_cohort(tx), tx.last_day, "month", 1)
    assert came["revenue"].sum() == pytest.approx(tx.revenue)
    assert came["purchases"].sum() == tx.n_purchases
    assert came["new_customers"].sum() == tx.n_customers
    np.testing.assert_allclose(came["first_revenue"] + came["repeat_revenue"], came["revenue"])
