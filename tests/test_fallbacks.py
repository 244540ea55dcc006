"""Logs too small, too short or without dropout: the main job ends, says so, and falls back."""

import numpy as np
import pandas as pd
import pytest

from clvseg import workflow
from clvseg.config import Settings
from clvseg.data.simulate import simulate_transactions
from clvseg.run import Run, table_names
from clvseg.scores import Scorer
from clvseg.tracking.card import model_card

# Dropout so rare that the Pareto/NBD is an NBD.
NO_DROPOUT = {"r": 0.553, "alpha": 74.0, "s": 20.0, "beta": 1e6}
LOGS = {
    "60 customers": ({"customers": 60}, "91d", {"CLV002", "CLV005"}),
    "300 customers": ({"customers": 300}, "91d", {"CLV002"}),
    "600 customers": ({"customers": 600}, "91d", {"CLV002"}),
    "five weeks": ({"customers": 300, "days": 35, "acquisition_days": 21}, "90d", {"CLV002", "CLV005"}),
    "no dropout": ({"customers": 400, "days": 365, "parameters": NO_DROPOUT}, "91d", {"CLV002", "CLV004"}),
}


@pytest.fixture(scope="module", params=LOGS)
def case(request) -> tuple[str, Run]:
    how, horizon, _ = LOGS[request.param]
    log = simulate_transactions(**how, purchases="pareto_nbd", seed=1)
    return request.param, workflow.fit(Settings.make({"horizon": horizon}), log)


def test_it_ends_with_everybody_scored_and_every_number_finite(case):
    name, run = case
    assert len(run.scores) == LOGS[name][0]["customers"]
    for name in table_names():
        table: pd.DataFrame = getattr(run, name)
        assert not table.isna().to_numpy().any(), name
        assert np.isfinite(table.select_dtypes("number").to_numpy()).all(), name
    total = run.facts["total"]
    assert 0 < total["low"] < total["predicted"] < total["high"] < np.inf


def test_the_doubts_are_named(case):
    name, run = case
    codes = set(run.findings["code"])
    assert LOGS[name][2] <= codes
    fits = Scorer.from_dict(run.models, run.settings).base.value_model
    statuses = {fits.purchases_.fit_report_.status, fits.spend_.fit_report_.status}
    assert ("CLV004" in codes) == (statuses != {"converged"})


def test_what_is_in_use_is_told_by_facts_and_finding(case):
    _, run = case
    said = " ".join(run.findings.loc[run.findings["code"] == "CLV015", "found"])
    for target, model in (("value", "hybrid"), ("churn", "churn")):
        reason = run.facts["fallback"][target]
        assert (reason == "") == bool(run.models[model]["parts"])
        assert reason in said
        assert (target in said) == bool(reason)
    assert all(run.facts["fallback"].values())
    assert "corrected by LightGBM" not in model_card(run)


def test_a_row_missing_from_the_leaderboards_is_told(case):
    _, run = case
    told = run.findings.loc[run.findings["code"] == "CLV018", "found"]
    rows = set(run.leaderboard_value["model"])
    for name, why in run.facts["not_fitted"].items():
        assert f"{name} did not fit: {why}" in set(told)
        assert name not in rows
        assert f"{name} + Gamma-Gamma" not in rows
    assert len(told) == len(run.facts["not_fitted"])


def test_past_rates_stand_in_where_orders_are_many_and_nobody_drops_out():
    grocers = {"r": 2.0, "alpha": 20.0, "s": 20.0, "beta": 1e8}
    log = simulate_transactions(60, purchases="pareto_nbd", parameters=grocers, days=300, seed=3)
    run = workflow.fit(Settings.make({"horizon": "60d"}), log)
    (said,) = run.findings.loc[run.findings["code"] == "CLV015", "found"].loc[lambda s: s.str[:6] == "value:"]
    assert said.endswith("; past rates are in use, as no dropout is seen and orders are many.")
    people = run.customers
    rate = people["frequency"] / people["T"] * people["mean_spend"]
    again = people["frequency"] > 0
    ratio = (run.scores["predicted_value"] / rate)[again]
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-6)


def test_a_fallback_is_the_purchase_model_at_another_level(case):
    _, run = case
    assert run.facts["fallback"]["value"]
    scorer = Scorer.from_dict(run.models, run.settings)
    own = scorer.base.frame(run.customers.set_index("customer_id"))["horizon_value"].to_numpy()
    ratio = run.scores["predicted_value"].to_numpy() / own
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert 0.5 < ratio[0] < 2
