"""Customer equity and what changed it: by hand, and on CDNOW at two dates."""

import datetime as dt

import pandas as pd
import pytest

import clvseg
from clvseg import results, workflow
from clvseg.config import Settings
from clvseg.forecast.equity import Before, equity_steps
from clvseg.frames import EQUITY, EQUITY_STEPS
from clvseg.run import Run

THEN, NOW = dt.date(2024, 3, 31), dt.date(2024, 6, 30)


def _forecast(revenue):
    """One period of 90 days after `THEN`; margin 1, nothing discounted."""
    rows = [
        {"group": "segment", "name": name, "period": period, "revenue": money, "present_value": money}
        for name, money in revenue.items()
        for period in ("2024-04", "total")
    ]
    end = pd.Timestamp(THEN) + pd.Timedelta(days=90)
    return pd.DataFrame(rows).assign(end=end, days=90)


def _steps(settings=None):
    told = pd.DataFrame(
        {
            "customer_id": ["left", "stays", "quiet", "moves", "bored"],
            "segment": ["a", "a", "a", "a", "b"],
            "predicted_value": [10.0, 20.0, 30.0, 40.0, 0.0],
        }
    )
    people = pd.DataFrame(
        {
            "segment": ["a", "a", "c", "c", "b"],
            "predicted_value": [25.0, 15.0, 60.0, 20.0, 0.0],
            "T": [200.0, 200.0, 200.0, 50.0, 300.0],
            "recency": [190.0, 80.0, 150.0, 0.0, 10.0],
        },
        index=pd.Index(["stays", "quiet", "moves", "new", "bored"], name="customer_id"),
    )
    # Equity is half the predicted value in segment a, a quarter in c; nothing is predicted in b.
    equity = pd.DataFrame({"segment": ["a", "c", "b", "all"], "equity": [20.0, 20.0, 0.5, 40.5]})
    before = Before(THEN, _forecast({"a": 100.0, "b": 1.0}), told)
    asked = settings or Settings.make({"value": {"margin": 1.0, "discount_rate": 0.0}})
    found = equity_steps(equity, people, before, NOW, asked)
    assert list(found.columns) == EQUITY_STEPS.names
    return {
        name: dict(zip(rows["step"], rows["equity"], strict=True)) for name, rows in found.groupby("segment")
    }


def test_the_steps_by_hand():
    found = _steps()
    gone, stays, quiet, moves = 10.0, 12.5 - 20, 7.5 - 30, 15.0 - 40
    assert found["a"] == {
        "before": 100.0,
        "ordered since": stays,
        "no order since": quiet,
        "moved out": -40.0,
        "not in the log any more": -gone,
        "now": 20.0,
    }
    assert found["b"] == {"before": 1.0, "no order since": -0.5, "now": 0.5}
    assert found["c"] == {"before": 0.0, "new customers": 5.0, "moved in": 15.0, "now": 20.0}
    assert found["all"] == {
        "before": 101.0,
        "new customers": 5.0,
        "ordered since": stays + moves,
        "no order since": quiet - 0.5,
        "not in the log any more": -gone,
        "now": 40.5,
    }


def test_other_settings_are_a_step_of_their_own():
    half = Settings.make({"value": {"margin": 0.5, "discount_rate": 0.0}})
    found = _steps(half)
    assert found["a"]["settings"] == -50.0
    assert found["all"]["settings"] == -50.5
    later = _steps(Settings.make({"value": {"margin": 1.0, "discount_rate": 0.1}}))
    assert later["a"]["settings"] == pytest.approx(100 * (1.1 ** (-45 / 365) - 1), abs=0.005)


def test_every_segments_steps_add_up_to_the_cent():
    for steps in _steps().values():
        start, goal = steps.pop("before"), steps.pop("now")
        assert round(start + sum(steps.values()), 2) == goal


@pytest.fixture(scope="module")
def two_dates(tmp_path_factory):
    """Forecasts of one business as of two days, three months apart."""
    place = tmp_path_factory.mktemp("equity")
    asked = {
        "name": "finance",
        "horizon": "13w",
        "output": str(place / "output"),
        "data": {"source": "dataset:cdnow_sample", "currency": "USD", "columns": {"time": "date"}},
        "tracking": {"enabled": False},
    }
    runs = []
    for day in ("1998-03-31", "1998-06-30"):
        published = clvseg.publish(clvseg.fit(Settings.make({**asked, "as_of": day})))
        run = Run.load(published.folder)
        results.publish_forecast(run, workflow.forecast(run))
        runs.append(Run.load(run.folder))
    return runs


@pytest.mark.slow
def test_two_runs_of_one_business(two_dates):
    first, second = two_dates
    assert "no run in its folder" in first.facts["forecast"]["equity_since"]["reason"]
    assert first.equity_steps.empty
    assert second.facts["forecast"]["equity_since"] == {
        "as_of": "1998-03-31",
        "run": first.folder.resolve().name,
    }
    assert list(second.equity.columns) == EQUITY.names
    equity = second.equity.set_index("segment")
    whole = second.forecast[second.forecast["period"] == "total"].set_index(["group", "name"])
    for name in equity.index:
        key = ("all", "all") if name == "all" else ("segment", name)
        assert equity.loc[name, "equity"] == pytest.approx(whole.loc[key, "present_value"])
        assert equity.loc[name, "low_80"] < equity.loc[name, "equity"] < equity.loc[name, "high_80"]
    steps = second.equity_steps
    for name, rows in steps.groupby("segment"):
        assert round(rows["equity"].iloc[:-1].sum(), 2) == rows["equity"].iloc[-1]
        assert rows["equity"].iloc[-1] == round(equity["equity"].get(name, 0.0), 2)
    mine = steps[steps["segment"] == "all"].set_index("step")["equity"]
    before = first.equity.set_index("segment").loc["all", "equity"]
    assert mine["before"] == round(before, 2)
    assert "new customers" not in mine  # all of CDNOW's came in the first quarter of 1997
    assert mine["no order since"] < 0 < mine["ordered since"]
    report = (second.folder / "report.html").read_text(encoding="utf-8")
    assert "Customer equity since" in report
    assert "Who moved between segments" in report


@pytest.mark.slow
def test_a_forecast_over_another_horizon_is_not_compared(two_dates):
    _, second = two_dates
    longer = second.settings.forecast.model_copy(update={"horizon": "26w"})
    since = workflow.forecast(second, settings=longer).facts["equity_since"]
    assert since == {"reason": "earlier forecasts have horizon_days 91, this one 182"}
