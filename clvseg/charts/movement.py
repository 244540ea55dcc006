"""Sankey chart of customers moving between segments, from sampled polygons."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from clvseg.charts.look import BLUE, GREY, INK, LIGHT_BLUE, OCHRE, ORANGE, Align, Picture, finish

KINDS = {
    "stayed": LIGHT_BLUE,
    "to a more valuable segment": BLUE,
    "to a less valuable one": ORANGE,
    "came, went or unsure": OCHRE,
}
_GAP = 0.025
_POINTS = np.linspace(0.0, 1.0, 33)
_BAR = 0.012


def sankey_chart(
    flows: pd.DataFrame,
    order: Sequence[str],
    *,
    title: str,
    note: str,
    ends: tuple[str, str],
    width: int = 900,
) -> Picture:
    """Bands from the segments of one date to those of another, as thick as they have customers.

    Parameters
    ----------
    flows : DataFrame
        ``from_segment``, ``to_segment``, ``customers``; a row a band.
    order : sequence of str
        Segments from top to bottom, the most valuable first; what is not in it stands below and counts as
        neither more nor less valuable.
    title, note : str
        What is shown, and how to read it.
    ends : tuple of str
        The two dates.
    width : int
        Width of the picture in pixels.
    """
    flows = flows[flows["customers"] > 0]
    names = [*order, *sorted({*flows["from_segment"], *flows["to_segment"]} - set(order))]
    left, right = (_stack(flows, column, names) for column in ("from_segment", "to_segment"))
    bands = _bands(flows, order, names, left, right)
    height = 60 + 52 * max(len(left), len(right))
    x = alt.X("x:Q", axis=None).scale(domain=[0, 1], nice=False)
    span = alt.Scale(domain=[0, max(left["low"].max(), right["low"].max())], nice=False, reverse=True)
    color = alt.Color(
        "kind:N", title=None, legend=alt.Legend(columns=2 if width < 700 else 4, symbolType="square")
    )
    shown = {kind: ink for kind, ink in KINDS.items() if kind in set(bands["kind"])}
    color = color.scale(domain=list(shown), range=list(shown.values()))
    areas = alt.Chart(bands).mark_area(aria=True, opacity=0.75).encode(
        x, alt.Y("high:Q", axis=None).scale(span), alt.Y2("low:Q"), color,
        detail="band:N", description=alt.Description("detail:N"), tooltip="detail:N",
    )  # fmt: skip
    layers = [areas]
    sides: tuple[tuple[pd.DataFrame, float, Align], ...] = ((left, 0.0, "right"), (right, 1.0, "left"))
    for nodes, place, align in sides:
        placed = nodes.assign(start=place - _BAR * place, end=place + _BAR * (1 - place), at=place)
        bar = alt.Chart(placed).mark_rect(color=INK).encode(
            alt.X("start:Q", axis=None).scale(domain=[0, 1], nice=False), alt.X2("end:Q"),
            alt.Y("high:Q", axis=None).scale(span), alt.Y2("low:Q"),
        )  # fmt: skip
        text = alt.Chart(placed).mark_text(align=align, dx=-8 if place == 0 else 8, color=INK, fontSize=12.5)
        text = text.encode(
            alt.X("at:Q", axis=None).scale(domain=[0, 1], nice=False),
            alt.Y("middle:Q", axis=None).scale(span), text="label:N",
        )  # fmt: skip
        head = alt.Chart(pd.DataFrame({"at": [place], "label": [ends[int(place)]]}))
        head = head.mark_text(
            align=align, dx=-8 if place == 0 else 8, color=GREY, fontSize=12, fontWeight="bold"
        )
        head = head.encode(
            alt.X("at:Q", axis=None).scale(domain=[0, 1], nice=False), y=alt.value(-10), text="label:N"
        )
        layers += [bar, text, head]
    heading = alt.TitleParams(title, subtitle=note)
    return finish(alt.layer(*layers, title=heading, width=max(width - 520, 140), height=height))


def _stack(flows: pd.DataFrame, column: str, names: Sequence[str]) -> pd.DataFrame:
    """Nodes of one side from top to bottom, with gaps: ``high``, ``low`` and ``middle`` in customers."""
    sizes = flows.groupby(column)["customers"].sum()
    present = [name for name in names if name in sizes.index]
    count = sizes[present].to_numpy(dtype=np.float64)
    gap = _GAP * count.sum()
    low = np.cumsum(count) + gap * np.arange(len(present))
    labels = [f"{name}  {size:,.0f}" for name, size in zip(present, count, strict=True)]
    nodes = {"high": low - count, "low": low, "middle": low - count / 2, "label": labels}
    return pd.DataFrame(nodes, index=present)


def _bands(
    flows: pd.DataFrame, order: Sequence[str], names: Sequence[str], left: pd.DataFrame, right: pd.DataFrame
) -> pd.DataFrame:
    """Upper and lower edge of each band at many places, smooth at both ends."""
    rank = {name: place for place, name in enumerate(names)}
    flows = flows.assign(
        above=flows["from_segment"].map(rank), below=flows["to_segment"].map(rank), size=flows["customers"]
    )
    flows = flows.sort_values(["below", "above"])
    flows["end"] = right["high"].reindex(flows["to_segment"]).to_numpy() + (
        flows.groupby("to_segment")["size"].cumsum() - flows["size"]
    )
    flows = flows.sort_values(["above", "below"])
    flows["start"] = left["high"].reindex(flows["from_segment"]).to_numpy() + (
        flows.groupby("from_segment")["size"].cumsum() - flows["size"]
    )
    bend = _POINTS**2 * (3 - 2 * _POINTS)
    parts = []
    for number, flow in enumerate(flows.to_dict("records")):
        high = flow["start"] + (flow["end"] - flow["start"]) * bend
        known = flow["from_segment"] in order and flow["to_segment"] in order
        kind = list(KINDS)[(int(np.sign(flow["above"] - flow["below"])) % 3) if known else 3]
        words = f"{flow['customers']:,} from {flow['from_segment']} to {flow['to_segment']}"
        parts.append(
            pd.DataFrame(
                {
                    "x": _POINTS,
                    "high": high,
                    "low": high + flow["size"],
                    "band": number,
                    "kind": kind,
                    "detail": words,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
