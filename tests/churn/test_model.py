"""Churn: calibrated, repeatable, falling back where boosting does not help."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError

from clvseg.churn.model import ChurnModel
from clvseg.data.summary import outcomes
from clvseg.data.transactions import Transactions
from clvseg.evaluation.metrics import calibration_error, roc_auc
from clvseg.value import GammaGammaModel, ParetoNBDModel, ValueModel
from clvseg.value.origins import build_panel

CUTOFF, DAYS = dt.date(1997, 12, 31), 181


@pytest.fixture(scope="module")
def tx():
    return Transactions.read("dataset:cdnow_sample")


@pytest.fixture(scope="module")
def panel(tx):
    return build_panel(
        tx, CUTOFF, DAYS, lambda s, f: ValueModel(ParetoNBDModel(), GammaGammaModel()).fit(s, f)
    )[0]


@pytest.fixture(scope="module")
def model(panel):
    return ChurnModel(seed=3).fit(panel)


def test_boosting_is_used_on_cdnow(model):
    assert model.reason == ""
    assert model.evidence["sureness"] > 1


def test_probabilities(panel, model):
    both = model.predict_proba(panel.current)
    assert both.shape == (len(panel.current), 2)
    assert both.sum(axis=1) == pytest.approx(1)
    assert ((both > 0) & (both < 1)).all()


def test_raw_is_the_weighted_boosters_plus_the_offset(panel, model):
    frame = panel.current.sample(200, random_state=1)
    by_hand = model.offset(frame) + sum(
        weight * booster.predict(frame[model.features], raw_score=True) for weight, booster in model.parts
    )
    assert model.raw(frame) == pytest.approx(by_hand, abs=1e-9)
    assert model.predict_proba(frame)[:, 1] == pytest.approx(expit(by_hand))


def test_later_activity_is_ranked_and_calibrated(tx, panel, model):
    gone = 1 - outcomes(tx, CUTOFF, DAYS)["active"].to_numpy()
    risk = model.predict_proba(panel.current)[:, 1]
    assert roc_auc(gone, risk) > 0.76
    assert calibration_error(gone, risk) < 0.06
    assert roc_auc(gone, risk) > roc_auc(gone, -panel.current["probability_alive"])


def test_same_panel_and_seed_same_bytes(panel, model):
    again = ChurnModel(seed=3).fit(panel)
    assert json.dumps(again.to_dict()) == json.dumps(model.to_dict())


def test_json_gives_identical_probabilities(panel, model):
    again = ChurnModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert np.array_equal(again.predict_proba(panel.current), model.predict_proba(panel.current))


def test_a_customer_has_the_same_risk_alone_and_among_others(panel, model):
    together = model.predict_proba(panel.current)
    assert np.array_equal(model.predict_proba(panel.current.iloc[[5]]), together[[5]])


def test_origin_errors_by_hand(panel, model):
    newest = panel.origin == 0
    gone = 1 - panel.outcome["active"].to_numpy()[newest].mean()
    expected = 1 - np.clip(panel.rows["probability_active"].to_numpy()[newest], 1e-4, 1 - 1e-4).mean()
    assert model.errors[0] == pytest.approx(logit(gone) - logit(expected))


def test_without_origins_the_purchase_model_speaks(panel):
    none = dataclasses.replace(
        panel,
        rows=panel.rows.iloc[:0],
        outcome=panel.outcome.iloc[:0],
        origin=panel.origin[:0],
        origins=(),
        reason="too short",
    )
    model = ChurnModel().fit(none)
    assert model.reason == "too short"
    assert model.predict_proba(panel.current)[:, 0] == pytest.approx(
        panel.current["horizon_active"].to_numpy(), abs=1e-3
    )


def test_boosting_that_does_not_help_is_not_used(panel):
    rng = np.random.default_rng(0)
    active = rng.random(len(panel.rows)) < panel.rows["probability_active"].to_numpy()
    nothing = panel.outcome.assign(active=active.astype(float))
    model = ChurnModel().fit(dataclasses.replace(panel, outcome=nothing))
    assert model.parts == []
    assert model.reason.startswith("boosting did not predict churn better")


def test_a_purchase_model_too_sure_of_itself_is_corrected_by_a_line(panel):
    """Few rows; who comes back follows the days since the last order, the purchase model is too sure."""
    rng = np.random.default_rng(0)
    kept = np.sort(rng.permutation(len(panel.rows))[:390])

    def too_sure(frame):
        names = ["probability_active", "horizon_active"]
        return frame.assign(**{name: expit(3 * logit(frame[name].clip(1e-3, 1 - 1e-3))) for name in names})

    def leaving(frame):
        return expit(-2 + 0.5 * np.log1p(frame["since_last"].to_numpy()))

    rows = too_sure(panel.rows.iloc[kept])
    gone = rng.random(len(rows)) < leaving(rows)
    few = dataclasses.replace(
        panel,
        rows=rows,
        origin=panel.origin[kept],
        outcome=panel.outcome.iloc[kept].assign(active=1.0 - gone),
        current=too_sure(panel.current),
    )
    model = ChurnModel().fit(few)
    assert model.parts == []
    assert model.reason.startswith("only ")
    assert model.reason.endswith("; a line corrects the purchase model by the days since the last order")
    assert abs(model.line[0]) < 0.2
    assert model.line[1] == pytest.approx(0.5, abs=0.3)
    truth, said = leaving(few.current), model.predict_proba(few.current)[:, 1]
    assert np.abs(said - truth).mean() < np.abs(1 - few.current["horizon_active"] - truth).mean() / 2
    again = ChurnModel.from_dict(json.loads(json.dumps(model.to_dict())))
    np.testing.assert_array_equal(again.predict_proba(few.current)[:, 1], said)


def test_everybody_came_back(panel):
    model = ChurnModel().fit(dataclasses.replace(panel, outcome=panel.outcome.assign(active=1.0)))
    assert model.reason.startswith("only 0 of 200 needed")
    assert np.isfinite(model.predict_proba(panel.current)).all()


def test_a_longer_horizon_means_less_risk(panel, model):
    likelier = panel.current["horizon_active"].clip(1e-3, 0.99) * 1.01
    sooner = model.predict_proba(panel.current.assign(horizon_active=likelier / 1.01))[:, 1]
    assert (model.predict_proba(panel.current.assign(horizon_active=likelier))[:, 1] < sooner).all()


def test_asked_before_fit():
    with pytest.raises(NotFittedError, match="call fit first"):
        ChurnModel().predict_proba(pd.DataFrame())
