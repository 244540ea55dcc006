"""Repeatable boosting: folds keep customers together, rounds come from customers never seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvseg import boosting
from clvseg.boosting import (
    boost,
    booster_from_text,
    booster_to_text,
    customer_folds,
    guided_and_free,
    raw_score,
)

OBJECTIVE = {"objective": "binary"}


@pytest.fixture(scope="module")
def learning():
    rng = np.random.default_rng(0)
    customers = pd.Index(np.tile(np.arange(1500), 2))
    rows = pd.DataFrame(rng.normal(size=(3000, 3)), columns=["x", "noise", "other"], index=customers)
    event = (rng.random(3000) < 1 / (1 + np.exp(-2 * rows["x"]))).astype(float).to_numpy()
    fold = customer_folds(customers, seed=1)
    return rows, event, fold


def test_a_customer_lies_in_one_fold_whatever_the_order(learning):
    rows, _, fold = learning
    assert pd.Series(fold, index=rows.index).groupby(level=0).nunique().eq(1).all()
    shuffled = np.random.default_rng(1).permutation(len(rows))
    assert np.array_equal(customer_folds(rows.index[shuffled], seed=1), fold[shuffled])
    sizes = np.bincount(fold)
    assert len(sizes) == 3
    assert sizes.min() > 800


def test_both_boosters_share_three_folds_or_where_rows_are_many_two(learning, monkeypatch):
    rows, event, _ = learning

    def folds():
        calls = guided_and_free(rows, event, event, 1, OBJECTIVE)
        return [len(np.unique(given[3])) for _, given, _ in calls]

    assert folds() == [3, 3]
    monkeypatch.setattr(boosting, "_MANY_ROWS", len(rows))
    assert folds() == [2, 2]


def test_boost_learns_the_signal_and_scores_rows_out_of_fold(learning):
    rows, event, fold = learning
    fitted = boost(rows, event, None, fold, 1, OBJECTIVE)
    assert np.corrcoef(fitted.out_of_fold, rows["x"])[0, 1] > 0.9
    inside = raw_score(fitted.booster, rows, list(rows.columns))
    assert not np.allclose(fitted.out_of_fold, inside)


def test_a_customers_other_rows_cannot_give_its_outcome_away():
    # Noise, the same in both rows of a customer whose features name it: only a leak could predict it.
    rng = np.random.default_rng(2)
    names = np.tile(rng.normal(size=(2000, 4)), (2, 1))
    customers = pd.Index(np.tile(np.arange(2000), 2))
    noise = np.tile((rng.random(2000) < 0.5).astype(float), 2)
    rows = pd.DataFrame(names, columns=list("abcd"), index=customers)
    kept = boost(rows, noise, None, customer_folds(customers, seed=1), 1, OBJECTIVE)
    assert abs(np.corrcoef(kept.out_of_fold, noise)[0, 1]) < 0.06


def test_a_start_that_knows_everything_leaves_little_to_learn(learning):
    rows, event, fold = learning
    truth = 2 * rows["x"].to_numpy()
    fitted = boost(rows, event, truth, fold, 1, OBJECTIVE)
    assert np.abs(fitted.out_of_fold).mean() < 0.3


def test_monotone_where_asked(learning):
    rows, event, fold = learning
    grid = pd.DataFrame({"x": np.linspace(-3, 3, 50), "noise": 0.0, "other": 0.0})
    rising = boost(rows, event, None, fold, 1, OBJECTIVE, increasing=("x",))
    assert (np.diff(raw_score(rising.booster, grid, list(rows.columns))) >= 0).all()
    falling = boost(rows, event, None, fold, 1, OBJECTIVE, decreasing=("x",))
    assert np.ptp(raw_score(falling.booster, grid, list(rows.columns))) < 0.5


def test_same_seed_same_text_and_text_restores_it(learning):
    rows, event, fold = learning
    one, two = (boost(rows, event, None, fold, 5, OBJECTIVE) for _ in range(2))
    text = booster_to_text(one.booster)
    assert text == booster_to_text(two.booster)
    again = raw_score(booster_from_text(text), rows, list(rows.columns))
    assert np.array_equal(again, raw_score(one.booster, rows, list(rows.columns)))
