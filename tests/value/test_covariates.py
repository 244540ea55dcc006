"""Static covariates: oracles, recovery, the contract of estimators, and columns as numbers."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import (
    BetaGeoModel,
    CovariateModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    PurchaseModel,
    ValueModel,
)
from clvseg.value.encoding import Encoding
from clvseg.value.equations import betageo, effects, pareto
from clvseg.value.equations.counts import Counts

KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel]
TRUTH = {
    BetaGeoModel: {"r": 0.8, "alpha": 30.0, "a": 0.9, "b": 2.5},
    ModifiedBetaGeoModel: {"r": 0.8, "alpha": 40.0, "a": 0.9, "b": 1.6},
    ParetoNBDModel: {"r": 0.8, "alpha": 30.0, "s": 0.9, "beta": 90.0},
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def simulated(kind, n, seed):
    """Customers with a channel and an age; the web buys e^.5 times as often, a year of age e^.02 times.

    Dropout, or its odds, is e^.6 times as high on the web.
    """
    rng = np.random.default_rng(seed)
    web, age = rng.uniform(size=n) < 0.4, rng.normal(40, 12, n)
    T = rng.uniform(50, 400, n)
    truth = TRUTH[kind]
    rate = rng.gamma(truth["r"], 1 / truth["alpha"], n) * np.exp(0.5 * web + 0.02 * (age - 40))
    if kind is ParetoNBDModel:
        leaving = rng.gamma(truth["s"], 1 / truth["beta"], n) * np.exp(0.6 * web)
        span = np.minimum(T, rng.exponential(1 / leaving))
        x = rng.poisson(rate * span)
        last = np.where(x > 0, span * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0.0)
    else:
        drop = rng.beta(truth["a"] * np.exp(0.3 * web), truth["b"] * np.exp(-0.3 * web))
        life = rng.geometric(np.maximum(drop, 1e-12)) - (kind is ModifiedBetaGeoModel)
        clock, x, last = np.zeros(n), np.zeros(n, int), np.zeros(n)
        going = np.flatnonzero(life > 0)
        while len(going):
            clock[going] += rng.exponential(1 / rate[going])
            going = going[clock[going] <= T[going]]
            x[going] += 1
            last[going] = clock[going]
            going = going[x[going] < life[going]]
    frame = pd.DataFrame({"frequency": x, "recency": last, "T": T, "age": age})
    return frame.assign(channel=np.where(web, "web", "shop"))


def model_of(kind, purchase=("channel", "age"), dropout=("channel",)):
    return CovariateModel(kind(), purchase=list(purchase), dropout=list(dropout))


@pytest.fixture(scope="module")
def fits():
    """One fit for each kind of model, with its data."""
    out = {}
    for kind in KINDS:
        data = simulated(kind, 4000, 1).round({"recency": 0, "T": 0, "age": 0})
        data["recency"] = np.minimum(data["recency"], data["T"]) * (data["frequency"] > 0)
        out[kind] = data, model_of(kind).fit(data)
    return out


def predictions(model, summary):
    return {
        "alive": model.probability_alive(summary),
        "purchases": model.expected_purchases(summary, 90),
        "active": model.probability_active(summary, 90),
        "discounted": model.discounted_purchases(summary, 90, 0.1),
        "counts": model.probability_counts(summary, 90, 3),
        "wait": model.days_to_next_purchase(summary),
        "late": model.days_late(summary),
    }


def derivatives(kind):
    return kind()._row_derivatives


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_is_the_plain_one_of_each_customer(kind, rng):
    """Value, customer by customer, with alpha_i, a_i, b_i, beta_i written out as in the paper."""
    n = 12
    x = np.sort(rng.poisson(2, n)).astype(float)
    T = rng.uniform(0.5, 3, n)
    t_x = np.where(x > 0, T * rng.uniform(size=n), 0)
    z, w = rng.normal(size=(n, 2)), rng.integers(1, 4, n).astype(float)
    coordinates, directions = kind._coordinates, np.array(list(kind._effects.values()))
    theta = rng.normal(0, 0.5, 4 + 2 + (len(directions) - 1))
    columns = (z, *[z[:, :1]] * (len(directions) - 1))
    design = effects.Design(Counts(x, t_x, T, w, 1.0), columns)
    found = effects.log_likelihood(theta, design, coordinates.transform, directions, derivatives(kind))
    r, alpha, third, fourth = coordinates.parameters(theta[:4])
    total = 0.0
    for i in range(n):
        alpha_i = alpha * np.exp(-z[i] @ theta[4:6])
        if kind is ParetoNBDModel:
            own = (r, alpha_i, third, fourth * np.exp(-z[i, 0] * theta[6]))
        else:
            gamma_a, gamma_b = theta[6] / 2 + theta[7], -theta[6] / 2 + theta[7]
            own = (r, alpha_i, third * np.exp(gamma_a * z[i, 0]), fourth * np.exp(gamma_b * z[i, 0]))
        one = Counts(x[i : i + 1], t_x[i : i + 1], T[i : i + 1], np.ones(1), 1.0)
        likelihood = (
            pareto.log_likelihood(np.array(own), one)
            if kind is ParetoNBDModel
            else betageo.log_likelihood(np.array(own), one, kind._chances)
        )
        total += w[i] * likelihood[0]
    assert found[0] == pytest.approx(total / w.sum(), rel=1e-12)

    def at(point):
        return effects.log_likelihood(point, design, coordinates.transform, directions, derivatives(kind))

    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        up, down = at(theta + step), at(theta - step)
        assert found[1][i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-6, abs=1e-8)
        np.testing.assert_allclose(found[2][i], (up[1] - down[1]) / 2e-5, rtol=1e-5, atol=1e-7)


def test_effects_come_back(kind):
    data = simulated(kind, 10_000, 2)
    model = model_of(kind).fit(data)
    assert model.fit_report_.status == "converged"
    truth = TRUTH[kind] | {"purchase: channel=web": 0.5, "purchase: age": 0.02, "dropout: channel=web": 0.6}
    # The reference is a customer of mean age.
    truth["alpha"] *= np.exp(-0.02 * (data["age"].mean() - 40))
    for name, value in truth.items():
        error = model.fit_report_.standard_errors[name]
        assert abs(model.params_[name] - value) < 4 * error, name
        assert error < 0.35 * abs(value), name
    if kind is not ParetoNBDModel:
        error = model.fit_report_.standard_errors["dropout alike: channel=web"]
        assert abs(model.params_["dropout alike: channel=web"]) < 4 * error
    assert model.likelihood_ratio_.p_value < 1e-6
    table = model.effects_
    assert (table["low"] < table["effect"]).all()
    assert (table["factor"] == np.exp(table["effect"])).all()


def test_an_attribute_without_effect_is_seen_as_such(kind, fits):
    """Standard errors are right in size: the test of a random attribute rejects about as often as it says."""
    data, rng = fits[kind][0].iloc[:1000], np.random.default_rng(5)
    p_values = []
    for _ in range(8):
        noise = data.assign(noise=rng.normal(size=len(data)))
        p_values.append(model_of(kind, ["noise"], []).fit(noise).likelihood_ratio_.p_value)
    # Of eight uniform numbers.
    assert min(p_values) > 1e-4
    assert 0.15 < np.mean(p_values) < 0.85


def test_without_columns_it_is_the_plain_model(kind, cdnow_days):
    plain, model = kind().fit(cdnow_days), model_of(kind, [], []).fit(cdnow_days)
    assert model.params_ == plain.params_
    assert model.fit_report_ == plain.fit_report_
    assert model.likelihood_ratio_.degrees == 0
    assert model.effects_.empty
    assert model.score(cdnow_days) == plain.score(cdnow_days)
    oracle = predictions(plain, cdnow_days)
    for name, values in predictions(model, cdnow_days).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-8, atol=1e-12, err_msg=name)


def test_effects_of_zero_are_the_plain_model(kind, fits):
    data = fits[kind][0].iloc[:300]
    model, plain = model_of(kind).fit(data), kind()
    model.params_ = {name: 0.0 if ":" in name else value for name, value in model.params_.items()}
    plain.params_ = {name: model.params_[name] for name in kind._coordinates.names}
    oracle = predictions(plain, data)
    for name, values in predictions(model, data).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-8, atol=1e-8, err_msg=name)
    assert model.score(data) == pytest.approx(plain.score(data), rel=1e-9)


def test_each_customer_is_predicted_with_own_parameters(kind, fits):
    data, model = fits[kind]
    some = data.sample(40, random_state=1)
    found = predictions(model, some)
    for i, (_, row) in enumerate(some.iterrows()):
        move = {process: model.params_.get(f"{process}: channel=web", 0.0) * (row["channel"] == "web")
                for process in kind._effects}  # fmt: skip
        move["purchase"] += model.params_["purchase: age"] * (row["age"] - data["age"].mean())
        plain, logs = kind(), np.zeros(4)
        for process, direction in kind._effects.items():
            logs += move[process] * np.array(direction)
        names = kind._coordinates.names
        own = np.array([model.params_[name] for name in names]) * np.exp(logs)
        plain.params_ = dict(zip(names, own, strict=True))
        oracle = predictions(plain, some.iloc[[i]])
        for name, values in oracle.items():
            np.testing.assert_allclose(found[name][i], values[0], rtol=1e-8, atol=1e-10, err_msg=name)


def test_contract(kind, fits):
    data, model = fits[kind]
    assert clone(model).get_params(deep=False).keys() == {"model", "purchase", "dropout"}
    before = data.copy(deep=True)
    shuffled = data.sample(frac=1, random_state=1)
    other = clone(model).fit(shuffled)
    pd.testing.assert_frame_equal(data, before)
    assert other.params_ == model.params_
    back = pd.Series(other.expected_purchases(shuffled, 90), shuffled.index).reindex(data.index)
    np.testing.assert_allclose(model.expected_purchases(data, 90), back, rtol=1e-12)
    some = data.iloc[:200]
    oracle = predictions(model, some)
    for copy in (
        pickle.loads(pickle.dumps(model)),
        PurchaseModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True))),
    ):
        assert type(copy) is CovariateModel
        assert copy.fit_report_ == model.fit_report_
        assert copy.likelihood_ratio_ == model.likelihood_ratio_
        for name, values in predictions(copy, some).items():
            np.testing.assert_array_equal(values, oracle[name])
    with pytest.raises(NotFittedError):
        clone(model).expected_purchases(data, 90)
    scores = cross_val_score(clone(model), data.iloc[:900], cv=2)
    assert np.isfinite(scores).all()


def test_units_do_not_matter(kind, fits):
    """Hours for days, months for years of age: the same customers, the same predictions."""
    data, model = fits[kind]
    hours = data.assign(recency=data["recency"] * 24, T=data["T"] * 24, age=data["age"] * 12)
    other = model_of(kind).fit(hours)
    np.testing.assert_allclose(
        other.expected_purchases(hours, 90 * 24), model.expected_purchases(data, 90), rtol=1e-6
    )
    assert other.params_["purchase: age"] == pytest.approx(model.params_["purchase: age"] / 12, rel=1e-6)
    per_purchase = np.log(24) * data["frequency"].mean()
    assert other.score(hours) == pytest.approx(model.score(data) - per_purchase, abs=1e-8)
    assert model.score(data) * len(data) == pytest.approx(model.fit_report_.log_likelihood, rel=1e-9)


def test_draws_and_bootstrap_agree_with_the_standard_errors(kind, fits, rng):
    data, model = fits[kind]
    drawn = model.draw_parameters(4000, rng)
    assert drawn.shape == (4000, len(model.params_))
    errors = np.array(list(model.fit_report_.standard_errors.values()))[4:]
    np.testing.assert_allclose(drawn[:, 4:].std(axis=0), errors, rtol=0.1)
    again = model.bootstrap_parameters(data, 20, rng)
    np.testing.assert_array_less(again[:, 4:].std(axis=0), 1.8 * errors)
    np.testing.assert_array_less(0.5 * errors, again[:, 4:].std(axis=0))
    simulated = model.simulate_purchases(data, 90, drawn[:40], rng)
    assert simulated.mean() == pytest.approx(model.expected_purchases(data, 90).mean(), rel=0.05)


def test_value_model_with_covariates(fits):
    data, _ = fits[ParetoNBDModel]
    spend = pd.DataFrame(
        {"frequency": data["frequency"] + 1, "monetary_value": 5 + data["age"] % 17}, data.index
    )
    model = ValueModel(model_of(ParetoNBDModel), GammaGammaModel()).fit(data, spend)
    value = model.lifetime_value(data, spend, 365, 0.1, 1.0)
    assert np.isfinite(value).all()
    copy = ValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(copy.lifetime_value(data, spend, 365, 0.1, 1.0), value)
    assert copy.lifetime_value_new(365, 0.1, 1.0) == model.lifetime_value_new(365, 0.1, 1.0)
    outcomes = model.simulate_outcomes(data, spend, 90, draws=20, seed=1)
    assert outcomes.with_parameters
    assert np.isfinite(outcomes.value).all()


def test_a_group_that_never_buys_is_reported(kind):
    """Its purchase effect runs to the bound: no standard errors, predictions still sane."""
    data = simulated(kind, 800, 3)
    idle = data["channel"] == "web"
    data.loc[idle, ["frequency", "recency"]] = 0
    model = model_of(kind, ["channel"], []).fit(data)
    assert model.fit_report_.status != "converged"
    assert "purchase: channel=web" in model.fit_report_.at_bound + model.fit_report_.flat
    assert list(model.effects_.columns) == ["process", "covariate", "effect", "factor"]
    for name, values in predictions(model, data).items():
        assert np.isfinite(values).all(), name
    assert model.expected_purchases(data, 90)[idle].max() < 0.01


def test_collinear_columns_are_reported(kind, fits):
    data = fits[kind][0].iloc[:800]
    model = model_of(kind, ["age", "months"], []).fit(data.assign(months=data["age"] * 12))
    assert model.fit_report_.status == "not identified"
    assert {"purchase: age", "purchase: months"} <= set(model.fit_report_.flat)
    single = model_of(kind, ["age"], []).fit(data)
    np.testing.assert_allclose(
        model.expected_purchases(data.assign(months=data["age"] * 12), 90),
        single.expected_purchases(data, 90),
        rtol=1e-4,
    )


def test_errors(kind, fits):
    data, model = fits[kind]
    with pytest.raises(MissingColumnsError, match="no column 'chanel'"):
        model_of(kind, ["chanel"], []).fit(data)
    with pytest.raises(MissingColumnsError, match="no column 'channel'"):
        model.expected_purchases(data.drop(columns="channel"), 90)
    with pytest.raises(DataError, match="does not take covariates"):
        CovariateModel(ModifiedBetaGeoCNBDModel(k=1), purchase=["channel"]).fit(
            data.iloc[:200].assign(log_gaps=0.0)
        )


def test_columns_become_numbers():
    frame = pd.DataFrame(
        {
            "age": [20.0, 30, np.nan, 40] * 20,
            "one": 7,
            "shop": ["a"] * 41 + ["b"] * 25 + ["c"] * 3 + ["d"] * 4 + [None] * 7,
            "member": [True, False] * 40,
        }
    )
    encoding = Encoding.fit(frame, ["age", "one", "shop", "member"])
    assert encoding.names == (
        "age", "age=(missing)", "shop=(missing)", "shop=b", "shop=(other)", "member=True"
    )  # fmt: skip
    assert encoding.owners == ("age", "age", "shop", "shop", "shop", "member")
    np.testing.assert_allclose(encoding.scales, [np.std([20, 30, 40]), 1, 1, 1, 1, 1])
    matrix = encoding.transform(frame)
    np.testing.assert_array_equal(matrix[[0, 2], :2], [[-10, 0], [0, 1]])
    np.testing.assert_array_equal(matrix[[0, 41, 66, 79], 2:5], [[0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert encoding.notes(frame) == ()
    later = pd.DataFrame({"age": [99.0], "one": [8], "shop": ["new"], "member": [None]}).astype(
        {"member": object}
    )
    np.testing.assert_array_equal(encoding.transform(later), [[10, 0, 0, 0, 1, 0]])
    assert encoding.notes(later) == (
        "age: 1 customers lie outside of 20 to 40 and count as its nearer end",
        "one: 1 customers lie outside of 7 to 7 and count as its nearer end",
        "shop: 1 customers with a value not of the fit (new) count as (other)",
        "member: 1 customers with a value not of the fit ((missing)) count as False",
    )
    assert Encoding.from_dict(json.loads(json.dumps(encoding.to_dict()))) == encoding
    with pytest.raises(DataError, match="holds dates"):
        Encoding.fit(frame.assign(day=pd.Timestamp("2026-01-01")), ["day"])
    with pytest.raises(DataError, match="infinite numbers"):
        Encoding.fit(frame.assign(age=np.inf), ["age"])
    with pytest.raises(DataError, match="was a number"):
        encoding.transform(later.assign(age="young"))
