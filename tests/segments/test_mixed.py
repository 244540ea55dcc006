"""Clusters as labels: a classifier that knows when it does not know, and whether its sample is biased."""

import json

import numpy as np
import pandas as pd
import pytest

from clvseg.checks import check_labelled
from clvseg.segments import Clusters, SegmentClassifier, sample_bias

INPUTS = ("orders", "spend", "age", "region")


def customers(n, seed, overlap=1.0):
    """Three kinds that differ in behaviour, age and region."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    frame = pd.DataFrame(
        {
            "orders": 5.0 * kind + rng.normal(0, overlap, n),
            "spend": 20 * np.abs(kind - 1) + rng.normal(0, 4 * overlap, n),
            "age": 30 + 15 * kind + rng.normal(0, 5 * overlap, n),
            "region": np.where(rng.random(n) < 0.8, np.array(["n", "s", "w"])[kind], "n"),
        }
    )
    return frame, pd.Series(np.array(["first", "second", "third"])[kind])


@pytest.fixture(scope="module")
def learned():
    frame, kind = customers(1_200, 1, overlap=2.0)
    return SegmentClassifier(INPUTS).fit(frame, kind)


def test_new_customers_get_their_segment_as_often_as_was_said(learned):
    frame, kind = customers(4_000, 2, overlap=2.0)
    given = learned.assign(frame)
    sure = (given != "unsure").to_numpy()
    assert sure.mean() == pytest.approx(learned.coverage_, abs=0.03)
    assert (given[sure] == kind[sure]).mean() == pytest.approx(learned.fidelity_, abs=0.03)
    assert learned.fidelity_ > 0.85
    assert learned.fidelities_["customers"].sum() == 1_200


def test_probabilities_are_calibrated_and_only_the_sure_are_assigned():
    learned = SegmentClassifier(INPUTS).fit(*customers(1_500, 10, overlap=6.0))
    frame, kind = customers(6_000, 3, overlap=6.0)
    chances = learned.predict_proba(frame)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    highest = chances.max(axis=1).to_numpy()
    right = (chances.idxmax(axis=1) == kind).to_numpy()
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 0.95)):
        inside = (highest >= low) & (highest < high)
        assert inside.sum() > 300
        assert right[inside].mean() == pytest.approx(highest[inside].mean(), abs=0.06)
    assert ((learned.assign(frame) == "unsure") == (highest < 0.6)).all()


def test_customers_of_whom_less_is_known_are_assigned_by_the_rest_or_unsure(learned):
    frame, kind = customers(3_000, 4, overlap=2.0)
    alone = learned.assign(frame[["orders"]])
    nothing = learned.assign(frame[[]])
    gaps = frame.assign(orders=np.nan, region=None)
    some = learned.assign(gaps)
    assert set(nothing) == {"unsure"}
    shares = [(given != "unsure").mean() for given in (learned.assign(frame), some, alone)]
    assert shares[0] > max(shares[1:])
    for given in (alone, some):
        sure = (given != "unsure").to_numpy()
        assert sure.mean() > 0.2
        assert (given[sure] == kind[sure]).mean() > 0.75
    strange = learned.predict_proba(frame.assign(region="elsewhere"))
    assert np.isfinite(strange.to_numpy()).all()


def test_clusters_become_labels_and_the_classifier_survives_json(learned):
    frame, _ = customers(1_500, 5)
    clusters = Clusters(INPUTS, clusters=3).fit(frame)
    labels = clusters.assign(frame)
    classifier = SegmentClassifier(INPUTS).fit(frame, labels)
    assert classifier.fidelity_ > 0.95
    new, _ = customers(1_000, 6)
    given = classifier.assign(new)
    sure = (given != "unsure").to_numpy()
    assert (given[sure] == clusters.assign(new)[sure]).mean() > 0.95
    again = SegmentClassifier.from_dict(json.loads(json.dumps(classifier.to_dict())))
    assert again.assign(new).equals(given)
    assert SegmentClassifier(INPUTS).fit(frame, labels).to_dict() == classifier.to_dict()


def test_labels_that_cannot_be_learned_are_refused():
    frame, kind = customers(50, 7)
    with pytest.raises(ValueError, match="too few to learn from"):
        SegmentClassifier(INPUTS).fit(frame, kind.where(kind.index != 0, "alone"))


def test_a_biased_sample_is_said_and_a_random_one_is_not():
    frame, _ = customers(3_000, 8)
    rng = np.random.default_rng(9)
    chance = 1 / (1 + np.exp(-(frame["orders"].to_numpy() - 5) / 3))
    biased = rng.random(3_000) < chance
    auc, error = sample_bias(frame, biased, INPUTS[:2])
    assert 0.65 < auc < 0.9
    (finding,) = check_labelled("survey", biased.mean(), auc, error)
    assert finding.code == "CLV025"
    assert f"AUC of {auc:.2f}" in finding.found
    for seed in range(5):
        random = np.random.default_rng(seed).random(3_000) < 0.3
        auc, error = sample_bias(frame, random, INPUTS[:2])
        assert auc == pytest.approx(0.5, abs=0.05)
        assert check_labelled("survey", 0.3, auc, error) == []
    assert sample_bias(frame, np.ones(3_000), INPUTS[:2]) == (0.5, 0.0)
