"""Partial pooling: one group, recovery, shrinkage, tiny groups, and the contract of estimators."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoCNBDModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    PooledModel,
    PurchaseModel,
    ValueModel,
)
from clvseg.value.equations.pooling import Group, pool

KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel]
CENTRES = {
    BetaGeoModel: (0.8, 30.0, 0.9, 2.5),
    ModifiedBetaGeoModel: (0.8, 40.0, 0.9, 1.6),
    ParetoNBDModel: (0.8, 30.0, 0.9, 90.0),
}
GROUPS, DEVIATION = 30, 0.4


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def with_parameters(kind, values):
    model = kind()
    model.params_ = dict(zip(kind._coordinates.names, map(float, values), strict=True))
    return model


def histories(kind, parameters, n, rng):
    """Customers of one group, each event drawn."""
    T, rate = rng.uniform(50, 400, n), rng.gamma(parameters[0], 1 / parameters[1], n)
    if kind is ParetoNBDModel:
        life = rng.exponential(1 / rng.gamma(parameters[2], 1 / parameters[3], n))
        span = np.minimum(T, life)
        x = rng.poisson(rate * span)
        last = np.where(x > 0, span * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0.0)
    else:
        drop = np.maximum(rng.beta(*parameters[2:], n), 1e-12)
        chances = rng.geometric(drop) - (kind is ModifiedBetaGeoModel)
        clock, x, last = np.zeros(n), np.zeros(n, int), np.zeros(n)
        going = np.flatnonzero(chances > 0)
        while len(going):
            clock[going] += rng.exponential(1 / rate[going])
            going = going[clock[going] <= T[going]]
            x[going] += 1
            last[going] = clock[going]
            going = going[x[going] < chances[going]]
    return pd.DataFrame({"frequency": x, "recency": last, "T": T})


def simulated(kind, sizes, deviation, seed):
    """Groups whose coordinates are normal around a centre; and their parameters."""
    rng, coordinates = np.random.default_rng(seed), kind._coordinates
    centre = coordinates.theta(np.array(CENTRES[kind]))
    truth = [coordinates.parameters(centre + rng.normal(0, deviation, 4)) for _ in sizes]
    frames = [
        histories(kind, parameters, n, rng).assign(cohort=f"g{i:02d}")
        for i, (parameters, n) in enumerate(zip(truth, sizes, strict=True))
    ]
    return pd.concat(frames, ignore_index=True), np.array(truth)


@pytest.fixture(scope="module")
def fits():
    """One fit of 30 groups of 80 for each kind of model, with its data and the groups' parameters."""
    out = {}
    for kind in KINDS:
        data, truth = simulated(kind, [80] * GROUPS, DEVIATION, 2)
        out[kind] = data, truth, PooledModel(kind(), by="cohort").fit(data)
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


def error_of_totals(kind, data, truth, parameters):
    """Root mean square, over groups, of the logarithm of expected over true purchases."""
    errors = []
    for (_, own), right, guess in zip(data.groupby("cohort"), truth, parameters, strict=True):
        oracle = with_parameters(kind, right).expected_purchases(own, 90).sum()
        errors.append(np.log(with_parameters(kind, guess).expected_purchases(own, 90).sum() / oracle))
    return np.sqrt(np.mean(np.square(errors)))


def test_normal_groups_have_the_textbook_answer():
    """Groups with a normal likelihood: the restricted likelihood and the prior by brute force."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(3, 40, 12).astype(float)
    centres = rng.normal(1.0, 0.5, 12) + rng.normal(0, 1 / np.sqrt(sizes))

    def likelihood(centre):
        return lambda theta: (
            float(-0.5 * (theta - centre) @ (theta - centre)), centre - theta, -np.eye(1)
        )  # fmt: skip

    groups = [Group(likelihood(c), n, np.zeros(1)) for c, n in zip(centres, sizes, strict=True)]
    found = pool(groups, np.zeros(1), np.full(1, -9.0), np.full(1, 9.0))

    def restricted(variance):
        # The mean is standard normal around the start, 0.
        spread = np.diag(variance + 1 / sizes) + 1.0
        return multivariate_normal(cov=spread).logpdf(centres) + 0.5 * (np.log(variance) - variance)

    grid = np.linspace(0.05, 2, 1000)
    best = grid[np.argmax([restricted(one**2) for one in grid])]
    assert found.converged
    assert found.deviations[0] == pytest.approx(best, rel=0.01)
    variance = found.deviations[0] ** 2
    weight = 1 / (variance + 1 / sizes)
    mean = weight @ centres / (weight.sum() + 1)
    assert found.mean[0] == pytest.approx(mean, abs=1e-4)
    kept = variance / (variance + 1 / sizes)
    modes = np.array([mode.theta[0] for mode in found.modes])
    np.testing.assert_allclose(modes, mean + kept * (centres - mean), atol=1e-3)
    np.testing.assert_allclose(found.following[:, 0, 0], 1 - kept, rtol=1e-6)


def test_one_group_is_the_plain_model(kind, cdnow_days, rng):
    data = cdnow_days.assign(cohort="all")
    plain, model = kind().fit(data), PooledModel(kind(), by="cohort").fit(data)
    assert {name: value for name, value in model.params_.items() if ":" not in name} == plain.params_
    assert model.fit_report_ == model.group_reports_["all"] == plain.fit_report_
    np.testing.assert_array_equal(model.covariance_, plain.covariance_)
    assert model.score(data) == pytest.approx(plain.score(data), rel=1e-12)
    oracle = predictions(plain, data)
    for name, values in predictions(model, data).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-8, atol=1e-12, err_msg=name)
    drawn = model.draw_parameters(50, rng)
    np.testing.assert_allclose(drawn[:, :4], drawn[:, 4:], rtol=1e-9)


def test_pooled_groups_are_nearer_the_truth(kind, fits):
    data, truth, model = fits[kind]
    assert model.fit_report_.status == "converged"
    assert (model.deviations_ > 0.5 * DEVIATION).all()
    assert (model.deviations_ < 2 * DEVIATION).all()
    for name, value in zip(kind._coordinates.names, CENTRES[kind], strict=True):
        assert abs(model.params_[name] - value) < 4 * model.fit_report_.standard_errors[name], name
    alone = [list(kind().fit(own).params_.values()) for _, own in data.groupby("cohort")]
    alike = [list(kind().fit(data).params_.values())] * GROUPS
    pooled = error_of_totals(kind, data, truth, model.groups_[list(kind._coordinates.names)].to_numpy())
    assert pooled < 0.9 * error_of_totals(kind, data, truth, alone)
    assert pooled < 0.9 * error_of_totals(kind, data, truth, alike)


def test_groups_keep_what_is_theirs(kind, fits):
    """Groups' order comes back, and their standard errors are of the right size."""
    _, truth, model = fits[kind]
    names = list(kind._coordinates.names)
    own = model.groups_[names].to_numpy()
    assert np.corrcoef(np.log(own[:, 0] / own[:, 1]), np.log(truth[:, 0] / truth[:, 1]))[0, 1] > 0.5
    errors = np.array(
        [[one.standard_errors[name] for name in names] for one in model.group_reports_.values()]
    )
    # Of logarithms, where the approximation is made.
    far = np.log(own / truth) / (errors / own)
    assert 0.6 < np.sqrt(np.mean(far**2)) < 1.5


def test_groups_that_are_alike_are_fitted_alike():
    data, _ = simulated(ModifiedBetaGeoModel, [150] * 12, 0.0, 4)
    model = PooledModel(ModifiedBetaGeoModel(), by="cohort").fit(data)
    plain = ModifiedBetaGeoModel().fit(data)
    found, oracle = model.expected_purchases(data, 90), plain.expected_purchases(data, 90)
    assert np.abs(found / oracle - 1).mean() < 0.1


def test_large_groups_are_fitted_alone():
    """With enough customers in each, pooling hardly moves a group."""
    data, _ = simulated(ParetoNBDModel, [6000] * 3, 0.5, 5)
    model = PooledModel(ParetoNBDModel(), by="cohort").fit(data)
    for name, own in data.groupby("cohort"):
        alone = ParetoNBDModel().fit(own)
        total = model.expected_purchases(own, 90).sum()
        assert total == pytest.approx(alone.expected_purchases(own, 90).sum(), rel=0.02), name


def test_tiny_groups_and_groups_without_buyers(kind):
    data, _ = simulated(kind, [300] * 4 + [5, 1, 60, 3], 0.3, 6)
    data.loc[data["cohort"] == "g06", ["frequency", "recency"]] = 0
    data.loc[data["cohort"] == "g07", ["frequency", "recency", "T"]] = 0
    model = PooledModel(kind(), by="cohort").fit(data)
    for name, values in predictions(model, data).items():
        assert np.isfinite(values).all(), name
    assert np.isfinite(list(model.params_.values())).all()
    reference = model.expected_purchases_new(90)
    new = pd.DataFrame({"frequency": 0, "recency": 0, "T": 0, "cohort": [f"g{i:02d}" for i in range(8)]})
    found = model.expected_purchases(new, 90)
    # Three customers of whom nothing is known are the mean; sixty idle ones buy less.
    assert found[7] == pytest.approx(reference, rel=1e-3)
    assert found[6] < reference
    assert np.abs(np.log(found[4:6] / reference)).max() < 1.0


def test_a_group_not_seen_is_the_mean(kind, fits):
    data, _, model = fits[kind]
    some = data.iloc[:50].assign(cohort="later")
    plain = with_parameters(kind, [model.params_[name] for name in kind._coordinates.names])
    oracle = predictions(plain, some)
    for name, values in predictions(model, some).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-8, atol=1e-12, err_msg=name)
    assert model.score(some) == pytest.approx(plain.score(some), rel=1e-12)
    assert model.expected_purchases_new(90) == plain.expected_purchases_new(90)
    assert model.notes(data) == ()
    assert model.notes(some) == (
        "cohort: 50 customers of a group not of the fit (later) count as the common mean",
    )
    assert np.isfinite(model.expected_purchases(some.assign(cohort=None), 90)).all()


def test_each_customer_is_predicted_with_the_parameters_of_the_group(kind, fits):
    data, _, model = fits[kind]
    some = data.sample(20, random_state=1)
    found, groups = predictions(model, some), model.groups_
    for i, (_, row) in enumerate(some.iterrows()):
        plain = with_parameters(kind, groups.loc[row["cohort"], list(kind._coordinates.names)])
        for name, values in predictions(plain, some.iloc[[i]]).items():
            np.testing.assert_allclose(found[name][i], values[0], rtol=1e-8, atol=1e-10, err_msg=name)


def test_contract(kind, fits):
    data, _, model = fits[kind]
    assert clone(model).get_params(deep=False).keys() == {"model", "by"}
    before = data.copy(deep=True)
    shuffled = data.sample(frac=1, random_state=1)
    other = clone(model).fit(shuffled)
    pd.testing.assert_frame_equal(data, before)
    assert other.params_ == pytest.approx(model.params_, rel=1e-6)
    back = pd.Series(other.expected_purchases(shuffled, 90), shuffled.index).reindex(data.index)
    np.testing.assert_allclose(model.expected_purchases(data, 90), back, rtol=1e-6)
    oracle = predictions(model, data.iloc[:200])
    for copy in (
        pickle.loads(pickle.dumps(model)),
        PurchaseModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True))),
    ):
        assert type(copy) is PooledModel
        assert copy.fit_report_ == model.fit_report_
        assert copy.group_reports_ == model.group_reports_
        for name, values in predictions(copy, data.iloc[:200]).items():
            np.testing.assert_array_equal(values, oracle[name])
        drawn = copy.draw_parameters(5, np.random.default_rng(1))
        np.testing.assert_array_equal(drawn, model.draw_parameters(5, np.random.default_rng(1)))
    with pytest.raises(NotFittedError):
        clone(model).expected_purchases(data, 90)
    total = sum(report.log_likelihood for report in model.group_reports_.values())
    assert model.score(data) * len(data) == pytest.approx(total, rel=1e-8)
    assert model.fit_report_.log_likelihood == pytest.approx(total, rel=1e-12)


def test_units_do_not_matter(kind, fits):
    data, _, model = fits[kind]
    hours = data.assign(recency=data["recency"] * 24, T=data["T"] * 24)
    other = PooledModel(kind(), by="cohort").fit(hours)
    np.testing.assert_allclose(other.deviations_, model.deviations_, rtol=1e-4)
    np.testing.assert_allclose(
        other.expected_purchases(hours, 90 * 24), model.expected_purchases(data, 90), rtol=1e-4
    )


def test_draws_agree_with_the_reports(kind, fits, rng):
    data, _, model = fits[kind]
    drawn = model.draw_parameters(4000, rng)
    assert drawn.shape == (4000, len(model.params_))
    names = list(kind._coordinates.names)
    spread = np.log(drawn).std(axis=0).reshape(-1, 4)
    common = np.array([model.fit_report_.standard_errors[name] / model.params_[name] for name in names])
    np.testing.assert_allclose(spread[0], common, rtol=0.1)
    given = np.array(
        [[one.standard_errors[name] for name in names] for one in model.group_reports_.values()]
    ) / model.groups_[names].to_numpy()  # fmt: skip
    # The mean's own uncertainty comes on top.
    assert (spread[1:] > 0.9 * given).all()
    assert (spread[1:] < np.hypot(given, common) * 1.1).all()
    outcome = model.simulate_purchases(data, 90, drawn[:40], rng)
    assert outcome.mean() == pytest.approx(model.expected_purchases(data, 90).mean(), rel=0.07)


def test_value_model_with_pooling(fits):
    data, _, _ = fits[ModifiedBetaGeoModel]
    spend = pd.DataFrame({"frequency": data["frequency"] + 1, "monetary_value": 5 + data["T"] % 17})
    model = ValueModel(PooledModel(ModifiedBetaGeoModel()), GammaGammaModel()).fit(data, spend)
    value = model.lifetime_value(data, spend, 365, 0.1, 1.0)
    assert np.isfinite(value).all()
    copy = ValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(copy.lifetime_value(data, spend, 365, 0.1, 1.0), value)
    assert np.isfinite(model.simulate_outcomes(data, spend, 90, draws=5, seed=1).value).all()


def test_errors(fits):
    data = fits[BetaGeoModel][0]
    with pytest.raises(MissingColumnsError, match="no column 'cohrt'"):
        PooledModel(BetaGeoModel(), by="cohrt").fit(data)
    with pytest.raises(MissingColumnsError, match="no column 'cohort'"):
        fits[BetaGeoModel][2].expected_purchases(data.drop(columns="cohort"), 90)
    with pytest.raises(DataError, match="cannot be pooled"):
        PooledModel(ModifiedBetaGeoCNBDModel(k=1)).fit(data)
