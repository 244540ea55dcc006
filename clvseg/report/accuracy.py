"""How good the predictions were on a period the models had not seen, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from clvseg.evaluation.lift import lift_label
from clvseg.evaluation.returning import ALL, CAME, ORDERED
from clvseg.report import words
from clvseg.report.parts import Cell, Section, Table, Tile, rows
from clvseg.run import Run


def ranked(board: pd.DataFrame, metric: str, model: str) -> pd.DataFrame:
    """The leaderboard, best first by `metric`, with a flag ``ours``; our row's name says that it is in use.

    Parameters
    ----------
    board : DataFrame
        A leaderboard.
    metric : str
        Column to order by, highest first.
    model : str
        Name of our row.
    """
    ours = board["model"] == model
    board = board.assign(ours=ours, model=board["model"].where(~ours, f"{model} (in use)"))
    return board.sort_values(metric, ascending=False, kind="stable").reset_index(drop=True)


def per_customer(deciles: pd.DataFrame) -> pd.DataFrame:
    """The tenths with money per customer instead of sums, and each one's share of what came.

    Parameters
    ----------
    deciles : DataFrame
        ``decile``, ``customers``, ``predicted``, ``actual`` (sums of money).
    """
    return pd.DataFrame(
        {
            "decile": deciles["decile"],
            "customers": deciles["customers"],
            "predicted": deciles["predicted"] / deciles["customers"],
            "actual": deciles["actual"] / deciles["customers"],
            "share": deciles["actual"] / deciles["actual"].sum(),
        }
    )


def accuracy_section(run: Run) -> Section:
    """Headlines in plain words, figures and the tables behind them.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    facts = run.facts
    value = ranked(run.leaderboard_value, "gini", facts["model_value"])
    churn = ranked(run.leaderboard_churn, "auc", facts["model_churn"])
    lead = (
        f"Before predicting, the models were tested: fitted on orders up to {words.day(facts['cutoff'])} "
        f"only, then compared with the {words.days(int(facts['holdout_days']))} that followed."
    )
    if facts["learned_from"] < facts["customers"]:
        drawn = words.customers(facts["learned_from"])
        lead += f" They learned from {drawn} drawn by chance, and were judged on those known by then."
    tiles = [*_value_tiles(run, value), *_churn_tiles(churn)]
    tables = [
        _gate_table(run),
        _value_board(run, value),
        _churn_board(run, churn),
        _cohort_table(run),
        _later_table(run),
        _decile_table(run),
    ]
    figures = (
        "leaderboard_value",
        "leaderboard_churn",
        "deciles",
        "reliability",
        "gains",
        "profits",
        "cohorts",
        "segments_later",
        *(("returns_later",) if len(run.survival_later) else ()),
    )
    return Section(
        "accuracy",
        "How good are the predictions?",
        lead,
        tuple(_points(run, value, churn)) if tiles else (),
        tuple(tiles),
        figures,
        tuple(table for table in tables if table.rows),
    )


def _points(run: Run, value: pd.DataFrame, churn: pd.DataFrame) -> Iterator[str]:
    yield from _comparisons(run, value, churn)
    yield from (_coverage(run), _verdict(run), _campaign(run))
    yield from _returned(run)


def _returned(run: Run) -> Iterator[str]:
    """How many were expected to have ordered again, and how many had, half way and at the end."""
    every = run.survival_later[run.survival_later["group"] == ALL]
    if every.empty:
        return
    said, came = (every[every["measure"] == measure] for measure in (ORDERED, CAME))
    places = (len(said) // 2, len(said) - 1)
    parts = [
        f"{words.percent(came.iloc[k]['share'])} by week {came.iloc[k]['day'] / 7:.0f} "
        f"(expected: {words.percent(said.iloc[k]['share'])})"
        for k in places
    ]
    yield f"When they order again: of all customers {' and '.join(parts)} had."


def _value_tiles(run: Run, board: pd.DataFrame) -> list[Tile]:
    if board.empty:
        return []
    row = board[board["ours"]].iloc[0]
    direction = "too high" if row["bias"] > 0 else "too low"
    total, currency = run.facts["holdout_total"], run.facts["currency"]
    return [
        Tile(
            "Revenue of the top tenth",
            words.percent(row["top_10"]),
            f"of later revenue came from the tenth we ranked highest; chance would be 10{words.NBSP}%",
        ),
        Tile(
            "Error of the total",
            words.signed_percent(row["bias"]),
            f"the predicted total was {direction}: {words.money(total['predicted'], currency)} "
            f"(interval {words.amount(total['low'])} to {words.amount(total['high'])}); "
            f"{words.money(total['actual'], currency)} came",
        ),
    ]


def _churn_tiles(board: pd.DataFrame) -> list[Tile]:
    if board.empty:
        return []
    row = board[board["ours"]].iloc[0]
    gap = row["calibration_error"] * 100
    gap_text = "under 1 point" if gap < 0.95 else f"{gap:.0f} point{'' if round(gap) == 1 else 's'}"
    return [
        Tile(
            "Pairs ranked right",
            f"{row['auc'] * 100:.0f} of 100",
            "pairs of one customer who stayed and one who left were ranked the right way round; "
            "chance would be 50",
        ),
        Tile(
            "Gap of the probabilities",
            gap_text.replace(" ", words.NBSP),
            "between the predicted probability of no order and what happened, on average",
        ),
    ]


def _comparisons(run: Run, value: pd.DataFrame, churn: pd.DataFrame) -> list[str]:
    """One sentence per target: ours against the best other row, said plainly also where we lose."""
    out = []
    for target, board, metric, noun in (("value", value, "gini", "value"), ("churn", churn, "auc", "risk")):
        if len(board) < 2:
            continue
        mine, other = board[board["ours"]].iloc[0], board[~board["ours"]].iloc[0]
        gaps = run.differences[(run.differences["target"] == target) & (run.differences["metric"] == metric)]
        gap = gaps[gaps["other"] == other["model"]].iloc[0]
        numbers = f"{mine[metric]:.3f} against {other[metric]:.3f} for {other['model']}"
        span = f"{gap['low']:+.3f} and {gap['high']:+.3f}".replace("-", words.MINUS)
        if gap["low"] <= 0 <= gap["high"]:
            verdict = "about as well as the best alternative"
        else:
            verdict = "better than every alternative" if gap["low"] > 0 else "worse than an alternative"
        out.append(
            f"Customers are ranked by {noun} {verdict}: {numbers} (1 is perfect; the difference lies between "
            f"{span}, customer by customer)."
        )
    return out


def _verdict(run: Run) -> str:
    """Whether the gates are passed, and which rows would be chosen by them."""
    verdict = run.facts["gates"]
    passed = "passed every gate" if verdict["passed"] else "did not pass every gate (table below)"
    chosen = [
        f"for {noun} {verdict[f'champion_{target}'] or 'no model passes them'}"
        for target, noun in (("value", "value"), ("churn", "risk"))
    ]
    return f"The models in use {passed}. Best by the gates: {'; '.join(chosen)}."


def _campaign(run: Run) -> str:
    """What a retention campaign would have earned at best, and on which assumptions."""
    costs, currency = run.facts["campaign"], run.facts["currency"]
    best = run.profits.sort_values("profit").iloc[-1]
    contact, offer = (words.money(costs[f"{name}_cost"], currency) for name in ("contact", "offer"))
    return (
        f"If {words.percent(costs['save_rate'])} of those about to leave can be kept, a contact costs "
        f"{contact} and an offer {offer}, contacting {words.percent(best['share'])} of the customers by "
        f"{best['ranking']} would have gained {words.money(best['profit'], currency)}. Who left is what "
        "happened; how many an offer keeps, and what they then spend, is assumed: leave a random group alone "
        "to measure it."
    )


def _money_span(low: float, high: float) -> str:
    return f"{words.amount(low)} to {words.amount(high)}"


def _tops(row: Any) -> str:
    return ", ".join(words.percent(share) for share in (row.top_1, row.top_5, row.top_20))


def _gate_table(run: Run) -> Table:
    gates = run.gates
    in_use = {"value": run.facts["model_value"], "churn": run.facts["model_churn"]}
    mine = gates[gates["model"] == gates["target"].map(in_use)]
    nouns = {"value": "Value", "churn": "Risk"}
    lines = tuple(
        (
            Cell(f"{nouns[row.target]}: {row.gate}"),
            Cell("passed" if row.passed else "FAILED"),
            Cell(f"{row.measured:.3f}".replace("-", words.MINUS), f"limit {row.limit:g}"),
            Cell(words.sentence(row.rule), words.sentence(row.reason)),
        )
        for row in rows(mine)
    )
    columns = ("Gate", "Result", "Measured", "What is asked, and why")
    caption = "Gates that the models in use must pass together"
    return Table("gates", caption, columns, lines, words=4)


def _cohort_table(run: Run) -> Table:
    unit = run.facts["currency"] or "data's currency"
    lines = tuple(
        (
            Cell(row.cohort),
            Cell(words.count(row.customers)),
            Cell(words.amount(row.predicted)),
            Cell(words.amount(row.actual)),
            Cell(words.signed_percent(row.bias), _span(row.bias_low, row.bias_high, "percent")),
        )
        for row in rows(run.cohorts)
    )
    columns = ("First order", "Customers", f"Predicted, {unit}", f"What came, {unit}", "Error of the total")
    return Table("cohort-table", "Customers by when they first ordered", columns, lines)


def _coverage(run: Run) -> str:
    share, level = run.facts["intervals"]["coverage"], run.facts["intervals"]["level"]
    return (
        f"The later revenue of {words.percent(share)} of the customers lay within their "
        f"{words.percent(level)} interval, which is "
        f"{words.money(run.facts['intervals']['width'], run.facts['currency'])} wide on average."
    )


def _span(low: float, high: float, style: str = "plain") -> str:
    if style == "percent":
        return f"{words.signed_percent(low)} to {words.signed_percent(high)}"
    return f"{low:.3f} to {high:.3f}".replace("-", words.MINUS)


def _value_board(run: Run, board: pd.DataFrame) -> Table:
    unit = run.facts["currency"] or "data's currency"
    lines = tuple(
        (
            Cell(row.model),
            Cell(f"{row.gini:.3f}".replace("-", words.MINUS), _span(row.gini_low, row.gini_high)),
            Cell(words.percent(row.top_10), f"1, 5, 20{words.NBSP}%: {_tops(row)}"),
            Cell(words.signed_percent(row.bias), _span(row.bias_low, row.bias_high, "percent")),
            Cell(words.percent(row.decile_error)),
            Cell(f"{row.spearman:.3f}".replace("-", words.MINUS)),
            Cell(words.amount(row.mae)),
            Cell(words.amount(row.rmse)),
        )
        for row in rows(board)
    )
    columns = (
        "Model",
        "Ranking quality (Gini)",
        "Revenue of the top tenth",
        "Error of the total",
        "Error by tenth",
        "Rank correlation",
        f"Mean absolute error, {unit}",
        f"Root mean squared error, {unit}",
    )
    marked = int(board["ours"].to_numpy().argmax()) if len(board) else None
    note = "Below the numbers: 95 % intervals. The model in use is marked; best ranking first."
    return Table(
        "board-value", "Predicted value, all models compared", columns, lines, marked=marked, note=note
    )


def _churn_board(run: Run, board: pd.DataFrame) -> Table:
    lines = tuple(
        (
            Cell(row.model),
            Cell(f"{row.auc:.3f}", _span(row.auc_low, row.auc_high)),
            Cell(f"{row.average_precision:.3f}"),
            Cell(f"{row.calibration_error:.3f}"),
            Cell(f"{row.lift_10:.2f}"),
            Cell(lift_label(row.lift_quality), f"{row.lift_quality:.2f}"),
            Cell(words.amount(row.empc_value), _money_span(row.empc_value_low, row.empc_value_high)),
            Cell(f"{row.brier:.3f}"),
            Cell(f"{row.log_loss:.3f}"),
        )
        for row in rows(board)
    )
    columns = (
        "Model",
        "Pairs ranked right (AUC)",
        "Average precision",
        "Gap of the probabilities",
        "Lift of the riskiest tenth",
        "Lift quality",
        f"Best profit per customer, {run.facts['currency'] or 'data currency'}",
        "Brier score",
        "Log loss",
    )
    marked = int(board["ours"].to_numpy().argmax()) if len(board) else None
    note = "Below the numbers: 95 % intervals. The model in use is marked; best ranking first."
    return Table("board-churn", "Risk, all models compared", columns, lines, marked=marked, note=note)


def _later_table(run: Run) -> Table:
    unit = run.facts["currency"] or "data's currency"
    lines = tuple(
        (
            Cell(row.segment),
            Cell(words.count(row.customers)),
            Cell(words.amount(row.predicted_per_customer)),
            Cell(
                words.amount(row.revenue_per_customer),
                f"{words.amount(row.revenue_low)} to {words.amount(row.revenue_high)}",
            ),
            Cell(words.percent(row.predicted_active)),
            Cell(words.percent(row.active)),
            Cell(words.percent(row.share_revenue)),
        )
        for row in rows(run.later)
    )
    columns = (
        "Segment",
        "Customers then",
        f"Predicted per customer, {unit}",
        f"What came per customer, {unit}",
        "Predicted to order",
        "Ordered",
        "Share of later revenue",
    )
    caption = f"The segments of {words.day(run.facts['cutoff'])} and what they did afterwards"
    return Table("later-table", caption, columns, lines)


def _decile_table(run: Run) -> Table:
    unit = run.facts["currency"] or "data's currency"
    tenths = per_customer(run.deciles)
    lines = tuple(
        (
            Cell(f"{int(row.decile)}"),
            Cell(words.count(row.customers)),
            Cell(words.amount(row.predicted)),
            Cell(words.amount(row.actual)),
            Cell(words.percent(row.share)),
        )
        for row in rows(tenths)
    )
    columns = (
        "Tenth, ranked highest first",
        "Customers",
        f"Predicted per customer, {unit}",
        f"What came per customer, {unit}",
        "Share of later revenue",
    )
    return Table("decile-table", "Predicted and actual by tenth of customers", columns, lines)


def later_sentence(run: Run, segment: str) -> str:
    """How sure we are of one segment: what its members of the cutoff did afterwards.

    Parameters
    ----------
    run : Run
        What a fit made.
    segment : str
        Name of the segment.
    """
    mine = run.later[run.later["segment"] == segment]
    if mine.empty:
        return (
            "No customers were in this segment at the earlier date, so it could not be tested on later data."
        )
    row = mine.iloc[0]
    currency = run.facts["currency"]
    return (
        f"On {words.day(run.facts['cutoff'])} this segment had {words.customers(row['customers'])}. "
        f"In the {words.days(int(run.facts['holdout_days']))} after it they brought "
        f"{words.money(row['revenue_per_customer'], currency)} each "
        f"(interval {words.amount(row['revenue_low'])} to {words.amount(row['revenue_high'])}; "
        f"predicted {words.amount(row['predicted_per_customer'])}), and "
        f"{words.percent(row['active'])} ordered (predicted {words.percent(row['predicted_active'])})."
    )
