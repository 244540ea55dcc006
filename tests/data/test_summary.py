"""The customer summary against lifetimes, published figures and a dumb loop."""

from __future__ import annotations

import datetime as dt
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary, outcomes, revenue_by_day, revenue_by_week
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.frames import SUMMARY

pytestmark = [
    pytest.mark.usefixtures("on_each_engine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CUTOFF = dt.date(1997, 9, 30)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cutoff", [CUTOFF, dt.date(1997, 12, 31), dt.date(1998, 6, 30)])
def test_equals_lifetimes(cdnow_frame, cdnow_sample, cutoff):
    from lifetimes.utils import summary_data_from_transaction_data

    theirs = summary_data_from_transaction_data(
        cdnow_frame, "customer_id", "date", "amount", observation_period_end=pd.Timestamp(cutoff)
    )
    ours = customer_summary(cdnow_sample, cutoff)
    assert ours.index.tolist() == theirs.index.tolist()
    for column in ("frequency", "recency", "T"):
        assert (ours[column] == theirs[column]).all()
    np.testing.assert_allclose(ours["monetary_value"], theirs["monetary_value"], rtol=1e-12)
    assert (ours["since_last"] == ours["T"] - ours["recency"]).all()


# REFERENCE figures: Fader, Hardie & Lee 2005 (1/10 sample); recomputed for the full log.
@pytest.mark.parametrize(
    ("name", "customers", "frequency", "without_repeat", "purchases", "revenue"),
    [("cdnow_sample", 2357, 2457, 1411, 1882, None), ("cdnow", 23570, 24337, 14119, 19684, 776961.13)],
)
def test_published_facts_of_cdnow(request, name, customers, frequency, without_repeat, purchases, revenue):
    tx = request.getfixturevalue(name)
    summary, later = customer_summary(tx, CUTOFF), outcomes(tx, CUTOFF, 273)
    assert len(summary) == customers
    assert summary["frequency"].sum() == frequency
    assert (summary["frequency"] == 0).sum() == without_repeat
    assert later["purchases"].sum() == purchases
    assert later.index.equals(summary.index)
    assert (later["active"] == (later["purchases"] > 0)).all()
    if revenue is not None:
        assert later["value"].sum() == pytest.approx(revenue, abs=0.005)


def test_full_log_has_its_published_size(cdnow):
    assert (cdnow.n_customers, cdnow.profile["lines_read"]) == (23570, 69659)
    assert (str(cdnow.first_day), str(cdnow.last_day)) == ("1997-01-01", "1998-06-30")


def _by_hand(frame: pd.DataFrame, as_of: dt.date, days: int) -> tuple[dict, dict]:
    """One customer at a time, from the definitions."""
    summary, later = {}, {}
    frame = frame.assign(day=frame["time"].dt.date)
    for customer, rows in frame.groupby("customer_id"):
        per_day = rows.groupby("day")["amount"].sum()
        known = per_day[[day <= as_of for day in per_day.index]]
        if known.empty:
            continue
        first, last = known.index.min(), known.index.max()
        repeats = known.sort_index().iloc[1:]
        summary[customer] = (
            len(repeats),
            (last - first).days,
            (as_of - first).days,
            repeats.mean() if len(repeats) else 0.0,
            (as_of - last).days,
            sum(math.log((b - a).days) for a, b in pairwise(sorted(known.index))),
        )
        after = per_day[[as_of < day <= as_of + dt.timedelta(days=days) for day in per_day.index]]
        later[customer] = (after.sum(), len(after), int(len(after) > 0))
    return summary, later


def test_equals_a_dumb_loop_on_simulated_orders():
    frame = simulate_transactions(300, days=200, seed=4)
    tx = Transactions.read(frame.sample(frac=1.0, random_state=0))
    as_of = dt.date(2023, 4, 15)
    summary, later = _by_hand(frame, as_of, 60)
    ours = customer_summary(tx, as_of)
    assert list(ours.columns) == SUMMARY.names
    expected = pd.DataFrame.from_dict(summary, orient="index", columns=SUMMARY.names).sort_index()
    assert ours.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(ours.to_numpy(dtype=float), expected.to_numpy(dtype=float), rtol=1e-6)
    expected = pd.DataFrame.from_dict(later, orient="index").sort_index()
    np.testing.assert_allclose(outcomes(tx, as_of, 60).to_numpy(dtype=float), expected.to_numpy(dtype=float))


def test_later_days_only_add_to_age(cdnow_sample):
    at_end = customer_summary(cdnow_sample, cdnow_sample.last_day)
    week_later = customer_summary(cdnow_sample, cdnow_sample.last_day + dt.timedelta(days=7))
    assert (week_later["T"] - at_end["T"] == 7).all()
    assert (week_later["since_last"] - at_end["since_last"] == 7).all()
    assert week_later[["frequency", "recency"]].equals(at_end[["frequency", "recency"]])


def test_split_is_what_was_known(cdnow_sample):
    known = cdnow_sample.split(CUTOFF)
    assert known.last_day == CUTOFF
    assert known.n_customers == 2357
    assert known.n_purchases == 2357 + 2457
    assert customer_summary(known, CUTOFF).equals(customer_summary(cdnow_sample, CUTOFF))
    # Even asked about a later day, it knows nothing more.
    assert customer_summary(known, dt.date(1998, 1, 1))["frequency"].sum() == 2457
    assert known.hash != cdnow_sample.hash


@pytest.mark.parametrize("day", [dt.date(1996, 12, 31), dt.date(1998, 7, 1)])
def test_split_outside_the_log(cdnow_sample, day):
    with pytest.raises(DataError, match="1997-01-01 to 1998-06-30"):
        cdnow_sample.split(day)


def test_nothing_known_before_the_log(cdnow_sample):
    with pytest.raises(DataError, match="nothing was known on 1996-12-31"):
        customer_summary(cdnow_sample, dt.date(1996, 12, 31))


def test_outcomes_need_the_whole_period(cdnow_sample):
    with pytest.raises(DataError, match="are not all in the transactions"):
        outcomes(cdnow_sample, CUTOFF, 274)


def test_weeks_and_days_add_up(cdnow):
    weeks, days = revenue_by_week(cdnow), revenue_by_day(cdnow)
    for frame in (weeks, days):
        assert frame["revenue"].sum() == pytest.approx(cdnow.revenue)
        assert frame["purchases"].sum() == cdnow.n_purchases
        assert frame["new_customers"].sum() == cdnow.n_customers
    assert weeks["week"].dt.day_of_week.eq(0).all()
    assert weeks["week"].diff().dropna().dt.days.eq(7).all()
    assert weeks["customers"].le(weeks["purchases"]).all()


def test_weeks_without_a_purchase_are_there(log):
    tx = Transactions.read(log([(1, "2023-01-02", 5.0), (2, "2023-01-25", 7.0)]))
    weeks = revenue_by_week(tx)
    assert weeks["revenue"].tolist() == [5.0, 0.0, 0.0, 7.0]
    assert weeks["customers"].tolist() == [1, 0, 0, 1]
