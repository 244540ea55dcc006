"""The search: killed and gone on with, judged by the gates, logged, written as settings."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest

from clvseg.config import BoostingSettings, Settings, ValueBoostingSettings
from clvseg.errors import ConfigError, DataError
from clvseg.evaluation.gates import GATES
from clvseg.frames import LEADERBOARD_CHURN, LEADERBOARD_VALUE, TRIALS_CHURN
from clvseg.results import write_tuned
from clvseg.tracking import import_mlflow
from clvseg.tuning import tune

TRIALS = 3


def silent(title):
    pass


def finished(folder):
    """Trials that are done, by study and number: when each was."""
    with sqlite3.connect(f"file:{folder}/output/tuning/optuna.db?mode=ro", uri=True) as studies:
        rows = studies.execute(
            "SELECT study_id, number, datetime_complete FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
        )
        return {(study, number): when for study, number, when in rows}


def start(folder, *more):
    command = [sys.executable, "-m", "clvseg", "tune", "shop.toml", "--trials", str(TRIALS), *more]
    keep = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return subprocess.Popen(
        command, cwd=folder, env=keep, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def killed(folder, settings):
    """What was done when the process was killed in the middle of a trial."""
    process = start(folder)
    deadline, done = time.monotonic() + 300, {}
    while len(done) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
        if (folder / "output" / "tuning" / "optuna.db").exists():
            try:
                done = finished(folder)
            except sqlite3.OperationalError:  # its tables are being made
                continue
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return finished(folder)


@pytest.fixture(scope="module")
def resumed(folder, killed):
    """The same command again."""
    process = start(folder, "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def tuned(transactions, settings, tmp_path_factory):
    """The same search in one go, elsewhere."""
    elsewhere = settings.model_copy(
        update={
            "output": str(tmp_path_factory.mktemp("whole")),
            "tracking": settings.tracking.model_copy(update={"enabled": False}),
        }
    )
    return tune(transactions, elsewhere, TRIALS, None, silent)


def test_a_killed_search_keeps_its_trials_and_goes_on(folder, killed, resumed):
    assert 2 <= len(killed) < 2 * TRIALS
    after = finished(folder)
    assert {key: after[key] for key in killed} == killed
    assert len(after) == 2 * TRIALS
    assert [row["trial"] for row in resumed["trials_value"]] == list(range(TRIALS))


def test_a_killed_search_finds_what_one_in_one_go_finds(resumed, tuned):
    for name in ("trials_value", "trials_churn"):
        printed = pd.DataFrame(resumed[name])  # to 15 decimals
        pd.testing.assert_frame_equal(printed, getattr(tuned, name), rtol=0, atol=1e-14)
    assert resumed["settings"]["churn"] == tuned.settings.churn.boosting.model_dump()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_each_trial_is_a_run_below_one_parent_with_the_leaderboards_metrics(folder, resumed, settings):
    mlflow = import_mlflow()
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("shop").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = {
        run.info.run_name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id and run.info.status == "FINISHED"
    }
    assert parent.info.status == "FINISHED"
    assert set(trials) == {f"{name} {i}" for name in ("value", "churn") for i in range(TRIALS)}
    known = {f"value_{name}" for name in LEADERBOARD_VALUE.names} | {"value_deviance"}
    known |= {f"churn_{name}" for name in LEADERBOARD_CHURN.names} | {"churn_levelled_log_loss"}
    for name, run in trials.items():
        target, number = name.split()
        row = resumed[f"trials_{target}"][int(number)]
        assert set(run.data.metrics) <= known
        for metric in set(row) & {"deviance", "gini", "bias", "log_loss", "auc"}:
            assert run.data.metrics[f"{target}_{metric}"] == pytest.approx(row[metric])
        assert run.data.params[f"{target}.boosting.num_leaves"] == str(row["num_leaves"])
        history = client.get_metric_history(
            run.info.run_id, f"{target}_bias" if target == "value" else "churn_auc"
        )
        assert [point.step for point in history] == list(range(row["cutoffs"]))


def test_the_first_trial_are_the_settings_in_use_and_the_choice_is_never_worse(tuned, settings):
    for target, loss in (("value", "deviance"), ("churn", "levelled_log_loss")):
        trials, facts = getattr(tuned, f"trials_{target}"), tuned.facts[target]
        own = getattr(settings, target).boosting.model_dump()
        assert trials.loc[0, list(own)].to_dict() == own
        passing = trials[trials["passes"] & (trials["state"] == "complete")]
        assert facts["best"] == passing[loss].idxmin()
        assert passing[loss].min() <= trials.loc[0, loss]


def test_a_trial_that_a_gate_stops_is_not_chosen(tuned):
    """Level and calibration are asked for together with the loss: the lowest loss alone does not win."""
    trials = tuned.trials_value
    limit = next(gate.limit for gate in GATES if gate.target == "value" and gate.metric == "decile_error")
    lowest = trials.loc[trials["deviance"].idxmin()]
    assert lowest["deviance"] < trials.loc[0, "deviance"]
    assert lowest["decile_error"] > max(limit, trials.loc[0, "decile_error"])
    assert not lowest["passes"]
    assert tuned.facts["value"]["best"] != lowest["trial"]
    assert tuned.settings.value.boosting.min_data_in_leaf == 100_000
    assert "value" in tuned.findings["found"].str.split(":").str[0].tolist()


def test_settings_that_are_surely_better_are_found_written_and_run(resumed, folder, settings):
    """The boosters in use cannot split; with others, the rhythm of the customers is seen."""
    found = resumed["facts"]["churn"]
    assert found["better"]
    assert 0 < found["low"] < found["gain"]
    assert found["surely"] == len(found["gains"]) == len(found["cutoffs"]) == 2
    assert found["gain"] == pytest.approx(sum(found["gains"]) / 2)
    after = Settings.read(folder / "shop.tuned.toml")
    assert after.churn.boosting.model_dump() == resumed["settings"]["churn"] == found["settings"]
    assert after.churn.boosting.min_data_in_leaf < 100_000
    same = {"churn": settings.churn}
    assert after.model_copy(update=same) == settings
    assert [finding for finding in resumed["findings"] if finding["found"].startswith("churn")] == []


def test_boosting_sections_are_replaced_and_the_rest_is_kept(tuned, tmp_path, settings):
    before = tmp_path / "a.toml"
    before.write_text(
        '# mine\nname = "shop"  # [value.boosting]\nhorizon = "30d"\n\n[value.boosting]\nnum_leaves = 30\n\n'
        "[churn]\nlow = 0.3\n[churn.boosting]\n# old\nguided = 0.1\n[segments]\nmin_share = 0.02\n"
    )
    boosting = {"value": ValueBoostingSettings(num_leaves=5), "churn": BoostingSettings(lambda_l2=0.5)}
    read = Settings.read(before)
    asked = read.model_copy(
        update={
            name: getattr(read, name).model_copy(update={"boosting": one}) for name, one in boosting.items()
        }
    )
    (tmp_path / "output" / "tuning").mkdir(parents=True)
    places = write_tuned(replace(tuned, settings=asked), before, tmp_path / "b.toml")
    text = (tmp_path / "b.toml").read_text()
    assert Settings.read(places["settings"]) == asked
    assert text.startswith('# mine\nname = "shop"')
    assert "[segments]\nmin_share = 0.02\n" in text
    assert "# old" not in text
    before.write_text('name = "shop"\nhorizon = "30d"\n[churn]\nlow = 0.3\nboosting = {guided = 0.1}\n')
    with pytest.raises(ConfigError, match="sections"):
        write_tuned(replace(tuned, settings=asked), before, tmp_path / "c.toml")
    assert not (tmp_path / "c.toml").exists()


def test_tables_and_pictures_lie_beside_the_studies(folder, resumed):
    place = folder / "output" / "tuning"
    trials = pd.read_csv(place / "trials_churn.csv")
    assert list(trials.columns) == TRIALS_CHURN.names
    assert resumed["published"] == {
        "settings": "shop.tuned.toml",
        "folder": "output/tuning",
    }


def test_one_search_at_a_time(settings, transactions, tmp_path):
    place = tmp_path / "tuning"
    place.mkdir()
    with open(place / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another search"):
            tune(transactions, settings.model_copy(update={"output": str(tmp_path)}), 1, None, silent)


@pytest.mark.parametrize("budget", [{"trials": 0}, {"minutes": 0.0}])
def test_a_budget_is_positive(settings, transactions, budget):
    with pytest.raises(ConfigError, match="budget"):
        tune(transactions, settings, **{"trials": None, "minutes": None, **budget}, progress=silent)


def test_a_log_too_short_to_learn_from_is_not_tuned(settings, transactions, tmp_path):
    short = transactions.split(transactions.first_day + pd.Timedelta(days=40))
    with pytest.raises(DataError, match="no earlier cutoff"):
        tune(short, settings.model_copy(update={"output": str(tmp_path)}), 1, None, silent)
