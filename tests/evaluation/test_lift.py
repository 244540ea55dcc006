"""Lift quality against all orders of ties, one after the other; the gain curve against a loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.evaluation.lift import gain_table, lift_label, lift_quality

small = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=2, max_size=6)


def mean_lift(ordered: list[float]) -> float:
    found, lifts = 0.0, []
    for k, event in enumerate(ordered, start=1):
        found += event
        lifts.append((found / k) / (sum(ordered) / len(ordered)))
    return sum(lifts) / len(lifts)


@given(small)
@settings(max_examples=150, deadline=None)
def test_lift_quality_by_hand(pairs):
    event, score = [float(e) for e, _ in pairs], [s for _, s in pairs]
    if len(set(event)) == 1:
        assert lift_quality(event, score) == 0
        return
    means = []
    for order in itertools.permutations(range(len(event))):
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order)):
            means.append(mean_lift([event[i] for i in order]))
    best = mean_lift(sorted(event, reverse=True))
    assert lift_quality(event, score) == pytest.approx((np.mean(means) - 1) / (best - 1))


def test_lift_quality_has_its_ends():
    rng = np.random.default_rng(0)
    event = rng.random(20_000) < 0.3
    assert lift_quality(event, event) == pytest.approx(1.0)
    assert lift_quality(event, np.zeros(20_000)) == pytest.approx(0.0, abs=1e-9)
    assert abs(lift_quality(event, rng.random(20_000))) < 0.1


def test_gains_by_hand():
    rng = np.random.default_rng(1)
    event, score = (rng.random(500) < 0.4).astype(float), rng.random(500)
    table = gain_table(event, score, points=50)
    order = sorted(range(500), key=lambda i: -score[i])
    for row in table.itertuples():
        top = order[: round(row.share * 500)]
        assert row.gain == pytest.approx(sum(event[i] for i in top) / event.sum())
        assert row.lift == pytest.approx(np.mean([event[i] for i in top]) / event.mean())
    assert (table["gain"] <= table["best"] + 1e-12).all()


@pytest.mark.parametrize(
    ("quality", "label"), [(0.6, "excellent"), (0.59, "good"), (0.4, "good"), (0.2, "fair"), (-0.1, "poor")]
)
def test_labels(quality, label):
    assert lift_label(quality) == label
