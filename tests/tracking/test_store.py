"""What a store holds of a run, which version is the champion, and runs side by side."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clvseg
from clvseg.tracking import compare_runs, list_runs, log_run
from clvseg.tracking.registry import RULE
from tests.tracking.conftest import free_port, server, with_facts, working_in

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


def test_the_data_of_training_and_evaluation_are_inputs_with_schema_profile_and_digest(
    mlflow, run, published
):
    inputs = mlflow.get_run(published.run_id).inputs.dataset_inputs
    by_context = {one.tags[0].value: one.dataset for one in inputs}
    assert set(by_context) == {"training", "evaluation"}
    training, evaluation = by_context["training"], by_context["evaluation"]
    assert training.digest == run.facts["data_hash"][:8]
    columns = json.loads(training.schema)["mlflow_colspec"]
    assert {column["name"] for column in columns} == {"customer_id", "date", "quantity", "amount"}
    profile = json.loads(training.profile)
    assert (profile["customers"], profile["purchases"], profile["first_day"]) == (2357, 6696, "1997-01-01")
    assert len(evaluation.digest) == 8
    assert json.loads(evaluation.profile)["num_rows"] == len(run.holdout) == 2357
    names = {column["name"] for column in json.loads(evaluation.schema)["mlflow_colspec"]}
    assert {"since_last", "predicted_value", "actual_value", "actual_active"} <= names


def test_the_card_says_how_good_the_model_is_and_what_to_doubt(mlflow, run, published, tmp_path):
    note = mlflow.get_run(published.run_id).data.tags["mlflow.note.content"]
    place = mlflow.artifacts.download_artifacts(
        run_id=published.run_id, artifact_path="model_card.md", dst_path=str(tmp_path)
    )
    assert Path(place).read_text() == note
    ours = run.leaderboard_value.set_index("model").loc[run.facts["model_value"]]
    assert f"| **{run.facts['model_value']}** | {ours['gini']:.3f} (" in note
    assert all(code in note for code in run.findings["code"])
    assert all(model in note for model in run.leaderboard_churn["model"])
    assert "All gates passed" in note


def test_the_metrics_are_on_the_model_too(mlflow, published):
    model = mlflow.get_logged_model(published.model_uri.removeprefix("models:/"))
    found = {metric.key: metric for metric in model.metrics}
    assert "value_gini" in found
    assert found["value_gini"].dataset_digest


@pytest.mark.slow
def test_the_champion_moves_only_when_the_gates_pass_and_it_is_no_worse(mlflow, run, published, folder):
    """Versions in a row: failing twice, passing, worse, as good, and two that cannot be compared."""
    settings = run.settings.model_copy(update={"name": "contest"})

    def log(holdout=run.holdout, **facts):
        changed = replace(with_facts(run, **facts), settings=settings, holdout=holdout)
        with working_in(folder):
            return log_run(changed, Path(published.folder))

    rng = np.random.default_rng(0)
    worse = run.holdout.assign(
        predicted_value=run.holdout["predicted_value"] * rng.lognormal(0, 2, len(run.holdout))
    )
    good, bad = {"passed": True}, {"passed": False}
    steps = [
        ({}, 1, None, "challenger: gates not passed"),
        ({"gates": bad}, 2, None, "challenger: gates not passed"),
        ({"gates": good}, 3, 3, "champion: gates passed, there was no champion"),
        ({"gates": good, "holdout": worse}, 4, 3, "challenger: gates passed, worse than version 3: Gini -"),
        ({"gates": good}, 5, 5, "champion: gates passed, no worse than version 3: Gini +0.0000"),
        ({"gates": good, "cutoff": "1997-06-30"}, 6, 5, "version 5 was judged at a later cutoff"),
        ({"gates": good, "holdout_days": 91}, 7, 5, "version 5 looks ahead 273 days"),
    ]
    client = mlflow.MlflowClient()
    for changes, challenger, champion, decision in steps:
        logged = log(**changes)
        model = client.get_registered_model("contest")
        held = {alias: int(version) for alias, version in model.aliases.items()}
        assert held == {"challenger": challenger, **({"champion": champion} if champion else {})}
        assert decision in logged.decision
        assert client.get_model_version("contest", str(challenger)).tags["clvseg.decision"] == logged.decision
        assert mlflow.get_run(logged.run_id).data.tags["clvseg.decision"] == logged.decision
        assert model.tags["clvseg.champion_rule"] == RULE


def test_runs_are_listed_with_their_accuracy_and_place_in_the_registry(cli, run, published, uri):
    found = list_runs(uri)
    row = found[found["run_id"] == published.run_id].iloc[0]
    assert row["run"] == Path(published.folder).name
    assert row["model"] == "sample/1 @challenger @champion"
    assert row["folder"] == str(Path(published.folder).resolve())
    ours = run.leaderboard_value.set_index("model").loc[run.facts["model_value"]]
    assert row["value_gini"] == pytest.approx(ours["gini"])
    shown = cli("runs", "list", "--store", uri)
    assert shown.code == 0
    assert f"{ours['gini']:.3f}" in shown.out
    assert "@champion" in shown.out
    listed = json.loads(cli("runs", "list", "--store", uri, "--json").out)
    assert published.run_id in [one["run_id"] for one in listed]


def test_a_run_is_the_same_by_folder_name_id_and_alias(published, uri):
    folder = Path(published.folder)
    names = [
        str(folder),
        published.run_id,
        published.run_id[:8],
        "sample@champion",
        "sample@challenger",
    ]
    found = compare_runs(names, uri)
    assert len(found.runs) == len(set(found.runs)) == 5
    values = found.metrics.set_index("metric")
    assert found.metrics["metric"].iloc[0] == "value_gini"
    for other in found.runs[1:]:
        assert (values[found.runs[0]] == values[other]).all()
        assert (values[f"{other} - {found.runs[0]}"] == 0).all()
    assert found.settings.empty


def test_the_differences_of_two_runs_are_shown(cli, run, published, tmp_path):
    settings = run.settings.model_copy(update={"seed": 5})
    board = run.leaderboard_value.assign(gini=run.leaderboard_value["gini"] - 0.01)
    other = tmp_path / "other"
    other.mkdir()
    replace(run, settings=settings, leaderboard_value=board).save(other)
    shown = cli("runs", "compare", published.folder, other)
    assert shown.code == 0
    line = next(line for line in shown.out.splitlines() if line.strip().startswith("value_gini "))
    assert line.split()[-1] == "-0.0100"
    assert "seed" in shown.out
    said = json.loads(cli("runs", "compare", published.folder, other, "--json").out)
    assert said["settings"] == [{"setting": "seed", Path(published.folder).name: "1", "other": "5"}]
    assert next(m for m in said["metrics"] if m["metric"] == "churn_auc")["other - " + said["runs"][0]] == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [("20990101-000000", "there is no run"), ("other@champion", "no model is other@champion")],
)
def test_a_run_that_is_not_there_is_an_error_with_a_hint(cli, uri, name, says):
    outcome = cli("runs", "compare", name, "--store", uri)
    assert outcome.code == 2
    assert says in outcome.err
    assert "Hint" in outcome.err


def test_a_store_without_runs_is_no_error(cli, tmp_path):
    outcome = cli("runs", "list", "--store", f"sqlite:///{tmp_path / 'new.db'}")
    assert outcome.code == 0
    assert "No runs yet" in outcome.out


@pytest.mark.slow
def test_a_remote_server_keeps_the_run_its_files_and_the_model(run, tmp_path, monkeypatch):
    """A real server with a store of its own, which alone writes the artifacts."""
    from clvseg.data.datasets import load_dataset
    from clvseg.tracking import import_mlflow

    mlflow = import_mlflow()
    before = mlflow.get_tracking_uri()
    backend = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    artifacts = ["--artifacts-destination", str(tmp_path / "kept"), "--workers", "1"]
    with server(["server", *backend, *artifacts], free_port(), tmp_path / "server.log") as address:
        asked = run.settings.model_copy(
            update={
                "output": str(tmp_path / "output"),
                "tracking": run.settings.tracking.model_copy(update={"uri": address}),
            }
        )
        changed = replace(with_facts(run, gates={"passed": True}), settings=asked)
        with working_in(tmp_path):
            published = clvseg.publish(changed)
        assert published.mlflow_command == f"open {address}"
        assert not (tmp_path / "mlruns").exists()
        assert list((tmp_path / "kept").rglob("report.html"))
        mlflow.set_tracking_uri(address)
        try:
            model = mlflow.pyfunc.load_model("models:/sample@champion")
            log = load_dataset("cdnow_sample")[["customer_id", "date", "quantity", "amount"]]
            scores = model.predict(log)
        finally:
            mlflow.set_tracking_uri(before)
            monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert list_runs(address)["run_id"].tolist() == [published.run_id]
        assert compare_runs(["@champion"], address).runs == (Path(published.folder).name,)
    assert scores["predicted_value"].tolist() == run.scores["predicted_value"].tolist()
