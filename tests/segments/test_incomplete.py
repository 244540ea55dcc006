"""Customers of whom attributes are missing: placed by the classifier, or unsure; the rest by the clusters."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clvseg.config import Settings
from clvseg.segments import Later, Segmentation, scorecard, segments_table
from clvseg.segments.mixed import UNSURE
from clvseg.segments.scorecard import EVERYONE, PLACED
from clvseg.standing import doubt_labelled

INPUTS = ("since_last", "orders", "past_revenue", "age", "region")
ATTRIBUTES = ("age", "region")


def customers(n, seed):
    """Three kinds that differ in orders, age and region; those who order more also spend more."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    orders = 1 + rng.poisson(np.array([1, 5, 14])[kind])
    since = rng.gamma(3, np.array([70, 40, 12])[kind])
    return pd.DataFrame(
        {
            "since_last": since,
            "T": since + 200.0,
            "orders": orders.astype(float),
            "past_revenue": orders * rng.gamma(6, 5, n),
            "predicted_value": orders * rng.gamma(6, 2, n),
            "churn_probability": np.clip(rng.normal(np.array([0.8, 0.5, 0.2])[kind], 0.05), 0.01, 0.99),
            "age": rng.normal(np.array([25, 70, 45])[kind], 6),
            "region": np.where(rng.random(n) < 0.85, np.array(["north", "south", "west"])[kind], "east"),
        },
        index=pd.Index(np.arange(n), name="customer_id"),
    )


def without(frame, rows, *columns):
    """The customers with the attributes of some of them removed."""
    return frame.assign(**{name: frame[name].where(~rows) for name in columns})


@pytest.fixture(scope="module")
def surveyed():
    """Half have answered, most of them those who order much; of some only the age is missing."""
    frame = customers(1_500, 1)
    rng = np.random.default_rng(2)
    silent = rng.random(1_500) < 1 / (1 + np.exp((frame["orders"].to_numpy() - 6) / 2))
    frame = without(frame, silent, *ATTRIBUTES)
    return without(frame, rng.random(1_500) < 0.1, "age")


@pytest.fixture(scope="module")
def fitted(surveyed):
    return Segmentation(method="kmeans", inputs=INPUTS, attributes=ATTRIBUTES, clusters=3).fit(surveyed)


def kept(segmentation, frame, told):
    """Share of those with something removed who stay in their segment, of those placed; and share unsure."""
    before = segmentation.segments(frame)[told]
    given = segmentation.segments(without(frame, told, *ATTRIBUTES))[told]
    placed = given != UNSURE
    return (given == before)[placed].mean(), 1 - placed.mean()


def test_removed_attributes_leave_most_where_they_were_and_the_others_unsure(fitted):
    frame = customers(3_000, 3)
    right, unsure = kept(fitted, frame, np.random.default_rng(4).random(3_000) < 0.5)
    assert right > 0.9
    assert 0 < unsure < 0.25
    assigned = fitted.assign(without(frame, np.arange(3_000) < 1_000, "region"))
    confidence = assigned["segment_confidence"].to_numpy()
    assert (confidence[1_000:] == 1).all()
    assert ((confidence >= 0.6) == (assigned["segment"] != UNSURE)).all()
    told = fitted.segments(frame)[:1_000] == assigned["segment"].to_numpy()[:1_000]
    assert confidence[:1_000].mean() == pytest.approx(told.mean(), abs=0.07)
    nothing = fitted.segments(frame.drop(columns=[*ATTRIBUTES]))
    assert nothing.tolist() == fitted.segments(without(frame, np.full(3_000, True), *ATTRIBUTES)).tolist()


def test_the_clusters_are_those_of_the_complete_customers(fitted, surveyed):
    complete = fitted.complete(surveyed)
    assert complete.tolist() == surveyed[[*ATTRIBUTES]].notna().all(axis=1).tolist()
    alone = Segmentation(method="kmeans", inputs=INPUTS, clusters=3).fit_segments(surveyed[complete])
    assert fitted.segments(surveyed)[complete].tolist() == alone.segments(surveyed[complete]).tolist()
    names = fitted.segments(surveyed)
    assert set(names) == set(fitted.names_)
    assert fitted.names_[-1] == UNSURE
    assert fitted.classifier_.fidelity_ > 0.85
    (last,) = (one for one in fitted.describe(surveyed, pd.Series(names)) if one.segment == UNSURE)
    assert last.customers == (names == UNSURE).sum()
    assert "age, region" in last.action
    again = Segmentation.from_dict(json.loads(json.dumps(fitted.to_dict())))
    pd.testing.assert_frame_equal(again.assign(surveyed), fitted.assign(surveyed))


def test_a_biased_sample_is_said(fitted, surveyed):
    settings = Settings.make({"segments": {"attributes": {"survey": {"source": "survey.csv"}}}})
    learned = SimpleNamespace(people=surveyed, attributes=surveyed[[*ATTRIBUTES]], segmentation=fitted)
    (finding,) = doubt_labelled(settings, learned)
    assert finding.code == "CLV025"
    assert f"{fitted.complete(surveyed).mean():.0%} of the customers" in finding.found
    frame = customers(1_500, 1)
    random = without(frame, np.random.default_rng(5).random(1_500) < 0.5, *ATTRIBUTES)
    learned = SimpleNamespace(people=random, attributes=random[[*ATTRIBUTES]], segmentation=fitted)
    assert doubt_labelled(settings, learned) == []


def test_the_scorecard_says_how_often_the_classifier_is_right(fitted, surveyed):
    later = Later(surveyed, surveyed["predicted_value"].to_numpy(), np.ones(len(surveyed)), fitted, True)
    names = pd.Series(fitted.segments(surveyed))
    table = segments_table(fitted.describe(surveyed, names))
    asked = Settings().segments.scorecard
    found = scorecard(fitted, surveyed, table, dict.fromkeys(table["segment"], 0.9), later, asked)
    assert UNSURE not in set(found["segment"])
    rows = found[found["measure"] == PLACED].set_index("segment")
    assert rows.loc[EVERYONE, "value"] == fitted.classifier_.fidelity_
    assert f"{fitted.classifier_.coverage_:.0%} of them are placed" in rows.loc[EVERYONE, "note"]
    assert rows.index.tolist() == [*(name for name in fitted.names_ if name != UNSURE), EVERYONE]
    stable = found.loc[found["measure"] == "bootstrap Jaccard", "value"]
    assert (stable > 0.9).all()


def test_somebody_placed_stays_while_nearly_as_probable(fitted, surveyed):
    told = ~fitted.complete(surveyed)
    assigned = fitted.assign(surveyed)["segment"]
    chances = fitted.classifier_.predict_proba(fitted._with_nearest(surveyed))
    unsure = (assigned == UNSURE).to_numpy()
    likeliest = chances.idxmax(axis=1)
    near = unsure & (chances.max(axis=1) > 0.51).to_numpy()
    assert near.sum() > 5
    held = fitted.hold(surveyed, assigned, likeliest)
    assert (held[near] == likeliest[near]).all()
    assert (held[~unsure & told] == assigned[~unsure & told]).all()
    least = chances.idxmin(axis=1)
    assert (fitted.hold(surveyed, assigned, least)[told] == assigned[told]).all()
    fitted.margin = 0.0
    assert (fitted.hold(surveyed, assigned, likeliest) == assigned).all()
    fitted.margin = 0.1


def test_with_few_complete_customers_gaps_are_filled_as_before(surveyed):
    few = without(surveyed, np.arange(1_500) >= 150, "region").head(400)
    asked = Segmentation(method="kmeans", inputs=INPUTS, attributes=ATTRIBUTES, clusters=3)
    segmentation = asked.fit_segments(few)
    assert segmentation.classifier_ is None
    assert set(segmentation.segments(few)) == set(segmentation.names_) == set(segmentation.groups_.names_)
