"""Checks of fitted models take plain values."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from clvseg.checks import (
    CATALOGUE,
    Finding,
    about,
    check_calibration,
    check_choice,
    check_fallback,
    check_fit,
    check_naive,
    check_segments,
    check_spend,
    findings_frame,
)
from clvseg.errors import ConfigError
from clvseg.frames import DIFFERENCES, FINDINGS, LATER


@pytest.mark.parametrize(
    ("slope", "severity"), [(0.0, None), (0.45, "warning"), (1.2, "serious"), (-1.2, "serious")]
)
def test_spend(slope, severity):
    rng = np.random.default_rng(1)
    frequency = rng.integers(0, 20, 2_000)
    spend = np.exp(rng.normal(3.0, 0.8, 2_000) + slope * np.log1p(frequency)) * (frequency > 0)
    findings = check_spend(pd.DataFrame({"frequency": frequency, "monetary_value": spend}))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    if severity:
        assert ("spend more" if slope > 0 else "spend less") in findings[0].found


def test_spend_needs_buyers():
    assert check_spend(pd.DataFrame({"frequency": [0, 0], "monetary_value": [0.0, 0.0]})) == []
    assert check_spend(pd.DataFrame({"frequency": [1] * 40, "monetary_value": [2.0] * 40})) == []


def test_fit():
    assert check_fit("bg_nbd", "converged") == []
    (finding,) = check_fit("bg_nbd", "at bound")
    assert finding.found == (
        "bg_nbd ran to the bound of its parameters; its probability_alive should not be read."
    )
    assert check_fit("bg_nbd", "not identified")[0].code == "CLV004"
    (finding,) = check_fit("Gamma-Gamma", "at bound")
    assert finding.found.endswith("; how spend differs between customers should not be read.")


def test_a_fallback_is_said_for_each_target_and_reason():
    found = check_fallback("too short", "too few customers")
    assert [item.found for item in found] == ["value: too short.", "churn: too few customers."]
    assert {item.code for item in found} == {"CLV015"}
    assert check_fallback("", "") == []


@pytest.mark.parametrize(
    ("difference", "low", "severity"),
    [(0.02, 0.01, None), (0.02, -0.01, "warning"), (-0.02, -0.03, "serious")],
)
def test_naive_is_judged_by_the_paired_difference(difference, low, severity):
    rows = [
        ("value", "gini", "hybrid", "rate", difference, low, 0.04, 0.9),
        ("value", "gini", "hybrid", "last year", 0.2, 0.1, 0.3, 1.0),
        ("value", "mae", "hybrid", "rate", -9.0, -9.0, -9.0, 0.0),
        ("churn", "auc", "hybrid", "a real model", -0.1, -0.2, -0.01, 0.0),
    ]
    found = check_naive(pd.DataFrame(rows, columns=DIFFERENCES.names), ("rate", "last year"))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    if severity:
        assert found[0].found == (
            f"Gini of value: hybrid is {difference:+.3f} against 'rate' "
            f"(95 % interval of the difference {low:+.3f} to +0.040)."
        )


def test_another_purchase_model_fits_better():
    names = ["past rate x horizon", "MBG/CNBD-k", "Pareto/NBD", "MBG/NBD"]
    choice = pd.DataFrame(
        {
            "model": names,
            "chosen": [False, False, True, False],
            "status": ["naive", "converged", "converged", "at bound"],
            "later_gain": [-0.5, 0.08, 0.0, 0.3],
            "later_gain_se": [0.01, 0.02, 0.0, 0.01],
            "bias": [0.4, 0.01, 0.09, 0.0],
        }
    )
    (finding,) = check_choice(choice)
    assert (finding.code, finding.severity) == ("CLV016", "warning")
    assert finding.found == (
        "MBG/CNBD-k gave the later purchases a log-likelihood 0.080 a customer above that of Pareto/NBD "
        "(standard error 0.020); totals off by +1% and +9%."
    )
    assert check_choice(choice.assign(later_gain_se=0.03)) == []
    assert check_choice(choice.assign(later_gain=[-0.5, 0.005, 0.0, 0.3], later_gain_se=0.0)) == []


@pytest.mark.parametrize(
    ("values", "severities"),
    [
        ((0.02, 0.05, -0.01, 0.1), []),
        ((0.05, 0.05, 0.01, 0.1), ["warning"]),
        ((0.10, -0.16, -0.2, -0.1), ["serious", "warning"]),
        ((0.02, -0.44, -0.7, 0.1), []),
        ((0.02, 0.5, 0.3, 0.7), ["serious"]),
    ],
)
def test_calibration(values, severities):
    assert [finding.severity for finding in check_calibration(*values)] == severities


def _later(rows) -> pd.DataFrame:
    names = ["segment", "customers", "predicted_per_customer", "revenue_per_customer"]
    names += ["revenue_low", "revenue_high", "active"]
    frame = pd.DataFrame(rows, columns=names).assign(predicted_active=0.5, share_revenue=0.1)
    return LATER.conform(frame)


def test_segments():
    good = [("A", 500, 90.0, 95.0, 80.0, 110.0, 0.7), ("B", 900, 20.0, 22.0, 19.0, 25.0, 0.4)]
    assert check_segments(_later(good)) == []
    alike = [*good, ("C", 400, 18.0, 21.0, 18.0, 24.0, 0.42)]
    (finding,) = check_segments(_later(alike))
    assert finding.found == "neither revenue nor activity differed later: B and C."
    only_activity = [*good, ("C", 400, 18.0, 21.0, 18.0, 24.0, 0.2)]
    assert check_segments(_later(only_activity)) == []
    wrong = [*good, ("C", 400, 15.0, 60.0, 50.0, 70.0, 0.6)]
    (finding,) = check_segments(_later(wrong))
    assert (finding.severity, finding.found.endswith("opposite order: B and C.")) == ("serious", True)
    tiny = [*good, ("C", 5, 1.0, 1.0, 0.5, 2.0, 0.1)]
    (finding,) = check_segments(_later(tiny))
    assert finding.found == "under 30 customers, too few to judge: C (5)."


def test_catalogue_is_complete():
    for code, entry in CATALOGUE.items():
        assert entry.code == code
        assert entry.title
        assert entry.meaning.endswith(".")
        assert entry.advice.endswith(".")
        assert str(entry).startswith(f"{code}: {entry.title}\n\n")
        assert "What to do:" in str(entry)
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_one_file_per_code():
    from clvseg.checks import catalogue

    modules = {name[:6].upper() for name, value in vars(catalogue).items() if inspect.ismodule(value)}
    assert modules == set(CATALOGUE)


def test_about():
    assert about("clv010") is CATALOGUE["CLV010"]
    with pytest.raises(ConfigError, match="there is no finding CLV099"):
        about("CLV099")


def test_findings_frame_begins_with_the_worst():
    findings = [
        Finding("CLV001", "info", "a", "b", "c"),
        Finding("CLV009", "serious", "a", "b", "c"),
        Finding("CLV003", "serious", "a", "b", "c"),
    ]
    frame = findings_frame(findings)
    assert frame["code"].tolist() == ["CLV003", "CLV009", "CLV001"]
    assert list(findings_frame([]).columns) == FINDINGS.names
