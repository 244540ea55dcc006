"""On a clock that the season drives a seasonal business is an even one."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.backtesting import cutoffs, earlier_cutoffs
from clvseg.config import ValueSettings
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes, revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.forecast.clock import errors_on_clock, fit_on_clock
from clvseg.forecast.past import Past, learn_past, recent_tracking
from clvseg.forecast.periods import between
from clvseg.learning import value_fitter
from clvseg.value.origins import build_panel

BUSY = np.array([0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 1.0, 1.0, 1.1, 1.2, 1.4, 1.5])
PAST = Past(tuple(np.log(BUSY).tolist()), 0.0, 0.0, 104, tuple(map(tuple, np.zeros((12, 12)).tolist())))
DAY = dt.date(2023, 2, 10)


def test_the_clock_is_a_loop_over_days():
    def loop(days: int) -> float:
        step = 1 if days > 0 else -1
        passed = [DAY + dt.timedelta(days=place) for place in range(1, days + 1)]
        passed += [DAY - dt.timedelta(days=place) for place in range(-days)]
        return step * sum(BUSY[day.month - 1] for day in passed)

    times = np.array([-400, -41, -1, 0, 1, 18, 19, 200])
    found = PAST.on_clock(DAY, times.astype(float))
    np.testing.assert_allclose(found, [loop(int(days)) for days in times])
    assert PAST.on_clock(DAY, np.array([0.5]))[0] == pytest.approx(BUSY[1] / 2)


def test_histories_on_the_clock_run_from_first_to_last_purchase_to_the_day():
    people = pd.DataFrame({"frequency": [0, 2, 1], "recency": [0.0, 30.0, 0.0], "T": [50.0, 50.0, 0.0]})
    found = PAST.summary_on_clock(people, DAY)
    whole, since = -PAST.on_clock(DAY, np.array([-50.0, -20.0]))
    np.testing.assert_allclose(found["T"], [whole, whole, 0.0])
    np.testing.assert_allclose(found["recency"], [0.0, whole - since, 0.0])
    assert found["recency"].iloc[0] == 0


def test_without_a_season_nothing_changes():
    none, times = Past((), 0.1, 0.0, 52), np.array([-3.0, 4.0])
    assert none.on_clock(DAY, times) is times
    people = pd.DataFrame({"T": [1.0]})
    assert fit_on_clock("the base", people, none, DAY) == ("the base", people)


@pytest.fixture(scope="module")
def seasonal():
    """Two years and a half of a business with a strong yearly wave, seen where its high season ends."""
    wave = np.exp(0.5 * np.cos(2 * np.pi * np.arange(920) / 365))
    lines = simulate_transactions(
        8_000, purchases="bg_nbd", days=920, acquisition_days=500, day_factors=wave / wave.mean(), seed=2
    )
    tx = Transactions.read(lines)
    day = tx.first_day + dt.timedelta(days=770)
    known = tx.split(day)
    panel, base = build_panel(known, day, 140, value_fitter(ValueSettings(purchases="bg_nbd")))
    past = learn_past(revenue_by_cohort(known), day, base.value_model.purchases_)
    return tx, day, known, panel, base, past


def test_the_clock_takes_the_season_out_of_the_level(seasonal):
    """After the peak the plain model takes the season's orders for the customers' own."""
    tx, day, _, panel, base, past = seasonal
    came = outcomes(tx, day, base.horizon_days)["purchases"].sum()
    plain = base.value_model.expected_purchases(panel.current, base.horizon_days).sum()
    window = between(day + dt.timedelta(days=1), day + dt.timedelta(days=base.horizon_days), "year")
    own, there = fit_on_clock(base, panel.current, past, day)
    ahead = past.on_clock(day, np.array([float(base.horizon_days)]))[0]
    on_clock = own.value_model.expected_purchases(there, ahead).sum()
    once = abs(np.log(plain * past.seasonal(window)[0] / came))
    assert abs(np.log(on_clock / came)) < 0.08
    assert abs(np.log(on_clock / came)) < 0.5 * max(once, abs(np.log(plain / came)))


def test_errors_at_earlier_cutoffs_are_small_where_the_model_is_right(seasonal):
    _, day, known, panel, base, past = seasonal
    found = errors_on_clock(cutoffs(panel), base, past)
    assert len(found) == len(panel.origins)
    assert np.abs(found).max() < 0.2
    again = errors_on_clock(earlier_cutoffs(known, day, base), base, past)
    np.testing.assert_allclose(again, found)


def test_recent_tracking_is_the_log_of_what_came_over_what_is_expected(seasonal):
    _, day, known, panel, base, past = seasonal
    own, _ = fit_on_clock(base, panel.current, past, day)
    daily = revenue_by_cohort(known)
    found = recent_tracking(daily, day, own.value_model.purchases_, past, 140)
    assert abs(found) < 0.1
    lately = (pd.Timestamp(day) - daily["day"]).dt.days < 140
    halved = daily.assign(purchases=daily["purchases"].where(~lately, daily["purchases"] / 2))
    there = daily["first_day"] < pd.Timestamp(day) - pd.Timedelta(days=140)
    assert there[lately].all()  # all were acquired before: halving changes no expectation
    again = recent_tracking(halved, day, own.value_model.purchases_, past, 140)
    assert again - found == pytest.approx(np.log(0.5))
