"""The gates: each against numbers on either side of its limit; the champion among rows that pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvseg.evaluation.bootstrap import Bootstrap
from clvseg.evaluation.cohorts import cohort_table
from clvseg.evaluation.gates import GATES, champion, gate_table

NOISE = np.random.default_rng(0).normal(0, 0.01, 200)


def drawn(**models: tuple[float, float, float, float]) -> Bootstrap:
    """Gini, its own noise, bias and decile error of each model; all share the same noise of customers."""
    estimates, draws = {}, {}
    for place, (name, (gini, own, bias, error)) in enumerate(models.items()):
        mine = np.random.default_rng(place + 1).normal(0, own, 200)
        for metric, value, spread in (
            ("gini", gini, NOISE + mine),
            ("bias", bias, NOISE),
            ("decile_error", error, NOISE),
        ):
            estimates[name, metric], draws[name, metric] = value, value + spread
    return Bootstrap(estimates, draws)


def passes(table: pd.DataFrame, model: str) -> dict[str, bool]:
    return table[table["model"] == model].set_index("gate")["passed"].to_dict()


@pytest.mark.parametrize(
    ("model", "failed"),
    [
        ((0.72, 0.001, 0.05, 0.06), set()),
        ((0.701, 0.02, 0.05, 0.06), {"ranking"}),
        ((0.72, 0.001, -0.11, 0.11), {"level"}),
        ((0.72, 0.001, 0.0, 0.13), {"calibration"}),
        ((0.60, 0.001, 0.3, 0.4), {"ranking", "level", "calibration"}),
    ],
)
def test_each_gate_fails_for_its_own_reason(model, failed):
    table = gate_table("value", drawn(rate=(0.70, 0, 0.4, 0.4), ours=model), ("rate", "not there"))
    assert {gate for gate, passed in passes(table, "ours").items() if not passed} == failed


def test_a_naive_row_cannot_pass_by_beating_another():
    table = gate_table("value", drawn(rate=(0.70, 0, 0, 0), last=(0.5, 0, 0, 0)), ("rate", "last"))
    assert not passes(table, "rate")["ranking"]


def test_the_paired_difference_decides_where_marginal_intervals_overlap():
    """Noise of customers common to both rows moves each by far more than their difference."""
    both = drawn(rate=(0.700, 0, 0, 0), ours=(0.705, 0.001, 0, 0))
    assert both.interval("ours", "gini")[0] < both.estimates["rate", "gini"]
    assert passes(gate_table("value", both, ("rate",)), "ours")["ranking"]


def test_the_champion_passes_every_gate_and_a_tie_goes_to_the_row_in_use():
    both = drawn(
        rate=(0.6, 0, 0, 0), ours=(0.72, 0.002, 0, 0), other=(0.721, 0.002, 0, 0), off=(0.8, 0, 0.3, 0.3)
    )
    gates = gate_table("value", both, ("rate",))
    assert champion(gates, both, "gini", "ours") == "ours"
    better = drawn(rate=(0.6, 0, 0, 0), ours=(0.72, 0.002, 0, 0), other=(0.75, 0.002, 0, 0))
    assert champion(gate_table("value", better, ("rate",)), better, "gini", "ours") == "other"
    none = drawn(rate=(0.6, 0, 0, 0), ours=(0.72, 0.002, 0.5, 0.5))
    assert champion(gate_table("value", none, ("rate",)), none, "gini", "ours") is None


def test_no_gate_is_about_the_absolute_error():
    assert {gate.metric for gate in GATES} == {"gini", "bias", "decile_error", "auc", "calibration_error"}
    assert all(gate.rule and gate.reason for gate in GATES)


def test_cohort_bias_by_hand():
    rng = np.random.default_rng(2)
    first = pd.Timestamp("1997-01-01") + pd.to_timedelta(rng.integers(0, 120, 900), unit="D")
    actual, predicted = rng.gamma(0.5, 40, 900) * (rng.random(900) < 0.5), rng.gamma(1, 10, 900)
    as_of = pd.Timestamp("1997-09-30")
    table = cohort_table((as_of - first).days.to_numpy(), as_of.date(), actual, predicted, seed=1)
    months = first.strftime("%b %Y").to_numpy()
    assert list(table["cohort"]) == ["Jan 1997", "Feb 1997", "Mar 1997", "Apr 1997"]
    for row in table.itertuples():
        mine = months == row.cohort
        assert row.customers == mine.sum()
        assert row.bias == pytest.approx(predicted[mine].sum() / actual[mine].sum() - 1)
        assert row.bias_low < row.bias < row.bias_high


def test_small_cohorts_are_joined_and_long_histories_go_by_quarter_or_year():
    ages = np.repeat(np.arange(0, 365 * 6, 30), 5)
    money = np.ones(len(ages))
    table = cohort_table(ages, pd.Timestamp("2020-12-31").date(), money, money, seed=1)
    assert table["customers"].sum() == len(ages)
    assert len(table) <= 12
    assert set(table["cohort"]) <= {str(year) for year in range(2015, 2021)}
    few = cohort_table(ages[:100], pd.Timestamp("2020-12-31").date(), money[:100], money[:100], seed=1)
    assert few["customers"].min() >= 30
    assert any(" to " in name for name in few["cohort"])
