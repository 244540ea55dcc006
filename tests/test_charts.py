"""Charts are valid Vega-Lite, draw at both widths, and carry the numbers they are given."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from clvseg import charts
from clvseg.charts.look import money_axis
from clvseg.charts.segments import _fits, _names
from clvseg.frames import CHOICE

SEGMENTS = pd.DataFrame(
    {
        "number": ["1", "2", "3"],
        "segment": ["Best", "Middle & co", "Lost <3"],
        "customers": [100, 300, 600],
        "churn_probability": [0.1, 0.5, 0.95],
        "value_per_customer": [210.0, 30.0, 1.2],
        "share_customers": [0.1, 0.3, 0.6],
        "share_predicted_value": [0.6, 0.396, 0.004],
        "detail": ["one", "two", "three"],
    }
)
INTERVALS = pd.DataFrame(
    {
        "label": ["a", "b"],
        "metric": [0.7, 0.6],
        "low": [0.6, 0.5],
        "high": [0.8, 0.7],
        "predicted": [0.65, 0.75],
        "ours": [True, False],
        "text": ["0.70", "0.60"],
        "detail": ["a is 0.7", "b is 0.6"],
    }
)
WHERE = {"unit": "USD", "horizon": "the next 26 weeks", "low": 0.4, "high": 0.75}


def all_charts(width: int) -> dict[str, charts.Picture]:
    tenths = pd.DataFrame({"decile": range(1, 11), "predicted": range(10, 0, -1), "actual": range(10, 0, -1)})
    bins = pd.DataFrame({"predicted": [0.1, 0.9], "observed": [0.15, 0.85]})
    weeks = pd.DataFrame(
        {"week": pd.date_range("2024-01-01", periods=20, freq="W-MON"), "revenue": range(20)}
    )
    ahead = pd.DataFrame(
        {
            "start": [pd.Timestamp("2024-05-20")],
            "end": [pd.Timestamp("2024-08-20")],
            "label": ["forecast\n12"],
        }
    ).assign(revenue=9.0, low=8.0, high=10.0, detail="twelve")
    choice = pd.DataFrame(
        {name: [0.4, 0.5] for name in CHOICE.names} | {"clusters": [3, 4], "chosen": [False, True]}
    )
    profile = pd.DataFrame(
        {"segment": ["Best", "Best", "Lost <3", "Lost <3"], "measure": ["risk", "revenue"] * 2}
    ).assign(rank=[0.1, 0.9, 0.8, 0.2], detail="ranks")
    places = pd.DataFrame({"across": [0.0, 1.0], "up": [1.0, 0.0], "segment": ["Best", "Lost <3"]})
    places = places.assign(detail="one customer")
    grid = pd.DataFrame(
        [(r, f, r * f, str(r), "cell") for r in range(1, 6) for f in range(1, 6)],
        columns=["r_score", "f_score", "value", "text", "detail"],
    )
    grid = grid.assign(share=grid["value"] / grid["value"].sum(), money="4 %")
    drivers = pd.DataFrame(
        {"label": ["days", "orders", "rest"], "share": [0.6, 0.3, 0.1], "direction": [1, -1, 0]}
    )
    drivers = drivers.assign(text="x", detail="driver")
    curves = pd.DataFrame({"curve": ["a", "a", "b", "b"], "share": [0.0, 1.0] * 2, "height": [0.0, 1.0] * 2})
    curves = curves.assign(best=[False, True, False, False], detail="curve")
    effects = pd.DataFrame({"label": ["a", "b"], "contribution": [-0.4, 1.2], "customers": [3, 9]})
    effects = effects.assign(level=[0.0, 1.0], detail="effect", segment=["Best", "Rest"])
    steps = pd.DataFrame(
        {
            "label": ["Typical", "Late", "Large", "This one"],
            "start": [-1.2, -1.0, 0.4, -1.2],
            "end": [-1.0, 0.4, 0.1, 0.1],
            "kind": ["start", "up", "down", "end"],
        }
    ).assign(text="x", detail="step")
    both = pd.concat([steps.assign(model=model) for model in ("churn", "value")])
    panels = {
        "churn": {"title": "Risk", "axis": "Probability of no order", "scores": "probability"},
        "value": {"title": "Value", "axis": "Predicted revenue, USD", "scores": "money"},
    }
    return {
        "beeswarm": charts.beeswarm(effects, title="What moves", effect="Effect", width=width),
        "effects": charts.segment_effects(
            effects.rename(columns={"contribution": "difference"}), title="Why", effect="Effect", width=width
        ),
        "dependence": charts.dependence(
            effects.rename(columns={"customers": "value"}),
            title="What it does",
            feature="Days",
            effect="Effect",
            width=width,
        ),
        "waterfall": charts.waterfall(both, panels=panels, width=max(width, 900)),
        "map": charts.risk_map(SEGMENTS, width=width, **WHERE),
        "bars": charts.segment_bars(SEGMENTS, width=width),
        "overview": charts.segment_overview(SEGMENTS, **WHERE),
        "drivers": charts.driver_bars(drivers, up="up", down="down", colors=("red", "blue"), width=width),
        "deciles": charts.decile_chart(tenths.assign(detail="tenth"), unit="USD", width=width),
        "reliability": charts.reliability_chart(bins.assign(detail="bin"), width=width),
        "weekly": charts.weekly_chart(weeks, ahead, unit="USD", width=width),
        "gains": charts.curve_chart(
            curves, title="Found", note="at the top", across="Share of customers", width=width
        ),
        "profits": charts.curve_chart(
            curves.assign(height=curves["height"] * 3e4 - 5e3),
            title="Net gain, USD",
            note="at the top",
            across="Share of customers",
            money=True,
            width=width,
        ),
        "board": charts.leaderboard_chart(INTERVALS, title="Gini", note="1 is best", width=width),
        "later": charts.later_chart(INTERVALS, unit="USD", width=width),
        "clusters": charts.cluster_chart(choice, width=width),
        "grid": charts.rfm_grid(grid, width=width),
        "profiles": charts.profile_chart(profile, width=width),
        "places": charts.customer_map(places, title="map", note="near is alike", width=width),
    }


@pytest.mark.parametrize("width", [345, 900])
def test_charts_are_valid_and_draw(width: int) -> None:
    for name, chart in all_charts(width).items():
        spec = chart.to_dict()
        assert "vega-lite/v6" in spec["$schema"], name
        buffer = io.StringIO()
        chart.save(buffer, format="svg")
        svg = buffer.getvalue()
        assert "NaN" not in svg, name
        assert "undefined" not in svg, name
        drawn = float(svg.split('width="', 1)[1].split('"', 1)[0])
        if name not in ("overview", "bars", "waterfall"):
            assert 0.8 * width < drawn < width + 30, name


def test_numbers_reach_the_map() -> None:
    spec = charts.risk_map(SEGMENTS, **WHERE).to_dict()
    rows = [row for rows in spec["datasets"].values() for row in rows if "area" in row]
    assert {row["churn_probability"] for row in rows} == {0.1, 0.5, 0.95}
    assert {row["risk"] for row in rows} == {"low", "medium", "high"}
    areas = {row["customers"]: row["area"] for row in rows}
    assert areas[600] / areas[300] == pytest.approx(2.0)


def test_risk_tiers_begin_at_their_edge() -> None:
    frame = SEGMENTS.assign(churn_probability=[0.4, 0.75, 0.7499])
    spec = charts.risk_map(frame, **WHERE).to_dict()
    rows = [row for rows in spec["datasets"].values() for row in rows if "area" in row]
    risks = {row["churn_probability"]: row["risk"] for row in rows}
    assert risks == {0.4: "medium", 0.75: "high", 0.7499: "medium"}


def test_names_on_the_map_hide_nothing() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        n = 8
        frame = pd.DataFrame(
            {
                "segment": [f"Segment number {k}" for k in range(n)],
                "churn_probability": rng.uniform(0, 1, n),
                "value_per_customer": rng.uniform(5, 100, n),
                "area": rng.uniform(420, 2000, n),
            }
        )
        scale = money_axis(frame["value_per_customer"], spread=2.2, ticks=5)["scale"]
        marks = _names(frame, (-0.05, 1.05), scale, (850, 400))
        boxes = []
        for mark in marks:
            spec = mark.to_dict()
            x, y = (spec["encoding"][axis]["value"] for axis in "xy")
            wide = 6.5 * len(spec["encoding"]["text"]["value"])
            left = {"left": x, "right": x - wide, "center": x - wide / 2}[spec["mark"]["align"]]
            box = (left, y - 8, left + wide, y + 8)
            assert _fits(box, boxes, 850)
            boxes.append(box)


@pytest.mark.parametrize("top", [0.004, 0.9, 7.0, 180.0, 5e4, 3e9])
def test_axis_of_money_is_linear_where_values_are_alike(top: float) -> None:
    axis = money_axis(pd.Series([top / 3, top]), spread=1.2, ticks=5)
    assert axis["scale"]["type"] == "linear"
    assert axis["scale"]["domain"] == [0.0, pytest.approx(1.2 * top)]


def test_axis_of_money_is_logarithmic_where_they_are_not() -> None:
    axis = money_axis(pd.Series([0.02, 5_000.0]), spread=2, ticks=5)
    assert axis["scale"]["type"] == "log"
    low, high = axis["scale"]["domain"]
    assert low < 0.02
    assert high > 5_000
    ticks = axis["axis"]["values"]
    assert 3 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


def test_zero_and_negative_values_keep_a_linear_axis() -> None:
    axis = money_axis(pd.Series([-3.0, 0.0, 50.0]), spread=2, ticks=5)
    assert axis["scale"]["type"] == "linear"
    assert axis["scale"]["domain"][0] <= -3.0


def test_same_frame_same_specification() -> None:
    one, two = (json.dumps(charts.risk_map(SEGMENTS, **WHERE).to_dict()) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("name", ["beeswarm", "effects", "dependence", "waterfall"])
def test_axes_of_explanations_say_what_they_show(name: str) -> None:
    buffer = io.StringIO()
    all_charts(900)[name].save(buffer, format="svg")
    shown = {
        "beeswarm": ["Effect", "×1", "low", "high"],
        "effects": ["Effect", "×1", "Best", "Rest"],
        "dependence": ["Effect", "Days", "×1"],
        "waterfall": ["Probability of no order", "Predicted revenue, USD", "50%"],
    }
    for text in shown[name]:
        assert f">{text}<" in buffer.getvalue(), text
