"""The page: whole, self-contained, safe, the same every time, and looked at in a browser."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clvseg import frames
from clvseg.report import render, segment_picture, words, write_charts, write_report
from clvseg.report.content import build
from clvseg.run import Run

MakeRun = Callable[..., Run]
EMPTY = {"meta", "link", "br", "img", "input", "hr"}
LONG = [f"A rather long name of a segment, number {n}, with more words in it" for n in range(10)]
NONSENSE = r"\b(nan|NaN|None|NaT|inf|Infinity|undefined|null)\b"
INTERNAL = "|".join(
    {
        column.name
        for table in (frames.SCORES, frames.SEGMENTS, frames.LATER)
        for column in table.columns
        if "_" in column.name
    }
)
LOADING = {"src", "href", "xlink:href", "data", "poster", "srcset", "action"}


# The title becomes, for a phone and a desktop, the width shown and the width needed, then what sticks out.
FRAMES = """<!DOCTYPE html><title></title>
<iframe src="report.html" style="border:0;width:360px;height:800px"></iframe>
<iframe src="report.html" style="border:0;width:1280px;height:800px"></iframe>
<script>onload = () => { document.title = [...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument, width = frame.clientWidth;
  const out = [...page.querySelectorAll("main *")].filter(
    node => !node.closest(".scroll, svg") && node.getBoundingClientRect().right > width + 1);
  return width + "/" + page.documentElement.scrollWidth + out.map(node => " " + node.className).join("");
}).join(" ") }</script>"""


class Page(HTMLParser):
    """What a page holds, gathered while it is parsed; its tags must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.pictures: list[dict[str, str | None]] = []
        self.visible: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        if tag not in EMPTY:
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.links += [str(value) for name, value in attrs if name in LOADING]
        if tag == "svg":
            self.pictures.append(given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.visible.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.visible).split(" "))


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    return render(run)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_is_loaded_from_outside(page: Page, html: str) -> None:
    assert set(page.links) - {"data:,"} == {link for link in page.links if link.startswith("#")}
    assert re.findall(r"url\((?!#)[^)]*\)", html) == []
    assert "@import" not in html
    assert page.tags["script"] == page.tags["iframe"] == page.tags["img"] == 0
    assert set(re.findall(r"https?://[^\"'<> ]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_room_loads_nothing_until_used() -> None:
    heavy = "{'altair', 'jinja2', 'vl_convert', 'pandas'}"
    code = f"import sys, clvseg.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_size(html: str) -> None:
    assert len(html.encode()) < 1_000_000


def test_ids_are_unique_and_every_anchor_has_its_place(page: Page) -> None:
    assert [name for name, many in Counter(page.ids).items() if many > 1] == []
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_picture_is_there_twice_and_speaks(page: Page, run: Run) -> None:
    assert len(page.pictures) == 2 * len(build(run).figures)
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in page.pictures)
    assert any("Champions" in str(picture["aria-label"]) for picture in page.pictures)


def test_numbers_and_segments_stand_on_the_page(page: Page, run: Run) -> None:
    for tile in build(run).tiles:
        assert tile.value in page.text
    for row in run.segments.itertuples():
        assert row.segment in page.text
        assert words.amount(row.predicted_value) in page.text
        assert words.sentence(row.action) in page.text
    assert "53\u00a0%" in page.text
    assert "chance would be 10\u00a0%" in page.text


def test_no_nonsense_is_visible(page: Page) -> None:
    assert re.findall(NONSENSE, page.text) == []
    assert "0.0\u00a0%" not in page.text
    assert re.findall(INTERNAL, page.text.partition("Settings of this run")[0]) == []


def test_same_run_same_bytes(run: Run, html: str) -> None:
    assert render(run) == html


def test_names_are_text_not_markup_and_billions_are_short(make_run: MakeRun) -> None:
    names = ['<script>alert("1")</script>', "R&D 'friends'", "</svg><b>bold", "Plain", 'Quote " and > sign']
    text = render(make_run(customers=400, segments=5, names=names, currency=None, findings=0, scale=3e8))
    page = Page(text)
    assert page.tags["script"] == 0
    assert "<b>bold" not in text
    assert re.findall(NONSENSE + r"|\d{7}", page.text) == []
    assert "USD" not in page.text
    assert "Read this first" not in page.text
    for name in names:
        assert name in page.text


def test_cents_and_many_long_names(make_run: MakeRun) -> None:
    run = make_run(customers=400, segments=10, names=LONG, scale=0.0003)
    page = Page(render(run))
    assert re.findall(NONSENSE, page.text) == []
    assert all(name in page.text for name in LONG)


def test_a_run_with_little_in_it(make_run: MakeRun) -> None:
    run = make_run(customers=100, segments=5)
    names = (
        "later",
        "leaderboard_value",
        "leaderboard_churn",
        "deciles",
        "calibration",
        "drivers",
        "segment_drivers",
        "model_choice",
        "differences",
        "gates",
        "cohorts",
        "gains",
        "profits",
        "contributions",
        "survival",
        "survival_later",
        "scorecard",
        "rules",
        "rivals",
        "maps",
    )
    bare = dataclasses.replace(
        run,
        weekly=run.weekly.iloc[:1],
        cluster_choice=run.cluster_choice.iloc[:0],
        **{name: getattr(run, name).iloc[:0] for name in names},
    )
    page = Page(render(bare))
    assert len(page.pictures) == 2 * len({"value_risk_map", "rfm_grid", "profiles", "weekly_revenue"})
    assert "why" not in page.ids


def test_write_report_leaves_one_file(run: Run, html: str, tmp_path: Path) -> None:
    drawn = write_report(run, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert set(drawn) == build(run).figures | {"segments"}


def test_a_failed_write_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError("no")

    monkeypatch.setattr("clvseg.report.html._page", lambda run, drawn, moves: "half")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write_report(run, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_picture_for_the_readme(run: Run, tmp_path: Path) -> None:
    segment_picture(run, tmp_path / "segments.png")
    segment_picture(run, tmp_path / "segments.svg")
    assert (tmp_path / "segments.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "segments.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert all(name in svg for name in run.segments["segment"])


def test_charts_as_files(run: Run, tmp_path: Path) -> None:
    drawn = write_report(run, tmp_path / "report.html")
    write_charts(drawn, tmp_path / "charts")
    names = {path.stem for path in (tmp_path / "charts").glob("*.svg")}
    assert names == build(run).figures | {"segments"}
    write_charts(drawn, tmp_path / "again", "deciles", "segments", "no such chart")
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"deciles.svg", "segments.svg"}
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (tmp_path / "charts" / path.name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_it_without_sideways_scrolling(html: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAMES, encoding="utf-8")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
        "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
        (tmp_path / "frame.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    assert title[1].split() == ["360/360", "1280/1280"]
