"""The leaderboards on the CDNOW sample: every row is there, honest, and blind to the later period."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg import frames
from clvseg.churn.model import ChurnModel
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.evaluation import leaderboard as lb
from clvseg.evaluation.bootstrap import churn_bootstrap, value_bootstrap
from clvseg.value import GammaGammaModel, ModifiedBetaGeoModel, ValueModel
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.origins import build_panel

CUTOFF, DAYS = dt.date(1997, 9, 30), 120


@pytest.fixture(scope="module")
def judged():
    tx = Transactions.read("dataset:cdnow_sample")
    panel, _ = build_panel(
        tx, CUTOFF, DAYS, lambda s, f: ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(s, f)
    )
    value, churn = HybridValueModel().fit(panel), ChurnModel().fit(panel)
    return tx, panel, value, churn, outcomes(tx, CUTOFF, DAYS)


def test_value_rows(judged):
    tx, panel, value, _, later = judged
    rows = lb.candidate_values(tx, panel, value, {"MBG/NBD": panel.current}, lb.lifetimes_rows(panel)[0])
    assert list(rows)[:4] == [lb.PAST_RATE, lb.LAST_PERIOD, lb.LIFETIMES_VALUE, "MBG/NBD + Gamma-Gamma"]
    assert list(rows)[-1] == lb.HYBRID
    table = lb.leaderboard(
        frames.LEADERBOARD_VALUE, value_bootstrap(later["value"].to_numpy(), rows, seed=1, draws=100)
    )
    assert list(table.columns) == frames.LEADERBOARD_VALUE.names
    assert list(table["model"]) == list(rows)
    assert (table["gini_low"] <= table["gini"]).all()
    assert (table["gini"] <= table["gini_high"]).all()
    assert (table["bias_low"] <= table["bias"]).all()
    assert (table["bias"] <= table["bias_high"]).all()
    ranked = table.set_index("model")["gini"]
    assert ranked[lb.HYBRID] > ranked[lb.LAST_PERIOD]


def test_lifetimes_says_why_its_row_is_missing(judged):
    tx, panel, value, _, _ = judged
    assert lb.lifetimes_rows(panel)[1] == {}
    free = dataclasses.replace(panel, current=panel.current.assign(monetary_value=0.0))
    peer, left_out = lb.lifetimes_rows(free)
    assert peer is None
    assert left_out == {
        lb.LIFETIMES_VALUE: "lifetimes' Gamma-Gamma needs repeat buyers. none in the summary."
    }
    assert lb.LIFETIMES_VALUE not in lb.candidate_values(tx, free, value, {}, peer)


def test_churn_rows_are_probabilities(judged):
    _, panel, _, churn, later = judged
    rows = lb.candidate_probabilities(panel, churn, {"MBG/NBD": panel.current}, lb.lifetimes_rows(panel)[0])
    assert list(rows)[:3] == [lb.SINCE_LAST, lb.LIFETIMES_CHURN, "MBG/NBD"]
    for probability in rows.values():
        assert ((probability > 0) & (probability <= 1)).all()
    table = lb.leaderboard(
        frames.LEADERBOARD_CHURN, churn_bootstrap(1 - later["active"].to_numpy(), rows, seed=1, draws=100)
    )
    money = [name for name in frames.LEADERBOARD_CHURN.names if name.startswith("empc")]
    assert [*table.columns, *money] == frames.LEADERBOARD_CHURN.names
    assert (table["auc"] > 0.6).all()


def test_past_rate_by_hand(judged):
    tx, panel, value, _, _ = judged
    rate = lb.candidate_values(tx, panel, value, {}, None)[lb.PAST_RATE]
    place = int(panel.current["frequency"].to_numpy().argmax())
    customer = panel.current.iloc[place]
    assert rate[place] == pytest.approx(customer["frequency"] / customer["T"] * DAYS * customer["mean_spend"])
    assert (rate[(panel.current["frequency"] == 0).to_numpy()] == 0).all()


def test_last_period_by_hand(judged):
    tx, panel, value, _, _ = judged
    last = pd.Series(
        lb.candidate_values(tx, panel, value, {}, None)[lb.LAST_PERIOD], index=panel.current.index
    )
    known = outcomes(tx, CUTOFF - dt.timedelta(days=DAYS), DAYS)["value"]
    assert last[known.index].to_numpy() == pytest.approx(known.to_numpy())


def test_last_period_is_everything_where_the_history_is_shorter(judged):
    tx, panel, *_ = judged
    got = lb._last_period(tx, panel.current, CUTOFF, 400)
    assert got == pytest.approx(panel.current["past_revenue"].to_numpy())


def test_days_since_last_order_ranks_by_days_alone(judged):
    panel = judged[1]
    probability = pd.Series(lb.since_last_probability(panel))
    by_day = probability.groupby(panel.current["since_last"].to_numpy()).agg(["min", "max"])
    assert (by_day["max"] - by_day["min"] < 1e-12).all()
    assert by_day["max"].is_monotonic_increasing


def test_the_candidates_do_not_look_beyond_the_cutoff(judged):
    tx, panel, value, *_ = judged
    blind = lb.candidate_values(tx.split(CUTOFF), panel, value, {}, None)
    for name, predicted in lb.candidate_values(tx, panel, value, {}, None).items():
        assert np.array_equal(predicted, blind[name]), name


def test_an_empty_later_period_is_an_error(judged):
    with pytest.raises(DataError, match="without later revenue"):
        value_bootstrap(np.zeros(3), {"m": np.ones(3)}, seed=1)
