"""Risk and time to churn on a known truth, oracles of the metrics, and round trips through JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.exceptions import NotFittedError

from clvseg.churn.contract import ContractModel, stratified_folds
from clvseg.churn.hazard import HazardModel, kaplan_meier
from clvseg.contractual import total_interval
from clvseg.evaluation.metrics import roc_auc
from clvseg.evaluation.survival import concordance_index, integrated_brier
from clvseg.explain.columns import contributions


@pytest.fixture(scope="module")
def truth() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x, kind = rng.normal(size=4000), rng.choice(["a", "b"], 4000)
    risk = expit(-1 + 1.2 * x + (kind == "a"))
    frame = pd.DataFrame({"x": x, "kind": pd.Series(kind, dtype=object)})
    return frame, (rng.random(4000) < risk).astype(float), risk


@pytest.fixture(scope="module")
def model(truth: tuple[pd.DataFrame, np.ndarray, np.ndarray]) -> ContractModel:
    return ContractModel().fit(truth[0][:2000], truth[1][:2000])


def test_probabilities_are_recovered(
    truth: tuple[pd.DataFrame, np.ndarray, np.ndarray], model: ContractModel
) -> None:
    frame, left, risk = truth
    said = model.predict_proba(frame[2000:])[:, 1]
    assert np.abs(said - risk[2000:]).mean() < 0.03
    assert roc_auc(left[2000:], said) > roc_auc(left[2000:], risk[2000:]) - 0.01


def test_class_weights_and_calibrations_are_compared(model: ContractModel) -> None:
    pairs = {(one["weights"], one["calibration"]) for one in model.choices}
    assert pairs == {(w, c) for w in ("none", "balanced") for c in ("none", "sigmoid", "isotonic")}
    losses = [one["log_loss"] for one in model.choices]
    assert losses == sorted(losses)
    raw = next(o for o in model.choices if (o["weights"], o["calibration"]) == ("balanced", "none"))
    assert raw["log_loss"] > losses[0] + 0.01  # weights alone spoil the level


def test_a_level_never_seen_and_a_gap_are_scored(model: ContractModel) -> None:
    odd = pd.DataFrame({"x": [0.0, np.nan, 1e6], "kind": pd.Series(["new", None, "a"], dtype=object)})
    assert np.isfinite(model.predict_proba(odd)).all()


def test_contributions_add_up_to_the_logit(
    truth: tuple[pd.DataFrame, np.ndarray, np.ndarray], model: ContractModel
) -> None:
    frame = truth[0][:200]
    parts = contributions(model, frame)
    np.testing.assert_allclose(parts.sum(axis=1), model.raw(frame), atol=1e-8)


def test_through_json_nothing_changes(
    truth: tuple[pd.DataFrame, np.ndarray, np.ndarray], model: ContractModel
) -> None:
    frame, left, _ = truth
    again = ContractModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))
    tenure = np.arange(len(frame)) % 30 + 1.0
    hazard = HazardModel().fit(frame, tenure, left)
    back = HazardModel.from_dict(json.loads(json.dumps(hazard.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(back.log_survival(frame), hazard.log_survival(frame))


def test_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        ContractModel().predict_proba(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(NotFittedError):
        HazardModel().log_survival(pd.DataFrame({"x": [1.0]}))


def test_folds_have_the_same_share_of_leavers() -> None:
    left = np.r_[np.ones(50), np.zeros(150)]
    fold = stratified_folds(left, 1, 5)
    assert all(left[fold == k].sum() == 10 for k in range(5))


def test_hazard_recovers_a_known_survival() -> None:
    rng = np.random.default_rng(2)
    kind = rng.choice(["fast", "slow"], 6000)
    rate = np.where(kind == "fast", 0.10, 0.02)
    life, seen = np.ceil(rng.exponential(1 / rate)), rng.integers(5, 40, 6000)
    frame = pd.DataFrame({"kind": pd.Series(kind, dtype=object)})
    model = HazardModel().fit(frame, np.minimum(life, seen), (life <= seen).astype(float))
    two = pd.DataFrame({"kind": pd.Series(["fast", "slow"], dtype=object)})
    np.testing.assert_allclose(
        model.survival(two, [12.0]), np.exp(-np.array([[0.10], [0.02]]) * 12), atol=0.04
    )
    logs = model.log_survival(two)
    ahead = model.remaining(logs, np.array([6.0, 6.0]), [0.0, 6.0, 12.0])
    assert (ahead[:, 0] == 1).all()
    assert (np.diff(ahead, axis=1) < 0).all()
    np.testing.assert_allclose(
        model.median_remaining(logs, np.zeros(2), 39.0)[0], np.log(2) / 0.10, rtol=0.15
    )


def test_kaplan_meier_against_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    t, e = rng.integers(1, 12, 80).astype(float), rng.integers(0, 2, 80)
    curve, share = kaplan_meier(t, e), 1.0
    for moment in sorted(set(t)):
        n, d = (t >= moment).sum(), ((t == moment) & (e == 1)).sum()
        share *= 1 - d / n
        assert curve.at([moment])[0] == pytest.approx(share)
    assert (curve.low <= curve.survival).all()
    assert (curve.survival <= curve.high).all()
    assert kaplan_meier(t, np.ones(80)).at([6.0])[0] == pytest.approx((t > 6).mean())


def test_concordance_against_a_slow_loop() -> None:
    rng = np.random.default_rng(4)
    t, e, r = rng.integers(1, 9, 60), rng.integers(0, 2, 60), rng.integers(0, 5, 60)
    right = pairs = 0.0
    for i in range(60):
        for j in range(60):
            if e[i] and (t[i] < t[j] or (t[i] == t[j] and not e[j])):
                pairs += 1
                right += 1.0 if r[i] > r[j] else 0.5 if r[i] == r[j] else 0.0
    assert concordance_index(t, e, r) == pytest.approx(right / pairs)


def test_brier_score_without_censoring_is_the_plain_one() -> None:
    t, e = np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4)
    said = np.array([[0.5, 0.2], [0.6, 0.3], [0.9, 0.6], [0.9, 0.8]])
    plain = [np.mean(((t > m) - said[:, k]) ** 2) for k, m in enumerate((1.5, 3.5))]
    assert integrated_brier(t, e, said, [1.5, 3.5]) == pytest.approx(np.mean(plain))


def test_brier_score_prefers_the_truth_under_censoring() -> None:
    rng = np.random.default_rng(9)
    rate = rng.choice([0.02, 0.2], 3000)
    life, end = rng.exponential(1 / rate), rng.uniform(2, 30, 3000)
    t, e, grid = np.minimum(life, end), (life <= end).astype(float), np.array([2.0, 5.0, 10.0, 15.0])
    true = np.exp(-rate[:, None] * grid)
    flat = np.repeat(true.mean(axis=0)[None, :], 3000, axis=0)
    assert integrated_brier(t, e, true, grid) < integrated_brier(t, e, flat, grid) - 0.02
    assert integrated_brier(t, e, true, grid) < integrated_brier(t, e, true**2, grid)


def test_the_interval_of_the_total_is_chance_and_the_jackknife_error() -> None:
    rng = np.random.default_rng(2)
    drawn = rng.gamma(2, 10, 30)
    n, mean = len(drawn), drawn.mean()
    without = tuple((drawn.sum() - drawn) / (n - 1))  # of a mean, the jackknife is s / sqrt(n) to the digit
    low, high = total_interval(np.array([mean]), np.array([mean]), without)
    error = drawn.std(ddof=1) / np.sqrt(n)
    assert mean - low == pytest.approx(student.ppf(0.9, n - 1) * error)
    assert high == mean  # nobody pays more than the full fee
    sure = np.full(400, 30.0)
    low, high = total_interval(sure, 2 * sure, (12_000.0,) * 5)
    assert [low, high] == pytest.approx(12_000 + norm.ppf([0.1, 0.9]) * np.sqrt(400 * 900))
    assert total_interval(sure, 2 * sure, (11_500.0, 12_500.0))[0] < low
    assert total_interval(np.zeros(3), np.zeros(3), (0.0, 0.0)) == (0.0, 0.0)
