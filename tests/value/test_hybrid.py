"""Value by boosting: the level, the fallbacks, repeatability, and the identity SHAP relies on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import mean_tweedie_deviance

from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import GammaGammaModel, ParetoNBDModel, ValueModel
from clvseg.value.hybrid import HybridValueModel, OriginErrors, match_spread, tweedie_deviance
from clvseg.value.origins import build_panel
from clvseg.value.past_rate import past_value

CUTOFF, DAYS = dt.date(1997, 12, 31), 181


def fit_model(summary: pd.DataFrame, spend: pd.DataFrame) -> ValueModel:
    return ValueModel(ParetoNBDModel(), GammaGammaModel()).fit(summary, spend)


@pytest.fixture(scope="module")
def tx():
    return Transactions.read("dataset:cdnow_sample")


@pytest.fixture(scope="module")
def panel(tx):
    return build_panel(tx, CUTOFF, DAYS, fit_model)[0]


@pytest.fixture(scope="module")
def model(panel):
    return HybridValueModel(seed=3).fit(panel)


def test_boosting_is_used_on_cdnow(model):
    assert model.reason == ""
    weights = [weight for weight, _ in model.parts]
    assert weights == pytest.approx([0.4 * model.spread, 0.6 * model.spread])
    assert model.evidence["gain"] > 0
    assert model.evidence["sureness"] > 1


def test_raw_is_the_weighted_boosters_plus_the_offset(panel, model):
    frame = panel.current.sample(200, random_state=1)
    by_hand = model.offset(frame) + sum(
        weight * booster.predict(frame[model.features], raw_score=True) for weight, booster in model.parts
    )
    assert model.raw(frame) == pytest.approx(by_hand, abs=1e-9)
    assert model.predict(frame) == pytest.approx(np.exp(by_hand))


def test_the_total_is_the_models_own_moved_by_the_errors_at_the_origins(panel, model):
    total = panel.current["horizon_value"].sum() * np.exp(model.errors.correction)
    assert model.predict(panel.current).sum() == pytest.approx(total)


def test_origin_errors_by_hand(panel):
    errors = OriginErrors.measure(panel)
    newest = panel.origin == 0
    rows, came = panel.rows[newest], panel.outcome[newest]
    purchases = np.log(came["purchases"].sum() / rows["expected_purchases"].sum())
    assert errors.purchases[0] == pytest.approx(purchases)
    assert errors.spend[0] == pytest.approx(
        np.log(came["value"].sum() / rows["expected_value"].sum()) - purchases
    )
    assert OriginErrors((0.4, 0.9), (0.1, 0.3)).correction == pytest.approx(0.75 * 0.2 + 0.25 * 0.4)
    assert OriginErrors((0.4, 0.9), (0.1, 0.3), chance=0.15).correction == pytest.approx(0.125)
    assert OriginErrors().correction == 0.0
    assert 0.02 < errors.chance < 0.1


def test_spread_is_moved_three_quarters_of_the_way_to_the_guided_models(panel, model):
    frame = panel.current
    (_, guided), (_, free) = model.parts
    start = np.log(np.maximum(frame["horizon_value"] / frame["horizon_value"].mean(), 1e-3)).to_numpy()
    alone = guided.predict(frame[model.features], raw_score=True) + start
    mixed = 0.4 * alone + 0.6 * free.predict(frame[model.features], raw_score=True)
    assert model.spread == pytest.approx(match_spread(mixed, alone) ** 0.75)
    matched = np.exp(match_spread(mixed, alone) * mixed)
    shares = [
        (np.sort(v)[::-1].cumsum() / v.sum()).mean()
        for v in (np.exp(mixed), model.predict(frame), matched, np.exp(alone))
    ]
    assert shares[2] == pytest.approx(shares[3], abs=1e-8)
    assert min(shares[0], shares[2]) < shares[1] < max(shares[0], shares[2])


def test_spread_is_left_alone_where_nothing_matches():
    assert match_spread(np.zeros(5), np.linspace(0, 1, 5)) == 1.0


def test_same_panel_and_seed_same_bytes(panel, model):
    again = HybridValueModel(seed=3).fit(panel)
    assert json.dumps(again.to_dict()) == json.dumps(model.to_dict())
    assert np.array_equal(again.predict(panel.current), model.predict(panel.current))


def test_a_customer_is_worth_the_same_alone_and_among_others(panel, model):
    together = model.predict(panel.current)
    alone = np.concatenate([model.predict(panel.current.iloc[[k]]) for k in (0, 77, 2000)])
    assert np.array_equal(alone, together[[0, 77, 2000]])


def test_json_gives_identical_predictions(panel, model):
    again = HybridValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    assert np.array_equal(again.predict(panel.current), model.predict(panel.current))
    assert again.reason == model.reason
    assert again.errors == model.errors


def test_predictions_are_positive_and_finite(panel, model):
    predicted = model.predict(panel.current)
    assert (predicted > 0).all()
    assert np.isfinite(predicted).all()
    assert model.out_of_fold.shape == (len(panel.rows),)


def test_expecting_more_never_predicts_less(panel, model):
    # Monotone in the purchase and spend models' own expectations, all raised together.
    frame = panel.current
    names = ["expected_value", "expected_purchases", "horizon_value", "horizon_purchases"]
    raised = frame.assign(**{name: frame[name] * 1.5 for name in names})
    assert (model.raw(raised) >= model.raw(frame) - 1e-9).all()


def test_without_origins_the_models_own_value_is_used(panel):
    none = dataclasses.replace(
        panel,
        rows=panel.rows.iloc[:0],
        outcome=panel.outcome.iloc[:0],
        origin=panel.origin[:0],
        origins=(),
        reason="too short",
    )
    model = HybridValueModel().fit(none)
    assert model.parts == []
    assert model.reason == "too short"
    assert model.predict(panel.current) == pytest.approx(panel.current["horizon_value"].to_numpy(), rel=1e-3)


def test_boosting_that_does_not_help_is_not_used(panel):
    # Outcomes drawn from the purchase and spend models' own expectation: there is nothing to learn.
    rng = np.random.default_rng(0)
    came = rng.poisson(panel.rows["expected_purchases"])
    nothing = panel.outcome.assign(
        purchases=came, active=came > 0, value=came * panel.rows["expected_spend"].to_numpy()
    ).astype(float)
    model = HybridValueModel().fit(dataclasses.replace(panel, outcome=nothing))
    assert model.parts == []
    assert model.reason.startswith("boosting did not predict value better")
    assert model.past_rate_days == 0.0
    assert model.evidence["past_rate_gain"] < 0
    own = panel.current["horizon_value"].to_numpy() * np.exp(model.errors.correction)
    assert model.predict(panel.current) == pytest.approx(own, rel=1e-3)


def test_past_rates_are_used_where_they_were_surely_better(panel):
    # What followed is what the past rates say of those with a few orders; too few came back to boost.
    rows = panel.rows[(panel.origin == 0) & panel.rows["frequency"].between(1, 3)]
    rate = past_value(rows, panel.inner_days, rows["expected_value"].to_numpy())
    came = np.where(np.arange(len(rows)) < 190, 1.0, 0.0)
    thin = dataclasses.replace(
        panel,
        rows=rows,
        outcome=pd.DataFrame({"value": rate, "purchases": came, "active": came}, index=rows.index),
        origin=np.zeros(len(rows), dtype=np.int64),
        origins=panel.origins[:1],
    )
    model = HybridValueModel().fit(thin)
    assert model.reason.endswith("; past rates are in use, as they predicted value surely better there")
    assert model.evidence["past_rate_sureness"] > 2.5
    frame = panel.current
    ratio = model.predict(frame) / past_value(frame, DAYS, frame["horizon_value"].to_numpy())
    assert ratio == pytest.approx(np.full(len(ratio), ratio[0]), rel=1e-6)
    total = frame["horizon_value"].sum() * np.exp(model.errors.correction)
    assert model.predict(frame).sum() == pytest.approx(total)
    again = HybridValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    assert np.array_equal(again.predict(frame), model.predict(frame))


def test_few_buyers_are_named(panel):
    some = panel.origin == 2
    few = panel.rows[some].index[:300]
    small = some & panel.rows.index.isin(few)
    thin = dataclasses.replace(
        panel,
        rows=panel.rows[small],
        outcome=panel.outcome[small],
        origin=np.zeros(small.sum(), dtype=np.int64),
        origins=panel.origins[2:3],
    )
    assert HybridValueModel().fit(thin).reason.endswith("of 200 buyers needed at earlier cutoffs")


def test_deviance_differs_from_scikit_learns_by_a_constant():
    rng = np.random.default_rng(0)
    actual = rng.gamma(1, 2, 50)
    first, second = rng.gamma(2, 1, 50), rng.gamma(2, 1, 50)
    ours = tweedie_deviance(actual, first).mean() - tweedie_deviance(actual, second).mean()
    theirs = mean_tweedie_deviance(actual, first, power=1.5) - mean_tweedie_deviance(
        actual, second, power=1.5
    )
    assert ours == pytest.approx(theirs)


def test_asked_before_fit():
    with pytest.raises(NotFittedError, match="call fit first"):
        HybridValueModel().predict(pd.DataFrame())


def test_later_revenue_is_ranked_better_than_by_chance(tx, panel, model):
    later = outcomes(tx, CUTOFF, DAYS)["value"].to_numpy()
    predicted = model.predict(panel.current)
    top = np.argsort(-predicted)[: len(predicted) // 10]
    assert later[top].sum() / later.sum() > 0.4
    assert abs(predicted.sum() / later.sum() - 1) < 0.3
