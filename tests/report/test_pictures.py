"""The figures carry the Run's numbers, and are valid Vega-Lite at both widths."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from clvseg.report import figures
from clvseg.report.pictures import PHONE_WIDTH, plan
from clvseg.run import Run


def rows_with(spec: dict[str, Any], column: str) -> list[dict[str, Any]]:
    return [row for rows in spec["datasets"].values() for row in rows if column in row]


@pytest.fixture(scope="module")
def specs(run: Run) -> dict[str, dict[str, Any]]:
    return {name: chart.to_dict() for name, chart in figures(run).items()}


def test_names_are_sorted_and_complete(specs: dict[str, dict[str, Any]]) -> None:
    assert list(specs) == [
        "beeswarm_churn", "beeswarm_value", "clusters", "cohorts", "deciles", "dependence_churn",
        "dependence_value", "drivers_churn", "drivers_value", "effects_churn", "effects_value", "gains",
        "leaderboard_churn", "leaderboard_value", "map_pca", "map_tsne", "profiles", "profits", "reliability",
        "returns", "returns_later", "rfm_grid", "rivals_churn", "rivals_revenue", "segments",
        "segments_later", "staying", "value_risk_map", "weekly_revenue",
    ]  # fmt: skip


def test_forecast_is_the_total_spread_over_the_weeks(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    (forecast,) = rows_with(specs["weekly_revenue"], "label")
    total = run.facts["total"]
    assert forecast["revenue"] * 39 == pytest.approx(total["predicted"])
    assert forecast["low"] * 39 == pytest.approx(total["low"])
    assert forecast["high"] * 39 == pytest.approx(total["high"])
    assert pd.Timestamp(forecast["end"]) == pd.Timestamp("1999-03-30")


def test_tenths_are_per_customer(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    drawn = pd.DataFrame(rows_with(specs["deciles"], "decile")).set_index("decile")
    truth = run.deciles.set_index("decile")
    assert drawn["actual"].to_numpy() == pytest.approx((truth["actual"] / truth["customers"]).to_numpy())
    assert drawn["share"].sum() == pytest.approx(1.0)


def test_map_holds_the_segments(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    drawn = pd.DataFrame(rows_with(specs["value_risk_map"], "churn_probability")).drop_duplicates("number")
    assert drawn["segment"].tolist() == run.segments["segment"].tolist()
    assert drawn["value_per_customer"].tolist() == run.segments["value_per_customer"].tolist()


def test_grid_counts_every_customer(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    assert sum(row["many"] for row in rows_with(specs["rfm_grid"], "many")) == len(run.scores)


def test_grid_shares_are_of_the_revenue(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    grid = pd.DataFrame(rows_with(specs["rfm_grid"], "many")).drop_duplicates(["r_score", "f_score"])
    assert grid["share"].sum() == pytest.approx(1.0)
    first = grid.iloc[0]
    inside = (run.scores["r_score"] == first["r_score"]) & (run.scores["f_score"] == first["f_score"])
    money = run.scores["past_revenue"]
    assert first["share"] == pytest.approx(money[inside].sum() / money.sum())


def test_profiles_are_mean_ranks_around_one_half(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    drawn = pd.DataFrame(rows_with(specs["profiles"], "rank")).drop_duplicates(["segment", "measure"])
    assert len(drawn) == 6 * len(run.segments)
    sizes = drawn["segment"].map(run.segments.set_index("segment")["customers"])
    for _, rows in drawn.assign(size=sizes).groupby("measure"):
        assert (rows["rank"] * rows["size"]).sum() / rows["size"].sum() == pytest.approx(0.5)


def test_maps_show_the_sample(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    for kind in ("pca", "tsne"):
        drawn = rows_with(specs[f"map_{kind}"], "across")
        assert len(drawn) == len(run.maps)
        assert {row["segment"] for row in drawn} == set(run.maps["segment"])


def test_drivers_are_shares_of_the_whole(specs: dict[str, dict[str, Any]]) -> None:
    shares = [row["share"] for row in rows_with(specs["drivers_churn"], "share")]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0)


def test_our_row_is_blue_in_the_leaderboards(specs: dict[str, dict[str, Any]]) -> None:
    for name in ("leaderboard_value", "leaderboard_churn"):
        inks = {row["label"]: row["ink"] for row in rows_with(specs[name], "ink")}
        assert len(set(inks.values())) == 2
        assert list(inks.values()).count(inks["hybrid (in use)"]) == 1


def test_phone_figures_are_valid_too(run: Run) -> None:
    for figure in plan(run).values():
        assert figure.draw(width=PHONE_WIDTH).to_dict()["datasets"]


def test_every_explained_customer_is_in_the_swarm(run: Run, specs: dict[str, dict[str, Any]]) -> None:
    dots = pd.DataFrame(rows_with(specs["beeswarm_churn"], "level"))
    customers = run.contributions["customer_id"].nunique()
    assert (dots.groupby("label")["customers"].sum() == customers).all()
    assert dots["label"].iloc[0].startswith("Risk by recency")
    lowest = dots[dots["label"] == "Days since the last order"].sort_values("contribution")["level"]
    assert lowest.iloc[0] < 0.2 < 0.8 < lowest.iloc[-1]


def test_segments_are_set_apart_as_their_contributions_say(
    run: Run, specs: dict[str, dict[str, Any]]
) -> None:
    bars = pd.DataFrame(rows_with(specs["effects_value"], "difference"))
    assert list(dict.fromkeys(bars["segment"])) == [
        name for name in run.segments["segment"] if name in set(bars["segment"])
    ]
    parts = run.contributions.query("model == 'value' and feature == 'since_last'").set_index("customer_id")
    segment = run.scores.set_index("customer_id").loc[parts.index, "segment"]
    for bar in bars[bars["feature"] == "since_last"].itertuples():
        inside = parts["contribution"][segment == bar.segment].mean()
        outside = parts["contribution"][segment != bar.segment].mean()
        assert bar.difference == pytest.approx(inside - outside)


def test_charts_of_effects_have_titles_and_units(specs: dict[str, dict[str, Any]]) -> None:
    across = specs["dependence_churn"]["layer"][1]["encoding"]
    assert across["x"]["title"] == "Days since the last order"
    assert across["y"]["title"] == "Effect on the odds of no order, a factor"
    for name in ("beeswarm_value", "effects_value"):
        assert "Effect on the predicted revenue, a factor" in str(specs[name])
