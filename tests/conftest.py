import fcntl
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run the command line in this process: cli("fit", "clvseg.toml") -> Outcome(code, out, err)."""

    def run(*arguments):
        from clvseg.cli import main

        monkeypatch.setattr(sys, "argv", ["clvseg", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        caught = capsys.readouterr()
        return Outcome(code, caught.out, caught.err)

    return run


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory, worker_id):
    """CDNOW's 1/10 sample fitted on 39 weeks, saved and loaded: one fit for all workers."""
    import clvseg
    from clvseg.run import Run

    place = tmp_path_factory.getbasetemp() / "sample"
    if worker_id != "master":
        place = place.parent.with_name("sample")
    data = {"source": "dataset:cdnow_sample", "currency": "USD", "columns": {"time": "date"}}
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.mkdir()
            clvseg.fit(clvseg.Settings.make({"name": "sample", "horizon": "39w", "data": data})).save(place)
    return Run.load(place)
