"""How good the predictions are, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clvseg.printing.runs import print_findings
from clvseg.printing.tables import each, money, print_json, print_table, records, stdout_console

if TYPE_CHECKING:
    import pandas as pd

    from clvseg.contractual import ContractJudged


def print_accuracy(value: pd.DataFrame, churn: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print the leaderboards of value and churn."""
    where = f"fitted to {facts['cutoff']}, judged on the {facts['holdout_days']} days after"
    if facts["learned_from"] < facts["customers"]:
        where += f", of {facts['learned_from']:,} customers drawn by chance"
    print_value_board(value, f"Accuracy of value: {where}")
    print_churn_board(churn, "Accuracy of churn: no purchase in those days")


def print_contract_judged(judged: ContractJudged, as_json: bool) -> None:
    """Accuracy on rows no model has seen, where a label says who left."""
    if as_json:
        tables = {name: records(getattr(judged, name)) for name in ("later", "findings")}
        print_json({"facts": judged.facts, "churn": records(judged.leaderboard_churn), **tables})
        return
    print_contract_accuracy(judged.leaderboard_churn, judged.facts)
    print_later(judged.later, judged.facts)
    print_findings(judged.findings)


def print_contract_accuracy(churn: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print the leaderboard of a contractual run, and how well times are told."""
    rows = [
        [
            c.model,
            f"{c.auc:.3f} ({c.auc_low:.3f} to {c.auc_high:.3f})",
            f"{c.average_precision:.3f}",
            f"{c.brier:.3f}",
            f"{c.calibration_error:.3f}",
        ]
        for c in each(churn)
    ]
    title = f"Accuracy of churn: {facts['validation']}, {facts['judged']:,} customers"
    print_table(
        title, ["model", "AUC (95 % interval)", "average precision", "Brier", "calibration error"], rows
    )
    if "survival_concordance" in facts:
        stdout_console().print(
            f"Time to churn, unseen customers: concordance {facts['survival_concordance']:.3f}, integrated "
            f"Brier score {facts['survival_brier']:.4f} (Kaplan-Meier {facts['survival_brier_km']:.4f})"
        )


def print_origins(judged: Any) -> None:
    """Print both leaderboards at each cutoff, and their means over the cutoffs with the differences."""
    days, cutoffs = judged.facts["holdout_days"], judged.facts["cutoffs"]
    for cutoff in [*cutoffs, *(["all"] if len(cutoffs) > 1 else [])]:
        value = judged.origins_value[judged.origins_value["cutoff"] == cutoff]
        churn = judged.origins_churn[judged.origins_churn["cutoff"] == cutoff]
        where = f"fitted to {cutoff}, judged on the {days} days after"
        where = f"mean over the {len(cutoffs)} cutoffs" if cutoff == "all" else where
        print_value_board(value, f"Accuracy of value: {where}")
        print_churn_board(churn, f"Accuracy of churn: {where}")
    print_differences(judged.origins_differences, cutoffs)
    for cutoff, reason in judged.facts["left_out"].items():
        stdout_console().print(f"{cutoff} is left out: {reason}")


def print_differences(differences: pd.DataFrame, cutoffs: list[str]) -> None:
    """Print by how much the model in use is better than each other row."""
    cutoff = "all" if len(cutoffs) > 1 else cutoffs[0]
    mine = differences[(differences["cutoff"] == cutoff) & differences["metric"].isin(["gini", "auc"])]
    rows = [[d.metric, d.other, f"{d.difference:+.4f} ({d.low:+.4f} to {d.high:+.4f})"] for d in each(mine)]
    where = f"mean over the {len(cutoffs)} cutoffs" if cutoff == "all" else f"after {cutoff}"
    print_table(
        f"{mine['model'].iloc[0]} less each other row, {where}", ["metric", "row", "difference"], rows
    )


def print_value_board(value: pd.DataFrame, title: str) -> None:
    """Print a leaderboard of value."""
    rows = [
        [
            v.model,
            f"{v.gini:.3f} ({v.gini_low:.3f} to {v.gini_high:.3f})",
            f"{v.bias:+.1%}",
            f"{v.decile_error:.3f}",
            f"{v.top_10:.0%}",
            f"{v.spearman:.3f}",
        ]
        for v in each(value)
    ]
    columns = ["model", "Gini (95 % interval)", "bias of total", "decile error", "top tenth has", "Spearman"]
    print_table(title, columns, rows)


def print_churn_board(churn: pd.DataFrame, title: str) -> None:
    """Print a leaderboard of churn."""
    from clvseg.evaluation.lift import lift_label

    rows = [
        [
            c.model,
            f"{c.auc:.3f} ({c.auc_low:.3f} to {c.auc_high:.3f})",
            f"{c.average_precision:.3f}",
            f"{c.calibration_error:.3f}",
            f"{c.empc_value:,.3f}",
            f"{c.lift_quality:.2f} {lift_label(c.lift_quality)}",
        ]
        for c in each(churn)
    ]
    columns = [
        "model",
        "AUC (95 % interval)",
        "PR-AUC",
        "calibration error",
        "profit each",
        "lift quality",
    ]
    print_table(title, columns, rows)


def print_gates(gates: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print what each gate asks for and whether it is passed."""
    rows = [
        [
            g.target,
            g.gate,
            f"{g.measured:.3f} ({g.limit:g})",
            "pass" if g.passed else "FAIL",
            g.rule,
        ]
        for g in each(gates[gates["model"].isin([facts["model_value"], facts["model_churn"]])])
    ]
    verdict = facts["gates"]
    head = f"Gates after {verdict['cutoff']}: {'passed' if verdict['passed'] else 'NOT PASSED'}; champions: "
    head += ", ".join(f"{target} {verdict[f'champion_{target}'] or 'none'}" for target in ("value", "churn"))
    print_table(
        head, ["target", "gate", "measured (limit)", "result", "what is asked"], rows, words=(0, 1, 3, 4)
    )


def print_cohorts(cohorts: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print how far the total of each cohort was off."""
    rows = [
        [
            c.cohort,
            f"{c.customers:,}",
            f"{c.predicted:,.0f}",
            f"{c.actual:,.0f}",
            f"{c.bias:+.1%} ({c.bias_low:+.1%} to {c.bias_high:+.1%})",
        ]
        for c in each(cohorts)
    ]
    title = f"Customers by first purchase, {facts['model_value']} after {facts['cutoff']}"
    print_table(title, ["first bought", "customers", "predicted", "came", "bias (95 % interval)"], rows)


def print_choice(choice: pd.DataFrame) -> None:
    """Print the purchase models side by side."""
    rows = [
        [
            f"{c.model}{' (in use)' if c.chosen else ''}",
            f"{c.log_likelihood:,.1f}",
            f"{c.aic:,.1f}",
            f"{c.bic:,.1f}",
            f"{c.later_log_likelihood:.4f}",
            f"{c.bias:+.1%}",
            f"{c.rmse:.3f}",
        ]
        for c in each(choice)
    ]
    print_table(
        "Purchase models: fitted to the cutoff, judged on the purchases after it",
        ["model", "log-likelihood", "AIC", "BIC", "later, a customer", "bias of total", "RMSE"],
        rows,
    )


def print_later(later: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print what the segments of the cutoff did afterwards."""
    if "validation" in facts:
        rows = [
            [
                s.segment,
                f"{s.customers:,}",
                f"{s.predicted_left:.1%}",
                f"{s.left:.1%} ({s.left_low:.1%} to {s.left_high:.1%})",
            ]
            for s in each(later)
        ]
        columns = ["segment", "customers", "churn said", "left (95 % interval)"]
        print_table("What the segments said of customers no model had seen", columns, rows)
        return
    names = ("predicted_per_customer", "revenue_per_customer", "revenue_low", "revenue_high")
    amounts = [money(later[name]) for name in names]
    rows = [
        [
            s.segment,
            f"{s.customers:,}",
            predicted,
            f"{came} ({low} to {high})",
            f"{s.predicted_active:.0%}",
            f"{s.active:.0%}",
        ]
        for s, predicted, came, low, high in zip(each(later), *amounts, strict=True)
    ]
    print_table(
        f"What the segments of {facts['cutoff']} did in those days, per customer",
        ["segment", "customers", "value", "spent (95 % interval)", "P(active)", "active"],
        rows,
    )


def print_returns(later: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print the share expected to have ordered again beside the share that had, at up to four days."""
    every = sorted(later["day"].unique())[1:]
    days = sorted({every[-(-len(every) * part // 4) - 1] for part in (1, 2, 3, 4)})
    rows = []
    for name, part in later.groupby("group", sort=False):
        said, came = (part[part["measure"] == m].set_index("day") for m in part["measure"].unique())
        row = [f"{said['share'][day]:.0%} / {came['share'][day]:.0%}" for day in days]
        last = came.loc[days[-1]]
        rows.append([str(name), *row[:-1], f"{row[-1]} ({last['low']:.0%} to {last['high']:.0%})"])
    title = (
        "When they ordered again: expected / as it came (95 % interval), by day. Integrated Brier score "
        f"{facts['returns_brier']:.4f}; of one curve for all, seen afterwards, "
        f"{facts['returns_brier_km']:.4f}"
    )
    print_table(title, ["", *(f"day {day:.0f}" for day in days)], rows)
