"""Calendars, their sums over repeat purchases, and logs simulated with them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.data.calendar import at_repeats, daily_calendar
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import calendar_summary, customer_summary
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError


def test_columns():
    table = daily_calendar("2023-01-01", dt.date(2024, 12, 31), season=2, campaigns={
        "sale": [("2023-06-01", "2023-06-10"), (dt.date(2023, 6, 8), dt.date(2023, 6, 12))]})  # fmt: skip
    assert list(table) == ["season sin 1", "season cos 1", "season sin 2", "season cos 2", "sale"]
    assert table.index.name == "day"
    assert len(table) == 731
    assert table["sale"].sum() == 12
    assert table["sale"].loc["2023-06-12"] == 1
    year = table.drop(columns="sale").iloc[:365]
    np.testing.assert_allclose(year.mean(), 0, atol=0.01)
    np.testing.assert_allclose(table.iloc[0, :4], table.iloc[365, :4], atol=0.02)
    # The same day has the same row, whenever the table begins.
    later = daily_calendar("2024-01-01", "2024-12-31", season=1)
    pd.testing.assert_frame_equal(later, table.loc["2024-01-01":, list(later)], check_freq=False)


@pytest.mark.parametrize("as_of", [dt.date(1997, 9, 30), dt.date(1998, 6, 30)])
def test_sums_over_repeat_purchases(as_of):
    """Against a loop over customers; covariates large and small."""
    tx = Transactions.read("dataset:cdnow_sample")
    table = daily_calendar("1996-12-01", "1998-07-30", season=1).assign(
        price=lambda t: 1e6 * t["season sin 1"], share=lambda t: 1e-6 * t["season cos 1"], none=0
    )
    found = calendar_summary(tx, as_of, table)
    pd.testing.assert_frame_equal(found[customer_summary(tx, as_of).columns], customer_summary(tx, as_of))
    assert (found["as_of"] == pd.Timestamp(as_of)).all()
    days = tx.engine.frame("read", "SELECT DISTINCT customer_id, day FROM purchases")
    days = days[days["day"] <= pd.Timestamp(as_of)].sort_values(["customer_id", "day"])
    for name in table:
        of_day = dict(zip(table.index, table[name], strict=True))
        sums = {
            customer: sum(of_day[day] for day in own.iloc[1:])
            for customer, own in days.groupby("customer_id")["day"]
        }
        size = max(table[name].abs().max(), 1e-300)
        np.testing.assert_allclose(found[at_repeats(name)] / size, pd.Series(sums) / size, atol=1e-11)
    assert not tx.engine.rows("look", "SELECT * FROM duckdb_views() WHERE view_name = 'calendar_days'")


def test_a_calendar_that_does_not_cover_the_log():
    tx = Transactions.read("dataset:cdnow_sample")
    with pytest.raises(DataError, match="does not cover 1997-01-01 to 1997-09-30"):
        calendar_summary(tx, dt.date(1997, 9, 30), daily_calendar("1997-02-01", "1998-06-30", season=1))
    with pytest.raises(DataError, match="no columns"):
        calendar_summary(tx, dt.date(1997, 9, 30), daily_calendar("1997-01-01", "1998-06-30"))


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd", "mbg_cnbd_k"])
def test_factors_of_days_move_purchases(model):
    """Factors of 1 change nothing, days of factor 0 are empty, and a busy fortnight is busy."""
    known = {"purchases": model, "days": 200, "acquisition_days": 20, "seed": 4}
    plain = simulate_transactions(4000, **known)
    same = simulate_transactions(4000, **known, day_factors=np.ones(200))
    assert (plain["time"] - same["time"]).abs().max() <= pd.Timedelta(seconds=1)
    factors = np.ones(200)
    factors[50:64], factors[100:107] = 4.0, 0.0
    log = simulate_transactions(4000, **known, day_factors=factors)

    def on(frame):
        day = (frame["time"] - pd.Timestamp("2023-01-01")).dt.days
        return np.bincount(day, minlength=200)

    busy, before = on(log)[50:64].sum(), on(plain)[50:64].sum()
    assert 2.5 < busy / before < 4.2
    assert on(log)[100:107].sum() == 0
    assert on(plain)[100:107].sum() > 50


def test_factors_that_make_no_sense():
    with pytest.raises(DataError, match="one finite number, 0 or more, for each day"):
        simulate_transactions(10, day_factors=np.ones(3), seed=1)
    with pytest.raises(DataError, match="for each day"):
        simulate_transactions(10, days=3, acquisition_days=1, day_factors=np.array([1, -1, 1]), seed=1)
