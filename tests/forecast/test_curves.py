"""Cohorts over time against plain loops over the log; payback and value to cost by hand."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import DataSettings, Settings
from clvseg.data.summary import first_channels, revenue_by_cohort_and_period
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError
from clvseg.forecast.curves import Came, channel_shares, cohort_curves, payback
from clvseg.forecast.existing import Cells, Draws
from clvseg.forecast.periods import between
from clvseg.frames import COHORT_CURVES, PAYBACK
from clvseg.value import ModifiedBetaGeoModel

AHEAD = between(dt.date(2024, 7, 1), dt.date(2024, 8, 31), "month")


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(3)
    first = rng.integers(0, 150, 60)
    rows = [
        {
            "customer_id": customer,
            "time": pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(day)),
            "amount": float(rng.integers(1, 50)),
            "channel": str(rng.choice(["web", "shop", ""])),
        }
        for customer, begin in enumerate(first)
        for day in [begin, *(begin + rng.integers(0, 182 - begin, rng.integers(0, 6)))]
    ]
    rows.append({"customer_id": 0, "time": pd.Timestamp("2024-06-30"), "amount": 5.0, "channel": "web"})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def came(lines):
    columns = {"customer": "customer_id", "time": "time", "amount": "amount", "channel": "channel"}
    tx = Transactions.read(lines, DataSettings(columns=columns))
    periods = between(tx.first_day, tx.last_day, "month")
    spans = list(zip(periods.starts, periods.ends, strict=True))
    return Came(periods, revenue_by_cohort_and_period(tx, spans), first_channels(tx))


def test_the_first_channel_is_that_of_the_most_money_on_the_first_day(lines, came):
    for customer, mine in lines.groupby("customer_id"):
        first = mine[mine["time"] == mine["time"].min()]
        paid = (
            first.assign(channel=first["channel"].replace("", "unknown")).groupby("channel")["amount"].sum()
        )
        assert paid[came.channel[customer]] == paid.max()


def test_what_came_is_that_of_a_loop_over_the_log(lines, came):
    rows = came.named(1)
    names = sorted(rows["cohort"].unique())
    curves = cohort_curves(rows, came.periods, *_expected(names, dict.fromkeys(names, 1.0)), AHEAD)
    actual = curves[curves["state"] == "actual"].set_index(["cohort", "period"])
    first = lines.groupby("customer_id")["time"].min()
    month = lines["time"].dt.strftime("%Y-%m")
    for (cohort, period), row in actual.iterrows():
        members = first[first.dt.strftime("%Y-%m") == cohort].index
        mine = lines[lines["customer_id"].isin(members)]
        assert row["customers"] == len(members)
        assert row["active"] == mine.loc[month == period, "customer_id"].nunique()
        assert row["retention"] == pytest.approx(row["active"] / row["customers"])
        assert row["cumulative_revenue"] == pytest.approx(mine.loc[month <= period, "amount"].sum())
    last = actual.groupby("cohort")["cumulative_revenue"].last()
    assert last.sum() == pytest.approx(lines["amount"].sum())


def _expected(cohorts, level, draws=200):
    """Ten customers per cohort: 30 and 20 expected, a half and a quarter active; draws of the level given."""
    names = pd.DataFrame({"cohort": cohorts, "segment": "x", "customers": 10})
    mean = np.tile([30.0, 20.0], (len(cohorts), 1))
    cells = Cells(names, mean, np.zeros((len(cohorts), 2, 2)), 1.0, np.tile([5.0, 2.5], (len(cohorts), 1)))
    factors = np.linspace(0.5, 1.5, draws)
    value = np.stack([np.outer(factors, [30.0, 20.0]) * level[name] for name in cohorts])
    drawn = Draws({"cohort": list(cohorts)}, {"cohort": mean}, {"cohort": value}, np.ones((draws, 2)))
    return cells, drawn


def test_the_forecast_goes_on_from_what_came(came):
    rows = came.named(1)
    names = sorted(rows["cohort"].unique())
    curves = cohort_curves(rows, came.periods, *_expected(names, dict.fromkeys(names, 1.0)), AHEAD)
    assert list(curves.columns) == COHORT_CURVES.names
    for _, mine in curves.groupby("cohort"):
        told, ahead = (mine[mine["state"] == state] for state in ("actual", "forecast"))
        so_far = told["cumulative_revenue"].iloc[-1]
        assert ahead["cumulative_revenue"].tolist() == pytest.approx([so_far + 30, so_far + 50])
        low, high = ahead[["cumulative_revenue_low_80", "cumulative_revenue_high_80"]].iloc[1]
        assert (low, high) == pytest.approx((so_far + 50 * 0.6, so_far + 50 * 1.4))
        # A level of .5 to 1.5 on rates: mean share over levels l of 1 - .5^l and 1 - .75^l.
        level = np.linspace(0.5, 1.5, 200)
        expected = [np.mean(1 - 0.5**level), np.mean(1 - 0.75**level)]
        assert ahead["retention"].tolist() == pytest.approx(expected)
        assert (told["cumulative_revenue_low_95"] == told["cumulative_revenue"]).all()


def _rows(*rows):
    columns = ["first_day", "channel", "place", "active", "revenue", "cohort", "new"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(first_day=pd.to_datetime(frame["first_day"]))


def test_payback_by_hand():
    """Ten customers of one day: margin each 5 on it, 10 after June, then 1.5 and 1 a month expected."""
    periods = between(dt.date(2024, 5, 31), dt.date(2024, 6, 30), "month")
    rows = _rows(
        ("2024-05-31", "all", 0, 10, 100.0, "2024-05", 10), ("2024-05-31", "all", 1, 4, 100.0, "2024-05", 0)
    )
    _, draws = _expected(["2024-05"], {"2024-05": 1.0})
    shares = {("2024-05", "all"): np.ones(2)}

    def row(cost):
        asked = Settings.make({"forecast": {"acquisition_cost": cost}, "value": {"margin": 0.5}})
        found = payback(rows, periods, draws, AHEAD, shares, asked)
        assert list(found.columns) == PAYBACK.names
        assert found[["channel", "cohort"]].to_numpy().tolist() == [["all", "all"], ["all", "2024-05"]]
        return found.iloc[0]

    first = row(5.0)
    assert (first["state"], first["payback_days"]) == ("paid back", 0)
    assert first["margin_so_far"] == pytest.approx(10)
    assert first["margin"] == pytest.approx(12.5)
    assert first["value_to_cost"] == pytest.approx(2.5)
    assert first["value_to_cost_low_80"] == pytest.approx((10 + 2.5 * 0.6) / 5)
    # 5 more of margin within June's 30 days: 7.5 are reached after 15, seen on the next whole week.
    assert (row(7.5)["state"], row(7.5)["payback_days"]) == ("paid back", 21)
    # 11.5 are reached with July's 1.5, that is after 61 days.
    expected = row(11.5)
    assert (expected["state"], expected["payback_days"]) == ("expected", 63)
    assert expected["payback_low_80"] < 63 < expected["payback_high_80"]
    never = row(20.0)
    assert (never["state"], never["payback_days"]) == ("not yet", 92)


def test_costs_by_channel_and_cohort(tmp_path):
    periods = between(dt.date(2024, 5, 31), dt.date(2024, 6, 30), "month")
    rows = _rows(
        ("2024-05-31", "web", 0, 6, 60.0, "2024-05", 6), ("2024-05-31", "shop", 0, 4, 40.0, "2024-05", 4)
    )
    _, draws = _expected(["2024-05"], {"2024-05": 1.0})
    shares = {("2024-05", "web"): np.full(2, 0.8), ("2024-05", "shop"): np.full(2, 0.2)}
    path = tmp_path / "costs.csv"

    def table(text):
        path.write_text(text)
        asked = Settings.make({"forecast": {"acquisition_cost": str(path)}})
        found = payback(rows, periods, draws, AHEAD, shares, asked)
        return found.set_index(["channel", "cohort"])

    both = table("channel,cost\nweb,5\nshop,10\n")
    assert both.loc[("web", "all"), "margin"] == pytest.approx((60 + 0.8 * 50) / 6)
    assert both.loc[("shop", "2024-05"), "margin"] == pytest.approx((40 + 0.2 * 50) / 4)
    assert both.loc[("all", "all"), "cost"] == pytest.approx((6 * 5 + 4 * 10) / 10)
    only = table("channel,cost\nweb,5\n")  # what has no cost is not in the sum either
    assert set(only.index.get_level_values("channel")) == {"all", "web"}
    assert only.loc[("all", "all"), "customers"] == 6
    assert table("cohort,cost\n2024-05,5\n").loc[("shop", "all"), "cost"] == 5
    for text, message in (
        ("channel,cost\nweb,-1\n", "above 0"),
        ("channel,cost\nweb,1\nweb,2\n", "more than once"),
        ("cost\n1\n", "above 0, beside a channel"),
        ("channel,cost\nradio,1\n", "does not know: radio"),
        ("channel,price\nweb,1\n", "cannot read the costs"),
    ):
        with pytest.raises(ConfigError) as caught:
            table(text)
        assert message in str(caught.value)


def test_channels_share_the_cohorts_expectation(cdnow_like):
    base, people = cdnow_like
    cohort = pd.Series(np.where(np.arange(len(people)) % 3, "a", "b"), people.index)
    channel = pd.Series(np.where(np.arange(len(people)) % 2, "web", "shop"), people.index)
    days = np.array([30.0, 90.0])
    factor = np.linspace(0.5, 2, len(people))
    found = channel_shares(base, people, factor, cohort, channel, days)
    expected = base.value_model.purchases_.expected_periods(people, days)
    expected = expected * (base.expected_spend(people) * factor)[:, None]
    for name in ("a", "b"):
        whole = expected[(cohort == name).to_numpy()].sum(axis=0)
        some = expected[((cohort == name) & (channel == "web")).to_numpy()].sum(axis=0)
        np.testing.assert_allclose(found[name, "web"], some / whole)
        np.testing.assert_allclose(found[name, "web"] + found[name, "shop"], 1)


@pytest.fixture(scope="module")
def cdnow_like():
    from clvseg.data.features import customer_features
    from clvseg.data.simulate import simulate_transactions
    from clvseg.learning import value_fitter
    from clvseg.value.origins import ModelBase

    tx = Transactions.read(simulate_transactions(200, days=300, seed=5))
    people = customer_features(tx, tx.last_day)
    settings = Settings.make({"value": {"purchases": "mbg_nbd"}}).value
    base = ModelBase.fit(people, value_fitter(settings), 90, 90)
    assert isinstance(base.value_model.purchases_, ModifiedBetaGeoModel)
    return base, people
