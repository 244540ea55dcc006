"""Content and figures as one self-contained page: no script, no network, static pictures."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clvseg.charts import Picture
from clvseg.files import write_whole
from clvseg.report.content import build
from clvseg.report.moves import Moves, moves_figure
from clvseg.report.parts import Figure
from clvseg.report.pictures import PHONE_WIDTH, overview, plan
from clvseg.run import Run

ET.register_namespace("", "http://www.w3.org/2000/svg")
# What Vega calls its axes and headings; the page needs no tooltip on them.
GUIDES = {"axis", "legend", "title", "subtitle"}
# Decimals of a pixel beyond the second.
_DIGITS = re.compile(r"(\.\d\d)\d+")
# A circle as Vega writes it: its radius first.
_CIRCLE = re.compile(r"M([\d.]+),0A")
_PLACE = re.compile(r"translate\(([\d.-]+),([\d.-]+)\)")
MANY_DOTS = 200
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def render(run: Run, moves: Moves | None = None) -> str:
    """The report of a run as one HTML page.

    Parameters
    ----------
    run : Run
        What a fit made.
    moves : Moves, optional
        Between the last two dates of its history (:func:`clvseg.monitoring.movement`).

    Returns
    -------
    str
        The page; the same run gives the same text.
    """
    return _page(run, {}, moves)


def _page(run: Run, drawn: dict[str, str], moves: Moves | None) -> str:
    """The page; the SVGs of all charts at their usual width are left in `drawn`."""
    environment = Environment(
        loader=PackageLoader("clvseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = build(run, moves)
    moving = {} if moves is None else {"moves": moves_figure(moves)}
    planned = plan(run) | moving
    drawn |= {name: _svg(figure.draw(width=figure.width)) for name, figure in planned.items()}
    pictures = {
        name: _both(name, figure, drawn[name]) for name, figure in planned.items() if name in page.figures
    }
    return environment.get_template("report.html.j2").render(page=page, pictures=pictures)


def write_report(run: Run, path: str | Path, moves: Moves | None = None) -> dict[str, str]:
    """Write the report of a run; a reader never sees half of it.

    Parameters
    ----------
    run : Run
        What a fit made.
    path : str or Path
        Where the page goes; its folder must exist.
    moves : Moves, optional
        See :func:`render`.

    Returns
    -------
    dict of str to str
        All charts as SVG, for :func:`write_charts`.
    """
    drawn: dict[str, str] = {}
    page = _page(run, drawn, moves)
    write_whole(Path(path), lambda part: part.write_text(page, encoding="utf-8"))
    return drawn


def write_charts(drawn: Mapping[str, str], folder: str | Path, *names: str) -> None:
    """Write every chart of the report, or those named, as an SVG of its own.

    Parameters
    ----------
    drawn : mapping of str to str
        From :func:`write_report`.
    folder : str or Path
        Where they go; made if need be.
    *names : str
        Charts to write, where there are such; default all.
    """
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        if not names or name in names:
            write_whole(folder / f"{name}.svg", partial(Path.write_text, data=svg, encoding="utf-8"))


def segment_picture(run: Run, path: str | Path) -> None:
    """Write the picture of the segments, shares beside value and risk.

    Parameters
    ----------
    run : Run
        What a fit made.
    path : str or Path
        Ends in ``.svg`` or ``.png``.
    """
    path = Path(path)
    if path.suffix == ".png":
        write_whole(path, lambda part: overview(run).save(str(part), format="png", scale_factor=2))
    else:
        write_whole(path, lambda part: part.write_text(_svg(overview(run)), encoding="utf-8"))


def _both(name: str, figure: Figure, wide: str) -> dict[str, Markup]:
    """A figure for wide screens and paper, and one for phones."""
    sizes = {"wide": wide, "phone": _svg(figure.draw(width=PHONE_WIDTH))}
    return {size: Markup(_inline(svg, f"{name}-{size}", figure.label)) for size, svg in sizes.items()}


def _join_dots(group: ET.Element) -> None:
    """Many dots that say nothing one by one become one path for each of their looks: a tenth of the text."""
    dots = list(group)
    circles = [_CIRCLE.match(dot.get("d", "")) for dot in dots]
    if len(dots) < MANY_DOTS or not all(circles) or any(dot.get("aria-label") for dot in dots):
        return
    looks: dict[tuple[str, str, str], list[str]] = {}
    for dot, circle in zip(dots, circles, strict=True):
        place = _PLACE.match(dot.get("transform", ""))
        if circle is None or place is None:
            return
        look = str(circle[1]), dot.get("fill", ""), dot.get("opacity", "1")
        looks.setdefault(look, []).append(f"M{float(place[1]):.1f} {float(place[2]):.1f}h0")
    for dot in dots:
        group.remove(dot)
    for (radius, ink, opacity), places in looks.items():
        width = f"{2 * float(radius):.1f}"
        pen = {"stroke": ink, "stroke-width": width, "stroke-linecap": "round", "opacity": opacity}
        ET.SubElement(group, "path", {"d": "".join(places), "fill": "none", **pen})


def _svg(chart: Picture) -> str:
    buffer = io.StringIO()
    chart.save(buffer, format="svg")
    return buffer.getvalue()


def _inline(svg: str, key: str, label: str) -> str:
    """An SVG fit to stand in a page: one picture with a spoken label, tooltips, ids of its own."""
    root = ET.fromstring(svg.replace('xmlns="http://www.w3.org/2000/svg" ', "", 1))
    for group in [node for node in root.iter("g") if "mark-symbol" in node.get("class", "")]:
        _join_dots(group)
    names = {
        node.attrib["id"]: f"{key}-{place}"
        for place, node in enumerate(node for node in root.iter() if "id" in node.attrib)
    }
    for node in root.iter():
        for attribute in {"d", "transform"} & node.attrib.keys():
            node.attrib[attribute] = _DIGITS.sub(r"\1", node.attrib[attribute])
        for attribute, value in list(node.attrib.items()):
            node.attrib[attribute] = _REFERENCE.sub(lambda match: f"url(#{names[match[1]]})", value)
        if "id" in node.attrib:
            node.attrib["id"] = names[node.attrib["id"]]
        spoken = node.attrib.pop("aria-label", None)
        if spoken and node.attrib.get("aria-roledescription") not in GUIDES:
            ET.SubElement(node, "title").text = spoken
        for attribute in ("role", "aria-roledescription", "aria-hidden", "class", "pointer-events"):
            node.attrib.pop(attribute, None)
    root.attrib.update({"role": "img", "aria-label": label})
    root.attrib.pop("version", None)
    return ET.tostring(root, encoding="unicode")
