"""Killed while writing, or out of disk: what was there before stays whole, and a rerun completes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import clvseg
from clvseg.errors import ClvsegError
from clvseg.monitoring import History
from clvseg.run import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def saved(sample_run, tmp_path_factory):
    return sample_run.save(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def ask(shop):
    """ask(words, verb, *arguments): do it in a child, which is killed at the words if there are any."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("faulty.py"))],
        cwd=shop, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def send(words, verb, *arguments):
        line = {"verb": verb, "words": words, "arguments": [str(argument) for argument in arguments]}
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        status = int(process.stdout.readline())
        assert status == (-signal.SIGKILL if words else 0)

    yield send
    process.communicate(timeout=60)


def whole(folder):
    """The run of a folder, which must be complete."""
    run = Run.load(folder)
    assert (folder / "report.html").read_text().rstrip().endswith("</html>")
    assert len(pd.read_csv(folder / "segments.csv")) == len(run.segments)
    assert len(list((folder / "charts").glob("*.svg"))) > 5
    return run


def runs(output):
    return sorted((output / "runs").iterdir())


def listed(shop):
    from clvseg.tracking import list_runs

    return list_runs(f"sqlite:///{shop / 'mlruns' / 'mlflow.db'}")


def test_publishing_that_is_killed(ask, saved, shop, sample_run):
    output = shop / "output"
    ask(["copyfile", "report.html", "artifacts"], "publish", saved, output)  # while MLflow takes the files
    first = (output / "latest").resolve()
    assert len(whole(first).scores) == len(sample_run.scores)
    assert listed(shop).empty  # half a run is no fit
    ask(["open", "MLmodel"], "log", first)  # while its model is written
    assert listed(shop).empty
    ask(["os.rename", ".latest-"], "publish", saved, output)  # in its place, not yet the latest
    assert (output / "latest").resolve() == first
    assert [len(whole(place).scores) for place in runs(output)] == [len(sample_run.scores)] * 2
    ask([], "publish", saved, output)
    assert (output / "latest").resolve() == runs(output)[-1] != first
    whole(output / "latest")
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]
    (row,) = listed(shop).to_dict("records")
    assert row["folder"] == str(runs(output)[-1])
    assert "champion" in row["model"] or "challenger" in row["model"]


def test_scoring_that_is_killed(ask, shop):
    latest, to = shop / "output" / "latest", shop / "scores.parquet"
    history = History.beside(latest)
    before = {day: history.read(day) for day in history.dates()}
    ask(["os.rename", ".part-"], "score", latest, to)  # while the history is written
    assert not to.exists()
    assert {day: len(history.read(day)) for day in history.dates()} == {k: len(v) for k, v in before.items()}
    to.write_text("old")
    ask(["os.rename", "scores.parquet"], "score", latest, to)
    assert to.read_text() == "old"
    ask([], "score", latest, to)
    assert len(pd.read_parquet(to)) == len(Run.load(latest).scores)
    assert not list(history.folder.rglob(".part-*"))


def test_going_on_that_is_killed(ask, shop, tmp_path):
    """While new lines are written, or before they count, they are as if never read; then they count once."""
    from clvseg.data.datasets import load_dataset

    latest, to = shop / "output" / "latest", tmp_path / "scores.parquet"
    log = load_dataset("cdnow_sample")
    late = pd.to_datetime(log["date"]) > "1998-05-31"
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    log[~late].to_csv(old, index=False)
    log[late].to_csv(new, index=False)
    state = shop / "output" / "state"
    ask(["os.rename", "state.json"], "score", latest, to, old, "start")
    assert not (state / "state.json").exists()
    ask([], "score", latest, to, old, "start")
    before = (state / "state.json").read_bytes()
    ask(["os.rename", "scores.parquet"], "score", latest, to, new, "last")
    ask(["open", "state.json.part"], "score", latest, to, new, "last")
    assert (state / "state.json").read_bytes() == before
    ask([], "score", latest, to, new, "last")
    first = to.read_bytes()
    ask([], "score", latest, to, new, "last")
    assert to.read_bytes() == first
    parts = json.loads((state / "state.json").read_text())["parts"]
    assert [part["lines"] for part in parts] == [int((~late).sum()), len(log)]
    assert len(list(state.glob("*/"))) == 2


def test_a_forecast_that_is_killed(ask, shop):
    """Before the first there is none; later the old one stays, in tables, workbook and report alike."""
    latest = shop / "output" / "latest"
    place = latest.resolve()
    report = (place / "report.html").read_bytes()
    ask(["os.rename", "run.json"], "forecast", latest)
    assert whole(place).forecast.empty
    assert not (place / "forecast").exists()
    assert (place / "report.html").read_bytes() == report
    ask([], "forecast", latest)
    new = whole(place)
    assert len(new.forecast) == len(pd.read_parquet(place / "forecast" / "forecast.parquet")) > 0
    assert (place / "report.html").read_bytes() != report
    assert not list(place.parent.glob(".*"))
    assert latest.resolve() == place


def test_an_output_on_a_full_disk(sample_run, saved, tmp_path, monkeypatch):
    """A real file system of 1 MB: the error says it, and the run that is there stays the latest."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine allows no mount")
    try:
        (disk / "runs" / "old").mkdir(parents=True)
        (disk / "latest").symlink_to("runs/old")
        changes = {"output": str(disk), "tracking": {"enabled": False}}
        settings = clvseg.Settings.make(sample_run.settings.model_dump(mode="json") | changes)
        with pytest.raises(
            ClvsegError, match=r"could not write the results to .*\n(.*\n)?Hint: is the disk full"
        ):
            clvseg.publish(replace(sample_run, settings=settings))
        assert (disk / "latest").resolve().name == "old"
        assert not list(disk.glob(".*"))
        assert shutil.disk_usage(disk).free > 500_000
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
