"""The main job on raw invoice lines: UCI Online Retail with its own column names, cancellations and gaps."""

from pathlib import Path

import pytest

import clvseg

ROOT = Path(__file__).parents[1]
LOG = ROOT.parent / "shared" / "data" / "online_retail_2010_2011.parquet"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LOG.is_file(), reason="the Online Retail log is not beside the project"),
]


@pytest.fixture(scope="module")
def run():
    return clvseg.fit(clvseg.Settings.read(ROOT / "experiments" / "online_retail" / "clvseg.toml"))


def test_what_was_dropped_or_netted_is_counted(run):
    found = {code: " ".join(part["found"]) for code, part in run.findings.groupby("code")}
    assert "135,037 without a customer" in found["CLV012"]
    assert "5,268 exact repeats left out" in found["CLV012"]
    assert "40 free lines kept" in found["CLV012"]
    assert "8,872 lines below zero" in found["CLV003"]
    assert run.profile["lines_read"] == 541_909


def test_a_fit_at_its_bound_is_said_loudly(run):
    found = run.findings.loc[run.findings["code"] == "CLV004", "found"]
    assert found.str.contains("probability_alive should not be read").any()


def test_a_season_that_was_not_seen_is_said(run):
    assert (run.findings["code"] == "CLV011").any()


def test_ranking_is_no_worse_than_the_best_simple_row_and_the_total_than_the_purchase_model(run):
    value = run.leaderboard_value.set_index("model")
    ours = value.loc[run.facts["model_value"]]
    assert ours["spearman"] >= 0.515
    assert abs(ours["bias"]) <= abs(value.loc["lifetimes BG/NBD + Gamma-Gamma", "bias"])
    assert run.leaderboard_churn.set_index("model").loc[run.facts["model_churn"], "auc"] >= 0.738


def test_segments_are_5_to_10_and_large_enough(run):
    assert 5 <= len(run.segments) <= 10
    assert run.segments["share_customers"].min() >= 0.01
    assert run.segments["customers"].sum() == len(run.scores) == 4_335
