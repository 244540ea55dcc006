"""Charts of SHAP values: what moves the predictions of all, of a segment, of one customer.

Contributions are on a log scale (log-odds, or log of money); axes show them as factors on odds or money.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from clvseg.charts.look import BLUE, GREY, INK, LIGHT_BLUE, MONEY, MUTED, ORANGE, Picture, finish

# Contributions closer to 0 than this are drawn to an even scale in the beeswarm.
EVEN = 0.05
_FACTOR = (
    "'×' + (datum.value < -2.3 ? format(exp(datum.value), '.1~r')"
    " : format(round(exp(datum.value) * 100) / 100, '.3~r'))"
)
# Raw scores as a person reads them.
SCORES = {
    "probability": "format(1 / (1 + exp(-datum.value)), '.2~p')",
    "money": MONEY.replace("datum.value", "exp(datum.value)"),
    "log-odds": "format(datum.value, '.2~f')",
}
_GRIDS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0))


def factor_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Logs of round factors between two contributions, as many as there is room for.

    Examples
    --------
    >>> [round(math.exp(tick), 2) for tick in factor_ticks(-2.5, 1.2)]
    [0.1, 0.2, 0.5, 1.0, 2.0]
    >>> [round(math.exp(tick), 2) for tick in factor_ticks(-0.03, 0.05)]
    [0.98, 1.0, 1.02, 1.04]
    >>> [f"{math.exp(tick):.0e}" for tick in factor_ticks(-21, 6)]
    ['1e-08', '1e-06', '1e-04', '1e-02', '1e+00', '1e+02']
    """
    powers = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
    grids = [[math.log(head) + power * math.log(10) for power in powers for head in grid] for grid in _GRIDS]
    grids += [[power * math.log(10) for power in powers if power % step == 0] for step in (2, 5, 10, 50)]
    grids += [np.log1p(step * np.arange(-9, 20)).tolist() for step in (0.1, 0.05, 0.02, 0.01) if low > -0.6]
    inside = [[tick for tick in grid if low <= tick <= high] for grid in grids]
    return max((ticks for ticks in inside if len(ticks) <= most), key=len, default=[0.0])


def chance_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Logits of round probabilities between two logits, as many as there is room for.

    Examples
    --------
    >>> [round(1 / (1 + math.exp(-tick)), 2) for tick in chance_ticks(0.9, 3.0)]
    [0.75, 0.8, 0.85, 0.9, 0.95]
    """
    edges = np.array([0.001, 0.002, 0.005, 0.01, 0.02])
    middles = [np.array([0.1, 0.5, 0.9]), *(np.arange(step, 1, step) for step in (0.2, 0.1, 0.05, 0.01))]
    out: list[float] = []
    for middle in middles:
        shares = np.concatenate([edges, middle, 1 - edges])
        logits = np.log(shares) - np.log1p(-shares)
        inside = logits[(logits >= low) & (logits <= high)].tolist()
        if len(out) < len(inside) <= most:
            out = inside
    return out


def beeswarm(frame: pd.DataFrame, *, title: str, effect: str, width: int = 460) -> Picture:
    """How far each feature moves the prediction of how many customers, and at which of its values.

    Parameters
    ----------
    frame : DataFrame
        ``label`` (the feature; strongest first), ``contribution`` (middle of a bin), ``customers`` (in it),
        ``level`` (mean rank of the feature's value there, 0 low to 1 high), ``detail``.
    title : str
        What is shown.
    effect : str
        Title of the axis.
    width : int
        Width of the picture in pixels.
    """
    order = list(dict.fromkeys(frame["label"]))
    lanes = alt.Y("label:N", sort=order, axis=None).scale(paddingOuter=0.3)
    legend = alt.Legend(
        orient="top",
        title="the customer's own number is",
        titleOrient="left",
        titleFontSize=12,
        titleFontWeight="normal",
        values=[0, 1],
        labelExpr="datum.value == 0 ? 'low' : 'high'",
        gradientLength=90,
        gradientThickness=9,
    )
    # Strong and weak effects in one picture: even steps near 0, a logarithm further out.
    reach = float(frame["contribution"].abs().max())
    steps = [step for step in (0.1, math.log(1.5), math.log(3), math.log(10)) if step <= reach]
    x = alt.X("contribution:Q", title=effect).scale(type="symlog", constant=EVEN)
    base = alt.Chart(frame).encode(y=lanes)
    dots = base.mark_circle(aria=True, opacity=0.9).encode(
        x=x.axis(labelExpr=_FACTOR, **_all(sorted({0.0, *steps, *(-step for step in steps)}))),
        size=alt.Size("customers:Q", legend=None).scale(range=[18, 260]),
        color=alt.Color("level:Q", legend=legend).scale(domain=[0, 0.5, 1], range=[BLUE, "#d9d4dc", ORANGE]),
        description=alt.Description("detail:N"),
        tooltip=alt.Tooltip("detail:N", title="effect"),
    )
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=GREY).encode(x=alt.X("x:Q"))
    rows = alt.Chart(pd.DataFrame({"label": order})).encode(y=lanes)
    layers = alt.layer(zero, dots, _names(rows, width), title=title)
    return finish(layers.properties(width=width - 50, height=40 * len(order)))


def segment_effects(
    frame: pd.DataFrame,
    *,
    title: str,
    effect: str,
    colors: tuple[str, str] = (ORANGE, BLUE),
    width: int = 950,
) -> Picture:
    """What moves a segment's prediction against the rest: its strongest features, a panel a segment.

    Parameters
    ----------
    frame : DataFrame
        ``segment`` (in order), ``label``, ``difference`` (mean contribution in the segment less that in the
        rest), ``detail``.
    title : str
        What is shown.
    effect : str
        Title of the axes.
    colors : tuple of str
        Of bars that raise and that lower the prediction.
    width : int
        Width of the picture in pixels; two panels side by side from 500 on.
    """
    columns = 2 if width >= 500 else 1
    inner = width // columns - 50
    limit = float(frame["difference"].abs().max()) * 1.1 or 1.0
    frame = frame.assign(place=frame.groupby("segment").cumcount())
    rows = alt.Y("place:O", axis=None).scale(paddingOuter=0.4)
    base = alt.Chart(frame).encode(y=rows)
    x = alt.X("difference:Q", title=effect).scale(domain=[-limit, limit], nice=False)
    bars = base.mark_bar(aria=True, size=11).encode(
        x=x.axis(labelExpr=_FACTOR, **_all(factor_ticks(-limit, limit))),
        color=alt.condition("datum.difference > 0", *map(alt.value, colors)),
        description=alt.Description("detail:N"),
        tooltip=alt.Tooltip("detail:N", title="effect"),
    )
    panel = alt.layer(bars, _names(base, inner + 40)).properties(
        width=inner, height=40 * (int(frame["place"].max()) + 1)
    )
    head = alt.Header(labelFontSize=13, labelFontWeight="bold", labelColor=INK, labelAnchor="start")
    facet = alt.Facet("segment:N", title=None, header=head, sort=list(frame["segment"].unique()))
    return finish(panel.facet(facet, columns=columns, spacing=34).properties(title=title))


def dependence(frame: pd.DataFrame, *, title: str, feature: str, effect: str, width: int = 460) -> Picture:
    """What a feature does at each of its values; a dot is a customer.

    Parameters
    ----------
    frame : DataFrame
        ``value`` (of the feature: a number, or a text), ``contribution``, ``detail``; few enough to draw.
    title : str
        What is shown.
    feature : str
        Its name in words, with its unit.
    effect : str
        Title of the other axis.
    width : int
        Width of the picture in pixels.
    """
    numeric = pd.api.types.is_numeric_dtype(frame["value"])
    x = alt.X("value:Q" if numeric else "value:N", title=feature)
    low, high = float(frame["contribution"].min()), float(frame["contribution"].max())
    y = alt.Y("contribution:Q", title=effect)
    dots = alt.Chart(frame).mark_circle(aria=True, size=18, opacity=0.55, color=BLUE)
    dots = dots.encode(
        x=x.axis(tickCount=6, format=",.4~g") if numeric else x.axis(labelAngle=0, labelLimit=110),
        y=y.axis(labelExpr=_FACTOR, **_all(factor_ticks(low, high))),
        description=alt.Description("detail:N"),
        tooltip=alt.Tooltip("detail:N", title="effect"),
    )
    zero = alt.Chart(pd.DataFrame({"y": [0.0]})).mark_rule(color=GREY).encode(y=alt.Y("y:Q"))
    return finish(alt.layer(zero, dots, title=title, width=width - 75, height=230))


def waterfall(frame: pd.DataFrame, *, panels: dict[str, dict[str, str]], width: int = 950) -> Picture:
    """From a typical customer to the predictions of one, step by step; a panel a model.

    Parameters
    ----------
    frame : DataFrame
        In order: ``model``, ``label``, ``start``, ``end`` (raw scores: log-odds, or log of money), ``kind``
        (``start``, ``up``, ``down``, ``end``), ``text``, ``detail``.
    panels : dict
        Of each model ``title``, ``axis`` (its title) and ``scores``, a key of :data:`SCORES`.
    width : int
        Width of the picture in pixels.
    """
    drawn = [
        _waterfall(frame[frame["model"] == model].reset_index(drop=True), model, panel, width)
        for model, panel in panels.items()
    ]
    return finish(alt.vconcat(*drawn, spacing=34).resolve_scale(color="independent", x="independent"))


def _waterfall(frame: pd.DataFrame, model: str, panel: dict[str, str], width: int) -> Any:
    up, down = (ORANGE, BLUE) if model == "churn" else (BLUE, ORANGE)
    color = alt.Color("kind:N", legend=None)
    color = color.scale(domain=["start", "up", "down", "end"], range=[GREY, up, down, INK])
    axis = alt.Axis(labelLimit=540, labelFontSize=12.5, labelColor=INK, ticks=False, domain=False)
    rows = alt.Y("label:N", sort=list(frame["label"]), title=None, axis=axis)
    low, high = (float(edge(frame[["start", "end"]].to_numpy())) for edge in (np.min, np.max))
    high += 0.2 * (high - low)
    x = alt.X("start:Q", title=panel["axis"]).scale(domain=[low, high], nice=False, zero=False)
    ticks = {"probability": chance_ticks, "money": factor_ticks}.get(panel["scores"])
    steps = _all(ticks(low, high)) if ticks else {"tickCount": 6}
    bars = (
        alt.Chart(frame)
        .mark_bar(aria=True, size=17)
        .encode(
            x=x.axis(labelExpr=SCORES[panel["scores"]], **steps),
            x2=alt.X2("end"),
            y=rows,
            color=color,
            description=alt.Description("detail:N"),
            tooltip=alt.Tooltip("detail:N", title="effect"),
        )
    )
    reach = frame.assign(right=frame[["start", "end"]].max(axis=1))
    texts = alt.Chart(reach).mark_text(align="left", dx=6, fontSize=12, color=MUTED)
    links = frame.assign(next=frame["label"].shift(-1)).dropna(subset="next")
    joints = alt.Chart(links).mark_rule(color=LIGHT_BLUE)
    layers = [
        joints.encode(x=alt.X("end:Q"), y=rows, y2=alt.Y2("next")),
        bars,
        texts.encode(x=alt.X("right:Q"), y=rows, text=alt.Text("text:N")),
    ]
    return alt.layer(*layers, title=panel["title"], width=width - 540, height=30 * len(frame))


def _names(base: alt.Chart, width: int) -> Any:
    text = base.mark_text(align="left", baseline="bottom", dy=-8, fontSize=12, color=INK, limit=width - 20)
    return text.encode(x=alt.XValue(0), text=alt.Text("label:N"))


def _all(ticks: list[float]) -> dict[str, Any]:
    """Ticks of an axis; without the count Vega leaves out every other one."""
    return {"values": ticks, "tickCount": len(ticks)}
