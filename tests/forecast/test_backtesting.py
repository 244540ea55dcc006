"""A backtest knows nothing after its origins, and its figures are those of a loop over the weeks."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.backtesting import backtest, plan_days
from clvseg.config import Settings
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.forecast.series import arima, exponential_smoothing, seasonal_naive
from clvseg.forecast.view import OURS
from clvseg.frames import BACKTEST, BACKTEST_WEEKS

SETTINGS = Settings.make({"horizon": "13w", "forecast": {"origins": 2}})


@pytest.fixture(scope="module")
def lines():
    return simulate_transactions(1_000, purchases="pareto_nbd", days=420, seed=8)


@pytest.fixture(scope="module")
def tested(lines):
    return backtest(Transactions.read(lines), SETTINGS, lambda title: None)


def test_the_tables_are_complete(tested):
    assert list(tested.summary.columns) == BACKTEST.names
    assert list(tested.weeks.columns) == BACKTEST_WEEKS.names
    assert set(tested.summary["weeks"]) == {4, 13}
    assert (tested.summary["origins"] == 2).all()
    assert tested.weeks.groupby(["origin", "model"]).size().eq(13).all()


def test_what_came_is_the_revenue_of_the_customers_known_then(lines, tested):
    first = lines.groupby("customer_id")["time"].transform("min")
    for origin, weeks in tested.weeks[tested.weeks["model"] == OURS].groupby("origin"):
        known = lines[(first.dt.normalize() <= origin) & (lines["time"].dt.normalize() > origin)]
        for row in weeks.itertuples():
            day = known["time"].dt.normalize()
            inside = known[(day > row.end - pd.Timedelta(days=7)) & (day <= row.end)]
            assert row.actual == pytest.approx(inside["amount"].sum())


def test_the_summary_is_that_of_a_loop(tested):
    for row in tested.summary.itertuples():
        mine = tested.weeks[(tested.weeks["model"] == row.model) & (tested.weeks["week"] <= row.weeks)]
        sums = mine.groupby("origin")[["revenue", "actual"]].sum()
        assert row.mape == pytest.approx((sums["revenue"] / sums["actual"] - 1).abs().mean())
        assert row.bias == pytest.approx(sums["revenue"].sum() / sums["actual"].sum() - 1)
        if row.width_80 > 0:
            held = (mine["low_80"] <= mine["actual"]) & (mine["actual"] <= mine["high_80"])
            assert row.weekly_80 == pytest.approx(held.mean())
        else:
            assert row.model.startswith("lifetimes")


def test_nothing_after_an_origin_changes_its_forecast(lines, tested):
    origin = tested.weeks["origin"].max()
    later = lines["time"].dt.normalize() > origin
    changed = lines.assign(amount=lines["amount"].where(~later, lines["amount"] * 3 + 1))
    again = backtest(Transactions.read(changed), SETTINGS, lambda title: None, [origin.date()])
    names = ["model", "week", "revenue", "low_80", "high_80"]
    before = tested.weeks.loc[tested.weeks["origin"] == origin, names].reset_index(drop=True)
    pd.testing.assert_frame_equal(again.weeks[names], before)


def test_too_short_a_log_is_refused():
    with pytest.raises(DataError, match="too short"):
        plan_days(dt.date(2026, 1, 1), dt.date(2026, 4, 1), SETTINGS)


@pytest.mark.parametrize("rival", [exponential_smoothing, arima])
def test_a_steady_series_is_forecast_at_its_level(rival):
    rng = np.random.default_rng(0)
    weeks = 1_000 * np.exp(rng.normal(0, 0.1, 80))
    drawn = rival(weeks, 10, 500, np.random.default_rng(1))
    assert drawn.shape == (500, 10)
    assert np.median(drawn) == pytest.approx(1_000, rel=0.1)
    low, high = np.quantile(drawn[:, 0], [0.1, 0.9])
    assert low == pytest.approx(880, rel=0.1)
    assert high == pytest.approx(1_137, rel=0.1)


@pytest.mark.parametrize("rival", [exponential_smoothing, arima, seasonal_naive])
def test_an_empty_or_short_series_has_a_forecast(rival):
    for weeks in (np.zeros(30), np.array([5.0, 0.0, 3.0])):
        drawn = rival(weeks, 4, 20, np.random.default_rng(0))
        assert np.isfinite(drawn).all()
        assert (drawn >= 0).all()
