"""Charts of rankings: what their top holds, and what contacting it earns."""

from __future__ import annotations

import altair as alt
import pandas as pd

from clvseg.charts.look import BLUE, GREY, INK, MONEY, ORANGE, Picture, finish

INKS = (BLUE, ORANGE, GREY, INK)


def curve_chart(
    frame: pd.DataFrame, *, title: str, note: str, across: str, money: bool = False, width: int = 470
) -> Picture:
    """A curve per ranking over the share of customers taken from its top; the best point of each is marked.

    Parameters
    ----------
    frame : DataFrame
        ``curve`` (name of the ranking, in the order of the legend), ``share`` (0..1), ``height`` (0..1, or
        money), ``best`` (bool: marked with a dot), ``detail``.
    title, note, across : str
        What is shown, how to read it, and the title of the axis across.
    money : bool
        Whether the height is money; a share otherwise.
    width : int
        Width of the picture in pixels.
    """
    names = list(dict.fromkeys(frame["curve"]))
    x = alt.X("share:Q", title=across).scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    y = alt.Y("height:Q", title=None)
    share = y.scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    y = y.axis(labelExpr=MONEY, tickCount=5) if money else share
    columns = 1 if width < 400 else 2
    legend = alt.Legend(columns=columns, labelLimit=width, symbolType="stroke", symbolStrokeWidth=3)
    color = alt.Color("curve:N", title=None, sort=names, legend=legend)
    color = color.scale(domain=names, range=list(INKS[: len(names)]))
    base = alt.Chart(frame).encode(x, y, color)
    lines = base.mark_line(strokeWidth=2)
    dots = alt.Chart(frame[frame["best"]]).mark_point(aria=True, filled=True, opacity=1, size=70)
    dots = dots.encode(x, y, color, description=alt.Description("detail:N"))
    head = alt.TitleParams(title, subtitle=note)
    return finish(alt.layer(lines, dots, title=head, width=width - 60, height=230))
