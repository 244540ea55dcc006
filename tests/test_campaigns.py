"""Whom to contact: the budget is kept, the gain is the formula's, the interval that of a loop."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clvseg.campaigns import _simulate, target
from clvseg.config import CampaignSettings
from clvseg.evaluation.profit import Campaign
from clvseg.frames import CONTACTS

COSTS = {"contact_cost": 0.5, "offer_cost": 4.0}


@pytest.fixture(scope="module")
def run(sample_run):
    """The sample's run with the costs of a campaign in its settings."""
    campaign = CampaignSettings(**COSTS)
    return replace(sample_run, settings=sample_run.settings.model_copy(update={"campaign": campaign}))


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    run.save(folder)
    return folder


def test_without_a_budget_everybody_worth_it_is_on_the_list(run):
    found = target(run, CampaignSettings(**COSTS))
    scores = run.scores.set_index("customer_id")
    p = scores["churn_probability"]
    value = scores["predicted_value"] / np.maximum(1 - p, 0.01)
    gain = p * 0.3 * (value - 4) - (1 - p) * 4 - 0.5
    assert set(found.contacts["customer_id"]) == set(gain.index[gain > 0])
    listed = found.contacts.set_index("customer_id")
    np.testing.assert_allclose(listed["expected_gain"], gain[listed.index])
    assert list(found.contacts.columns) == CONTACTS.names
    assert (listed[["reason_1", "reason_2", "reason_3"]] != "").all().all()
    assert found.summary["expected_gain"] == pytest.approx(gain[gain > 0].sum())
    assert found.summary["gain_low"] < found.summary["expected_gain"] < found.summary["gain_high"]


@pytest.mark.parametrize("budget", [5.0, 100.0, 1000.0])
def test_the_budget_is_kept_and_spent_best_first(run, budget):
    everybody = target(run, CampaignSettings(**COSTS)).contacts
    found = target(run, CampaignSettings(**COSTS, budget=budget))
    assert found.summary["expected_cost"] <= budget
    assert list(found.contacts["customer_id"]) == list(everybody["customer_id"][: len(found.contacts)])
    ratio = everybody["expected_gain"] / everybody["expected_cost"]
    assert (ratio.diff().dropna() <= 1e-12).all()
    rest = (
        everybody["expected_cost"].iloc[len(found.contacts)] if len(found.contacts) < len(everybody) else 1e9
    )
    assert found.summary["expected_cost"] + rest > budget


def test_a_campaign_that_never_pays_lists_nobody(run):
    found = target(run, CampaignSettings(contact_cost=1e6, offer_cost=0.0))
    assert found.contacts.empty
    assert found.summary["expected_gain"] == found.summary["gain_low"] == found.summary["gain_high"] == 0
    assert found.summary["cutoff"] == 1.0


def test_the_simulated_gain_is_that_of_a_loop_over_customers():
    """Nearly sure parameters leave chance alone: mean and spread by the binomial's own formulas."""
    rng = np.random.default_rng(0)
    churn, value = rng.uniform(0.3, 0.9, 200), rng.gamma(2, 50, 200)
    campaign = Campaign(1.0, 5.0, 0.3, 0.001)
    table = pd.DataFrame({"churn_probability": churn, "value_if_kept": value})
    sure = {"save_rate": 0.001, "churn": 1e-6, "value": 1e-6, "single_value": 0.5}
    ends, total = _simulate(table, campaign, sure, seed=1)
    mean = variance = 0.0
    for p, v in zip(churn, value, strict=True):
        outcomes = [(p * 0.3, v - 6.0, (0.5 * v) ** 2), (p * 0.7, -1.0, 0.0), (1 - p, -6.0, 0.0)]
        expected = sum(q * gain for q, gain, _ in outcomes)
        mean += expected
        variance += sum(q * (gain**2 + noise) for q, gain, noise in outcomes) - expected**2
    assert total.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / len(total)))
    assert total.std() == pytest.approx(np.sqrt(variance), rel=0.1)
    assert (ends[0] <= ends[1]).all()


def test_unsure_save_rates_make_the_interval_wider(run):
    sure = target(run, CampaignSettings(**COSTS, save_rate_sd=0.01)).summary
    unsure = target(run, CampaignSettings(**COSTS, save_rate_sd=0.2)).summary
    assert unsure["gain_high"] - unsure["gain_low"] > sure["gain_high"] - sure["gain_low"]


def test_the_verb_writes_the_list_and_says_what_it_brings(cli, saved, tmp_path):
    place = tmp_path / "list.csv"
    told = cli("target", saved, "--budget", 200, "--to", place)
    assert told.code == 0
    for words in ("Whom to contact", "expected net gain", "80% interval", f"Wrote {place}"):
        assert words in told.out
    listed = pd.read_csv(place)
    assert list(listed.columns) == CONTACTS.names
    assert listed["expected_cost"].sum() <= 200
    told = cli("target", saved, "--contact-cost", 2, "--to", place, "--json")
    summary = json.loads(told.out)
    assert summary["campaign"]["contact_cost"] == 2
    assert summary["campaign"]["offer_cost"] == 4
    assert summary["contacts"] == len(pd.read_csv(place))


@pytest.mark.parametrize(
    ("option", "number", "words"),
    [("--save-rate", 1.5, "campaign.save_rate"), ("--budget", -1, "campaign.budget")],
)
def test_a_campaign_out_of_range_is_refused(cli, saved, tmp_path, option, number, words):
    told = cli("target", saved, option, number, "--to", tmp_path / "list.csv")
    assert told.code == 2
    assert words in told.err
    assert not (tmp_path / "list.csv").exists()
