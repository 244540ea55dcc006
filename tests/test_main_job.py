"""The main job, whole, on CDNOW's 1/10 sample: fit, publish, MLflow, scoring again, crashes and company."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clvseg
from clvseg import frames, learning, processes, results, workflow
from clvseg.config import Settings
from clvseg.data.transactions import Transactions
from clvseg.errors import ClvsegError, DataError
from clvseg.run import Run

ROOT = Path(__file__).parents[1]

# MLflow and SQLAlchemy warn of deprecations in their own code.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


def sample_settings(folder, **more):
    return Settings.make(
        {
            "name": "sample",
            "horizon": "39w",
            "output": str(folder / "output"),
            "data": {"source": "dataset:cdnow_sample", "currency": "USD", "columns": {"time": "date"}},
            **more,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("main_job")


@pytest.fixture(scope="module")
def run(folder):
    return clvseg.fit(sample_settings(folder))


@pytest.fixture(scope="module")
def published(run, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return clvseg.publish(run)


TABLES = {
    "scores": frames.SCORES,
    "segments": frames.SEGMENTS,
    "later": frames.LATER,
    "leaderboard_value": frames.LEADERBOARD_VALUE,
    "leaderboard_churn": frames.LEADERBOARD_CHURN,
    "model_choice": frames.MODEL_CHOICE,
    "differences": frames.DIFFERENCES,
    "gates": frames.GATES,
    "cohorts": frames.COHORTS,
    "gains": frames.GAINS,
    "profits": frames.PROFITS,
    "findings": frames.FINDINGS,
    "rules": frames.RULES,
    "scorecard": frames.SCORECARD,
    "contributions": frames.CONTRIBUTIONS,
    "rivals": frames.RIVALS,
    "maps": frames.MAPS,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_keep_their_documented_columns(run, name):
    assert list(getattr(run, name).columns) == TABLES[name].names


@pytest.mark.parametrize(
    "name", [*TABLES, "deciles", "calibration", "weekly", "drivers", "segment_drivers", "cluster_choice"]
)
def test_no_nan_anywhere(run, name):
    frame = getattr(run, name)
    assert len(frame)
    assert not frame.isna().any().any()
    assert np.isfinite(frame.select_dtypes("number").to_numpy(dtype=float)).all()


def test_scores_are_one_row_per_customer(run):
    scores = run.scores
    assert len(scores) == 2357
    assert scores["customer_id"].is_unique
    for name in ("probability_alive", "churn_probability"):
        assert scores[name].between(0, 1).all()
    assert (scores["value_low"] <= scores["value_high"]).all()
    assert (scores["value_low"] >= 0).all()
    assert (scores[["reason_1", "reason_2", "reason_3"]] != "").all().all()


def test_segments_are_few_named_exhaustive_and_large_enough(run):
    segments = run.segments
    assert 5 <= len(segments) <= 10
    assert segments["segment"].is_unique
    assert segments["customers"].sum() == len(run.scores)
    assert segments["share_customers"].min() >= 0.01
    counts = run.scores["segment"].value_counts()
    assert counts.to_dict() == segments.set_index("segment")["customers"].to_dict()
    assert (segments[["who", "reasons", "action", "rule"]] != "").all().all()


def test_segments_differ_in_later_spend_and_activity(run):
    later = run.later.sort_values("predicted_per_customer", ascending=False)
    best, worst = later.iloc[0], later.iloc[-1]
    assert best["revenue_low"] > worst["revenue_high"]
    assert np.corrcoef(later["predicted_per_customer"], later["revenue_per_customer"])[0, 1] > 0.8
    assert np.corrcoef(later["predicted_active"], later["active"])[0, 1] > 0.8


def test_curves_of_orders_end_at_the_churn_probabilities_and_at_what_came(run):
    def ends(table, measure):
        mine = table[table["measure"] == measure]
        return mine.groupby("group")["share"].last()

    risk = run.scores.groupby("segment")["churn_probability"].mean()
    expected = ends(run.survival, "ordered again")
    assert expected["all customers"] == pytest.approx(1 - run.scores["churn_probability"].mean(), abs=1e-7)
    for segment in expected.index.drop("all customers"):
        assert expected[segment] == pytest.approx(1 - risk[segment], abs=1e-7)
    came = ends(run.survival_later, "ordered again, as it came")
    assert came["all customers"] == pytest.approx(run.holdout["actual_active"].mean())
    assert run.facts["returns_brier"] < run.facts["returns_brier_km"]


def test_naive_rows_and_lifetimes_stand_beside_ours(run):
    value, churn = run.leaderboard_value, run.leaderboard_churn
    assert {"past rate x horizon", "lifetimes BG/NBD + Gamma-Gamma"} <= set(value["model"])
    assert "days since last order" in set(churn["model"])
    assert {run.facts["model_value"]} <= set(value["model"])
    assert {run.facts["model_churn"]} <= set(churn["model"])


def test_the_total_has_an_interval_and_is_the_sum(run):
    total = run.facts["total"]
    assert total["low"] < total["predicted"] < total["high"]
    assert total["predicted"] == pytest.approx(run.scores["predicted_value"].sum())
    assert run.segments["predicted_value"].sum() == pytest.approx(total["predicted"])


def test_files_hold_what_the_run_holds(run, published):
    pd.testing.assert_frame_equal(pd.read_parquet(published.scores), run.scores)
    assert len(pd.read_csv(published.segments)) == len(run.segments)
    again = Run.load(published.folder)
    assert again.settings == run.settings
    assert again.facts == run.facts
    pd.testing.assert_frame_equal(again.later, run.later)
    html = Path(published.report).read_text(encoding="utf-8")
    assert all(name.replace("&", "&amp;") in html for name in run.segments["segment"])


def test_a_run_of_another_version_says_which_table_it_lacks(run, published, tmp_path):
    old = shutil.copytree(published.folder, tmp_path / "old")
    (old / "tables" / "scorecard.parquet").unlink()
    with pytest.raises(DataError, match="no table scorecard") as raised:
        Run.load(old)
    assert "fit it again" in raised.value.hint
    assert run.facts["version"] in raised.value.found


def test_models_fitted_in_processes_are_those_of_one(run, monkeypatch):
    settings = run.settings
    monkeypatch.setattr(processes, "FEW_ROWS", 0)
    transactions = Transactions.read(None, settings.data)
    learned = learning.learn(transactions, run.as_of, settings.horizon_days, settings)
    assert learned.hybrid.to_dict() == run.models["hybrid"]
    assert learned.churn.to_dict() == run.models["churn"]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_fit_leaves_no_process_behind(tmp_path):
    code = (
        "import clvseg; from clvseg import processes; processes.FEW_ROWS = 0\n"
        "data = {'source': 'dataset:cdnow_sample', 'columns': {'time': 'date'}}\n"
        "clvseg.fit(clvseg.Settings.make({'data': data}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    deadline, children = time.monotonic() + 60, []
    while len(children) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "LokyProcess"], capture_output=True, text=True
        )
        children = [int(line) for line in found.stdout.split()]
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(is_alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_every_segment_is_judged(run, published, cli):
    card = run.scorecard
    assert set(card["segment"]) == {*run.segments["segment"], "all segments"}
    failed = card.loc[card["status"] == "fail", "segment"]
    flagged = run.findings.loc[run.findings["code"] == "CLV020", "found"].tolist()
    assert bool(flagged) == bool(len(failed))
    assert all(name in flagged[0] for name in failed)
    shown = json.loads(cli("segments", published.folder, "--json").out)
    assert {row["segment"] for row in shown if row["fails"]} == set(failed) - {"all segments"}
    rows = json.loads(cli("segments", published.folder, "--scorecard", "--json").out)
    assert [row["status"] for row in rows] == card["status"].tolist()
    printed = cli("segments", published.folder, "--scorecard").out
    assert "stable, bootstrap Jaccard: " in printed
    rivals = json.loads(cli("segments", published.folder, "--rivals", "--json").out)
    assert len(rivals) == len(run.rivals) == 3 * run.rivals["division"].nunique()
    assert "RFM cells" in cli("segments", published.folder, "--rivals").out


def test_a_saved_run_scores_the_log_again_identically(run, published):
    scores = clvseg.score_run(Run.load(published.folder), "dataset:cdnow_sample")
    pd.testing.assert_frame_equal(scores, run.scores, check_exact=True)


class BeganToFit(Exception):
    pass


def test_a_fit_of_the_same_is_not_done_again(cli, run, published, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    toml = folder / "same.toml"
    toml.write_text(
        'name = "sample"\nhorizon = "39w"\n[data]\nsource = "dataset:cdnow_sample"\ncurrency = "USD"\n'
        '[data.columns]\ntime = "date"\n'
    )
    before = sorted((folder / "output" / "runs").iterdir())
    same = cli("fit", toml, "--json")
    assert same.code == 0
    assert f"Unchanged: lines, settings and version are those of {published.folder}" in same.err
    shown = json.loads(same.out)
    assert shown["published"] == published.to_dict()
    assert shown["facts"] == run.facts
    assert sorted((folder / "output" / "runs").iterdir()) == before

    def begin(title):
        if title.startswith("Judging"):
            raise BeganToFit

    def fits(settings, reuse=Path(published.folder)):
        with pytest.raises(BeganToFit):
            workflow.fit(settings, reuse=reuse, progress=begin)

    monkeypatch.setattr(workflow, "judge", lambda *_, **__: begin("Judging"))
    assert workflow.fit(sample_settings(folder), reuse=Path(published.folder)).folder
    fits(sample_settings(folder, seed=2))
    fits(sample_settings(folder, as_of="1998-06-29"))
    fits(sample_settings(folder), None)
    # Not published whole: killed before the end, or gone from the MLflow store in use.
    assert results.published(sample_settings(folder)) == published
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    assert results.published(sample_settings(folder)) is None
    assert results.published(sample_settings(tmp_path)) is None


def test_what_a_fit_depends_on_changes_its_hash(tmp_path):
    from clvseg.data.datasets import load_dataset
    from clvseg.run import input_hash

    known = tmp_path / "known.csv"
    known.write_text("customer_id,age\n1,30\n")

    def hashed(frame, **more):
        settings = sample_settings(tmp_path, **more)
        log = Transactions.read(frame, settings.data)
        return input_hash(settings, log.hash, log.profile)

    log = load_dataset("cdnow_sample")
    attributes = {"segments": {"attributes": {"survey": {"source": str(known)}}}}
    hashes = [hashed(log), hashed(log, seed=2), hashed(log, **attributes)]
    known.write_text("customer_id,age\n1,31\n")
    hashes.append(hashed(log, **attributes))
    for column, value in (("amount", 29.34), ("date", log["date"].iloc[1]), ("customer_id", None)):
        changed = log.copy().astype({"customer_id": "Int64"})
        changed.loc[0, column] = value
        hashes.append(hashed(changed))
    assert len(set(hashes)) == len(hashes)
    assert hashed(log.sample(frac=1, random_state=1)) == hashes[0]


def test_the_verbs_score_and_report_work_on_a_saved_run(cli, run, published, tmp_path):
    from clvseg.data.datasets import load_dataset

    load_dataset("cdnow_sample").to_csv(tmp_path / "log.csv", index=False)
    scored = cli("score", published.folder, tmp_path / "log.csv", "--to", tmp_path / "all.parquet")
    assert (scored.code, scored.out) == (0, f"Wrote 2,357 customers to {tmp_path / 'all.parquet'}\n")
    again = pd.read_parquet(tmp_path / "all.parquet")
    assert (again.pop("previous_segment") == "none yet").all()
    assert (again.pop("changed_on") == pd.Timestamp("1998-06-30")).all()
    pd.testing.assert_frame_equal(again, run.scores)
    same = cli("score", published.folder, tmp_path / "log.csv", "--to", tmp_path / "all.parquet")
    assert (
        same.out
        == f"Unchanged: {tmp_path / 'all.parquet'} holds the scores of these lines, 2,357 customers\n"
    )
    load_dataset("cdnow_sample").iloc[1:].to_csv(tmp_path / "fewer.csv", index=False)
    other = cli("score", published.folder, tmp_path / "fewer.csv", "--to", tmp_path / "all.parquet")
    assert other.out.startswith("Wrote 2,35")
    assert cli("report", published.folder, "--to", tmp_path / "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == Path(published.report).read_bytes()  # one date: no moves
    early = cli(
        "score", published.folder, tmp_path / "log.csv", "--as-of", "1997-06-30", "--to", tmp_path / "e.csv"
    )
    assert early.code == 0
    assert (pd.read_csv(tmp_path / "e.csv")["as_of"] == "1997-06-30").all()
    wrong = cli("score", published.folder, tmp_path / "log.csv", "--as-of", "soon")
    assert wrong.code == 2
    assert "2026-01-31" in wrong.err


def test_scoring_later_dates_holds_segments_and_keeps_a_history(cli, run, tmp_path):
    """Scored month by month; without a history more customers move."""
    from clvseg.data.datasets import load_dataset
    from clvseg.monitoring import History

    place = tmp_path / "runs" / "first"
    place.mkdir(parents=True)
    run.save(place)
    load_dataset("cdnow_sample").to_csv(tmp_path / "log.csv", index=False)
    frames_of = {}
    for day in ("1998-03-31", "1998-04-30", "1998-05-31"):
        asked = ["score", place, tmp_path / "log.csv", "--as-of", day, "--to"]
        for name, options in (("held", []), ("free", ["--no-history"])):
            assert cli(*asked, tmp_path / "scores.parquet", *options).code == 0
            frames_of[name, day] = pd.read_parquet(tmp_path / "scores.parquet").set_index("customer_id")
    history = History(tmp_path / "history")
    days = [str(day) for day in history.dates()]
    assert days == ["1998-03-31", "1998-04-30", "1998-05-31", "1998-06-30"]  # the last is the run's own
    moved = {"held": 0, "free": 0}
    for before, day in pairwise(days[:3]):
        for name in moved:
            moved[name] += int((frames_of[name, day]["segment"] != frames_of[name, before]["segment"]).sum())
        now, then = frames_of["held", day], frames_of["held", before]["segment"]
        mover = now["segment"] != then
        assert now.loc[mover, "previous_segment"].equals(then[mover].rename("previous_segment"))
        assert (now.loc[mover, "changed_on"] == pd.Timestamp(day)).all()
        assert (now.loc[~mover, "changed_on"] < pd.Timestamp(day)).all()
        assert not now.isna().any().any()
    assert list(frames_of["free", day].reset_index().columns) == frames.SCORES.names
    assert 0 < moved["held"] < moved["free"]
    told = cli("movement", place, "--from", days[0], "--to", days[2], "--chart", tmp_path / "moves.svg")
    assert told.code == 0, told.err
    assert all(name in told.out for name in run.segments["segment"])
    assert "<svg" in (tmp_path / "moves.svg").read_text(encoding="utf-8")
    found = json.loads(cli("movement", place, "--from", days[0], "--to", days[2], "--json").out)
    then, now = (frames_of["held", day]["segment"] for day in (days[0], days[2]))
    stayed = sum(row["customers"] for row in found["movement"] if row["from_segment"] == row["to_segment"])
    assert stayed == int((then == now).sum())
    asked = ["--from", days[0], "--to", days[2], "--left", "champions", "--list", tmp_path / "left.csv"]
    assert "left champions" in cli("movement", place, *asked).out
    left = pd.read_csv(tmp_path / "left.csv")
    assert set(left["customer_id"]) == set(then.index[(then == "Champions") & (now != "Champions")])
    assert "did you mean Champions?" in cli("movement", place, "--left", "Champion").err
    assert cli("movement", place, "--to", "soon").code == 2


@pytest.mark.parametrize("customer", ["4", "111", "2357"])
def test_a_customers_waterfall_ends_at_its_scores(run, published, customer):
    story, lines = clvseg.results.explain_customer(Path(published.folder), customer)
    score = run.scores.set_index("customer_id").loc[int(customer)]
    steps = pd.DataFrame(story["steps"])
    for model, name in (("churn", "churn_probability"), ("value", "predicted_value")):
        mine = steps[steps["model"] == model]
        assert mine["what"].iloc[[0, 1, -1]].tolist() == ["start", "probability model", "end"]
        assert mine["prediction"].iloc[-1] == pytest.approx(score[name], rel=1e-9)
        raw = mine["contribution"].sum()
        assert (1 / (1 + np.exp(-raw)) if model == "churn" else np.exp(raw)) == pytest.approx(score[name])
    assert story["reasons"] == [score["reason_1"], score["reason_2"], score["reason_3"]]
    text = "\n".join(lines)
    for part in (f"Customer {customer}", score["segment"], *story["reasons"], *steps["text"]):
        assert part.replace("\u00a0", " ") in text
    assert f"USD {score['past_revenue']:,.0f} so far" in text or score["past_revenue"] < 10


def test_the_verb_explain_tells_and_draws_a_customer(cli, run, published, tmp_path):
    said = cli("explain", published.folder, "--customer", 4)
    assert said.code == 0
    for words in ("predicted revenue  ", "in the next 39 weeks", "80 % interval", "step by step", "odds ×"):
        assert words in said.out
    drawn = cli("explain", published.folder, "--customer", 4, "--chart", tmp_path / "why.svg", "--json")
    story = json.loads(drawn.out)
    assert (story["customer_id"], story["currency"], story["horizon_days"]) == (4, "USD", 273)
    assert story["chart"] == str(tmp_path / "why.svg")
    svg = (tmp_path / "why.svg").read_text()
    for words in ("Customer 4: what makes the predicted revenue", "Predicted revenue, USD", "This customer"):
        assert words in svg
    assert cli("explain", published.folder, "--customer", 4, "--chart", tmp_path / "why.png").code == 0
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")


def test_explain_says_what_is_wrong(cli, published, tmp_path):
    unknown = cli("explain", published.folder, "--customer", "99999")
    assert (unknown.code, unknown.out) == (2, "")
    assert "no customer '99999'" in unknown.err
    assert "2,357 customers" in unknown.err
    pdf = cli("explain", published.folder, "--customer", 4, "--chart", tmp_path / "why.pdf")
    assert pdf.code == 2
    assert ".svg, .png or .html" in pdf.err
    assert cli("explain", published.folder, "--customer", 4, "--chart", tmp_path / "no" / "why.svg").code == 2
    nobody = cli("explain", published.folder)
    assert nobody.code == 2
    assert "--customer ID" in nobody.err
    assert "holds no run" in cli("explain", tmp_path, "--customer", 4).err


def test_contributions_explain_the_scores_and_refits_are_reported(run, published):
    raw = run.contributions.groupby(["model", "customer_id"])["contribution"].sum()
    scores = run.scores.set_index("customer_id")
    risk = 1 / (1 + np.exp(-raw["churn"]))
    np.testing.assert_allclose(risk, scores.loc[risk.index, "churn_probability"], rtol=1e-9)
    np.testing.assert_allclose(np.exp(raw["value"]), scores.loc[risk.index, "predicted_value"], rtol=1e-9)
    agreement = run.facts["driver_agreement"]
    assert set(agreement) == {"churn", "value"}
    assert all(0.3 < value <= 1 for value in agreement.values())
    ranks = run.drivers[["rank", "rank_low", "rank_high"]]
    assert (ranks["rank_low"] <= ranks["rank_high"]).all()
    html = Path(published.report).read_text(encoding="utf-8")
    assert f"mean rank correlation {agreement['churn']:.2f}" in html
    assert "Rank in refits" in html


def test_evaluate_prints_what_the_run_found(cli, run, folder, monkeypatch):
    """As JSON and as tables; judged once for both."""
    judge, kept = workflow.evaluate, []

    def evaluate(settings, *, progress):
        if not kept:
            kept.append(judge(settings, progress=progress))
        return kept[0]

    monkeypatch.setattr(workflow, "evaluate", evaluate)
    toml = folder / "evaluate.toml"
    toml.write_text(
        'name = "sample"\nhorizon = "39w"\n[data]\nsource = "dataset:cdnow_sample"\ncurrency = "USD"\n'
        '[data.columns]\ntime = "date"\n'
    )
    outcome = cli("evaluate", toml, "--json")
    assert outcome.code == 0
    judged = json.loads(outcome.out)
    assert judged["facts"]["cutoffs"] == ["1997-09-30", "1997-07-24", "1997-05-17"]
    boards = {
        cutoff: [row for row in judged["value"] if row["cutoff"] == cutoff]
        for cutoff in [*judged["facts"]["cutoffs"], "all"]
    }
    newest = pd.DataFrame(boards["1997-09-30"]).drop(columns="cutoff")
    pd.testing.assert_frame_equal(newest, run.leaderboard_value, check_exact=False, check_dtype=False)
    mean = np.mean([board[0]["gini"] for cutoff, board in boards.items() if cutoff != "all"])
    assert boards["all"][0]["gini"] == pytest.approx(mean)
    assert {row["cutoff"] for row in judged["differences"]} == set(boards)
    table = cli("evaluate", toml)
    for words in ("mean over the 3 cutoffs", "less each other row", "Gates after 1997-09-30", "Jan 1997"):
        assert words in table.out


def test_no_better_than_naive_is_said_first(cli, run, folder, capsys):
    from clvseg.printing.runs import print_alarm

    loud = run.findings[run.findings["code"] == "CLV006"]
    assert len(loud)  # on the sample the ranking of risk is that of the days since the last order
    print_alarm(run.findings)
    assert capsys.readouterr().out.startswith("NO BETTER THAN A NAIVE BASELINE")
    from clvseg.report.content import build

    assert set(loud["found"]) <= {note.found for note in build(run).alarms}


def test_gates_of_the_run_are_those_of_its_tables(run):
    gates, verdict = run.gates, run.facts["gates"]
    mine = gates[gates["model"] == run.facts["model_value"]]
    assert len(mine) == 5
    assert verdict["passed"] == bool(mine["passed"].all())
    assert verdict["value"] == bool(mine.loc[mine["target"] == "value", "passed"].all())
    board = run.leaderboard_value.set_index("model")
    level = gates[(gates["gate"] == "level")].set_index("model")["measured"]
    np.testing.assert_allclose(level[board.index], board["bias"].abs())


def test_each_purchase_model_has_a_row(run):
    for name in ("BG/NBD", "MBG/NBD", "Pareto/NBD", "MBG/CNBD-k"):
        assert f"{name} + Gamma-Gamma" in set(run.leaderboard_value["model"])
        assert name in set(run.leaderboard_churn["model"])


@pytest.fixture(scope="module")
def store(published, folder):
    from clvseg.tracking import import_mlflow

    mlflow = import_mlflow()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    yield mlflow
    mlflow.set_tracking_uri(before)


def test_mlflow_keeps_settings_metrics_and_candidates(run, published, store):
    client = store.MlflowClient()
    parent = client.get_run(published.run_id)
    assert parent.data.params["horizon"] == "39w"
    assert parent.data.params["value.margin"] == "1.0"
    assert parent.data.metrics["value_gini"] == pytest.approx(
        run.leaderboard_value.set_index("model").loc[run.facts["model_value"], "gini"]
    )
    agreement = run.facts["driver_agreement"]["churn"]
    assert parent.data.metrics["driver_agreement_churn"] == pytest.approx(agreement)
    assert parent.inputs.dataset_inputs[0].dataset.digest == run.facts["data_hash"][:8]
    children = client.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{published.run_id}'"
    )
    names = {child.info.run_name for child in children}
    assert names == {*run.leaderboard_value["model"], *run.leaderboard_churn["model"]}
    assert parent.data.tags["clvseg.gates"] == ("passed" if run.facts["gates"]["passed"] else "not passed")
    assert parent.data.tags["clvseg.gate.value.level"].startswith("pass: ")
    metrics = set(parent.data.metrics)
    assert all(set(child.data.metrics) <= metrics for child in children)


def test_every_step_has_its_time_and_memory(run, published, store):
    """In the run's facts those of the fit; in MLflow those of writing and logging too."""
    steps = {row["step"]: row for row in run.facts["steps"]}
    assert list(steps)[:4] == [
        "reading_the_transactions",
        "checking_the_data",
        "judging",
        "measuring_the_accuracy_beside_lifetimes_and_the_naive_rows",
    ]
    assert all(row["seconds"] >= 0 and 50 < row["peak_memory_mb"] < 50_000 for row in steps.values())
    assert steps["judging"]["seconds"] > 0.1
    logged = store.MlflowClient().get_run(published.run_id).data.metrics
    for step in (*steps, "writing_scores_segments_and_report", "logging_the_run_and_its_model_in_mlflow"):
        assert logged[f"seconds/{step}"] >= 0
        assert logged[f"peak_memory_mb/{step}"] > 50


def test_mlflow_has_no_rows_of_single_customers_and_no_pickle(published, store, folder):
    artifacts = [path for path in (folder / "mlruns" / "artifacts").rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in artifacts)
    assert not [path for path in artifacts if path.suffix in {".pkl", ".pickle", ".joblib", ".cloudpickle"}]
    for path in artifacts:
        if path.suffix == ".parquet":
            assert "customer_id" not in pd.read_parquet(path).columns
    assert not any(path.name == "scores.parquet" for path in artifacts)


def test_the_registered_model_scores_raw_transactions_identically(run, published, store):
    from clvseg.data.datasets import load_dataset

    raw = load_dataset("cdnow_sample")
    model = store.pyfunc.load_model("models:/sample/1")
    inputs = raw[[name for name in model.metadata.get_input_schema().input_names() if name in raw.columns]]
    scores = model.predict(inputs.assign(date=pd.to_datetime(inputs["date"])))
    expected = run.scores.assign(as_of=run.scores["as_of"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(scores, expected, check_exact=True)
    assert set(scores.columns) == set(model.metadata.get_output_schema().input_names())
    early = model.predict(inputs.assign(date=pd.to_datetime(inputs["date"])), params={"as_of": "1998-03-31"})
    assert (early["as_of"] == "1998-03-31").all()


def test_lifetimes_as_fitter(tmp_path, run):
    from clvseg.value import BetaGeoModel

    value = {"purchases": "bg_nbd", "fitter": "lifetimes"}
    other = clvseg.fit(sample_settings(tmp_path, value=value))
    assert "BG/NBD + Gamma-Gamma" in set(other.leaderboard_value["model"])
    assert not other.scores.isna().any().any()
    expected = BetaGeoModel().fit(other.scores).expected_purchases(other.scores, 273)
    np.testing.assert_allclose(other.scores["expected_purchases"], expected, rtol=0.01, atol=1e-4)


def test_a_store_that_cannot_be_written_is_said_and_the_files_are_complete(run, tmp_path, monkeypatch):
    (tmp_path / "mlruns").write_text("a file where the store's folder should be")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ClvsegError, match=r"MLflow store .* could not be used"):
        clvseg.publish(run)
    folders = sorted((Path(run.settings.output) / "runs").iterdir())
    pd.testing.assert_frame_equal(Run.load(folders[-1]).scores, run.scores)


def test_each_folder_has_its_own_store_in_one_process(run, published, folder, tmp_path, monkeypatch):
    from clvseg.tracking import list_runs, log_run

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    second = log_run(run, Path(published.folder))
    for place, one in ((folder, published), (tmp_path, second)):
        assert list_runs(f"sqlite:///{place / 'mlruns' / 'mlflow.db'}")["run_id"].tolist() == [one.run_id]
    assert "MLFLOW_TRACKING_URI" not in os.environ


def write_toml(folder):
    path = folder / "clvseg.toml"
    path.write_text(
        'name = "sample"\nhorizon = "26w"\n[data]\nsource = "dataset:cdnow_sample"\n'
        '[data.columns]\ntime = "date"\n[value]\npurchases = "mbg_cnbd_k"\n'
    )
    return path


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "clvseg", "fit", "clvseg.toml", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
    )


def complete_runs(folder):
    runs = sorted((folder / "output" / "runs").iterdir())
    for place in runs:
        assert len(Run.load(place).scores) == 2357
        assert (place / "report.html").read_text().rstrip().endswith("</html>")
    return runs


def assert_comparable(folder, ids):
    """Two runs of one experiment hold the same metric and parameter names, as a comparison needs them."""
    from clvseg.tracking import import_mlflow

    client = import_mlflow().MlflowClient(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    first, second = (client.get_run(run_id) for run_id in ids)
    assert first.info.experiment_id == second.info.experiment_id
    assert set(first.data.metrics) == set(second.data.metrics)
    assert set(first.data.params) == set(second.data.params)


def kill_while_writing(folder):
    """Kill a fit with signal 9 when it has begun to write; nothing half written can be taken for a run."""
    process, output = start(folder), folder / "output"
    deadline = time.monotonic() + 240
    while not list(output.glob(".building-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert list(output.glob(".building-*"))
    assert complete_runs(folder) == []
    assert not (output / "latest").exists()


@pytest.mark.slow
def test_a_fit_killed_while_writing_and_two_at_once_after_it(tmp_path):
    """What the killed one left is swept away; the two do not disturb each other and write the same bytes."""
    write_toml(tmp_path)
    kill_while_writing(tmp_path)
    both = [start(tmp_path), start(tmp_path)]
    results = [process.communicate(timeout=500) for process in both]
    assert [process.returncode for process in both] == [0, 0], [err for _, err in results]
    places = complete_runs(tmp_path)
    assert len(places) == 2
    assert not list((tmp_path / "output").glob(".building-*"))
    assert (tmp_path / "output" / "latest" / "report.html").is_file()
    ids = {json.loads(out)["published"]["run_id"] for out, _ in results}
    assert len(ids) == 2
    assert_comparable(tmp_path, ids)
    for name in ("scores.parquet", "segments.csv"):
        first, second = ((place / name).read_bytes() for place in places)
        assert first == second
    run = Run.load(places[0])
    assert "MBG/CNBD-k + Gamma-Gamma" in set(run.leaderboard_value["model"])
    assert not run.scores.isna().any().any()
