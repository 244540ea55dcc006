"""What settings are judged on lies before the period that `fit` is judged on."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from clvseg.boosting import Boosting
from clvseg.config import BoostingSettings
from clvseg.data.transactions import Transactions
from clvseg.evaluation.metrics import log_loss
from clvseg.judging import plan_cutoffs
from clvseg.tuning import before_held_back, build_folds
from clvseg.tuning.folds import TARGETS
from clvseg.tuning.study import _gain
from clvseg.value.hybrid import tweedie_deviance

VALUE, CHURN = TARGETS
BASE = BoostingSettings(min_data_in_leaf=100_000)  # no tree can split


@pytest.fixture(scope="module")
def folds(transactions, settings):
    found, left_out = build_folds(before_held_back(transactions, settings), settings)
    assert left_out == {}
    return found


def held_back(transactions, settings):
    return plan_cutoffs(transactions.first_day, transactions.last_day, settings, 1)[1][0]


def test_every_period_ends_before_the_held_back_one_begins(folds, transactions, settings):
    cutoff = held_back(transactions, settings)
    assert [fold.cutoff for fold in folds] == sorted((fold.cutoff for fold in folds), reverse=True)
    assert len(folds) == 2
    for fold in folds:
        assert fold.cutoff + dt.timedelta(days=fold.panel.horizon_days) <= cutoff
        assert max(fold.panel.origins) < fold.cutoff


def test_nothing_after_the_held_back_cutoff_changes_a_fold(folds, transactions, settings, log):
    cutoff = pd.Timestamp(held_back(transactions, settings)) + pd.Timedelta(days=1)
    early, late = log[log["time"] < cutoff], log[log["time"] >= cutoff]
    other = late.sample(frac=0.5, random_state=1).assign(amount=9.99)
    last = pd.DataFrame({"customer_id": [1], "time": [log["time"].max()], "amount": [1.0]})
    changed = Transactions.read(pd.concat([early, other, last]), settings.data)
    assert changed.hash != transactions.hash
    one, two = (before_held_back(tx, settings) for tx in (transactions, changed))
    assert one.hash == two.hash
    again, _ = build_folds(before_held_back(changed, settings), settings)
    for fold, one in zip(folds, again, strict=True):
        pd.testing.assert_frame_equal(fold.panel.rows, one.panel.rows)
        pd.testing.assert_frame_equal(fold.panel.current, one.panel.current)
        pd.testing.assert_frame_equal(fold.outcome, one.outcome)


def test_the_losses_are_those_of_the_fitted_models(folds):
    levelled, measured = CHURN.measure(folds[0], BASE, 1)
    gone = 1 - folds[0].outcome["active"].to_numpy()
    _, _, predicted = CHURN.judge(folds[0], Boosting(**BASE.model_dump()), 1)
    assert measured["log_loss"] == pytest.approx(log_loss(gone, predicted), rel=1e-12)
    # A wrong mean costs nothing: the least log loss over all shifts of the logits.
    shifted = [log_loss(gone, expit(logit(predicted) + shift)) for shift in np.linspace(-2, 2, 2001)]
    assert levelled.mean() == pytest.approx(min(shifted), abs=1e-6)
    assert levelled.mean() == measured["levelled_log_loss"] < measured["log_loss"]
    losses, measured = VALUE.measure(folds[0], BASE, 1)
    _, actual, predicted = VALUE.judge(folds[0], Boosting(**BASE.model_dump()), 1)
    for scale in (1.0, 7.0):  # the level is not boosting's: a wrong total costs nothing here
        told = scale * predicted
        expected = tweedie_deviance(actual / actual.mean(), told / told.mean())
        np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_a_gain_and_its_error_are_those_of_a_bootstrap_over_customers():
    rng = np.random.default_rng(5)
    customers = [pd.Index(range(400)), pd.Index(range(300))]
    taste = rng.normal(0.02, 0.3, 400)  # one for a customer: cutoffs are not independent
    losses = []
    for index in customers:
        own = rng.uniform(1, 2, len(index))
        losses.append((own, own - taste[: len(index)] - rng.normal(0, 0.1, len(index))))
    gain, error = _gain(customers, losses)
    gaps = [own - other for own, other in losses]
    assert gain == pytest.approx(np.mean([gap.mean() for gap in gaps]))
    drawn = []
    for _ in range(4000):
        counts = np.bincount(rng.integers(0, 400, 400), minlength=400)
        means = [(counts[: len(gap)] * gap).sum() / len(gap) for gap in gaps]
        drawn.append(np.mean(means))
    assert error == pytest.approx(np.std(drawn), rel=0.06)
