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
from clvseg.data.datasets import load_dataset
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
    assert not list(history.folder.rglob("*.part-*"))


def test_going_on_that_is_killed(ask, shop, tmp_path):
    """While new lines are written, or before they count, they are as if never read; then they count once."""
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


@pytest.fixture
def disk(tmp_path):
    """A real file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine allows no mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_an_output_on_a_full_disk(sample_run, disk):
    """The error says it, and the run that is there stays the latest."""
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


def test_scoring_on_a_full_disk(cli, saved, disk, tmp_path):
    """Scores, report and what is kept to go on from stay as they were, and nothing is left lying about."""
    filler = disk / "filler"

    def fill(free):
        filler.unlink(missing_ok=True)
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - free))

    log, to, report = tmp_path / "log.csv", disk / "scores.parquet", disk / "report.html"
    load_dataset("cdnow_sample").to_csv(log, index=False)
    for old in (to, report):
        old.write_text("old")
    fill(20_000)
    for verb, options in (("score", [log, "--no-history", "--to", to]), ("report", ["--to", report])):
        done = cli(verb, saved, *options)
        assert done.code == 2
        assert f"cannot write {disk}" in done.err
        assert "No space left" in done.err
    assert (to.read_text(), report.read_text()) == ("old", "old")
    state = saved.parent / "state"
    state.symlink_to(disk / "state")
    (disk / "state").mkdir()
    done = cli("score", saved, log, "--no-history", "--since", "start", "--to", tmp_path / "scores.parquet")
    assert done.code == 2
    assert f"there is no room in {state} for the new lines" in done.err
    assert sorted(path.name for path in disk.iterdir()) == [
        "filler",
        "report.html",
        "scores.parquet",
        "state",
    ]
    assert [path.name for path in (disk / "state").iterdir()] == [".lock"]
    fill(700_000)
    done = cli("score", saved, log, "--no-history", "--since", "start", "--to", tmp_path / "scores.parquet")
    assert done.code == 0, done.err
    state.unlink()


def test_two_scorings_at_once(shop, tmp_path):
    """Into the same file, history and state: the new lines count once, and all is whole."""
    latest, to = shop / "output" / "latest", tmp_path / "scores.parquet"
    log = load_dataset("cdnow_sample")
    late = pd.to_datetime(log["date"]) > "1998-06-20"
    for name, lines in (("old", log[~late]), ("new", log[late])):
        lines.to_csv(tmp_path / f"{name}.csv", index=False)
    for source, since, times in (("old", "start", 1), ("new", "last", 2)):
        command = [sys.executable, "-m", "clvseg", "score", str(latest), str(tmp_path / f"{source}.csv")]
        command += ["--since", since, "--to", str(to)]
        both = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(times)
        ]
        said = [process.communicate(timeout=300) for process in both]
        assert [process.returncode for process in both] == [0] * times, said
    counted = sorted(out.splitlines()[0] for out, _ in said)
    assert counted == ["Counted 0 new lines", f"Counted {late.sum()} new lines"]
    assert len(pd.read_parquet(to)) == len(Run.load(latest).scores)
    parts = json.loads((shop / "output" / "state" / "state.json").read_text())["parts"]
    assert [part["lines"] for part in parts] == [int((~late).sum()), len(log)]
    history = History.beside(latest)
    assert all(len(history.read(day)) > 2000 for day in history.dates())
