"""The command line: help, init, check and the small verbs. `fit` and `score` are in test_main_job.py."""

import json

import pytest

from clvseg import cli as command_line
from clvseg.checks import CATALOGUE
from clvseg.config import Settings

VERBS = [command.name or command.callback.__name__ for command in command_line.app.registered_commands]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli, verb):
    outcome = cli(verb, "--help")
    assert outcome.code == 0
    assert f"clvseg {verb}" in outcome.out
    assert (
        command_line.app.registered_commands[VERBS.index(verb)].callback.__doc__.split(",")[0][:20]
        in outcome.out
    )


def test_help_names_the_sections_of_the_settings(cli):
    assert "[forecast]" in cli("forecast", "--help").out
    assert "[campaign]" in cli("target", "--help").out


def test_version(cli):
    assert cli("--version").out.startswith("clvseg 0.")


def test_check_prints_profile_and_findings(cli, tmp_path):
    toml = tmp_path / "clvseg.toml"
    toml.write_text(
        'horizon = "39w"\n[data]\nsource = "dataset:cdnow_sample"\n[data.columns]\ntime = "date"\n'
    )
    outcome = cli("check", toml)
    assert outcome.code == 0
    assert "2,357" in outcome.out
    assert "CLV011" in outcome.out
    assert "Reading" in outcome.err
    machine = json.loads(cli("check", toml, "--json").out)
    assert machine["profile"]["customers"] == 2357
    assert {finding["code"] for finding in machine["findings"]} <= set(CATALOGUE)


def test_init_writes_settings_that_check_accepts(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ["Kundennr;Bestelldatum;Datum;Umsatz"]
    lines += [f"k{i % 40};x;{1 + i % 28:02d}.{1 + i % 12:02d}.202{i % 3};{10 + i % 7}.5" for i in range(900)]
    (tmp_path / "Käufe 2024.csv").write_text("\n".join(lines), encoding="utf-8")
    outcome = cli("init", "Käufe 2024.csv")
    assert outcome.code == 0, outcome.err
    assert "clvseg fit clvseg.toml" in outcome.out
    columns = Settings.read(tmp_path / "clvseg.toml").data.columns
    assert (columns.customer, columns.time, columns.amount) == ("Kundennr", "Datum", "Umsatz")
    assert cli("check", "clvseg.toml").code == 0


def test_init_keeps_what_is_there(cli, tmp_path):
    (tmp_path / "orders.csv").write_text("customer,date,amount\n1,2024-01-01,2\n")
    (tmp_path / "clvseg.toml").write_text("mine")
    outcome = cli("init", tmp_path / "orders.csv", "--to", tmp_path / "clvseg.toml")
    assert outcome.code == 2
    assert "File exists" in outcome.err
    assert (tmp_path / "clvseg.toml").read_text() == "mine"


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_finding_is_explained(cli, code):
    outcome = cli("explain", code.lower())
    assert outcome.code == 0
    assert outcome.out.startswith(code)
    assert "What to do:" in outcome.out
    machine = json.loads(cli("explain", code, "--json").out)
    assert machine == {"code": code, "text": outcome.out.rstrip("\n")}
