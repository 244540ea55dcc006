"""The report of a contractual run: what it says, and the chart of how long customers stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clvseg.report import words
from clvseg.report.accuracy import ranked
from clvseg.report.parts import Card, Cell, Section, Table, Tile, rows
from clvseg.run import Run


def tiles(run: Run) -> tuple[Tile, ...]:
    """The headlines."""
    facts = run.facts
    gone = float(facts["expected_churners"])
    out = [
        Tile(
            "Customers",
            words.count(facts["customers"]),
            f"still there; {words.count(facts['left'])} had left and only teach the models",
        ),
        Tile(
            "Expected to leave",
            words.count(gone),
            f"{words.percent(gone / facts['customers'])} of customers, in the time the label looks ahead",
        ),
    ]
    if facts["money"]:
        total, currency = facts["total"], facts["currency"]
        out += [
            Tile(
                "Expected charges",
                words.money(total["predicted"], currency),
                f"in the next {words.duration(run.settings.horizon)}; {words.percent(total['level'])} "
                f"interval: {words.money(total['low'], currency)} to {words.money(total['high'], currency)}",
            ),
            Tile(
                "Value at risk",
                words.money(float(run.segments["value_at_risk"].sum()), currency),
                "each customer's expected charges times the probability of leaving",
            ),
        ]
    return tuple(out)


def takeaways(run: Run) -> Iterator[str]:
    """What a busy reader should leave with."""
    table = run.segments
    worst = table.iloc[int(table["value_at_risk" if run.facts["money"] else "expected_churners"].argmax())]
    yield (
        f"Look first at {words.quoted(worst['segment'])}: {words.customers(worst['customers'])}, "
        f"{words.percent(worst['churn_probability'])} of them expected to leave. "
        f"What to do: {words.sentence(worst['action'])}"
    )


def segment_numbers(run: Run) -> Table:
    """Numbers of each segment beyond the overview."""
    scores = run.scores
    by = scores[scores["status"] != "left"].groupby("segment")
    names = {
        "tenure": "Tenure so far, periods, median",
        "median_remaining": "Half are gone after, periods, median",
        "charge": "Charge a period, mean",
        "lifetime_value": "Lifetime value per customer, mean",
    }
    there = [name for name in names if name in scores.columns]
    means = {n: by[n].mean() if n in ("charge", "lifetime_value") else by[n].median() for n in there}
    lines = tuple(
        (
            Cell(row.segment, extra=str(number)),
            *(Cell(words.plain(float(means[n][row.segment]))) for n in there),
        )
        for number, row in enumerate(rows(run.segments), start=1)
    )
    return Table("segment-numbers", "The segments in numbers", ("Segment", *(names[n] for n in there)), lines)


def card(run: Run, number: int, row: Any) -> Card:
    """One segment."""
    currency = run.facts["currency"]
    stats = [
        Tile("Customers", words.count(row.customers), words.percent(row.share_customers) + " of all"),
        Tile(
            "Expected to leave", words.percent(row.churn_probability), words.customers(row.expected_churners)
        ),
    ]
    if run.facts["money"]:
        each = f"{words.money(row.value_per_customer, currency)} each"
        stats.insert(1, Tile("Expected charges", words.money(row.predicted_value, currency), each))
        stats.append(Tile("Value at risk", words.money(row.value_at_risk, currency), ""))
    return Card(
        number=number,
        key=f"segment-{number}",
        name=row.segment,
        rule=row.rule,
        who=words.sentence(row.who),
        why=tuple(words.sentence(part) for part in row.reasons.split(";") if part.strip()),
        action=words.sentence(row.action),
        sure=_sure(run, row.segment),
        stats=tuple(stats),
    )


def _sure(run: Run, segment: str) -> str:
    mine = run.later[run.later["segment"] == segment]
    if mine.empty:
        return "No judged customer was in this segment."
    row = mine.iloc[0]
    return (
        f"Of {words.customers(row['customers'])} of this segment whom the judging models had not seen, "
        f"{words.percent(row['left'])} left (interval {words.percent(row['left_low'])} to "
        f"{words.percent(row['left_high'])}; predicted {words.percent(row['predicted_left'])})."
    )


def accuracy(run: Run) -> Section:
    """How good the probabilities and times are."""
    facts = run.facts
    board = ranked(run.leaderboard_churn, "auc", facts["model_churn"])
    mine = board[board["ours"]].iloc[0]
    lead = (
        f"Judged by {facts['validation']}: every customer's probability comes from models that had not seen "
        f"that customer. Area under the ROC curve of the parts: "
        f"{', '.join(f'{value:.3f}' for value in facts['fold_auc'])}."
    )
    points = []
    if "survival_concordance" in facts:
        points.append(
            f"Of two customers, the one who left sooner was named in {facts['survival_concordance']:.0%} of "
            f"pairs; the error over time (integrated Brier score) is {facts['survival_brier']:.3f} against "
            f"{facts['survival_brier_km']:.3f} for one curve for everybody."
        )
    tiles_ = (
        Tile(
            "Pairs ranked right",
            f"{mine['auc'] * 100:.0f} of 100",
            "pairs of one who stayed and one who left were ranked the right way round; chance would be 50",
        ),
        Tile(
            "Gap of the probabilities",
            f"{mine['calibration_error'] * 100:.1f} points",
            "between the predicted probability of leaving and what happened, on average",
        ),
    )
    table = Table(
        "board-churn",
        "Risk, all models compared",
        ("Model", "Pairs ranked right (AUC)", "Average precision", "Gap of the probabilities", "Log loss"),
        tuple(
            (
                Cell(row.model),
                Cell(f"{row.auc:.3f}", f"{row.auc_low:.3f} to {row.auc_high:.3f}"),
                Cell(f"{row.average_precision:.3f}"),
                Cell(f"{row.calibration_error:.3f}"),
                Cell(f"{row.log_loss:.3f}"),
            )
            for row in rows(board)
        ),
        marked=int(board["ours"].to_numpy().argmax()),
        note="Below the numbers: 95 % intervals. The model in use is marked; best ranking first.",
    )
    figures = ("leaderboard_churn", "reliability")
    return Section(
        "accuracy", "How good are the predictions?", lead, tuple(points), tiles_, figures, (table,)
    )


def staying(run: Run) -> Section:
    """How long customers stay."""
    if run.survival.empty:
        lead = "No column says how long customers have been there, so there is no view of time."
        return Section("history", "Time to churn", lead)
    lead = (
        "Share still there by time since the start, counted as Kaplan and Meier do: customers who are still "
        "there count for as long as they have been seen."
    )
    return Section("history", "Time to churn: how long customers stay", lead, figures=("survival",))


def making(run: Run) -> Section:
    """What was compared inside the training rows."""
    choices = run.models["contract"]["choices"]
    lead = (
        "Class weights and calibration were chosen inside the training rows, by least log loss out of fold."
    )
    table = Table(
        "choices",
        "Class weights and calibrations tried",
        ("Class weights", "Calibration", "Share of boosting", "Log loss"),
        tuple(
            (
                Cell(one["weights"]),
                Cell(one["calibration"]),
                Cell(words.percent(one["share"])),
                Cell(f"{one['log_loss']:.4f}"),
            )
            for one in choices
        ),
        words=2,
        marked=0,
    )
    return Section("making", "How the model was chosen", lead, tables=(table,))


def data_lead(run: Run) -> str:
    """What came in."""
    facts = run.facts
    there = words.customers(facts["customers"])
    gone = words.count(facts["left"])
    return f"A table of customers as of {words.day(facts['as_of'])}: {there} still there, {gone} gone."


def glossary(run: Run) -> tuple[tuple[str, str], ...]:
    """Terms and meanings."""
    churn = run.settings.churn
    return (
        (
            "Probability of leaving",
            f"That the label “{churn.label}” becomes true. Of 100 customers with 30{words.NBSP}%, about 30 "
            f"leave. Low risk below {words.percent(churn.low)}, high from {words.percent(churn.high)}.",
        ),
        ("Expected charges", "A customer's charge times the expected time still there within the horizon."),
        ("Value at risk", "Expected charges times the probability of leaving."),
        ("Interval", "Where the true number lies in the stated share of cases."),
    )
