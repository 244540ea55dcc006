"""Charts: an aggregated frame in, an Altair chart out.

Every function takes the width of the whole picture in pixels; below 500 it draws for a phone. No chart needs
a script or the network: the report turns them into static SVG. The column ``detail`` of a frame is what a
mark says to a screen reader and shows as a tooltip.
"""

from clvseg.charts.curves import curve_chart
from clvseg.charts.drift import drift_chart
from clvseg.charts.explanations import EVEN, beeswarm, dependence, segment_effects, waterfall
from clvseg.charts.forecast import cohort_chart, forecast_chart, scenario_chart, steps_chart, tracking_chart
from clvseg.charts.look import BLUE, ORANGE, Picture
from clvseg.charts.models import (
    decile_chart,
    driver_bars,
    importance_chart,
    later_chart,
    leaderboard_chart,
    reliability_chart,
    survival_chart,
    weekly_chart,
)
from clvseg.charts.movement import sankey_chart
from clvseg.charts.segments import (
    cluster_chart,
    customer_map,
    profile_chart,
    rfm_grid,
    risk_map,
    segment_bars,
    segment_overview,
)

__all__ = [
    "BLUE",
    "EVEN",
    "ORANGE",
    "Picture",
    "beeswarm",
    "cluster_chart",
    "cohort_chart",
    "curve_chart",
    "customer_map",
    "decile_chart",
    "dependence",
    "drift_chart",
    "driver_bars",
    "forecast_chart",
    "importance_chart",
    "later_chart",
    "leaderboard_chart",
    "profile_chart",
    "reliability_chart",
    "rfm_grid",
    "risk_map",
    "sankey_chart",
    "scenario_chart",
    "segment_bars",
    "segment_effects",
    "segment_overview",
    "steps_chart",
    "survival_chart",
    "tracking_chart",
    "waterfall",
    "weekly_chart",
]
