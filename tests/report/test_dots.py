"""The maps' dots: joined in the page to a path for each colour, every dot still at its place."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd

from clvseg.charts import customer_map
from clvseg.report.html import MANY_DOTS, _inline, _svg

CIRCLE = re.compile(r'translate\(([\d.]+),([\d.]+)\)" d="M[\d.]+,0A[^"]*" fill="(#\w+)"')


def drawn(dots: int) -> tuple[str, str]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"across": rng.normal(size=dots), "up": rng.normal(size=dots)})
    frame = frame.assign(segment=rng.choice(["one", "two", "three"], dots), detail="")
    svg = _svg(customer_map(frame, title="map", note="near is alike"))
    return svg, _inline(svg, "map", "a map")


def test_every_dot_keeps_its_place_and_colour() -> None:
    svg, page = drawn(1_000)
    (marks,) = re.findall(r'<g class="mark-symbol role-mark.*?</g>', svg)
    before = sorted((ink, float(x), float(y)) for x, y, ink in CIRCLE.findall(marks))
    joined = [path for path in ET.fromstring(page).iter("path") if path.get("stroke-linecap") == "round"]
    after = sorted(
        (path.attrib["stroke"], float(x), float(y))
        for path in joined
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path.attrib["d"])
    )
    assert len(joined) == 3
    assert len(after) == len(before) == 1_000
    for ink in {row[0] for row in before}:
        then = np.array([row[1:] for row in before if row[0] == ink])
        now = np.array([row[1:] for row in after if row[0] == ink])
        assert len(then) == len(now)
        far = np.abs(then[:, None] - now[None]).max(axis=2).min(axis=1)
        assert far.max() < 0.051
    assert len(page) < len(svg) / 5


def test_few_dots_stay_as_they_are() -> None:
    assert "stroke-linecap" not in drawn(MANY_DOTS - 1)[1]
