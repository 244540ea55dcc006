"""`clvseg forecast` on a saved run: tables, workbook, report, MLflow; wrong transactions are refused."""

import json
import xml.etree.ElementTree as ET
import zipfile

import pandas as pd
import pytest

import clvseg
from clvseg import workflow
from clvseg.config import Settings
from clvseg.data.datasets import load_dataset
from clvseg.frames import BACKTEST, FORECAST, FORECAST_HISTORY
from clvseg.run import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("forecast")
    asked = {
        "name": "finance",
        "horizon": "26w",
        "output": str(place / "output"),
        "data": {"source": "dataset:cdnow_sample", "currency": "USD", "columns": {"time": "date"}},
        "forecast": {
            "origins": 1,
            "acquisition_cost": 20.0,
            "scenarios": {"10 % fewer leave": {"churn": -0.1}, "spend up": {"spend": 0.05}},
        },
        "tracking": {"uri": f"sqlite:///{place / 'mlflow.db'}", "registry": False},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        published = clvseg.publish(clvseg.fit(Settings.make(asked)))
        yield place, published


@pytest.fixture(scope="module")
def told(folder):
    """What the verb prints as JSON, its files being written."""
    from typer.testing import CliRunner

    from clvseg.cli import app

    asked = ["forecast", folder[1].folder, "--periods", "quarter", "--backtest", "--json"]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)


def test_the_verb_writes_what_it_prints(folder, told):
    place, published = folder
    to = place / "output" / "latest" / "forecast"
    table = pd.read_parquet(to / "forecast.parquet")
    assert list(table.columns) == FORECAST.names
    assert [row["revenue"] for row in told["forecast"]] == pytest.approx(table["revenue"].tolist())
    assert table["period"].unique().tolist() == ["1998 Q3", "1998 Q4", "total"]
    assert [finding["code"] for finding in told["findings"]] == ["CLV021"]
    everybody = table[(table["group"] == "all") & (table["period"] == "total")].iloc[0]
    assert told["facts"]["total"]["revenue"] == everybody["revenue"]
    assert list(pd.read_csv(to / "history.csv").columns) == FORECAST_HISTORY.names

    run = Run.load(published.folder)
    assert run.facts["forecast"] == told["facts"]
    assert (run.findings["code"] == "CLV021").sum() == 1
    # Segments' expectations without the level's spread are the sums of the scores' predictions.
    by_segment = table[(table["group"] == "segment") & (table["period"] == "total")].set_index("name")
    share = by_segment["revenue"] / run.scores.groupby("segment")["predicted_value"].sum()
    assert share.between(1.0, 1.1).all()

    report = (place / "output" / "latest" / "report.html").read_text(encoding="utf-8")
    assert 'id="forecast"' in report
    assert "1998 Q4" in report
    assert "Forecasts from earlier days" in report
    assert "What a new customer costs and brings" in report
    assert "Share of the cohort that orders in a period" in report
    assert "Against the forecast of everybody" in report
    assert "What each scenario changes" in report
    less = next(row for row in told["scenarios"] if row["period"] == "total")
    assert (less["scenario"], less["meaning"]) == ("10 % fewer leave", "everybody: rate of leaving -10 %")
    assert 0 < less["low_80"] < less["difference"] < less["high_80"]
    assert len(pd.read_csv(to / "scenarios.csv")) == len(told["scenarios"]) == 6
    curves = pd.DataFrame(told["cohort_curves"])
    ends = curves[curves["state"] == "actual"].groupby("cohort")["cumulative_revenue"].last()
    assert ends.sum() == pytest.approx(run.customers["past_revenue"].sum())
    cohorts = table[(table["group"] == "cohort") & (table["period"] == "total")].set_index("name")["revenue"]
    later = curves.groupby("cohort")["cumulative_revenue"].last() - ends
    pd.testing.assert_series_equal(later, cohorts, check_names=False)
    whole = told["payback"][0]
    assert whole["customers"] == len(run.customers)
    brought = (run.customers["past_revenue"].sum() + cohorts.sum()) / len(run.customers)
    assert whole["value_to_cost"] == pytest.approx(brought / 20)
    assert len(pd.read_csv(to / "payback.csv")) == len(told["payback"])
    tested = pd.DataFrame(told["backtest"])
    assert set(tested["model"]) == {"clvseg forecast", "lifetimes BG/NBD", "seasonal naive", "ETS", "ARIMA"}
    steps = pd.DataFrame(told["bridge"]).set_index("step")["revenue"]
    cents = (steps * 100).round().astype(int)
    assert cents["actual"] + cents.iloc[1:-1].sum() == cents["forecast"]
    assert list(pd.read_csv(to / "backtest.csv").columns) == BACKTEST.names


def test_the_workbook_holds_numbers_as_numbers(folder, told):
    place, _ = folder
    to = place / "output" / "latest" / "forecast"
    book = zipfile.ZipFile(to / "forecast.xlsx")
    spaces = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    sheets = ET.fromstring(book.read("xl/workbook.xml")).findall(".//m:sheet", spaces)
    assert [one.get("name") for one in sheets] == [
        *("What is in it", "Known customers", "By cohort", "By segment", "New customers", "Everybody"),
        *("What came", "Cohorts over time", "Payback", "Customer equity", "Scenarios"),
        *("Bridge", "Backtest", "Backtest by week"),
    ]
    cells = ET.fromstring(book.read("xl/worksheets/sheet2.xml")).findall(".//m:c", spaces)
    numbers = [float(c.find("m:v", spaces).text) for c in cells if c.get("t") != "s"]
    table = pd.read_parquet(to / "forecast.parquet")
    for value in table.loc[table["group"] == "all", "revenue"]:
        assert min(abs(number - value) for number in numbers) < 1e-6


def test_a_rerun_gives_the_same_bytes(folder, told, cli):
    place, published = folder
    names = (
        "forecast.parquet",
        "forecast.csv",
        "history.csv",
        "forecast.xlsx",
        "forecast.json",
        "backtest.csv",
    )
    to = place / "output" / "latest" / "forecast"
    before = [(to / name).read_bytes() for name in names]
    found = cli("forecast", published.folder, "--periods", "quarter", "--backtest")
    assert found.code == 0, found.err
    assert [(to / name).read_bytes() for name in names] == before
    assert f"{told['facts']['total']['revenue']:,.0f}" in found.out


def test_forecasts_of_runs_compare_in_mlflow(folder, told):
    from clvseg.tracking import import_mlflow

    place, published = folder
    client = import_mlflow().MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    metrics = client.get_run(published.run_id).data.metrics
    assert metrics["forecast_revenue"] == pytest.approx(told["facts"]["total"]["revenue"])
    assert 0 < metrics["forecast_mape_13w"] < 1
    more = told["scenarios"][-1]["difference"]
    assert more == pytest.approx(0.05 * told["facts"]["everybody"]["revenue"])
    assert metrics["forecast_scenario/spend up/difference"] == pytest.approx(more)
    assert "forecast_scenario/10 _ fewer leave/low_80" in metrics
    assert metrics["forecast_value_to_cost"] == pytest.approx(told["payback"][0]["value_to_cost"])
    assert metrics["forecast_low_80"] < metrics["forecast_revenue"] < metrics["forecast_high_80"]


def test_scenarios_of_another_file_need_no_new_fit(folder, cli, tmp_path):
    _, published = folder
    settings = tmp_path / "asked.toml"
    settings.write_text('[forecast.scenarios."all leave"]\nchurn = 9.0\n[forecast]\nperiods = "quarter"\n')
    run = Run.load(published.folder)
    found = workflow.forecast(run, settings=Settings.read(settings).forecast)
    assert found.scenarios["scenario"].unique().tolist() == ["all leave"]
    assert (found.scenarios["difference"] < 0).all()
    settings.write_text('[forecast.scenarios."x"]\nsegment = "Champion"\nchurn = -0.1\n')
    told = cli("forecast", published.folder, "--config", settings)
    assert told.code == 2
    assert "did you mean Champions?" in told.err


def test_other_transactions_are_refused(folder, cli, tmp_path):
    _, published = folder
    lines = load_dataset("cdnow_sample")
    lines.iloc[1:].to_csv(tmp_path / "orders.csv", index=False)
    found = cli("forecast", published.folder, "--source", tmp_path / "orders.csv")
    assert found.code == 2
    assert "these are not the transactions of the run." in found.err
    assert "6,69" in found.err


def test_a_wrong_setting_is_told(folder, cli):
    _, published = folder
    found = cli("forecast", published.folder, "--horizon", "soon")
    assert found.code == 2
    assert "forecast.horizon" in found.err
