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
