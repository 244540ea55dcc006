"""The panel: what was known at each origin, what followed, and nothing from after the cutoff."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from clvseg import boosting
from clvseg.boosting import HORIZON_COLUMNS
from clvseg.config import DataSettings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError
from clvseg.value import GammaGammaModel, ModifiedBetaGeoModel, ValueModel
from clvseg.value.hybrid import HybridValueModel, OriginErrors
from clvseg.value.origins import MIN_INNER_DAYS, ModelBase, build_panel, plan_origins, spend_frame

CUTOFF, DAYS = dt.date(1997, 12, 31), 90


def fit_model(summary: pd.DataFrame, spend: pd.DataFrame) -> ValueModel:
    return ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(summary, spend)


@pytest.fixture(scope="module")
def tx():
    return Transactions.read("dataset:cdnow_sample")


@pytest.fixture(scope="module")
def built(tx):
    return build_panel(tx, CUTOFF, DAYS, fit_model)


def test_rows_are_features_and_outcomes_of_their_origin(tx, built):
    panel, base = built
    assert panel.origins == tuple(CUTOFF - dt.timedelta(days=d) for d in (90, 112, 134, 156))
    assert panel.inner_days == DAYS
    for position, origin in enumerate(panel.origins):
        here = panel.origin == position
        features = customer_features(tx, origin)
        pd.testing.assert_frame_equal(panel.rows.loc[here, list(features.columns)], features)
        pd.testing.assert_frame_equal(
            panel.outcome[here], outcomes(tx, origin, DAYS), check_dtype=False, check_names=False
        )
    assert list(panel.current.index) == list(customer_features(tx, CUTOFF).index)
    assert base.horizon_days == DAYS


def test_every_number_is_finite(built):
    panel, _ = built
    for frame in (panel.rows, panel.current):
        assert np.isfinite(frame.to_numpy(dtype=float)).all()
        assert frame["horizon_active"].between(0, 1).all()


def test_expectations_are_those_of_models_fitted_at_the_origin(tx, built):
    panel, _ = built
    features = customer_features(tx, panel.origins[1])
    then = ModelBase.fit(features, fit_model, DAYS, DAYS).frame(features)
    pd.testing.assert_frame_equal(panel.rows[panel.origin == 1], then)


def test_spend_from_the_orders_that_predicted_better(tx, built, rng):
    """All orders on CDNOW; repeats only where first orders say nothing of a customer's level."""
    assert built[1].spend_from == "all"
    log = simulate_transactions(1_500, days=400, acquisition_days=60, purchases="mbg_nbd", seed=9,
                                parameters={"r": 2.0, "alpha": 40.0, "a": 0.3, "b": 2.0},
                                spend={"p": 8.0, "q": 3.0, "v": 10.0})  # fmt: skip
    first = ~log.duplicated("customer_id")
    log.loc[first, "amount"] = rng.lognormal(4.0, 1.5, first.sum()).round(2) + 0.01
    odd = Transactions.read(log)
    as_of = odd.first_day + dt.timedelta(days=300)
    panel, base = build_panel(odd, as_of, DAYS, fit_model)
    assert base.spend_from == "repeats"
    features = customer_features(odd.split(as_of), as_of)
    repeats = features[["frequency", "monetary_value"]]
    np.testing.assert_allclose(
        panel.current["expected_spend"], GammaGammaModel().fit(repeats).expected_spend(repeats)
    )
    expected = panel.rows["expected_purchases"] * panel.rows["expected_spend"]
    np.testing.assert_allclose(panel.rows["expected_value"], expected)
    again = ModelBase.from_dict(json.loads(json.dumps(base.to_dict(), sort_keys=True)))
    pd.testing.assert_frame_equal(again.frame(features), panel.current)


def test_nothing_after_the_cutoff_changes_anything(tx, built):
    panel, base = built
    blind, blind_base = build_panel(tx.split(CUTOFF), CUTOFF, DAYS, fit_model)
    pd.testing.assert_frame_equal(panel.rows, blind.rows, check_exact=True)
    pd.testing.assert_frame_equal(panel.current, blind.current, check_exact=True)
    pd.testing.assert_frame_equal(panel.outcome, blind.outcome, check_exact=True)
    assert panel.origins == blind.origins
    assert json.dumps(base.to_dict()) == json.dumps(blind_base.to_dict())


def test_orders_invented_after_the_cutoff_change_nothing(rng):
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 6000), "D")
    lines = pd.DataFrame(
        {"customer_id": rng.integers(0, 700, 6000), "time": days, "amount": rng.gamma(2, 10, 6000)}
    )
    cutoff = dt.date(2024, 8, 1)
    late = lines["time"] > pd.Timestamp(cutoff)
    other = lines.assign(amount=lines["amount"].where(~late, 99_999.0))
    other.loc[late, "customer_id"] = other.loc[late, "customer_id"].sample(frac=1, random_state=1).to_numpy()
    panels = [
        build_panel(Transactions.read(frame, DataSettings()), cutoff, 60, fit_model)[0]
        for frame in (lines, other)
    ]
    pd.testing.assert_frame_equal(panels[0].rows, panels[1].rows, check_exact=True)
    pd.testing.assert_frame_equal(panels[0].current, panels[1].current, check_exact=True)
    pd.testing.assert_frame_equal(panels[0].outcome, panels[1].outcome, check_exact=True)


def test_outcomes_of_every_origin_end_by_the_cutoff(built):
    panel, _ = built
    for origin in panel.origins:
        assert origin + dt.timedelta(days=panel.inner_days) <= panel.as_of


def test_features_leave_out_what_would_mean_something_else_at_the_cutoff(built):
    panel, _ = built
    history = (min(panel.origins) - panel.first_day).days
    assert "orders_182d" in panel.rows.columns
    assert history < 364
    assert "orders_364d" not in panel.features
    assert not set(HORIZON_COLUMNS) & set(panel.features)
    assert {"since_last", "expected_value", "orders_28d"} <= set(panel.features)


@pytest.mark.parametrize("history", [0, 5, 27, 28, 60, 200, 400, 800, 3000])
@pytest.mark.parametrize("horizon", [1, 30, 91, 365])
def test_every_plan_fits_into_the_history(history, horizon):
    inner, days = plan_origins(history, horizon)
    assert inner <= max(1, horizon)
    assert inner <= max(1, history // 2)
    for before in days:
        assert inner <= before <= history - 28
    assert days == sorted(set(days))
    if inner < MIN_INNER_DAYS:
        assert days == []


def test_a_year_ago_is_an_origin_where_the_history_reaches():
    assert plan_origins(730, 90)[1] == [90, 112, 134, 156, 364]


def test_a_short_history_has_no_origins_and_says_why(tx):
    panel, base = build_panel(tx, dt.date(1997, 1, 25), 90, fit_model)
    assert panel.origins == ()
    assert len(panel.rows) == 0
    assert panel.features == []
    assert panel.reason == "the history is too short to hold back 14 days within it"
    assert np.isfinite(base.frame(panel.current).to_numpy(dtype=float)).all()


def test_an_origin_whose_fit_fails_is_left_out_and_named(tx):
    calls = []

    def fails_once(summary: pd.DataFrame, spend: pd.DataFrame) -> ValueModel:
        calls.append(len(summary))
        if len(calls) == 2:
            raise ConvergenceError("No start led anywhere.")
        return fit_model(summary, spend)

    panel, _ = build_panel(tx, CUTOFF, DAYS, fails_once)
    assert len(panel.origins) == 3
    assert panel.reason == "1 of 4 earlier cutoffs could not be used; 1997-10-02: No start led anywhere."


def test_origins_after_which_hardly_anybody_came_back_are_left_out(rng):
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 900), "D")
    lines = pd.DataFrame({"customer_id": np.arange(900) % 880, "time": days, "amount": 10.0})
    panel, _ = build_panel(Transactions.read(lines), dt.date(2024, 10, 1), 60, fit_model)
    assert panel.origins == ()
    assert panel.reason.startswith("4 of 4 earlier cutoffs could not be used; 2024-08-02: of ")


def test_one_huge_first_order_is_capped_at_the_best_known_customer():
    features = pd.DataFrame({"orders": [1.0, 2.0, 5.0, 3.0], "mean_spend": [77_000.0, 20.0, 80.0, 40.0]})
    spend = spend_frame(features, cap=80.0)
    assert spend["monetary_value"].tolist() == [80.0, 20.0, 80.0, 40.0]
    assert spend["frequency"].tolist() == [1.0, 2.0, 5.0, 3.0]


def test_base_survives_json(tx, built):
    panel, base = built
    again = ModelBase.from_dict(json.loads(json.dumps(base.to_dict(), sort_keys=True)))
    features = customer_features(tx, CUTOFF)
    pd.testing.assert_frame_equal(again.frame(features), panel.current, check_exact=True)


def test_boosters_learn_from_all_newest_rows_and_a_draw_of_the_others(built, monkeypatch):
    panel, _ = built
    assert panel.thin() is panel
    monkeypatch.setattr(boosting, "_MOST_ROWS", 6_000)
    thin = panel.thin()
    newest = panel.origin == 0
    assert len(thin.rows) == len(thin.origin) == len(thin.outcome) == 6_000
    pd.testing.assert_frame_equal(thin.rows[thin.origin == 0], panel.rows[newest])
    kept = np.bincount(thin.origin)[1:] / np.bincount(panel.origin)[1:]
    assert kept == pytest.approx(kept.mean(), abs=0.1)
    assert (np.diff(thin.origin) >= 0).all()
    # Models forget nothing but rows: the errors of the totals are those of everybody.
    model = HybridValueModel().fit(panel)
    assert model.errors == OriginErrors.measure(panel)
    assert len(model.out_of_fold) == 6_000
    # Where the newest origin is large, as many again.
    monkeypatch.setattr(boosting, "_MOST_ROWS", 100)
    assert len(panel.thin().rows) == 2 * newest.sum()
