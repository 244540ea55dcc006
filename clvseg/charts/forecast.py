"""Charts of the finance view: what came and what is to come."""

from __future__ import annotations

import altair as alt
import pandas as pd

from clvseg.charts.look import (
    BLUE,
    GREY,
    INK,
    LIGHT_BLUE,
    MONEY,
    OCHRE,
    ORANGE,
    PALETTE,
    PHONE,
    Picture,
    finish,
)


def forecast_chart(past: pd.DataFrame, ahead: pd.DataFrame, *, unit: str, width: int = 900) -> Picture:
    """Revenue of each period so far, and what today's customers are expected to bring, with bands.

    Parameters
    ----------
    past : DataFrame
        ``start`` (date), ``repeat_revenue``, ``revenue`` (money), ``detail``; whole periods.
    ahead : DataFrame
        ``start`` (date), ``revenue`` and the ends ``low_50`` ... ``high_95`` (money), ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    everybody, again, coming = (
        "all revenue",
        "of customers who bought before",
        "expected of today's customers",
    )
    x = alt.X("start:T", title=None).axis(format="%b %Y", tickCount=8 if width >= PHONE else 3, labelAngle=0)
    y = alt.Y("revenue:Q", title=None).axis(labelExpr=MONEY, tickCount=5).scale(zero=True)
    lines = pd.concat(
        [
            past[["start", "revenue"]].assign(line=everybody),
            past[["start"]].assign(revenue=past["repeat_revenue"], line=again),
            ahead[["start", "revenue"]].assign(line=coming),
        ]
    )
    color = alt.Color("line:N", title=None, sort=[everybody, again, coming])
    color = color.scale(domain=[everybody, again, coming], range=[GREY, BLUE, ORANGE])
    color = color.legend(columns=3 if width >= PHONE else 1, labelLimit=width, symbolType="stroke")
    bands = [
        alt.Chart(ahead).mark_area(color=ORANGE, opacity=opacity)
        .encode(x=x, y=alt.Y(f"low_{level}:Q"), y2=alt.Y2(f"high_{level}"))
        for level, opacity in ((95, 0.12), (80, 0.16), (50, 0.22))
    ]  # fmt: skip
    drawn = alt.Chart(lines).mark_line(strokeWidth=2).encode(x, y, color)
    dots = alt.Chart(ahead).mark_point(aria=True, filled=True, size=28, color=INK, opacity=1)
    dots = dots.encode(x, y, description=alt.Description("detail:N"))
    head = alt.TitleParams(
        f"Revenue per period, {unit}", subtitle="bands hold it with 50, 80 and 95 % probability"
    )
    return finish(alt.layer(*bands, drawn, dots, title=head, width=width - 60, height=260))


def cohort_chart(curves: pd.DataFrame, *, unit: str, width: int = 900) -> Picture:
    """Retention and cumulative revenue of cohorts over time: solid as they came, dashed as expected.

    Parameters
    ----------
    curves : DataFrame
        ``measure`` (retention, cumulative revenue), ``cohort``, ``state`` (actual, forecast), ``end`` (date),
        ``value`` (share or money) and the ends ``low`` and ``high`` of its 80 % interval; ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    cohorts = list(dict.fromkeys(curves["cohort"]))
    color = alt.Color("cohort:N", title=None, sort=cohorts)
    color = color.scale(
        domain=cohorts, range=[PALETTE[place % len(PALETTE)] for place in range(len(cohorts))]
    )
    color = color.legend(
        columns=6 if width >= PHONE else 3, labelLimit=width, symbolType="stroke", symbolOpacity=1
    )
    x = alt.X("end:T", title=None).axis(format="%b %Y", tickCount=8 if width >= PHONE else 3, labelAngle=0)
    titles = {
        "retention": "Share of the cohort that orders in a period",
        "cumulative revenue": f"Revenue of the cohort since it first bought, {unit}",
    }
    panels = []
    for measure, title in titles.items():
        mine = curves[curves["measure"] == measure]
        y = alt.Y("value:Q", title=None).scale(zero=True)
        y = y.axis(format=".0%", tickCount=5) if measure == "retention" else y.axis(labelExpr=MONEY)
        actual, ahead = (mine[mine["state"] == state] for state in ("actual", "forecast"))
        band = alt.Chart(ahead).mark_area(opacity=0.16)
        band = band.encode(x, alt.Y("low:Q", title=None), alt.Y2("high"), color)
        solid = alt.Chart(actual).mark_line(strokeWidth=2).encode(x, y, color)
        dashed = alt.Chart(ahead).mark_line(strokeWidth=2, strokeDash=[5, 4]).encode(x, y, color)
        dots = alt.Chart(mine[mine["detail"] != ""]).mark_point(aria=True, filled=True, size=28, opacity=1)
        dots = dots.encode(x, y, color, description=alt.Description("detail:N"))
        head = alt.TitleParams(
            title,
            subtitle="solid: as it came; dashed: expected, in a band that holds it with 80 % probability",
        )
        panels.append(alt.layer(band, solid, dashed, dots, title=head, width=width - 60, height=230))
    return finish(alt.vconcat(*panels))


def tracking_chart(weeks: pd.DataFrame, *, title: str, unit: str, width: int = 470) -> Picture:
    """Cumulative revenue after a day, as it came and as it was forecast: the tracking plot of BTYD papers.

    Parameters
    ----------
    weeks : DataFrame
        ``line`` (what came first, then ours, then the others), ``end`` (date), ``money`` (cumulative),
        ``detail``.
    title, unit : str
        What is shown, and the unit of the money.
    width : int
        Width of the picture in pixels.
    """
    names = list(dict.fromkeys(weeks["line"]))
    inks = [INK, ORANGE, BLUE, GREY, LIGHT_BLUE, OCHRE][: len(names)]
    x = alt.X("end:T", title=None).axis(format="%b %Y", tickCount=5, labelAngle=0)
    y = alt.Y("money:Q", title=None).axis(labelExpr=MONEY, tickCount=5)
    legend = alt.Legend(columns=2, labelLimit=width, symbolType="stroke", symbolStrokeWidth=3)
    color = alt.Color("line:N", title=None, sort=names, legend=legend).scale(domain=names, range=inks)
    base = alt.Chart(weeks).encode(x, y, color)
    last = base.transform_filter("datum.detail != ''").mark_point(aria=True, filled=True, size=40, opacity=1)
    last = last.encode(description=alt.Description("detail:N"))
    head = alt.TitleParams(title, subtitle=f"cumulative, {unit}")
    return finish(alt.layer(base.mark_line(strokeWidth=2), last, title=head, width=width - 60, height=230))


def scenario_chart(scenarios: pd.DataFrame, *, unit: str, width: int = 900) -> Picture:
    """Difference that each scenario makes to revenue, with its 80 and 95 % intervals.

    Parameters
    ----------
    scenarios : DataFrame
        ``scenario``, ``difference``, the ends ``low_80`` ... ``high_95`` (money) and ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    base = alt.Chart(scenarios).encode(
        y=alt.Y("scenario:N", title=None, sort=None).axis(labelLimit=width // 3, ticks=False, domain=False)
    )
    axis = alt.Axis(labelExpr=MONEY, tickCount=6 if width >= PHONE else 3)
    lines = [
        base.mark_rule(color=BLUE, strokeWidth=size, opacity=0.4).encode(
            alt.X(f"low_{level}:Q", title=None, axis=axis), alt.X2(f"high_{level}")
        )
        for level, size in ((95, 2), (80, 6))
    ]
    dots = base.mark_point(aria=True, filled=True, size=60, color=INK, opacity=1)
    dots = dots.encode(alt.X("difference:Q", axis=axis), description=alt.Description("detail:N"))
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=GREY).encode(x=alt.X("x:Q"))
    head = alt.TitleParams(
        f"What each scenario changes, {unit}", subtitle="lines hold it with 80 and 95 % probability"
    )
    return finish(alt.layer(zero, *lines, dots, title=head, width=width - width // 3, height=alt.Step(34)))


def steps_chart(steps: pd.DataFrame, *, title: str, width: int = 900) -> Picture:
    """Steps from one sum to another, each beginning where the one before ended.

    Parameters
    ----------
    steps : DataFrame
        ``step``, ``begin``, ``end`` (money), ``sign`` (sum, more, less) and ``detail``, in their order.
    title : str
        What they are, and the unit.
    width : int
        Width of the picture in pixels.
    """
    color = alt.Color("sign:N", legend=None).scale(domain=["sum", "more", "less"], range=[GREY, BLUE, ORANGE])
    axis = alt.Axis(labelExpr=MONEY, tickCount=6 if width >= PHONE else 3)
    bars = alt.Chart(steps).mark_bar(aria=True, size=17, cornerRadius=2)
    bars = bars.encode(
        alt.X("begin:Q", title=None, axis=axis),
        alt.X2("end"),
        alt.Y("step:N", title=None, sort=None).axis(labelLimit=width // 3, ticks=False, domain=False),
        color,
        description=alt.Description("detail:N"),
    )
    head = alt.TitleParams(title, subtitle="blue: more; orange: less")
    return finish(bars.properties(title=head, width=width - width // 3, height=alt.Step(28)))
