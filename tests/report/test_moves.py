"""The report of a run with a history shows who moved between its last two dates."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd

from clvseg import results
from clvseg.monitoring import History, movement
from clvseg.run import Run
from tests.report.conftest import build_run
from tests.report.test_html import Page


def later(run: Run) -> pd.DataFrame:
    """The customers a month later: every tenth is in the last segment, the first twenty are gone."""
    scores = run.scores.iloc[20:].reset_index(drop=True)
    last = run.segments["segment"].iloc[-1]
    moved = scores["segment"].where(np.arange(len(scores)) % 10 > 0, last)
    return scores.assign(segment=moved, as_of=scores["as_of"] + pd.Timedelta(days=31))


def test_the_last_two_dates_are_shown_as_bands_and_table(tmp_path: Path) -> None:
    run = build_run(customers=400, segments=4)
    (tmp_path / "run").mkdir()
    run.save(tmp_path / "run")
    history = History(tmp_path / "history")
    history.write(history.entries(run.scores), run.as_of)
    results.report(tmp_path / "run", tmp_path / "alone.html")
    assert 'id="moves"' not in (tmp_path / "alone.html").read_text(encoding="utf-8")
    newer = later(run)
    history.write(history.entries(newer), run.as_of + dt.timedelta(days=31))
    results.report(tmp_path / "run", tmp_path / "moved.html")
    html = (tmp_path / "moved.html").read_text(encoding="utf-8")
    page, found = Page(html), movement(history)
    before = run.scores.set_index("customer_id")["segment"].loc[newer["customer_id"]].to_numpy()
    changed = int((before != newer["segment"]).sum())
    assert f"{changed:,} of {len(newer):,} customers scored on both days changed their segment" in page.text
    assert {"moves", "moves-table"} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    table = html[html.index('id="moves-table"') :]
    for count in set(found.matrix().to_numpy().ravel()) - {0}:
        assert f"{count:,}" in table[: table.index("</table>")]
    assert 'aria-label="' + f"{changed:,} of {len(newer):,} customers changed segment between " in html
    assert "not scored" in html
