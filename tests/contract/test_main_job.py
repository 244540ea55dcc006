"""The main job on a table with a label: from rows to scores, report, MLflow and back."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clvseg import contractual, results, workflow
from clvseg.churn.contract import ContractModel
from clvseg.cli import app
from clvseg.config import Settings
from clvseg.errors import ConfigError, DataError, MissingColumnsError
from clvseg.frames import CONTRACT_LATER, CONTRACT_SEGMENTS, contract_scores
from clvseg.monitoring import History
from clvseg.run import Run
from clvseg.tracking.store import opened
from tests.contract.conftest import SECTION, settings, subscriptions


def test_tables_are_whole_and_finite(fitted: Run) -> None:
    assert list(fitted.scores.columns) == contract_scores(tenure=True, charge=True).names
    assert list(fitted.segments.columns) == CONTRACT_SEGMENTS.names
    assert list(fitted.later.columns) == CONTRACT_LATER.names
    assert len(fitted.scores) == 900
    for table in (fitted.scores, fitted.segments, fitted.leaderboard_churn, fitted.survival):
        assert np.isfinite(table.select_dtypes("number").to_numpy()).all()
        assert not table.isna().to_numpy().any()


def test_the_same_table_is_fitted_once_a_day(fitted: Run, tmp_path: Path, monkeypatch) -> None:
    """Without a date the rows are of today, so tomorrow they are others."""
    fitted.save(tmp_path)
    same = workflow.fit(settings(), subscriptions(), reuse=tmp_path)
    assert (same.folder, same.facts) == (tmp_path, fitted.facts)

    def begin(*_):
        raise InterruptedError

    monkeypatch.setattr(contractual.judging, "judge", begin)
    changed = subscriptions()
    changed.loc[0, "calls"] += 1
    for table, day in ((changed, dt.date.today()), (subscriptions(), dt.date(2050, 1, 1))):
        monkeypatch.setattr(contractual, "newest_day", lambda *_, day=day: day)
        with pytest.raises(InterruptedError):
            workflow.fit(settings(), table, reuse=tmp_path)


def test_those_who_left_only_teach(fitted: Run) -> None:
    there = fitted.scores[fitted.scores["status"] == "stayed"]
    assert fitted.segments["customers"].sum() == len(there) == fitted.facts["customers"]
    assert fitted.facts["total"]["predicted"] == pytest.approx(there["predicted_value"].sum())
    assert fitted.facts["total"]["low"] < fitted.facts["total"]["predicted"] < fitted.facts["total"]["high"]


def test_value_is_the_charge_for_the_time_still_there(fitted: Run) -> None:
    most = fitted.scores["charge"] * 183 / 30
    assert (fitted.scores["predicted_value"] <= most * (1 + 1e-9)).all()
    assert (fitted.scores["predicted_value"] >= most * fitted.scores["stays_horizon"] * (1 - 1e-6)).all()
    assert (fitted.scores["value_at_risk"] <= fitted.scores["predicted_value"]).all()


def test_accuracy_is_on_unseen_rows_beside_naive_ones(fitted: Run) -> None:
    board = fitted.leaderboard_churn.set_index("model")
    assert list(board.index) == [
        *("rate of all customers", "tenure alone", "logistic regression", "LightGBM alone", "clvseg mix")
    ]
    assert board.loc["clvseg mix", "auc"] > board.loc["tenure alone", "auc"]
    assert len(fitted.facts["fold_auc"]) == 5
    assert len(fitted.holdout) == 900
    assert fitted.facts["survival_brier"] < fitted.facts["survival_brier_km"]


def test_reasons_speak_of_the_customers_own_entries(fitted: Run) -> None:
    own = subscriptions().set_index("id")
    for row in fitted.scores.head(200).itertuples():
        for reason in (row.reason_1, row.reason_2, row.reason_3):
            if reason.startswith("plan is ") and "not given" not in reason:
                assert str(own.loc[row.customer_id, "plan"]) in reason
            if reason.startswith("calls is "):
                assert reason.startswith(f"calls is {own.loc[row.customer_id, 'calls']:.0f} ")


def test_a_leak_is_named_left_out_and_changes_nothing(fitted: Run) -> None:
    frame = subscriptions()
    frame["closing_code"] = np.where(frame["gone"] == "Yes", "X", None)
    run = workflow.fit(settings(), frame)
    (found,) = run.findings.loc[run.findings["code"] == "CLV008", "found"]
    assert "'closing_code'" in found
    pd.testing.assert_frame_equal(run.scores, fitted.scores)
    profile, findings = workflow.check(settings(leaks="keep"), frame)
    assert findings.loc[findings["code"] == "CLV008", "severity"].tolist() == ["serious"]
    assert profile["columns_left_out"] == 0


def test_saved_loaded_and_scored_the_same(fitted: Run, tmp_path: Path) -> None:
    again = Run.load(fitted.save(tmp_path))
    pd.testing.assert_frame_equal(workflow.score_run(again, subscriptions()), fitted.scores)
    unlabelled = workflow.score_run(again, subscriptions().drop(columns="gone"))
    assert set(unlabelled["status"]) == {"unknown"}
    same = [c for c in unlabelled if c != "status"]
    pd.testing.assert_frame_equal(unlabelled[same], fitted.scores[same])


def test_new_levels_gaps_and_single_rows_are_scored(fitted: Run) -> None:
    odd = (
        subscriptions()
        .head(3)
        .drop(columns="gone")
        .assign(plan=["lifetime", None, "monthly"], age=["x", "", "7"])
    )
    together = workflow.score_run(fitted, odd).set_index("customer_id")
    assert np.isfinite(together["churn_probability"]).all()
    one = workflow.score_run(fitted, odd.tail(1)).set_index("customer_id")
    assert one["churn_probability"].iloc[0] == pytest.approx(together.loc[one.index[0], "churn_probability"])
    with pytest.raises(MissingColumnsError, match="'calls'"):
        workflow.score_run(fitted, odd.drop(columns="calls"))


def test_contributions_are_the_score_before_calibration(fitted: Run) -> None:
    model = ContractModel.from_dict(fitted.models["contract"])
    raw = fitted.contributions.groupby("customer_id")["contribution"].sum()
    scores = fitted.scores.set_index("customer_id").loc[raw.index]
    np.testing.assert_allclose(model.calibrate(raw.to_numpy()), scores["churn_probability"], rtol=1e-9)
    assert set(scores["status"]) == {"stayed"}
    entries = fitted.contributions.query("feature == 'plan'").set_index("customer_id")["entry"]
    own = subscriptions().set_index("id")["plan"].fillna("(missing)")
    pd.testing.assert_series_equal(entries, own[entries.index], check_names=False, check_dtype=False)
    assert 0.5 < fitted.facts["driver_agreement"]["churn"] <= 1
    assert fitted.drivers["rank"].tolist() == list(range(1, len(fitted.drivers) + 1))


def test_a_customer_is_explained(fitted: Run, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path)
    for customer in ("C0004", "C0025"):
        score = fitted.scores.set_index("customer_id").loc[customer]
        picture = tmp_path / "why.svg"
        story, lines = results.explain_customer(folder, customer, picture)
        assert story["steps"][-1]["prediction"] == pytest.approx(score["churn_probability"])
        assert story["steps"][-1]["contribution"] == 0
        text = "\n".join(lines)
        said = [
            f"Customer {customer}",
            str(score["segment"]),
            "expected charges",
            "EUR",
            "probability of leaving",
        ]
        plan = subscriptions().set_index("id").loc[customer, "plan"]
        said.append("plan is not given" if pd.isna(plan) else f"plan is {plan} (")
        assert [words for words in said if words not in text] == []
        assert "no order" not in text
        assert f"Customer {customer}: what makes the probability of leaving" in picture.read_text()
    with pytest.raises(DataError, match="no customer 'C9999'"):
        results.explain_customer(folder, "C9999")


def test_published_and_served_by_mlflow(fitted: Run, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'm.db'}"
    tracking = fitted.settings.tracking.model_copy(update={"uri": uri})
    update = {"tracking": tracking, "output": str(tmp_path / "out")}
    run = replace(fitted, settings=fitted.settings.model_copy(update=update))
    published = results.publish(run)
    page = Path(published.report).read_text(encoding="utf-8")
    assert "Probability of leaving" in page
    assert "no order" not in page
    assert "Share still there" in page
    assert "Effect on the odds of leaving, a factor" in page
    assert "Rank in refits" in page
    with opened(uri, "") as (mlflow, _):
        model = mlflow.pyfunc.load_model(published.model_uri)
        client = mlflow.MlflowClient()
    frame = subscriptions().drop(columns="gone")
    served = model.predict(frame)
    expected = workflow.score_run(run, frame)
    np.testing.assert_array_equal(served["churn_probability"], expected["churn_probability"])
    assert served["reason_1"].tolist() == expected["reason_1"].tolist()
    parent = client.get_run(published.run_id)
    assert parent.data.metrics["driver_agreement_churn"] == run.facts["driver_agreement"]["churn"]
    assert parent.data.metrics["churn_auc"] == pytest.approx(
        run.leaderboard_churn.set_index("model").loc["clvseg mix", "auc"]
    )
    nested = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{published.run_id}'"
    )
    assert {r.data.params["model"] for r in nested} == set(run.leaderboard_churn["model"])


def test_without_tenure_and_charge(tmp_path: Path) -> None:
    run = workflow.fit(settings(tenure=None, charge=None, exclude=["fee", "months"]), subscriptions())
    assert list(run.scores.columns) == contract_scores(tenure=False, charge=False).names
    assert set(run.segments["segment"]) <= {"About to leave", "Wavering", "Settled"}
    assert run.survival.empty
    tracking = run.settings.tracking.model_copy(update={"enabled": False})
    update = {"tracking": tracking, "output": str(tmp_path)}
    run = replace(run, settings=run.settings.model_copy(update=update))
    assert Path(results.publish(run).report).exists()


def test_rows_with_days_are_judged_forward() -> None:
    rng = np.random.default_rng(0)
    frame = subscriptions(1500)
    frame["seen"] = pd.to_datetime("2023-01-01") + pd.to_timedelta(rng.integers(0, 1000, 1500), unit="D")
    judged = workflow.evaluate(settings(date="seen", tenure=None), frame)
    assert judged.facts["validation"] == "3 later periods"
    assert judged.facts["judged"] < 1500 * 0.65


def test_command_line(tmp_path: Path) -> None:
    subscriptions().to_csv(tmp_path / "subs.csv", index=False)
    churn = "\n".join(f"{key} = {json.dumps(value)}" for key, value in SECTION.items())
    (tmp_path / "s.toml").write_text(
        f'name = "subs"\n[data]\nsource = "subs.csv"\n[data.columns]\ncustomer = "id"\n[churn]\n{churn}\n'
        "[tracking]\nenabled = false\n"
    )
    runner = CliRunner()
    checked = runner.invoke(app, ["check", str(tmp_path / "s.toml"), "--json"])
    assert json.loads(checked.stdout)["profile"]["left"] > 100
    judged = runner.invoke(app, ["evaluate", str(tmp_path / "s.toml")])
    assert judged.exit_code == 0
    assert "5-fold cross-validation" in judged.stdout
    assert "concordance" in judged.stdout


def test_later_scores_have_a_history_and_hold_segments(fitted: Run, tmp_path: Path) -> None:
    place = tmp_path / "runs" / "first"
    place.mkdir(parents=True)
    fitted.save(place)
    frame = subscriptions()
    frame["calls"] += np.random.default_rng(1).normal(0, 0.05, len(frame))
    frame.to_csv(tmp_path / "later.csv", index=False)
    day = fitted.as_of + dt.timedelta(30)
    moved = {}
    for keep in (False, True):
        workflow.score_to_file(
            place, tmp_path / "later.csv", tmp_path / "s.parquet", as_of=str(day), keep=keep
        )
        later = pd.read_parquet(tmp_path / "s.parquet")
        moved[keep] = int((later["segment"] != fitted.scores["segment"]).sum())
    assert History(tmp_path / "history").dates() == [fitted.as_of, day]
    assert (later["changed_on"].dt.date == day).sum() == moved[True] < moved[False]
    assert not later.isna().to_numpy().any()
    found, _ = results.movement(place)
    assert found.matrix().to_numpy().sum() == 900


def test_rows_scored_before_are_not_scored_again(fitted: Run, tmp_path: Path) -> None:
    place = tmp_path / "runs" / "first"
    place.mkdir(parents=True)
    fitted.save(place)
    rows, to, day = tmp_path / "rows.csv", tmp_path / "s.parquet", str(fitted.as_of + dt.timedelta(30))

    def scored(frame: pd.DataFrame) -> bool:
        frame.to_csv(rows, index=False)
        found = workflow.score_to_file(place, rows, to, as_of=day)
        assert found.customers == len(pd.read_parquet(to)) == len(frame)
        return not found.unchanged

    same, other = subscriptions(), subscriptions()
    other.loc[0, "calls"] += 1
    assert [scored(frame) for frame in (same, same.sample(frac=1, random_state=1), other)] == [
        True,
        False,
        True,
    ]


def test_too_little_to_learn_from() -> None:
    with pytest.raises(DataError, match="too few customers to learn who leaves"):
        workflow.check(settings(), subscriptions(60))


def test_columns_of_a_label_need_a_label() -> None:
    with pytest.raises(ConfigError, match="tenure needs label"):
        Settings.make({"churn": {"tenure": "months"}})


@pytest.mark.slow
def test_telco_meets_its_floor(telco: Path) -> None:
    """AUC .845 and calibration error .02 over five folds; no column leaks."""
    asked = Settings.make(
        {
            "data": {"source": str(telco), "columns": {"customer": "customerID"}},
            "churn": {"label": "Churn", "tenure": "tenure", "charge": "MonthlyCharges"},
        }
    )
    judged = workflow.evaluate(asked)
    mine = judged.leaderboard_churn.set_index("model").loc["clvseg mix"]
    assert mine["auc"] >= 0.845
    assert mine["calibration_error"] <= 0.02
    assert "CLV008" not in set(judged.findings["code"])
    assert judged.facts["survival_concordance"] > 0.85
