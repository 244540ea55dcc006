"""Drift: PSI, predictions broken down to the days that passed, and when a refit is due."""

import datetime as dt
import json
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from clvseg.checks import findings_frame
from clvseg.checks.clv022_drift import check_drift
from clvseg.config import Settings
from clvseg.data.features import customer_features, feature_catalogue
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.explain import EXPECTATIONS
from clvseg.frames import REALISED, STABILITY
from clvseg.learning import learn
from clvseg.monitoring.drift import ALL, measure_drift, predicted_until
from clvseg.monitoring.reference import learn_reference, stability_index, stability_of
from clvseg.run import Run
from clvseg.stored import Stored
from clvseg.workflow import _reference

AS_OF, UNTIL = dt.date(2024, 12, 21), dt.date(2025, 4, 20)


def test_psi_against_a_plain_loop_and_on_draws():
    rng = np.random.default_rng(1)
    one, same, other = rng.gamma(2, 1, 5000), rng.gamma(2, 1, 5000), rng.gamma(2, 1.6, 5000)
    reference = learn_reference(pd.DataFrame({"x": one}))["x"]
    edges = [-np.inf, *reference["edges"], np.inf]
    total = 0.0
    for low, high in pairwise(edges):
        p = sum(low < value <= high for value in one) / len(one)
        q = sum(low < value <= high for value in other) / len(other)
        total += (q - p) * np.log(q / p)
    assert stability_of(other, reference) == pytest.approx(total)
    assert len(reference["shares"]) == 10
    assert stability_of(same, reference) < 0.02 < 0.25 < stability_of(other, reference)


def test_psi_of_few_values_and_of_none_in_a_bin():
    flat = learn_reference(pd.DataFrame({"x": np.zeros(100)}))["x"]
    assert (flat["edges"], flat["shares"]) == ([], [1.0])
    assert stability_of(np.ones(50), flat) == 0.0
    two = learn_reference(pd.DataFrame({"x": np.repeat([0.0, 1.0], 50)}))["x"]
    assert two["edges"] == [0.5]
    assert stability_of(np.zeros(50), two) == pytest.approx(
        stability_index(np.array([0.5, 0.5]), np.array([1, 1e-4]))
    )
    assert np.isfinite(stability_of(np.zeros(50), two))


@pytest.fixture(scope="module")
def log():
    """A steady business: customers come at an even rate and behave alike."""
    log = simulate_transactions(3000, purchases="pareto_nbd", days=911, acquisition_days=911, seed=9)
    return log.assign(day=pd.to_datetime(log["time"]).dt.date)


@pytest.fixture(scope="module")
def run(log, tmp_path_factory):
    """Fitted by the steps of the main job, without its judgement; saved and loaded."""
    settings = Settings.make({"horizon": "26w"})
    tx = Transactions.read(log[log["day"] <= AS_OF].drop(columns="day"), settings.data)
    learned = learn(tx, AS_OF, 182, settings)
    scorer = learned.scorer(settings)
    scores = scorer.score_features(learned.panel.current, AS_OF)
    predicted = scores["predicted_value"].to_numpy()
    low, high = scorer.intervals.total(predicted)
    behaviour = learned.people[[feature.name for feature in feature_catalogue(())]]
    tables = {one.name: pd.DataFrame() for one in fields(Run) if one.type == "pd.DataFrame"}
    tables |= {
        "scores_kept": Stored.of(scores),
        "customers_kept": Stored.of(learned.panel.current.drop(columns=[*EXPECTATIONS]).reset_index()),
    }
    made = Run(
        settings=settings,
        facts={
            "as_of": AS_OF.isoformat(),
            "horizon_days": 182,
            "total": {"predicted": float(predicted.sum()), "low": low, "high": high},
        },
        profile=tx.profile,
        models=scorer.to_dict() | {"reference": _reference(learned, behaviour)},
        **tables,
    )
    place = tmp_path_factory.mktemp("drift") / "run"
    place.mkdir()
    made.save(place)
    return place


def drift_of(run, log, until=UNTIL):
    from clvseg.scores import Scorer

    loaded = Run.load(run)
    tx = Transactions.read(log[log["day"] <= until].drop(columns="day"))
    people = Scorer.from_dict(loaded.models, loaded.settings).people(customer_features(tx, tx.last_day))
    return measure_drift(loaded, tx, people)


def test_a_steady_business_needs_no_refit(run, log):
    for days in (30, 60, 120):
        drift = drift_of(run, log, AS_OF + dt.timedelta(days))
        assert drift.reasons == [], days
        assert drift.facts["compared_days"] == days
        assert drift.facts["amount_ratio"]["low"] < 1.02
        whole = drift.realised.iloc[0]
        assert (whole["segment"], whole["customers"]) == (ALL, len(Run.load(run).scores))
        assert whole["low"] < 1 < whole["high"]
        assert whole["active_low"] - 0.02 < whole["predicted_active"] < whole["active_high"] + 0.02
        assert drift.realised["actual"].iloc[1:].sum() == pytest.approx(whole["actual"])
        assert list(drift.realised.columns) == REALISED.names
        assert list(drift.stability.columns) == STABILITY.names
        assert check_drift(drift.reasons) == []


def test_dearer_orders_are_a_reason(run, log):
    later = log["day"] > AS_OF
    drift = drift_of(run, log.assign(amount=log["amount"].where(~later, log["amount"] * 1.6)))
    assert drift.refit
    assert any(reason.startswith("an order costs 5") and "above" in reason for reason in drift.reasons)
    assert drift.facts["amount_ratio"]["ratio"] == pytest.approx(1.6, abs=0.1)
    assert findings_frame(check_drift(drift.reasons))["severity"].tolist() == ["serious"]


def test_customers_who_stay_away_are_a_reason(run, log):
    rng = np.random.default_rng(2)
    gone = rng.random(log["customer_id"].max() + 1) < 0.6
    drift = drift_of(run, log[(log["day"] <= AS_OF) | ~gone[log["customer_id"]]])
    assert any(
        "revenue was" in reason and "below the prediction (orders" in reason for reason in drift.reasons
    )
    assert not any("an order costs" in reason for reason in drift.reasons)
    whole = drift.realised.iloc[0]
    assert whole["active_high"] < whole["predicted_active"]


def test_the_end_of_the_horizon_is_a_reason(run, log):
    end = AS_OF + dt.timedelta(400)
    far = pd.DataFrame({"customer_id": [1], "time": [pd.Timestamp(end)], "amount": [5.0], "day": [end]})
    drift = drift_of(run, pd.concat([log, far]), end)
    assert any("are over" in reason for reason in drift.reasons)
    assert drift.facts["compared_days"] == 182


def test_predictions_of_parts_of_the_horizon_add_up(run):
    loaded = Run.load(run)
    scores = loaded.scores.set_index("customer_id")
    whole = predicted_until(loaded, 182)
    np.testing.assert_allclose(whole["revenue"], scores["predicted_value"])
    np.testing.assert_allclose(whole["active"], 1 - scores["churn_probability"], atol=1e-6)
    before = whole.assign(revenue=0.0, active=0.0)
    for days in (1, 30, 90, 150, 182):
        now = predicted_until(loaded, days)
        assert (now["revenue"] >= before["revenue"]).all()
        assert (now["active"] >= before["active"] - 1e-12).all()
        before = now


def test_a_log_without_news_or_of_others_is_refused(run, log):
    with pytest.raises(DataError, match="nothing has happened since"):
        drift_of(run, log, AS_OF)
    with pytest.raises(DataError, match="of the run's customers"):
        drift_of(run, log.assign(customer_id=log["customer_id"] + 50_000))


def test_the_verb_says_it_by_its_exit_code(run, log, cli, tmp_path):
    known = log[log["day"] <= UNTIL].drop(columns="day")
    known.to_csv(tmp_path / "steady.csv", index=False)
    told = cli("check", tmp_path / "steady.csv", "--against", run)
    assert (told.code, told.out.count("no refit is due")) == (0, 1), told.err
    later = pd.to_datetime(known["time"]).dt.date > AS_OF
    known.assign(amount=known["amount"].where(~later, known["amount"] * 2)).to_csv(
        tmp_path / "dear.csv", index=False
    )
    told = cli("check", tmp_path / "dear.csv", "--against", run, "--json")
    assert told.code == 1
    found = json.loads(told.out)
    assert found["refit"] is True
    assert [row["code"] for row in found["findings"]] == ["CLV022"]
    assert "an order costs" in found["findings"][0]["found"]
    assert cli("check", tmp_path / "dear.csv", "--against", tmp_path).code == 2
