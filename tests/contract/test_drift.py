"""Drift of customers under contract: steady tables, tables that changed, and labels that came since."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.contract.scorer import ContractScorer
from clvseg.errors import DataError
from clvseg.frames import CONTRACT_REALISED, STABILITY
from clvseg.monitoring import Drift, measure_contract_drift
from clvseg.monitoring.drift import ALL
from clvseg.monitoring.reference import learn_reference, stability_index, stability_of
from clvseg.run import Run
from tests.contract.conftest import subscriptions


def others(seed: int = 11) -> pd.DataFrame:
    """New customers of the same business."""
    return subscriptions(1_200, seed).assign(id=[f"N{number}" for number in range(1_200)])


def drift_of(run: Run, frame: pd.DataFrame) -> Drift:
    scorer = ContractScorer.from_dict(run.models, run.settings)
    return measure_contract_drift(run, scorer, scorer.read_rows(frame))


def test_psi_of_words_and_of_gaps_against_counting() -> None:
    now = pd.DataFrame({"plan": ["a"] * 60 + ["b"] * 40, "age": [*range(100)]})
    reference = json.loads(json.dumps(learn_reference(now)))
    assert (reference["plan"]["levels"], reference["plan"]["shares"]) == (["a", "b"], [0.6, 0.4])
    later = pd.Series(["a"] * 30 + ["b"] * 30 + ["c"] * 20 + [None] * 20, dtype=object)
    expected = stability_index(np.array([0.6, 0.4, 0.0]), np.array([0.3, 0.3, 0.4]))
    assert stability_of(later, reference["plan"]) == pytest.approx(expected)
    ages = pd.Series([*range(50), *[np.nan] * 50])
    found = stability_index(np.array([*[0.1] * 10, 0.0]), np.array([*[0.1] * 5, *[0.0] * 5, 0.5]))
    assert stability_of(ages, reference["age"]) == pytest.approx(found)


def test_the_same_business_needs_no_refit(fitted: Run) -> None:
    for seed in (11, 12, 13):
        drift = drift_of(fitted, others(seed))
        assert drift.reasons == [], seed
        assert (drift.facts["labelled"], drift.facts["new_customers"]) == (1_200, 1_200)
        assert list(drift.stability.columns) == STABILITY.names
        assert {"plan", "calls", "churn_probability", "predicted_value"} <= set(drift.stability["column"])
        assert drift.stability["psi"].max() < 0.1
        whole = drift.realised.iloc[0]
        assert list(drift.realised.columns) == CONTRACT_REALISED.names
        assert (whole["segment"], whole["customers"]) == (ALL, 1_200)
        assert whole["actual"] == (others(seed)["gone"] == "Yes").sum()
        assert drift.realised["actual"].iloc[1:].sum() == whole["actual"]


def test_more_leavers_than_expected_are_a_reason(fitted: Run) -> None:
    frame = others()
    more = np.random.default_rng(1).random(len(frame)) < 0.35
    drift = drift_of(fitted, frame.assign(gone=np.where(more, "Yes", frame["gone"])))
    assert any("customers left where" in reason for reason in drift.reasons)
    assert not any("spread otherwise" in reason for reason in drift.reasons)


def test_other_customers_are_a_reason(fitted: Run) -> None:
    drift = drift_of(fitted, others().assign(plan="monthly", age="25").drop(columns="gone"))
    assert any("inputs are spread otherwise" in reason for reason in drift.reasons)
    assert drift.realised.empty
    assert drift.facts["labelled"] == 0
    assert set(drift.stability["column"].head(2)) == {"plan", "age"}


def test_the_own_table_is_refused_and_later_labels_are_news(fitted: Run) -> None:
    with pytest.raises(DataError, match="says nothing new"):
        drift_of(fitted, subscriptions())
    stayed = subscriptions()["gone"] == "No"
    fewer = subscriptions().assign(gone=np.where(stayed & (np.arange(900) % 3 == 0), "Yes", "No"))
    drift = drift_of(fitted, fewer)
    assert drift.facts["labelled"] == stayed.sum()
    assert drift.realised.iloc[0]["actual"] == (fewer["gone"] == "Yes").sum()


def test_rows_with_days_are_news_after_the_last_label_of_the_fit(fitted: Run) -> None:
    scorer = ContractScorer.from_dict(fitted.models, fitted.settings)
    table = scorer.read_rows(others())
    day = pd.Series(pd.date_range("2024-01-01", periods=1_200, freq="D"), index=table.columns.index)
    facts = fitted.facts | {"labelled_until": "2024-12-31", "as_of": "2024-12-31"}
    drift = measure_contract_drift(replace(fitted, facts=facts), scorer, replace(table, date=day))
    assert drift.facts["labelled"] == 1_200 - 366
    assert drift.facts["until"] == day.max().date().isoformat()
    assert drift.facts["elapsed_days"] == (day.max().date() - dt.date(2024, 12, 31)).days
    assert "are over" in drift.reasons[0]


def test_the_verb_says_it_by_its_exit_code(fitted: Run, cli: object, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    fitted.save(tmp_path / "run")
    frame = others()
    frame.to_csv(tmp_path / "steady.csv", index=False)
    told = cli("check", tmp_path / "steady.csv", "--against", tmp_path / "run")
    assert (told.code, told.out.count("no refit is due")) == (0, 1), told.err
    assert "Who left, of 1,200 rows" in told.out
    frame.assign(gone="Yes").to_csv(tmp_path / "gone.csv", index=False)
    picture = tmp_path / "drift.svg"
    told = cli("check", tmp_path / "gone.csv", "--against", tmp_path / "run", "--chart", picture, "--json")
    drawn = picture.read_text(encoding="utf-8")
    assert "a refit is due" in drawn
    assert f"{ALL}: 1,200 came, " in drawn
    assert all(f"{label}: PSI 0.0" in drawn for label in ("plan", "calls", "churn probability"))
    assert told.code == 1
    found = json.loads(told.out)
    assert [row["code"] for row in found["findings"]] == ["CLV022"]
    assert found["realised"][0]["actual"] == 1_200
    told = cli("check", tmp_path / "gone.csv", "--against", tmp_path / "run", "--chart", "drift.doc")
    assert (told.code, "drift.doc is no chart" in told.err) == (2, True)
