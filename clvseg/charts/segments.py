"""Charts of the segments and of how they were made."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from clvseg.charts.look import (
    BLUE,
    GREY,
    INK,
    MUTED,
    OCHRE,
    ORANGE,
    PALETTE,
    PHONE,
    Align,
    Picture,
    finish,
    money_axis,
)

RISK = {"low": BLUE, "medium": OCHRE, "high": ORANGE}


def risk_map(
    frame: pd.DataFrame,
    *,
    unit: str,
    horizon: str,
    low: float,
    high: float,
    event: str = "no order",
    width: int = 900,
) -> Picture:
    """Bubbles of segments: probability of no order across, predicted value up, customers as area.

    Parameters
    ----------
    frame : DataFrame
        ``number``, ``segment``, ``churn_probability`` (0..1), ``value_per_customer`` (money), ``customers``,
        ``detail``; a row a segment.
    unit, horizon : str
        Unit of the money; the horizon in words.
    low, high : float
        Where the risk tiers meet.
    event : str
        What it is the probability of.
    width : int
        Width of the picture in pixels.
    """
    height = 400 if width >= PHONE else 330
    return finish(_risk_map(frame, unit, horizon, (low, high), width - 50, height, event))


def _risk_map(
    frame: pd.DataFrame,
    unit: str,
    horizon: str,
    edges: tuple[float, float],
    width: int,
    height: int,
    event: str = "no order",
) -> Any:
    phone = width < PHONE
    risk = pd.cut(frame["churn_probability"], [-1, *edges, 2], right=False, labels=list(RISK))
    area = frame["customers"] / frame["customers"].max() * (2400 if phone else 4400)
    frame = frame.assign(area=area.clip(lower=420), risk=risk.astype("str"))
    left = max(0.0, math.floor(frame["churn_probability"].min() * 10 - 0.6) / 10)
    right = min(1.0, math.ceil(frame["churn_probability"].max() * 10 + 0.6) / 10)
    room = (right - left) * 45 / width
    span = (left - room, right + room)
    money = money_axis(frame["value_per_customer"], spread=2.2, ticks=5)
    steps = [round(left + k / 10, 1) for k in range(round((right - left) * 10) + 1)]
    x = alt.X("churn_probability:Q", title=f"Probability of {event} in {horizon}")
    x = x.scale(domain=list(span), nice=False, zero=False).axis(
        format=".0%", values=steps[:: 2 if phone else 1], grid=False
    )
    base = alt.Chart(frame).encode(x, alt.Y("value_per_customer:Q", title=None, **money))
    bubbles = base.mark_circle(aria=True, opacity=0.95, stroke="white", strokeWidth=1.5).encode(
        size=alt.Size("area:Q", scale=None),
        color=alt.Color("risk:N", legend=None).scale(domain=list(RISK), range=list(RISK.values())),
        description=alt.Description("detail:N"),
        order=alt.Order("area:Q", sort="descending"),
    )
    numbers = base.mark_text(color="white", fontWeight="bold", fontSize=13).encode(text=alt.Text("number:N"))
    marks = [*_risk_bands(edges, span), bubbles, numbers]
    if not phone:
        marks += _names(frame, span, money["scale"], (width, height))
    head = alt.TitleParams(
        f"Predicted revenue per customer, {unit}", subtitle="Bubble area: number of customers"
    )
    return alt.layer(*marks, title=head).properties(width=width, height=height)


def _risk_bands(edges: tuple[float, float], span: tuple[float, float]) -> list[alt.Chart]:
    """Dashed lines where the risk tiers meet, and the tiers' names along the top."""
    bounds = [span[0], *(min(max(edge, span[0]), span[1]) for edge in edges), span[1]]
    bands = [
        {"x": (start + end) / 2, "name": f"{name} risk"}
        for name, start, end in zip(RISK, bounds, bounds[1:], strict=False)
        if end - start > 0.1 * (span[1] - span[0])
    ]
    lines = pd.DataFrame({"x": [edge for edge in edges if span[0] < edge < span[1]]}, dtype="float64")
    rules = alt.Chart(lines).mark_rule(strokeDash=[4, 4], color=GREY).encode(x=alt.X("x:Q"))
    names = alt.Chart(pd.DataFrame(bands)).mark_text(color=MUTED, fontSize=12, dy=-8)
    return [rules, names.encode(x=alt.X("x:Q"), y=alt.YValue(0), text=alt.Text("name:N"))]


def _names(
    frame: pd.DataFrame, span: tuple[float, float], scale: alt.Scale, size: tuple[int, int]
) -> list[alt.Chart]:
    """The bubbles' names, each on the first side where it hides neither bubble nor name; else left out."""
    low, high = scale["domain"]
    bend = math.log if scale["type"] == "log" else float
    marks: list[alt.Chart] = []
    rows: Any = list(frame.itertuples())
    spots = [
        (
            (row.churn_probability - span[0]) / (span[1] - span[0]) * size[0],
            size[1] * (1 - (bend(row.value_per_customer) - bend(low)) / (bend(high) - bend(low))),
            math.sqrt(row.area / math.pi),
        )
        for row in rows
    ]
    taken: list[tuple[float, ...]] = [(x - r, y - r, x + r, y + r) for x, y, r in spots]
    for row, spot in zip(rows, spots, strict=True):
        for x, y, align in _sides(*spot):
            wide = 6.5 * len(row.segment)
            left = x - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * wide
            box = (left, y - 8, left + wide, y + 8)
            if _fits(box, taken, size[0]):
                taken.append(box)
                mark = alt.Chart(frame.head(1)).mark_text(align=align, fontSize=13, color=INK)
                marks.append(mark.encode(alt.XValue(x), alt.YValue(y), alt.TextValue(row.segment)))
                break
    return marks


def _sides(x: float, y: float, r: float) -> list[tuple[float, float, Align]]:
    """Where a name may stand around a bubble, best first: x, y and which end of the name is there."""
    return [
        (x + r + 5, y, "left"),
        (x - r - 5, y, "right"),
        (x, y - r - 9, "center"),
        (x, y + r + 9, "center"),
        (x + r, y - r * 0.8, "left"),
        (x + r, y + r * 0.8, "left"),
        (x - r, y - r * 0.8, "right"),
        (x - r, y + r * 0.8, "right"),
    ]


def _fits(box: tuple[float, ...], taken: list[tuple[float, ...]], width: float) -> bool:
    """Whether a box (left, top, right, bottom) lies in the picture and off all the others."""
    return (
        box[0] >= 0
        and box[2] <= width + 10
        and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in taken
        )
    )


def segment_bars(frame: pd.DataFrame, *, width: int = 900) -> Picture:
    """Each segment's share of customers beside its share of the predicted revenue.

    Parameters
    ----------
    frame : DataFrame
        ``segment``, ``share_customers``, ``share_predicted_value`` (0..1); a row a segment, in order.
    width : int
        Width of the picture in pixels.
    """
    return finish(_segment_bars(frame).properties(width=width - 260, height=46 * len(frame)))


def _segment_bars(frame: pd.DataFrame) -> Any:
    names = {"share_customers": "share of customers", "share_predicted_value": "share of predicted revenue"}
    tall = frame.rename(columns=names).melt("segment", list(names.values()), "what", "share")
    base = alt.Chart(tall).encode(
        y=alt.Y("segment:N", sort=list(frame["segment"]), title=None).axis(labelLimit=320, labelFontSize=13),
        yOffset=alt.YOffset("what:N", sort=list(names.values())),
    )
    color = alt.Color("what:N", title=None).scale(domain=list(names.values()), range=[GREY, BLUE])
    bars = base.mark_bar().encode(x=alt.X("share:Q", title=None, axis=None), color=color)
    tall["text"] = [f"{share:.1%}" if share < 0.0095 else f"{share:.0%}" for share in tall["share"]]
    texts = base.mark_text(align="left", dx=4, fontSize=12, color=INK)
    return bars + texts.encode(x=alt.X("share:Q"), text=alt.Text("text:N"))


def segment_overview(frame: pd.DataFrame, *, unit: str, horizon: str, low: float, high: float) -> Picture:
    """The segments in one picture: shares on the left, value against risk on the right.

    Parameters
    ----------
    frame : DataFrame
        The columns of :func:`risk_map` and :func:`segment_bars`.
    unit, horizon, low, high : str, str, float, float
        As in :func:`risk_map`.
    """
    bars = _segment_bars(frame.assign(segment=frame["number"] + "  " + frame["segment"]))
    bubbles = _risk_map(frame, unit, horizon, (low, high), 560, 400)
    return finish(
        alt.hconcat(bars.properties(width=230, height=400), bubbles, spacing=40).resolve_scale(
            color="independent"
        )
    )


def rfm_grid(frame: pd.DataFrame, *, width: int = 470) -> Picture:
    """Customers and their share of the revenue by recency fifth and frequency fifth; darker where it is more.

    Parameters
    ----------
    frame : DataFrame
        ``r_score``, ``f_score`` (1..5), ``share`` (of the revenue, 0..1), ``text`` (customers), ``money``
        (the share in words), ``detail``.
    width : int
        Width of the picture in pixels.
    """
    base = alt.Chart(frame.assign(shade=frame["share"].rank(pct=True))).encode(
        x=alt.X("r_score:O", title="Recency: 5 ordered last").axis(labelAngle=0, domain=False),
        y=alt.Y("f_score:O", sort="descending", title="Frequency: 5 orders most often"),
    )
    color = alt.Color("shade:Q", legend=None).scale(range=["#f1f6fb", "#83b3e0"], domain=[0, 1])
    cells = base.mark_rect(aria=True, stroke="white", strokeWidth=2).encode(
        color=color, description=alt.Description("detail:N"), tooltip=alt.Tooltip("detail:N")
    )
    many = base.mark_text(fontSize=12, color=INK, dy=-7).encode(text=alt.Text("text:N"))
    money = base.mark_text(fontSize=11, color=MUTED, dy=8).encode(text=alt.Text("money:N"))
    note = "Second line and shade: their share of the revenue so far"
    head = alt.TitleParams("Number of customers", subtitle=note)
    return finish(alt.layer(cells, many, money, title=head, width=width - 60, height=260))


def _segment_color(frame: pd.DataFrame, width: int) -> alt.Color:
    """One colour for each segment, in the order of their first row."""
    names = list(dict.fromkeys(frame["segment"]))
    color = alt.Color("segment:N", title=None, sort=names)
    color = color.scale(domain=names, range=[PALETTE[place % len(PALETTE)] for place in range(len(names))])
    columns = 3 if width >= 900 else 2 if width >= 440 else 1
    return color.legend(columns=columns, labelLimit=width // columns - 30)


def profile_chart(frame: pd.DataFrame, *, width: int = 950) -> Picture:
    """Parallel coordinates of the segments: where each stands among all customers in every measure.

    Parameters
    ----------
    frame : DataFrame
        ``segment``, ``measure`` (words), ``rank`` (mean share of customers who have less, 0..1), ``detail``;
        a row for each segment and measure, both in order.
    width : int
        Width of the picture in pixels.
    """
    measures = list(dict.fromkeys(frame["measure"]))
    axis = alt.Axis(labelAngle=0 if width >= PHONE else -35, grid=True, domain=False)
    base = alt.Chart(frame).encode(
        x=alt.X("measure:N", sort=measures, title=None, axis=axis),
        y=alt.Y("rank:Q", title=None).scale(domain=[0, 1]).axis(format=".0%", tickCount=5),
        color=_segment_color(frame, width),
        tooltip=alt.Tooltip("detail:N"),
    )
    dots = base.mark_point(aria=True, filled=True, opacity=1, size=55).encode(
        description=alt.Description("detail:N")
    )
    note = "Share of customers who have less, mean over the segment"
    head = alt.TitleParams("Profiles of the segments", subtitle=note)
    return finish(alt.layer(base.mark_line(strokeWidth=2.5), dots, title=head, width=width - 60, height=300))


def customer_map(frame: pd.DataFrame, *, title: str, note: str, width: int = 470) -> Picture:
    """A sample of customers on a plane, coloured by segment; those alike are near each other.

    Parameters
    ----------
    frame : DataFrame
        ``across``, ``up``, ``segment``, ``detail``; a row a customer.
    title, note : str
        What it is and how to read it.
    width : int
        Width of the picture in pixels.
    """
    bare = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    dots = alt.Chart(frame).mark_circle(opacity=0.8, size=14)  # too many to speak one by one
    dots = dots.encode(
        x=alt.X("across:Q", title=None, axis=bare).scale(zero=False),
        y=alt.Y("up:Q", title=None, axis=bare).scale(zero=False),
        color=_segment_color(frame, width),
        tooltip=alt.Tooltip("detail:N"),
    )
    head = alt.TitleParams(title, subtitle=note)
    return finish(dots.properties(title=head, width=width - 30, height=300))


# Criteria for the number of clusters: column, heading.
_CRITERIA = {
    "within": "Variance within (elbow)",
    "gap": "Gap statistic",
    "silhouette": "Silhouette",
    "calinski_harabasz": "Calinski-Harabasz",
    "bic": "BIC (less is better)",
    "stability": "Bootstrap stability",
    "later_value": "Separation of later value",
    "votes": "Criteria that name it",
}


def cluster_chart(frame: pd.DataFrame, *, width: int = 950) -> Picture:
    """Every criterion for each number of clusters, side by side; the large dots are the number kept.

    Parameters
    ----------
    frame : DataFrame
        :data:`clvseg.frames.CHOICE`.
    width : int
        Width of the picture in pixels.
    """
    tall = frame.melt(["clusters", "chosen"], list(_CRITERIA), "criterion", "value")
    tall["what"] = tall["criterion"].map(_CRITERIA)
    rows: Any = tall.itertuples()
    tall["detail"] = [f"{row.clusters} clusters, {row.what}: {row.value:.3g}" for row in rows]
    tall["dot"] = [150 if chosen else 30 for chosen in tall["chosen"]]
    columns = 4 if width >= PHONE else 2
    base = alt.Chart(tall).encode(
        x=alt.X("clusters:O", title="Number of clusters").axis(labelAngle=0),
        y=alt.Y("value:Q", title=None).scale(zero=False).axis(tickCount=4),
        tooltip=alt.Tooltip("detail:N", title="Tried"),
    )
    color = alt.condition("datum.chosen", alt.value(ORANGE), alt.value(BLUE))
    dots = base.mark_point(aria=True, filled=True, opacity=1).encode(
        size=alt.Size("dot:Q", scale=None), description=alt.Description("detail:N"), color=color
    )
    each = alt.layer(base.mark_line(color=BLUE), dots).properties(width=width / columns - 75, height=110)
    order = list(_CRITERIA.values())
    facets = each.facet(alt.Facet("what:N", title=None, sort=order), columns=columns)
    return finish(facets.resolve_scale(y="independent").properties(title="Numbers of clusters tried"))
