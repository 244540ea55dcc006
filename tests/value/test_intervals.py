"""Intervals: they hold what they promise on data like those they learned from, and on the later period."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from clvseg.churn.model import ChurnModel
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.value import GammaGammaModel, ParetoNBDModel, ValueModel
from clvseg.value import intervals as intervals_module
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import LEVELS, ValueIntervals, conformal_ranges
from clvseg.value.origins import build_panel

CUTOFF, DAYS = dt.date(1997, 12, 31), 181


@pytest.fixture(scope="module")
def fitted():
    tx = Transactions.read("dataset:cdnow_sample")
    panel, _ = build_panel(
        tx, CUTOFF, DAYS, lambda s, f: ValueModel(ParetoNBDModel(), GammaGammaModel()).fit(s, f)
    )
    value, churn = HybridValueModel().fit(panel), ChurnModel().fit(panel)
    intervals = ValueIntervals.fit(panel, value, churn.out_of_fold)
    predicted, gone = value.predict(panel.current), churn.predict_proba(panel.current)[:, 1]
    return panel, value, churn, intervals, predicted, gone, outcomes(tx, CUTOFF, DAYS)


def test_low_predicted_high_in_order(fitted):
    *_, intervals, predicted, gone, _ = fitted
    band = intervals.predict(predicted, gone)
    assert (band["low"] >= 0).all()
    assert (band["low"].to_numpy() <= predicted).all()
    assert (band["high"].to_numpy() >= predicted).all()
    assert np.isfinite(band.to_numpy()).all()


def test_customers_likely_gone_may_bring_nothing(fitted):
    *_, intervals, predicted, gone, _ = fitted
    band = intervals.predict(predicted, gone)
    assert (band["low"].to_numpy()[gone > 0.5] == 0).all()


def test_coverage_on_what_it_learned_from(fitted):
    panel, value, churn, intervals, *_ = fitted
    newest = panel.origin == 0
    band = intervals.predict(value.out_of_fold[newest], churn.out_of_fold[newest])
    actual = panel.outcome["value"].to_numpy()[newest]
    assert 0.78 <= ((band["low"] <= actual) & (actual <= band["high"])).mean() <= 0.97


def test_coverage_on_the_later_period(fitted):
    *_, intervals, predicted, gone, later = fitted
    band = intervals.predict(predicted, gone)
    actual = later["value"].to_numpy()
    assert 0.75 <= ((band["low"] <= actual) & (actual <= band["high"])).mean() <= 0.97


def test_the_total_lies_in_its_interval_and_so_does_the_truth(fitted):
    *_, intervals, predicted, _, later = fitted
    low, high = intervals.total(predicted)
    assert 0 < low < predicted.sum() < high
    assert low < later["value"].sum() < high


def test_a_customers_interval_does_not_depend_on_the_others(fitted):
    intervals, predicted, gone = fitted[3:6]
    some = np.arange(0, len(predicted), 7)
    alone = intervals.predict(predicted[some], gone[some])
    np.testing.assert_array_equal(alone, intervals.predict(predicted, gone).iloc[some])


def test_fewer_origins_make_the_total_less_sure(fitted):
    intervals, predicted = fitted[3], fitted[4]
    few = dataclasses.replace(intervals, origins=2)
    many = dataclasses.replace(intervals, origins=5)
    assert few.total(predicted)[0] < many.total(predicted)[0]
    assert few.total(predicted)[1] > many.total(predicted)[1]


def test_without_origins_a_poisson_number_of_gamma_amounts_is_assumed(fitted):
    panel, value, churn, _, predicted, gone, _ = fitted
    none = dataclasses.replace(panel, rows=panel.rows.iloc[:0], outcome=panel.outcome.iloc[:0], origins=())
    blind = ValueIntervals.fit(none, value, churn.out_of_fold[:0])
    band = blind.predict(predicted, gone)
    assert (band["high"].to_numpy() >= predicted).all()
    rng = np.random.default_rng(1)
    chance, mean = 0.35, -np.log(0.35)
    purchases = rng.poisson(mean, 20_000)
    money = 50 * rng.gamma(np.maximum(purchases, 1)) * (purchases > 0) / mean
    one = blind.predict(np.array([50.0]), np.array([chance])).iloc[0]
    assert ((one["low"] <= money) & (money <= one["high"])).mean() == pytest.approx(0.8, abs=0.03)


def test_json_gives_identical_intervals(fitted):
    intervals, predicted, gone = fitted[3:6]
    again = ValueIntervals.from_dict(json.loads(json.dumps(intervals.to_dict())))
    assert again == intervals
    pd.testing.assert_frame_equal(again.predict(predicted, gone), intervals.predict(predicted, gone))


def test_levels_lie_within_each_other(fitted):
    intervals, predicted, gone = fitted[3:6]
    bands = [intervals.predict(predicted, gone, level) for level in LEVELS]
    for narrow, wide in pairwise(bands):
        assert (wide["high"] >= narrow["high"]).all()
        assert (wide["high"] > narrow["high"]).mean() > 0.2


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_holds_its_share_of_what_it_learned_from(fitted, level):
    panel, value, churn, intervals, *_ = fitted
    newest = panel.origin == 0
    band = intervals.predict(value.out_of_fold[newest], churn.out_of_fold[newest], level)
    actual = panel.outcome["value"].to_numpy()[newest]
    held = ((band["low"] <= actual) & (actual <= band["high"])).mean()
    assert level - 0.03 <= held <= max(level + 0.03, (actual == 0).mean() + 0.15)


def test_ranges_against_counting():
    rng = np.random.default_rng(0)
    sizes, parts = (40, 57, 400), []
    for size in sizes:
        parts.append(rng.gamma(0.5, 1, size) * (rng.random(size) < 0.7))
    category = np.repeat(np.arange(3), sizes)
    for values, ranges in zip(parts, conformal_ranges(np.concatenate(parts), category), strict=True):
        for level, (low, high) in zip(LEVELS, ranges, strict=True):
            left_out = (1 - level) / 2
            at_most = max([v for v in values if (values <= v).sum() <= left_out * (len(values) + 1)] + [0.0])
            assert low == pytest.approx(at_most, abs=1e-12)
            need = (level if low <= 0 else 1 - left_out) * (len(values) + 1)
            assert high == pytest.approx(min(v for v in values if (values <= v).sum() >= need - 1e-9))


def test_many_equal_predictions_leave_no_group_empty():
    values = np.concatenate([np.full(700, 0.9), np.linspace(0.1, 0.3, 300)])
    edges = intervals_module._edges(values, 8)
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    assert counts.min() >= 50
