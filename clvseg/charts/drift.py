"""Drift since the fit: how far inputs and scores have moved, and what came against the prediction."""

from __future__ import annotations

import altair as alt
import pandas as pd

from clvseg.charts.look import BLUE, GREY, INK, LIGHT_BLUE, ORANGE, Picture, finish

SHOWN = 12


def drift_chart(stability: pd.DataFrame, realised: pd.DataFrame, *, title: str, width: int = 900) -> Picture:
    """Stability of the least stable columns, over the ratio of what came to what was predicted.

    Parameters
    ----------
    stability : DataFrame
        :data:`clvseg.frames.STABILITY`, the least stable first; the first twelve are drawn.
    realised : DataFrame
        ``segment``, ``predicted``, ``actual``, ``ratio``, ``low``, ``high``; may be empty.
    title : str
        Of the whole.
    width : int
        Width of the picture in pixels.
    """
    panels = [_stability(stability.head(SHOWN), width - 260)]
    if len(realised):
        panels.append(_realised(realised, width - 260))
    return finish(alt.vconcat(*panels, title=title, spacing=28))


def _stability(frame: pd.DataFrame, width: int) -> Picture:
    frame = frame.assign(
        ink=[ORANGE if drifted else LIGHT_BLUE for drifted in frame["drifted"]],
        detail=[
            f"{label}: PSI {psi:.3f}, usual {usual:.3f}{', drifted' if drifted else ''}"
            for label, psi, usual, drifted in zip(
                frame["label"], frame["psi"], frame["usual"], frame["drifted"], strict=True
            )
        ],
    )
    base = _rows(frame, "label")
    x = alt.X("psi:Q", title=None).axis(tickCount=6, grid=False)
    bars = base.mark_bar(aria=True, size=13, cornerRadiusEnd=2).encode(
        x, color=alt.Color("ink:N", scale=None), description=alt.Description("detail:N"), tooltip="detail:N"
    )
    usual = base.mark_tick(color=INK, thickness=2, size=15).encode(alt.X("usual:Q"))
    note = "Population stability index against the fit; tick: usual before the fit; orange: drifted"
    head = alt.TitleParams("Inputs and scores", subtitle=note)
    return alt.layer(bars, usual, title=head, width=width, height=24 * len(frame))


def _realised(frame: pd.DataFrame, width: int) -> Picture:
    frame = frame.assign(
        ink=[
            GREY if low <= 1 <= high else ORANGE
            for low, high in zip(frame["low"], frame["high"], strict=True)
        ],
        detail=[
            f"{name}: {actual:,.0f} came, {predicted:,.0f} predicted"
            for name, actual, predicted in zip(
                frame["segment"], frame["actual"], frame["predicted"], strict=True
            )
        ],
    )
    base, color = _rows(frame, "segment"), alt.Color("ink:N", scale=None)
    x = alt.X("low:Q", title=None).axis(tickCount=6, grid=False)
    lines = base.mark_rule(strokeWidth=4, opacity=0.4).encode(x, x2=alt.X2("high"), color=color)
    dots = base.mark_point(aria=True, size=80, filled=True, opacity=1).encode(
        alt.X("ratio:Q"), color=color, description=alt.Description("detail:N"), tooltip="detail:N"
    )
    one = alt.Chart(pd.DataFrame({"ratio": [1.0]})).mark_rule(color=BLUE).encode(alt.X("ratio:Q"))
    note = "Ratio with its 95 % interval; 1 is as predicted; orange: the interval leaves it out"
    head = alt.TitleParams("What came against the prediction", subtitle=note)
    return alt.layer(one, lines, dots, title=head, width=width, height=24 * len(frame))


def _rows(frame: pd.DataFrame, name: str) -> alt.Chart:
    axis = alt.Axis(labelLimit=230, title=None)
    return alt.Chart(frame).encode(alt.Y(f"{name}:N", sort=list(frame[name]), axis=axis))
