"""Charts of what the models rest on, how good they are and what they forecast."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd

from clvseg.charts.look import BLUE, GREY, INK, LIGHT_BLUE, MONEY, ORANGE, PHONE, Picture, finish, money_axis


def driver_bars(
    frame: pd.DataFrame, *, up: str, down: str, colors: tuple[str, str], width: int = 470
) -> Picture:
    """What a model's predictions rest on, strongest first.

    Parameters
    ----------
    frame : DataFrame
        ``label`` (words), ``share`` (of the sum of mean absolute SHAP values), ``direction`` (+1, -1, 0),
        ``text``, ``detail``.
    up, down : str
        In words what a higher number does where the direction is +1, or -1.
    colors : tuple of str
        Colours of `up` and `down`.
    width : int
        Width of the picture in pixels.
    """
    palette = dict(zip((up, down, "mixed"), (*colors, GREY), strict=True))
    frame = frame.assign(effect=frame["direction"].map({1: up, -1: down}).fillna("mixed"))
    present = [name for name in palette if (frame["effect"] == name).any()]
    base = _named_rows(frame)
    color = alt.Color("effect:N", title=None).scale(domain=present, range=[palette[name] for name in present])
    color = color.legend(columns=1) if width < 400 and len(present) > 2 else color
    bars = base.mark_bar(aria=True, cornerRadiusEnd=2, size=13).encode(
        x=alt.X("share:Q", axis=None), color=color, description=alt.Description("detail:N")
    )
    texts = base.mark_text(align="left", dx=5, fontSize=12, color=INK).encode(
        x=alt.X("share:Q"), text=alt.Text("text:N")
    )
    chart = bars + texts + _row_names(base, width)
    return finish(chart.properties(width=width - 50, height=38 * len(frame)))


def decile_chart(frame: pd.DataFrame, *, unit: str, width: int = 470) -> Picture:
    """Predicted and actual revenue of a customer in each tenth, ranked highest first.

    Parameters
    ----------
    frame : DataFrame
        ``decile`` (1..10), ``predicted``, ``actual`` (money per customer), ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    frame = frame.assign(was="actual", said="predicted")
    scale = alt.Scale(domain=["actual", "predicted"], range=[LIGHT_BLUE, INK])
    tenths = alt.X("decile:O", title="Tenth of customers, ranked highest first").axis(labelAngle=0)
    base = alt.Chart(frame).encode(tenths)
    bars = base.mark_bar(aria=True).encode(
        y=alt.Y("actual:Q", title=None).axis(labelExpr=MONEY, tickCount=5),
        color=alt.Color("was:N", scale=scale, title=None),
        description=alt.Description("detail:N"),
    )
    dots = base.mark_point(size=75, filled=True, opacity=1, shape="diamond").encode(
        y=alt.Y("predicted:Q"), color=alt.Color("said:N", scale=scale, title=None)
    )
    chart = (bars + dots).properties(
        title=f"Revenue per customer by tenth, {unit}", width=width - 50, height=230
    )
    return finish(chart)


def reliability_chart(frame: pd.DataFrame, *, event: str = "no order", width: int = 470) -> Picture:
    """Churn probability as predicted against the share that did not buy.

    Parameters
    ----------
    frame : DataFrame
        ``predicted``, ``observed`` (0..1), ``detail``; a row a group of customers.
    event : str
        What it is the probability of.
    width : int
        Width of the picture in pixels.
    """
    ends = alt.Chart(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]}))
    diagonal = ends.mark_line(strokeDash=[5, 4], color=GREY, strokeWidth=1.5).encode(
        x=alt.X("x:Q"), y=alt.Y("y:Q")
    )
    x = alt.X("predicted:Q", title=f"Predicted probability of {event}").scale(domain=[0, 1])
    y = alt.Y("observed:Q", title=None).scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    base = alt.Chart(frame).encode(x.axis(format=".0%", tickCount=5), y)
    line = base.mark_line(color=BLUE, strokeWidth=1.5)
    dots = base.mark_point(aria=True, filled=True, opacity=1, size=60, color=BLUE).encode(
        description=alt.Description("detail:N")
    )
    note = "On the dashed line prediction and outcome agree"
    head = alt.TitleParams(f"What happened: share with {event}", subtitle=note)
    return finish(alt.layer(diagonal, line, dots, title=head, width=width - 55, height=230))


def weekly_chart(frame: pd.DataFrame, forecast: pd.DataFrame, *, unit: str, width: int = 900) -> Picture:
    """Revenue of each week, then what today's customers are expected to bring.

    Parameters
    ----------
    frame : DataFrame
        ``week`` (date), ``revenue`` (money).
    forecast : DataFrame
        One row: ``start``, ``end`` (dates), ``revenue``, ``low``, ``high`` (money a week), ``label``,
        ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    y = alt.Y("revenue:Q", title=None).axis(labelExpr=MONEY, tickCount=5)
    x = alt.X("week:T", title=None).axis(format="%b %Y", tickCount=8 if width >= PHONE else 3, labelAngle=0)
    weeks = alt.Chart(frame).mark_area(
        line={"color": BLUE, "strokeWidth": 1.5}, color=LIGHT_BLUE, opacity=0.55
    )
    ahead = alt.Chart(forecast).encode(x=alt.X("start:T"), x2=alt.X2("end"))
    band = ahead.mark_rect(aria=True, color=ORANGE, opacity=0.22).encode(
        y=alt.Y("low:Q"), y2=alt.Y2("high"), description=alt.Description("detail:N")
    )
    mean = ahead.mark_rule(color=ORANGE, strokeWidth=2).encode(y=alt.Y("revenue:Q"))
    text = alt.Chart(forecast).mark_text(
        color=ORANGE,
        align="right",
        fontWeight="bold",
        fontSize=12.5,
        baseline="bottom",
        dy=-36,
        lineBreak="\n",
    )
    text = text.encode(x=alt.X("end:T"), y=alt.Y("high:Q"), text=alt.Text("label:N"))
    marks = [weeks.encode(x, y), band, mean, text]
    return finish(alt.layer(*marks, title=f"Revenue per week, {unit}", width=width - 60, height=240))


def leaderboard_chart(
    frame: pd.DataFrame, *, title: str, note: str, zero: bool = False, width: int = 470
) -> Picture:
    """A metric of each model with its interval; ours stands out.

    Parameters
    ----------
    frame : DataFrame
        ``label`` (the model), ``metric``, ``low``, ``high``, ``ours`` (bool), ``text``, ``detail``; best
        first.
    title, note : str
        What is measured and how to read it.
    zero : bool
        Whether 0 is always shown.
    width : int
        Width of the picture in pixels.
    """
    x = alt.X("low:Q", title=None).scale(zero=zero).axis(tickCount=5, grid=False)
    return _intervals(frame, x, alt.TitleParams(title, subtitle=note), width)


def later_chart(frame: pd.DataFrame, *, unit: str, width: int = 900) -> Picture:
    """What each segment brought afterwards, with its interval, beside what was predicted.

    Parameters
    ----------
    frame : DataFrame
        ``label`` (the segment), ``metric`` (revenue per customer), ``low``, ``high``, ``predicted``,
        ``text``, ``detail``.
    unit : str
        Unit of the money.
    width : int
        Width of the picture in pixels.
    """
    note = "Dot and line: what came, with its 95 % interval. Diamond: predicted"
    head = alt.TitleParams(f"Later revenue per customer, {unit}", subtitle=note)
    everything = pd.concat([frame[name] for name in ("metric", "low", "high", "predicted")])
    x = alt.X("low:Q", title=None, **money_axis(everything, spread=1.15, ticks=4 if width < PHONE else 8))
    return _intervals(frame.assign(ours=True), x, head, width)


def _intervals(frame: pd.DataFrame, x: alt.X, head: alt.TitleParams, width: int) -> Any:
    frame = frame.assign(ink=[BLUE if ours else GREY for ours in frame["ours"]])
    base = _named_rows(frame)
    color = alt.Color("ink:N", scale=None)
    lines = base.mark_rule(strokeWidth=4, opacity=0.4).encode(x, x2=alt.X2("high"), color=color)
    dots = base.mark_point(aria=True, size=90, filled=True, opacity=1).encode(
        x=alt.X("metric:Q"), color=color, description=alt.Description("detail:N")
    )
    marks = [lines, dots, _row_names(base, width)]
    if "predicted" in frame:
        marks.append(
            base.mark_point(size=80, shape="diamond", color=INK, strokeWidth=2).encode(x=alt.X("predicted:Q"))
        )
        frame = frame.assign(end=frame[["high", "predicted"]].max(axis=1))
    else:
        frame = frame.assign(end=frame["high"])
    texts = _named_rows(frame).mark_text(align="left", dx=9, fontSize=12, color=INK)
    marks.append(texts.encode(x=alt.X("end:Q"), text=alt.Text("text:N")))
    return finish(alt.layer(*marks, title=head, width=width - 50, height=38 * len(frame)))


def _named_rows(frame: pd.DataFrame) -> alt.Chart:
    """A chart with a row for each ``label``, in order."""
    rows = alt.Y("label:N", sort=list(frame["label"]), axis=None).scale(paddingOuter=0.3)
    return alt.Chart(frame).encode(y=rows)


def _row_names(base: alt.Chart, width: int) -> Any:
    """Row names over their marks, so that long names need no margin."""
    text = base.mark_text(align="left", baseline="bottom", dy=-8, fontSize=12.5, color=INK, limit=width - 20)
    return text.encode(x=alt.XValue(0), text=alt.Text("label:N"))


def importance_chart(frame: pd.DataFrame, *, title: str, width: int = 470) -> Picture:
    """How much each setting decides how good a trial is.

    Parameters
    ----------
    frame : DataFrame
        ``parameter``, ``importance`` (0..1), most important first.
    title : str
        Of what.
    width : int
        Width of the picture in pixels.
    """
    frame = frame.assign(
        label=frame["parameter"],
        text=[f"{share:.0%}" for share in frame["importance"]],
        detail=[
            f"{name}: {share:.0%}"
            for name, share in zip(frame["parameter"], frame["importance"], strict=True)
        ],
    )
    base = _named_rows(frame)
    x = alt.X("importance:Q", title="Share of the importance").axis(format=".0%", tickCount=4, grid=False)
    bars = base.mark_bar(aria=True, cornerRadiusEnd=2, size=13, color=BLUE).encode(
        x, description=alt.Description("detail:N")
    )
    texts = base.mark_text(align="left", dx=5, fontSize=12, color=INK).encode(
        x=alt.X("importance:Q"), text=alt.Text("text:N")
    )
    head = alt.TitleParams(title, subtitle="By Optuna, over all complete trials")
    chart = alt.layer(bars, texts, _row_names(base, width), title=head)
    return finish(chart.properties(width=width - 70, height=38 * len(frame)))


def survival_chart(frame: pd.DataFrame, *, title: str, time: str, width: int = 900) -> Picture:
    """Share of each group still there over time; steps where it was counted, lines where a model says so.

    Parameters
    ----------
    frame : DataFrame
        ``group``, ``time``, ``share``, ``low``, ``high`` (0..1), ``detail``.
    title : str
        What the share is.
    time : str
        What the time is, with its unit.
    width : int
        Width of the picture in pixels.
    """
    counted = bool((frame["low"] < frame["share"]).any())
    groups = list(dict.fromkeys(frame["group"]))
    legend = alt.Legend(columns=1 if width < 600 else 3, symbolType="stroke", symbolOpacity=1, labelLimit=400)
    color = alt.Color("group:N", title=None, legend=legend).scale(domain=groups, scheme="tableau10")
    across = alt.X("time:Q", title=time).axis(tickCount=max(width // 60, 3))
    base = alt.Chart(frame).encode(x=across, color=color)
    y = alt.Y("share:Q", title=None).scale(domain=[0, 1]).axis(format=".0%", tickCount=5)
    how: Literal["step-after", "linear"] = "step-after" if counted else "linear"
    lines = base.mark_line(aria=True, interpolate=how, strokeWidth=2).encode(
        y=y, detail=alt.Detail("group:N"), description=alt.Description("detail:N")
    )
    layers = [lines]
    if counted:
        band = base.mark_area(opacity=0.15, interpolate=how).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
        layers = [band, lines]
    note = "Bands are 95 % intervals" if counted else "Mean over the customers of each group"
    head = alt.TitleParams(title, subtitle=note)
    return finish(alt.layer(*layers, title=head, width=width - 55, height=300))
