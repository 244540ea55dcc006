"""Segments, what they have earned, who moves, whom to contact, drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvseg.printing.tables import each, money, print_table, stdout_console

if TYPE_CHECKING:
    import pandas as pd

    from clvseg.monitoring import Drift, Movement

_LONGEST = 40


def print_segments(segments: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print the segments with their value and risk."""
    total, unit = facts["total"], f" {facts['currency']}" if facts.get("currency") else ""
    title = (
        f"Next {facts['horizon_days']} days of {facts['customers']:,} customers, as of {facts['as_of']}: "
        f"{total['predicted']:,.0f}{unit} "
        f"({total['level']:.0%} interval {total['low']:,.0f} to {total['high']:,.0f})"
    )
    columns = ["segment", "customers", "share", f"value each{unit}", "of value", "churn", f"at risk{unit}"]
    rows = [
        [
            s.segment,
            f"{s.customers:,}",
            f"{s.share_customers:.0%}",
            value,
            f"{s.share_predicted_value:.0%}",
            f"{s.churn_probability:.0%}",
            f"{s.value_at_risk:,.0f}",
        ]
        for s, value in zip(each(segments), money(segments["value_per_customer"]), strict=True)
    ]
    print_table(title, columns, rows)


def print_rivals(rivals: pd.DataFrame) -> None:
    """Print what each division of the customers explains."""
    for outcome, rows in rivals.groupby("outcome", sort=False):
        lines = []
        for row in each(rows):
            sure = "more" if row.difference_low > 0 else "less" if row.difference_high < 0 else ""
            interval = f"{row.explained:.3f} ({row.low:.3f} to {row.high:.3f})"
            lines.append([row.division, f"{row.groups:,}", interval, sure and f"surely {sure}"])
        columns = ["division", "groups", "share (95 % interval)", "than the segments"]
        print_table(f"Share of the variance explained: {outcome}", columns, lines)


def print_scorecard(scorecard: pd.DataFrame) -> None:
    """Print what each segment has earned, measure by measure."""
    for name, rows in scorecard.groupby("segment", sort=False):
        print(f"{name}: {'fails' if (rows['status'] == 'fail').any() else 'passes'}")
        for row in each(rows):
            found = "" if row.status == "not measured" else f" {row.value:.3g} (at least {row.least:g})"
            note = f"; {row.note}" if row.note else ""
            print(f"  {row.criterion}, {row.measure}:{found} {row.status}{note}")


def print_targets(summary: dict[str, Any], to: Path) -> None:
    """Print whom to contact, and what it brings."""
    campaign, unsure = summary["campaign"], summary["unsure"]
    unit = f" {summary['currency']}" if summary.get("currency") else ""
    rows = [
        ["customers on the list", f"{summary['contacts']:,}", f"of {summary['worth_contacting']:,} worth it"],
        ["expected cost", f"{summary['expected_cost']:,.2f}{unit}", f"at most {summary['most_cost']:,.2f}"],
        [
            "expected net gain",
            f"{summary['expected_gain']:,.2f}{unit}",
            f"{summary['level']:.0%} interval {summary['gain_low']:,.2f} to {summary['gain_high']:,.2f}",
        ],
        ["a contact costs", f"{campaign['contact_cost']:,.2f}{unit}", "for everybody on the list"],
        [
            "an offer costs",
            f"{campaign['offer_cost']:,.2f}{unit}",
            "for who is kept, and who would have stayed",
        ],
        ["save rate", f"{campaign['save_rate']:.0%}", f"standard deviation {unsure['save_rate']:.0%}"],
        ["worth it from", f"{summary['cutoff']:.0%} risk", "for a customer of mean value"],
    ]
    print_table("Whom to contact", ["", "", ""], rows, words=(0,))
    stdout_console().print(
        f"The interval holds the unsure save rate, risks (logit +-{unsure['churn']:.2f}), values "
        f"(+-{unsure['value']:.0%} together, +-{unsure['single_value']:.0%} each) and chance."
    )
    print(f"Wrote {to}")


def print_movement(found: Movement) -> None:
    """Print who moved between two dates, and the sizes to come."""
    matrix = found.matrix()
    numbers: dict[Any, str] = {name: str(n) for n, name in enumerate(found.segments, start=1)}
    rows = [
        [f"{numbers.get(name, '')} {name}".strip(), f"{sum(row):,}", *(f"{n:,}" if n else "" for n in row)]
        for name, row in zip(matrix.index, matrix.to_numpy().tolist(), strict=True)
    ]
    title = f"Customers by segment on {found.first} (rows) and on {found.second} (columns)"
    print_table(title, ["", "of", *(numbers.get(name, "gone") for name in matrix)], rows)
    moves = found.table[found.table["from_segment"] != found.table["to_segment"]]
    moves = moves.sort_values("value_before", ascending=False, kind="stable").head(8)
    rows = [
        [
            f"{m.customers:,}",
            f"{m.share:.0%}",
            f"{m.value_before:,.0f}",
            f"{m.value_after:,.0f}",
            m.from_segment,
            m.to_segment,
        ]
        for m in each(moves)
    ]
    columns = ["customers", "share", "value before", "value now", "from", "to"]
    print_table("Moves with the most value", columns, rows, words=(4, 5))
    wide = {name: part.sort_values("as_of") for name, part in found.sizes.groupby("segment", sort=False)}
    rows = [
        [
            str(name),
            f"{part['now'].iloc[0]:,}",
            *(f"{s.customers:,.0f} ({s.low:,.0f} to {s.high:,.0f})" for s in each(part)),
        ]
        for name, part in wide.items()
    ]
    days = [f"{day.date()}" for day in sorted(found.sizes["as_of"].unique())]
    title = "Sizes to come if customers move and join as between these dates (80 % interval)"
    print_table(title, ["segment", "now", *days], rows)


def print_leavers(gone: pd.DataFrame, segment: str, found: Movement) -> None:
    """Print who left a segment."""
    title = f"{len(gone):,} customers left {segment} between {found.first} and {found.second}"
    if gone.empty:
        print(title)
        return
    rows = [
        [
            str(g.customer_id),
            f"{g.value_before:,.2f}",
            f"{g.value_after:,.2f}",
            f"{g.churn_before:.0%}",
            f"{g.churn_after:.0%}",
            g.segment,
        ]
        for g in each(gone.head(_LONGEST))
    ]
    columns = ["customer", "value before", "value now", "churn before", "churn now", "now in"]
    print_table(title, columns, rows, words=(0, 5))
    if len(gone) > _LONGEST:
        print(f"These are the {_LONGEST} most valuable; --list FILE writes all.")


def print_left(rows: list[list[str]], labelled: int) -> None:
    """Print who left against who was expected to."""
    if not rows:
        print(f"Realised churn is not measured: {labelled} rows have a label that the fit did not know.")
        return
    title = f"Who left, of {labelled:,} rows with a label that the fit did not know"
    print_table(title, ["segment", "rows", "expected", "left", "ratio (95 %)"], rows)


def print_drift(drift: Drift) -> None:
    """Print what came against the prediction, and how stable inputs and scores are."""
    facts = drift.facts
    rows = [
        [
            r.segment,
            f"{r.customers:,}",
            f"{r.predicted:,.0f}",
            f"{r.actual:,.0f}",
            f"{r.ratio:.2f} ({r.low:.2f} to {r.high:.2f})",
            *([] if "labelled" in facts else [f"{r.predicted_active:.0%}", f"{r.active:.0%}"]),
        ]
        for r in each(drift.realised)
    ]
    if "labelled" in facts:
        print_left(rows, facts["labelled"])
    else:
        title = (
            f"What came in the {facts['compared_days']} days after {facts['as_of']} against the prediction"
        )
        columns = ["segment", "customers", "predicted", "came", "ratio (95 %)", "P(active)", "active"]
        print_table(title, columns, rows)
    scores = drift.stability[drift.stability["kind"] == "score"]
    inputs = drift.stability[drift.stability["kind"] == "input"].head(8)
    rows = [
        [f"{s.psi:.3f}", f"{s.usual:.3f}", "yes" if s.drifted else "", s.kind, s.label]
        for s in [*each(scores), *each(inputs)]
    ]
    title = f"Stability of scores and of the least stable inputs, {facts['as_of']} to {facts['until']}"
    print_table(title, ["PSI", "usual", "drifted", "kind", "what"], rows, words=(3, 4))
    print("A refit is due." if drift.refit else "The run still fits; no refit is due.")
