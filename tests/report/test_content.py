"""The content of the report: the Run's numbers, in words, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from clvseg.evaluation.returning import ALL, CAME, ORDERED
from clvseg.report import words
from clvseg.report.accuracy import ranked
from clvseg.report.background import whole_weeks
from clvseg.report.content import build
from clvseg.run import Run

MakeRun = Callable[..., Run]


def texts(part: object) -> Iterator[str]:
    """Every string in a piece of content."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from texts(item)
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from texts(getattr(part, field.name))


def test_headlines_are_the_run_s_numbers(run: Run) -> None:
    customers, revenue, risk, gone = build(run).tiles
    assert customers.value == "23,570"
    assert revenue.value == words.money(run.facts["total"]["predicted"], "USD")
    assert words.money(run.facts["total"]["low"], "USD") in revenue.note
    assert words.money(run.facts["total"]["high"], "USD") in revenue.note
    assert "80\u00a0%" in revenue.note
    assert "the next 39 weeks" in revenue.note
    assert risk.value == words.money(float(run.segments["value_at_risk"].sum()), "USD")
    assert gone.value == words.count(run.facts["expected_churners"])
    assert "30\u00a0Mar\u00a01999" in gone.note


def test_segments_keep_order_and_numbers(run: Run) -> None:
    page = build(run)
    assert [row[0].text for row in page.segments.rows] == list(run.segments["segment"])
    assert [card.name for card in page.cards] == list(run.segments["segment"])
    for row, truth in zip(page.segments.rows, run.segments.itertuples(), strict=True):
        assert row[1].text == words.count(truth.customers)
        assert row[2].text == words.amount(truth.predicted_value)
        assert row[3].text == words.percent(truth.churn_probability)
        assert row[4].text == words.amount(truth.value_at_risk)


def test_what_each_segment_has_earned(run: Run) -> None:
    page = build(run)
    assert page.scorecard is not None
    *segments, least = page.scorecard.rows
    assert [row[0].text for row in segments] == list(dict.fromkeys(run.scorecard["segment"]))[:-1]
    assert [row[-1].text for row in segments] == ["passes"] * (len(segments) - 1) + ["flagged"]
    stable = page.scorecard.columns.index("Stable")
    assert (segments[-1][stable].text, segments[-1][stable].extra, least[stable].text) == (
        "0.61",
        "too little",
        "0.75",
    )
    assert "Reached" not in page.scorecard.columns
    assert "0.60 (at least 0.5) between segments made at the cutoff and now" in page.scorecard.note
    cards = {card.name: card for card in page.cards}
    assert "falls short in bootstrap Jaccard" in cards[segments[-1][0].text].earned
    assert {card.owner for card in page.cards} == {"Marketing"}
    assert all("Finds 86\u00a0% of the segment" in card.short for card in page.cards)


def test_which_division_tells_customers_apart(run: Run) -> None:
    making = build(run).making
    (table,) = [table for table in making.tables if table.key == "rivals"]
    assert [row[0].text for row in table.rows] == ["RFM cells", "segments", "value tiers", "by region"]
    assert table.marked == 1
    said = " ".join(making.points)
    assert "surely more: RFM cells; surely less: value tiers and by region" in said
    assert "By region is the wrong cut" in said


def test_bars_are_lengths(run: Run) -> None:
    bars = [cell.bar for row in build(run).segments.rows for cell in row if cell.bar is not None]
    assert len(bars) == 4 * len(run.segments)
    assert min(bars) >= 0
    assert max(bars) == pytest.approx(1.0)


def test_accuracy_in_plain_words(run: Run) -> None:
    section = build(run).accuracy
    top, total, pairs, gap = section.tiles
    assert top.value == "53\u00a0%"
    assert "chance would be 10\u00a0%" in top.note
    assert total.value == "\u22129\u00a0%"
    truth = run.facts["holdout_total"]
    assert f"too low: {words.money(truth['predicted'], 'USD')}" in total.note
    assert f"{words.money(truth['actual'], 'USD')} came" in total.note
    assert pairs.value == "77 of 100"
    assert gap.value == "2\u00a0points"


def test_better_and_worse_are_said(run: Run) -> None:
    board, gaps = run.leaderboard_value.copy(), run.differences.copy()
    against = (gaps["other"] == "LightGBM alone", ["low", "high"])
    board.loc[0, ["gini", "gini_low", "gini_high"]] = [0.60, 0.59, 0.61]
    gaps.loc[against] = [-0.15, -0.1]
    worse = build(dataclasses.replace(run, leaderboard_value=board, differences=gaps)).accuracy.points[0]
    assert "worse than an alternative: 0.600 against 0.721 for LightGBM alone" in worse
    board.loc[0, ["gini", "gini_low", "gini_high"]] = [0.80, 0.79, 0.81]
    gaps.loc[against] = [0.05, 0.1]
    better = build(dataclasses.replace(run, leaderboard_value=board, differences=gaps)).accuracy.points[0]
    assert "better than every alternative" in better
    assert "about as well" in build(run).accuracy.points[0]


def test_gates_money_and_cohorts_are_told(run: Run) -> None:
    accuracy = build(run).accuracy
    tables = {table.key: table for table in accuracy.tables}
    assert [row[1].text for row in tables["gates"].rows] == ["passed", "passed", "passed", "FAILED", "passed"]
    assert len(tables["cohort-table"].rows) == len(run.cohorts)
    text = " ".join(accuracy.points)
    assert "did not pass every gate" in text
    assert "Best by the gates: for value hybrid; for risk no model passes them." in text
    assert "would have gained" in text
    assert {"gains", "profits", "cohorts", "reliability", "deciles"} <= set(accuracy.figures)


def test_our_row_is_marked(run: Run) -> None:
    board = ranked(run.leaderboard_churn, "auc", "lifetimes BG/NBD")
    assert board["auc"].is_monotonic_decreasing
    assert board.loc[board["ours"], "model"].tolist() == ["lifetimes BG/NBD (in use)"]
    tables = {table.key: table for table in build(run).accuracy.tables}
    marked = tables["board-churn"].marked
    assert marked is not None
    assert tables["board-churn"].rows[marked][0].text == "hybrid (in use)"


def test_findings_serious_first_and_on_top(run: Run) -> None:
    page = build(run)
    assert [note.severity for note in page.findings] == ["serious", "warning", "info"]
    assert [note.code for note in page.alarms] == ["CLV006"]


def test_no_findings(make_run: MakeRun) -> None:
    page = build(make_run(findings=0, customers=500))
    assert page.findings == page.alarms == ()


def test_a_segment_untested_is_said_to_be(run: Run) -> None:
    name = run.segments["segment"].iloc[2]
    page = build(dataclasses.replace(run, later=run.later[run.later["segment"] != name]))
    assert "could not be tested" in page.cards[2].sure
    assert "30\u00a0Sep\u00a01997" in page.cards[1].sure


def test_reasons_become_sentences(run: Run) -> None:
    assert build(run).cards[0].why[0] == "No order for 94 days (others 210)."


def test_part_weeks_are_left_out_of_the_picture(run: Run) -> None:
    weeks = pd.to_datetime(whole_weeks(run)["week"])
    assert weeks.min() == pd.Timestamp("1997-01-06")
    assert weeks.max() == pd.Timestamp("1998-06-22")


def test_periods_hold_all_revenue(run: Run) -> None:
    table = build(run).history.tables[0]
    assert table.rows[0][0].text == "1997, quarter 1"
    new = [int(row[3].text.replace(",", "")) for row in table.rows]
    assert sum(new) == run.weekly["new_customers"].sum()


def test_no_currency_is_said_once_and_no_symbol_stands(make_run: MakeRun) -> None:
    page = build(make_run(currency=None, customers=500))
    assert page.unit_note == "Amounts are in the data's currency."
    assert not any("USD" in text for text in texts(page))


@pytest.mark.parametrize("scale", [0.0003, 1.0, 3e8])
def test_no_nonsense_at_any_size_of_money(make_run: MakeRun, scale: float) -> None:
    page = build(make_run(scale=scale, customers=500))
    everything = list(texts(page))
    assert not [text for text in everything if re.search(r"\b(nan|inf|None|NaT)\b", text)]
    assert not [text for text in everything if re.search(r"\d{8}", text)]
    assert not [text for text in everything if "0.0\u00a0%" in text]


def test_no_internal_names(run: Run) -> None:
    page = build(run)
    shown = list(texts(dataclasses.replace(page, data=page.history, findings=(), alarms=())))
    named = {text for text in shown if re.search(r"[a-z]_[a-z]", text)} - page.figures
    assert named == set()


def test_settings_show_no_places(run: Run) -> None:
    settings = run.settings.model_copy(
        update={
            "output": "/secret/place",
            "data": run.settings.data.model_copy(update={"source": "/secret/place/orders.csv"}),
        }
    )
    shown = list(texts(build(dataclasses.replace(run, settings=settings)).data))
    assert not any("secret" in text for text in shown)
    assert "orders.csv" in shown


def test_profile_in_words(run: Run) -> None:
    profile = {
        "lines_read": 10,
        "refund_money": 2.5,
        "source": "x.csv",
        "new_count": 3,
        "missing_customers": 0,
    }
    table = build(dataclasses.replace(run, profile=profile)).data.tables[0]
    assert [(row[0].text, row[1].text) for row in table.rows] == [
        ("Lines read", "10"),
        ("Money sent back", "USD\u00a02.50"),
        ("New count", "3"),
    ]
    assert table.note == "Looked for and not found: lines without a customer."


def test_when_customers_order_again_is_told_and_judged(run: Run) -> None:
    page = build(run)
    every = run.survival[run.survival["group"] == ALL]
    at_end = every[every["measure"] == ORDERED].iloc[-1]
    assert any(f"{words.percent(at_end['share'])} by week 39" in point for point in page.history.points)
    assert page.history.figures == ("weekly_revenue", "returns", "staying")
    assert "returns_later" in page.accuracy.figures
    came = run.survival_later[run.survival_later["measure"] == CAME].iloc[-1]
    assert any(f"and {words.percent(came['share'])} by week 39" in point for point in page.accuracy.points)
    bare = {name: getattr(run, name).iloc[:0] for name in ("survival", "survival_later")}
    page = build(dataclasses.replace(run, **bare))
    assert page.history.points == ()
    assert "returns_later" not in page.accuracy.figures


def test_empty_tables_leave_their_parts_out(run: Run) -> None:
    bare = dataclasses.replace(
        run,
        **{
            name: getattr(run, name).iloc[:0]
            for name in (
                "later", "leaderboard_value", "leaderboard_churn", "deciles", "calibration", "drivers",
                "segment_drivers", "cluster_choice", "model_choice", "differences", "gates", "cohorts",
                "gains", "profits",
            )
        },
    )  # fmt: skip
    page = build(bare)
    assert page.drivers == ()
    assert page.accuracy.tiles == page.accuracy.tables == page.accuracy.points == ()
    assert all(card.why for card in page.cards)


def test_amount_rounds_like_python_does() -> None:
    rng = np.random.default_rng(3)
    for value in 10 ** rng.uniform(-2, 13, 2_000):
        text = words.amount(value)
        number, _, letter = text.partition("\u00a0")
        unit = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[letter]
        step = 10.0 ** -len(number.partition(".")[2])
        assert abs(float(number.replace(",", "")) * unit - value) <= 0.5001 * step * unit
        assert len(re.sub(r"\D", "", number)) <= 4
