"""SHAP values as tidy frames: they add up, say the same as loops would, and know how stable they are."""

from __future__ import annotations

import datetime as dt

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from clvseg.boosting import Panel, retrain
from clvseg.explain import (
    BASE,
    PROBABILITY_MODEL,
    ReasonCodes,
    driver_stability,
    drivers,
    raw_score,
    segment_contributions,
    shap_values,
    tidy_contributions,
)
from clvseg.frames import CONTRIBUTIONS
from tests.test_explain import SETTINGS, Model, customers


@pytest.fixture(scope="module")
def case():
    """A model that reads one of the purchase model's expectations beside the features."""
    frame = customers(600)
    frame = frame.assign(probability_active=1 / (1 + frame["since_last"] / 50), expected_value=3.0)
    frame = frame.assign(horizon_active=frame["probability_active"], horizon_value=20.0)
    gone = (frame["since_last"] > 150) * 1.0
    names = [*customers(1).columns, "probability_active"]
    model = Model(names, [(0.7, lgb.train(SETTINGS, lgb.Dataset(frame[names], gone), 25))])
    return model, frame, tidy_contributions(shap_values(model, frame), frame, "churn")


def test_contributions_of_a_customer_add_up_and_the_purchase_model_is_one_of_them(case):
    model, frame, tidy = case
    assert list(tidy.columns) == CONTRIBUTIONS.names
    sums = tidy.groupby("customer_id")["contribution"].sum()
    np.testing.assert_allclose(sums[frame.index], raw_score(model, frame), atol=1e-9)
    features = {*model.features, PROBABILITY_MODEL, BASE} - {"probability_active"}
    assert set(tidy["feature"]) == features
    assert len(tidy) == len(frame) * len(features)
    own = tidy[tidy["feature"] == PROBABILITY_MODEL].set_index("customer_id")
    values = shap_values(model, frame)
    expected = values[PROBABILITY_MODEL] + values["probability_active"]
    np.testing.assert_allclose(own["contribution"], expected, rtol=1e-12)
    np.testing.assert_allclose(own["value"], 1 - frame["horizon_active"])
    mine = tidy[tidy["feature"] == "since_last"].set_index("customer_id")["value"]
    np.testing.assert_array_equal(mine, frame["since_last"])


def test_segments_are_set_apart_as_a_loop_finds(case):
    _, frame, tidy = case
    segment = pd.Series(np.where(frame["orders"] > 2, "Often", "Seldom"), index=frame.index)
    table = segment_contributions(tidy, segment).set_index(["segment", "feature"])
    for feature in ("since_last", "orders", PROBABILITY_MODEL):
        inside, outside = [], []
        for row in tidy[tidy["feature"] == feature].itertuples():
            (inside if segment[row.customer_id] == "Often" else outside).append(row.contribution)
        found = table.loc[("Often", feature)]
        assert found["inside"] == pytest.approx(np.mean(inside))
        assert found["difference"] == pytest.approx(np.mean(inside) - np.mean(outside))
    assert (table.loc["Often", "difference"].abs().diff().dropna() <= 1e-12).all()
    assert BASE not in table.index.get_level_values("feature")


def test_one_segment_has_no_rest(case):
    _, frame, tidy = case
    table = segment_contributions(tidy, pd.Series("All", index=frame.index))
    assert np.isfinite(table[["inside", "outside", "difference"]].to_numpy()).all()
    assert (table["outside"] == 0).all()


def table_of(importance: dict[str, float], target: str = "churn") -> pd.DataFrame:
    frame = pd.DataFrame({"target": target, "feature": list(importance), "importance": importance.values()})
    return frame.sort_values("importance", ascending=False, ignore_index=True)


def test_the_same_drivers_in_refits_agree():
    mine = table_of({"a": 3.0, "b": 2.0, "c": 1.0})
    table, agreement = driver_stability(mine, [mine, mine.assign(importance=mine["importance"] * 2)])
    assert agreement == {"churn": pytest.approx(1.0)}
    assert (table["rank"] == table["rank_low"]).all()
    assert (table["rank"] == table["rank_high"]).all()


def test_agreement_is_the_mean_rank_correlation_over_what_either_uses():
    mine = table_of({"a": 3.0, "b": 2.0, "c": 1.0})
    refits = [table_of({"c": 5.0, "a": 4.0, "d": 0.5}), table_of({"a": 1.0, "b": 0.9, "c": 0.2})]
    table, agreement = driver_stability(mine, refits)
    first = spearmanr([3, 2, 1, 0, 0][:4], [4, 0, 5, 0.5]).statistic
    # The second refit never saw d, which still counts as one that moves nothing.
    second = spearmanr([3, 2, 1, 0], [1, 0.9, 0.2, 0]).statistic
    assert agreement["churn"] == pytest.approx((first + second) / 2)
    ranks = table.set_index("feature")[["rank", "rank_low", "rank_high"]]
    assert ranks.loc["a"].tolist() == [1, 1, 2]
    assert ranks.loc["b"].tolist() == [2, 2, 4]
    assert ranks.loc["c"].tolist() == [3, 1, 3]


def test_targets_without_a_refit_have_no_agreement():
    both = pd.concat([table_of({"a": 1.0, "b": 0.5}), table_of({"a": 1.0}, "value")], ignore_index=True)
    table, agreement = driver_stability(both, [table_of({"b": 1.0, "a": 0.5})])
    assert agreement == {"churn": pytest.approx(-1.0)}
    assert table.loc[table["target"] == "value", ["rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1]]


def test_a_drivers_rank_is_that_of_the_table(case):
    model, frame, _ = case
    mine = drivers(shap_values(model, frame), frame, "churn")
    table, _ = driver_stability(mine, [mine])
    assert table["rank"].tolist() == list(range(1, len(mine) + 1))


@pytest.mark.parametrize("currency", ["EUR", None])
def test_what_is_told_adds_up_and_names_the_currency(case, currency):
    model, frame, _ = case
    codes = ReasonCodes(currency=currency).fit(model, frame)
    one = frame.iloc[[7]]
    for target in ("churn", "value"):
        told = codes.tell(shap_values(model, one), one, target)
        assert told["contribution"].sum() == pytest.approx(raw_score(model, one)[0])
        spent = told.set_index("what")["text"]["spend"]
        assert spent.startswith("spent EUR " if currency else "spent ")
        assert ("EUR" in spent) == bool(currency)
        assert (told["text"] != "").all()
    again = ReasonCodes.from_dict(codes.to_dict())
    pd.testing.assert_frame_equal(again.tell(shap_values(model, one), one, "churn"), codes.tell(
        shap_values(model, one), one, "churn"))  # fmt: skip


def test_a_draw_takes_customers_with_all_their_rows():
    ids = pd.Index(np.repeat(np.arange(40), 3), name="customer_id")
    rows = pd.DataFrame({"orders": np.arange(120.0)}, index=ids)
    day = dt.date(2024, 1, 1)
    panel = Panel(rows, np.tile([0, 1, 2], 40), rows * 2, rows, (day,) * 3, day, day, 30, 30)
    drawn = panel.resample(25, seed=4)
    times = drawn.rows.groupby(level=0).size()
    assert len(drawn.rows) == 75
    assert (times % 3 == 0).all()
    assert times.max() > 3
    np.testing.assert_array_equal(drawn.outcome["orders"], drawn.rows["orders"] * 2)
    np.testing.assert_array_equal(drawn.origin, drawn.rows["orders"].to_numpy() % 3)


def test_retrained_on_its_own_rows_with_its_own_seed_a_booster_is_the_same():
    frame = customers(400)
    gone = (frame["since_last"] > 100).to_numpy() * 1.0
    values = lgb.Dataset(frame.to_numpy(), gone, feature_name=list(frame.columns))
    booster = lgb.train(
        SETTINGS | {"objective": "binary", "bagging_fraction": 0.5, "bagging_freq": 1}, values, 12
    )
    same = retrain(booster, frame, gone, None, SETTINGS["seed"])
    other = retrain(booster, frame, gone, None, 9)
    assert same.num_trees() == other.num_trees() == 12
    np.testing.assert_array_equal(same.predict(frame), booster.predict(frame))
    assert np.abs(other.predict(frame) - booster.predict(frame)).max() > 1e-3
