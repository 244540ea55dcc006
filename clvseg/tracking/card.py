"""The model card: what the model is for, how good it was on later data, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from clvseg.run import Run
from clvseg.tracking.model import source_columns


def model_card(run: Run) -> str:
    """Describe a run's model in Markdown.

    Parameters
    ----------
    run : Run
        What was fitted.
    """
    facts, settings, total = run.facts, run.settings, run.facts["total"]
    unit = facts["currency"] or "the data's currency"
    parts = [
        f"# {settings.name}, as of {facts['as_of']}",
        f"Revenue, churn risk and segments of {facts['customers']:,} customers for the next "
        f"{facts['horizon_days']} days. Amounts in {unit}.",
        f"Expected revenue {total['predicted']:,.0f}, {total['level']:.0%} interval {total['low']:,.0f} to "
        f"{total['high']:,.0f}; {facts['expected_churners']:,.0f} customers are expected not to order.",
        "## Use",
        "For ranking customers by value and risk, for totals, and for deciding whom to contact. Churn means "
        "no order within the horizon. Not for customers without a purchase, nor for decisions about "
        "credit or the like.",
        f"Input, either: transactions, one line each, columns {_listed(source_columns(settings))}; or rows "
        "of customers as in the run's customers.parquet (customer_id and every feature), scored row for "
        "row. Output: one row per customer.",
        "## Accuracy",
        f"Fitted on what was known on {facts['cutoff']}, judged on the {facts['holdout_days']} days after; "
        "95 % bootstrap intervals over customers. "
        f"{facts['intervals']['coverage']:.0%} of the customers lay within their "
        f"{total['level']:.0%} interval.",
        _board(
            run.leaderboard_value,
            {"gini": "Gini", "spearman": "Spearman", "bias": "bias", "decile_error": "decile error"},
            str(facts["model_value"]),
        ),
        _board(
            run.leaderboard_churn,
            {
                "auc": "AUC",
                "average_precision": "PR-AUC",
                "brier": "Brier",
                "calibration_error": "calibration",
            },
            str(facts["model_churn"]),
        ),
        *_gates(facts.get("gates")),
        "## Findings",
        "\n".join(
            f"- **{row.code}** ({row.severity}) {row.title}: {row.found} {row.advice}"
            for row in run.findings.itertuples()
        )
        or "No doubts: every check passed.",
        "## Made from",
        f"{run.profile.get('lines_read', 0):,} lines, {facts['first_day']} to {facts['as_of']}, "
        f"hash {facts['data_hash'][:8]}; {facts['base_model']} with Gamma-Gamma{_corrected(facts)}; "
        f"seed {settings.seed}; clvseg {facts['version']}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _corrected(facts: dict[str, Any]) -> str:
    """What LightGBM corrects: value and churn, one of them, or nothing."""
    boosted = [target for target, reason in facts["fallback"].items() if not reason]
    return f", {' and '.join(boosted)} corrected by LightGBM" if boosted else ""


def _board(board: pd.DataFrame, metrics: dict[str, str], ours: str) -> str:
    """A leaderboard as a Markdown table, ours in bold."""
    known = {name: title for name, title in metrics.items() if name in board.columns}
    lines = [_line(["model", *known.values()]), _line(["---"] * (1 + len(known)))]
    for _, row in board.iterrows():
        name = f"**{row['model']}**" if row["model"] == ours else str(row["model"])
        lines.append(_line([name, *(_cell(row, metric) for metric in known)]))
    return "\n".join(lines)


def _cell(row: Any, metric: str) -> str:
    form = "{:+.1%}" if metric == "bias" else "{:.3f}"
    text = form.format(row[metric])
    if f"{metric}_low" not in row.index:
        return text
    return f"{text} ({form.format(row[f'{metric}_low'])} to {form.format(row[f'{metric}_high'])})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _gates(gates: dict[str, Any] | None) -> list[str]:
    """Whether the model passed its gates on the newest origin."""
    if gates is None:
        return []
    verdict = "All gates passed on the newest origin." if gates["passed"] else "The gates were not passed."
    return ["## Gates", verdict]
