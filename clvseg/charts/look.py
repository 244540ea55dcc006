"""The one look of all charts: colours, type, axes of money."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import altair as alt
import pandas as pd

INK, MUTED, LINE = "#1c2733", "#566270", "#dfe5ec"
BLUE, LIGHT_BLUE, OCHRE, ORANGE, GREY = "#1f5fa8", "#b7cfe9", "#786417", "#c4540c", "#7b8896"
# Of up to ten segments, told apart in print too.
PALETTE = (BLUE, ORANGE, "#2a9d6f", "#8a4fa3", OCHRE, "#d0679d", "#4ba3c7", "#8c5a3c", GREY, "#b3a12f")
FONT = "Helvetica, Arial, sans-serif"
PHONE = 500
Align: TypeAlias = Literal["left", "center", "right"]
Picture: TypeAlias = (
    alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart | alt.ConcatChart | alt.FacetChart
)
# Vega's expression for an axis value of money: 20k, 1.5M, 3B, 150, 0.05.
MONEY = "datum.value >= 1e4 ? replace(format(datum.value, '~s'), 'G', 'B') : format(datum.value, ',.4~r')"
# All at once, as each of Altair's calls copies the whole chart.
_LOOK: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "padding": 3,
    "view": {"stroke": None},
    "mark": {"aria": False},
    "axis": {
        **{f"{part}Color": MUTED for part in ("label", "title")},
        **{f"{part}FontSize": 12 for part in ("label", "title")},
        **{f"{part}Color": GREY for part in ("domain", "tick")},
        **{f"{part}Padding": 7 for part in ("label", "title")},
        "titleFontWeight": "normal",
        "gridColor": LINE,
    },
    "axisY": {"domain": False, "ticks": False},
    "title": {
        **{"anchor": "start", "frame": "bounds", "fontSize": 13.5, "color": INK, "offset": 14},
        **{"subtitleColor": MUTED, "subtitleFontSize": 12, "subtitlePadding": 5},
    },
    "legend": {
        "orient": "top",
        "labelFontSize": 12.5,
        "labelColor": INK,
        "symbolSize": 110,
        "labelLimit": 300,
    },
}


def money_axis(values: pd.Series[Any], *, spread: float, ticks: int) -> dict[str, Any]:
    """Scale and axis for money: logarithmic where the largest is many times the smallest."""
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high / low <= 8:
        domain = [min(0.0, low * spread), high * spread or 1.0]
        return {
            "scale": alt.Scale(type="linear", domain=domain),
            "axis": alt.Axis(labelExpr=MONEY, tickCount=ticks),
        }
    low, high = low / spread, high * spread
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    heads = (
        (1, 2, 5)
        if math.log10(high / low) < ticks / 3
        else (1, 3)
        if math.log10(high / low) < ticks / 2
        else (1,)
    )
    steps = [float(f"{head}e{power}") for power in powers for head in heads]
    axis = alt.Axis(labelExpr=MONEY, values=[step for step in steps if low <= step <= high])
    return {"scale": alt.Scale(type="log", domain=[low, high], nice=False), "axis": axis}


def finish(chart: Any) -> Any:
    """Give the one look of all charts; only marks with a ``detail`` of their own speak."""
    return chart.configure(**_LOOK)
