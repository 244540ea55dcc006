"""What every estimator of this room owes: scikit-learn's contract, and predictions that make sense."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    PurchaseModel,
    ValueModel,
)

KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel, ModifiedBetaGeoCNBDModel]
# Shrinking a failure takes minutes here: each example is many quadratures.
QUICK = settings(
    deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
HORIZONS = [0.0, 1.0, 90.0, 3650.0, 1e6]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def predictions(model, summary, days=90.0):
    return {
        "alive": model.probability_alive(summary),
        "purchases": model.expected_purchases(summary, days),
        "active": model.probability_active(summary, days),
        "discounted": model.discounted_purchases(summary, days, 0.1),
    }


def assert_sane(model, summary, days):
    """Finite, not negative; probabilities in 0..1; no more purchases discounted than not."""
    found = predictions(model, summary, days)
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name
    assert (found["alive"] <= 1).all()
    assert (found["active"] <= 1).all()
    assert (found["active"] <= found["alive"] + 1e-9).all()
    assert (found["active"] <= found["purchases"] + 1e-9).all()
    assert (found["discounted"] <= found["purchases"] * (1 + 1e-9)).all()


def test_estimators_know_their_settings(kind):
    model = kind()
    assert clone(model).get_params() == model.get_params()
    assert kind(**model.get_params()).get_params() == model.get_params()
    value = ValueModel(kind(), GammaGammaModel())
    assert set(value.get_params(deep=False)) == {"purchases", "spend"}
    assert clone(value).set_params(purchases=BetaGeoModel()).purchases.__class__ is BetaGeoModel


def test_fit_leaves_its_input_and_can_be_repeated(kind, cdnow_days):
    before = cdnow_days.copy(deep=True)
    model = kind()
    assert model.fit(cdnow_days) is model
    first = dict(model.params_)
    pd.testing.assert_frame_equal(cdnow_days, before)
    half = cdnow_days.iloc[::2]
    assert model.fit(half).params_ != first
    assert model.fit(cdnow_days).params_ == first


def test_pickle_and_dict_give_the_same_predictions(kind, cdnow_days):
    model, some = kind().fit(cdnow_days), cdnow_days.iloc[:200]
    for copy in (
        pickle.loads(pickle.dumps(model)),
        PurchaseModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True))),
    ):
        assert type(copy) is kind
        assert copy.fit_report_ == model.fit_report_
        assert list(copy.params_) == list(model.params_)  # rows of draws are in this order
        again = predictions(copy, some)
        for name, values in predictions(model, some).items():
            np.testing.assert_array_equal(again[name], values)


def test_order_of_rows_does_not_matter(kind, cdnow_days):
    shuffled = cdnow_days.sample(frac=1, random_state=1)
    model, other = kind().fit(cdnow_days), kind().fit(shuffled)
    assert model.params_ == other.params_
    back = pd.Series(other.expected_purchases(shuffled, 90), shuffled.index).reindex(cdnow_days.index)
    np.testing.assert_allclose(model.expected_purchases(cdnow_days, 90), back, rtol=1e-12)


def test_cross_validation_runs(kind, cdnow_days):
    scores = cross_val_score(kind(), cdnow_days, cv=3)
    assert np.isfinite(scores).all()
    assert scores.max() < kind().fit(cdnow_days).score(cdnow_days) + 1


@pytest.mark.parametrize("factor", [1 / 7, 24.0, 1 / 365.25, 86_400.0])
def test_the_unit_of_time_does_not_matter(kind, cdnow_days, factor):
    scaled = cdnow_days.assign(recency=cdnow_days["recency"] * factor, T=cdnow_days["T"] * factor)
    # Sums of decimals may put recency a rounding error above T.
    scaled["recency"] = np.minimum(scaled["recency"], scaled["T"])
    model, other = kind().fit(cdnow_days), kind().fit(scaled)
    np.testing.assert_allclose(
        other.expected_purchases(scaled, 90 * factor), model.expected_purchases(cdnow_days, 90), rtol=1e-6
    )
    np.testing.assert_allclose(
        other.probability_alive(scaled), model.probability_alive(cdnow_days), rtol=1e-6
    )
    per_purchase = np.log(factor) * cdnow_days["frequency"].mean()
    assert other.score(scaled) == pytest.approx(model.score(cdnow_days) - per_purchase, abs=1e-8)


@pytest.mark.parametrize("factor", [0.01, 1e4])
def test_the_unit_of_money_does_not_matter(cdnow, factor):
    scaled = cdnow.assign(monetary_value=cdnow["monetary_value"] * factor)
    model, other = GammaGammaModel().fit(cdnow), GammaGammaModel().fit(scaled)
    np.testing.assert_allclose(other.expected_spend(scaled), factor * model.expected_spend(cdnow), rtol=1e-6)


def test_an_unfitted_model_says_so(kind, cdnow_days):
    with pytest.raises(NotFittedError):
        kind().probability_alive(cdnow_days)
    with pytest.raises(NotFittedError):
        GammaGammaModel().expected_spend(cdnow_days)
    with pytest.raises(NotFittedError):
        ValueModel(kind(), GammaGammaModel()).expected_purchases(cdnow_days, 90)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency": [-1, 2]}, "a negative value in 1 of 2 rows"),
        ({"frequency": [0.5, 2]}, "no whole number"),
        ({"recency": [0, 99]}, "recency after T"),
        ({"recency": [4, 5]}, "recency without a repeat purchase"),
        ({"T": [np.nan, 30]}, "a missing or infinite value"),
        ({"T": [np.inf, 30]}, "a missing or infinite value"),
    ],
)
def test_impossible_summaries_are_refused(kind, change, message):
    summary = pd.DataFrame({"frequency": [0, 2], "recency": [0, 20], "T": [30, 30]}).assign(**change)
    with pytest.raises(DataError, match=message):
        kind().fit(summary)


def test_missing_columns_and_no_customers(kind):
    with pytest.raises(MissingColumnsError, match="no column 'T'"):
        kind().fit(pd.DataFrame({"frequency": [1], "recency": [1]}))
    with pytest.raises(DataError, match="no customers"):
        kind().fit(pd.DataFrame({"frequency": [], "recency": [], "T": []}))
    with pytest.raises(DataError, match="T is 0 for all"):
        kind().fit(pd.DataFrame({"frequency": [0], "recency": [0], "T": [0]}))
    with pytest.raises(DataError, match="days must be"):
        kind().fit(pd.DataFrame({"frequency": [1, 0], "recency": [9, 0], "T": [9, 9]})).expected_purchases(
            pd.DataFrame({"frequency": [1], "recency": [1], "T": [1]}), -1
        )


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0, 10)],
        [(1, 5, 10)],
        [(0, 0, 10)] * 50,
        [(10_000, 100, 100), (0, 0, 100)],
        [(3, 0, 10), (1, 0, 10)],
        [(0, 0, 0), (0, 0, 0), (2, 5, 9)],
        [(i % 7, 3.0 * (i % 7), 30) for i in range(300)],
    ],
)
def test_odd_summaries_give_sane_predictions(kind, rows):
    summary = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    model = kind().fit(summary)
    assert model.fit_report_.status in ("converged", "at bound", "not identified")
    assert (model.fit_report_.status == "converged") == bool(model.fit_report_.standard_errors)
    distinct = summary.drop_duplicates()
    for days in HORIZONS:
        assert_sane(model, distinct, days)
        assert 0 <= model.expected_purchases_new(days) < np.inf


ages = st.floats(0, 1e4, allow_nan=False)


@settings(QUICK, max_examples=25)
@given(
    kind=st.sampled_from(KINDS),
    logs=st.lists(st.floats(-9.2, 9.2), min_size=4, max_size=4),
    rows=st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 1), ages), min_size=1, max_size=8),
    days=st.floats(0, 1e5),
    k=st.integers(1, 12),
)
def test_predictions_are_sane_anywhere_in_the_box(kind, logs, rows, days, k):
    """Any parameters the search may end at, any history, any horizon; more days never give less."""
    model = kind()
    if kind is ModifiedBetaGeoCNBDModel:
        model.k_ = k
    model.params_ = dict(zip(model._coordinates.names, np.exp(logs), strict=True))
    summary = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    summary["recency"] *= summary["T"] * (summary["frequency"] > 0)
    assert_sane(model, summary, days)
    more = predictions(model, summary, days * 1.5 + 1)
    later = model.probability_alive(summary, days)
    assert (later <= model.probability_alive(summary) + 1e-12).all()
    assert (later >= 0).all()
    window = model.expected_purchases(summary, 0.5 * days + 1, after=days)
    np.testing.assert_allclose(
        window, more["purchases"] - model.expected_purchases(summary, days), rtol=1e-9, atol=1e-12
    )
    for name, values in predictions(model, summary, days).items():
        # Pareto/NBD: one minus a ratio of likelihoods whose logs are known to 1e-11.
        assert (more[name] >= values * (1 - 1e-7) - 1e-10).all(), name


@settings(QUICK, max_examples=20)
@given(
    frequency=st.lists(st.integers(0, 5000), min_size=2, max_size=29),
    logs=st.lists(st.floats(-5, 14), min_size=30, max_size=30),
)
def test_spend_is_sane_for_any_amounts(frequency, logs):
    frame = pd.DataFrame({"frequency": [1, *frequency], "monetary_value": np.exp(logs[: len(frequency) + 1])})
    model = GammaGammaModel().fit(frame)
    spend = model.expected_spend(frame)
    assert np.isfinite(spend).all()
    assert (spend > 0).all()
    assert spend.max() <= 1.001 * frame["monetary_value"].max()
    assert 0 < model.population_spend_ <= frame["monetary_value"].max()


def test_spend_without_a_finite_mean_uses_the_median(rng):
    """q = .7: the population mean is infinite; predictions stay in the range seen and keep the order."""
    nu = rng.gamma(0.7, 1 / 15, 4000)
    frame = pd.DataFrame({"frequency": 3, "monetary_value": rng.gamma(6 * 3, 1 / (3 * nu))})
    model = GammaGammaModel().fit(frame)
    assert model.params_["q"] < 1
    assert model.uses_median_
    spend = model.expected_spend(frame)
    assert np.isfinite(spend).all()
    assert spend.max() <= frame["monetary_value"].max()
    assert (np.diff(spend[np.argsort(frame["monetary_value"])]) >= 0).all()
    # Half of the customers' means lie above the population's median.
    assert (6 / nu > model.population_spend_).mean() == pytest.approx(0.5, abs=0.03)


def test_spend_needs_amounts():
    with pytest.raises(DataError, match="no customer has an order"):
        GammaGammaModel().fit(pd.DataFrame({"frequency": [0, 1], "monetary_value": [5.0, 0.0]}))
    with pytest.raises(MissingColumnsError, match="monetary_value"):
        GammaGammaModel().fit(pd.DataFrame({"frequency": [1]}))


def test_value_model(cdnow_days):
    model = ValueModel(ModifiedBetaGeoModel(), GammaGammaModel()).fit(cdnow_days, cdnow_days)
    value = model.expected_value(cdnow_days, cdnow_days, 365)
    np.testing.assert_allclose(
        value, model.expected_purchases(cdnow_days, 365) * model.expected_spend(cdnow_days)
    )
    np.testing.assert_allclose(model.lifetime_value(cdnow_days, cdnow_days, 365, 0.0, 0.3), 0.3 * value)
    discounted = model.lifetime_value(cdnow_days, cdnow_days, 365, 0.2, 1.0)
    assert (discounted < value).all()
    assert (discounted > value / 1.2).all()
    copy = ValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(copy.lifetime_value(cdnow_days, cdnow_days, 365, 0.2, 1.0), discounted)
    with pytest.raises(DataError, match="same customers"):
        model.expected_value(cdnow_days, cdnow_days.iloc[::-1], 365)
